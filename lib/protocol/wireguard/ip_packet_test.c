/* Inner packets: what is whole, and how congestion marks are combined. */
#include "wireguard/ip_packet.h"

#include "base/cleanup.h"

#include "base/test.h"

enum { NOT = 0, ECT1 = 1, ECT0 = 2, CE = 3 };

static uint16_t checksum(const uint8_t *header)
{
	uint32_t sum = 0;

	for (int i = 0; i < 20; i += 2)
		sum += (uint32_t)header[i] << 8 | header[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void make_v4(uint8_t to[20], uint8_t ds, uint16_t id)
{
	uint16_t sum;

	memcpy(to, "\x45\0\0\x14\0\0\0\0\x40\x11\0\0\x0a\0\0\1\x0a\0\0\2", 20);
	to[1] = ds;
	to[4] = (uint8_t)(id >> 8);
	to[5] = (uint8_t)id;
	sum = checksum(to);
	to[10] = (uint8_t)(sum >> 8);
	to[11] = (uint8_t)sum;
}

static void make_v6(uint8_t to[40], uint8_t ds)
{
	memset(to, 0, 40);
	to[0] = (uint8_t)(0x60 | ds >> 4);
	to[1] = (uint8_t)(ds << 4 | 0x0a);
	to[8] = 0xfd;
	to[24] = 0xfe;
}

/* RFC 6040, figure 4, but that nothing is dropped. Rows: the inner field; columns: the outer one. */
static const int combined[4][4] = {
	[NOT] = { [NOT] = NOT, [ECT0] = NOT, [ECT1] = NOT, [CE] = NOT },
	[ECT0] = { [NOT] = ECT0, [ECT0] = ECT0, [ECT1] = ECT1, [CE] = CE },
	[ECT1] = { [NOT] = ECT1, [ECT0] = ECT1, [ECT1] = ECT1, [CE] = CE },
	[CE] = { [NOT] = CE, [ECT0] = CE, [ECT1] = CE, [CE] = CE },
};

static void congestion_marks_are_combined(void **state)
{
	uint8_t v4[20], v6[40];
	struct ip_packet packet;

	(void)state;
	for (int i = 0; i < 16; i++) {
		uint8_t inner = (uint8_t)(0xb8 | i / 4);
		uint8_t outer = (uint8_t)(0x20 | i % 4);
		int expected = combined[i / 4][i % 4];

		make_v4(v4, inner, 0);
		assert_int_equal(ip_packet_ecn(v4, sizeof(v4)), i / 4);
		assert_int_equal(ip_packet_parse(v4, sizeof(v4), &packet), 0);
		assert_int_equal(packet.ecn, inner & 3);
		ip_packet_take_ecn(v4, &packet, outer);
		assert_int_equal(v4[1], 0xb8 | expected);
		assert_int_equal(checksum(v4), 0);

		make_v6(v6, inner);
		assert_int_equal(ip_packet_ecn(v6, sizeof(v6)), i / 4);
		assert_int_equal(ip_packet_parse(v6, sizeof(v6), &packet), 0);
		assert_int_equal(packet.ecn, inner & 3);
		ip_packet_take_ecn(v6, &packet, outer);
		assert_int_equal(v6[1], (8 | expected) << 4 | 0x0a);
		assert_int_equal(v6[0], 0x6b);
	}
}

static void the_checksum_stays_right(void **state)
{
	struct ip_packet packet;
	uint8_t v4[20];

	(void)state;
	for (unsigned id = 0; id < 0x10000; id++) {
		make_v4(v4, id & 1 ? ECT0 : ECT1, (uint16_t)id);
		assert_int_equal(ip_packet_parse(v4, sizeof(v4), &packet), 0);
		ip_packet_take_ecn(v4, &packet, CE);
		assert_int_equal(checksum(v4), 0);
	}
}

static void only_whole_packets_are_accepted(void **state)
{
	static const struct {
		const char *name;
		size_t size;
		int at;
		uint8_t byte;
		int result;
	} cases[] = {
		{ "IPv4", 20, 0, 0x45, 0 },
		{ "empty", 0, 0, 0x45, -EBADMSG },
		{ "one byte", 1, 0, 0x45, -EBADMSG },
		{ "one byte short", 19, 0, 0x45, -EBADMSG },
		{ "header longer than the packet", 20, 0, 0x46, -EBADMSG },
		{ "header too short", 20, 0, 0x44, -EBADMSG },
		{ "version 5", 20, 0, 0x55, -EBADMSG },
		{ "total length beyond the end", 20, 3, 21, -EBADMSG },
		{ "total length within the header", 20, 3, 19, -EBADMSG },
		{ "IPv6 cut off", 20, 0, 0x65, -EBADMSG },
	};
	struct ip_packet packet;
	uint8_t v6[48];
	uint8_t v4[20];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		make_v4(v4, 0, 0);
		v4[cases[i].at] = cases[i].byte;
		if (ip_packet_parse(v4, cases[i].size, &packet) != cases[i].result)
			fail_msg("%s", cases[i].name);
	}
	make_v6(v6, 0);
	assert_int_equal(ip_packet_parse(v6, 48, &packet), 0);
	assert_int_equal(packet.size, 40);
	assert_int_equal(packet.source[0], 0xfd);
	assert_int_equal(packet.destination[0], 0xfe);
	v6[5] = 8;
	assert_int_equal(ip_packet_parse(v6, 48, &packet), 0);
	assert_int_equal(packet.size, 48);
	assert_int_equal(ip_packet_parse(v6, 47, &packet), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(congestion_marks_are_combined),
		cmocka_unit_test(the_checksum_stays_right),
		cmocka_unit_test(only_whole_packets_are_accepted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
