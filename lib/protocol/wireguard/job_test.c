/* Handshakes that are computed later than they were asked for: what may change meanwhile. */
#include "wireguard/device_test.h"

#include "base/test.h"

/* One side, which is the late one, hands its jobs out to here. */
struct late {
	struct world world;
	struct side *side;
	struct wg_job *jobs[WG_JOBS_MAX];
	size_t count;
	size_t most; /* that ever were out */
};

static void on_compute(void *context, struct wg_job *job)
{
	struct side *side = context;
	struct late *late = container_of(side->world, struct late, world);

	assert_true(late->count < WG_JOBS_MAX);
	late->jobs[late->count++] = job;
	if (late->count > late->most)
		late->most = late->count;
}

/* Only side 0 knows where the other is. */
static void late_init(struct late *late, int side, uint64_t seed)
{
	static const struct wg_device_ops ops = { .send = side_send,
						  .random = side_random,
						  .compute = on_compute };
	struct world *w = &late->world;

	late->count = late->most = 0;
	late->side = &w->sides[side];
	world_init_empty(w, seed);
	wg_device_free(late->side->device);
	assert_int_equal(wg_device_new(&ops, late->side, w->now, &late->side->device), 0);
	wg_device_set_up(late->side->device, true, w->now);
	side_add_other(w, 0, NULL, true);
	side_add_other(w, 1, NULL, false);
}

static void late_done(struct late *late)
{
	world_done(&late->world);
}
DEFINE_CLEANUP_DONE(struct late, late_done);

static struct wg_device_drops drops_of(const struct late *late)
{
	struct wg_device_drops drops;

	wg_device_drops(late->side->device, &drops);
	return drops;
}

/* Computes what is out by now and gives it back. */
static void step(struct late *late)
{
	struct wg_job *jobs[WG_JOBS_MAX];
	size_t count = late->count;

	memcpy(jobs, late->jobs, sizeof(jobs));
	late->count = 0;
	wg_jobs_compute(jobs, count);
	for (size_t i = 0; i < count; i++)
		wg_device_take_job(late->side->device, jobs[i], late->world.now);
}

/* Has side 0 begin a handshake, of which side 1 has read nothing yet. */
static struct wire_message begin(struct late *late)
{
	struct world *w = &late->world;
	struct wire_message m;

	assert_int_equal(side_send_packet(&w->sides[0], 100), WG_STAGED);
	assert_int_equal(w->wire_count, 1);
	m = w->wire[0];
	world_deliver(w);
	assert_int_equal(late->count, 1);
	return m;
}

static struct side *other_side(struct late *late)
{
	return &late->world.sides[late->side == late->world.sides];
}

static void configure_peer(struct late *late, unsigned has, uint8_t preshared_key)
{
	CLEANUP(wg_config_done) struct wg_config config = { 0 };
	struct world *w = &late->world;
	struct wg_config_peer *peer;

	assert_int_equal(wg_config_add_peer(&config, other_side(late)->public_key, &peer), 0);
	peer->has = has;
	peer->preshared_key[0] = preshared_key;
	assert_int_equal(wg_device_configure(late->side->device, &config, w->now), 0);
}

static void change_identity(struct late *late)
{
	CLEANUP(wg_config_done)
	struct wg_config config = { .has = WG_HAS_PRIVATE_KEY, .private_key = { 7 } };

	assert_int_equal(wg_device_configure(late->side->device, &config, late->world.now), 0);
}

static void an_answer_may_come_late(void **state)
{
	CLEANUP(late_done) struct late late;
	struct world *w = &late.world;

	(void)state;
	late_init(&late, 1, 1);
	(void)begin(&late);
	assert_int_equal(w->sides[1].sent[MESSAGE_RESPONSE], 0);
	step(&late);
	step(&late);
	assert_int_equal(w->sides[1].sent[MESSAGE_RESPONSE], 1);
	world_deliver(w);
	assert_int_equal(w->sides[1].received, 1);
	assert_true(packet_passes(w, 1, 100));
}

/* What happens before the first step ends, or before the second does. */
static void run_until(struct late *late, uint64_t seed, int steps)
{
	late_init(late, 1, seed);
	(void)begin(late);
	while (steps-- > 0)
		step(late);
}

static void assert_not_answered(struct late *late)
{
	step(late);
	step(late);
	assert_int_equal(late->count, 0);
	assert_int_equal(late->world.sides[1].sent[MESSAGE_RESPONSE], 0);
}

static void the_key_may_change_meanwhile(void **state)
{
	(void)state;
	for (int steps = 0; steps < 2; steps++) {
		CLEANUP(late_done) struct late late;

		run_until(&late, 2, steps);
		change_identity(&late);
		assert_not_answered(&late);
		assert_int_equal(drops_of(&late).bad_mac, 1);
	}
}

static void the_peer_may_go_meanwhile(void **state)
{
	(void)state;
	for (int steps = 0; steps < 2; steps++) {
		CLEANUP(late_done) struct late late;

		run_until(&late, 3, steps);
		configure_peer(&late, WG_PEER_REMOVE, 0);
		assert_not_answered(&late);
		assert_int_equal(drops_of(&late).unknown_peer, 1);
	}
}

static void nobody_is_answered_where_the_link_went(void **state)
{
	(void)state;
	for (int steps = 0; steps < 2; steps++) {
		CLEANUP(late_done) struct late late;

		run_until(&late, 9, steps);
		wg_device_set_up(late.side->device, false, late.world.now);
		assert_not_answered(&late);
	}
}

static void the_preshared_key_may_change_meanwhile(void **state)
{
	(void)state;
	for (int steps = 0; steps < 2; steps++) {
		CLEANUP(late_done) struct late late;

		run_until(&late, 4, steps);
		configure_peer(&late, WG_PEER_HAS_PRESHARED_KEY, 5);
		step(&late);
		step(&late);
		assert_int_equal(late.world.sides[1].sent[MESSAGE_RESPONSE], steps == 0);
		assert_int_equal(drops_of(&late).bad_tag, steps);
	}
}

/* The same initiation several times, and all are worked on at the same time. */
static void one_of_many_is_answered(void **state)
{
	CLEANUP(late_done) struct late late;
	struct world *w = &late.world;
	struct wire_message m;

	(void)state;
	late_init(&late, 1, 5);
	m = begin(&late);
	for (int i = 0; i < 10; i++)
		side_receive(&w->sides[1], &w->sides[0].address, 0, m.bytes, m.size);
	step(&late);
	assert_int_equal(late.count, 11);
	step(&late);
	assert_int_equal(w->sides[1].sent[MESSAGE_RESPONSE], 1);
	assert_int_equal(drops_of(&late).rate_limited, 10);
	world_deliver(w);
	assert_int_equal(w->sides[1].received, 1);

	/* Seen before, which shows only in the second step. */
	w->now.monotonic_ns += NS_PER_S;
	side_receive(&w->sides[1], &w->sides[0].address, 0, m.bytes, m.size);
	step(&late);
	step(&late);
	assert_int_equal(drops_of(&late).handshake_replayed, 1);
}

/* Never more than are allowed, however many come; and the device may go with all of them. */
static void they_are_bounded(void **state)
{
	CLEANUP(late_done) struct late late;
	struct world *w = &late.world;
	struct noise_initiation initiation;
	struct wire_message m;

	(void)state;
	late_init(&late, 1, 6);
	m = begin(&late);
	memcpy(&initiation, m.bytes + 8, sizeof(initiation));
	for (int i = 0; i < 2 * WG_JOBS_MAX; i++)
		device_answer(w->sides[1].device, &m.to, 1, &initiation, w->now);
	assert_int_equal(late.most, ANSWERS_MAX);
	assert_int_equal(drops_of(&late).busy, 2 * WG_JOBS_MAX + 1 - ANSWERS_MAX);

	/* What others ask for keeps us from beginning nothing. */
	peer_set_endpoint(side_peer(late.side), &w->sides[0].address);
	assert_int_equal(side_send_packet(late.side, 100), WG_STAGED);
	assert_int_equal(late.count, ANSWERS_MAX + 1);
}

/* Many that wait are load: strangers have to prove their addresses. */
static void waiting_answers_are_load(void **state)
{
	CLEANUP(late_done) struct late late;
	struct world *w = &late.world;
	struct wire_message m;

	(void)state;
	late_init(&late, 1, 7);
	m = begin(&late);
	for (int i = 0; i < WG_JOBS_MAX; i++) {
		w->now.monotonic_ns += 10 * NS_PER_MS; /* not too many in any interval */
		side_receive(&w->sides[1], &w->sides[0].address, 0, m.bytes, m.size);
	}
	assert_int_equal(late.most, LOAD_ANSWERS + 1);
	assert_true(w->sides[1].sent[MESSAGE_COOKIE] > 0);
}

/* Of both steps, and with secrets that are known or not, in every mixture. */
static void batches_are_mixed(void **state)
{
	(void)state;
	for (int waiting = 0; waiting < 12; waiting++) {
		CLEANUP(late_done) struct late late;
		struct world *w = &late.world;
		struct wire_message m;

		late_init(&late, 1, 8);
		m = begin(&late);
		step(&late);
		for (int i = 0; i < waiting; i++)
			side_receive(&w->sides[1], &w->sides[0].address, 0, m.bytes, m.size);
		assert_int_equal(late.count, waiting + 1);
		step(&late);
		step(&late);
		assert_int_equal(w->sides[1].sent[MESSAGE_RESPONSE], 1);
		world_deliver(w);
		assert_int_equal(w->sides[1].received, 1);
	}
}

/* --- the handshakes that we begin --- */

static void stage_packet(struct late *late)
{
	assert_int_equal(side_send_packet(late->side, 100), WG_STAGED);
}

/* Side 0 is late. @steps: 0, its initiation is out to be computed; 1, it was sent, and its response is. */
static void own_until(struct late *late, uint64_t seed, int steps)
{
	struct world *w = &late->world;

	late_init(late, 0, seed);
	stage_packet(late);
	assert_int_equal(late->count, 1);
	if (steps == 0)
		return;
	step(late);
	assert_int_equal(w->wire_count, 1);
	world_deliver(w);
	assert_int_equal(w->sides[1].sent[MESSAGE_RESPONSE], 1);
	assert_int_equal(late->count, 1);
}

static void assert_nobody_waits(const struct late *late)
{
	for (size_t i = 0; i < JOB_SHARES; i++)
		assert_int_equal(late->side->device->shares[i].out, 0);
}

/* Nothing came of what was out, and nothing of it is left. */
static void assert_nothing_came(struct late *late)
{
	size_t before = late->world.wire_count;

	step(late);
	assert_int_equal(late->count, 0);
	assert_int_equal(late->world.wire_count, before);
	assert_nobody_waits(late);
	assert_int_equal(late->side->device->indices.count, 0);
}

static void our_handshake_may_come_late(void **state)
{
	CLEANUP(late_done) struct late late;
	struct world *w = &late.world;

	(void)state;
	own_until(&late, 20, 0);
	assert_int_equal(w->wire_count, 0);
	w->now.monotonic_ns += NS_PER_S;
	step(&late);
	world_deliver(w);
	w->now.monotonic_ns += NS_PER_S;
	step(&late);
	world_deliver(w);
	assert_int_equal(w->sides[1].received, 1);
	assert_true(packet_passes(w, 0, 100));
	assert_true(packet_passes(w, 1, 100));
	assert_int_equal(late.most, 1);
}

static void our_key_may_change_meanwhile(void **state)
{
	(void)state;
	for (int steps = 0; steps < 2; steps++) {
		CLEANUP(late_done) struct late late;

		own_until(&late, 21, steps);
		change_identity(&late);
		assert_nothing_came(&late);
	}
}

/* Also where he is there again before the job is back. */
static void whom_we_speak_to_may_go_meanwhile(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		CLEANUP(late_done) struct late late;

		own_until(&late, 22, i % 2);
		configure_peer(&late, WG_PEER_REMOVE, 0);
		if (i >= 2)
			side_add_other(&late.world, 0, NULL, true);
		assert_nothing_came(&late);
		if (i < 2)
			continue;
		late.world.now.monotonic_ns += NS_PER_S; /* the other side accepts no two at once */
		late.world.now.realtime_ns += NS_PER_S;
		stage_packet(&late);
		step(&late);
		world_deliver(&late.world);
		step(&late);
		world_deliver(&late.world);
		assert_int_equal(late.world.sides[1].received, 1);
	}
}

static void the_link_may_go_meanwhile(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		CLEANUP(late_done) struct late late;

		own_until(&late, 23, i % 2);
		wg_device_set_up(late.side->device, false, late.world.now);
		if (i >= 2)
			wg_device_set_up(late.side->device, true, late.world.now);
		assert_nothing_came(&late);
	}
}

static void a_response_with_the_former_preshared_key(void **state)
{
	CLEANUP(late_done) struct late late;

	(void)state;
	own_until(&late, 24, 1);
	configure_peer(&late, WG_PEER_HAS_PRESHARED_KEY, 5);
	step(&late);
	assert_int_equal(drops_of(&late).bad_tag, 1);
	assert_null(side_peer(late.side)->current);
}

/* It came first and is read beside the true one. */
static void a_forged_response_does_no_harm(void **state)
{
	CLEANUP(late_done) struct late late;
	struct wire_message forged;
	struct world *w = &late.world;
	struct cookie_jar jar = { 0 };

	(void)state;
	own_until(&late, 25, 0);
	step(&late);
	side_receive(&w->sides[1], &w->sides[0].address, 0, w->wire[0].bytes, w->wire[0].size);
	assert_int_equal(w->wire_count, 2);
	forged = w->wire[1];
	forged.bytes[50] ^= 1;
	cookie_jar_init(&jar, w->sides[0].public_key);
	cookie_jar_sign(&jar, forged.bytes, forged.size, w->now.monotonic_ns);
	side_receive(&w->sides[0], &w->sides[1].address, 0, forged.bytes, forged.size);
	side_receive(&w->sides[0], &w->sides[1].address, 0, w->wire[1].bytes, w->wire[1].size);
	side_receive(&w->sides[0], &w->sides[1].address, 0, w->wire[1].bytes, w->wire[1].size);
	assert_int_equal(late.count, 3);
	w->wire_count = 0;
	step(&late);
	assert_int_equal(drops_of(&late).bad_tag, 1);
	assert_int_equal(drops_of(&late).unknown_index, 1);
	world_deliver(w);
	assert_int_equal(w->sides[1].received, 1);
}

/* Computing takes longer than an attempt: it is waited for, and the next one begins when this one was sent. */
static void a_slow_attempt_is_waited_for(void **state)
{
	CLEANUP(late_done) struct late late;
	struct world *w = &late.world;

	(void)state;
	own_until(&late, 26, 0);
	world_pass(w, 3 * REKEY_TIMEOUT);
	assert_int_equal(late.count, 1);
	step(&late);
	assert_int_equal(w->wire_count, 1);
	w->wire_count = 0;
	world_pass(w, REKEY_TIMEOUT - NS_PER_S);
	assert_int_equal(late.count, 0);
	world_pass(w, 2 * NS_PER_S);
	assert_int_equal(late.count, 1);
	step(&late);
	world_deliver(w);
	step(&late);
	world_deliver(w);
	assert_int_equal(w->sides[1].received, 1);
}

/* Each kind has its own places: peers that do not answer, however many, keep nobody away. */
static void many_that_we_begin_keep_nobody_away(void **state)
{
	CLEANUP(wg_config_done) struct wg_config config = { 0 };
	CLEANUP(late_done) struct late late;
	struct world *w = &late.world;
	struct wg_peer *peer;

	(void)state;
	own_until(&late, 30, 0);
	step(&late);
	for (uint32_t i = 0; i < 2 * WG_JOBS_MAX; i++) {
		struct wg_config_peer *dead;
		uint8_t key[WG_KEY_SIZE] = { 9, (uint8_t)i, (uint8_t)(i >> 8) };

		assert_int_equal(wg_config_add_peer(&config, key, &dead), 0);
		dead->has = WG_PEER_HAS_ENDPOINT | WG_PEER_HAS_KEEPALIVE;
		dead->endpoint = (struct endpoint){ ip_from_v4(0x0a630000 + i), 1, 0 };
		dead->keepalive_s = 25;
	}
	assert_int_equal(wg_device_configure(late.side->device, &config, w->now), 0);
	for (int i = 0; i < 1000; i++) {
		w->now.monotonic_ns += NS_PER_MS;
		wg_device_run_timers(late.side->device, w->now);
	}
	assert_int_equal(late.count, INITIATIONS_MAX);
	assert_true(late.side->device->loaded_until_ns == 0);

	/* The response to an earlier one, and somebody else's initiation. */
	world_deliver(w);
	assert_int_equal(late.count, INITIATIONS_MAX + 1);
	peer = side_peer(&w->sides[1]);
	peer_set_endpoint(peer, &w->sides[0].address);
	peer_initiate(peer, false, w->now);
	wg_device_run_timers(w->sides[1].device, w->now);
	world_deliver(w);
	assert_int_equal(late.count, INITIATIONS_MAX + 2);
	assert_int_equal(drops_of(&late).busy, 0);
}

static void an_attempt_takes_the_place_of_the_one_before(void **state)
{
	CLEANUP(late_done) struct late late;
	struct world *w = &late.world;

	(void)state;
	own_until(&late, 29, 0);
	step(&late);
	w->wire_count = 0;
	world_pass(w, REKEY_TIMEOUT + NS_PER_S);
	step(&late);
	assert_int_equal(late.side->device->indices.count, 1);
	world_deliver(w);
	step(&late);
	world_deliver(w);
	assert_int_equal(w->sides[1].received, 1);
}

/* A response to the attempt before ends the row: the one that is being computed is not sent. */
static void an_answer_makes_the_next_attempt_needless(void **state)
{
	CLEANUP(late_done) struct late late;
	struct wire_message response;
	struct world *w = &late.world;

	(void)state;
	own_until(&late, 27, 0);
	step(&late);
	side_receive(&w->sides[1], &w->sides[0].address, 0, w->wire[0].bytes, w->wire[0].size);
	response = w->wire[1];
	w->wire_count = 0;
	world_pass(w, REKEY_TIMEOUT + NS_PER_S);
	assert_int_equal(late.count, 1);
	side_receive(&w->sides[0], &w->sides[1].address, 0, response.bytes, response.size);
	assert_int_equal(late.count, 2);
	{ /* the response is ready first */
		struct wg_job *initiation = late.jobs[0];

		late.jobs[0] = late.jobs[1];
		late.jobs[1] = initiation;
	}
	step(&late);
	assert_int_equal(w->sides[0].sent[MESSAGE_INITIATION], 1);
	assert_nobody_waits(&late);
	world_deliver(w);
	assert_int_equal(w->sides[1].received, 1);
}

/* A key of low order is found out once, and told. */
static void no_handshake_with_a_key_of_low_order(void **state)
{
	CLEANUP(wg_config_done) struct wg_config config = { 0 };
	CLEANUP(late_done) struct late late;
	const uint8_t low[WG_KEY_SIZE] = { 1 };
	struct wg_config_peer *peer;
	struct world *w = &late.world;

	(void)state;
	late_init(&late, 0, 28);
	assert_int_equal(wg_config_add_peer(&config, low, &peer), 0);
	peer->has = WG_PEER_HAS_ENDPOINT | WG_PEER_HAS_KEEPALIVE;
	peer->endpoint = w->sides[1].address;
	peer->keepalive_s = 1;
	assert_int_equal(wg_device_configure(late.side->device, &config, w->now), 0);
	world_pass(w, NS_PER_MS);
	assert_int_equal(late.count, 1);
	step(&late);
	assert_int_equal(drops_of(&late).bad_key, 1);
	world_pass(w, 2 * REKEY_TIMEOUT);
	assert_int_equal(late.count, 0);
	assert_in_range(drops_of(&late).bad_key, 2, 3);
	assert_int_equal(w->sides[0].sent[MESSAGE_INITIATION], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_may_come_late),
		cmocka_unit_test(the_key_may_change_meanwhile),
		cmocka_unit_test(the_peer_may_go_meanwhile),
		cmocka_unit_test(nobody_is_answered_where_the_link_went),
		cmocka_unit_test(the_preshared_key_may_change_meanwhile),
		cmocka_unit_test(one_of_many_is_answered),
		cmocka_unit_test(they_are_bounded),
		cmocka_unit_test(waiting_answers_are_load),
		cmocka_unit_test(batches_are_mixed),
		cmocka_unit_test(our_handshake_may_come_late),
		cmocka_unit_test(our_key_may_change_meanwhile),
		cmocka_unit_test(whom_we_speak_to_may_go_meanwhile),
		cmocka_unit_test(the_link_may_go_meanwhile),
		cmocka_unit_test(a_response_with_the_former_preshared_key),
		cmocka_unit_test(a_forged_response_does_no_harm),
		cmocka_unit_test(a_slow_attempt_is_waited_for),
		cmocka_unit_test(many_that_we_begin_keep_nobody_away),
		cmocka_unit_test(an_attempt_takes_the_place_of_the_one_before),
		cmocka_unit_test(an_answer_makes_the_next_attempt_needless),
		cmocka_unit_test(no_handshake_with_a_key_of_low_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
