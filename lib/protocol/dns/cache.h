/*
 * Answers of upstream servers, kept as long as they say (RFC 1035 section 7.4, RFC 2308)
 *
 * Keyed by a view (different views ask different servers), by name, type, class and the two flags that
 * change an answer. Bounded by entries and bytes: what
 * was not asked for the longest goes first. Does no I/O and reads no clock. Owned by one event loop.
 */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"
#include "dns/message.h"

#define DNS_CACHE_ENTRIES_MAX 8192
#define DNS_CACHE_BYTES_MAX (4U << 20)
#define DNS_CACHE_ANSWER_MAX 4096 /* bytes; larger ones are not kept */

struct dns_cache;

/* Returns 0 or -ENOMEM. */
int dns_cache_new(struct dns_cache **ret);

/* NULL is fine. Returns NULL. */
struct dns_cache *dns_cache_free(struct dns_cache *cache);
DEFINE_CLEANUP(struct dns_cache *, dns_cache_free);

/* Forgets everything. */
void dns_cache_clear(struct dns_cache *cache);

/*
 * Keeps the response to a query, if it may be kept: it replaces the one that is there. @response: as it
 * came, matching the query. Failure to keep it is no failure.
 */
void dns_cache_put(struct dns_cache *cache, uint32_t view, const struct dns_query *query,
		   const uint8_t *response, size_t size, uint64_t now_s);

/*
 * Writes the kept answer, as one to this very query: its id, its spelling of the name, times to live
 * less by the answer's age. @to has room for DNS_CACHE_ANSWER_MAX bytes. Returns the size, 0 where there
 * is none.
 */
size_t dns_cache_get(struct dns_cache *cache, uint32_t view, const struct dns_query *query,
		     const uint8_t *query_bytes, uint64_t now_s, uint8_t *to);
