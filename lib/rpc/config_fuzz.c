/*
 * Whatever the bytes are, each format's parser gives an object or a fault that says why not, and what
 * it gives says the same after it went through JSON.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "codec/output.h"
#include "rpc/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_json(const json_t *value)
{
	CLEANUP(text_done) struct text written = { 0 };
	CLEANUP(fault_done) struct fault fault = { 0 };
	json_t *again = NULL;

	assert(json_is_object(value));
	assert(output_write(value, OUTPUT_JSON, &written, &fault) == 0);
	assert(config_parse("json", text_string(&written), written.size, &again, &fault) == 0);
	assert(json_equal(value, again));
	json_decref(again);
}

/* What our own writer says in this format, the parser understands; floats are beyond it. */
static void check_same_format(const json_t *value, const char *name, enum output_format format)
{
	CLEANUP(text_done) struct text written = { 0 };
	CLEANUP(fault_done) struct fault fault = { 0 };
	json_t *again = NULL;

	if (output_write(value, format, &written, &fault) < 0)
		return;
	assert(config_parse(name, text_string(&written), written.size, &again, &fault) == 0);
	assert(json_equal(value, again));
	json_decref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const formats[] = { "json", "yaml", "toml", "cbor" };
	CLEANUP(fault_done) struct fault fault = { 0 };
	json_t *value = NULL;
	unsigned format;

	if (size == 0 || size > CONFIG_FILE_MAX / 8)
		return 0;
	format = data[0] % ARRAY_SIZE(formats);
	if (config_parse(formats[format], (const char *)data + 1, size - 1, &value, &fault) < 0) {
		assert(fault_is_set(&fault) && fault.details);
		return 0;
	}
	check_json(value);
	if (format == 3)
		check_same_format(value, "cbor", OUTPUT_CBOR);
	json_decref(value);
	return 0;
}
