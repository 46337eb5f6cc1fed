#include "base/secret.h"
#include "wireguard/device_internal.h"

static void peer_init(struct wg_peer *peer, struct wg_device *device,
		      const uint8_t public_key[WG_KEY_SIZE])
{
	*peer = (struct wg_peer){ .device = device };
	timer_node_init(&peer->timer_node);
	list_init(&peer->link);
	list_init(&peer->waiting);
	allowed_ips_owner_init(&peer->allowed_ips);
	memcpy(peer->public_key, public_key, WG_KEY_SIZE);
	cookie_jar_init(&peer->cookies, public_key);
	peer->staged.last = &peer->staged.first;
	for (size_t i = 0; i < TIMER_COUNT; i++)
		peer->timers[i] = TIMER_NEVER;
}

int peer_new(struct wg_device *device, const uint8_t public_key[WG_KEY_SIZE], struct wg_peer **ret)
{
	struct wg_peer *peer = malloc(sizeof(*peer));

	if (!peer)
		return -ENOMEM;
	peer_init(peer, device, public_key);
	*ret = peer;
	return 0;
}

void peer_stop(struct wg_peer *peer)
{
	peer_forget_sessions(peer);
	peer_forget_handshake(peer);
	peer_drop_staged(peer);
	list_remove(&peer->waiting);
	peer->next_initiation_ns = 0;
	peer->another_keepalive = false;
	peer->last_minute_sent = false;
	for (size_t i = 0; i < TIMER_COUNT; i++)
		peer->timers[i] = TIMER_NEVER;
	timer_wheel_set(&peer->device->timers, &peer->timer_node, TIMER_NEVER);
}

/* Releases everything that the peer holds. */
static void peer_done(struct wg_peer *peer)
{
	peer_stop(peer);
	allowed_ips_remove_owner(&peer->device->allowed_ips, &peer->allowed_ips);
}

struct wg_peer *peer_free(struct wg_peer *peer)
{
	if (!peer)
		return NULL;
	peer_done(peer);
	secret_wipe(peer, sizeof(*peer));
	free(peer);
	return NULL;
}

void peer_reset(struct wg_peer *peer)
{
	struct wg_device *device = peer->device;
	uint8_t public_key[WG_KEY_SIZE];

	memcpy(public_key, peer->public_key, sizeof(public_key));
	peer_done(peer);
	list_remove(&peer->link);
	secret_wipe(peer, sizeof(*peer));
	peer_init(peer, device, public_key);
}

void peer_forget_handshake(struct wg_peer *peer)
{
	index_table_remove(&peer->device->indices, peer->handshake_index);
	peer->handshake_index = 0;
	peer->initiation = NULL;
	noise_handshake_done(&peer->handshake);
}

void peer_forget_sessions(struct wg_peer *peer)
{
	peer->previous = session_free(peer->previous);
	peer->current = session_free(peer->current);
	peer->next = session_free(peer->next);
}

void peer_remember_shared(struct wg_peer *peer, const struct wg_job *job)
{
	if (peer->shared_state != SHARED_UNKNOWN)
		return;
	peer->shared_state = job->shared_state;
	memcpy(peer->shared, job->shared, DH_SIZE);
}

/* Memory that a staged packet of @size takes, with what malloc() adds to it. */
static size_t staged_cost(size_t size)
{
	return sizeof(struct staged_packet) + WG_HEADROOM + size + WG_TAILROOM + 2 * sizeof(void *);
}

struct staged_packet *peer_unstage(struct wg_peer *peer)
{
	struct staged_queue *queue = &peer->staged;
	struct staged_packet *packet = queue->first;

	if (!packet)
		return NULL;
	queue->first = packet->next;
	if (!queue->first)
		queue->last = &queue->first;
	queue->count--;
	list_remove(&packet->link);
	peer->device->staged_bytes -= staged_cost(packet->size);
	return packet;
}

static void stage_one(struct wg_peer *peer, const struct wg_buffer *buffer, size_t mtu)
{
	struct wg_device *device = peer->device;
	struct staged_queue *queue = &peer->staged;
	struct staged_packet *packet =
		malloc(sizeof(*packet) + WG_HEADROOM + buffer->size + WG_TAILROOM);

	if (!packet) {
		device->drops.no_memory++;
		return;
	}
	packet->peer = peer;
	packet->next = NULL;
	packet->size = buffer->size;
	packet->mtu = mtu;
	memcpy(packet->bytes + WG_HEADROOM, buffer->data, buffer->size);
	*queue->last = packet;
	queue->last = &packet->next;
	queue->count++;
	list_append(&device->staged, &packet->link);
	device->staged_bytes += staged_cost(packet->size);
}

static void drop_oldest_staged(struct wg_peer *peer)
{
	free(peer_unstage(peer));
	peer->device->drops.staged_overflow++;
}

/* The oldest packet of a device is the oldest one of its peer. Whoever has waited longest is the least likely
 * to have a session soon, and his packets are the least worth by then. */
void peer_stage(struct wg_peer *peer, const struct wg_buffer *buffers, size_t count, size_t mtu)
{
	struct wg_device *device = peer->device;

	for (size_t i = 0; i < count; i++) {
		stage_one(peer, &buffers[i], mtu);
		if (peer->staged.count > WG_STAGED_MAX)
			drop_oldest_staged(peer);
		while (device->staged_bytes > WG_STAGED_BYTES_MAX)
			drop_oldest_staged(
				container_of(device->staged.next, struct staged_packet, link)->peer);
	}
}

void peer_drop_staged(struct wg_peer *peer)
{
	peer->device->drops.no_session += peer->staged.count;
	while (peer->staged.first)
		free(peer_unstage(peer));
}

void peer_add_session(struct wg_peer *peer, struct session *session)
{
	if (!session->initiator) {
		/* The other side will use it: it is confirmed by the first packet in it. */
		session_free(peer->next);
		peer->next = session;
		peer->previous = session_free(peer->previous);
		return;
	}
	session_free(peer->previous);
	if (peer->next) { /* both sides began a handshake: the other's session is used for a while */
		peer->previous = peer->next;
		peer->next = NULL;
		session_free(peer->current);
	} else {
		peer->previous = peer->current;
	}
	peer->current = session;
}

void peer_promote_next(struct wg_peer *peer)
{
	session_free(peer->previous);
	peer->previous = peer->current;
	peer->current = peer->next;
	peer->next = NULL;
}

const struct wg_route *wg_peer_route(const struct wg_peer *peer)
{
	return &peer->route;
}

void wg_peer_forget_source(struct wg_peer *peer)
{
	peer->source = peer->route.local = (struct ip_address){ 0 };
}

void wg_device_routes_changed(struct wg_device *device)
{
	device->routes++;
}

void peer_set_endpoint(struct wg_peer *peer, const struct endpoint *endpoint)
{
	peer->route.remote = *endpoint;
	wg_peer_forget_source(peer);
}

/* The interface that a message from the source leaves by now. */
static uint32_t output_of(struct wg_peer *peer)
{
	const struct wg_route way = { peer->route.remote, peer->source };
	const struct wg_device *device = peer->device;

	peer->routes_seen = device->routes;
	return device->ops.output ? device->ops.output(device->context, &way) : 0;
}

/* What is on its way still to an address that was let go of does not bring that back. */
void peer_follow(struct wg_peer *peer, const struct wg_route *from)
{
	bool same = ip_equal(&peer->source, &from->local) &&
		    ip_equal(&peer->route.remote.address, &from->remote.address);

	peer->route.remote = from->remote;
	if (same)
		return;
	peer->source = peer->route.local = from->local;
	peer->source_output = output_of(peer);
}

void peer_check_route(struct wg_peer *peer)
{
	uint32_t output;

	if (peer->routes_seen == peer->device->routes || !peer->source.family)
		return;
	output = output_of(peer);
	if (output == 0)
		return; /* no way at all, or the address is gone, which the kernel will tell */
	if (peer->source_output == 0)
		peer->source_output = output;
	peer->route.local = output == peer->source_output ? peer->source : (struct ip_address){ 0 };
}
