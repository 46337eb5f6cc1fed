/*
 * Chains of X.509 certificates, as PEM text and as what a TLS server may use
 *
 * A chain is what the owner or our own authority (certificate_authority.h) gave: the server's own
 * certificate, the leaf, first, each further one the issuer of the one before. It was read, not trusted:
 * certificate_chain_check() finds out whether a server can use it. Does no I/O, but for the roots of the
 * system where a chain lacks its own, and reads no clock. Certificates are counted from 0 here
 * and from 1 in texts for people.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/text.h"

#define CERTIFICATE_TEXT_MAX 65536 /* bytes of a PEM text */
#define CERTIFICATE_CHAIN_MAX 8 /* as many as lib/http sends */
#define CERTIFICATE_NAMES_MAX 128 /* of one leaf */
#define CERTIFICATE_DIGEST_SIZE 32
#define CERTIFICATE_FINGERPRINT_MAX 96 /* "AB:CD:...", with the NUL */

struct certificate_chain;

/*
 * Reads a stack of PEM certificates; other text around them is passed over. Returns 0, -ENOMEM, or
 * -EPROTO with a fault (FAULT_DESERIALIZATION) that names the certificate.
 */
int certificate_chain_read(const char *text, struct certificate_chain **ret, struct fault *fault);

/* NULL is fine. Returns NULL. */
struct certificate_chain *certificate_chain_free(struct certificate_chain *chain);
DEFINE_CLEANUP(struct certificate_chain *, certificate_chain_free);

size_t certificate_chain_count(const struct certificate_chain *chain); /* at least 1 */

/* Appends the stack: an empty line follows each certificate (tunnel.md 1.2). Returns 0 or -ENOMEM. */
int certificate_chain_write(const struct certificate_chain *chain, struct text *to);

/*
 * Whether a TLS server can use the chain with @key at the time @now_s, and clients that trust its end
 * accept it: the key belongs to the leaf, each certificate was issued by the next one, the last one
 * is a root or was issued by one that this system trusts, all are valid now and for this
 * purpose, keys are RSA of 2048 bits or more or EC P-256 or P-384, signatures at least SHA-2, and
 * the leaf names a host. Returns 0, -ENOMEM, or -EPROTO with a fault that names the certificate.
 */
int certificate_chain_check(const struct certificate_chain *chain, const char *key, int64_t now_s,
			    struct fault *fault);

/*
 * Appends a private key as PKCS#8 PEM, whatever form it came in. @to is wiped by its owner. Returns 0,
 * -ENOMEM, or -EPROTO with a fault (FAULT_DESERIALIZATION).
 */
int certificate_key_write(const char *key, struct text *to, struct fault *fault);

/* The hosts that the leaf is for: DNS names in lower case, then addresses in their canonical text. */
struct certificate_names {
	char *names[CERTIFICATE_NAMES_MAX];
	size_t count;
};

/* What is no name of a host, or too many, is left out. Returns 0 or -ENOMEM. */
int certificate_names(const struct certificate_chain *chain, struct certificate_names *ret);
void certificate_names_done(struct certificate_names *names);
DEFINE_CLEANUP_DONE(struct certificate_names, certificate_names_done);

/* One certificate of the chain. Times are seconds since 1970; INT64_MIN where they make no sense. */
int64_t certificate_not_before(const struct certificate_chain *chain, size_t index);
int64_t certificate_not_after(const struct certificate_chain *chain, size_t index);

/* Whether it is signed by its own key. */
bool certificate_is_root(const struct certificate_chain *chain, size_t index);

/* SHA-256 of the whole certificate, as bytes and as "AB:CD:...". */
void certificate_digest(const struct certificate_chain *chain, size_t index,
			uint8_t ret[CERTIFICATE_DIGEST_SIZE]);
char *certificate_fingerprint(const struct certificate_chain *chain, size_t index,
			      char to[CERTIFICATE_FINGERPRINT_MAX]);

/* Append: the subject as "CN=..., O=...", PEM text, DER. Return 0 or -ENOMEM. */
int certificate_subject(const struct certificate_chain *chain, size_t index, struct text *to);
int certificate_write(const struct certificate_chain *chain, size_t index, struct text *to);
int certificate_write_der(const struct certificate_chain *chain, size_t index, struct text *to);
