/*
 * The kernel's connection tracking table, for TCP and UDP
 *
 * Finds entries by what they were translated from and to, and deletes them, by a walk over the whole
 * table, whatever is looked for; what can be decided in the kernel is not copied out of it. A table
 * may have a million entries, so a walk goes in steps, between which its owner does other things.
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

struct conntrack_walk;

/*
 * Begins a walk that deletes the entries which @match chooses.
 * @nl: a socket of NETLINK_NETFILTER, which deletes them; borrowed for the walk's life, free between steps.
 * Returns 0 or a negative errno.
 */
int conntrack_walk_new(struct netlink *nl, const struct conntrack_filter *filter,
		       struct conntrack_walk **ret);

/* May be in the middle of the walk. NULL is fine. Returns NULL. */
struct conntrack_walk *conntrack_walk_free(struct conntrack_walk *walk);
DEFINE_CLEANUP(struct conntrack_walk *, conntrack_walk_free);

/*
 * Looks at the next hundred entries or so, and deletes those of them that @match chooses now. Entries
 * that come during the walk may be passed over.
 * Returns 1: there are more, 0: that was the end, or a negative errno: the walk cannot go on.
 */
int conntrack_walk_step(struct conntrack_walk *walk, conntrack_match match, void *context);
