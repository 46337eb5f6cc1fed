/*
 * YAML through libyaml
 *
 * Readers of YAML 1.1 and of 1.2 resolve plain scalars differently ("no", "1:30", "0x1f", dates),
 * so a string is left plain only where no reader could take it for something else.
 */
#include <stdint.h>
#include <strings.h>
#include <yaml.h>

#include "output_internal.h"

static bool is_word(const char *string)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	static const char more[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./";

	return *string && strchr(letters, *string) && !string[strspn(string, more)];
}

/* Whether a reader takes it for a string without quotes. */
static bool is_plain(const char *string)
{
	static const char *const meanings[] = {
		"null", "true", "false", "yes", "no", "on", "off", "y", "n",
	};

	if (!is_word(string))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(meanings); i++)
		if (strcasecmp(string, meanings[i]) == 0)
			return false;
	return true;
}

static int emit_scalar(yaml_emitter_t *emitter, const char *string, size_t size,
		       yaml_scalar_style_t style)
{
	yaml_event_t event;

	if (size > INT32_MAX ||
	    !yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)string,
					  (int)size, 1, 1, style) ||
	    !yaml_emitter_emit(emitter, &event))
		return -ENOMEM;
	return 0;
}

static int emit_string(yaml_emitter_t *emitter, const char *string, size_t size)
{
	return emit_scalar(emitter, string, size,
			   is_plain(string) ? YAML_PLAIN_SCALAR_STYLE
					    : YAML_DOUBLE_QUOTED_SCALAR_STYLE);
}

static int emit_plain(yaml_emitter_t *emitter, const char *text)
{
	return emit_scalar(emitter, text, strlen(text), YAML_PLAIN_SCALAR_STYLE);
}

static int emit_integer(yaml_emitter_t *emitter, json_int_t value)
{
	char digits[24];

	(void)snprintf(digits, sizeof(digits), "%" JSON_INTEGER_FORMAT, value);
	return emit_plain(emitter, digits);
}

static int emit_real(yaml_emitter_t *emitter, double value)
{
	CLEANUP(text_done) struct text digits = { 0 };

	output_real(value, &digits);
	return text_error(&digits) < 0 ? -ENOMEM : emit_plain(emitter, text_string(&digits));
}

static int emit_value(yaml_emitter_t *emitter, const json_t *value);

static int emit_sequence(yaml_emitter_t *emitter, const json_t *array)
{
	const json_t *value;
	yaml_event_t event;
	size_t i;

	if (!yaml_sequence_start_event_initialize(&event, NULL, NULL, 1,
						  YAML_BLOCK_SEQUENCE_STYLE) ||
	    !yaml_emitter_emit(emitter, &event))
		return -ENOMEM;
	json_array_foreach(array, i, value)
		if (emit_value(emitter, value) < 0)
			return -ENOMEM;
	if (!yaml_sequence_end_event_initialize(&event) || !yaml_emitter_emit(emitter, &event))
		return -ENOMEM;
	return 0;
}

static int emit_mapping(yaml_emitter_t *emitter, const json_t *object)
{
	const char *name;
	const json_t *value;
	yaml_event_t event;

	if (!yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE) ||
	    !yaml_emitter_emit(emitter, &event))
		return -ENOMEM;
	json_object_foreach((json_t *)object, name, value)
		if (emit_string(emitter, name, strlen(name)) < 0 || emit_value(emitter, value) < 0)
			return -ENOMEM;
	if (!yaml_mapping_end_event_initialize(&event) || !yaml_emitter_emit(emitter, &event))
		return -ENOMEM;
	return 0;
}

static int emit_value(yaml_emitter_t *emitter, const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return emit_mapping(emitter, value);
	case JSON_ARRAY:
		return emit_sequence(emitter, value);
	case JSON_STRING:
		return emit_string(emitter, json_string_value(value), json_string_length(value));
	case JSON_INTEGER:
		return emit_integer(emitter, json_integer_value(value));
	case JSON_REAL:
		return emit_real(emitter, json_real_value(value));
	case JSON_TRUE:
		return emit_plain(emitter, "true");
	case JSON_FALSE:
		return emit_plain(emitter, "false");
	case JSON_NULL:
		return emit_plain(emitter, "null");
	}
	return -EINVAL;
}

static int emit_document(yaml_emitter_t *emitter, const json_t *value)
{
	yaml_event_t event;

	if (!yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING) ||
	    !yaml_emitter_emit(emitter, &event) ||
	    !yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1) ||
	    !yaml_emitter_emit(emitter, &event) || emit_value(emitter, value) < 0 ||
	    !yaml_document_end_event_initialize(&event, 1) || !yaml_emitter_emit(emitter, &event) ||
	    !yaml_stream_end_event_initialize(&event) || !yaml_emitter_emit(emitter, &event))
		return -ENOMEM;
	return 0;
}

/* libyaml's callback: 1 is success. */
static int append_bytes(void *context, unsigned char *bytes, size_t size)
{
	text_append_bytes(context, bytes, size);
	return text_error(context) == 0;
}

int output_yaml(const json_t *value, struct text *to)
{
	yaml_emitter_t emitter;
	int r;

	if (!yaml_emitter_initialize(&emitter))
		return -ENOMEM;
	yaml_emitter_set_output(&emitter, append_bytes, to);
	yaml_emitter_set_unicode(&emitter, 1);
	yaml_emitter_set_width(&emitter, -1);
	r = emit_document(&emitter, value);
	yaml_emitter_delete(&emitter);
	return text_error(to) < 0 ? text_error(to) : r;
}
