/* The part of YAML that configuration needs: mappings, lists and scalars, no anchors, no tags. */
#include <string.h>
#include <yaml.h>

#include "rpc/config.h"

struct parser {
	yaml_parser_t yaml;
	struct fault *fault;
};

static int refuse(struct parser *parser, const yaml_mark_t *mark, const char *why)
{
	(void)fault_set(parser->fault, FAULT_DESERIALIZATION, "%s at line %zu column %zu", why,
			mark->line + 1, mark->column + 1);
	return -EBADMSG;
}

static int next_event(struct parser *parser, yaml_event_t *event)
{
	if (yaml_parser_parse(&parser->yaml, event))
		return 0;
	return refuse(parser, &parser->yaml.problem_mark,
		      parser->yaml.problem ? parser->yaml.problem : "is not YAML");
}

/* What a plain scalar stands for; anything else is a string. */
static json_t *plain_value(const char *text)
{
	if (!*text || strcmp(text, "~") == 0 || strcmp(text, "null") == 0)
		return json_null();
	if (strcmp(text, "true") == 0)
		return json_true();
	if (strcmp(text, "false") == 0)
		return json_false();
	return json_string(text);
}

static json_t *scalar_value(const yaml_event_t *event)
{
	const char *text = (const char *)event->data.scalar.value;
	size_t size = event->data.scalar.length;

	if (memchr(text, '\0', size))
		return NULL;
	return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? plain_value(text)
								   : json_stringn(text, size);
}

static int parse_value(struct parser *parser, const yaml_event_t *event, unsigned depth,
		       json_t **ret);

static int parse_list(struct parser *parser, unsigned depth, json_t *list)
{
	yaml_event_t event;
	int r;

	for (;;) {
		json_t *item = NULL;

		r = next_event(parser, &event);
		if (r < 0)
			return r;
		if (event.type == YAML_SEQUENCE_END_EVENT) {
			yaml_event_delete(&event);
			return 0;
		}
		r = parse_value(parser, &event, depth, &item);
		yaml_event_delete(&event);
		if (r < 0)
			return r;
		if (json_array_append_new(list, item) < 0)
			return -ENOMEM;
	}
}

/* One member, whose key is at hand. */
static int parse_member(struct parser *parser, const yaml_event_t *key, unsigned depth,
			json_t *mapping)
{
	yaml_event_t event;
	json_t *value = NULL;
	int r;

	if (key->type != YAML_SCALAR_EVENT || key->data.scalar.anchor)
		return refuse(parser, &key->start_mark, "a key has to be a plain word");
	r = next_event(parser, &event);
	if (r < 0)
		return r;
	r = parse_value(parser, &event, depth, &value);
	yaml_event_delete(&event);
	if (r < 0)
		return r;
	if (json_object_setn_new(mapping, (const char *)key->data.scalar.value,
				 strlen((const char *)key->data.scalar.value), value) < 0)
		return refuse(parser, &key->start_mark, "a key is not UTF-8");
	return 0;
}

static int parse_mapping(struct parser *parser, unsigned depth, json_t *mapping)
{
	yaml_event_t event;
	int r;

	for (;;) {
		r = next_event(parser, &event);
		if (r < 0)
			return r;
		if (event.type == YAML_MAPPING_END_EVENT) {
			yaml_event_delete(&event);
			return 0;
		}
		r = parse_member(parser, &event, depth, mapping);
		yaml_event_delete(&event);
		if (r < 0)
			return r;
	}
}

static int parse_container(struct parser *parser, const yaml_event_t *event, unsigned depth,
			   json_t **ret)
{
	bool is_list = event->type == YAML_SEQUENCE_START_EVENT;
	json_t *value;
	int r;

	if (depth == CONFIG_DEPTH_MAX)
		return refuse(parser, &event->start_mark, "is nested too deep");
	value = is_list ? json_array() : json_object();
	if (!value)
		return -ENOMEM;
	r = is_list ? parse_list(parser, depth + 1, value)
		    : parse_mapping(parser, depth + 1, value);
	if (r < 0) {
		json_decref(value);
		return r;
	}
	*ret = value;
	return 0;
}

static int parse_value(struct parser *parser, const yaml_event_t *event, unsigned depth,
		       json_t **ret)
{
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		*ret = scalar_value(event);
		return *ret ? 0 : refuse(parser, &event->start_mark, "is not UTF-8 text");
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		return parse_container(parser, event, depth, ret);
	default:
		return refuse(parser, &event->start_mark, "aliases are not supported");
	}
}

/* The first document; the events before it carry nothing. */
static int parse_stream(struct parser *parser, json_t **ret)
{
	yaml_event_t event;
	int r;

	for (;;) {
		yaml_event_type_t type;

		r = next_event(parser, &event);
		if (r < 0)
			return r;
		type = event.type;
		if (type != YAML_STREAM_START_EVENT && type != YAML_DOCUMENT_START_EVENT)
			break;
		yaml_event_delete(&event);
	}
	if (event.type == YAML_STREAM_END_EVENT)
		*ret = json_null();
	else
		r = parse_value(parser, &event, 0, ret);
	yaml_event_delete(&event);
	return r;
}

int config_parse_yaml(const char *bytes, size_t size, json_t **ret, struct fault *fault)
{
	struct parser parser = { .fault = fault };
	int r;

	if (!yaml_parser_initialize(&parser.yaml))
		return fault_set_errno(fault, -ENOMEM, FAULT_DESERIALIZATION, "parsing YAML");
	yaml_parser_set_encoding(&parser.yaml, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser.yaml, (const unsigned char *)bytes, size);
	r = parse_stream(&parser, ret);
	yaml_parser_delete(&parser.yaml);
	if (r == -ENOMEM)
		(void)fault_set_errno(fault, r, FAULT_DESERIALIZATION, "parsing YAML");
	return r;
}
