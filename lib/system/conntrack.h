/*
 * The kernel's connection tracking table, for TCP and UDP
 *
 * Finds entries by what they were translated from and to, and deletes them. One pass over the table
 * per call, whatever is looked for; what can be decided in the kernel is not copied out of it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/ip.h"
#include "system/netlink.h"

/* Ports in host byte order. `original` is the first packet's direction. */
struct conntrack_flow {
	uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	bool destination_translated;
	struct ip_address source;
	struct ip_address destination;
	uint16_t destination_port;
	struct ip_address target; /* where the packets really went: source of the replies */
	uint16_t target_port;
};

/* Whether to delete the entry. */
typedef bool (*conntrack_match)(const struct conntrack_flow *flow, void *context);

/* Which entries are looked at at all, by their original destination; zero members: any. */
struct conntrack_filter {
	uint8_t family; /* AF_INET or AF_INET6 */
	struct ip_address destination;
	uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	uint16_t destination_port; /* with a protocol only */
};

/*
 * Deletes the entries that @match chooses.
 * @nl: a socket of NETLINK_NETFILTER.
 * @ret_count: how many went. Returns 0 or a negative errno.
 */
int conntrack_flush(struct netlink *nl, const struct conntrack_filter *filter,
		    conntrack_match match, void *context, size_t *ret_count);
