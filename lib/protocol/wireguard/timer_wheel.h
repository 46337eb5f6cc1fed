/*
 * Deadlines in a hierarchical timing wheel (Varghese and Lauck, SOSP 1987)
 *
 * A slot of the lowest level is one tick of a millisecond; one of each level above it is 64 slots of the
 * level below. A node stands in the lowest level that tells its tick from the current one, and is moved down
 * at most once for each level when its time comes nearer. Setting, moving and removing take the same time
 * for any number of nodes, and never fail: nodes are embedded in their owners. Occupied slots are found by
 * bitmaps, so that neither an empty wheel nor a clock that jumps over days costs anything.
 *
 * A node is due in the first tick that is not before its deadline: never early, less than a millisecond
 * late. Which of the nodes that are due comes first is not said, but none waits for those that came later.
 *
 * Owned by one thread. A wheel takes 12 KiB, a node 24 bytes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

#define TIMER_NEVER UINT64_MAX

#define TIMER_WHEEL_BITS 6
#define TIMER_WHEEL_SLOTS (1 << TIMER_WHEEL_BITS)
#define TIMER_WHEEL_LEVELS 8 /* 2^48 ticks: all that a uint64_t of nanoseconds can tell */

/* Initialised with timer_node_init(). */
struct timer_node {
	struct list link; /* of a slot, or of those that are due */
	uint64_t at_ns; /* TIMER_NEVER: not in the wheel. Read only, for owners */
};

/* Nodes point into it: it is not to be moved. */
struct timer_wheel {
	uint64_t tick; /* the current one: what is not after it is due */
	uint64_t occupied[TIMER_WHEEL_LEVELS]; /* one bit for each slot */
	/* A tick that no node of the slot is before; set where it is occupied. */
	uint64_t earliest[TIMER_WHEEL_LEVELS][TIMER_WHEEL_SLOTS];
	struct list slots[TIMER_WHEEL_LEVELS][TIMER_WHEEL_SLOTS];
	struct list due;
};

void timer_wheel_init(struct timer_wheel *wheel);

static inline void timer_node_init(struct timer_node *node)
{
	list_init(&node->link);
	node->at_ns = TIMER_NEVER;
}

/*
 * Sets, moves or with TIMER_NEVER removes a deadline. One that is over is due at once. In the last
 * millisecond before TIMER_NEVER, in the year 2554, nothing becomes due.
 */
void timer_wheel_set(struct timer_wheel *wheel, struct timer_node *node, uint64_t at_ns);

/*
 * A node that is due at @now_ns, or NULL. It stays the one until it is set again or removed. A clock that
 * goes back makes nothing that was due wait again.
 */
struct timer_node *timer_wheel_due(struct timer_wheel *wheel, uint64_t now_ns);

/*
 * When to ask for nodes that are due: at the first deadline rounded up to a tick, or sooner where the first
 * one was moved or removed (each such time at most once); TIMER_NEVER where there is none.
 */
uint64_t timer_wheel_deadline(const struct timer_wheel *wheel);
