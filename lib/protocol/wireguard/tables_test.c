/* The index table and the limiter, against what is obvious. */
#include "base/clock.h"
#include "base/secret.h"
#include "wireguard/index_table.h"
#include "wireguard/limiter.h"

#include "base/test.h"

/* Few numbers, so that they collide and form runs. */
static void small_random(void *context, void *to, size_t size)
{
	uint32_t value = (uint32_t)random() % 1500;

	(void)context;
	memcpy(to, &value, size);
}

static void indices_are_found_until_removed(void **state)
{
	CLEANUP(index_table_done) struct index_table table = { 0 };
	static struct session *sessions[1500];
	size_t count = 0;

	(void)state;
	srandom(1);
	assert_null(index_table_find(&table, 0));
	index_table_remove(&table, 0);
	for (int i = 0; i < 100000; i++) {
		uint32_t index = (uint32_t)random() % 1500;

		if (random() % 2 && count < 1000) {
			struct session *mark = (struct session *)(uintptr_t)(i + 1);

			assert_int_equal(
				index_table_add(&table, NULL, mark, small_random, NULL, &index), 0);
			assert_true(index != 0 && !sessions[index]);
			sessions[index] = mark;
			count++;
		} else if (sessions[index]) {
			index_table_remove(&table, index);
			sessions[index] = NULL;
			count--;
		}
		index = (uint32_t)random() % 1500;
		if (sessions[index])
			assert_ptr_equal(index_table_find(&table, index)->session, sessions[index]);
		else
			assert_null(index_table_find(&table, index));
	}
	assert_int_equal(table.count, count);
}

static void a_source_gets_its_rate(void **state)
{
	CLEANUP(limiter_done) struct limiter limiter = { 0 };
	const uint64_t seed[2] = { 3, 4 };
	struct ip_address source = ip_from_v4(0x0a000001);
	struct ip_address other = ip_from_v4(0x0a000002);
	uint64_t now = 1000 * NS_PER_S;
	size_t allowed = 0;

	(void)state;
	assert_int_equal(limiter_init(&limiter, seed), 0);
	for (int i = 0; i < 100; i++)
		allowed += limiter_allow(&limiter, &source, now);
	assert_int_equal(allowed, LIMITER_BURST);
	assert_true(limiter_allow(&limiter, &other, now));
	for (int i = 0; i < 10000; i++) {
		now += NS_PER_MS;
		allowed += limiter_allow(&limiter, &source, now);
	}
	assert_int_equal(allowed, LIMITER_BURST + 10 * LIMITER_PER_SECOND);
}

static void an_ipv6_network_is_one_source(void **state)
{
	CLEANUP(limiter_done) struct limiter limiter = { 0 };
	const uint64_t seed[2] = { 3, 4 };
	struct ip_address source;
	size_t allowed = 0;

	(void)state;
	assert_int_equal(limiter_init(&limiter, seed), 0);
	assert_int_equal(ip_parse("2001:db8::1", &source), 0);
	for (uint8_t i = 0; i < 100; i++) {
		source.bytes[15] = i;
		allowed += limiter_allow(&limiter, &source, NS_PER_S);
	}
	assert_int_equal(allowed, LIMITER_BURST);
	source.bytes[7] = 1;
	assert_true(limiter_allow(&limiter, &source, NS_PER_S));
}

/* More sources than there is room for: some are refused, none gets more than its share. */
static void the_limiter_does_not_grow(void **state)
{
	CLEANUP(limiter_done) struct limiter limiter = { 0 };
	const uint64_t seed[2] = { UINT64_C(0x123456789abcdef1), UINT64_C(0xfedcba9876543210) };
	size_t allowed = 0;

	(void)state;
	assert_int_equal(limiter_init(&limiter, seed), 0);
	for (uint32_t i = 0; i < 4 * LIMITER_ENTRIES; i++) {
		struct ip_address source = ip_from_v4(i);

		allowed += limiter_allow(&limiter, &source, NS_PER_S);
	}
	assert_in_range(allowed, LIMITER_ENTRIES * 9 / 10, LIMITER_ENTRIES);
	for (uint32_t i = 0; i < 100; i++) { /* later all places are free again */
		struct ip_address source = ip_from_v4(i << 16);

		assert_true(limiter_allow(&limiter, &source, 2 * NS_PER_S));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(indices_are_found_until_removed),
		cmocka_unit_test(a_source_gets_its_rate),
		cmocka_unit_test(an_ipv6_network_is_one_source),
		cmocka_unit_test(the_limiter_does_not_grow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
