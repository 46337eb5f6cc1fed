/* Our ciphers of single messages and X25519 against the vectors of Wycheproof. */
#include "wireguard/wycheproof_test.h"
#include "wireguard/aead.h"
#include "wireguard/dh.h"
#include "wireguard/dh_avx2.h"
#include "wireguard/xchacha.h"

struct cipher {
	const char *file;
	size_t nonce_size;
	int (*seal)(const uint8_t *key, const uint8_t *nonce, const void *associated,
		    size_t associated_size, const uint8_t *from, size_t size, uint8_t *to);
	int (*open)(const uint8_t *key, const uint8_t *nonce, const void *associated,
		    size_t associated_size, const uint8_t *from, size_t size, uint8_t *to);
};

static void check_cipher(const struct cipher *c, const struct aead_vector *v)
{
	static const uint8_t zeroes[VECTOR_BYTES];
	uint8_t out[VECTOR_BYTES + AEAD_TAG_SIZE], in[VECTOR_BYTES + AEAD_TAG_SIZE];
	int r;

	memcpy(in, v->cipher, v->size);
	memcpy(in + v->size, v->tag, AEAD_TAG_SIZE);
	r = c->seal(v->key, v->nonce, v->associated, v->associated_size, v->plain, v->size, out);
	assert_int_equal(r, 0);
	assert_memory_equal(out, v->cipher, v->size);
	assert_int_equal(memcmp(out + v->size, v->tag, AEAD_TAG_SIZE) == 0, v->valid);
	r = c->open(v->key, v->nonce, v->associated, v->associated_size, in,
		    v->size + AEAD_TAG_SIZE, out);
	assert_int_equal(r, v->valid ? 0 : -EBADMSG);
	assert_memory_equal(out, v->valid ? v->plain : zeroes, v->size);
}

/* Those with a nonce of another size cannot be told to us: there are just so many. */
static void check_vectors(const struct cipher *c, size_t expected, size_t expected_other_nonces)
{
	CLEANUP(vectors_done) struct vectors vectors;
	struct aead_vector v;
	size_t checked = 0, other_nonces = 0;

	vectors_open(&vectors, c->file);
	while (vectors_next_aead(&vectors, &v)) {
		if (v.nonce_size != c->nonce_size) {
			assert_false(v.valid);
			other_nonces++;
			continue;
		}
		check_cipher(c, &v);
		checked++;
	}
	assert_int_equal(checked, expected);
	assert_int_equal(other_nonces, expected_other_nonces);
}

static void chacha20_poly1305(void **state)
{
	static const struct cipher cipher = { "chacha20_poly1305.txt", AEAD_NONCE_SIZE,
					      aead_seal_once, aead_open_once };

	(void)state;
	assert_int_equal(aead_prepare(), 0);
	check_vectors(&cipher, 316, 9);
}

static void xchacha20_poly1305(void **state)
{
	static const struct cipher cipher = { "xchacha20_poly1305.txt", XCHACHA_NONCE_SIZE,
					      xchacha_seal, xchacha_open };

	(void)state;
	assert_int_equal(aead_prepare(), 0);
	check_vectors(&cipher, 306, 9);
}

#define LANES DH_AVX2_LANES

/* Some that follow each other in the file. */
struct dh_group {
	uint8_t private_keys[LANES][VECTOR_BYTES];
	uint8_t public_keys[LANES][VECTOR_BYTES];
	uint8_t secrets[LANES][VECTOR_BYTES];
	size_t count;
};

static bool read_group(struct vectors *vectors, struct dh_group *g)
{
	g->count = 0;
	while (g->count < LANES && vectors_next(vectors, 5)) {
		assert_int_equal(vector_bytes(vectors->fields[1], g->private_keys[g->count]),
				 DH_SIZE);
		assert_int_equal(vector_bytes(vectors->fields[2], g->public_keys[g->count]),
				 DH_SIZE);
		assert_int_equal(vector_bytes(vectors->fields[3], g->secrets[g->count]), DH_SIZE);
		g->count++;
	}
	return g->count > 0;
}

/* Where the secret is zero the vectors want to be computed or refused: we refuse. */
static int expected_result(const struct dh_group *g, size_t i)
{
	static const uint8_t zero[DH_SIZE];

	return memcmp(g->secrets[i], zero, DH_SIZE) == 0 ? -EKEYREJECTED : 0;
}

static void check_requests(const struct dh_group *g, bool together)
{
	struct dh_request requests[LANES];
	uint8_t secrets[LANES][DH_SIZE];

	for (size_t i = 0; i < g->count; i++) {
		requests[i] = (struct dh_request){ .public_key = g->public_keys[i],
						   .secret = secrets[i],
						   .result = 1 };
		assert_int_equal(dh_key_new(g->private_keys[i], &requests[i].key), 0);
	}
	if (together)
		dh_shared_many(requests, g->count);
	for (size_t i = 0; i < g->count; i++) {
		if (!together)
			requests[i].result =
				dh_shared(requests[i].key, g->public_keys[i], secrets[i]);
		assert_int_equal(requests[i].result, expected_result(g, i));
		if (requests[i].result == 0)
			assert_memory_equal(secrets[i], g->secrets[i], DH_SIZE);
		dh_key_free(requests[i].key);
	}
}

static void check_avx2(const struct dh_group *g)
{
	struct dh_avx2_pair pairs[LANES];
	uint8_t secrets[LANES][DH_SIZE];

	for (size_t i = 0; i < g->count; i++)
		pairs[i] =
			(struct dh_avx2_pair){ g->private_keys[i], g->public_keys[i], secrets[i] };
	dh_avx2_shared(pairs, g->count);
	for (size_t i = 0; i < g->count; i++)
		assert_memory_equal(secrets[i], g->secrets[i], DH_SIZE);
}

static void x25519(void **state)
{
	CLEANUP(vectors_done) struct vectors vectors;
	struct dh_group group;
	size_t checked = 0, refused = 0;

	(void)state;
	vectors_open(&vectors, "x25519.txt");
	while (read_group(&vectors, &group)) {
		check_requests(&group, false);
		check_requests(&group, true);
		if (dh_avx2_available())
			check_avx2(&group);
		for (size_t i = 0; i < group.count; i++)
			refused += expected_result(&group, i) != 0;
		checked += group.count;
	}
	assert_int_equal(checked, 518);
	assert_int_equal(refused, 31);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chacha20_poly1305),
		cmocka_unit_test(xchacha20_poly1305),
		cmocka_unit_test(x25519),
	};

	vector_folder = argc > 1 ? argv[1] : NULL;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
