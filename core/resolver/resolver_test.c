/*
 * The proxy between a device and servers, all on the loopback interface: start-netd is a socket that this
 * test answers.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>

#include "dns/data.h"
#include "resolver/resolver_internal.h"

#include "base/test.h"

#define GATE 0x7f000101 /* 127.0.1.1/24, the proxy's address; its device is 127.0.1.2 */
#define DEVICE 0x7f000102
#define STRANGER 0x7f000201

struct server {
	uv_poll_t poll;
	int fd;
	struct endpoint at;
	unsigned asked;
	enum dns_code code;
	bool silent;
	char only; /* the first letter of the names that it answers; 0: all */
	bool truncates;
	uint8_t address; /* the last byte of what it answers */
	uint32_t ttl;
};

struct bench {
	uv_loop_t loop;
	struct netd_client *netd;
	struct resolver *resolver;
	int peer; /* start-netd's end */
	uv_poll_t netd_poll;
	struct server servers[2];
	struct sockaddr_in udp; /* where the proxy really is */
	struct sockaddr_in tcp;
	unsigned bound;
	char directory[64];
	char conf[96];
	const char *files[2];
	struct resolver_request *update;
	uint32_t updater;
	unsigned updates;
	bool refuses; /* updates, at once */
	uv_timer_t patience;
};

static struct sockaddr_in address_of(uint32_t ip, uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons(port),
				     .sin_addr.s_addr = htonl(ip) };
}

static int bound_socket(int type, uint32_t ip, struct sockaddr_in *ret)
{
	int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_in address = address_of(ip, 0);
	socklen_t size = sizeof(address);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	*ret = address;
	return fd;
}

static void send_socket(struct bench *b, uint32_t number, int fd)
{
	CLEANUP(text_done) struct text t = { 0 };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec part;
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };

	netd_write_plain(&t, NETD_BOUND, number);
	part = (struct iovec){ t.data, t.size };
	*CMSG_FIRSTHDR(&message) = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
						     .cmsg_level = SOL_SOCKET,
						     .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &fd, sizeof(fd));
	assert_int_equal(sendmsg(b->peer, &message, 0), t.size);
}

/* Port 53 is not ours here: another one is bound, and noted. */
static void on_netd(uv_poll_t *poll, int status, int events)
{
	struct bench *b = container_of(poll, struct bench, netd_poll);
	uint8_t bytes[4096];
	ssize_t size = read(b->peer, bytes, sizeof(bytes));
	struct netd_frame frame;
	ssize_t used, at = 0;

	(void)status;
	(void)events;
	while (at < size &&
	       (used = netd_frame_parse(bytes + at, (size_t)(size - at), &frame)) > 0) {
		struct netd_bind wanted;
		bool udp;
		int fd;

		assert_int_equal(frame.type, NETD_BIND);
		assert_int_equal(netd_parse_bind(&frame, &wanted), 0);
		assert_int_equal(wanted.flags, NETD_BIND_TUNNEL);
		assert_int_equal(wanted.endpoint.port, 53);
		udp = wanted.kind == NETD_UDP;
		fd = bound_socket(udp ? SOCK_DGRAM : SOCK_STREAM,
				  ip_to_v4(&wanted.endpoint.address), udp ? &b->udp : &b->tcp);
		send_socket(b, frame.number, fd);
		(void)close(fd);
		b->bound++;
		at += used;
	}
}

static void on_netd_closed(void *context, int error)
{
	(void)context;
	(void)error;
}

static void on_patience(uv_timer_t *timer)
{
	(void)timer;
	fail_msg("waited in vain");
}

/* One query, one answer: an address, or what the test has set. */
static void on_server(uv_poll_t *poll, int status, int events)
{
	struct server *server = container_of(poll, struct server, poll);
	const uint8_t record[] = {
		0xc0,		12, 0, 1, 0, 1, 0, 0, 0, (uint8_t)server->ttl, 0, 4, 192, 0, 2,
		server->address
	};
	uint8_t bytes[DNS_UDP_MAX], answer[DNS_UDP_MAX];
	struct sockaddr_in from;
	socklen_t from_size = sizeof(from);
	struct dns_query query;
	ssize_t size =
		recvfrom(server->fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &from_size);
	size_t written;

	(void)status;
	(void)events;
	assert_true(size > 0);
	server->asked++;
	if (server->silent || (server->only && tolower(bytes[DNS_HEADER_SIZE + 1]) != server->only))
		return;
	assert_int_equal(dns_query_parse(bytes, (size_t)size, &query), 0);
	query.edns = false;
	written = dns_write_empty(&query, bytes, server->code, server->truncates, answer);
	if (server->code == DNS_NOERROR && !server->truncates) {
		memcpy(answer + written, record, sizeof(record));
		answer[7] = 1;
		written += sizeof(record);
	}
	(void)sendto(server->fd, answer, written, 0, (struct sockaddr *)&from, from_size);
}

static void server_start(struct bench *b, struct server *server, uint8_t address)
{
	struct sockaddr_in at;

	*server = (struct server){ .address = address, .ttl = 60 };
	server->fd = bound_socket(SOCK_DGRAM, INADDR_LOOPBACK, &at);
	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&at, &server->at), 0);
	assert_int_equal(uv_poll_init(&b->loop, &server->poll, server->fd), 0);
	(void)uv_poll_start(&server->poll, UV_READABLE, on_server);
}

static void on_update(void *context, struct resolver_request *request, uint32_t source,
		      const uint8_t *message, size_t size)
{
	struct bench *b = context;
	uint8_t refusal[DNS_HEADER_SIZE] = { 0 };

	assert_true(size > DNS_HEADER_SIZE);
	b->updates++;
	if (b->refuses) {
		memcpy(refusal, message, 2);
		refusal[2] = 0x80 | DNS_UPDATE << 3;
		refusal[3] = DNS_REFUSED;
		resolver_answer(request, refusal, sizeof(refusal));
		return;
	}
	b->update = request;
	b->updater = source;
}

static void write_conf(const struct bench *b, const char *text)
{
	FILE *file = fopen(b->conf, "we");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void serve_subnet(struct bench *b)
{
	struct resolver_subnet subnet = { .address = GATE, .prefix = 24, .own = true };

	subnet.servers.list[0] = b->servers[0].at;
	subnet.servers.list[1] = b->servers[1].at;
	subnet.servers.count = 2;
	assert_int_equal(resolver_set_subnets(b->resolver, &subnet, 1), 0);
	while (b->bound < 2)
		(void)uv_run(&b->loop, UV_RUN_ONCE);
	/* The sockets are on their way; a question waits in them. */
}

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct resolver_options options = { .link = "lo", .update = on_update, .context = b };
	int pair[2];

	assert_non_null(b);
	assert_int_equal(uv_loop_init(&b->loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0);
	b->peer = pair[1];
	assert_int_equal(netd_client_new(&b->loop, pair[0], on_netd_closed, NULL, &b->netd), 0);
	assert_int_equal(uv_poll_init(&b->loop, &b->netd_poll, b->peer), 0);
	(void)uv_poll_start(&b->netd_poll, UV_READABLE, on_netd);
	(void)snprintf(b->directory, sizeof(b->directory), "/tmp/resolver-XXXXXX");
	assert_non_null(mkdtemp(b->directory));
	(void)snprintf(b->conf, sizeof(b->conf), "%s/resolv.conf", b->directory);
	b->files[0] = b->conf;
	(void)uv_timer_init(&b->loop, &b->patience);
	(void)uv_timer_start(&b->patience, on_patience, 60000, 0);
	server_start(b, &b->servers[0], 1);
	server_start(b, &b->servers[1], 2);
	options.loop = &b->loop;
	options.netd = b->netd;
	options.resolv_conf = b->files;
	assert_int_equal(resolver_new(&options, &b->resolver), 0);
	serve_subnet(b);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	(void)resolver_free(b->resolver);
	(void)netd_client_free(b->netd);
	uv_close((uv_handle_t *)&b->netd_poll, NULL);
	uv_close((uv_handle_t *)&b->patience, NULL);
	for (size_t i = 0; i < 2; i++)
		uv_close((uv_handle_t *)&b->servers[i].poll, NULL);
	(void)uv_run(&b->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&b->loop), 0);
	for (size_t i = 0; i < 2; i++)
		(void)close(b->servers[i].fd);
	(void)close(b->peer);
	(void)unlink(b->conf);
	(void)rmdir(b->directory);
	free(b);
	return 0;
}

static size_t write_query(const char *text, uint16_t type, uint8_t *to)
{
	struct dns_name name;

	assert_int_equal(dns_name_parse(text, &name), 0);
	memcpy(to, (const uint8_t[]){ 4, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0 }, DNS_HEADER_SIZE);
	memcpy(to + DNS_HEADER_SIZE, name.bytes, name.size);
	memcpy(to + DNS_HEADER_SIZE + name.size, (const uint8_t[]){ 0, (uint8_t)type, 0, 1 }, 4);
	return DNS_HEADER_SIZE + name.size + 4U;
}

/* A device's socket with a message sent to the proxy. */
static int send_udp(struct bench *b, uint32_t from, const uint8_t *message, size_t size)
{
	struct sockaddr_in at;
	int fd = bound_socket(SOCK_DGRAM, from, &at);

	assert_int_equal(connect(fd, (struct sockaddr *)&b->udp, sizeof(b->udp)), 0);
	assert_int_equal(send(fd, message, size, 0), size);
	return fd;
}

static size_t receive(struct bench *b, int fd, uint8_t *to, size_t capacity)
{
	ssize_t size;

	while ((size = recv(fd, to, capacity, MSG_DONTWAIT)) < 0) {
		assert_int_equal(errno, EAGAIN);
		(void)uv_run(&b->loop, UV_RUN_ONCE);
	}
	return (size_t)size;
}

/* Asks, and gives the last byte of the address in the answer; minus its code where there is none. */
static int ask_from(struct bench *b, uint32_t from, const char *name)
{
	uint8_t query[DNS_UDP_MAX], answer[DNS_UDP_MAX];
	size_t query_size = write_query(name, DNS_A, query);
	cleanup_close int fd = send_udp(b, from, query, query_size);
	size_t size = receive(b, fd, answer, sizeof(answer));

	if (size > DNS_HEADER_SIZE)
		assert_true(dns_response_matches(answer, size, query, query_size));
	if (answer[7] == 0)
		return -(int)dns_code_of(answer, size);
	return answer[size - 1];
}

static int ask(struct bench *b, const char *name)
{
	return ask_from(b, DEVICE, name);
}

static void hold(struct bench *b, const char *text, uint16_t type, const char *value)
{
	uint8_t data[DNS_DATA_MAX];
	struct dns_local local = { .type = type,
				   .ttl_s = 60,
				   .data_size = (uint16_t)dns_data_parse(type, value, data) };
	struct dns_name name;

	assert_int_equal(dns_name_parse(text, &name), 0);
	assert_int_equal(dns_records_add(resolver_records(b->resolver), &name, &local, data), 0);
}

static void an_answer_comes_through_and_is_kept(void **state)
{
	struct bench *b = *state;

	assert_int_equal(ask(b, "Git.example.com"), 1);
	assert_int_equal(ask(b, "git.example.COM"), 1);
	assert_int_equal(b->servers[0].asked, 1);
	assert_int_equal(b->servers[1].asked, 0);
}

static void records_are_answered_here(void **state)
{
	struct bench *b = *state;

	hold(b, "home.example.com", DNS_A, "10.59.0.7");
	hold(b, "www.example.com", DNS_CNAME, "home.example.com");
	hold(b, "far.example.com", DNS_CNAME, "far.example.net");
	hold(b, "six.example.com", DNS_AAAA, "fd00::1");
	assert_int_equal(ask(b, "home.example.com"), 7);
	assert_int_equal(ask(b, "www.example.com"), 7);
	assert_int_equal(ask(b, "six.example.com"), 0);
	assert_int_equal(b->servers[0].asked, 0);
	assert_int_equal(ask(b, "far.example.com"), 1);
	assert_int_equal(ask(b, "far.example.com"), 1);
	assert_int_equal(b->servers[0].asked, 1);
	assert_int_equal(ask(b, "_dns.resolver.arpa"), 0);
	assert_int_equal(b->servers[0].asked, 1);
}

static void the_next_server_is_asked(void **state)
{
	struct bench *b = *state;

	b->servers[0].code = DNS_SERVFAIL;
	assert_int_equal(ask(b, "a.example.com"), 2);
	b->servers[0].silent = true;
	assert_int_equal(ask(b, "b.example.com"), 2);
	assert_int_equal(b->servers[0].asked, 2);
	assert_int_equal(ask(b, "c.example.com"), 2); /* the first is known to be down */
	assert_int_equal(b->servers[0].asked, 2);
	b->servers[1].code = DNS_NXDOMAIN;
	assert_int_equal(ask(b, "d.example.com"), -DNS_NXDOMAIN);
	b->servers[0].silent = false;
	b->servers[1].code = DNS_SERVFAIL;
	assert_int_equal(ask(b, "e.example.com"), -DNS_SERVFAIL);
}

static void only_devices_of_the_subnet_are_served(void **state)
{
	struct bench *b = *state;

	hold(b, "home.example.com", DNS_A, "10.59.0.7");
	assert_int_equal(ask_from(b, STRANGER, "home.example.com"), -DNS_REFUSED);
	assert_int_equal(ask_from(b, STRANGER, "git.example.com"), -DNS_REFUSED);
	assert_int_equal(b->servers[0].asked, 0);
}

/* A device that is the server of its subnet asks the machine's. */
static void a_server_is_not_asked_its_own_questions(void **state)
{
	struct bench *b = *state;
	struct resolver_subnet subnet = { .address = GATE,
					  .prefix = 24,
					  .own = true,
					  .device = DEVICE,
					  .servers = { { b->servers[0].at }, 1 } };

	assert_int_equal(resolver_set_subnets(b->resolver, &subnet, 1), 0);
	assert_int_equal(ask(b, "a.example.com"), -DNS_SERVFAIL); /* it has none */
	assert_int_equal(b->servers[0].asked, 0);
	assert_int_equal(ask_from(b, DEVICE + 1, "a.example.com"), 1);
	assert_int_equal(b->bound, 2); /* the sockets stayed */
}

static void one_question_for_many(void **state)
{
	struct bench *b = *state;
	uint8_t query[DNS_UDP_MAX], answer[DNS_UDP_MAX];
	size_t size = write_query("many.example.com", DNS_A, query);
	int fds[10];

	for (size_t i = 0; i < 10; i++)
		fds[i] = send_udp(b, DEVICE + (uint32_t)i, query, size);
	for (size_t i = 0; i < 10; i++) {
		assert_true(receive(b, fds[i], answer, sizeof(answer)) > size);
		(void)close(fds[i]);
	}
	assert_int_equal(b->servers[0].asked, 1);
}

#define TRAIN 40

/* The address that an answer tells has the number of the question at its end. Which one it is. */
static unsigned take_answer(struct bench *b, int fd)
{
	uint8_t answer[DNS_UDP_MAX];
	size_t size = receive(b, fd, answer, sizeof(answer));

	assert_int_equal(answer[7], 1);
	assert_int_equal(answer[1], answer[size - 1]);
	return answer[1];
}

static void assert_all_answered(struct bench *b, int fd)
{
	bool seen[TRAIN] = { false };

	for (size_t i = 0; i < TRAIN; i++) {
		unsigned number = take_answer(b, fd);

		assert_true(number < TRAIN && !seen[number]);
		seen[number] = true;
	}
}

/* Writes question number @i about a name of its own with @letters letters in front. */
static size_t write_numbered(struct bench *b, unsigned i, int letters, uint8_t *to)
{
	char name[64], address[32];
	size_t size;

	(void)snprintf(name, sizeof(name), "%.*s%02u.example.com", letters, "aaaaaaaaaa", i);
	(void)snprintf(address, sizeof(address), "10.59.0.%u", i);
	hold(b, name, DNS_A, address);
	size = write_query(name, DNS_A, to);
	to[0] = 0;
	to[1] = (uint8_t)i;
	return size;
}

/* As the kernel joins them, where one device asks much. */
static void a_train_of_questions(void **state)
{
	struct bench *b = *state;
	uint8_t questions[TRAIN * 64];
	size_t size = 0, all = 0;
	struct sockaddr_in at;
	int segment, fd = bound_socket(SOCK_DGRAM, DEVICE, &at);

	for (unsigned i = 0; i < TRAIN; i++) {
		size = write_numbered(b, i, 1, questions + all);
		all += size;
	}
	segment = (int)size;
	assert_int_equal(setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&b->udp, sizeof(b->udp)), 0);
	assert_int_equal(send(fd, questions, all, 0), all);
	assert_all_answered(b, fd);
	(void)close(fd);
}

/* Whatever their sizes and their order. */
static void many_questions_at_once(void **state)
{
	struct bench *b = *state;
	uint8_t question[DNS_UDP_MAX];
	struct sockaddr_in at;
	int fd = bound_socket(SOCK_DGRAM, DEVICE, &at);

	assert_int_equal(connect(fd, (struct sockaddr *)&b->udp, sizeof(b->udp)), 0);
	for (unsigned i = 0; i < TRAIN; i++) {
		size_t size = write_numbered(b, i, (int)(i * 7 % 10), question);

		assert_int_equal(send(fd, question, size, 0), size);
	}
	assert_all_answered(b, fd);
	(void)close(fd);
}

static int connect_tcp(struct bench *b)
{
	struct sockaddr_in at;
	int fd = bound_socket(SOCK_STREAM, DEVICE, &at);

	while (b->tcp.sin_port == 0)
		(void)uv_run(&b->loop, UV_RUN_ONCE);
	while (connect(fd, (struct sockaddr *)&b->tcp, sizeof(b->tcp)) < 0 && errno != EISCONN) {
		assert_true(errno == EINPROGRESS || errno == EALREADY || errno == ECONNREFUSED);
		(void)uv_run(&b->loop, UV_RUN_NOWAIT);
	}
	return fd;
}

static void many_questions_on_one_connection(void **state)
{
	struct bench *b = *state;
	cleanup_close int fd = connect_tcp(b);
	uint8_t bytes[4096];
	size_t sent = 0, got = 0, wanted = 0;

	hold(b, "home.example.com", DNS_A, "10.59.0.7");
	for (int i = 0; i < 8; i++) {
		size_t size = write_query(i % 2 ? "home.example.com" : "away.example.com", DNS_A,
					  bytes + sent + 2);

		bytes[sent] = 0;
		bytes[sent + 1] = (uint8_t)size;
		sent += 2 + size;
		wanted += 2 + size + 16;
	}
	for (size_t i = 0; i < sent; i += 7) { /* in pieces */
		size_t size = sent - i < 7 ? sent - i : 7;

		assert_int_equal(send(fd, bytes + i, size, 0), size);
		(void)uv_run(&b->loop, UV_RUN_NOWAIT);
	}
	while (got < wanted)
		got += receive(b, fd, bytes, sizeof(bytes));
	assert_int_equal(got, wanted);
	assert_int_equal(b->servers[0].asked, 1);
}

/* Adds a message to those that go over a connection, with its length in front. Returns the size of all. */
static size_t add_message(uint8_t *all, size_t size, const char *name, uint16_t type)
{
	size_t message_size = write_query(name, type, all + size + 2);

	all[size] = (uint8_t)(message_size >> 8);
	all[size + 1] = (uint8_t)message_size;
	return size + 2 + message_size;
}

/* Reads whole answers, whose bytes nobody looks at. */
static void receive_answers(struct bench *b, int fd, size_t count)
{
	static uint8_t bytes[2 + DNS_MESSAGE_MAX];
	size_t size = 0, wanted;

	while (count > 0) {
		wanted = size < 2 ? 2 : 2 + ((size_t)bytes[0] << 8 | bytes[1]);
		if (size == wanted) {
			assert_true(size > DNS_HEADER_SIZE);
			size = 0;
			count--;
			continue;
		}
		size_t got = receive(b, fd, bytes + size, wanted - size);

		assert_true(got > 0);
		size += got;
	}
}

#define LARGE_ANSWERS 300
#define UPDATES 60

/* It asks for more than it takes, so that the connection pauses; between the questions are updates, which are
 * refused at once. */
static void updates_among_answers_that_wait(void **state)
{
	struct bench *b = *state;
	cleanup_close int fd = connect_tcp(b);
	uint8_t bytes[(LARGE_ANSWERS + UPDATES) * 64];
	char text[1001];
	size_t size = 0;

	b->refuses = true;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = 0;
	for (int i = 0; i < 60; i++) {
		text[0] = (char)('A' + i);
		hold(b, "big.example.com", DNS_TXT, text);
	}
	for (int i = 0; i < LARGE_ANSWERS + UPDATES; i++) {
		bool update = i % (1 + LARGE_ANSWERS / UPDATES) == 0;
		size_t at = size + 2;

		size = add_message(bytes, size, "big.example.com", update ? DNS_SOA : DNS_TXT);
		if (update)
			bytes[at + 2] = DNS_UPDATE << 3;
	}
	assert_int_equal(send(fd, bytes, size, 0), size);
	receive_answers(b, fd, LARGE_ANSWERS + UPDATES);
	assert_int_equal(b->updates, UPDATES);
}

/* A connection with as many open questions as it may have asks what is about to be answered. */
static void a_question_that_ends_is_asked_again(void **state)
{
	struct bench *b = *state;
	cleanup_close int fd = connect_tcp(b);
	uint8_t bytes[34 * 64];
	char name[32];
	size_t size = 0;

	b->servers[0].ttl = 0;
	b->servers[0].only = 's';
	for (int i = 0; i < 31; i++) {
		(void)snprintf(name, sizeof(name), "u%d.example.com", i);
		size = add_message(bytes, size, name, DNS_A);
	}
	for (int i = 0; i < 3; i++)
		size = add_message(bytes, size, "same.example.com", DNS_A);
	assert_int_equal(send(fd, bytes, size, 0), size);
	receive_answers(b, fd, 3);
}

static void what_is_no_message_closes_the_connection(void **state)
{
	struct bench *b = *state;
	cleanup_close int fd = connect_tcp(b);
	uint8_t byte;

	assert_int_equal(send(fd, "\0\3abc", 5, 0), 5);
	assert_int_equal(receive(b, fd, &byte, 1), 0);
}

static void updates_are_handed_on(void **state)
{
	struct bench *b = *state;
	uint8_t message[DNS_UDP_MAX], answer[DNS_UDP_MAX];
	size_t size = write_query("example.com", DNS_SOA, message);
	int fd;

	message[2] = DNS_UPDATE << 3;
	fd = send_udp(b, DEVICE, message, size);
	while (!b->update)
		(void)uv_run(&b->loop, UV_RUN_ONCE);
	assert_int_equal(b->updater, DEVICE);
	resolver_answer(b->update, (const uint8_t *)"done", 4);
	assert_int_equal(receive(b, fd, answer, sizeof(answer)), 4);
	(void)close(fd);
}

static void the_machines_servers_are_followed(void **state)
{
	struct bench *b = *state;
	struct resolver_subnet subnet = { .address = GATE, .prefix = 24 };
	struct resolver_servers servers;

	assert_int_equal(resolver_set_subnets(b->resolver, &subnet, 1), 0);
	assert_int_equal(ask(b, "a.example.com"), -DNS_SERVFAIL);
	/* Nobody answers there, which is another thing than to have nobody: 192.0.2.1 is not routed, or
	 * refuses, or is silent, and each ends in SERVFAIL; so the reading itself is what is looked at. */
	resolver_parse_conf("nameserver 127.0.0.53\nnameserver 192.0.2.1 # x\nnameserver "
			    "192.0.2.1\n nameserver 10.0.0.1\n#nameserver 10.0.0.2\nnameserver "
			    "2001:db8::1\nnameserver x\nnameserver 10.0.0.3",
			    &servers);
	assert_int_equal(servers.count, 3); /* a word that begins a line */
	assert_int_equal(ip_to_v4(&servers.list[0].address), 0xc0000201);
	assert_int_equal(ip_to_v4(&servers.list[2].address), 0x0a000003);
	write_conf(b, "nameserver 127.0.0.53\n");
	assert_int_equal(ask(b, "b.example.com"), -DNS_SERVFAIL);
}

/* By its IPv4 address, whichever it has here; what no device of the subnet can have is nobody's. */
static void a_device_is_told_by_either_address(void **state)
{
	static const struct {
		const char *from;
		uint32_t device;
	} cases[] = {
		{ "10.1.2.3", 0x0a010203 },
		{ "fd00:1::102:3", 0 },
		{ "fd00:1::2:3", 0x0a020003 },
		{ "fd00:1::3", 0x0a000003 },
		{ "fd00:1:0:0:0:1:0:3", 0 },
		{ "fd00:1:0:1::3", 0 },
		{ "fe80::3", 0 },
		{ "::ffff:10.1.2.3", 0 },
		{ "fd00:1::ffff:3", 0 },
		{ "fd00:1:0:0:8000::3", 0 },
	};
	struct proxy proxy = { .subnet = { .address = 0x0a010001, .prefix = 14 } };
	struct ip_address from;

	(void)state;
	assert_int_equal(ip_parse("fd00:1::3", &from), 0);
	assert_int_equal(proxy_device(&proxy, &from), 0);
	assert_int_equal(ip_parse("fd00:1::1", &proxy.subnet.address6), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(ip_parse(cases[i].from, &from), 0);
		assert_int_equal(proxy_device(&proxy, &from), cases[i].device);
	}
}

static void a_flood_is_refused(void **state)
{
	struct bench *b = *state;
	char name[32];
	int refused = 0;

	for (int i = 0; i < 1200; i++) {
		(void)snprintf(name, sizeof(name), "n%d.example.com", i);
		refused += ask(b, name) == -DNS_REFUSED;
	}
	/* A slow machine gives back what it takes time for. */
	assert_true(refused <= 200);
	assert_int_equal(b->servers[0].asked + (unsigned)refused, 1200);
	assert_int_equal(ask_from(b, DEVICE + 1, "other.example.com"), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(an_answer_comes_through_and_is_kept),
		TEST(records_are_answered_here),
		TEST(the_next_server_is_asked),
		TEST(only_devices_of_the_subnet_are_served),
		TEST(a_server_is_not_asked_its_own_questions),
		TEST(one_question_for_many),
		TEST(a_train_of_questions),
		TEST(many_questions_at_once),
		TEST(many_questions_on_one_connection),
		TEST(updates_among_answers_that_wait),
		TEST(a_question_that_ends_is_asked_again),
		TEST(what_is_no_message_closes_the_connection),
		TEST(updates_are_handed_on),
		TEST(the_machines_servers_are_followed),
		TEST(a_flood_is_refused),
		cmocka_unit_test(a_device_is_told_by_either_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
