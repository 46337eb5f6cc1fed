#include "codec/output.h"

#include "output_internal.h"

const char *const output_format_names[] = {
	[OUTPUT_JSON] = "json",
	[OUTPUT_JSON_PRETTY] = "json-pretty",
	[OUTPUT_YAML] = "yaml",
	[OUTPUT_CBOR] = "cbor",
	[OUTPUT_TOML] = "toml",
	[OUTPUT_TOML_PRETTY] = "toml-pretty",
	NULL,
};

int output_format_parse(const char *name, enum output_format *ret)
{
	for (unsigned i = 0; output_format_names[i]; i++) {
		if (strcmp(output_format_names[i], name) == 0) {
			*ret = (enum output_format)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* Callback of json_dump_callback(). */
static int append_text(const char *bytes, size_t size, void *context)
{
	text_append_bytes(context, bytes, size);
	return text_error(context) < 0 ? -1 : 0;
}

static int write_json(const json_t *value, size_t flags, struct text *to)
{
	if (json_dump_callback(value, append_text, to, flags | JSON_ENCODE_ANY) < 0)
		return text_error(to) < 0 ? text_error(to) : -ENOMEM;
	return 0;
}

static int write_pretty(const json_t *value, struct text *to)
{
	int r = write_json(value, JSON_INDENT(2), to);

	text_append_char(to, '\n');
	return r;
}

int output_write(const json_t *value, enum output_format format, struct text *to,
		 struct fault *fault)
{
	int r = 0;

	switch (format) {
	case OUTPUT_JSON:
		r = write_json(value, JSON_COMPACT, to);
		break;
	case OUTPUT_JSON_PRETTY:
		r = write_pretty(value, to);
		break;
	case OUTPUT_YAML:
		r = output_yaml(value, to);
		break;
	case OUTPUT_CBOR:
		output_cbor(value, to);
		break;
	case OUTPUT_TOML:
	case OUTPUT_TOML_PRETTY:
		r = output_toml(value, format == OUTPUT_TOML_PRETTY, to, fault);
		break;
	}
	return r < 0 ? r : text_error(to);
}
