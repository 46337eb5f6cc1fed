#include "network/fact.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/ip.h"
#include "base/secret.h"

#define SET_MAX                                                                                    \
	(3 * (size_t)NET_FORWARD_PORTS_MAX + 5 * (size_t)NET_ITEMS_MAX +                           \
	 16) /* five of a NET_SUBNET6 */

void fact_set_done(struct fact_set *set)
{
	if (set->facts) {
		secret_wipe(set->facts, set->capacity * sizeof(*set->facts));
		free(set->facts);
	}
	*set = (struct fact_set){ 0 };
}

int fact_compare(const struct fact *a, const struct fact *b)
{
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	return memcmp(a->key, b->key, FACT_KEY_SIZE);
}

/* Not by realloc(): it would leave keys behind in the memory it gives back. */
static int grow(struct fact_set *set)
{
	size_t capacity = set->capacity ? set->capacity * 2 : 64;
	struct fact *facts;

	if (set->count >= SET_MAX)
		return -E2BIG;
	facts = malloc(capacity * sizeof(*facts));
	if (!facts)
		return -ENOMEM;
	if (set->facts) {
		memcpy(facts, set->facts, set->count * sizeof(*facts));
		secret_wipe(set->facts, set->count * sizeof(*facts));
		free(set->facts);
	}
	set->facts = facts;
	set->capacity = capacity;
	return 0;
}

void fact_set_append(struct fact_set *set, const struct fact *fact)
{
	if (set->error == 0 && set->count == set->capacity)
		set->error = grow(set);
	if (set->error == 0)
		set->facts[set->count++] = *fact;
}

static int compare(const void *a, const void *b)
{
	return fact_compare(a, b);
}

/* What is read or expanded often comes in order: then there is nothing to sort. */
static bool is_sorted(const struct fact_set *set)
{
	for (size_t i = 1; i < set->count; i++)
		if (fact_compare(&set->facts[i - 1], &set->facts[i]) >= 0)
			return false;
	return true;
}

int fact_set_finish(struct fact_set *set, struct fact *ret_clash)
{
	size_t kept = 0;

	if (set->error < 0)
		return set->error;
	if (is_sorted(set))
		return 0;
	qsort(set->facts, set->count, sizeof(*set->facts), compare);
	for (size_t i = 0; i < set->count; i++) {
		struct fact *last = kept ? &set->facts[kept - 1] : NULL;

		if (!last || fact_compare(last, &set->facts[i]) != 0) {
			set->facts[kept++] = set->facts[i];
			continue;
		}
		if (memcmp(last->value, set->facts[i].value, FACT_VALUE_SIZE) == 0)
			continue;
		if (ret_clash)
			*ret_clash = set->facts[i];
		return -EEXIST;
	}
	set->count = kept;
	return 0;
}

const struct fact *fact_set_find(const struct fact_set *set, const struct fact *like)
{
	if (set->count == 0)
		return NULL;
	return bsearch(like, set->facts, set->count, sizeof(*set->facts), compare);
}

static void put_address(uint8_t *at, uint32_t address)
{
	at[0] = (uint8_t)(address >> 24);
	at[1] = (uint8_t)(address >> 16);
	at[2] = (uint8_t)(address >> 8);
	at[3] = (uint8_t)address;
}

static void put_port(uint8_t *at, uint16_t port)
{
	at[0] = (uint8_t)(port >> 8);
	at[1] = (uint8_t)port;
}

uint32_t fact_address(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
	       bytes[3];
}

uint16_t fact_port(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

struct fact fact_of_published(uint32_t external, uint16_t external_port)
{
	struct fact fact = { .kind = FACT_PUBLISHED };

	put_address(fact.key, external);
	put_port(fact.key + 4, external_port);
	return fact;
}

struct fact fact_of_answered(uint32_t external, uint16_t external_port)
{
	struct fact fact = fact_of_published(external, external_port);

	fact.kind = FACT_ANSWERED;
	return fact;
}

struct fact fact_of_forward(uint32_t external, uint16_t external_port, uint32_t target,
			    uint16_t target_port)
{
	struct fact fact = fact_of_published(external, external_port);

	fact.kind = FACT_FORWARD;
	put_address(fact.value, target);
	put_port(fact.value + 4, target_port);
	return fact;
}

struct fact fact_of_ports6(enum fact_kind kind, const uint8_t external[NET_ADDRESS6_SIZE],
			   uint16_t external_port)
{
	struct fact fact = { .kind = (uint8_t)kind };

	memcpy(fact.key, external, NET_ADDRESS6_SIZE);
	put_port(fact.key + NET_ADDRESS6_SIZE, external_port);
	return fact;
}

struct fact fact_of_network6(enum fact_kind kind, const uint8_t address[NET_ADDRESS6_SIZE],
			     uint8_t prefix)
{
	struct fact fact = { .kind = (uint8_t)kind };

	memcpy(fact.key, address, NET_ADDRESS6_SIZE);
	fact.key[NET_ADDRESS6_SIZE] = prefix;
	return fact;
}

struct fact fact_of_link_state(bool up, uint32_t mtu, bool ipv6)
{
	struct fact fact = { .kind = FACT_LINK_STATE, .value = { up } };

	put_address(fact.value + 1, mtu);
	fact.value[5] = ipv6;
	return fact;
}

struct ip_prefix fact_prefix(const struct fact *fact)
{
	struct ip_prefix prefix = { .address = ip_from_v4(fact_address(fact->key)),
				    .length = fact->key[4] };

	if (fact->kind == FACT_ADDRESS6 || fact->kind == FACT_ROUTE6) {
		prefix.address.family = AF_INET6;
		memcpy(prefix.address.bytes, fact->key, NET_ADDRESS6_SIZE);
		prefix.length = fact->key[NET_ADDRESS6_SIZE];
	}
	return prefix;
}

struct fact fact_of_network(enum fact_kind kind, uint32_t address, uint8_t prefix)
{
	struct fact fact = { .kind = (uint8_t)kind };

	put_address(fact.key, address);
	fact.key[4] = prefix;
	return fact;
}

struct fact fact_of_address(uint32_t address, uint8_t prefix)
{
	return fact_of_network(FACT_ADDRESS, address, prefix);
}

struct fact fact_of_route(uint32_t network, uint8_t prefix, uint32_t source)
{
	struct fact fact = fact_of_network(FACT_ROUTE, network, prefix);

	put_address(fact.value, source);
	return fact;
}

/* Some devices give a private key back clamped (RFC 7748 section 5), so it is compared in that
 * form. */
struct fact fact_of_wg_device(const uint8_t private_key[NET_KEY_SIZE], uint16_t listen_port)
{
	struct fact fact = { .kind = FACT_WG_DEVICE };

	memcpy(fact.value, private_key, NET_KEY_SIZE);
	fact.value[0] &= 248;
	fact.value[31] = (uint8_t)((fact.value[31] & 127) | 64);
	put_port(fact.value + NET_KEY_SIZE, listen_port);
	return fact;
}

struct fact fact_of_peer(const uint8_t public_key[NET_KEY_SIZE],
			 const uint8_t preshared_key[NET_KEY_SIZE], uint32_t address,
			 const uint8_t address6[NET_ADDRESS6_SIZE])
{
	struct fact fact = { .kind = FACT_PEER };

	memcpy(fact.key, public_key, NET_KEY_SIZE);
	memcpy(fact.value, preshared_key, NET_KEY_SIZE);
	put_address(fact.value + FACT_PEER_ADDRESS, address);
	memcpy(fact.value + FACT_PEER_ADDRESS6, address6, NET_ADDRESS6_SIZE);
	return fact;
}

static void append(struct fact_set *set, struct fact fact)
{
	fact_set_append(set, &fact);
}

/* The kernel takes IPv6 away from an interface with less than its smallest MTU (RFC 8200 section 5). Where the
 * way takes less, the packets outside go in two. */
static uint32_t link_mtu(const struct net_item *item, uint32_t mtu)
{
	if (item->link.mtu)
		return item->link.mtu;
	return item->link.ipv6 && mtu < NET_MTU6_MIN ? NET_MTU6_MIN : mtu;
}

static void expand_link(const struct net_item *item, uint32_t mtu, struct fact_set *set)
{
	bool ipv6 = item->link.ipv6;

	append(set, (struct fact){ .kind = FACT_LINK });
	append(set, (struct fact){ .kind = FACT_RULESET,
				   .value = { ipv6 ? FACT_RULESET_V6 : FACT_RULESET_V4 } });
	append(set, (struct fact){ .kind = FACT_FORWARDING });
	append(set, (struct fact){ .kind = FACT_RETURN_RULE });
	append(set, (struct fact){ .kind = FACT_RETURN_ROUTE });
	if (ipv6)
		append(set, (struct fact){ .kind = FACT_FORWARDING6 });
	append(set, fact_of_link_state(true, link_mtu(item, mtu), ipv6));
	append(set, fact_of_wg_device(item->link.private_key, item->link.listen_port));
}

static void expand_subnet(const struct net_item *item, struct fact_set *set)
{
	uint32_t address = item->subnet.address;
	uint8_t prefix = item->subnet.prefix;
	uint32_t network = address & ip_v4_mask(prefix);

	append(set, fact_of_address(address, prefix));
	append(set, fact_of_route(network, prefix, address));
	append(set, fact_of_network(FACT_SUBNET, network, prefix));
	append(set, fact_of_network(FACT_SAME_SUBNET, network, prefix));
}

static void expand_device(const struct net_item *item, struct fact_set *set)
{
	append(set, fact_of_peer(item->device.public_key, item->device.preshared_key,
				 item->device.address, item->device.address6));
	append(set, fact_of_network(FACT_HAIRPIN, item->device.address, 0));
	if (net_has_address6(item->device.address6))
		append(set, fact_of_network6(FACT_HAIRPIN6, item->device.address6, 0));
}

static void expand_subnet6(const struct net_item *item, struct fact_set *set)
{
	uint8_t network[NET_ADDRESS6_SIZE] = { 0 };

	memcpy(network, item->subnet6.address, NET_SUBNET6_PREFIX / 8);
	append(set, fact_of_network6(FACT_ADDRESS6, item->subnet6.address, NET_SUBNET6_PREFIX));
	append(set, fact_of_network6(FACT_ROUTE6, network, NET_SUBNET6_PREFIX));
	append(set, fact_of_network6(FACT_SUBNET6, network, NET_SUBNET6_PREFIX));
	append(set, fact_of_network6(FACT_SAME_SUBNET6, network, NET_SUBNET6_PREFIX));
	if (item->subnet6.masquerade)
		append(set, fact_of_network6(FACT_MASQUERADE6, network, NET_SUBNET6_PREFIX));
}

static void expand_egress(const struct net_item *item, struct fact_set *set)
{
	bool device = item->egress.prefix == 32;
	struct fact fact = fact_of_network(device ? FACT_EGRESS_DEVICE : FACT_EGRESS_SUBNET,
					   item->egress.source, device ? 0 : item->egress.prefix);

	put_address(fact.value, item->egress.address);
	append(set, fact);
}

static void expand_forward(const struct net_item *item, struct fact_set *set)
{
	for (uint32_t i = 0; i < item->forward.count; i++) {
		uint16_t external_port = (uint16_t)(item->forward.external_port + i);

		append(set,
		       fact_of_forward(item->forward.external, external_port, item->forward.target,
				       (uint16_t)(item->forward.target_port + i)));
		append(set, fact_of_published(item->forward.external, external_port));
		append(set, fact_of_answered(item->forward.external, external_port));
	}
}

/* A pinhole is let in as it comes; where the address or the port is another behind it, it is led there. */
static void expand_forward6(const struct net_item *item, struct fact_set *set)
{
	bool led = item->forward6.external_port != item->forward6.target_port ||
		   memcmp(item->forward6.external, item->forward6.target, NET_ADDRESS6_SIZE) != 0;

	for (uint32_t i = 0; i < item->forward6.count; i++) {
		uint16_t port = (uint16_t)(item->forward6.external_port + i);
		struct fact fact = fact_of_ports6(FACT_FORWARD6, item->forward6.external, port);

		memcpy(fact.value, item->forward6.target, NET_ADDRESS6_SIZE);
		put_port(fact.value + NET_ADDRESS6_SIZE,
			 (uint16_t)(item->forward6.target_port + i));
		if (led)
			append(set, fact);
		append(set, fact_of_ports6(FACT_PUBLISHED6, item->forward6.external, port));
		append(set, fact_of_ports6(FACT_ANSWERED6, item->forward6.external, port));
	}
}

static void expand_item(const struct net_item *item, uint32_t mtu, struct fact_set *set)
{
	switch (item->kind) {
	case NET_LINK:
		expand_link(item, mtu, set);
		break;
	case NET_SUBNET:
		expand_subnet(item, set);
		break;
	case NET_DEVICE:
		expand_device(item, set);
		break;
	case NET_EGRESS:
		expand_egress(item, set);
		break;
	case NET_FORWARD:
		expand_forward(item, set);
		break;
	case NET_SUBNET6:
		expand_subnet6(item, set);
		break;
	case NET_FORWARD6:
		expand_forward6(item, set);
		break;
	default:
		break;
	}
}

int facts_check_ports(const struct net_set *items, struct fault *fault)
{
	size_t ports = 0;

	for (size_t i = 0; i < items->count; i++)
		ports += items->items[i].kind == NET_FORWARD	? items->items[i].forward.count
			 : items->items[i].kind == NET_FORWARD6 ? items->items[i].forward6.count
								: 0;
	if (ports <= NET_FORWARD_PORTS_MAX)
		return 0;
	(void)fault_set(fault, FAULT_INVALID_REQUEST,
			"the forwards have %zu external ports together; at most %d are possible",
			ports, NET_FORWARD_PORTS_MAX);
	return -E2BIG;
}

int facts_expand(const struct net_set *items, uint32_t mtu, struct fact_set *ret,
		 struct fault *fault)
{
	CLEANUP(fact_set_done) struct fact_set set = { 0 };
	char text[FACT_TEXT_MAX];
	struct fact clash;
	int r = facts_check_ports(items, fault);

	for (size_t i = 0; i < items->count && r == 0; i++)
		expand_item(&items->items[i], mtu, &set);
	if (r == 0)
		r = fact_set_finish(&set, &clash);
	if (r == -EEXIST)
		(void)fault_set(fault, FAULT_INVALID_REQUEST, "%s is wanted twice, differently",
				fact_format(&clash, text));
	if (r < 0)
		return r;
	*ret = set;
	set = (struct fact_set){ 0 };
	return 0;
}

/* How each kind reads: what it is, and the form of its key. */
enum key_form {
	KEY_NONE,
	KEY_ADDRESS,
	KEY_PREFIX,
	KEY_PORT,
	KEY_ADDRESS6,
	KEY_PREFIX6,
	KEY_PORT6,
};

static const struct {
	const char *text;
	enum key_form form;
} forms[] = {
	[FACT_LINK] = { "interface " NET_LINK_NAME, KEY_NONE },
	[FACT_RULESET] = { "table inet start_tunnel", KEY_NONE },
	[FACT_FORWARD] = { "forward of ", KEY_PORT },
	[FACT_PUBLISHED] = { "published port ", KEY_PORT },
	[FACT_ANSWERED] = { "counter of replies from port ", KEY_PORT },
	[FACT_SUBNET] = { "firewall entry of subnet ", KEY_PREFIX },
	[FACT_SAME_SUBNET] = { "firewall entry for traffic within subnet ", KEY_PREFIX },
	[FACT_HAIRPIN] = { "firewall entry of device ", KEY_ADDRESS },
	[FACT_EGRESS_DEVICE] = { "egress address of device ", KEY_ADDRESS },
	[FACT_EGRESS_SUBNET] = { "egress address of subnet ", KEY_PREFIX },
	[FACT_FORWARD6] = { "forward of ", KEY_PORT6 },
	[FACT_PUBLISHED6] = { "published port ", KEY_PORT6 },
	[FACT_ANSWERED6] = { "counter of replies from port ", KEY_PORT6 },
	[FACT_SUBNET6] = { "firewall entry of subnet ", KEY_PREFIX6 },
	[FACT_SAME_SUBNET6] = { "firewall entry for traffic within subnet ", KEY_PREFIX6 },
	[FACT_HAIRPIN6] = { "firewall entry of device ", KEY_ADDRESS6 },
	[FACT_MASQUERADE6] = { "egress address of subnet ", KEY_PREFIX6 },
	[FACT_FORWARDING] = { "sysctl net.ipv4.ip_forward", KEY_NONE },
	[FACT_FORWARDING6] = { "sysctl net.ipv6.conf.all.forwarding", KEY_NONE },
	[FACT_LINK_STATE] = { "state and MTU of " NET_LINK_NAME, KEY_NONE },
	[FACT_ADDRESS] = { "address on " NET_LINK_NAME ": ", KEY_PREFIX },
	[FACT_ADDRESS6] = { "address on " NET_LINK_NAME ": ", KEY_PREFIX6 },
	[FACT_ROUTE] = { "route through " NET_LINK_NAME " to ", KEY_PREFIX },
	[FACT_RETURN_RULE] = { "routing rule of what comes back to transparent sockets", KEY_NONE },
	[FACT_RETURN_ROUTE] = { "route of what comes back to transparent sockets", KEY_NONE },
	[FACT_ROUTE6] = { "route through " NET_LINK_NAME " to ", KEY_PREFIX6 },
	[FACT_WG_DEVICE] = { "key and listen port of " NET_LINK_NAME, KEY_NONE },
	[FACT_PEER] = { "WireGuard peer ", KEY_NONE },
};

/* A peer is told by its address: that is how its owner knows it. */
static void format_peer(const struct fact *fact, char to[FACT_TEXT_MAX])
{
	uint32_t address = fact_address(fact->value + FACT_PEER_ADDRESS);
	char text[IP_TEXT_MAX];

	if (address)
		(void)snprintf(to, FACT_TEXT_MAX, "WireGuard peer of device %s",
			       ip_v4_format(address, text));
	else
		(void)snprintf(to, FACT_TEXT_MAX, "WireGuard peer of no device");
}

char *fact_format(const struct fact *fact, char to[FACT_TEXT_MAX])
{
	const char *text = forms[fact->kind].text;
	enum key_form form = forms[fact->kind].form;
	struct ip_address ip = ip_from_v4(fact_address(fact->key));
	char address[IP_TEXT_MAX];

	if (form >= KEY_ADDRESS6) {
		ip.family = AF_INET6;
		memcpy(ip.bytes, fact->key, NET_ADDRESS6_SIZE);
	}
	(void)ip_format(&ip, address);
	switch (form) {
	case KEY_ADDRESS:
	case KEY_ADDRESS6:
		(void)snprintf(to, FACT_TEXT_MAX, "%.50s%.45s", text, address);
		break;
	case KEY_PREFIX:
		(void)snprintf(to, FACT_TEXT_MAX, "%.50s%.15s/%u", text, address, fact->key[4]);
		break;
	case KEY_PORT:
		(void)snprintf(to, FACT_TEXT_MAX, "%.50s%.15s:%u", text, address,
			       fact_port(fact->key + 4));
		break;
	case KEY_PREFIX6:
		(void)snprintf(to, FACT_TEXT_MAX, "%.50s%.45s/%u", text, address,
			       fact->key[NET_ADDRESS6_SIZE]);
		break;
	case KEY_PORT6:
		(void)snprintf(to, FACT_TEXT_MAX, "%.50s[%.45s]:%u", text, address,
			       fact_port(fact->key + NET_ADDRESS6_SIZE));
		break;
	default:
		if (fact->kind == FACT_PEER)
			format_peer(fact, to);
		else
			(void)snprintf(to, FACT_TEXT_MAX, "%.100s", text);
		break;
	}
	return to;
}
