/*
 * The owner's account: who may call, and how they prove it
 *
 * Answers the HTTP front's question who a caller is (rpc/authenticator.h): by the secret of this machine, by a
 * signature (crypto/signature_header.h), or by a session (session_table.h). Verifies passwords on a worker
 * thread behind a limiter (login_limiter.h), so that neither the loop nor the owner waits for a guesser.
 *
 * What is durable is the document's, which is another's: account_load() takes over what it says about
 * sessions, keys and the password, each time that it changes. Owned by one event loop. Timers run only while
 * somebody is logged in: one that ends sessions when their time is over, with what hangs on them, and
 * one while some session's activity is not in the document yet.
 */
#pragma once

#include <jansson.h>
#include <uv.h>

#include "account/password_worker.h"
#include "account/session_table.h"
#include "base/fault.h"
#include "rpc/authenticator.h"

#define ACCOUNT_CONTEXTS_MAX 32 /* names that a signature may be for; later ones do not count */
#define ACCOUNT_KEYS_MAX 64 /* keys that may be added */

struct account;

struct account_events {
	/* A session is over, whatever ended it: its sockets have to end too. */
	void (*session_ended)(void *context, const char *id);

	/* What became of sessions is to be put into the document (session_table_document()): when they
	 * were active, or that they are over. */
	void (*write_wanted)(void *context);
};

/* @events, @context: borrowed. Returns 0 or -ENOMEM. */
int account_new(uv_loop_t *loop, const struct account_events *events, void *context,
		struct account **ret);

/* Password checks that run end with -ECANCELED. The loop has to run once more. NULL is fine. Returns
 * NULL. */
struct account *account_free(struct account *account);

/* The secret that the cookie `local` has to equal; copied. NULL: none fits. Returns 0 or -ENOMEM. */
int account_set_local_secret(struct account *account, const char *secret);

/*
 * The contexts under which a signature counts: the listening address as text, and the names and
 * addresses in the certificate; copied. "*.example.com" stands for the host that a request is for, where
 * that is one label below. None: no signature counts. Returns 0 or -ENOMEM; the old ones stay then.
 */
int account_set_contexts(struct account *account, const char *const *contexts, size_t count);

/* Takes over /sessions, /authPubkeys and /password of the document. Returns 0 or -ENOMEM. */
int account_load(struct account *account, const json_t *document);

/* For the front; valid as long as the account. */
const struct rpc_authenticator *account_authenticator(struct account *account);

struct session_table *account_sessions(struct account *account);

/*
 * Checks a password for a login. Callers that have authenticated otherwise are not limited. @done gets 0,
 * -EACCES, or another negative errno, and no hash.
 * Returns 0, or a negative errno with a fault: FAULT_RATE_LIMITED, FAULT_INCORRECT_PASSWORD (none is set).
 */
int account_check_password(struct account *account, const struct rpc_caller *caller,
			   const char *password, password_done_fn done, void *context,
			   struct fault *fault);

/* Makes the hash of a new password. Returns 0, or a negative errno with a fault. */
int account_hash_password(struct account *account, const char *password, password_done_fn done,
			  void *context, struct fault *fault);
