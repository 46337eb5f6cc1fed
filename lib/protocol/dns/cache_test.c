/* What is kept, how long, and what gives way. */
#include <string.h>

#include "dns/cache.h"

#include "base/test.h"

struct pair {
	uint8_t query[64];
	uint8_t response[64];
	size_t query_size;
	size_t response_size;
	struct dns_query parsed;
};

/* "<letters>" A IN, and an answer of one address that may be kept for @ttl seconds. */
static void pair_init(struct pair *p, const char *name, uint8_t ttl)
{
	static const uint8_t header[] = { 0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0 };
	static const uint8_t rest[] = { 0, 0, DNS_A, 0, DNS_CLASS_IN };
	const uint8_t record[] = { 0xc0, 12,  0, DNS_A, 0, DNS_CLASS_IN, 0, 0, 0, ttl, 0,
				   4,	 192, 0, 2,	1 };
	size_t size = strlen(name);

	memcpy(p->query, header, sizeof(header));
	p->query[12] = (uint8_t)size;
	memcpy(p->query + 13, name, size);
	memcpy(p->query + 13 + size, rest, sizeof(rest));
	p->query_size = 13 + size + sizeof(rest);
	memcpy(p->response, p->query, p->query_size);
	p->response[2] = 0x81;
	p->response[3] = 0x80;
	p->response[7] = 1;
	memcpy(p->response + p->query_size, record, sizeof(record));
	p->response_size = p->query_size + sizeof(record);
	assert_int_equal(dns_query_parse(p->query, p->query_size, &p->parsed), 0);
}

static void put(struct dns_cache *cache, const struct pair *p, uint64_t now_s)
{
	dns_cache_put(cache, 0, &p->parsed, p->response, p->response_size, now_s);
}

static size_t get(struct dns_cache *cache, const struct pair *p, uint64_t now_s, uint8_t *to)
{
	return dns_cache_get(cache, 0, &p->parsed, p->query, now_s, to);
}

static void kept_as_long_as_it_says(void **state)
{
	CLEANUP(dns_cache_free) struct dns_cache *cache = NULL;
	uint8_t to[DNS_CACHE_ANSWER_MAX];
	struct pair p, shouted, never;

	(void)state;
	assert_int_equal(dns_cache_new(&cache), 0);
	pair_init(&p, "example", 60);
	pair_init(&shouted, "EXAMPLE", 60);
	pair_init(&never, "never", 0);
	put(cache, &p, 100);
	put(cache, &never, 100);
	assert_int_equal(get(cache, &never, 100, to), 0);
	shouted.parsed.id = 99;
	assert_int_equal(get(cache, &shouted, 130, to), p.response_size);
	assert_int_equal(to[1], 99);
	assert_memory_equal(to + 13, "EXAMPLE", 7); /* as it was asked */
	assert_int_equal(to[p.query_size + 9], 30);
	assert_int_equal(get(cache, &p, 159, to), p.response_size);
	assert_int_equal(get(cache, &p, 160, to), 0);
}

static void flags_are_part_of_the_key(void **state)
{
	CLEANUP(dns_cache_free) struct dns_cache *cache = NULL;
	uint8_t to[DNS_CACHE_ANSWER_MAX];
	struct pair p;

	(void)state;
	assert_int_equal(dns_cache_new(&cache), 0);
	pair_init(&p, "example", 60);
	put(cache, &p, 0);
	p.parsed.dnssec_ok = true;
	assert_int_equal(get(cache, &p, 0, to), 0);
	p.parsed.dnssec_ok = false;
	p.parsed.type = DNS_AAAA;
	assert_int_equal(get(cache, &p, 0, to), 0);
}

static void the_oldest_gives_way(void **state)
{
	CLEANUP(dns_cache_free) struct dns_cache *cache = NULL;
	uint8_t to[DNS_CACHE_ANSWER_MAX];
	struct pair first, second, p;

	(void)state;
	assert_int_equal(dns_cache_new(&cache), 0);
	pair_init(&first, "first", 60);
	pair_init(&second, "second", 60);
	put(cache, &first, 0);
	put(cache, &second, 0);
	for (int i = 0; i < DNS_CACHE_ENTRIES_MAX - 1; i++) {
		char name[16];

		assert_true(get(cache, &first, 0, to) > 0);
		(void)snprintf(name, sizeof(name), "n%d", i);
		pair_init(&p, name, 60);
		put(cache, &p, 0);
	}
	assert_true(get(cache, &first, 0, to) > 0);
	assert_int_equal(get(cache, &second, 0, to), 0);
	dns_cache_clear(cache);
	assert_int_equal(get(cache, &first, 0, to), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kept_as_long_as_it_says),
		cmocka_unit_test(flags_are_part_of_the_key),
		cmocka_unit_test(the_oldest_gives_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
