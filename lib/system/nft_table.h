/*
 * One nftables table of family inet: its picture, its elements, its transactions
 *
 * Rules are loaded as text (nft_load); elements of sets and maps are changed and read as bytes, in
 * the form the kernel has them, at a cost that does not grow with what is in the set.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "system/netlink.h"

#define NFT_ELEMENT_MAX 32 /* bytes of a key or of a value: two IPv6 addresses */

/* Elements are as in the kernel: each field padded to 4 bytes, addresses and ports big-endian. */
struct nft_element {
	uint8_t key[NFT_ELEMENT_MAX];
	uint8_t key_end[NFT_ELEMENT_MAX]; /* of an interval of several fields: its last */
	uint8_t value[NFT_ELEMENT_MAX]; /* of a map */
	uint8_t key_size;
	uint8_t key_end_size; /* 0: not such an interval */
	uint8_t value_size; /* 0: a set */
	bool interval_end; /* the first key after an interval of a set of one field */
	uint64_t packets; /* as read, of an element that counts; else 0 */
	uint64_t bytes;
};

/* A transaction that is being put together. Zeroed is empty. */
struct nft_batch {
	char *bytes;
	size_t size;
	size_t capacity;
	size_t last_offset; /* of the newest message */
	uint32_t changes;
	int error; /* kept, told by nft_batch_commit() */
};

void nft_batch_done(struct nft_batch *batch);
DEFINE_CLEANUP_DONE(struct nft_batch, nft_batch_done);

/* @exclusive: an element that is there already makes the transaction fail with -EEXIST. */
void nft_batch_add(struct nft_batch *batch, struct netlink *nl, const char *table, const char *set,
		   const struct nft_element *element, bool exclusive);
void nft_batch_remove(struct nft_batch *batch, struct netlink *nl, const char *table,
		      const char *set, const struct nft_element *element);

/* Hands the transaction to the kernel: all of it happens or nothing. 0 or the first error's
 * negative errno. An empty one is fine. */
int nft_batch_commit(struct nft_batch *batch, struct netlink *nl);

/* Calls @visit for each element. -ENOENT: no such table or set; -EINTR: it changed meanwhile. */
typedef int (*nft_visit_element)(const struct nft_element *element, void *context);
int nft_elements_each(struct netlink *nl, const char *table, const char *set,
		      nft_visit_element visit, void *context);

/*
 * Writes down everything of the table that is not an element: flags, chains with hooks and
 * policies, rules in order, definitions of sets. Two pictures are equal where the table was not
 * changed; they are not for reading. @to: what it held is replaced. 0, -ENOENT: there is no such
 * table.
 */
int nft_table_picture(struct netlink *nl, const char *table, struct text *to);

/* Whether a notification of NFNLGRP_NFTABLES is about the table. */
bool nft_message_is_about(const struct nlmsghdr *message, const char *table);

/*
 * Loads text in nft's language in one transaction, in this process. On failure @to_error holds what
 * nftables said to it. Returns 0, -EINVAL, -ENOMEM.
 */
int nft_load(const char *text, struct text *to_error);
