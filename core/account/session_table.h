/*
 * Sessions: who has logged in
 *
 * A session is known by a random token, which its owner alone has, and by an id, the hash of the token,
 * which is all that is kept (tunnel.md 2.3). Persistent sessions are also in the document under /sessions,
 * ephemeral ones in memory only. When a session was last active is noted in memory and written to the
 * document now and then, never for a single request.
 *
 * A session ends by itself once it was idle for SESSION_IDLE_S, or SESSION_LIFE_S after its login. There
 * are at most SESSIONS_MAX; one more makes the one give way that was idle for longest, in the document
 * too (session_table_idlest()). Does no I/O and reads no clock: times are passed in, in seconds since
 * 1970. Owned by one event loop.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

#define SESSIONS_MAX 64
#define SESSION_IDLE_S (UINT64_C(7) * 86400)
#define SESSION_LIFE_S (UINT64_C(30) * 86400)
#define SESSION_WRITE_S 3600 /* between two writings of when sessions were active */
#define SESSION_USER_AGENT_MAX 256 /* bytes; longer ones are cut */

#define SESSION_TOKEN_SIZE 27 /* with the NUL: base32 of 16 random bytes */
#define SESSION_ID_SIZE 53 /* with the NUL: base32 of a SHA-256 */

struct session_table;

/* Tells of each session that ends, whatever ended it, so that its sockets can be ended too. */
typedef void (*session_ended_fn)(void *context, const char *id);

/* Returns 0 or -ENOMEM. */
int session_table_new(session_ended_fn ended, void *context, struct session_table **ret);

/* NULL is fine. Returns NULL. Nobody is told. */
struct session_table *session_table_free(struct session_table *table);
DEFINE_CLEANUP(struct session_table *, session_table_free);

/* Makes a random token; the caller wipes it. */
void session_token(char ret[SESSION_TOKEN_SIZE]);

/* The id of the session with this token. */
void session_id(const char *token, char ret[SESSION_ID_SIZE]);

/* What the document holds of a session that begins now. @user_agent: NULL is fine; what is not printable
 * ASCII becomes "?". NULL: out of memory. */
json_t *session_record(const char *user_agent, uint64_t now_s);

/* Adds an ephemeral session. Persistent ones come by the document. Returns 0 or -ENOMEM. */
int session_table_add(struct session_table *table, const char *id, const char *user_agent,
		      uint64_t now_s);

/* The id of the session with this token, which was active now, or NULL. Borrowed; valid until the table
 * changes. */
const char *session_table_touch(struct session_table *table, const char *token, uint64_t now_s);

/* Ends a session. Returns whether there was one. */
bool session_table_end(struct session_table *table, const char *id);

/* Ends all but the one with this id; NULL: all. */
void session_table_end_others(struct session_table *table, const char *id);

/* Ends those whose time is over. Returns whether a persistent one was among them. */
bool session_table_end_old(struct session_table *table, uint64_t now_s);

/* When the next one ends that nobody uses any more; UINT64_MAX where there is none. */
uint64_t session_table_next_end(const struct session_table *table);

/* The id of the session that gives way to one more, or NULL: there is room. Borrowed until the table
 * changes. */
const char *session_table_idlest(const struct session_table *table);

/*
 * Takes over what the document has under /sessions: persistent sessions that are not there end, new ones
 * begin, of too many the latest. What is known of a session's activity stays. Returns 0 or -ENOMEM.
 */
int session_table_load(struct session_table *table, const json_t *stored, uint64_t now_s);

/* What the document is to have under /sessions: an object of the persistent ones. NULL: out of memory. */
json_t *session_table_document(struct session_table *table, uint64_t now_s);

/* Notes that it was put there. */
void session_table_written(struct session_table *table);

/* Whether a persistent session was active since then. */
bool session_table_is_dirty(const struct session_table *table);

/* All sessions, as auth.session.list shows them. NULL: out of memory. */
json_t *session_table_list(struct session_table *table, uint64_t now_s);
