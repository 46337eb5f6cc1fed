/*
 * A server and its connections, as they see each other; inside this folder only
 *
 * server.c has the listeners, the limits and the end; connection.c moves the bytes of one connection
 * between its socket, TLS and its engine. Work on a connection happens from the loop only and is never
 * nested: what users call puts the connection on the list `woken`, and an idle handle of the loop goes
 * through that, which also keeps the loop from sleeping before it is done.
 */
#pragma once

#include <openssl/ssl.h>

#include "base/map.h"
#include "http/engine.h"
#include "http/timers.h"
#include "http/tls_internal.h"

#define HTTP_CHUNK 16384 /* bytes moved in one step: one record of TLS */

/* An address that has connections, but loopback. */
struct http_source {
	unsigned count;
	uint8_t key_size;
	uint8_t key[17];
};

struct http_listener {
	struct list node;
	struct http_server *server;
	struct http_tls *tls; /* NULL: plain */
	uv_poll_t poll;
	int fd;
	bool closed;
};

struct http_server {
	uv_loop_t *loop;
	const struct http_handlers *handlers;
	void *context;
	struct http_timers timers;
	struct http_budget bodies;
	struct http_budget answers;
	int spare_fd; /* given up for a moment where descriptors run out; negative: there is none */
	struct list listeners;
	struct list connections;
	/* Connections that may give way, the one that is idle longest first. */
	struct list owe_head; /* idle ones, and in a handshake */
	struct list owe_body;
	struct list lingering;
	struct list woken;
	uv_idle_t idle; /* active while something is woken, or the server is to be closed */
	uv_timer_t accept_timer;
	uv_timer_t close_timer;
	struct map sources;
	unsigned connection_count;
	unsigned connections_max;
	unsigned source_connections_max;
	bool loopback_is_source;
	unsigned handles; /* that are not closed yet */
	bool closing;
	bool only_answers; /* it waits for answers alone */
	bool told; /* the connections know that it closes */
	bool finished;
	void (*closed)(void *context);
	void *closed_context;
	int64_t date_s;
	char date[32];
	unsigned char in[HTTP_CHUNK]; /* of the connection that is worked on */
	unsigned char out[HTTP_CHUNK];
};

enum http_phase {
	HTTP_PHASE_FIRST_BYTE, /* of a TLS listener: is it TLS? */
	HTTP_PHASE_HANDSHAKE,
	HTTP_PHASE_PREFACE, /* is it HTTP/2? */
	HTTP_PHASE_SERVE,
	HTTP_PHASE_LINGER,
};

struct http_connection {
	struct http_host host;
	struct http_server *server;
	struct http_source *source; /* NULL: not counted */
	struct http_engine *engine; /* from HTTP_PHASE_SERVE on */
	struct http_tls *tls; /* until the handshake begins */
	SSL *ssl;
	struct list node;
	struct list owes; /* in one of the server's three lists, or in none */
	struct list woken;
	uv_poll_t poll;
	int fd;
	int poll_events;
	enum http_phase phase;
	enum http_wait wait;
	struct http_deadline deadline; /* of what the client owes */
	struct http_deadline progress; /* of its reading */
	bool inside; /* it is worked on */
	bool readable; /* reading may give something */
	bool ended; /* the client sends no more */
	bool hello; /* of TLS came */
	bool hello_noted;
	bool tls_wants_write;
	bool tls_failed;
	bool closed;
	uint8_t preface_size;
	char preface[24]; /* what may become the preface of HTTP/2 */
	unsigned char *pending; /* pulled, but not taken by the kernel */
	size_t pending_size;
	size_t pending_sent;
	size_t lingered;
	uint64_t written; /* bytes given to the kernel */
	uint64_t progress_mark; /* bytes that had arrived when the deadline was set */
};

/* Makes a connection of a socket, which is taken, also on failure. @source: counted already. Returns 0
 * or a negative errno. */
int http_connection_new(struct http_server *server, int fd, const struct endpoint *peer,
			struct http_source *source, struct http_tls *tls);

/* Moves what can be moved, and closes the connection where it is over. */
void http_connection_work(struct http_connection *connection);

/* Closes it now: its slot is free when this returns. Its memory goes in a later turn of the loop. */
void http_connection_close(struct http_connection *connection);

/* Lets its engine finish, or closes it where there is nothing to finish. */
void http_connection_shut_down(struct http_connection *connection);

/* Whether a request of it is whole, and its answer not written to its end. */
bool http_connection_is_answering(const struct http_connection *connection);

/* Puts it on the list of those to be worked on. */
void http_connection_wake(struct http_connection *connection);

/* --- for connections --- */

/* Lets the idle handle run. */
void http_server_wake(struct http_server *server);

/* A connection is gone from all lists: gives its place back. */
void http_server_connection_gone(struct http_server *server, struct http_source *source);

/* A handle of the server or of a connection is closed; releases the server behind the last. */
void http_server_handle_gone(struct http_server *server);

const char *http_server_date(struct http_server *server);
