/*
 * HTTP front of a dispatcher
 *
 * What an HTTP server (http/server.h) of ours serves: POST /rpc/<anything> with what the dispatcher makes
 * of the body, sockets at /ws/rpc/<guid> (continuation.h), and files. Owned by the server's loop.
 *
 * Who calls is what the authenticator says of the credentials that count (authenticator.h). Cookies count
 * only where no page of another site has made the request: Origin, where there is one, has to be the very
 * scheme, host and port that the request talks to, and Sec-Fetch-Site must not say otherwise. A page of
 * another site may only send what is signed by key; CORS lets it read the answer of that, and of nothing
 * else.
 *
 * A Host that is neither an IP address nor localhost, nor, over TLS, a name that we have a certificate
 * for, gets 421: a name that anybody may point here would make a stranger's page one of our own (DNS
 * rebinding).
 *
 * Every answer has fields that forbid framing, sniffing, referrers and foreign content. There is no HSTS:
 * it has no effect for IP addresses, and under a root of our own, which the owner may replace, it would
 * take away the way back.
 *
 *	rpc_front_new(&(struct rpc_front_options){ .dispatcher = dispatcher, ... }, &front);
 *	http_server_new(loop, &(struct http_server_options){ .handlers = &rpc_front_handlers,
 *							     .context = front }, &server);
 *	... http_server_close(server, on_closed, ...); on_closed: rpc_front_free(front) ...
 */
#pragma once

#include "http/files.h"
#include "http/server.h"
#include "rpc/authenticator.h"
#include "rpc/continuation.h"
#include "rpc/dispatch.h"

#define RPC_FRONT_STRANGER_BODY_MAX 16384 /* bytes of a body of a caller who is not known yet */

struct rpc_front;

/* What a route gives. */
struct rpc_page {
	const char *type; /* "application/x-x509-ca-cert" */
	const char *disposition; /* a Content-Disposition, or NULL; copied, as the type */
	char *body; /* taken, freed */
	size_t size;
};

/* A file that is made when it is asked for, by anybody, with GET or HEAD. */
struct rpc_route {
	const char *path; /* "/static/local-root-ca.crt" */
	void *context;
	/* Returns 0 with the page, -ENOENT: there is none now (404), or another errno (500). */
	int (*make)(void *context, struct rpc_page *ret);
};

struct rpc_front_options {
	struct rpc_dispatcher *dispatcher; /* these are borrowed and outlive the front */
	const struct rpc_authenticator *authenticator;
	struct rpc_continuations *continuations; /* NULL: no sockets */
	const struct http_files *files; /* NULL: none */
	const struct rpc_route
		*routes; /* ends with a NULL path; NULL: none. They come before files. */
};

/* Returns 0 or -ENOMEM. */
int rpc_front_new(const struct rpc_front_options *options, struct rpc_front **ret);

/* Releases it; its server has been closed. Calls may still run, their answers are dropped. NULL is fine.
 * Returns NULL. */
struct rpc_front *rpc_front_free(struct rpc_front *front);
DEFINE_CLEANUP(struct rpc_front *, rpc_front_free);

/* Says which names, besides addresses and localhost, are ours over TLS. @is_ours: gets a host without
 * its port, in lower case; NULL: none. */
void rpc_front_set_names(struct rpc_front *front, bool (*is_ours)(void *context, const char *name),
			 void *context);

/* For the server; the context is the front. */
extern const struct http_handlers rpc_front_handlers;
