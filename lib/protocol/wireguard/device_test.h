/*
 * Two devices wired back to back, with a clock and a random source of their own
 *
 * For tests and fuzz targets. Handshakes begin with what asks for them. Messages wait on the wire until
 * world_deliver(); time passes by world_pass(), which runs every timer at its deadline. The same seed gives
 * the same bytes.
 */
#pragma once

#include <assert.h>

#include "wireguard/device_internal.h"
#include "wireguard/message.h"

#ifndef WIRE_MAX
#define WIRE_MAX 1024
#endif
#define WIRE_MESSAGE_MAX 2048
#define TEST_MTU 1420

struct wire_message {
	int from; /* which side sent it */
	uint8_t ds;
	size_t size;
	struct wg_route to;
	uint8_t bytes[WIRE_MESSAGE_MAX];
};

struct side {
	struct world *world;
	struct wg_device *device;
	struct endpoint address;
	uint8_t private_key[WG_KEY_SIZE];
	uint8_t public_key[WG_KEY_SIZE];
	size_t sent[5]; /* by type */
	size_t received; /* packets for the TUN */
	size_t packet_size; /* of the last one */
	uint8_t packet[WIRE_MESSAGE_MAX];
};

struct world {
	struct wg_time now;
	uint64_t random;
	struct side sides[2];
	struct wire_message *wire;
	size_t wire_count;
	bool cut; /* messages are lost */
};

static inline uint64_t world_random(struct world *world)
{
	uint64_t x = world->random += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static inline void side_random(void *context, void *to, size_t size)
{
	const struct side *side = context;
	uint8_t *at = to;

	for (size_t i = 0; i < size; i++)
		at[i] = (uint8_t)(world_random(side->world) >> 24);
}

static inline void side_send(void *context, const struct wg_route *to, uint8_t ds,
			     const void *message, size_t size)
{
	struct side *side = context;
	struct world *world = side->world;
	struct wire_message *m = &world->wire[world->wire_count];

	assert(size <= WIRE_MESSAGE_MAX);
	side->sent[*(const uint8_t *)message]++;
	if (world->cut || world->wire_count == WIRE_MAX)
		return;
	*m = (struct wire_message){ (int)(side - world->sides), ds, size, *to, { 0 } };
	memcpy(m->bytes, message, size);
	world->wire_count++;
}

/* Gives a message to a side as if it came from @from. Returns the peer whose packet it held. */
static inline struct wg_peer *side_receive(struct side *side, const struct endpoint *from,
					   uint8_t ds, const void *message, size_t size)
{
	uint8_t bytes[WIRE_MESSAGE_MAX];
	struct wg_buffer buffer = { .data = bytes, .size = size, .ds = ds };

	memcpy(bytes, message, size);
	buffer.from.remote = *from;
	buffer.from.local = side->address.address;
	wg_device_open(side->device, &buffer, 1, side->world->now);
	device_begin_handshakes(side->device, side->world->now);
	if (!buffer.peer)
		return NULL;
	side->received++;
	side->packet_size = buffer.size;
	memcpy(side->packet, buffer.data, buffer.size);
	return buffer.peer;
}

/* Delivers what is on the wire, and what is sent in answer. */
static inline void world_deliver(struct world *world)
{
	for (size_t i = 0; i < world->wire_count; i++) {
		struct wire_message m = world->wire[i];

		side_receive(&world->sides[!m.from], &world->sides[m.from].address, m.ds, m.bytes,
			     m.size);
	}
	world->wire_count = 0;
}

static inline void world_run_timers(struct world *world)
{
	for (int i = 0; i < 2; i++)
		wg_device_run_timers(world->sides[i].device, world->now);
	world_deliver(world);
}

/* Lets time pass; everything happens when it is due. Returns how often a device woke. */
static inline size_t world_pass(struct world *world, uint64_t ns)
{
	uint64_t end = world->now.monotonic_ns + ns;
	size_t wakes = 0;

	for (;;) {
		uint64_t a = wg_device_deadline(world->sides[0].device);
		uint64_t b = wg_device_deadline(world->sides[1].device);
		uint64_t next = a < b ? a : b;

		if (next > end)
			break;
		if (next > world->now.monotonic_ns) {
			world->now.realtime_ns += next - world->now.monotonic_ns;
			world->now.monotonic_ns = next;
		}
		world_run_timers(world);
		wakes++;
	}
	world->now.realtime_ns += end - world->now.monotonic_ns;
	world->now.monotonic_ns = end;
	return wakes;
}

static inline struct ip_prefix test_prefix(const char *text)
{
	struct ip_prefix prefix;
	int r = ip_prefix_parse(text, &prefix);

	assert(r == 0);
	return prefix;
}

/* Side 0 is 192.0.2.1:1000 with 10.0.0.0/24 and fd00::/64 behind it, side 1 the same with 2, .1. and
 * fd00:0:0:1::/64. */
static inline void side_init(struct world *world, int i)
{
	static const struct wg_device_ops ops = { .send = side_send, .random = side_random };
	struct side *side = &world->sides[i];
	struct dh_key *key = NULL;
	int r;

	*side = (struct side){ .world = world };
	side->address.address = ip_from_v4(0xc0000201 + (uint32_t)i);
	side->address.port = (uint16_t)(1000 + i);
	side_random(side, side->private_key, WG_KEY_SIZE);
	dh_clamp(side->private_key);
	r = dh_key_new(side->private_key, &key);
	assert(r == 0);
	dh_key_public(key, side->public_key);
	dh_key_free(key);
	r = wg_device_new(&ops, side, world->now, &side->device);
	assert(r == 0);
	wg_device_set_up(side->device, true, world->now);
}

/* Tells side @i about the other one. */
static inline void side_add_other(struct world *world, int i, const uint8_t *preshared_key,
				  bool with_endpoint)
{
	CLEANUP(wg_config_done) struct wg_config config = { 0 };
	const struct side *other = &world->sides[!i];
	struct ip_prefix v4 = test_prefix(i ? "10.0.0.0/24" : "10.0.1.0/24");
	struct ip_prefix v6 = test_prefix(i ? "fd00::/64" : "fd00:0:0:1::/64");
	struct wg_config_peer *peer;
	int r;

	config.has = WG_HAS_PRIVATE_KEY;
	memcpy(config.private_key, world->sides[i].private_key, WG_KEY_SIZE);
	r = wg_config_add_peer(&config, other->public_key, &peer);
	assert(r == 0);
	if (with_endpoint) {
		peer->has |= WG_PEER_HAS_ENDPOINT;
		peer->endpoint = other->address;
	}
	if (preshared_key) {
		peer->has |= WG_PEER_HAS_PRESHARED_KEY;
		memcpy(peer->preshared_key, preshared_key, WG_KEY_SIZE);
	}
	r = wg_config_add_allowed_ip(&config, peer, &v4, false);
	assert(r == 0);
	r = wg_config_add_allowed_ip(&config, peer, &v6, false);
	assert(r == 0);
	r = wg_device_configure(world->sides[i].device, &config, world->now);
	assert(r == 0);
}

/* Two devices that do not know each other. */
static inline void world_init_empty(struct world *world, uint64_t seed)
{
	*world = (struct world){ .random = seed,
				 .now = { 1000 * NS_PER_S, UINT64_C(1700000000) * NS_PER_S } };
	world->wire = malloc(WIRE_MAX * sizeof(*world->wire));
	assert(world->wire);
	side_init(world, 0);
	side_init(world, 1);
}

/* Two devices that know each other; only side 0 knows where the other is. */
static inline void world_init(struct world *world, uint64_t seed)
{
	world_init_empty(world, seed);
	side_add_other(world, 0, NULL, true);
	side_add_other(world, 1, NULL, false);
}

static inline void world_done(struct world *world)
{
	for (int i = 0; i < 2; i++)
		wg_device_free(world->sides[i].device);
	free(world->wire);
}
DEFINE_CLEANUP_DONE(struct world, world_done);

/* The peer that is the other side. */
static inline struct wg_peer *side_peer(const struct side *side)
{
	const struct side *other = &side->world->sides[side == side->world->sides];

	return map_get(&side->device->peers_by_key, other->public_key, WG_KEY_SIZE);
}

/* An IPv4 packet of @size bytes from 10.0.<side>.<source> to the other side. */
static inline void make_packet(int side, uint8_t source, size_t size, uint8_t ds, uint8_t *to)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < size; i++)
		to[i] = (uint8_t)i;
	memcpy(to, "\x45\0\0\0\0\0\0\0\x40\x11\0\0\x0a\0\0\1\x0a\0\0\1", 20);
	to[1] = ds;
	to[2] = (uint8_t)(size >> 8);
	to[3] = (uint8_t)size;
	to[14] = (uint8_t)side;
	to[15] = source;
	to[18] = (uint8_t)!side;
	for (int i = 0; i < 20; i += 2)
		sum += (uint32_t)to[i] << 8 | to[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~(sum + (sum >> 16)) & 0xffff;
	to[10] = (uint8_t)(sum >> 8);
	to[11] = (uint8_t)sum;
}

/* Sends a packet of @size bytes out of a side's TUN. Returns the enum wg_seal_result. */
static inline int side_send_packet(struct side *side, size_t size)
{
	uint8_t bytes[WG_HEADROOM + WIRE_MESSAGE_MAX + WG_TAILROOM];
	struct wg_buffer buffer = { .data = bytes + WG_HEADROOM, .size = size };
	struct wg_peer *peer;
	int r;

	make_packet(side != side->world->sides, 1, size, 0, buffer.data);
	peer = wg_device_route(side->device, buffer.data, size, 1);
	assert(peer);
	r = wg_peer_seal(peer, &buffer, 1, TEST_MTU, side->world->now);
	device_begin_handshakes(side->device, side->world->now);
	if (r == WG_SEALED)
		side_send(side, wg_peer_route(peer), buffer.ds, buffer.data, buffer.size);
	return r;
}

/* Whether a packet from one side comes out of the other as it was. */
static inline bool packet_passes(struct world *world, int from, size_t size)
{
	struct side *to = &world->sides[!from];
	uint8_t expected[WIRE_MESSAGE_MAX];
	size_t before = to->received;

	make_packet(from, 1, size, 0, expected);
	if (side_send_packet(&world->sides[from], size) == WG_NO_ENDPOINT)
		return false;
	world_deliver(world);
	return to->received == before + 1 && to->packet_size == size &&
	       memcmp(to->packet, expected, size) == 0;
}
