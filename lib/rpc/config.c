#include "rpc/config.h"

#include <fcntl.h>
#include <string.h>

#include "codec/json_parse.h"

static int parse_json(const char *bytes, size_t size, json_t **ret, struct fault *fault)
{
	static const struct json_limits limits = { CONFIG_FILE_MAX, CONFIG_DEPTH_MAX };

	return json_parse(bytes, size, &limits, ret, fault);
}

static const struct {
	const char *name;
	int (*parse)(const char *bytes, size_t size, json_t **ret, struct fault *fault);
} formats[] = {
	{ "json", parse_json },
	{ "json-pretty", parse_json },
	{ "yaml", config_parse_yaml },
	{ "toml", config_parse_toml },
	{ "toml-pretty", config_parse_toml },
	{ "cbor", config_parse_cbor },
};

int config_parse(const char *format, const char *bytes, size_t size, json_t **ret,
		 struct fault *fault)
{
	json_t *value = NULL;
	int r = -ENOTSUP;

	for (size_t i = 0; i < ARRAY_SIZE(formats) && r == -ENOTSUP; i++)
		if (strcmp(formats[i].name, format) == 0)
			r = formats[i].parse(bytes, size, &value, fault);
	if (r == -ENOTSUP)
		(void)fault_set(
			fault, FAULT_DESERIALIZATION,
			"no format has the name \"%s\"; there are json, yaml, toml and cbor",
			format);
	if (r < 0)
		return r;
	if (json_is_null(value)) { /* an empty file */
		json_decref(value);
		value = json_object();
	}
	if (!json_is_object(value)) {
		json_decref(value);
		return fault_set(fault, FAULT_DESERIALIZATION,
				 "is not a mapping of keys to values");
	}
	*ret = value;
	return 0;
}

static const char *format_of(const char *path)
{
	const char *name = strrchr(path, '/');
	const char *dot = strrchr(name ? name + 1 : path, '.');

	/* A name that only begins with a dot has no extension. */
	return dot && dot != (name ? name + 1 : path) ? dot + 1 : "json";
}

static int read_file(const char *path, char **ret, size_t *ret_size)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	cleanup_free char *bytes = malloc(CONFIG_FILE_MAX + 1);
	size_t size = 0;
	ssize_t more;

	if (fd < 0)
		return -errno;
	if (!bytes)
		return -ENOMEM;
	while ((more = read(fd, bytes + size, CONFIG_FILE_MAX + 1 - size)) > 0)
		size += (size_t)more;
	if (more < 0)
		return -errno;
	if (size > CONFIG_FILE_MAX)
		return -EFBIG;
	*ret = TAKE_PTR(bytes);
	*ret_size = size;
	return 0;
}

static int merge(json_t *into, const json_t *from)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)from, key, value) {
		bool stronger = strcmp(key, "insecure") == 0 && json_is_true(value);

		if (json_is_null(value) || (json_object_get(into, key) && !stronger))
			continue;
		if (json_object_set(into, key, value) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* Merges one file and tells which one it names, if any. */
static int merge_one(const char *path, json_t *into, char **ret_next, struct fault *fault)
{
	cleanup_free char *bytes = NULL;
	json_t *values = NULL;
	const char *next;
	size_t size = 0;
	int r = read_file(path, &bytes, &size);

	if (r == -ENOENT)
		return r;
	if (r < 0)
		return fault_set_errno(fault, r, FAULT_FILESYSTEM, "reading %s", path);
	r = config_parse(format_of(path), bytes, size, &values, fault);
	if (r < 0) {
		fault_prefix(fault, "%s", path);
		return r;
	}
	next = json_string_value(json_object_get(values, "config"));
	*ret_next = next ? strdup(next) : NULL;
	r = merge(into, values);
	if (r == 0 && next && !*ret_next)
		r = -ENOMEM;
	json_decref(values);
	return r < 0 ? fault_set_errno(fault, r, FAULT_FILESYSTEM, "reading %s", path) : 0;
}

int config_merge_file(const char *path, json_t *into, struct fault *fault)
{
	cleanup_free char *current = strdup(path);

	for (int i = 0; current; i++) {
		char *next = NULL;
		int r = merge_one(current, into, &next, fault);

		if (r == -ENOENT && i == 0)
			return r;
		if (r < 0 && r != -ENOENT)
			return r;
		if (next && i == CONFIG_CHAIN_MAX) {
			free(next);
			return fault_set(fault, FAULT_DESERIALIZATION,
					 "%s: the configuration files name each other in a circle",
					 path);
		}
		free(current);
		current = next;
	}
	return 0;
}
