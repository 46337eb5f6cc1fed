/*
 * Allocations fail, the first, then the second, and so on: a change happens whole or not at all, and
 * a device goes on
 *
 * Replaces malloc() for this program, which sanitizers do themselves: under them it tests nothing.
 */
#include <malloc.h>

#include "wireguard/device_test.h"

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

static bool all_from_then; /* and not only one */

__attribute__((unused)) static bool allocation_fails(void)
{
	if (countdown < 0)
		return false;
	if (countdown == 0) {
		countdown = all_from_then ? 0 : -1;
		return true;
	}
	countdown--;
	return false;
}

#ifndef SANITIZED
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

void *malloc(size_t size)
{
	return allocation_fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return allocation_fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
	return allocation_fails() ? NULL : __libc_realloc(old, size);
}
#endif

static void skip_if_sanitized(void)
{
#ifdef SANITIZED
	skip();
#endif
}

/* A change that touches everything: key, peers, networks. */
static void make_change(const struct world *w, struct wg_config *ret)
{
	*ret = (struct wg_config){
		.has = WG_HAS_PRIVATE_KEY | WG_HAS_LISTEN_PORT | WG_REPLACE_PEERS, .listen_port = 99
	};
	memcpy(ret->private_key, w->sides[1].private_key, WG_KEY_SIZE);
	for (uint8_t i = 0; i < 20; i++) {
		const uint8_t key[WG_KEY_SIZE] = { 9, i };
		struct wg_config_peer *peer;

		assert_int_equal(wg_config_add_peer(ret, key, &peer), 0);
		for (uint8_t j = 0; j < 3; j++) {
			struct ip_prefix prefix = {
				ip_from_v4((uint32_t)i << 24 | (uint32_t)j << 16), 16
			};

			assert_int_equal(wg_config_add_allowed_ip(ret, peer, &prefix, false), 0);
		}
	}
}

static void a_change_happens_whole_or_not_at_all(void **state)
{
	CLEANUP(wg_config_done) struct wg_config config = { 0 };
	CLEANUP(world_done) struct world w;
	long n = 0;
	int r = -ENOMEM;

	(void)state;
	skip_if_sanitized();
	world_init(&w, 1);
	assert_true(packet_passes(&w, 0, 100));
	make_change(&w, &config);
	all_from_then = true; /* libcrypto forgives a single one here and there */
	for (; r < 0; n++) {
		struct wg_device *device = w.sides[0].device;

		countdown = n;
		r = wg_device_configure(device, &config, w.now);
		countdown = -1;
		if (r == 0)
			break;
		assert_int_equal(r, -ENOMEM);
		assert_int_equal(device->peers_by_key.count, 1);
		assert_int_equal(device->allowed_ips.count, 2);
		assert_int_equal(device->allowed_ips.reserved, 0);
		assert_int_equal(device->listen_port, 0);
		assert_true(packet_passes(&w, 0, 100));
		assert_true(packet_passes(&w, 1, 100));
	}
	print_message("%ld allocations\n", n);
	assert_true(n > 100);
	assert_int_equal(w.sides[0].device->peers_by_key.count, 20);
	assert_int_equal(w.sides[0].device->allowed_ips.count, 60);
}

/* A handshake in which one allocation fails is tried again, and succeeds then. */
static void a_handshake_survives_a_failure(void **state)
{
	(void)state;
	skip_if_sanitized();
	for (long n = 0; n < 600; n++) {
		CLEANUP(world_done) struct world w;

		all_from_then = n % 2;

		world_init(&w, 2);
		countdown = n / 2;
		side_send_packet(&w.sides[0], 100);
		world_deliver(&w);
		countdown = -1;
		world_pass(&w, 20 * NS_PER_S);
		assert_true(packet_passes(&w, 0, 100));
		assert_true(packet_passes(&w, 1, 100));
	}
}

static void a_device_is_made_or_not(void **state)
{
	static const struct wg_device_ops ops = { .send = side_send, .random = side_random };
	struct world w = { .random = 3 };
	struct side side = { .world = &w };
	int r = -ENOMEM;

	(void)state;
	skip_if_sanitized();
	all_from_then = true;
	for (long n = 0; r < 0; n++) {
		struct wg_device *device = NULL;

		countdown = n;
		r = wg_device_new(&ops, &side, w.now, &device);
		countdown = -1;
		assert_true(r == 0 || (r == -ENOMEM && !device));
		wg_device_free(device);
	}
}

static size_t allocated(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

#define PEERS 10000

/* What device.h says. */
static void a_peer_takes_its_memory_and_no_more(void **state)
{
	CLEANUP(wg_config_done) struct wg_config config = { 0 };
	CLEANUP(world_done) struct world w;
	size_t before, each;

	(void)state;
	assert_in_range(sizeof(struct wg_peer), 1, 704);
	assert_in_range(sizeof(struct session), 1, 1152);
	assert_in_range(sizeof(struct timer_node), 1, 24);
	assert_in_range(sizeof(struct wg_device), 1, 13312);
	skip_if_sanitized();
	world_init(&w, 4);
	for (uint32_t i = 0; i < PEERS; i++) {
		const uint8_t key[WG_KEY_SIZE] = { 9, (uint8_t)i, (uint8_t)(i >> 8) };
		const struct ip_prefix prefix = { ip_from_v4(0x0b000000 + i), 32 };
		struct wg_config_peer *peer;

		assert_int_equal(wg_config_add_peer(&config, key, &peer), 0);
		assert_int_equal(wg_config_add_allowed_ip(&config, peer, &prefix, false), 0);
	}
	before = allocated();
	assert_int_equal(wg_device_configure(w.sides[0].device, &config, w.now), 0);
	each = (allocated() - before) / PEERS;
	print_message("a peer takes %zu bytes\n", each);
	assert_in_range(each, sizeof(struct wg_peer), 1024);
}

static void a_session_takes_its_memory_and_no_more(void **state)
{
	static struct session *sessions[1000];
	CLEANUP(world_done) struct world w;
	const struct noise_keys keys = { 0 };
	struct wg_peer peer = { 0 };
	size_t before, each;

	(void)state;
	skip_if_sanitized();
	world_init(&w, 5);
	peer.device = w.sides[0].device;
	before = allocated();
	for (size_t i = 0; i < ARRAY_SIZE(sessions); i++)
		assert_int_equal(session_new(&peer, &keys, true, w.now, &sessions[i]), 0);
	each = (allocated() - before) / ARRAY_SIZE(sessions);
	for (size_t i = 0; i < ARRAY_SIZE(sessions); i++)
		session_free(sessions[i]);
	print_message("a session takes %zu bytes\n", each);
	assert_in_range(each, sizeof(struct session),
			4096); /* libcrypto's part differs by release */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_change_happens_whole_or_not_at_all),
		cmocka_unit_test(a_handshake_survives_a_failure),
		cmocka_unit_test(a_device_is_made_or_not),
		cmocka_unit_test(a_peer_takes_its_memory_and_no_more),
		cmocka_unit_test(a_session_takes_its_memory_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
