/* The client against the other end of a socket pair, on a real loop. */
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "netstate/netd_client.h"

#include "base/test.h"

struct seen {
	int done;
	int failed;
	int statuses;
	int closed;
	int bound; /* the descriptor */
	char details[128];
	uint32_t mtu;
};

struct bench {
	uv_loop_t loop;
	struct netd_client *client;
	int peer;
	struct seen seen;
};

static void on_closed(void *context, int error)
{
	struct seen *seen = context;

	assert_true(error < 0);
	seen->closed++;
}

static void on_done(void *context, const struct fault *fault, const struct netd_status *status)
{
	struct seen *seen = context;

	seen->done += !fault;
	if (fault) {
		seen->failed++;
		(void)snprintf(seen->details, sizeof(seen->details), "%s", fault->details);
	}
	if (status) {
		seen->statuses++;
		seen->mtu = status->mtu;
	}
}

static int set_up(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	int pair[2];

	assert_non_null(bench);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(uv_loop_init(&bench->loop), 0);
	bench->peer = pair[1];
	assert_int_equal(
		netd_client_new(&bench->loop, pair[0], on_closed, &bench->seen, &bench->client), 0);
	*state = bench;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *bench = *state;

	(void)netd_client_free(bench->client);
	(void)uv_run(&bench->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&bench->loop), 0);
	if (bench->peer >= 0)
		(void)close(bench->peer);
	free(bench);
	return 0;
}

static void reply(const struct bench *bench, const struct text *t)
{
	assert_int_equal(text_error(t), 0);
	assert_int_equal(write(bench->peer, t->data, t->size), t->size);
}

static void answers_reach_their_requests(void **state)
{
	struct bench *bench = *state;
	CLEANUP(text_done) struct text t = { 0 };
	struct net_set none = { 0 };
	struct fault fault = { .kind = FAULT_NETWORK, .details = (char *)"no such device" };
	struct netd_status status = { .mtu = 1420 };

	assert_int_equal(netd_client_sync(bench->client, &none, on_done, &bench->seen), 0);
	assert_int_equal(netd_client_change(bench->client, &none, &none, on_done, &bench->seen), 0);
	assert_int_equal(netd_client_status(bench->client, 0, on_done, &bench->seen), 0);
	assert_int_equal(bench->seen.done, 0);
	netd_write_plain(&t, NETD_DONE, 1);
	netd_write_failed(&t, 2, &fault);
	netd_write_status(&t, 3, &status);
	reply(bench, &t);
	while (bench->seen.statuses == 0)
		(void)uv_run(&bench->loop, UV_RUN_ONCE);
	assert_int_equal(bench->seen.done, 2);
	assert_int_equal(bench->seen.failed, 1);
	assert_string_equal(bench->seen.details, "no such device");
	assert_int_equal(bench->seen.mtu, 1420);
}

static void on_bound(void *context, const struct fault *fault, int fd)
{
	struct seen *seen = context;

	seen->done += !fault;
	seen->failed += fault != NULL;
	seen->bound = fd;
}

/* As start-netd does: the descriptor goes with the first byte. */
static void reply_with(const struct bench *bench, const struct text *t, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec part = { .iov_base = t->data, .iov_len = t->size };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };

	*CMSG_FIRSTHDR(&message) = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
						     .cmsg_level = SOL_SOCKET,
						     .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &fd, sizeof(fd));
	assert_int_equal(sendmsg(bench->peer, &message, 0), t->size);
}

static void a_bound_socket_comes_along(void **state)
{
	struct bench *bench = *state;
	CLEANUP(text_done) struct text first = { 0 };
	CLEANUP(text_done) struct text second = { 0 };
	CLEANUP(text_done) struct text last = { 0 };
	struct fault fault = { .kind = FAULT_NETWORK, .details = (char *)"in use" };
	const struct netd_bind wanted = { .kind = NETD_TCP, .endpoint.port = 443 };
	cleanup_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cleanup_close int got = -EBADF;
	struct sockaddr_in address = { .sin_family = AF_INET };
	struct sockaddr_in same = { 0 };
	socklen_t size = sizeof(address);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(netd_client_status(bench->client, 0, on_done, &bench->seen), 0);
	assert_int_equal(netd_client_bind(bench->client, &wanted, on_bound, &bench->seen), 0);
	assert_int_equal(netd_client_bind(bench->client, &wanted, on_bound, &bench->seen), 0);
	netd_write_status(&first, 1, &(struct netd_status){ 0 });
	netd_write_plain(&second, NETD_BOUND, 2);
	netd_write_failed(&last, 3, &fault);
	reply(bench, &first);
	reply_with(bench, &second, fd);
	while (bench->seen.done < 2)
		(void)uv_run(&bench->loop, UV_RUN_ONCE);
	got = bench->seen.bound;
	assert_true(got >= 0 && got != fd);
	assert_int_equal(getsockname(got, (struct sockaddr *)&same, &size), 0);
	assert_memory_equal(&same, &address, sizeof(same));
	reply(bench, &last);
	while (bench->seen.failed == 0)
		(void)uv_run(&bench->loop, UV_RUN_ONCE);
	assert_true(bench->seen.bound < 0);
}

/* The kernel drops a descriptor that a process may not have. */
static void bound_without_room_for_the_socket_fails_alone(void **state)
{
	struct bench *bench = *state;
	CLEANUP(text_done) struct text t = { 0 };
	const struct netd_bind wanted = { .kind = NETD_TCP, .endpoint.port = 443 };

	assert_int_equal(netd_client_bind(bench->client, &wanted, on_bound, &bench->seen), 0);
	netd_write_plain(&t, NETD_BOUND, 1);
	reply(bench, &t);
	while (bench->seen.failed == 0)
		(void)uv_run(&bench->loop, UV_RUN_ONCE);
	assert_int_equal(bench->seen.failed, 1);
	assert_int_equal(bench->seen.closed, 0);
}

static void a_closed_socket_answers_everyone(void **state)
{
	struct bench *bench = *state;

	assert_int_equal(netd_client_status(bench->client, 0, on_done, &bench->seen), 0);
	assert_int_equal(netd_client_reboot(bench->client, on_done, &bench->seen), 0);
	(void)close(bench->peer);
	bench->peer = -1;
	while (bench->seen.closed == 0)
		(void)uv_run(&bench->loop, UV_RUN_ONCE);
	assert_int_equal(bench->seen.failed, 2);
	assert_int_equal(bench->seen.closed, 1);
	assert_int_equal(netd_client_status(bench->client, 0, on_done, &bench->seen), -ENOTCONN);
}

static void a_wrong_answer_closes(void **state)
{
	struct bench *bench = *state;
	CLEANUP(text_done) struct text t = { 0 };

	assert_int_equal(netd_client_status(bench->client, 0, on_done, &bench->seen), 0);
	netd_write_plain(&t, NETD_DONE, 99);
	reply(bench, &t);
	while (bench->seen.closed == 0)
		(void)uv_run(&bench->loop, UV_RUN_ONCE);
	assert_int_equal(bench->seen.failed, 1);
}

static void requests_are_bounded(void **state)
{
	struct bench *bench = *state;

	for (int i = 0; i < NETD_CLIENT_PENDING_MAX; i++)
		assert_int_equal(netd_client_status(bench->client, 0, on_done, &bench->seen), 0);
	assert_int_equal(netd_client_status(bench->client, 0, on_done, &bench->seen), -EBUSY);
}

static void spawn_hands_over_the_socket(void **state)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)"read line <&3; echo got $line >&3",
			 NULL };
	cleanup_close int fd = -EBADF;
	char buffer[32] = "";
	size_t size = 0;
	ssize_t n;
	pid_t pid;

	(void)state;
	assert_int_equal(netd_spawn("/bin/sh", argv, &pid, &fd), 0);
	assert_int_equal(write(fd, "it\n", 3), 3);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	while ((n = read(fd, buffer + size, sizeof(buffer) - 1 - size)) > 0)
		size += (size_t)n;
	assert_string_equal(buffer, "got it\n");
}

static void spawn_tells_a_failed_exec(void **state)
{
	char *argv[] = { (char *)"x", NULL };
	int fd = -1;
	pid_t pid;

	(void)state;
	assert_int_equal(netd_spawn("/nonexistent/start-netd", argv, &pid, &fd), -ENOENT);
	assert_int_equal(fd, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(answers_reach_their_requests, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_closed_socket_answers_everyone, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_bound_socket_comes_along, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bound_without_room_for_the_socket_fails_alone,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_wrong_answer_closes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(requests_are_bounded, set_up, tear_down),
		cmocka_unit_test(spawn_hands_over_the_socket),
		cmocka_unit_test(spawn_tells_a_failed_exec),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
