#include "wireguard/noise.h"

#include "base/secret.h"
#include "wireguard/blake2s_many.h"

#define GROUP BLAKE2S_MANY /* handshakes that take a step at once, at most */

static const char construction[] = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
static const char identifier[] = "WireGuard v1 zx2c4 Jason@zx2c4.com";
static const uint8_t zero_nonce[AEAD_NONCE_SIZE]; /* each key is used once */

void noise_handshake_done(struct noise_handshake *handshake)
{
	dh_key_free(handshake->ephemeral);
	secret_wipe(handshake, sizeof(*handshake));
}

static size_t group_of(size_t count)
{
	return count < GROUP ? count : GROUP;
}

/* What follows is done for a group of handshakes at once, each with the value at the same place. */

static void mix_hash(struct noise_handshake *const *h, const uint8_t *const *data, size_t size,
		     size_t count)
{
	uint8_t *hashes[GROUP];

	for (size_t i = 0; i < count; i++)
		hashes[i] = h[i]->hash;
	blake2s_hash_many(hashes, (const uint8_t *const *)hashes, data, size, count);
}

/* Mixes values into the chaining keys. Both outputs may be NULL. */
static void mix_values(struct noise_handshake *const *h, const uint8_t *const *values,
		       uint8_t *const *second, uint8_t *const *third, size_t count)
{
	uint8_t *chaining_keys[GROUP];

	for (size_t i = 0; i < count; i++)
		chaining_keys[i] = h[i]->chaining_key;
	blake2s_kdf_many((const uint8_t *const *)chaining_keys, values, DH_SIZE, chaining_keys,
			 second, third, count);
}

/* @keys, if not NULL, are the keys for the next payloads. */
static void mix_key(struct noise_handshake *const *h, const uint8_t *const *values,
		    uint8_t *const *keys, size_t count)
{
	mix_values(h, values, keys, NULL, count);
}

static void begin(struct noise_handshake *const *h, const uint8_t *const *responders, size_t count)
{
	struct noise_handshake first;

	blake2s_hash(first.chaining_key, construction, strlen(construction), NULL, 0);
	blake2s_hash(first.hash, first.chaining_key, sizeof(first.chaining_key), identifier,
		     strlen(identifier));
	for (size_t i = 0; i < count; i++) {
		memcpy(h[i]->chaining_key, first.chaining_key, sizeof(first.chaining_key));
		memcpy(h[i]->hash, first.hash, sizeof(first.hash));
	}
	mix_hash(h, responders, DH_SIZE, count);
}

static void mix_ephemeral(struct noise_handshake *const *h, const uint8_t *const *public_keys,
			  size_t count)
{
	mix_key(h, public_keys, NULL, count);
	mix_hash(h, public_keys, DH_SIZE, count);
}

/* Mixes preshared keys; @keys are for the empty payloads of responses. */
static void mix_preshared_key(struct noise_handshake *const *h,
			      const uint8_t *const *preshared_keys, uint8_t *const *keys,
			      size_t count)
{
	uint8_t mixed[GROUP][BLAKE2S_SIZE];
	uint8_t *at[GROUP];

	for (size_t i = 0; i < count; i++)
		at[i] = mixed[i];
	mix_values(h, preshared_keys, at, keys, count);
	mix_hash(h, (const uint8_t *const *)at, BLAKE2S_SIZE, count);
	secret_wipe(mixed, sizeof(mixed));
}

/* And this for one. Does not mix what it makes. */
static int seal_payload(const struct noise_handshake *h, uint8_t key[AEAD_KEY_SIZE],
			const void *from, size_t size, uint8_t *to)
{
	int r = aead_seal_once(key, zero_nonce, h->hash, sizeof(h->hash), from, size, to);

	secret_wipe(key, AEAD_KEY_SIZE);
	return r;
}

/* @size: with the tag. Does not mix it. */
static int open_payload(const struct noise_handshake *h, uint8_t key[AEAD_KEY_SIZE],
			const uint8_t *from, size_t size, uint8_t *to)
{
	int r = aead_open_once(key, zero_nonce, h->hash, sizeof(h->hash), from, size, to);

	secret_wipe(key, AEAD_KEY_SIZE);
	return r;
}

static int mix_dh(struct noise_handshake *h, struct dh_key *own, const uint8_t remote[DH_SIZE],
		  uint8_t *key)
{
	uint8_t shared[DH_SIZE];
	const uint8_t *value = shared;
	int r = dh_shared(own, remote, shared);

	if (r == 0)
		mix_key(&h, &value, key ? &key : NULL, 1);
	secret_wipe(shared, sizeof(shared));
	return r;
}

int noise_write_initiation(struct noise_handshake *handshake, struct dh_key *self,
			   const uint8_t remote_static[DH_SIZE], const uint8_t shared[DH_SIZE],
			   const uint8_t timestamp[NOISE_TIMESTAMP_SIZE],
			   uint8_t ephemeral[DH_SIZE], struct noise_initiation *ret)
{
	CLEANUP(noise_handshake_done) struct noise_handshake made = { 0 };
	struct noise_handshake *h = &made;
	const uint8_t *ephemeral_key = ret->ephemeral;
	const uint8_t *static_key = ret->static_key;
	const uint8_t *stamp = ret->timestamp;
	uint8_t key[AEAD_KEY_SIZE];
	uint8_t *keys = key;
	uint8_t public_key[DH_SIZE];
	int r;

	begin(&h, &remote_static, 1);
	dh_clamp(ephemeral);
	r = dh_key_new(ephemeral, &h->ephemeral);
	secret_wipe(ephemeral, DH_SIZE);
	if (r < 0)
		return r;
	dh_key_public(h->ephemeral, ret->ephemeral);
	mix_ephemeral(&h, &ephemeral_key, 1);
	r = mix_dh(h, h->ephemeral, remote_static, key);
	if (r < 0)
		return r;
	dh_key_public(self, public_key);
	r = seal_payload(h, key, public_key, sizeof(public_key), ret->static_key);
	if (r < 0)
		return r;
	mix_hash(&h, &static_key, sizeof(ret->static_key), 1);
	mix_key(&h, &shared, &keys, 1);
	r = seal_payload(h, key, timestamp, NOISE_TIMESTAMP_SIZE, ret->timestamp);
	if (r < 0)
		return r;
	mix_hash(&h, &stamp, sizeof(ret->timestamp), 1);
	noise_handshake_done(handshake);
	*handshake = made;
	secret_wipe(&made, sizeof(made));
	return 0;
}

/* Keys for payloads, and where they are. */
struct keys {
	uint8_t bytes[GROUP][AEAD_KEY_SIZE];
	uint8_t *at[GROUP];
};

static void keys_init(struct keys *keys)
{
	for (size_t i = 0; i < GROUP; i++)
		keys->at[i] = keys->bytes[i];
}

static void read_initiations(struct noise_reading *readings, size_t count)
{
	const uint8_t *self[GROUP], *ephemeral[GROUP], *secret[GROUP];
	const uint8_t *static_key[GROUP];
	struct noise_handshake *h[GROUP];
	struct keys keys;

	keys_init(&keys);
	for (size_t i = 0; i < count; i++) {
		h[i] = readings[i].handshake;
		self[i] = readings[i].self;
		ephemeral[i] = readings[i].from->ephemeral;
		secret[i] = readings[i].secret;
		static_key[i] = readings[i].from->static_key;
	}
	begin(h, self, count);
	mix_ephemeral(h, ephemeral, count);
	mix_key(h, secret, keys.at, count);
	for (size_t i = 0; i < count; i++)
		readings[i].result = open_payload(h[i], keys.bytes[i], static_key[i],
						  sizeof(readings[i].from->static_key),
						  readings[i].remote_static);
	mix_hash(h, static_key, sizeof(readings->from->static_key), count);
}

void noise_read_initiations(struct noise_reading *readings, size_t count)
{
	for (size_t n; count > 0; readings += n, count -= n) {
		n = group_of(count);
		read_initiations(readings, n);
	}
}

static void read_timestamps(struct noise_proof *proofs, size_t count)
{
	const uint8_t *shared[GROUP], *timestamp[GROUP];
	struct noise_handshake *h[GROUP];
	struct keys keys;

	keys_init(&keys);
	for (size_t i = 0; i < count; i++) {
		h[i] = proofs[i].handshake;
		shared[i] = proofs[i].shared;
		timestamp[i] = proofs[i].from->timestamp;
	}
	mix_key(h, shared, keys.at, count);
	for (size_t i = 0; i < count; i++)
		proofs[i].result = open_payload(h[i], keys.bytes[i], timestamp[i],
						sizeof(proofs[i].from->timestamp),
						proofs[i].timestamp);
	mix_hash(h, timestamp, sizeof(proofs->from->timestamp), count);
}

void noise_read_timestamps(struct noise_proof *proofs, size_t count)
{
	for (size_t n; count > 0; proofs += n, count -= n) {
		n = group_of(count);
		read_timestamps(proofs, n);
	}
}

static void write_responses(struct noise_writing *writings, size_t count)
{
	const uint8_t *ephemeral[GROUP], *with_ephemeral[GROUP];
	const uint8_t *with_static[GROUP], *preshared_key[GROUP];
	const uint8_t *chaining_key[GROUP];
	uint8_t *receive[GROUP], *send[GROUP];
	struct noise_handshake *h[GROUP];
	struct keys keys;

	keys_init(&keys);
	for (size_t i = 0; i < count; i++) {
		h[i] = writings[i].handshake;
		ephemeral[i] = writings[i].ephemeral;
		with_ephemeral[i] = writings[i].with_ephemeral;
		with_static[i] = writings[i].with_static;
		preshared_key[i] = writings[i].preshared_key;
		chaining_key[i] = h[i]->chaining_key;
		receive[i] = writings[i].keys->receive;
		send[i] = writings[i].keys->send;
		memcpy(writings[i].response->ephemeral, ephemeral[i], DH_SIZE);
	}
	mix_ephemeral(h, ephemeral, count);
	mix_key(h, with_ephemeral, NULL, count);
	mix_key(h, with_static, NULL, count);
	mix_preshared_key(h, preshared_key, keys.at, count);
	for (size_t i = 0; i < count; i++)
		writings[i].result =
			seal_payload(h[i], keys.bytes[i], NULL, 0, writings[i].response->nothing);
	/* The last step; hash and chaining key are not needed any more. */
	blake2s_kdf_many(chaining_key, NULL, 0, receive, send, NULL, count);
}

void noise_write_responses(struct noise_writing *writings, size_t count)
{
	for (size_t n; count > 0; writings += n, count -= n) {
		n = group_of(count);
		write_responses(writings, n);
	}
}

int noise_read_response(const struct noise_handshake *handshake, struct dh_key *self,
			const uint8_t preshared_key[DH_SIZE], const struct noise_response *from,
			struct noise_keys *ret_keys)
{
	struct noise_handshake copy = *handshake;
	struct noise_handshake *h = &copy;
	const uint8_t *ephemeral = from->ephemeral;
	uint8_t key[AEAD_KEY_SIZE];
	uint8_t *keys = key;
	int r;

	mix_ephemeral(&h, &ephemeral, 1);
	r = mix_dh(h, handshake->ephemeral, from->ephemeral, NULL);
	if (r == 0)
		r = mix_dh(h, self, from->ephemeral, NULL);
	if (r == 0) {
		mix_preshared_key(&h, &preshared_key, &keys, 1);
		r = open_payload(h, key, from->nothing, sizeof(from->nothing), key);
	}
	if (r == 0)
		blake2s_kdf(h->chaining_key, NULL, 0, ret_keys->send, ret_keys->receive, NULL);
	secret_wipe(h, sizeof(*h)); /* the ephemeral key belongs to @handshake */
	return r;
}
