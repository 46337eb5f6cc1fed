/* device.*, tunnel.md 2.7 and 1.4 */
#include "tunnel/job.h"

#include "base/secret.h"
#include "codec/base64.h"
#include "crypto/x25519.h"
#include "document/client_config.h"
#include "document/redact.h"
#include "document/wan.h"
#include "tunnel/records.h"

static int find_device(const json_t *document, const json_t *params, struct document_subnet *subnet,
		       uint32_t *ret_address, struct fault *fault)
{
	const char *text = param_string(params, "ip");
	int r = find_subnet(document, params, subnet, fault);

	if (r < 0)
		return r;
	if (ip_v4_parse(text, ret_address) < 0 || !document_device(subnet, *ret_address))
		return fault_set(fault, FAULT_NOT_FOUND, "%s", text);
	return 0;
}

static void device_pointer(struct text *to, const struct document_subnet *subnet, uint32_t address)
{
	char text[IP_TEXT_MAX];

	document_pointer(to, "wg", "subnets", subnet->key, "clients", ip_v4_format(address, text),
			 NULL);
}

/* ".0" and ".255" are kept free in every /24 of a wide subnet: many devices refuse them. */
static bool is_reserved(uint32_t address)
{
	return (address & 0xff) == 0 || (address & 0xff) == 0xff;
}

static int check_address(const struct document_subnet *subnet, const char *text, uint32_t *ret,
			 struct fault *fault)
{
	uint32_t address;

	if (ip_v4_parse(text, &address) < 0)
		return fault_set(fault, FAULT_INVALID_REQUEST, "ip: %s is not an IPv4 address",
				 text);
	if (((address ^ subnet->server) & ip_v4_mask(subnet->prefix)) != 0)
		return fault_set(fault, FAULT_INVALID_REQUEST, "ip: %s is not in the subnet %s",
				 text, subnet->key);
	if (is_reserved(address))
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "ip: invalid address %s: the last number may not be 0 or 255",
				 text);
	if (address == subnet->server)
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "ip: invalid address %s: it is this server's own", text);
	*ret = address;
	return 0;
}

static int free_address(const struct document_subnet *subnet, uint32_t *ret, struct fault *fault)
{
	uint32_t mask = ip_v4_mask(subnet->prefix);
	uint32_t last = subnet->server | ~mask;

	for (uint32_t a = (subnet->server & mask) + 1; a < last; a++) {
		if (a == subnet->server || is_reserved(a) || document_device(subnet, a))
			continue;
		*ret = a;
		return 0;
	}
	return fault_set(fault, FAULT_INVALID_REQUEST, "ip: no available ips in the subnet %s",
			 subnet->key);
}

static json_t *new_client(const char *name, const char *kind)
{
	bool server = strcmp(kind, "server") == 0;
	char key_text[BASE64_SIZE(X25519_KEY_SIZE)], psk_text[BASE64_SIZE(X25519_KEY_SIZE)];
	uint8_t key[X25519_KEY_SIZE], psk[X25519_KEY_SIZE];
	json_t *client;

	x25519_generate(key);
	random_bytes(psk, sizeof(psk));
	client = json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:n}", "name", name, "key",
			   base64_encode(key, sizeof(key), false, key_text), "psk",
			   base64_encode(psk, sizeof(psk), false, psk_text), "kind", kind,
			   "allowDnsInjection", server, "allowAutoPortForward", server, "wanIp");
	secret_wipe(key, sizeof(key));
	secret_wipe(psk, sizeof(psk));
	secret_wipe(key_text, sizeof(key_text));
	secret_wipe(psk_text, sizeof(psk_text));
	return client;
}

/* An address that is taken is an edit of its device: only the name changes. */
static int change_add(struct job *job, const json_t *params, struct fault *fault)
{
	CLEANUP(text_done) struct text pointer = { 0 };
	const char *name = param_string(params, "name");
	const char *ip = param_string(params, "ip");
	struct document_subnet subnet;
	uint32_t address = 0;
	int r = find_subnet(job_document(job), params, &subnet, fault);

	if (r == 0)
		r = ip ? check_address(&subnet, ip, &address, fault)
		       : free_address(&subnet, &address, fault);
	if (r < 0)
		return r;
	device_pointer(&pointer, &subnet, address);
	if (document_device(&subnet, address)) {
		document_pointer(&pointer, "name", NULL);
		return job_put(job, text_string(&pointer), json_string(name), fault);
	}
	return job_put(job, text_string(&pointer), new_client(name, param_string(params, "kind")),
		       fault);
}

/* A subnet that asked this device for names is served by the machine's servers again. */
static int forget_resolver(struct job *job, const struct document_subnet *subnet, const char *ip)
{
	CLEANUP(text_done) struct text pointer = { 0 };
	const char *resolver =
		json_string_value(json_object_get(json_object_get(subnet->value, "dns"), "ip"));

	if (!resolver || strcmp(resolver, ip) != 0)
		return 0;
	document_pointer(&pointer, "wg", "subnets", subnet->key, "dns", NULL);
	return job_put(job, text_string(&pointer), json_pack("{s:s}", "type", "default"), NULL);
}

static int change_remove(struct job *job, const json_t *params, struct fault *fault)
{
	CLEANUP(text_done) struct text pointer = { 0 };
	struct document_subnet subnet;
	uint32_t address;
	int r = find_device(job_document(job), params, &subnet, &address, fault);

	if (r < 0)
		return r;
	device_pointer(&pointer, &subnet, address);
	r = job_remove(job, text_string(&pointer));
	if (r == 0)
		r = forget_resolver(job, &subnet, param_string(params, "ip"));
	if (r == 0)
		r = forwards_prune(job);
	return r < 0 ? r : records_prune(job);
}

/* Begins each edit of a device: finds it and sets a member. Takes @value. */
static int set_member(struct job *job, const json_t *params, const char *name, json_t *value,
		      uint32_t *ret_address, struct fault *fault)
{
	CLEANUP(text_done) struct text pointer = { 0 };
	struct document_subnet subnet;
	int r = find_device(job_document(job), params, &subnet, ret_address, fault);

	if (r < 0) {
		json_decref(value);
		return r;
	}
	device_pointer(&pointer, &subnet, *ret_address);
	document_pointer(&pointer, name, NULL);
	return job_put(job, text_string(&pointer), value, fault);
}

static int change_set_wan(struct job *job, const json_t *params, struct fault *fault)
{
	uint32_t address;
	int r = wan_check_pinned(params, fault);

	if (r == 0)
		r = set_member(job, params, "wanIp", json_copy(json_object_get(params, "wanIp")),
			       &address, fault);
	return r < 0 ? r : forwards_rekey(job, fault);
}

/* Both permissions follow the kind. */
static int change_set_kind(struct job *job, const json_t *params, struct fault *fault)
{
	static const char *const flags[] = { "allowDnsInjection", "allowAutoPortForward" };
	const char *kind = param_string(params, "kind");
	bool server = strcmp(kind, "server") == 0;
	uint32_t address;
	int r = set_member(job, params, "kind", json_string(kind), &address, fault);

	for (size_t i = 0; i < ARRAY_SIZE(flags) && r == 0; i++)
		r = set_member(job, params, flags[i], json_boolean(server), &address, fault);
	if (r == 0 && !server)
		r = forwards_close_automatic(job, address);
	return r < 0 ? r : records_prune(job);
}

/* Without the permission its records go too. */
static int change_set_dns_injection(struct job *job, const json_t *params, struct fault *fault)
{
	uint32_t address;
	int r = set_member(job, params, "allowDnsInjection",
			   json_boolean(param_bool(params, "enabled")), &address, fault);

	return r < 0 ? r : records_prune(job);
}

static int change_auto_port_forward(struct job *job, const json_t *params, struct fault *fault)
{
	bool enabled = param_bool(params, "enabled");
	uint32_t address;
	int r = set_member(job, params, "allowAutoPortForward", json_boolean(enabled), &address,
			   fault);

	return r < 0 || enabled ? r : forwards_close_automatic(job, address);
}

static int read_list(const struct job *job, json_t **ret, struct fault *fault)
{
	CLEANUP(text_done) struct text pointer = { 0 };
	struct document_subnet subnet;
	int r = find_subnet(job_document(job), rpc_params(job->call), &subnet, fault);

	if (r < 0)
		return r;
	if (job_sees_secrets(job)) {
		*ret = json_incref((json_t *)subnet.value);
		return 0;
	}
	document_pointer(&pointer, "wg", "subnets", subnet.key, NULL);
	r = text_error(&pointer);
	return r < 0 ? r : redact_value(text_string(&pointer), subnet.value, ret);
}

/* Each device of a subnet with IPv6 has its address in the list, which the document does not hold. Takes @list. */
static json_t *with_ipv6(const struct job *job, json_t *list)
{
	json_t *copy = json_copy(list), *clients = json_object(), *client;
	struct document_subnet subnet;
	struct ip_prefix network;
	const char *ip;
	uint32_t address;
	CLEANUP(fault_done) struct fault fault = { 0 };
	bool good = copy && clients &&
		    find_subnet(job_document(job), rpc_params(job->call), &subnet, &fault) == 0 &&
		    document_ipv6(&subnet, &network);

	json_object_foreach(json_object_get(list, "clients"), ip, client) {
		struct ip_address ipv6;
		char text[IP_TEXT_MAX];
		json_t *row;

		if (!good || ip_v4_parse(ip, &address) < 0)
			continue;
		row = json_copy(client);
		ipv6 = document_ipv6_of(&subnet, &network, address);
		good = json_object_set_new(row, "ipv6", json_string(ip_format(&ipv6, text))) == 0;
		if (json_object_set_new(clients, ip, row) < 0)
			good = false;
	}
	json_decref(list);
	good = good && json_object_set(copy, "clients", clients) == 0;
	json_decref(clients);
	if (good)
		return copy;
	json_decref(copy);
	return NULL;
}

static void run_list(struct job *job)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	json_t *result = NULL;
	int r = read_list(job, &result, &fault);

	if (r == 0 && json_object_get(result, "ipv6")) {
		result = with_ipv6(job, result);
		r = result ? 0 : -ENOMEM;
	}
	if (r < 0)
		(void)fault_set_errno(&fault, r, FAULT_UNKNOWN, "reading the document");
	job_done(job, result, &fault);
}

void device_list(struct rpc_call *call)
{
	tunnel_job(rpc_context(call), call, run_list);
}

static int read_config(struct tunnel *tunnel, const json_t *params, json_t **ret,
		       struct fault *fault)
{
	CLEANUP(text_done_secret) struct text config = { 0 };
	const json_t *document = store_document(tunnel->store);
	struct document_subnet subnet;
	uint32_t address;
	int r = find_device(document, params, &subnet, &address, fault);

	if (r == 0)
		r = client_config_write(&config, document, &subnet, address,
					param_string(params, "wanAddr"), fault);
	if (r < 0)
		return r;
	*ret = json_string(text_string(&config));
	return *ret ? 0 : -ENOMEM;
}

TUNNEL_EDIT(device_add, change_add);
TUNNEL_EDIT(device_remove, change_remove);
TUNNEL_EDIT(device_set_wan, change_set_wan);
TUNNEL_EDIT(device_set_kind, change_set_kind);
TUNNEL_EDIT(device_set_auto_port_forward, change_auto_port_forward);
TUNNEL_EDIT(device_set_dns_injection, change_set_dns_injection);
TUNNEL_READ(device_show_config, read_config);
