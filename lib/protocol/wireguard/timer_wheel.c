#include "wireguard/timer_wheel.h"

#include <assert.h>

#include "base/clock.h"

#define TICK_NS NS_PER_MS
#define TICK_LAST (UINT64_MAX / TICK_NS)

static_assert(TICK_LAST >> (TIMER_WHEEL_BITS * TIMER_WHEEL_LEVELS) == 0, "every tick has a slot");
static_assert(TIMER_WHEEL_SLOTS == 64, "a level's bitmap is one word");

void timer_wheel_init(struct timer_wheel *wheel)
{
	*wheel = (struct timer_wheel){ 0 };
	for (unsigned level = 0; level < TIMER_WHEEL_LEVELS; level++)
		for (unsigned slot = 0; slot < TIMER_WHEEL_SLOTS; slot++)
			list_init(&wheel->slots[level][slot]);
	list_init(&wheel->due);
}

/* The slot of a level that a tick belongs to. */
static unsigned slot_of(uint64_t tick, unsigned level)
{
	return tick >> (level * TIMER_WHEEL_BITS) & (TIMER_WHEEL_SLOTS - 1);
}

/* The highest level in whose slots two ticks differ; they are not equal. */
static unsigned level_between(uint64_t a, uint64_t b)
{
	return (63 - (unsigned)__builtin_clzll(a ^ b)) / TIMER_WHEEL_BITS;
}

/* Every occupied slot thereby is after the current tick's slot of its level. */
static void wheel_put(struct timer_wheel *wheel, struct timer_node *node)
{
	uint64_t tick = node->at_ns / TICK_NS + (node->at_ns % TICK_NS > 0);
	unsigned level, slot;

	if (tick <= wheel->tick) {
		list_append(&wheel->due, &node->link);
		return;
	}
	level = level_between(tick, wheel->tick);
	slot = slot_of(tick, level);
	if (list_empty(&wheel->slots[level][slot]) || tick < wheel->earliest[level][slot])
		wheel->earliest[level][slot] = tick;
	wheel->occupied[level] |= UINT64_C(1) << slot;
	list_append(&wheel->slots[level][slot], &node->link);
}

static void wheel_remove(struct timer_wheel *wheel, struct timer_node *node)
{
	struct list *next = node->link.next;
	size_t slot;

	list_remove(&node->link);
	/* What a node leaves empty is the head of a list, so the next one was that. */
	if (!list_empty(next) || next == &wheel->due)
		return;
	slot = (size_t)(next - &wheel->slots[0][0]);
	wheel->occupied[slot / TIMER_WHEEL_SLOTS] &= ~(UINT64_C(1) << slot % TIMER_WHEEL_SLOTS);
}

void timer_wheel_set(struct timer_wheel *wheel, struct timer_node *node, uint64_t at_ns)
{
	if (node->at_ns != TIMER_NEVER)
		wheel_remove(wheel, node);
	node->at_ns = at_ns;
	if (at_ns != TIMER_NEVER)
		wheel_put(wheel, node);
}

/* Puts the nodes of those slots to where they belong by now: to lower levels, or they are due. */
static void wheel_cascade(struct timer_wheel *wheel, unsigned level, uint64_t slots)
{
	slots &= wheel->occupied[level];
	wheel->occupied[level] &= ~slots;
	for (; slots; slots &= slots - 1) {
		struct list *head = &wheel->slots[level][__builtin_ctzll(slots)];

		list_foreach(link, head) {
			list_remove(link);
			wheel_put(wheel, container_of(link, struct timer_node, link));
		}
	}
}

/* Slots below the level in which the tick changes are all over; in that level, up to the new slot. */
static void wheel_advance(struct timer_wheel *wheel, uint64_t tick)
{
	unsigned top = level_between(wheel->tick, tick);

	wheel->tick = tick;
	for (unsigned level = 0; level < top; level++)
		wheel_cascade(wheel, level, UINT64_MAX);
	wheel_cascade(wheel, top, (UINT64_C(2) << slot_of(tick, top)) - 1);
}

struct timer_node *timer_wheel_due(struct timer_wheel *wheel, uint64_t now_ns)
{
	if (now_ns / TICK_NS > wheel->tick)
		wheel_advance(wheel, now_ns / TICK_NS);
	return list_empty(&wheel->due) ? NULL
				       : container_of(wheel->due.next, struct timer_node, link);
}

uint64_t timer_wheel_deadline(const struct timer_wheel *wheel)
{
	if (!list_empty(&wheel->due))
		return wheel->tick * TICK_NS;
	/* All of a level comes before the slots that are left of the one above. */
	for (unsigned level = 0; level < TIMER_WHEEL_LEVELS; level++) {
		uint64_t occupied = wheel->occupied[level];
		uint64_t tick;

		if (!occupied)
			continue;
		tick = wheel->earliest[level][__builtin_ctzll(occupied)];
		return tick <= TICK_LAST ? tick * TICK_NS : TIMER_NEVER;
	}
	return TIMER_NEVER;
}
