/*
 * The first allocation fails, then the second, and so on: what fails says so, and changes nothing
 *
 * Replaces malloc() for this program, which sanitizers do themselves: under them it tests nothing.
 */
#include "netstate/netd_protocol.h"
#include "network/plan.h"
#include "network/ruleset.h"

#include "base/test.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED
#endif

static long countdown = -1; /* allocations until one fails; -1: none does */

#ifndef SANITIZED
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

static bool fails(void)
{
	return countdown >= 0 && countdown-- == 0;
}

void *malloc(size_t size)
{
	return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
	return fails() ? NULL : __libc_realloc(old, size);
}
#endif

#define COUNT 40

static struct net_item nth(unsigned n)
{
	return (struct net_item){ .kind = NET_FORWARD,
				  .forward = { 0xC6120002, (uint16_t)(1000 + n), 1, 0x0A3B0002,
					       (uint16_t)n } };
}

static void fill(struct net_set *set, unsigned from, unsigned to)
{
	for (unsigned n = from; n < to; n++) {
		struct net_item item = nth(n);

		assert_int_equal(net_set_append(set, &item), 0);
	}
	net_set_sort(set);
}

static void assert_holds(const struct net_set *set, unsigned from, unsigned to)
{
	assert_int_equal(set->count, to - from);
	for (unsigned n = from; n < to; n++) {
		struct net_item item = nth(n);

		assert_true(net_set_contains(set, &item));
	}
}

/* Runs @attempt with its n-th allocation failing, until it has so few that it succeeds. */
static void with_each_failing(int (*attempt)(void))
{
#ifdef SANITIZED
	skip();
#endif
	for (long n = 0; n < 10000; n++) {
		int r;

		countdown = n;
		r = attempt();
		countdown = -1;
		if (r == 0) {
			assert_true(n > 0);
			return;
		}
		assert_int_equal(r, -ENOMEM);
	}
	fail();
}

static int change_a_set(void)
{
	CLEANUP(net_set_done) struct net_set set = { 0 };
	CLEANUP(net_set_done) struct net_set remove = { 0 };
	CLEANUP(net_set_done) struct net_set add = { 0 };
	long saved = countdown;
	int r;

	countdown = -1;
	fill(&set, 0, COUNT);
	fill(&remove, 0, 10);
	fill(&add, COUNT, 3 * COUNT);
	countdown = saved;
	r = net_set_change(&set, &remove, &add);
	countdown = -1;
	if (r < 0)
		assert_holds(&set, 0, COUNT);
	else
		assert_holds(&set, 10, 3 * COUNT);
	return r;
}

static int send_a_change(void)
{
	CLEANUP(net_set_done) struct net_set set = { 0 };
	CLEANUP(net_set_done) struct net_set remove = { 0 };
	CLEANUP(net_set_done) struct net_set add = { 0 };
	CLEANUP(text_done) struct text text = { 0 };
	struct netd_frame frame;
	long saved = countdown;
	int r;

	countdown = -1;
	fill(&set, 0, COUNT);
	countdown = saved;
	netd_write_change(&text, 1, &set, &set);
	if (text_error(&text) < 0)
		return text_error(&text);
	assert_true(netd_frame_parse((const uint8_t *)text.data, text.size, &frame) > 0);
	r = netd_parse_change(&frame, &remove, &add);
	countdown = -1;
	assert_holds(&remove, 0, r < 0 ? 0 : COUNT);
	assert_holds(&add, 0, r < 0 ? 0 : COUNT);
	return r;
}

static int plan_and_reverse(void)
{
	CLEANUP(net_set_done) struct net_set items = { 0 };
	CLEANUP(fact_set_done) struct fact_set wanted = { 0 };
	CLEANUP(plan_done) struct plan plan = { 0 };
	CLEANUP(plan_done) struct plan reversed = { 0 };
	const struct fact_set none = { 0 };
	long saved = countdown;
	int r;

	countdown = -1;
	fill(&items, 0, COUNT);
	countdown = saved;
	r = facts_expand(&items, 1420, &wanted, NULL);
	if (r == 0)
		r = plan_make(&none, &wanted, &plan);
	if (r == 0)
		r = plan_reverse(&plan, &reversed);
	assert_int_equal(reversed.count, r < 0 ? 0 : 3 * COUNT);
	return r;
}

static int write_the_rules(void)
{
	CLEANUP(net_set_done) struct net_set items = { 0 };
	CLEANUP(fact_set_done) struct fact_set wanted = { 0 };
	CLEANUP(text_done) struct text text = { 0 };
	long saved = countdown;

	countdown = -1;
	fill(&items, 0, COUNT);
	assert_int_equal(facts_expand(&items, 1420, &wanted, NULL), 0);
	countdown = saved;
	ruleset_write(&text, &wanted, NULL);
	return text_error(&text);
}

static void a_set_changes_whole_or_not_at_all(void **state)
{
	(void)state;
	with_each_failing(change_a_set);
}

static void a_request_is_there_whole_or_not_at_all(void **state)
{
	(void)state;
	with_each_failing(send_a_change);
}

static void a_plan_is_there_whole_or_not_at_all(void **state)
{
	(void)state;
	with_each_failing(plan_and_reverse);
}

static void rules_are_there_whole_or_not_at_all(void **state)
{
	(void)state;
	with_each_failing(write_the_rules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_set_changes_whole_or_not_at_all),
		cmocka_unit_test(a_request_is_there_whole_or_not_at_all),
		cmocka_unit_test(a_plan_is_there_whole_or_not_at_all),
		cmocka_unit_test(rules_are_there_whole_or_not_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
