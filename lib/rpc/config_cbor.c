/* The part of CBOR (RFC 8949) that has a JSON form: definite lengths, text keys, whole numbers. */
#include <string.h>

#include "base/bytes.h"
#include "rpc/config.h"

enum major { UNSIGNED = 0, NEGATIVE = 1, TEXT = 3, ARRAY = 4, MAP = 5, SIMPLE = 7 };
enum simple { SIMPLE_FALSE = 20, SIMPLE_TRUE = 21, SIMPLE_NULL = 22 };

static uint64_t read_argument(struct reader *r, unsigned info)
{
	switch (info) {
	case 24:
		return reader_u8(r);
	case 25:
		return reader_u16(r);
	case 26:
		return reader_u32(r);
	case 27:
		return reader_u64(r);
	default:
		if (info > 27)
			r->failed = true;
		return info;
	}
}

static json_t *read_text(struct reader *r, uint64_t size)
{
	const uint8_t *bytes = size <= reader_left(r) ? reader_take(r, (size_t)size) : NULL;

	if (!bytes || memchr(bytes, '\0', (size_t)size))
		return NULL;
	return json_stringn((const char *)bytes, (size_t)size);
}

static json_t *read_value(struct reader *r, unsigned depth);

static json_t *read_array(struct reader *r, uint64_t count, unsigned depth)
{
	json_t *array = json_array();

	for (uint64_t i = 0; array && i < count; i++) {
		if (json_array_append_new(array, read_value(r, depth)) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *read_map(struct reader *r, uint64_t count, unsigned depth)
{
	json_t *map = json_object();

	for (uint64_t i = 0; map && i < count; i++) {
		json_t *key = read_value(r, depth);
		json_t *value = key ? read_value(r, depth) : NULL;
		const char *name = json_string_value(key);

		if (!name || json_object_set_new(map, name, value) < 0) {
			if (!name)
				json_decref(value);
			json_decref(map);
			map = NULL;
		}
		json_decref(key);
	}
	return map;
}

static json_t *read_simple(uint64_t value)
{
	switch (value) {
	case SIMPLE_FALSE:
		return json_false();
	case SIMPLE_TRUE:
		return json_true();
	case SIMPLE_NULL:
		return json_null();
	default:
		return NULL;
	}
}

/* Returns NULL where the bytes are not such a value. */
static json_t *read_value(struct reader *r, unsigned depth)
{
	uint8_t initial = reader_u8(r);
	uint64_t argument = read_argument(r, initial & 0x1f);

	if (r->failed)
		return NULL;
	switch (initial >> 5) {
	case UNSIGNED:
		return argument <= INT64_MAX ? json_integer((json_int_t)argument) : NULL;
	case NEGATIVE:
		return argument <= INT64_MAX ? json_integer(-1 - (json_int_t)argument) : NULL;
	case TEXT:
		return read_text(r, argument);
	case ARRAY:
		return depth < CONFIG_DEPTH_MAX ? read_array(r, argument, depth + 1) : NULL;
	case MAP:
		return depth < CONFIG_DEPTH_MAX ? read_map(r, argument, depth + 1) : NULL;
	case SIMPLE:
		return read_simple(argument);
	default:
		return NULL;
	}
}

int config_parse_cbor(const char *bytes, size_t size, json_t **ret, struct fault *fault)
{
	struct reader r;
	json_t *value;

	reader_init(&r, bytes, size);
	value = read_value(&r, 0);
	if (!value || !reader_done(&r)) {
		json_decref(value);
		(void)fault_set(fault, FAULT_DESERIALIZATION,
				"is not CBOR of maps, lists, text, whole numbers and booleans");
		return -EBADMSG;
	}
	*ret = value;
	return 0;
}
