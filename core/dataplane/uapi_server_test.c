/* The configuration socket as its clients meet it. */
#include "dataplane/uapi_server.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "wireguard/uapi.h"

#include "base/test.h"

static struct {
	int sets;
	int result;
	size_t peers;
	size_t told; /* peers of a reading */
} device;

static int on_set(void *context, const struct wg_config *change)
{
	(void)context;
	device.sets++;
	device.peers += change->peer_count;
	return device.result;
}

static int on_get(void *context, struct wg_config *ret)
{
	(void)context;
	*ret = (struct wg_config){ 0 };
	for (size_t i = 0; i < device.told; i++) {
		uint8_t key[WG_KEY_SIZE] = { (uint8_t)i, (uint8_t)(i >> 8) };
		struct wg_config_peer *peer;

		assert_int_equal(wg_config_add_peer(ret, key, &peer), 0);
	}
	return 0;
}

static int on_find_link(void *context, const char *name, uint32_t *ret)
{
	(void)context;
	*ret = 3;
	return strcmp(name, "eth0") == 0 ? 0 : -ENODEV;
}

static void on_status(void *context, struct text *to)
{
	(void)context;
	text_append(to, "sealed=1\n");
}

static const struct uapi_server_ops ops = { on_set, on_get, on_find_link, on_status };

struct fixture {
	char directory[32];
	int directory_fd;
	struct poller poller;
	struct poller_source stopper;
	struct uapi_server *server;
};

static int set_up(void **state)
{
	static struct fixture f;
	int fd;
	ino_t inode;

	memset(&device, 0, sizeof(device));
	memcpy(f.directory, "/tmp/uapi-test-XXXXXX", sizeof("/tmp/uapi-test-XXXXXX"));
	assert_non_null(mkdtemp(f.directory));
	assert_int_equal(uapi_directory_open(f.directory, &f.directory_fd), 0);
	assert_int_equal(poller_init(&f.poller), 0);
	assert_int_equal(uapi_socket_open(f.directory, f.directory_fd, "x", &fd, &inode), 0);
	assert_int_equal(uapi_server_new(&f.poller, fd, &ops, NULL, &f.server), 0);
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	uapi_server_free(f->server);
	poller_done(&f->poller);
	(void)unlinkat(f->directory_fd, "x", 0);
	(void)close(f->directory_fd);
	(void)rmdir(f->directory);
	return 0;
}

static int connect_client(const struct fixture *f)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/x", f->directory);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* Lets the server do all that there is to do. */
static void run_server(struct fixture *f)
{
	struct pollfd ready = { .fd = f->poller.fd, .events = POLLIN };

	while (poll(&ready, 1, 0) > 0) {
		struct epoll_event event;
		struct poller_source *source;

		assert_int_equal(epoll_wait(f->poller.fd, &event, 1, 0), 1);
		source = event.data.ptr;
		source->ready(source, event.events);
	}
}

static void expect_answer(struct fixture *f, int client, const char *request, const char *expected)
{
	char answer[256];
	ssize_t size;

	assert_int_equal(send(client, request, strlen(request), 0), strlen(request));
	run_server(f);
	size = recv(client, answer, sizeof(answer) - 1, 0);
	assert_true(size >= 0);
	answer[size] = 0;
	assert_string_equal(answer, expected);
}

static void requests_are_answered_in_turn(void **state)
{
	struct fixture *f = *state;
	int client = connect_client(f);

	expect_answer(f, client, "set=1\n\n", "errno=0\n\n");
	expect_answer(f, client, "set=1\nlisten_port=1\n\nset=1\nfwmark=2\n\n",
		      "errno=0\n\nerrno=0\n\n");
	assert_int_equal(device.sets, 3);
	device.result = -EADDRINUSE;
	expect_answer(f, client, "set=1\nlisten_port=1\n\n", "errno=-98\n\n");
	expect_answer(f, client, "set=1\nlisten_port=x\n\n", "errno=-22\n\n");
	expect_answer(f, client, "what=1\n\n", "errno=-22\n\n");
	expect_answer(f, client, UAPI_STATUS, "sealed=1\nerrno=0\n\n");
	assert_int_equal(device.sets, 4);
	(void)close(client);
}

static void a_request_may_come_byte_by_byte(void **state)
{
	static const char request[] = "set=1\nreplace_peers=true\n\n";
	struct fixture *f = *state;
	int client = connect_client(f);

	for (size_t i = 0; i + 2 < sizeof(request); i++) {
		assert_int_equal(send(client, request + i, 1, 0), 1);
		run_server(f);
	}
	assert_int_equal(device.sets, 0);
	expect_answer(f, client, "\n", "errno=0\n\n");
	assert_int_equal(device.sets, 1);
	(void)close(client);
}

static void a_client_that_leaves_early_changes_nothing(void **state)
{
	struct fixture *f = *state;
	int client = connect_client(f);

	assert_int_equal(send(client, "set=1\nlisten_port=1\n", 20, 0), 20);
	run_server(f);
	(void)close(client);
	run_server(f);
	assert_int_equal(device.sets, 0);
}

/* One that does not read stops itself; the silent one makes room for another. */
static void clients_are_bounded(void **state)
{
	struct fixture *f = *state;
	int clients[UAPI_CLIENTS_MAX + 1];
	char byte;

	for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
		clients[i] = connect_client(f);
		run_server(f);
	}
	assert_int_equal(recv(clients[0], &byte, 1, 0), 0); /* closed */
	for (size_t i = 1; i < ARRAY_SIZE(clients); i++)
		expect_answer(f, clients[i], "set=1\n\n", "errno=0\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		(void)close(clients[i]);
	run_server(f);
}

static void one_that_does_not_read_stops_only_itself(void **state)
{
	static const char request[] = "get=1\n\n";
	struct fixture *f = *state;
	int deaf = connect_client(f);
	int client = connect_client(f);

	while (send(deaf, request, strlen(request), 0) > 0)
		run_server(f);
	assert_int_equal(errno, EAGAIN);
	expect_answer(f, client, "set=1\n\n", "errno=0\n\n");
	(void)close(deaf);
	(void)close(client);
	run_server(f);
}

/* Longer than a socket's buffer: it is made in parts, as the client takes it. */
static void a_long_answer_comes_whole(void **state)
{
	static const char request[] = "get=1\n\nset=1\n\n";
	CLEANUP(wg_config_done) struct wg_config reading = { 0 };
	CLEANUP(text_done) struct text expected = { 0 };
	CLEANUP(text_done) struct text answer = { 0 };
	struct fixture *f = *state;
	int client = connect_client(f);

	device.told = 5000;
	assert_int_equal(on_get(NULL, &reading), 0);
	uapi_write_get(&expected, &reading);
	text_append(&expected, "errno=0\n\n");
	assert_int_equal(send(client, request, strlen(request), 0), strlen(request));
	while (answer.size < expected.size) {
		char part[10007];
		ssize_t size;

		run_server(f);
		size = recv(client, part, sizeof(part), 0);
		assert_true(size > 0);
		text_append_bytes(&answer, part, (size_t)size);
	}
	assert_string_equal(text_string(&answer), text_string(&expected));
	assert_int_equal(device.sets, 1);
	(void)close(client);
}

static void a_served_socket_is_not_replaced(void **state)
{
	const struct fixture *f = *state;
	int fd;
	ino_t inode;

	assert_int_equal(uapi_socket_open(f->directory, f->directory_fd, "x", &fd, &inode),
			 -EADDRINUSE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(requests_are_answered_in_turn, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_request_may_come_byte_by_byte, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_client_that_leaves_early_changes_nothing, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(clients_are_bounded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_that_does_not_read_stops_only_itself, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_long_answer_comes_whole, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_served_socket_is_not_replaced, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
