/* Plans against a model that is an array of values, one for each of a few keys. */
#include "network/plan.h"

#include "base/test.h"

#define KEYS 96
#define ROUNDS 2000

/* 0: the fact is not there. */
typedef uint8_t model[KEYS];

static struct fact nth(unsigned n, uint8_t value)
{
	return (struct fact){ .kind = (uint8_t)(FACT_FORWARD + n % 7),
			      .key = { 0, (uint8_t)n },
			      .value = { value } };
}

static void fill(struct fact_set *set, const model from, unsigned *seed)
{
	unsigned start = (unsigned)rand_r(seed) % KEYS;

	for (unsigned i = 0; i < KEYS; i++) {
		unsigned n = (start + i * 5) % KEYS; /* 5 and 96 have no common divisor */
		struct fact fact = nth(n, from[n]);

		if (from[n])
			fact_set_append(set, &fact);
	}
	assert_int_equal(fact_set_finish(set, NULL), 0);
}

static unsigned key_of(const struct fact *fact)
{
	return fact->key[1];
}

/* Does to the model what the change says, and insists that it can be done. */
static void do_change(model to, const struct change *change)
{
	unsigned n = key_of(change_fact(change));

	if (change->kind == CHANGE_ADD) {
		assert_int_equal(to[n], 0);
	} else {
		assert_int_equal(to[n], change->before.value[0]);
		assert_int_equal(key_of(&change->before), n);
	}
	to[n] = change->kind == CHANGE_REMOVE ? 0 : change->after.value[0];
}

static void apply(model to, const struct plan *plan)
{
	for (size_t i = 0; i < plan->count; i++)
		do_change(to, &plan->changes[i]);
}

static void plans_lead_there_and_back(void **state)
{
	unsigned seed = 20261121;

	(void)state;
	print_message("seed %u\n", seed);
	for (unsigned round = 0; round < ROUNDS; round++) {
		CLEANUP(fact_set_done) struct fact_set present = { 0 };
		CLEANUP(fact_set_done) struct fact_set wanted = { 0 };
		CLEANUP(plan_done) struct plan plan = { 0 };
		CLEANUP(plan_done) struct plan back = { 0 };
		model from, to, now;
		size_t differences = 0;

		for (unsigned n = 0; n < KEYS; n++) {
			from[n] = (uint8_t)(rand_r(&seed) % 3);
			to[n] = rand_r(&seed) % 2 ? from[n] : (uint8_t)(rand_r(&seed) % 3);
			now[n] = from[n];
			differences += from[n] != to[n];
		}
		fill(&present, from, &seed);
		fill(&wanted, to, &seed);
		assert_int_equal(plan_make(&present, &wanted, &plan), 0);
		assert_int_equal(plan.count, differences);
		apply(now, &plan);
		assert_memory_equal(now, to, sizeof(now));
		assert_int_equal(plan_reverse(&plan, &back), 0);
		apply(now, &back);
		assert_memory_equal(now, from, sizeof(now));
	}
}

static void nothing_is_no_plan(void **state)
{
	const struct fact_set none = { 0 };
	CLEANUP(plan_done) struct plan plan = { 0 };
	char text[PLAN_TEXT_MAX];

	(void)state;
	assert_int_equal(plan_make(&none, &none, &plan), 0);
	assert_int_equal(plan.count, 0);
	assert_null(plan_find(&plan, FACT_LINK));
	assert_string_equal(plan_format(&plan, text), "");
}

static void differences_are_told(void **state)
{
	static const uint8_t key[NET_KEY_SIZE] = { 1 }, no_address6[NET_ADDRESS6_SIZE];
	struct fact facts[] = { fact_of_address(0x0A3B0001, 24),
				fact_of_peer(key, key, 0x0A3B0002, no_address6) };
	struct fact_set one = { .facts = facts, .count = 1 }, two = { .facts = facts, .count = 2 };
	const struct fact_set none = { 0 };
	CLEANUP(plan_done) struct plan missing = { 0 };
	CLEANUP(plan_done) struct plan extra = { 0 };
	char text[PLAN_TEXT_MAX];

	(void)state;
	assert_int_equal(plan_make(&none, &two, &missing), 0);
	assert_string_equal(
		plan_format(&missing, text),
		"2 differences, first: address on wg-start-tunnel: 10.59.0.1/24 was missing");
	assert_int_equal(plan_make(&one, &none, &extra), 0);
	assert_string_equal(plan_format(&extra, text),
			    "address on wg-start-tunnel: 10.59.0.1/24 was not wanted");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plans_lead_there_and_back),
		cmocka_unit_test(nothing_is_no_plan),
		cmocka_unit_test(differences_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
