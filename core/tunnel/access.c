#include "tunnel/access_internal.h"

#include "base/clock.h"
#include "base/secret.h"

/* --- what its parts share --- */

struct account *access_account_of(const struct tunnel *tunnel)
{
	return tunnel->access->account;
}

struct session_table *access_sessions_of(const struct tunnel *tunnel)
{
	return account_sessions(access_account_of(tunnel));
}

uint64_t access_now_s(void)
{
	return clock_realtime_ns() / NS_PER_S;
}

void attempt_free(struct attempt *attempt)
{
	secret_wipe(attempt, sizeof(*attempt));
	free(attempt);
}

struct attempt *attempt_new(struct rpc_call *call)
{
	struct attempt *attempt = calloc(1, sizeof(*attempt));

	if (attempt) {
		attempt->tunnel = rpc_context(call);
		attempt->call = call;
	}
	return attempt;
}

void access_fail(struct rpc_call *call, int error, struct fault *fault)
{
	(void)fault_set_errno(fault, error, FAULT_UNKNOWN, "the call could not be answered");
	rpc_fail(call, fault);
}

const char *access_caller_text(const struct rpc_caller *caller, char to[ACCESS_CALLER_MAX])
{
	char address[IP_TEXT_MAX];
	bool here = caller->kind == RPC_CALLER_LOCAL || caller->source.family == 0;

	(void)snprintf(to, ACCESS_CALLER_MAX, "%s",
		       here ? "this machine" : ip_format(&caller->source, address));
	return to;
}

/* --- the binding --- */

void access_flush(struct access *access)
{
	if (session_table_is_dirty(account_sessions(access->account)))
		tunnel_own_edit(access->tunnel, access_change_sessions);
}

static void on_session_ended(void *context, const char *id)
{
	const struct tunnel *tunnel = ((struct access *)context)->tunnel;

	if (tunnel->session_ended)
		tunnel->session_ended(tunnel->session_ended_context, id);
}

static void on_write_wanted(void *context)
{
	tunnel_own_edit(((struct access *)context)->tunnel, access_change_sessions);
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
