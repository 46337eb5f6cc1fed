/*
 * The document as a browser may see it
 *
 * A caller with a session gets no secret: private keys, preshared keys, the password's hash, the keys
 * of certificates, the hashes of sessions. Each such place stays, so that clients find the members
 * they know, but holds a value of the same type that says nothing: "" for a string, {} for an object;
 * null stays null. Pure; the places are a constant table in redact.c.
 *
 * Redaction and patches go together: redacting the document that a patch makes gives what the
 * redacted patch makes of the redacted document.
 */
#pragma once

#include <jansson.h>

/*
 * Makes what may be seen of @value, which lies at @pointer in the document (NULL, for nothing there,
 * becomes null). What holds no secret is shared with @value, not copied: serialise the result before the
 * document is edited again. Below a secret there is null. Returns 0 or -ENOMEM.
 */
int redact_value(const char *pointer, const json_t *value, json_t **ret);

/*
 * Makes what may be seen of a patch of the whole document. Operations are shared or made anew, never
 * changed; those below a secret are left away, so that it may become empty. Returns 0, -ENOMEM, or
 * -EINVAL for operations other than add, remove and replace.
 */
int redact_patch(const json_t *patch, json_t **ret);
