/*
 * Linear probing with backward-shift deletion: no tombstones, so that a map in which keys come and
 * go for years stays as fast as a new one. SipHash-2-4 (Aumasson, Bernstein 2012) hashes the keys.
 */
#include "base/map.h"

#include <assert.h>
#include <stdbool.h>

#include "base/secret.h"

struct map_entry {
	uint64_t hash;
	void *key; /* NULL: the slot is free */
	size_t key_size;
	void *value;
};

static uint64_t rotate_left(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotate_left(v[1], 13) ^ v[0];
	v[0] = rotate_left(v[0], 32);
	v[2] += v[3];
	v[3] = rotate_left(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate_left(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate_left(v[1], 17) ^ v[2];
	v[2] = rotate_left(v[2], 32);
}

static uint64_t map_hash(const struct map *m, const uint8_t *key, size_t size)
{
	uint64_t v[4] = { m->seed[0] ^ UINT64_C(0x736f6d6570736575),
			  m->seed[1] ^ UINT64_C(0x646f72616e646f6d),
			  m->seed[0] ^ UINT64_C(0x6c7967656e657261),
			  m->seed[1] ^ UINT64_C(0x7465646279746573) };
	uint64_t last = (uint64_t)size << 56;
	uint64_t word;
	size_t i;

	for (i = 0; i + 8 <= size; i += 8) {
		memcpy(&word, key + i, 8);
		v[3] ^= word;
		sip_round(v);
		sip_round(v);
		v[0] ^= word;
	}
	for (size_t j = i; j < size; j++)
		last |= (uint64_t)key[j] << 8 * (j - i);
	v[3] ^= last;
	sip_round(v);
	sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	for (i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void map_done(struct map *m)
{
	for (size_t i = 0; i < m->capacity; i++)
		free(m->entries[i].key);
	free(m->entries);
	*m = (struct map){ 0 };
}

/* Finds the key's slot, or the free slot where it would go. */
static struct map_entry *map_slot(const struct map *m, const void *key, size_t size, uint64_t hash)
{
	size_t mask = m->capacity - 1;

	for (size_t i = hash & mask;; i = (i + 1) & mask) {
		struct map_entry *e = &m->entries[i];

		if (!e->key)
			return e;
		if (e->hash == hash && e->key_size == size && memcmp(e->key, key, size) == 0)
			return e;
	}
}

static int map_grow(struct map *m)
{
	struct map bigger = *m;

	bigger.capacity = m->capacity ? m->capacity * 2 : 16;
	if (m->capacity == 0)
		random_bytes(bigger.seed, sizeof(bigger.seed));
	bigger.entries = calloc(bigger.capacity, sizeof(*bigger.entries));
	if (!bigger.entries)
		return -ENOMEM;
	for (size_t i = 0; i < m->capacity; i++) {
		struct map_entry *e = &m->entries[i];

		if (e->key)
			*map_slot(&bigger, e->key, e->key_size, e->hash) = *e;
	}
	free(m->entries);
	*m = bigger;
	return 0;
}

int map_set(struct map *m, const void *key, size_t key_size, void *value, void **ret_old)
{
	struct map_entry *e;
	uint64_t hash;
	void *copy;

	assert(value);
	if ((m->count + 1) * 4 > m->capacity * 3 && map_grow(m) < 0)
		return -ENOMEM;
	hash = map_hash(m, key, key_size);
	e = map_slot(m, key, key_size, hash);
	if (ret_old)
		*ret_old = e->key ? e->value : NULL;
	if (e->key) {
		e->value = value;
		return 0;
	}
	copy = malloc(key_size ? key_size : 1);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, key, key_size);
	*e = (struct map_entry){ hash, copy, key_size, value };
	m->count++;
	return 0;
}

void *map_get(const struct map *m, const void *key, size_t key_size)
{
	struct map_entry *e;

	if (m->count == 0)
		return NULL;
	e = map_slot(m, key, key_size, map_hash(m, key, key_size));
	return e->key ? e->value : NULL;
}

void *map_remove(struct map *m, const void *key, size_t key_size)
{
	size_t mask = m->capacity - 1;
	struct map_entry *hole;
	void *value;

	if (m->count == 0)
		return NULL;
	hole = map_slot(m, key, key_size, map_hash(m, key, key_size));
	if (!hole->key)
		return NULL;
	value = hole->value;
	free(hole->key);

	/* Move back every later entry of the run that may stand in the hole. */
	for (size_t i = (size_t)(hole - m->entries);;) {
		struct map_entry *e;
		size_t distance;

		i = (i + 1) & mask;
		e = &m->entries[i];
		if (!e->key)
			break;
		distance = (i - e->hash) & mask;
		if (distance >= ((i - (size_t)(hole - m->entries)) & mask)) {
			*hole = *e;
			hole = e;
		}
	}
	*hole = (struct map_entry){ 0 };
	m->count--;
	return value;
}

void map_each(const struct map *m, void (*visit)(void *value, void *context), void *context)
{
	for (size_t i = 0; i < m->capacity; i++)
		if (m->entries[i].key)
			visit(m->entries[i].value, context);
}
