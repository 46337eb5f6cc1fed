/*
 * What the parts of access share
 *
 * access.c binds the account to the document; the methods auth.* are in access_sessions.c,
 * access_password.c and access_keys.c.
 */
#pragma once

#include "crypto/password.h"
#include "tunnel/access.h"
#include "tunnel/job.h"

struct access {
	struct tunnel *tunnel;
	struct account *account;
	struct store_subscription *subscriptions[3];
};

/* A login or a new password, on its way through the worker thread and the queue of edits. Wiped when it is
 * freed. */
struct attempt {
	struct tunnel *tunnel;
	struct rpc_call *call;
	char token[SESSION_TOKEN_SIZE];
	char id[SESSION_ID_SIZE];
	char hash[PASSWORD_HASH_MAX];
	char password[PASSWORD_RANDOM_SIZE]; /* of auth.reset-password, else "" */
};

/* NULL: out of memory. */
struct attempt *attempt_new(struct rpc_call *call);
void attempt_free(struct attempt *attempt);

/* Seconds since 1970, now. */
uint64_t access_now_s(void);

/* The account of a tunnel, and its sessions. */
struct account *access_account_of(const struct tunnel *tunnel);
struct session_table *access_sessions_of(const struct tunnel *tunnel);

/* Answers with a failure: the fault, or where none is set, one for the error. */
void access_fail(struct rpc_call *call, int error, struct fault *fault);

/* Where a caller is, for the log. */
#define ACCESS_CALLER_MAX (IP_TEXT_MAX + 16)
const char *access_caller_text(const struct rpc_caller *caller, char to[ACCESS_CALLER_MAX]);

/* For edits: makes the document's sessions those of the account, without the ones that are over, with their
 * activity. */
int access_change_sessions(struct job *job, const json_t *params, struct fault *fault);

/* For edits: removes all sessions from the document but the one with this id; NULL: all. */
int access_remove_other_sessions(struct job *job, const char *id);
