/* What happens as time passes: rekeying, keepalives, giving up, forgetting. */
#include "wireguard/device_test.h"

#include "base/test.h"

/* Side @i sends a packet every second. */
static void talk(struct world *w, int i, unsigned seconds)
{
	for (unsigned s = 0; s < seconds; s++) {
		assert_true(packet_passes(w, i, 100));
		world_pass(w, NS_PER_S);
	}
}

static size_t initiations(const struct world *w)
{
	return w->sides[0].sent[MESSAGE_INITIATION] + w->sides[1].sent[MESSAGE_INITIATION];
}

static uint64_t since(const struct world *w, uint64_t then)
{
	return (w->now.monotonic_ns - then) / NS_PER_S;
}

static void an_unanswered_handshake_is_given_up(void **state)
{
	CLEANUP(world_done) struct world w;
	struct wg_device_drops drops;

	(void)state;
	world_init(&w, 1);
	w.cut = true;
	side_send_packet(&w.sides[0], 100);
	world_pass(&w, REKEY_TIMEOUT - 1);
	assert_int_equal(initiations(&w), 1);
	world_pass(&w, NS_PER_S);
	assert_int_equal(initiations(&w), 2);
	world_pass(&w, 84 * NS_PER_S);
	assert_in_range(initiations(&w), 17, 18);
	wg_device_drops(w.sides[0].device, &drops);
	assert_int_equal(drops.no_session, 0);
	world_pass(&w, 10 * NS_PER_S);
	assert_in_range(initiations(&w), 17, 19);
	wg_device_drops(w.sides[0].device, &drops);
	assert_int_equal(drops.no_session, 1);
	assert_in_range(world_pass(&w, 3600 * NS_PER_S), 1, 2); /* only to forget the handshake */
	assert_int_equal(wg_device_deadline(w.sides[0].device), TIMER_NEVER);
	assert_int_equal(side_peer(&w.sides[0])->handshake_index, 0);

	w.cut = false; /* and a new packet tries again */
	side_send_packet(&w.sides[0], 100);
	world_deliver(&w);
	assert_int_equal(w.sides[1].received, 1);
}

static void the_initiator_renews_the_session_in_time(void **state)
{
	CLEANUP(world_done) struct world w;

	(void)state;
	world_init(&w, 2);
	talk(&w, 0, 120);
	assert_int_equal(initiations(&w), 1);
	talk(&w, 0, 2);
	assert_int_equal(initiations(&w), 2);
	talk(&w, 0, 1000); /* without losing a packet */
	assert_in_range(initiations(&w), 9, 10);
	assert_int_equal(w.sides[1].sent[MESSAGE_INITIATION], 0);
}

static void the_initiator_renews_a_session_that_it_only_receives_in(void **state)
{
	CLEANUP(world_done) struct world w;

	(void)state;
	world_init(&w, 3);
	assert_true(packet_passes(&w, 0, 100));
	for (size_t round = 1; round <= 3; round++) {
		side_peer(&w.sides[0])->current->born_ns -= 160 * NS_PER_S;
		for (unsigned s = 0; s < 4; s++) { /* up to the age of 163 s */
			assert_true(packet_passes(&w, 1, 100));
			world_pass(&w, NS_PER_S);
		}
		assert_int_equal(initiations(&w), round);
		world_pass(&w, NS_PER_S);
		assert_true(packet_passes(&w, 1, 100));
		assert_int_equal(w.sides[0].sent[MESSAGE_INITIATION], round + 1);
		assert_true(packet_passes(&w, 1, 100));
		assert_int_equal(initiations(&w), round + 1);
	}
}

static void the_responder_does_not_renew_by_time(void **state)
{
	CLEANUP(world_done) struct world w;

	(void)state;
	world_init(&w, 4);
	assert_true(packet_passes(&w, 0, 100));
	world_pass(&w, 150 * NS_PER_S);
	assert_true(packet_passes(&w, 1, 100));
	assert_int_equal(initiations(&w), 1);
}

static void a_session_is_renewed_by_count(void **state)
{
	CLEANUP(world_done) struct world w;

	(void)state;
	world_init(&w, 5);
	talk(&w, 0, 10);
	side_peer(&w.sides[0])->current->send_counter = REKEY_AFTER_MESSAGES;
	assert_true(packet_passes(&w, 0, 100));
	assert_int_equal(w.sides[0].sent[MESSAGE_INITIATION], 2);
	assert_int_equal(side_peer(&w.sides[0])->current->send_counter, 1); /* the new one's */
	talk(&w, 0, 10);
	side_peer(&w.sides[1])->current->send_counter = REKEY_AFTER_MESSAGES;
	assert_true(packet_passes(&w, 1, 100));
	assert_int_equal(w.sides[1].sent[MESSAGE_INITIATION], 1);
}

static void no_counter_is_used_twice(void **state)
{
	CLEANUP(world_done) struct world w;
	struct session *session;

	(void)state;
	world_init(&w, 6);
	talk(&w, 0, 10);
	session = side_peer(&w.sides[0])->current;
	w.cut = true;
	session->send_counter = REJECT_AFTER_MESSAGES - 1;
	assert_int_equal(side_send_packet(&w.sides[0], 100), WG_STAGED);
	assert_int_equal(session->send_counter, REJECT_AFTER_MESSAGES - 1);
}

static void an_old_session_carries_nothing(void **state)
{
	CLEANUP(world_done) struct world w;
	struct wg_device_drops drops;
	struct wire_message late;

	(void)state;
	world_init(&w, 7);
	assert_true(packet_passes(&w, 0, 100));
	assert_int_equal(side_send_packet(&w.sides[0], 100), WG_SEALED);
	late = w.wire[0];
	w.wire_count = 0;
	w.now.monotonic_ns += REJECT_AFTER_TIME;
	side_receive(&w.sides[1], &w.sides[0].address, 0, late.bytes, late.size);
	wg_device_drops(w.sides[1].device, &drops);
	assert_int_equal(drops.expired, 1);
	w.now.realtime_ns += REJECT_AFTER_TIME;
	assert_int_equal(side_send_packet(&w.sides[0], 100), WG_STAGED);
	world_deliver(&w);
	assert_int_equal(w.sides[1].received, 2);
}

static void a_silent_receiver_sends_one_keepalive(void **state)
{
	CLEANUP(world_done) struct world w;
	size_t sent;

	(void)state;
	world_init(&w, 8);
	assert_true(packet_passes(&w, 0, 100));
	sent = w.sides[1].sent[MESSAGE_DATA];
	world_pass(&w, KEEPALIVE_TIMEOUT - 1);
	assert_int_equal(w.sides[1].sent[MESSAGE_DATA], sent);
	world_pass(&w, 1);
	assert_int_equal(w.sides[1].sent[MESSAGE_DATA], sent + 1);
	world_pass(&w, 100 * NS_PER_S);
	assert_int_equal(w.sides[1].sent[MESSAGE_DATA], sent + 1);
	assert_int_equal(initiations(&w), 1);
}

static void a_receiver_of_more_sends_another_keepalive(void **state)
{
	CLEANUP(world_done) struct world w;
	size_t sent;

	(void)state;
	world_init(&w, 19);
	assert_true(packet_passes(&w, 0, 100));
	sent = w.sides[1].sent[MESSAGE_DATA];
	world_pass(&w, KEEPALIVE_TIMEOUT / 2);
	assert_true(packet_passes(&w, 0, 100));
	world_pass(&w, KEEPALIVE_TIMEOUT / 2);
	assert_int_equal(w.sides[1].sent[MESSAGE_DATA], sent + 1);
	world_pass(&w, KEEPALIVE_TIMEOUT);
	assert_int_equal(w.sides[1].sent[MESSAGE_DATA], sent + 2);
	world_pass(&w, 50 * NS_PER_S);
	assert_int_equal(w.sides[1].sent[MESSAGE_DATA], sent + 2);
}

static void a_receiver_that_answers_sends_no_keepalive(void **state)
{
	CLEANUP(world_done) struct world w;
	size_t sent;

	(void)state;
	world_init(&w, 9);
	assert_true(packet_passes(&w, 0, 100));
	assert_true(packet_passes(&w, 1, 100));
	sent = w.sides[1].sent[MESSAGE_DATA];
	world_pass(&w, KEEPALIVE_TIMEOUT + NS_PER_S);
	assert_int_equal(w.sides[1].sent[MESSAGE_DATA], sent);
}

static void a_peer_that_is_silent_gets_a_new_handshake(void **state)
{
	CLEANUP(world_done) struct world w;
	struct wg_peer *peer;

	(void)state;
	world_init(&w, 10);
	peer = side_peer(&w.sides[0]);
	talk(&w, 0, 10);
	w.cut = true;
	assert_false(packet_passes(&w, 0, 100));
	world_pass(&w, KEEPALIVE_TIMEOUT + REKEY_TIMEOUT - 1);
	assert_int_equal(initiations(&w), 1);
	assert_int_equal(wg_peer_route(peer)->local.family, AF_INET);
	world_pass(&w, NS_PER_S);
	assert_int_equal(initiations(&w), 2);
	assert_int_equal(wg_peer_route(peer)->local.family, 0); /* perhaps it was the wrong one */
	peer->route.local = w.sides[0].address.address;
	world_pass(&w, REKEY_TIMEOUT + NS_PER_S);
	assert_int_equal(initiations(&w), 3);
	assert_int_equal(wg_peer_route(peer)->local.family, 0);
	w.cut = false;
	world_pass(&w, 6 * NS_PER_S);
	assert_true(packet_passes(&w, 0, 100));
}

/* The responder's packets that waited for the session leave with its confirmation, and are lost. */
static void a_peer_that_is_silent_from_the_start_gets_a_new_handshake(void **state)
{
	CLEANUP(world_done) struct world w;
	struct wire_message initiation;
	struct wire_message m;

	(void)state;
	world_init_empty(&w, 17);
	side_add_other(&w, 0, NULL, true);
	side_add_other(&w, 1, NULL, true);
	assert_int_equal(side_send_packet(&w.sides[0], 100), WG_STAGED);
	initiation = w.wire[0];
	assert_int_equal(side_send_packet(&w.sides[1], 100), WG_STAGED);
	w.wire_count = 0;
	side_receive(&w.sides[1], &w.sides[0].address, 0, initiation.bytes, initiation.size);
	m = w.wire[0];
	side_receive(&w.sides[0], &w.sides[1].address, 0, m.bytes, m.size);
	m = w.wire[1];
	w.cut = true;
	assert_non_null(side_receive(&w.sides[1], &w.sides[0].address, 0, m.bytes, m.size));
	assert_int_equal(w.sides[1].sent[MESSAGE_DATA], 1);
	world_pass(&w, KEEPALIVE_TIMEOUT);
	assert_int_equal(w.sides[1].sent[MESSAGE_DATA], 1); /* what was sent has told enough */
	world_pass(&w, REKEY_TIMEOUT - 1);
	assert_int_equal(w.sides[1].sent[MESSAGE_INITIATION], 1);
	world_pass(&w, NS_PER_S);
	assert_int_equal(w.sides[1].sent[MESSAGE_INITIATION], 2);
}

static void set_keepalive(struct world *w, int side, uint16_t interval)
{
	CLEANUP(wg_config_done) struct wg_config config = { 0 };
	struct wg_config_peer *peer;

	assert_int_equal(wg_config_add_peer(&config, w->sides[!side].public_key, &peer), 0);
	peer->has = WG_PEER_HAS_KEEPALIVE;
	peer->keepalive_s = interval;
	assert_int_equal(wg_device_configure(w->sides[side].device, &config, w->now), 0);
}

static void a_persistent_keepalive_goes_on(void **state)
{
	CLEANUP(world_done) struct world w;
	size_t sent;

	(void)state;
	world_init(&w, 11);
	set_keepalive(&w, 0, 25);
	assert_int_equal(wg_device_deadline(w.sides[0].device), w.now.monotonic_ns);
	world_run_timers(&w); /* makes the session by itself */
	assert_int_equal(initiations(&w), 1);
	sent = w.sides[0].sent[MESSAGE_DATA];
	assert_int_equal(sent, 1);
	world_pass(&w, 1000 * NS_PER_S);
	assert_in_range(w.sides[0].sent[MESSAGE_DATA] - sent, 39, 50);
	set_keepalive(&w, 0, 0);
	sent = w.sides[0].sent[MESSAGE_DATA];
	world_pass(&w, 1000 * NS_PER_S);
	assert_int_equal(w.sides[0].sent[MESSAGE_DATA], sent);
	assert_int_equal(wg_device_deadline(w.sides[0].device), TIMER_NEVER);
}

static void a_shorter_keepalive_does_not_wait_for_the_longer_one(void **state)
{
	CLEANUP(world_done) struct world w;
	size_t sent;

	(void)state;
	world_init(&w, 18);
	set_keepalive(&w, 0, 3600);
	world_run_timers(&w);
	sent = w.sides[0].sent[MESSAGE_DATA];
	set_keepalive(&w, 0, 25);
	world_pass(&w, 26 * NS_PER_S);
	assert_in_range(w.sides[0].sent[MESSAGE_DATA] - sent, 1, 2);
	sent = w.sides[0].sent[MESSAGE_DATA];
	set_keepalive(&w, 0, 25); /* the same: says nothing more */
	world_run_timers(&w);
	assert_int_equal(w.sides[0].sent[MESSAGE_DATA], sent);
}

static void a_keepalive_to_nowhere_wakes_nobody(void **state)
{
	CLEANUP(world_done) struct world w;

	(void)state;
	world_init(&w, 16);
	set_keepalive(&w, 1, 25); /* side 1 does not know where side 0 is */
	assert_int_equal(world_pass(&w, 3600 * NS_PER_S), 1);
	assert_true(packet_passes(&w, 0, 100));
	world_pass(&w, 36 * NS_PER_S);
	assert_int_equal(w.sides[1].sent[MESSAGE_DATA], 2); /* a passive one, and this */
}

static void a_link_that_comes_up_speaks_at_once(void **state)
{
	CLEANUP(world_done) struct world w;

	(void)state;
	world_init(&w, 12);
	set_keepalive(&w, 0, 25);
	w.cut = true;
	world_run_timers(&w);
	w.cut = false;
	for (int i = 0; i < 2; i++) { /* side 1 has no keepalive: says nothing */
		wg_device_set_up(w.sides[i].device, false, w.now);
		wg_device_set_up(w.sides[i].device, true, w.now);
	}
	world_pass(&w, NS_PER_MS);
	assert_int_equal(w.sides[0].sent[MESSAGE_DATA], 1);
	assert_int_equal(w.sides[1].sent[MESSAGE_DATA], 0);
}

static void keys_are_forgotten_and_nobody_wakes(void **state)
{
	CLEANUP(world_done) struct world w;
	uint64_t start;
	size_t wakes;

	(void)state;
	world_init(&w, 13);
	talk(&w, 0, 125);
	start = w.now.monotonic_ns;
	world_pass(&w, 3 * REJECT_AFTER_TIME - 6 * NS_PER_S);
	assert_non_null(side_peer(&w.sides[0])->current);
	assert_non_null(side_peer(&w.sides[1])->current);
	world_pass(&w, 6 * NS_PER_S);
	for (int i = 0; i < 2; i++) {
		assert_null(side_peer(&w.sides[i])->previous);
		assert_null(side_peer(&w.sides[i])->current);
		assert_null(side_peer(&w.sides[i])->next);
		assert_int_equal(w.sides[i].device->indices.count, 0);
		assert_int_equal(wg_device_deadline(w.sides[i].device), TIMER_NEVER);
	}
	assert_true(since(&w, start) < 600);
	wakes = world_pass(&w, 24 * 3600 * NS_PER_S);
	assert_int_equal(wakes, 0);
	assert_true(packet_passes(&w, 0, 100));
}

/* The machine slept for a day. */
static void a_handshake_outlives_the_old_keys(void **state)
{
	CLEANUP(world_done) struct world w;

	(void)state;
	world_init(&w, 16);
	talk(&w, 0, 10);
	w.now.monotonic_ns += 24 * 3600 * NS_PER_S;
	w.now.realtime_ns += 24 * 3600 * NS_PER_S;
	side_send_packet(&w.sides[0], 100);
	wg_device_run_timers(w.sides[0].device, w.now);
	assert_null(side_peer(&w.sides[0])->current);
	w.sides[1].received = 0;
	world_deliver(&w);
	assert_int_equal(w.sides[1].received, 1);
}

static void an_idle_session_costs_few_wakes(void **state)
{
	CLEANUP(world_done) struct world w;

	(void)state;
	world_init(&w, 14);
	talk(&w, 0, 10);
	assert_true(packet_passes(&w, 1, 100));
	assert_in_range(world_pass(&w, 3600 * NS_PER_S), 2, 12);
}

/* Hours of everything at once: whenever the wire works for long enough, packets pass. */
static void a_bad_network_is_survived(void **state)
{
	CLEANUP(world_done) struct world w;

	(void)state;
	world_init(&w, 15);
	assert_true(packet_passes(&w, 0, 100));
	for (int i = 0; i < 2000; i++) {
		w.cut = world_random(&w) % 3 == 0;
		(void)packet_passes(&w, (int)(world_random(&w) % 2), 100);
		world_pass(&w, world_random(&w) % (60 * NS_PER_S));
		if (i % 50 != 49)
			continue;
		w.cut = false;
		world_pass(&w, 700 * NS_PER_S);
		assert_true(packet_passes(&w, i / 50 % 2, 100));
		assert_true(packet_passes(&w, !(i / 50 % 2), 100));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_unanswered_handshake_is_given_up),
		cmocka_unit_test(the_initiator_renews_the_session_in_time),
		cmocka_unit_test(the_initiator_renews_a_session_that_it_only_receives_in),
		cmocka_unit_test(the_responder_does_not_renew_by_time),
		cmocka_unit_test(a_session_is_renewed_by_count),
		cmocka_unit_test(no_counter_is_used_twice),
		cmocka_unit_test(an_old_session_carries_nothing),
		cmocka_unit_test(a_silent_receiver_sends_one_keepalive),
		cmocka_unit_test(a_receiver_of_more_sends_another_keepalive),
		cmocka_unit_test(a_receiver_that_answers_sends_no_keepalive),
		cmocka_unit_test(a_peer_that_is_silent_gets_a_new_handshake),
		cmocka_unit_test(a_peer_that_is_silent_from_the_start_gets_a_new_handshake),
		cmocka_unit_test(a_persistent_keepalive_goes_on),
		cmocka_unit_test(a_shorter_keepalive_does_not_wait_for_the_longer_one),
		cmocka_unit_test(a_keepalive_to_nowhere_wakes_nobody),
		cmocka_unit_test(a_link_that_comes_up_speaks_at_once),
		cmocka_unit_test(keys_are_forgotten_and_nobody_wakes),
		cmocka_unit_test(a_handshake_outlives_the_old_keys),
		cmocka_unit_test(an_idle_session_costs_few_wakes),
		cmocka_unit_test(a_bad_network_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
