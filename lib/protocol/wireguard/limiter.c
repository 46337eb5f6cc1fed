#include "wireguard/limiter.h"

#include <endian.h>

#include "base/clock.h"

#define TOKEN_NS (NS_PER_S / LIMITER_PER_SECOND)
#define WAYS 8 /* places that a source may have: so many that a thousand at once all find one */

struct limiter_entry {
	uint64_t source; /* the address or the upper half of it */
	uint64_t full_ns; /* when the bucket is full again; 0: the place is free */
	bool v6;
};

int limiter_init(struct limiter *limiter, const uint64_t seed[2])
{
	limiter->entries = calloc(LIMITER_ENTRIES, sizeof(*limiter->entries));
	if (!limiter->entries)
		return -ENOMEM;
	memcpy(limiter->seed, seed, sizeof(limiter->seed));
	return 0;
}

void limiter_done(struct limiter *limiter)
{
	free(limiter->entries);
	*limiter = (struct limiter){ 0 };
}

static struct limiter_entry *find_set(const struct limiter *limiter, uint64_t source)
{
	uint64_t hash = (source ^ limiter->seed[1]) * (limiter->seed[0] | 1);

	hash = (hash ^ hash >> 32) * (limiter->seed[1] | 1);
	return &limiter->entries[(hash >> 32) % (LIMITER_ENTRIES / WAYS) * WAYS];
}

bool limiter_allow(struct limiter *limiter, const struct ip_address *source, uint64_t now_ns)
{
	bool v6 = source->family == AF_INET6;
	struct limiter_entry *place = NULL;
	struct limiter_entry *set;
	uint64_t key = 0;
	uint64_t full_ns;

	memcpy(&key, source->bytes, v6 ? 8 : 4);
	set = find_set(limiter, key);
	for (size_t i = 0; i < WAYS; i++) {
		if (set[i].full_ns > now_ns && set[i].source == key && set[i].v6 == v6) {
			place = &set[i];
			break;
		}
		if (set[i].full_ns <= now_ns)
			place = &set[i];
	}
	if (!place)
		return false;
	full_ns = (place->full_ns > now_ns ? place->full_ns : now_ns) + TOKEN_NS;
	if (full_ns - now_ns > LIMITER_BURST * TOKEN_NS)
		return false;
	*place = (struct limiter_entry){ key, full_ns, v6 };
	return true;
}
