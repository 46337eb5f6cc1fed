/* Names that lead to devices, what becomes of connections, and of the bytes on them. */
#include "demux/demux_test.h"

#include "sni/client_hello.h"

#define BULK (6 << 20)

static void names_lead_to_devices(void **state)
{
	static const char *const names[] = { "git.example.com", "*.example.com", "shop.example" };
	static const struct {
		const char *asked;
		int which;
	} rows[] = { { "git.example.com", 0 },
		     { "GIT.example.COM", 0 },
		     { "www.example.com", 1 },
		     { "shop.example", 2 } };
	const struct bench *bench = *state;
	int listeners[3];

	for (int i = 0; i < 3; i++)
		listeners[i] = serve(bench, names[i]);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int client, device;

		join_device(bench, rows[i].asked, listeners[rows[i].which], &client, &device);
		say(device, "answer", 6);
		expect(client, "answer", 6);
		(void)close(client);
		assert_int_equal(expect_end(device), 0);
		(void)close(device);
	}
	for (int i = 0; i < 3; i++)
		(void)close(listeners[i]);
}

static void a_question_without_an_answer_is_asked_again(void **state)
{
	struct bench *bench = *state;
	int listener = serve(bench, "a.example"), client, device;

	bench->giver.unanswered = 1;
	join_device(bench, "a.example", listener, &client, &device);
	say(client, "question", 8);
	expect(device, "question", 8);
	(void)close(client);
	(void)close(device);
	(void)close(listener);
}

static void unknown_names_get_an_alert(void **state)
{
	static const char *const names[] = { "other.example.org", "a.b.example.com",
					     "example.com" };
	const struct bench *bench = *state;
	int listener = serve(bench, "*.example.com");
	struct demux_stats stats;

	for (size_t i = 0; i < 3; i++) {
		int client = join(bench);

		(void)say_hello(client, names[i]);
		expect(client, client_hello_alert, CLIENT_HELLO_ALERT_SIZE);
		assert_int_equal(expect_end(client), 0);
		(void)close(client);
	}
	demux_stats(bench->demux, &stats);
	assert_int_equal(stats.unknown, 3);
	(void)close(listener);
}

static void what_is_no_tls_gets_nothing(void **state)
{
	const struct bench *bench = *state;
	int listener = serve(bench, "a.example"), client = join(bench);

	say(client, "GET / HTTP/1.1\r\n\r\n", 18);
	(void)expect_end(client);
	(void)close(client);
	(void)close(listener);
}

static void the_rest_has_a_place_of_its_own(void **state)
{
	const struct bench *bench = *state;
	int listener = serve(bench, DEMUX_ANY), client, device;

	join_device(bench, "whatever.example", listener, &client, &device);
	(void)close(client);
	(void)close(device);
	client = join(bench);
	say(client, "no TLS at all", 13);
	device = take(listener);
	expect(device, "no TLS at all", 13);
	(void)close(client);
	(void)close(device);
	(void)close(listener);
}

static void a_hello_may_come_byte_by_byte(void **state)
{
	const struct bench *bench = *state;
	int listener = serve(bench, "slow.example"), client = join(bench), on = 1, device;
	uint8_t hello[HELLO_MAX];
	size_t size = make_hello("slow.example", hello);

	assert_int_equal(setsockopt(client, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof(on)), 0);
	for (size_t i = 0; i < size; i++)
		say(client, hello + i, 1);
	device = take(listener);
	expect(device, hello, size);
	say(client, "early", 5);
	expect(device, "early", 5);
	(void)close(client);
	(void)close(device);
	(void)close(listener);
}

static void half_an_end_goes_through(void **state)
{
	const struct bench *bench = *state;
	int listener = serve(bench, "half.example"), client, device;

	join_device(bench, "half.example", listener, &client, &device);
	assert_int_equal(shutdown(client, SHUT_WR), 0);
	assert_int_equal(expect_end(device), 0);
	say(device, "still here", 10);
	expect(client, "still here", 10);
	(void)close(device);
	assert_int_equal(expect_end(client), 0);
	(void)close(client);
	(void)close(listener);
}

static void abort_connection(int fd)
{
	const struct linger at_once = { .l_onoff = 1 };

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
	(void)close(fd);
}

static void resets_go_through(void **state)
{
	const struct bench *bench = *state;
	int listener = serve(bench, "reset.example"), client, device;

	join_device(bench, "reset.example", listener, &client, &device);
	abort_connection(client);
	assert_int_equal(expect_end(device), ECONNRESET);
	(void)close(device);
	join_device(bench, "reset.example", listener, &client, &device);
	abort_connection(device);
	assert_int_equal(expect_end(client), ECONNRESET);
	(void)close(client);
	(void)close(listener); /* nobody listens any more */
	client = join(bench);
	(void)say_hello(client, "reset.example");
	assert_int_equal(expect_end(client), ECONNRESET);
	(void)close(client);
}

static void connections_end_with_their_route(void **state)
{
	const struct bench *bench = *state;
	int one = serve(bench, "one.example"), other = serve(bench, "other.example");
	int client, device, kept, kept_device;
	struct demux_traffic traffic;

	join_device(bench, "one.example", one, &client, &device);
	join_device(bench, "other.example", other, &kept, &kept_device);
	demux_port_remove(bench->port, "one.example");
	assert_int_equal(expect_end(client), 0);
	assert_int_equal(expect_end(device), 0);
	say(kept, "x", 1);
	expect(kept_device, "x", 1);
	assert_false(demux_port_traffic(bench->port, "one.example", &traffic));
	assert_true(demux_port_traffic(bench->port, "other.example", &traffic));
	assert_int_equal(traffic.connections, 1);
	assert_true(traffic.tx_bytes > 1);
	assert_int_equal(traffic.rx_bytes, 0);
	(void)close(client);
	client = join(bench);
	(void)say_hello(client, "one.example");
	expect(client, client_hello_alert, CLIENT_HELLO_ALERT_SIZE);
	(void)close(client);
	(void)close(device);
	(void)close(kept);
	(void)close(kept_device);
	(void)close(one);
	(void)close(other);
}

static void a_name_moves_to_another_device(void **state)
{
	const struct bench *bench = *state;
	int first = serve(bench, "moves.example"), second, client, device;

	join_device(bench, "moves.example", first, &client, &device);
	second = serve(bench, "moves.example");
	assert_int_equal(expect_end(client), 0);
	(void)close(client);
	(void)close(device);
	join_device(bench, "moves.example", second, &client, &device);
	(void)close(client);
	(void)close(device);
	(void)close(first);
	(void)close(second);
}

static void the_address_is_free_at_once(void **state)
{
	struct bench *bench = *state;

	for (int i = 0; i < 100; i++) {
		int fd, on = 1;

		(void)demux_port_free(bench->port);
		assert_int_equal(demux_port_new(bench->demux, DEMUX_SHARED, &bench->port), 0);
		fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
		assert_int_equal(
			bind(fd, (struct sockaddr *)&bench->address, sizeof(bench->address)), 0);
		assert_int_equal(demux_port_listen(bench->port, fd), 0);
	}
	names_lead_to_devices(state);
}

struct bulk {
	pthread_t thread;
	int fd;
	uint8_t seed;
	bool sends;
};

static uint8_t bulk_byte(uint8_t seed, size_t at)
{
	return (uint8_t)(seed + at * 7 + (at >> 8));
}

static void *run_bulk(void *context)
{
	static const size_t part = 50000;
	const struct bulk *bulk = context;
	uint8_t *bytes = malloc(part);
	size_t at = 0;

	while (bytes && at < BULK) {
		size_t size = BULK - at < part ? BULK - at : part;
		ssize_t n;

		for (size_t i = 0; bulk->sends && i < size; i++)
			bytes[i] = bulk_byte(bulk->seed, at + i);
		n = bulk->sends ? send(bulk->fd, bytes, size, MSG_NOSIGNAL)
				: recv(bulk->fd, bytes, size, 0);
		if (n <= 0)
			break;
		for (size_t i = 0; !bulk->sends && i < (size_t)n; i++)
			if (bytes[i] != bulk_byte(bulk->seed, at + i))
				n = -1;
		if (n < 0)
			break;
		at += (size_t)n;
	}
	free(bytes);
	return at == BULK ? context : NULL;
}

static void bytes_arrive_as_they_were_sent(void **state)
{
	const struct bench *bench = *state;
	int listener = serve(bench, "bulk.example"), client, device;
	struct bulk all[4];

	join_device(bench, "bulk.example", listener, &client, &device);
	for (int i = 0; i < 4; i++) {
		all[i] = (struct bulk){ .fd = i % 2 ? client : device,
					.seed = (uint8_t)(i < 2 ? i : 3 - i),
					.sends = i < 2 };
		assert_int_equal(pthread_create(&all[i].thread, NULL, run_bulk, &all[i]), 0);
	}
	for (int i = 0; i < 4; i++) {
		void *done;

		assert_int_equal(pthread_join(all[i].thread, &done), 0);
		assert_non_null(done);
	}
	(void)close(client);
	(void)close(device);
	(void)close(listener);
}

/* With few descriptors there is one pipe, for a connection that wants two: bytes go by another way too. */
static int set_up_few(void **state)
{
	struct rlimit limit, few;
	int r;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	few = limit;
	few.rlim_cur = 18;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	r = set_up(state);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	return r;
}

static void bytes_arrive_without_pipes(void **state)
{
	bytes_arrive_as_they_were_sent(state);
}

/* Those who say nothing have their bound, and others are served beside them. */
static void the_silent_are_few(void **state)
{
	const struct bench *bench = *state;
	int listener = serve(bench, "few.example"), client, device;
	int silent[DEMUX_SOURCE_HELLOS_MAX + 10];
	struct demux_stats stats = { 0 };
	size_t room = bench->demux->source_connections_max -
		      1; /* beside the client, by the limit on files */

	if (room > DEMUX_SOURCE_HELLOS_MAX)
		room = DEMUX_SOURCE_HELLOS_MAX;
	join_device(bench, "few.example", listener, &client, &device);
	for (size_t i = 0; i < room + 10; i++)
		silent[i] = join(bench);
	(void)expect_end(silent[room + 9]);
	demux_stats(bench->demux, &stats);
	assert_int_equal(stats.refused, 10);
	say(client, "x", 1);
	expect(device, "x", 1);
	for (size_t i = 0; i < room + 10; i++)
		(void)close(silent[i]);
	(void)close(client);
	(void)close(device);
	(void)close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(names_lead_to_devices),
		TEST(a_question_without_an_answer_is_asked_again),
		TEST(unknown_names_get_an_alert),
		TEST(what_is_no_tls_gets_nothing),
		TEST(the_rest_has_a_place_of_its_own),
		TEST(a_hello_may_come_byte_by_byte),
		TEST(half_an_end_goes_through),
		TEST(resets_go_through),
		TEST(connections_end_with_their_route),
		TEST(a_name_moves_to_another_device),
		TEST(the_address_is_free_at_once),
		TEST(bytes_arrive_as_they_were_sent),
		cmocka_unit_test_setup_teardown(bytes_arrive_without_pipes, set_up_few, tear_down),
		TEST(the_silent_are_few),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
