/*
 * An instruction set's ciphers of several packets at once against the vectors of Wycheproof
 *
 * aead_lanes.h takes a nonce that begins with a word of zero, and no associated data. No vector of
 * ChaCha20-Poly1305 is like that. So a test includes this, and then the source of the instruction set:
 * what is the same for all of WireGuard's packets becomes a variable, and the rest of the code is what the
 * program has. The linker takes this program's set instead of the library's.
 *
 * Cipher text is compared as it is. Tags are made of associated data and cipher text one after the other,
 * each padded, which is what a packet of both has, but for the lengths at its end.
 */
#pragma once

#include "wireguard/aead_lanes.h"
#include "wireguard/wycheproof_test.h"

static uint32_t vector_nonce_start;
static uint64_t vector_lengths[2];

#define NONCE_START vector_nonce_start
#define LENGTHS(packet) vector_lengths[0], vector_lengths[1]

/* The same vector in each lane, each in memory of its own. */
struct lanes_group {
	struct aead_packet packets[AEAD_LANES_MAX];
	uint8_t data[AEAD_LANES_MAX][2 * VECTOR_BYTES + AEAD_TAG_SIZE];
	size_t count;
};

static void fill_group(struct lanes_group *g, const struct aead_vector *v, const uint8_t *text,
		       size_t size, size_t count)
{
	uint64_t counter = 0;

	memcpy(&vector_nonce_start, v->nonce, sizeof(vector_nonce_start));
	memcpy(&counter, v->nonce + sizeof(vector_nonce_start), sizeof(counter));
	g->count = count;
	for (size_t i = 0; i < count; i++) {
		memcpy(g->data[i], text, size);
		memcpy(g->data[i] + size, v->tag, AEAD_TAG_SIZE);
		g->packets[i] = (struct aead_packet){ g->data[i], size, counter, false };
	}
}

static void check_cipher_text(const struct aead_lanes *lanes, const struct aead_vector *v,
			      size_t count)
{
	static struct lanes_group g;

	vector_lengths[0] = v->associated_size;
	vector_lengths[1] = v->size;
	fill_group(&g, v, v->plain, v->size, count);
	lanes->seal(v->key, g.packets, count);
	for (size_t i = 0; i < count; i++)
		assert_memory_equal(g.data[i], v->cipher, v->size);
	fill_group(&g, v, v->cipher, v->size, count);
	lanes->open(v->key, g.packets, count);
	for (size_t i = 0; i < count; i++) {
		assert_memory_equal(g.data[i], v->plain, v->size);
		if (v->associated_size == 0)
			assert_int_equal(g.packets[i].authentic, v->valid);
	}
}

static size_t padded(size_t size)
{
	return (size + 15) / 16 * 16;
}

/* Opened, they are nothing that means anything, but sealed again they are the same. */
static void check_tags(const struct aead_lanes *lanes, const struct aead_vector *v, size_t count)
{
	static struct lanes_group g;
	uint8_t text[2 * VECTOR_BYTES] = { 0 };
	size_t begin = padded(v->associated_size), size = begin + padded(v->size);

	memcpy(text, v->associated, v->associated_size);
	memcpy(text + begin, v->cipher, v->size);
	vector_lengths[0] = v->associated_size;
	vector_lengths[1] = v->size;
	fill_group(&g, v, text, size, count);
	lanes->open(v->key, g.packets, count);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(g.packets[i].authentic, v->valid);
	lanes->seal(v->key, g.packets, count);
	for (size_t i = 0; i < count; i++) {
		assert_memory_equal(g.data[i], text, size);
		assert_int_equal(memcmp(g.data[i] + size, v->tag, AEAD_TAG_SIZE) == 0, v->valid);
	}
}

static void check_lanes(const struct aead_lanes *lanes)
{
	CLEANUP(vectors_done) struct vectors vectors;
	struct aead_vector v;
	size_t checked = 0, other_nonces = 0, plain_packets = 0;

	vectors_open(&vectors, "chacha20_poly1305.txt");
	while (vectors_next_aead(&vectors, &v)) {
		static const uint8_t zero[4];

		if (v.nonce_size != AEAD_NONCE_SIZE) { /* cannot be told to us */
			assert_false(v.valid);
			other_nonces++;
			continue;
		}
		plain_packets += v.associated_size == 0 && memcmp(v.nonce, zero, 4) == 0;
		for (size_t count = 1; count <= lanes->group; count++) {
			check_cipher_text(lanes, &v, count);
			check_tags(lanes, &v, count);
		}
		checked++;
	}
	assert_int_equal(checked, 316);
	assert_int_equal(other_nonces, 9);
	assert_int_equal(plain_packets, 0); /* else aead_seal() could be asked, too */
}

/* Skips where the processor does not have the instruction set. */
static void check_lanes_if_supported(const struct aead_lanes *lanes)
{
	const struct aead_lanes *supported[AEAD_LANES_SETS];
	size_t count = aead_lanes_supported(supported);

	for (size_t i = 0; i < count; i++) {
		if (supported[i] == lanes) {
			check_lanes(lanes);
			return;
		}
	}
	print_message("this processor has no %s\n", lanes->name);
	skip();
}

#define LANES_TEST_MAIN(set)                                                                       \
	static void vectors_of_several_at_once(void **state)                                       \
	{                                                                                          \
		(void)state;                                                                       \
		check_lanes_if_supported(&(set));                                                  \
	}                                                                                          \
                                                                                                   \
	int main(int argc, char **argv)                                                            \
	{                                                                                          \
		const struct CMUnitTest tests[] = {                                                \
			cmocka_unit_test(vectors_of_several_at_once),                              \
		};                                                                                 \
                                                                                                   \
		vector_folder = argc > 1 ? argv[1] : NULL;                                         \
		return cmocka_run_group_tests(tests, NULL, NULL);                                  \
	}
