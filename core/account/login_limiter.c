/*
 * A bucket is the time at which it will be full again: a try moves it on by the interval, and may be made
 * while it lies less than the burst's worth of intervals ahead.
 */
#include "account/login_limiter.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"

struct bucket {
	uint64_t full_at_ns;
};

struct source {
	struct list node; /* in `strangers` or `known`, the quietest first */
	uint8_t key[9]; /* family, then an IPv4 address or half an IPv6 address */
	struct bucket bucket;
	uint64_t known_until_ns; /* 0: a stranger */
};

struct login_limiter {
	struct bucket global;
	struct map sources;
	struct list strangers;
	struct list known;
	size_t known_count;
};

static const uint64_t source_interval_ns = LOGIN_SOURCE_INTERVAL_S * NS_PER_S;
static const uint64_t global_interval_ns = LOGIN_GLOBAL_INTERVAL_S * NS_PER_S;

static bool bucket_has(const struct bucket *bucket, uint64_t interval_ns, unsigned burst,
		       uint64_t now_ns)
{
	return bucket->full_at_ns <= now_ns + (burst - 1) * interval_ns;
}

static void bucket_take(struct bucket *bucket, uint64_t interval_ns, uint64_t now_ns)
{
	if (bucket->full_at_ns < now_ns)
		bucket->full_at_ns = now_ns;
	bucket->full_at_ns += interval_ns;
}

static void bucket_give_back(struct bucket *bucket, uint64_t interval_ns)
{
	bucket->full_at_ns = bucket->full_at_ns > interval_ns ? bucket->full_at_ns - interval_ns
							      : 0;
}

int login_limiter_new(struct login_limiter **ret)
{
	struct login_limiter *limiter = calloc(1, sizeof(*limiter));

	if (!limiter)
		return -ENOMEM;
	list_init(&limiter->strangers);
	list_init(&limiter->known);
	*ret = limiter;
	return 0;
}

static void source_free(struct login_limiter *limiter, struct source *source)
{
	limiter->known_count -= source->known_until_ns != 0;
	(void)map_remove(&limiter->sources, source->key, sizeof(source->key));
	list_remove(&source->node);
	free(source);
}

struct login_limiter *login_limiter_free(struct login_limiter *limiter)
{
	if (!limiter)
		return NULL;
	list_foreach(node, &limiter->strangers)
		source_free(limiter, container_of(node, struct source, node));
	list_foreach(node, &limiter->known)
		source_free(limiter, container_of(node, struct source, node));
	map_done(&limiter->sources);
	free(limiter);
	return NULL;
}

/* An IPv4 address may come in the clothes of IPv6. */
static struct ip_address plain(const struct ip_address *address)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct ip_address v4 = { .family = AF_INET };

	if (address->family != AF_INET6 || memcmp(address->bytes, mapped, sizeof(mapped)) != 0)
		return *address;
	memcpy(v4.bytes, address->bytes + 12, 4);
	return v4;
}

static void make_key(const struct ip_address *address, uint8_t key[9])
{
	struct ip_address source = plain(address);

	memset(key, 0, 9);
	key[0] = source.family;
	memcpy(key + 1, source.bytes, source.family == AF_INET ? 4 : 8);
}

static bool is_this_machine(const struct ip_address *address)
{
	static const uint8_t loopback[16] = { [15] = 1 };
	struct ip_address source = plain(address);

	return source.family == AF_INET
		       ? source.bytes[0] == 127
		       : source.family == AF_INET6 && memcmp(source.bytes, loopback, 16) == 0;
}

static struct source *find(struct login_limiter *limiter, const struct ip_address *address)
{
	uint8_t key[9];

	make_key(address, key);
	return map_get(&limiter->sources, key, sizeof(key));
}

static struct source *oldest_of(struct list *list)
{
	return list_empty(list) ? NULL : container_of(list->next, struct source, node);
}

/* Finds the source or makes it, and notes that it is the latest. NULL: out of memory. */
static struct source *meet(struct login_limiter *limiter, const struct ip_address *address)
{
	struct source *source = find(limiter, address);

	if (!source) {
		if (limiter->sources.count >= LOGIN_SOURCES_MAX)
			source_free(limiter, list_empty(&limiter->strangers)
						     ? oldest_of(&limiter->known)
						     : oldest_of(&limiter->strangers));
		source = calloc(1, sizeof(*source));
		if (!source)
			return NULL;
		make_key(address, source->key);
		list_init(&source->node);
		if (map_set(&limiter->sources, source->key, sizeof(source->key), source, NULL) <
		    0) {
			free(source);
			return NULL;
		}
	}
	list_remove(&source->node);
	list_append(source->known_until_ns ? &limiter->known : &limiter->strangers, &source->node);
	return source;
}

static bool is_known(const struct source *source, uint64_t now_ns)
{
	return source && source->known_until_ns > now_ns;
}

bool login_limiter_knows(struct login_limiter *limiter, const struct ip_address *source,
			 uint64_t now_ns)
{
	return is_this_machine(source) || is_known(find(limiter, source), now_ns);
}

bool login_limiter_take(struct login_limiter *limiter, const struct ip_address *source,
			uint64_t now_ns)
{
	struct source *entry = meet(limiter, source);
	bool own = login_limiter_knows(limiter, source, now_ns);

	if (!entry || !bucket_has(&entry->bucket, source_interval_ns, LOGIN_SOURCE_BURST, now_ns))
		return false;
	if (!own && !bucket_has(&limiter->global, global_interval_ns, LOGIN_GLOBAL_BURST, now_ns))
		return false;
	bucket_take(&entry->bucket, source_interval_ns, now_ns);
	if (!own)
		bucket_take(&limiter->global, global_interval_ns, now_ns);
	return true;
}

void login_limiter_give_back(struct login_limiter *limiter, const struct ip_address *source,
			     uint64_t now_ns)
{
	struct source *entry = find(limiter, source);

	if (entry)
		bucket_give_back(&entry->bucket, source_interval_ns);
	if (!login_limiter_knows(limiter, source, now_ns))
		bucket_give_back(&limiter->global, global_interval_ns);
}

static void forget_known(struct login_limiter *limiter)
{
	struct source *source = oldest_of(&limiter->known);

	source->known_until_ns = 0;
	limiter->known_count--;
	list_remove(&source->node);
	list_append(&limiter->strangers, &source->node);
}

void login_limiter_know(struct login_limiter *limiter, const struct ip_address *source,
			uint64_t now_ns)
{
	struct source *entry = meet(limiter, source);

	if (!entry)
		return; /* it stays a stranger */
	if (entry->known_until_ns == 0) {
		if (limiter->known_count == LOGIN_KNOWN_MAX)
			forget_known(limiter);
		limiter->known_count++;
		list_remove(&entry->node);
		list_append(&limiter->known, &entry->node);
	}
	entry->known_until_ns = now_ns + LOGIN_KNOWN_S * NS_PER_S;
}
