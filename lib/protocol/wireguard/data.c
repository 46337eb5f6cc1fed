#include "base/bytes.h"
#include "wireguard/device_internal.h"
#include "wireguard/ip_packet.h"
#include "wireguard/message.h"

struct wg_peer *wg_device_route(struct wg_device *device, const uint8_t *packet, size_t size,
				size_t count)
{
	struct allowed_ips_owner *owner;
	struct ip_packet parsed;

	if (ip_packet_parse(packet, size, &parsed) < 0) {
		device->drops.malformed += count;
		return NULL;
	}
	owner = allowed_ips_find(&device->allowed_ips, parsed.v6, parsed.destination);
	if (!owner) {
		device->drops.no_peer += count;
		return NULL;
	}
	return container_of(owner, struct wg_peer, allowed_ips);
}

/* Packets went out in the current session: sets the timers, and begins a new session in time. */
static void peer_packets_sent(struct wg_peer *peer, bool data, struct wg_time now)
{
	const struct session *session = peer->current;

	if (data)
		peer_data_sent(peer, now);
	peer_authenticated_sent(peer, now);
	if (session->send_counter > REKEY_AFTER_MESSAGES ||
	    (session->initiator && now.monotonic_ns >= session->born_ns + REKEY_AFTER_TIME))
		peer_initiate(peer, false, now);
}

int wg_peer_seal(struct wg_peer *peer, struct wg_buffer *buffers, size_t count, size_t mtu,
		 struct wg_time now)
{
	bool data = false;

	if (!peer->device->up || !peer->route.remote.address.family) {
		peer->device->drops.no_endpoint += count;
		return WG_NO_ENDPOINT;
	}
	peer_check_route(peer);
	if (!session_can_send(peer->current, count, now)) {
		peer_stage(peer, buffers, count, mtu);
		peer_initiate(peer, false, now);
		return WG_STAGED;
	}
	for (size_t i = 0; i < count; i++)
		data |= buffers[i].size > 0;
	peer->tx_bytes += session_seal(peer->current, buffers, count, mtu);
	if (count > 0)
		peer_packets_sent(peer, data, now);
	return WG_SEALED;
}

void peer_flush_staged(struct wg_peer *peer, struct wg_time now)
{
	bool data = false;

	if (peer->staged.count == 0)
		return;
	if (!session_can_send(peer->current, peer->staged.count, now)) {
		peer_initiate(peer, false, now);
		return;
	}
	while (peer->staged.first) {
		cleanup_free struct staged_packet *packet = peer_unstage(peer);
		struct wg_buffer buffer = { .data = packet->bytes + WG_HEADROOM,
					    .size = packet->size };

		data |= packet->size > 0;
		(void)session_seal(peer->current, &buffer, 1, packet->mtu);
		peer_send(peer, buffer.ds, buffer.data, buffer.size);
	}
	peer_packets_sent(peer, data, now);
}

void peer_send_keepalive(struct wg_peer *peer, struct wg_time now)
{
	uint8_t bytes[WG_HEADROOM + WG_TAILROOM];
	struct wg_buffer buffer = { .data = bytes + WG_HEADROOM };

	if (!session_can_send(peer->current, 1, now)) {
		peer_initiate(peer, false, now);
		return;
	}
	(void)session_seal(peer->current, &buffer, 1, 0);
	peer_send(peer, 0, buffer.data, buffer.size);
	peer_packets_sent(peer, false, now);
}

/* Hands an authentic packet on to the TUN if the peer may send it. */
static void deliver(struct wg_peer *peer, struct wg_buffer *buffer, const struct aead_packet *plain)
{
	struct wg_device_drops *drops = &peer->device->drops;
	struct ip_packet packet;

	buffer->data = plain->data;
	buffer->size = plain->size;
	if (ip_packet_parse(plain->data, plain->size, &packet) < 0) {
		drops->malformed++;
	} else if (allowed_ips_find(&peer->device->allowed_ips, packet.v6, packet.source) !=
		   &peer->allowed_ips) {
		drops->wrong_source++;
	} else {
		ip_packet_take_ecn(buffer->data, &packet, buffer->ds);
		buffer->size = packet.size; /* without the padding */
		buffer->peer = peer;
	}
}

/* What authentic packets of a run have in common. */
struct run {
	const struct wg_buffer *last; /* NULL: none was authentic and new */
	bool data;
};

static void accept_packet(struct session *session, struct wg_buffer *buffer,
			  const struct aead_packet *packet, struct run *run)
{
	struct wg_peer *peer = session->peer;
	struct wg_device_drops *drops = &peer->device->drops;

	if (!packet->authentic) {
		drops->bad_tag++;
		return;
	}
	if (packet->counter >= REJECT_AFTER_MESSAGES) {
		drops->expired++;
		return;
	}
	if (!replay_accept(&session->replay, packet->counter)) {
		drops->replayed++;
		return;
	}
	run->last = buffer;
	peer->rx_bytes += buffer->size;
	if (packet->size > 0) {
		run->data = true;
		deliver(peer, buffer, packet);
	}
}

/* Authentic packets came in a session. */
static void session_received(struct session *session, const struct run *run, struct wg_time now)
{
	struct wg_peer *peer = session->peer;

	peer_follow(peer, &run->last->from);
	/* Before anything is sent: what goes out now is not answered by what came in. */
	peer_authenticated_received(peer, now);
	if (run->data)
		peer_data_received(peer, now);
	if (session == peer->next) { /* the other side has our answer: the session is confirmed */
		peer_promote_next(peer);
		peer_handshake_complete(peer, now);
		peer_flush_staged(peer, now);
	}

	/* The session will be over before a packet of ours would renew it. */
	session = peer->current;
	if (session && session->initiator && !peer->last_minute_sent &&
	    now.monotonic_ns >=
		    session->born_ns + REJECT_AFTER_TIME - KEEPALIVE_TIMEOUT - REKEY_TIMEOUT) {
		peer->last_minute_sent = true;
		peer_initiate(peer, false, now);
	}
}

/* Reads the header of a data message; the data that follows is what to open. */
static bool read_header(const struct wg_buffer *buffer, uint32_t *ret_receiver,
			struct aead_packet *ret)
{
	struct reader r;
	uint32_t type;

	reader_init(&r, buffer->data, buffer->size);
	type = reader_u32le(&r);
	*ret_receiver = reader_u32le(&r);
	ret->counter = reader_u64le(&r);
	ret->data = buffer->data + MESSAGE_DATA_HEADER;
	ret->size = buffer->size - MESSAGE_DATA_MIN;
	return type == MESSAGE_DATA && buffer->size >= MESSAGE_DATA_MIN;
}

/* Opens data messages of one session as long as they follow one another. Returns how many. */
static size_t open_run(struct wg_device *device, struct wg_buffer *buffers, size_t count,
		       struct wg_time now)
{
	struct aead_packet packets[AEAD_BATCH_MAX];
	const struct index_entry *entry;
	struct run run = { 0 };
	struct session *session;
	uint32_t receiver;
	uint32_t other;
	size_t n = 1;

	if (!read_header(&buffers[0], &receiver, &packets[0])) {
		device->drops.malformed++;
		return 1;
	}
	while (n < count && n < AEAD_BATCH_MAX && read_header(&buffers[n], &other, &packets[n]) &&
	       other == receiver)
		n++;
	entry = index_table_find(&device->indices, receiver);
	if (!entry || !entry->session) {
		device->drops.unknown_index += n;
		return n;
	}
	session = entry->session;
	if (!session_can_receive(session, now)) {
		device->drops.expired += n;
		return n;
	}
	aead_open(session->open, packets, n);
	for (size_t i = 0; i < n; i++)
		accept_packet(session, &buffers[i], &packets[i], &run);
	if (run.last)
		session_received(session, &run, now);
	return n;
}

static uint32_t message_type(const struct wg_buffer *buffer)
{
	struct reader r;

	reader_init(&r, buffer->data, buffer->size);
	return reader_u32le(&r);
}

void wg_device_open(struct wg_device *device, struct wg_buffer *buffers, size_t count,
		    struct wg_time now)
{
	unsigned row = device->load_row;
	size_t i = 0;

	for (size_t j = 0; j < count; j++)
		buffers[j].peer = NULL;
	if (!device->up)
		return;
	while (i < count) {
		uint32_t type = message_type(&buffers[i]);

		if (type == MESSAGE_DATA) {
			i += open_run(device, buffers + i, count - i, now);
		} else {
			device_handle_handshake(device, &buffers[i], type, now);
			i++;
		}
	}
	if (device->load_row - row < LOAD_BATCH)
		device->load_row = 0;
}
