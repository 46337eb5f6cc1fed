/*
 * Reads the vectors of tests/corpus/wycheproof (its README says what a line has)
 *
 * For the tests of this folder. Meson gives them the folder of all corpora as their argument.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#include "base/test.h"

#define VECTOR_FIELDS 8
#define VECTOR_BYTES 528 /* of a text, padded */

static const char *vector_folder; /* set by main() */

struct vectors {
	FILE *file;
	char line[4096];
	const char *fields[VECTOR_FIELDS];
};

static inline void vectors_done(struct vectors *v)
{
	(void)fclose(v->file);
}
DEFINE_CLEANUP_DONE(struct vectors, vectors_done);

static inline void vectors_open(struct vectors *v, const char *name)
{
	char path[4096];

	if (!vector_folder)
		fail_msg("the test's argument is to be the folder tests/corpus");
	(void)snprintf(path, sizeof(path), "%s/wycheproof/%s", vector_folder, name);
	v->file = fopen(path, "re");
	if (!v->file)
		fail_msg("cannot open %s", path);
}

/* Reads the next line that is no comment; false at the end. */
static inline bool vectors_next(struct vectors *v, size_t field_count)
{
	char *rest = v->line;

	do {
		if (!fgets(v->line, sizeof(v->line), v->file))
			return false;
	} while (v->line[0] == '#');
	v->line[strcspn(v->line, "\n")] = 0;
	for (size_t i = 0; i < field_count; i++) {
		v->fields[i] = strsep(&rest, " ");
		assert_non_null(v->fields[i]);
	}
	assert_null(rest);
	return true;
}

/* Reads hexadecimal text, or "-" for nothing. Returns the number of bytes. */
static inline size_t vector_bytes(const char *text, uint8_t to[VECTOR_BYTES])
{
	size_t size = strlen(text) / 2;

	assert_true(size <= VECTOR_BYTES);
	for (size_t i = 0; i < size; i++) {
		const char byte[3] = { text[2 * i], text[2 * i + 1], 0 };

		to[i] = (uint8_t)strtoul(byte, NULL, 16);
	}
	return size;
}

/* One of an AEAD. */
struct aead_vector {
	unsigned id;
	bool valid;
	uint8_t key[VECTOR_BYTES], nonce[VECTOR_BYTES], associated[VECTOR_BYTES];
	uint8_t plain[VECTOR_BYTES], cipher[VECTOR_BYTES], tag[VECTOR_BYTES];
	size_t nonce_size, associated_size, size;
};

static inline bool vectors_next_aead(struct vectors *v, struct aead_vector *ret)
{
	if (!vectors_next(v, 8))
		return false;
	*ret = (struct aead_vector){ .id = (unsigned)strtoul(v->fields[0], NULL, 10) };
	assert_int_equal(vector_bytes(v->fields[1], ret->key), 32);
	ret->nonce_size = vector_bytes(v->fields[2], ret->nonce);
	ret->associated_size = vector_bytes(v->fields[3], ret->associated);
	ret->size = vector_bytes(v->fields[4], ret->plain);
	assert_int_equal(vector_bytes(v->fields[5], ret->cipher), ret->size);
	ret->valid = strcmp(v->fields[7], "valid") == 0;
	/* What cannot be sealed has none. */
	assert_true(vector_bytes(v->fields[6], ret->tag) == 16 || !ret->valid);
	assert_true(ret->valid || strcmp(v->fields[7], "invalid") == 0);
	return true;
}
