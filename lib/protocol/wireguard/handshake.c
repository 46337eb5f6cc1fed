#include "base/bytes.h"
#include "base/secret.h"
#include "wireguard/device_internal.h"
#include "wireguard/message.h"

/*
 * TAI64N (10 s ahead of UTC at the epoch), rounded down so that it tells little of our clock. Stamps
 * of a peer always grow, even where the clock was set back: the other side ignores older ones.
 */
static void next_timestamp(struct wg_peer *peer, struct wg_time now,
			   uint8_t ret[NOISE_TIMESTAMP_SIZE])
{
	uint64_t stamp = now.realtime_ns - now.realtime_ns % NS_PER_S % TIMESTAMP_GRAIN;
	struct writer w;

	if (stamp <= peer->last_stamp_ns)
		stamp = peer->last_stamp_ns + TIMESTAMP_GRAIN;
	peer->last_stamp_ns = stamp;
	writer_init(&w, ret, NOISE_TIMESTAMP_SIZE);
	writer_u64(&w, (UINT64_C(1) << 62) + 10 + stamp / NS_PER_S);
	writer_u32(&w, (uint32_t)(stamp % NS_PER_S));
}

/* Has an initiation computed. */
static void write_initiation(struct wg_peer *peer, struct wg_time now)
{
	struct wg_device *device = peer->device;
	struct wg_job *job;

	if (peer->shared_state == SHARED_REJECTED) {
		device->drops.bad_key++;
		return;
	}
	job = job_take(device, JOB_WRITE_INITIATION);
	if (!job)
		return;
	memcpy(job->remote_static, peer->public_key, DH_SIZE);
	job->shared_state = peer->shared_state;
	memcpy(job->shared, peer->shared, DH_SIZE);
	next_timestamp(peer, now, job->timestamp);
	device_random(device, job->ephemeral, DH_SIZE);
	peer->initiation = job;
	job_compute(device, job, now);
}

/* Takes an index for the handshake, which takes the place of an earlier one. */
static int keep_handshake(struct wg_peer *peer, struct wg_job *job)
{
	struct wg_device *device = peer->device;
	uint32_t index;
	int r;

	r = index_table_add(&device->indices, peer, NULL, device->ops.random, device->context,
			    &index);
	if (r < 0)
		return r;
	peer_forget_handshake(peer);
	peer->handshake_index = index;
	peer->handshake = job->handshake;
	secret_wipe(&job->handshake, sizeof(job->handshake));
	return 0;
}

/* For so long nothing is begun; then what failed, or was not answered, is tried again. */
static void wait_for_response(struct wg_peer *peer, struct wg_time now)
{
	peer->next_initiation_ns = now.monotonic_ns + REKEY_TIMEOUT;
	peer_handshake_begun(peer, now);
}

void handshake_begun(struct wg_device *device, struct wg_job *job, struct wg_time now)
{
	struct wg_peer *peer = map_get(&device->peers_by_key, job->remote_static, DH_SIZE);
	uint8_t message[MESSAGE_INITIATION_SIZE];
	struct writer w;
	int r = job->result;

	if (!peer || peer->initiation != job)
		return;
	peer->initiation = NULL;
	peer_remember_shared(peer, job);
	if (r == 0)
		r = keep_handshake(peer, job);
	if (r < 0) {
		device->drops.no_memory += r == -ENOMEM;
		device->drops.bad_key += r == -EKEYREJECTED;
		return;
	}
	writer_init(&w, message, sizeof(message));
	writer_u32le(&w, MESSAGE_INITIATION);
	writer_u32le(&w, peer->handshake_index);
	writer_copy(&w, &job->initiation, sizeof(job->initiation));
	cookie_jar_sign(&peer->cookies, message, sizeof(message), now.monotonic_ns);
	peer_send(peer, DS_HANDSHAKE, message, sizeof(message));
	peer_authenticated_sent(peer, now);
	wait_for_response(peer, now);
}

void peer_initiate(struct wg_peer *peer, bool retry, struct wg_time now)
{
	if (!retry)
		peer->attempt_began_ns = now.monotonic_ns;
	if (!peer->route.remote.address.family || now.monotonic_ns < peer->next_initiation_ns)
		return;
	if (list_empty(&peer->waiting))
		list_append(&peer->device->waiting, &peer->waiting);
}

static void begin(struct wg_peer *peer, struct wg_time now)
{
	list_remove(&peer->waiting);
	wait_for_response(peer, now);
	if (peer->device->identity && !peer->initiation) /* else one is being computed still */
		write_initiation(peer, now);
}

void device_begin_handshakes(struct wg_device *device, struct wg_time now)
{
	size_t count = 0;

	if (list_empty(&device->waiting) || now.monotonic_ns < device->begin_ns)
		return;
	device->begin_ns = now.monotonic_ns + BEGUN_INTERVAL;
	while (!list_empty(&device->waiting) && job_may_be_taken(device, JOB_WRITE_INITIATION) &&
	       count++ < BEGUN_AT_ONCE)
		begin(container_of(device->waiting.next, struct wg_peer, waiting), now);
}

void device_count_failure(struct wg_device *device, int error)
{
	if (error == -ENOMEM)
		device->drops.no_memory++;
	else
		device->drops.bad_tag++;
}

/* Counts a handshake, and tells whether there are too many. */
static bool device_is_loaded(struct wg_device *device, struct wg_time now)
{
	if (now.monotonic_ns >= device->load_interval_ns) {
		device->load_interval_ns = now.monotonic_ns + LOAD_INTERVAL;
		device->load_count = 0;
	}
	device->load_count++;
	device->load_row++;
	if (device->load_count > LOAD_HANDSHAKES || device->load_row > LOAD_HANDSHAKES ||
	    device->shares[JOB_SHARE_ANSWERS].out > LOAD_ANSWERS)
		device->loaded_until_ns = now.monotonic_ns + LOAD_LINGER;
	return now.monotonic_ns < device->loaded_until_ns;
}

/* Whether to spend a cookie on somebody: what he asks for may be all that we do otherwise. */
static bool may_have_cookie(struct wg_device *device, const struct endpoint *who,
			    struct wg_time now)
{
	bool asked_little = limiter_allow(&device->cookie_limiter, &who->address, now.monotonic_ns);
	uint64_t burst = asked_little ? COOKIES_BURST : COOKIES_BURST / 2;
	uint64_t from = device->cookies_full_ns > now.monotonic_ns ? device->cookies_full_ns
								   : now.monotonic_ns;
	uint64_t full = from + NS_PER_S / COOKIES_PER_SECOND;

	if (full - now.monotonic_ns > burst * (NS_PER_S / COOKIES_PER_SECOND))
		return false;
	device->cookies_full_ns = full;
	return true;
}

/* A handshake is not dealt with, but perhaps the sender's next one. */
static void turn_away(struct wg_device *device, const struct wg_buffer *message, uint32_t sender,
		      struct wg_time now)
{
	uint8_t nonce[XCHACHA_NONCE_SIZE];
	uint8_t reply[MESSAGE_COOKIE_SIZE];

	if (!may_have_cookie(device, &message->from.remote, now)) {
		device->drops.cookie_refused++;
		return;
	}
	device->drops.cookie_given++;
	device_random(device, nonce, sizeof(nonce));
	if (cookie_reply_write(&device->checker, message->data, message->size, sender,
			       &message->from.remote, nonce, reply) == 0)
		device->ops.send(device->context, &message->from, DS_HANDSHAKE, reply,
				 sizeof(reply));
}

static bool mac1_is_valid(struct wg_device *device, const struct wg_buffer *message)
{
	if (cookie_mac1_valid(&device->checker, message->data, message->size))
		return true;
	device->drops.bad_mac++;
	return false;
}

/* Whether the expensive part of an initiation is to be done. */
static bool admit(struct wg_device *device, const struct wg_buffer *message, uint32_t sender,
		  struct wg_time now)
{
	if (!mac1_is_valid(device, message))
		return false;
	if (!device_is_loaded(device, now))
		return true;
	cookie_checker_refresh(&device->checker, now.monotonic_ns, device->ops.random,
			       device->context);
	if (!cookie_mac2_valid(&device->checker, message->data, message->size,
			       &message->from.remote)) {
		turn_away(device, message, sender, now);
		return false;
	}
	if (!limiter_allow(&device->limiter, &message->from.remote.address, now.monotonic_ns)) {
		device->drops.rate_limited++;
		return false;
	}
	return true;
}

void peer_handshake_received(struct wg_peer *peer, const struct wg_route *from, size_t size,
			     struct wg_time now)
{
	peer_follow(peer, from);
	peer->rx_bytes += size;
	peer_authenticated_received(peer, now);
}

static void handle_initiation(struct wg_device *device, const struct wg_buffer *message,
			      struct reader *r, struct wg_time now)
{
	struct noise_initiation body;
	uint32_t sender;

	sender = reader_u32le(r);
	reader_copy(r, &body, sizeof(body));
	(void)reader_take(r, MESSAGE_MACS_SIZE);
	if (!reader_done(r)) {
		device->drops.malformed++;
		return;
	}
	if (admit(device, message, sender, now))
		device_answer(device, &message->from, sender, &body, now);
}

/*
 * Only who sees our initiation knows its index, and responses have places of their own: no load that others make is
 * a reason to turn one away, which would not be said again.
 */
static void handle_response(struct wg_device *device, const struct wg_buffer *message,
			    struct reader *r, struct wg_time now)
{
	const struct index_entry *entry;
	struct noise_response body;
	const struct wg_peer *peer;
	struct wg_job *job;
	uint32_t receiver;
	uint32_t sender;

	sender = reader_u32le(r);
	receiver = reader_u32le(r);
	reader_copy(r, &body, sizeof(body));
	(void)reader_take(r, MESSAGE_MACS_SIZE);
	if (!reader_done(r)) {
		device->drops.malformed++;
		return;
	}
	if (!mac1_is_valid(device, message))
		return;
	entry = index_table_find(&device->indices, receiver);
	if (!entry || entry->session) {
		device->drops.unknown_index++;
		return;
	}
	job = job_take(device, JOB_READ_RESPONSE);
	if (!job) {
		device->drops.busy++;
		return;
	}
	peer = entry->peer;
	job->from = message->from;
	job->sender = sender;
	job->receiver = receiver;
	job->response = body;
	job->handshake = peer->handshake;
	(void)dh_key_ref(job->handshake.ephemeral);
	memcpy(job->preshared_key, peer->preshared_key, WG_KEY_SIZE);
	job_compute(device, job, now);
}

/* Ends the handshake that we began with the session that comes of it. */
static int finish_handshake(struct index_entry *entry, const struct wg_job *job, struct wg_time now)
{
	struct wg_peer *peer = entry->peer;
	struct session *session;
	int r = session_new(peer, &job->keys, true, now, &session);

	if (r < 0)
		return r;
	session->remote_index = job->sender;
	session->local_index = peer->handshake_index; /* which now means the session */
	entry->session = session;
	peer->handshake_index = 0;
	noise_handshake_done(&peer->handshake);
	peer_add_session(peer, session);
	return 0;
}

/* A response may be forged: others to the same initiation are read beside it, and the first that is authentic ends
 * the handshake. */
void handshake_answered(struct wg_device *device, const struct wg_job *job, struct wg_time now)
{
	struct index_entry *entry = index_table_find(&device->indices, job->receiver);
	struct wg_peer *peer;
	int r = job->result;

	if (!entry || entry->session ||
	    entry->peer->handshake.ephemeral != job->handshake.ephemeral) {
		device->drops.unknown_index++;
		return;
	}
	peer = entry->peer;
	if (r == 0 && !secret_equal(job->preshared_key, peer->preshared_key, WG_KEY_SIZE))
		r = -EBADMSG; /* it was read with the one before */
	if (r == 0)
		r = finish_handshake(entry, job, now);
	if (r < 0) {
		device_count_failure(device, r);
		return;
	}
	peer_handshake_received(peer, &job->from, MESSAGE_RESPONSE_SIZE, now);
	peer_session_derived(peer, now);
	peer_handshake_complete(peer, now);
	/* The other side must see a packet before it can use the session. */
	if (peer->staged.count > 0)
		peer_flush_staged(peer, now);
	else
		peer_send_keepalive(peer, now);
}

static void handle_cookie(struct wg_device *device, const struct wg_buffer *message,
			  struct reader *r, struct wg_time now)
{
	uint8_t nonce[XCHACHA_NONCE_SIZE];
	uint8_t sealed[COOKIE_SIZE + AEAD_TAG_SIZE];
	const struct index_entry *entry;
	uint32_t receiver;
	int error;

	receiver = reader_u32le(r);
	reader_copy(r, nonce, sizeof(nonce));
	reader_copy(r, sealed, sizeof(sealed));
	if (!reader_done(r)) {
		device->drops.malformed++;
		return;
	}
	entry = index_table_find(&device->indices, receiver);
	if (!entry) {
		device->drops.unknown_index++;
		return;
	}
	error = cookie_jar_take(&entry->peer->cookies, nonce, sealed, now.monotonic_ns);
	if (error < 0)
		device_count_failure(device, error);
	else
		entry->peer->rx_bytes += message->size;
}

void device_handle_handshake(struct wg_device *device, const struct wg_buffer *message,
			     uint32_t type, struct wg_time now)
{
	struct reader r;

	reader_init(&r, message->data, message->size);
	(void)reader_u32le(&r);
	if (!device->identity &&
	    (type == MESSAGE_INITIATION || type == MESSAGE_RESPONSE || type == MESSAGE_COOKIE)) {
		device->drops.bad_mac++; /* nobody can know a key that we do not have */
		return;
	}
	switch (type) {
	case MESSAGE_INITIATION:
		handle_initiation(device, message, &r, now);
		break;
	case MESSAGE_RESPONSE:
		handle_response(device, message, &r, now);
		break;
	case MESSAGE_COOKIE:
		handle_cookie(device, message, &r, now);
		break;
	default:
		device->drops.malformed++;
	}
}
