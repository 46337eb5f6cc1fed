/*
 * Two data planes that reach each other over the loopback device
 *
 * In place of a TUN each has one end of a pair of sockets, whose other end is the test's. What a kernel
 * may refuse is refused by the functions here that take the place of the C library's.
 */
#include "dataplane/dataplane.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

#include "base/clock.h"
#include "base/secret.h"
#include "offload/ip_header.h"
#include "offload/segmenter.h"
#include "offload/virtio.h"
#include "wireguard/dh.h"

#include "base/test.h"

#define PACKETS_MAX 64
#define READS_OF_A_ROUND 129 /* at most */
#define REST_MS 10

struct packet {
	struct virtio_net_hdr header;
	size_t size;
	uint8_t data[65535];
};

struct end {
	struct dataplane *dataplane;
	int tun; /* what the data plane reads and writes; its own */
	int cable; /* the test's end of it */
	uint8_t private_key[WG_KEY_SIZE];
	uint8_t public_key[WG_KEY_SIZE];
};

struct fixture {
	struct poller poller;
	struct opener opener;
	struct end ends[2];
	struct poller_source arrival; /* at the second end */
	struct poller_source alarm;
	struct packet packets[PACKETS_MAX]; /* that the second end wrote */
	size_t count;
	size_t wanted;
	unsigned ended;
};

/* What goes wrong. */
static struct {
	int fd;
	unsigned odd; /* so many packets cannot be read */
	int stays; /* the error of each read, which takes nothing; 0: none */
	unsigned reads;
	bool refuses_super; /* packets with an offload header */
	unsigned refused;
	int write_error; /* of every packet; 0: none */
} faults;

ssize_t readv(int fd, const struct iovec *parts, int count)
{
	bool odd = fd == faults.fd && faults.odd > 0;
	ssize_t size;

	faults.reads += fd == faults.fd;
	if (fd == faults.fd && faults.stays != 0) {
		errno = faults.stays;
		return -1;
	}
	size = syscall(SYS_readv, fd, parts, count);
	if (size < 0 || !odd)
		return size;
	faults.odd--;
	errno = EINVAL;
	return -1;
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
	const struct virtio_net_hdr *header = parts[0].iov_base;

	if (faults.write_error != 0) {
		errno = faults.write_error;
		return -1;
	}
	if (faults.refuses_super && header->gso_type != VIRTIO_NET_HDR_GSO_NONE) {
		faults.refused++;
		errno = EINVAL;
		return -1;
	}
	return syscall(SYS_writev, fd, parts, count);
}

/* The opener, without a process and its privilege. */
int opener_open(const struct opener *opener, uint16_t port, uint32_t mark, struct udp_pair *ret)
{
	(void)opener;
	return udp_open_pair(port, mark, 0, ret);
}

int opener_keep(const struct opener *opener)
{
	(void)opener;
	return 0;
}

int opener_drop(const struct opener *opener)
{
	(void)opener;
	return 0;
}

int opener_mark(const struct opener *opener, uint32_t mark)
{
	(void)opener;
	(void)mark;
	return 0;
}

static void on_ended(void *context)
{
	struct fixture *f = context;

	f->ended++;
	poller_stop(&f->poller);
}

static void on_renamed(void *context, const char *name)
{
	(void)context;
	(void)name;
}

static const struct dataplane_ops ops = { on_ended, on_renamed };

static void on_arrival(struct poller_source *source, uint32_t events)
{
	struct fixture *f = container_of(source, struct fixture, arrival);
	struct packet *packet = &f->packets[f->count];
	struct iovec parts[] = { { &packet->header, sizeof(packet->header) },
				 { packet->data, sizeof(packet->data) } };
	ssize_t size;

	(void)events;
	assert_true(f->count < PACKETS_MAX);
	size = syscall(SYS_readv, source->fd, parts, 2);
	assert_true(size >= (ssize_t)sizeof(packet->header));
	packet->size = (size_t)size - sizeof(packet->header);
	if (++f->count == f->wanted)
		poller_stop(&f->poller);
}

static void on_alarm(struct poller_source *source, uint32_t events)
{
	struct fixture *f = container_of(source, struct fixture, alarm);
	uint64_t count;

	(void)events;
	assert_int_equal(read(source->fd, &count, sizeof(count)), sizeof(count));
	poller_stop(&f->poller);
}

static void run(struct fixture *f)
{
	f->poller.stopped = false;
	assert_int_equal(poller_run(&f->poller), 0);
}

/* Runs until @count packets have come to the second end, since the last call. */
static void await_packets(struct fixture *f, size_t count)
{
	f->count = 0;
	f->wanted = count;
	run(f);
	f->wanted = 0;
	assert_int_equal(f->count, count);
}

static void run_for_ms(struct fixture *f, unsigned ms)
{
	const struct itimerspec when = { .it_value.tv_nsec = (long)(ms * NS_PER_MS) };

	assert_int_equal(timerfd_settime(f->alarm.fd, 0, &when, NULL), 0);
	run(f);
}

static void open_end(struct fixture *f, struct end *end)
{
	struct tun tun = { .name = "lo", .features = TUN_HAS_ALL, .ifindex = if_nametoindex("lo") };
	struct dh_key *key;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
			 0);
	tun.fd = end->tun = pair[0];
	end->cable = pair[1];
	random_bytes(end->private_key, sizeof(end->private_key));
	dh_clamp(end->private_key);
	assert_int_equal(dh_key_new(end->private_key, &key), 0);
	dh_key_public(key, end->public_key);
	dh_key_free(key);
	assert_int_equal(dataplane_new(&f->poller, &tun, &f->opener, 0, &ops, f, &end->dataplane),
			 0);
	assert_int_equal(dataplane_start_workers(end->dataplane), 0);
}

/* Its peer is the other one, with all of IPv4. */
static void configure_end(const struct end *end, const struct end *other)
{
	CLEANUP(wg_config_done) struct wg_config change = { .has = WG_HAS_PRIVATE_KEY };
	CLEANUP(wg_config_done) struct wg_config state = { 0 };
	struct wg_config_peer *peer;
	struct ip_prefix all;

	assert_int_equal(dataplane_read(other->dataplane, &state), 0);
	assert_int_equal(ip_prefix_parse("0.0.0.0/0", &all), 0);
	memcpy(change.private_key, end->private_key, WG_KEY_SIZE);
	assert_int_equal(wg_config_add_peer(&change, other->public_key, &peer), 0);
	peer->has = WG_PEER_HAS_ENDPOINT;
	peer->endpoint.address = ip_from_v4(INADDR_LOOPBACK);
	peer->endpoint.port = state.listen_port;
	assert_int_equal(wg_config_add_allowed_ip(&change, peer, &all, false), 0);
	assert_int_equal(dataplane_configure(end->dataplane, &change), 0);
}

/* Writes headers and pseudo header's sum of a packet of one flow, as a kernel does that leaves the rest to
 * the device. */
static void make_packet(struct packet *packet, uint8_t protocol, size_t payload, size_t payload_max)
{
	bool tcp = protocol == IPPROTO_TCP;
	uint8_t *ip = packet->data;
	uint8_t *transport = ip + IPV4_SIZE;
	size_t headers = IPV4_SIZE + (tcp ? TCP_SIZE : UDP_SIZE);
	size_t checksum = tcp ? TCP_CHECKSUM : UDP_CHECKSUM;

	*packet = (struct packet){ .size = headers + payload };
	random_bytes(packet->data + headers, payload);
	ip[0] = 0x45;
	ip[8] = 64;
	ip[IPV4_PROTOCOL] = protocol;
	memcpy(ip + IPV4_SOURCE, "\12\0\0\1\12\0\0\2", 8);
	set_ip_length(ip, packet->size);
	memcpy(transport, "\1\2\3\4", 4); /* ports */
	if (tcp) {
		transport[TCP_DATA_OFFSET] = TCP_SIZE / 4 << 4;
		transport[TCP_FLAGS] = TCP_ACK;
	} else {
		store_u16(transport + UDP_LENGTH, (uint16_t)(packet->size - IPV4_SIZE));
	}
	store_sum(transport + checksum, checksum_fold(pseudo_header_sum(ip, protocol) +
						      htons((uint16_t)(packet->size - IPV4_SIZE))));
	packet->header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	packet->header.csum_start = IPV4_SIZE;
	packet->header.csum_offset = (uint16_t)checksum;
	packet->header.hdr_len = (uint16_t)headers;
	if (payload > payload_max) {
		packet->header.gso_size = (uint16_t)payload_max;
		packet->header.gso_type = tcp ? VIRTIO_NET_HDR_GSO_TCPV4
					      : VIRTIO_NET_HDR_GSO_UDP_L4;
	}
}

/* The kernel of the first end has a packet for the tunnel. */
static void give(const struct fixture *f, const struct packet *packet)
{
	const struct iovec parts[] = { { (void *)&packet->header, sizeof(packet->header) },
				       { (void *)packet->data, packet->size } };

	assert_int_equal(syscall(SYS_writev, f->ends[0].cable, parts, 2),
			 sizeof(packet->header) + packet->size);
}

/* A packet that is whole, and told from others by its size. */
static void give_plain(const struct fixture *f, size_t payload)
{
	static struct packet packet;

	make_packet(&packet, IPPROTO_UDP, payload, payload);
	give(f, &packet);
}

/* The value of a row of the status. */
static uint64_t status_of(const struct end *end, const char *name)
{
	CLEANUP(text_done) struct text status = { .max = 65536 };
	char row[64];
	const char *at;

	dataplane_write_status(end->dataplane, &status);
	text_append_char(&status, '\0');
	assert_int_equal(text_error(&status), 0);
	(void)snprintf(row, sizeof(row), "%s=", name);
	at = strstr(status.data, row);
	assert_non_null(at);
	return strtoull(at + strlen(row), NULL, 10);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	memset(&faults, 0, sizeof(faults));
	assert_int_equal(poller_init(&f->poller), 0);
	for (int i = 0; i < 2; i++)
		open_end(f, &f->ends[i]);
	for (int i = 0; i < 2; i++)
		configure_end(&f->ends[i], &f->ends[!i]);
	f->arrival = (struct poller_source){ f->ends[1].cable, EPOLLIN, on_arrival };
	assert_int_equal(poller_add(&f->poller, &f->arrival), 0);
	f->alarm = (struct poller_source){ timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), EPOLLIN,
					   on_alarm };
	assert_int_equal(poller_add(&f->poller, &f->alarm), 0);
	faults.fd = f->ends[0].tun;
	for (int i = 0; i < 2; i++)
		assert_int_equal(status_of(&f->ends[i], "up"), 1); /* has it looked at */
	/* A session. */
	give_plain(f, 1);
	await_packets(f, 1);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	memset(&faults, 0, sizeof(faults));
	faults.fd = -EBADF;
	for (int i = 0; i < 2; i++) {
		dataplane_free(f->ends[i].dataplane);
		(void)close(f->ends[i].cable);
	}
	(void)close(f->alarm.fd);
	poller_done(&f->poller);
	free(f);
	return 0;
}

static void test_others_follow_a_packet_that_cannot_be_read(void **state)
{
	struct fixture *f = *state;

	faults.odd = 3;
	for (size_t size = 100; size < 105; size++)
		give_plain(f, size);
	await_packets(f, 2);
	assert_int_equal(f->packets[0].size, 103 + IPV4_SIZE + UDP_SIZE);
	assert_int_equal(f->packets[1].size, 104 + IPV4_SIZE + UDP_SIZE);
	assert_int_equal(f->ended, 0);
	assert_int_equal(status_of(&f->ends[0], "drop_out_not_read"), 3);
}

/* An error that stays ends nothing, and is not tried as fast as can be; what it kept back comes after it. */
static void test_reading_goes_on_after_an_error_that_stayed(void **state)
{
	struct fixture *f = *state;
	uint64_t begin = clock_monotonic_ns(), rounds;

	faults.reads = 0;
	faults.stays = EIO;
	give_plain(f, 100);
	run_for_ms(f, 100);
	rounds = (clock_monotonic_ns() - begin) / (REST_MS * NS_PER_MS) + 1;
	assert_in_range(faults.reads, 1, rounds * READS_OF_A_ROUND);
	faults.stays = 0;
	await_packets(f, 1);
	assert_int_equal(f->packets[0].size, 100 + IPV4_SIZE + UDP_SIZE);
	assert_int_equal(f->ended, 0);
}

static void test_it_ends_with_its_interface(void **state)
{
	struct fixture *f = *state;

	faults.stays = EBADFD;
	give_plain(f, 100);
	run(f);
	assert_int_equal(f->ended, 1);
}

#define SEGMENTS 10
#define SEGMENT 1000

/* What the second end writes are the segments of @whole, one by one. */
static void check_segments(const struct fixture *f, const struct packet *whole)
{
	static uint8_t expected[65535];
	struct segmenter segmenter;
	size_t i = 0, size;

	assert_int_equal(segmenter_init(&segmenter, &whole->header, whole->data, whole->size), 0);
	while ((size = segmenter_size(&segmenter)) > 0) {
		segmenter_next(&segmenter, expected);
		assert_true(i < f->count);
		assert_int_equal(f->packets[i].header.gso_type, VIRTIO_NET_HDR_GSO_NONE);
		assert_int_equal(f->packets[i].size, size);
		assert_memory_equal(f->packets[i].data, expected, size);
		i++;
	}
	assert_int_equal(i, f->count);
}

/* A kind of super-packet that the kernel refuses is not made any more, and what was in one arrives. */
static void test_a_refused_super_packet_is_written_apart(void **state)
{
	static const struct {
		uint8_t protocol;
		const char *row, *other;
	} kinds[] = { { IPPROTO_UDP, "coalesce_udp", "coalesce_tcp" },
		      { IPPROTO_TCP, "coalesce_tcp", NULL } };
	static struct packet whole;
	struct fixture *f = *state;

	faults.refuses_super = true;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		make_packet(&whole, kinds[i].protocol, SEGMENTS * SEGMENT, SEGMENT);
		assert_int_equal(status_of(&f->ends[1], kinds[i].row), 1);
		faults.refused = 0;
		/* How many of them come together, and so become one, is up to the kernel. */
		while (faults.refused == 0) {
			give(f, &whole);
			await_packets(f, SEGMENTS);
			check_segments(f, &whole);
		}
		assert_int_equal(status_of(&f->ends[1], kinds[i].row), 0);
		if (kinds[i].other)
			assert_int_equal(status_of(&f->ends[1], kinds[i].other), 1);
		faults.refused = 0;
		give(f, &whole);
		await_packets(f, SEGMENTS);
		check_segments(f, &whole);
		assert_int_equal(faults.refused, 0);
	}
	assert_int_equal(status_of(&f->ends[1], "drop_in_tun_refused"), 0);
}

static void test_a_lost_super_packet_counts_as_many(void **state)
{
	static struct packet whole;
	struct fixture *f = *state;
	struct wg_config change = { .has = WG_REPLACE_PEERS };

	faults.write_error = EIO;
	make_packet(&whole, IPPROTO_TCP, SEGMENTS * SEGMENT, SEGMENT);
	give(f, &whole);
	while (status_of(&f->ends[1], "drop_in_tun_refused") < SEGMENTS)
		run_for_ms(f, 1);
	assert_int_equal(status_of(&f->ends[1], "drop_in_tun_refused"), SEGMENTS);

	assert_int_equal(dataplane_configure(f->ends[0].dataplane, &change), 0);
	give(f, &whole);
	while (status_of(&f->ends[0], "drop_out_no_peer") < SEGMENTS)
		run_for_ms(f, 1);
	assert_int_equal(status_of(&f->ends[0], "drop_out_no_peer"), SEGMENTS);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(test_others_follow_a_packet_that_cannot_be_read),
		CASE(test_reading_goes_on_after_an_error_that_stayed),
		CASE(test_it_ends_with_its_interface),
		CASE(test_a_refused_super_packet_is_written_apart),
		CASE(test_a_lost_super_packet_counts_as_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
