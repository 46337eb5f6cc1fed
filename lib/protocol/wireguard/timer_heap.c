#include "wireguard/timer_heap.h"

#include <assert.h>

void timer_heap_done(struct timer_heap *heap)
{
	free(heap->nodes);
	*heap = (struct timer_heap){ 0 };
}

int timer_heap_reserve(struct timer_heap *heap, size_t count)
{
	size_t capacity = heap->capacity ? heap->capacity : 8;
	struct timer_node **nodes;

	if (count <= heap->capacity)
		return 0;
	while (capacity < count)
		capacity *= 2;
	nodes = realloc(heap->nodes, capacity * sizeof(struct timer_node *));
	if (!nodes)
		return -ENOMEM;
	heap->nodes = nodes;
	heap->capacity = capacity;
	return 0;
}

static void heap_put(struct timer_heap *heap, size_t position, struct timer_node *node)
{
	heap->nodes[position] = node;
	node->position = position;
}

/* Moves the node at @position to where it belongs. */
static void heap_sift(struct timer_heap *heap, size_t position)
{
	struct timer_node *node = heap->nodes[position];

	while (position > 0 && heap->nodes[(position - 1) / 2]->at_ns > node->at_ns) {
		heap_put(heap, position, heap->nodes[(position - 1) / 2]);
		position = (position - 1) / 2;
	}
	for (;;) {
		size_t child = 2 * position + 1;

		if (child + 1 < heap->count &&
		    heap->nodes[child + 1]->at_ns < heap->nodes[child]->at_ns)
			child++;
		if (child >= heap->count || heap->nodes[child]->at_ns >= node->at_ns)
			break;
		heap_put(heap, position, heap->nodes[child]);
		position = child;
	}
	heap_put(heap, position, node);
}

static void heap_remove(struct timer_heap *heap, struct timer_node *node)
{
	struct timer_node *last = heap->nodes[--heap->count];

	if (last == node)
		return;
	heap_put(heap, node->position, last);
	heap_sift(heap, last->position);
}

void timer_heap_set(struct timer_heap *heap, struct timer_node *node, uint64_t at_ns)
{
	bool was_in = node->at_ns != TIMER_NEVER;

	if (at_ns == TIMER_NEVER) {
		if (was_in)
			heap_remove(heap, node);
		node->at_ns = TIMER_NEVER;
		return;
	}
	node->at_ns = at_ns;
	if (!was_in) {
		assert(heap->count < heap->capacity);
		heap_put(heap, heap->count++, node);
	}
	heap_sift(heap, node->position);
}
