/*
 * Which owner a network belongs to: longest prefix match for IPv4 and IPv6
 *
 * A binary trie without chains: a node is a network that has an owner, or the place where two parts
 * of the trie differ. An owner embeds a struct allowed_ips_owner, gets its address back from a
 * search, and has its networks in a list. A search takes no memory; nodes for insertions are
 * reserved beforehand, so that a change that began cannot fail halfway.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/ip.h"
#include "base/list.h"

struct allowed_ips_node;

/* A zeroed table is empty and ready. */
struct allowed_ips {
	struct allowed_ips_node *roots[2]; /* IPv4, IPv6 */
	struct allowed_ips_node *reserve;
	size_t reserved;
	size_t count; /* of networks */
};

struct allowed_ips_owner {
	struct list nodes;
	size_t count;
};

/* Releases the reserve. Every owner was removed before. */
void allowed_ips_done(struct allowed_ips *table);
DEFINE_CLEANUP_DONE(struct allowed_ips, allowed_ips_done);

void allowed_ips_owner_init(struct allowed_ips_owner *owner);

/* Makes sure that @count insertions find their memory. Returns 0 or -ENOMEM. */
int allowed_ips_reserve(struct allowed_ips *table, size_t count);

/* Gives back what was reserved and not used. */
void allowed_ips_trim(struct allowed_ips *table);

/* Makes a network (host bits are ignored) the owner's; it is taken from who had it. Needs one unit
 * of the reserve. */
void allowed_ips_insert(struct allowed_ips *table, const struct ip_prefix *prefix,
			struct allowed_ips_owner *owner);

/* Takes a network from its owner, if it is @owner's. */
void allowed_ips_remove(struct allowed_ips *table, const struct ip_prefix *prefix,
			const struct allowed_ips_owner *owner);

/* Takes all networks from an owner. */
void allowed_ips_remove_owner(struct allowed_ips *table, struct allowed_ips_owner *owner);

/* The owner of the longest network that holds the address, or NULL. @address: 4 or 16 bytes. */
struct allowed_ips_owner *allowed_ips_find(const struct allowed_ips *table, bool v6,
					   const uint8_t *address);

/* Calls @visit for each network of an owner, the oldest first, until it returns non-zero, which is
 * then returned. */
int allowed_ips_each(const struct allowed_ips_owner *owner,
		     int (*visit)(const struct ip_prefix *prefix, void *context), void *context);
