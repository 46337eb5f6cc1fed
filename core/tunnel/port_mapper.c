#include "tunnel/port_mapper.h"

#include "base/clock.h"
#include "base/map.h"
#include "tunnel/port_mapper_internal.h"
#include "tunnel/routes.h"

#define LOOK_MIN_S 1 /* between two looks at all leases */
#define LOOK_MAX_S 3600
#define EXPIRED_MAX 512 /* forwards in one transaction */

struct waiting {
	struct list node;
	struct port_mapper *mapper;
	struct mapping_request request;
	struct mapping_outcome outcome;
	char shared[IP_TEXT_MAX]; /* the entry that has to be bound before it is answered; "": none */
	unsigned made; /* names, as in struct mapping */
	mapping_done done; /* NULL: nobody waits any more */
	void *context;
};

struct port_mapper {
	struct tunnel *tunnel;
	struct list waiting;
	size_t waiting_count; /* those of the batch and of `unbound` included */
	struct map of_device; /* uint32_t -> how many wait, as a pointer */
	struct list batch; /* in the transaction that runs */
	struct list unbound; /* durable; their ports are being bound */
	size_t single; /* so many are carried out alone, because a batch with them failed */
	bool running;
	uv_timer_t look;
	uint64_t look_at_s; /* 0: not at all */
	bool expiring;
	uint64_t epoch_start_s;
	void (*epoch_changed)(void *context); /* or NULL */
	void *epoch_context;
};

static void run_batch(struct port_mapper *mapper);

/* The members of the document that hold forwards. */
static const char *const members[] = { "portForwards", DOCUMENT_FORWARDS6 };

/* Batches. */

static int change_batch(struct job *job, const json_t *params, struct fault *fault)
{
	struct port_mapper *mapper = job->data;
	struct mapping m = { .job = job, .fault = fault };
	int r = 0;

	lease_clock_read(&m.now);
	list_foreach(node, &mapper->batch) {
		struct waiting *one = container_of(node, struct waiting, node);

		m.request = &one->request;
		m.shared = false;
		m.made = 0;
		if (r == 0)
			r = mapping_carry_out(&m, &one->outcome);
		(void)snprintf(one->shared, sizeof(one->shared), "%s", m.shared ? m.key : "");
		one->made = m.made;
	}
	return r;
}

static void count_device(struct port_mapper *mapper, uint32_t device, int by)
{
	uintptr_t count = (uintptr_t)map_get(&mapper->of_device, &device, sizeof(device));

	count += (uintptr_t)by;
	if (count == 0)
		(void)map_remove(&mapper->of_device, &device, sizeof(device));
	else
		(void)map_set(&mapper->of_device, &device, sizeof(device), (void *)count, NULL);
}

static void drop(struct port_mapper *mapper, struct waiting *one)
{
	list_remove(&one->node);
	mapper->waiting_count--;
	count_device(mapper, one->request.device, -1);
	free(one);
}

static void look_within(struct port_mapper *mapper, uint64_t seconds);

static void answer(struct port_mapper *mapper, struct waiting *one, bool done)
{
	if (!done)
		one->outcome = (struct mapping_outcome){ .result = MAPPING_FAILED };
	if (done && one->request.action == MAPPING_ADD && one->request.lifetime_s > 0 &&
	    one->outcome.result == MAPPING_DONE)
		look_within(mapper, one->request.lifetime_s);
	if (one->done)
		one->done(one->context, &one->request, &one->outcome);
	drop(mapper, one);
}

static void enqueue(struct port_mapper *mapper, struct waiting *one)
{
	one->mapper = mapper;
	list_append(&mapper->waiting, &one->node);
	mapper->waiting_count++;
	count_device(mapper, one->request.device, 1);
}

/* Removes the names that a request made; those that it renewed stay for the rest of their time. */
static void take_back(struct port_mapper *mapper, const struct waiting *made)
{
	const struct mapping_request *request = &made->request;
	struct waiting *one = calloc(1, sizeof(*one));
	struct mapping_request *back;

	if (!one)
		return; /* they end by themselves */
	back = &one->request;
	*back = (struct mapping_request){
		.action = MAPPING_REMOVE_INTERNAL,
		.via = request->via,
		.device = request->device,
		.protocol = request->protocol,
		.internal_port = request->internal_port,
		.external_port = made->outcome.external_port,
		.count = 1,
	};
	for (size_t i = 0; i < PCP_HOSTNAMES_MAX; i++)
		if (made->made & 1U << i)
			back->names[back->name_count++] =
				request->name_count > 0 ? request->names[i]
							: (struct pcp_hostname){ DEMUX_ANY };
	enqueue(mapper, one);
}

static void on_port_settled(void *context, bool bound)
{
	struct waiting *one = context;
	struct port_mapper *mapper = one->mapper;

	if (!bound) {
		if (one->made)
			take_back(mapper, one);
		one->outcome.result = MAPPING_UNBOUND;
	}
	answer(mapper, one, true);
	run_batch(mapper);
}

/* Of what is durable: an answer waits for the port. */
static void answer_when_bound(struct port_mapper *mapper, struct waiting *one)
{
	if (*one->shared == '\0') {
		answer(mapper, one, true);
		return;
	}
	list_remove(&one->node);
	list_append(&mapper->unbound, &one->node);
	if (routes_await(mapper->tunnel->routes, one->shared, on_port_settled, one) < 0)
		on_port_settled(one, true); /* as far as is known */
}

/* Moves the batch back to the head of those that wait, in its order. */
static void put_back(struct port_mapper *mapper)
{
	while (!list_empty(&mapper->batch)) {
		struct list *last = mapper->batch.previous;

		list_remove(last);
		list_append(mapper->waiting.next, last); /* before the first */
		mapper->single++;
	}
}

static void on_batch_ended(struct job *job, bool done)
{
	struct port_mapper *mapper = job->data;
	bool alone = mapper->batch.next == mapper->batch.previous;

	if (alone && mapper->single > 0)
		mapper->single--;
	if (!done && !alone && !mapper->tunnel->stopping)
		put_back(mapper);
	while (!list_empty(&mapper->batch)) {
		struct waiting *one = container_of(mapper->batch.next, struct waiting, node);

		if (done)
			answer_when_bound(mapper, one);
		else
			answer(mapper, one, false);
	}
	while (mapper->tunnel->stopping && !list_empty(&mapper->waiting))
		answer(mapper, container_of(mapper->waiting.next, struct waiting, node), false);
	mapper->running = false; /* not before: the next batch would be answered for this one */
	run_batch(mapper);
}

static void run_batch(struct port_mapper *mapper)
{
	size_t max = mapper->single > 0 ? 1 : PORT_MAPPER_BATCH_MAX;

	if (mapper->running || list_empty(&mapper->waiting))
		return;
	for (size_t i = 0; i < max && !list_empty(&mapper->waiting); i++) {
		struct list *first = mapper->waiting.next;

		list_remove(first);
		list_append(&mapper->batch, first);
	}
	mapper->running = true;
	if (tunnel_own_edit_with(mapper->tunnel, change_batch, mapper, on_batch_ended) == 0)
		return;
	mapper->running = false;
	while (!list_empty(&mapper->batch))
		answer(mapper, container_of(mapper->batch.next, struct waiting, node), false);
}

static bool is_same(const struct mapping_request *a, const struct mapping_request *b)
{
	return a->device == b->device && a->ipv6 == b->ipv6 && a->action == b->action &&
	       a->via == b->via && a->protocol == b->protocol &&
	       a->internal_port == b->internal_port && a->external_port == b->external_port &&
	       a->count == b->count && a->any_port == b->any_port && a->exact == b->exact &&
	       a->lifetime_s == b->lifetime_s && a->has_nonce == b->has_nonce &&
	       memcmp(a->nonce, b->nonce, sizeof(a->nonce)) == 0 &&
	       a->name_count == b->name_count &&
	       memcmp(a->names, b->names, a->name_count * sizeof(a->names[0])) == 0;
}

/* Whether two may be about the same port; 0 stands for any. */
static bool is_related(const struct mapping_request *a, const struct mapping_request *b)
{
	if (a->device != b->device || a->ipv6 != b->ipv6 ||
	    (a->protocol != b->protocol && a->protocol != 0 && b->protocol != 0))
		return false;
	return a->internal_port == b->internal_port || a->internal_port == 0 ||
	       b->internal_port == 0 ||
	       (a->external_port != 0 && a->external_port == b->external_port);
}

/* The newest in a list that is about the same port, or NULL. */
static const struct mapping_request *newest(const struct list *head,
					    const struct mapping_request *request)
{
	for (const struct list *node = head->previous; node != head; node = node->previous) {
		const struct waiting *one = container_of(node, const struct waiting, node);

		if (is_related(&one->request, request))
			return &one->request;
	}
	return NULL;
}

/* Whether it is sent again because the answer takes its time. What the device has asked for about the port since
 * then makes it another request: the last one counts. */
static bool is_repeated(const struct port_mapper *mapper, const struct mapping_request *request)
{
	const struct mapping_request *last = newest(&mapper->waiting, request);

	if (!last)
		last = newest(&mapper->batch, request);
	if (!last)
		last = newest(&mapper->unbound, request);
	return last && is_same(last, request);
}

int port_mapper_submit(struct port_mapper *mapper, const struct mapping_request *request,
		       mapping_done done, void *context)
{
	uint32_t device = request->device;
	uintptr_t of_device = (uintptr_t)map_get(&mapper->of_device, &device, sizeof(device));
	struct waiting *one;

	/* Only of a device that has something waiting. Over UPnP nothing is sent again: each caller has a connection
	 * of its own, and waits on it for an answer. */
	if (of_device > 0 && request->via != LEASE_UPNP && is_repeated(mapper, request))
		return -EALREADY;
	if (mapper->waiting_count >= PORT_MAPPER_WAITING_MAX ||
	    of_device >= PORT_MAPPER_DEVICE_WAITING_MAX)
		return -EBUSY;
	one = malloc(sizeof(*one));
	if (!one)
		return -ENOMEM;
	*one = (struct waiting){ .request = *request, .done = done, .context = context };
	enqueue(mapper, one);
	run_batch(mapper);
	return 0;
}

static void forget_in(struct list *head, const void *context)
{
	list_foreach(node, head) {
		struct waiting *one = container_of(node, struct waiting, node);

		if (one->context == context)
			one->done = NULL;
	}
}

void port_mapper_forget(struct port_mapper *mapper, const void *context)
{
	forget_in(&mapper->waiting, context);
	forget_in(&mapper->batch, context);
	forget_in(&mapper->unbound, context);
}

/* What is over. */

/* A search for what is over. */
struct expiry {
	const struct lease_clock *now;
	json_t *found; /* [key] of forwards, [key, name] of routes; at most `max` */
	size_t max;
	uint64_t next_s; /* until the next one is */
};

static void look_at(struct expiry *expiry, const char *key, const char *name, const json_t *entry)
{
	const json_t *lease = json_object_get(entry, "lease");
	uint64_t left = mapping_is_automatic(entry) ? lease_left(lease, expiry->now)
						    : LEASE_ENDLESS;

	if (left > 0)
		expiry->next_s = left < expiry->next_s ? left : expiry->next_s;
	else if (json_array_size(expiry->found) < expiry->max)
		(void)json_array_append_new(expiry->found, name ? json_pack("[s, s]", key, name)
								: json_pack("[s]", key));
	else
		expiry->next_s = LOOK_MIN_S;
}

static json_t *find_expired(const json_t *document, const struct lease_clock *now, size_t max,
			    uint64_t *ret_next_s)
{
	struct expiry expiry = { now, json_array(), max, LEASE_ENDLESS };
	const json_t *entry, *route;
	const char *key, *name;

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		json_object_foreach(json_object_get(document, members[i]), key, entry) {
			json_t *routes = json_object_get(entry, "routes");

			if (!routes)
				look_at(&expiry, key, NULL, entry);
			json_object_foreach(routes, name, route)
				look_at(&expiry, key, name, route);
		}
	}
	*ret_next_s = expiry.next_s;
	return expiry.found;
}

static int change_expired(struct job *job, const json_t *params, struct fault *fault)
{
	struct mapping m = { .job = job, .fault = fault };
	json_t *found;
	const json_t *one;
	uint64_t next_s;
	size_t i;
	int r = 0;

	lease_clock_read(&m.now);
	found = find_expired(job_document(job), &m.now, EXPIRED_MAX, &next_s);
	json_array_foreach(found, i, one) {
		const char *key = json_string_value(json_array_get(one, 0));
		const char *name = json_string_value(json_array_get(one, 1));

		if (r == 0 && name)
			r = mapping_release_route(job, key, name, fault);
		else if (r == 0)
			r = mapping_release(&m, key, mapping_entry(job_document(job), key), 0);
	}
	json_decref(found);
	return r;
}

static void on_look(uv_timer_t *timer);

static void look_within(struct port_mapper *mapper, uint64_t seconds)
{
	uint64_t now_s = clock_monotonic_ns() / NS_PER_S;

	seconds = seconds < LOOK_MIN_S ? LOOK_MIN_S : seconds;
	seconds = seconds > LOOK_MAX_S ? LOOK_MAX_S : seconds;
	if (mapper->look_at_s != 0 && mapper->look_at_s <= now_s + seconds)
		return;
	mapper->look_at_s = now_s + seconds;
	(void)uv_timer_start(&mapper->look, on_look, seconds * 1000, 0);
}

static void on_expired(struct job *job, bool done)
{
	struct port_mapper *mapper = job->data;

	mapper->expiring = false;
	if (!mapper->tunnel->stopping)
		look_within(mapper, done ? LOOK_MIN_S : TUNNEL_RETRY_S);
}

/* What an edit has in hand may be undone yet: then it is found the next time. */
static void on_look(uv_timer_t *timer)
{
	struct port_mapper *mapper = container_of(timer, struct port_mapper, look);
	struct lease_clock now;
	uint64_t next_s;
	json_t *keys;

	mapper->look_at_s = 0;
	if (mapper->expiring || mapper->tunnel->stopping)
		return;
	lease_clock_read(&now);
	keys = find_expired(store_document(mapper->tunnel->store), &now, 1, &next_s);
	if (json_array_size(keys) > 0) {
		mapper->expiring = true;
		if (tunnel_own_edit_with(mapper->tunnel, change_expired, mapper, on_expired) < 0) {
			mapper->expiring = false;
			look_within(mapper, TUNNEL_RETRY_S);
		}
	} else if (next_s != LEASE_ENDLESS) {
		look_within(mapper, next_s);
	}
	json_decref(keys);
}

void port_mapper_look(struct port_mapper *mapper)
{
	if (mapper && !mapper->tunnel->stopping)
		look_within(mapper, LOOK_MIN_S);
}

/* Those of IPv6 are not there where there are none. */
static void drop_empty(json_t *document)
{
	const json_t *all = json_object_get(document, DOCUMENT_FORWARDS6);

	if (all && json_object_size(all) == 0)
		(void)json_object_del(document, DOCUMENT_FORWARDS6);
}

static int prepare_entry(json_t *all, const char *key, json_t *entry, const struct lease_clock *now)
{
	const json_t *lease = json_object_get(entry, "lease");
	json_t *rebased;

	if (json_object_get(entry, "routes"))
		return mapping_prepare_routes(all, key, entry, now);
	if (!mapping_is_automatic(entry) || !json_is_object(lease))
		return 0;
	if (lease_left(lease, now) == 0 && mapping_is_enabled(entry))
		return json_object_del(all, key);
	if (lease_left(lease, now) > 0 && !lease_is_foreign(lease, now))
		return 0;
	rebased = lease_rebased(lease, now);
	return json_object_set_new(entry, "lease", rebased) < 0 ? -ENOMEM : 0;
}

int port_mapper_prepare_document(json_t *document)
{
	struct lease_clock now;
	const char *key;
	json_t *entry;
	void *next;
	int r = 0;

	lease_clock_read(&now);
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		json_t *all = json_object_get(document, members[i]);

		json_object_foreach_safe(all, next, key, entry)
			if (r == 0)
				r = prepare_entry(all, key, entry, &now);
	}
	drop_empty(document);
	return r;
}

/* The device that an entry leads to, by its IPv4 address. */
static bool device_behind(const json_t *document, const char *key, const json_t *entry,
			  uint32_t *ret)
{
	struct document_forward forward;
	struct document_forward6 forward6;
	struct document_subnet subnet;

	if (document_is_forward6(key))
		return document_forward6(key, entry, &forward6) &&
		       document_device6(document, &forward6.target, &subnet, ret);
	if (!document_route(key, entry, &forward))
		return false;
	*ret = forward.target;
	return true;
}

static bool is_unpermitted(const json_t *before, const json_t *after, const char *key,
			   const json_t *entry)
{
	uint32_t device;

	return mapping_is_automatic(entry) && mapping_is_enabled(entry) &&
	       device_behind(after, key, entry, &device) && port_mapper_permits(before, device) &&
	       !port_mapper_permits(after, device);
}

void port_mapper_close_unpermitted(const json_t *before, json_t *after)
{
	json_t *entry, *route;
	const char *key, *name;
	void *next, *next_route;

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		json_t *all = json_object_get(after, members[i]);

		json_object_foreach_safe(all, next, key, entry) {
			json_t *routes = json_object_get(entry, "routes");

			json_object_foreach_safe(routes, next_route, name, route)
				if (is_unpermitted(before, after, key, route))
					(void)json_object_del(routes, name);
			if (routes ? json_object_size(routes) == 0
				   : is_unpermitted(before, after, key, entry))
				(void)json_object_del(all, key);
		}
	}
	drop_empty(after);
}

/* The epoch, and life. */

uint32_t port_mapper_epoch(const struct port_mapper *mapper)
{
	return (uint32_t)(clock_monotonic_ns() / NS_PER_S - mapper->epoch_start_s);
}

void port_mapper_begin_epoch(struct port_mapper *mapper)
{
	if (!mapper)
		return;
	mapper->epoch_start_s = clock_monotonic_ns() / NS_PER_S;
	if (mapper->epoch_changed)
		mapper->epoch_changed(mapper->epoch_context);
}

void port_mapper_on_epoch(struct port_mapper *mapper, void (*changed)(void *context), void *context)
{
	mapper->epoch_changed = changed;
	mapper->epoch_context = context;
}

int port_mapper_new(struct tunnel *tunnel, struct port_mapper **ret)
{
	struct port_mapper *mapper = calloc(1, sizeof(*mapper));

	if (!mapper)
		return -ENOMEM;
	*mapper = (struct port_mapper){ .tunnel = tunnel };
	list_init(&mapper->waiting);
	list_init(&mapper->batch);
	list_init(&mapper->unbound);
	(void)uv_timer_init(tunnel->loop, &mapper->look);
	uv_unref((uv_handle_t *)&mapper->look);
	look_within(mapper, LOOK_MIN_S);
	*ret = mapper;
	return 0;
}

static void on_mapper_closed(uv_handle_t *handle)
{
	free(container_of(handle, struct port_mapper, look));
}

struct port_mapper *port_mapper_free(struct port_mapper *mapper)
{
	if (!mapper)
		return NULL;
	while (!list_empty(&mapper->waiting))
		drop(mapper, container_of(mapper->waiting.next, struct waiting, node));
	while (!list_empty(&mapper->unbound))
		drop(mapper, container_of(mapper->unbound.next, struct waiting, node));
	map_done(&mapper->of_device);
	uv_close((uv_handle_t *)&mapper->look, on_mapper_closed);
	return NULL;
}
