/*
 * A one's complement sum may be taken over wider words and folded at the end. Words of 32 bits are
 * added into lanes of 64, which do not overflow below 2^32 words, and the compiler makes vector
 * instructions of any machine from it.
 */
#include "offload/checksum.h"

#include "base/cleanup.h"

typedef uint64_t lanes_t __attribute__((vector_size(16)));

#define LANES (2 * sizeof(lanes_t)) /* bytes in one step */

static inline lanes_t lanes_load(const uint8_t *from)
{
	lanes_t lanes;

	memcpy(&lanes, from, sizeof(lanes));
	return lanes;
}

static inline lanes_t lanes_sum(lanes_t a, lanes_t b)
{
	const lanes_t low = { UINT32_MAX, UINT32_MAX };

	return (a & low) + (a >> 32) + (b & low) + (b >> 32);
}

static uint64_t checksum_tail(uint64_t sum, const uint8_t *at, size_t size)
{
	uint32_t word;
	uint16_t half;

	for (; size >= sizeof(word); at += sizeof(word), size -= sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		sum += word;
	}
	if (size >= sizeof(half)) {
		memcpy(&half, at, sizeof(half));
		sum += half;
		at += sizeof(half);
		size -= sizeof(half);
	}
	if (size > 0) {
		half = 0;
		memcpy(&half, at, 1);
		sum += half;
	}
	return sum;
}

uint64_t checksum_add(uint64_t sum, const void *data, size_t size)
{
	const uint8_t *at = data;
	lanes_t total = { 0, 0 };

	for (; size >= LANES; at += LANES, size -= LANES)
		total += lanes_sum(lanes_load(at), lanes_load(at + sizeof(lanes_t)));
	return checksum_tail(sum + total[0] + total[1], at, size);
}

uint64_t checksum_copy(uint64_t sum, void *to, const void *from, size_t size)
{
	const uint8_t *at = from;
	uint8_t *out = to;
	lanes_t total = { 0, 0 };

	for (; size >= LANES; at += LANES, out += LANES, size -= LANES) {
		lanes_t a = lanes_load(at);
		lanes_t b = lanes_load(at + sizeof(lanes_t));

		memcpy(out, &a, sizeof(a));
		memcpy(out + sizeof(a), &b, sizeof(b));
		total += lanes_sum(a, b);
	}
	memcpy(out, at, size);
	return checksum_tail(sum + total[0] + total[1], at, size);
}

uint16_t checksum_fold(uint64_t sum)
{
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & UINT16_MAX) + (sum >> 16);
	sum = (sum & UINT16_MAX) + (sum >> 16);
	sum = (sum & UINT16_MAX) + (sum >> 16);
	return (uint16_t)sum;
}
