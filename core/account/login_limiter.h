/*
 * How often a password may be tried
 *
 * Each try takes a token from a bucket, and buckets fill again with time, so that nobody is locked out for
 * good. A source is an IPv4 address, or the /64 of an IPv6 address.
 *
 *   - a source: LOGIN_SOURCE_BURST tries at once, then one each LOGIN_SOURCE_INTERVAL_S
 *   - all sources together: LOGIN_GLOBAL_BURST at once, then one each LOGIN_GLOBAL_INTERVAL_S; so all
 *     attackers together get 43,200 guesses a day, and computing them takes a tenth of one processor
 *   - a known source, and this machine itself, answers to its own bucket alone: strangers cannot
 *     use up the owner's tries. A source is known for LOGIN_KNOWN_S after it has authenticated.
 *
 * A login that succeeds gives its token back. Sources are forgotten when they are too many, those that
 * were quiet for longest and are not known first: LOGIN_SOURCES_MAX in all, LOGIN_KNOWN_MAX known ones. Does no
 * I/O and reads no clock: monotonic times are passed in. Owned by one event loop.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/ip.h"

#define LOGIN_SOURCE_BURST 5
#define LOGIN_SOURCE_INTERVAL_S 6
#define LOGIN_GLOBAL_BURST 20
#define LOGIN_GLOBAL_INTERVAL_S 2
#define LOGIN_KNOWN_S (30 * 86400)
#define LOGIN_SOURCES_MAX 1024
#define LOGIN_KNOWN_MAX 128

struct login_limiter;

/* Returns 0 or -ENOMEM. */
int login_limiter_new(struct login_limiter **ret);

/* NULL is fine. Returns NULL. */
struct login_limiter *login_limiter_free(struct login_limiter *limiter);
DEFINE_CLEANUP(struct login_limiter *, login_limiter_free);

/* Takes the tokens for a try. Returns whether it may be made; out of memory, it may not. */
bool login_limiter_take(struct login_limiter *limiter, const struct ip_address *source,
			uint64_t now_ns);

/* Gives back what a try took that was not made after all. */
void login_limiter_give_back(struct login_limiter *limiter, const struct ip_address *source,
			     uint64_t now_ns);

/* The source has authenticated, by a password or otherwise: it is known from now on. Its bucket stays as
 * it is: who shares an address with the owner gets no more tries by that. */
void login_limiter_know(struct login_limiter *limiter, const struct ip_address *source,
			uint64_t now_ns);

/* Whether the source is known, or this machine itself. */
bool login_limiter_knows(struct login_limiter *limiter, const struct ip_address *source,
			 uint64_t now_ns);
