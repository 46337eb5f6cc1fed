/*
 * Answers to initiations
 *
 * Four shared secrets, a new key and about thirty hashes make an answer, the most that anybody can ask of
 * us. It is computed in two steps (job.c). Between them and after them the device looks at it: who is the
 * peer, is he still there, is the initiation newer than all others by now? What was asked with keys that are no
 * longer in use is dropped.
 */
#include "base/secret.h"
#include "wireguard/device_internal.h"

#include "base/bytes.h"
#include "wireguard/message.h"

/* The peer that an answer is for, if it may be answered now. NULL: counted as dropped. */
static struct wg_peer *find_peer(struct wg_device *device, const struct wg_job *job,
				 struct wg_time now)
{
	struct wg_peer *peer;

	if (job->identity != device->identity) {
		device->drops.bad_mac++; /* the key that it was made for is gone */
		return NULL;
	}
	peer = map_get(&device->peers_by_key, job->remote_static, DH_SIZE);
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

void device_answer(struct wg_device *device, const struct wg_route *from, uint32_t sender,
		   const struct noise_initiation *initiation, struct wg_time now)
{
	struct wg_job *job = job_take(device, JOB_READ_INITIATION);

	if (!job) {
		device->drops.busy++;
		return;
	}
	job->from = *from;
	job->sender = sender;
	job->initiation = *initiation;
	job_compute(device, job, now);
}

bool answer_begin(struct wg_device *device, struct wg_job *job, struct wg_time now)
{
	struct wg_peer *peer;

	if (job->result < 0) {
		device_count_failure(device, job->result);
		return false;
	}
	peer = find_peer(device, job, now);
	if (!peer)
		return false;
	if (peer->shared_state == SHARED_REJECTED) {
		device_count_failure(device, -EKEYREJECTED);
		return false;
	}
	job->step = JOB_WRITE_RESPONSE;
	job->shared_state = peer->shared_state;
	memcpy(job->shared, peer->shared, DH_SIZE);
	memcpy(job->preshared_key, peer->preshared_key, WG_KEY_SIZE);
	memcpy(job->timestamp, peer->latest_timestamp, NOISE_TIMESTAMP_SIZE);
	device_random(device, job->ephemeral, DH_SIZE);
	job_compute(device, job, now);
	return true;
}

/* Makes the session that an answer leads to. */
static int accept_session(struct wg_peer *peer, const struct wg_job *job, struct wg_time now,
			  uint32_t *ret_index)
{
	struct wg_device *device = peer->device;
	struct session *session;
	int r;

	r = session_new(peer, &job->keys, false, now, &session);
	if (r < 0)
		return r;
	r = index_table_add(&device->indices, peer, session, device->ops.random, device->context,
			    &session->local_index);
	if (r < 0) {
		session_free(session);
		return r;
	}
	session->remote_index = job->sender;
	*ret_index = session->local_index;
	peer_add_session(peer, session);
	return 0;
}

static void send_response(struct wg_peer *peer, const struct wg_job *job, struct wg_time now)
{
	uint8_t message[MESSAGE_RESPONSE_SIZE];
	struct writer w;
	uint32_t index;
	int r = accept_session(peer, job, now, &index);

	if (r < 0) {
		device_count_failure(peer->device, r);
		return;
	}
	writer_init(&w, message, sizeof(message));
	writer_u32le(&w, MESSAGE_RESPONSE);
	writer_u32le(&w, index);
	writer_u32le(&w, job->sender);
	writer_copy(&w, &job->response, sizeof(job->response));
	cookie_jar_sign(&peer->cookies, message, sizeof(message), now.monotonic_ns);
	peer_session_derived(peer, now);
	peer_send(peer, DS_HANDSHAKE, message, sizeof(message));
	peer_authenticated_sent(peer, now);
}

/* Whether the response still is what the peer is to get; otherwise counts it as dropped. */
static bool answer_holds(const struct wg_peer *peer, const struct wg_job *job)
{
	struct wg_device_drops *drops = &peer->device->drops;

	if (job->result == -ESTALE ||
	    memcmp(job->timestamp, peer->latest_timestamp, NOISE_TIMESTAMP_SIZE) <= 0) {
		drops->handshake_replayed++;
		return false;
	}
	if (!secret_equal(job->preshared_key, peer->preshared_key, WG_KEY_SIZE)) {
		drops->bad_tag++; /* it was made with the one before */
		return false;
	}
	return true;
}

void answer_finish(struct wg_device *device, const struct wg_job *job, struct wg_time now)
{
	struct wg_peer *peer = find_peer(device, job, now);

	if (!peer)
		return;
	peer_remember_shared(peer, job);
	if (job->result < 0 && job->result != -ESTALE) {
		device_count_failure(device, job->result);
		return;
	}
	if (!answer_holds(peer, job))
		return;
	memcpy(peer->latest_timestamp, job->timestamp, NOISE_TIMESTAMP_SIZE);
	peer->next_acceptance_ns = now.monotonic_ns + INITIATION_INTERVAL;
	peer_handshake_received(peer, &job->from, MESSAGE_INITIATION_SIZE, now);
	send_response(peer, job, now);
}
