#include "portcontrol/rate_limiter.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/map.h"

struct bucket {
	uint64_t full_ns; /* when it will be full again */
};

struct rate_limiter {
	struct map buckets; /* uint32_t -> struct bucket */
	uint64_t cost_ns; /* that one question takes to refill */
	uint64_t burst_ns;
};

int rate_limiter_new(unsigned per_s, unsigned burst, struct rate_limiter **ret)
{
	struct rate_limiter *limiter = calloc(1, sizeof(*limiter));

	if (!limiter)
		return -ENOMEM;
	limiter->cost_ns = NS_PER_S / per_s;
	limiter->burst_ns = limiter->cost_ns * burst;
	*ret = limiter;
	return 0;
}

static void free_bucket(void *value, void *context)
{
	free(value);
}

static void forget_all(struct rate_limiter *limiter)
{
	map_each(&limiter->buckets, free_bucket, NULL);
	map_done(&limiter->buckets);
}

struct rate_limiter *rate_limiter_free(struct rate_limiter *limiter)
{
	if (!limiter)
		return NULL;
	forget_all(limiter);
	free(limiter);
	return NULL;
}

static struct bucket *bucket_of(struct rate_limiter *limiter, uint32_t address)
{
	struct bucket *bucket = map_get(&limiter->buckets, &address, sizeof(address));

	if (bucket)
		return bucket;
	if (limiter->buckets.count >= RATE_LIMITER_ADDRESSES_MAX)
		forget_all(limiter);
	bucket = calloc(1, sizeof(*bucket));
	if (!bucket || map_set(&limiter->buckets, &address, sizeof(address), bucket, NULL) < 0) {
		free(bucket);
		return NULL;
	}
	return bucket;
}

bool rate_limiter_allows(struct rate_limiter *limiter, uint32_t address, uint64_t now_ns)
{
	struct bucket *bucket = bucket_of(limiter, address);
	uint64_t full_ns;

	if (!bucket)
		return false;
	full_ns = bucket->full_ns > now_ns ? bucket->full_ns : now_ns;
	if (full_ns + limiter->cost_ns > now_ns + limiter->burst_ns)
		return false;
	bucket->full_ns = full_ns + limiter->cost_ns;
	return true;
}
