/*
 * Base64 of RFC 4648 section 4, standard alphabet
 *
 * Text may be padded or not on the way in; each caller says which it writes. Constant-time lookups,
 * since keys pass through here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define BASE64_SIZE(bytes) (((bytes) + 2) / 3 * 4 + 1) /* with the NUL */

/* Writes at most BASE64_SIZE(size) bytes to @to and returns it. */
char *base64_encode(const void *from, size_t size, bool padded, char *to);

/* Returns the number of bytes, or -EINVAL (a wrong character, length, or stray bits), -ENOBUFS. */
ssize_t base64_decode(const char *text, void *to, size_t capacity);
