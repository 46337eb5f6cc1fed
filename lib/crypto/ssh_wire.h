/*
 * What the forms of OpenSSH have in common: strings with a length before them, RFC 4251 section 5
 *
 * Inside lib/crypto. On readers and writers of base/bytes.h: a failure shows at the end.
 */
#pragma once

#include "base/bytes.h"
#include "crypto/ed25519.h"

#define SSH_ED25519 "ssh-ed25519"
#define SSH_PUBLIC_BLOB_SIZE (4 + 11 + 4 + ED25519_PUBLIC_SIZE)

/* Takes a string out and gives a reader of what is in it. */
static inline struct reader ssh_read_string(struct reader *r)
{
	uint32_t size = reader_u32(r);
	const uint8_t *bytes = reader_take(r, size);
	struct reader inner;

	reader_init(&inner, bytes, bytes ? size : 0);
	inner.failed = !bytes;
	return inner;
}

/* Whether all that is left in a string is this text. Takes it out. */
static inline bool ssh_reads(struct reader *r, const char *text)
{
	size_t size = strlen(text);
	const uint8_t *bytes = reader_left(r) == size ? reader_take(r, size) : NULL;

	return bytes && memcmp(bytes, text, size) == 0;
}

static inline bool ssh_read_text(struct reader *r, const char *text)
{
	struct reader inner = ssh_read_string(r);

	return ssh_reads(&inner, text);
}

static inline void ssh_write_string(struct writer *w, const void *bytes, size_t size)
{
	writer_u32(w, (uint32_t)size);
	writer_copy(w, bytes, size);
}

/* Reads the blob of a public key. Returns false where it is of another kind or broken. */
static inline bool ssh_read_public(struct reader *r, uint8_t ret[ED25519_PUBLIC_SIZE])
{
	struct reader key;

	if (!ssh_read_text(r, SSH_ED25519))
		return false;
	key = ssh_read_string(r);
	reader_copy(&key, ret, ED25519_PUBLIC_SIZE);
	return reader_done(&key) && reader_done(r);
}

static inline void ssh_write_public(struct writer *w, const uint8_t public_key[ED25519_PUBLIC_SIZE])
{
	ssh_write_string(w, SSH_ED25519, strlen(SSH_ED25519));
	ssh_write_string(w, public_key, ED25519_PUBLIC_SIZE);
}
