/*
 * Hash map from bytes to pointers
 *
 * Keys are copied, values are borrowed. The hash is keyed with a random seed, so that keys chosen
 * by an attacker do not collide at will. Iteration order is unspecified. Embedded in its owner;
 * not thread-safe.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct map_entry;

struct map {
	struct map_entry *entries; /* open addressing, linear probing */
	size_t capacity; /* a power of two, or 0 */
	size_t count;
	uint64_t seed[2];
};

/* A zeroed map is empty and ready. */
void map_done(struct map *m);
DEFINE_CLEANUP_DONE(struct map, map_done);

/* Sets the value for a key and returns the one it had, if any, through @ret_old (NULL is fine).
 * @value must not be NULL. Returns 0 or -ENOMEM. */
int map_set(struct map *m, const void *key, size_t key_size, void *value, void **ret_old);

/* Returns the value, or NULL where there is none. */
void *map_get(const struct map *m, const void *key, size_t key_size);

/* Forgets a key. Returns the value it had, or NULL. */
void *map_remove(struct map *m, const void *key, size_t key_size);

/* Calls @visit for each entry; the map must not change meanwhile. */
void map_each(const struct map *m, void (*visit)(void *value, void *context), void *context);
