#include "crypto/signature_header.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/secret.h"
#include "codec/base64.h"
#include "crypto/signing_key.h"

/* What an SSH key signs: the context with a byte for its length, then the commitment. */
#define SSH_MESSAGE_MAX (1 + ED25519_CONTEXT_MAX + SIGNATURE_COMMITMENT_SIZE)

static void commit(const struct signature_header *header, uint8_t ret[SIGNATURE_COMMITMENT_SIZE])
{
	struct writer w;

	writer_init(&w, ret, SIGNATURE_COMMITMENT_SIZE);
	writer_u64(&w, (uint64_t)header->timestamp);
	writer_u64(&w, header->nonce);
	writer_u64(&w, header->size);
	writer_copy(&w, header->blake3, BLAKE3_SIZE);
}

/* Returns the size of the message, or -EINVAL. */
static ssize_t ssh_message(const struct signature_header *header, const char *context,
			   uint8_t ret[SSH_MESSAGE_MAX])
{
	size_t size = strlen(context);

	if (size > ED25519_CONTEXT_MAX)
		return -EINVAL;
	ret[0] = (uint8_t)size;
	memcpy(ret + 1, context, size);
	commit(header, ret + 1 + size);
	return (ssize_t)(1 + size + SIGNATURE_COMMITMENT_SIZE);
}

/* Making one. */

void signature_header_prepare(int64_t now_s, const void *body, size_t size,
			      const uint8_t public_key[ED25519_PUBLIC_SIZE],
			      struct signature_header *ret)
{
	*ret = (struct signature_header){ .timestamp = now_s, .size = size };
	random_bytes(&ret->nonce, sizeof(ret->nonce));
	blake3(body, size, ret->blake3);
	memcpy(ret->signer, public_key, ED25519_PUBLIC_SIZE);
}

int signature_header_sign(struct signature_header *header, const uint8_t seed[ED25519_SEED_SIZE],
			  const char *context)
{
	uint8_t commitment[SIGNATURE_COMMITMENT_SIZE];

	commit(header, commitment);
	header->kind = SIGNATURE_ED25519PH;
	return ed25519ph_sign(seed, context, commitment, sizeof(commitment), header->signature);
}

ssize_t signature_header_ssh_blob(const struct signature_header *header, const char *context,
				  uint8_t ret[SSH_SIGNATURE_BLOB_MAX])
{
	uint8_t message[SSH_MESSAGE_MAX];
	ssize_t size = ssh_message(header, context, message);

	if (size < 0)
		return size;
	return (ssize_t)ssh_signature_blob(SSH_SIGNATURE_NAMESPACE, SSH_SIGNATURE_SHA512, message,
					   (size_t)size, ret);
}

void signature_header_set_ssh(struct signature_header *header,
			      const uint8_t signature[ED25519_SIGNATURE_SIZE])
{
	header->kind = SIGNATURE_SSH;
	header->ssh_hash = SSH_SIGNATURE_SHA512;
	memcpy(header->signature, signature, ED25519_SIGNATURE_SIZE);
}

static void ssh_signature_of(const struct signature_header *header, struct ssh_signature *ret)
{
	*ret = (struct ssh_signature){ .name = SSH_SIGNATURE_NAMESPACE, .hash = header->ssh_hash };
	memcpy(ret->public_key, header->signer, sizeof(ret->public_key));
	memcpy(ret->signature, header->signature, sizeof(ret->signature));
}

/* Writing, as application/x-www-form-urlencoded. */

static void write_escaped(struct text *to, const char *value)
{
	for (; *value; value++) {
		unsigned char c = (unsigned char)*value;

		if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		    strchr("*-._", c))
			text_append_char(to, *value);
		else if (c == ' ')
			text_append_char(to, '+');
		else
			text_printf(to, "%%%02X", c);
	}
}

static void write_signature(const struct signature_header *header, struct text *to)
{
	CLEANUP(text_done) struct text armored = { 0 };
	struct ssh_signature signature;
	char pem[SIGNATURE_PEM_SIZE];

	if (header->kind == SIGNATURE_ED25519PH) {
		write_escaped(to, signature_format(header->signature, pem));
		return;
	}
	ssh_signature_of(header, &signature);
	ssh_signature_write(&signature, &armored);
	if (text_error(&armored) < 0)
		to->error = text_error(&armored);
	write_escaped(to, text_string(&armored));
}

void signature_header_write(const struct signature_header *header, struct text *to)
{
	char hash[BASE64_SIZE(BLAKE3_SIZE)];
	char pem[SIGNING_KEY_PEM_SIZE];

	text_printf(to, "timestamp=%" PRId64 "&nonce=%" PRIu64 "&size=%" PRIu64 "&blake3=",
		    header->timestamp, header->nonce, header->size);
	write_escaped(to, base64_encode(header->blake3, BLAKE3_SIZE, false, hash));
	text_append(to, "&signer=");
	write_escaped(to, signing_key_format_public(header->signer, pem));
	text_append(to, "&signature=");
	write_signature(header, to);
}

/* Reading. */

struct field {
	const char *name;
	int (*read)(const char *value, struct signature_header *to, struct fault *fault);
};

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* Undoes the escapes of @size bytes. Returns 0, or -EINVAL: a broken escape, or one of NUL. */
static int unescape(const char *from, size_t size, char *to)
{
	for (size_t i = 0; i < size; i++) {
		int high, low;

		if (from[i] != '%') {
			*to++ = from[i] == '+' ? ' ' : from[i];
			continue;
		}
		if (size - i < 3)
			return -EINVAL;
		high = hex_digit(from[i + 1]);
		low = hex_digit(from[i + 2]);
		if (high < 0 || low < 0 || high + low == 0)
			return -EINVAL;
		*to++ = (char)(high << 4 | low);
		i += 2;
	}
	*to = '\0';
	return 0;
}

/* A decimal number up to @max, nothing around it. */
static int read_number(const char *value, uint64_t max, uint64_t *ret)
{
	uint64_t number = 0;

	if (!*value)
		return -EINVAL;
	for (; *value; value++) {
		uint64_t digit = (uint64_t)(*value - '0');

		if (*value < '0' || *value > '9' || number > (max - digit) / 10)
			return -EINVAL;
		number = number * 10 + digit;
	}
	*ret = number;
	return 0;
}

static int read_timestamp(const char *value, struct signature_header *to, struct fault *fault)
{
	bool negative = *value == '-';
	uint64_t number;
	int r = read_number(value + negative, INT64_MAX, &number);

	if (r < 0)
		return r;
	to->timestamp = negative ? -(int64_t)number : (int64_t)number;
	return 0;
}

static int read_nonce(const char *value, struct signature_header *to, struct fault *fault)
{
	return read_number(value, UINT64_MAX, &to->nonce);
}

static int read_size(const char *value, struct signature_header *to, struct fault *fault)
{
	return read_number(value, UINT64_MAX, &to->size);
}

static int read_blake3(const char *value, struct signature_header *to, struct fault *fault)
{
	return base64_decode(value, to->blake3, BLAKE3_SIZE) == BLAKE3_SIZE ? 0 : -EINVAL;
}

static int read_signer(const char *value, struct signature_header *to, struct fault *fault)
{
	return signing_key_parse_public(value, to->signer, fault);
}

/* Comes last, for an SSH signature carries its key, which has to be the signer. */
static int read_signature(const char *value, struct signature_header *to, struct fault *fault)
{
	struct ssh_signature ssh;
	int r;

	if (!strstr(value, "SSH SIGNATURE")) {
		to->kind = SIGNATURE_ED25519PH;
		return signature_parse(value, to->signature, fault);
	}
	r = ssh_signature_parse(value, &ssh, fault);
	if (r < 0)
		return r;
	if (strcmp(ssh.name, SSH_SIGNATURE_NAMESPACE) != 0 ||
	    memcmp(ssh.public_key, to->signer, sizeof(to->signer)) != 0)
		return -EINVAL;
	to->kind = SIGNATURE_SSH;
	to->ssh_hash = ssh.hash;
	memcpy(to->signature, ssh.signature, sizeof(to->signature));
	return 0;
}

static const struct field fields[] = {
	{ "timestamp", read_timestamp }, { "nonce", read_nonce },   { "size", read_size },
	{ "blake3", read_blake3 },	 { "signer", read_signer }, { "signature", read_signature },
};

/* Where the value of each field is; others are passed over. Returns 0 or -EPROTO. */
static int find_fields(const char *value, const char *starts[], size_t sizes[], struct fault *fault)
{
	for (;;) {
		size_t pair = strcspn(value, "&");
		size_t name = strcspn(value, "=&");

		for (size_t i = 0; i < ARRAY_SIZE(fields) && name < pair; i++) {
			if (strlen(fields[i].name) != name ||
			    strncmp(value, fields[i].name, name) != 0)
				continue;
			if (starts[i])
				return fault_set(fault, FAULT_INVALID_SIGNATURE,
						 "%s: it is there twice", fields[i].name);
			starts[i] = value + name + 1;
			sizes[i] = pair - name - 1;
		}
		if (value[pair] == '\0')
			return 0;
		value += pair + 1;
	}
}

int signature_header_parse(const char *value, struct signature_header *ret, struct fault *fault)
{
	const char *starts[ARRAY_SIZE(fields)] = { 0 };
	size_t sizes[ARRAY_SIZE(fields)] = { 0 };
	struct signature_header header = { 0 };
	char plain[SIGNATURE_HEADER_MAX + 1];
	int r;

	if (strnlen(value, SIGNATURE_HEADER_MAX + 1) > SIGNATURE_HEADER_MAX)
		return fault_set(fault, FAULT_INVALID_SIGNATURE,
				 "the header is longer than %d bytes", SIGNATURE_HEADER_MAX);
	r = find_fields(value, starts, sizes, fault);
	for (size_t i = 0; i < ARRAY_SIZE(fields) && r == 0; i++) {
		if (!starts[i])
			return fault_set(fault, FAULT_INVALID_SIGNATURE, "%s: it is missing",
					 fields[i].name);
		r = unescape(starts[i], sizes[i], plain);
		if (r == 0)
			r = fields[i].read(plain, &header, fault);
		if (r == -EINVAL)
			r = fault_set(fault, FAULT_INVALID_SIGNATURE, "%s: its value is wrong",
				      fields[i].name);
	}
	if (r < 0)
		return r;
	*ret = header;
	return 0;
}

bool signature_header_verify(const struct signature_header *header, const char *context)
{
	uint8_t commitment[SIGNATURE_COMMITMENT_SIZE];
	uint8_t message[SSH_MESSAGE_MAX];
	struct ssh_signature ssh;
	ssize_t size;

	if (header->kind == SIGNATURE_ED25519PH) {
		commit(header, commitment);
		return ed25519ph_verify(header->signer, context, commitment, sizeof(commitment),
					header->signature);
	}
	size = ssh_message(header, context, message);
	ssh_signature_of(header, &ssh);
	return size > 0 &&
	       ssh_signature_verify(&ssh, SSH_SIGNATURE_NAMESPACE, message, (size_t)size);
}
