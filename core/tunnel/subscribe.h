/*
 * db.subscribe: the document's revisions and the live status on sockets
 *
 * Wires a stream (stream.h) to the store, to the sockets of continuations, and to start-netd, which is
 * asked for its status once each SUBSCRIBE_STATUS_S for all sockets together. Nothing of that runs
 * before the first call, and no timer without an open socket. Inside core/tunnel.
 */
#pragma once

#include "rpc/continuation.h"
#include "tunnel/job.h"

#define SUBSCRIBE_STATUS_S 2

struct subscriptions;

/* @continuations: borrowed. They may outlive this: their sockets are silent from then on. */
int subscriptions_new(struct tunnel *tunnel, struct rpc_continuations *continuations,
		      struct subscriptions **ret);

/* The memory goes when the loop has closed its handles. NULL is fine. Returns NULL. */
struct subscriptions *subscriptions_free(struct subscriptions *subscriptions);
