/*
 * Receiver indices: the number in a message that says which session or handshake it belongs to
 *
 * Open addressing over numbers that we choose at random ourselves, so that no hash is needed. The
 * table borrows what it points at.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct session;
struct wg_peer;

struct index_entry {
	uint32_t index; /* 0: the place is free */
	struct wg_peer *peer;
	struct session *session; /* NULL: the peer's handshake */
};

/* A zeroed table is empty and ready. */
struct index_table {
	struct index_entry *entries;
	size_t capacity; /* a power of two, or 0 */
	size_t count;
};

void index_table_done(struct index_table *table);
DEFINE_CLEANUP_DONE(struct index_table, index_table_done);

/* Chooses a free index. @random: fills in random bytes. Returns 0 or -ENOMEM. */
int index_table_add(struct index_table *table, struct wg_peer *peer, struct session *session,
		    void (*random)(void *context, void *to, size_t size), void *context,
		    uint32_t *ret_index);

/* Borrowed until the table changes; NULL where there is none. */
struct index_entry *index_table_find(const struct index_table *table, uint32_t index);

/* Forgets an index. 0 and one that is not there are fine. */
void index_table_remove(struct index_table *table, uint32_t index);
