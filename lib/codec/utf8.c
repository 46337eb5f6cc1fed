#include "codec/utf8.h"

#include <stdint.h>

/* Size of the sequence that begins with @lead, and the bounds of its second byte; 0: none does. */
static size_t sequence(uint8_t lead, uint8_t *low, uint8_t *high)
{
	*low = 0x80;
	*high = 0xbf;
	if (lead < 0x80)
		return 1;
	if (lead >= 0xc2 && lead <= 0xdf)
		return 2;
	if (lead >= 0xe0 && lead <= 0xef) {
		*low = lead == 0xe0 ? 0xa0 : 0x80;
		*high = lead == 0xed ? 0x9f : 0xbf;
		return 3;
	}
	if (lead >= 0xf0 && lead <= 0xf4) {
		*low = lead == 0xf0 ? 0x90 : 0x80;
		*high = lead == 0xf4 ? 0x8f : 0xbf;
		return 4;
	}
	return 0;
}

bool utf8_valid(const char *text, size_t size)
{
	const uint8_t *at = (const uint8_t *)text;
	const uint8_t *end = at + size;

	while (at < end) {
		uint8_t low;
		uint8_t high;
		size_t length = sequence(*at, &low, &high);

		if (length == 0 || length > (size_t)(end - at))
			return false;
		if (length > 1 && (at[1] < low || at[1] > high))
			return false;
		for (size_t i = 2; i < length; i++)
			if (at[i] < 0x80 || at[i] > 0xbf)
				return false;
		at += length;
	}
	return true;
}
