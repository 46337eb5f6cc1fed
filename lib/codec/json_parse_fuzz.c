/* What parses stays within its bounds and says the same after it was written and parsed again. */
#include <assert.h>
#include <stdint.h>

#include "base/text.h"
#include "codec/json_parse.h"
#include "codec/output.h"

#define DEPTH 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t depth_of(const json_t *value)
{
	size_t deepest = 0;
	const json_t *inner;
	const char *name;
	size_t i;

	json_array_foreach(value, i, inner)
		deepest = depth_of(inner) > deepest ? depth_of(inner) : deepest;
	json_object_foreach((json_t *)value, name, inner)
		deepest = depth_of(inner) > deepest ? depth_of(inner) : deepest;
	return deepest + (json_is_array(value) || json_is_object(value));
}

static void check_again(const json_t *value, enum output_format format)
{
	const struct json_limits limits = { .size = SIZE_MAX, .depth = DEPTH };
	CLEANUP(text_done) struct text written = { 0 };
	json_t *again = NULL;

	assert(output_write(value, format, &written, NULL) == 0);
	assert(json_parse(written.data, written.size, &limits, &again, NULL) == 0);
	assert(json_equal(value, again));
	json_decref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct json_limits limits = { .size = 4096, .depth = DEPTH };
	static const enum output_format others[] = { OUTPUT_YAML, OUTPUT_CBOR };
	struct fault fault = { 0 };
	json_t *value = NULL;
	int r = json_parse((const char *)data, size, &limits, &value, &fault);

	if (r < 0) {
		assert(!value && fault.kind == FAULT_DESERIALIZATION && fault.details);
		fault_done(&fault);
		return 0;
	}
	assert(size <= limits.size && depth_of(value) <= DEPTH && !fault_is_set(&fault));
	check_again(value, OUTPUT_JSON);
	check_again(value, OUTPUT_JSON_PRETTY);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		CLEANUP(text_done) struct text written = { 0 };

		assert(output_write(value, others[i], &written, NULL) == 0);
	}
	for (int pretty = 0; pretty <= 1; pretty++) {
		CLEANUP(text_done) struct text written = { 0 };

		r = output_write(value, pretty ? OUTPUT_TOML_PRETTY : OUTPUT_TOML, &written,
				 &fault);
		assert(r == 0 || (r == -EINVAL && fault.details));
		fault_done(&fault);
	}
	json_decref(value);
	return 0;
}
