/*
 * What certificate.c and certificate_authority.c share
 */
#pragma once

#include <openssl/x509.h>

#include "crypto/certificate.h"

struct certificate_chain {
	X509 *certs[CERTIFICATE_CHAIN_MAX];
	size_t count;
};

/* Reads a private key in any PEM form without a password. Returns 0, or -EPROTO with a fault. */
int certificate_key_read(const char *key, EVP_PKEY **ret, struct fault *fault);

/* Appends a key as PKCS#8 PEM. Returns 0 or -ENOMEM. */
int certificate_key_append(EVP_PKEY *key, struct text *to);

/* Appends what was written to a memory BIO, which is freed and wiped. Returns 0 or -ENOMEM. */
int certificate_take_bio(BIO *bio, bool written, struct text *to);

/* Seconds since 1970, or INT64_MIN. */
int64_t certificate_time(const ASN1_TIME *time);
