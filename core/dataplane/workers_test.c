/* Handshakes of many peers that threads compute. */
#include "dataplane/workers.h"

#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/secret.h"
#include "dataplane/sandbox.h"
#include "wireguard/cookie.h"
#include "wireguard/noise.h"

#include "base/test.h"

#define PEERS 40
#define ROUNDS 20

struct peer {
	struct dh_key *identity;
	struct noise_handshake handshake;
	uint8_t public_key[DH_SIZE];
	uint8_t shared[DH_SIZE];
	size_t answered;
};

struct fixture {
	struct poller poller;
	struct workers *workers;
	struct wg_device *device;
	struct wg_time now;
	uint8_t public_key[DH_SIZE];
	struct peer peers[PEERS];
	size_t out; /* jobs that are being computed */
};

static void on_send(void *context, const struct wg_route *to, uint8_t ds, const void *message,
		    size_t size)
{
	static const uint8_t no_psk[DH_SIZE];
	struct fixture *f = context;
	struct noise_response body;
	struct noise_keys keys;
	struct peer *peer;
	struct reader r;

	reader_init(&r, message, size);
	assert_int_equal(reader_u32le(&r), MESSAGE_RESPONSE);
	(void)reader_u32le(&r);
	peer = &f->peers[reader_u32le(&r)];
	reader_copy(&r, &body, sizeof(body));
	assert_int_equal(
		noise_read_response(&peer->handshake, peer->identity, no_psk, &body, &keys), 0);
	peer->answered++;
}

static void on_random(void *context, void *to, size_t size)
{
	random_bytes(to, size);
}

static void on_compute(void *context, struct wg_job *job)
{
	struct fixture *f = context;

	f->out++;
	workers_compute(f->workers, job);
}

static void on_computed(void *context, struct wg_job *const *jobs, size_t count)
{
	struct fixture *f = context;

	f->out -= count;
	for (size_t i = 0; i < count; i++)
		wg_device_take_job(f->device, jobs[i], f->now);
	if (f->out == 0)
		poller_stop(&f->poller);
}

static void make_key(struct dh_key **ret, uint8_t private_key[DH_SIZE], uint8_t ret_public[DH_SIZE])
{
	random_bytes(private_key, DH_SIZE);
	dh_clamp(private_key);
	assert_int_equal(dh_key_new(private_key, ret), 0);
	dh_key_public(*ret, ret_public);
}

static void configure(struct fixture *f)
{
	CLEANUP(wg_config_done) struct wg_config config = { .has = WG_HAS_PRIVATE_KEY };
	CLEANUP(dh_key_free) struct dh_key *key = NULL;
	uint8_t private_key[DH_SIZE];

	make_key(&key, config.private_key, f->public_key);
	for (size_t i = 0; i < PEERS; i++) {
		struct peer *peer = &f->peers[i];
		struct wg_config_peer *entry;

		make_key(&peer->identity, private_key, peer->public_key);
		assert_int_equal(dh_shared(peer->identity, f->public_key, peer->shared), 0);
		assert_int_equal(wg_config_add_peer(&config, peer->public_key, &entry), 0);
	}
	assert_int_equal(wg_device_configure(f->device, &config, f->now), 0);
}

static const struct wg_device_ops device_ops = { .send = on_send,
						 .random = on_random,
						 .compute = on_compute };
static const struct workers_ops workers_ops = { on_computed };

static void fixture_init(struct fixture *f, size_t threads)
{
	*f = (struct fixture){ .now = { UINT64_C(1) << 40, UINT64_C(1) << 60 } };
	assert_int_equal(poller_init(&f->poller), 0);
	assert_int_equal(workers_new(&f->poller, &workers_ops, f, &f->workers), 0);
	if (threads > 0)
		assert_int_equal(workers_start(f->workers, threads), 0);
	assert_int_equal(wg_device_new(&device_ops, f, f->now, &f->device), 0);
	wg_device_set_up(f->device, true, f->now);
	configure(f);
}

static void fixture_done(struct fixture *f)
{
	workers_free(f->workers);
	wg_device_free(f->device);
	poller_done(&f->poller);
	for (size_t i = 0; i < PEERS; i++) {
		noise_handshake_done(&f->peers[i].handshake);
		dh_key_free(f->peers[i].identity);
	}
}
DEFINE_CLEANUP_DONE(struct fixture, fixture_done);

static void initiate(struct fixture *f, uint32_t number)
{
	const uint8_t timestamp[NOISE_TIMESTAMP_SIZE] = {
		0x40, [6] = (uint8_t)(f->now.monotonic_ns >> 36),
		[7] = (uint8_t)(f->now.monotonic_ns >> 28)
	};
	uint8_t message[MESSAGE_INITIATION_SIZE], ephemeral[DH_SIZE];
	struct wg_buffer buffer = { .data = message, .size = sizeof(message) };
	struct peer *peer = &f->peers[number];
	struct cookie_jar jar = { 0 };
	struct noise_initiation body;
	struct writer w;

	random_bytes(ephemeral, sizeof(ephemeral));
	assert_int_equal(noise_write_initiation(&peer->handshake, peer->identity, f->public_key,
						peer->shared, timestamp, ephemeral, &body),
			 0);
	writer_init(&w, message, sizeof(message));
	writer_u32le(&w, MESSAGE_INITIATION);
	writer_u32le(&w, number);
	writer_copy(&w, &body, sizeof(body));
	cookie_jar_init(&jar, f->public_key);
	cookie_jar_sign(&jar, message, sizeof(message), f->now.monotonic_ns);
	buffer.from.remote.address.family = AF_INET;
	wg_device_open(f->device, &buffer, 1, f->now);
}

static void all_are_answered(void **state)
{
	CLEANUP(fixture_done) struct fixture f;

	(void)state;
	fixture_init(&f, workers_wanted());
	for (size_t round = 1; round <= ROUNDS; round++) {
		f.now.monotonic_ns += NS_PER_S;
		for (uint32_t i = 0; i < PEERS; i++)
			initiate(&f, i);
		assert_int_equal(f.out, PEERS); /* nobody waited for any */
		f.poller.stopped = false;
		assert_int_equal(poller_run(&f.poller), 0);
		for (size_t i = 0; i < PEERS; i++)
			assert_int_equal(f.peers[i].answered, round);
	}
}

/* While threads are at work, and before they began. */
static void an_end_in_the_middle(void **state)
{
	(void)state;
	for (size_t i = 0; i < 100; i++) {
		CLEANUP(fixture_done) struct fixture f;

		fixture_init(&f, i % 4);
		for (uint32_t peer = 0; peer < PEERS; peer++)
			initiate(&f, peer);
		assert_int_equal(f.out, PEERS);
	}
}

/* Also on a machine of many processors the filter lets all of them do their work. */
static void the_filter_knows_every_thread(void **state)
{
	pid_t child = fork();
	int status;

	(void)state;
	assert_true(child >= 0);
	if (child == 0) {
		struct fixture f;

		fixture_init(&f, WORKERS_MAX);
		if (sandbox_filter_dataplane() < 0)
			_exit(1);
		for (size_t round = 0; round < ROUNDS; round++) {
			f.now.monotonic_ns += NS_PER_S;
			for (uint32_t i = 0; i < PEERS; i++)
				initiate(&f, i);
			f.poller.stopped = false;
			(void)poller_run(&f.poller);
		}
		_exit(f.peers[0].answered == ROUNDS ? 0 : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_are_answered),
		cmocka_unit_test(an_end_in_the_middle),
		cmocka_unit_test(the_filter_knows_every_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
