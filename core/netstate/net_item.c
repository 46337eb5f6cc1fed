#include "netstate/net_item.h"

#include <netinet/in.h>
#include <string.h>

#include "base/ip.h"
#include "base/secret.h"

#define LINK_MTU_MIN 576 /* what every IPv4 host takes, RFC 791 section 3.1 */
#define SUBNET_PREFIX_MAX 30

#define COMPARE(member)                                                                            \
	do {                                                                                       \
		if (a->member != b->member)                                                        \
			return a->member < b->member ? -1 : 1;                                     \
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
		order = memcmp(a->link.private_key, b->link.private_key, NET_KEY_SIZE);
		break;
	case NET_SUBNET:
		COMPARE(subnet.address);
		COMPARE(subnet.prefix);
		break;
	case NET_DEVICE:
		COMPARE(device.address);
		order = memcmp(a->device.public_key, b->device.public_key, NET_KEY_SIZE);
		if (order == 0)
			order = memcmp(a->device.preshared_key, b->device.preshared_key,
				       NET_KEY_SIZE);
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

static int check_forward(const struct net_item *item, struct fault *fault)
{
	uint32_t count = item->forward.count;

	if (count == 0)
		return refuse(fault, "forward: count is 0");
	if (item->forward.external_port == 0 ||
	    item->forward.external_port + count - 1 > UINT16_MAX)
		return refuse(fault, "forward: external ports are not within 1 to 65535");
	if (item->forward.target_port == 0 || item->forward.target_port + count - 1 > UINT16_MAX)
		return refuse(fault, "forward: target ports are not within 1 to 65535");
	if (!is_host_address(item->forward.external))
		return refuse(fault, "forward: external address is not one of a host");
	if (!is_host_address(item->forward.target))
		return refuse(fault, "forward: target address is not one of a host");
	return 0;
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
	default:
		return refuse(fault, "kind is unknown");
	}
}

static void format_forward(const struct net_item *item, char to[NET_ITEM_TEXT_MAX])
{
	char external[IP_TEXT_MAX], target[IP_TEXT_MAX];
	unsigned count = item->forward.count;
	unsigned from = item->forward.external_port, into = item->forward.target_port;

	(void)ip_v4_format(item->forward.external, external);
	(void)ip_v4_format(item->forward.target, target);
	if (count == 1)
		(void)snprintf(to, NET_ITEM_TEXT_MAX, "forward %.15s:%u to %.15s:%u", external,
			       from, target, into);
	else
		(void)snprintf(to, NET_ITEM_TEXT_MAX, "forward %.15s:%u-%u to %.15s:%u-%u",
			       external, from, from + count - 1, target, into, into + count - 1);
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
		format_forward(item, to);
		break;
	default:
		(void)snprintf(to, NET_ITEM_TEXT_MAX, "item of unknown kind %u", item->kind);
		break;
	}
	return to;
}
