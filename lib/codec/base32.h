/*
 * Base32 of RFC 4648 section 6, without padding
 *
 * Written only: tokens, their hashes and generated passwords are compared as text.
 */
#pragma once

#include <stddef.h>

#define BASE32_SIZE(bytes) (((bytes)*8 + 4) / 5 + 1) /* with the NUL */

enum base32_case {
	BASE32_LOWER,
	BASE32_UPPER,
};

/* Writes BASE32_SIZE(size) bytes to @to and returns it. Makes no branch on the bytes. */
char *base32_encode(const void *from, size_t size, enum base32_case letters, char *to);
