/*
 * What the test and the fuzz target of this folder both assert
 *
 * Packets go through the coalescer, what comes out goes through the segmenter, and the result has to
 * be the packets that went in: byte for byte, those of each flow in order.
 */
#pragma once

#include <assert.h>

#include "offload/coalescer.h"
#include "offload/ip_header.h"
#include "offload/segmenter.h"

#define CHECK_PACKETS_MAX 256

struct check_packet {
	uint8_t *data;
	size_t size;
	bool seen;
};

/* Sums byte by byte, as RFC 1071 has it in words. */
static inline uint16_t slow_checksum(const uint8_t *data, size_t size, uint32_t sum)
{
	for (size_t i = 0; i < size; i++)
		sum += i % 2 ? data[i] : (uint32_t)data[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* An identification that has no meaning (RFC 6864) counts as zero. */
static inline void forget_atomic_id(uint8_t *packet, size_t size)
{
	if (size < IPV4_SIZE || packet[0] != 0x45 ||
	    load_u16(packet + IPV4_FRAGMENT) != IPV4_DONT_FRAGMENT)
		return;
	if (slow_checksum(packet, IPV4_SIZE, 0) != UINT16_MAX)
		return;
	store_u16(packet + IPV4_ID, 0);
	set_ip_length(packet, load_u16(packet + IPV4_TOTAL_LENGTH));
}

/* The bytes that tell a flow, where the packet is one that the coalescer may touch. */
static inline size_t flow_key(const struct check_packet *p, uint8_t key[40])
{
	bool v6 = p->size > 0 && packet_is_v6(p->data);
	size_t transport = v6 ? IPV6_SIZE : IPV4_SIZE;
	size_t addresses = v6 ? 32 : 8;

	if (p->size < transport + 4 || (!v6 && p->data[0] != 0x45))
		return 0;
	key[0] = p->data[v6 ? IPV6_NEXT_HEADER : IPV4_PROTOCOL];
	if (key[0] != IPPROTO_TCP && key[0] != IPPROTO_UDP)
		return 0;
	memcpy(key + 1, p->data + (v6 ? IPV6_SOURCE : IPV4_SOURCE), addresses);
	memcpy(key + 1 + addresses, p->data + transport, 4);
	return 1 + addresses + 4;
}

static inline bool same_flow(const struct check_packet *a, const struct check_packet *b)
{
	uint8_t key_a[40], key_b[40];
	size_t size = flow_key(a, key_a);

	return size > 0 && size == flow_key(b, key_b) && memcmp(key_a, key_b, size) == 0;
}

/* Finds one packet that came out among those that went in: no earlier one of its flow is missing. */
static inline void check_segment(struct check_packet *in, size_t count, uint8_t *data, size_t size)
{
	size_t i = 0;

	forget_atomic_id(data, size);
	while (i < count &&
	       (in[i].seen || in[i].size != size || memcmp(in[i].data, data, size) != 0))
		i++;
	assert(i < count);
	for (size_t earlier = 0; earlier < i; earlier++)
		assert(in[earlier].seen || !same_flow(&in[earlier], &in[i]));
	in[i].seen = true;
}

/* Puts the parts of a write together, as the device would. Returns the packet's size. */
static inline size_t gather(const struct coalesced *from, struct virtio_net_hdr *header,
			    uint8_t *to)
{
	size_t size = 0;

	assert(from->parts[0].iov_len == sizeof(*header));
	memcpy(header, from->parts[0].iov_base, sizeof(*header));
	for (size_t i = 1; i < from->part_count; i++) {
		assert(size + from->parts[i].iov_len <= UINT16_MAX);
		memcpy(to + size, from->parts[i].iov_base, from->parts[i].iov_len);
		size += from->parts[i].iov_len;
	}
	return size;
}

/*
 * Runs packets, at most CHECK_PACKETS_MAX, through both. @data of each is on the heap and is changed.
 * Returns the number of writes that were needed.
 */
static inline size_t check_round_trip(struct check_packet *packets, size_t count)
{
	static struct check_packet in[CHECK_PACKETS_MAX];
	static uint8_t whole[UINT16_MAX], segment[UINT16_MAX];
	CLEANUP(coalescer_free) struct coalescer *c = NULL;
	struct virtio_net_hdr header;
	struct segmenter s;
	struct coalesced out;
	size_t writes = 0, size, segments;

	assert(coalescer_new(COALESCE_TCP | COALESCE_UDP, CHECK_PACKETS_MAX, &c) == 0);
	for (size_t i = 0; i < count; i++) {
		in[i] = (struct check_packet){ malloc(packets[i].size + 1), packets[i].size,
					       false };
		assert(in[i].data);
		memcpy(in[i].data, packets[i].data, packets[i].size);
		forget_atomic_id(in[i].data, in[i].size);
		coalescer_add(c, packets[i].data, packets[i].size);
	}
	for (; coalescer_next(c, &out); writes++) {
		size = gather(&out, &header, whole);
		assert(segmenter_init(&s, &header, whole, size) == 0);
		for (segments = 0; (size = segmenter_size(&s)) > 0; segments++) {
			assert(segmenter_count(&s) == out.packet_count - segments);
			segmenter_next(&s, segment);
			check_segment(in, count, segment, size);
		}
		assert(segments == out.packet_count && segmenter_count(&s) == 0);
	}
	for (size_t i = 0; i < count; i++) {
		assert(in[i].seen);
		free(in[i].data);
	}
	return writes;
}
