/* Packets through a tunnel: what passes, how it looks on the wire, and what is refused. */
#include "wireguard/device_test.h"

#include "base/test.h"

static struct wg_device_drops drops_of(const struct side *side)
{
	struct wg_device_drops drops;

	wg_device_drops(side->device, &drops);
	return drops;
}

static void connect_sides(struct world *w, uint64_t seed)
{
	world_init(w, seed);
	assert_true(packet_passes(w, 0, 100));
}

/* Seals a packet of side 0's and keeps it off the wire. */
static struct wire_message sealed_packet(struct world *w, size_t size)
{
	assert_int_equal(side_send_packet(&w->sides[0], size), WG_SEALED);
	w->wire_count = 0;
	return w->wire[0];
}

static struct wg_peer *give(struct world *w, const struct wire_message *m)
{
	return side_receive(&w->sides[1], &w->sides[0].address, m->ds, m->bytes, m->size);
}

static void packets_of_every_size_pass(void **state)
{
	CLEANUP(world_done) struct world w;

	(void)state;
	connect_sides(&w, 1);
	for (size_t size = 20; size <= TEST_MTU + 40; size++) {
		size_t padded = (size + 15) / 16 * 16;
		struct wire_message m = sealed_packet(&w, size);

		if (padded > TEST_MTU)
			padded = size > TEST_MTU ? size : TEST_MTU;
		assert_int_equal(m.size, MESSAGE_DATA_MIN + padded);
		assert_ptr_equal(give(&w, &m), side_peer(&w.sides[1]));
		assert_int_equal(w.sides[1].packet_size, size);
	}
}

static void make_v6(int from, size_t size, uint8_t *to)
{
	memset(to, 0, size);
	to[0] = 0x60;
	to[4] = (uint8_t)((size - 40) >> 8);
	to[5] = (uint8_t)(size - 40);
	to[8] = to[24] = 0xfd;
	to[15] = (uint8_t)from;
	to[31] = (uint8_t)!from;
	to[39] = 5;
}

/* Sends an inner packet as it is from side 0; what arrives is in side 1. */
static struct wg_peer *pass(struct world *w, const uint8_t *packet, size_t size, uint8_t outer_ds)
{
	uint8_t bytes[WG_HEADROOM + WIRE_MESSAGE_MAX + WG_TAILROOM];
	struct wg_buffer buffer = { .data = bytes + WG_HEADROOM, .size = size };

	memcpy(buffer.data, packet, size);
	assert_int_equal(wg_peer_seal(side_peer(&w->sides[0]), &buffer, 1, TEST_MTU, w->now),
			 WG_SEALED);
	return side_receive(&w->sides[1], &w->sides[0].address, outer_ds, buffer.data, buffer.size);
}

static void ipv6_packets_pass(void **state)
{
	CLEANUP(world_done) struct world w;
	uint8_t packet[200];

	(void)state;
	connect_sides(&w, 2);
	make_v6(0, 111, packet);
	assert_ptr_equal(wg_device_route(w.sides[0].device, packet, 111, 1),
			 side_peer(&w.sides[0]));
	assert_non_null(pass(&w, packet, 111, 0));
	assert_int_equal(w.sides[1].packet_size, 111);
	assert_memory_equal(w.sides[1].packet, packet, 111);
}

static void congestion_is_told(void **state)
{
	CLEANUP(world_done) struct world w;
	uint8_t packet[WG_HEADROOM + 200];
	struct wg_buffer buffer = { .data = packet + WG_HEADROOM, .size = 100 };

	(void)state;
	connect_sides(&w, 3);
	make_packet(0, 1, 100, 0xba, buffer.data);
	assert_int_equal(wg_peer_seal(side_peer(&w.sides[0]), &buffer, 1, TEST_MTU, w.now),
			 WG_SEALED);
	assert_int_equal(buffer.ds, 2); /* ECT(0), and nothing else of the inner DS field */

	make_packet(0, 1, 100, 2, packet);
	assert_non_null(pass(&w, packet, 100, 3));
	assert_int_equal(w.sides[1].packet[1], 3);
	make_packet(0, 1, 100, 0, packet);
	assert_non_null(pass(&w, packet, 100, 3)); /* somebody spoiled the outer field */
	assert_int_equal(w.sides[1].packet[1], 0);
}

static void only_the_peers_own_sources_pass(void **state)
{
	CLEANUP(world_done) struct world w;
	uint8_t packet[100];

	(void)state;
	connect_sides(&w, 4);
	make_packet(1, 1, sizeof(packet), 0, packet); /* the receiver's own network */
	assert_null(pass(&w, packet, sizeof(packet), 0));
	make_packet(7, 1, sizeof(packet), 0, packet); /* nobody's */
	assert_null(pass(&w, packet, sizeof(packet), 0));
	assert_int_equal(drops_of(&w.sides[1]).wrong_source, 2);
	memset(packet, 0, sizeof(packet)); /* no IP at all */
	assert_null(pass(&w, packet, sizeof(packet), 0));
	make_packet(0, 1, sizeof(packet), 0, packet);
	packet[2] = 1; /* longer than it is */
	assert_null(pass(&w, packet, sizeof(packet), 0));
	assert_int_equal(drops_of(&w.sides[1]).malformed, 2);
	assert_true(packet_passes(&w, 0, 100));
}

static void a_packet_comes_once(void **state)
{
	CLEANUP(world_done) struct world w;
	struct wire_message m[3];

	(void)state;
	connect_sides(&w, 5);
	for (size_t i = 0; i < 3; i++)
		m[i] = sealed_packet(&w, 100);
	assert_non_null(give(&w, &m[2]));
	assert_non_null(give(&w, &m[0]));
	assert_null(give(&w, &m[2]));
	assert_non_null(give(&w, &m[1]));
	assert_null(give(&w, &m[0]));
	assert_int_equal(drops_of(&w.sides[1]).replayed, 2);
}

/* No side of ours sends such counters, but the receiver must not trust the other's. */
static void a_counter_past_the_last_is_refused(void **state)
{
	static const struct {
		uint64_t counter;
		bool passes;
	} cases[] = {
		{ REJECT_AFTER_MESSAGES - 1, true },
		{ REJECT_AFTER_MESSAGES, false },
		{ UINT64_MAX, false },
		{ REJECT_AFTER_MESSAGES - 2, true },
	};
	CLEANUP(world_done) struct world w;
	struct session *session;

	(void)state;
	connect_sides(&w, 12);
	session = side_peer(&w.sides[0])->current;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t bytes[WG_HEADROOM + 100 + WG_TAILROOM];
		struct wg_buffer buffer = { .data = bytes + WG_HEADROOM, .size = 100 };
		struct wg_peer *from;

		make_packet(0, 1, 100, 0, buffer.data);
		session->send_counter = cases[i].counter;
		(void)session_seal(session, &buffer, 1, TEST_MTU);
		from = side_receive(&w.sides[1], &w.sides[0].address, 0, buffer.data, buffer.size);
		assert_int_equal(from != NULL, cases[i].passes);
	}
	assert_int_equal(drops_of(&w.sides[1]).expired, 2);
}

static void a_changed_message_is_refused(void **state)
{
	CLEANUP(world_done) struct world w;
	struct wire_message m;
	struct wire_message changed;

	(void)state;
	connect_sides(&w, 6);
	m = sealed_packet(&w, 100);
	for (size_t i = 0; i < m.size; i++) {
		changed = m;
		changed.bytes[i] ^= 0x10;
		assert_null(give(&w, &changed));
	}
	for (size_t size = 0; size < m.size; size++) {
		changed = m;
		changed.size = size;
		assert_null(give(&w, &changed));
	}
	assert_int_equal(drops_of(&w.sides[1]).unknown_index, 4);
	/* Type, sizes without room for header and tag, everything else. */
	assert_int_equal(drops_of(&w.sides[1]).malformed, 4 + MESSAGE_DATA_MIN);
	assert_int_equal(drops_of(&w.sides[1]).bad_tag, m.size - 8 + m.size - MESSAGE_DATA_MIN);
	assert_non_null(give(&w, &m));
}

static void a_peer_is_followed_where_it_goes(void **state)
{
	CLEANUP(world_done) struct world w;
	struct endpoint other = { ip_from_v4(0xcb007105), 4242, 0 };
	const struct wg_route *route;
	struct wire_message m;

	(void)state;
	connect_sides(&w, 7);
	route = wg_peer_route(side_peer(&w.sides[1]));
	assert_true(ip_equal(&route->remote.address, &w.sides[0].address.address));
	m = sealed_packet(&w, 100);
	m.bytes[20] ^= 1;
	side_receive(&w.sides[1], &other, 0, m.bytes, m.size);
	assert_int_equal(route->remote.port, 1000); /* a forged message moves nobody */
	m.bytes[20] ^= 1;
	assert_non_null(side_receive(&w.sides[1], &other, 0, m.bytes, m.size));
	assert_int_equal(route->remote.port, 4242);
	assert_true(ip_equal(&route->local, &w.sides[1].address.address));
	wg_peer_forget_source(side_peer(&w.sides[1]));
	assert_int_equal(route->local.family, 0);
	assert_int_equal(route->remote.port, 4242);
	m = sealed_packet(&w, 100);
	assert_non_null(give(&w, &m));
	side_add_other(&w, 1, NULL, true); /* settles where it is, and forgets the source */
	assert_int_equal(route->remote.port, 1000);
	assert_int_equal(route->local.family, 0);
}

static void staged_packets_leave_in_order(void **state)
{
	CLEANUP(world_done) struct world w;
	uint8_t bytes[WG_HEADROOM + 256 + WG_TAILROOM];

	(void)state;
	world_init(&w, 8);
	for (unsigned i = 0; i < 200; i++) {
		struct wg_buffer buffer = { .data = bytes + WG_HEADROOM, .size = 50 + i };

		make_packet(0, 1, 50 + i, 0, buffer.data);
		assert_int_equal(wg_peer_seal(side_peer(&w.sides[0]), &buffer, 1, TEST_MTU, w.now),
				 WG_STAGED);
		assert_int_equal(buffer.size, 50 + i); /* unchanged */
	}
	assert_int_equal(drops_of(&w.sides[0]).staged_overflow, 200 - WG_STAGED_MAX);
	world_run_timers(&w);
	assert_int_equal(w.sides[1].received, WG_STAGED_MAX);
	assert_int_equal(w.sides[1].packet_size, 249);
}

static void what_has_no_way_is_counted(void **state)
{
	CLEANUP(world_done) struct world w;
	uint8_t packet[100];

	(void)state;
	world_init(&w, 9);
	make_packet(0, 1, sizeof(packet), 0, packet);
	packet[16] = 11;
	assert_null(wg_device_route(w.sides[0].device, packet, sizeof(packet), 45));
	assert_int_equal(drops_of(&w.sides[0]).no_peer, 45);
	assert_null(wg_device_route(w.sides[0].device, packet, 0, 1));
	assert_int_equal(drops_of(&w.sides[0]).malformed, 1);
	assert_int_equal(side_send_packet(&w.sides[1], 100), WG_NO_ENDPOINT);
	assert_int_equal(drops_of(&w.sides[1]).no_endpoint, 1);
	assert_int_equal(wg_device_deadline(w.sides[1].device), TIMER_NEVER);
}

#define BATCH 150

/* One call with everything: runs of a session, strangers and rubbish among them. */
static void a_mixed_batch_is_taken_apart(void **state)
{
	static uint8_t bytes[BATCH][WIRE_MESSAGE_MAX];
	struct wg_buffer buffers[BATCH] = { 0 };
	CLEANUP(world_done) struct world w;
	struct wire_message m;
	size_t data = 0;

	(void)state;
	connect_sides(&w, 10);
	for (size_t i = 0; i < BATCH; i++) {
		m = sealed_packet(&w, 100 + i);
		if (i % 40 == 7)
			m.bytes[4] ^= 1; /* another session */
		else if (i % 40 == 8)
			m.bytes[0] = 1; /* not an initiation by its size */
		else if (i % 40 == 9)
			m.size = 10;
		else if (i % 40 == 10)
			m.bytes[m.size - 1] ^= 1;
		memcpy(bytes[i], m.bytes, m.size);
		buffers[i] = (struct wg_buffer){ .data = bytes[i], .size = m.size };
		buffers[i].from.remote = w.sides[0].address;
	}
	wg_device_open(w.sides[1].device, buffers, BATCH, w.now);
	for (size_t i = 0; i < BATCH; i++) {
		if (i % 40 >= 7 && i % 40 <= 10) {
			assert_null(buffers[i].peer);
			continue;
		}
		assert_ptr_equal(buffers[i].peer, side_peer(&w.sides[1]));
		assert_int_equal(buffers[i].size, 100 + i);
		data++;
	}
	assert_int_equal(data, BATCH - 16);
	assert_int_equal(drops_of(&w.sides[1]).unknown_index, 4);
	assert_int_equal(drops_of(&w.sides[1]).malformed, 8);
	assert_int_equal(drops_of(&w.sides[1]).bad_tag, 4);
}

static void a_batch_is_sealed_in_order(void **state)
{
	static uint8_t bytes[BATCH][WG_HEADROOM + 512 + WG_TAILROOM];
	struct wg_buffer buffers[BATCH] = { 0 };
	CLEANUP(world_done) struct world w;
	uint64_t rx;

	(void)state;
	connect_sides(&w, 11);
	rx = side_peer(&w.sides[1])->rx_bytes;
	for (size_t i = 0; i < BATCH; i++) {
		buffers[i] = (struct wg_buffer){ .data = bytes[i] + WG_HEADROOM, .size = 100 + i };
		make_packet(0, 1, 100 + i, 0, buffers[i].data);
	}
	buffers[3].size = 0; /* a keepalive */
	assert_int_equal(wg_peer_seal(side_peer(&w.sides[0]), buffers, BATCH, TEST_MTU, w.now),
			 WG_SEALED);
	assert_int_equal(buffers[3].size, MESSAGE_DATA_MIN);
	for (size_t i = 0; i < BATCH; i++)
		buffers[i].from.remote = w.sides[0].address;
	wg_device_open(w.sides[1].device, buffers, BATCH, w.now);
	for (size_t i = 0; i < BATCH; i++) {
		assert_int_equal(buffers[i].peer != NULL, i != 3);
		rx += MESSAGE_DATA_MIN + (i == 3 ? 0 : (100 + i + 15) / 16 * 16);
	}
	assert_int_equal(side_peer(&w.sides[1])->rx_bytes, rx);
	assert_int_equal(side_peer(&w.sides[0])->tx_bytes, rx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_of_every_size_pass),
		cmocka_unit_test(ipv6_packets_pass),
		cmocka_unit_test(congestion_is_told),
		cmocka_unit_test(only_the_peers_own_sources_pass),
		cmocka_unit_test(a_packet_comes_once),
		cmocka_unit_test(a_counter_past_the_last_is_refused),
		cmocka_unit_test(a_changed_message_is_refused),
		cmocka_unit_test(a_peer_is_followed_where_it_goes),
		cmocka_unit_test(staged_packets_leave_in_order),
		cmocka_unit_test(what_has_no_way_is_counted),
		cmocka_unit_test(a_mixed_batch_is_taken_apart),
		cmocka_unit_test(a_batch_is_sealed_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
