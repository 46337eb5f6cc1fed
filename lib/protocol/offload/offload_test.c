/* Segmenter, coalescer and checksum, against slow and obvious ones and against each other. */
#include "offload/offload_check.h"
#include "offload/virtio.h"

#include "base/test.h"

struct flow {
	bool v6;
	bool udp;
	uint8_t number;
	uint16_t id;
	uint32_t sequence;
};

/* Finishes checksums the slow way, as a sender would. */
static void finish_packet(uint8_t *p, size_t size, size_t transport, bool udp)
{
	uint8_t *checksum = p + transport + (udp ? UDP_CHECKSUM : TCP_CHECKSUM);
	bool v6 = packet_is_v6(p);
	uint32_t pseudo = (uint32_t)(size - transport) + (udp ? IPPROTO_UDP : IPPROTO_TCP);
	uint16_t sum;

	if (!v6) {
		store_u16(p + IPV4_CHECKSUM, 0);
		store_u16(p + IPV4_CHECKSUM, (uint16_t)~slow_checksum(p, IPV4_SIZE, 0));
	}
	pseudo = slow_checksum(p + (v6 ? IPV6_SOURCE : IPV4_SOURCE), v6 ? 32 : 8, pseudo);
	store_u16(checksum, 0);
	sum = (uint16_t)~slow_checksum(p + transport, size - transport, pseudo);
	store_u16(checksum, sum == 0 && udp ? UINT16_MAX : sum);
}

static void write_ip(uint8_t *p, size_t size, struct flow *f)
{
	if (f->v6) {
		p[0] = 0x60;
		store_u16(p + IPV6_PAYLOAD_LENGTH, (uint16_t)(size - IPV6_SIZE));
		p[IPV6_NEXT_HEADER] = f->udp ? IPPROTO_UDP : IPPROTO_TCP;
		p[7] = 64;
		p[IPV6_SOURCE] = 0xfd;
		p[IPV6_SOURCE + 31] = f->number;
		return;
	}
	p[0] = 0x45;
	store_u16(p + IPV4_TOTAL_LENGTH, (uint16_t)size);
	store_u16(p + IPV4_ID, f->id++);
	store_u16(p + IPV4_FRAGMENT, f->number % 2 ? IPV4_DONT_FRAGMENT : 0);
	p[8] = 64;
	p[IPV4_PROTOCOL] = f->udp ? IPPROTO_UDP : IPPROTO_TCP;
	p[IPV4_SOURCE] = 10;
	p[IPV4_SOURCE + 7] = f->number;
}

/* The next packet of a flow, with random payload. */
static struct check_packet make_packet(struct flow *f, size_t payload, uint8_t flags,
				       unsigned *seed)
{
	size_t transport = f->v6 ? IPV6_SIZE : IPV4_SIZE;
	size_t options = f->number % 3 ? 12 : 0;
	size_t headers = transport + (f->udp ? UDP_SIZE : TCP_SIZE + options);
	size_t size = headers + payload;
	uint8_t *p = calloc(1, size);

	assert_non_null(p);
	write_ip(p, size, f);
	store_u16(p + transport, (uint16_t)(1000 + f->number));
	store_u16(p + transport + 2, 80);
	if (f->udp) {
		store_u16(p + transport + UDP_LENGTH, (uint16_t)(size - transport));
	} else {
		store_u32(p + transport + TCP_SEQUENCE, f->sequence);
		p[transport + TCP_DATA_OFFSET] = (uint8_t)((TCP_SIZE + options) / 4 << 4);
		p[transport + TCP_FLAGS] = flags;
		store_u16(p + transport + TCP_WINDOW, 512);
		f->sequence += (uint32_t)payload;
	}
	for (size_t i = headers; i < size; i++)
		p[i] = (uint8_t)rand_r(seed);
	finish_packet(p, size, transport, f->udp);
	return (struct check_packet){ p, size, false };
}

static size_t round_trip(struct check_packet *packets, size_t count)
{
	size_t writes = check_round_trip(packets, count);

	for (size_t i = 0; i < count; i++)
		free(packets[i].data);
	return writes;
}

static void checksums_agree_with_the_slow_one(void **state)
{
	uint8_t data[3000], copy[3000];
	unsigned seed = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)rand_r(&seed);
	for (int i = 0; i < 20000; i++) {
		size_t size = (size_t)rand_r(&seed) % (i % 2 ? 80 : 2900);
		const uint8_t *at = data + (size_t)rand_r(&seed) % 64;
		uint16_t expected = htons(slow_checksum(at, size, 0));

		assert_int_equal(checksum_fold(checksum_add(0, at, size)), expected);
		memset(copy, 0, sizeof(copy));
		assert_int_equal(checksum_fold(checksum_copy(0, copy, at, size)), expected);
		assert_memory_equal(copy, at, size);
		assert_int_equal(copy[size], 0);
	}
	memset(data, 0xff, sizeof(data));
	assert_int_equal(checksum_fold(checksum_add(UINT32_MAX, data, sizeof(data))), UINT16_MAX);
}

/* Every kind of flow: a full run with a short end is one write. */
static void a_run_becomes_one_write(void **state)
{
	unsigned seed = 1;

	(void)state;
	for (uint8_t kind = 0; kind < 16; kind++) {
		struct flow f = { kind & 1, kind & 2, kind, .id = 65530, .sequence = 0xfffff000 };
		struct check_packet packets[40];

		for (int i = 0; i < 40; i++)
			packets[i] =
				make_packet(&f, i == 39 ? 77 : 1200, i == 39 ? 0x18 : 0x10, &seed);
		assert_int_equal(round_trip(packets, 40), 1);
	}
}

struct breaking_case {
	const char *name;
	size_t offset; /* in an IPv4 TCP packet */
	uint8_t change;
	bool finish; /* checksums right after the change */
};

/* A change of one header byte of the second of three packets keeps it apart. */
static void what_differs_is_not_joined(void **state)
{
	static const struct breaking_case cases[] = {
		{ "traffic class", 1, 0x04, true },
		{ "ECN mark", 1, 0x03, true },
		{ "identification", 5, 0x40, true },
		{ "don't fragment", 6, 0x40, true },
		{ "time to live", 8, 1, true },
		{ "source address", 13, 1, true },
		{ "port", 21, 1, true },
		{ "sequence number", 27, 1, true },
		{ "acknowledgment", 31, 1, true },
		{ "FIN", 33, 1, true },
		{ "SYN", 33, 2, true },
		{ "URG", 33, 0x20, true },
		{ "CWR", 33, 0x80, true },
		{ "ECE", 33, 0x40, true },
		{ "window", 35, 1, true },
		{ "urgent pointer", 39, 1, true },
		{ "option", 41, 1, true },
		{ "IP checksum", 10, 1, false },
		{ "TCP checksum", 36, 1, false },
		{ "payload", 60, 1, false },
	};
	unsigned seed = 3;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct flow f = { .number = 2 };
		struct check_packet packets[3];

		for (int n = 0; n < 3; n++)
			packets[n] = make_packet(&f, 100, TCP_ACK, &seed);
		packets[1].data[cases[i].offset] ^= cases[i].change;
		if (cases[i].finish)
			finish_packet(packets[1].data, packets[1].size, IPV4_SIZE, false);
		if (round_trip(packets, 3) < 2)
			fail_msg("%s: joined", cases[i].name);
	}
}

static void a_bad_checksum_passes_unchanged(void **state)
{
	struct flow f = { .number = 2 };
	struct check_packet packets[8];
	unsigned seed = 5;

	(void)state;
	for (int i = 0; i < 8; i++)
		packets[i] = make_packet(&f, 500, TCP_ACK, &seed);
	packets[4].data[100] ^= 1;
	/* 0 to 3 in one, 4 alone, 5 to 7 in one. */
	assert_int_equal(round_trip(packets, 8), 3);
}

/* One's complement has two zeros, and a checksum may be the one that senders never write. */
static void the_other_zero_passes_unchanged(void **state)
{
	struct check_packet packets[3];
	unsigned seed = 6;
	uint8_t *word;

	(void)state;
	for (int other = 0; other < 2; other++) { /* in the TCP header */
		struct flow f = { .number = 2 };

		for (int i = 0; i < 3; i++)
			packets[i] = make_packet(&f, 100, TCP_ACK, &seed);
		word = packets[1].data + packets[1].size - 2;
		store_u16(word, 0);
		finish_packet(packets[1].data, packets[1].size, IPV4_SIZE, false);
		store_u16(word, load_u16(packets[1].data + IPV4_SIZE + TCP_CHECKSUM));
		store_u16(packets[1].data + IPV4_SIZE + TCP_CHECKSUM, other ? UINT16_MAX : 0);
		assert_int_equal(round_trip(packets, 3), other ? 3 : 1);
	}
	for (int other = 0; other < 2; other++) { /* in the IP header */
		struct flow f = { .number = 2 };

		packets[1] = make_packet(&f, 100, TCP_ACK, &seed); /* its identification is 0 */
		f = (struct flow){
			.number = 2, .id = (uint16_t)(load_u16(packets[1].data + IPV4_CHECKSUM) - 1)
		};
		free(packets[1].data);
		for (int i = 0; i < 3; i++)
			packets[i] = make_packet(&f, 100, TCP_ACK, &seed);
		assert_int_equal(load_u16(packets[1].data + IPV4_CHECKSUM), 0);
		store_u16(packets[1].data + IPV4_CHECKSUM, other ? UINT16_MAX : 0);
		assert_int_equal(round_trip(packets, 3), other ? 3 : 1);
	}
}

static void a_fragment_keeps_its_place(void **state)
{
	struct flow f = { .udp = true, .number = 2 };
	struct check_packet packets[4];
	unsigned seed = 9;

	(void)state;
	for (int i = 0; i < 4; i++)
		packets[i] = make_packet(&f, 500, 0, &seed);
	store_u16(packets[1].data + IPV4_FRAGMENT, 0x2000);
	store_u16(packets[2].data + IPV4_FRAGMENT, 64);
	finish_packet(packets[1].data, packets[1].size, IPV4_SIZE, true);
	finish_packet(packets[2].data, packets[2].size, IPV4_SIZE, true);
	assert_int_equal(round_trip(packets, 4), 4);
}

/* Many flows at once, runs broken at random, sizes at random: nothing is lost, changed or late. */
static void random_mixtures_survive(void **state)
{
	unsigned seed = (unsigned)(getenv("SEED") ? strtoul(getenv("SEED"), NULL, 10) : 42);

	(void)state;
	print_message("seed %u\n", seed);
	for (int round = 0; round < 400; round++) {
		struct check_packet packets[CHECK_PACKETS_MAX];
		struct flow flows[12];
		size_t count = 1 + (size_t)rand_r(&seed) % CHECK_PACKETS_MAX;

		for (uint8_t i = 0; i < ARRAY_SIZE(flows); i++)
			flows[i] = (struct flow){ i & 1, i & 2, i, (uint16_t)rand_r(&seed),
						  (uint32_t)rand_r(&seed) };
		for (size_t i = 0; i < count; i++) {
			struct flow *f = &flows[(size_t)rand_r(&seed) % ARRAY_SIZE(flows)];
			size_t payload = rand_r(&seed) % 4 ? 300 : (size_t)rand_r(&seed) % 1400;
			uint8_t flags = rand_r(&seed) % 8 ? TCP_ACK : (uint8_t)rand_r(&seed);

			packets[i] = make_packet(f, payload, flags, &seed);
			if (rand_r(&seed) % 32 == 0)
				packets[i].data[rand_r(&seed) % (int)packets[i].size] ^= 1;
		}
		(void)round_trip(packets, count);
	}
}

/* The slow way to segment: make each packet from nothing. */
static void super_packets_become_what_a_sender_would_send(void **state)
{
	static uint8_t super[65535], segment[65535];
	unsigned seed = 11;

	(void)state;
	for (int round = 0; round < 600; round++) {
		struct flow f = { round & 1, round & 2, (uint8_t)(round % 16), 65000, 0xffffff00 };
		struct flow f_again = f;
		size_t mss = 1 + (size_t)rand_r(&seed) % 1500;
		size_t payload = 1 + (size_t)rand_r(&seed) % (mss * 20);
		struct check_packet whole;
		struct virtio_net_hdr header = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM };
		struct segmenter s;

		whole = make_packet(&f, payload, 0x99 & (round % 5 ? 0xff : 0x7f), &seed);
		memcpy(super, whole.data, whole.size);
		header.gso_size = (uint16_t)mss;
		header.csum_start = f.v6 ? IPV6_SIZE : IPV4_SIZE;
		header.csum_offset = f.udp ? UDP_CHECKSUM : TCP_CHECKSUM;
		header.gso_type = f.udp	 ? VIRTIO_NET_HDR_GSO_UDP_L4
				  : f.v6 ? VIRTIO_NET_HDR_GSO_TCPV6
					 : VIRTIO_NET_HDR_GSO_TCPV4;
		assert_int_equal(segmenter_init(&s, &header, super, whole.size), 0);
		for (size_t at = 0; at < payload; at += mss) {
			size_t one = payload - at < mss ? payload - at : mss;
			struct check_packet expected = make_packet(&f_again, one, 0, &seed);
			uint8_t *flags = expected.data + header.csum_start + TCP_FLAGS;

			if (!f.udp) {
				*flags = whole.data[header.csum_start + TCP_FLAGS];
				*flags &=
					(uint8_t)(at + one < payload ? ~(TCP_FIN | TCP_PSH) : 0xff);
				*flags &= (uint8_t)(at > 0 ? ~TCP_CWR : 0xff);
			}
			memcpy(expected.data + expected.size - one,
			       whole.data + whole.size - payload + at, one);
			finish_packet(expected.data, expected.size, header.csum_start, f.udp);
			assert_int_equal(segmenter_size(&s), expected.size);
			segmenter_next(&s, segment);
			assert_memory_equal(segment, expected.data, expected.size);
			free(expected.data);
		}
		assert_int_equal(segmenter_size(&s), 0);
		free(whole.data);
	}
}

static void a_checksum_left_over_is_made(void **state)
{
	unsigned seed = 13;

	(void)state;
	for (int round = 0; round < 200; round++) {
		struct flow f = { round & 1, round & 2, (uint8_t)(round % 16), 1, 1 };
		struct check_packet p = make_packet(&f, (size_t)rand_r(&seed) % 1400, 0x12, &seed);
		size_t transport = f.v6 ? IPV6_SIZE : IPV4_SIZE;
		struct virtio_net_hdr header = {
			.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			.csum_start = (uint16_t)transport,
			.csum_offset = f.udp ? UDP_CHECKSUM : TCP_CHECKSUM,
		};
		uint8_t unfinished[1500], out[1500];
		struct segmenter s;
		uint16_t protocol = f.udp ? IPPROTO_UDP : IPPROTO_TCP;

		memcpy(unfinished, p.data, p.size);
		store_u16(unfinished + transport + header.csum_offset,
			  slow_checksum(p.data + (f.v6 ? IPV6_SOURCE : IPV4_SOURCE), f.v6 ? 32 : 8,
					(uint32_t)(p.size - transport) + protocol));
		assert_int_equal(segmenter_init(&s, &header, unfinished, p.size), 0);
		assert_int_equal(segmenter_size(&s), p.size);
		segmenter_next(&s, out);
		assert_memory_equal(out, p.data, p.size);
		assert_int_equal(segmenter_size(&s), 0);
		free(p.data);
	}
}

static void headers_that_lie_are_refused(void **state)
{
	static const struct virtio_net_hdr cases[] = {
		{ .flags = 1, .csum_start = 100, .csum_offset = 16 },
		{ .flags = 1, .csum_start = 65535, .csum_offset = 65535 },
		{ .flags = 1, .gso_type = 1, .gso_size = 100, .csum_start = 24 },
		{ .flags = 1, .gso_type = 1, .gso_size = 0, .csum_start = 20 },
		{ .flags = 1, .gso_type = 4, .gso_size = 100, .csum_start = 20 },
		{ .flags = 1, .gso_type = 3, .gso_size = 100, .csum_start = 20 },
		{ .flags = 0, .gso_type = 1, .gso_size = 100, .csum_start = 20 },
		{ .flags = 1, .gso_type = 1, .gso_size = 100, .csum_start = 65535 },
	};
	struct flow f = { .number = 3 };
	unsigned seed = 1;
	struct check_packet p = make_packet(&f, 60, TCP_ACK, &seed);
	struct segmenter s;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(segmenter_init(&s, &cases[i], p.data, p.size), -EINVAL);
	assert_int_equal(segmenter_init(&s, &(struct virtio_net_hdr){ 0 }, p.data, 0), -EINVAL);
	free(p.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checksums_agree_with_the_slow_one),
		cmocka_unit_test(a_run_becomes_one_write),
		cmocka_unit_test(what_differs_is_not_joined),
		cmocka_unit_test(a_bad_checksum_passes_unchanged),
		cmocka_unit_test(the_other_zero_passes_unchanged),
		cmocka_unit_test(a_fragment_keeps_its_place),
		cmocka_unit_test(random_mixtures_survive),
		cmocka_unit_test(super_packets_become_what_a_sender_would_send),
		cmocka_unit_test(a_checksum_left_over_is_made),
		cmocka_unit_test(headers_that_lie_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
