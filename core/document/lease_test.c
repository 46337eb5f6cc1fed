/* Leases: what is granted, what is left of it, here and after a restart of the machine. */
#include "document/lease.h"

#include <netinet/in.h>
#include <string.h>

#include "base/test.h"

static const uint8_t nonce[LEASE_NONCE_SIZE] = { 1, 2, 3 };
static const uint8_t other_nonce[LEASE_NONCE_SIZE] = { 3, 2, 1 };
static const struct lease_clock start = { "0badcafe", 1000, 1800000000 };

static struct lease_clock later(uint64_t seconds)
{
	struct lease_clock clock = start;

	clock.uptime_s += seconds;
	clock.unix_s += seconds;
	return clock;
}

/* The machine was off for so long, and runs for a minute. */
static struct lease_clock rebooted(int64_t seconds)
{
	struct lease_clock clock = { "deadbeef", 60, start.unix_s };

	clock.unix_s += (uint64_t)seconds;
	return clock;
}

static json_t *granted(uint8_t protocol, uint32_t seconds)
{
	const struct lease_grant grant = { LEASE_PCP, protocol, seconds, nonce };
	json_t *lease = lease_with(NULL, &grant, &start);

	assert_non_null(lease);
	return lease;
}

static void it_ends_when_its_time_is_over(void **state)
{
	json_t *lease = granted(IPPROTO_TCP, 120);
	struct lease_clock now = later(119);

	assert_int_equal(lease_left(lease, &start), 120);
	assert_int_equal(lease_left(lease, &now), 1);
	assert_true(lease_holds(lease, IPPROTO_TCP, &now));
	assert_false(lease_holds(lease, IPPROTO_UDP, &now));
	now = later(120);
	assert_int_equal(lease_left(lease, &now), 0);
	assert_string_equal(json_string_value(json_object_get(lease, "via")), "pcp");
	json_decref(lease);
}

/* That the wall clock is set does not matter. */
static void the_wall_clock_may_jump(void **state)
{
	json_t *lease = granted(IPPROTO_TCP, 120);
	struct lease_clock now = later(20);

	now.unix_s += 1000000;
	assert_int_equal(lease_left(lease, &now), 100);
	now.unix_s -= 2000000;
	assert_int_equal(lease_left(lease, &now), 100);
	json_decref(lease);
}

static void it_outlives_a_reboot(void **state)
{
	json_t *lease = granted(IPPROTO_TCP, 120), *rebased;
	struct lease_clock now = rebooted(50);

	assert_true(lease_is_foreign(lease, &now));
	assert_int_equal(lease_left(lease, &now), 70);
	rebased = lease_rebased(lease, &now);
	assert_false(lease_is_foreign(rebased, &now));
	assert_true(lease_has_nonce(rebased, IPPROTO_TCP, nonce));
	now.unix_s += 1000000;
	now.uptime_s += 69;
	assert_int_equal(lease_left(rebased, &now), 1);
	json_decref(rebased);

	now = rebooted(120);
	assert_int_equal(lease_left(lease, &now), 0);
	rebased = lease_rebased(lease, &now);
	assert_true(json_is_null(rebased));
	json_decref(rebased);
	/* A clock that went back does not make it longer than it was granted for. */
	now = rebooted(-1000000);
	assert_int_equal(lease_left(lease, &now), 120);
	json_decref(lease);
}

static void it_lives_as_long_as_either_protocol(void **state)
{
	const struct lease_grant udp = { LEASE_NAT_PMP, IPPROTO_UDP, 600, NULL };
	json_t *tcp = granted(IPPROTO_TCP, 120), *both, *rest, *none;
	struct lease_clock now = later(300);

	both = lease_with(tcp, &udp, &start);
	assert_int_equal(lease_left(both, &now), 300);
	assert_int_equal(lease_protocol_left(both, IPPROTO_TCP, &now), 0);
	assert_int_equal(lease_protocol_left(both, IPPROTO_TCP, &start), 120);
	assert_true(lease_has_nonce(both, IPPROTO_TCP, nonce));
	assert_false(lease_has_nonce(both, IPPROTO_TCP, other_nonce));
	assert_false(lease_has_nonce(both, IPPROTO_UDP, nonce));
	rest = lease_without(both, IPPROTO_UDP);
	assert_int_equal(lease_left(rest, &start), 120);
	none = lease_without(rest, IPPROTO_TCP);
	assert_true(json_is_null(none));
	json_decref(none);
	json_decref(rest);
	json_decref(both);
	json_decref(tcp);
}

static void some_have_no_end(void **state)
{
	json_t *lease = granted(IPPROTO_TCP, 0);
	struct lease_clock now = rebooted(100000000);

	assert_true(lease_left(lease, &now) == LEASE_ENDLESS);
	assert_false(lease_is_foreign(lease, &now));
	json_decref(lease);
	assert_true(lease_left(NULL, &now) == LEASE_ENDLESS);
	assert_true(lease_left(json_null(), &now) == LEASE_ENDLESS);
}

static void a_clock_is_read(void **state)
{
	struct lease_clock one, other;

	lease_clock_read(&one);
	lease_clock_read(&other);
	assert_int_equal(strlen(one.boot), LEASE_BOOT_SIZE - 1);
	assert_string_equal(one.boot, other.boot);
	assert_true(other.uptime_s >= one.uptime_s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_ends_when_its_time_is_over),
		cmocka_unit_test(the_wall_clock_may_jump),
		cmocka_unit_test(it_outlives_a_reboot),
		cmocka_unit_test(it_lives_as_long_as_either_protocol),
		cmocka_unit_test(some_have_no_end),
		cmocka_unit_test(a_clock_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
