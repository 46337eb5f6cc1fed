/*
 * The handshake Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s (WireGuard paper, section 5.4)
 *
 * Only the cryptography: bodies of the two messages without type, indices and MACs. The initiator
 * keeps a struct noise_handshake between writing the initiation and reading the response; the
 * responder needs one only while it answers, and computes the shared secrets itself. It takes several
 * handshakes at once through each step, in less time than one after the other.
 * noise_handshake_done() wipes one; a zeroed one is empty.
 */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"
#include "wireguard/aead.h"
#include "wireguard/blake2s.h"
#include "wireguard/dh.h"

#define NOISE_TIMESTAMP_SIZE 12

/* Exactly the bytes on the wire. */
struct noise_initiation {
	uint8_t ephemeral[DH_SIZE];
	uint8_t static_key[DH_SIZE + AEAD_TAG_SIZE];
	uint8_t timestamp[NOISE_TIMESTAMP_SIZE + AEAD_TAG_SIZE];
};

struct noise_response {
	uint8_t ephemeral[DH_SIZE];
	uint8_t nothing[AEAD_TAG_SIZE];
};

struct noise_handshake {
	uint8_t chaining_key[BLAKE2S_SIZE];
	uint8_t hash[BLAKE2S_SIZE];
	struct dh_key *ephemeral; /* the initiator's own; owned */
};

struct noise_keys {
	uint8_t send[AEAD_KEY_SIZE];
	uint8_t receive[AEAD_KEY_SIZE];
};

void noise_handshake_done(struct noise_handshake *handshake);
DEFINE_CLEANUP_DONE(struct noise_handshake, noise_handshake_done);

/* The functions below return, and leave as a result: 0, -EBADMSG (not authentic), -EKEYREJECTED (a public
 * key of low order) or -ENOMEM. */

/*
 * Begins a handshake. @self: our static key. @shared: the secret of both static keys.
 * @ephemeral: 32 random bytes, wiped. What @handshake held before is released.
 */
int noise_write_initiation(struct noise_handshake *handshake, struct dh_key *self,
			   const uint8_t remote_static[DH_SIZE], const uint8_t shared[DH_SIZE],
			   const uint8_t timestamp[NOISE_TIMESTAMP_SIZE],
			   uint8_t ephemeral[DH_SIZE], struct noise_initiation *ret);

/* Who is an initiation from, as it says? noise_read_timestamps() proves it. */
struct noise_reading {
	struct noise_handshake *handshake; /* begins here */
	const uint8_t *self; /* our static public key */
	const uint8_t *secret; /* of our static key and the ephemeral one of the initiation */
	const struct noise_initiation *from;
	uint8_t *remote_static; /* out */
	int result; /* out */
};

void noise_read_initiations(struct noise_reading *readings, size_t count);

/* Is it really? */
struct noise_proof {
	struct noise_handshake *handshake;
	const uint8_t *shared; /* the secret of both static keys */
	const struct noise_initiation *from;
	uint8_t *timestamp; /* out */
	int result; /* out */
};

void noise_read_timestamps(struct noise_proof *proofs, size_t count);

/* The answer to an initiation that was read. */
struct noise_writing {
	struct noise_handshake *handshake; /* ends here */
	const uint8_t *ephemeral; /* our new public key */
	const uint8_t *with_ephemeral; /* the secrets of its private half and the other side's keys */
	const uint8_t *with_static;
	const uint8_t *preshared_key;
	struct noise_response *response; /* out */
	struct noise_keys *keys; /* out */
	int result; /* out */
};

void noise_write_responses(struct noise_writing *writings, size_t count);

/* Ends the handshake that @handshake began, which stays as it is: a forged response does no harm. */
int noise_read_response(const struct noise_handshake *handshake, struct dh_key *self,
			const uint8_t preshared_key[DH_SIZE], const struct noise_response *from,
			struct noise_keys *ret_keys);
