/*
 * StartTunnel: the document, its edits, and the network that follows it
 *
 * Owns the store and speaks to start-netd. Work on the document is done one job at a time, in the order
 * of arrival: an edit changes the document in memory, has start-netd carry the difference out, makes it
 * durable, and only then answers; where a step fails, everything before it is undone. Reads wait
 * for a running edit, so that nobody sees what may yet be undone.
 *
 * Where start-netd cannot do what the document wants as a whole (at start, or after a change of the
 * machine's addresses), the daemon goes on, status says why, and it is tried again every
 * TUNNEL_RETRY_S seconds and with each edit.
 */
#pragma once

#include <uv.h>

#include "netstate/netd_client.h"
#include "rpc/continuation.h"
#include "rpc/method.h"
#include "store/store.h"

#define TUNNEL_RETRY_S 5
#define TUNNEL_JOBS_MAX 1024 /* waiting calls */

struct account;
struct forward_index;
struct port_mapper;
struct tunnel;

/* The methods and commands; their handlers expect a struct tunnel as context. */
extern const struct rpc_table tunnel_api;

/*
 * Opens the document below @datadir, makes or migrates it, and notes this machine's addresses.
 * @netd stays the caller's. Returns 0, or a negative errno with a fault.
 */
int tunnel_new(uv_loop_t *loop, const char *datadir, struct netd_client *netd, struct tunnel **ret,
	       struct fault *fault);

/* Serves db.subscribe with sockets, and ends those of each session with it. @continuations: borrowed,
 * outlive the tunnel. Returns 0 or -ENOMEM. */
int tunnel_serve_sockets(struct tunnel *tunnel, struct rpc_continuations *continuations);

/* Serves DNS to the devices (names.h). For a tunnel that is ready. @resolv_conf: files that name this machine's
 * servers, of which the first counts that names any; ends with NULL, and outlives the tunnel. Returns 0 or a
 * negative errno. */
int tunnel_serve_names(struct tunnel *tunnel, const char *const *resolv_conf);

/* Serves ports that are shared by host name (routes.h). For a tunnel that is ready. Returns 0 or a negative errno. */
int tunnel_serve_routes(struct tunnel *tunnel);

/* Who may call (account/account.h); the tunnel's own. */
struct account *tunnel_account(struct tunnel *tunnel);

/* For what serves devices on top of it (core/portcontrol): the document as it is, which an edit may free; the ports that
 * devices open, and which forwards lead to them; the loop. All are the tunnel's own. */
const json_t *tunnel_document(const struct tunnel *tunnel);
struct port_mapper *tunnel_port_mapper(const struct tunnel *tunnel);
const struct forward_index *tunnel_forward_index(const struct tunnel *tunnel);
uv_loop_t *tunnel_loop(const struct tunnel *tunnel);

/* Has @ended called with the id of each session that ends, whatever ends it. NULL: nobody is told. */
void tunnel_on_session_ended(struct tunnel *tunnel, void (*ended)(void *context, const char *id),
			     void *context);

/* Has start-netd make the network as the document wants it; @ready is called when that was tried the
 * first time, and it may be served from then on. */
void tunnel_start(struct tunnel *tunnel, void (*ready)(void *context), void *context);

/* Takes no further job and calls @idle, perhaps at once, when the last one is done. */
void tunnel_stop(struct tunnel *tunnel, void (*idle)(void *context), void *context);

/* Stops watching and closes the store; for a tunnel that is stopped and idle. NULL is fine. Returns
 * NULL. */
struct tunnel *tunnel_free(struct tunnel *tunnel);
