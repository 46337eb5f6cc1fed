/*
 * Ports whose connections are relayed, following the document
 *
 * A port of the demultiplexer (demux/demux.h) is each entry of /portForwards of the kind "sni" that has an
 * enabled route, and each enabled forward of /portForwards and /portForwards6 whose device gets a header of the
 * PROXY protocol, which only "*" leads to. Names lead where the document says, from the revision on that says so. Sockets are bound by
 * start-netd, to the address of this machine that packets for the external one come to. One that cannot be
 * bound is said once in the log, shown in status, and tried again every ROUTES_RETRY_S seconds and when this
 * machine's addresses change. While nothing is relayed, there is no thread and no timer. Owned by the tunnel.
 */
#pragma once

#include <jansson.h>

#include "demux/demux.h"
#include "tunnel/tunnel.h"

#define ROUTES_RETRY_S 10

struct routes;

/* Why a port is not served, for a person. */
enum routes_state {
	ROUTES_SERVED,
	ROUTES_UNBOUND, /* it could not be bound, or not yet */
};

/* Of an entry, once that is known: whether its port could be bound. */
typedef void (*routes_settled)(void *context, bool bound);

/* For tunnel_serve_routes() and tunnel_free(). */
int routes_new(struct tunnel *tunnel, struct routes **ret);
struct routes *routes_free(struct routes *routes);

/* Of a route, or with DEMUX_ANY of a plain forward: whether its port is served, and what went through.
 * @routes: NULL is fine. */
enum routes_state routes_traffic(const struct routes *routes, const char *source, const char *name,
				 struct demux_traffic *ret);

/* Whether the last try to bind the port of an entry failed, or there is no demultiplexer at all. @routes: NULL is fine. */
bool routes_failed(const struct routes *routes, const char *source);

/*
 * Has @settled called once, perhaps at once: when the port of an entry is bound or cannot be, or there is nothing to
 * bind, because no name of it is enabled. Not called any more once the routes are freed. @routes: NULL is fine, and
 * settled. Returns 0 or -ENOMEM.
 */
int routes_await(struct routes *routes, const char *source, routes_settled settled, void *context);

/*
 * Closes the port of a plain forward before an edit that ends its relay reaches the kernel. An answer that the relay
 * gave after that would have the kernel lead its client here for as long as it goes on. Where the edit fails, the port
 * is served again within ROUTES_RETRY_S. @routes: NULL is fine.
 */
void routes_let_go(struct routes *routes, const char *source);

/* {"connections", "accepted", "unknown", "refused", "failed", "problem"}, as status shows it. NULL: no memory. */
json_t *routes_status(const struct routes *routes);
