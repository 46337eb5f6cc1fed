/*
 * Arbitrary and mutated messages to two devices that have a session
 *
 * The input is a byte that says how it begins and ends, and a list of steps: bytes that an attacker sends,
 * genuine messages that he changes, drops, repeats or lets pass, packets of the two sides, load, and time.
 * Whatever happens, each message is either accepted or counted as dropped once; what comes out of a side is
 * what went into the other, each packet once at most; while nothing was accepted, the session carries
 * packets as before; and after a pause there is a session again.
 *
 * To be quick, the two devices stay and are made as new for each input, secrets of curves are remembered
 * (dh_fuzz.h), and only inputs that say so begin with a handshake, or wait at their end for the one after the
 * pause: others begin with sessions whose keys both sides know.
 */
#define WIRE_MAX 64 /* small, to be quick */

#include "wireguard/dh_fuzz.h"

#include "base/bytes.h"
#include "wireguard/device_test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS_MAX 48
#define PACKET_MIN 60 /* each packet of a side is a byte longer than the one before */

enum {
	BEGIN_WITHOUT = 1, /* the session comes from a handshake */
	END_LATER = 2, /* there is a session again after a pause */
};

enum step {
	STEP_RAW, /* side, size, bytes */
	STEP_SEND, /* a side sends a packet */
	STEP_INITIATE, /* a side begins a handshake, whatever its timers say */
	STEP_PASS, /* the next message on the wire arrives */
	STEP_CHANGE, /* it arrives changed: how often, (where, what)... */
	STEP_SIGN, /* as STEP_CHANGE, but with a right MAC1 */
	STEP_REPEAT, /* it arrives, and stays on the wire */
	STEP_LOSE,
	STEP_TIME, /* so many ms, squared */
	STEP_LOAD, /* a side has too many handshakes for a while, and gives cookies */
	STEP_COUNT,
};

struct fuzz {
	struct world *world;
	struct reader input;
	bool quiet; /* nothing was accepted since the session was made */
	unsigned sent[2]; /* packets of a side */
	uint64_t arrived[2]; /* packets at a side, a bit for each */
};

/* --- two devices for all inputs --- */

static void limiter_forget(struct limiter *limiter)
{
	const uint64_t seed[2] = { limiter->seed[0], limiter->seed[1] };
	int r;

	limiter_done(limiter);
	r = limiter_init(limiter, seed);
	assert(r == 0);
}

/* Leaves a device with nothing but its private key. */
static void side_forget(struct side *side, struct wg_time now)
{
	const struct wg_config nobody = { .has = WG_REPLACE_PEERS };
	struct wg_device *device = side->device;
	int r = wg_device_configure(device, &nobody, now);

	assert(r == 0);
	assert(device->indices.count == 0 && wg_device_deadline(device) == TIMER_NEVER);
	for (size_t i = 0; i < JOB_SHARES; i++)
		assert(device->shares[i].out == 0);
	index_table_done(&device->indices);
	timer_wheel_init(&device->timers);
	if (device->loaded_until_ns > 0) { /* else they were not asked */
		limiter_forget(&device->limiter);
		limiter_forget(&device->cookie_limiter);
	}
	cookie_checker_init(&device->checker, device->public_key);
	device->checker.secret_until_ns = 0;
	device->cookies_full_ns = 0;
	device->begin_ns = 0;
	device->load_interval_ns = 0;
	device->load_count = 0;
	device->load_row = 0;
	device->loaded_until_ns = 0;
	device->jobs_made = 0;
	device->free_jobs = NULL;
	device->drops = (struct wg_device_drops){ 0 };

	memset(side->sent, 0, sizeof(side->sent));
	side->received = 0;
}

/* Two devices that know each other, the same at each call. */
static struct world *begin_world(void)
{
	static struct world world;
	static struct wg_time start;

	if (!world.wire) {
		world_init_empty(&world, 1);
		start = world.now;
	}
	world.now = start;
	world.random = 2;
	world.wire_count = 0;
	for (int i = 0; i < 2; i++) {
		side_forget(&world.sides[i], start);
		side_add_other(&world, i, NULL, i == 0);
	}
	return &world;
}

static struct session *add_session(struct side *side, const struct noise_keys *keys, bool initiator)
{
	struct wg_peer *peer = side_peer(side);
	struct session *session;
	int r = session_new(peer, keys, initiator, side->world->now, &session);

	assert(r == 0);
	r = index_table_add(&side->device->indices, peer, session, side_random, side,
			    &session->local_index);
	assert(r == 0);
	peer_add_session(peer, session);
	if (!initiator)
		peer_promote_next(peer);
	peer_session_derived(peer, side->world->now);
	peer_handshake_complete(peer, side->world->now);
	return session;
}

/* What a handshake of side 0 leaves, but for the stamp of its initiation. */
static void add_sessions(struct world *w)
{
	static const struct noise_keys keys[2] = { { "from 0 to 1", "from 1 to 0" },
						   { "from 1 to 0", "from 0 to 1" } };
	struct session *sessions[2];

	for (int i = 0; i < 2; i++)
		sessions[i] = add_session(&w->sides[i], &keys[i], i == 0);
	for (int i = 0; i < 2; i++) {
		sessions[i]->remote_index = sessions[!i]->local_index;
		side_peer(&w->sides[i])->route = (struct wg_route){
			.remote = w->sides[!i].address,
			.local = w->sides[i].address.address,
		};
	}
}

/* --- the steps --- */

static uint64_t drop_count(const struct side *side)
{
	struct wg_device_drops drops;
	uint64_t counts[sizeof(drops) / sizeof(uint64_t)];
	uint64_t sum = 0;

	wg_device_drops(side->device, &drops);
	memcpy(counts, &drops, sizeof(drops));
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		sum += counts[i];
	return sum;
}

/* A packet came out of a side. */
static void arrive(struct fuzz *fuzz, int to)
{
	const struct side *side = &fuzz->world->sides[to];
	size_t number = side->packet_size - PACKET_MIN;
	uint8_t expected[WIRE_MESSAGE_MAX];

	assert(number < fuzz->sent[!to]);
	assert(!(fuzz->arrived[to] >> number & 1));
	fuzz->arrived[to] |= UINT64_C(1) << number;
	make_packet(!to, 1, side->packet_size, 0, expected);
	assert(memcmp(side->packet, expected, side->packet_size) == 0);
}

/* Gives a message to a side, which accepts it or counts it. */
static void receive(struct fuzz *fuzz, int to, const uint8_t *message, size_t size)
{
	struct side *side = &fuzz->world->sides[to];
	const struct wg_peer *peer = side_peer(side);
	uint64_t drops = drop_count(side);
	uint64_t bytes = peer->rx_bytes;
	bool accepted;

	if (side_receive(side, &fuzz->world->sides[!to].address, 0, message, size))
		arrive(fuzz, to);
	drops = drop_count(side) - drops;
	accepted = peer->rx_bytes != bytes;
	assert(drops <= 1);
	assert(accepted || drops == 1);
	if (accepted)
		fuzz->quiet = false;
}

static void step_raw(struct fuzz *fuzz)
{
	int to = reader_u8(&fuzz->input) & 1;
	size_t size = reader_u8(&fuzz->input);
	const uint8_t *bytes;

	if (size > reader_left(&fuzz->input))
		size = reader_left(&fuzz->input);
	bytes = reader_take(&fuzz->input, size);
	if (bytes)
		receive(fuzz, to, bytes, size);
}

static void step_send(struct fuzz *fuzz)
{
	int from = reader_u8(&fuzz->input) & 1;

	(void)side_send_packet(&fuzz->world->sides[from], PACKET_MIN + fuzz->sent[from]);
	fuzz->sent[from]++;
}

static void change(struct fuzz *fuzz, struct wire_message *m, bool sign)
{
	unsigned count = reader_u8(&fuzz->input) % 8;
	struct cookie_jar jar = { 0 };

	for (unsigned i = 0; i < count; i++) {
		size_t at = reader_u8(&fuzz->input);
		uint8_t what = reader_u8(&fuzz->input);

		if (at == 255) /* its size instead */
			m->size = what;
		else
			m->bytes[at % WIRE_MESSAGE_MAX] ^= what;
	}
	if (!sign || m->size < MESSAGE_MACS_SIZE)
		return;
	cookie_jar_init(&jar, fuzz->world->sides[!m->from].public_key);
	cookie_jar_sign(&jar, m->bytes, m->size, 0);
}

/* The next message on the wire, to whom it is for. */
static void step_message(struct fuzz *fuzz, enum step step)
{
	struct world *w = fuzz->world;
	struct wire_message m;

	if (w->wire_count == 0)
		return;
	m = w->wire[0];
	if (step != STEP_REPEAT) {
		w->wire_count--;
		memmove(w->wire, w->wire + 1, w->wire_count * sizeof(*w->wire));
	}
	if (step == STEP_LOSE)
		return;
	if (step == STEP_CHANGE || step == STEP_SIGN)
		change(fuzz, &m, step == STEP_SIGN);
	receive(fuzz, !m.from, m.bytes, m.size);
}

static void step_time(struct fuzz *fuzz)
{
	struct world *w = fuzz->world;
	uint64_t ms = reader_u8(&fuzz->input);
	uint64_t ns = ms * ms * NS_PER_MS;

	w->now.monotonic_ns += ns;
	w->now.realtime_ns += ns;
	for (int i = 0; i < 2; i++)
		wg_device_run_timers(w->sides[i].device, w->now);
	if (ms > 0)
		fuzz->quiet = false;
}

static void run_step(struct fuzz *fuzz)
{
	struct world *w = fuzz->world;
	enum step step = reader_u8(&fuzz->input) % STEP_COUNT;
	struct side *side;

	switch (step) {
	case STEP_RAW:
		step_raw(fuzz);
		break;
	case STEP_SEND:
		step_send(fuzz);
		break;
	case STEP_INITIATE:
		side = &w->sides[reader_u8(&fuzz->input) & 1];
		side_peer(side)->next_initiation_ns = 0;
		peer_initiate(side_peer(side), false, w->now);
		side->device->begin_ns = 0;
		device_begin_handshakes(side->device, w->now);
		break;
	case STEP_TIME:
		step_time(fuzz);
		break;
	case STEP_LOAD:
		side = &w->sides[reader_u8(&fuzz->input) & 1];
		side->device->loaded_until_ns = w->now.monotonic_ns + LOAD_LINGER;
		break;
	default:
		step_message(fuzz, step);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz fuzz = { .world = begin_world(), .quiet = true };
	struct world *w = fuzz.world;
	uint8_t ends;

	reader_init(&fuzz.input, data, size);
	ends = reader_u8(&fuzz.input);
	if (ends & BEGIN_WITHOUT)
		assert(packet_passes(w, 0, 100) && packet_passes(w, 1, 100));
	else
		add_sessions(w);
	for (int i = 0; i < STEPS_MAX && reader_left(&fuzz.input) > 0; i++)
		run_step(&fuzz);
	w->wire_count = 0;
	if (fuzz.quiet)
		assert(packet_passes(w, 0, 200) && packet_passes(w, 1, 300));
	if (!(ends & END_LATER))
		return 0;
	world_pass(w, REJECT_AFTER_TIME + 20 * NS_PER_S);
	assert(packet_passes(w, 0, 200) && packet_passes(w, 1, 300));
	return 0;
}
