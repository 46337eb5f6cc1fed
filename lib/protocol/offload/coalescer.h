/*
 * Coalescing of packets into the super-packets that a network device takes
 *
 * The reverse of the segmenter: consecutive packets of one TCP or UDP flow become one packet with a
 * virtio_net_hdr, which costs the kernel's stack about as much as one of them did. Only packets
 * that the kernel's own segmentation would give back byte for byte are joined, and only once their
 * checksums were verified; all others pass as they are. (The IPv4 identification of packets that
 * must not be fragmented is not kept: it has no meaning, RFC 6864 section 4.1.) The packets of a
 * flow stay in their order; those of different flows may overtake each other.
 *
 * Packets are borrowed and their first headers are changed; they have to stay in place until
 * coalescer_clear(). Bound: the number of packets that is given when it is made; nothing is
 * allocated after that.
 */
#pragma once

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/cleanup.h"

enum coalescer_kinds {
	COALESCE_TCP = 1 << 0,
	COALESCE_UDP = 1 << 1, /* the kernel takes VIRTIO_NET_HDR_GSO_UDP_L4 since 6.2 */
};

struct coalescer;

/* What goes to the device in one write: parts[0] is the virtio_net_hdr. */
struct coalesced {
	struct iovec *parts; /* borrowed until the next call */
	size_t part_count;
	size_t packet_count; /* 1: a packet as it came */
};

/* @kinds: enum coalescer_kinds; @capacity: packets until coalescer_clear(). Returns 0 or -ENOMEM. */
int coalescer_new(unsigned kinds, size_t capacity, struct coalescer **ret);

struct coalescer *coalescer_free(struct coalescer *c);
DEFINE_CLEANUP(struct coalescer *, coalescer_free);

/* Leaves out a kind from now on, where the device turned out not to take it. */
void coalescer_disable(struct coalescer *c, unsigned kinds);

/* What it joins still: enum coalescer_kinds. */
unsigned coalescer_kinds(const struct coalescer *c);

/* Adds an IP packet. The caller adds no more than the capacity. */
void coalescer_add(struct coalescer *c, uint8_t *packet, size_t size);

/* Gives the next packet or super-packet, in order. Returns false at the end. */
bool coalescer_next(struct coalescer *c, struct coalesced *ret);

/* Forgets all packets. */
void coalescer_clear(struct coalescer *c);
