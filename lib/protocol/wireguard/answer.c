/*
 * Answers to initiations
 *
 * Four shared secrets, a new key and about thirty hashes make an answer, the most that anybody can ask
 * of us. An answer therefore is a value that is computed wherever there is time, in two steps. Between them
 * and after them the device looks at it: who is the peer, is he still there, is the initiation newer than
 * all others by now? What went out with keys that are no longer in use is dropped.
 */
#include "base/secret.h"
#include "wireguard/device_internal.h"

#include "base/bytes.h"
#include "wireguard/message.h"

#define BATCH 16 /* answers that are computed together */

int answers_init(struct wg_device *device)
{
	device->answer_capacity = device->ops.compute ? WG_ANSWERS_MAX : 1;
	device->answers = calloc(device->answer_capacity, sizeof(*device->answers));
	return device->answers ? 0 : -ENOMEM;
}

static void answer_wipe(struct wg_answer *answer)
{
	noise_handshake_done(&answer->handshake);
	dh_key_free(answer->identity);
	secret_wipe(answer, sizeof(*answer));
}

void answers_done(struct wg_device *device)
{
	for (size_t i = 0; i < device->answers_made; i++)
		answer_wipe(&device->answers[i]);
	free(device->answers);
}

static struct wg_answer *take_free(struct wg_device *device)
{
	struct wg_answer *answer = device->free_answers;

	if (answer)
		device->free_answers = answer->next;
	else if (device->answers_made < device->answer_capacity)
		answer = &device->answers[device->answers_made++];
	if (answer)
		device->answers_out++;
	return answer;
}

static void release(struct wg_device *device, struct wg_answer *answer)
{
	answer_wipe(answer);
	answer->next = device->free_answers;
	device->free_answers = answer;
	device->answers_out--;
}

struct wg_answer **wg_answer_next(struct wg_answer *answer)
{
	return &answer->next;
}

/* Has a step computed, at once or elsewhere. */
static void compute(struct wg_device *device, struct wg_answer *answer, struct wg_time now)
{
	if (device->ops.compute) {
		device->ops.compute(device->context, answer);
		return;
	}
	wg_answers_compute(&answer, 1);
	wg_device_take_answer(device, answer, now);
}

void device_answer(struct wg_device *device, const struct wg_route *from, uint32_t sender,
		   const struct noise_initiation *initiation, struct wg_time now)
{
	struct wg_answer *answer = take_free(device);

	if (!answer) {
		device->drops.busy++;
		return;
	}
	answer->step = ANSWER_READ;
	answer->identity = dh_key_ref(device->identity);
	answer->from = *from;
	answer->sender = sender;
	answer->initiation = *initiation;
	compute(device, answer, now);
}

/* The secrets of an answer while it is computed. */
struct secrets {
	struct dh_key *ephemeral;
	uint8_t first[DH_SIZE];
	uint8_t second[DH_SIZE];
};

/* Shared secrets that are wanted, and the answers that they are for. */
struct wanted {
	struct dh_request requests[2 * BATCH];
	struct wg_answer *answers[2 * BATCH];
	size_t count;
};

static void want(struct wanted *wanted, struct wg_answer *answer, struct dh_key *key,
		 const uint8_t public_key[DH_SIZE], uint8_t *secret)
{
	wanted->requests[wanted->count] = (struct dh_request){ key, public_key, secret, 0 };
	wanted->answers[wanted->count++] = answer;
}

/* An answer fails by any of its secrets. */
static void compute_wanted(struct wanted *wanted)
{
	dh_shared_many(wanted->requests, wanted->count);
	for (size_t i = 0; i < wanted->count; i++) {
		if (wanted->requests[i].result < 0)
			wanted->answers[i]->result = wanted->requests[i].result;
	}
	wanted->count = 0;
}

/* What is computed once for each peer: the secret of the static keys. */
static void find_shared(struct wg_answer *const *answers, size_t count)
{
	struct wanted wanted = { .count = 0 };

	for (size_t i = 0; i < count; i++) {
		struct wg_answer *answer = answers[i];

		if (answer->step == ANSWER_WRITE && answer->shared_state == SHARED_UNKNOWN)
			want(&wanted, answer, answer->identity, answer->remote_static,
			     answer->shared);
	}
	compute_wanted(&wanted);
	for (size_t i = 0; i < count; i++) {
		if (answers[i]->step != ANSWER_WRITE)
			continue;
		if (answers[i]->result == 0)
			answers[i]->shared_state = SHARED_KNOWN;
		else if (answers[i]->result == -EKEYREJECTED)
			answers[i]->shared_state = SHARED_REJECTED;
	}
}

/* The secrets of the static keys are known: which initiations are the peers', and new ones? */
static void read_timestamps(struct wg_answer *const *answers, size_t count)
{
	uint8_t timestamps[BATCH][NOISE_TIMESTAMP_SIZE];
	struct noise_proof proofs[BATCH];
	struct wg_answer *of[BATCH];
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		struct wg_answer *answer = answers[i];

		if (answer->step != ANSWER_WRITE || answer->result < 0)
			continue;
		proofs[n] = (struct noise_proof){ &answer->handshake, answer->shared,
						  &answer->initiation, timestamps[n], 0 };
		of[n++] = answer;
	}
	noise_read_timestamps(proofs, n);
	for (size_t i = 0; i < n; i++) {
		struct wg_answer *answer = of[i];

		answer->result = proofs[i].result;
		if (answer->result < 0)
			continue;
		if (memcmp(timestamps[i], answer->timestamp, NOISE_TIMESTAMP_SIZE) <= 0)
			answer->result = -ESTALE;
		memcpy(answer->timestamp, timestamps[i], NOISE_TIMESTAMP_SIZE);
	}
}

/* Makes the new keys of answers that are in their second step and still wanted. */
static void make_keys(struct wg_answer *const *answers, size_t count, struct secrets *secrets)
{
	const uint8_t *private_keys[BATCH];
	struct dh_key *keys[BATCH];
	size_t of[BATCH];
	size_t n = 0;
	int r;

	for (size_t i = 0; i < count; i++) {
		struct wg_answer *answer = answers[i];

		if (answer->step != ANSWER_WRITE || answer->result < 0)
			continue;
		dh_clamp(answer->ephemeral);
		private_keys[n] = answer->ephemeral;
		of[n++] = i;
	}
	r = dh_key_new_many(private_keys, n, keys);
	for (size_t i = 0; i < n; i++) {
		struct wg_answer *answer = answers[of[i]];

		answer->result = r;
		secrets[of[i]].ephemeral = r == 0 ? keys[i] : NULL;
		secret_wipe(answer->ephemeral, sizeof(answer->ephemeral));
	}
}

/* Ends the first step. */
static void read_initiations(struct wg_answer *const *answers, size_t count,
			     const struct secrets *secrets)
{
	struct noise_reading readings[BATCH];
	uint8_t self[BATCH][DH_SIZE];
	struct wg_answer *of[BATCH];
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		struct wg_answer *answer = answers[i];

		if (answer->step != ANSWER_READ || answer->result < 0)
			continue;
		dh_key_public(answer->identity, self[n]);
		readings[n] = (struct noise_reading){ &answer->handshake,    self[n],
						      secrets[i].first,	     &answer->initiation,
						      answer->remote_static, 0 };
		of[n++] = answer;
	}
	noise_read_initiations(readings, n);
	for (size_t i = 0; i < n; i++)
		of[i]->result = readings[i].result;
}

/* Ends the second step. */
static void write_responses(struct wg_answer *const *answers, size_t count,
			    const struct secrets *secrets)
{
	struct noise_writing writings[BATCH];
	uint8_t ephemeral[BATCH][DH_SIZE];
	struct wg_answer *of[BATCH];
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		struct wg_answer *answer = answers[i];

		if (answer->step != ANSWER_WRITE || answer->result < 0)
			continue;
		dh_key_public(secrets[i].ephemeral, ephemeral[n]);
		writings[n] = (struct noise_writing){ &answer->handshake,    ephemeral[n],
						      secrets[i].first,	     secrets[i].second,
						      answer->preshared_key, &answer->response,
						      &answer->keys,	     0 };
		of[n++] = answer;
	}
	noise_write_responses(writings, n);
	for (size_t i = 0; i < n; i++)
		of[i]->result = writings[i].result;
}

static void compute_batch(struct wg_answer *const *answers, size_t count)
{
	struct secrets secrets[BATCH];
	struct wanted wanted = { .count = 0 };

	for (size_t i = 0; i < count; i++) {
		answers[i]->result = 0;
		secrets[i].ephemeral = NULL;
	}
	find_shared(answers, count);
	read_timestamps(answers, count);
	make_keys(answers, count, secrets);
	for (size_t i = 0; i < count; i++) {
		struct wg_answer *answer = answers[i];

		if (answer->step == ANSWER_READ) {
			want(&wanted, answer, answer->identity, answer->initiation.ephemeral,
			     secrets[i].first);
			continue;
		}
		if (answer->result < 0)
			continue;
		want(&wanted, answer, secrets[i].ephemeral, answer->initiation.ephemeral,
		     secrets[i].first);
		want(&wanted, answer, secrets[i].ephemeral, answer->remote_static,
		     secrets[i].second);
	}
	compute_wanted(&wanted);
	read_initiations(answers, count, secrets);
	write_responses(answers, count, secrets);
	for (size_t i = 0; i < count; i++)
		dh_key_free(secrets[i].ephemeral);
	secret_wipe(secrets, sizeof(secrets));
}

void wg_answers_compute(struct wg_answer *const *answers, size_t count)
{
	while (count > 0) {
		size_t batch = count < BATCH ? count : BATCH;

		compute_batch(answers, batch);
		answers += batch;
		count -= batch;
	}
}

/* The peer that an answer is for, if it may be answered now. NULL: counted as dropped. */
static struct wg_peer *find_peer(struct wg_device *device, const struct wg_answer *answer,
				 struct wg_time now)
{
	struct wg_peer *peer;

	if (answer->identity != device->identity) {
		device->drops.bad_mac++; /* the key that it was made for is gone */
		return NULL;
	}
	peer = map_get(&device->peers_by_key, answer->remote_static, DH_SIZE);
	if (!peer) {
		device->drops.unknown_peer++;
		return NULL;
	}
	if (now.monotonic_ns < peer->next_acceptance_ns) {
		device->drops.rate_limited++;
		return NULL;
	}
	return peer;
}

/* Takes the second step. Returns whether there is one. */
static bool begin_second_step(struct wg_device *device, struct wg_answer *answer,
			      struct wg_time now)
{
	struct wg_peer *peer;

	if (answer->result < 0) {
		device_count_failure(device, answer->result);
		return false;
	}
	peer = find_peer(device, answer, now);
	if (!peer)
		return false;
	if (peer->shared_state == SHARED_REJECTED) {
		device_count_failure(device, -EKEYREJECTED);
		return false;
	}
	answer->step = ANSWER_WRITE;
	answer->shared_state = peer->shared_state;
	memcpy(answer->shared, peer->shared, DH_SIZE);
	memcpy(answer->preshared_key, peer->preshared_key, WG_KEY_SIZE);
	memcpy(answer->timestamp, peer->latest_timestamp, NOISE_TIMESTAMP_SIZE);
	device_random(device, answer->ephemeral, DH_SIZE);
	compute(device, answer, now);
	return true;
}

/* Makes the session that an answer leads to. */
static int accept_session(struct wg_peer *peer, const struct wg_answer *answer, struct wg_time now,
			  uint32_t *ret_index)
{
	struct wg_device *device = peer->device;
	struct session *session;
	int r;

	r = session_new(peer, &answer->keys, false, now, &session);
	if (r < 0)
		return r;
	r = index_table_add(&device->indices, peer, session, device->ops.random, device->context,
			    &session->local_index);
	if (r < 0) {
		session_free(session);
		return r;
	}
	session->remote_index = answer->sender;
	*ret_index = session->local_index;
	peer_add_session(peer, session);
	return 0;
}

static void send_response(struct wg_peer *peer, const struct wg_answer *answer, struct wg_time now)
{
	uint8_t message[MESSAGE_RESPONSE_SIZE];
	struct writer w;
	uint32_t index;
	int r = accept_session(peer, answer, now, &index);

	if (r < 0) {
		device_count_failure(peer->device, r);
		return;
	}
	writer_init(&w, message, sizeof(message));
	writer_u32le(&w, MESSAGE_RESPONSE);
	writer_u32le(&w, index);
	writer_u32le(&w, answer->sender);
	writer_copy(&w, &answer->response, sizeof(answer->response));
	cookie_jar_sign(&peer->cookies, message, sizeof(message), now.monotonic_ns);
	peer_session_derived(peer, now);
	peer_send(peer, DS_HANDSHAKE, message, sizeof(message));
	peer_authenticated_sent(peer, now);
}

static void remember_shared(struct wg_peer *peer, const struct wg_answer *answer)
{
	if (peer->shared_state != SHARED_UNKNOWN)
		return;
	peer->shared_state = answer->shared_state;
	memcpy(peer->shared, answer->shared, DH_SIZE);
}

/* Whether the response still is what the peer is to get; otherwise counts it as dropped. */
static bool answer_holds(const struct wg_peer *peer, const struct wg_answer *answer)
{
	struct wg_device_drops *drops = &peer->device->drops;

	if (answer->result == -ESTALE ||
	    memcmp(answer->timestamp, peer->latest_timestamp, NOISE_TIMESTAMP_SIZE) <= 0) {
		drops->handshake_replayed++;
		return false;
	}
	if (!secret_equal(answer->preshared_key, peer->preshared_key, WG_KEY_SIZE)) {
		drops->bad_tag++; /* it was made with the one before */
		return false;
	}
	return true;
}

static void finish(struct wg_device *device, const struct wg_answer *answer, struct wg_time now)
{
	struct wg_peer *peer = find_peer(device, answer, now);

	if (!peer)
		return;
	remember_shared(peer, answer);
	if (answer->result < 0 && answer->result != -ESTALE) {
		device_count_failure(device, answer->result);
		return;
	}
	if (!answer_holds(peer, answer))
		return;
	memcpy(peer->latest_timestamp, answer->timestamp, NOISE_TIMESTAMP_SIZE);
	peer->next_acceptance_ns = now.monotonic_ns + INITIATION_INTERVAL;
	peer_handshake_received(peer, &answer->from, MESSAGE_INITIATION_SIZE, now);
	send_response(peer, answer, now);
}

void wg_device_take_answer(struct wg_device *device, struct wg_answer *answer, struct wg_time now)
{
	if (!device->up) {
		release(device, answer);
		return;
	}
	if (answer->step == ANSWER_READ) {
		if (begin_second_step(device, answer, now))
			return;
	} else {
		finish(device, answer, now);
	}
	release(device, answer);
}
