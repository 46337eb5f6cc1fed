/* subnet.*, tunnel.md 2.7 and 1.4 */
#include <fcntl.h>

#include "tunnel/job.h"

#include "base/secret.h"
#include "document/wan.h"
#include "tunnel/forwards6.h"
#include "tunnel/records.h"

#define DNS_SERVERS_MAX 3

int find_subnet(const json_t *document, const json_t *params, struct document_subnet *ret,
		struct fault *fault)
{
	const char *key = param_string(params, "subnet");

	if (document_subnet(document, key, ret))
		return 0;
	return fault_set(fault, FAULT_NOT_FOUND, "%s", key);
}

static bool overlap(uint32_t a, uint8_t a_length, uint32_t b, uint8_t b_length)
{
	return ((a ^ b) & ip_v4_mask(a_length) & ip_v4_mask(b_length)) == 0;
}

static int check_subnets(const json_t *document, const char *key, uint32_t network, uint8_t length,
			 struct fault *fault)
{
	json_t *all = json_object_get(json_object_get(document, "wg"), "subnets");
	struct document_subnet other;
	const json_t *value;
	const char *other_key;

	json_object_foreach(all, other_key, value) {
		if (document_subnet(document, other_key, &other) &&
		    overlap(network, length, other.server, other.prefix))
			return fault_set(fault, FAULT_INVALID_REQUEST,
					 "subnet: %s overlaps the subnet %s", key, other_key);
	}
	return 0;
}

/* A subnet that a network interface of this machine is in would cut the machine off. */
static int check_gateways(const json_t *document, const char *key, uint32_t network, uint8_t length,
			  struct fault *fault)
{
	const json_t *gateway, *text;
	const char *name;
	size_t i;

	json_object_foreach(json_object_get(document, "gateways"), name, gateway) {
		const json_t *info = json_object_get(gateway, "ipInfo");

		json_array_foreach(json_object_get(info, "subnets"), i, text) {
			struct ip_prefix prefix;

			if (ip_prefix_parse(json_string_value(text), &prefix) < 0 ||
			    prefix.address.family != AF_INET ||
			    !overlap(network, length, ip_to_v4(&prefix.address), prefix.length))
				continue;
			return fault_set(fault, FAULT_INVALID_REQUEST,
					 "subnet: %s overlaps %s, the network of this machine's %s",
					 key, json_string_value(text), name);
		}
	}
	return 0;
}

static int change_add(struct job *job, const json_t *params, struct fault *fault)
{
	CLEANUP(text_done) struct text pointer = { 0 };
	const char *name = param_string(params, "name");
	const json_t *document = job_document(job);
	struct document_subnet present;
	struct ip_prefix prefix;
	char key[IP_TEXT_MAX];
	uint32_t network;
	int r;

	if (ip_prefix_parse(param_string(params, "subnet"), &prefix) < 0 ||
	    prefix.length < DOCUMENT_SUBNET_LENGTH_MIN ||
	    prefix.length > DOCUMENT_SUBNET_LENGTH_MAX)
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "subnet: invalid subnet %s: its prefix length must be %d to %d",
				 param_string(params, "subnet"), DOCUMENT_SUBNET_LENGTH_MIN,
				 DOCUMENT_SUBNET_LENGTH_MAX);
	network = ip_to_v4(&prefix.address) & ip_v4_mask(prefix.length);
	prefix.address = ip_from_v4(network | 1);
	ip_prefix_format(&prefix, key);
	document_pointer(&pointer, "wg", "subnets", key, NULL);
	if (document_subnet(document, key, &present)) {
		document_pointer(&pointer, "name", NULL);
		return job_put(job, text_string(&pointer), json_string(name), fault);
	}
	if (!wan_is_host(network))
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "subnet: invalid subnet %s: not an address that a device may have",
				 key);
	r = check_subnets(document, key, network, prefix.length, fault);
	if (r == 0)
		r = check_gateways(document, key, network, prefix.length, fault);
	if (r < 0)
		return r;
	return job_put(job, text_string(&pointer),
		       json_pack("{s:s, s:{}, s:{s:s}, s:n}", "name", name, "clients", "dns",
				 "type", "default", "wanIp"),
		       fault);
}

/* A subnet that is not there is no error. */
static int change_remove(struct job *job, const json_t *params, struct fault *fault)
{
	CLEANUP(text_done) struct text pointer = { 0 };
	struct document_subnet subnet;
	int r;

	if (!document_subnet(job_document(job), param_string(params, "subnet"), &subnet))
		return 0;
	document_pointer(&pointer, "wg", "subnets", subnet.key, NULL);
	r = job_remove(job, text_string(&pointer));
	if (r == 0)
		r = forwards_prune(job);
	return r < 0 ? r : records_prune(job);
}

static int change_set_wan(struct job *job, const json_t *params, struct fault *fault)
{
	CLEANUP(text_done) struct text pointer = { 0 };
	struct document_subnet subnet;
	int r = find_subnet(job_document(job), params, &subnet, fault);

	if (r == 0)
		r = wan_check_pinned(params, fault);
	if (r < 0)
		return r;
	document_pointer(&pointer, "wg", "subnets", subnet.key, "wanIp", NULL);
	r = job_put(job, text_string(&pointer), json_copy(json_object_get(params, "wanIp")), fault);
	return r < 0 ? r : forwards_rekey(job, fault);
}

/* What stays is the random part: a network that is the subnet's own already, and unique to it, is kept. */
static void random_ipv6(const struct document_subnet *subnet, struct ip_prefix *ret)
{
	struct ip_prefix prefix = { .address.family = AF_INET6, .length = DOCUMENT_IPV6_LENGTH };

	if (document_ipv6(subnet, ret) && document_ipv6_is_local(&ret->address))
		return;
	random_bytes(prefix.address.bytes, DOCUMENT_IPV6_LENGTH / 8);
	prefix.address.bytes[0] = 0xfd;
	*ret = prefix;
}

/* A network that this machine is in itself, or another subnet has. */
static int check_ipv6(const json_t *document, const struct document_subnet *subnet,
		      const struct ip_prefix *network, const char *text, struct fault *fault)
{
	const json_t *gateway, *value, *address;
	struct document_subnet other;
	struct ip_prefix prefix;
	const char *name;
	size_t i;

	json_object_foreach(json_object_get(json_object_get(document, "wg"), "subnets"), name,
			    value) {
		if (strcmp(name, subnet->key) != 0 && document_subnet(document, name, &other) &&
		    document_ipv6(&other, &prefix) && ip_equal(&prefix.address, &network->address))
			return fault_set(fault, FAULT_INVALID_REQUEST,
					 "ipv6: %s is the network of the subnet %s", text, name);
	}
	json_object_foreach(json_object_get(document, "gateways"), name, gateway) {
		const json_t *info = json_object_get(gateway, "ipInfo");

		json_array_foreach(json_object_get(info, "subnets"), i, address) {
			if (ip_prefix_parse(json_string_value(address), &prefix) == 0 &&
			    prefix.length > 0 &&
			    (ip_prefix_contains(network, &prefix.address) ||
			     ip_prefix_contains(&prefix, &network->address)))
				return fault_set(fault, FAULT_INVALID_REQUEST,
						 "ipv6: %s overlaps %s, the network of this "
						 "machine's %s; it has to be one that the provider "
						 "routes to this machine",
						 text, json_string_value(address), name);
		}
	}
	return 0;
}

/* Whether this machine may speak IPv6 at all. What its owner switched off is not switched on behind his back. */
static int check_machine_ipv6(struct fault *fault)
{
	cleanup_close int fd =
		open("/proc/sys/net/ipv6/conf/all/disable_ipv6", O_RDONLY | O_CLOEXEC);
	char disabled = '0';

	if (fd < 0)
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "ipv6: the kernel of this machine has no IPv6");
	if (read(fd, &disabled, 1) == 1 && disabled != '0')
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "ipv6: IPv6 is switched off on this machine; set the sysctl "
				 "net.ipv6.conf.all.disable_ipv6 to 0 first");
	return 0;
}

static int change_set_ipv6(struct job *job, const json_t *params, struct fault *fault)
{
	CLEANUP(text_done) struct text pointer = { 0 };
	const char *text = param_string(params, "ipv6");
	struct document_subnet subnet;
	struct ip_prefix network, old;
	char spelled[IP_TEXT_MAX];
	int r = find_subnet(job_document(job), params, &subnet, fault);
	bool had;

	if (r < 0)
		return r;
	had = document_ipv6(&subnet, &old);
	document_pointer(&pointer, "wg", "subnets", subnet.key, "ipv6", NULL);
	if (strcmp(text, "off") == 0) {
		r = had ? job_remove(job, text_string(&pointer)) : 0;
		return r < 0 ? r : forwards6_prune(job);
	}
	r = check_machine_ipv6(fault);
	if (r < 0)
		return r;
	if (strcmp(text, "on") == 0)
		random_ipv6(&subnet, &network);
	else if (!document_ipv6_parse(text, &network))
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "ipv6: %s is neither on, off, nor an IPv6 network of /64 such as "
				 "2001:db8:1:2::/64",
				 text);
	r = check_ipv6(job_document(job), &subnet, &network, text, fault);
	if (r < 0)
		return r;
	r = job_put(job, text_string(&pointer), json_string(ip_prefix_format(&network, spelled)),
		    fault);
	return r == 0 && had ? forwards6_follow(job, &old, &network, fault) : r;
}

/* The server itself would be asked in a circle; nobody else is reached there. */
static int check_server(const json_t *document, const struct endpoint *server, const char *text,
			struct fault *fault)
{
	struct document_subnet subnet;
	uint32_t address;

	if (server->port == 0)
		return fault_set(fault, FAULT_INVALID_REQUEST, "servers: %s: no port is 0", text);
	if (server->address.family != AF_INET)
		return 0;
	address = ip_to_v4(&server->address);
	if (!wan_is_host(address) ||
	    (document_subnet_of(document, address, &subnet) && address == subnet.server))
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "servers: %s is not the address of another DNS server", text);
	return 0;
}

static int custom_servers(const json_t *document, const json_t *params, json_t **ret,
			  struct fault *fault)
{
	const json_t *servers = json_object_get(params, "servers"), *value;
	json_t *list = json_array();
	int r = list ? 0 : -ENOMEM;
	size_t i;

	if (json_array_size(servers) < 1 || json_array_size(servers) > DNS_SERVERS_MAX)
		r = fault_set(fault, FAULT_INVALID_REQUEST, "servers: custom takes 1 to %d servers",
			      DNS_SERVERS_MAX);
	json_array_foreach(servers, i, value) {
		const char *text = json_string_value(value);
		struct endpoint server = { .port = 53 };
		char spelled[IP_TEXT_MAX];

		if (r == 0 && ip_parse(text, &server.address) < 0 &&
		    endpoint_parse(text, &server) < 0)
			r = fault_set(fault, FAULT_INVALID_REQUEST,
				      "servers: %s is neither an IP address nor IP:PORT", text);
		if (r == 0)
			r = check_server(document, &server, text, fault);
		if (r == 0 &&
		    json_array_append_new(list, json_string(endpoint_format(&server, spelled))) < 0)
			r = -ENOMEM;
	}
	if (r < 0)
		json_decref(list);
	else
		*ret = list;
	return r;
}

static int device_server(const struct document_subnet *subnet, const json_t *params,
			 struct fault *fault)
{
	const char *ip = param_string(params, "deviceIp");
	uint32_t address;

	if (!ip)
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "deviceIp: the device that answers has to be named");
	if (ip_v4_parse(ip, &address) < 0 || !document_device(subnet, address))
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "deviceIp: %s is no device of the subnet %s", ip, subnet->key);
	return 0;
}

static int change_set_dns(struct job *job, const json_t *params, struct fault *fault)
{
	CLEANUP(text_done) struct text pointer = { 0 };
	const char *mode = param_string(params, "mode");
	struct document_subnet subnet;
	json_t *dns = NULL, *servers;
	int r = find_subnet(job_document(job), params, &subnet, fault);

	if (r < 0)
		return r;
	if (strcmp(mode, "device") == 0) {
		r = device_server(&subnet, params, fault);
		if (r == 0)
			dns = json_pack("{s:s, s:s}", "type", mode, "ip",
					param_string(params, "deviceIp"));
	} else if (strcmp(mode, "custom") == 0) {
		r = custom_servers(job_document(job), params, &servers, fault);
		if (r == 0)
			dns = json_pack("{s:s, s:o}", "type", mode, "servers", servers);
	} else {
		dns = json_pack("{s:s}", "type", mode);
	}
	if (r < 0)
		return r;
	document_pointer(&pointer, "wg", "subnets", subnet.key, "dns", NULL);
	return job_put(job, text_string(&pointer), dns, fault);
}

TUNNEL_EDIT(subnet_add, change_add);
TUNNEL_EDIT(subnet_set_dns, change_set_dns);
TUNNEL_EDIT(subnet_remove, change_remove);
TUNNEL_EDIT(subnet_set_wan, change_set_wan);
TUNNEL_EDIT(subnet_set_ipv6, change_set_ipv6);
