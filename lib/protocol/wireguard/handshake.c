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

/* Begins the handshake and takes an index for it, in place of an earlier one. */
static int begin_handshake(struct wg_peer *peer, struct wg_time now, struct noise_initiation *ret)
{
	struct wg_device *device = peer->device;
	uint8_t timestamp[NOISE_TIMESTAMP_SIZE];
	uint8_t ephemeral[DH_SIZE];
	uint32_t index;
	int r;

	r = peer_shared_secret(peer);
	if (r < 0)
		return r;
	r = index_table_add(&device->indices, peer, NULL, device->ops.random, device->context,
			    &index);
	if (r < 0)
		return r;
	next_timestamp(peer, now, timestamp);
	device_random(device, ephemeral, sizeof(ephemeral));
	r = noise_write_initiation(&peer->handshake, device->identity, peer->public_key,
				   peer->shared, timestamp, ephemeral, ret);
	index_table_remove(&device->indices, r < 0 ? index : peer->handshake_index);
	if (r == 0)
		peer->handshake_index = index;
	return r;
}

static void send_initiation(struct wg_peer *peer, struct wg_time now)
{
	uint8_t message[MESSAGE_INITIATION_SIZE];
	struct noise_initiation body;
	struct writer w;
	int r = begin_handshake(peer, now, &body);

	if (r < 0) {
		peer->device->drops.no_memory += r == -ENOMEM;
		return;
	}
	writer_init(&w, message, sizeof(message));
	writer_u32le(&w, MESSAGE_INITIATION);
	writer_u32le(&w, peer->handshake_index);
	writer_copy(&w, &body, sizeof(body));
	cookie_jar_sign(&peer->cookies, message, sizeof(message), now.monotonic_ns);
	peer_send(peer, DS_HANDSHAKE, message, sizeof(message));
	peer_authenticated_sent(peer, now);
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
	peer->next_initiation_ns = now.monotonic_ns + REKEY_TIMEOUT;
	if (peer->device->identity)
		send_initiation(peer, now);
	peer_handshake_begun(peer, now); /* what failed is tried again */
}

void device_begin_handshakes(struct wg_device *device, struct wg_time now)
{
	size_t count = 0;

	if (list_empty(&device->waiting) || now.monotonic_ns < device->begin_ns)
		return;
	device->begin_ns = now.monotonic_ns + BEGUN_INTERVAL;
	while (!list_empty(&device->waiting) && count++ < BEGUN_AT_ONCE)
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
	    device->answers_out > LOAD_ANSWERS)
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

/* Whether the expensive part of a handshake message is to be done. */
static bool admit(struct wg_device *device, const struct wg_buffer *message, uint32_t sender,
		  struct wg_time now)
{
	if (!cookie_mac1_valid(&device->checker, message->data, message->size)) {
		device->drops.bad_mac++;
		return false;
	}
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

/* Ends the handshake that we began with the session that comes of it. */
static int finish_handshake(struct index_entry *entry, const struct noise_response *body,
			    uint32_t sender, struct wg_time now)
{
	struct wg_peer *peer = entry->peer;
	struct noise_keys keys;
	struct session *session;
	int r;

	r = noise_read_response(&peer->handshake, peer->device->identity, peer->preshared_key, body,
				&keys);
	if (r < 0)
		return r;
	r = session_new(peer, &keys, true, now, &session);
	secret_wipe(&keys, sizeof(keys));
	if (r < 0)
		return r;
	session->remote_index = sender;
	session->local_index = peer->handshake_index; /* which now means the session */
	entry->session = session;
	peer->handshake_index = 0;
	noise_handshake_done(&peer->handshake);
	peer_add_session(peer, session);
	return 0;
}

static void handle_response(struct wg_device *device, const struct wg_buffer *message,
			    struct reader *r, struct wg_time now)
{
	struct noise_response body;
	struct index_entry *entry;
	struct wg_peer *peer;
	uint32_t receiver;
	uint32_t sender;
	int error;

	sender = reader_u32le(r);
	receiver = reader_u32le(r);
	reader_copy(r, &body, sizeof(body));
	(void)reader_take(r, MESSAGE_MACS_SIZE);
	if (!reader_done(r)) {
		device->drops.malformed++;
		return;
	}
	if (!admit(device, message, sender, now))
		return;
	entry = index_table_find(&device->indices, receiver);
	if (!entry || entry->session) {
		device->drops.unknown_index++;
		return;
	}
	peer = entry->peer;
	error = finish_handshake(entry, &body, sender, now);
	if (error < 0) {
		device_count_failure(device, error);
		return;
	}
	peer_handshake_received(peer, &message->from, message->size, now);
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
