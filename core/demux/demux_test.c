/*
 * Clients, devices and the demultiplexer on this machine's loopback
 *
 * Start-netd is played by a thread that hands out plain sockets: clients of the loopback are such as have
 * no address of their own towards a device.
 */
#include "demux/demux_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/test.h"
#include "proxy/proxy_header.h"
#include "sni/client_hello.h"

#define PATIENCE_MS 60000
#define HELLO_MAX 512
#define BULK (6 << 20)

/* --- start-netd --- */

struct giver {
	pthread_t thread;
	int ours, theirs;
};

static void give(int channel, size_t count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(64 * sizeof(int))];
	} control = { 0 };
	uint8_t error = 0;
	struct iovec part = { .iov_base = &error, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = CMSG_SPACE(count * sizeof(int)) };
	int fds[64];

	for (size_t i = 0; i < count; i++)
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	*CMSG_FIRSTHDR(&message) = (struct cmsghdr){ .cmsg_len = CMSG_LEN(count * sizeof(int)),
						     .cmsg_level = SOL_SOCKET,
						     .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), fds, count * sizeof(int));
	(void)sendmsg(channel, &message, MSG_NOSIGNAL);
	for (size_t i = 0; i < count; i++)
		(void)close(fds[i]);
}

static void *run_giver(void *context)
{
	const struct giver *giver = context;
	uint8_t wanted;

	while (recv(giver->ours, &wanted, 1, 0) == 1)
		give(giver->ours, wanted);
	return NULL;
}

/* --- the bench --- */

struct bench {
	struct giver giver;
	struct demux *demux;
	struct demux_port *port;
	struct sockaddr_in address;
};

static int listen_somewhere(struct sockaddr_in *ret)
{
	socklen_t size = sizeof(*ret);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*ret = (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	assert_int_equal(bind(fd, (struct sockaddr *)ret, sizeof(*ret)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)ret, &size), 0);
	return fd;
}

static int set_up(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	int ends[2], fd;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	bench->giver.ours = ends[0];
	assert_int_equal(pthread_create(&bench->giver.thread, NULL, run_giver, &bench->giver), 0);
	assert_int_equal(demux_new(ends[1], "lo", &bench->demux), 0);
	assert_int_equal(demux_port_new(bench->demux, DEMUX_SHARED, &bench->port), 0);
	fd = listen_somewhere(&bench->address);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(demux_port_listen(bench->port, fd), 0);
	*state = bench;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *bench = *state;

	(void)demux_port_free(bench->port);
	(void)demux_free(bench->demux); /* closes its end of the channel */
	assert_int_equal(pthread_join(bench->giver.thread, NULL), 0);
	(void)close(bench->giver.ours);
	free(bench);
	return 0;
}

static int serve_at(struct demux_port *port, const char *name, bool proxy)
{
	struct demux_target target = { .proxy = proxy };
	struct sockaddr_in address;
	int fd = listen_somewhere(&address);

	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&address, &target.device), 0);
	assert_int_equal(demux_port_put(port, name, &target), 0);
	return fd;
}

/* A device's service. */
static int serve(const struct bench *bench, const char *name)
{
	return serve_at(bench->port, name, false);
}

static void await(int fd, short events)
{
	struct pollfd one = { .fd = fd, .events = events };

	assert_int_equal(poll(&one, 1, PATIENCE_MS), 1);
}

static int take(int listener)
{
	int fd;

	await(listener, POLLIN);
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	return fd;
}

static int join(const struct bench *bench)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(
		connect(fd, (const struct sockaddr *)&bench->address, sizeof(bench->address)), 0);
	return fd;
}

static size_t make_hello(const char *name, uint8_t to[HELLO_MAX])
{
	size_t n = strlen(name), at = 0;
	const uint8_t extension[] = { 0, 0, 0,	       (uint8_t)(n + 5), 0, (uint8_t)(n + 3),
				      0, 0, (uint8_t)n };
	size_t extensions = sizeof(extension) + n, body = 34 + 1 + 4 + 2 + 2 + extensions;

	memset(to, 0, HELLO_MAX);
	memcpy(to, (uint8_t[]){ 22, 3, 1, 0, (uint8_t)(body + 4), 1, 0, 0, (uint8_t)body, 3, 3 },
	       11);
	at = 11 + 32 + 1;
	memcpy(to + at, (uint8_t[]){ 0, 2, 0x13, 1, 1, 0, 0, (uint8_t)extensions }, 8);
	memcpy(to + at + 8, extension, sizeof(extension));
	memcpy(to + at + 8 + sizeof(extension), name, n);
	return 9 + body;
}

static void say(int fd, const void *bytes, size_t size)
{
	assert_int_equal(send(fd, bytes, size, MSG_NOSIGNAL), size);
}

static size_t say_hello(int fd, const char *name)
{
	uint8_t hello[HELLO_MAX];
	size_t size = make_hello(name, hello);

	say(fd, hello, size);
	return size;
}

static void expect(int fd, const void *bytes, size_t size)
{
	uint8_t came[HELLO_MAX];

	assert_true(size <= sizeof(came));
	for (size_t at = 0; at < size;) {
		ssize_t n;

		await(fd, POLLIN);
		n = recv(fd, came + at, size - at, 0);
		assert_true(n > 0);
		at += (size_t)n;
	}
	assert_memory_equal(came, bytes, size);
}

/* 0: it ended; else the errno. */
static int expect_end(int fd)
{
	uint8_t byte;
	ssize_t n;

	await(fd, POLLIN);
	n = recv(fd, &byte, 1, 0);
	assert_true(n <= 0);
	return n == 0 ? 0 : errno;
}

/* A connection of a client to a device, both ends. */
static void join_device(const struct bench *bench, const char *name, int listener, int *client,
			int *device)
{
	uint8_t hello[HELLO_MAX];
	size_t size = make_hello(name, hello);

	*client = join(bench);
	say(*client, hello, size);
	*device = take(listener);
	expect(*device, hello, size);
}

/* --- the tests --- */

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

/* --- the PROXY protocol --- */

/* What comes first on @device is the header of @client, with the name that it said. */
static void expect_header(int device, int client, const char *name)
{
	struct proxy_header header = { .authority = name };
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	uint8_t bytes[PROXY_HEADER_MAX];

	assert_int_equal(getsockname(client, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&address, &header.source), 0);
	size = sizeof(address);
	assert_int_equal(getpeername(client, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&address, &header.destination),
			 0);
	expect(device, bytes, (size_t)proxy_header_write(&header, bytes));
}

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

/* A plain port beside the shared one, and what it leads to, on loopback of a family. */
struct plain {
	struct demux_port *port;
	struct sockaddr_storage address;
	socklen_t size;
	struct demux_target target;
	int device;
};

static int listen_at(struct ip_address where, struct endpoint *ret)
{
	struct endpoint endpoint = { .address = where };
	struct sockaddr_storage address;
	socklen_t size = endpoint_to_sockaddr(&endpoint, &address);
	int fd = socket(where.family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	size = sizeof(address);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&address, ret), 0);
	return fd;
}

static void open_plain(const struct bench *bench, struct ip_address where, struct plain *ret)
{
	struct endpoint endpoint;
	int fd = listen_at(where, &endpoint);

	*ret = (struct plain){ .target.proxy = true };
	ret->size = endpoint_to_sockaddr(&endpoint, &ret->address);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	ret->device = listen_at(where, &ret->target.device);
	assert_int_equal(listen(ret->device, 64), 0);
	assert_int_equal(demux_port_new(bench->demux, DEMUX_PLAIN, &ret->port), 0);
	assert_int_equal(demux_port_put(ret->port, DEMUX_ANY, &ret->target), 0);
	assert_int_equal(demux_port_listen(ret->port, fd), 0);
}

static void close_plain(struct plain *plain)
{
	(void)demux_port_free(plain->port);
	(void)close(plain->device);
}

static int join_plain(const struct plain *plain)
{
	int fd = socket(plain->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (const struct sockaddr *)&plain->address, plain->size), 0);
	return fd;
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

/* With as many descriptors as 200 connections take: one source has its least share. */
static int set_up_some(void **state)
{
	struct rlimit limit, some;
	int r;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	some = limit;
	some.rlim_cur = 1200;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &some), 0);
	r = set_up(state);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	return r;
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

/* --- datagrams --- */

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
		TEST(names_lead_to_devices),
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
		TEST(a_named_client_is_told_with_its_name),
		TEST(a_plain_port_is_told_at_once),
		TEST(ipv6_is_told_too),
		TEST(what_is_told_changes_with_the_target),
		TEST(datagrams_are_told_each),
		TEST(datagrams_follow_their_route),
		cmocka_unit_test_setup_teardown(a_flood_of_datagrams_leaves_room, set_up_some,
						tear_down),
		cmocka_unit_test_setup_teardown(one_source_leaves_room_for_others, set_up_some,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
