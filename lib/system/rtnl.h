/*
 * Interfaces, their addresses and routes, IPv4 and IPv6 (rtnetlink)
 *
 * Thin: one function is one request on a socket of NETLINK_ROUTE. All return 0 or the kernel's
 * negative errno.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/ip.h"
#include "system/netlink.h"

#define RTNL_KIND_MAX 16

struct rtnl_link {
	uint32_t index;
	uint32_t mtu;
	bool up;
	char kind[RTNL_KIND_MAX]; /* "wireguard", "tun", ... or "" */
};

/* -ENODEV: there is none of the name. */
int rtnl_link_get(struct netlink *nl, const char *name, struct rtnl_link *ret);

/* -EOPNOTSUPP: the kernel knows no such kind. */
int rtnl_link_create(struct netlink *nl, const char *name, const char *kind);
int rtnl_link_delete(struct netlink *nl, uint32_t index);
int rtnl_link_set(struct netlink *nl, uint32_t index, bool up, uint32_t mtu);

typedef int (*rtnl_visit_prefix)(const struct ip_prefix *prefix, void *context);

int rtnl_address_add(struct netlink *nl, uint32_t index, const struct ip_prefix *address);
int rtnl_address_remove(struct netlink *nl, uint32_t index, const struct ip_prefix *address);

/* @family: AF_INET or AF_INET6. IPv6 addresses of the link alone (fe80::/10) are passed over. */
int rtnl_address_each(struct netlink *nl, uint32_t index, uint8_t family, rtnl_visit_prefix visit,
		      void *context);

/* The route that the kernel makes with an address: to its network, through the interface.
 * @source: of what is sent from here; family 0: none, as is the rule for IPv6. */
int rtnl_route_add(struct netlink *nl, uint32_t index, const struct ip_prefix *network,
		   const struct ip_address *source);
int rtnl_route_remove(struct netlink *nl, uint32_t index, const struct ip_prefix *network);
int rtnl_route_each(struct netlink *nl, uint32_t index, uint8_t family, rtnl_visit_prefix visit,
		    void *context);

/* "fwmark MARK iif NAME lookup TABLE" at a priority. */
struct rtnl_rule {
	const char *from_link;
	uint32_t mark;
	uint32_t table;
	uint32_t priority;
};

int rtnl_rule_add(struct netlink *nl, const struct rtnl_rule *rule);
int rtnl_rule_remove(struct netlink *nl, const struct rtnl_rule *rule);

/* 0, or -ENOENT: there is no such rule. */
int rtnl_rule_find(struct netlink *nl, const struct rtnl_rule *rule);

/* "local default dev lo table TABLE": what is looked up there is for this machine, whatever its
 * destination. -ENETDOWN: the loopback interface is down. */
int rtnl_local_default_add(struct netlink *nl, uint32_t table);
int rtnl_local_default_remove(struct netlink *nl, uint32_t table);
int rtnl_local_default_find(struct netlink *nl, uint32_t table); /* 0 or -ENOENT */

/* MTU of the interface of the IPv4 default route. -ENOENT: there is no default route. */
int rtnl_default_mtu(struct netlink *nl, uint32_t *ret);
