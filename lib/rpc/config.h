/*
 * Configuration files of commands
 *
 * A file is a mapping of keys like the long options (kebab-case) to strings, booleans and lists, in the
 * format that its name's extension says (rpc-and-patchdb.md 2.4). Keys that nobody knows are ignored:
 * the file is shared by several programs.
 */
#pragma once

#include <jansson.h>

#include "base/fault.h"

#define CONFIG_FILE_MAX 65536 /* bytes */
#define CONFIG_DEPTH_MAX 8
#define CONFIG_CHAIN_MAX 8 /* files that name each other as `config` */

/*
 * Parses a file's bytes. @format: its extension: "json", "json-pretty", "yaml", "cbor", "toml" or
 * "toml-pretty". Returns 0 with an object, or a negative errno with a fault that tells the place.
 */
int config_parse(const char *format, const char *bytes, size_t size, json_t **ret,
		 struct fault *fault);

/*
 * Reads a file, and gives each of its values to @into where that has none for the key; `insecure` is
 * true where any says so. Then the same with the file that its key `config` names.
 * Returns 0, -ENOENT without a fault, or a negative errno with one that names the file.
 */
int config_merge_file(const char *path, json_t *into, struct fault *fault);

/* The parsers of single formats, for values of any type; -EBADMSG with a fault. */
int config_parse_yaml(const char *bytes, size_t size, json_t **ret, struct fault *fault);
int config_parse_toml(const char *bytes, size_t size, json_t **ret, struct fault *fault);
int config_parse_cbor(const char *bytes, size_t size, json_t **ret, struct fault *fault);
