/*
 * Our nftables table: the rules as text, and its elements as facts
 *
 * Everything that varies is an element of a set or map, so that a packet costs the same whatever is
 * configured, and a change is a change of elements. The rules themselves never change while we run.
 */
#pragma once

#include "network/plan.h"
#include "network/traffic.h"
#include "system/nft_table.h"

#define RULESET_TABLE "start_tunnel"
#define RULESET_ENTERED "published" /* sets whose elements count, by external port */
#define RULESET_RETURNED "answered"
#define RULESET_ENTERED6 "published6" /* the same of IPv6; not there without its rules */
#define RULESET_RETURNED6 "answered6"

/* The text that replaces the whole table, in one transaction, by the rules and the elements of
 * @facts (others are passed over). FACT_RULESET tells whether the rules of IPv6 are among them. @traffic: what ports have counted before; NULL: nothing. */
void ruleset_write(struct text *to, const struct fact_set *facts, const struct traffic *traffic);

/*
 * What nft_table_picture() gives for our table as it has to be, with the rules for IPv6 or without. Loads the rules into a network
 * namespace of a child's own, where nobody else can touch them. Needs CAP_SYS_ADMIN
 * or a kernel that gives everybody user namespaces.
 * Returns 0, -EPERM, or another negative errno.
 */
int ruleset_reference(enum fact_ruleset which, struct text *ret);

/* The text that deletes the table. */
void ruleset_write_delete(struct text *to);

/* Changes of elements in @plan (others are passed over), into one transaction: removals first, so
 * that what moves or grows finds its place free. */
void ruleset_batch(struct nft_batch *batch, struct netlink *nl, const struct plan *plan);

/*
 * Reads all elements as facts, unsorted.
 * @ret_foreign: there is one that is no fact of ours, which only loading the table anew removes.
 * Returns 0, -ENOENT (no table, or a set of it is gone), -ENOMEM.
 */
int ruleset_read(struct netlink *nl, struct fact_set *facts, bool *ret_foreign);
