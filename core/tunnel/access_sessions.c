/* Logins and sessions: auth.login, auth.logout, auth.session.*; tunnel.md 2.3 and 2.7 */
#include "tunnel/access_internal.h"

#include <inttypes.h>

#include "base/log.h"
#include "base/secret.h"

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

int access_remove_other_sessions(struct job *job, const char *id)
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

int access_change_sessions(struct job *job, const json_t *params, struct fault *fault)
{
	struct session_table *table = access_sessions_of(job->tunnel);
	json_t *wanted = session_table_document(table, access_now_s());
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
	char caller[ACCESS_CALLER_MAX];

	log_notice("a login from %s", access_caller_text(rpc_caller(call), caller));
	if (kind == RPC_CALLER_NOBODY || kind == RPC_CALLER_SESSION)
		set_cookie(call, token, lasts);
}

/* Beside the new session: what had to give way in the account must not come back with the document. */
static int make_room(struct job *job)
{
	const char *id = session_table_idlest(access_sessions_of(job->tunnel));

	return id && json_object_get(stored_sessions(job), id) ? remove_session(job, id) : 0;
}

static int change_login(struct job *job, const json_t *params, struct fault *fault)
{
	struct attempt *attempt = job->data;
	json_t *record = session_record(rpc_caller(job->call)->user_agent, access_now_s());
	int r = record ? access_change_sessions(job, NULL, fault) : -ENOMEM;

	if (r == 0)
		r = make_room(job);
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
	int r = result ? session_table_add(access_sessions_of(attempt->tunnel), attempt->id,
					   caller->user_agent, access_now_s())
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
	char caller[ACCESS_CALLER_MAX];

	/* As many lines as the limiter lets through. */
	if (result == -EACCES)
		log_notice("a wrong password from %s",
			   access_caller_text(rpc_caller(attempt->call), caller));
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
		access_fail(attempt->call, result, &fault);
	attempt_free(attempt);
}

void auth_login(struct rpc_call *call)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	struct attempt *attempt = attempt_new(call);
	int r = attempt ? account_check_password(access_account_of(attempt->tunnel),
						 rpc_caller(call), rpc_string(call, "password"),
						 on_password_checked, attempt, &fault)
			: -ENOMEM;

	if (r == 0)
		return;
	access_fail(call, r, &fault);
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
		(void)session_table_end(access_sessions_of(job->tunnel), id);
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
	json_t *sessions = session_table_list(access_sessions_of(tunnel), access_now_s());
	json_t *result = sessions ? json_pack("{s:s?, s:o}", "current", rpc_caller(call)->session,
					      "sessions", sessions)
				  : NULL;

	if (result)
		rpc_reply(call, result);
	else
		access_fail(call, -ENOMEM, &fault);
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
		(void)session_table_end(access_sessions_of(job->tunnel), json_string_value(id));
}

void auth_session_kill(struct rpc_call *call)
{
	tunnel_edit_with(call, change_kill, NULL, kill_ended);
}
