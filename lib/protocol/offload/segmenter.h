/*
 * Segmentation of packets that a network device hands over unfinished
 *
 * A TUN device with offloads gives TCP and UDP super-packets of up to 64 KiB and leaves checksums to
 * the receiver, as its virtio_net_hdr says. The segmenter turns one into the packets that would
 * have been sent: lengths, IP identification, TCP sequence and flags, checksums. A packet that is
 * finished but for its checksum, or finished altogether, comes out as its only segment.
 *
 * A plain value without memory of its own; the packet is borrowed and not changed.
 */
#pragma once

#include <linux/virtio_net.h>
#include <stddef.h>
#include <stdint.h>

struct segmenter {
	const uint8_t *packet;
	size_t size;
	size_t transport; /* where the checksummed part begins; SIZE_MAX: no checksum to make */
	size_t checksum; /* where the checksum is, counted from the packet's begin */
	size_t headers; /* in front of the payload */
	size_t payload_max; /* of one segment */
	size_t at; /* of the payload that comes next */
	uint64_t pseudo_sum;
	uint16_t index; /* of the next segment */
	uint8_t protocol; /* 0: one segment */
};

/*
 * Begins with a packet. Returns 0, or -EINVAL where the header does not go with the packet, or its
 * kind of offload was never asked for.
 */
int segmenter_init(struct segmenter *s, const struct virtio_net_hdr *header, const uint8_t *packet,
		   size_t size);

/* Size of the next segment; 0 once there is none. */
size_t segmenter_size(const struct segmenter *s);

/* How many segments are to come. */
size_t segmenter_count(const struct segmenter *s);

/* Writes the next segment, segmenter_size() bytes. */
void segmenter_next(struct segmenter *s, uint8_t *to);
