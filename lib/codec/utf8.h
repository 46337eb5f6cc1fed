/*
 * UTF-8, RFC 3629
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Whether the bytes are well-formed: shortest forms, no surrogates, nothing above U+10FFFF. */
bool utf8_valid(const char *text, size_t size);
