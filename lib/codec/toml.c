/*
 * TOML 1.0.0
 *
 * In a table the plain values come first, then its tables each under a header of its own. An array
 * of nothing but objects becomes an array of tables; other arrays and the objects in them are
 * written in line.
 */
#include "output_internal.h"

struct toml {
	struct text *to;
	struct fault *fault;
	bool pretty;
};

static int write_value(const struct toml *toml, const char *path, const json_t *value);

static void write_quoted(struct text *to, const char *string, size_t size)
{
	text_append_char(to, '"');
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)string[i];

		if (c == '"' || c == '\\')
			text_printf(to, "\\%c", c);
		else if (c == '\n')
			text_append(to, "\\n");
		else if (c == '\t')
			text_append(to, "\\t");
		else if (c < 0x20 || c == 0x7f)
			text_printf(to, "\\u%04X", c);
		else
			text_append_char(to, (char)c);
	}
	text_append_char(to, '"');
}

static void write_key(struct text *to, const char *name)
{
	static const char bare[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

	if (*name && !name[strspn(name, bare)])
		text_append(to, name);
	else
		write_quoted(to, name, strlen(name));
}

/* The dotted path of a member, as it stands in a header; NULL where memory ran out. */
static char *join(const char *path, const char *name)
{
	CLEANUP(text_done) struct text joined = { 0 };

	text_append(&joined, path);
	if (*path)
		text_append_char(&joined, '.');
	write_key(&joined, name);
	return text_take(&joined);
}

static bool is_table_array(const json_t *value)
{
	const json_t *item;
	size_t i;

	json_array_foreach(value, i, item)
		if (!json_is_object(item))
			return false;
	return json_array_size(value) > 0;
}

static int write_inline_table(const struct toml *toml, const char *path, const json_t *object)
{
	const char *separator = " ";
	const char *name;
	const json_t *value;

	text_append_char(toml->to, '{');
	json_object_foreach((json_t *)object, name, value) {
		int r;

		if (json_is_null(value))
			continue;
		text_append(toml->to, separator);
		write_key(toml->to, name);
		text_append(toml->to, " = ");
		r = write_value(toml, path, value);
		if (r < 0)
			return r;
		separator = ", ";
	}
	text_append(toml->to, " }");
	return 0;
}

static int write_array(const struct toml *toml, const char *path, const json_t *array)
{
	bool lines = toml->pretty && json_array_size(array) > 1;
	const json_t *value;
	size_t i;

	text_append_char(toml->to, '[');
	json_array_foreach(array, i, value) {
		int r;

		if (json_is_null(value)) {
			(void)fault_set(toml->fault, FAULT_SERIALIZATION,
					"TOML has no null, which is in the array at %s", path);
			return -EINVAL;
		}
		text_append(toml->to, lines ? "\n    " : i > 0 ? ", " : "");
		r = write_value(toml, path, value);
		if (r < 0)
			return r;
		if (lines)
			text_append_char(toml->to, ',');
	}
	text_append(toml->to, lines ? "\n]" : "]");
	return 0;
}

static int write_value(const struct toml *toml, const char *path, const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return write_inline_table(toml, path, value);
	case JSON_ARRAY:
		return write_array(toml, path, value);
	case JSON_STRING:
		write_quoted(toml->to, json_string_value(value), json_string_length(value));
		return 0;
	case JSON_INTEGER:
		text_printf(toml->to, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		return 0;
	case JSON_REAL:
		output_real(json_real_value(value), toml->to);
		return 0;
	case JSON_TRUE:
		text_append(toml->to, "true");
		return 0;
	case JSON_FALSE:
		text_append(toml->to, "false");
		return 0;
	case JSON_NULL:
		break; /* left out by who comes here */
	}
	return -EINVAL;
}

static int write_table(const struct toml *toml, const char *path, const json_t *object);

static void write_header(const struct toml *toml, const char *open, const char *path,
			 const char *close)
{
	if (toml->to->size > 0)
		text_append_char(toml->to, '\n');
	text_printf(toml->to, "%s%s%s\n", open, path, close);
}

static int write_tables(const struct toml *toml, const char *path, const json_t *array)
{
	const json_t *value;
	size_t i;

	json_array_foreach(array, i, value) {
		int r;

		write_header(toml, "[[", path, "]]");
		r = write_table(toml, path, value);
		if (r < 0)
			return r;
	}
	return 0;
}

static int write_plain_member(const struct toml *toml, const char *path, const char *name,
			      const json_t *value)
{
	cleanup_free char *joined = join(path, name);
	int r;

	if (!joined)
		return -ENOMEM;
	write_key(toml->to, name);
	text_append(toml->to, " = ");
	r = write_value(toml, joined, value);
	text_append_char(toml->to, '\n');
	return r;
}

static int write_table_member(const struct toml *toml, const char *path, const char *name,
			      const json_t *value)
{
	cleanup_free char *joined = join(path, name);

	if (!joined)
		return -ENOMEM;
	if (json_is_array(value))
		return write_tables(toml, joined, value);
	write_header(toml, "[", joined, "]");
	return write_table(toml, joined, value);
}

static int write_table(const struct toml *toml, const char *path, const json_t *object)
{
	const char *name;
	const json_t *value;
	int r = 0;

	json_object_foreach((json_t *)object, name, value) {
		if (json_is_null(value) || json_is_object(value) || is_table_array(value))
			continue;
		r = write_plain_member(toml, path, name, value);
		if (r < 0)
			return r;
	}
	json_object_foreach((json_t *)object, name, value) {
		if (!json_is_object(value) && !is_table_array(value))
			continue;
		r = write_table_member(toml, path, name, value);
		if (r < 0)
			return r;
	}
	return 0;
}

int output_toml(const json_t *value, bool pretty, struct text *to, struct fault *fault)
{
	const struct toml toml = { .to = to, .fault = fault, .pretty = pretty };

	if (!json_is_object(value)) {
		(void)fault_set(fault, FAULT_SERIALIZATION,
				"TOML holds an object at its top and nothing else; "
				"choose another format, such as json or yaml");
		return -EINVAL;
	}
	return write_table(&toml, "", value);
}
