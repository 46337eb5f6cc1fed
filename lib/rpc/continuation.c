#include "rpc/continuation.h"

#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/secret.h"
#include "codec/base32.h"
#include "http/server.h"

#define GUID_BYTES 20

_Static_assert(BASE32_SIZE(GUID_BYTES) == RPC_GUID_SIZE + 1, "the guid's text fits");

struct rpc_continuations {
	struct list waiting; /* the oldest first */
	struct list open;
	struct map guids; /* of those that wait */
	size_t count; /* in both lists */
};

struct continuation {
	struct list node;
	struct rpc_continuations
		*of; /* NULL: ended; only its socket has yet to say that it is gone */
	char guid[RPC_GUID_SIZE + 1];
	char *session; /* or NULL */
	const struct rpc_socket_handlers *handlers;
	void *context;
	uint64_t deadline_ns; /* while it waits */
	struct http_socket *socket; /* NULL: it waits */
};

int rpc_continuations_new(struct rpc_continuations **ret)
{
	struct rpc_continuations *continuations = calloc(1, sizeof(*continuations));

	if (!continuations)
		return -ENOMEM;
	list_init(&continuations->waiting);
	list_init(&continuations->open);
	*ret = continuations;
	return 0;
}

static void continuation_free(struct continuation *continuation)
{
	secret_wipe(continuation->guid, sizeof(continuation->guid));
	free(continuation->session);
	free(continuation);
}

/* Takes it out of the registry, so that nobody finds it any more. */
static void detach(struct continuation *continuation)
{
	struct rpc_continuations *of = TAKE_PTR(continuation->of);

	list_remove(&continuation->node);
	if (!continuation->socket)
		(void)map_remove(&of->guids, continuation->guid, RPC_GUID_SIZE);
	of->count--;
}

/* Ends one, and its socket. The memory goes when the socket says that it is gone. */
static void end(struct continuation *continuation)
{
	const struct rpc_socket_handlers *handlers = continuation->handlers;
	void *context = continuation->context;

	detach(continuation);
	if (continuation->socket)
		http_socket_drop(continuation->socket);
	else
		continuation_free(continuation);
	handlers->closed(context);
}

/* A handler may do anything to the registry: each search begins anew. */
static struct continuation *first(const struct list *list)
{
	return list_empty(list) ? NULL : container_of(list->next, struct continuation, node);
}

struct rpc_continuations *rpc_continuations_free(struct rpc_continuations *continuations)
{
	struct continuation *each;

	if (!continuations)
		return NULL;
	while ((each = first(&continuations->waiting)))
		end(each);
	while ((each = first(&continuations->open)))
		end(each);
	map_done(&continuations->guids);
	free(continuations);
	return NULL;
}

static bool same_session(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static struct continuation *find_session(const struct list *list, const char *session)
{
	list_foreach(node, list) {
		struct continuation *each = container_of(node, struct continuation, node);

		if (same_session(each->session, session))
			return each;
	}
	return NULL;
}

static size_t count_session(const struct list *list, const char *session)
{
	size_t count = 0;

	list_foreach(node, list)
		count += same_session(container_of(node, struct continuation, node)->session,
				      session);
	return count;
}

/* Whether one more would pass a limit. */
static bool is_full(const struct rpc_continuations *continuations, const char *session)
{
	size_t max = session ? RPC_CONTINUATIONS_OF_SESSION_MAX : RPC_CONTINUATIONS_OF_OTHERS_MAX;

	return continuations->count >= RPC_CONTINUATIONS_MAX ||
	       count_session(&continuations->waiting, session) +
			       count_session(&continuations->open, session) >=
		       max;
}

int rpc_continuations_add(struct rpc_continuations *continuations, const char *session,
			  const struct rpc_socket_handlers *handlers, void *context,
			  uint64_t now_ns, char ret_guid[RPC_GUID_SIZE + 1])
{
	struct continuation *continuation;
	uint8_t bytes[GUID_BYTES];

	rpc_continuations_purge(continuations, now_ns);
	if (is_full(continuations, session))
		return -EBUSY;
	continuation = calloc(1, sizeof(*continuation));
	if (!continuation)
		return -ENOMEM;
	random_bytes(bytes, sizeof(bytes));
	base32_encode(bytes, sizeof(bytes), BASE32_UPPER, continuation->guid);
	secret_wipe(bytes, sizeof(bytes));
	continuation->session = session ? strdup(session) : NULL;
	if ((session && !continuation->session) ||
	    map_set(&continuations->guids, continuation->guid, RPC_GUID_SIZE, continuation, NULL) <
		    0) {
		continuation_free(continuation);
		return -ENOMEM;
	}
	continuation->of = continuations;
	continuation->handlers = handlers;
	continuation->context = context;
	continuation->deadline_ns = now_ns + RPC_GUID_TIMEOUT_S * NS_PER_S;
	list_append(&continuations->waiting, &continuation->node);
	continuations->count++;
	memcpy(ret_guid, continuation->guid, RPC_GUID_SIZE + 1);
	return 0;
}

static struct continuation *find(struct rpc_continuations *continuations, const char *guid,
				 const char *session, uint64_t now_ns)
{
	struct continuation *continuation;

	if (strlen(guid) != RPC_GUID_SIZE)
		return NULL;
	continuation = map_get(&continuations->guids, guid, RPC_GUID_SIZE);
	if (!continuation || now_ns >= continuation->deadline_ns ||
	    (continuation->session && !same_session(continuation->session, session)))
		return NULL;
	return continuation;
}

bool rpc_continuations_find(struct rpc_continuations *continuations, const char *guid,
			    const char *session, uint64_t now_ns)
{
	return find(continuations, guid, session, now_ns) != NULL;
}

static void on_drained(void *context)
{
	struct continuation *continuation = context;

	if (continuation->of && continuation->handlers->drained)
		continuation->handlers->drained(continuation->context);
}

static void on_closed(void *context)
{
	struct continuation *continuation = context;
	const struct rpc_socket_handlers *handlers = continuation->handlers;
	void *handlers_context = continuation->context;
	bool ended = !continuation->of;

	if (!ended)
		detach(continuation);
	continuation_free(continuation);
	if (!ended)
		handlers->closed(handlers_context);
}

int rpc_continuations_open(struct rpc_continuations *continuations, const char *guid,
			   const char *session, struct http_request *request, uint64_t now_ns)
{
	static const struct http_socket_handlers handlers = {
		.drained = on_drained,
		.closed = on_closed,
	};
	struct continuation *continuation = find(continuations, guid, session, now_ns);
	struct http_socket *socket;
	int r;

	if (!continuation)
		return -ENOENT;
	r = http_request_accept_socket(request, &handlers, continuation, &socket);
	if (r < 0) {
		end(continuation);
		return r == -ENOENT ? -EIO : r;
	}
	(void)map_remove(&continuations->guids, continuation->guid, RPC_GUID_SIZE);
	continuation->socket = socket;
	list_remove(&continuation->node);
	list_append(&continuations->open, &continuation->node);
	continuation->handlers->opened(continuation->context, socket);
	return 0;
}

void rpc_continuations_kill_session(struct rpc_continuations *continuations, const char *session)
{
	struct continuation *each;

	while ((each = find_session(&continuations->waiting, session)))
		end(each);
	while ((each = find_session(&continuations->open, session)))
		end(each);
}

void rpc_continuations_purge(struct rpc_continuations *continuations, uint64_t now_ns)
{
	struct continuation *oldest;

	while ((oldest = first(&continuations->waiting)) && now_ns >= oldest->deadline_ns)
		end(oldest);
}

size_t rpc_continuations_count(const struct rpc_continuations *continuations)
{
	return continuations->count;
}
