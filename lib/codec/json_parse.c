#include "codec/json_parse.h"

#include <stdint.h>
#include <string.h>

/* Where a place in a text is for a person; columns count characters, from 1. */
static void locate(const char *text, const char *at, size_t *line, size_t *column)
{
	*line = 1;
	*column = 1;
	for (; text < at; text++) {
		if (*text == '\n') {
			(*line)++;
			*column = 1;
		} else if (((uint8_t)*text & 0xc0) != 0x80) {
			(*column)++;
		}
	}
}

/*
 * The first bracket that opens a container too many, or NULL. The parser recurses, so this runs
 * before it; on text that is not JSON it may count wrongly, but never too few of the brackets that
 * the parser would meet before it finds the fault.
 */
static const char *find_too_deep(const char *text, size_t size, size_t max)
{
	bool in_string = false;
	size_t depth = 0;

	for (size_t i = 0; i < size; i++) {
		char c = text[i];

		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
			continue;
		}
		if (c == '"')
			in_string = true;
		else if ((c == '[' || c == '{') && ++depth > max)
			return text + i;
		else if ((c == ']' || c == '}') && depth > 0)
			depth--;
	}
	return NULL;
}

static int place_fault(const char *text, const char *at, const char *reason, size_t reason_size,
		       struct fault *fault)
{
	size_t line;
	size_t column;

	locate(text, at, &line, &column);
	(void)fault_set(fault, FAULT_DESERIALIZATION, "not JSON at line %zu, column %zu: %.*s",
			line, column, (int)reason_size, reason);
	return -EBADMSG;
}

static int syntax_fault(const char *text, size_t size, const json_error_t *error,
			struct fault *fault)
{
	size_t at = error->position > 0 ? (size_t)error->position : 0;
	const char *near = strstr(error->text, " near "); /* may quote half a character */
	size_t reason = near ? (size_t)(near - error->text) : strlen(error->text);

	if (json_error_code(error) == json_error_out_of_memory ||
	    json_error_code(error) == json_error_unknown)
		return fault_set_errno(fault, -ENOMEM, FAULT_DESERIALIZATION, "cannot parse JSON");
	/* The position is past the character that is wrong. */
	at = at > size ? size : at;
	return place_fault(text, text + (at > 0 ? at - 1 : 0), error->text, reason, fault);
}

static int check_limits(const char *text, size_t size, const struct json_limits *limits,
			struct fault *fault)
{
	const char *too_deep;
	size_t line;
	size_t column;

	if (size > limits->size) {
		(void)fault_set(fault, FAULT_DESERIALIZATION,
				"%zu bytes of JSON are more than the %zu that are allowed", size,
				limits->size);
		return -E2BIG;
	}
	too_deep = find_too_deep(text, size, limits->depth);
	if (!too_deep)
		return 0;
	locate(text, too_deep, &line, &column);
	(void)fault_set(fault, FAULT_DESERIALIZATION,
			"JSON is nested deeper than %zu levels at line %zu, column %zu",
			limits->depth, line, column);
	return -E2BIG;
}

int json_parse(const char *text, size_t size, const struct json_limits *limits, json_t **ret,
	       struct fault *fault)
{
	static const char reason[] = "NUL byte";
	const char *nul = size > 0 ? memchr(text, '\0', size) : NULL;
	json_error_t error;
	json_t *value;
	int r;

	r = check_limits(text, size, limits, fault);
	if (r < 0)
		return r;
	if (nul) /* jansson takes one after the value for the end of the text */
		return place_fault(text, nul, reason, strlen(reason), fault);
	value = json_loadb(text, size, JSON_DECODE_ANY, &error);
	if (!value)
		return syntax_fault(text, size, &error, fault);
	*ret = value;
	return 0;
}
