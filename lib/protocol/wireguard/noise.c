#include "wireguard/noise.h"

#include "base/secret.h"

static const char construction[] = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
static const char identifier[] = "WireGuard v1 zx2c4 Jason@zx2c4.com";
static const uint8_t zero_nonce[AEAD_NONCE_SIZE]; /* each key is used once */

void noise_handshake_done(struct noise_handshake *handshake)
{
	dh_key_free(handshake->ephemeral);
	secret_wipe(handshake, sizeof(*handshake));
}

static void mix_hash(struct noise_handshake *h, const void *data, size_t size)
{
	blake2s_hash(h->hash, h->hash, sizeof(h->hash), data, size);
}

/* Mixes a value into the chaining key; @key, if not NULL, is the key for the next payload. */
static void mix_key(struct noise_handshake *h, const uint8_t value[DH_SIZE], uint8_t *key)
{
	blake2s_kdf(h->chaining_key, value, DH_SIZE, h->chaining_key, key, NULL);
}

static int mix_dh(struct noise_handshake *h, struct dh_key *own, const uint8_t remote[DH_SIZE],
		  uint8_t *key)
{
	uint8_t shared[DH_SIZE];
	int r = dh_shared(own, remote, shared);

	if (r == 0)
		mix_key(h, shared, key);
	secret_wipe(shared, sizeof(shared));
	return r;
}

static int seal_payload(struct noise_handshake *h, uint8_t key[AEAD_KEY_SIZE], const void *from,
			size_t size, uint8_t *to)
{
	int r = aead_seal_once(key, zero_nonce, h->hash, sizeof(h->hash), from, size, to);

	secret_wipe(key, AEAD_KEY_SIZE);
	mix_hash(h, to, size + AEAD_TAG_SIZE);
	return r;
}

/* @size: with the tag. */
static int open_payload(struct noise_handshake *h, uint8_t key[AEAD_KEY_SIZE], const uint8_t *from,
			size_t size, uint8_t *to)
{
	int r = aead_open_once(key, zero_nonce, h->hash, sizeof(h->hash), from, size, to);

	secret_wipe(key, AEAD_KEY_SIZE);
	mix_hash(h, from, size);
	return r;
}

static void begin(struct noise_handshake *h, const uint8_t responder_static[DH_SIZE])
{
	blake2s_hash(h->chaining_key, construction, strlen(construction), NULL, 0);
	blake2s_hash(h->hash, h->chaining_key, sizeof(h->chaining_key), identifier,
		     strlen(identifier));
	mix_hash(h, responder_static, DH_SIZE);
}

static void mix_ephemeral(struct noise_handshake *h, const uint8_t public_key[DH_SIZE])
{
	mix_key(h, public_key, NULL);
	mix_hash(h, public_key, DH_SIZE);
}

/* Mixes the preshared key; @key is for the empty payload of the response. */
static void mix_preshared_key(struct noise_handshake *h, const uint8_t preshared_key[DH_SIZE],
			      uint8_t key[AEAD_KEY_SIZE])
{
	uint8_t mixed[BLAKE2S_SIZE];

	blake2s_kdf(h->chaining_key, preshared_key, DH_SIZE, h->chaining_key, mixed, key);
	mix_hash(h, mixed, sizeof(mixed));
	secret_wipe(mixed, sizeof(mixed));
}

int noise_write_initiation(struct noise_handshake *handshake, struct dh_key *self,
			   const uint8_t remote_static[DH_SIZE], const uint8_t shared[DH_SIZE],
			   const uint8_t timestamp[NOISE_TIMESTAMP_SIZE],
			   uint8_t ephemeral[DH_SIZE], struct noise_initiation *ret)
{
	CLEANUP(noise_handshake_done) struct noise_handshake h = { 0 };
	uint8_t key[AEAD_KEY_SIZE];
	uint8_t public_key[DH_SIZE];
	int r;

	begin(&h, remote_static);
	dh_clamp(ephemeral);
	r = dh_key_new(ephemeral, &h.ephemeral);
	secret_wipe(ephemeral, DH_SIZE);
	if (r < 0)
		return r;
	dh_key_public(h.ephemeral, ret->ephemeral);
	mix_ephemeral(&h, ret->ephemeral);
	r = mix_dh(&h, h.ephemeral, remote_static, key);
	if (r < 0)
		return r;
	dh_key_public(self, public_key);
	r = seal_payload(&h, key, public_key, sizeof(public_key), ret->static_key);
	if (r < 0)
		return r;
	mix_key(&h, shared, key);
	r = seal_payload(&h, key, timestamp, NOISE_TIMESTAMP_SIZE, ret->timestamp);
	if (r < 0)
		return r;
	noise_handshake_done(handshake);
	*handshake = h;
	secret_wipe(&h, sizeof(h));
	return 0;
}

int noise_read_initiation(struct noise_handshake *handshake, const uint8_t self[DH_SIZE],
			  const uint8_t secret[DH_SIZE], const struct noise_initiation *from,
			  uint8_t ret_remote_static[DH_SIZE])
{
	uint8_t key[AEAD_KEY_SIZE];

	begin(handshake, self);
	mix_ephemeral(handshake, from->ephemeral);
	mix_key(handshake, secret, key);
	return open_payload(handshake, key, from->static_key, sizeof(from->static_key),
			    ret_remote_static);
}

int noise_read_timestamp(struct noise_handshake *handshake, const uint8_t shared[DH_SIZE],
			 const struct noise_initiation *from, uint8_t ret[NOISE_TIMESTAMP_SIZE])
{
	uint8_t key[AEAD_KEY_SIZE];

	mix_key(handshake, shared, key);
	return open_payload(handshake, key, from->timestamp, sizeof(from->timestamp), ret);
}

int noise_write_response(struct noise_handshake *handshake, const uint8_t ephemeral[DH_SIZE],
			 const uint8_t with_ephemeral[DH_SIZE], const uint8_t with_static[DH_SIZE],
			 const uint8_t preshared_key[DH_SIZE], struct noise_response *ret,
			 struct noise_keys *ret_keys)
{
	uint8_t key[AEAD_KEY_SIZE];
	int r;

	memcpy(ret->ephemeral, ephemeral, DH_SIZE);
	mix_ephemeral(handshake, ephemeral);
	mix_key(handshake, with_ephemeral, NULL);
	mix_key(handshake, with_static, NULL);
	mix_preshared_key(handshake, preshared_key, key);
	r = seal_payload(handshake, key, NULL, 0, ret->nothing);
	if (r < 0)
		return r;
	blake2s_kdf(handshake->chaining_key, NULL, 0, ret_keys->receive, ret_keys->send, NULL);
	return 0;
}

int noise_read_response(const struct noise_handshake *handshake, struct dh_key *self,
			const uint8_t preshared_key[DH_SIZE], const struct noise_response *from,
			struct noise_keys *ret_keys)
{
	struct noise_handshake h = *handshake;
	uint8_t key[AEAD_KEY_SIZE];
	int r;

	mix_ephemeral(&h, from->ephemeral);
	r = mix_dh(&h, handshake->ephemeral, from->ephemeral, NULL);
	if (r == 0)
		r = mix_dh(&h, self, from->ephemeral, NULL);
	if (r == 0) {
		mix_preshared_key(&h, preshared_key, key);
		r = open_payload(&h, key, from->nothing, sizeof(from->nothing), key);
	}
	if (r == 0)
		blake2s_kdf(h.chaining_key, NULL, 0, ret_keys->send, ret_keys->receive, NULL);
	secret_wipe(&h, sizeof(h)); /* the ephemeral key belongs to @handshake */
	return r;
}
