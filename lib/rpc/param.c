#include "rpc/param.h"

#include <string.h>

#include "base/ip.h"
#include "codec/pointer.h"

#define QUOTE_MAX 64 /* bytes of a refused value that its message repeats */

/* What is wrong with a value: a sentence's end, after "<name>". NULL: nothing. */
typedef const char *(*text_check)(const char *text);

static bool is_control(const unsigned char *at)
{
	if (*at < 0x20 || *at == 0x7f)
		return true;
	return at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0; /* U+0080 to U+009F */
}

/* The JSON form of a value, cut where it is long; it stands in a message. */
static char *quote(const json_t *value)
{
	char *text = json_dumps(value, JSON_ENCODE_ANY);

	if (text && strlen(text) > QUOTE_MAX) {
		size_t end = QUOTE_MAX - 3;

		while (end > 0 && ((unsigned char)text[end] & 0xc0) == 0x80)
			end--; /* not in the middle of a character */
		memcpy(text + end, "...", 4);
	}
	return text;
}

static int refuse(struct fault *fault, const struct rpc_param *param, const json_t *value,
		  const char *reason)
{
	cleanup_free char *text = quote(value);

	return fault_set(fault, FAULT_RPC_INVALID_PARAMS, "%s: %s %s", param->name,
			 text ? text : "the value", reason);
}

static const char *type_name(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
	case JSON_REAL:
		return "a number";
	case JSON_TRUE:
	case JSON_FALSE:
		return "a boolean";
	default:
		return "null";
	}
}

static int wrong_type(struct fault *fault, const struct rpc_param *param, const char *want,
		      const json_t *value)
{
	return fault_set(fault, FAULT_RPC_INVALID_PARAMS, "%s: expected %s, got %s", param->name,
			 want, type_name(value));
}

/* A string's own bounds; the value is not repeated, since it may be a secret. */
static int check_string(const struct rpc_param *param, const json_t *value, size_t max,
			struct fault *fault)
{
	const char *text = json_string_value(value);

	if (!text)
		return wrong_type(fault, param, "a string", value);
	if (json_string_length(value) > max)
		return fault_set(fault, FAULT_RPC_INVALID_PARAMS,
				 "%s: %zu bytes are too many, at most %zu", param->name,
				 json_string_length(value), max);
	for (const char *at = text; *at; at++) {
		bool allowed = param->type == RPC_TEXT &&
			       (*at == '\n' || *at == '\t' || *at == '\r');

		if (is_control((const unsigned char *)at) && !allowed)
			return fault_set(fault, FAULT_RPC_INVALID_PARAMS,
					 "%s: has a control character at byte %zu", param->name,
					 (size_t)(at - text) + 1);
	}
	return 0;
}

static int check_strings(const struct rpc_param *param, const json_t *value, struct fault *fault)
{
	size_t max = param->max ? param->max : RPC_STRING_MAX;
	const json_t *item;
	size_t i;

	if (!json_is_array(value))
		return wrong_type(fault, param, "an array of strings", value);
	if (json_array_size(value) > max)
		return fault_set(fault, FAULT_RPC_INVALID_PARAMS,
				 "%s: %zu items are too many, at most %zu", param->name,
				 json_array_size(value), max);
	json_array_foreach(value, i, item) {
		int r = check_string(param, item, RPC_STRING_MAX, fault);

		if (r < 0)
			return r;
	}
	return 0;
}

static int check_number(const struct rpc_param *param, const json_t *value, struct fault *fault)
{
	json_int_t max = param->type != RPC_U32 ? UINT16_MAX : UINT32_MAX;
	json_int_t number = json_integer_value(value);

	if (!json_is_number(value))
		return wrong_type(fault, param, "a number", value);
	if (!json_is_integer(value))
		return refuse(fault, param, value, "is not a whole number");
	if (number < 0 || number > max)
		return fault_set(fault, FAULT_RPC_INVALID_PARAMS,
				 "%s: %" JSON_INTEGER_FORMAT
				 " is out of range, 0 to %" JSON_INTEGER_FORMAT,
				 param->name, number, max);
	return 0;
}

static int check_enum(const struct rpc_param *param, const json_t *value, struct fault *fault)
{
	CLEANUP(text_done) struct text reason = { 0 };
	const char *text = json_string_value(value);

	if (!text)
		return wrong_type(fault, param, "a string", value);
	text_append(&reason, "is not one of ");
	for (size_t i = 0; param->values[i]; i++) {
		if (strcmp(text, param->values[i]) == 0)
			return 0;
		text_printf(&reason, "%s%s", i > 0 ? ", " : "", param->values[i]);
	}
	return refuse(fault, param, value, text_string(&reason));
}

static const char *check_ip(const char *text)
{
	struct ip_address address;

	return ip_parse(text, &address) < 0 ? "is not an IP address" : NULL;
}

static const char *check_ipv4(const char *text)
{
	uint32_t address;

	return ip_v4_parse(text, &address) < 0 ? "is not an IPv4 address" : NULL;
}

static const char *check_subnet(const char *text)
{
	struct ip_prefix prefix;

	return ip_prefix_parse(text, &prefix) < 0
		       ? "is not a subnet, which looks like 10.59.37.1/24"
		       : NULL;
}

static const char *check_endpoint(const char *text)
{
	struct endpoint endpoint;

	return endpoint_parse(text, &endpoint) < 0
		       ? "is not an address with a port, which looks like 198.51.100.7:8080"
		       : NULL;
}

static const char *check_endpoint_v4(const char *text)
{
	struct endpoint endpoint;
	int r = endpoint_parse(text, &endpoint);

	return r < 0 || endpoint.address.family != AF_INET
		       ? "is not an IPv4 address with a port, which looks like 198.51.100.7:8080"
		       : NULL;
}

static const char *check_pointer(const char *text)
{
	return pointer_valid(text) ? NULL
				   : "is not a JSON pointer, which is empty or begins with /";
}

/* Types that are strings of a certain form. */
static const text_check forms[] = {
	[RPC_IP] = check_ip,	       [RPC_IPV4] = check_ipv4,
	[RPC_SUBNET] = check_subnet,   [RPC_ENDPOINT] = check_endpoint,
	[RPC_POINTER] = check_pointer, [RPC_ENDPOINT_V4] = check_endpoint_v4,
	[RPC_PORT] = check_endpoint,
};

static int check_form(const struct rpc_param *param, const json_t *value, struct fault *fault)
{
	size_t max = param->max ? param->max : RPC_STRING_MAX;
	const char *reason;
	int r = check_string(param, value, max, fault);

	if (r < 0)
		return r;
	reason = forms[param->type](json_string_value(value));
	return reason ? refuse(fault, param, value, reason) : 0;
}

/* Checks one value, which is not null. Returns 0, or a negative errno with a fault. */
static int check_value(const struct rpc_param *param, const json_t *value, struct fault *fault)
{
	switch (param->type) {
	case RPC_STRING:
	case RPC_TEXT:
		return check_string(param, value, param->max ? param->max : RPC_STRING_MAX, fault);
	case RPC_BOOL:
		return json_is_boolean(value) ? 0 : wrong_type(fault, param, "a boolean", value);
	case RPC_U16:
	case RPC_U32:
		return check_number(param, value, fault);
	case RPC_PORT:
		return json_is_string(value) ? check_form(param, value, fault)
					     : check_number(param, value, fault);
	case RPC_ENUM:
		return check_enum(param, value, fault);
	case RPC_STRINGS:
		return check_strings(param, value, fault);
	default:
		return check_form(param, value, fault);
	}
}

static json_t *number_from(const char *text)
{
	json_t *value = NULL;

	/* The JSON grammar leaves no room for signs in front, spaces and leading zeroes. */
	if (*text >= '0' && *text <= '9' && strlen(text) < 32)
		value = json_loads(text, JSON_DECODE_ANY, NULL);
	return value ? value : json_string(text); /* to be refused with its text */
}

static json_t *value_from(const struct rpc_param *param, const char *text)
{
	switch (param->type) {
	case RPC_U16:
	case RPC_U32:
	case RPC_PORT:
		return number_from(text);
	case RPC_BOOL:
		if (strcmp(text, "true") == 0)
			return json_true();
		return strcmp(text, "false") == 0 ? json_false() : json_string(text);
	case RPC_STRINGS:
		return json_pack("[s]", text);
	default:
		return json_string(text);
	}
}

int rpc_param_parse(const struct rpc_param *param, const char *text, json_t **ret,
		    struct fault *fault)
{
	json_t *value = value_from(param, text);
	int r;

	if (!value) /* jansson refuses what is not UTF-8 */
		return fault_set(fault, FAULT_RPC_INVALID_PARAMS, "%s: is not UTF-8", param->name);
	if (json_is_string(value) && (param->type == RPC_U16 || param->type == RPC_U32))
		r = refuse(fault, param, value, "is not a number");
	else if (json_is_string(value) && param->type == RPC_BOOL)
		r = refuse(fault, param, value, "is neither true nor false");
	else
		r = check_value(param, value, fault);
	if (r < 0) {
		json_decref(value);
		return r;
	}
	*ret = value;
	return 0;
}

/* The value of one parameter, a new reference; NULL with a fault, or without one for want of memory. */
static json_t *value_of(const struct rpc_param *param, const json_t *given, struct fault *fault)
{
	json_t *value = json_object_get(given, param->name);

	if (value && !json_is_null(value)) {
		if (check_value(param, value, fault) < 0)
			return NULL;
		return json_incref(value);
	}
	if (param->flags & RPC_REQUIRED) {
		(void)fault_set(fault, FAULT_RPC_INVALID_PARAMS, "%s: is required", param->name);
		return NULL;
	}
	return param->initial ? json_loads(param->initial, JSON_DECODE_ANY, NULL) : json_null();
}

int rpc_params_check(const struct rpc_param *params, const json_t *given, json_t **ret,
		     struct fault *fault)
{
	json_t *checked = json_object();

	if (!checked)
		return fault_set_errno(fault, -ENOMEM, FAULT_RPC_INTERNAL, "checking parameters");
	for (const struct rpc_param *param = params; param && param->name; param++) {
		json_t *value;

		if (param->flags & RPC_CLI_ONLY)
			continue;
		value = value_of(param, given, fault);
		if (!value || json_object_set_new(checked, param->name, value) < 0) {
			json_decref(checked);
			return fault_set(fault, FAULT_RPC_INTERNAL, "out of memory");
		}
	}
	*ret = checked;
	return 0;
}
