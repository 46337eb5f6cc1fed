#include "crypto/ssh_signature.h"

#include <assert.h>
#include <string.h>

#include <sodium.h>

#include "crypto/pem.h"
#include "crypto/ssh_wire.h"

#define LABEL "SSH SIGNATURE"
#define MAGIC "SSHSIG"
#define VERSION 1
#define WIDTH 70 /* digits in a line */
#define ARMORED_MAX 512 /* bytes of what is in the armor */

static const char *const hash_names[] = {
	[SSH_SIGNATURE_SHA512] = "sha512",
	[SSH_SIGNATURE_SHA256] = "sha256",
};

static bool read_namespace(struct reader *r, char ret[SSH_SIGNATURE_NAMESPACE_MAX + 1])
{
	struct reader name = ssh_read_string(r);
	size_t size = reader_left(&name);

	if (size == 0 || size > SSH_SIGNATURE_NAMESPACE_MAX)
		return false;
	reader_copy(&name, ret, size);
	ret[size] = '\0';
	return strlen(ret) == size;
}

static bool read_hash(struct reader *r, enum ssh_signature_hash *ret)
{
	struct reader name = ssh_read_string(r);

	for (size_t i = 0; i < ARRAY_SIZE(hash_names); i++) {
		struct reader copy = name;

		if (ssh_reads(&copy, hash_names[i])) {
			*ret = (enum ssh_signature_hash)i;
			return true;
		}
	}
	return false;
}

static bool read_armored(struct reader *r, struct ssh_signature *ret)
{
	const uint8_t *magic = reader_take(r, strlen(MAGIC));
	bool right = magic && memcmp(magic, MAGIC, strlen(MAGIC)) == 0;
	struct reader part, value;

	right = reader_u32(r) == VERSION && right;
	part = ssh_read_string(r);
	right = right && ssh_read_public(&part, ret->public_key);
	right = right && read_namespace(r, ret->name);
	right = right && ssh_read_text(r, ""); /* reserved */
	right = right && read_hash(r, &ret->hash);
	part = ssh_read_string(r);
	right = right && reader_done(r) && ssh_read_text(&part, SSH_ED25519);
	value = ssh_read_string(&part);
	reader_copy(&value, ret->signature, ED25519_SIGNATURE_SIZE);
	return right && reader_done(&value) && reader_done(&part);
}

int ssh_signature_parse(const char *text, struct ssh_signature *ret, struct fault *fault)
{
	char label[PEM_LABEL_MAX] = "";
	uint8_t bytes[ARMORED_MAX];
	struct ssh_signature signature = { 0 };
	ssize_t size = pem_decode(text, SSH_SIGNATURE_TEXT_MAX, label, bytes, sizeof(bytes));
	struct reader r;

	reader_init(&r, bytes, size < 0 ? 0 : (size_t)size);
	if (strcmp(label, LABEL) != 0 || !read_armored(&r, &signature))
		return fault_set(fault, FAULT_DESERIALIZATION,
				 "signature: no SSH signature of an ssh-ed25519 key");
	*ret = signature;
	return 0;
}

void ssh_signature_write(const struct ssh_signature *signature, struct text *to)
{
	const char *hash = hash_names[signature->hash];
	char armored[PEM_SIZE(LABEL, ARMORED_MAX, WIDTH)];
	uint8_t bytes[ARMORED_MAX];
	struct writer w;

	writer_init(&w, bytes, sizeof(bytes));
	writer_copy(&w, MAGIC, strlen(MAGIC));
	writer_u32(&w, VERSION);
	writer_u32(&w, SSH_PUBLIC_BLOB_SIZE);
	ssh_write_public(&w, signature->public_key);
	ssh_write_string(&w, signature->name, strlen(signature->name));
	ssh_write_string(&w, "", 0);
	ssh_write_string(&w, hash, strlen(hash));
	writer_u32(&w, 4 + (uint32_t)strlen(SSH_ED25519) + 4 + ED25519_SIGNATURE_SIZE);
	ssh_write_string(&w, SSH_ED25519, strlen(SSH_ED25519));
	ssh_write_string(&w, signature->signature, ED25519_SIGNATURE_SIZE);
	assert(writer_size(&w) > 0);
	text_append(to, pem_encode(LABEL, bytes, (size_t)writer_size(&w), WIDTH, armored));
}

size_t ssh_signature_blob(const char *name, enum ssh_signature_hash hash, const void *message,
			  size_t size, uint8_t ret[SSH_SIGNATURE_BLOB_MAX])
{
	uint8_t digest[crypto_hash_sha512_BYTES];
	size_t digest_size = sizeof(digest);
	struct writer w;

	if (hash == SSH_SIGNATURE_SHA256) {
		(void)crypto_hash_sha256(digest, message, size);
		digest_size = crypto_hash_sha256_BYTES;
	} else {
		(void)crypto_hash_sha512(digest, message, size);
	}
	writer_init(&w, ret, SSH_SIGNATURE_BLOB_MAX);
	writer_copy(&w, MAGIC, strlen(MAGIC));
	ssh_write_string(&w, name, strlen(name));
	ssh_write_string(&w, "", 0);
	ssh_write_string(&w, hash_names[hash], strlen(hash_names[hash]));
	ssh_write_string(&w, digest, digest_size);
	assert(writer_size(&w) > 0); /* the namespace is one of ours */
	return (size_t)writer_size(&w);
}

bool ssh_signature_verify(const struct ssh_signature *signature, const char *name,
			  const void *message, size_t size)
{
	uint8_t blob[SSH_SIGNATURE_BLOB_MAX];
	size_t blob_size;

	if (strcmp(signature->name, name) != 0)
		return false;
	blob_size = ssh_signature_blob(name, signature->hash, message, size, blob);
	return ed25519_verify(signature->public_key, blob, blob_size, signature->signature);
}

void ssh_signature_make(const uint8_t seed[ED25519_SEED_SIZE], const char *name,
			const void *message, size_t size, struct ssh_signature *ret)
{
	uint8_t blob[SSH_SIGNATURE_BLOB_MAX];
	size_t blob_size = ssh_signature_blob(name, SSH_SIGNATURE_SHA512, message, size, blob);

	*ret = (struct ssh_signature){ .hash = SSH_SIGNATURE_SHA512 };
	memcpy(ret->name, name, strlen(name) + 1);
	ed25519_public(seed, ret->public_key);
	ed25519_sign(seed, blob, blob_size, ret->signature);
}
