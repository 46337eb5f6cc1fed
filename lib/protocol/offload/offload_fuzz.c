/*
 * Input: a first byte that chooses, then
 *  0: packets for the coalescer, each with its size in two bytes before it. What it joins, the
 *     segmenter takes apart into the same packets.
 *  1: a virtio_net_hdr and a packet for the segmenter: all that comes out has the size it was
 *     announced with, and together they carry the payload, byte for byte and in order. A packet that is
 *     no super-packet changes in nothing but its checksum.
 */
#include "offload/offload_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_coalescer(const uint8_t *data, size_t size)
{
	struct check_packet packets[CHECK_PACKETS_MAX];
	size_t count = 0;

	while (size > 2 && count < CHECK_PACKETS_MAX) {
		size_t wanted = load_u16(data);
		size_t left = size - 2;
		size_t one = wanted < left ? wanted : left;

		if (one == 0)
			break;
		packets[count] = (struct check_packet){ malloc(one), one, false };
		assert(packets[count].data);
		memcpy(packets[count++].data, data + 2, one);
		data += 2 + one;
		size -= 2 + one;
	}
	(void)check_round_trip(packets, count);
	while (count > 0)
		free(packets[--count].data);
}

/* One segment: its payload is what follows in the packet from @at on. */
static void check_segment_bytes(const struct segmenter *s, const uint8_t *packet, size_t at,
				uint8_t *segment, size_t size)
{
	if (s->protocol == 0 && s->transport != SIZE_MAX)
		memcpy(segment + s->checksum, packet + s->checksum, sizeof(uint16_t));
	assert(memcmp(segment + s->headers, packet + at, size - s->headers) == 0);
}

static void fuzz_segmenter(const uint8_t *data, size_t size)
{
	struct virtio_net_hdr header;
	cleanup_free uint8_t *packet = NULL;
	struct segmenter s;
	size_t one, total = 0, count = 0;

	if (size < sizeof(header))
		return;
	memcpy(&header, data, sizeof(header));
	data += sizeof(header);
	size -= sizeof(header);
	packet = malloc(size + 1);
	assert(packet);
	memcpy(packet, data, size);
	if (segmenter_init(&s, &header, packet, size) < 0)
		return;
	for (; (one = segmenter_size(&s)) > 0; count++) {
		cleanup_free uint8_t *segment = malloc(one);

		assert(segment && one >= s.headers);
		segmenter_next(&s, segment);
		check_segment_bytes(&s, packet, s.headers + total, segment, one);
		total += one - s.headers;
	}
	assert(count > 0 && total + s.headers == size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] % 2 == 0)
		fuzz_coalescer(data + 1, size - 1);
	else
		fuzz_segmenter(data + 1, size - 1);
	return 0;
}
