/* Devices that are told their clients, by the PROXY protocol, and what one client may take. */
#include "demux/demux_test.h"

static void a_named_client_is_told_with_its_name(void **state)
{
	const struct bench *bench = *state;
	int plain = serve(bench, "plain.example"), told = serve_at(bench->port, "*.example", true);
	uint8_t hello[HELLO_MAX];
	size_t size = make_hello("Git.example", hello);
	int client = join(bench), device;

	say(client, hello, size);
	device = take(told);
	expect_header(device, client, "git.example");
	expect(device, hello, size);
	say(device, "answer", 6);
	expect(client, "answer", 6);
	(void)close(client);
	assert_int_equal(expect_end(device), 0);
	(void)close(device);
	join_device(bench, "plain.example", plain, &client, &device); /* no header there */
	(void)close(client);
	(void)close(device);
	(void)close(plain);
	(void)close(told);
}

/* The device speaks first, as for mail, and nothing is read for a name. */
static void check_plain(const struct bench *bench, const char *where)
{
	struct ip_address address;
	struct plain plain;
	int client, device;

	assert_int_equal(ip_parse(where, &address), 0);
	open_plain(bench, address, &plain);
	client = join_plain(&plain);
	device = take(plain.device);
	expect_header(device, client, NULL);
	say(device, "220 mail", 8);
	expect(client, "220 mail", 8);
	say(client, "EHLO", 4);
	expect(device, "EHLO", 4);
	assert_int_equal(shutdown(client, SHUT_WR), 0);
	assert_int_equal(expect_end(device), 0);
	say(device, "221 bye", 7);
	expect(client, "221 bye", 7);
	(void)close(device);
	assert_int_equal(expect_end(client), 0);
	(void)close(client);
	close_plain(&plain);
}

static void a_plain_port_is_told_at_once(void **state)
{
	check_plain(*state, "127.0.0.1");
}

static void ipv6_is_told_too(void **state)
{
	const struct bench *bench = *state;
	struct demux_target target = { .device.port = 1 };
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct sockaddr_in6 loopback = { .sin6_family = AF_INET6,
					       .sin6_addr = IN6ADDR_LOOPBACK_INIT };

	assert_int_equal(ip_parse("::1", &target.device.address), 0);
	assert_int_equal(demux_port_put(bench->port, "six.example", &target), -EINVAL);
	if (fd >= 0 && bind(fd, (const struct sockaddr *)&loopback, sizeof(loopback)) == 0)
		check_plain(bench, "::1"); /* else this machine has no IPv6 */
	(void)close(fd);
}

static void what_is_told_changes_with_the_target(void **state)
{
	const struct bench *bench = *state;
	struct plain plain;
	int client, device;

	open_plain(bench, ip_from_v4(INADDR_LOOPBACK), &plain);
	client = join_plain(&plain);
	device = take(plain.device);
	expect_header(device, client, NULL);
	plain.target.proxy = false;
	assert_int_equal(demux_port_put(plain.port, DEMUX_ANY, &plain.target), 0);
	assert_int_equal(expect_end(client), 0);
	assert_int_equal(expect_end(device), 0);
	(void)close(client);
	(void)close(device);
	client = join_plain(&plain);
	device = take(plain.device);
	say(client, "no header", 9);
	expect(device, "no header", 9);
	(void)close(client);
	(void)close(device);
	demux_port_remove(plain.port, DEMUX_ANY);
	client = join_plain(&plain);
	(void)expect_end(client);
	(void)close(client);
	close_plain(&plain);
}

static void one_source_leaves_room_for_others(void **state)
{
	const struct sockaddr_in other = { .sin_family = AF_INET,
					   .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1) };
	const struct bench *bench = *state;
	int clients[DEMUX_SOURCE_CONNECTIONS_MIN + 2], fd, device;
	struct demux_stats stats;
	struct plain plain;

	open_plain(bench, ip_from_v4(INADDR_LOOPBACK), &plain);
	for (size_t i = 0; i < DEMUX_SOURCE_CONNECTIONS_MIN + 2; i++)
		clients[i] = join_plain(&plain);
	for (size_t i = DEMUX_SOURCE_CONNECTIONS_MIN; i < DEMUX_SOURCE_CONNECTIONS_MIN + 2; i++)
		(void)expect_end(clients[i]);
	demux_stats(bench->demux, &stats);
	assert_int_equal(stats.refused, 2);
	assert_int_equal(stats.connections, DEMUX_SOURCE_CONNECTIONS_MIN);
	for (size_t i = 0; i < DEMUX_SOURCE_CONNECTIONS_MIN; i++)
		(void)close(take(plain.device));
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&other, sizeof(other)), 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&plain.address, plain.size), 0);
	device = take(plain.device);
	expect_header(device, fd, NULL);
	(void)close(fd);
	(void)close(device);
	for (size_t i = 0; i < DEMUX_SOURCE_CONNECTIONS_MIN + 2; i++)
		(void)close(clients[i]);
	close_plain(&plain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(a_named_client_is_told_with_its_name),
		TEST(a_plain_port_is_told_at_once),
		TEST(ipv6_is_told_too),
		TEST(what_is_told_changes_with_the_target),
		cmocka_unit_test_setup_teardown(one_source_leaves_room_for_others, set_up_some,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
