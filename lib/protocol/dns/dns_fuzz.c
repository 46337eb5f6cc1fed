/*
 * Bytes from anybody as a query and as a response. What is read obeys its bounds; ageing and stripping
 * keep a message whole; what the cache gives back is the message that was put in, aged.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "dns/cache.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_query(const uint8_t *data, size_t size, const struct dns_query *query)
{
	char text[DNS_NAME_TEXT_MAX];
	uint8_t *answer;
	size_t written;

	assert(query->question_end <= size);
	assert(query->udp_max >= DNS_UDP_MAX && query->udp_max <= DNS_EDNS_UDP_MAX);
	if (query->name.size > 0)
		assert(strlen(dns_name_format(&query->name, text)) < DNS_NAME_TEXT_MAX);
	answer = malloc(query->question_end + 11);
	assert(answer);
	written = dns_write_empty(query, data, DNS_SERVFAIL, true, answer);
	assert(written <= query->question_end + 11);
	assert(dns_is_truncated(answer, written) && dns_code_of(answer, written) == DNS_SERVFAIL);
	if (query->refusal == DNS_NOERROR)
		assert(dns_response_matches(answer, written, data, size));
	free(answer);
}

static void check_cache(const uint8_t *data, size_t size, const struct dns_query *query,
			const uint8_t *response)
{
	uint8_t again[DNS_CACHE_ANSWER_MAX];
	struct dns_cache *cache;
	uint32_t lifetime_s = 0;
	size_t kept;

	assert(dns_cache_new(&cache) == 0);
	dns_cache_put(cache, 0, query, response, size, 1000);
	kept = dns_cache_get(cache, 0, query, data, 1000, again);
	if (dns_lifetime(response, size, &lifetime_s) == 0 && lifetime_s > 0 &&
	    size <= DNS_CACHE_ANSWER_MAX) {
		assert(kept == size && memcmp(again + 2, response + 2, size - 2) == 0);
		assert(dns_cache_get(cache, 0, query, data, 1000 + lifetime_s, again) == 0);
	} else {
		assert(kept == 0);
	}
	(void)dns_cache_free(cache);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_query query;
	uint32_t before, after;
	uint8_t *copy;

	if (size == 0 || size > DNS_MESSAGE_MAX)
		return 0;
	copy = malloc(size);
	assert(copy);
	memcpy(copy, data, size);
	if (dns_query_parse(data, size, &query) == 0) {
		check_query(data, size, &query);
		if (query.refusal == DNS_NOERROR) {
			copy[2] |= 0x80; /* the query as its own response */
			check_cache(data, size, &query, copy);
			copy[2] &= 0x7f;
		}
	}
	if (dns_lifetime(copy, size, &before) == 0) {
		assert(before <= DNS_TTL_MAX);
		assert(dns_age(copy, size, 1) == 0 && dns_lifetime(copy, size, &after) == 0);
		assert(after <= before);
		size = dns_strip_opt(copy, size);
		assert(dns_lifetime(copy, size, &after) == 0);
	} else {
		assert(dns_strip_opt(copy, size) == size);
	}
	free(copy);
	return 0;
}
