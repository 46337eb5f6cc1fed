/* The client against the other end of a socket pair, on a real loop. */
#include <sys/socket.h>
#include <sys/wait.h>

#include "netstate/netd_client.h"

#include "base/test.h"

struct seen {
	int done;
	int failed;
	int statuses;
	int closed;
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
	assert_int_equal(netd_client_status(bench->client, on_done, &bench->seen), 0);
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

static void a_closed_socket_answers_everyone(void **state)
{
	struct bench *bench = *state;

	assert_int_equal(netd_client_status(bench->client, on_done, &bench->seen), 0);
	assert_int_equal(netd_client_reboot(bench->client, on_done, &bench->seen), 0);
	(void)close(bench->peer);
	bench->peer = -1;
	while (bench->seen.closed == 0)
		(void)uv_run(&bench->loop, UV_RUN_ONCE);
	assert_int_equal(bench->seen.failed, 2);
	assert_int_equal(bench->seen.closed, 1);
	assert_int_equal(netd_client_status(bench->client, on_done, &bench->seen), -ENOTCONN);
}

static void a_wrong_answer_closes(void **state)
{
	struct bench *bench = *state;
	CLEANUP(text_done) struct text t = { 0 };

	assert_int_equal(netd_client_status(bench->client, on_done, &bench->seen), 0);
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
		assert_int_equal(netd_client_status(bench->client, on_done, &bench->seen), 0);
	assert_int_equal(netd_client_status(bench->client, on_done, &bench->seen), -EBUSY);
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
		cmocka_unit_test_setup_teardown(a_wrong_answer_closes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(requests_are_bounded, set_up, tear_down),
		cmocka_unit_test(spawn_hands_over_the_socket),
		cmocka_unit_test(spawn_tells_a_failed_exec),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
