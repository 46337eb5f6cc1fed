/* Answers that are computed later than they were asked for: what may change meanwhile. */
#include "wireguard/device_test.h"

#include "base/test.h"

/* Side 1 hands its answers out to here. */
struct late {
	struct world world;
	struct wg_answer *answers[WG_ANSWERS_MAX];
	size_t count;
	size_t most; /* that ever were out */
};

static void on_compute(void *context, struct wg_answer *answer)
{
	struct side *side = context;
	struct late *late = container_of(side->world, struct late, world);

	assert_true(late->count < WG_ANSWERS_MAX);
	late->answers[late->count++] = answer;
	if (late->count > late->most)
		late->most = late->count;
}

static void late_init(struct late *late, uint64_t seed)
{
	static const struct wg_device_ops ops = { .send = side_send,
						  .random = side_random,
						  .compute = on_compute };
	struct world *w = &late->world;

	late->count = late->most = 0;
	world_init_empty(w, seed);
	wg_device_free(w->sides[1].device);
	assert_int_equal(wg_device_new(&ops, &w->sides[1], w->now, &w->sides[1].device), 0);
	wg_device_set_up(w->sides[1].device, true, w->now);
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

	wg_device_drops(late->world.sides[1].device, &drops);
	return drops;
}

/* Computes what is out by now and gives it back. */
static void step(struct late *late)
{
	struct wg_answer *answers[WG_ANSWERS_MAX];
	size_t count = late->count;

	memcpy(answers, late->answers, sizeof(answers));
	late->count = 0;
	wg_answers_compute(answers, count);
	for (size_t i = 0; i < count; i++)
		wg_device_take_answer(late->world.sides[1].device, answers[i], late->world.now);
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

static void configure_peer(struct late *late, unsigned has, uint8_t preshared_key)
{
	CLEANUP(wg_config_done) struct wg_config config = { 0 };
	struct world *w = &late->world;
	struct wg_config_peer *peer;

	assert_int_equal(wg_config_add_peer(&config, w->sides[0].public_key, &peer), 0);
	peer->has = has;
	peer->preshared_key[0] = preshared_key;
	assert_int_equal(wg_device_configure(w->sides[1].device, &config, w->now), 0);
}

static void change_identity(struct late *late)
{
	CLEANUP(wg_config_done)
	struct wg_config config = { .has = WG_HAS_PRIVATE_KEY, .private_key = { 7 } };

	assert_int_equal(wg_device_configure(late->world.sides[1].device, &config, late->world.now),
			 0);
}

static void an_answer_may_come_late(void **state)
{
	CLEANUP(late_done) struct late late;
	struct world *w = &late.world;

	(void)state;
	late_init(&late, 1);
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
	late_init(late, seed);
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
	late_init(&late, 5);
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
	late_init(&late, 6);
	m = begin(&late);
	memcpy(&initiation, m.bytes + 8, sizeof(initiation));
	for (int i = 0; i < 2 * WG_ANSWERS_MAX; i++)
		device_answer(w->sides[1].device, &m.to, 1, &initiation, w->now);
	assert_int_equal(late.most, WG_ANSWERS_MAX);
	assert_int_equal(drops_of(&late).busy, WG_ANSWERS_MAX + 1);
}

/* Many that wait are load: strangers have to prove their addresses. */
static void waiting_answers_are_load(void **state)
{
	CLEANUP(late_done) struct late late;
	struct world *w = &late.world;
	struct wire_message m;

	(void)state;
	late_init(&late, 7);
	m = begin(&late);
	for (int i = 0; i < WG_ANSWERS_MAX; i++) {
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

		late_init(&late, 8);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_may_come_late),
		cmocka_unit_test(the_key_may_change_meanwhile),
		cmocka_unit_test(the_peer_may_go_meanwhile),
		cmocka_unit_test(the_preshared_key_may_change_meanwhile),
		cmocka_unit_test(one_of_many_is_answered),
		cmocka_unit_test(they_are_bounded),
		cmocka_unit_test(waiting_answers_are_load),
		cmocka_unit_test(batches_are_mixed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
