#include "tunnel/subscribe.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "codec/pointer.h"
#include "http/server.h"
#include "tunnel/live.h"
#include "tunnel/stream.h"

struct subscriptions {
	struct tunnel *tunnel;
	struct rpc_continuations *continuations;
	struct stream *stream; /* from the first call on */
	struct store_subscription *store;
	struct list subscribers;
	struct live *live;
	bool fresh; /* the live status is of no more than some seconds ago */
	bool told; /* some socket knows of it */
	bool asking; /* start-netd has yet to answer */
	uv_timer_t timer;
	bool freed;
};

/* One call of db.subscribe, and later its socket. */
struct subscriber {
	struct list node;
	struct subscriptions *of; /* NULL: that is gone */
	struct stream_reader *reader;
};

static void on_revision(void *context, uint64_t revision, const json_t *patch)
{
	struct subscriptions *s = context;

	stream_publish(s->stream, revision, patch);
}

/* Live status. */

static void ask(struct subscriptions *s);

/* A reader has the document of now; rows of an older one would tell of devices that it does not know. */
static char *whole_status(void *context)
{
	struct subscriptions *s = context;

	if (s->fresh && live_is_current(s->live, s->tunnel))
		return live_whole(s->live);
	ask(s);
	return NULL;
}

static void on_status(void *context, const struct fault *fault, const struct netd_status *status)
{
	struct subscriptions *s = context;
	cleanup_free char *text = NULL;
	json_t *changes = NULL;

	s->asking = false;
	if (s->freed || fault || stream_open_readers(s->stream) == 0)
		return;
	/* To those who know nothing yet everything is told, which no tree of changes is made for. */
	if (live_update(s->live, s->tunnel, status, s->told ? &changes : NULL) < 0) {
		log_warning("out of memory for the live status");
		s->fresh = false;
		return;
	}
	s->fresh = s->told = true;
	if (changes)
		text = json_dumps(changes, JSON_COMPACT);
	json_decref(changes);
	/* Without changes too: the first socket after a while has yet to be told everything. */
	stream_tell_status(s->stream, text);
}

static void ask(struct subscriptions *s)
{
	if (s->asking)
		return;
	s->asking = netd_client_status(s->tunnel->netd, NETD_STATUS_TRAFFIC, on_status, s) == 0;
}

static void on_tick(uv_timer_t *timer)
{
	struct subscriptions *s = container_of(timer, struct subscriptions, timer);

	stream_check(s->stream, clock_monotonic_ns());
	ask(s);
}

/* Sockets came or went. */
static void watch(struct subscriptions *s)
{
	bool watched = stream_open_readers(s->stream) > 0;
	bool running = uv_is_active((uv_handle_t *)&s->timer);

	if (watched && !running) {
		(void)uv_timer_start(&s->timer, on_tick, SUBSCRIBE_STATUS_S * 1000,
				     SUBSCRIBE_STATUS_S * 1000);
		ask(s);
	} else if (!watched && running) {
		(void)uv_timer_stop(&s->timer);
		s->fresh = s->told = false;
	}
}

/* Sockets. */

static int socket_send(void *sink, const char *text, size_t size)
{
	return http_socket_send(sink, text, size);
}

static int socket_lend(void *sink, const char *text, size_t size, void (*release)(void *lent),
		       void *lent)
{
	return http_socket_lend(sink, text, size, release, lent);
}

static size_t socket_queued(const void *sink)
{
	return http_socket_queued(sink);
}

/* Without a close frame: clients take that for a reason to come back. */
static void socket_drop(void *sink)
{
	http_socket_drop(sink);
}

static const struct stream_sink sinks = {
	.send = socket_send,
	.lend = socket_lend,
	.queued = socket_queued,
	.drop = socket_drop,
};

static void on_opened(void *context, struct http_socket *socket)
{
	struct subscriber *subscriber = context;

	if (!subscriber->of)
		return;
	stream_reader_open(subscriber->reader, socket);
	watch(subscriber->of);
}

static void on_drained(void *context)
{
	struct subscriber *subscriber = context;

	if (subscriber->of)
		stream_reader_drained(subscriber->reader);
}

static void on_closed(void *context)
{
	struct subscriber *subscriber = context;
	struct subscriptions *s = subscriber->of;

	list_remove(&subscriber->node);
	(void)stream_reader_free(subscriber->reader);
	free(subscriber);
	if (s)
		watch(s);
}

static const struct rpc_socket_handlers handlers = {
	.opened = on_opened,
	.drained = on_drained,
	.closed = on_closed,
};

/* Calls. */

static int begin(struct subscriptions *s)
{
	int r = 0;

	if (!s->live)
		r = live_new(&s->live);
	if (r == 0 && !s->stream) {
		r = stream_new(&sinks, store_revision(s->tunnel->store), &s->stream);
		if (r == 0)
			stream_set_status(s->stream, whole_status, s);
	}
	if (r == 0 && !s->store)
		r = store_subscribe(s->tunnel->store, "", on_revision, s, &s->store);
	return r;
}

/* Elements of a list move when others come or go, so that patches of the whole do not tell what became of
 * the one at a place. */
static int check_pointer(const struct job *job, struct fault *fault)
{
	const char *pointer = rpc_string(job->call, "pointer");

	for (const char *at = strchr(pointer, '/'); at; at = strchr(at + 1, '/')) {
		cleanup_free char *above = strndup(pointer, (size_t)(at - pointer));

		if (!above)
			return -ENOMEM;
		if (json_is_array(pointer_get(job_document(job), above)))
			return fault_set(fault, FAULT_INVALID_REQUEST,
					 "pointer: %s is a list, which can be followed as a whole "
					 "only",
					 above);
	}
	return 0;
}

/* The reader begins where the caller left off, if that is known still; else where the document is. */
static int make_reader(struct subscriptions *s, const struct job *job, bool *ret_resumed,
		       struct stream_reader **ret)
{
	const char *pointer = rpc_string(job->call, "pointer");
	const json_t *since = json_object_get(rpc_params(job->call), "since");
	bool redacted = !job_sees_secrets(job);
	int r = -ESTALE;

	if (json_is_integer(since))
		r = stream_reader_new(s->stream, pointer, redacted,
				      (uint64_t)json_integer_value(since), ret);
	*ret_resumed = r == 0;
	if (r == -ESTALE)
		r = stream_reader_new(s->stream, pointer, redacted,
				      store_revision(s->tunnel->store), ret);
	return r;
}

static int make_dump(const struct job *job, bool resumed, json_t **ret)
{
	const json_t *since = json_object_get(rpc_params(job->call), "since");

	if (!resumed)
		return database_part(job->tunnel->store, rpc_string(job->call, "pointer"),
				     job_sees_secrets(job), ret);
	*ret = json_pack("{s:O, s:n}", "id", since, "value");
	return *ret ? 0 : -ENOMEM;
}

static int make_answer(const char *guid, bool resumed, json_t *dump, json_t **ret)
{
	*ret = json_pack("{s:O, s:s}", "dump", dump, "guid", guid);
	if (*ret && resumed && json_object_set_new(*ret, "resumed", json_true()) < 0) {
		json_decref(*ret);
		*ret = NULL;
	}
	return *ret ? 0 : -ENOMEM;
}

/* The guid is given out last: from then on the subscriber is the continuation's. */
static int subscribe(struct subscriptions *s, const struct job *job, json_t **ret,
		     struct fault *fault)
{
	struct subscriber *subscriber = calloc(1, sizeof(*subscriber));
	char guid[RPC_GUID_SIZE + 1];
	json_t *dump = NULL;
	bool resumed = false;
	int r = subscriber ? check_pointer(job, fault) : -ENOMEM;

	if (r == 0)
		r = begin(s);
	if (r == 0)
		r = make_reader(s, job, &resumed, &subscriber->reader);
	if (r == 0)
		r = make_dump(job, resumed, &dump);
	if (r == 0)
		r = rpc_continuations_add(s->continuations, rpc_caller(job->call)->session,
					  &handlers, subscriber, clock_monotonic_ns(), guid);
	if (r < 0) {
		if (subscriber)
			(void)stream_reader_free(subscriber->reader);
		free(subscriber);
		json_decref(dump);
		return r == -EBUSY ? fault_set(fault, FAULT_RATE_LIMITED,
					       "too many subscriptions are open; close some first")
				   : r;
	}
	subscriber->of = s;
	list_append(&s->subscribers, &subscriber->node);
	r = make_answer(guid, resumed, dump, ret); /* else the guid runs out unused */
	secret_wipe(guid, sizeof(guid));
	json_decref(dump);
	return r;
}

static void run_subscribe(struct job *job)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	struct subscriptions *s = job->tunnel->subscriptions;
	json_t *answer = NULL;
	int r;

	if (s)
		r = subscribe(s, job, &answer, &fault);
	else
		r = fault_set(&fault, FAULT_INVALID_REQUEST, "no sockets are served here");
	if (r < 0)
		(void)fault_set_errno(&fault, r, FAULT_UNKNOWN, "subscribing");
	job_done(job, answer, &fault);
}

void database_subscribe(struct rpc_call *call)
{
	tunnel_job(rpc_context(call), call, run_subscribe);
}

/* Life. */

int subscriptions_new(struct tunnel *tunnel, struct rpc_continuations *continuations,
		      struct subscriptions **ret)
{
	struct subscriptions *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->tunnel = tunnel;
	s->continuations = continuations;
	list_init(&s->subscribers);
	(void)uv_timer_init(tunnel->loop, &s->timer);
	*ret = s;
	return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
	free(container_of(handle, struct subscriptions, timer));
}

struct subscriptions *subscriptions_free(struct subscriptions *s)
{
	if (!s)
		return NULL;
	s->freed = true;
	(void)store_unsubscribe(s->store);
	list_foreach(node, &s->subscribers) {
		struct subscriber *subscriber = container_of(node, struct subscriber, node);

		list_remove(&subscriber->node);
		subscriber->reader = stream_reader_free(subscriber->reader);
		subscriber->of = NULL;
	}
	(void)stream_free(s->stream);
	(void)live_free(s->live);
	uv_close((uv_handle_t *)&s->timer, on_timer_closed);
	return NULL;
}
