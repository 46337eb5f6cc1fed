/*
 * HTTP server: HTTP/1.1, HTTP/2 and WebSocket, plain and over TLS
 *
 * Lives on the caller's loop and sleeps as long as no client is connected: no timer runs then. The
 * protocols are engines without I/O (http1.h, http2.h, websocket.h); this part has the sockets, TLS,
 * the limits and the deadlines. It knows nothing of what is served: its user gets requests and
 * answers each once, at once or later.
 *
 * Everything is bounded: connections in all and for each source address, heads, bodies, bodies in all,
 * streams, queued frames, and the time for each. Where connections are too many, one that
 * owes us something or reads slowly gives way: of the busiest source, never of one that has fewer than the
 * source of the one that comes. Where bodies are too large in all, one whose body is not whole does. Where
 * answers that wait to be read are, one that does not read its own does, unless it is the only one of its
 * source; else the new answer becomes a 503. A connection on which nothing moves ends.
 *
 *	http_server_new(loop, &(struct http_server_options){ .handlers = &handlers, .context = front },
 *			&server);
 *	http_server_listen(server, &address, NULL, &listener);
 *	... uv_run(loop) ...
 *	http_server_close(server, on_closed, context);
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/cleanup.h"
#include "base/ip.h"

#define HTTP_CONNECTIONS_MAX 2048
#define HTTP_SOURCE_CONNECTIONS_MAX 256 /* of one address; an IPv6 source is its /64 */
#define HTTP_HEAD_MAX 16384 /* bytes of a request's head */
#define HTTP_FIELDS_MAX 64 /* fields of a head */
#define HTTP_STREAMS_MAX 32 /* at once, of an HTTP/2 connection */
#define HTTP_BODIES_MAX (16U << 20) /* bytes of unfinished bodies in all connections */
#define HTTP_ANSWERS_MAX                                                                           \
	(16U << 20) /* bytes of answers that clients have not read, in all connections; one
				      * alone may be larger */
#define HTTP_HELLO_TIMEOUT_S 5 /* for the first message of TLS */
#define HTTP_HANDSHAKE_TIMEOUT_S 15
#define HTTP_HEAD_TIMEOUT_S 10
#define HTTP_BODY_TIMEOUT_S 30 /* for the whole body */
#define HTTP_PROGRESS_TIMEOUT_S                                                                    \
	30 /* in which a client reads HTTP_PROGRESS_MIN of what waits for it */
#define HTTP_PROGRESS_MIN 16384 /* bytes */
#define HTTP_LINGER_TIMEOUT_MS 1000 /* in which bytes behind a refusal pass by, ... */
#define HTTP_LINGER_MAX 262144 /* ... and how many */
#define HTTP_IDLE_TIMEOUT_S 60 /* between two requests */
#define HTTP_CLOSE_TIMEOUT_MS 100 /* for clients to take note that the server closes, ... */
#define HTTP_CLOSE_ANSWERS_MS 3000 /* ... and for the answers that run then */

struct http_server;
struct http_listener;
struct http_request;
struct http_socket;
struct http_tls; /* tls.h */

/* A field of a head. Names are in lower case. */
struct http_field {
	const char *name;
	const char *value;
};

/*
 * What the user of a server does. All are called from the loop, never from within a call of the user's
 * own but http_request_answer() of another request on the same connection.
 */
struct http_handlers {
	/*
	 * A head arrived. Returns how many bytes of body are wanted: a longer body is refused with 413
	 * before it is read. May answer at once; then `complete` is not called.
	 */
	size_t (*head)(void *context, struct http_request *request);

	/* The body is whole; there is one, perhaps empty. */
	void (*complete)(void *context, struct http_request *request);

	/* The client is gone, or the server ends, before the answer. The request is no more. */
	void (*gone)(void *context, struct http_request *request);
};

struct http_server_options {
	const struct http_handlers *handlers; /* borrowed */
	void *context; /* of the handlers */
	unsigned connections_max; /* 0: HTTP_CONNECTIONS_MAX */
	size_t bodies_max; /* 0: HTTP_BODIES_MAX */
	size_t answers_max; /* 0: HTTP_ANSWERS_MAX */
	unsigned source_connections_max; /* 0: HTTP_SOURCE_CONNECTIONS_MAX; loopback is not counted */
	const unsigned *timeouts_ms; /* of timers.h, for tests; NULL: as above */
	bool loopback_is_source; /* it is counted like others, for tests */
};

/* Creates a server that listens nowhere yet. Returns 0 or a negative errno. */
int http_server_new(uv_loop_t *loop, const struct http_server_options *options,
		    struct http_server **ret);

/*
 * Accepts connections on an address too: plain where @tls is NULL. On a TLS listener a client that
 * speaks plain HTTP is redirected to https (307), or told 400 where it names no host.
 * @tls: borrowed until the listener is closed.
 * Returns 0 or a negative errno, such as -EADDRINUSE, -EADDRNOTAVAIL, -EACCES.
 */
int http_server_listen(struct http_server *server, const struct endpoint *address,
		       struct http_tls *tls, struct http_listener **ret);

/* The same on a socket that listens already, which is taken, also on failure. */
int http_server_listen_fd(struct http_server *server, int fd, struct http_tls *tls,
			  struct http_listener **ret);

/* Stops accepting there. Connections that were made stay. NULL is fine. Returns NULL. */
struct http_listener *http_listener_close(struct http_listener *listener);

/* Serves a connected stream socket, which is taken, also on failure. Returns 0, -EBUSY, -ENOMEM, -EIO. */
int http_server_adopt(struct http_server *server, int fd, struct http_tls *tls);

/* Connections that are open. */
unsigned http_server_connections(const struct http_server *server);

/*
 * Stops accepting, tells WebSocket peers that the server goes away (1001), closes everything: after
 * HTTP_CLOSE_TIMEOUT_MS at the latest, or HTTP_CLOSE_ANSWERS_MS where an answer runs. Then it releases
 * the server and calls @closed (NULL is fine) from the loop. A handler may call this.
 */
void http_server_close(struct http_server *server, void (*closed)(void *context), void *context);

/* --- requests; what they give is borrowed and lives as long as the request --- */

const char *http_request_method(const struct http_request *request); /* "POST" */
const char *
http_request_path(const struct http_request *request); /* "/rpc/v1", undecoded, no query */
const char *http_request_query(const struct http_request *request); /* behind the "?", or "" */
const char *http_request_host(const struct http_request *request); /* Host or :authority, or "" */

/* The value of a field, "" where it is empty, NULL where it is missing. Fields of one name are joined as
 * RFC 9110 section 5.3 says (RFC 6265 for cookies). @name: in lower case. */
const char *http_request_field(const struct http_request *request, const char *name);

const void *http_request_body(const struct http_request *request, size_t *ret_size);

bool http_request_is_secure(const struct http_request *request); /* came over TLS */
const struct endpoint *http_request_peer(const struct http_request *request);

/* A pointer of the user's own for the request; NULL at first. */
void http_request_set_data(struct http_request *request, void *data);
void *http_request_data(const struct http_request *request);

/* An answer. Content-Length and Date are added; of a HEAD request the body stays behind. */
struct http_answer {
	unsigned status;
	const struct http_field *fields; /* copied */
	size_t field_count;
	const void *body; /* borrowed until `release` is called; copied where that is NULL */
	size_t body_size;
	void (*release)(void *release_context); /* called once, also on failure */
	void *release_context;
	bool kept; /* the body is there anyway: it is not counted in HTTP_ANSWERS_MAX */
	bool close; /* the connection ends after it */
};

/* Answers and gives up the request. Fails only by closing the connection, or by a 503 in place of the answer
 * where too much waits to be read (HTTP_ANSWERS_MAX). */
void http_request_answer(struct http_request *request, const struct http_answer *answer);

/* --- WebSocket, RFC 6455 and 8441 --- */

#define HTTP_SOCKET_MESSAGE_MAX 65536 /* bytes of a message from a client */
#define HTTP_SOCKET_QUEUE_MAX                                                                      \
	(4U << 20) /* bytes that wait for a slow client; more ends the socket */
#define HTTP_SOCKET_PING_S 30 /* without traffic */
#define HTTP_SOCKET_PONG_S 300 /* without an answer to it */

enum http_socket_code {
	HTTP_SOCKET_NORMAL = 1000,
	HTTP_SOCKET_GOING_AWAY = 1001,
	HTTP_SOCKET_POLICY = 1008,
	HTTP_SOCKET_ERROR = 1011,
};

struct http_socket_handlers {
	/* A whole message. NULL: messages are read and forgotten. */
	void (*message)(void *context, const void *bytes, size_t size, bool text);
	/* Everything that was queued has been given to the kernel. May be NULL. */
	void (*drained)(void *context);
	/* The socket is gone; called exactly once, also after http_socket_close(). */
	void (*closed)(void *context);
};

/* Whether the request asks for a WebSocket, well-formed and of a version that we speak. */
bool http_request_wants_socket(const struct http_request *request);

/* Answers the request with 101 (HTTP/2: 200) and makes a socket of its connection or stream.
 * Returns 0, or a negative errno; then the request was refused and is gone too. */
int http_request_accept_socket(struct http_request *request,
			       const struct http_socket_handlers *handlers, void *context,
			       struct http_socket **ret);

/* Queues a text message, which is copied. Returns 0, or -ENOBUFS or -ENOMEM: the socket ends then, or
 * -EPIPE: it is closing already. */
int http_socket_send(struct http_socket *socket, const char *text, size_t size);

/* The same, of a text that is borrowed until @release is called, once, also on failure: for long ones that
 * many sockets get. It may be called from here and whenever the socket is worked on. */
int http_socket_lend(struct http_socket *socket, const char *text, size_t size,
		     void (*release)(void *context), void *context);

/* Bytes that were queued and that the kernel has not taken yet. */
size_t http_socket_queued(const struct http_socket *socket);

/* Sends a close frame and ends the socket. @reason: at most 123 bytes, or NULL. */
void http_socket_close(struct http_socket *socket, enum http_socket_code code, const char *reason);

/* Ends the connection or stream at once, without a close frame. */
void http_socket_drop(struct http_socket *socket);
