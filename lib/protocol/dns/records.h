/*
 * Records of our own, and answers made of them
 *
 * A name that is held here is answered from here alone: with its records of the asked type, else with
 * none (RFC 2308 "NODATA"); it is never asked about elsewhere. A CNAME is followed as long as its target
 * is held here too; beyond, the answer is completed with what an upstream server says. Names compare
 * without regard to case. Holds what it is given: bounds are those of DNS_RECORDS_MAX. Owned by one
 * event loop.
 */
#pragma once

#include "base/cleanup.h"
#include "dns/message.h"

#define DNS_RECORDS_MAX 4096
#define DNS_RECORDS_PER_NAME_MAX 64 /* few enough for any answer over TCP */
#define DNS_CHAIN_MAX 8 /* CNAMEs that lead to each other */
#define DNS_DATA_MAX 1280 /* bytes of one record's data */

struct dns_records;

/* What is held at one name. */
struct dns_owner;

/* A record that is held. */
struct dns_local {
	struct dns_local *next; /* at the same name, in the order they were added */
	uint32_t ttl_s;
	uint32_t source; /* the device that it comes from; 0: the owner */
	uint16_t type;
	uint16_t data_size;
	uint8_t data[]; /* in wire form, without compression */
};

/* Returns 0 or -ENOMEM. */
int dns_records_new(struct dns_records **ret);

/* NULL is fine. Returns NULL. */
struct dns_records *dns_records_free(struct dns_records *records);
DEFINE_CLEANUP(struct dns_records *, dns_records_free);

void dns_records_clear(struct dns_records *records);

/* Adds a record; @local->next is not looked at. @data: data_size bytes. Returns 0, -E2BIG (a bound),
 * -ENOMEM. */
int dns_records_add(struct dns_records *records, const struct dns_name *name,
		    const struct dns_local *local, const uint8_t *data);

/* Of all names. */
size_t dns_records_count(const struct dns_records *records);

/* What is held at a name, or NULL. Borrowed until the next change, as is what it gives. */
const struct dns_owner *dns_records_find(const struct dns_records *records,
					 const struct dns_name *name);
const struct dns_local *dns_owner_first(const struct dns_owner *owner);

/* Where a question leads. Borrows from the records. */
struct dns_chain {
	const struct dns_owner *links[DNS_CHAIN_MAX]; /* names whose CNAME was followed */
	size_t count;
	const struct dns_owner
		*end; /* holds what was asked for, or nothing of it; NULL: it is elsewhere */
	struct dns_name elsewhere; /* the name to ask about then */
};

/* Returns false where the asked name is not held. */
bool dns_records_look_up(const struct dns_records *records, const struct dns_query *query,
			 struct dns_chain *ret);

/*
 * Writes the answer of a chain that ends here; its AA flag is set. Returns the size, or -ENOBUFS where it
 * does not fit into @capacity.
 */
int dns_chain_write(const struct dns_chain *chain, const struct dns_query *query,
		    const uint8_t *query_bytes, uint8_t *to, size_t capacity);

/*
 * Writes the answer of one that leads elsewhere: what is held here, then the answers of @response, which
 * is one about `elsewhere`, and its code. Returns the size, -ENOBUFS, or -EBADMSG (@response).
 */
int dns_chain_complete(const struct dns_chain *chain, const struct dns_query *query,
		       const uint8_t *query_bytes, const uint8_t *response, size_t response_size,
		       uint8_t *to, size_t capacity);
