/*
 * CBOR, RFC 8949: definite lengths, and the shortest form of each number (section 4.2.1 but for the
 * order of members, which is kept).
 */
#include <math.h>
#include <stdint.h>

#include "output_internal.h"

/* Major types, section 3.1. */
enum major {
	MAJOR_UNSIGNED = 0,
	MAJOR_NEGATIVE = 1,
	MAJOR_TEXT = 3,
	MAJOR_ARRAY = 4,
	MAJOR_MAP = 5,
	MAJOR_SIMPLE = 7,
};

enum simple {
	SIMPLE_FALSE = 20,
	SIMPLE_TRUE = 21,
	SIMPLE_NULL = 22,
	SIMPLE_HALF = 25,
	SIMPLE_SINGLE = 26,
	SIMPLE_DOUBLE = 27,
};

static void write_be(struct text *to, uint64_t value, unsigned size)
{
	while (size-- > 0)
		text_append_char(to, (char)(value >> (8 * size)));
}

static void write_head(struct text *to, enum major major, uint64_t argument)
{
	unsigned type = (unsigned)major << 5;

	if (argument < 24) {
		write_be(to, type | argument, 1);
	} else if (argument <= UINT8_MAX) {
		write_be(to, type | 24, 1);
		write_be(to, argument, 1);
	} else if (argument <= UINT16_MAX) {
		write_be(to, type | 25, 1);
		write_be(to, argument, 2);
	} else if (argument <= UINT32_MAX) {
		write_be(to, type | 26, 1);
		write_be(to, argument, 4);
	} else {
		write_be(to, type | 27, 1);
		write_be(to, argument, 8);
	}
}

static void write_integer(struct text *to, int64_t value)
{
	if (value < 0)
		write_head(to, MAJOR_NEGATIVE, (uint64_t)(-1 - value));
	else
		write_head(to, MAJOR_UNSIGNED, (uint64_t)value);
}

/*
 * The half-precision bits of a single-precision number, where it has one without loss: 11
 * significant bits and exponents -14 to 15, or fewer bits down to 2^-24.
 */
static bool half_of(float value, uint16_t *ret)
{
	uint32_t bits;
	uint32_t mantissa;
	int exponent;
	uint16_t sign;

	memcpy(&bits, &value, sizeof(bits));
	sign = (uint16_t)(bits >> 16 & 0x8000);
	exponent = (int)(bits >> 23 & 0xff) - 127;
	mantissa = bits & 0x7fffff;
	if ((bits & 0x7fffffff) == 0) {
		*ret = sign;
		return true;
	}
	if (exponent > 15 || exponent < -24)
		return false;
	if (exponent >= -14) {
		*ret = (uint16_t)(sign | (exponent + 15) << 10 | mantissa >> 13);
		return (mantissa & 0x1fff) == 0;
	}
	mantissa |= 0x800000; /* subnormal: the leading one is written out */
	*ret = (uint16_t)(sign | mantissa >> (-1 - exponent));
	return (mantissa & ((1U << (-1 - exponent)) - 1)) == 0;
}

/* JSON has neither infinities nor NaN. */
static void write_real(struct text *to, double value)
{
	bool fits = fabs(value) <= (double)3.40282346638528859812e+38F;
	float narrow = fits ? (float)value : 0;
	uint64_t bits;
	uint32_t narrow_bits;
	uint16_t half;

	if (!fits || (double)narrow != value) {
		memcpy(&bits, &value, sizeof(bits));
		write_be(to, MAJOR_SIMPLE << 5 | SIMPLE_DOUBLE, 1);
		write_be(to, bits, 8);
	} else if (half_of(narrow, &half)) {
		write_be(to, MAJOR_SIMPLE << 5 | SIMPLE_HALF, 1);
		write_be(to, half, 2);
	} else {
		memcpy(&narrow_bits, &narrow, sizeof(narrow_bits));
		write_be(to, MAJOR_SIMPLE << 5 | SIMPLE_SINGLE, 1);
		write_be(to, narrow_bits, 4);
	}
}

static void write_text(struct text *to, const char *string, size_t size)
{
	write_head(to, MAJOR_TEXT, size);
	text_append_bytes(to, string, size);
}

static void write_array(struct text *to, const json_t *array)
{
	const json_t *value;
	size_t i;

	write_head(to, MAJOR_ARRAY, json_array_size(array));
	json_array_foreach(array, i, value)
		output_cbor(value, to);
}

static void write_map(struct text *to, const json_t *object)
{
	const char *name;
	const json_t *value;

	write_head(to, MAJOR_MAP, json_object_size(object));
	json_object_foreach((json_t *)object, name, value) {
		write_text(to, name, strlen(name));
		output_cbor(value, to);
	}
}

void output_cbor(const json_t *value, struct text *to)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		write_map(to, value);
		break;
	case JSON_ARRAY:
		write_array(to, value);
		break;
	case JSON_STRING:
		write_text(to, json_string_value(value), json_string_length(value));
		break;
	case JSON_INTEGER:
		write_integer(to, json_integer_value(value));
		break;
	case JSON_REAL:
		write_real(to, json_real_value(value));
		break;
	case JSON_TRUE:
		write_head(to, MAJOR_SIMPLE, SIMPLE_TRUE);
		break;
	case JSON_FALSE:
		write_head(to, MAJOR_SIMPLE, SIMPLE_FALSE);
		break;
	case JSON_NULL:
		write_head(to, MAJOR_SIMPLE, SIMPLE_NULL);
		break;
	}
}
