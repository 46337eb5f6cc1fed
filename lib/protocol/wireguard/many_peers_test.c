/* What very many peers want at once comes in short rounds. */
#include "wireguard/device_internal.h"

#include "base/secret.h"
#include "base/test.h"
#include "wireguard/message.h"

#define PEERS 10000
#define KEEPALIVE_S 25

struct fixture {
	struct wg_device *device;
	struct wg_time now;
	size_t sent; /* initiations */
	size_t others;
};

static void on_send(void *context, const struct wg_route *to, uint8_t ds, const void *message,
		    size_t size)
{
	struct fixture *f = context;

	(void)to;
	(void)ds;
	if (size == MESSAGE_INITIATION_SIZE && *(const uint8_t *)message == MESSAGE_INITIATION)
		f->sent++;
	else
		f->others++;
}

static void on_random(void *context, void *to, size_t size)
{
	(void)context;
	random_bytes(to, size);
}

/* Peers that nobody is behind: any 32 bytes are a public key. */
static void configure(struct fixture *f, size_t peers, uint16_t keepalive_s)
{
	CLEANUP(wg_config_done) struct wg_config config = { .has = WG_HAS_PRIVATE_KEY };

	random_bytes(config.private_key, sizeof(config.private_key));
	for (uint32_t i = 0; i < peers; i++) {
		uint8_t public_key[WG_KEY_SIZE];
		struct wg_config_peer *peer;

		random_bytes(public_key, sizeof(public_key));
		assert_int_equal(wg_config_add_peer(&config, public_key, &peer), 0);
		peer->has = WG_PEER_HAS_ENDPOINT | WG_PEER_HAS_KEEPALIVE;
		peer->endpoint = (struct endpoint){ ip_from_v4(0x0a000000 + i), 51820, 0 };
		peer->keepalive_s = keepalive_s;
	}
	assert_int_equal(wg_device_configure(f->device, &config, f->now), 0);
}

static void fixture_init(struct fixture *f, size_t peers, uint16_t keepalive_s)
{
	static const struct wg_device_ops ops = { .send = on_send, .random = on_random };

	*f = (struct fixture){ .now = { 1000 * NS_PER_S, UINT64_C(1700000000) * NS_PER_S } };
	assert_int_equal(wg_device_new(&ops, f, f->now, &f->device), 0);
	configure(f, peers, keepalive_s);
}

static void fixture_done(struct fixture *f)
{
	wg_device_free(f->device);
}
DEFINE_CLEANUP_DONE(struct fixture, fixture_done);

/* One round, when it is due. Returns how many handshakes it began. */
static size_t run_round(struct fixture *f)
{
	uint64_t due_ns = wg_device_deadline(f->device);
	size_t before = f->sent;

	if (due_ns > f->now.monotonic_ns) {
		f->now.realtime_ns += due_ns - f->now.monotonic_ns;
		f->now.monotonic_ns = due_ns;
	}
	wg_device_run_timers(f->device, f->now);
	return f->sent - before;
}

/* Rounds until so many handshakes were begun, none of them with too many. */
static void run_until(struct fixture *f, size_t sent)
{
	while (f->sent < sent)
		assert_in_range(run_round(f), 0, BEGUN_AT_ONCE);
}

static struct wg_peer *first_peer(const struct fixture *f)
{
	return container_of(f->device->peers.next, struct wg_peer, link);
}

/* Whether each peer got that many initiations, and nothing else. */
static bool each_got(const struct fixture *f, uint64_t count)
{
	bool all = true;

	list_foreach(link, &f->device->peers) {
		const struct wg_peer *peer = container_of(link, struct wg_peer, link);

		all = all && peer->tx_bytes == count * MESSAGE_INITIATION_SIZE;
	}
	return all;
}

static void all_have_their_turn_a_few_at_a_time(void **state)
{
	CLEANUP(fixture_done) struct fixture f;
	uint64_t begin_ns;

	(void)state;
	fixture_init(&f, PEERS, KEEPALIVE_S);
	wg_device_set_up(f.device, true, f.now);
	assert_int_equal(f.sent, 0);
	begin_ns = f.now.monotonic_ns;
	run_until(&f, PEERS);
	assert_true(each_got(&f, 1));
	assert_int_equal(f.others, 0);
	assert_true(f.now.monotonic_ns - begin_ns <= PEERS / BEGUN_AT_ONCE * BEGUN_INTERVAL);

	/* Nobody answers. What is sent again comes in the same order, and not all of it at once. */
	run_until(&f, PEERS + PEERS / 10);
	assert_true(f.now.monotonic_ns - begin_ns >= REKEY_TIMEOUT);
	assert_int_equal(first_peer(&f)->tx_bytes, 2 * MESSAGE_INITIATION_SIZE);
}

static void a_link_that_is_down_begins_nothing(void **state)
{
	CLEANUP(fixture_done) struct fixture f;
	uint8_t bytes[WG_HEADROOM + 64 + WG_TAILROOM] = { 0 };
	struct wg_buffer buffer = { .data = bytes + WG_HEADROOM, .size = 64 };

	(void)state;
	fixture_init(&f, 100, KEEPALIVE_S);
	assert_int_equal(wg_device_deadline(f.device), TIMER_NEVER);
	assert_int_equal(wg_peer_seal(first_peer(&f), &buffer, 1, 1420, f.now), WG_NO_ENDPOINT);
	assert_int_equal(wg_device_deadline(f.device), TIMER_NEVER);

	wg_device_set_up(f.device, true, f.now);
	run_until(&f, 40);
	wg_device_set_up(f.device, false, f.now);
	assert_int_equal(wg_device_deadline(f.device), TIMER_NEVER);
	assert_int_equal(f.device->indices.count, 0);
	f.now.monotonic_ns += 60 * NS_PER_S;
	wg_device_run_timers(f.device, f.now);
	assert_int_equal(f.sent, 40);

	wg_device_set_up(f.device, true, f.now);
	run_until(&f, 40 + 100);
	assert_int_equal(f.sent, 140);
}

/* Packets for many peers that have no session. */
static void packets_begin_nothing_themselves(void **state)
{
	CLEANUP(fixture_done) struct fixture f;

	(void)state;
	fixture_init(&f, 128, 0);
	wg_device_set_up(f.device, true, f.now);
	assert_int_equal(wg_device_deadline(f.device), TIMER_NEVER);
	list_foreach(link, &f.device->peers) {
		uint8_t bytes[WG_HEADROOM + 64 + WG_TAILROOM] = { 0 };
		struct wg_buffer buffer = { .data = bytes + WG_HEADROOM, .size = 64 };
		struct wg_peer *peer = container_of(link, struct wg_peer, link);

		for (int i = 0; i < 3; i++)
			assert_int_equal(wg_peer_seal(peer, &buffer, 1, 1420, f.now), WG_STAGED);
	}
	assert_int_equal(f.sent, 0);
	assert_true(wg_device_deadline(f.device) <= f.now.monotonic_ns);
	run_until(&f, 128);
	assert_true(each_got(&f, 1));
}

/* A peer that goes while it waits for its turn. */
static void who_is_removed_is_not_waited_for(void **state)
{
	CLEANUP(fixture_done) struct fixture f;
	const struct wg_config nobody = { .has = WG_REPLACE_PEERS };

	(void)state;
	fixture_init(&f, 100, KEEPALIVE_S);
	wg_device_set_up(f.device, true, f.now);
	run_until(&f, 10);
	assert_false(list_empty(&f.device->waiting));
	assert_int_equal(wg_device_configure(f.device, &nobody, f.now), 0);
	assert_true(list_empty(&f.device->waiting));
	assert_int_equal(wg_device_deadline(f.device), TIMER_NEVER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_have_their_turn_a_few_at_a_time),
		cmocka_unit_test(a_link_that_is_down_begins_nothing),
		cmocka_unit_test(packets_begin_nothing_themselves),
		cmocka_unit_test(who_is_removed_is_not_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
