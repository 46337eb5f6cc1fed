#include "document/document.h"

#include <stdarg.h>

#include "base/secret.h"
#include "codec/base64.h"
#include "codec/pointer.h"
#include "crypto/x25519.h"
#include "document/forward_ports.h"
#include "document/lease.h"
#include "document/migrations.h"
#include "document/shape.h"
#include "document/wan.h"
#include "pcp/pcp.h"

/* The form, tunnel.md 1.1 and 1.2. */

static const struct shape a_string = { .kind = SHAPE_STRING };
static const struct shape a_string_or_null = { .kind = SHAPE_STRING, .nullable = true };
static const struct shape a_bool = { .kind = SHAPE_BOOL };
static const struct shape a_bool_or_null = { .kind = SHAPE_BOOL, .nullable = true };
static const struct shape a_u16 = { .kind = SHAPE_U16 };
static const struct shape a_port = { .kind = SHAPE_PORT };
static const struct shape a_u32 = { .kind = SHAPE_U32 };
static const struct shape a_key = { .kind = SHAPE_KEY };
static const struct shape an_ipv4 = { .kind = SHAPE_IPV4 };
static const struct shape a_host_or_null = { .kind = SHAPE_HOST_V4, .nullable = true };
static const struct shape an_ip_or_null = { .kind = SHAPE_IP, .nullable = true };
static const struct shape an_endpoint = { .kind = SHAPE_ENDPOINT };
static const struct shape an_endpoint_or_null = { .kind = SHAPE_ENDPOINT, .nullable = true };
static const struct shape an_endpoint_v4 = { .kind = SHAPE_ENDPOINT_V4 };
static const struct shape an_endpoint_v6 = { .kind = SHAPE_ENDPOINT_V6 };
static const struct shape a_network_v6 = { .kind = SHAPE_NETWORK_V6 };
static const struct shape a_prefix = { .kind = SHAPE_PREFIX };
static const struct shape strings = { .kind = SHAPE_ARRAY, .item = &a_string };
static const struct shape endpoints = { .kind = SHAPE_ARRAY, .item = &an_endpoint };

/* Nested as the document is. */
/* clang-format off */
static const struct shape certificate = {
	.kind = SHAPE_OBJECT,
	.nullable = true,
	.members = (const struct shape_member[]){ { "key", &a_string, NULL },
						  { "cert", &a_string, NULL },
						  { 0 } },
};

/* What renews the certificate; null: it is not from us. */
static const struct shape authority = {
	.kind = SHAPE_OBJECT,
	.nullable = true,
	.members = (const struct shape_member[]){ { "rootCert", &a_string, NULL },
						  { "rootKey", &a_string, NULL },
						  { "intermediateCert", &a_string, NULL },
						  { "intermediateKey", &a_string, NULL },
						  { 0 } },
};

static const struct shape webserver = {
	.kind = SHAPE_OBJECT,
	.members = (const struct shape_member[]){ { "enabled", &a_bool, "false" },
						  { "listen", &an_endpoint_or_null, "null" },
						  { "certificate", &certificate, "null" },
						  { "authority", &authority, "null" },
						  { 0 } },
};

static const struct shape sessions = {
	.kind = SHAPE_MAP,
	.item = &(const struct shape){
		.kind = SHAPE_OBJECT,
		.members = (const struct shape_member[]){ { "loggedIn", &a_string, NULL },
							  { "lastActive", &a_string, NULL },
							  { "userAgent", &a_string_or_null, "null" },
							  { 0 } },
	},
};

static const struct shape auth_pubkeys = {
	.kind = SHAPE_MAP,
	.item = &(const struct shape){
		.kind = SHAPE_OBJECT,
		.members = (const struct shape_member[]){ { "name", &a_string, NULL }, { 0 } },
	},
};

static const struct shape ip_info = {
	.kind = SHAPE_OBJECT,
	.nullable = true,
	.members = (const struct shape_member[]){
		{ "name", &a_string, NULL },
		{ "scopeId", &a_u32, NULL },
		{ "deviceType", &a_string_or_null, "null" },
		{ "subnets", &(const struct shape){ .kind = SHAPE_ARRAY, .item = &a_prefix }, "[]" },
		{ "lanIp", &strings, "[]" },
		{ "wanIp", &an_ip_or_null, "null" },
		{ "ntpServers", &strings, "[]" },
		{ "dnsServers", &strings, "[]" },
		{ 0 } },
};

static const struct shape gateways = {
	.kind = SHAPE_MAP,
	.item = &(const struct shape){
		.kind = SHAPE_OBJECT,
		.members = (const struct shape_member[]){ { "name", &a_string_or_null, "null" },
							  { "secure", &a_bool_or_null, "null" },
							  { "ipInfo", &ip_info, "null" },
							  { "type", &a_string_or_null, "null" },
							  { 0 } },
	},
};

static const struct shape client = {
	.kind = SHAPE_OBJECT,
	.members = (const struct shape_member[]){
		{ "name", &a_string, NULL },
		{ "key", &a_key, NULL },
		{ "psk", &a_key, NULL },
		{ "kind", &(const struct shape){ .kind = SHAPE_ENUM,
						 .values = (const char *const[]){ "client", "server",
										  NULL } },
		  "\"client\"" },
		{ "allowDnsInjection", &a_bool, "false" },
		{ "allowAutoPortForward", &a_bool, "false" },
		{ "wanIp", &a_host_or_null, "null" },
		{ 0 } },
};

static const struct shape subnet_dns = {
	.kind = SHAPE_UNION,
	.tag = "type",
	.variants = (const struct shape_variant[]){
		{ "default", NULL },
		{ "device", (const struct shape_member[]){ { "ip", &an_ipv4, NULL }, { 0 } } },
		{ "custom", (const struct shape_member[]){ { "servers", &endpoints, NULL }, { 0 } } },
		{ 0 } },
};

static const struct shape subnets = {
	.kind = SHAPE_MAP,
	.key = SHAPE_SUBNET_V4,
	.item = &(const struct shape){
		.kind = SHAPE_OBJECT,
		.members = (const struct shape_member[]){
			{ "name", &a_string, NULL },
			{ "clients", &(const struct shape){ .kind = SHAPE_MAP, .key = SHAPE_IPV4,
							    .item = &client }, "{}" },
			{ "dns", &subnet_dns, "{\"type\":\"default\"}" },
			{ "wanIp", &a_host_or_null, "null" },
			{ "ipv6", &a_network_v6, SHAPE_OPTIONAL },
			{ 0 } },
	},
};

static const struct shape wg = {
	.kind = SHAPE_OBJECT,
	.members = (const struct shape_member[]){ { "port", &a_port, "51820" },
						  { "key", &a_key, NULL },
						  { "subnets", &subnets, "{}" },
						  { 0 } },
};

/* What a protocol of an automatic forward stays open for, and until when (lease.h). */
static const struct shape lease_term = {
	.kind = SHAPE_OBJECT,
	.nullable = true,
	.members = (const struct shape_member[]){ { "seconds", &a_u32, NULL },
						  { "boot", &a_string, NULL },
						  { "uptime", &a_u32, NULL },
						  { "until", &a_string_or_null, "null" },
						  { "nonce", &a_string_or_null, "null" },
						  { 0 } },
};

static const struct shape lease = {
	.kind = SHAPE_OBJECT,
	.nullable = true,
	.members = (const struct shape_member[]){
		{ "via", &(const struct shape){ .kind = SHAPE_ENUM, .values = lease_via_names }, NULL },
		{ "tcp", &lease_term, "null" },
		{ "udp", &lease_term, "null" },
		{ 0 } },
};

static const struct shape_member target_members[] = { { "target", &an_endpoint_v4, NULL },
						      { "label", &a_string_or_null, "null" },
						      { "enabled", &a_bool, "true" },
						      { "auto", &a_bool, "false" },
						      { "lease", &lease, SHAPE_OPTIONAL },
						      { DOCUMENT_PROXY, &a_bool, SHAPE_OPTIONAL },
						      { 0 } };

static const struct shape port_forwards = {
	.kind = SHAPE_MAP,
	.key = SHAPE_ENDPOINT_V4,
	.item = &(const struct shape){
		.kind = SHAPE_UNION,
		.tag = "kind",
		.variants = (const struct shape_variant[]){
			{ "dnat", (const struct shape_member[]){ { "target", &an_endpoint_v4, NULL },
								 { "label", &a_string_or_null, "null" },
								 { "enabled", &a_bool, "true" },
								 { "count", &a_u16, "1" },
								 { "auto", &a_bool, "false" },
								 { "lease", &lease, SHAPE_OPTIONAL },
								 { DOCUMENT_PROXY, &a_bool, SHAPE_OPTIONAL },
								 { 0 } } },
			{ "sni", (const struct shape_member[]){
				{ "routes", &(const struct shape){
					.kind = SHAPE_MAP,
					.item = &(const struct shape){ .kind = SHAPE_OBJECT,
								       .members = target_members },
				  }, NULL },
				{ 0 } } },
			{ 0 } },
	},
};

/* Those of IPv6, which are not there unless there are some. */
static const struct shape port_forwards6 = {
	.kind = SHAPE_MAP,
	.key = SHAPE_ENDPOINT_V6,
	.item = &(const struct shape){
		.kind = SHAPE_OBJECT,
		.members = (const struct shape_member[]){
			{ "kind", &(const struct shape){ .kind = SHAPE_ENUM,
							 .values = (const char *const[]){ "dnat", NULL } },
			  "\"dnat\"" },
			{ "target", &an_endpoint_v6, NULL },
			{ "label", &a_string_or_null, "null" },
			{ "enabled", &a_bool, "true" },
			{ "count", &a_u16, "1" },
			{ "auto", &a_bool, "false" },
			{ "lease", &lease, SHAPE_OPTIONAL },
			{ DOCUMENT_PROXY, &a_bool, SHAPE_OPTIONAL },
			{ 0 } },
	},
};

static const struct shape dns_records = {
	.kind = SHAPE_ARRAY,
	.item = &(const struct shape){
		.kind = SHAPE_OBJECT,
		.members = (const struct shape_member[]){ { "name", &a_string, NULL },
							  { "type", &a_string, NULL },
							  { "value", &a_string, NULL },
							  { "ttl", &a_u32, "300" },
							  { "source", &an_ip_or_null, "null" },
							  { 0 } },
	},
};

static const struct shape document_shape = {
	.kind = SHAPE_OBJECT,
	.members = (const struct shape_member[]){
		{ "migrations", &strings, "[]" },
		{ "webserver", &webserver,
		  "{}" },
		{ "sessions", &sessions, "{}" },
		{ "password", &a_string_or_null, "null" },
		{ "authPubkeys", &auth_pubkeys, "{}" },
		{ "gateways", &gateways, "{}" },
		{ "wg", &wg, NULL },
		{ "portForwards", &port_forwards, "{}" },
		{ DOCUMENT_FORWARDS6, &port_forwards6, SHAPE_OPTIONAL },
		{ "dnsRecords", &dns_records, "[]" },
		{ 0 } },
};
/* clang-format on */

/* Checks of the invariants, which the form alone cannot say. */

static int subnet_fault(const char *key, struct fault *fault, const char *reason)
{
	CLEANUP(text_done) struct text path = { 0 };

	document_pointer(&path, "wg", "subnets", key, NULL);
	return fault_set(fault, FAULT_DESERIALIZATION, "%s: %s", text_string(&path), reason);
}

/* Notes the key of @object, in the form in which all its spellings are one. Returns 0, -EEXIST
 * (it is noted already), -ENOMEM. */
static int note_key(const json_t *object, json_t *keys)
{
	const char *text = json_string_value(json_object_get(object, "key"));
	char spelling[BASE64_SIZE(X25519_KEY_SIZE)];
	uint8_t key[X25519_KEY_SIZE] = { 0 };
	int r = -EEXIST;

	(void)base64_decode(text, key, sizeof(key));
	x25519_clamp(key);
	base64_encode(key, sizeof(key), false, spelling);
	if (!json_object_get(keys, spelling))
		r = json_object_set_new(keys, spelling, json_true()) < 0 ? -ENOMEM : 0;
	secret_wipe(key, sizeof(key));
	secret_wipe(spelling, sizeof(spelling));
	return r;
}

static int check_clients(const struct document_subnet *subnet, json_t *keys, struct fault *fault)
{
	const char *address_text;
	const json_t *value;

	json_object_foreach(json_object_get(subnet->value, "clients"), address_text, value) {
		CLEANUP(text_done) struct text path = { 0 };
		uint32_t mask = ip_v4_mask(subnet->prefix);
		uint32_t address;
		int r;

		document_pointer(&path, "wg", "subnets", subnet->key, "clients", address_text,
				 NULL);
		if (ip_v4_parse(address_text, &address) < 0 ||
		    (address & mask) != (subnet->server & mask))
			return fault_set(fault, FAULT_DESERIALIZATION,
					 "%s: the address is not in the subnet",
					 text_string(&path));
		if (address == subnet->server || (address & 0xff) == 0 || (address & 0xff) == 0xff)
			return fault_set(fault, FAULT_DESERIALIZATION,
					 "%s: the address is reserved", text_string(&path));
		r = note_key(value, keys);
		if (r == -EEXIST)
			return fault_set(fault, FAULT_DESERIALIZATION,
					 "%s/key: another device, or the server, has the same key",
					 text_string(&path));
		if (r < 0)
			return r;
	}
	return 0;
}

static bool have_same_ipv6(const struct document_subnet *a, const struct document_subnet *b)
{
	struct ip_prefix one, other;

	return document_ipv6(a, &one) && document_ipv6(b, &other) &&
	       ip_equal(&one.address, &other.address);
}

static int check_subnets(const json_t *document, struct fault *fault)
{
	json_t *all = json_object_get(json_object_get(document, "wg"), "subnets");
	json_t *keys = json_object();
	const char *key, *other_key;
	const json_t *value, *other_value;
	int r = keys ? note_key(json_object_get(document, "wg"), keys) : -ENOMEM;

	json_object_foreach(all, key, value) {
		struct document_subnet subnet, other;
		uint32_t mask;

		if (r < 0)
			break;
		(void)document_subnet(document, key, &subnet);
		mask = ip_v4_mask(subnet.prefix);
		if (subnet.prefix > DOCUMENT_SUBNET_LENGTH_MAX ||
		    subnet.server != ((subnet.server & mask) | 1))
			r = subnet_fault(key, fault,
					 "must be the first address of a network of at most /24");
		else if (subnet.prefix < DOCUMENT_SUBNET_LENGTH_MIN || !wan_is_host(subnet.server))
			r = subnet_fault(key, fault, "not a network that devices may be in");
		json_object_foreach(all, other_key, other_value) {
			if (r < 0 || value == other_value)
				continue;
			(void)document_subnet(document, other_key, &other);
			if (((subnet.server ^ other.server) & mask & ip_v4_mask(other.prefix)) == 0)
				r = subnet_fault(key, fault, "overlaps another subnet");
			else if (have_same_ipv6(&subnet, &other))
				r = subnet_fault(key, fault,
						 "has the IPv6 network of another subnet");
		}
		if (r == 0)
			r = check_clients(&subnet, keys, fault);
	}
	json_decref(keys);
	return r;
}

int document_check_proxy(const char *source, const json_t *entry, struct fault *fault)
{
	struct document_forward6 six;
	json_int_t count = json_integer_value(json_object_get(entry, "count"));

	if (!json_is_true(json_object_get(entry, DOCUMENT_PROXY)))
		return 0;
	if (count > 1)
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 DOCUMENT_PROXY ": is for one port at a time, not for a range of "
						"%lld",
				 (long long)count);
	if (document_forward6(source, entry, &six) && ip_equal(&six.external, &six.target))
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 DOCUMENT_PROXY ": not for a pinhole; what is sent to the device's "
						"own address comes to it as it is");
	return 0;
}

int document_route_name(const char *text, char ret[DOCUMENT_ROUTE_NAME_MAX])
{
	struct pcp_hostname name;

	if (strcmp(text, DOCUMENT_ROUTE_ANY) != 0) {
		if (pcp_hostname_parse((const uint8_t *)text, strlen(text), &name) < 0)
			return -EINVAL;
		text = name.text;
	}
	(void)snprintf(ret, DOCUMENT_ROUTE_NAME_MAX, "%s", text);
	return 0;
}

/* Names are kept in the form in which they are looked up. */
static int check_names(const json_t *document, struct fault *fault)
{
	json_t *forwards = json_object_get(document, "portForwards"), *routes;
	const char *source, *name;
	const json_t *entry, *route;

	json_object_foreach(forwards, source, entry) {
		routes = json_object_get(entry, "routes");
		json_object_foreach(routes, name, route) {
			CLEANUP(text_done) struct text path = { 0 };
			char kept[DOCUMENT_ROUTE_NAME_MAX];

			if (document_route_name(name, kept) == 0 && strcmp(kept, name) == 0)
				continue;
			document_pointer(&path, "portForwards", source, "routes", name, NULL);
			return fault_set(fault, FAULT_DESERIALIZATION,
					 "%s: not a host name in lower case", text_string(&path));
		}
	}
	return 0;
}

static int check_proxies(const json_t *document, const char *member, struct fault *fault)
{
	const json_t *entry;
	const char *source;

	json_object_foreach(json_object_get(document, member), source, entry) {
		CLEANUP(text_done) struct text path = { 0 };
		CLEANUP(fault_done) struct fault inner = { 0 };

		if (document_check_proxy(source, entry, &inner) == 0)
			continue;
		document_pointer(&path, member, source, NULL);
		return fault_set(fault, FAULT_DESERIALIZATION, "%s/%s", text_string(&path),
				 inner.details);
	}
	return 0;
}

static int check_forwards(const json_t *document, struct fault *fault)
{
	struct forward_ports *ports = NULL;
	int r = check_names(document, fault);

	if (r == 0)
		r = check_proxies(document, "portForwards", fault);
	if (r == 0)
		r = check_proxies(document, DOCUMENT_FORWARDS6, fault);
	if (r == 0)
		r = forward_ports_new(&ports);
	if (r == 0)
		r = forward_ports_add_all(ports, document, fault);
	(void)forward_ports_free(ports);
	return r;
}

int document_check_span(uint32_t external, uint32_t target, uint32_t count, struct fault *fault)
{
	if (count == 0)
		return fault_set(fault, FAULT_INVALID_REQUEST, "count: must be at least 1");
	if (external + count - 1 > UINT16_MAX)
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "count: %u ports from external port %u on pass 65535", count,
				 external);
	if (target + count - 1 > UINT16_MAX)
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "count: %u ports from target port %u on pass 65535", count,
				 target);
	return 0;
}

int document_check_forwards6(const json_t *document, struct fault *fault)
{
	const json_t *entry;
	const char *key;

	json_object_foreach(json_object_get(document, DOCUMENT_FORWARDS6), key, entry) {
		CLEANUP(text_done) struct text path = { 0 };
		CLEANUP(fault_done) struct fault inner = { 0 };
		struct document_forward6 forward;
		struct endpoint endpoint = { 0 };
		char spelled[IP_TEXT_MAX];

		document_pointer(&path, DOCUMENT_FORWARDS6, key, NULL);
		if (!document_forward6(key, entry, &forward))
			return fault_set(fault, FAULT_DESERIALIZATION, "%s: is no port forward",
					 text_string(&path));
		endpoint.address = forward.external;
		endpoint.port = forward.external_port;
		if (strcmp(endpoint_format(&endpoint, spelled), key) != 0)
			return fault_set(fault, FAULT_DESERIALIZATION, "%s: must be spelled %s",
					 text_string(&path), spelled);
		endpoint.address = forward.target;
		endpoint.port = forward.target_port;
		if (strcmp(endpoint_format(&endpoint, spelled),
			   json_string_value(json_object_get(entry, "target"))) != 0)
			return fault_set(fault, FAULT_DESERIALIZATION,
					 "%s/target: must be spelled %s", text_string(&path),
					 spelled);
		if (document_check_span(forward.external_port, forward.target_port, forward.count,
					&inner) < 0)
			return fault_set(fault, FAULT_DESERIALIZATION, "%s/%s", text_string(&path),
					 inner.details);
	}
	return 0;
}

int document_check(json_t *document, struct fault *fault)
{
	CLEANUP(text_done) struct text path = { 0 };
	int r = shape_check(&document_shape, document, &path, fault);

	if (r == 0)
		r = check_subnets(document, fault);
	if (r == 0)
		r = document_check_forwards6(document, fault);
	return r < 0 ? r : check_forwards(document, fault);
}

json_t *document_fresh(void)
{
	char key_text[BASE64_SIZE(X25519_KEY_SIZE)];
	uint8_t key[X25519_KEY_SIZE];
	char subnet[IP_TEXT_MAX];
	json_t *document;
	uint8_t random;

	random_bytes(&random, sizeof(random));
	(void)snprintf(subnet, sizeof(subnet), "10.59.%u.1/24", random);
	x25519_generate(key);
	document = json_pack("{s:o, s:{s:i, s:s, s:{s:{s:s}}}}", "migrations", migration_names(),
			     "wg", "port", 51820, "key",
			     base64_encode(key, sizeof(key), false, key_text), "subnets", subnet,
			     "name", "Default Subnet");
	secret_wipe(key, sizeof(key));
	secret_wipe(key_text, sizeof(key_text));
	if (document && document_check(document, NULL) < 0) {
		json_decref(document);
		return NULL;
	}
	return document;
}

void document_pointer(struct text *to, ...)
{
	const char *member;
	va_list args;

	va_start(args, to);
	while ((member = va_arg(args, const char *)))
		pointer_append(to, member);
	va_end(args);
}

static bool parse_subnet(const char *key, const json_t *value, struct document_subnet *ret)
{
	struct ip_prefix prefix;

	if (!value || ip_prefix_parse(key, &prefix) < 0)
		return false;
	*ret = (struct document_subnet){ key, value, ip_to_v4(&prefix.address), prefix.length };
	return true;
}

bool document_subnet(const json_t *document, const char *key, struct document_subnet *ret)
{
	const json_t *all = json_object_get(json_object_get(document, "wg"), "subnets");

	return parse_subnet(key, json_object_get(all, key), ret);
}

bool document_subnet_of(const json_t *document, uint32_t address, struct document_subnet *ret)
{
	json_t *all = json_object_get(json_object_get(document, "wg"), "subnets");
	struct document_subnet subnet;
	const json_t *value;
	const char *key;

	json_object_foreach(all, key, value) {
		if (!parse_subnet(key, value, &subnet) ||
		    ((subnet.server ^ address) & ip_v4_mask(subnet.prefix)) != 0)
			continue;
		*ret = subnet;
		return true;
	}
	return false;
}

bool document_ipv6_is_local(const struct ip_address *address)
{
	return address->family == AF_INET6 && (address->bytes[0] & 0xfe) == 0xfc;
}

bool document_ipv6_parse(const char *text, struct ip_prefix *ret)
{
	struct ip_prefix prefix, network;

	if (!text || ip_prefix_parse(text, &prefix) < 0 || prefix.address.family != AF_INET6 ||
	    prefix.length != DOCUMENT_IPV6_LENGTH)
		return false;
	network = ip_prefix_network(&prefix);
	if (!ip_equal(&network.address, &prefix.address) ||
	    ((prefix.address.bytes[0] & 0xe0) != 0x20 && !document_ipv6_is_local(&prefix.address)))
		return false;
	*ret = prefix;
	return true;
}

bool document_ipv6(const struct document_subnet *subnet, struct ip_prefix *ret)
{
	return document_ipv6_parse(json_string_value(json_object_get(subnet->value, "ipv6")), ret);
}

struct ip_address document_ipv6_of(const struct document_subnet *subnet,
				   const struct ip_prefix *network, uint32_t address)
{
	struct ip_address ip = network->address;
	uint32_t host = address & ~ip_v4_mask(subnet->prefix);

	for (int i = 0; i < 4; i++)
		ip.bytes[15 - i] = (uint8_t)(host >> 8 * i);
	return ip;
}

json_t *document_with_proxy(json_t *entry, bool proxy)
{
	if (!entry || !proxy || json_object_set_new(entry, DOCUMENT_PROXY, json_true()) == 0)
		return entry;
	json_decref(entry);
	return NULL;
}

bool document_is_relayed(const json_t *entry)
{
	return json_object_get(entry, "routes") ||
	       json_is_true(json_object_get(entry, DOCUMENT_PROXY));
}

bool document_device6(const json_t *document, const struct ip_address *address,
		      struct document_subnet *ret_subnet, uint32_t *ret_device)
{
	json_t *all = json_object_get(json_object_get(document, "wg"), "subnets");
	const json_t *value;
	const char *key;

	json_object_foreach(all, key, value) {
		struct document_subnet subnet;
		struct ip_prefix network;
		struct ip_address own;
		uint32_t device;

		if (!parse_subnet(key, value, &subnet) || !document_ipv6(&subnet, &network) ||
		    !ip_prefix_contains(&network, address))
			continue;
		device = (uint32_t)address->bytes[12] << 24 | (uint32_t)address->bytes[13] << 16 |
			 (uint32_t)address->bytes[14] << 8 | address->bytes[15];
		device |= subnet.server & ip_v4_mask(subnet.prefix);
		own = document_ipv6_of(&subnet, &network, device);
		if (!ip_equal(&own, address) || !document_device(&subnet, device))
			return false;
		*ret_subnet = subnet;
		*ret_device = device;
		return true;
	}
	return false;
}

bool document_forward6(const char *key, const json_t *value, struct document_forward6 *ret)
{
	const char *text = json_string_value(json_object_get(value, "target"));
	struct endpoint external, target;

	if (endpoint_parse(key, &external) < 0 || !text || endpoint_parse(text, &target) < 0 ||
	    external.address.family != AF_INET6 || target.address.family != AF_INET6)
		return false;
	*ret = (struct document_forward6){
		.external = external.address,
		.external_port = external.port,
		.target = target.address,
		.target_port = target.port,
		.count = (uint16_t)json_integer_value(json_object_get(value, "count")),
		.enabled = json_is_true(json_object_get(value, "enabled")),
	};
	return true;
}

const json_t *document_device(const struct document_subnet *subnet, uint32_t address)
{
	char text[IP_TEXT_MAX];

	return json_object_get(json_object_get(subnet->value, "clients"),
			       ip_v4_format(address, text));
}

bool document_is_device(const json_t *document, uint32_t address)
{
	struct document_subnet subnet;

	return document_subnet_of(document, address, &subnet) && document_device(&subnet, address);
}

bool document_route(const char *key, const json_t *route, struct document_forward *ret)
{
	struct endpoint external, target;

	if (endpoint_parse(key, &external) < 0 ||
	    endpoint_parse(json_string_value(json_object_get(route, "target")), &target) < 0)
		return false;
	*ret = (struct document_forward){
		.external = ip_to_v4(&external.address),
		.external_port = external.port,
		.target = ip_to_v4(&target.address),
		.target_port = target.port,
		.count = 1,
		.enabled = json_is_true(json_object_get(route, "enabled")),
	};
	return true;
}

bool document_forward(const char *key, const json_t *value, struct document_forward *ret)
{
	const char *kind = json_string_value(json_object_get(value, "kind"));

	if (!kind || strcmp(kind, "dnat") != 0 || !document_route(key, value, ret))
		return false;
	ret->count = (uint16_t)json_integer_value(json_object_get(value, "count"));
	return true;
}
