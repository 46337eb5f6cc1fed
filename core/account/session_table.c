#include "account/session_table.h"

#include <string.h>

#include <sodium.h>

#include "base/rfc3339.h"
#include "base/secret.h"
#include "codec/base32.h"

struct session {
	char id[SESSION_ID_SIZE];
	bool persistent;
	bool dirty; /* was active since the document was told */
	uint64_t logged_in_s;
	uint64_t last_active_s;
	char *user_agent; /* or NULL */
};

struct session_table {
	session_ended_fn ended;
	void *context;
	struct session sessions[SESSIONS_MAX];
	size_t count;
};

int session_table_new(session_ended_fn ended, void *context, struct session_table **ret)
{
	struct session_table *table = calloc(1, sizeof(*table));

	if (!table)
		return -ENOMEM;
	table->ended = ended;
	table->context = context;
	*ret = table;
	return 0;
}

struct session_table *session_table_free(struct session_table *table)
{
	if (!table)
		return NULL;
	for (size_t i = 0; i < table->count; i++)
		free(table->sessions[i].user_agent);
	free(table);
	return NULL;
}

void session_token(char ret[SESSION_TOKEN_SIZE])
{
	uint8_t bytes[16];

	random_bytes(bytes, sizeof(bytes));
	(void)base32_encode(bytes, sizeof(bytes), BASE32_LOWER, ret);
	secret_wipe(bytes, sizeof(bytes));
}

void session_id(const char *token, char ret[SESSION_ID_SIZE])
{
	uint8_t hash[crypto_hash_sha256_BYTES];

	(void)crypto_hash_sha256(hash, (const unsigned char *)token, strlen(token));
	(void)base32_encode(hash, sizeof(hash), BASE32_LOWER, ret);
}

static struct session *find(struct session_table *table, const char *id)
{
	for (size_t i = 0; i < table->count; i++)
		if (strcmp(table->sessions[i].id, id) == 0)
			return &table->sessions[i];
	return NULL;
}

/* Takes a session out; the last one moves to its place. */
static void end(struct session_table *table, struct session *session)
{
	char id[SESSION_ID_SIZE];

	memcpy(id, session->id, sizeof(id));
	free(session->user_agent);
	*session = table->sessions[--table->count];
	table->sessions[table->count] = (struct session){ 0 };
	table->ended(table->context, id);
}

/* A clock that was set back makes no session older than it is. */
static bool is_over(const struct session *session, uint64_t now_s)
{
	return now_s >= session->last_active_s + SESSION_IDLE_S ||
	       now_s >= session->logged_in_s + SESSION_LIFE_S;
}

bool session_table_end_old(struct session_table *table, uint64_t now_s)
{
	bool persistent = false;

	for (size_t i = table->count; i-- > 0;) {
		if (!is_over(&table->sessions[i], now_s))
			continue;
		persistent = persistent || table->sessions[i].persistent;
		end(table, &table->sessions[i]);
	}
	return persistent;
}

uint64_t session_table_next_end(const struct session_table *table)
{
	uint64_t next_s = UINT64_MAX;

	for (size_t i = 0; i < table->count; i++) {
		const struct session *session = &table->sessions[i];
		uint64_t idle_s = session->last_active_s + SESSION_IDLE_S;
		uint64_t life_s = session->logged_in_s + SESSION_LIFE_S;

		if (idle_s < next_s)
			next_s = idle_s;
		if (life_s < next_s)
			next_s = life_s;
	}
	return next_s;
}

/* The one that gives way to one more, or NULL where there is room. */
static struct session *idlest(struct session_table *table)
{
	struct session *found = &table->sessions[0];

	if (table->count < SESSIONS_MAX)
		return NULL;
	for (size_t i = 1; i < table->count; i++)
		if (table->sessions[i].last_active_s < found->last_active_s)
			found = &table->sessions[i];
	return found;
}

const char *session_table_idlest(const struct session_table *table)
{
	const struct session *found = idlest((struct session_table *)table);

	return found ? found->id : NULL;
}

static int copy_user_agent(const char *from, char **ret)
{
	size_t size = from ? strnlen(from, SESSION_USER_AGENT_MAX) : 0;
	char *copy = NULL;

	if (from) {
		copy = strndup(from, size);
		if (!copy)
			return -ENOMEM;
		for (size_t i = 0; i < size; i++)
			if (copy[i] < ' ' || copy[i] > '~')
				copy[i] = '?';
	}
	*ret = copy;
	return 0;
}

static int add(struct session_table *table, const struct session *session, const char *user_agent)
{
	char *copy = NULL;
	int r = copy_user_agent(user_agent, &copy);

	struct session *giving_way;

	if (r < 0)
		return r;
	giving_way = idlest(table);
	if (giving_way)
		end(table, giving_way);
	table->sessions[table->count] = *session;
	table->sessions[table->count++].user_agent = copy;
	return 0;
}

int session_table_add(struct session_table *table, const char *id, const char *user_agent,
		      uint64_t now_s)
{
	struct session session = { .logged_in_s = now_s, .last_active_s = now_s };

	(void)session_table_end_old(table, now_s);
	memcpy(session.id, id, sizeof(session.id));
	return add(table, &session, user_agent);
}

const char *session_table_touch(struct session_table *table, const char *token, uint64_t now_s)
{
	struct session *session;
	char id[SESSION_ID_SIZE];

	if (strlen(token) != SESSION_TOKEN_SIZE - 1)
		return NULL;
	session_id(token, id);
	session = find(table, id);
	if (!session)
		return NULL;
	if (is_over(session, now_s)) {
		end(table, session);
		return NULL;
	}
	if (now_s > session->last_active_s) {
		session->last_active_s = now_s;
		session->dirty = session->persistent;
	}
	return session->id;
}

bool session_table_end(struct session_table *table, const char *id)
{
	struct session *session = find(table, id);

	if (session)
		end(table, session);
	return session != NULL;
}

void session_table_end_others(struct session_table *table, const char *id)
{
	for (size_t i = table->count; i-- > 0;)
		if (!id || strcmp(table->sessions[i].id, id) != 0)
			end(table, &table->sessions[i]);
}

/* What is no session of ours is passed over: the document's next writing drops it. */
static int load_one(struct session_table *table, const char *id, const json_t *value,
		    uint64_t now_s)
{
	const char *logged_in = json_string_value(json_object_get(value, "loggedIn"));
	const char *last_active = json_string_value(json_object_get(value, "lastActive"));
	struct session session = { .persistent = true };
	const struct session *giving_way;

	if (strlen(id) != SESSION_ID_SIZE - 1 || !logged_in || !last_active ||
	    rfc3339_parse(logged_in, &session.logged_in_s) < 0 ||
	    rfc3339_parse(last_active, &session.last_active_s) < 0)
		return 0;
	/* What claims to be of the future would never end. */
	if (session.logged_in_s > now_s)
		session.logged_in_s = now_s;
	if (session.last_active_s > now_s)
		session.last_active_s = now_s;
	if (find(table, id) || is_over(&session, now_s))
		return 0;
	/* Of too many the latest stay, and the same ones each time that the document is read. */
	giving_way = idlest(table);
	if (giving_way && session.last_active_s < giving_way->last_active_s)
		return 0;
	memcpy(session.id, id, sizeof(session.id));
	return add(table, &session, json_string_value(json_object_get(value, "userAgent")));
}

int session_table_load(struct session_table *table, const json_t *stored, uint64_t now_s)
{
	const json_t *value;
	const char *id;
	int r = 0;

	for (size_t i = table->count; i-- > 0;)
		if (table->sessions[i].persistent &&
		    !json_object_get(stored, table->sessions[i].id))
			end(table, &table->sessions[i]);
	json_object_foreach((json_t *)stored, id, value) {
		r = load_one(table, id, value, now_s);
		if (r < 0)
			return r;
	}
	return 0;
}

static json_t *describe(const struct session *session)
{
	char logged_in[RFC3339_SIZE], last_active[RFC3339_SIZE];

	return json_pack("{s:s, s:s, s:s?}", "loggedIn",
			 rfc3339_format(session->logged_in_s, logged_in), "lastActive",
			 rfc3339_format(session->last_active_s, last_active), "userAgent",
			 session->user_agent);
}

json_t *session_record(const char *user_agent, uint64_t now_s)
{
	struct session session = { .logged_in_s = now_s, .last_active_s = now_s };
	json_t *record = NULL;

	if (copy_user_agent(user_agent, &session.user_agent) == 0)
		record = describe(&session);
	free(session.user_agent);
	return record;
}

static json_t *describe_all(struct session_table *table, bool persistent_only, uint64_t now_s)
{
	json_t *all = json_object();

	(void)session_table_end_old(table, now_s);
	for (size_t i = 0; all && i < table->count; i++) {
		const struct session *session = &table->sessions[i];

		if (persistent_only && !session->persistent)
			continue;
		if (json_object_set_new(all, session->id, describe(session)) < 0) {
			json_decref(all);
			return NULL;
		}
	}
	return all;
}

json_t *session_table_document(struct session_table *table, uint64_t now_s)
{
	return describe_all(table, true, now_s);
}

json_t *session_table_list(struct session_table *table, uint64_t now_s)
{
	return describe_all(table, false, now_s);
}

void session_table_written(struct session_table *table)
{
	for (size_t i = 0; i < table->count; i++)
		table->sessions[i].dirty = false;
}

bool session_table_is_dirty(const struct session_table *table)
{
	for (size_t i = 0; i < table->count; i++)
		if (table->sessions[i].dirty)
			return true;
	return false;
}
