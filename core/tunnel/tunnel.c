#include "tunnel/tunnel.h"

#include <malloc.h>

#include "base/log.h"
#include "codec/pointer.h"
#include "document/desired.h"
#include "document/forward_index.h"
#include "document/forward_ports.h"
#include "document/migrations.h"
#include "document/wan.h"
#include "tunnel/access.h"
#include "tunnel/forwards_follow.h"
#include "tunnel/gateways.h"
#include "tunnel/job.h"
#include "tunnel/names.h"
#include "tunnel/port_mapper.h"
#include "tunnel/routes.h"
#include "tunnel/subscribe.h"
#include "tunnel/web_listener.h"
#include "tunnel/web_routes.h"

#define OWN_JOBS_MAX 16 /* the daemon's own, which no caller would repeat */

static void run_next(struct tunnel *tunnel);

/* Jobs. */

/* Queues a job; answers the call itself where there are too many. */
static struct job *job_new(struct tunnel *tunnel, struct rpc_call *call,
			   void (*run)(struct job *job))
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	struct job *job = NULL;

	if (tunnel->job_count < (call ? TUNNEL_JOBS_MAX : TUNNEL_JOBS_MAX + OWN_JOBS_MAX) &&
	    !tunnel->stopping)
		job = calloc(1, sizeof(*job));
	if (!job) {
		(void)fault_set(&fault, FAULT_UNKNOWN,
				tunnel->stopping ? "the daemon is ending"
						 : "too many calls are waiting; try again");
		if (call)
			rpc_fail(call, &fault);
		return NULL;
	}
	*job = (struct job){ .tunnel = tunnel, .call = call, .run = run };
	list_append(&tunnel->jobs, &job->node);
	tunnel->job_count++;
	return job;
}

void tunnel_job(struct tunnel *tunnel, struct rpc_call *call, void (*run)(struct job *job))
{
	if (job_new(tunnel, call, run))
		run_next(tunnel);
}

/* Begins jobs until one has to wait. A job that ends within its own run() does not nest: the loop
 * that began it goes on. */
static void run_next(struct tunnel *tunnel)
{
	if (tunnel->dispatching)
		return;
	tunnel->dispatching = true;
	while (!tunnel->running && !list_empty(&tunnel->jobs)) {
		struct job *job = container_of(tunnel->jobs.next, struct job, node);

		list_remove(&job->node);
		tunnel->running = job;
		job->run(job);
	}
	tunnel->dispatching = false;
}

/* Work on a whole document takes several times its memory, which the heap would keep. */
static void give_back_memory(void)
{
	(void)malloc_trim(0);
}

void job_done(struct job *job, json_t *result, struct fault *fault)
{
	struct tunnel *tunnel = job->tunnel;
	bool failed = fault && fault_is_set(fault);
	bool whole = job->whole;

	if (job->ended)
		job->ended(job, !failed);
	if (job->call && failed)
		rpc_fail(job->call, fault);
	else if (job->call)
		rpc_reply(job->call, TAKE_PTR(result));
	else if (failed)
		log_error("%s", fault->details);
	json_decref(result);
	net_set_done(&job->remove);
	net_set_done(&job->add);
	fault_done(&job->fault);
	json_decref(job->document); /* where it did not come to the change */
	json_decref(job->result);
	free(job);
	if (whole)
		give_back_memory();
	tunnel->running = NULL;
	tunnel->job_count--;
	if (tunnel->job_count == 0 && tunnel->idle)
		TAKE_PTR(tunnel->idle)(tunnel->idle_context);
	else
		run_next(tunnel);
}

void tunnel_stop(struct tunnel *tunnel, void (*idle)(void *context), void *context)
{
	access_flush(tunnel->access);
	tunnel->stopping = true;
	if (tunnel->job_count == 0) {
		idle(context);
		return;
	}
	tunnel->idle = idle;
	tunnel->idle_context = context;
}

/* Reads. */

static void run_read(struct job *job)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	json_t *result = NULL;
	int r = job->read(job->tunnel, rpc_params(job->call), &result, &fault);

	if (r < 0)
		(void)fault_set_errno(&fault, r, FAULT_UNKNOWN, "reading the document");
	job_done(job, result, &fault);
}

void tunnel_read(struct rpc_call *call, int (*read)(struct tunnel *tunnel, const json_t *params,
						    json_t **ret, struct fault *fault))
{
	struct tunnel *tunnel = rpc_context(call);
	struct job *job = job_new(tunnel, call, run_read);

	if (!job)
		return;
	job->read = read;
	run_next(tunnel);
}

/* The whole network at once. */

static void on_retry(uv_timer_t *timer);

/* Notes what came of a SYNC, and sees to it that a failed one is tried again. */
static void note_sync(struct tunnel *tunnel, const struct fault *fault)
{
	free(tunnel->sync_problem);
	tunnel->sync_problem = fault && fault->details ? strdup(fault->details) : NULL;
	tunnel->in_sync = fault == NULL;
	if (!fault)
		return;
	log_error("the network is not as the document wants it: %s",
		  fault->details ? fault->details : "out of memory");
	(void)uv_timer_start(&tunnel->retry, on_retry, TUNNEL_RETRY_S * 1000, 0);
}

/* Returns 0, and @done is called later, or a negative errno. */
static int sync_whole(struct tunnel *tunnel, netd_client_done done, void *context)
{
	CLEANUP(net_set_done) struct net_set wanted = { 0 };
	int r = desired_at(store_document(tunnel->store), "", &wanted);

	if (r < 0)
		return r;
	net_set_sort(&wanted);
	return netd_client_sync(tunnel->netd, &wanted, done, context);
}

static void on_synced(void *context, const struct fault *fault, const struct netd_status *status)
{
	struct job *job = context;
	struct tunnel *tunnel = job->tunnel;

	note_sync(tunnel, fault);
	give_back_memory();
	job_done(job, NULL, NULL);
	if (tunnel->ready) {
		void (*ready)(void *) = TAKE_PTR(tunnel->ready);

		ready(tunnel->ready_context);
	}
}

static void run_sync(struct job *job)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	int r = sync_whole(job->tunnel, on_synced, job);

	if (r == 0)
		return;
	(void)fault_set_errno(&fault, r, FAULT_NETWORK, "asking start-netd");
	on_synced(job, &fault, NULL);
}

static void on_retry(uv_timer_t *timer)
{
	struct tunnel *tunnel = container_of(timer, struct tunnel, retry);

	if (!tunnel->in_sync)
		tunnel_job(tunnel, NULL, run_sync);
}

/* The address may have changed while nobody was there. */
static void run_follow(struct job *job)
{
	if (forwards_are_behind(job_document(job)))
		job_edit(job, forwards_follow);
	else
		job_done(job, NULL, NULL);
}

void tunnel_start(struct tunnel *tunnel, void (*ready)(void *context), void *context)
{
	tunnel->ready = ready;
	tunnel->ready_context = context;
	tunnel_job(tunnel, NULL, run_sync);
	tunnel_job(tunnel, NULL, run_follow);
}

/* Edits: change the tree, then the network, then the disk. */

const json_t *job_document(const struct job *job)
{
	return store_document(job->tunnel->store);
}

/* The key of an entry of /portForwards or /portForwards6 that @pointer points to as a whole, or false. */
static bool forward_entry(const char *pointer, struct text *key)
{
	CLEANUP(text_done) struct text parent = { 0 };

	return pointer_split(pointer, &parent, key) == 0 &&
	       (strcmp(text_string(&parent), "/portForwards") == 0 ||
		strcmp(text_string(&parent), "/" DOCUMENT_FORWARDS6) == 0);
}

/* The first forward of IPv6 comes with the member that holds them, the last goes with it. */
static int move_ports6(struct job *job, const json_t *value, struct fault *fault)
{
	json_t *old = (json_t *)store_get(job->tunnel->store, "/" DOCUMENT_FORWARDS6);
	struct forward_ports *ports = job->tunnel->ports;
	const json_t *entry;
	const char *key;
	int r = 0;

	job->ports_touched = true;
	json_object_foreach(old, key, entry)
		forward_ports_release(ports, key, entry);
	json_object_foreach((json_t *)value, key, entry)
		if (r == 0)
			r = forward_ports_take(ports, key, entry, fault);
	return r;
}

/* Keeps the record of taken ports in step. Returns 1 where a port of the new value is taken. */
static int move_ports(struct job *job, const char *pointer, const json_t *value,
		      struct fault *fault)
{
	CLEANUP(text_done) struct text key = { 0 };
	struct forward_ports *ports = job->tunnel->ports;
	const json_t *old;
	int r = 0;

	if (job->whole)
		return 0;
	if (strcmp(pointer, "/" DOCUMENT_FORWARDS6) == 0)
		return move_ports6(job, value, fault);
	if (!forward_entry(pointer, &key))
		return 0;
	job->ports_touched = true;
	old = store_get(job->tunnel->store, pointer);
	if (old)
		forward_ports_release(ports, text_string(&key), old);
	if (value)
		r = forward_ports_take(ports, text_string(&key), value, fault);
	if (r != 0 && old)
		(void)forward_ports_take(ports, text_string(&key), old, NULL);
	if (document_is_forward6(text_string(&key))) /* the index is of IPv4 */
		return r;
	if (r == 0 && old)
		forward_index_remove(job->tunnel->index, text_string(&key), old);
	if (r == 0 && value)
		r = forward_index_add(job->tunnel->index, text_string(&key), value);
	return r;
}

/* Adds to @set what hangs on a part of the document now, each item once. */
static int note_items(struct job *job, const char *pointer, struct net_set *set)
{
	CLEANUP(net_set_done) struct net_set now = { 0 };
	int r = job->whole ? 0 : desired_at(job_document(job), pointer, &now);

	net_set_sort(&now);
	for (size_t i = 0; i < now.count && r == 0; i++)
		r = net_set_append(set, &now.items[i]);
	return r;
}

int job_put(struct job *job, const char *pointer, json_t *value, struct fault *fault)
{
	int r = value ? move_ports(job, pointer, value, fault) : -ENOMEM;

	if (r == 0)
		r = note_items(job, pointer, &job->remove);
	if (r != 0) {
		json_decref(value);
		return r;
	}
	r = store_put(job->txn, pointer, value);
	return r < 0 ? r : note_items(job, pointer, &job->add);
}

int job_remove(struct job *job, const char *pointer)
{
	int r = move_ports(job, pointer, NULL, NULL);

	if (r == 0)
		r = note_items(job, pointer, &job->remove);
	if (r == 0)
		r = store_remove(job->txn, pointer);
	return r < 0 ? r
		     : note_items(job, pointer, &job->add); /* what hangs on it from elsewhere */
}

static void recount_ports(struct tunnel *tunnel)
{
	forward_ports_clear(tunnel->ports);
	if (forward_ports_add_all(tunnel->ports, store_document(tunnel->store), NULL) < 0)
		log_warning("cannot note all taken ports; a conflict may be refused late");
	forward_index_clear(tunnel->index);
	if (forward_index_add_all(tunnel->index, store_document(tunnel->store)) < 0)
		log_warning("cannot note whose forwards are whose; a device may not find its own");
	port_mapper_look(tunnel->mapper);
}

static void edit_failed(struct job *job, struct fault *fault)
{
	if (job->txn)
		store_abort(TAKE_PTR(job->txn));
	if (job->ports_touched)
		recount_ports(job->tunnel);
	job_done(job, NULL, fault);
}

static void on_undone(void *context, const struct fault *fault, const struct netd_status *status)
{
	struct job *job = context;
	struct fault cause = job->fault;

	if (fault) {
		log_error("the network could not be set back");
		note_sync(job->tunnel, fault);
	}
	job->fault = (struct fault){ 0 };
	edit_failed(job, &cause);
	fault_done(&cause);
}

static void on_committed(void *context, int result, uint64_t revision)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	struct job *job = context;
	int r;

	job->txn = NULL; /* gone either way */
	if (result == 0) {
		if (job->whole)
			recount_ports(job->tunnel);
		if (job->moves_ports)
			port_mapper_begin_epoch(job->tunnel->mapper);
		job_done(job, TAKE_PTR(job->result), NULL);
		return;
	}
	(void)fault_set_errno(&job->fault, result, FAULT_DATABASE,
			      "the change could not be written to disk and was undone");
	r = netd_client_change(job->tunnel->netd, &job->add, &job->remove, on_undone, job);
	if (r == 0)
		return;
	(void)fault_set_errno(&fault, r, FAULT_NETWORK, "asking start-netd");
	on_undone(job, &fault, NULL);
}

static void edit_commit(struct job *job)
{
	int r = store_commit(job->txn, job->tunnel->loop, on_committed, job);

	if (r < 0)
		on_committed(job, r, 0);
}

static void on_network_changed(void *context, const struct fault *fault,
			       const struct netd_status *status)
{
	struct job *job = context;
	struct fault copy = { 0 };

	if (!fault) {
		edit_commit(job);
		return;
	}
	/* That the machine's addresses changed cannot be refused. */
	if (!job->call && !job->refusable) {
		note_sync(job->tunnel, fault);
		edit_commit(job);
		return;
	}
	(void)fault_set(&copy, fault->kind, "the network refused, nothing was changed: %s",
			fault->details);
	edit_failed(job, &copy);
	fault_done(&copy);
}

/* What was wrong before the edit is no reason to refuse it: status tells. */
static void on_network_synced(void *context, const struct fault *fault,
			      const struct netd_status *status)
{
	struct job *job = context;

	note_sync(job->tunnel, fault);
	edit_commit(job);
}

/* Tells start-netd the difference; everything, where it is not in step with the document anyway. Each step of the
 * edit noted what was there before it and after it: what one step made and another took away again cancels. */
static void edit_network(struct job *job)
{
	struct tunnel *tunnel = job->tunnel;
	CLEANUP(fault_done) struct fault fault = { 0 };
	int r = job->whole ? desired_at(job_document(job), "", &job->add) : 0;

	if (job->whole) {
		net_set_sort(&job->remove);
		net_set_sort(&job->add);
	}
	net_set_cancel(&job->remove, &job->add);
	net_set_sort(&job->remove);
	net_set_sort(&job->add);
	if (r == 0 && !tunnel->in_sync) {
		r = sync_whole(tunnel, on_network_synced, job);
	} else if (r == 0 && job->remove.count + job->add.count == 0) {
		edit_commit(job);
	} else if (r == 0) {
		r = netd_client_change(tunnel->netd, &job->remove, &job->add, on_network_changed,
				       job);
	}
	if (r < 0) {
		(void)fault_set_errno(&fault, r, FAULT_NETWORK, "asking start-netd");
		edit_failed(job, &fault);
	}
}

static void edit_begin(struct job *job)
{
	const json_t *params = job->call ? rpc_params(job->call) : NULL;
	CLEANUP(fault_done) struct fault fault = { 0 };
	int r = store_begin(job->tunnel->store, &job->txn);

	if (r == 0 && job->whole)
		r = desired_at(job_document(job), "", &job->remove);
	if (r == 0)
		r = job->change(job, params, &fault);
	if (r == 0) {
		edit_network(job);
		return;
	}
	(void)fault_set_errno(&fault, r, FAULT_UNKNOWN, "changing the document");
	edit_failed(job, &fault);
}

void tunnel_edit(struct rpc_call *call,
		 int (*change)(struct job *job, const json_t *params, struct fault *fault))
{
	struct tunnel *tunnel = rpc_context(call);
	struct job *job = job_new(tunnel, call, edit_begin);

	if (!job)
		return;
	job->change = change;
	run_next(tunnel);
}

void tunnel_edit_with(struct rpc_call *call,
		      int (*change)(struct job *job, const json_t *params, struct fault *fault),
		      void *data, void (*ended)(struct job *job, bool done))
{
	struct tunnel *tunnel = rpc_context(call);
	struct job *job = job_new(tunnel, call, edit_begin);

	if (!job) {
		ended(&(struct job){ .tunnel = tunnel, .data = data }, false);
		return;
	}
	job->change = change;
	job->data = data;
	job->ended = ended;
	run_next(tunnel);
}

void tunnel_own_edit(struct tunnel *tunnel,
		     int (*change)(struct job *job, const json_t *params, struct fault *fault))
{
	struct job *job = job_new(tunnel, NULL, edit_begin);

	if (!job)
		return;
	job->change = change;
	run_next(tunnel);
}

int tunnel_own_edit_with(struct tunnel *tunnel,
			 int (*change)(struct job *job, const json_t *params, struct fault *fault),
			 void *data, void (*ended)(struct job *job, bool done))
{
	struct job *job = job_new(tunnel, NULL, edit_begin);

	if (!job)
		return -EBUSY;
	job->change = change;
	job->data = data;
	job->ended = ended;
	job->refusable = true;
	run_next(tunnel);
	return 0;
}

void job_edit(struct job *job,
	      int (*change)(struct job *job, const json_t *params, struct fault *fault))
{
	job->change = change;
	edit_begin(job);
}

void job_edit_whole(struct job *job,
		    int (*change)(struct job *job, const json_t *params, struct fault *fault))
{
	job->whole = true;
	job->change = change;
	edit_begin(job);
}

/* The machine's addresses. */

static int change_gateways(struct job *job, const json_t *params, struct fault *fault)
{
	const json_t *present = store_get(job->tunnel->store, "/gateways");
	json_t *now = NULL;
	int r = gateways_read(present, &now);

	if (r < 0)
		return fault_set_errno(fault, r, FAULT_NETWORK, "reading this machine's addresses");
	if (!json_equal((json_t *)present, now))
		return job_put(job, "/gateways", now, fault);
	json_decref(now);
	return 0;
}

/* Notes which public addresses the machine has. Returns whether one is another than before: that one is gone for a
 * while moves nothing. */
static bool note_wan(struct tunnel *tunnel)
{
	const json_t *document = store_document(tunnel->store);
	struct ip_address wan6 = tunnel->wan6;
	uint32_t wan = tunnel->wan;
	bool moved;

	(void)wan_default(document, &wan);
	(void)wan6_default(document, &wan6);
	moved = wan != tunnel->wan || !ip_equal(&wan6, &tunnel->wan6);
	tunnel->wan = wan;
	tunnel->wan6 = wan6;
	return moved;
}

/* Devices have to ask again, also those whose forwards could follow. */
static int change_followers(struct job *job, const json_t *params, struct fault *fault)
{
	job->moves_ports = true;
	return forwards_follow(job, params, fault);
}

/* An edit of its own: that of the addresses compares everything, and keeps no record of taken ports. */
static void on_gateways_read(struct job *job, bool done)
{
	if (!done)
		return;
	/* The new address comes first, as a rule, and then the old one goes. */
	if (note_wan(job->tunnel))
		tunnel_own_edit(job->tunnel, change_followers);
	else if (forwards_are_behind(store_document(job->tunnel->store)))
		tunnel_own_edit(job->tunnel, forwards_follow);
}

/* Most of what the kernel tells changes nothing here, and to compare all that is wanted takes long. */
static void run_gateways(struct job *job)
{
	const json_t *present = store_get(job->tunnel->store, "/gateways");
	json_t *now = NULL;
	bool same = job->tunnel->in_sync && gateways_read(present, &now) == 0 &&
		    json_equal((json_t *)present, now);

	json_decref(now);
	if (same) {
		job_done(job, NULL, NULL);
		return;
	}
	job->ended = on_gateways_read;
	job_edit_whole(job, change_gateways);
}

static void on_gateways_changed(void *context)
{
	names_follow_link(((const struct tunnel *)context)->names);
	tunnel_job(context, NULL, run_gateways);
}

/* Life. */

/* The first transaction of a run: a fresh document where there is none, and the addresses of now. */
static int prepare_document(struct tunnel *tunnel, struct fault *fault)
{
	json_t *gateways = NULL, *document;
	struct store_txn *txn;
	int r = 0;

	if (!json_is_null(store_document(tunnel->store)))
		r = store_migrate(tunnel->store, document_migrations, fault);
	if (r < 0)
		return r;
	document = json_is_null(store_document(tunnel->store))
			   ? document_fresh()
			   : json_deep_copy(store_document(tunnel->store));
	if (!document)
		return -ENOMEM;
	r = document_check(document, fault);
	if (r == 0)
		r = port_mapper_prepare_document(document);
	if (r == 0)
		r = gateways_read(json_object_get(document, "gateways"), &gateways);
	if (r == 0 && json_object_set_new(document, "gateways", gateways) < 0)
		r = -ENOMEM;
	if (r == 0)
		r = store_begin(tunnel->store, &txn);
	if (r < 0) {
		json_decref(document);
		return r;
	}
	r = store_put_document(txn, document);
	if (r < 0) {
		store_abort(txn);
		return r;
	}
	return store_commit_now(txn);
}

int tunnel_new(uv_loop_t *loop, const char *datadir, struct netd_client *netd, struct tunnel **ret,
	       struct fault *fault)
{
	cleanup_free char *path = NULL;
	struct tunnel *tunnel;
	int r;

	if (asprintf(&path, "%s/tunnel.sqlite", datadir) < 0)
		return -ENOMEM;
	tunnel = calloc(1, sizeof(*tunnel));
	if (!tunnel)
		return -ENOMEM;
	*tunnel = (struct tunnel){ .loop = loop, .netd = netd };
	list_init(&tunnel->jobs);
	(void)uv_timer_init(loop, &tunnel->retry);
	r = store_open(path, &tunnel->store, fault);
	/* Before the addresses are read, so that no change goes unnoticed in between. */
	if (r == 0)
		r = gateway_watch_new(loop, on_gateways_changed, tunnel, &tunnel->gateways);
	if (r == 0)
		r = forward_ports_new(&tunnel->ports);
	if (r == 0)
		r = forward_index_new(&tunnel->index);
	if (r == 0)
		r = prepare_document(tunnel, fault);
	if (r == 0)
		r = forward_ports_add_all(tunnel->ports, store_document(tunnel->store), fault);
	if (r == 0)
		r = forward_index_add_all(tunnel->index, store_document(tunnel->store));
	if (r == 0)
		r = port_mapper_new(tunnel, &tunnel->mapper);
	if (r == 0)
		r = access_new(tunnel, &tunnel->access);
	if (r == 0)
		(void)note_wan(tunnel);
	if (r < 0) {
		(void)fault_set_errno(fault, r, FAULT_DATABASE, "preparing the document in %s",
				      path);
		fault_prefix(fault, "%s", path);
		(void)tunnel_free(tunnel);
		return r;
	}
	*ret = tunnel;
	return 0;
}

static void end_sockets(void *context, const char *id)
{
	rpc_continuations_kill_session(context, id);
}

int tunnel_serve_sockets(struct tunnel *tunnel, struct rpc_continuations *continuations)
{
	tunnel_on_session_ended(tunnel, end_sockets, continuations);
	return subscriptions_new(tunnel, continuations, &tunnel->subscriptions);
}

int tunnel_serve_names(struct tunnel *tunnel, const char *const *resolv_conf)
{
	return names_new(tunnel, resolv_conf, &tunnel->names);
}

int tunnel_serve_routes(struct tunnel *tunnel)
{
	return routes_new(tunnel, &tunnel->routes);
}

struct account *tunnel_account(struct tunnel *tunnel)
{
	return access_account(tunnel->access);
}

const json_t *tunnel_document(const struct tunnel *tunnel)
{
	return store_document(tunnel->store);
}

struct port_mapper *tunnel_port_mapper(const struct tunnel *tunnel)
{
	return tunnel->mapper;
}

const struct forward_index *tunnel_forward_index(const struct tunnel *tunnel)
{
	return tunnel->index;
}

uv_loop_t *tunnel_loop(const struct tunnel *tunnel)
{
	return tunnel->loop;
}

void tunnel_on_session_ended(struct tunnel *tunnel, void (*ended)(void *context, const char *id),
			     void *context)
{
	tunnel->session_ended = ended;
	tunnel->session_ended_context = context;
}

static void on_tunnel_closed(uv_handle_t *handle)
{
	free(container_of(handle, struct tunnel, retry));
}

struct tunnel *tunnel_free(struct tunnel *tunnel)
{
	if (!tunnel)
		return NULL;
	(void)web_listener_free(tunnel->web);
	(void)web_pages_free(tunnel->web_pages);
	(void)names_free(tunnel->names);
	(void)routes_free(tunnel->routes);
	(void)subscriptions_free(tunnel->subscriptions);
	(void)port_mapper_free(tunnel->mapper);
	(void)access_free(tunnel->access);
	(void)gateway_watch_free(tunnel->gateways);
	(void)store_close(tunnel->store);
	(void)forward_ports_free(tunnel->ports);
	(void)forward_index_free(tunnel->index);
	free(tunnel->sync_problem);
	uv_close((uv_handle_t *)&tunnel->retry, on_tunnel_closed);
	return NULL;
}
