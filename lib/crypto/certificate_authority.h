/*
 * A certificate authority of our own (tunnel.md 8.3)
 *
 * A root that the owner's devices are told to trust, an intermediate that signs, and leaves for the
 * web interface that are made anew under the same root before they expire. All keys are P-256. Texts
 * are PEM and live in the document. Reads no clock.
 *
 * Leaves meet what OpenSSL, Chromium and Apple ask of certificates under roots that the owner added:
 * host names in the subject's alternative names, the purpose serverAuth, SHA-256, not longer valid
 * than CERTIFICATE_LEAF_DAYS.
 */
#pragma once

#include "crypto/certificate.h"

#define CERTIFICATE_LEAF_DAYS 397
#define CERTIFICATE_ROOT_DAYS 3640 /* after its making */
#define CERTIFICATE_SUBJECTS_MAX 64

struct certificate_authority {
	char *root_cert;
	char *root_key; /* PKCS#8, a secret */
	char *intermediate_cert;
	char *intermediate_key; /* PKCS#8, a secret */
};

/* Wipes the keys. */
void certificate_authority_done(struct certificate_authority *authority);
DEFINE_CLEANUP_DONE(struct certificate_authority, certificate_authority_done);

/* Makes a root and an intermediate, valid from a day before @start_s. Returns 0 or -ENOMEM. */
int certificate_authority_make(int64_t start_s, struct certificate_authority *ret);

/*
 * Makes the intermediate anew, with the end of the root. Returns 0, -ENOMEM, or -EPROTO with a fault:
 * the root or its key is not sound. Nothing changes then.
 */
int certificate_authority_renew(struct certificate_authority *authority, int64_t now_s,
				struct fault *fault);

/*
 * Ends of the two certificates, in seconds since 1970. Return 0, -ENOMEM, or -EPROTO with a fault
 * where the texts are not sound.
 */
int certificate_authority_ends(const struct certificate_authority *authority, int64_t *ret_root_s,
			       int64_t *ret_intermediate_s, struct fault *fault);

/* A leaf with its key, and the chain that it heads; both PEM. */
struct certificate_leaf {
	char *key; /* PKCS#8, a secret */
	char *chain; /* leaf, intermediate, root */
};

void certificate_leaf_done(struct certificate_leaf *leaf);
DEFINE_CLEANUP_DONE(struct certificate_leaf, certificate_leaf_done);

/*
 * Issues a leaf for the hosts @names: DNS names and IP addresses in any order and case, at least one;
 * doubles are one. It is valid from a day ago, and not longer than its issuers.
 * Returns 0, -ENOMEM, or -EPROTO with a fault: a name is none (FAULT_INVALID_REQUEST), too many, or
 * the authority is not sound.
 */
int certificate_authority_issue(const struct certificate_authority *authority,
				const char *const *names, size_t count, int64_t now_s,
				struct certificate_leaf *ret, struct fault *fault);
