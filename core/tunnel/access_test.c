/*
 * Logins, sessions, keys and passwords on a document, with a start-netd that says yes to everything
 */
#include <ftw.h>
#include <inttypes.h>
#include <sys/socket.h>

#include "account/account.h"
#include "base/clock.h"
#include "base/rfc3339.h"
#include "codec/pointer.h"
#include "crypto/password.h"
#include "rpc/dispatch.h"
#include "tunnel/gateways.h"
#include "tunnel/job.h"

#include "base/test.h"
#include "tunnel/netd_test.h"

/* "password", at a cost that a test can pay. */
#define CHEAP_HASH                                                                                 \
	"$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"

#define SSH_LINE "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
#define PEM                                                                                        \
	"-----BEGIN PUBLIC KEY-----\n"                                                             \
	"MCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=\n"                           \
	"-----END PUBLIC KEY-----\n"

struct fixture {
	uv_loop_t loop;
	char directory[64];
	struct netd_client *netd;
	struct tunnel *tunnel;
	struct rpc_dispatcher *dispatcher;
	int fd; /* the other side of start-netd's socket */
	uv_poll_t poll;
	struct text received;

	struct rpc_caller caller;
	char session[SESSION_ID_SIZE]; /* of the caller */
	json_t *answer;
	char cookie[256]; /* that came with it, or "" */
	int answers;
	int endings;
};

static void reply(void *context, const struct netd_frame *frame)
{
	CLEANUP(text_done) struct text text = { 0 };
	struct fixture *f = context;

	netd_write_plain(&text, NETD_DONE, frame->number);
	assert_int_equal(write(f->fd, text.data, text.size), text.size);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct fixture *f = container_of(poll, struct fixture, poll);

	netd_test_read(f->fd, &f->received, reply, f);
}

static void on_netd_closed(void *context, int error)
{
	fail_msg("the connection broke: %d", error);
}

static void on_ready(void *context)
{
	uv_stop(context);
}

static void on_session_ended(void *context, const char *id)
{
	((struct fixture *)context)->endings++;
}

static void begin(struct fixture *f)
{
	int fds[2];

	assert_int_equal(uv_loop_init(&f->loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
			 0);
	f->fd = fds[1];
	assert_int_equal(uv_poll_init(&f->loop, &f->poll, f->fd), 0);
	assert_int_equal(uv_poll_start(&f->poll, UV_READABLE, on_readable), 0);
	assert_int_equal(netd_client_new(&f->loop, fds[0], on_netd_closed, f, &f->netd), 0);
	assert_int_equal(tunnel_new(&f->loop, f->directory, f->netd, &f->tunnel, NULL), 0);
	/* What happens to this machine's addresses meanwhile is not to be seen here. */
	f->tunnel->gateways = gateway_watch_free(f->tunnel->gateways);
	tunnel_on_session_ended(f->tunnel, on_session_ended, f);
	assert_int_equal(rpc_dispatcher_new(&tunnel_api, f->tunnel, &f->dispatcher), 0);
	tunnel_start(f->tunnel, on_ready, &f->loop);
	(void)uv_run(&f->loop, UV_RUN_DEFAULT);
}

static void on_idle(void *context)
{
	struct fixture *f = context;

	f->dispatcher = rpc_dispatcher_free(f->dispatcher);
	f->tunnel = tunnel_free(f->tunnel);
	f->netd = netd_client_free(f->netd);
	uv_close((uv_handle_t *)&f->poll, NULL);
}

static void finish(struct fixture *f)
{
	tunnel_stop(f->tunnel, on_idle, f);
	while (uv_run(&f->loop, UV_RUN_DEFAULT) != 0)
		; /* uv_stop() may still be pending */
	assert_int_equal(uv_loop_close(&f->loop), 0);
	(void)close(f->fd);
	text_done(&f->received);
	f->received = (struct text){ 0 };
}

/* Changes the document behind the methods' back, as db.apply does. */
static void put(struct fixture *f, const char *pointer, json_t *value)
{
	struct store_txn *txn;

	assert_int_equal(store_begin(f->tunnel->store, &txn), 0);
	assert_int_equal(store_put(txn, pointer, value), 0);
	assert_int_equal(store_commit_now(txn), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	(void)snprintf(f->directory, sizeof(f->directory), "/tmp/access-test-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	begin(f);
	put(f, "/password", json_string(CHEAP_HASH));
	f->caller.kind = RPC_CALLER_LOCAL;
	*state = f;
	return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	finish(f);
	(void)nftw(f->directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	json_decref(f->answer);
	free(f);
	return 0;
}

/* --- calls --- */

static void on_answer(void *context, char *answer, size_t size, const char *set_cookie)
{
	struct fixture *f = context;

	json_decref(f->answer);
	f->answer = json_loadb(answer, size, 0, NULL);
	assert_non_null(f->answer);
	free(answer);
	(void)snprintf(f->cookie, sizeof(f->cookie), "%s", set_cookie ? set_cookie : "");
	f->answers++;
}

static void send_call(struct fixture *f, const char *method, json_t *params)
{
	json_t *request = json_pack("{s:s, s:o}", "method", method, "params", params);
	char *body = json_dumps(request, 0);

	assert_non_null(body);
	rpc_dispatch(f->dispatcher, body, strlen(body), &f->caller, on_answer, f);
	free(body);
	json_decref(request);
}

/* Takes @params. The result is borrowed until the next call. */
static const json_t *call(struct fixture *f, const char *method, json_t *params)
{
	int before = f->answers;

	send_call(f, method, params);
	while (f->answers == before)
		(void)uv_run(&f->loop, UV_RUN_ONCE);
	if (!json_object_get(f->answer, "result"))
		fail_msg("%s: %s", method, json_dumps(f->answer, 0));
	return json_object_get(f->answer, "result");
}

static void fails(struct fixture *f, const char *method, json_t *params, int code, const char *says)
{
	uint64_t revision = store_revision(f->tunnel->store);
	int before = f->answers;
	const json_t *data, *error;
	const char *details;

	send_call(f, method, params);
	while (f->answers == before)
		(void)uv_run(&f->loop, UV_RUN_ONCE);
	error = json_object_get(f->answer, "error");
	data = json_object_get(error, "data");
	details = json_string_value(json_is_string(data) ? data : json_object_get(data, "details"));
	assert_int_equal(json_integer_value(json_object_get(error, "code")), code);
	if (!details || !strstr(details, says))
		fail_msg("%s: %s does not say: %s", method, details, says);
	assert_int_equal(store_revision(f->tunnel->store), revision);
	assert_string_equal(f->cookie, "");
}

static void become(struct fixture *f, enum rpc_caller_kind kind)
{
	f->caller = (struct rpc_caller){ .kind = kind, .user_agent = "Firefox/140" };
	assert_int_equal(ip_parse("198.51.100.1", &f->caller.source), 0);
}

/* Logs in as a browser does; the caller goes on with that session. */
static void log_in(struct fixture *f, bool ephemeral, char token[SESSION_TOKEN_SIZE])
{
	const json_t *result;

	become(f, RPC_CALLER_NOBODY);
	result = call(f, "auth.login",
		      json_pack("{s:s, s:b}", "password", "password", "ephemeral", ephemeral));
	(void)snprintf(token, SESSION_TOKEN_SIZE, "%s",
		       json_string_value(json_object_get(result, "session")));
	assert_int_equal(strlen(token), SESSION_TOKEN_SIZE - 1);
	session_id(token, f->session);
	f->caller.kind = RPC_CALLER_SESSION;
	f->caller.session = f->session;
}

/* What the front would find out about a request with this cookie. */
static bool is_let_in(struct fixture *f, const char *token)
{
	const struct rpc_authenticator *authenticator =
		account_authenticator(tunnel_account(f->tunnel));
	struct rpc_credentials credentials = { .session = token };
	struct rpc_body_proof proof;
	struct rpc_caller caller;

	assert_int_equal(ip_parse("198.51.100.1", &credentials.source), 0);
	assert_int_equal(authenticator->head(authenticator->context, &credentials, &caller, &proof),
			 0);
	return caller.kind == RPC_CALLER_SESSION;
}

static const json_t *stored(struct fixture *f, const char *id)
{
	return json_object_get(store_get(f->tunnel->store, "/sessions"), id);
}

/* --- the tests --- */

/* A record of a session, logged in and last active so long ago. */
static json_t *aged(uint64_t age_s, uint64_t idle_s)
{
	uint64_t now_s = clock_realtime_ns() / NS_PER_S;
	char logged_in[RFC3339_SIZE], last_active[RFC3339_SIZE];

	return json_pack("{s:s, s:s, s:n}", "loggedIn", rfc3339_format(now_s - age_s, logged_in),
			 "lastActive", rfc3339_format(now_s - idle_s, last_active), "userAgent");
}

static void login_makes_a_session_and_a_cookie(void **state)
{
	struct fixture *f = *state;
	char token[SESSION_TOKEN_SIZE], expected[256];

	log_in(f, false, token);
	(void)snprintf(expected, sizeof(expected),
		       "session=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=2592000", token);
	assert_string_equal(f->cookie, expected);
	assert_true(is_let_in(f, token));
	assert_non_null(stored(f, f->session));
	assert_string_equal(json_string_value(json_object_get(stored(f, f->session), "userAgent")),
			    "Firefox/140");
	/* The token itself is nowhere. */
	assert_null(stored(f, token));
	finish(f);
	begin(f);
	assert_true(is_let_in(f, token));
}

static void cookies_of_tls_are_secure(void **state)
{
	struct fixture *f = *state;

	become(f, RPC_CALLER_NOBODY);
	f->caller.secure = true;
	(void)call(f, "auth.login", json_pack("{s:s}", "password", "password"));
	assert_non_null(strstr(f->cookie, "; Secure"));
}

static void ephemeral_sessions_are_not_in_the_document(void **state)
{
	struct fixture *f = *state;
	uint64_t revision = store_revision(f->tunnel->store);
	char token[SESSION_TOKEN_SIZE];

	log_in(f, true, token);
	assert_null(strstr(f->cookie, "Max-Age"));
	assert_true(is_let_in(f, token));
	assert_int_equal(store_revision(f->tunnel->store), revision);
	(void)call(f, "auth.logout", json_object());
	assert_false(is_let_in(f, token));
	assert_int_equal(f->endings, 1);
	log_in(f, true, token);
	finish(f);
	begin(f);
	assert_false(is_let_in(f, token));
}

static void one_login_too_many_ends_the_idlest_session(void **state)
{
	struct fixture *f = *state;
	char first[SESSION_TOKEN_SIZE], token[SESSION_TOKEN_SIZE];
	json_t *sessions = json_object();

	for (unsigned i = 0; i < SESSIONS_MAX; i++) {
		char id[SESSION_ID_SIZE];

		session_token(token);
		session_id(token, id);
		json_object_set_new(sessions, id, aged(3600, 3600 - i));
		if (i == 0)
			memcpy(first, token, sizeof(first));
	}
	put(f, "/sessions", sessions);
	log_in(f, false, token);
	/* It is gone from the document too, or the next change would bring it back. */
	assert_int_equal(json_object_size(store_get(f->tunnel->store, "/sessions")), SESSIONS_MAX);
	put(f, "/authPubkeys", json_pack("{s:{s:s}}", PEM, "name", "laptop"));
	assert_false(is_let_in(f, first));
	assert_true(is_let_in(f, token));
	assert_int_equal(f->endings, 1);
}

static void wrong_passwords_and_none(void **state)
{
	struct fixture *f = *state;

	become(f, RPC_CALLER_NOBODY);
	fails(f, "auth.login", json_pack("{s:s}", "password", "passwore"), 7, "Password Incorrect");
	fails(f, "auth.login", json_pack("{s:s}", "password", ""), 7, "Password Incorrect");
	fails(f, "auth.login", json_object(), FAULT_RPC_INVALID_PARAMS, "password: is required");
	fails(f, "auth.login", json_pack("{s:{}}", "password"), FAULT_RPC_INVALID_PARAMS,
	      "password:");
	put(f, "/password", json_null());
	fails(f, "auth.login", json_pack("{s:s}", "password", "password"), 7, "Password Incorrect");
	/* A hash that would cost 4 TiB is none. */
	put(f, "/password", json_string("$argon2id$v=19$m=4294967295,t=3,p=1$c29tZXNhbHQ$AAAA"));
	fails(f, "auth.login", json_pack("{s:s}", "password", "password"), 7, "Password Incorrect");
}

static void too_many_tries_are_refused_at_once(void **state)
{
	struct fixture *f = *state;
	char token[SESSION_TOKEN_SIZE];

	json_int_t code = 7;

	become(f, RPC_CALLER_NOBODY);
	/* More than five where the machine is so slow that tokens come back meanwhile. */
	for (unsigned i = 0; i < 1000 && code == 7; i++) {
		int before = f->answers;

		send_call(f, "auth.login", json_pack("{s:s}", "password", "wrong"));
		while (f->answers == before)
			(void)uv_run(&f->loop, UV_RUN_ONCE);
		code = json_integer_value(pointer_get(f->answer, "/error/code"));
		assert_true(code == 7 || (code == 37 && i >= 5));
	}
	assert_int_equal(code, 37);
	/* Another source, and the machine itself, are not concerned. */
	assert_int_equal(ip_parse("203.0.113.5", &f->caller.source), 0);
	(void)call(f, "auth.login", json_pack("{s:s}", "password", "password"));
	become(f, RPC_CALLER_LOCAL);
	(void)call(f, "auth.login", json_pack("{s:s}", "password", "password"));
	assert_string_equal(f->cookie, ""); /* it has a better proof */
	(void)snprintf(token, sizeof(token), "%s",
		       json_string_value(pointer_get(f->answer, "/result/session")));
	assert_true(is_let_in(f, token));
}

static void logout_ends_the_session_for_good(void **state)
{
	struct fixture *f = *state;
	char token[SESSION_TOKEN_SIZE], other[SESSION_TOKEN_SIZE];

	log_in(f, false, other);
	log_in(f, false, token);
	/* Who has a session ends that one, whatever else is named. */
	(void)call(f, "auth.logout", json_pack("{s:s}", "__Auth_session", other));
	assert_non_null(strstr(f->cookie, "session=; "));
	assert_non_null(strstr(f->cookie, "Max-Age=0"));
	assert_false(is_let_in(f, token));
	assert_true(is_let_in(f, other));
	assert_null(stored(f, f->session));
	assert_int_equal(f->endings, 1);
	finish(f);
	begin(f);
	assert_false(is_let_in(f, token));
	assert_true(is_let_in(f, other));
}

static void others_log_out_by_the_token(void **state)
{
	struct fixture *f = *state;
	char token[SESSION_TOKEN_SIZE];

	log_in(f, false, token);
	become(f, RPC_CALLER_LOCAL);
	fails(f, "auth.logout", json_object(), FAULT_RPC_INVALID_PARAMS, "__Auth_session");
	(void)call(f, "auth.logout", json_pack("{s:s}", "__Auth_session", "no token"));
	assert_true(is_let_in(f, token));
	(void)call(f, "auth.logout", json_pack("{s:s}", "__Auth_session", token));
	assert_false(is_let_in(f, token));
}

static void sessions_are_listed_and_killed(void **state)
{
	struct fixture *f = *state;
	char tokens[3][SESSION_TOKEN_SIZE], ids[3][SESSION_ID_SIZE];
	const json_t *result;

	for (unsigned i = 0; i < 3; i++) {
		log_in(f, i == 1, tokens[i]);
		memcpy(ids[i], f->session, sizeof(ids[i]));
	}
	result = call(f, "auth.session.list", json_object());
	assert_string_equal(json_string_value(json_object_get(result, "current")), ids[2]);
	assert_int_equal(json_object_size(json_object_get(result, "sessions")), 3);
	(void)call(f, "auth.session.kill",
		   json_pack("{s:[s, s, s]}", "ids", ids[0], ids[1], "nobody's"));
	assert_false(is_let_in(f, tokens[0]));
	assert_false(is_let_in(f, tokens[1]));
	assert_true(is_let_in(f, tokens[2]));
	assert_int_equal(f->endings, 2);
	become(f, RPC_CALLER_KEY);
	result = call(f, "auth.session.list", json_object());
	assert_true(json_is_null(json_object_get(result, "current")));
	assert_int_equal(json_object_size(json_object_get(result, "sessions")), 1);
}

static void sessions_follow_what_else_changes_the_document(void **state)
{
	struct fixture *f = *state;
	char token[SESSION_TOKEN_SIZE];

	log_in(f, false, token);
	put(f, "/sessions", json_object());
	assert_false(is_let_in(f, token));
	assert_int_equal(f->endings, 1);
}

static void authenticated_requests_make_no_revision(void **state)
{
	struct fixture *f = *state;
	char token[SESSION_TOKEN_SIZE];
	uint64_t revision;

	log_in(f, false, token);
	revision = store_revision(f->tunnel->store);
	for (unsigned i = 0; i < 10000; i++)
		assert_true(is_let_in(f, token));
	(void)call(f, "auth.session.list", json_object());
	assert_int_equal(store_revision(f->tunnel->store), revision);
}

static void activity_is_written_at_the_end(void **state)
{
	struct fixture *f = *state;
	uint64_t before_s = clock_realtime_ns() / NS_PER_S, revision, written_s;
	char token[SESSION_TOKEN_SIZE];
	json_t *sessions;

	log_in(f, false, token);
	sessions = json_pack("{s:o}", f->session, aged(86400, 86400));
	put(f, "/sessions", json_object());
	put(f, "/sessions", sessions);
	revision = store_revision(f->tunnel->store);
	assert_true(is_let_in(f, token));
	assert_int_equal(store_revision(f->tunnel->store), revision);
	finish(f);
	begin(f);
	assert_int_equal(rfc3339_parse(json_string_value(json_object_get(stored(f, f->session),
									 "lastActive")),
				       &written_s),
			 0);
	assert_true(written_s >= before_s);
}

static void expired_sessions_are_let_in_no_more_and_cleared_away(void **state)
{
	struct fixture *f = *state;
	char idle[SESSION_TOKEN_SIZE], old[SESSION_TOKEN_SIZE], fresh[SESSION_TOKEN_SIZE];
	char idle_id[SESSION_ID_SIZE], old_id[SESSION_ID_SIZE];

	session_token(idle);
	session_id(idle, idle_id);
	session_token(old);
	session_id(old, old_id);
	put(f, "/sessions",
	    json_pack("{s:o, s:o}", idle_id, aged(8 * 86400, 7 * 86400), old_id,
		      aged(30 * 86400, 60)));
	assert_false(is_let_in(f, idle));
	assert_false(is_let_in(f, old));
	log_in(f, false, fresh);
	assert_int_equal(json_object_size(store_get(f->tunnel->store, "/sessions")), 1);
}

static void a_new_password_ends_the_other_sessions(void **state)
{
	struct fixture *f = *state;
	char other[SESSION_TOKEN_SIZE], ephemeral[SESSION_TOKEN_SIZE], own[SESSION_TOKEN_SIZE];

	log_in(f, false, other);
	log_in(f, true, ephemeral);
	log_in(f, false, own);
	fails(f, "auth.set-password", json_pack("{s:s}", "password", "short"), 38,
	      "password: it has to be 8 to 64 bytes long");
	fails(f, "auth.set-password", json_pack("{s:s}", "password", "Password123!"), 38,
	      "guessed first");
	assert_true(is_let_in(f, other));
	(void)call(f, "auth.set-password", json_pack("{s:s}", "password", "correct horse"));
	assert_false(is_let_in(f, other));
	assert_false(is_let_in(f, ephemeral));
	assert_true(is_let_in(f, own));
	assert_int_equal(json_object_size(store_get(f->tunnel->store, "/sessions")), 1);
	become(f, RPC_CALLER_NOBODY);
	fails(f, "auth.login", json_pack("{s:s}", "password", "password"), 7, "");
	(void)call(f, "auth.login", json_pack("{s:s}", "password", "correct horse"));
}

static void a_password_is_made_for_the_machine_itself(void **state)
{
	struct fixture *f = *state;
	char token[SESSION_TOKEN_SIZE];
	json_t *password;

	log_in(f, false, token);
	fails(f, "auth.reset-password", json_object(), 38, "server itself");
	become(f, RPC_CALLER_KEY);
	fails(f, "auth.reset-password", json_object(), 38, "server itself");
	become(f, RPC_CALLER_LOCAL);
	password = json_incref((json_t *)call(f, "auth.reset-password", json_object()));
	assert_int_equal(json_string_length(password), 26);
	assert_false(is_let_in(f, token));
	become(f, RPC_CALLER_NOBODY);
	(void)call(f, "auth.login", json_pack("{s:O}", "password", password));
	json_decref(password);
}

static void keys_come_as_pem_and_as_ssh_lines(void **state)
{
	struct fixture *f = *state;
	const json_t *keys;

	become(f, RPC_CALLER_LOCAL);
	(void)call(f, "auth.key.add",
		   json_pack("{s:s, s:s}", "name", "laptop", "key", SSH_LINE " me@laptop\n"));
	(void)call(f, "auth.key.add", json_pack("{s:s, s:s}", "name", "notebook", "key", PEM));
	keys = call(f, "auth.key.list", json_object());
	assert_int_equal(json_object_size(keys), 1);
	assert_string_equal(json_string_value(json_object_get(json_object_get(keys, PEM), "name")),
			    "notebook");
	(void)call(f, "auth.key.remove", json_pack("{s:s}", "key", SSH_LINE));
	assert_int_equal(json_object_size(call(f, "auth.key.list", json_object())), 0);
	(void)call(f, "auth.key.remove", json_pack("{s:s}", "key", PEM)); /* not there: fine */
	fails(f, "auth.key.add", json_pack("{s:s, s:s}", "name", "x", "key", "ssh-rsa AAAA"), 12,
	      "key: a key of the kind ssh-rsa cannot be used");
	fails(f, "auth.key.remove", json_pack("{s:s}", "key", "laptop"), 12, "key: neither");
}

static void keys_in_another_form_can_be_removed(void **state)
{
	static const char other[] = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n";
	struct fixture *f = *state;

	put(f, "/authPubkeys", json_pack("{s:{s:s}}", other, "name", "old"));
	(void)call(f, "auth.key.remove", json_pack("{s:s}", "key", other));
	assert_int_equal(json_object_size(call(f, "auth.key.list", json_object())), 0);
}

static void keys_are_bounded(void **state)
{
	struct fixture *f = *state;
	json_t *keys = json_object();
	char name[32];

	for (unsigned i = 0; i < ACCOUNT_KEYS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "key %u", i);
		json_object_set_new(keys, name, json_pack("{s:s}", "name", name));
	}
	put(f, "/authPubkeys", keys);
	fails(f, "auth.key.add", json_pack("{s:s, s:s}", "name", "x", "key", PEM), 38,
	      "64 keys already");
}

/* The daemon ends while passwords are computed and while edits wait: everybody is answered. */
static void logins_are_answered_when_the_daemon_ends(void **state)
{
	struct fixture *f = *state;

	become(f, RPC_CALLER_NOBODY);
	send_call(f, "auth.login", json_pack("{s:s}", "password", "password"));
	send_call(f, "auth.login", json_pack("{s:s}", "password", "password"));
	become(f, RPC_CALLER_LOCAL);
	send_call(f, "auth.set-password", json_pack("{s:s}", "password", "correct horse"));
	finish(f);
	assert_int_equal(f->answers, 3);
	begin(f);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(login_makes_a_session_and_a_cookie),
		TEST(cookies_of_tls_are_secure),
		TEST(ephemeral_sessions_are_not_in_the_document),
		TEST(one_login_too_many_ends_the_idlest_session),
		TEST(wrong_passwords_and_none),
		TEST(too_many_tries_are_refused_at_once),
		TEST(logout_ends_the_session_for_good),
		TEST(others_log_out_by_the_token),
		TEST(sessions_are_listed_and_killed),
		TEST(sessions_follow_what_else_changes_the_document),
		TEST(authenticated_requests_make_no_revision),
		TEST(activity_is_written_at_the_end),
		TEST(expired_sessions_are_let_in_no_more_and_cleared_away),
		TEST(a_new_password_ends_the_other_sessions),
		TEST(a_password_is_made_for_the_machine_itself),
		TEST(keys_come_as_pem_and_as_ssh_lines),
		TEST(keys_in_another_form_can_be_removed),
		TEST(keys_are_bounded),
		TEST(logins_are_answered_when_the_daemon_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
