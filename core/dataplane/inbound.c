#include "dataplane/dataplane_internal.h"
#include "offload/virtio.h"

int inbound_init(struct inbound *in, const struct tun *tun, unsigned flags)
{
	unsigned kinds = 0;
	int r;

	if (!(flags & DATAPLANE_WITHOUT_COALESCE)) {
		kinds |= tun->features & TUN_HAS_HEADER ? COALESCE_TCP : 0;
		kinds |= tun->features & TUN_HAS_USO ? COALESCE_UDP : 0;
	}
	r = coalescer_new(kinds, BATCH, &in->coalescer);
	return r < 0 ? r : udp_receiver_new(RECEIVE_DATAGRAMS, &in->receiver);
}

void inbound_done(struct inbound *in)
{
	in->coalescer = coalescer_free(in->coalescer);
	in->receiver = udp_receiver_free(in->receiver);
}

/* Writes a super-packet that the kernel refused as the packets that it is made of. */
static void write_apart(struct dataplane *d, const struct coalesced *whole)
{
	static uint8_t packet[WG_PACKET_MAX], segment[WG_PACKET_MAX];
	struct virtio_net_hdr header, plain = { 0 };
	struct segmenter segmenter;
	size_t size = 0;

	memcpy(&header, whole->parts[0].iov_base, sizeof(header));
	for (size_t i = 1; i < whole->part_count; i++) {
		memcpy(packet + size, whole->parts[i].iov_base, whole->parts[i].iov_len);
		size += whole->parts[i].iov_len;
	}
	if (segmenter_init(&segmenter, &header, packet, size) < 0) {
		d->counters.tun_write_errors += whole->packet_count;
		return;
	}
	while ((size = segmenter_size(&segmenter)) > 0) {
		struct iovec parts[] = { { &plain, sizeof(plain) }, { segment, size } };

		segmenter_next(&segmenter, segment);
		d->counters.tun_writes++;
		if (tun_write(&d->tun, parts, 2) < 0)
			d->counters.tun_write_errors++;
	}
}

static void write_one(struct dataplane *d, const struct coalesced *packet)
{
	const struct virtio_net_hdr *header = packet->parts[0].iov_base;
	int r = tun_write(&d->tun, packet->parts, packet->part_count);

	d->counters.tun_writes++;
	if (r == 0)
		return;
	if (r != -EINVAL || packet->packet_count == 1) {
		d->counters.tun_write_errors += packet->packet_count;
		return;
	}
	/* The kernel does not know its kind: before 6.2 that is so with UDP. */
	coalescer_disable(d->in.coalescer, header->gso_type == VIRTIO_NET_HDR_GSO_UDP_L4
						   ? COALESCE_UDP
						   : COALESCE_TCP);
	write_apart(d, packet);
}

/* Opens the messages of the batch and writes what they hold. */
static void process(struct dataplane *d)
{
	struct inbound *in = &d->in;
	struct coalesced packet;

	if (in->count > FEW_PACKETS)
		poller_rest(d->poller);
	wg_device_open(d->device, in->buffers, in->count, dataplane_now());
	for (size_t i = 0; i < in->count; i++) {
		if (in->buffers[i].peer && in->buffers[i].size > 0) {
			d->counters.opened++;
			coalescer_add(in->coalescer, in->buffers[i].data, in->buffers[i].size);
		}
	}
	while (coalescer_next(in->coalescer, &packet))
		write_one(d, &packet);
	coalescer_clear(in->coalescer);
	in->count = 0;
}

static void take_train(struct dataplane *d, const struct udp_train *train)
{
	struct inbound *in = &d->in;
	const struct wg_route from = { train->path.remote, train->path.local };

	for (size_t at = 0; at < train->size; at += train->message_size) {
		size_t left = train->size - at;
		struct wg_buffer *buffer = &in->buffers[in->count++];

		buffer->data = train->data + at;
		buffer->size = left < train->message_size ? left : train->message_size;
		buffer->ds = train->ds;
		buffer->from = from;
		buffer->peer = NULL;
		d->counters.messages++;
		if (in->count == BATCH)
			process(d);
	}
}

void inbound_run(struct dataplane *d, int fd)
{
	struct udp_train *trains;
	ssize_t count = udp_receive(d->in.receiver, fd, &trains);

	for (ssize_t i = 0; i < count; i++) {
		d->counters.trains++;
		take_train(d, &trains[i]);
	}
	if (d->in.count > 0)
		process(d);
}
