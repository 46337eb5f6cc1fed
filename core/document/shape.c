#include "document/shape.h"

#include "base/ip.h"
#include "codec/base64.h"
#include "codec/pointer.h"
#include "document/document.h"
#include "document/wan.h"

static int shape_fault(const struct text *path, struct fault *fault, const char *wanted)
{
	return fault_set(fault, FAULT_DESERIALIZATION, "%s: must be %s",
			 path->size ? text_string(path) : "the document", wanted);
}

static bool is_key(const char *text)
{
	uint8_t bytes[33];

	return base64_decode(text, bytes, sizeof(bytes)) == 32;
}

/* Whether a text has the form of a kind. Gives the words for it, also where the kind is not a text's. */
static bool text_fits(enum shape_kind kind, const char *text, const char **ret_wanted)
{
	struct endpoint endpoint;
	struct ip_prefix prefix;
	struct ip_address ip;

	switch (kind) {
	case SHAPE_KEY:
		*ret_wanted = "a key of 32 bytes in base64";
		return is_key(text);
	case SHAPE_IP:
		*ret_wanted = "an IP address";
		return ip_parse(text, &ip) == 0;
	case SHAPE_IPV4:
		*ret_wanted = "an IPv4 address";
		return ip_parse(text, &ip) == 0 && ip.family == AF_INET;
	case SHAPE_HOST_V4:
		*ret_wanted = "an IPv4 address that a host may have";
		return ip_parse(text, &ip) == 0 && ip.family == AF_INET &&
		       wan_is_host(ip_to_v4(&ip));
	case SHAPE_ENDPOINT:
		*ret_wanted = "an address with a port";
		return endpoint_parse(text, &endpoint) == 0;
	case SHAPE_ENDPOINT_V4:
		*ret_wanted = "an IPv4 address that a host may have, with a port of 1 to 65535";
		return endpoint_parse(text, &endpoint) == 0 && endpoint.port > 0 &&
		       endpoint.address.family == AF_INET &&
		       wan_is_host(ip_to_v4(&endpoint.address));
	case SHAPE_SUBNET_V4:
		*ret_wanted = "an IPv4 subnet such as 10.59.37.1/24";
		return ip_prefix_parse(text, &prefix) == 0 && prefix.address.family == AF_INET;
	case SHAPE_ENDPOINT_V6:
		*ret_wanted = "an IPv6 address that a host may have, with a port of 1 to 65535";
		return endpoint_parse(text, &endpoint) == 0 && endpoint.port > 0 &&
		       endpoint.scope_id == 0 && wan6_is_host(&endpoint.address);
	case SHAPE_NETWORK_V6:
		*ret_wanted = "an IPv6 network of /64 such as fd12:3456:789a:1::/64";
		return document_ipv6_parse(text, &prefix);
	case SHAPE_PREFIX:
		*ret_wanted = "an address with a prefix length";
		return ip_prefix_parse(text, &prefix) == 0;
	default:
		*ret_wanted = "a string";
		return true;
	}
}

static int check_integer(const json_t *value, json_int_t min, json_int_t max, const char *wanted,
			 const struct text *path, struct fault *fault)
{
	if (!json_is_integer(value) || json_integer_value(value) < min ||
	    json_integer_value(value) > max)
		return shape_fault(path, fault, wanted);
	return 0;
}

static int check_enum(const struct shape *shape, const json_t *value, const struct text *path,
		      struct fault *fault)
{
	CLEANUP(text_done) struct text wanted = { 0 };

	text_append(&wanted, "one of");
	for (const char *const *v = shape->values; *v; v++) {
		if (json_is_string(value) && strcmp(json_string_value(value), *v) == 0)
			return 0;
		text_printf(&wanted, "%s %s", v == shape->values ? "" : ",", *v);
	}
	return shape_fault(path, fault, text_string(&wanted));
}

/* Runs the check of a member or item with its name appended to the path. */
static int check_below(const struct shape *shape, json_t *value, const char *name,
		       struct text *path, struct fault *fault)
{
	size_t size = path->size;
	int r;

	pointer_append(path, name);
	r = text_error(path);
	if (r == 0)
		r = shape_check(shape, value, path, fault);
	if (path->data) {
		path->size = size;
		path->data[size] = '\0';
	}
	return r;
}

static const struct shape_member *find_member(const struct shape_member *members, const char *name)
{
	for (; members && members->name; members++)
		if (strcmp(members->name, name) == 0)
			return members;
	return NULL;
}

static int check_members(const struct shape_member *members, json_t *value, struct text *path,
			 struct fault *fault)
{
	for (const struct shape_member *m = members; m && m->name; m++) {
		json_t *member = json_object_get(value, m->name);
		int r;

		if (!member && m->initial && m->initial[0] != '\0') {
			member = json_loads(m->initial, JSON_DECODE_ANY, NULL);
			if (!member || json_object_set_new(value, m->name, member) < 0)
				return -ENOMEM;
		}
		if (!member && m->initial && m->initial[0] == '\0')
			continue;
		if (!member) {
			pointer_append(path, m->name);
			return fault_set(fault, FAULT_DESERIALIZATION, "%s: is missing",
					 text_string(path));
		}
		r = check_below(m->shape, member, m->name, path, fault);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_object(const struct shape *shape, json_t *value, struct text *path,
			struct fault *fault)
{
	const struct shape_variant *variant = NULL;
	const char *name;
	json_t *member;
	void *next;
	int r;

	if (shape->kind == SHAPE_UNION) {
		const char *tag = json_string_value(json_object_get(value, shape->tag));

		for (variant = shape->variants; variant->tag; variant++)
			if (tag && strcmp(variant->tag, tag) == 0)
				break;
		if (!variant->tag) {
			pointer_append(path, shape->tag);
			return shape_fault(path, fault, "the name of a known kind");
		}
	}
	json_object_foreach_safe(value, next, name, member)
		if (!find_member(shape->members, name) &&
		    !(variant &&
		      (strcmp(name, shape->tag) == 0 || find_member(variant->members, name))))
			(void)json_object_del(value, name);
	r = check_members(shape->members, value, path, fault);
	if (r == 0 && variant)
		r = check_members(variant->members, value, path, fault);
	return r;
}

static int check_map(const struct shape *shape, json_t *value, struct text *path,
		     struct fault *fault)
{
	const char *name;
	json_t *item;

	json_object_foreach(value, name, item) {
		const char *wanted;
		int r;

		if (!text_fits(shape->key, name, &wanted)) {
			pointer_append(path, name);
			return fault_set(fault, FAULT_DESERIALIZATION, "%s: the name must be %s",
					 text_string(path), wanted);
		}
		r = check_below(shape->item, item, name, path, fault);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_array(const struct shape *shape, json_t *value, struct text *path,
		       struct fault *fault)
{
	json_t *item;
	size_t i;

	json_array_foreach(value, i, item) {
		char name[24];
		int r;

		(void)snprintf(name, sizeof(name), "%zu", i);
		r = check_below(shape->item, item, name, path, fault);
		if (r < 0)
			return r;
	}
	return 0;
}

int shape_check(const struct shape *shape, json_t *value, struct text *path, struct fault *fault)
{
	const char *wanted;

	if (shape->nullable && json_is_null(value))
		return 0;
	switch (shape->kind) {
	case SHAPE_BOOL:
		return json_is_boolean(value) ? 0 : shape_fault(path, fault, "true or false");
	case SHAPE_U16:
		return check_integer(value, 0, UINT16_MAX, "a number of 0 to 65535", path, fault);
	case SHAPE_PORT:
		return check_integer(value, 1, UINT16_MAX, "a number of 1 to 65535", path, fault);
	case SHAPE_U32:
		return check_integer(value, 0, UINT32_MAX, "a number of 0 to 4294967295", path,
				     fault);
	case SHAPE_ENUM:
		return check_enum(shape, value, path, fault);
	case SHAPE_OBJECT:
	case SHAPE_UNION:
		if (!json_is_object(value))
			return shape_fault(path, fault, "an object");
		return check_object(shape, value, path, fault);
	case SHAPE_MAP:
		if (!json_is_object(value))
			return shape_fault(path, fault, "an object");
		return check_map(shape, value, path, fault);
	case SHAPE_ARRAY:
		if (!json_is_array(value))
			return shape_fault(path, fault, "an array");
		return check_array(shape, value, path, fault);
	default:
		if (!text_fits(shape->kind, json_is_string(value) ? json_string_value(value) : "",
			       &wanted) ||
		    !json_is_string(value))
			return shape_fault(path, fault, wanted);
		return 0;
	}
}
