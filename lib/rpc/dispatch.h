/*
 * From a request body to its answer
 *
 * A dispatcher binds a table of methods to the context of their handlers. It takes the bytes of a
 * body, finds and checks what each request in it asks for, calls the handlers, and gives one answer
 * when the last of them has answered: in the order of the requests, whatever the order of the
 * answers. It does no I/O. Owned by one event loop. The limits are those of request.h.
 *
 *	static void handle_echo(struct rpc_call *call)
 *	{
 *		rpc_reply(call, json_string(rpc_string(call, "message")));
 *	}
 *
 *	rpc_dispatcher_new(&table, tunnel, &dispatcher);
 *	http_server_new(loop, &(struct http_server_options){ .dispatcher = dispatcher, ... }, ...);
 *
 * A request is refused, in this order: unknown method, missing authentication, bad parameters.
 */
#pragma once

#include "rpc/method.h"
#include "rpc/request.h"

struct rpc_dispatcher;

/* @table and @context are borrowed and outlive the dispatcher and its calls. Returns 0 or -ENOMEM. */
int rpc_dispatcher_new(const struct rpc_table *table, void *context, struct rpc_dispatcher **ret);

/* Releases it once the calls that run have answered. NULL is fine. Returns NULL. */
struct rpc_dispatcher *rpc_dispatcher_free(struct rpc_dispatcher *dispatcher);
DEFINE_CLEANUP(struct rpc_dispatcher *, rpc_dispatcher_free);

/*
 * Receives an answer: JSON text that it takes and frees, never NULL, and its size. @set_cookie: the
 * value of a Set-Cookie field, borrowed for the time of the call, or NULL.
 */
typedef void (*rpc_answer_fn)(void *context, char *answer, size_t size, const char *set_cookie);

/*
 * Does what @body asks for. @answer is called exactly once, perhaps before this returns. Body and
 * caller are borrowed for the time of the call; what the caller points to is copied. Each request of a
 * batch is looked at by itself.
 */
void rpc_dispatch(struct rpc_dispatcher *dispatcher, const void *body, size_t size,
		  const struct rpc_caller *caller, rpc_answer_fn answer, void *context);

/* Bodies that were not answered yet. */
size_t rpc_dispatcher_running(const struct rpc_dispatcher *dispatcher);

/* The answer that refuses a whole body, for transports; NULL for want of memory. The caller frees. */
char *rpc_refusal(const struct fault *fault);
