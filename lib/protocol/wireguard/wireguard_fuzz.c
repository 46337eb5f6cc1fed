/*
 * Arbitrary and mutated messages to two devices that have a session
 *
 * The input is a list of steps: bytes that an attacker sends, genuine messages that he changes,
 * drops, repeats or lets pass, packets of the two sides, and time. Whatever happens, each message is
 * either accepted or counted as dropped once; while nothing was accepted, the session carries
 * packets as before; and after a pause there is a session again.
 */
#define WIRE_MAX 64 /* small, to be quick */

#include "base/bytes.h"
#include "wireguard/device_test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS_MAX 48

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
	STEP_COUNT,
};

struct fuzz {
	struct world world;
	struct reader input;
	bool quiet; /* nothing was accepted since the session was made */
};

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

/* Gives a message to a side, which accepts it or counts it. */
static void receive(struct fuzz *fuzz, int to, const uint8_t *message, size_t size)
{
	struct side *side = &fuzz->world.sides[to];
	const struct wg_peer *peer = side_peer(side);
	uint64_t drops = drop_count(side);
	uint64_t bytes = peer->rx_bytes;
	bool accepted;

	side_receive(side, &fuzz->world.sides[!to].address, 0, message, size);
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
	cookie_jar_init(&jar, fuzz->world.sides[!m->from].public_key);
	cookie_jar_sign(&jar, m->bytes, m->size, 0);
}

/* The next message on the wire, to whom it is for. */
static void step_message(struct fuzz *fuzz, enum step step)
{
	struct world *w = &fuzz->world;
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
	struct world *w = &fuzz->world;
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
	struct world *w = &fuzz->world;
	enum step step = reader_u8(&fuzz->input) % STEP_COUNT;
	struct side *side;

	switch (step) {
	case STEP_RAW:
		step_raw(fuzz);
		break;
	case STEP_SEND:
		side = &w->sides[reader_u8(&fuzz->input) & 1];
		(void)side_send_packet(side, 60);
		break;
	case STEP_INITIATE:
		side = &w->sides[reader_u8(&fuzz->input) & 1];
		side_peer(side)->next_initiation_ns = 0;
		peer_initiate(side_peer(side), false, w->now);
		break;
	case STEP_TIME:
		step_time(fuzz);
		break;
	default:
		step_message(fuzz, step);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz fuzz = { .quiet = true };
	struct world *w = &fuzz.world;

	reader_init(&fuzz.input, data, size);
	world_init(w, 1);
	assert(packet_passes(w, 0, 100) && packet_passes(w, 1, 100));
	for (int i = 0; i < STEPS_MAX && reader_left(&fuzz.input) > 0; i++)
		run_step(&fuzz);
	w->wire_count = 0;
	if (fuzz.quiet)
		assert(packet_passes(w, 0, 200) && packet_passes(w, 1, 300));
	world_pass(w, REJECT_AFTER_TIME + 20 * NS_PER_S);
	assert(packet_passes(w, 0, 200) && packet_passes(w, 1, 300));
	world_done(w);
	return 0;
}
