/*
 * What the owner wants of the network, as a set of items
 *
 * The state that the kernel is to have is a set of small typed records. The document yields them
 * (core/document/desired.h), start-netd carries them out (core/network). A set is sorted and holds no
 * item twice, so that two sets compare in one pass and a change is the difference of two sets.
 *
 * Items hold secrets (keys): sets wipe their memory.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/fault.h"

#define NET_LINK_NAME "wg-start-tunnel"
#define NET_KEY_SIZE 32
#define NET_TRANSPARENT_MARK                                                                       \
	0x540001 /* of sockets that speak to devices from their clients' addresses */
#define NET_ADDRESS6_SIZE 16
#define NET_SUBNET6_PREFIX 64 /* length; of every one */
#define NET_MTU6_MIN 1280 /* of an interface that speaks IPv6 */
#define NET_ITEMS_MAX 262144 /* in one set */
#define NET_FORWARD_PORTS_MAX 1048576 /* external ports of all forwards together */

enum net_item_kind {
	NET_LINK = 1, /* the WireGuard interface itself; at most one */
	NET_SUBNET, /* an address on it; its devices reach each other and the internet */
	NET_DEVICE, /* a peer with one address */
	NET_EGRESS, /* what leaves for the internet from here gets this address */
	NET_FORWARD, /* external ports, TCP and UDP, that lead to a device */
	NET_SUBNET6, /* an IPv6 address on it, for the devices of a subnet */
	NET_FORWARD6, /* the same as NET_FORWARD; to the external address itself: a pinhole */
};

/* IPv4 addresses are in host byte order, IPv6 ones in network byte order. Members that a kind does not use are zero: items are
 * compared as bytes. */
struct net_item {
	uint8_t kind; /* enum net_item_kind */
	union {
		struct {
			uint8_t private_key[NET_KEY_SIZE];
			uint16_t listen_port;
			uint16_t mtu; /* 0: that of the default route less 80, and enough for IPv6 */
			uint8_t ipv6; /* 1: some device has an IPv6 address; 0: IPv6 is closed */
		} link;
		struct {
			uint32_t address; /* of this machine in the subnet, ".1" */
			uint8_t prefix; /* length */
		} subnet;
		struct {
			uint8_t public_key[NET_KEY_SIZE];
			uint8_t preshared_key[NET_KEY_SIZE];
			uint32_t address;
			uint8_t address6[NET_ADDRESS6_SIZE]; /* zero: it has none */
		} device;
		struct {
			uint32_t source; /* network; a device's own (/32) outranks its subnet's */
			uint8_t prefix;
			uint32_t address; /* of this machine, which becomes the source */
		} egress;
		struct {
			uint32_t external; /* address that packets arrive for */
			uint16_t external_port; /* the first of `count` */
			uint16_t count; /* 1 to 65535; ports go up on both sides */
			uint32_t target;
			uint16_t target_port;
		} forward;
		struct {
			uint8_t address[NET_ADDRESS6_SIZE]; /* of this machine in the subnet, "::1" */
			uint8_t masquerade; /* 1: what leaves gets an address of this machine */
		} subnet6;
		struct {
			uint8_t external[NET_ADDRESS6_SIZE];
			uint16_t external_port; /* as in forward */
			uint16_t count;
			uint8_t target[NET_ADDRESS6_SIZE];
			uint16_t target_port;
		} forward6;
	};
};

/* Embedded in its owner; zeroed is empty. */
struct net_set {
	struct net_item *items; /* sorted by net_item_compare() */
	size_t count;
	size_t capacity;
};

int net_item_compare(const struct net_item *a, const struct net_item *b);

/* Whether the item is sound in itself: ranges, prefix lengths, ports. 0, or -EPROTO with a fault
 * that names the member. */
int net_item_check(const struct net_item *item, struct fault *fault);

/* One item for messages to a person, without secrets: "forward 198.51.100.7:80 to 10.59.0.2:80". */
#define NET_ITEM_TEXT_MAX 160
char *net_item_format(const struct net_item *item, char to[NET_ITEM_TEXT_MAX]);

void net_set_done(struct net_set *set);
DEFINE_CLEANUP_DONE(struct net_set, net_set_done);

/* Appends without sorting; call net_set_sort() before anything else. 0, -ENOMEM or -E2BIG. */
int net_set_append(struct net_set *set, const struct net_item *item);

/* Sorts and drops what is there twice. */
void net_set_sort(struct net_set *set);

bool net_set_contains(const struct net_set *set, const struct net_item *item);

/* What is to go and what is to come so that @from becomes @to. Pure. 0, -ENOMEM. */
int net_set_difference(const struct net_set *from, const struct net_set *to,
		       struct net_set *ret_remove, struct net_set *ret_add);

/* Takes out of both as often what both have as each has it: a thing noted twice on one side and once on the other is
 * left once on the one. Sorts them; what is there twice stays so. */
void net_set_cancel(struct net_set *a, struct net_set *b);

/* Takes @remove out of @set and @add in. Taking out what is not there is no error. 0 or -ENOMEM,
 * and then nothing changed. */
int net_set_change(struct net_set *set, const struct net_set *remove, const struct net_set *add);

/* Whether an IPv6 address of an item is there at all. */
static inline bool net_has_address6(const uint8_t address[NET_ADDRESS6_SIZE])
{
	for (size_t i = 0; i < NET_ADDRESS6_SIZE; i++)
		if (address[i] != 0)
			return true;
	return false;
}
