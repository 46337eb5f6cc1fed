/*
 * Continuations: a call that goes on in a WebSocket
 *
 * A method such as db.subscribe adds a continuation and tells its caller the guid; the caller opens
 * /ws/rpc/<guid> and gets what the method has to say from then on. A guid is random, is used once, and
 * has to be used within RPC_GUID_TIMEOUT_S. It belongs to the session that asked for it: nobody else
 * opens it, and it ends with the session, as does its socket.
 *
 *	rpc_continuations_add(continuations, rpc_caller(call)->session, &handlers, subscription,
 *			      clock_monotonic_ns(), guid);
 *	rpc_reply(call, json_pack("{s:s}", "guid", guid));
 *	... opened(subscription, socket): http_socket_send(socket, text, size) ...
 *
 * No timer runs: what was not used in time is forgotten when somebody adds one or asks. Owned by one
 * event loop; time is passed in.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#define RPC_GUID_SIZE 32 /* characters: base32 of 20 random bytes */
#define RPC_GUID_TIMEOUT_S 30 /* from its making to its use */
#define RPC_CONTINUATIONS_MAX 4096 /* open ones and those that wait */
#define RPC_CONTINUATIONS_OF_SESSION_MAX 64
#define RPC_CONTINUATIONS_OF_OTHERS_MAX                                                            \
	2048 /* of callers without a session: the machine's, by key */

struct http_request;
struct http_socket;
struct rpc_continuations;

struct rpc_socket_handlers {
	/* The client has come. Messages may be sent from now on (http_socket_send()), also from here. */
	void (*opened)(void *context, struct http_socket *socket);

	/* Everything that was sent has been given to the kernel. May be NULL. */
	void (*drained)(void *context);

	/*
	 * The guid's time is up, its session has ended, or the socket is gone, in which case it is no
	 * more. Called exactly once for each continuation that was added, opened or not.
	 */
	void (*closed)(void *context);
};

/* Returns 0 or -ENOMEM. */
int rpc_continuations_new(struct rpc_continuations **ret);

/* Ends every continuation; sockets are dropped. NULL is fine. Returns NULL. */
struct rpc_continuations *rpc_continuations_free(struct rpc_continuations *continuations);
DEFINE_CLEANUP(struct rpc_continuations *, rpc_continuations_free);

/*
 * Adds one and tells its guid, with a NUL.
 * @session: the id of the session that it belongs to, copied; NULL: a caller without one.
 * @handlers, @context: borrowed until closed() is called.
 * Returns 0, -EBUSY (a limit is reached), or -ENOMEM; closed() is not called then.
 */
int rpc_continuations_add(struct rpc_continuations *continuations, const char *session,
			  const struct rpc_socket_handlers *handlers, void *context,
			  uint64_t now_ns, char ret_guid[RPC_GUID_SIZE + 1]);

/* Whether such a guid waits, and may be used by a caller of this session (NULL: of none). One that
 * belongs to no session may be used by whoever knows it. */
bool rpc_continuations_find(struct rpc_continuations *continuations, const char *guid,
			    const char *session, uint64_t now_ns);

/*
 * Makes the request, which wants a socket, the client of a guid. The guid is spent.
 * Returns 0, -ENOENT (as rpc_continuations_find(); nothing is done then, the request is still to be
 * answered), or another negative errno: request and continuation are gone.
 */
int rpc_continuations_open(struct rpc_continuations *continuations, const char *guid,
			   const char *session, struct http_request *request, uint64_t now_ns);

/* Ends what belongs to a session: guids are forgotten, sockets dropped without a close frame, which
 * upstream clients would take for a reason to stay away. */
void rpc_continuations_kill_session(struct rpc_continuations *continuations, const char *session);

/* Forgets the guids whose time is up. Who keeps something for each may call this now and then. */
void rpc_continuations_purge(struct rpc_continuations *continuations, uint64_t now_ns);

/* Guids that wait and sockets that are open. */
size_t rpc_continuations_count(const struct rpc_continuations *continuations);
