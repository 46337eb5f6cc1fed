#include "client/client.h"

#include <string.h>
#include <time.h>

#include "base/secret.h"
#include "base/text.h"
#include "client/cookie_jar.h"
#include "client/transfer.h"

#define RPC_PATH "/rpc/v0"

struct rpc_client {
	struct rpc_client_options options;
	struct rpc_target target;
	struct transfer *transfer; /* NULL until the first call */
	struct cookie_jar *jar; /* NULL: none */
	struct key_ring *keys;
	size_t key; /* the one that the daemon accepted last, or the first */
	bool refused; /* the last call: the daemon did not accept who calls */
};

int rpc_client_new(const struct rpc_client_options *options, struct rpc_client **ret)
{
	CLEANUP(rpc_client_free) struct rpc_client *client = calloc(1, sizeof(*client));
	int r = client ? 0 : -ENOMEM;

	if (r == 0) {
		client->options = *options;
		r = key_ring_new(&client->options.keys, &client->keys);
	}
	if (r == 0 && options->cookie_jar)
		r = cookie_jar_new(options->cookie_jar, &client->jar);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(client);
	return 0;
}

struct rpc_client *rpc_client_free(struct rpc_client *client)
{
	if (!client)
		return NULL;
	(void)transfer_free(client->transfer);
	(void)cookie_jar_free(client->jar);
	(void)key_ring_free(client->keys);
	free(client);
	return NULL;
}

static int64_t now_s(void)
{
	return (int64_t)time(NULL);
}

static int connect_once(struct rpc_client *client, struct fault *fault)
{
	struct transfer_options options = {
		.proxy = client->options.proxy,
		.roots = client->options.roots,
		.insecure = client->options.insecure,
	};
	int r;

	if (client->transfer)
		return 0;
	r = rpc_client_target(&client->options, &client->target, fault);
	if (r < 0)
		return r;
	options.direct = client->target.local;
	return transfer_new(&options, &client->transfer, fault);
}

/* --- one request --- */

/* What one request carries to show who calls. */
struct evidence {
	bool local; /* the local cookie */
	const char *session; /* a token in place of the kept one; NULL: that */
	bool cookies; /* the kept ones */
	bool sign;
	size_t key;
};

static void write_cookies(struct rpc_client *client, const struct evidence *evidence,
			  struct text *to)
{
	if (evidence->local)
		text_printf(to, "local=%s", client->options.cookie);
	if (evidence->session)
		text_printf(to, "%ssession=%s", to->size > 0 ? "; " : "", evidence->session);
	else if (evidence->cookies && client->jar)
		cookie_jar_write(client->jar, client->target.host, RPC_PATH, !client->target.local,
				 now_s(), to);
}

static int keep_cookies(struct rpc_client *client, const struct transfer_response *response,
			struct fault *fault)
{
	const char *at = text_string(&response->cookies);
	int r = 0;

	if (!client->jar || response->cookies.size == 0)
		return 0;
	for (; at < response->cookies.data + response->cookies.size && r == 0; at += strlen(at) + 1)
		r = cookie_jar_take(client->jar, client->target.host, at, now_s());
	if (r < 0)
		return fault_set_errno(fault, r, FAULT_FILESYSTEM, "keeping a cookie");
	return cookie_jar_save(client->jar, now_s(), fault);
}

static char *write_body(const char *method, const json_t *params)
{
	json_t *object = params ? json_incref((json_t *)params) : json_object();
	json_t *request = json_pack("{s:i, s:s, s:o}", "id", 0, "method", method, "params", object);
	char *body = request ? json_dumps(request, JSON_COMPACT) : NULL;

	json_decref(request);
	return body;
}

/* Asks once. @ret_skew_s: how far the daemon's clock is ahead of ours; 0 where it does not tell. */
static int ask(struct rpc_client *client, const struct evidence *evidence, const char *body,
	       json_t **ret_result, int64_t *ret_skew_s, struct fault *fault)
{
	CLEANUP(transfer_response_done) struct transfer_response response = { 0 };
	CLEANUP(text_done_secret) struct text cookies = { 0 };
	CLEANUP(text_done) struct text signature = { 0 };
	CLEANUP(text_done) struct text url = { 0 };
	int r = evidence->sign ? key_ring_sign(client->keys, evidence->key, client->target.host,
					       body, strlen(body), &signature, fault)
			       : 0;

	if (r < 0)
		return r;
	write_cookies(client, evidence, &cookies);
	text_printf(&url, "%s://%s" RPC_PATH, client->target.local ? "http" : "https",
		    client->target.peer);
	if (text_error(&cookies) < 0 || text_error(&url) < 0)
		return fault_set_errno(fault, -ENOMEM, FAULT_NETWORK, "preparing the request");
	r = transfer_post(client->transfer,
			  &(struct transfer_request){
				  .url = url.data,
				  .peer = client->target.peer,
				  .host = client->target.host,
				  .cookie = cookies.size > 0 ? cookies.data : NULL,
				  .signature = signature.size > 0 ? signature.data : NULL,
				  .body = body,
				  .body_size = strlen(body),
			  },
			  &response, fault);
	if (r < 0)
		return r;
	*ret_skew_s = response.date_s < 0 ? 0 : response.date_s - now_s();
	r = rpc_response_parse(response.status, response.content_type, text_string(&response.body),
			       response.body.size, ret_result, fault);
	if (r < 0)
		return r;
	r = keep_cookies(client, &response, fault);
	if (r < 0)
		json_decref(*ret_result);
	return r;
}

/* --- the call --- */

bool rpc_client_is_refused(const struct rpc_client *client)
{
	return client->refused;
}

/* Whether a fault is the daemon's bare refusal. */
static bool is_refusal(const struct fault *fault)
{
	/* web.enable has the same code for a missing password: what differs is the text. */
	return fault->kind == FAULT_AUTHORIZATION && fault->details &&
	       strcmp(fault->details, "UNAUTHORIZED") == 0;
}

/* Puts why, and what to do, in the place of a bare refusal of what was signed, or of nothing at all. */
static void advise_keys(struct rpc_client *client, int64_t skew_s, struct fault *fault)
{
	const char *note = key_ring_note(client->keys);
	size_t keys = key_ring_count(client->keys);

	fault_done(fault);
	if (keys > 0 && (skew_s > RPC_CLOCK_TOLERANCE_S || skew_s < -RPC_CLOCK_TOLERANCE_S))
		(void)fault_set(
			fault, FAULT_AUTHORIZATION,
			"the clock of %s is %lld s %s this machine's, and a signature holds "
			"for %d s: set both clocks right",
			client->target.host, (long long)(skew_s < 0 ? -skew_s : skew_s),
			skew_s < 0 ? "behind" : "ahead of", RPC_CLOCK_TOLERANCE_S);
	else if (keys > 0)
		(void)fault_set(
			fault, FAULT_AUTHORIZATION,
			"%s accepts none of your keys (%s)%s%s. Add one on the server: "
			"`start-tunnel auth key add NAME \"$(cat ~/.ssh/id_ed25519.pub)\"`, or run "
			"`start-tunnel auth login` here",
			client->target.host, key_ring_names(client->keys), *note ? ". " : "", note);
	else
		(void)fault_set(
			fault, FAULT_AUTHORIZATION,
			"there is no key to sign with%s%s. `ssh-keygen -t ed25519` "
			"makes one, which the server then has to know: `start-tunnel auth key add "
			"NAME \"$(cat ~/.ssh/id_ed25519.pub)\"`; or run `start-tunnel auth login`",
			*note ? ": " : "", note);
}

/* The same for a refusal of the local cookie, or of a session alone. */
static void advise_cookies(struct rpc_client *client, const struct evidence *evidence,
			   struct fault *fault)
{
	fault_done(fault);
	if (evidence->local)
		(void)fault_set(fault, FAULT_AUTHORIZATION,
				"%s does not accept the local cookie: the daemon there was just "
				"started anew (try again), or is not the one that wrote the cookie",
				client->target.peer);
	else
		(void)fault_set(fault, FAULT_AUTHORIZATION,
				"%s does not know this session: it has ended, or never began",
				client->target.peer);
}

/* Asks with one key after the other until the daemon accepts one. */
static int ask_signed(struct rpc_client *client, struct evidence *evidence, const char *body,
		      json_t **ret_result, struct fault *fault)
{
	size_t tries = 0, start = client->key;
	int64_t skew_s = 0;
	int r = key_ring_load(client->keys, fault);

	if (r < 0)
		return r;
	do {
		size_t count = key_ring_count(client->keys);

		evidence->sign = count > 0;
		evidence->key = count > 0 ? (start + tries) % count : 0;
		fault_done(fault);
		r = ask(client, evidence, body, ret_result, &skew_s, fault);
		if (r == 0)
			client->key = evidence->key;
		if (r == 0 || !is_refusal(fault))
			return r;
		tries++;
	} while (tries < key_ring_count(client->keys) && tries < RPC_CLIENT_KEYS_MAX);
	client->refused = true;
	advise_keys(client, skew_s, fault);
	return r;
}

int rpc_client_call_as(struct rpc_client *client, enum rpc_proof proof, const char *session,
		       const char *method, const json_t *params, json_t **ret_result,
		       struct fault *fault)
{
	struct evidence evidence = { .session = session, .cookies = proof != RPC_PROOF_NONE };
	int64_t skew_s;
	char *body;
	int r = connect_once(client, fault);

	client->refused = false;
	if (r < 0)
		return r;
	body = write_body(method, params);
	if (!body)
		return fault_set_errno(fault, -ENOMEM, FAULT_SERIALIZATION, "writing the request");
	evidence.local = client->target.local && proof == RPC_PROOF_ALL;
	if (proof == RPC_PROOF_ALL && !client->target.local) {
		r = ask_signed(client, &evidence, body, ret_result, fault);
	} else {
		r = ask(client, &evidence, body, ret_result, &skew_s, fault);
		client->refused = r < 0 && is_refusal(fault);
		if (client->refused)
			advise_cookies(client, &evidence, fault);
	}
	secret_wipe(body, strlen(body)); /* may hold a password */
	free(body);
	return r;
}

int rpc_client_call(struct rpc_client *client, const char *method, const json_t *params,
		    json_t **ret_result, struct fault *fault)
{
	return rpc_client_call_as(client, RPC_PROOF_ALL, NULL, method, params, ret_result, fault);
}

const struct rpc_client_options *rpc_client_options(const struct rpc_client *client)
{
	return &client->options;
}

bool rpc_client_has_session(struct rpc_client *client, const char *token)
{
	CLEANUP(text_done_secret) struct text cookies = { 0 };

	write_cookies(client, &(struct evidence){ .cookies = true }, &cookies);
	return *token && strstr(text_string(&cookies), token);
}

int rpc_client_keep_session(struct rpc_client *client, const char *token, struct fault *fault)
{
	CLEANUP(text_done_secret) struct text cookie = { 0 };
	int r = connect_once(client, fault);

	if (r < 0 || !client->jar)
		return r;
	if (token) {
		text_printf(&cookie,
			    "session=%s; Path=/; SameSite=Strict; "
			    "Expires=Fri, 31 Dec 9999 23:59:59 GMT;",
			    token);
		r = cookie_jar_take(client->jar, client->target.host, text_string(&cookie),
				    now_s());
		if (r < 0)
			return fault_set_errno(fault, r, FAULT_FILESYSTEM, "keeping a cookie");
	} else {
		cookie_jar_forget(client->jar, client->target.host, "session");
	}
	return cookie_jar_save(client->jar, now_s(), fault);
}
