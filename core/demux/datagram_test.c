/* Datagrams to devices that are told their clients. */
#include "demux/demux_test.h"

struct udp {
	struct plain plain;
	struct sockaddr_storage address;
	socklen_t size;
	int device;
};

static int bind_udp(struct ip_address where, struct endpoint *ret)
{
	struct endpoint endpoint = { .address = where };
	struct sockaddr_storage address;
	socklen_t size = endpoint_to_sockaddr(&endpoint, &address);
	int fd = socket(where.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	size = sizeof(address);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&address, ret), 0);
	return fd;
}

static void open_udp(const struct bench *bench, struct ip_address where, struct udp *ret)
{
	struct endpoint endpoint;
	int fd;

	*ret = (struct udp){ 0 };
	open_plain(bench, where, &ret->plain);
	fd = bind_udp(where, &endpoint);
	ret->size = endpoint_to_sockaddr(&endpoint, &ret->address);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	ret->device = bind_udp(where, &ret->plain.target.device);
	assert_int_equal(demux_port_put(ret->plain.port, DEMUX_ANY, &ret->plain.target), 0);
	assert_int_equal(demux_port_datagrams(ret->plain.port, fd), 0);
}

static void close_udp(struct udp *udp)
{
	close_plain(&udp->plain);
	(void)close(udp->device);
}

static int join_udp(const struct udp *udp)
{
	int fd = socket(udp->address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (const struct sockaddr *)&udp->address, udp->size), 0);
	return fd;
}

/* The next datagram at the device is of @client: its header, then @text. */
static void expect_datagram(const struct udp *udp, int client, const char *text,
			    struct sockaddr_storage *from)
{
	struct proxy_header header = { .datagram = true };
	uint8_t came[HELLO_MAX], bytes[PROXY_HEADER_MAX];
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	size_t head;
	ssize_t n;

	assert_int_equal(getsockname(client, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&address, &header.source), 0);
	assert_int_equal(endpoint_from_sockaddr((const struct sockaddr *)&udp->address,
						&header.destination),
			 0);
	head = (size_t)proxy_header_write(&header, bytes);
	await(udp->device, POLLIN);
	size = sizeof(*from);
	n = recvfrom(udp->device, came, sizeof(came), 0, (struct sockaddr *)from, &size);
	assert_int_equal(n, head + strlen(text));
	assert_memory_equal(came, bytes, head);
	assert_memory_equal(came + head, text, strlen(text));
}

static void answer(const struct udp *udp, const struct sockaddr_storage *to, const char *text)
{
	assert_int_equal(sendto(udp->device, text, strlen(text), 0, (const struct sockaddr *)to,
				udp->size),
			 strlen(text));
}

static void check_datagrams(const struct bench *bench, const char *where)
{
	struct sockaddr_storage from[2], again;
	struct ip_address address;
	int clients[2];
	struct udp udp;

	assert_int_equal(ip_parse(where, &address), 0);
	open_udp(bench, address, &udp);
	for (int i = 0; i < 2; i++) {
		clients[i] = join_udp(&udp);
		say(clients[i], "question", 8);
		expect_datagram(&udp, clients[i], "question", &from[i]);
	}
	for (int i = 0; i < 2; i++)
		answer(&udp, &from[i], i == 0 ? "to 0" : "to 1");
	for (int i = 0; i < 2; i++)
		expect(clients[i], i == 0 ? "to 0" : "to 1", 4);
	say(clients[1], "more", 4);
	expect_datagram(&udp, clients[1], "more", &again);
	assert_memory_equal(&again, &from[1], udp.size);
	say(clients[0], "", 0);
	expect_datagram(&udp, clients[0], "", &again);
	for (int i = 0; i < 2; i++)
		(void)close(clients[i]);
	close_udp(&udp);
}

static void datagrams_are_told_each(void **state)
{
	const struct sockaddr_in6 loopback = { .sin6_family = AF_INET6,
					       .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	check_datagrams(*state, "127.0.0.1");
	if (fd >= 0 && bind(fd, (const struct sockaddr *)&loopback, sizeof(loopback)) == 0)
		check_datagrams(*state, "::1"); /* else this machine has no IPv6 */
	(void)close(fd);
}

/* The device changes under a client; and a port of datagrams is free at once. */
static void datagrams_follow_their_route(void **state)
{
	const struct bench *bench = *state;
	struct sockaddr_storage from;
	struct udp udp;
	int client;

	open_udp(bench, ip_from_v4(INADDR_LOOPBACK), &udp);
	client = join_udp(&udp);
	say(client, "one", 3);
	expect_datagram(&udp, client, "one", &from);
	(void)close(udp.device);
	udp.device = bind_udp(ip_from_v4(INADDR_LOOPBACK), &udp.plain.target.device);
	assert_int_equal(demux_port_put(udp.plain.port, DEMUX_ANY, &udp.plain.target), 0);
	say(client, "two", 3);
	expect_datagram(&udp, client, "two", &from);
	for (int i = 0; i < 100; i++) {
		int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

		(void)demux_port_free(udp.plain.port);
		assert_int_equal(demux_port_new(bench->demux, DEMUX_PLAIN, &udp.plain.port), 0);
		assert_int_equal(demux_port_put(udp.plain.port, DEMUX_ANY, &udp.plain.target), 0);
		assert_int_equal(bind(fd, (struct sockaddr *)&udp.address, udp.size), 0);
		assert_int_equal(demux_port_datagrams(udp.plain.port, fd), 0);
	}
	say(client, "three", 5);
	expect_datagram(&udp, client, "three", &from);
	(void)close(client);
	close_udp(&udp);
}

/* Of one that sends from many ports some are left away; another one still has room. */
static void a_flood_of_datagrams_leaves_room(void **state)
{
	const struct sockaddr_in other = { .sin_family = AF_INET,
					   .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1) };
	const struct bench *bench = *state;
	struct demux_stats stats = { 0 };
	struct sockaddr_storage from;
	uint8_t came[HELLO_MAX];
	int clients[100], one;
	size_t received = 0;
	struct udp udp;

	open_udp(bench, ip_from_v4(INADDR_LOOPBACK), &udp);
	for (size_t i = 0; i < 100; i++) {
		clients[i] = join_udp(&udp);
		say(clients[i], "x", 1);
	}
	while (received + stats.refused < 100) {
		struct pollfd device = { .fd = udp.device, .events = POLLIN };

		if (poll(&device, 1, 10) == 1 && recv(udp.device, came, sizeof(came), 0) > 0)
			received++;
		demux_stats(bench->demux, &stats);
	}
	assert_true(received > 10 && stats.refused > 10);
	one = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(one, (const struct sockaddr *)&other, sizeof(other)), 0);
	assert_int_equal(connect(one, (const struct sockaddr *)&udp.address, udp.size), 0);
	say(one, "mine", 4);
	expect_datagram(&udp, one, "mine", &from);
	answer(&udp, &from, "yours");
	expect(one, "yours", 5);
	for (size_t i = 0; i < 100; i++)
		(void)close(clients[i]);
	(void)close(one);
	close_udp(&udp);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(datagrams_are_told_each),
		TEST(datagrams_follow_their_route),
		cmocka_unit_test_setup_teardown(a_flood_of_datagrams_leaves_room, set_up_some,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
