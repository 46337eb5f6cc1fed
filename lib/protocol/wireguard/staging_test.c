/* Packets that wait for sessions: how much memory they take, and which of them go when that is too much. */
#include <malloc.h>

#include "wireguard/device_test.h"

#include "base/test.h"

#define PEERS 300
#define SIZE 1400
#define SLACK (256 << 10) /* what malloc() keeps beside */

static struct wg_peer *peers[PEERS];

static struct wg_device_drops drops_of(const struct wg_device *device)
{
	struct wg_device_drops drops;

	wg_device_drops(device, &drops);
	return drops;
}

/* Peers that somebody can be sent to, but that nobody answers for. */
static void add_peers(struct world *w)
{
	CLEANUP(wg_config_done) struct wg_config config = { 0 };
	struct wg_device *device = w->sides[0].device;

	for (uint32_t i = 0; i < PEERS; i++) {
		uint8_t key[WG_KEY_SIZE] = { (uint8_t)i, (uint8_t)(i >> 8), 1 };
		struct wg_config_peer *peer;

		assert_int_equal(wg_config_add_peer(&config, key, &peer), 0);
		peer->has |= WG_PEER_HAS_ENDPOINT;
		peer->endpoint = w->sides[1].address;
	}
	assert_int_equal(wg_device_configure(device, &config, w->now), 0);
	for (uint32_t i = 0; i < PEERS; i++)
		peers[i] = map_get(&device->peers_by_key, config.peers[i].public_key, WG_KEY_SIZE);
}

static void stage(struct world *w, struct wg_peer *peer, size_t size)
{
	static uint8_t bytes[WG_HEADROOM + SIZE + WG_TAILROOM];
	struct wg_buffer buffer = { .data = bytes + WG_HEADROOM, .size = size };

	assert_int_equal(wg_peer_seal(peer, &buffer, 1, TEST_MTU, w->now), WG_STAGED);
}

static size_t count_staged(void)
{
	size_t count = 0;

	for (size_t i = 0; i < PEERS; i++)
		count += peers[i]->staged.count;
	return count;
}

static void all_peers_together_keep_to_a_bound(void **state)
{
	static const size_t sizes[] = { SIZE, 28, 1, 700 };
	CLEANUP(world_done) struct world w;
	const struct wg_device *device;

	(void)state;
	world_init_empty(&w, 1);
	device = w.sides[0].device;
	add_peers(&w);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint64_t dropped = drops_of(device).staged_overflow;
		size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
		size_t staged = 0;

		for (size_t p = 0; p < PEERS; p++) {
			for (size_t n = 0; n < WG_STAGED_MAX; n++, staged++) {
				stage(&w, peers[p], sizes[i]);
				assert_true(device->staged_bytes <= WG_STAGED_BYTES_MAX);
			}
		}
		assert_true(mallinfo2().uordblks + mallinfo2().hblkhd <=
			    before + WG_STAGED_BYTES_MAX + SLACK);
		assert_int_equal(count_staged() + drops_of(device).staged_overflow - dropped,
				 staged);
		assert_int_equal(peers[PEERS - 1]->staged.count, WG_STAGED_MAX);
		for (size_t p = 0; p < PEERS; p++)
			peer_drop_staged(peers[p]);
		assert_int_equal(device->staged_bytes, 0);
		assert_true(list_empty(&device->staged));
	}
	assert_true(drops_of(device).staged_overflow > 0);
	assert_int_equal(drops_of(device).no_memory, 0);
}

static void the_oldest_go_first(void **state)
{
	CLEANUP(world_done) struct world w;
	const struct wg_device_drops *drops;
	size_t gone = 0;

	(void)state;
	world_init_empty(&w, 2);
	drops = &w.sides[0].device->drops;
	add_peers(&w);
	/* Two take turns, then others push their packets out in turns. */
	for (size_t n = 0; n < WG_STAGED_MAX; n++)
		for (size_t p = 0; p < 2; p++)
			stage(&w, peers[p], SIZE);
	for (size_t p = 2; gone < WG_STAGED_MAX; p++) {
		for (size_t n = 0; n < WG_STAGED_MAX && gone < WG_STAGED_MAX; n++) {
			stage(&w, peers[p], SIZE);
			gone = drops->staged_overflow;
			assert_int_equal(peers[0]->staged.count, WG_STAGED_MAX - (gone + 1) / 2);
			assert_int_equal(peers[1]->staged.count, WG_STAGED_MAX - gone / 2);
		}
	}
}

/* Whoever takes all the room leaves one that comes later what he needs. */
static void a_full_device_stages_for_others(void **state)
{
	CLEANUP(world_done) struct world w;

	(void)state;
	world_init(&w, 3);
	add_peers(&w);
	for (size_t p = 0; p < PEERS; p++)
		for (size_t n = 0; n < WG_STAGED_MAX; n++)
			stage(&w, peers[p], SIZE);
	assert_int_equal(side_send_packet(&w.sides[0], 100), WG_STAGED);
	world_pass(&w, NS_PER_S); /* all the others' handshakes are begun before */
	assert_int_equal(w.sides[1].received, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_peers_together_keep_to_a_bound),
		cmocka_unit_test(the_oldest_go_first),
		cmocka_unit_test(a_full_device_stages_for_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
