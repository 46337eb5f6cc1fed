/*
 * HTTP front of a dispatcher
 *
 * Answers POST /rpc/<anything> with what the dispatcher makes of the body, on addresses that its owner
 * names. Lives on the caller's loop and sleeps as long as no client is connected: no timer runs then.
 *
 * A caller is authenticated by the cookie `local`, which has to equal a secret of this machine. A
 * request that comes from a web page counts as authenticated only where the page is of the very host
 * and port it talks to. A Host field that is no IP address and not localhost is refused: a name that
 * anybody may point here would make a stranger's page one of our own.
 *
 * A connection carries one request and its answer. Everything is bounded: connections, head, body,
 * the time for each. Where connections are too many, the oldest that has not sent its head gives way.
 * What is refused before it is read gets a status of HTTP and a body that says why, in the form of a
 * JSON-RPC error.
 *
 *	http_server_new(loop, &options, &server);
 *	endpoint_parse(HTTP_SERVER_ADDRESS, &address);
 *	http_server_listen(server, &address);
 *	... uv_run(loop) ...
 *	http_server_close(server, on_closed, context);
 */
#pragma once

#include <stddef.h>
#include <uv.h>

#include "base/ip.h"
#include "rpc/dispatch.h"

#define HTTP_SERVER_ADDRESS "127.0.59.60:5960" /* where a command looks for its daemon */

#define HTTP_CONNECTIONS_MAX 256
#define HTTP_HEAD_MAX 8192 /* bytes */
#define HTTP_HEAD_TIMEOUT_S 10
#define HTTP_BODY_TIMEOUT_S 30 /* for the whole body, and without progress of an answer */
#define HTTP_CLOSE_TIMEOUT_MS 100 /* for the answers that run while the server closes */
#define HTTP_LISTEN_MAX 4

struct http_server;

struct http_server_options {
	struct rpc_dispatcher *dispatcher; /* borrowed; outlives the server */
	const char *secret; /* copied; NULL or empty: nobody is authenticated by it */
	unsigned connections_max; /* 0: HTTP_CONNECTIONS_MAX */
};

/* Creates a server that listens nowhere yet. Returns 0 or a negative errno. SIGPIPE is ignored from
 * then on in the whole process. */
int http_server_new(uv_loop_t *loop, const struct http_server_options *options,
		    struct http_server **ret);

/* Accepts connections on an address too. Returns 0 or a negative errno, such as -EADDRINUSE,
 * -EADDRNOTAVAIL, -ENOSPC (HTTP_LISTEN_MAX). */
int http_server_listen(struct http_server *server, const struct endpoint *address);

/* The same on a socket that listens already, which is taken, also on failure. */
int http_server_listen_fd(struct http_server *server, int fd);

/* Serves a connected stream socket, which is taken, also on failure. Returns 0, -EBUSY where there
 * are too many connections, -ENOMEM, -EIO. */
int http_server_adopt(struct http_server *server, int fd);

/* Connections that are open. */
unsigned http_server_connections(const struct http_server *server);

/*
 * Stops accepting, gives the answers that run HTTP_CLOSE_TIMEOUT_MS, closes everything, releases the
 * server and calls @closed (NULL is fine) from the loop. A handler may call this.
 */
void http_server_close(struct http_server *server, void (*closed)(void *context), void *context);
