/* Handshakes between two devices: those that succeed, and everything that must not. */
#include "wireguard/device_test.h"

#include "base/test.h"

static struct wg_device_drops drops_of(const struct side *side)
{
	struct wg_device_drops drops;

	wg_device_drops(side->device, &drops);
	return drops;
}

/* Of all kinds together. */
static uint64_t drop_count(const struct side *side)
{
	struct wg_device_drops drops = drops_of(side);
	uint64_t counts[sizeof(drops) / sizeof(uint64_t)];
	uint64_t sum = 0;

	memcpy(counts, &drops, sizeof(drops));
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		sum += counts[i];
	return sum;
}

static void advance(struct world *w, uint64_t ns)
{
	w->now.monotonic_ns += ns;
	w->now.realtime_ns += ns;
}

/* Takes the only message off the wire. */
static struct wire_message take_message(struct world *w, uint8_t type)
{
	assert_int_equal(w->wire_count, 1);
	assert_int_equal(w->wire[0].bytes[0], type);
	w->wire_count = 0;
	return w->wire[0];
}

static void give_message(struct world *w, const struct wire_message *m)
{
	side_receive(&w->sides[!m->from], &w->sides[m->from].address, m->ds, m->bytes, m->size);
}

/* Side 0's first message. */
static struct wire_message take_initiation(struct world *w)
{
	assert_int_equal(side_send_packet(&w->sides[0], 100), WG_STAGED);
	return take_message(w, MESSAGE_INITIATION);
}

static void a_packet_makes_a_session(void **state)
{
	CLEANUP(world_done) struct world w;

	(void)state;
	world_init(&w, 1);
	assert_int_equal(side_send_packet(&w.sides[0], 100), WG_STAGED);
	assert_int_equal(w.wire[0].ds, DS_HANDSHAKE);
	world_deliver(&w);
	assert_int_equal(w.sides[1].received, 1);
	assert_int_equal(w.sides[1].packet_size, 100);
	assert_true(packet_passes(&w, 1, 1400));
	assert_true(packet_passes(&w, 0, 20));
	assert_int_equal(w.sides[0].sent[MESSAGE_INITIATION], 1);
	assert_int_equal(w.sides[1].sent[MESSAGE_RESPONSE], 1);
	assert_int_equal(drop_count(&w.sides[0]) + drop_count(&w.sides[1]), 0);
}

static void both_preshared_keys_must_be_the_same(void **state)
{
	const uint8_t a[WG_KEY_SIZE] = { 1, 2, 3 };
	const uint8_t b[WG_KEY_SIZE] = { 1, 2, 4 };

	(void)state;
	for (int same = 0; same < 2; same++) {
		CLEANUP(world_done) struct world w;

		world_init_empty(&w, 2);
		side_add_other(&w, 0, a, true);
		side_add_other(&w, 1, same ? a : b, false);
		assert_int_equal(packet_passes(&w, 0, 100), same);
		assert_int_equal(drops_of(&w.sides[0]).bad_tag, !same);
	}
}

static void a_stranger_is_not_answered(void **state)
{
	CLEANUP(world_done) struct world w;

	(void)state;
	world_init_empty(&w, 3);
	side_add_other(&w, 0, NULL, true);
	side_send_packet(&w.sides[0], 100);
	world_deliver(&w);
	assert_int_equal(drops_of(&w.sides[1]).bad_mac, 1); /* it has no key at all yet */
	w.sides[0].public_key[0] ^= 1; /* it has one, and knows somebody else */
	side_add_other(&w, 1, NULL, false);
	world_pass(&w, 6 * NS_PER_S);
	assert_int_equal(drops_of(&w.sides[1]).unknown_peer, 1);
	assert_int_equal(w.sides[1].sent[MESSAGE_RESPONSE], 0);
}

static void an_initiation_for_another_key_is_ignored(void **state)
{
	CLEANUP(world_done) struct world w;
	struct wire_message m;

	(void)state;
	world_init(&w, 4);
	m = take_initiation(&w);
	m.from = 1; /* comes back to its sender */
	give_message(&w, &m);
	assert_int_equal(drops_of(&w.sides[0]).bad_mac, 1);
}

static void an_initiation_counts_once(void **state)
{
	CLEANUP(world_done) struct world w;
	struct wire_message m;

	(void)state;
	world_init(&w, 5);
	m = take_initiation(&w);
	give_message(&w, &m);
	give_message(&w, &m);
	assert_int_equal(drops_of(&w.sides[1]).rate_limited, 1);
	advance(&w, INITIATION_INTERVAL);
	give_message(&w, &m);
	assert_int_equal(drops_of(&w.sides[1]).handshake_replayed, 1);
	assert_int_equal(w.sides[1].sent[MESSAGE_RESPONSE], 1);
}

static void an_older_initiation_is_refused(void **state)
{
	CLEANUP(world_done) struct world w;
	struct wire_message first;
	struct wire_message second;

	(void)state;
	world_init(&w, 6);
	first = take_initiation(&w);
	advance(&w, 6 * NS_PER_S);
	wg_device_run_timers(w.sides[0].device, w.now);
	second = take_message(&w, MESSAGE_INITIATION);
	give_message(&w, &second);
	advance(&w, NS_PER_S);
	give_message(&w, &first);
	assert_int_equal(drops_of(&w.sides[1]).handshake_replayed, 1);
}

static void a_clock_that_is_set_back_does_no_harm(void **state)
{
	CLEANUP(world_done) struct world w;

	(void)state;
	world_init(&w, 7);
	assert_true(packet_passes(&w, 0, 100));
	w.now.monotonic_ns += REJECT_AFTER_TIME;
	w.now.realtime_ns -= 3600 * NS_PER_S;
	assert_int_equal(side_send_packet(&w.sides[0], 100), WG_STAGED);
	world_deliver(&w);
	assert_int_equal(w.sides[1].received, 2);
}

static void messages_of_a_wrong_size_are_counted(void **state)
{
	CLEANUP(world_done) struct world w;
	uint8_t bytes[300] = { 0 };
	uint64_t expected = 0;

	(void)state;
	world_init(&w, 8);
	for (uint8_t type = 0; type < 6; type++) {
		for (size_t size = 0; size < sizeof(bytes); size++) {
			bytes[0] = type;
			side_receive(&w.sides[1], &w.sides[0].address, 0, bytes, size);
			assert_int_equal(drop_count(&w.sides[1]), ++expected);
		}
	}
	assert_int_equal(w.wire_count, 0);
	assert_true(packet_passes(&w, 0, 100));
}

static void a_changed_initiation_is_refused(void **state)
{
	CLEANUP(world_done) struct world w;
	struct wire_message m;
	struct wire_message changed;

	(void)state;
	world_init(&w, 9);
	m = take_initiation(&w);
	for (size_t i = 0; i < MESSAGE_INITIATION_SIZE - MESSAGE_MAC_SIZE; i++) {
		changed = m;
		changed.bytes[i] ^= 1;
		give_message(&w, &changed);
		assert_int_equal(drop_count(&w.sides[1]), i + 1);
	}
	assert_int_equal(w.wire_count, 0);
	give_message(&w, &m);
	take_message(&w, MESSAGE_RESPONSE);
}

/* Makes MAC1 of a message right again. */
static void sign(const struct side *receiver, struct wire_message *m)
{
	struct cookie_jar jar = { 0 };

	cookie_jar_init(&jar, receiver->public_key);
	cookie_jar_sign(&jar, m->bytes, m->size, 0);
}

static void a_forged_handshake_with_a_right_mac_is_refused(void **state)
{
	CLEANUP(world_done) struct world w;
	struct wire_message m;
	struct wire_message changed;

	(void)state;
	world_init(&w, 10);
	m = take_initiation(&w);
	for (size_t i = 8; i < MESSAGE_INITIATION_SIZE - MESSAGE_MACS_SIZE; i += 9) {
		changed = m;
		changed.bytes[i] ^= 1;
		sign(&w.sides[1], &changed);
		give_message(&w, &changed);
	}
	assert_int_equal(drops_of(&w.sides[1]).bad_tag, 12);
	give_message(&w, &m);
	m = take_message(&w, MESSAGE_RESPONSE);
	for (size_t i = 12; i < MESSAGE_RESPONSE_SIZE - MESSAGE_MACS_SIZE; i += 4) {
		changed = m;
		changed.bytes[i] ^= 1;
		sign(&w.sides[0], &changed);
		give_message(&w, &changed);
	}
	assert_int_equal(drops_of(&w.sides[0]).bad_tag, 12);
	changed = m;
	changed.bytes[8] ^= 1;
	sign(&w.sides[0], &changed);
	give_message(&w, &changed);
	assert_int_equal(drops_of(&w.sides[0]).unknown_index, 1);
	give_message(&w, &m); /* the true one is still good */
	world_deliver(&w);
	assert_int_equal(w.sides[1].received, 1);
}

static void a_response_counts_once(void **state)
{
	CLEANUP(world_done) struct world w;
	struct wire_message m;

	(void)state;
	world_init(&w, 11);
	m = take_initiation(&w);
	give_message(&w, &m);
	m = take_message(&w, MESSAGE_RESPONSE);
	give_message(&w, &m);
	world_deliver(&w);
	give_message(&w, &m);
	assert_int_equal(drops_of(&w.sides[0]).unknown_index, 1);
	assert_true(packet_passes(&w, 1, 100));
}

static void both_sides_may_begin_at_once(void **state)
{
	CLEANUP(world_done) struct world w;

	(void)state;
	world_init_empty(&w, 12);
	side_add_other(&w, 0, NULL, true);
	side_add_other(&w, 1, NULL, true);
	assert_int_equal(side_send_packet(&w.sides[0], 100), WG_STAGED);
	assert_int_equal(side_send_packet(&w.sides[1], 200), WG_STAGED);
	assert_int_equal(w.wire_count, 2);
	world_deliver(&w);
	assert_int_equal(w.sides[0].packet_size, 200);
	assert_int_equal(w.sides[1].packet_size, 100);
	for (int i = 0; i < 10; i++)
		assert_true(packet_passes(&w, i % 2, 300));
	assert_int_equal(drop_count(&w.sides[0]) + drop_count(&w.sides[1]), 0);
}

static void the_responder_waits_for_the_first_packet(void **state)
{
	CLEANUP(world_done) struct world w;
	struct wire_message m;

	(void)state;
	world_init(&w, 13);
	m = take_initiation(&w);
	give_message(&w, &m);
	m = take_message(&w, MESSAGE_RESPONSE);
	assert_int_equal(side_send_packet(&w.sides[1], 200), WG_STAGED);
	assert_int_equal(w.wire[0].bytes[0], MESSAGE_INITIATION); /* one of its own */
	w.wire_count = 0;
	give_message(&w, &m);
	world_deliver(&w);
	assert_int_equal(w.sides[1].received, 1);
	assert_int_equal(w.sides[0].received, 1); /* what was staged */
}

/* Keeps a device under load with initiations that nothing can come of. */
static void flood(struct world *w, struct side *victim)
{
	struct wire_message m = { .size = MESSAGE_INITIATION_SIZE,
				  .bytes = { MESSAGE_INITIATION } };
	const struct endpoint from = { ip_from_v4(0xc6336401), 9, 0 };
	size_t before = w->wire_count;

	sign(victim, &m);
	for (int i = 0; i <= LOAD_HANDSHAKES; i++)
		side_receive(victim, &from, 0, m.bytes, m.size);
	w->wire_count = before; /* the answers go to the attacker */
}

static void under_load_a_cookie_is_wanted(void **state)
{
	CLEANUP(world_done) struct world w;

	(void)state;
	world_init(&w, 14);
	flood(&w, &w.sides[1]);
	side_send_packet(&w.sides[0], 100);
	world_deliver(&w);
	assert_int_equal(w.sides[1].sent[MESSAGE_RESPONSE], 0);
	assert_true(w.sides[1].sent[MESSAGE_COOKIE] > 0);
	assert_true(drops_of(&w.sides[1]).cookie_given > 0);

	/* The next attempt proves the address, and the flood goes on without success. */
	advance(&w, REKEY_TIMEOUT + NS_PER_S);
	flood(&w, &w.sides[1]);
	world_run_timers(&w);
	assert_int_equal(w.sides[1].sent[MESSAGE_RESPONSE], 1);
	assert_int_equal(w.sides[1].received, 1);
}

/* Handshakes as one batch, then a second of work on them. */
static void give_batch(struct world *w, const struct wire_message *m, size_t count)
{
	static uint8_t bytes[LOAD_HANDSHAKES][MESSAGE_INITIATION_SIZE];
	struct wg_buffer buffers[LOAD_HANDSHAKES] = { 0 };

	for (size_t i = 0; i < count; i++) {
		memcpy(bytes[i], m->bytes, m->size);
		buffers[i].data = bytes[i];
		buffers[i].size = m->size;
		buffers[i].from.remote = w->sides[0].address;
	}
	wg_device_open(w->sides[1].device, buffers, count, w->now);
	advance(w, NS_PER_S + LOAD_INTERVAL);
}

/* A slow processor does few in an interval, and finds ever more of them. */
static void full_batches_in_a_row_are_load(void **state)
{
	CLEANUP(world_done) struct world w;
	struct wire_message m = { .size = MESSAGE_INITIATION_SIZE,
				  .bytes = { MESSAGE_INITIATION } };

	(void)state;
	world_init(&w, 18);
	sign(&w.sides[1], &m);
	for (int i = 0; i < 50; i++)
		give_batch(&w, &m, LOAD_BATCH - 1);
	for (int i = 0; i < 50; i++)
		give_batch(&w, &m, i % 3 == 2 ? LOAD_BATCH - 1 : 2 * LOAD_BATCH);
	assert_int_equal(w.sides[1].sent[MESSAGE_COOKIE], 0);
	for (int i = 0; i < 8; i++)
		give_batch(&w, &m, 2 * LOAD_BATCH);
	assert_true(w.sides[1].sent[MESSAGE_COOKIE] > 100);
}

/* A flood of one address takes half of the cookies, and the other half is for those who asked for few. */
static void a_flood_of_one_address_leaves_cookies_to_others(void **state)
{
	CLEANUP(world_done) struct world w;
	struct wire_message m = { .size = MESSAGE_INITIATION_SIZE,
				  .bytes = { MESSAGE_INITIATION } };
	struct endpoint from = { ip_from_v4(0xc6336401), 9, 0 };
	size_t *sent;

	(void)state;
	world_init(&w, 19);
	w.cut = true;
	sent = &w.sides[1].sent[MESSAGE_COOKIE];
	sign(&w.sides[1], &m);
	for (int i = 0; i < 2 * COOKIES_BURST; i++)
		side_receive(&w.sides[1], &from, 0, m.bytes, m.size);
	assert_int_equal(*sent, COOKIES_BURST / 2);
	for (uint32_t i = 0; i < 100; i++) {
		from.address = ip_from_v4(0xc6340000 + i);
		side_receive(&w.sides[1], &from, 0, m.bytes, m.size);
	}
	assert_int_equal(*sent, COOKIES_BURST / 2 + 100);
	advance(&w, NS_PER_S / 10);
	for (int i = 0; i < 2 * COOKIES_BURST; i++)
		side_receive(&w.sides[1], &from, 0, m.bytes, m.size);
	assert_int_equal(*sent, COOKIES_BURST / 2 + COOKIES_PER_SECOND / 10);
}

/* Each message from another address: the bound is one for all of them. */
static void a_flood_of_many_addresses_gets_no_more_cookies(void **state)
{
	CLEANUP(world_done) struct world w;
	struct wire_message m = { .size = MESSAGE_INITIATION_SIZE,
				  .bytes = { MESSAGE_INITIATION } };
	struct endpoint from = { .port = 9 };
	struct wg_device_drops drops;

	(void)state;
	world_init(&w, 20);
	w.cut = true;
	sign(&w.sides[1], &m);
	for (uint32_t i = 0; i < 30000; i++) { /* one second */
		from.address = ip_from_v4(0xc6120000 + i % 9000);
		side_receive(&w.sides[1], &from, 0, m.bytes, m.size);
		advance(&w, NS_PER_S / 30000);
	}
	drops = drops_of(&w.sides[1]);
	assert_in_range(drops.cookie_given, COOKIES_PER_SECOND, COOKIES_PER_SECOND + COOKIES_BURST);
	assert_int_equal(drops.cookie_given, w.sides[1].sent[MESSAGE_COOKIE]);
	assert_in_range(drops.cookie_given + drops.cookie_refused, 29000, 30000);
}

static void a_cookie_is_bound_to_the_address(void **state)
{
	CLEANUP(world_done) struct world w;
	struct wire_message m;
	struct endpoint other;
	size_t cookies;

	(void)state;
	world_init(&w, 15);
	flood(&w, &w.sides[1]);
	side_send_packet(&w.sides[0], 100);
	world_deliver(&w);
	advance(&w, REKEY_TIMEOUT + NS_PER_S);
	flood(&w, &w.sides[1]);
	cookies = w.sides[1].sent[MESSAGE_COOKIE];
	wg_device_run_timers(w.sides[0].device, w.now);
	m = take_message(&w, MESSAGE_INITIATION);
	other = w.sides[0].address;
	other.port++;
	side_receive(&w.sides[1], &other, 0, m.bytes, m.size);
	assert_int_equal(w.sides[1].sent[MESSAGE_RESPONSE], 0);
	assert_int_equal(w.sides[1].sent[MESSAGE_COOKIE], cookies + 1);
	w.wire_count = 0;
	advance(&w, COOKIE_LIFE_S * NS_PER_S); /* the secret changes */
	flood(&w, &w.sides[1]);
	give_message(&w, &m);
	assert_int_equal(w.sides[1].sent[MESSAGE_RESPONSE], 0);
}

static void a_source_with_a_cookie_is_limited(void **state)
{
	CLEANUP(world_done) struct world w;
	struct cookie_jar jar = { 0 };
	struct wire_message m = { .size = MESSAGE_INITIATION_SIZE,
				  .bytes = { MESSAGE_INITIATION } };
	uint64_t limited;

	(void)state;
	world_init(&w, 16);
	flood(&w, &w.sides[1]);
	cookie_jar_init(&jar, w.sides[1].public_key);
	cookie_jar_sign(&jar, m.bytes, m.size, w.now.monotonic_ns);
	give_message(&w, &m);
	m = take_message(&w, MESSAGE_COOKIE);
	assert_int_equal(cookie_jar_take(&jar, m.bytes + 8, m.bytes + 8 + 24, w.now.monotonic_ns),
			 0);
	m = (struct wire_message){ .size = MESSAGE_INITIATION_SIZE,
				   .bytes = { MESSAGE_INITIATION } };
	cookie_jar_sign(&jar, m.bytes, m.size, w.now.monotonic_ns);
	limited = drops_of(&w.sides[1]).rate_limited;
	for (int i = 0; i < 10; i++)
		give_message(&w, &m);
	assert_int_equal(drops_of(&w.sides[1]).rate_limited - limited, 10 - LIMITER_BURST);
	assert_int_equal(drops_of(&w.sides[1]).bad_tag, LOAD_HANDSHAKES + LIMITER_BURST);
}

static void a_forged_cookie_is_refused(void **state)
{
	CLEANUP(world_done) struct world w;
	struct wire_message m;

	(void)state;
	world_init(&w, 17);
	flood(&w, &w.sides[1]);
	side_send_packet(&w.sides[0], 100);
	m = take_message(&w, MESSAGE_INITIATION);
	give_message(&w, &m);
	m = take_message(&w, MESSAGE_COOKIE);
	m.bytes[40] ^= 1;
	give_message(&w, &m);
	assert_int_equal(drops_of(&w.sides[0]).bad_tag, 1);
	m.bytes[40] ^= 1;
	m.bytes[4] ^= 1;
	give_message(&w, &m);
	assert_int_equal(drops_of(&w.sides[0]).unknown_index, 1);
	m.bytes[4] ^= 1;
	give_message(&w, &m);
	give_message(&w, &m); /* one message, one cookie */
	assert_int_equal(drops_of(&w.sides[0]).bad_tag, 2);
}

static void remove_other(struct world *w, int side)
{
	CLEANUP(wg_config_done) struct wg_config config = { 0 };
	struct wg_config_peer *peer;

	assert_int_equal(wg_config_add_peer(&config, w->sides[!side].public_key, &peer), 0);
	peer->has = WG_PEER_REMOVE;
	assert_int_equal(wg_device_configure(w->sides[side].device, &config, w->now), 0);
}

static void a_peer_may_go_in_the_middle(void **state)
{
	CLEANUP(world_done) struct world w;
	struct wire_message m;

	(void)state;
	world_init(&w, 18);
	m = take_initiation(&w);
	give_message(&w, &m);
	m = take_message(&w, MESSAGE_RESPONSE);
	remove_other(&w, 0);
	give_message(&w, &m);
	assert_int_equal(drops_of(&w.sides[0]).unknown_index, 1);
	assert_int_equal(drops_of(&w.sides[0]).no_session, 1); /* what was staged */
	assert_int_equal(wg_device_deadline(w.sides[0].device), TIMER_NEVER);
	remove_other(&w, 1);
	side_add_other(&w, 0, NULL, true);
	side_add_other(&w, 1, NULL, false);
	advance(&w, NS_PER_S);
	assert_true(packet_passes(&w, 0, 100));
}

static void a_key_of_low_order_gets_no_handshake(void **state)
{
	CLEANUP(world_done) struct world w;

	(void)state;
	world_init_empty(&w, 19);
	memset(w.sides[1].public_key, 0, WG_KEY_SIZE);
	w.sides[1].public_key[0] = 1;
	side_add_other(&w, 0, NULL, true);
	assert_int_equal(side_send_packet(&w.sides[0], 100), WG_STAGED);
	world_pass(&w, 3600 * NS_PER_S);
	assert_int_equal(w.sides[0].sent[MESSAGE_INITIATION], 0);
	assert_int_equal(drops_of(&w.sides[0]).no_session, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_packet_makes_a_session),
		cmocka_unit_test(both_preshared_keys_must_be_the_same),
		cmocka_unit_test(a_stranger_is_not_answered),
		cmocka_unit_test(an_initiation_for_another_key_is_ignored),
		cmocka_unit_test(an_initiation_counts_once),
		cmocka_unit_test(an_older_initiation_is_refused),
		cmocka_unit_test(a_clock_that_is_set_back_does_no_harm),
		cmocka_unit_test(messages_of_a_wrong_size_are_counted),
		cmocka_unit_test(a_changed_initiation_is_refused),
		cmocka_unit_test(a_forged_handshake_with_a_right_mac_is_refused),
		cmocka_unit_test(a_response_counts_once),
		cmocka_unit_test(both_sides_may_begin_at_once),
		cmocka_unit_test(the_responder_waits_for_the_first_packet),
		cmocka_unit_test(under_load_a_cookie_is_wanted),
		cmocka_unit_test(full_batches_in_a_row_are_load),
		cmocka_unit_test(a_flood_of_one_address_leaves_cookies_to_others),
		cmocka_unit_test(a_flood_of_many_addresses_gets_no_more_cookies),
		cmocka_unit_test(a_cookie_is_bound_to_the_address),
		cmocka_unit_test(a_source_with_a_cookie_is_limited),
		cmocka_unit_test(a_forged_cookie_is_refused),
		cmocka_unit_test(a_peer_may_go_in_the_middle),
		cmocka_unit_test(a_key_of_low_order_gets_no_handshake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
