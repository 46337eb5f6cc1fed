#include "account/account.h"

#include "account/login_limiter.h"
#include "account/nonce_cache.h"
#include "base/clock.h"
#include "base/host.h"
#include "base/secret.h"
#include "crypto/signature_header.h"
#include "crypto/signing_key.h"

/* The clock may be set meanwhile: no timer waits for longer. */
#define LOOK_AGAIN_S 3600

struct key {
	uint8_t bytes[ED25519_PUBLIC_SIZE];
};

struct account {
	const struct account_events *events;
	void *context;
	struct rpc_authenticator authenticator;
	struct session_table *sessions;
	struct login_limiter *limiter;
	struct nonce_cache *nonces;
	struct password_worker *worker;
	uv_timer_t write_timer;
	uv_timer_t end_timer;
	int open_timers;
	char *local_secret; /* or NULL */
	char *password; /* encoded hash, or NULL */
	struct key *keys;
	size_t key_count;
	char *contexts[ACCOUNT_CONTEXTS_MAX];
	size_t context_count;
	char signer[SIGNING_KEY_PEM_SIZE]; /* of the last signature that was right */
};

/* A check of a password that runs. */
struct check {
	struct account *account;
	struct ip_address source;
	bool limited;
	password_done_fn done;
	void *context;
};

static uint64_t now_s(void)
{
	return clock_realtime_ns() / NS_PER_S;
}

static void free_secret(char *text)
{
	if (text)
		secret_wipe(text, strlen(text));
	free(text);
}

/* Sessions. */

static void on_session_ended(void *context, const char *id)
{
	struct account *account = context;

	account->events->session_ended(account->context, id);
}

static void on_write_timer(uv_timer_t *timer)
{
	struct account *account = timer->data;

	if (session_table_is_dirty(account->sessions))
		account->events->write_wanted(account->context);
}

static void watch_ends(struct account *account);

/* A session nobody uses any more may still have a socket, which would go on for good. */
static void on_end_timer(uv_timer_t *timer)
{
	struct account *account = timer->data;

	if (session_table_end_old(account->sessions, now_s()))
		account->events->write_wanted(account->context);
	watch_ends(account);
}

static void watch_ends(struct account *account)
{
	uint64_t end_s, now, wait_s;

	if (uv_is_active((uv_handle_t *)&account->end_timer))
		return;
	end_s = session_table_next_end(account->sessions);
	if (end_s == UINT64_MAX)
		return;
	now = now_s();
	wait_s = end_s > now ? end_s - now : 0;
	if (wait_s > LOOK_AGAIN_S)
		wait_s = LOOK_AGAIN_S;
	(void)uv_timer_start(&account->end_timer, on_end_timer, wait_s * 1000, 0);
}

static bool check_session(struct account *account, const struct rpc_credentials *credentials,
			  struct rpc_caller *ret)
{
	const char *id = session_table_touch(account->sessions, credentials->session, now_s());

	if (!id)
		return false;
	login_limiter_know(account->limiter, &credentials->source, clock_monotonic_ns());
	if (session_table_is_dirty(account->sessions) &&
	    !uv_is_active((uv_handle_t *)&account->write_timer))
		(void)uv_timer_start(&account->write_timer, on_write_timer, SESSION_WRITE_S * 1000,
				     0);
	watch_ends(account);
	ret->kind = RPC_CALLER_SESSION;
	ret->session = id;
	return true;
}

/* The secret of this machine. */

static bool check_local(const struct account *account, const char *local)
{
	size_t size = strlen(local);

	return account->local_secret && size > 0 && size == strlen(account->local_secret) &&
	       secret_equal(local, account->local_secret, size);
}

/* Signatures. What costs nothing is asked first: a stranger's key is not worth a verification. */

static bool is_authorized(const struct account *account, const uint8_t key[ED25519_PUBLIC_SIZE])
{
	for (size_t i = 0; i < account->key_count; i++)
		if (memcmp(account->keys[i].bytes, key, ED25519_PUBLIC_SIZE) == 0)
			return true;
	return false;
}

static bool is_context(const struct account *account, const char *host)
{
	for (size_t i = 0; i < account->context_count; i++)
		if (host_is_for(account->contexts[i], host))
			return true;
	return false;
}

/* Nearly always it is the host that the request names itself; so that one comes first. */
static bool fits_a_context(const struct account *account, const struct signature_header *header,
			   const char *host)
{
	if (host && is_context(account, host) && signature_header_verify(header, host))
		return true;
	for (size_t i = 0; i < account->context_count; i++)
		if ((!host || strcmp(account->contexts[i], host) != 0) &&
		    signature_header_verify(header, account->contexts[i]))
			return true;
	return false;
}

static bool check_signature(struct account *account, const struct rpc_credentials *credentials,
			    struct rpc_caller *ret, struct rpc_body_proof *ret_body)
{
	struct signature_header header;
	int64_t now = (int64_t)now_s();

	if (account->key_count == 0 || account->context_count == 0 ||
	    signature_header_parse(credentials->signature, &header, NULL) < 0 ||
	    !is_authorized(account, header.signer) || header.timestamp < now - NONCE_WINDOW_S ||
	    header.timestamp > now + NONCE_WINDOW_S ||
	    !fits_a_context(account, &header, credentials->host) ||
	    nonce_cache_take(account->nonces, header.signer, header.nonce, header.timestamp, now) !=
		    NONCE_FRESH)
		return false;
	ret->kind = RPC_CALLER_KEY;
	ret->key = signing_key_format_public(header.signer, account->signer);
	ret_body->wanted = true;
	ret_body->size = header.size;
	memcpy(ret_body->blake3, header.blake3, sizeof(ret_body->blake3));
	return true;
}

static int authenticate(void *context, const struct rpc_credentials *credentials,
			struct rpc_caller *ret, struct rpc_body_proof *ret_body)
{
	struct account *account = context;

	*ret_body = (struct rpc_body_proof){ 0 };
	ret->kind = RPC_CALLER_NOBODY;
	ret->session = NULL;
	ret->key = NULL;
	if (credentials->local && check_local(account, credentials->local)) {
		ret->kind = RPC_CALLER_LOCAL;
		return 0;
	}
	if (credentials->signature && check_signature(account, credentials, ret, ret_body))
		return 0;
	if (credentials->session)
		(void)check_session(account, credentials, ret);
	return 0;
}

/* Passwords. */

static void on_checked(void *context, int result, const char *hash)
{
	struct check *check = context;
	struct account *account = check->account;
	uint64_t now_ns = clock_monotonic_ns();

	/* Only what was wrong costs a try. */
	if (check->limited && result != -EACCES)
		login_limiter_give_back(account->limiter, &check->source, now_ns);
	if (result == 0)
		login_limiter_know(account->limiter, &check->source, now_ns);
	check->done(check->context, result, NULL);
	free(check);
}

static int too_many(struct fault *fault)
{
	return fault_set(fault, FAULT_RATE_LIMITED,
			 "too many logins were tried; try again in %d seconds",
			 LOGIN_SOURCE_INTERVAL_S);
}

int account_check_password(struct account *account, const struct rpc_caller *caller,
			   const char *password, password_done_fn done, void *context,
			   struct fault *fault)
{
	bool limited = caller->kind != RPC_CALLER_LOCAL && caller->kind != RPC_CALLER_KEY;
	uint64_t now_ns = clock_monotonic_ns();
	bool known = !limited || login_limiter_knows(account->limiter, &caller->source, now_ns);
	struct check *check;
	int r;

	if (limited && !login_limiter_take(account->limiter, &caller->source, now_ns))
		return too_many(fault);
	if (!account->password)
		return fault_set(fault, FAULT_INCORRECT_PASSWORD, "Password Incorrect");
	check = malloc(sizeof(*check));
	if (!check)
		return -ENOMEM;
	*check = (struct check){ account, caller->source, limited, done, context };
	r = password_worker_verify(account->worker, account->password, password, known, on_checked,
				   check);
	if (r == 0)
		return 0;
	if (limited)
		login_limiter_give_back(account->limiter, &caller->source, now_ns);
	free(check);
	return r == -EBUSY ? too_many(fault) : r;
}

int account_hash_password(struct account *account, const char *password, password_done_fn done,
			  void *context, struct fault *fault)
{
	int r = password_worker_hash(account->worker, password, done, context);

	return r == -EBUSY ? too_many(fault) : r;
}

/* What it knows. */

int account_set_local_secret(struct account *account, const char *secret)
{
	char *copy = secret ? strdup(secret) : NULL;

	if (secret && !copy)
		return -ENOMEM;
	free_secret(account->local_secret);
	account->local_secret = copy;
	return 0;
}

static void free_contexts(char *contexts[], size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(contexts[i]);
}

int account_set_contexts(struct account *account, const char *const *contexts, size_t count)
{
	char *copies[ACCOUNT_CONTEXTS_MAX];

	if (count > ACCOUNT_CONTEXTS_MAX)
		count = ACCOUNT_CONTEXTS_MAX;
	for (size_t i = 0; i < count; i++) {
		copies[i] = strdup(contexts[i]);
		if (!copies[i]) {
			free_contexts(copies, i);
			return -ENOMEM;
		}
	}
	free_contexts(account->contexts, account->context_count);
	memcpy(account->contexts, copies, count * sizeof(copies[0]));
	account->context_count = count;
	return 0;
}

/* Keys that are none are passed over: nobody can sign with them. */
static int load_keys(struct account *account, const json_t *stored)
{
	size_t count = 0;
	struct key *keys = calloc(json_object_size(stored) + 1, sizeof(*keys));
	const json_t *value;
	const char *text;

	if (!keys)
		return -ENOMEM;
	json_object_foreach((json_t *)stored, text, value)
		if (signing_key_parse_public(text, keys[count].bytes, NULL) == 0)
			count++;
	free(account->keys);
	account->keys = keys;
	account->key_count = count;
	return 0;
}

int account_load(struct account *account, const json_t *document)
{
	const char *password = json_string_value(json_object_get(document, "password"));
	char *copy = password ? strdup(password) : NULL;
	int r = password && !copy ? -ENOMEM : 0;

	if (r < 0)
		return r;
	free_secret(account->password);
	account->password = copy;
	r = load_keys(account, json_object_get(document, "authPubkeys"));
	if (r == 0)
		r = session_table_load(account->sessions, json_object_get(document, "sessions"),
				       now_s());
	return r;
}

const struct rpc_authenticator *account_authenticator(struct account *account)
{
	return &account->authenticator;
}

struct session_table *account_sessions(struct account *account)
{
	return account->sessions;
}

/* Life. */

int account_new(uv_loop_t *loop, const struct account_events *events, void *context,
		struct account **ret)
{
	struct account *account = calloc(1, sizeof(*account));
	int r;

	if (!account)
		return -ENOMEM;
	account->events = events;
	account->context = context;
	account->authenticator = (struct rpc_authenticator){ account, authenticate };
	(void)uv_timer_init(loop, &account->write_timer);
	(void)uv_timer_init(loop, &account->end_timer);
	account->write_timer.data = account;
	account->end_timer.data = account;
	account->open_timers = 2;
	r = session_table_new(on_session_ended, account, &account->sessions);
	if (r == 0)
		r = login_limiter_new(&account->limiter);
	if (r == 0)
		r = nonce_cache_new((int64_t)now_s(), &account->nonces);
	if (r == 0)
		r = password_worker_new(loop, &account->worker);
	if (r < 0) {
		(void)account_free(account);
		return r;
	}
	*ret = account;
	return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct account *account = handle->data;

	if (--account->open_timers == 0)
		free(account);
}

struct account *account_free(struct account *account)
{
	if (!account)
		return NULL;
	account->worker = password_worker_free(account->worker);
	account->sessions = session_table_free(account->sessions);
	account->limiter = login_limiter_free(account->limiter);
	account->nonces = nonce_cache_free(account->nonces);
	free_secret(account->local_secret);
	free_secret(account->password);
	free_contexts(account->contexts, account->context_count);
	free(account->keys);
	uv_close((uv_handle_t *)&account->write_timer, on_timer_closed);
	uv_close((uv_handle_t *)&account->end_timer, on_timer_closed);
	return NULL;
}
