/*
 * Time
 *
 * Monotonic time is CLOCK_BOOTTIME: it goes on while the machine sleeps, so that timers of a
 * protocol expire by the peer's clock too.
 */
#pragma once

#include <stdint.h>

#define NS_PER_S UINT64_C(1000000000)
#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)

uint64_t clock_monotonic_ns(void);

/* Since 1970-01-01 UTC. */
uint64_t clock_realtime_ns(void);
