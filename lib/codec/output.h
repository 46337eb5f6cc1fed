/*
 * A value as text or bytes for a program or a person to read
 *
 * The formats of the command line's --format (rpc-and-patchdb.md 2.7). Members keep their order.
 */
#pragma once

#include <jansson.h>

#include "base/fault.h"
#include "base/text.h"

enum output_format {
	OUTPUT_JSON, /* one line, without a line break at its end */
	OUTPUT_JSON_PRETTY, /* indented by two, ends with a line break */
	OUTPUT_YAML,
	OUTPUT_CBOR, /* RFC 8949: definite lengths, shortest numbers */
	OUTPUT_TOML, /* 1.0.0; members that are null are left out: it has no null */
	OUTPUT_TOML_PRETTY, /* the same with one line for each element of an array */
};

/* The names of the formats in their order, "json" first; ends with NULL. */
extern const char *const output_format_names[];

/* Returns 0, or -EINVAL where no format has the name. */
int output_format_parse(const char *name, enum output_format *ret);

/*
 * Appends @value. Returns 0, -EINVAL (what TOML cannot say: a value that is not an object at the
 * top, null in an array) with a fault (FAULT_SERIALIZATION) that names the place, or what
 * text_error() says.
 */
int output_write(const json_t *value, enum output_format format, struct text *to,
		 struct fault *fault);
