/*
 * The header X-StartOS-Auth-Sig: a request signed by a key
 *
 * Its value is a form of six fields (tunnel.md 2.5, docs/formats/signature-header.md). The key signs a
 * commitment of 56 bytes to the time, a nonce, and the body's size and BLAKE3, under a context: the name
 * or address by which the client knows the server, so that no other server can use the request.
 *
 *	signature_header_prepare(now_s, body, size, public_key, &header);
 *	signature_header_sign(&header, seed, "203.0.113.7");
 *	signature_header_write(&header, &text);
 *
 * An SSH agent signs nothing but plain messages. For it, the field `signature` holds an SSHSIG armor over
 * the context and the commitment: ask the agent for a signature of signature_header_ssh_blob() and give
 * it to signature_header_set_ssh().
 */
#pragma once

#include "base/fault.h"
#include "base/text.h"
#include "crypto/blake3.h"
#include "crypto/ssh_signature.h"

#define SIGNATURE_HEADER_MAX 4096 /* bytes of the value */
#define SIGNATURE_COMMITMENT_SIZE 56

enum signature_header_kind {
	SIGNATURE_ED25519PH,
	SIGNATURE_SSH,
};

struct signature_header {
	int64_t timestamp; /* Unix time, seconds */
	uint64_t nonce;
	uint64_t size; /* of the body */
	uint8_t blake3[BLAKE3_SIZE]; /* of the body */
	uint8_t signer[ED25519_PUBLIC_SIZE];
	enum signature_header_kind kind;
	enum ssh_signature_hash ssh_hash; /* of SIGNATURE_SSH */
	uint8_t signature[ED25519_SIGNATURE_SIZE];
};

/* Fills in all but the signature, with a random nonce. */
void signature_header_prepare(int64_t now_s, const void *body, size_t size,
			      const uint8_t public_key[ED25519_PUBLIC_SIZE],
			      struct signature_header *ret);

/* Signs by Ed25519ph. Returns 0, or -EINVAL: the context is too long. */
int signature_header_sign(struct signature_header *header, const uint8_t seed[ED25519_SEED_SIZE],
			  const char *context);

/* The bytes that an agent has to sign, into @ret; returns their number, or -EINVAL: the context is
 * too long. */
ssize_t signature_header_ssh_blob(const struct signature_header *header, const char *context,
				  uint8_t ret[SSH_SIGNATURE_BLOB_MAX]);

/* Takes what the agent answered. */
void signature_header_set_ssh(struct signature_header *header,
			      const uint8_t signature[ED25519_SIGNATURE_SIZE]);

/* Appends the value of the header. */
void signature_header_write(const struct signature_header *header, struct text *to);

/* Reads a value: the fields in any order, each once; others are ignored. Returns 0, or -EPROTO with a
 * fault that names the field. Nothing is verified. */
int signature_header_parse(const char *value, struct signature_header *ret, struct fault *fault);

/* Whether the key has signed under this context. */
bool signature_header_verify(const struct signature_header *header, const char *context);
