/*
 * Points in time as text, RFC 3339 in UTC: "2026-11-21T12:00:00Z"
 */
#pragma once

#include <stdint.h>

#define RFC3339_SIZE 21 /* with the NUL */

/* Writes a time between the years 1970 and 9999, in whole seconds; later ones are written as its end. */
char *rfc3339_format(uint64_t unix_s, char to[RFC3339_SIZE]);

/* Reads one, with any fraction of a second, which is dropped, and "Z" or "+00:00" at its end. Returns 0 or
 * -EINVAL. */
int rfc3339_parse(const char *text, uint64_t *ret_unix_s);
