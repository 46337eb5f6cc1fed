#include <inttypes.h>
#include <string.h>

#include "account/account.h"
#include "account/login_limiter.h"
#include "base/clock.h"
#include "base/rfc3339.h"
#include "base/test.h"
#include "crypto/password.h"
#include "crypto/signature_header.h"
#include "crypto/signing_key.h"

#define SECRET "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIzNDU"
#define BODY "{\"id\":0,\"method\":\"status\",\"params\":{}}"

/* "password", at a cost that a test can pay. */
#define CHEAP_HASH                                                                                 \
	"$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"

struct fixture {
	uv_loop_t loop;
	struct account *account;
	uint8_t seed[32];
	uint8_t public_key[32];
	int endings;
	int writings;
	int results[64]; /* of password checks, in the order they came */
	unsigned result_count;
};

static void on_session_ended(void *context, const char *id)
{
	((struct fixture *)context)->endings++;
}

static void on_write_wanted(void *context)
{
	((struct fixture *)context)->writings++;
}

static const struct account_events events = { on_session_ended, on_write_wanted };

static json_t *make_document(struct fixture *f, bool with_key)
{
	char pem[SIGNING_KEY_PEM_SIZE];

	(void)signing_key_format_public(f->public_key, pem);
	return with_key ? json_pack("{s:{}, s:{s:{s:s}}, s:s}", "sessions", "authPubkeys", pem,
				    "name", "laptop", "password", CHEAP_HASH)
			: json_pack("{s:{}, s:{}, s:s}", "sessions", "authPubkeys", "password",
				    CHEAP_HASH);
}

static int setup(void **state)
{
	static const char *const contexts[] = { "203.0.113.7:8443", "203.0.113.7", "vpn.example",
						"*.wild.example" };
	struct fixture *f = calloc(1, sizeof(*f));
	json_t *document;

	assert_non_null(f);
	memset(f->seed, 42, sizeof(f->seed));
	ed25519_public(f->seed, f->public_key);
	assert_int_equal(uv_loop_init(&f->loop), 0);
	assert_int_equal(account_new(&f->loop, &events, f, &f->account), 0);
	assert_int_equal(account_set_local_secret(f->account, SECRET), 0);
	assert_int_equal(account_set_contexts(f->account, contexts, ARRAY_SIZE(contexts)), 0);
	document = make_document(f, true);
	assert_int_equal(account_load(f->account, document), 0);
	json_decref(document);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	(void)account_free(f->account);
	while (uv_run(&f->loop, UV_RUN_DEFAULT) != 0)
		;
	assert_int_equal(uv_loop_close(&f->loop), 0);
	free(f);
	return 0;
}

static enum rpc_caller_kind ask(struct fixture *f, struct rpc_credentials credentials,
				struct rpc_body_proof *ret_body)
{
	const struct rpc_authenticator *authenticator = account_authenticator(f->account);
	struct rpc_body_proof body;
	struct rpc_caller caller = { 0 };

	if (credentials.source.family == 0)
		(void)ip_parse("198.51.100.1", &credentials.source);
	assert_int_equal(authenticator->head(authenticator->context, &credentials, &caller, &body),
			 0);
	assert_int_equal(caller.key != NULL, caller.kind == RPC_CALLER_KEY);
	assert_int_equal(caller.session != NULL, caller.kind == RPC_CALLER_SESSION);
	assert_int_equal(body.wanted, caller.kind == RPC_CALLER_KEY);
	if (ret_body)
		*ret_body = body;
	return caller.kind;
}

static void test_nobody_without_credentials(void **state)
{
	assert_int_equal(ask(*state, (struct rpc_credentials){ 0 }, NULL), RPC_CALLER_NOBODY);
	assert_int_equal(
		ask(*state, (struct rpc_credentials){ .local = "", .session = "", .signature = "" },
		    NULL),
		RPC_CALLER_NOBODY);
}

static void test_local_secret(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask(f, (struct rpc_credentials){ .local = SECRET }, NULL),
			 RPC_CALLER_LOCAL);
	assert_int_equal(ask(f, (struct rpc_credentials){ .local = SECRET "A" }, NULL),
			 RPC_CALLER_NOBODY);
	assert_int_equal(ask(f, (struct rpc_credentials){ .local = "x" }, NULL), RPC_CALLER_NOBODY);
	assert_int_equal(account_set_local_secret(f->account, NULL), 0);
	assert_int_equal(ask(f, (struct rpc_credentials){ .local = SECRET }, NULL),
			 RPC_CALLER_NOBODY);
}

/* What may be wrong with a signed request. */
struct variation {
	const char *name;
	const char *context;
	const char *host; /* that the request names; NULL: none */
	int64_t later_s; /* of the timestamp */
	bool foreign_key;
	bool as_ssh;
	bool broken;
	enum rpc_caller_kind kind;
};

static void sign(struct fixture *f, const struct variation *v, struct text *to)
{
	int64_t now_s = (int64_t)(clock_realtime_ns() / NS_PER_S);
	uint8_t blob[SSH_SIGNATURE_BLOB_MAX], signature[64], seed[32], public_key[32];
	struct signature_header header;

	memcpy(seed, f->seed, sizeof(seed));
	seed[0] ^= v->foreign_key;
	ed25519_public(seed, public_key);
	signature_header_prepare(now_s + v->later_s, BODY, strlen(BODY), public_key, &header);
	if (v->as_ssh) {
		ssize_t size = signature_header_ssh_blob(&header, v->context, blob);

		ed25519_sign(seed, blob, (size_t)size, signature);
		signature_header_set_ssh(&header, signature);
	} else {
		assert_int_equal(signature_header_sign(&header, seed, v->context), 0);
	}
	header.signature[5] ^= v->broken;
	text_clear(to);
	signature_header_write(&header, to);
}

static void test_signatures(void **state)
{
	/* The clock moves on between signing and asking, by far less than the margins here. */
	static const struct variation variations[] = {
		{ "address", "203.0.113.7", NULL, 0, false, false, false, RPC_CALLER_KEY },
		{ "address and port", "203.0.113.7:8443", NULL, 0, false, false, false,
		  RPC_CALLER_KEY },
		{ "name", "vpn.example", NULL, 0, false, false, false, RPC_CALLER_KEY },
		{ "SSH key", "vpn.example", NULL, 0, false, true, false, RPC_CALLER_KEY },
		{ "clock ahead", "vpn.example", NULL, 20, false, false, false, RPC_CALLER_KEY },
		{ "too far ahead", "vpn.example", NULL, 90, false, false, false,
		  RPC_CALLER_NOBODY },
		{ "too old", "vpn.example", NULL, -31, false, false, false, RPC_CALLER_NOBODY },
		{ "before the start", "vpn.example", NULL, -29, false, false, false,
		  RPC_CALLER_NOBODY },
		{ "other server", "evil.example", NULL, 0, false, false, false, RPC_CALLER_NOBODY },
		{ "other server, SSH", "evil.example", NULL, 0, false, true, false,
		  RPC_CALLER_NOBODY },
		{ "no server", "", NULL, 0, false, false, false, RPC_CALLER_NOBODY },
		{ "unknown key", "vpn.example", NULL, 0, true, false, false, RPC_CALLER_NOBODY },
		{ "broken", "vpn.example", NULL, 0, false, false, true, RPC_CALLER_NOBODY },
		{ "by its host", "vpn.example", "vpn.example", 0, false, false, false,
		  RPC_CALLER_KEY },
		{ "address, by a name", "203.0.113.7", "vpn.example", 0, false, false, false,
		  RPC_CALLER_KEY },
		{ "under a star", "a.wild.example", "a.wild.example", 0, false, false, false,
		  RPC_CALLER_KEY },
		{ "another one under the star", "b.wild.example", "a.wild.example", 0, false, false,
		  false, RPC_CALLER_NOBODY },
		{ "two labels under the star", "b.a.wild.example", "b.a.wild.example", 0, false,
		  false, false, RPC_CALLER_NOBODY },
		{ "a host that it claims to be", "evil.example", "evil.example", 0, false, false,
		  false, RPC_CALLER_NOBODY },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(variations); i++) {
		CLEANUP(text_done) struct text header = { 0 };
		struct rpc_body_proof body;
		uint8_t expected[32];

		sign(f, &variations[i], &header);
		if (ask(f,
			(struct rpc_credentials){ .signature = text_string(&header),
						  .host = variations[i].host },
			&body) != variations[i].kind)
			fail_msg("%s", variations[i].name);
		if (variations[i].kind == RPC_CALLER_NOBODY)
			continue;
		blake3(BODY, strlen(BODY), expected);
		assert_int_equal(body.size, strlen(BODY));
		assert_memory_equal(body.blake3, expected, sizeof(expected));
		/* A second time it is a replay. */
		assert_int_equal(
			ask(f, (struct rpc_credentials){ .signature = text_string(&header) }, NULL),
			RPC_CALLER_NOBODY);
	}
}

static void test_removed_keys_and_contexts_count_no_more(void **state)
{
	static const struct variation right = { .context = "vpn.example" };
	CLEANUP(text_done) struct text header = { 0 };
	struct fixture *f = *state;
	json_t *without = make_document(f, false), *with = make_document(f, true);

	sign(f, &right, &header);
	assert_int_equal(account_load(f->account, without), 0);
	assert_int_equal(ask(f, (struct rpc_credentials){ .signature = text_string(&header) },
			     NULL),
			 RPC_CALLER_NOBODY);
	assert_int_equal(account_load(f->account, with), 0);
	assert_int_equal(account_set_contexts(f->account, NULL, 0), 0);
	assert_int_equal(ask(f, (struct rpc_credentials){ .signature = text_string(&header) },
			     NULL),
			 RPC_CALLER_NOBODY);
	json_decref(without);
	json_decref(with);
}

static void test_first_proof_that_fits_counts(void **state)
{
	struct fixture *f = *state;
	char token[SESSION_TOKEN_SIZE], id[SESSION_ID_SIZE];

	session_token(token);
	session_id(token, id);
	assert_int_equal(session_table_add(account_sessions(f->account), id, NULL,
					   clock_realtime_ns() / NS_PER_S),
			 0);
	assert_int_equal(ask(f, (struct rpc_credentials){ .session = token }, NULL),
			 RPC_CALLER_SESSION);
	assert_int_equal(ask(f, (struct rpc_credentials){ .session = token, .local = SECRET },
			     NULL),
			 RPC_CALLER_LOCAL);
	assert_int_equal(ask(f,
			     (struct rpc_credentials){
				     .session = token, .local = "wrong", .signature = "wrong" },
			     NULL),
			 RPC_CALLER_SESSION);
}

/* Its sockets would go on for good where nobody asks any more. */
static void test_sessions_end_when_their_time_is_over(void **state)
{
	char token[SESSION_TOKEN_SIZE], id[SESSION_ID_SIZE];
	char logged_in[RFC3339_SIZE], last_active[RFC3339_SIZE];
	uint64_t now_s = clock_realtime_ns() / NS_PER_S;
	struct fixture *f = *state;
	json_t *document;

	session_token(token);
	session_id(token, id);
	document = json_pack("{s:{s:{s:s, s:s}}}", "sessions", id, "loggedIn",
			     rfc3339_format(now_s + 2 - SESSION_LIFE_S, logged_in), "lastActive",
			     rfc3339_format(now_s, last_active));
	assert_int_equal(account_load(f->account, document), 0);
	json_decref(document);
	/* Where the machine was slow it may be over by now. */
	(void)ask(f, (struct rpc_credentials){ .session = token }, NULL);
	while (f->endings == 0)
		assert_true(uv_run(&f->loop, UV_RUN_ONCE) != 0 || f->endings > 0);
	assert_int_equal(f->endings, 1);
	assert_true(clock_realtime_ns() / NS_PER_S >= now_s + 2);
	assert_int_equal(ask(f, (struct rpc_credentials){ .session = token }, NULL),
			 RPC_CALLER_NOBODY);
}

static void on_checked(void *context, int result, const char *hash)
{
	struct fixture *f = context;

	assert_true(f->result_count < ARRAY_SIZE(f->results));
	f->results[f->result_count++] = result;
	assert_true(!hash || result == 0);
}

static int check_password(struct fixture *f, const char *source, const char *password)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	struct rpc_caller caller = { .kind = RPC_CALLER_NOBODY };
	int r;

	assert_int_equal(ip_parse(source, &caller.source), 0);
	r = account_check_password(f->account, &caller, password, on_checked, f, &fault);
	if (r < 0)
		assert_int_equal(fault.kind, FAULT_RATE_LIMITED);
	return r;
}

static void run(struct fixture *f)
{
	(void)uv_run(&f->loop, UV_RUN_DEFAULT);
}

static void test_passwords(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(check_password(f, "198.51.100.1", "password"), 0);
	assert_int_equal(f->result_count, 0); /* never within the call */
	run(f);
	assert_int_equal(check_password(f, "198.51.100.1", "wrong"), 0);
	run(f);
	assert_int_equal(f->result_count, 2);
	assert_int_equal(f->results[0], 0);
	assert_int_equal(f->results[1], -EACCES);
}

static void test_no_password_is_set(void **state)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	struct rpc_caller caller = { .kind = RPC_CALLER_NOBODY };
	struct fixture *f = *state;
	json_t *document = json_pack("{s:{}, s:{}, s:n}", "sessions", "authPubkeys", "password");

	assert_int_equal(account_load(f->account, document), 0);
	json_decref(document);
	assert_int_equal(ip_parse("198.51.100.1", &caller.source), 0);
	assert_int_equal(account_check_password(f->account, &caller, "", on_checked, f, &fault),
			 -EPROTO);
	assert_int_equal(fault.kind, FAULT_INCORRECT_PASSWORD);
}

/* A flood is refused before anything is computed, and few of it wait; the owner still comes through. */
static void test_ten_thousand_wrong_passwords(void **state)
{
	struct fixture *f = *state;
	unsigned refused = 0;
	char source[64];

	assert_int_equal(check_password(f, "203.0.113.9", "password"), 0);
	run(f);
	for (unsigned i = 0; i < 10000; i++) {
		(void)snprintf(source, sizeof(source), "10.0.%u.%u", i / 250, i % 250 + 1);
		refused += check_password(f, source, "wrong") < 0;
	}
	/* One is computed, others wait, and a place is left for a known source. */
	assert_int_equal(10000 - refused, 1 + PASSWORD_WAITING_MAX - PASSWORD_RESERVED);
	assert_int_equal(check_password(f, "203.0.113.9", "password"), 0);
	run(f);
	assert_int_equal(f->results[f->result_count - 1], 0);
}

static void test_right_passwords_are_never_limited(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 3 * LOGIN_SOURCE_BURST; i++) {
		assert_int_equal(check_password(f, "198.51.100.1", "password"), 0);
		run(f);
		assert_int_equal(f->results[i], 0);
	}
}

static void test_callers_with_another_proof_are_not_limited(void **state)
{
	const struct rpc_caller caller = { .kind = RPC_CALLER_KEY };
	struct fixture *f = *state;

	for (unsigned i = 0; i < 3 * LOGIN_SOURCE_BURST; i++) {
		assert_int_equal(account_check_password(f->account, &caller, "wrong", on_checked, f,
							NULL),
				 0);
		run(f);
	}
}

static void test_ending_answers_everybody(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(check_password(f, "198.51.100.1", "password"), 0);
	f->account = account_free(f->account);
	assert_int_equal(f->result_count, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(f->results[i], -ECANCELED);
}

static void on_hashed(void *context, int result, const char *hash)
{
	assert_int_equal(result, 0);
	assert_int_equal(password_verify(hash, "a new password"), 0);
	((struct fixture *)context)->result_count++;
}

static void test_new_password_is_hashed(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(account_hash_password(f->account, "a new password", on_hashed, f, NULL),
			 0);
	run(f);
	assert_int_equal(f->result_count, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_nobody_without_credentials),
		TEST(test_local_secret),
		TEST(test_signatures),
		TEST(test_removed_keys_and_contexts_count_no_more),
		TEST(test_first_proof_that_fits_counts),
		TEST(test_sessions_end_when_their_time_is_over),
		TEST(test_passwords),
		TEST(test_no_password_is_set),
		TEST(test_ten_thousand_wrong_passwords),
		TEST(test_right_passwords_are_never_limited),
		TEST(test_callers_with_another_proof_are_not_limited),
		TEST(test_ending_answers_everybody),
		TEST(test_new_password_is_hashed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
