#include "wireguard/index_table.h"

void index_table_done(struct index_table *table)
{
	free(table->entries);
	*table = (struct index_table){ 0 };
}

/* The entry of an index, or the free place where it would go. */
static struct index_entry *index_slot(const struct index_table *table, uint32_t index)
{
	size_t mask = table->capacity - 1;
	size_t i = index & mask;

	while (table->entries[i].index != 0 && table->entries[i].index != index)
		i = (i + 1) & mask;
	return &table->entries[i];
}

static int index_table_grow(struct index_table *table)
{
	struct index_table bigger = {
		.capacity = table->capacity ? table->capacity * 2 : 16,
		.count = table->count,
	};

	bigger.entries = calloc(bigger.capacity, sizeof(*bigger.entries));
	if (!bigger.entries)
		return -ENOMEM;
	for (size_t i = 0; i < table->capacity; i++)
		if (table->entries[i].index != 0)
			*index_slot(&bigger, table->entries[i].index) = table->entries[i];
	free(table->entries);
	*table = bigger;
	return 0;
}

int index_table_add(struct index_table *table, struct wg_peer *peer, struct session *session,
		    void (*random)(void *context, void *to, size_t size), void *context,
		    uint32_t *ret_index)
{
	struct index_entry *place;
	uint32_t index;

	if ((table->count + 1) * 2 > table->capacity && index_table_grow(table) < 0)
		return -ENOMEM;
	do {
		random(context, &index, sizeof(index));
		place = index_slot(table, index);
	} while (index == 0 || place->index != 0);
	*place = (struct index_entry){ index, peer, session };
	table->count++;
	*ret_index = index;
	return 0;
}

struct index_entry *index_table_find(const struct index_table *table, uint32_t index)
{
	struct index_entry *entry;

	if (index == 0 || table->count == 0)
		return NULL;
	entry = index_slot(table, index);
	return entry->index ? entry : NULL;
}

void index_table_remove(struct index_table *table, uint32_t index)
{
	struct index_entry *hole = index_table_find(table, index);
	size_t mask = table->capacity - 1;

	if (!hole)
		return;
	/* Every later entry of the run that may stand in the hole moves back into it. */
	for (size_t i = (size_t)(hole - table->entries);;) {
		struct index_entry *e;

		i = (i + 1) & mask;
		e = &table->entries[i];
		if (e->index == 0)
			break;
		if (((i - e->index) & mask) >= ((i - (size_t)(hole - table->entries)) & mask)) {
			*hole = *e;
			hole = e;
		}
	}
	*hole = (struct index_entry){ 0 };
	table->count--;
}
