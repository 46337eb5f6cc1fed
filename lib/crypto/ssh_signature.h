/*
 * Signatures of SSH keys over any data: SSHSIG
 *
 * The form of OpenSSH's PROTOCOL.sshsig, as `ssh-keygen -Y sign` writes it: "-----BEGIN SSH SIGNATURE-----"
 * around base64. What is signed is plain Ed25519 over a blob of the namespace and a hash of the data, so
 * that an SSH agent can do it (its SIGN_REQUEST over ssh_signature_blob()). Only ssh-ed25519 keys.
 */
#pragma once

#include "base/fault.h"
#include "base/text.h"
#include "crypto/ed25519.h"

#define SSH_SIGNATURE_NAMESPACE "start-tunnel"
#define SSH_SIGNATURE_TEXT_MAX 4096 /* bytes of an armored signature */
#define SSH_SIGNATURE_NAMESPACE_MAX 64
#define SSH_SIGNATURE_BLOB_MAX (6 + 3 * 4 + SSH_SIGNATURE_NAMESPACE_MAX + 6 + 4 + 64)

enum ssh_signature_hash {
	SSH_SIGNATURE_SHA512, /* what ssh-keygen and this library take */
	SSH_SIGNATURE_SHA256,
};

struct ssh_signature {
	uint8_t public_key[ED25519_PUBLIC_SIZE];
	char name[SSH_SIGNATURE_NAMESPACE_MAX + 1]; /* the namespace */
	enum ssh_signature_hash hash;
	uint8_t signature[ED25519_SIGNATURE_SIZE];
};

/* Reads an armored signature; it is not verified. Returns 0, or -EPROTO with a fault. */
int ssh_signature_parse(const char *text, struct ssh_signature *ret, struct fault *fault);

/* Appends the armored form, with LF line ends and 70 digits in a line as ssh-keygen writes it. */
void ssh_signature_write(const struct ssh_signature *signature, struct text *to);

/* The bytes that a key signs for a message. @name: the namespace, at most SSH_SIGNATURE_NAMESPACE_MAX
 * bytes. Returns their number. */
size_t ssh_signature_blob(const char *name, enum ssh_signature_hash hash, const void *message,
			  size_t size, uint8_t ret[SSH_SIGNATURE_BLOB_MAX]);

/* Whether it is a signature of @message in the namespace @name by the key that it carries. */
bool ssh_signature_verify(const struct ssh_signature *signature, const char *name,
			  const void *message, size_t size);

/* Makes one with a raw key. */
void ssh_signature_make(const uint8_t seed[ED25519_SEED_SIZE], const char *name,
			const void *message, size_t size, struct ssh_signature *ret);
