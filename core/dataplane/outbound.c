#include "base/clock.h"
#include "dataplane/dataplane_internal.h"

#define SLOT_ALIGN 16
#define REST_NS (10 * NS_PER_MS) /* after a round of nothing but errors */

/* Once less room than this is left, the batch goes out: a usual super-packet of 64 KiB still fits. */
#define RESERVE 48

/* Room in the arena that a packet takes with what sealing adds to it. */
static size_t slot_size(size_t packet_size)
{
	size_t size = WG_HEADROOM + packet_size + WG_TAILROOM;

	return (size + SLOT_ALIGN - 1) & ~(size_t)(SLOT_ALIGN - 1);
}

static bool has_room(const struct outbound *out, size_t packet_size)
{
	return out->count < BATCH && out->used + slot_size(packet_size) <= sizeof(out->arena);
}

/* Moves segments of the waiting packet into the batch, as far as there is room. */
static void take_segments(struct dataplane *d)
{
	struct outbound *out = &d->out;
	struct wg_peer *peer = wg_device_route(d->device, out->segmenter.packet,
					       out->segmenter.size,
					       segmenter_count(&out->segmenter));
	size_t size;

	while (peer && (size = segmenter_size(&out->segmenter)) > 0) {
		struct wg_buffer *buffer = &out->buffers[out->count];

		if (!has_room(out, size))
			return;
		buffer->data = out->arena + out->used + WG_HEADROOM;
		buffer->size = size;
		buffer->ds = 0;
		segmenter_next(&out->segmenter, buffer->data);
		out->peers[out->count++] = peer;
		out->used += slot_size(size);
	}
	out->packet_waits = false;
}

/*
 * Fills the batch, until it is full or the TUN dry, or has given enough that goes nowhere: the poller
 * comes back to what is left, and the sockets have their turn. A read that fails may have been of one
 * odd packet, which the kernel took away with it: others follow. Where nothing else came the error may be
 * one that stays, which is no reason to try as fast as can be. Returns 0, or -EBADFD: the TUN is gone.
 */
static int fill(struct dataplane *d)
{
	struct outbound *out = &d->out;
	struct virtio_net_hdr header;
	unsigned failed = 0;
	ssize_t size;

	for (unsigned reads = 0; reads <= BATCH; reads++) {
		if (out->packet_waits)
			take_segments(d);
		if (out->packet_waits || out->count > BATCH - RESERVE)
			return 0;
		size = tun_read(&d->tun, &header, out->packet, sizeof(out->packet));
		if (size == -EAGAIN || size == -EINTR)
			return 0; /* the poller says when there is more */
		if (size == -EBADFD)
			return -EBADFD;
		if (size < 0) {
			d->counters.tun_read_errors++;
			failed++;
			continue;
		}
		d->counters.tun_packets++;
		out->packet_waits =
			segmenter_init(&out->segmenter, &header, out->packet, (size_t)size) == 0;
		d->counters.tun_malformed += !out->packet_waits;
	}
	if (failed > BATCH)
		out->rests_until_ns = clock_monotonic_ns() + REST_NS;
	return 0;
}

/* Queues sealed messages, those of one DS field together. */
static void queue_messages(struct dataplane *d, struct wg_peer *peer, size_t first, size_t end)
{
	struct outbound *out = &d->out;
	const struct wg_route *route = wg_peer_route(peer);
	struct udp_path path = dataplane_path(route);
	struct udp_sender *sender = dataplane_sender(d, route);

	while (first < end) {
		size_t next = first;

		do {
			out->messages[next] =
				(struct iovec){ out->buffers[next].data, out->buffers[next].size };
			next++;
		} while (next < end && out->buffers[next].ds == out->buffers[first].ds);
		udp_sender_add(sender, &path, out->buffers[first].ds, &out->messages[first],
			       next - first, peer);
		first = next;
	}
}

/* Seals the batch, run by run of one peer, and queues what has somewhere to go. */
static void seal(struct dataplane *d)
{
	struct outbound *out = &d->out;
	struct wg_time now = dataplane_now();
	size_t first = 0;

	if (out->count > FEW_PACKETS)
		poller_rest(d->poller);
	while (first < out->count) {
		struct wg_peer *peer = out->peers[first];
		size_t end = first + 1;

		while (end < out->count && out->peers[end] == peer)
			end++;
		if (wg_peer_seal(peer, &out->buffers[first], end - first, d->link.mtu, now) ==
		    WG_SEALED) {
			d->counters.sealed += end - first;
			queue_messages(d, peer, first, end);
		}
		first = end;
	}
}

/* Sends what is queued for one socket. Returns whether something is left. */
static bool flush_one(struct dataplane *d, struct udp_sender *sender, struct poller_source *source)
{
	bool blocked = udp_sender_flush(sender) == UDP_BLOCKED;
	uint32_t others = source->events & ~(uint32_t)EPOLLOUT;

	poller_change(d->poller, source, blocked ? others | EPOLLOUT : others);
	return blocked;
}

void outbound_flush(struct dataplane *d)
{
	struct outbound *out = &d->out;
	bool v4 = flush_one(d, d->sender_v4, &d->listening->v4);
	bool v6 = flush_one(d, d->sender_v6, &d->listening->v6);

	out->blocked = v4 || v6;
	if (!out->blocked)
		out->count = out->used = 0;
	if (out->blocked || out->rests_until_ns != UINT64_MAX)
		poller_change(d->poller, &d->tun_source, 0);
	else if (out->packet_waits) /* a TUN is always writable: the next round goes on with it */
		poller_change(d->poller, &d->tun_source, EPOLLIN | EPOLLOUT);
	else
		poller_change(d->poller, &d->tun_source, EPOLLIN);
}

void outbound_end_rest(struct dataplane *d, uint64_t now_ns)
{
	if (now_ns < d->out.rests_until_ns)
		return;
	d->out.rests_until_ns = UINT64_MAX;
	outbound_flush(d);
}

int outbound_run(struct dataplane *d)
{
	int r;

	if (d->out.blocked)
		return 0;
	r = fill(d);
	if (d->out.count > 0)
		seal(d);
	outbound_flush(d);
	return r;
}
