#include "codec/base32.h"

#include <stdint.h>

/* 0 to 25 are letters, 26 to 31 the digits 2 to 7; no branch, no table: secrets pass through here. */
static char encode_digit(uint32_t v, char first)
{
	uint32_t letter = (uint32_t)((int32_t)(v - 26) >> 31);

	return (char)((letter & ((uint32_t)first + v)) | (~letter & ('2' + v - 26)));
}

char *base32_encode(const void *from, size_t size, enum base32_case letters, char *to)
{
	char first = letters == BASE32_LOWER ? 'a' : 'A';
	const uint8_t *bytes = from;
	uint32_t bits = 0;
	unsigned held = 0;
	size_t n = 0;

	for (size_t i = 0; i < size; i++) {
		bits = bits << 8 | bytes[i];
		held += 8;
		while (held >= 5) {
			held -= 5;
			to[n++] = encode_digit(bits >> held & 31, first);
		}
	}
	if (held > 0)
		to[n++] = encode_digit(bits << (5 - held) & 31, first);
	to[n] = '\0';
	return to;
}
