/*
 * Ed25519 keys and signatures as text
 *
 * Public keys: SPKI PEM (RFC 8410), and the line of OpenSSH, "ssh-ed25519 AAAA... comment". Private keys:
 * PKCS#8 PEM (RFC 8410 and 5958, with or without the public half), and the file of OpenSSH without a
 * passphrase (PROTOCOL.key, "openssh-key-v1"). Signatures: PEM with the label SIGNATURE around a DER
 * SEQUENCE of the algorithm and 64 bytes (rpc-and-patchdb.md 3.7).
 *
 * Parsers take text from outside: at most SIGNING_KEY_TEXT_MAX bytes, of which white space around it,
 * the line ends and the widths of lines do not matter. A refusal says what was found instead. Texts are
 * made in one form only: LF line ends, 64 digits in a line.
 */
#pragma once

#include "base/fault.h"
#include "crypto/ed25519.h"

#define SIGNING_KEY_TEXT_MAX 16384 /* bytes of a key or signature as text */
#define SIGNING_KEY_PEM_SIZE 114 /* SPKI PEM with its NUL */
#define SIGNATURE_PEM_SIZE 153 /* with its NUL */

/* Returns 0, or -EPROTO with a fault (FAULT_DESERIALIZATION). The key is one that can verify. */
int signing_key_parse_public(const char *text, uint8_t ret_public[ED25519_PUBLIC_SIZE],
			     struct fault *fault);

/* The same for a private key, which is left as its seed. What was on the way is wiped; @text is the
 * caller's. */
int signing_key_parse_private(const char *text, uint8_t ret_seed[ED25519_SEED_SIZE],
			      struct fault *fault);

/* Writes SPKI PEM and returns @to: the one text that stands for the key. */
char *signing_key_format_public(const uint8_t public_key[ED25519_PUBLIC_SIZE],
				char to[SIGNING_KEY_PEM_SIZE]);

/* Writes the line of OpenSSH without a comment and returns @to. SIGNING_KEY_SSH_SIZE bytes. */
#define SIGNING_KEY_SSH_SIZE 81
char *signing_key_format_ssh(const uint8_t public_key[ED25519_PUBLIC_SIZE],
			     char to[SIGNING_KEY_SSH_SIZE]);

/* Writes PKCS#8 PEM of a private key; the caller wipes it. SIGNING_KEY_PRIVATE_PEM_SIZE bytes. */
#define SIGNING_KEY_PRIVATE_PEM_SIZE 120
char *signing_key_format_private(const uint8_t seed[ED25519_SEED_SIZE],
				 char to[SIGNING_KEY_PRIVATE_PEM_SIZE]);

/* Returns 0, or -EPROTO with a fault. */
int signature_parse(const char *text, uint8_t ret_signature[ED25519_SIGNATURE_SIZE],
		    struct fault *fault);

char *signature_format(const uint8_t signature[ED25519_SIGNATURE_SIZE],
		       char to[SIGNATURE_PEM_SIZE]);
