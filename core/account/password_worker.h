/*
 * Argon2 on a worker thread
 *
 * Hashes and verifies one password at a time, so that no number of logins takes more than one hash's memory
 * (64 MiB) or more than one thread of the loop's pool, which must have another one. A few may wait; more
 * are refused at once. Owned by one event loop.
 */
#pragma once

#include <stdbool.h>
#include <uv.h>

#include "base/cleanup.h"

#define PASSWORD_WAITING_MAX 4
#define PASSWORD_RESERVED 1 /* of these, for callers who are known */

struct password_worker;

/* Returns 0 or -ENOMEM. */
int password_worker_new(uv_loop_t *loop, struct password_worker **ret);

/* What runs or waits ends with -ECANCELED, now. NULL is fine. Returns NULL. The loop has to run until a
 * thread that works has ended. */
struct password_worker *password_worker_free(struct password_worker *worker);
DEFINE_CLEANUP(struct password_worker *, password_worker_free);

/* Called once from the loop, with the result of password_verify() or password_hash(), or -ECANCELED. @hash:
 * the encoded hash that was made, else NULL; borrowed. */
typedef void (*password_done_fn)(void *context, int result, const char *hash);

/*
 * Both copy their texts and wipe the copies. @known: the caller may take a reserved place.
 * Return 0, -EBUSY (too many wait) or -ENOMEM; @done is not called then.
 */
int password_worker_verify(struct password_worker *worker, const char *encoded,
			   const char *password, bool known, password_done_fn done, void *context);
int password_worker_hash(struct password_worker *worker, const char *password,
			 password_done_fn done, void *context);
