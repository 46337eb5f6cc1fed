#include <string.h>

#include "base/secret.h"
#include "netstate/net_item.h"

void net_set_done(struct net_set *set)
{
	if (set->items) {
		secret_wipe(set->items, set->capacity * sizeof(*set->items));
		free(set->items);
	}
	*set = (struct net_set){ 0 };
}

/* Not by realloc(): it would leave keys behind in the memory it gives back. */
static int reserve(struct net_set *set, size_t count)
{
	struct net_item *items;
	size_t capacity = set->capacity ? set->capacity : 16;

	if (count > NET_ITEMS_MAX)
		return -E2BIG;
	if (count <= set->capacity)
		return 0;
	while (capacity < count)
		capacity *= 2;
	items = calloc(capacity, sizeof(*items));
	if (!items)
		return -ENOMEM;
	if (set->items) {
		memcpy(items, set->items, set->count * sizeof(*items));
		secret_wipe(set->items, set->capacity * sizeof(*items));
		free(set->items);
	}
	set->items = items;
	set->capacity = capacity;
	return 0;
}

int net_set_append(struct net_set *set, const struct net_item *item)
{
	int r = reserve(set, set->count + 1);

	if (r < 0)
		return r;
	set->items[set->count++] = *item;
	return 0;
}

static int compare(const void *a, const void *b)
{
	return net_item_compare(a, b);
}

static void order(struct net_set *set)
{
	if (set->count > 0)
		qsort(set->items, set->count, sizeof(*set->items), compare);
}

void net_set_sort(struct net_set *set)
{
	size_t kept = 0;

	order(set);
	for (size_t i = 0; i < set->count; i++) {
		if (kept > 0 && net_item_compare(&set->items[kept - 1], &set->items[i]) == 0)
			continue;
		if (kept != i)
			set->items[kept] = set->items[i];
		kept++;
	}
	set->count = kept;
}

/* Index of the first item from @from on that is not below @item. */
static size_t find(const struct net_set *set, size_t from, const struct net_item *item)
{
	size_t low = from, high = set->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (net_item_compare(&set->items[middle], item) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_at(const struct net_set *set, size_t index, const struct net_item *item)
{
	return index < set->count && net_item_compare(&set->items[index], item) == 0;
}

bool net_set_contains(const struct net_set *set, const struct net_item *item)
{
	return is_at(set, find(set, 0, item), item);
}

int net_set_difference(const struct net_set *from, const struct net_set *to,
		       struct net_set *ret_remove, struct net_set *ret_add)
{
	CLEANUP(net_set_done) struct net_set remove = { 0 };
	CLEANUP(net_set_done) struct net_set add = { 0 };
	size_t i = 0, j = 0;
	int r = 0;

	while (r == 0 && (i < from->count || j < to->count)) {
		int order = i == from->count ? 1
			    : j == to->count ? -1
					     : net_item_compare(&from->items[i], &to->items[j]);

		if (order < 0)
			r = net_set_append(&remove, &from->items[i]);
		else if (order > 0)
			r = net_set_append(&add, &to->items[j]);
		i += order <= 0;
		j += order >= 0;
	}
	if (r < 0)
		return r;
	*ret_remove = remove;
	*ret_add = add;
	remove = add = (struct net_set){ 0 };
	return 0;
}

void net_set_cancel(struct net_set *a, struct net_set *b)
{
	size_t i = 0, j = 0, kept_a = 0, kept_b = 0;

	order(a);
	order(b);
	while (i < a->count || j < b->count) {
		int which = i == a->count   ? 1
			    : j == b->count ? -1
					    : net_item_compare(&a->items[i], &b->items[j]);

		if (which < 0)
			a->items[kept_a++] = a->items[i];
		else if (which > 0)
			b->items[kept_b++] = b->items[j];
		i += which <= 0;
		j += which >= 0;
	}
	a->count = kept_a;
	b->count = kept_b;
}

static void move_items(struct net_set *set, size_t to, size_t from, size_t count)
{
	memmove(&set->items[to], &set->items[from], count * sizeof(*set->items));
}

/* What lies between two removed items moves down as one block. */
static void take_out(struct net_set *set, const struct net_set *remove)
{
	size_t kept = 0, from = 0;

	for (size_t i = 0; i < remove->count; i++) {
		size_t at = find(set, from, &remove->items[i]);

		if (!is_at(set, at, &remove->items[i]))
			continue;
		if (kept != from)
			move_items(set, kept, from, at - from);
		kept += at - from;
		from = at + 1;
	}
	if (kept != from)
		move_items(set, kept, from, set->count - from);
	set->count -= from - kept;
}

/* From the end, so that each block moves up once and nothing is overwritten. Room is there. */
static void put_in(struct net_set *set, const struct net_set *add)
{
	size_t missing = 0, end;

	for (size_t i = 0; i < add->count; i++)
		missing += !net_set_contains(set, &add->items[i]);
	end = set->count;
	set->count += missing;
	for (size_t i = add->count; i > 0 && missing > 0; i--) {
		struct net_set old = { .items = set->items, .count = end };
		size_t at = find(&old, 0, &add->items[i - 1]);

		if (is_at(&old, at, &add->items[i - 1]))
			continue;
		move_items(set, at + missing, at, end - at);
		set->items[at + missing - 1] = add->items[i - 1];
		missing--;
		end = at;
	}
}

int net_set_change(struct net_set *set, const struct net_set *remove, const struct net_set *add)
{
	int r = reserve(set, set->count + add->count);

	if (r < 0)
		return r;
	take_out(set, remove);
	put_in(set, add);
	return 0;
}
