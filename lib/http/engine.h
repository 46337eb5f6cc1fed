/*
 * What a connection and a protocol on it are to each other; inside this folder only
 *
 * An engine speaks HTTP/1.1 (http1.h) or HTTP/2 (http2.h) and does no I/O: its connection gives it the
 * bytes that came and pulls those that are to go. It cuts requests out of them (request.h), calls the
 * handlers of the server, and keeps their answers until they are pulled. A connection pulls only as
 * fast as its client reads, and an engine that has much to say, or cannot take more bytes, says so with
 * wants_bytes: nothing grows with what a client sends or does not read.
 *
 * Order of events. A connection calls receive, pull, expire, shut_down and free from the loop and never
 * one inside another. Within receive, pull and expire an engine may call handlers. What a user calls
 * (an answer, a message for a socket, its end) may come at any time, also within those: the engine
 * only takes note then and calls http_host.wake, upon which the connection pulls soon.
 *
 * A socket (WebSocket) is a stream of bytes on a connection or on a stream of it. Its engine gives the
 * bytes to http_socket_receive() (socket.h) and pulls with http_socket_pull(), for RFC 8441 as for
 * RFC 6455.
 */
#pragma once

#include "http/server.h"

struct http_engine;
struct http_timers;

/* What a client owes. It decides the connection's deadline, and who gives way where room is short. */
enum http_wait {
	HTTP_WAIT_NONE, /* nothing: handlers work, answers are written, a socket is open */
	HTTP_WAIT_IDLE, /* a request, some time */
	HTTP_WAIT_HEAD, /* the rest of a head */
	HTTP_WAIT_BODY, /* the rest of a body. HTTP/2: of any; the clock starts with the first */
};

enum http_ending {
	HTTP_OPEN,
	HTTP_OVER, /* everything was pulled: the connection closes */
	HTTP_OVER_UNREAD, /* the same, but the client still sends: its bytes pass by for a while, so that
			   * it reads the refusal */
};

struct http_host;

/* Bytes of unfinished bodies, or of answers that clients have not read, of a whole server. */
struct http_budget {
	size_t used;
	size_t max;

	/* Nothing is left for @asker: ends a connection that holds some of it, never the one that asks.
	 * Bodies are given back at once; answers soon, and are not counted in `used` from now on.
	 * Returns whether there was one. NULL: there is no other. */
	bool (*reclaim)(struct http_budget *budget, const struct http_host *asker);
};

/* What an engine sees of its connection, which embeds it. Engines change nothing here but by the
 * functions of request.h. */
struct http_host {
	const struct http_handlers *handlers;
	void *context; /* of the handlers */
	struct http_budget *bodies;
	struct http_budget *answers; /* NULL: they have no bound */
	size_t answer_bytes; /* of this connection, counted in `answers` unless it is abandoned */
	bool abandoned; /* it ends soon, so that others have room */
	struct http_timers *timers; /* for sockets; NULL: they are not pinged */
	struct endpoint peer;
	bool secure;

	/* There is something to pull, bytes are wanted again, or the engine is over. */
	void (*wake)(struct http_host *host);
	/* The client owes something else, or the same anew: its deadline starts. */
	void (*wait)(struct http_host *host, enum http_wait wait);
	/* The value for a Date field. */
	const char *(*date)(struct http_host *host);
};

struct http_engine_ops {
	/* Takes all bytes. Returns 0, or a negative errno: the connection ends at once. */
	int (*receive)(struct http_engine *engine, const void *bytes, size_t size);

	/* The client sends no more. Running answers are still pulled. */
	void (*end)(struct http_engine *engine);

	/* Whether bytes may be given to receive. Those that it took before stay its own. */
	bool (*wants_bytes)(const struct http_engine *engine);

	/* Gives at most @capacity bytes to send, 0 where there are none now. Capacity is at least 4096;
	 * a small answer to each of many requests should fill it. */
	size_t (*pull)(struct http_engine *engine, void *to, size_t capacity);

	enum http_ending (*ending)(const struct http_engine *engine);

	/* Whether a request is whole and its answer has not been pulled to its end. */
	bool (*is_answering)(const struct http_engine *engine);

	/* What the client owed did not come in time: refuses it (408) and is over after that. */
	void (*expire)(struct http_engine *engine, enum http_wait wait);

	/* The server closes: takes no more requests (HTTP/2: GOAWAY), closes sockets with 1001, and is over
	 * once the running answers are pulled. */
	void (*shut_down)(struct http_engine *engine);

	/* Releases it with everything on it: requests are told `gone`, sockets `closed`. */
	void (*free)(struct http_engine *engine);

	/* --- for a request of this engine, called through request.h --- */

	/* Takes the answer and frees the request. */
	void (*answer)(struct http_request *request, const struct http_answer *answer);

	/* Whether the request may become a socket: RFC 6455 section 4.2.1, RFC 8441 section 4. */
	bool (*wants_socket)(const struct http_request *request);

	/* Queues the 101 (or 200), frees the request, and serves the socket from then on. It has set
	 * the socket's stream (http_socket_attach). Returns 0 or a negative errno; then the request was
	 * refused and freed. */
	int (*accept_socket)(struct http_request *request, struct http_socket *socket);

	/* --- for a socket of this engine, called through socket.h --- */

	/* http_socket_pull() has bytes, or http_socket_is_over() came true. @stream: of the attachment. */
	void (*socket_ready)(struct http_engine *engine, void *stream);
};

/* What each engine begins with. */
struct http_engine {
	const struct http_engine_ops *ops;
	struct http_host *host; /* outlives the engine */
};
