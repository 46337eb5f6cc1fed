#include "codec/json_text.h"

/* What stands for a byte within a string, or NULL: itself. */
static const char *escape(unsigned char byte, char unicode[7])
{
	static const char digits[] = "0123456789ABCDEF";

	switch (byte) {
	case '"':
		return "\\\"";
	case '\\':
		return "\\\\";
	case '\b':
		return "\\b";
	case '\f':
		return "\\f";
	case '\n':
		return "\\n";
	case '\r':
		return "\\r";
	case '\t':
		return "\\t";
	default:
		break;
	}
	if (byte >= 0x20)
		return NULL;
	memcpy(unicode, "\\u00", 4);
	unicode[4] = digits[byte >> 4];
	unicode[5] = digits[byte & 15];
	unicode[6] = '\0';
	return unicode;
}

static void append_string(struct text *to, const char *string, size_t size)
{
	size_t begin = 0;
	char unicode[7];

	text_append_char(to, '"');
	for (size_t i = 0; i < size; i++) {
		unsigned char byte = (unsigned char)string[i];
		const char *instead;

		if (byte > '\\' || (byte >= 0x20 && byte != '"' && byte != '\\'))
			continue;
		instead = escape(byte, unicode);
		text_append_bytes(to, string + begin, i - begin);
		text_append(to, instead);
		begin = i + 1;
	}
	text_append_bytes(to, string + begin, size - begin);
	text_append_char(to, '"');
}

static void append_object(struct text *to, const json_t *object)
{
	const char *separator = "{";
	const json_t *value;
	const char *name;

	json_object_foreach((json_t *)object, name, value) {
		text_append(to, separator);
		append_string(to, name, strlen(name));
		text_append_char(to, ':');
		json_text_append(to, value);
		separator = ",";
	}
	text_append(to, *separator == '{' ? "{}" : "}");
}

static void append_array(struct text *to, const json_t *array)
{
	const json_t *value;
	size_t i;

	text_append_char(to, '[');
	json_array_foreach(array, i, value) {
		if (i > 0)
			text_append_char(to, ',');
		json_text_append(to, value);
	}
	text_append_char(to, ']');
}

/* As the library writes it. */
static void append_real(struct text *to, const json_t *real)
{
	char buffer[64];
	size_t size = json_dumpb(real, buffer, sizeof(buffer), JSON_ENCODE_ANY);

	if (size == 0 || size > sizeof(buffer))
		to->error = -ENOMEM;
	else
		text_append_bytes(to, buffer, size);
}

void json_text_append(struct text *to, const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		append_object(to, value);
		break;
	case JSON_ARRAY:
		append_array(to, value);
		break;
	case JSON_STRING:
		append_string(to, json_string_value(value), json_string_length(value));
		break;
	case JSON_INTEGER:
		text_printf(to, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		break;
	case JSON_REAL:
		append_real(to, value);
		break;
	case JSON_TRUE:
		text_append(to, "true");
		break;
	case JSON_FALSE:
		text_append(to, "false");
		break;
	case JSON_NULL:
		text_append(to, "null");
		break;
	}
}
