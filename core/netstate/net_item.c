#include "netstate/net_item.h"

#include <netinet/in.h>
#include <string.h>

#include "base/ip.h"
#include "base/secret.h"
#include "base/text.h"

#define LINK_MTU_MIN 576 /* what every IPv4 host takes, RFC 791 section 3.1 */
#define SUBNET_PREFIX_MAX 30

#define COMPARE(member)                                                                            \
	do {                                                                                       \
		if (a->member != b->member)                                                        \
			return a->member < b->member ? -1 : 1;                                     \
	} while (0)

#define COMPARE_BYTES(member)                                                                      \
	do {                                                                                       \
		order = memcmp(a->member, b->member, sizeof(a->member));                           \
		if (order != 0)                                                                    \
			return order;                                                              \
	} while (0)

/* Member by member, so that padding never counts. */
int net_item_compare(const struct net_item *a, const struct net_item *b)
{
	int order = 0;

	COMPARE(kind);
	switch (a->kind) {
	case NET_LINK:
		COMPARE(link.listen_port);
		COMPARE(link.mtu);
		COMPARE(link.ipv6);
		COMPARE_BYTES(link.private_key);
		break;
	case NET_SUBNET:
		COMPARE(subnet.address);
		COMPARE(subnet.prefix);
		break;
	case NET_DEVICE:
		COMPARE(device.address);
		COMPARE_BYTES(device.address6);
		COMPARE_BYTES(device.public_key);
		COMPARE_BYTES(device.preshared_key);
		break;
	case NET_EGRESS:
		COMPARE(egress.source);
		COMPARE(egress.prefix);
		COMPARE(egress.address);
		break;
	case NET_FORWARD:
		COMPARE(forward.external);
		COMPARE(forward.external_port);
		COMPARE(forward.count);
		COMPARE(forward.target);
		COMPARE(forward.target_port);
		break;
	case NET_SUBNET6:
		COMPARE_BYTES(subnet6.address);
		COMPARE(subnet6.masquerade);
		break;
	case NET_FORWARD6:
		COMPARE_BYTES(forward6.external);
		COMPARE(forward6.external_port);
		COMPARE(forward6.count);
		COMPARE_BYTES(forward6.target);
		COMPARE(forward6.target_port);
		break;
	default:
		break;
	}
	return order;
}

/* An address that one host can have: not 0/8, loopback, multicast or above. */
static bool is_host_address(uint32_t address)
{
	uint32_t first = address >> 24;

	return first != 0 && first != 127 && first < 224;
}

/* The same of IPv6: global, or unique to a site (RFC 4193). */
static bool is_host_address6(const uint8_t address[NET_ADDRESS6_SIZE])
{
	return (address[0] & 0xe0) == 0x20 || (address[0] & 0xfe) == 0xfc;
}

static bool is_zero_key(const uint8_t key[NET_KEY_SIZE])
{
	static const uint8_t zero[NET_KEY_SIZE];

	return secret_equal(key, zero, NET_KEY_SIZE);
}

static int refuse(struct fault *fault, const char *what)
{
	return fault_set(fault, FAULT_INVALID_REQUEST, "%s", what);
}

static int check_link(const struct net_item *item, struct fault *fault)
{
	if (is_zero_key(item->link.private_key))
		return refuse(fault, "link: private key is empty");
	if (item->link.listen_port == 0)
		return refuse(fault, "link: listen port is 0");
	if (item->link.mtu != 0 && item->link.mtu < LINK_MTU_MIN)
		return refuse(fault, "link: MTU is below 576");
	if (item->link.ipv6 && item->link.mtu != 0 && item->link.mtu < NET_MTU6_MIN)
		return refuse(fault, "link: MTU is below 1280, which IPv6 needs");
	if (item->link.ipv6 > 1)
		return refuse(fault, "link: IPv6 is neither on nor off");
	return 0;
}

static int check_subnet(const struct net_item *item, struct fault *fault)
{
	uint32_t host = item->subnet.address & ~ip_v4_mask(item->subnet.prefix);

	if (item->subnet.prefix == 0 || item->subnet.prefix > SUBNET_PREFIX_MAX)
		return refuse(fault, "subnet: prefix length is not 1 to 30");
	if (!is_host_address(item->subnet.address))
		return refuse(fault, "subnet: address is not one of a host");
	if (host == 0 || host == (uint32_t)~ip_v4_mask(item->subnet.prefix))
		return refuse(fault, "subnet: address is the network's own or its broadcast");
	return 0;
}

static int check_device(const struct net_item *item, struct fault *fault)
{
	if (is_zero_key(item->device.public_key))
		return refuse(fault, "device: public key is empty");
	if (!is_host_address(item->device.address))
		return refuse(fault, "device: address is not one of a host");
	if (net_has_address6(item->device.address6) && !is_host_address6(item->device.address6))
		return refuse(fault, "device: IPv6 address is not one of a host");
	return 0;
}

static int check_egress(const struct net_item *item, struct fault *fault)
{
	if (item->egress.prefix == 0 || item->egress.prefix > 32)
		return refuse(fault, "egress: prefix length is not 1 to 32");
	if (item->egress.source & ~ip_v4_mask(item->egress.prefix))
		return refuse(fault, "egress: source has host bits");
	if (!is_host_address(item->egress.source) || !is_host_address(item->egress.address))
		return refuse(fault, "egress: source or address is not one of a host");
	return 0;
}

static int check_ports(uint32_t external, uint32_t target, uint32_t count, struct fault *fault)
{
	if (count == 0)
		return refuse(fault, "forward: count is 0");
	if (external == 0 || external + count - 1 > UINT16_MAX)
		return refuse(fault, "forward: external ports are not within 1 to 65535");
	if (target == 0 || target + count - 1 > UINT16_MAX)
		return refuse(fault, "forward: target ports are not within 1 to 65535");
	return 0;
}

static int check_forward(const struct net_item *item, struct fault *fault)
{
	if (!is_host_address(item->forward.external))
		return refuse(fault, "forward: external address is not one of a host");
	if (!is_host_address(item->forward.target))
		return refuse(fault, "forward: target address is not one of a host");
	return check_ports(item->forward.external_port, item->forward.target_port,
			   item->forward.count, fault);
}

static int check_subnet6(const struct net_item *item, struct fault *fault)
{
	static const uint8_t network[NET_ADDRESS6_SIZE - NET_SUBNET6_PREFIX / 8];

	if (!is_host_address6(item->subnet6.address))
		return refuse(fault, "subnet: IPv6 address is not one of a host");
	if (memcmp(item->subnet6.address + NET_SUBNET6_PREFIX / 8, network, sizeof(network)) == 0)
		return refuse(fault, "subnet: IPv6 address is the network's own");
	if (item->subnet6.masquerade > 1)
		return refuse(fault, "subnet: masquerading is neither on nor off");
	return 0;
}

static int check_forward6(const struct net_item *item, struct fault *fault)
{
	if (!is_host_address6(item->forward6.external))
		return refuse(fault, "forward: external address is not one of a host");
	if (!is_host_address6(item->forward6.target))
		return refuse(fault, "forward: target address is not one of a host");
	return check_ports(item->forward6.external_port, item->forward6.target_port,
			   item->forward6.count, fault);
}

int net_item_check(const struct net_item *item, struct fault *fault)
{
	switch (item->kind) {
	case NET_LINK:
		return check_link(item, fault);
	case NET_SUBNET:
		return check_subnet(item, fault);
	case NET_DEVICE:
		return check_device(item, fault);
	case NET_EGRESS:
		return check_egress(item, fault);
	case NET_FORWARD:
		return check_forward(item, fault);
	case NET_SUBNET6:
		return check_subnet6(item, fault);
	case NET_FORWARD6:
		return check_forward6(item, fault);
	default:
		return refuse(fault, "kind is unknown");
	}
}

/* "ADDRESS:80", "[ADDRESS]:80", or with "80-89" for several ports. */
static void append_ports(struct text *to, const struct ip_address *address, unsigned port,
			 unsigned count)
{
	const struct endpoint endpoint = { .address = *address, .port = (uint16_t)port };
	char formatted[IP_TEXT_MAX];

	text_append(to, endpoint_format(&endpoint, formatted));
	if (count > 1)
		text_printf(to, "-%u", port + count - 1);
}

static struct ip_address from_v6(const uint8_t address[NET_ADDRESS6_SIZE])
{
	struct ip_address ip = { .family = AF_INET6 };

	memcpy(ip.bytes, address, NET_ADDRESS6_SIZE);
	return ip;
}

static void format_forward(const struct net_item *item, char to[NET_ITEM_TEXT_MAX])
{
	CLEANUP(text_done) struct text text = { 0 };
	struct ip_address external, target;

	text_append(&text, "forward ");
	if (item->kind == NET_FORWARD) {
		external = ip_from_v4(item->forward.external);
		target = ip_from_v4(item->forward.target);
		append_ports(&text, &external, item->forward.external_port, item->forward.count);
		text_append(&text, " to ");
		append_ports(&text, &target, item->forward.target_port, item->forward.count);
	} else {
		external = from_v6(item->forward6.external);
		target = from_v6(item->forward6.target);
		append_ports(&text, &external, item->forward6.external_port, item->forward6.count);
		text_append(&text, " to ");
		append_ports(&text, &target, item->forward6.target_port, item->forward6.count);
	}
	(void)snprintf(to, NET_ITEM_TEXT_MAX, "%s", text_string(&text));
}

static void format_subnet6(const struct net_item *item, char to[NET_ITEM_TEXT_MAX])
{
	const struct ip_address address = from_v6(item->subnet6.address);
	char text[IP_TEXT_MAX];

	(void)snprintf(to, NET_ITEM_TEXT_MAX, "subnet %s/%u", ip_format(&address, text),
		       NET_SUBNET6_PREFIX);
}

char *net_item_format(const struct net_item *item, char to[NET_ITEM_TEXT_MAX])
{
	char address[IP_TEXT_MAX], source[IP_TEXT_MAX];

	switch (item->kind) {
	case NET_LINK:
		(void)snprintf(to, NET_ITEM_TEXT_MAX, "interface %s on port %u", NET_LINK_NAME,
			       item->link.listen_port);
		break;
	case NET_SUBNET:
		(void)snprintf(to, NET_ITEM_TEXT_MAX, "subnet %s/%u",
			       ip_v4_format(item->subnet.address, address), item->subnet.prefix);
		break;
	case NET_DEVICE:
		(void)snprintf(to, NET_ITEM_TEXT_MAX, "device %s",
			       ip_v4_format(item->device.address, address));
		break;
	case NET_EGRESS:
		(void)snprintf(to, NET_ITEM_TEXT_MAX, "egress of %s/%u as %s",
			       ip_v4_format(item->egress.source, source), item->egress.prefix,
			       ip_v4_format(item->egress.address, address));
		break;
	case NET_FORWARD:
	case NET_FORWARD6:
		format_forward(item, to);
		break;
	case NET_SUBNET6:
		format_subnet6(item, to);
		break;
	default:
		(void)snprintf(to, NET_ITEM_TEXT_MAX, "item of unknown kind %u", item->kind);
		break;
	}
	return to;
}
