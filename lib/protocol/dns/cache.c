#include "dns/cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/map.h"

#define KEY_MAX (DNS_NAME_MAX + 9)

struct entry {
	struct list node; /* the longest not asked for first */
	uint64_t since_s;
	uint32_t lifetime_s;
	uint16_t size;
	uint16_t key_size;
	uint8_t bytes[]; /* the key, then the answer */
};

struct dns_cache {
	struct map map;
	struct list recent;
	size_t bytes;
};

static size_t make_key(uint32_t view, const struct dns_query *query, uint8_t key[KEY_MAX])
{
	struct dns_name name = query->name;
	size_t size = name.size;

	dns_name_lower(&name);
	memcpy(key, name.bytes, size);
	key[size++] = (uint8_t)(query->type >> 8);
	key[size++] = (uint8_t)query->type;
	key[size++] = (uint8_t)(query->class >> 8);
	key[size++] = (uint8_t)query->class;
	key[size++] = (uint8_t)(query->dnssec_ok | query->checking_disabled << 1);
	memcpy(key + size, &view, sizeof(view));
	return size + sizeof(view);
}

static size_t entry_bytes(const struct entry *entry)
{
	return sizeof(*entry) + entry->key_size + entry->size;
}

static void drop(struct dns_cache *cache, struct entry *entry)
{
	(void)map_remove(&cache->map, entry->bytes, entry->key_size);
	list_remove(&entry->node);
	cache->bytes -= entry_bytes(entry);
	free(entry);
}

static struct entry *oldest(struct dns_cache *cache)
{
	return container_of(cache->recent.next, struct entry, node);
}

int dns_cache_new(struct dns_cache **ret)
{
	struct dns_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return -ENOMEM;
	list_init(&cache->recent);
	*ret = cache;
	return 0;
}

struct dns_cache *dns_cache_free(struct dns_cache *cache)
{
	if (!cache)
		return NULL;
	dns_cache_clear(cache);
	map_done(&cache->map);
	free(cache);
	return NULL;
}

void dns_cache_clear(struct dns_cache *cache)
{
	while (!list_empty(&cache->recent))
		drop(cache, oldest(cache));
}

static struct entry *find(struct dns_cache *cache, uint32_t view, const struct dns_query *query,
			  uint64_t now_s)
{
	uint8_t key[KEY_MAX];
	struct entry *entry = map_get(&cache->map, key, make_key(view, query, key));

	if (entry && now_s >= entry->since_s + entry->lifetime_s) {
		drop(cache, entry);
		return NULL;
	}
	return entry;
}

void dns_cache_put(struct dns_cache *cache, uint32_t view, const struct dns_query *query,
		   const uint8_t *response, size_t size, uint64_t now_s)
{
	struct entry *entry, *old;
	uint8_t key[KEY_MAX];
	size_t key_size = make_key(view, query, key);
	uint32_t lifetime_s;

	if (size > DNS_CACHE_ANSWER_MAX || size < query->question_end ||
	    dns_lifetime(response, size, &lifetime_s) < 0 || lifetime_s == 0)
		return;
	old = map_get(&cache->map, key, key_size);
	if (old)
		drop(cache, old);
	entry = malloc(sizeof(*entry) + key_size + size);
	if (!entry)
		return;
	*entry = (struct entry){ .since_s = now_s,
				 .lifetime_s = lifetime_s,
				 .size = (uint16_t)size,
				 .key_size = (uint16_t)key_size };
	memcpy(entry->bytes, key, key_size);
	memcpy(entry->bytes + key_size, response, size);
	if (map_set(&cache->map, key, key_size, entry, NULL) < 0) {
		free(entry);
		return;
	}
	list_append(&cache->recent, &entry->node);
	cache->bytes += entry_bytes(entry);
	while (cache->map.count > DNS_CACHE_ENTRIES_MAX || cache->bytes > DNS_CACHE_BYTES_MAX)
		drop(cache, oldest(cache));
}

size_t dns_cache_get(struct dns_cache *cache, uint32_t view, const struct dns_query *query,
		     const uint8_t *query_bytes, uint64_t now_s, uint8_t *to)
{
	struct entry *entry = find(cache, view, query, now_s);

	if (!entry)
		return 0;
	list_remove(&entry->node);
	list_append(&cache->recent, &entry->node);
	memcpy(to, entry->bytes + entry->key_size, entry->size);
	dns_set_id(to, query->id);
	memcpy(to + DNS_HEADER_SIZE, query_bytes + DNS_HEADER_SIZE,
	       query->question_end - DNS_HEADER_SIZE);
	(void)dns_age(to, entry->size,
		      (uint32_t)(now_s - entry->since_s)); /* it was whole when kept */
	return entry->size;
}
