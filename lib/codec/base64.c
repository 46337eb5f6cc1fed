#include "codec/base64.h"

#include <errno.h>
#include <string.h>

/* All bits set where a <= x <= b, for values far below 2^31; no branch, no table. */
static uint32_t within(uint32_t x, uint32_t a, uint32_t b)
{
	return ~(uint32_t)((int32_t)((x - a) | (b - x)) >> 31);
}

static char encode_digit(uint32_t v)
{
	uint32_t c = 0;

	c |= within(v, 0, 25) & ('A' + v);
	c |= within(v, 26, 51) & ('a' + v - 26);
	c |= within(v, 52, 61) & ('0' + v - 52);
	c |= within(v, 62, 62) & '+';
	c |= within(v, 63, 63) & '/';
	return (char)c;
}

/* The value of a digit, or UINT32_MAX. */
static uint32_t decode_digit(char digit)
{
	uint32_t c = (unsigned char)digit;
	uint32_t upper = within(c, 'A', 'Z');
	uint32_t lower = within(c, 'a', 'z');
	uint32_t number = within(c, '0', '9');
	uint32_t plus = within(c, '+', '+');
	uint32_t slash = within(c, '/', '/');
	uint32_t v = 0;

	v |= upper & (c - 'A');
	v |= lower & (c - 'a' + 26);
	v |= number & (c - '0' + 52);
	v |= plus & 62;
	v |= slash & 63;
	return v | ~(upper | lower | number | plus | slash);
}

char *base64_encode(const void *from, size_t size, bool padded, char *to)
{
	const uint8_t *bytes = from;
	uint32_t bits = 0;
	unsigned held = 0;
	size_t n = 0;

	for (size_t i = 0; i < size; i++) {
		bits = bits << 8 | bytes[i];
		held += 8;
		while (held >= 6) {
			held -= 6;
			to[n++] = encode_digit(bits >> held & 63);
		}
	}
	if (held > 0)
		to[n++] = encode_digit(bits << (6 - held) & 63);
	while (padded && n % 4 != 0)
		to[n++] = '=';
	to[n] = '\0';
	return to;
}

/* Digits of a text without its padding, or -EINVAL where the padding or the length is wrong. */
static ssize_t count_digits(const char *text)
{
	size_t size = strlen(text);
	size_t digits = size;

	while (digits > 0 && text[digits - 1] == '=')
		digits--;
	if (digits != size && (size % 4 != 0 || size - digits > 2))
		return -EINVAL;
	if (digits % 4 == 1)
		return -EINVAL;
	return (ssize_t)digits;
}

ssize_t base64_decode(const char *text, void *to, size_t capacity)
{
	ssize_t digits = count_digits(text);
	uint8_t *bytes = to;
	uint32_t wrong = 0;
	uint32_t bits = 0;
	unsigned held = 0;
	size_t n = 0;

	if (digits < 0)
		return digits;
	if ((size_t)digits * 3 / 4 > capacity)
		return -ENOBUFS;
	for (ssize_t i = 0; i < digits; i++) {
		uint32_t v = decode_digit(text[i]);

		wrong |= v >> 6;
		bits = bits << 6 | (v & 63);
		held += 6;
		if (held >= 8) {
			held -= 8;
			bytes[n++] = (uint8_t)(bits >> held);
		}
	}
	wrong |= bits & ((1U << held) - 1);
	return wrong ? -EINVAL : (ssize_t)n;
}
