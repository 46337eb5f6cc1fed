/* Batches over the loopback device: what is queued arrives, message by message. */
#include <limits.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/secret.h"
#include "packetio/udp.h"

#include "base/test.h"

static int refused;

static void on_source_refused(void *context, void *owner)
{
	(void)context;
	refused += owner == &refused;
}

static const struct udp_sender_ops ops = { .source_refused = on_source_refused };

#define NO_BOUND UINT_MAX

/* What sendmmsg() does, and what it refuses. */
static struct {
	int refuses_segments; /* the error of a send of segments as large as segment_min; 0: none */
	size_t segment_min;
	unsigned room; /* sends until the socket is full */
	unsigned calls;
	unsigned segmented; /* sends that were not refused */
} kernel = { .room = NO_BOUND };

/* The size of the segments of a send; 0: it is one message. */
static size_t segment_size(struct msghdr *header)
{
	uint16_t size = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_SEGMENT)
			memcpy(&size, CMSG_DATA(c), sizeof(size));
	}
	return size;
}

/* In place of the C library's, like a kernel that refuses what it is told to. */
int sendmmsg(int fd, struct mmsghdr *headers, unsigned count, int flags)
{
	unsigned n = 0, segmented = 0;
	int error = EAGAIN;
	long sent;

	kernel.calls++;
	for (; n < count && n < kernel.room; n++) {
		size_t size = segment_size(&headers[n].msg_hdr);

		if (kernel.refuses_segments != 0 && size > 0 && size >= kernel.segment_min) {
			error = kernel.refuses_segments;
			break;
		}
		segmented += size > 0;
	}
	if (n == 0) {
		errno = error;
		return -1;
	}
	sent = syscall(SYS_sendmmsg, fd, headers, n, flags);
	if (sent > 0 && kernel.room != NO_BOUND)
		kernel.room -= (unsigned)sent;
	if (sent == (long)n)
		kernel.segmented += segmented;
	return (int)sent;
}

struct fixture {
	struct udp_pair from;
	struct udp_pair to;
	struct udp_sender *sender;
	struct udp_receiver *receiver;
	struct udp_path path;
	int family;
};

static void set_up(struct fixture *f, int family, bool segment, unsigned open_flags)
{
	refused = 0;
	memset(&kernel, 0, sizeof(kernel));
	kernel.room = NO_BOUND;
	f->family = family;
	assert_int_equal(udp_open_pair(0, 0, open_flags, &f->from), 0);
	assert_int_equal(udp_open_pair(0, 0, open_flags, &f->to), 0);
	assert_int_equal(udp_sender_new(256, segment, &ops, NULL, &f->sender), 0);
	assert_int_equal(udp_receiver_new(32, &f->receiver), 0);
	udp_sender_set_socket(f->sender, family == AF_INET ? f->from.v4 : f->from.v6);
	f->path = (struct udp_path){ 0 };
	assert_int_equal(ip_parse(family == AF_INET ? "127.0.0.1" : "::1", &f->path.remote.address),
			 0);
	f->path.remote.port = f->to.port;
}

static void tear_down(struct fixture *f)
{
	udp_sender_free(f->sender);
	udp_receiver_free(f->receiver);
	udp_close_pair(&f->from);
	udp_close_pair(&f->to);
}

/* Receives until @count messages came; checks their sizes, their first byte and @ds. */
static void expect(struct fixture *f, const struct iovec *sent, size_t count, uint8_t ds)
{
	int fd = f->family == AF_INET ? f->to.v4 : f->to.v6;
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	size_t i = 0;

	while (i < count) {
		struct udp_train *trains;
		ssize_t n;

		assert_int_equal(poll(&ready, 1, 5000), 1);
		n = udp_receive(f->receiver, fd, &trains);
		assert_true(n > 0);
		for (ssize_t t = 0; t < n; t++) {
			assert_int_equal(trains[t].ds, ds);
			assert_true(ip_equal(&trains[t].path.local, &f->path.remote.address));
			assert_int_equal(trains[t].path.remote.port, f->from.port);
			for (size_t at = 0; at < trains[t].size;
			     at += trains[t].message_size, i++) {
				size_t left = trains[t].size - at;
				size_t size = left < trains[t].message_size
						      ? left
						      : trains[t].message_size;

				assert_true(i < count);
				assert_int_equal(size, sent[i].iov_len);
				assert_memory_equal(trains[t].data + at, sent[i].iov_base, size);
			}
		}
	}
}

static void send_sizes(struct fixture *f, const size_t *sizes, size_t count, uint8_t ds)
{
	static uint8_t data[65536];
	struct iovec messages[200];

	assert_true(count <= ARRAY_SIZE(messages));
	random_bytes(data, sizeof(data));
	for (size_t i = 0; i < count; i++)
		messages[i] = (struct iovec){ data + i * 7, sizes[i] };
	udp_sender_add(f->sender, &f->path, ds, messages, count, &refused);
	assert_int_equal(udp_sender_flush(f->sender), UDP_FLUSHED);
	expect(f, messages, count, ds);
}

static void all_that_is_queued_arrives(void **state)
{
	static const size_t mixed[] = { 100, 100, 40, 40, 40, 41, 1000, 1, 9000, 9000, 60000, 32 };
	size_t alike[150];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(alike); i++)
		alike[i] = 1452;
	alike[149] = 60;
	for (int variant = 0; variant < 8; variant++) {
		struct fixture f;

		set_up(&f, variant & 1 ? AF_INET6 : AF_INET, variant & 2,
		       variant & 4 ? UDP_WITHOUT_GRO : 0);
		send_sizes(&f, mixed, ARRAY_SIZE(mixed), 0);
		send_sizes(&f, alike, ARRAY_SIZE(alike), 0);
		send_sizes(&f, alike, 30, 1);
		tear_down(&f);
	}
}

static void what_is_lost_is_counted(void **state)
{
	static uint8_t data[40000];
	struct iovec messages[] = { { data, 100 }, { data, 100 }, { data, 40 } };
	int small = 1;
	struct fixture f;

	(void)state;
	set_up(&f, AF_INET, true, 0);
	assert_int_equal(udp_sender_lost(f.sender), 0);
	udp_sender_set_socket(f.sender, -EBADF);
	udp_sender_add(f.sender, &f.path, 0, messages, ARRAY_SIZE(messages), NULL);
	assert_int_equal(udp_sender_flush(f.sender), UDP_FLUSHED);
	assert_int_equal(udp_sender_lost(f.sender), 3);
	udp_sender_send(f.sender, &f.path, 0, data, 100);
	assert_int_equal(udp_sender_lost(f.sender), 4);

	udp_sender_set_socket(f.sender, f.from.v4);
	assert_int_equal(udp_overflows(f.to.v4), 0);
	assert_int_equal(udp_overflows(-EBADF), 0);
	assert_int_equal(setsockopt(f.to.v4, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	for (int i = 0; i < 100; i++)
		udp_sender_send(f.sender, &f.path, 0, data, sizeof(data));
	assert_int_equal(udp_sender_lost(f.sender), 4); /* the receiver lost them */
	assert_true(udp_overflows(f.to.v4) > 0);
	tear_down(&f);
}

static void what_is_no_message_is_counted(void **state)
{
	static uint8_t data[1];
	struct udp_train *trains;
	struct pollfd ready;
	struct fixture f;

	(void)state;
	set_up(&f, AF_INET, true, 0);
	ready = (struct pollfd){ .fd = f.to.v4, .events = POLLIN };
	udp_sender_send(f.sender, &f.path, 0, data, 0);
	assert_int_equal(poll(&ready, 1, 5000), 1);
	assert_int_equal(udp_receive(f.receiver, f.to.v4, &trains), 0);
	assert_int_equal(udp_receiver_discarded(f.receiver), 1);
	tear_down(&f);
}

static void a_lost_source_address_is_forgotten(void **state)
{
	static const size_t sizes[] = { 100, 100, 100 };
	struct fixture f;

	(void)state;
	for (int i = 0; i < 2; i++) {
		set_up(&f, i ? AF_INET6 : AF_INET, true, 0);
		assert_int_equal(ip_parse(i ? "2001:db8::1" : "192.0.2.1", &f.path.local), 0);
		send_sizes(&f, sizes, ARRAY_SIZE(sizes), 0);
		assert_int_equal(refused, 1);
		/* Which had nothing to do with segments. */
		f.path.local.family = 0;
		kernel.segmented = 0;
		send_sizes(&f, sizes, ARRAY_SIZE(sizes), 0);
		assert_int_equal(kernel.segmented, 1);
		tear_down(&f);
	}
}

#define GROUPS 3
#define ALIKE 45 /* messages of a group */

/* Queues groups of messages of one size, the last of each a shorter one. */
static void queue_alike(struct fixture *f, struct iovec *messages, size_t size)
{
	static uint8_t data[2048];

	random_bytes(data, sizeof(data));
	for (size_t i = 0; i < GROUPS * ALIKE; i++)
		messages[i] = (struct iovec){ data + i, i % ALIKE == ALIKE - 1 ? 20 : size };
	udp_sender_add(f->sender, &f->path, 0, messages, GROUPS * ALIKE, &refused);
}

static void send_alike(struct fixture *f, size_t size)
{
	struct iovec messages[GROUPS * ALIKE];

	queue_alike(f, messages, size);
	kernel.calls = kernel.segmented = 0;
	assert_int_equal(udp_sender_flush(f->sender), UDP_FLUSHED);
	expect(f, messages, GROUPS * ALIKE, 0);
	assert_int_equal(udp_sender_lost(f->sender), 0);
}

/* What a kernel does not do, or a device below: messages go one by one, and no try is lost on each. */
static void refused_segments_are_given_up(void **state)
{
	static const int errors[] = { EIO, EOPNOTSUPP };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		struct fixture f;

		set_up(&f, AF_INET, true, 0);
		kernel.refuses_segments = errors[i];
		send_alike(&f, 1000);
		assert_int_equal(udp_sender_refused(f.sender), GROUPS);
		assert_false(udp_sender_segments(f.sender));
		send_alike(&f, 1000);
		assert_int_equal(kernel.calls, 1);
		assert_int_equal(udp_sender_refused(f.sender), GROUPS);
		tear_down(&f);
	}
}

/* A path that is too small for them is remembered for a while. */
static void refused_segments_are_given_up_on_their_path(void **state)
{
	static const int errors[] = { EMSGSIZE, EINVAL };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		struct fixture f;

		set_up(&f, i ? AF_INET6 : AF_INET, true, 0);
		kernel.refuses_segments = errors[i];
		kernel.segment_min = 1000;
		send_alike(&f, 1200);
		assert_int_equal(udp_sender_refused(f.sender), GROUPS);
		send_alike(&f, 1200);
		assert_int_equal(kernel.calls, 1);
		assert_int_equal(udp_sender_refused(f.sender), GROUPS);
		assert_true(udp_sender_segments(f.sender));
		send_alike(&f, 900); /* smaller ones fit */
		assert_int_equal(kernel.segmented, GROUPS);

		/* Another place may be better off. */
		f.path.remote.port = f.from.port;
		udp_close_pair(&f.to);
		f.to = f.from;
		kernel.refuses_segments = 0;
		send_alike(&f, 1200);
		assert_int_equal(kernel.segmented, GROUPS);
		f.to.v4 = f.to.v6 = -EBADF;
		tear_down(&f);
	}
}

static void a_small_path_is_tried_again(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f, AF_INET, true, 0);
	kernel.refuses_segments = EMSGSIZE;
	send_alike(&f, 1200);
	kernel.refuses_segments = 0;
	do
		send_alike(&f, 1200);
	while (kernel.segmented < GROUPS);
	tear_down(&f);
}

/* In the middle of a group whose segments were refused: the rest waits. */
static void a_full_socket_loses_nothing(void **state)
{
	struct iovec messages[GROUPS * ALIKE];
	size_t sent = 0;
	struct fixture f;

	(void)state;
	set_up(&f, AF_INET, true, 0);
	kernel.refuses_segments = EMSGSIZE;
	queue_alike(&f, messages, 1200);
	for (; sent < GROUPS * ALIKE - 20; sent += 20) {
		kernel.room = 20;
		assert_int_equal(udp_sender_flush(f.sender), UDP_BLOCKED);
		expect(&f, messages + sent, 20, 0);
	}
	kernel.room = NO_BOUND;
	assert_int_equal(udp_sender_flush(f.sender), UDP_FLUSHED);
	expect(&f, messages + sent, GROUPS * ALIKE - sent, 0);
	assert_int_equal(udp_sender_lost(f.sender), 0);
	tear_down(&f);
}

static void a_port_in_use_is_refused(void **state)
{
	struct udp_pair first, second;

	(void)state;
	assert_int_equal(udp_open_pair(0, 0, 0, &first), 0);
	assert_int_equal(udp_open_pair(first.port, 0, 0, &second), -EADDRINUSE);
	udp_close_pair(&first);
	assert_int_equal(udp_open_pair(first.port, 0, 0, &second), 0);
	udp_close_pair(&second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_that_is_queued_arrives),
		cmocka_unit_test(what_is_lost_is_counted),
		cmocka_unit_test(what_is_no_message_is_counted),
		cmocka_unit_test(a_lost_source_address_is_forgotten),
		cmocka_unit_test(refused_segments_are_given_up),
		cmocka_unit_test(refused_segments_are_given_up_on_their_path),
		cmocka_unit_test(a_small_path_is_tried_again),
		cmocka_unit_test(a_full_socket_loses_nothing),
		cmocka_unit_test(a_port_in_use_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
