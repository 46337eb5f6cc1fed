/*
 * The certificate of the web interface, as the document holds it (tunnel.md 1.1, 8.3)
 *
 * Beside key and chain of upstream's form, the document keeps the authority that issued them, at
 * /webserver/authority. So leaves are renewed under the root that the owner's devices trust already.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/text.h"

struct job;

#define WEB_CERTIFICATE_LEFT_S INT64_C(2592000) /* 30 days: with less left, a leaf is renewed */
#define WEB_ROOT_LEFT_S INT64_C(15552000) /* 180 days: with less left, the owner is told */

/*
 * Whether a leaf that is valid between the two times ought to be renewed: WEB_CERTIFICATE_LEFT_S or a
 * third of its life is left, whichever is less, and a new one would last longer. @issuers_end_s: when
 * the root ends.
 */
bool web_certificate_is_due(int64_t from_s, int64_t to_s, int64_t issuers_end_s, int64_t now_s);

/* The same of the document's leaf. False where it is not of our authority. */
bool web_certificate_wants_renewal(const json_t *document, int64_t now_s);

/*
 * What the owner has to do before browsers refuse the interface, as a sentence: where the root of ours
 * has WEB_ROOT_LEFT_S or less left, or WEB_CERTIFICATE_LEFT_S is left of a certificate that is not of ours.
 * Appends nothing where there is nothing to do.
 */
void web_certificate_warning(const json_t *document, int64_t now_s, struct text *to);

/*
 * For an edit: issues a leaf for @names under the kept authority and puts it into the document. Where
 * none is kept, or @new_root, an authority is made first. @ret_chain: the PEM stack, freed by the
 * caller. Returns 0 or a negative errno, with a fault where there is more to say.
 */
int web_certificate_issue(struct job *job, const char *const *names, size_t count, bool new_root,
			  char **ret_chain, struct fault *fault);

/* For an edit: the same for the names of the present leaf, if that is due. */
int web_certificate_renew(struct job *job, const json_t *params, struct fault *fault);

/* The root of our own that the interface's certificate ends in, or that is kept while it has none. */
enum web_root_form {
	WEB_ROOT_PEM,
	WEB_ROOT_PROFILE, /* configuration profile of Apple's systems */
	WEB_ROOT_FACTS, /* JSON: fingerprint, subject, notAfter */
	WEB_ROOT_FINGERPRINT, /* "AB:CD:..." */
	WEB_ROOT_FORMS,
};

/* Appends it. Returns 0, -ENOENT (there is none), or -ENOMEM. */
int web_certificate_root(const json_t *document, enum web_root_form form, struct text *to);

/* Seconds since 1970, now. */
int64_t web_certificate_now(void);
