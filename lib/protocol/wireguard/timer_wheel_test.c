/* The timing wheel against a plain array of deadlines, and what its bounds promise. */
#include "wireguard/timer_wheel.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/clock.h"

#include "base/test.h"

#define NODES 100
#define DAY (24 * 3600 * NS_PER_S)

struct model {
	struct timer_wheel wheel;
	struct timer_node nodes[NODES];
	uint64_t deadlines[NODES];
	uint64_t now;
};

static void model_init(struct model *m, uint64_t now)
{
	timer_wheel_init(&m->wheel);
	for (size_t i = 0; i < NODES; i++) {
		timer_node_init(&m->nodes[i]);
		m->deadlines[i] = TIMER_NEVER;
	}
	m->now = now;
}

static void model_set(struct model *m, size_t i, uint64_t at)
{
	timer_wheel_set(&m->wheel, &m->nodes[i], at);
	m->deadlines[i] = at;
	assert_int_equal(m->nodes[i].at_ns, at);
}

static uint64_t random_u64(void)
{
	return (uint64_t)random() << 33 ^ (uint64_t)random() << 11 ^ (uint64_t)random();
}

/* Of any magnitude: each number of bits is as likely as any other. */
static uint64_t random_distance(uint64_t most)
{
	uint64_t distance = random_u64() >> random() % 64;

	return distance < most ? distance : most;
}

/* The first tick that is not before, as a time. */
static uint64_t rounded_up(uint64_t ns)
{
	return (ns + NS_PER_MS - 1) / NS_PER_MS * NS_PER_MS;
}

static uint64_t earliest(const struct model *m)
{
	uint64_t least = TIMER_NEVER;

	for (size_t i = 0; i < NODES; i++)
		if (m->deadlines[i] < least)
			least = m->deadlines[i];
	return least == TIMER_NEVER ? TIMER_NEVER : rounded_up(least);
}

/* All that are due come, and none of the others. */
static void take_due(struct model *m)
{
	struct timer_node *node;

	while ((node = timer_wheel_due(&m->wheel, m->now))) {
		size_t i = (size_t)(node - m->nodes);

		assert_true(i < NODES);
		assert_true(m->deadlines[i] <= m->now);
		assert_ptr_equal(timer_wheel_due(&m->wheel, m->now), node);
		model_set(m, i, TIMER_NEVER);
	}
	for (size_t i = 0; i < NODES; i++)
		assert_true(m->deadlines[i] == TIMER_NEVER || rounded_up(m->deadlines[i]) > m->now);
}

static void change_something(struct model *m, uint64_t horizon)
{
	size_t i = (size_t)random() % NODES;

	switch (random() % 4) {
	case 0:
		model_set(m, i, TIMER_NEVER);
		break;
	case 1: /* in the past, or now */
		model_set(m, i, m->now - random_distance(m->now));
		break;
	default:
		model_set(m, i, m->now + random_distance(horizon));
	}
}

static void random_changes(unsigned seed, uint64_t start, uint64_t horizon)
{
	static struct model m;

	srandom(seed);
	model_init(&m, start);
	for (int round = 0; round < 3000; round++) {
		uint64_t deadline;

		for (int changes = (int)(random() % 16); changes > 0; changes--)
			change_something(&m, horizon);
		deadline = timer_wheel_deadline(&m.wheel);
		if (earliest(&m) > m.now)
			assert_true(deadline <= earliest(&m));
		else
			assert_true(deadline <= rounded_up(m.now));
		if (random() % 4 && deadline != TIMER_NEVER)
			m.now = deadline > m.now ? deadline : m.now;
		else
			m.now += random_distance(horizon);
		take_due(&m);
		assert_true(timer_wheel_deadline(&m.wheel) > m.now);
	}
}

static void what_is_due_comes_and_nothing_else(void **state)
{
	(void)state;
	random_changes(1, 1, 100 * NS_PER_MS); /* the lowest levels, again and again */
	random_changes(2, 5 * DAY + 12345, 300 * NS_PER_S); /* what WireGuard does */
	random_changes(3, 5 * DAY + 12345, 100 * DAY);
	random_changes(4, 0, UINT64_MAX / 10000); /* every level */
}

/* Nobody is woken for slots: only at deadlines, or once where one was taken away. */
static void wakes_are_for_deadlines_only(void **state)
{
	static struct model m;
	uint64_t start = 77 * DAY + 1;

	(void)state;
	srandom(5);
	model_init(&m, start);
	for (int round = 0; round < 3000; round++) {
		model_set(&m, (size_t)random() % NODES, m.now + random_distance(DAY));
		if (random() % 2)
			continue;
		for (int wakes = 0; timer_wheel_deadline(&m.wheel) < earliest(&m); wakes++) {
			assert_true(wakes < 2); /* one node was moved since the last time, or two */
			m.now = timer_wheel_deadline(&m.wheel);
			assert_null(timer_wheel_due(&m.wheel, m.now));
		}
		assert_int_equal(timer_wheel_deadline(&m.wheel), earliest(&m));
		m.now = m.now > earliest(&m) ? m.now : earliest(&m);
		take_due(&m);
	}
	for (size_t i = 0; i < NODES; i++)
		model_set(&m, i, TIMER_NEVER);
	assert_int_equal(timer_wheel_deadline(&m.wheel), TIMER_NEVER);
}

static void a_deadline_is_not_early_and_less_than_a_tick_late(void **state)
{
	static struct timer_wheel wheel;
	struct timer_node node;
	const uint64_t at = 1000 * NS_PER_S + 1;

	(void)state;
	timer_wheel_init(&wheel);
	timer_node_init(&node);
	assert_int_equal(timer_wheel_deadline(&wheel), TIMER_NEVER);
	assert_null(timer_wheel_due(&wheel, at));
	timer_wheel_set(&wheel, &node, at);
	assert_int_equal(timer_wheel_deadline(&wheel), at - 1 + NS_PER_MS);
	assert_null(timer_wheel_due(&wheel, at - 2 + NS_PER_MS));
	assert_ptr_equal(timer_wheel_due(&wheel, at - 1 + NS_PER_MS), &node);
	assert_ptr_equal(timer_wheel_due(&wheel, 0), &node); /* the clock goes back */
	timer_wheel_set(&wheel, &node, 0); /* in the past */
	assert_true(timer_wheel_deadline(&wheel) <= at + NS_PER_MS);
	assert_ptr_equal(timer_wheel_due(&wheel, at + NS_PER_MS), &node);
	timer_wheel_set(&wheel, &node, TIMER_NEVER - 1);
	assert_int_equal(timer_wheel_deadline(&wheel), TIMER_NEVER);
	assert_null(timer_wheel_due(&wheel, UINT64_MAX));
	timer_wheel_set(&wheel, &node, UINT64_MAX - NS_PER_MS);
	assert_ptr_equal(timer_wheel_due(&wheel, UINT64_MAX), &node);
}

/* Work that is bounded in each round must not leave the same ones behind for ever. */
static void none_that_is_due_waits_for_later_ones(void **state)
{
	static struct model m;

	(void)state;
	model_init(&m, 1000 * NS_PER_S);
	for (size_t i = 0; i < NODES; i++)
		model_set(&m, i, m.now);
	assert_ptr_equal(timer_wheel_due(&m.wheel, m.now), &m.nodes[0]);
	for (size_t i = 0; i < 10 * NODES; i++) {
		struct timer_node *node = timer_wheel_due(&m.wheel, m.now);

		assert_ptr_equal(node, &m.nodes[i % NODES]);
		model_set(&m, i % NODES, m.now);
		m.now += i % 3 * NS_PER_MS;
	}
}

/* A clock that jumps must not have the wheel pass each tick: that would take far longer than any test. */
static void jumps_of_the_clock_cost_nothing(void **state)
{
	static struct model m;

	(void)state;
	model_init(&m, 0);
	for (int i = 0; i < 1000; i++) {
		for (size_t j = 0; j < NODES; j++)
			model_set(&m, j, m.now + j * DAY / NODES);
		m.now += 365 * DAY / 10;
		take_due(&m);
		assert_int_equal(timer_wheel_deadline(&m.wheel), TIMER_NEVER);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_due_comes_and_nothing_else),
		cmocka_unit_test(wakes_are_for_deadlines_only),
		cmocka_unit_test(a_deadline_is_not_early_and_less_than_a_tick_late),
		cmocka_unit_test(none_that_is_due_waits_for_later_ones),
		cmocka_unit_test(jumps_of_the_clock_cost_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
