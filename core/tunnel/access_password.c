/* auth.set-password and auth.reset-password */
#include "tunnel/access_internal.h"

#include "base/log.h"

static int change_password(struct job *job, const json_t *params, struct fault *fault)
{
	const struct attempt *attempt = job->data;
	int r = job_put(job, "/password", json_string(attempt->hash), fault);

	if (r == 0)
		r = access_remove_other_sessions(job, rpc_caller(job->call)->session);
	if (r == 0 && attempt->password[0]) {
		job->result = json_string(attempt->password);
		r = job->result ? 0 : -ENOMEM;
	}
	return r;
}

static void password_ended(struct job *job, bool done)
{
	char caller[ACCESS_CALLER_MAX];

	if (done) {
		session_table_end_others(access_sessions_of(job->tunnel),
					 rpc_caller(job->call)->session);
		log_notice("a new password from %s; all other sessions are over",
			   access_caller_text(rpc_caller(job->call), caller));
	}
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
		r = account_hash_password(access_account_of(attempt->tunnel),
					  random ? attempt->password : password, on_password_hashed,
					  attempt, &fault);
	if (r == 0)
		return;
	access_fail(call, r, &fault);
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
