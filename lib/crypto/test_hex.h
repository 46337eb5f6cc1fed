/* Bytes of test vectors. For *_test.c only. */
#pragma once

#include <stdio.h>
#include <string.h>

#include "base/test.h"

static inline size_t from_hex(const char *hex, uint8_t *to)
{
	size_t size = strlen(hex) / 2;

	for (size_t i = 0; i < size; i++) {
		unsigned byte;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		to[i] = (uint8_t)byte;
	}
	return size;
}

/* The seed of the spec's examples: bytes 00 to 1f. */
static inline void counting_seed(uint8_t to[32])
{
	for (uint8_t i = 0; i < 32; i++)
		to[i] = i;
}
