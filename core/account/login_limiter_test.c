#include "account/login_limiter.h"
#include "base/clock.h"
#include "base/test.h"

#define NOW (UINT64_C(1000) * NS_PER_S)

static int setup(void **state)
{
	struct login_limiter *limiter;

	assert_int_equal(login_limiter_new(&limiter), 0);
	*state = limiter;
	return 0;
}

static int teardown(void **state)
{
	(void)login_limiter_free(*state);
	return 0;
}

static struct ip_address address(const char *text)
{
	struct ip_address parsed;

	assert_int_equal(ip_parse(text, &parsed), 0);
	return parsed;
}

static bool take(struct login_limiter *limiter, const char *source, uint64_t now_ns)
{
	struct ip_address parsed = address(source);

	return login_limiter_take(limiter, &parsed, now_ns);
}

static void know(struct login_limiter *limiter, const char *source, uint64_t now_ns)
{
	struct ip_address parsed = address(source);

	login_limiter_know(limiter, &parsed, now_ns);
}

static unsigned take_many(struct login_limiter *limiter, const char *source, unsigned tries,
			  uint64_t now_ns)
{
	unsigned taken = 0;

	for (unsigned i = 0; i < tries; i++)
		taken += take(limiter, source, now_ns);
	return taken;
}

static void test_a_source_recovers(void **state)
{
	assert_int_equal(take_many(*state, "198.51.100.1", 100, NOW), LOGIN_SOURCE_BURST);
	assert_true(take(*state, "198.51.100.2", NOW));
	assert_false(take(*state, "198.51.100.1", NOW + LOGIN_SOURCE_INTERVAL_S * NS_PER_S - 1));
	assert_true(take(*state, "198.51.100.1", NOW + LOGIN_SOURCE_INTERVAL_S * NS_PER_S));
	assert_false(take(*state, "198.51.100.1", NOW + LOGIN_SOURCE_INTERVAL_S * NS_PER_S));
	assert_int_equal(take_many(*state, "198.51.100.1", 100, NOW + 3600 * NS_PER_S),
			 LOGIN_SOURCE_BURST);
}

static void test_refused_tries_do_not_add_up(void **state)
{
	assert_int_equal(take_many(*state, "198.51.100.1", 10000, NOW), LOGIN_SOURCE_BURST);
	assert_true(take(*state, "198.51.100.1", NOW + LOGIN_SOURCE_INTERVAL_S * NS_PER_S));
}

static void test_a_network_of_ipv6_is_one_source(void **state)
{
	unsigned taken = 0;
	char text[64];

	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(text, sizeof(text), "2001:db8:1:2:%x::1", i);
		taken += take(*state, text, NOW);
	}
	assert_int_equal(taken, LOGIN_SOURCE_BURST);
	assert_true(take(*state, "2001:db8:1:3::1", NOW));
}

static void test_ipv4_in_the_clothes_of_ipv6_is_itself(void **state)
{
	assert_int_equal(take_many(*state, "198.51.100.1", 100, NOW), LOGIN_SOURCE_BURST);
	assert_false(take(*state, "::ffff:198.51.100.1", NOW));
	assert_true(take(*state, "::ffff:198.51.100.2", NOW));
}

/* Many addresses do not help: all strangers share what is left. */
static void test_all_sources_together_are_limited_and_recover(void **state)
{
	unsigned taken = 0;
	char text[64];

	for (unsigned i = 0; i < 10000; i++) {
		(void)snprintf(text, sizeof(text), "10.%u.%u.1", i / 256, i % 256);
		taken += take(*state, text, NOW);
	}
	assert_int_equal(taken, LOGIN_GLOBAL_BURST);
	assert_false(take(*state, "192.0.2.1", NOW));
	assert_true(take(*state, "192.0.2.1", NOW + LOGIN_GLOBAL_INTERVAL_S * NS_PER_S));
}

static void test_known_sources_keep_their_own_tries(void **state)
{
	char text[64];

	know(*state, "203.0.113.9", NOW);
	for (unsigned i = 0; i < 10000; i++) {
		(void)snprintf(text, sizeof(text), "10.%u.%u.1", i / 256, i % 256);
		(void)take(*state, text, NOW);
	}
	assert_false(take(*state, "192.0.2.1", NOW));
	assert_int_equal(take_many(*state, "203.0.113.9", 100, NOW), LOGIN_SOURCE_BURST);
	assert_int_equal(take_many(*state, "127.0.0.1", 100, NOW), LOGIN_SOURCE_BURST);
	assert_int_equal(take_many(*state, "::1", 100, NOW), LOGIN_SOURCE_BURST);
}

static void test_known_for_30_days(void **state)
{
	struct ip_address source = address("203.0.113.9");
	uint64_t end = NOW + LOGIN_KNOWN_S * NS_PER_S;

	assert_false(login_limiter_knows(*state, &source, NOW));
	know(*state, "203.0.113.9", NOW);
	assert_true(login_limiter_knows(*state, &source, end - 1));
	assert_false(login_limiter_knows(*state, &source, end));
}

/* Who shares an address with the owner gets no more tries by what the owner does. */
static void test_being_known_fills_no_bucket(void **state)
{
	assert_int_equal(take_many(*state, "203.0.113.9", 100, NOW), LOGIN_SOURCE_BURST);
	know(*state, "203.0.113.9", NOW);
	assert_false(take(*state, "203.0.113.9", NOW));
}

static void test_success_costs_nothing(void **state)
{
	struct ip_address source = address("203.0.113.9");

	for (unsigned i = 0; i < 1000; i++) {
		assert_true(login_limiter_take(*state, &source, NOW));
		login_limiter_give_back(*state, &source, NOW);
	}
	assert_int_equal(take_many(*state, "203.0.113.9", 100, NOW), LOGIN_SOURCE_BURST);
	assert_int_equal(take_many(*state, "203.0.113.8", 100, NOW), LOGIN_SOURCE_BURST);
}

/* The oldest strangers are forgotten, the known ones are not. */
static void test_sources_are_bounded(void **state)
{
	struct ip_address source = address("203.0.113.9");
	char text[64];

	know(*state, "203.0.113.9", NOW);
	for (unsigned i = 0; i < 4 * LOGIN_SOURCES_MAX; i++) {
		(void)snprintf(text, sizeof(text), "2001:db8:%x::1", i);
		(void)take(*state, text, NOW);
	}
	assert_true(login_limiter_knows(*state, &source, NOW));
	for (unsigned i = 0; i < 2 * LOGIN_SOURCES_MAX; i++) {
		(void)snprintf(text, sizeof(text), "2001:db8:%x::1", i);
		know(*state, text, NOW);
	}
	assert_false(login_limiter_knows(*state, &source, NOW));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_source_recovers),
		TEST(test_refused_tries_do_not_add_up),
		TEST(test_a_network_of_ipv6_is_one_source),
		TEST(test_ipv4_in_the_clothes_of_ipv6_is_itself),
		TEST(test_all_sources_together_are_limited_and_recover),
		TEST(test_known_sources_keep_their_own_tries),
		TEST(test_known_for_30_days),
		TEST(test_being_known_fills_no_bucket),
		TEST(test_success_costs_nothing),
		TEST(test_sources_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
