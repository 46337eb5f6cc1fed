/*
 * JSON text from outside
 *
 * RFC 8259, in UTF-8, with stated bounds. The last of several members with one name counts. NUL
 * characters are refused, also when escaped, since names and values are C strings further in; so
 * are integers beyond 64 bits.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "base/fault.h"

struct json_limits {
	size_t size; /* bytes of text */
	size_t depth; /* containers within each other; at most 1024 */
};

/*
 * Parses the whole text as one value of any type. Returns 0, -E2BIG (beyond
 * @limits), -EBADMSG (not JSON) with a fault (FAULT_DESERIALIZATION) that tells line and column, or
 * -ENOMEM. @fault: NULL is fine.
 */
int json_parse(const char *text, size_t size, const struct json_limits *limits, json_t **ret,
	       struct fault *fault);
