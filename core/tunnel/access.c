/* auth.*, tunnel.md 2.3 and 2.7 */
#include "tunnel/access.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/secret.h"
#include "crypto/password.h"
#include "crypto/signing_key.h"
#include "tunnel/job.h"

struct access {
	struct tunnel *tunnel;
	struct account *account;
	struct store_subscription *subscriptions[3];
};

/* A login or a new password, on its way through the worker thread and the queue of edits. */
struct attempt {
	struct tunnel *tunnel;
	struct rpc_call *call;
	char token[SESSION_TOKEN_SIZE];
	char id[SESSION_ID_SIZE];
	char hash[PASSWORD_HASH_MAX];
	char password[PASSWORD_RANDOM_SIZE]; /* of auth.reset-password, else "" */
};

static struct account *account_of(const struct tunnel *tunnel)
{
	return tunnel->access->account;
}

static uint64_t now_s(void)
{
	return clock_realtime_ns() / NS_PER_S;
}

static void attempt_free(struct attempt *attempt)
{
	secret_wipe(attempt, sizeof(*attempt));
	free(attempt);
}

static struct attempt *attempt_new(struct rpc_call *call)
{
	struct attempt *attempt = calloc(1, sizeof(*attempt));

	if (attempt) {
		attempt->tunnel = rpc_context(call);
		attempt->call = call;
	}
	return attempt;
}

/* Answers with a failure: the fault, or where none is set, one for the error. */
static void fail(struct rpc_call *call, int error, struct fault *fault)
{
	(void)fault_set_errno(fault, error, FAULT_UNKNOWN, "the call could not be answered");
	rpc_fail(call, fault);
}

/* --- the document's sessions --- */

static int put_session(struct job *job, const char *id, json_t *record)
{
	CLEANUP(text_done) struct text pointer = { 0 };

	document_pointer(&pointer, "sessions", id, NULL);
	if (text_error(&pointer) < 0) {
		json_decref(record);
		return text_error(&pointer);
	}
	return job_put(job, text_string(&pointer), record, NULL);
}

static int remove_session(struct job *job, const char *id)
{
	CLEANUP(text_done) struct text pointer = { 0 };

	document_pointer(&pointer, "sessions", id, NULL);
	return text_error(&pointer) < 0 ? text_error(&pointer)
					: job_remove(job, text_string(&pointer));
}

static json_t *stored_sessions(const struct job *job)
{
	return json_object_get(job_document(job), "sessions");
}

/* Removes all but one; NULL: all. */
static int remove_other_sessions(struct job *job, const char *id)
{
	json_t *value;
	const char *key;
	void *next;
	int r = 0;

	json_object_foreach_safe(stored_sessions(job), next, key, value) {
		if (id && strcmp(key, id) == 0)
			continue;
		r = remove_session(job, key);
		if (r < 0)
			return r;
	}
	return r;
}

/* Makes the document's sessions those of the account: without the ones that are over, with their activity. */
static int change_sessions(struct job *job, const json_t *params, struct fault *fault)
{
	struct session_table *table = account_sessions(account_of(job->tunnel));
	json_t *wanted = session_table_document(table, now_s());
	json_t *value;
	const char *id;
	void *next;
	int r = wanted ? 0 : -ENOMEM;

	if (r < 0)
		return r;
	json_object_foreach_safe(stored_sessions(job), next, id, value)
		if (r == 0 && !json_object_get(wanted, id))
			r = remove_session(job, id);
	json_object_foreach(wanted, id, value)
		if (r == 0 && !json_equal(json_object_get(stored_sessions(job), id), value))
			r = put_session(job, id, json_incref(value));
	json_decref(wanted);
	if (r == 0)
		session_table_written(table);
	return r;
}

void access_flush(struct access *access)
{
	if (session_table_is_dirty(account_sessions(access->account)))
		tunnel_own_edit(access->tunnel, change_sessions);
}

/* --- login and logout --- */

static void set_cookie(struct rpc_call *call, const char *token, bool lasts)
{
	CLEANUP(text_done_secret) struct text cookie = { 0 };

	text_printf(&cookie, "session=%s; Path=/; HttpOnly; SameSite=Strict", token);
	if (lasts)
		text_printf(&cookie, "; Max-Age=%" PRIu64, SESSION_LIFE_S);
	if (rpc_caller(call)->secure)
		text_append(&cookie, "; Secure");
	if (text_error(&cookie) == 0)
		(void)rpc_set_cookie(call, text_string(&cookie));
}

/* The cookie is for those who have no other proof. */
static void give_token(struct rpc_call *call, const char *token, bool lasts)
{
	enum rpc_caller_kind kind = rpc_caller(call)->kind;

	if (kind == RPC_CALLER_NOBODY || kind == RPC_CALLER_SESSION)
		set_cookie(call, token, lasts);
}

static int change_login(struct job *job, const json_t *params, struct fault *fault)
{
	struct attempt *attempt = job->data;
	json_t *record = session_record(rpc_caller(job->call)->user_agent, now_s());
	int r = record ? change_sessions(job, NULL, fault) : -ENOMEM;

	if (r < 0)
		json_decref(record);
	else
		r = put_session(job, attempt->id, record);
	if (r < 0)
		return r;
	job->result = json_pack("{s:s}", "session", attempt->token);
	return job->result ? 0 : -ENOMEM;
}

/* The session itself came by the document. */
static void login_ended(struct job *job, bool done)
{
	struct attempt *attempt = job->data;

	if (done)
		give_token(job->call, attempt->token, true);
	attempt_free(attempt);
}

static int login_ephemeral(const struct attempt *attempt)
{
	const struct rpc_caller *caller = rpc_caller(attempt->call);
	json_t *result = json_pack("{s:s}", "session", attempt->token);
	int r = result ? session_table_add(account_sessions(account_of(attempt->tunnel)),
					   attempt->id, caller->user_agent, now_s())
		       : -ENOMEM;

	if (r < 0) {
		json_decref(result);
		return r;
	}
	give_token(attempt->call, attempt->token, false);
	rpc_reply(attempt->call, result);
	return 0;
}

static void on_password_checked(void *context, int result, const char *hash)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	struct attempt *attempt = context;

	if (result == -EACCES || result == -EBADMSG)
		(void)fault_set(&fault, FAULT_INCORRECT_PASSWORD, "Password Incorrect");
	else if (result == -ECANCELED)
		(void)fault_set(&fault, FAULT_UNKNOWN, "the daemon is ending");
	if (result == 0) {
		session_token(attempt->token);
		session_id(attempt->token, attempt->id);
		if (!rpc_bool(attempt->call, "ephemeral")) {
			tunnel_edit_with(attempt->call, change_login, attempt, login_ended);
			return;
		}
		result = login_ephemeral(attempt);
	}
	if (result < 0)
		fail(attempt->call, result, &fault);
	attempt_free(attempt);
}

void auth_login(struct rpc_call *call)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	struct attempt *attempt = attempt_new(call);
	int r = attempt ? account_check_password(account_of(attempt->tunnel), rpc_caller(call),
						 rpc_string(call, "password"), on_password_checked,
						 attempt, &fault)
			: -ENOMEM;

	if (r == 0)
		return;
	fail(call, r, &fault);
	if (attempt)
		attempt_free(attempt);
}

/* The id of the session that a call wants to end. Only callers without a session name one. */
static int find_logout(const struct rpc_call *call, char id[SESSION_ID_SIZE], struct fault *fault)
{
	const struct rpc_caller *caller = rpc_caller(call);
	const char *token = rpc_string(call, "__Auth_session");

	if (caller->kind == RPC_CALLER_SESSION) {
		(void)snprintf(id, SESSION_ID_SIZE, "%s", caller->session);
		return 0;
	}
	if (!token)
		return fault_set(fault, FAULT_RPC_INVALID_PARAMS, "__Auth_session: is required");
	session_id(token, id);
	return 0;
}

static int change_logout(struct job *job, const json_t *params, struct fault *fault)
{
	char id[SESSION_ID_SIZE];
	int r = find_logout(job->call, id, fault);

	return r == 0 && json_object_get(stored_sessions(job), id) ? remove_session(job, id) : r;
}

/* Persistent sessions ended by the document; the others end here. */
static void logout_ended(struct job *job, bool done)
{
	char id[SESSION_ID_SIZE];

	if (done && find_logout(job->call, id, NULL) == 0)
		(void)session_table_end(account_sessions(account_of(job->tunnel)), id);
	if (done && rpc_caller(job->call)->kind == RPC_CALLER_SESSION)
		(void)rpc_set_cookie(job->call, rpc_caller(job->call)->secure
							? "session=; Path=/; HttpOnly; "
							  "SameSite=Strict; Max-Age=0; Secure"
							: "session=; Path=/; HttpOnly; "
							  "SameSite=Strict; Max-Age=0");
}

void auth_logout(struct rpc_call *call)
{
	tunnel_edit_with(call, change_logout, NULL, logout_ended);
}

/* --- sessions --- */

void auth_session_list(struct rpc_call *call)
{
	struct tunnel *tunnel = rpc_context(call);
	CLEANUP(fault_done) struct fault fault = { 0 };
	json_t *sessions = session_table_list(account_sessions(account_of(tunnel)), now_s());
	json_t *result = sessions ? json_pack("{s:s?, s:o}", "current", rpc_caller(call)->session,
					      "sessions", sessions)
				  : NULL;

	if (result)
		rpc_reply(call, result);
	else
		fail(call, -ENOMEM, &fault);
}

static int change_kill(struct job *job, const json_t *params, struct fault *fault)
{
	const json_t *id;
	size_t i;
	int r = 0;

	json_array_foreach(json_object_get(params, "ids"), i, id)
		if (r == 0 && json_object_get(stored_sessions(job), json_string_value(id)))
			r = remove_session(job, json_string_value(id));
	return r;
}

static void kill_ended(struct job *job, bool done)
{
	const json_t *id;
	size_t i;

	if (!done)
		return;
	json_array_foreach(json_object_get(rpc_params(job->call), "ids"), i, id)
		(void)session_table_end(account_sessions(account_of(job->tunnel)),
					json_string_value(id));
}

void auth_session_kill(struct rpc_call *call)
{
	tunnel_edit_with(call, change_kill, NULL, kill_ended);
}

/* --- the password --- */

static int change_password(struct job *job, const json_t *params, struct fault *fault)
{
	const struct attempt *attempt = job->data;
	int r = job_put(job, "/password", json_string(attempt->hash), fault);

	if (r == 0)
		r = remove_other_sessions(job, rpc_caller(job->call)->session);
	if (r == 0 && attempt->password[0]) {
		job->result = json_string(attempt->password);
		r = job->result ? 0 : -ENOMEM;
	}
	return r;
}

static void password_ended(struct job *job, bool done)
{
	if (done)
		session_table_end_others(account_sessions(account_of(job->tunnel)),
					 rpc_caller(job->call)->session);
	attempt_free(job->data);
}

static void on_password_hashed(void *context, int result, const char *hash)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	struct attempt *attempt = context;

	if (result == 0) {
		memcpy(attempt->hash, hash, strlen(hash) + 1);
		tunnel_edit_with(attempt->call, change_password, attempt, password_ended);
		return;
	}
	if (result == -ECANCELED)
		(void)fault_set(&fault, FAULT_UNKNOWN, "the daemon is ending");
	(void)fault_set_errno(&fault, result, FAULT_PASSWORD_HASH, "hashing the password");
	rpc_fail(attempt->call, &fault);
	attempt_free(attempt);
}

/* @random: a password is made and is the result. */
static void set_password(struct rpc_call *call, bool random)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	struct attempt *attempt = attempt_new(call);
	const char *password = random ? NULL : rpc_string(call, "password");
	int r = attempt ? 0 : -ENOMEM;

	if (r == 0 && random)
		password_random(attempt->password);
	else if (r == 0)
		r = password_check(password, &fault);
	if (r == 0)
		r = account_hash_password(account_of(attempt->tunnel),
					  random ? attempt->password : password, on_password_hashed,
					  attempt, &fault);
	if (r == 0)
		return;
	fail(call, r, &fault);
	if (attempt)
		attempt_free(attempt);
}

void auth_set_password(struct rpc_call *call)
{
	set_password(call, false);
}

void auth_reset_password(struct rpc_call *call)
{
	CLEANUP(fault_done) struct fault fault = { 0 };

	if (rpc_caller(call)->kind == RPC_CALLER_LOCAL) {
		set_password(call, true);
		return;
	}
	(void)fault_set(
		&fault, FAULT_INVALID_REQUEST,
		"a random password is made on the server itself only; elsewhere, set one by "
		"auth.set-password");
	rpc_fail(call, &fault);
}

/* --- keys --- */

static int key_pointer(const char *pem, struct text *pointer)
{
	document_pointer(pointer, "authPubkeys", pem, NULL);
	return text_error(pointer);
}

static const json_t *stored_keys(const struct job *job)
{
	return json_object_get(job_document(job), "authPubkeys");
}

static int change_key_add(struct job *job, const json_t *params, struct fault *fault)
{
	CLEANUP(text_done) struct text pointer = { 0 };
	uint8_t key[ED25519_PUBLIC_SIZE];
	char pem[SIGNING_KEY_PEM_SIZE];
	int r = signing_key_parse_public(param_string(params, "key"), key, fault);

	if (r == 0)
		r = key_pointer(signing_key_format_public(key, pem), &pointer);
	if (r < 0)
		return r;
	if (json_object_size(stored_keys(job)) >= ACCOUNT_KEYS_MAX &&
	    !json_object_get(stored_keys(job), pem))
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "there are %d keys already; remove one first", ACCOUNT_KEYS_MAX);
	return job_put(job, text_string(&pointer),
		       json_pack("{s:s}", "name", param_string(params, "name")), fault);
}

/* A key that the document holds under another text than ours is removed by that text. */
static int change_key_remove(struct job *job, const json_t *params, struct fault *fault)
{
	CLEANUP(text_done) struct text pointer = { 0 };
	const char *text = param_string(params, "key");
	uint8_t key[ED25519_PUBLIC_SIZE];
	char pem[SIGNING_KEY_PEM_SIZE];
	int r;

	if (!json_object_get(stored_keys(job), text)) {
		r = signing_key_parse_public(text, key, fault);
		if (r < 0)
			return r;
		text = signing_key_format_public(key, pem);
		if (!json_object_get(stored_keys(job), text))
			return 0;
	}
	r = key_pointer(text, &pointer);
	return r < 0 ? r : job_remove(job, text_string(&pointer));
}

static int read_keys(struct tunnel *tunnel, const json_t *params, json_t **ret, struct fault *fault)
{
	*ret = json_deep_copy(store_get(tunnel->store, "/authPubkeys"));
	return *ret ? 0 : -ENOMEM;
}

TUNNEL_EDIT(auth_key_add, change_key_add);
TUNNEL_EDIT(auth_key_remove, change_key_remove);
TUNNEL_READ(auth_key_list, read_keys);

/* --- life --- */

static void on_session_ended(void *context, const char *id)
{
	const struct tunnel *tunnel = ((struct access *)context)->tunnel;

	if (tunnel->session_ended)
		tunnel->session_ended(tunnel->session_ended_context, id);
}

static void on_write_wanted(void *context)
{
	access_flush(context);
}

static const struct account_events events = { on_session_ended, on_write_wanted };

static int load(struct access *access)
{
	return account_load(access->account, store_document(access->tunnel->store));
}

static void on_changed(void *context, uint64_t revision, const json_t *patch)
{
	/* Out of memory, it goes by what it knew; the next change brings it up to date. */
	(void)load(context);
}

int access_new(struct tunnel *tunnel, struct access **ret)
{
	static const char *const pointers[] = { "/sessions", "/authPubkeys", "/password" };
	struct access *access = calloc(1, sizeof(*access));
	int r;

	if (!access)
		return -ENOMEM;
	access->tunnel = tunnel;
	r = account_new(tunnel->loop, &events, access, &access->account);
	if (r == 0)
		r = load(access);
	for (size_t i = 0; i < ARRAY_SIZE(pointers) && r == 0; i++)
		r = store_subscribe(tunnel->store, pointers[i], on_changed, access,
				    &access->subscriptions[i]);
	if (r < 0) {
		(void)access_free(access);
		return r;
	}
	*ret = access;
	return 0;
}

struct access *access_free(struct access *access)
{
	if (!access)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(access->subscriptions); i++)
		(void)store_unsubscribe(access->subscriptions[i]);
	(void)account_free(access->account);
	free(access);
	return NULL;
}

struct account *access_account(struct access *access)
{
	return access->account;
}
