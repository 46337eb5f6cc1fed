#include "document/desired.h"

#include "base/secret.h"
#include "codec/base64.h"
#include "codec/pointer.h"
#include "crypto/x25519.h"
#include "document/document.h"
#include "document/wan.h"

/* What the parts have in common: computed at most once for each call. */
struct desired {
	const json_t *document;
	struct wan_addresses addresses; /* by own_addresses() */
	bool has_addresses;
	struct net_set *to;
};

/* Edits of many parts that have nothing to do with them are spared the work. */
static const struct wan_addresses *own_addresses(struct desired *d)
{
	if (!d->has_addresses)
		wan_addresses(d->document, &d->addresses);
	d->has_addresses = true;
	return &d->addresses;
}

static int read_key(const json_t *object, const char *name, uint8_t ret[NET_KEY_SIZE])
{
	const char *text = json_string_value(json_object_get(object, name));

	return text && base64_decode(text, ret, NET_KEY_SIZE) == NET_KEY_SIZE ? 0 : -EINVAL;
}

static int append(struct desired *d, struct net_item *item)
{
	int r = net_set_append(d->to, item);

	secret_wipe(item, sizeof(*item));
	return r;
}

/* Forwards without a subnet need the firewall to know of IPv6 too. */
static bool has_ipv6(const json_t *document)
{
	const json_t *wg = json_object_get(document, "wg");
	const json_t *subnet;
	const char *key;

	json_object_foreach(json_object_get(wg, "subnets"), key, subnet)
		if (json_object_get(subnet, "ipv6"))
			return true;
	return json_object_get(document, DOCUMENT_FORWARDS6) != NULL;
}

static int desired_link(struct desired *d)
{
	const json_t *wg = json_object_get(d->document, "wg");
	struct net_item item;
	int r;

	memset(&item, 0, sizeof(item));
	item.kind = NET_LINK;
	r = read_key(wg, "key", item.link.private_key);
	if (r < 0)
		return r;
	x25519_clamp(item.link.private_key);
	item.link.listen_port = (uint16_t)json_integer_value(json_object_get(wg, "port"));
	item.link.ipv6 = has_ipv6(d->document);
	return append(d, &item);
}

/* What leaves from @source/@prefix gets the pinned address, where the machine has it. Else it gets that
 * of the interface it leaves by, which is right behind 1:1 NAT too. */
static int desired_egress(struct desired *d, const json_t *pinned, uint32_t source, uint8_t prefix)
{
	const char *text = json_string_value(json_object_get(pinned, "wanIp"));
	struct net_item item;
	uint32_t wan;

	if (!text || ip_v4_parse(text, &wan) < 0 || !wan_is_own(own_addresses(d), wan))
		return 0;
	memset(&item, 0, sizeof(item));
	item.kind = NET_EGRESS;
	item.egress.source = source & ip_v4_mask(prefix);
	item.egress.prefix = prefix;
	item.egress.address = wan;
	return append(d, &item);
}

static void put_ipv6(uint8_t to[NET_ADDRESS6_SIZE], struct ip_address address)
{
	memcpy(to, address.bytes, NET_ADDRESS6_SIZE);
}

static int desired_device(struct desired *d, const struct document_subnet *subnet,
			  const char *address, const json_t *client)
{
	uint8_t private_key[X25519_KEY_SIZE];
	struct ip_prefix network;
	struct net_item item;
	uint32_t ip;
	int r;

	memset(&item, 0, sizeof(item));
	item.kind = NET_DEVICE;
	if (!client || ip_v4_parse(address, &ip) < 0)
		return 0;
	r = read_key(client, "key", private_key);
	if (r == 0)
		r = x25519_public(private_key, item.device.public_key);
	secret_wipe(private_key, sizeof(private_key));
	if (r == 0)
		r = read_key(client, "psk", item.device.preshared_key);
	item.device.address = ip;
	if (document_ipv6(subnet, &network))
		put_ipv6(item.device.address6, document_ipv6_of(subnet, &network, ip));
	if (r == 0)
		r = append(d, &item);
	return r < 0 ? r : desired_egress(d, client, ip, 32);
}

/* Addresses that are of no use outside are masqueraded; to others the provider routes. */
static int desired_subnet6(struct desired *d, const struct document_subnet *subnet)
{
	struct ip_prefix network;
	struct net_item item;

	if (!document_ipv6(subnet, &network))
		return 0;
	memset(&item, 0, sizeof(item));
	item.kind = NET_SUBNET6;
	put_ipv6(item.subnet6.address, document_ipv6_of(subnet, &network, subnet->server));
	item.subnet6.masquerade = document_ipv6_is_local(&network.address);
	return append(d, &item);
}

static int desired_subnet(struct desired *d, const char *key)
{
	struct document_subnet subnet;
	struct net_item item;
	const json_t *client;
	const char *address;
	int r;

	if (!document_subnet(d->document, key, &subnet))
		return 0;
	memset(&item, 0, sizeof(item));
	item.kind = NET_SUBNET;
	item.subnet.address = subnet.server;
	item.subnet.prefix = subnet.prefix;
	r = append(d, &item);
	if (r == 0)
		r = desired_subnet6(d, &subnet);
	if (r == 0)
		r = desired_egress(d, subnet.value, subnet.server, subnet.prefix);
	json_object_foreach(json_object_get(subnet.value, "clients"), address, client)
		if (r == 0)
			r = desired_device(d, &subnet, address, client);
	return r;
}

static int append_forward(struct desired *d, const struct document_forward *forward,
			  uint32_t external)
{
	struct net_item item;

	memset(&item, 0, sizeof(item));
	item.kind = NET_FORWARD;
	item.forward.external = external;
	item.forward.external_port = forward->external_port;
	item.forward.count = forward->count;
	item.forward.target = forward->target;
	item.forward.target_port = forward->target_port;
	return append(d, &item);
}

/* A port that is relayed ends on this machine itself (routes.c). Behind 1:1 NAT those inside are led
 * there from the public address. */
static int desired_relayed(struct desired *d, const char *key)
{
	struct document_forward forward = { .count = 1 };
	struct endpoint external;
	uint32_t local;

	if (endpoint_parse(key, &external) < 0)
		return 0;
	forward.external = ip_to_v4(&external.address);
	forward.external_port = forward.target_port = external.port;
	local = wan_local(own_addresses(d), forward.external);
	forward.target = local;
	return local == forward.external ? 0 : append_forward(d, &forward, forward.external);
}

/* Behind 1:1 NAT packets come for the machine's own address. Those inside know the public one alone, and
 * what they send there would leave for a provider that seldom sends it back: so both lead there. */
static int desired_forward(struct desired *d, const char *key, const json_t *value)
{
	struct document_forward forward;
	uint32_t local;
	int r;

	if (value && json_object_get(value, "routes"))
		return desired_relayed(d, key);
	if (!value || !document_forward(key, value, &forward) || !forward.enabled)
		return 0;
	if (document_is_relayed(value))
		return desired_relayed(d, key);
	local = wan_local(own_addresses(d), forward.external);
	r = append_forward(d, &forward, local);
	if (r == 0 && local != forward.external)
		r = append_forward(d, &forward, forward.external);
	return r;
}

/* Unescapes the first member of "/member/…" into @to and moves on. False at the end. */
static bool next_member(const char **rest, struct text *to)
{
	CLEANUP(text_done) struct text parent = { 0 };
	CLEANUP(text_done) struct text one = { 0 };
	size_t size;

	if (**rest != '/')
		return false;
	size = 1 + strcspn(*rest + 1, "/");
	text_append_bytes(&one, *rest, size);
	*rest += size;
	text_clear(to);
	return pointer_split(text_string(&one), &parent, to) == 0;
}

static int desired_forward6(struct desired *d, const char *key, const json_t *value)
{
	struct document_forward6 forward;
	struct net_item item;

	if (!value || !document_forward6(key, value, &forward) || !forward.enabled ||
	    document_is_relayed(value))
		return 0;
	memset(&item, 0, sizeof(item));
	item.kind = NET_FORWARD6;
	put_ipv6(item.forward6.external, forward.external);
	item.forward6.external_port = forward.external_port;
	item.forward6.count = forward.count;
	put_ipv6(item.forward6.target, forward.target);
	item.forward6.target_port = forward.target_port;
	return append(d, &item);
}

/* One, or where none is named all of them, with the interface, which depends on their being there. */
static int desired_forwards6(struct desired *d, const char *rest)
{
	const json_t *all = json_object_get(d->document, DOCUMENT_FORWARDS6), *value;
	CLEANUP(text_done) struct text name = { 0 };
	const char *key;
	int r;

	if (next_member(&rest, &name))
		return desired_forward6(d, text_string(&name),
					json_object_get(all, text_string(&name)));
	r = desired_link(d);
	json_object_foreach((json_t *)all, key, value)
		if (r == 0)
			r = desired_forward6(d, key, value);
	return r;
}

static int desired_all(struct desired *d)
{
	const json_t *value;
	const char *key;
	int r = desired_forwards6(d, "");

	json_object_foreach(json_object_get(json_object_get(d->document, "wg"), "subnets"), key,
			    value)
		if (r == 0)
			r = desired_subnet(d, key);
	json_object_foreach(json_object_get(d->document, "portForwards"), key, value)
		if (r == 0)
			r = desired_forward(d, key, value);
	return r;
}

/* Whether @pointer is @prefix or lies below it; the rest begins at *ret_rest. */
static bool below(const char *pointer, const char *prefix, const char **ret_rest)
{
	size_t size = strlen(prefix);

	if (strncmp(pointer, prefix, size) != 0 || (pointer[size] != '\0' && pointer[size] != '/'))
		return false;
	*ret_rest = pointer + size;
	return true;
}

/* The interface speaks IPv6 where any subnet has it: so it may change with each. */
static int desired_subnet_and_link(struct desired *d, const char *key)
{
	int r = desired_subnet(d, key);

	return r < 0 ? r : desired_link(d);
}

static int desired_in_subnets(struct desired *d, const char *rest)
{
	CLEANUP(text_done) struct text key = { 0 };
	CLEANUP(text_done) struct text member = { 0 };
	CLEANUP(text_done) struct text address = { 0 };
	struct document_subnet subnet;
	uint32_t ip;

	if (!next_member(&rest, &key))
		return desired_all(d);
	if (!next_member(&rest, &member) || strcmp(text_string(&member), "ipv6") == 0)
		return desired_subnet_and_link(d, text_string(&key));
	if (!document_subnet(d->document, text_string(&key), &subnet))
		return 0;
	if (strcmp(text_string(&member), "wanIp") == 0)
		return desired_egress(d, subnet.value, subnet.server, subnet.prefix);
	if (strcmp(text_string(&member), "clients") != 0)
		return 0;
	if (!next_member(&rest, &address))
		return desired_subnet(d, text_string(&key));
	if (ip_v4_parse(text_string(&address), &ip) < 0)
		return 0;
	return desired_device(d, &subnet, text_string(&address), document_device(&subnet, ip));
}

int desired_at(const json_t *document, const char *pointer, struct net_set *to)
{
	CLEANUP(text_done) struct text key = { 0 };
	struct desired d = { .document = document, .to = to };
	const char *rest;

	if (below(pointer, "/wg/subnets", &rest))
		return desired_in_subnets(&d, rest);
	if (below(pointer, "/wg/key", &rest) || below(pointer, "/wg/port", &rest))
		return desired_link(&d);
	if (below(pointer, "/portForwards", &rest) && next_member(&rest, &key))
		return desired_forward(&d, text_string(&key),
				       json_object_get(json_object_get(document, "portForwards"),
						       text_string(&key)));
	if (below(pointer, "/" DOCUMENT_FORWARDS6, &rest))
		return desired_forwards6(&d, rest);
	if (pointer[0] == '\0' || below(pointer, "/wg", &rest) ||
	    below(pointer, "/portForwards", &rest) || below(pointer, "/gateways", &rest))
		return desired_all(&d);
	return 0;
}
