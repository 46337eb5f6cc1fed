/*
 * Deadlines, the earliest first
 *
 * A binary heap of nodes that are embedded in their owners. Memory is reserved beforehand, so that
 * setting a deadline cannot fail.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#define TIMER_NEVER UINT64_MAX

/* Initialised with TIMER_NODE_INIT. */
struct timer_node {
	uint64_t at_ns; /* TIMER_NEVER: not in the heap */
	size_t position;
};

#define TIMER_NODE_INIT ((struct timer_node){ .at_ns = TIMER_NEVER })

/* A zeroed heap is empty and ready. */
struct timer_heap {
	struct timer_node **nodes;
	size_t count;
	size_t capacity;
};

void timer_heap_done(struct timer_heap *heap);
DEFINE_CLEANUP_DONE(struct timer_heap, timer_heap_done);

/* Makes room for @count nodes in all. Returns 0 or -ENOMEM. */
int timer_heap_reserve(struct timer_heap *heap, size_t count);

/* Sets, moves or with TIMER_NEVER removes a deadline. */
void timer_heap_set(struct timer_heap *heap, struct timer_node *node, uint64_t at_ns);

/* The node with the earliest deadline, or NULL. */
static inline struct timer_node *timer_heap_first(const struct timer_heap *heap)
{
	return heap->count ? heap->nodes[0] : NULL;
}
