#include <string.h>

#include "account/session_table.h"
#include "base/rfc3339.h"
#include "base/test.h"

#define NOW UINT64_C(1700000000)

struct fixture {
	struct session_table *table;
	char ended[SESSION_ID_SIZE]; /* the last one */
	int endings;
};

static void on_ended(void *context, const char *id)
{
	struct fixture *f = context;

	memcpy(f->ended, id, SESSION_ID_SIZE);
	f->endings++;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_int_equal(session_table_new(on_ended, f, &f->table), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	(void)session_table_free(f->table);
	free(f);
	return 0;
}

/* A token for a number. */
static void token_of(unsigned number, char to[SESSION_TOKEN_SIZE])
{
	(void)snprintf(to, SESSION_TOKEN_SIZE, "token-of-a-session-%07u", number);
	assert_int_equal(strlen(to), SESSION_TOKEN_SIZE - 1);
}

static void add(struct fixture *f, unsigned number, uint64_t now_s)
{
	char token[SESSION_TOKEN_SIZE], id[SESSION_ID_SIZE];

	token_of(number, token);
	session_id(token, id);
	assert_int_equal(session_table_add(f->table, id, "curl/8", now_s), 0);
}

static bool touch(struct fixture *f, unsigned number, uint64_t now_s)
{
	char token[SESSION_TOKEN_SIZE], id[SESSION_ID_SIZE];
	const char *found;

	token_of(number, token);
	session_id(token, id);
	found = session_table_touch(f->table, token, now_s);
	if (found)
		assert_string_equal(found, id);
	return found != NULL;
}

static json_t *stored(unsigned number, uint64_t logged_in_s, uint64_t last_active_s)
{
	char token[SESSION_TOKEN_SIZE], id[SESSION_ID_SIZE];
	char logged_in[RFC3339_SIZE], last_active[RFC3339_SIZE];

	token_of(number, token);
	session_id(token, id);
	return json_pack("{s:{s:s, s:s, s:n}}", id, "loggedIn",
			 rfc3339_format(logged_in_s, logged_in), "lastActive",
			 rfc3339_format(last_active_s, last_active), "userAgent");
}

static void load(struct fixture *f, json_t *document, uint64_t now_s)
{
	assert_int_equal(session_table_load(f->table, document, now_s), 0);
	json_decref(document);
}

static size_t count(struct fixture *f, uint64_t now_s)
{
	json_t *list = session_table_list(f->table, now_s);
	size_t size = json_object_size(list);

	json_decref(list);
	return size;
}

static void test_ids_of_the_reference(void **state)
{
	char id[SESSION_ID_SIZE], token[SESSION_TOKEN_SIZE], other[SESSION_TOKEN_SIZE];

	session_id("abc", id);
	assert_string_equal(id, "xj4bnp4pahh6uqkbidpf3lrceoyagyndsylxvhfucd7wd4qacwwq");
	session_id("abcdefghijklmnopqrstuvwxyz", id);
	assert_string_equal(id, "ohcibx4t22xc6hx22fchyzwjkjpdcyqyz5i7zdm63azpfwxrrnzq");
	session_token(token);
	session_token(other);
	assert_int_equal(strspn(token, "abcdefghijklmnopqrstuvwxyz234567"), 26);
	assert_string_not_equal(token, other);
}

static void test_unknown_tokens(void **state)
{
	struct fixture *f = *state;
	char id[SESSION_ID_SIZE], token[SESSION_TOKEN_SIZE];

	add(f, 1, NOW);
	assert_true(touch(f, 1, NOW));
	assert_false(touch(f, 2, NOW));
	assert_null(session_table_touch(f->table, "", NOW));
	/* The id, which the owner's list shows, is no token. */
	token_of(1, token);
	session_id(token, id);
	assert_null(session_table_touch(f->table, id, NOW));
}

static void test_idle_sessions_end(void **state)
{
	struct fixture *f = *state;

	add(f, 1, NOW);
	assert_true(touch(f, 1, NOW + SESSION_IDLE_S - 1));
	assert_true(touch(f, 1, NOW + 2 * SESSION_IDLE_S - 2));
	assert_int_equal(f->endings, 0);
	assert_false(touch(f, 1, NOW + 3 * SESSION_IDLE_S - 2));
	assert_int_equal(f->endings, 1);
	assert_false(touch(f, 1, NOW));
}

static void test_busy_sessions_end_after_30_days(void **state)
{
	struct fixture *f = *state;
	uint64_t now_s;

	add(f, 1, NOW);
	for (now_s = NOW; now_s < NOW + SESSION_LIFE_S; now_s += 86400)
		assert_true(touch(f, 1, now_s));
	assert_false(touch(f, 1, now_s));
	assert_int_equal(f->endings, 1);
}

static void test_one_too_many_ends_the_idlest(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < SESSIONS_MAX; i++)
		add(f, i, NOW + i);
	assert_true(touch(f, 0, NOW + 1000));
	add(f, SESSIONS_MAX, NOW + 1001);
	assert_int_equal(f->endings, 1);
	assert_true(touch(f, 0, NOW + 1001));
	assert_false(touch(f, 1, NOW + 1001));
	assert_int_equal(count(f, NOW + 1001), SESSIONS_MAX);
}

static void test_the_idlest_is_told_before_it_gives_way(void **state)
{
	char token[SESSION_TOKEN_SIZE], id[SESSION_ID_SIZE];
	struct fixture *f = *state;

	for (unsigned i = 0; i < SESSIONS_MAX; i++) {
		assert_null(session_table_idlest(f->table));
		add(f, i, NOW + 100 - i);
	}
	token_of(SESSIONS_MAX - 1, token);
	session_id(token, id);
	assert_string_equal(session_table_idlest(f->table), id);
	add(f, SESSIONS_MAX, NOW + 1000);
	assert_string_equal(f->ended, id);
}

/* More of them than there may be, from elsewhere: each reading keeps the same ones and ends none. */
static void test_too_many_in_the_document(void **state)
{
	struct fixture *f = *state;
	json_t *document = json_object();

	for (unsigned i = 0; i < SESSIONS_MAX + 6; i++) {
		json_t *one = stored(i, NOW, NOW + i);

		assert_int_equal(json_object_update(document, one), 0);
		json_decref(one);
	}
	for (int i = 0; i < 3; i++) {
		load(f, json_incref(document), NOW + 1000);
		if (i == 0)
			f->endings = 0;
	}
	assert_int_equal(f->endings, 0);
	for (unsigned i = 0; i < SESSIONS_MAX + 6; i++)
		assert_int_equal(touch(f, i, NOW + 1000), i >= 6);
	json_decref(document);
}

static void test_the_next_end(void **state)
{
	struct fixture *f = *state;

	assert_true(session_table_next_end(f->table) == UINT64_MAX);
	assert_false(session_table_end_old(f->table, UINT64_MAX));
	add(f, 1, NOW);
	load(f, stored(2, NOW - SESSION_LIFE_S + 10, NOW), NOW);
	assert_int_equal(session_table_next_end(f->table), NOW + 10);
	assert_false(session_table_end_old(f->table, NOW + 9));
	assert_true(session_table_end_old(f->table, NOW + 10)); /* it was the document's */
	assert_int_equal(f->endings, 1);
	assert_int_equal(session_table_next_end(f->table), NOW + SESSION_IDLE_S);
	assert_true(touch(f, 1, NOW + 60));
	assert_int_equal(session_table_next_end(f->table), NOW + 60 + SESSION_IDLE_S);
	assert_false(session_table_end_old(f->table, NOW + 60 + SESSION_IDLE_S));
	assert_int_equal(f->endings, 2);
}

static void test_persistent_sessions_follow_the_document(void **state)
{
	struct fixture *f = *state;
	json_t *two = stored(1, NOW, NOW);

	load(f, json_incref(two), NOW);
	add(f, 9, NOW); /* in memory only */
	assert_true(touch(f, 1, NOW));
	assert_false(touch(f, 2, NOW));
	json_object_update_new(two, stored(2, NOW, NOW));
	load(f, json_incref(two), NOW + 10);
	assert_true(touch(f, 1, NOW + 20));
	assert_true(touch(f, 2, NOW + 20));
	assert_int_equal(f->endings, 0);
	load(f, stored(2, NOW, NOW), NOW + 30);
	assert_int_equal(f->endings, 1);
	assert_false(touch(f, 1, NOW + 30));
	assert_true(touch(f, 2, NOW + 30));
	load(f, json_object(), NOW + 40);
	assert_int_equal(f->endings, 2);
	assert_true(touch(f, 9, NOW + 40));
	json_decref(two);
}

static void test_what_is_no_session_is_passed_over(void **state)
{
	struct fixture *f = *state;
	json_t *document = stored(1, NOW, NOW);

	json_object_set_new(document, "short", json_object());
	json_object_set_new(document, "xj4bnp4pahh6uqkbidpf3lrceoyagyndsylxvhfucd7wd4qacwwq",
			    json_pack("{s:s, s:s}", "loggedIn", "yesterday", "lastActive", "now"));
	json_object_update_new(document, stored(2, NOW - SESSION_LIFE_S, NOW));
	json_object_update_new(document, stored(3, NOW, NOW - SESSION_IDLE_S));
	load(f, document, NOW);
	assert_int_equal(count(f, NOW), 1);
}

/* A record from the year 9999 would be a session for ever. */
static void test_records_of_the_future_are_of_now(void **state)
{
	struct fixture *f = *state;

	load(f, stored(1, UINT64_C(253402300799), UINT64_C(253402300799)), NOW);
	assert_true(touch(f, 1, NOW + 1));
	assert_false(touch(f, 1, NOW + 1 + SESSION_IDLE_S));
}

static void test_activity_is_written_now_and_then(void **state)
{
	struct fixture *f = *state;
	json_t *written, *expected = stored(1, NOW, NOW + 100);

	load(f, stored(1, NOW, NOW), NOW);
	assert_false(session_table_is_dirty(f->table));
	assert_true(touch(f, 1, NOW + 100));
	assert_true(session_table_is_dirty(f->table));
	written = session_table_document(f->table, NOW + 100);
	assert_true(json_equal(written, expected));
	session_table_written(f->table);
	assert_false(session_table_is_dirty(f->table));
	load(f, written, NOW + 100);
	assert_int_equal(f->endings, 0);
	/* Ephemeral ones never are. */
	add(f, 2, NOW);
	assert_true(touch(f, 2, NOW + 100));
	assert_false(session_table_is_dirty(f->table));
	written = session_table_document(f->table, NOW + 100);
	assert_int_equal(json_object_size(written), 1);
	json_decref(written);
	json_decref(expected);
}

static void test_user_agents_are_cut_and_cleaned(void **state)
{
	char agent[400], cleaned[SESSION_USER_AGENT_MAX + 1];
	json_t *record;

	memset(agent, 'a', sizeof(agent));
	memcpy(agent, "x\x1b\xff\n", 4);
	agent[sizeof(agent) - 1] = '\0';
	memset(cleaned, 'a', sizeof(cleaned));
	memcpy(cleaned, "x???", 4);
	cleaned[SESSION_USER_AGENT_MAX] = '\0';
	record = session_record(agent, NOW);
	assert_string_equal(json_string_value(json_object_get(record, "userAgent")), cleaned);
	assert_string_equal(json_string_value(json_object_get(record, "loggedIn")),
			    "2023-11-14T22:13:20Z");
	json_decref(record);
	record = session_record(NULL, NOW);
	assert_true(json_is_null(json_object_get(record, "userAgent")));
	json_decref(record);
}

static void test_others_end(void **state)
{
	struct fixture *f = *state;
	char token[SESSION_TOKEN_SIZE], id[SESSION_ID_SIZE];

	for (unsigned i = 0; i < 5; i++)
		add(f, i, NOW);
	token_of(3, token);
	session_id(token, id);
	session_table_end_others(f->table, id);
	assert_int_equal(f->endings, 4);
	assert_true(touch(f, 3, NOW));
	assert_true(session_table_end(f->table, id));
	assert_string_equal(f->ended, id);
	assert_false(session_table_end(f->table, id));
	add(f, 4, NOW);
	session_table_end_others(f->table, NULL);
	assert_int_equal(count(f, NOW), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids_of_the_reference),
		TEST(test_unknown_tokens),
		TEST(test_idle_sessions_end),
		TEST(test_busy_sessions_end_after_30_days),
		TEST(test_one_too_many_ends_the_idlest),
		TEST(test_the_idlest_is_told_before_it_gives_way),
		TEST(test_too_many_in_the_document),
		TEST(test_the_next_end),
		TEST(test_persistent_sessions_follow_the_document),
		TEST(test_what_is_no_session_is_passed_over),
		TEST(test_records_of_the_future_are_of_now),
		TEST(test_activity_is_written_now_and_then),
		cmocka_unit_test(test_user_agents_are_cut_and_cleaned),
		TEST(test_others_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
