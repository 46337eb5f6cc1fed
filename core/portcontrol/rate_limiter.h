/*
 * How often each device may ask
 *
 * A token bucket for each address. Knows at most RATE_LIMITER_ADDRESSES_MAX addresses; when that is
 * passed it begins anew. Reads no clock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

#define RATE_LIMITER_ADDRESSES_MAX 4096

struct rate_limiter;

/* Each address may ask @burst times at once, and then @per_s times a second. 0 or -ENOMEM. */
int rate_limiter_new(unsigned per_s, unsigned burst, struct rate_limiter **ret);
struct rate_limiter *rate_limiter_free(struct rate_limiter *limiter);
DEFINE_CLEANUP(struct rate_limiter *, rate_limiter_free);

/* Whether it may ask once more at @now_ns, which is then counted. Out of memory, it may not. */
bool rate_limiter_allows(struct rate_limiter *limiter, uint32_t address, uint64_t now_ns);
