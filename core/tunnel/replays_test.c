/* Which signatures are kept, how long, and how many of each device. */
#include "tunnel/replays.h"

#include <errno.h>
#include <string.h>

#include "base/test.h"

static void write_mac(uint32_t number, uint8_t mac[DNS_TSIG_MAC_SIZE])
{
	memset(mac, 0, DNS_TSIG_MAC_SIZE);
	memcpy(mac, &number, sizeof(number));
}

/* Accepts a signature and answers what it signs. */
static int accept(struct replays *replays, uint32_t device, uint32_t number, uint64_t now_s,
		  uint64_t until_s)
{
	uint8_t mac[DNS_TSIG_MAC_SIZE];
	struct replay *replay;
	int r;

	write_mac(number, mac);
	r = replays_add(replays, device, mac, now_s, until_s, &replay);
	if (r == 0)
		replay_answered(replay);
	return r;
}

static void a_signature_counts_once(void **state)
{
	CLEANUP(replays_free) struct replays *replays = NULL;
	uint8_t mac[DNS_TSIG_MAC_SIZE];
	struct replay *replay, *other;

	(void)state;
	assert_int_equal(replays_new(&replays), 0);
	write_mac(7, mac);
	assert_int_equal(replays_add(replays, 1, mac, 100, 400, &replay), 0);
	assert_int_equal(replays_add(replays, 1, mac, 100, 400, &other), -EALREADY);
	assert_int_equal(accept(replays, 1, 8, 1000, 1300), 0); /* the first is still at work */
	assert_int_equal(replays_add(replays, 2, mac, 1000, 1300, &other), -EALREADY);
	replay_answered(replay);
	assert_int_equal(replays_add(replays, 1, mac, 1000, 1300, &other), -EEXIST);
	assert_int_equal(accept(replays, 1, 9, 1000, 1300), 0); /* and so the first is over */
	assert_int_equal(replays_add(replays, 1, mac, 1000, 1300, &replay), 0);
	replay_forget(replay);
	assert_int_equal(accept(replays, 1, 7, 1000, 1300), 0);
	assert_int_equal(accept(replays, 1, 7, 1300, 1600), -EEXIST);
}

/* Two updates for each of 256 names every 180 s, for hours, by a clock that is ahead. */
static void a_device_with_all_its_names_is_never_refused(void **state)
{
	CLEANUP(replays_free) struct replays *replays = NULL;
	uint32_t number = 0;

	(void)state;
	assert_int_equal(replays_new(&replays), 0);
	for (uint64_t now_s = 1000; now_s < 20000; now_s += 180)
		for (unsigned i = 0; i < 2 * 256; i++)
			assert_int_equal(accept(replays, 1, number++, now_s, now_s + 590), 0);
}

static void a_device_has_its_own_share(void **state)
{
	CLEANUP(replays_free) struct replays *replays = NULL;
	uint32_t number = 0;

	(void)state;
	assert_int_equal(replays_new(&replays), 0);
	for (uint32_t device = 1; device <= 6; device++) {
		/* The first is kept the longest, which does not keep the others. */
		assert_int_equal(accept(replays, device, number++, 100, 700), 0);
		for (unsigned i = 1; i < NAMES_DEVICE_REPLAYS_MAX; i++)
			assert_int_equal(accept(replays, device, number++, 100, 400), 0);
		assert_int_equal(accept(replays, device, number++, 400, 700), -EBUSY);
	}
	assert_int_equal(accept(replays, 7, number++, 400, 700), 0);
	assert_int_equal(accept(replays, 1, number++, 401, 700), 0);
	assert_int_equal(accept(replays, 1, 0, 401, 700), -EEXIST);
	assert_int_equal(accept(replays, 2, number++, 2000, 2300), 0); /* all are over */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_signature_counts_once),
		cmocka_unit_test(a_device_with_all_its_names_is_never_refused),
		cmocka_unit_test(a_device_has_its_own_share),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
