/*
 * How many handshakes a source address may ask for while there are too many
 *
 * A token bucket per IPv4 address or IPv6 /64, kept as the time at which the bucket is full again.
 * A full bucket is the same as none, so its place may be taken by another source; where all places
 * that a source may have hold buckets that are not full, it is refused. The table is of fixed size.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/ip.h"

#define LIMITER_PER_SECOND 20
#define LIMITER_BURST 5
#define LIMITER_ENTRIES 8192

struct limiter_entry;

struct limiter {
	struct limiter_entry *entries;
	uint64_t seed[2];
};

/* @seed: random, so that sources cannot choose to collide. Returns 0 or -ENOMEM. */
int limiter_init(struct limiter *limiter, const uint64_t seed[2]);
void limiter_done(struct limiter *limiter);
DEFINE_CLEANUP_DONE(struct limiter, limiter_done);

/* Takes a token of the source's; false where there is none. */
bool limiter_allow(struct limiter *limiter, const struct ip_address *source, uint64_t now_ns);
