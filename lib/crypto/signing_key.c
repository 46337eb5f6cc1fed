#include "crypto/signing_key.h"

#include <string.h>

#include "base/secret.h"
#include "codec/base64.h"
#include "crypto/pem.h"
#include "crypto/ssh_wire.h"

#define DER_MAX 8192 /* bytes of a decoded key; one of OpenSSH carries a comment */

enum der_tag {
	DER_INTEGER = 0x02,
	DER_OCTETS = 0x04,
	DER_OID = 0x06,
	DER_SEQUENCE = 0x30,
	DER_ATTRIBUTES = 0xa0, /* [0] of RFC 5958 */
	DER_PUBLIC = 0x81, /* [1] of RFC 5958 */
};

/* Object identifier 1.3.101.112, id-Ed25519, without parameters. */
static const uint8_t algorithm[] = { 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70 };

static int refuse(struct fault *fault, const char *reason)
{
	return fault_set(fault, FAULT_DESERIALIZATION, "%s", reason);
}

/* Takes out an element of up to 64 KiB with this tag and gives a reader of its contents. */
static struct reader der_read(struct reader *r, uint8_t tag)
{
	bool right = reader_u8(r) == tag;
	size_t size = reader_u8(r);
	const uint8_t *bytes;
	struct reader inner;

	if (size == 0x81)
		size = reader_u8(r);
	else if (size == 0x82)
		size = reader_u16(r);
	else if (size >= 0x80)
		right = false;
	bytes = right ? reader_take(r, size) : NULL;
	reader_init(&inner, bytes, bytes ? size : 0);
	inner.failed = !bytes;
	return inner;
}

static bool reads_algorithm(struct reader *r)
{
	const uint8_t *bytes = reader_take(r, sizeof(algorithm));

	return bytes && memcmp(bytes, algorithm, sizeof(algorithm)) == 0;
}

/* Public keys. */

static bool read_spki(struct reader *r, uint8_t ret[ED25519_PUBLIC_SIZE])
{
	struct reader spki = der_read(r, DER_SEQUENCE);
	struct reader bits;
	uint8_t unused;

	if (!reads_algorithm(&spki))
		return false;
	bits = der_read(&spki, 0x03);
	unused = reader_u8(&bits);
	reader_copy(&bits, ret, ED25519_PUBLIC_SIZE);
	return unused == 0 && reader_done(&bits) && reader_done(&spki) && reader_done(r);
}

static int parse_public_pem(const char *text, uint8_t ret[ED25519_PUBLIC_SIZE], struct fault *fault)
{
	char label[PEM_LABEL_MAX] = "";
	uint8_t bytes[DER_MAX];
	ssize_t size = pem_decode(text, SIGNING_KEY_TEXT_MAX, label, bytes, sizeof(bytes));
	struct reader r;

	if (strstr(label, "PRIVATE")) {
		secret_wipe(bytes, sizeof(bytes));
		return refuse(fault,
			      "key: this is a private key; give the public one, and keep the "
			      "private one to yourself");
	}
	if (size < 0)
		return refuse(fault, "key: the PEM text is broken or cut off");
	if (strcmp(label, "PUBLIC KEY") != 0)
		return fault_set(fault, FAULT_DESERIALIZATION,
				 "key: the PEM text is a %s; a PUBLIC KEY is wanted", label);
	reader_init(&r, bytes, (size_t)size);
	if (!read_spki(&r, ret))
		return refuse(fault, "key: it is no Ed25519 key; other kinds cannot be used");
	return 0;
}

/* The second word of a line, which has to fit. */
static int copy_word(const char *line, char *to, size_t capacity)
{
	size_t size;

	line += strspn(line, " \t");
	size = strcspn(line, " \t\r\n");
	if (size == 0 || size >= capacity)
		return -EINVAL;
	memcpy(to, line, size);
	to[size] = '\0';
	return 0;
}

static int parse_ssh_line(const char *line, uint8_t ret[ED25519_PUBLIC_SIZE], struct fault *fault)
{
	uint8_t blob[SSH_PUBLIC_BLOB_SIZE];
	char digits[BASE64_SIZE(SSH_PUBLIC_BLOB_SIZE)];
	const char *end = line + strcspn(line, "\r\n");
	ssize_t size = -EINVAL;
	struct reader r;

	if (end[strspn(end, " \t\r\n")] != '\0')
		return refuse(fault, "key: more than one line; give one public key");
	if (copy_word(line + strlen(SSH_ED25519), digits, sizeof(digits)) == 0)
		size = base64_decode(digits, blob, sizeof(blob));
	reader_init(&r, blob, size < 0 ? 0 : (size_t)size);
	if (!ssh_read_public(&r, ret))
		return refuse(fault, "key: what follows \"ssh-ed25519\" is broken or cut off");
	return 0;
}

int signing_key_parse_public(const char *text, uint8_t ret_public[ED25519_PUBLIC_SIZE],
			     struct fault *fault)
{
	uint8_t key[ED25519_PUBLIC_SIZE];
	int r;

	if (strnlen(text, SIGNING_KEY_TEXT_MAX + 1) > SIGNING_KEY_TEXT_MAX)
		return refuse(fault, "key: it is too long");
	text += strspn(text, " \t\r\n");
	if (strncmp(text, SSH_ED25519 " ", strlen(SSH_ED25519 " ")) == 0)
		r = parse_ssh_line(text, key, fault);
	else if (strncmp(text, "-----", 5) == 0)
		r = parse_public_pem(text, key, fault);
	else if (strncmp(text, "ssh-", 4) == 0 || strncmp(text, "ecdsa-", 6) == 0 ||
		 strncmp(text, "sk-", 3) == 0)
		r = fault_set(
			fault, FAULT_DESERIALIZATION,
			"key: a key of the kind %.*s cannot be used, only ssh-ed25519; make one "
			"with ssh-keygen -t ed25519",
			(int)strcspn(text, " \t\r\n") > 40 ? 40 : (int)strcspn(text, " \t\r\n"),
			text);
	else
		r = refuse(fault, "key: neither a line \"ssh-ed25519 AAAA...\" nor a PEM text that "
				  "begins with -----BEGIN PUBLIC KEY-----");
	if (r < 0)
		return r;
	if (!ed25519_public_valid(key))
		return refuse(fault, "key: its value is no key that anybody could sign with");
	memcpy(ret_public, key, sizeof(key));
	return 0;
}

/* Private keys. */

static bool read_pkcs8(struct reader *r, uint8_t ret[ED25519_SEED_SIZE])
{
	struct reader key = der_read(r, DER_SEQUENCE);
	struct reader version = der_read(&key, DER_INTEGER);
	uint8_t number = reader_u8(&version);
	struct reader outer, inner;

	if (!reader_done(&version) || number > 1 || !reads_algorithm(&key))
		return false;
	outer = der_read(&key, DER_OCTETS);
	inner = der_read(&outer, DER_OCTETS);
	reader_copy(&inner, ret, ED25519_SEED_SIZE);
	/* Attributes and the public half may follow; the latter has to be right where it is there. */
	if (reader_left(&key) > 0 && *key.at == DER_ATTRIBUTES)
		(void)der_read(&key, DER_ATTRIBUTES);
	if (reader_left(&key) > 0) {
		struct reader bits = der_read(&key, DER_PUBLIC);
		uint8_t stated[ED25519_PUBLIC_SIZE], computed[ED25519_PUBLIC_SIZE];
		bool no_unused = reader_u8(&bits) == 0;

		reader_copy(&bits, stated, sizeof(stated));
		ed25519_public(ret, computed);
		if (!no_unused || !reader_done(&bits) ||
		    memcmp(stated, computed, sizeof(stated)) != 0)
			return false;
	}
	return reader_done(&inner) && reader_done(&outer) && reader_done(&key) && reader_done(r);
}

/* The part that would be encrypted: the two numbers have to be equal, the key to fit its public half. */
static bool read_ssh_secret(struct reader *r, uint8_t ret[ED25519_SEED_SIZE])
{
	uint32_t check = reader_u32(r);
	bool equal = check == reader_u32(r);
	uint8_t stated[ED25519_PUBLIC_SIZE], copy[ED25519_PUBLIC_SIZE];
	uint8_t computed[ED25519_PUBLIC_SIZE];
	struct reader public_half, both;

	if (!ssh_read_text(r, SSH_ED25519))
		return false;
	public_half = ssh_read_string(r);
	reader_copy(&public_half, stated, sizeof(stated));
	both = ssh_read_string(r);
	reader_copy(&both, ret, ED25519_SEED_SIZE);
	reader_copy(&both, copy, sizeof(copy));
	(void)ssh_read_string(r); /* the comment */
	for (uint8_t i = 1; reader_left(r) > 0; i++)
		equal = reader_u8(r) == i && equal;
	ed25519_public(ret, computed);
	return equal && reader_done(&public_half) && reader_done(&both) && reader_done(r) &&
	       memcmp(stated, computed, sizeof(stated)) == 0 &&
	       memcmp(copy, computed, sizeof(copy)) == 0;
}

static int read_ssh_private(struct reader *r, uint8_t ret[ED25519_SEED_SIZE], struct fault *fault)
{
	static const char magic[] = "openssh-key-v1"; /* with its NUL */
	const uint8_t *opening = reader_take(r, sizeof(magic));
	struct reader cipher, part;
	uint8_t public_key[ED25519_PUBLIC_SIZE];
	bool right = opening && memcmp(opening, magic, sizeof(magic)) == 0;

	cipher = ssh_read_string(r);
	if (right && !cipher.failed && !ssh_reads(&cipher, "none"))
		return refuse(fault,
			      "the private key is protected by a passphrase: hand it to ssh-agent "
			      "(ssh-add FILE), which then signs");
	right = right && ssh_read_text(r, "none"); /* how the passphrase makes a key */
	right = right && ssh_read_text(r, "");
	right = right && reader_u32(r) == 1; /* keys in the file */
	part = ssh_read_string(r);
	if (right && !ssh_read_public(&part, public_key))
		return refuse(fault,
			      "the private key is no Ed25519 key; make one with ssh-keygen -t "
			      "ed25519");
	part = ssh_read_string(r);
	if (!right || !reader_done(r) || !read_ssh_secret(&part, ret))
		return refuse(fault, "the private key is broken or cut off");
	return 0;
}

static int parse_private(const char *label, struct reader *r, uint8_t ret[ED25519_SEED_SIZE],
			 struct fault *fault)
{
	if (strcmp(label, "OPENSSH PRIVATE KEY") == 0)
		return read_ssh_private(r, ret, fault);
	if (strcmp(label, "ENCRYPTED PRIVATE KEY") == 0)
		return refuse(fault,
			      "the private key is encrypted; give one that is not, or an SSH "
			      "key that ssh-agent holds");
	if (strcmp(label, "PRIVATE KEY") != 0)
		return fault_set(fault, FAULT_DESERIALIZATION,
				 "the PEM text is a %s; a PRIVATE KEY is wanted", label);
	if (!read_pkcs8(r, ret))
		return refuse(fault, "the private key is broken or no Ed25519 key");
	return 0;
}

int signing_key_parse_private(const char *text, uint8_t ret_seed[ED25519_SEED_SIZE],
			      struct fault *fault)
{
	char label[PEM_LABEL_MAX] = "";
	uint8_t seed[ED25519_SEED_SIZE];
	uint8_t bytes[DER_MAX];
	ssize_t size = pem_decode(text, SIGNING_KEY_TEXT_MAX, label, bytes, sizeof(bytes));
	struct reader r;
	int result;

	reader_init(&r, bytes, size < 0 ? 0 : (size_t)size);
	if (size == -ENOMEM)
		result = -ENOMEM;
	else if (size < 0)
		result = refuse(fault, "there is no private key in it, or it is broken or cut off");
	else
		result = parse_private(label, &r, seed, fault);
	if (result == 0)
		memcpy(ret_seed, seed, sizeof(seed));
	secret_wipe(seed, sizeof(seed));
	secret_wipe(bytes, sizeof(bytes));
	return result;
}

/* Signatures. */

int signature_parse(const char *text, uint8_t ret_signature[ED25519_SIGNATURE_SIZE],
		    struct fault *fault)
{
	char label[PEM_LABEL_MAX] = "";
	uint8_t bytes[256], signature[ED25519_SIGNATURE_SIZE];
	ssize_t size = pem_decode(text, SIGNING_KEY_TEXT_MAX, label, bytes, sizeof(bytes));
	struct reader r, sequence, octets;
	bool right;

	reader_init(&r, bytes, size < 0 ? 0 : (size_t)size);
	sequence = der_read(&r, DER_SEQUENCE);
	right = reads_algorithm(&sequence);
	octets = der_read(&sequence, DER_OCTETS);
	reader_copy(&octets, signature, sizeof(signature));
	if (strcmp(label, "SIGNATURE") != 0 || !right || !reader_done(&octets) ||
	    !reader_done(&sequence) || !reader_done(&r))
		return refuse(fault, "signature: no PEM text of an Ed25519 signature");
	memcpy(ret_signature, signature, sizeof(signature));
	return 0;
}

/* Texts. */

_Static_assert(PEM_SIZE("PUBLIC KEY", 44, 64) == SIGNING_KEY_PEM_SIZE, "the text of a public key");
_Static_assert(PEM_SIZE("PRIVATE KEY", 48, 64) == SIGNING_KEY_PRIVATE_PEM_SIZE,
	       "the text of a private key");
_Static_assert(PEM_SIZE("SIGNATURE", 75, 64) == SIGNATURE_PEM_SIZE, "the text of a signature");

static char *format(const char *label, const uint8_t *head, size_t head_size, const uint8_t *value,
		    size_t value_size, char *to)
{
	uint8_t bytes[128];

	memcpy(bytes, head, head_size);
	memcpy(bytes + head_size, value, value_size);
	(void)pem_encode(label, bytes, head_size + value_size, 64, to);
	secret_wipe(bytes, sizeof(bytes));
	return to;
}

char *signing_key_format_public(const uint8_t public_key[ED25519_PUBLIC_SIZE],
				char to[SIGNING_KEY_PEM_SIZE])
{
	static const uint8_t head[] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
					0x2b, 0x65, 0x70, 0x03, 0x21, 0x00 };

	return format("PUBLIC KEY", head, sizeof(head), public_key, ED25519_PUBLIC_SIZE, to);
}

char *signing_key_format_ssh(const uint8_t public_key[ED25519_PUBLIC_SIZE],
			     char to[SIGNING_KEY_SSH_SIZE])
{
	uint8_t blob[SSH_PUBLIC_BLOB_SIZE];
	struct writer w;

	_Static_assert(sizeof(SSH_ED25519) + BASE64_SIZE(sizeof(blob)) == SIGNING_KEY_SSH_SIZE,
		       "the line of a key");
	writer_init(&w, blob, sizeof(blob));
	ssh_write_public(&w, public_key);
	memcpy(to, SSH_ED25519 " ", sizeof(SSH_ED25519));
	(void)base64_encode(blob, sizeof(blob), true, to + sizeof(SSH_ED25519));
	return to;
}

char *signing_key_format_private(const uint8_t seed[ED25519_SEED_SIZE],
				 char to[SIGNING_KEY_PRIVATE_PEM_SIZE])
{
	static const uint8_t head[] = { 0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
					0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20 };

	return format("PRIVATE KEY", head, sizeof(head), seed, ED25519_SEED_SIZE, to);
}

char *signature_format(const uint8_t signature[ED25519_SIGNATURE_SIZE], char to[SIGNATURE_PEM_SIZE])
{
	static const uint8_t head[] = { 0x30, 0x49, 0x30, 0x05, 0x06, 0x03,
					0x2b, 0x65, 0x70, 0x04, 0x40 };

	return format("SIGNATURE", head, sizeof(head), signature, ED25519_SIGNATURE_SIZE, to);
}
