/*
 * The form of a JSON document, as a table
 *
 * A shape says what a value has to look like; shape_check() holds a value against it, fills in the
 * members that may be missing, drops those that nobody knows, and names the path of the first fault.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/fault.h"
#include "base/text.h"

enum shape_kind {
	SHAPE_STRING,
	SHAPE_BOOL,
	SHAPE_U16,
	SHAPE_PORT, /* 1 to 65535 */
	SHAPE_U32,
	SHAPE_KEY, /* 32 bytes in base64, padded or not */
	SHAPE_IP,
	SHAPE_IPV4,
	SHAPE_HOST_V4, /* an IPv4 address that one host may have */
	SHAPE_ENDPOINT,
	SHAPE_ENDPOINT_V4, /* such an address with a port of 1 to 65535 */
	SHAPE_SUBNET_V4,
	SHAPE_ENDPOINT_V6, /* an IPv6 address that one host may have, with a port of 1 to 65535 */
	SHAPE_NETWORK_V6, /* the IPv6 network of a subnet */
	SHAPE_PREFIX,
	SHAPE_ENUM,
	SHAPE_OBJECT, /* `members` */
	SHAPE_UNION, /* `members`; the string `tag` chooses among `variants` */
	SHAPE_MAP, /* any names of the form `key`; the values are of `item` */
	SHAPE_ARRAY, /* of `item` */
};

struct shape;

#define SHAPE_OPTIONAL "" /* as `initial`: it may be missing, and stays so */

struct shape_member {
	const char *name;
	const struct shape *shape;
	const char *initial; /* JSON text of the value where it is missing; NULL: it must be there */
};

struct shape_variant {
	const char *tag;
	const struct shape_member *members;
};

struct shape {
	enum shape_kind kind;
	bool nullable;
	enum shape_kind key; /* of a map's names */
	const struct shape *item;
	const struct shape_member *members; /* ends with a NULL name */
	const char *tag; /* the member that tells a union's variant */
	const struct shape_variant *variants; /* ends with a NULL tag */
	const char *const *values; /* of an enumeration; ends with NULL */
};

/*
 * Checks @value in place. @path: its JSON pointer, used for the fault and restored.
 * Returns 0, -ENOMEM, or -EPROTO with a fault of kind FAULT_DESERIALIZATION.
 */
int shape_check(const struct shape *shape, json_t *value, struct text *path, struct fault *fault);
