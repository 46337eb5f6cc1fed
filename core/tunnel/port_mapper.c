#include "tunnel/port_mapper.h"

#include "base/clock.h"
#include "base/map.h"
#include "base/secret.h"
#include "tunnel/forward_index.h"
#include "tunnel/forwards6.h"
#include "tunnel/port_mapper_internal.h"
#include "tunnel/wan.h"

#define LOOK_MIN_S 1 /* between two looks at all leases */
#define LOOK_MAX_S 3600
#define EXPIRED_MAX 512 /* forwards in one transaction */
#define OTHER_PORTS_TRIED 64
#define OTHER_PORT_MIN 1024
#define SSH_PORT 22

struct waiting {
	struct list node;
	struct mapping_request request;
	struct mapping_outcome outcome;
	mapping_done done; /* NULL: nobody waits any more */
	void *context;
};

struct port_mapper {
	struct tunnel *tunnel;
	struct list waiting;
	size_t waiting_count; /* those of the batch included */
	struct map of_device; /* uint32_t -> how many wait, as a pointer */
	struct list batch; /* in the transaction that runs */
	size_t single; /* so many are carried out alone, because a batch with them failed */
	bool running;
	uv_timer_t look;
	uint64_t look_at_s; /* 0: not at all */
	bool expiring;
	uint64_t epoch_start_s;
};

static void run_batch(struct port_mapper *mapper);

/* What the document says. */

static const json_t *forwards_of(const json_t *document)
{
	return json_object_get(document, "portForwards");
}

/* The members of the document that hold forwards. */
static const char *const members[] = { "portForwards", FORWARDS6 };

static const char *member_of(const char *key)
{
	return forwards6_is(key) ? FORWARDS6 : "portForwards";
}

/* A forward by its name, of either family. */
static json_t *entry_of(const json_t *document, const char *key)
{
	return json_object_get(json_object_get(document, member_of(key)), key);
}

bool port_mapper_permits(const json_t *document, uint32_t device)
{
	struct document_subnet subnet;

	return document_subnet_of(document, device, &subnet) &&
	       json_is_true(
		       json_object_get(document_device(&subnet, device), "allowAutoPortForward"));
}

static bool spans(uint16_t first, uint16_t count, json_int_t port)
{
	return port >= first && port < (json_int_t)first + count;
}

/* What this machine answers itself: a device must not cut the owner off. */
bool mapping_is_machines_own(const json_t *document, uint16_t first, uint16_t count)
{
	const json_t *listen = json_object_get(json_object_get(document, "webserver"), "listen");
	const json_t *own = json_object_get(json_object_get(document, "wg"), "port");
	struct endpoint web;

	if (spans(first, count, SSH_PORT) || spans(first, count, json_integer_value(own)))
		return true;
	return json_is_string(listen) && endpoint_parse(json_string_value(listen), &web) == 0 &&
	       spans(first, count, web.port);
}

/* Adding. */

static int put_member(const struct mapping *m, const char *key, const char *member, json_t *value)
{
	CLEANUP(text_done) struct text pointer = { 0 };

	document_pointer(&pointer, member_of(key), key, member, NULL);
	return job_put(m->job, text_string(&pointer), value, m->fault);
}

static int put_entry(const struct mapping *m, json_t *entry)
{
	CLEANUP(text_done) struct text pointer = { 0 };

	if (forwards6_is(m->key))
		return entry ? forwards6_put(m->job, m->key, entry, m->fault) : -ENOMEM;
	document_pointer(&pointer, "portForwards", m->key, NULL);
	return job_put(m->job, text_string(&pointer), entry, m->fault);
}

json_t *mapping_lease(const struct mapping *m, const json_t *lease)
{
	const struct lease_grant grant = {
		.via = m->request->via,
		.protocol = m->request->protocol,
		.seconds = m->request->lifetime_s,
		.nonce = m->request->has_nonce ? m->request->nonce : NULL,
	};

	return lease_with(lease, &grant, &m->now);
}

static json_t *new_entry(const struct mapping *m, const json_t *label, bool enabled)
{
	const struct mapping_request *request = m->request;
	struct endpoint target = { .address = request->ipv6 ? m->target6
							    : ip_from_v4(request->device),
				   .port = request->internal_port };
	char text[IP_TEXT_MAX];

	return json_pack("{s:s, s:s, s:o, s:b, s:i, s:b, s:o}", "kind", "dnat", "target",
			 endpoint_format(&target, text), "label",
			 label ? json_incref((json_t *)label) : json_string(MAPPING_LABEL),
			 "enabled", enabled, "count", (int)request->count, "auto", true, "lease",
			 mapping_lease(m, NULL));
}

/* The device asks for other ports of its own behind a port that it has. The other protocol may still need
 * the old ones. */
static int repoint(const struct mapping *m, const json_t *entry)
{
	uint8_t other = m->request->protocol == IPPROTO_TCP ? IPPROTO_UDP : IPPROTO_TCP;

	if (lease_holds(json_object_get(entry, "lease"), other, &m->now))
		return MAPPING_TAKEN;
	return put_entry(m,
			 new_entry(m, json_object_get(entry, "label"), mapping_is_enabled(entry)));
}

static bool leads_to_asker(const struct mapping *m, const json_t *entry, uint16_t *ret_port,
			   uint16_t *ret_count)
{
	struct document_forward forward;
	struct document_forward6 forward6;

	if (m->request->ipv6) {
		if (!document_forward6(m->key, entry, &forward6))
			return false;
		*ret_port = forward6.target_port;
		*ret_count = forward6.count;
		return ip_equal(&forward6.target, &m->target6);
	}
	if (!document_forward(m->key, entry, &forward))
		return false;
	*ret_port = forward.target_port;
	*ret_count = forward.count;
	return forward.target == m->request->device;
}

/* Something is at the port already. Returns an enum mapping_result or a negative errno. */
static int renew(const struct mapping *m, const json_t *entry)
{
	const struct mapping_request *request = m->request;
	uint16_t target_port, count;
	int r;

	if (!leads_to_asker(m, entry, &target_port, &count))
		return MAPPING_TAKEN;
	if (target_port == request->internal_port && count == request->count) {
		if (!mapping_is_automatic(entry))
			return MAPPING_DONE; /* as wanted, and the owner's */
		r = put_member(m, m->key, "lease",
			       mapping_lease(m, json_object_get(entry, "lease")));
	} else if (mapping_is_automatic(entry)) {
		r = repoint(m, entry);
	} else {
		return MAPPING_TAKEN;
	}
	return r == 1 ? MAPPING_TAKEN : r;
}

/* Those of IPv6 are counted for themselves. */
static void usage6(const struct mapping *m, unsigned *ret_forwards, unsigned *ret_ports)
{
	const json_t *entry;
	const char *key;

	*ret_forwards = *ret_ports = 0;
	json_object_foreach(json_object_get(job_document(m->job), FORWARDS6), key, entry) {
		struct document_forward6 forward;

		if (!mapping_is_automatic(entry) || !document_forward6(key, entry, &forward) ||
		    !ip_equal(&forward.target, &m->target6))
			continue;
		*ret_forwards += 1;
		*ret_ports += forward.count;
	}
}

static bool exceeds_quota(const struct mapping *m)
{
	unsigned forwards, ports;

	if (m->request->ipv6)
		usage6(m, &forwards, &ports);
	else
		forward_index_usage(m->job->tunnel->index, m->request->device, &forwards, &ports);
	return forwards >= PORT_MAPPER_DEVICE_FORWARDS_MAX ||
	       ports + m->request->count > PORT_MAPPER_DEVICE_PORTS_MAX;
}

/* Tries one external port. Returns an enum mapping_result or a negative errno. */
static int add_at(struct mapping *m, const struct ip_address *external, uint16_t port)
{
	const json_t *document = job_document(m->job);
	struct endpoint endpoint = { .address = *external, .port = port };
	bool pinhole = m->request->ipv6 && ip_equal(external, &m->target6);
	const json_t *entry;
	int r;

	if ((uint32_t)port + m->request->count - 1 > UINT16_MAX)
		return MAPPING_TAKEN;
	entry = entry_of(document, endpoint_format(&endpoint, m->key));
	if (json_object_get(entry, "routes") && m->request->protocol == IPPROTO_TCP &&
	    m->request->via != LEASE_UPNP && m->request->count == 1)
		return mapping_add_names(m);
	if (entry)
		return renew(m, entry);
	if (!pinhole && mapping_is_machines_own(document, port, m->request->count))
		return MAPPING_TAKEN;
	if (exceeds_quota(m))
		return MAPPING_QUOTA;
	r = put_entry(m, new_entry(m, NULL, true));
	return r == 1 ? MAPPING_TAKEN : r;
}

/* The external port that leads to the device's port already; the owner's is as good. 0: none. */
static uint16_t port_it_has(const struct mapping *m, uint32_t external)
{
	size_t count;
	const struct forward_reference *all =
		forward_index_of(m->job->tunnel->index, m->request->device, &count);

	for (size_t i = 0; i < count; i++)
		if (all[i].target_port == m->request->internal_port &&
		    all[i].count == m->request->count && all[i].external == external)
			return all[i].external_port;
	return 0;
}

/* Some other port where the first choice is taken. */
static int add_elsewhere(struct mapping *m, const struct ip_address *external, uint16_t *ret_port)
{
	int r = MAPPING_TAKEN;

	for (int i = 0; i < OTHER_PORTS_TRIED && r == MAPPING_TAKEN; i++) {
		uint16_t random;

		random_bytes(&random, sizeof(random));
		*ret_port = (uint16_t)(OTHER_PORT_MIN + random % (UINT16_MAX - OTHER_PORT_MIN));
		r = add_at(m, external, *ret_port);
	}
	return r;
}

/* The external port of this machine's IPv6 address that leads to the device's port already. 0: none. */
static uint16_t port_it_has6(const struct mapping *m, const struct ip_address *external)
{
	const json_t *entry;
	const char *key;

	json_object_foreach(json_object_get(job_document(m->job), FORWARDS6), key, entry) {
		struct document_forward6 forward;

		if (document_forward6(key, entry, &forward) &&
		    ip_equal(&forward.external, external) &&
		    ip_equal(&forward.target, &m->target6) && forward.count == m->request->count &&
		    forward.target_port == m->request->internal_port)
			return forward.external_port;
	}
	return 0;
}

/* The device's IPv6 address. Whether it has one. */
static bool find_target6(struct mapping *m)
{
	struct document_subnet subnet;
	struct ip_prefix network;

	if (!document_subnet_of(job_document(m->job), m->request->device, &subnet) ||
	    !document_ipv6(&subnet, &network))
		return false;
	m->target6 = document_ipv6_of(&subnet, &network, m->request->device);
	return true;
}

/* A device with an address of the internet gets a pinhole, at its own port alone: nothing is translated.
 * Returns an enum mapping_result or a negative errno. */
static int add6(struct mapping *m, struct mapping_outcome *outcome)
{
	const struct mapping_request *request = m->request;
	const json_t *document = job_document(m->job);
	uint16_t port = request->external_port;
	int r;

	if (!port_mapper_permits(document, request->device))
		return MAPPING_NOT_AUTHORIZED;
	if (!find_target6(m))
		return MAPPING_NO_ADDRESS;
	if ((uint32_t)request->internal_port + request->count - 1 > UINT16_MAX)
		return MAPPING_TAKEN;
	if (!document_ipv6_is_local(&m->target6)) {
		if (request->exact && port != 0 && port != request->internal_port)
			return MAPPING_TAKEN;
		outcome->external6 = m->target6;
		outcome->external_port = request->internal_port;
		return add_at(m, &m->target6, request->internal_port);
	}
	if (!wan6_default(document, &outcome->external6))
		return MAPPING_NO_ADDRESS;
	if (port == 0)
		port = port_it_has6(m, &outcome->external6);
	if (port == 0)
		port = request->internal_port;
	r = add_at(m, &outcome->external6, port);
	if (r == MAPPING_TAKEN && (request->any_port || request->external_port == 0))
		r = add_elsewhere(m, &outcome->external6, &port);
	outcome->external_port = port;
	return r;
}

/* Returns an enum mapping_result or a negative errno. */
static int add_names(struct mapping *m, uint16_t port, struct mapping_outcome *outcome)
{
	struct endpoint endpoint = { .address = ip_from_v4(outcome->external), .port = port };
	const json_t *document = job_document(m->job);
	const json_t *entry =
		json_object_get(forwards_of(document), endpoint_format(&endpoint, m->key));

	outcome->external_port = port;
	if ((entry && !json_object_get(entry, "routes")) ||
	    (!entry && mapping_is_machines_own(document, port, 1)))
		return MAPPING_TAKEN;
	return mapping_add_names(m);
}

/* Returns an enum mapping_result or a negative errno. */
static int add(struct mapping *m, struct mapping_outcome *outcome)
{
	const struct mapping_request *request = m->request;
	const json_t *document = job_document(m->job);
	uint16_t port = request->external_port;
	struct ip_address external;
	int r;

	if (!port_mapper_permits(document, request->device))
		return MAPPING_NOT_AUTHORIZED;
	if (!wan_of(document, request->device, &outcome->external))
		return MAPPING_NO_ADDRESS;
	if (request->name_count > 0)
		return add_names(m, port ? port : request->internal_port, outcome);
	if ((uint32_t)request->internal_port + request->count - 1 > UINT16_MAX)
		return MAPPING_TAKEN;
	if (port == 0)
		port = port_it_has(m, outcome->external);
	if (port == 0)
		port = request->internal_port;
	external = ip_from_v4(outcome->external);
	r = add_at(m, &external, port);
	if (r == MAPPING_TAKEN && (request->any_port || request->external_port == 0))
		r = add_elsewhere(m, &external, &port);
	outcome->external_port = port;
	return r;
}

/* Removing. */

/* Ends the terms of a protocol (0: both) of an automatic forward, and with the last one the forward. */
static int release(const struct mapping *m, const char *key, const json_t *entry, uint8_t protocol)
{
	const json_t *lease = json_object_get(entry, "lease");
	json_t *rest = json_null();
	CLEANUP(text_done) struct text pointer = { 0 };

	if (json_is_object(lease) && protocol != 0)
		rest = lease_without(lease, protocol);
	if (!rest)
		return -ENOMEM;
	if (!json_is_null(rest) || !mapping_is_enabled(entry))
		return put_member(m, key, "lease", rest);
	if (forwards6_is(key))
		return forwards6_remove(m->job, key);
	document_pointer(&pointer, "portForwards", key, NULL);
	return job_remove(m->job, text_string(&pointer));
}

/* Which of the forwards to a device's port are meant. */
enum choice {
	BY_NONCE, /* the one that was asked for with this nonce */
	ALL, /* of a device that lost its nonce, or that knows none */
	CHOICES,
};

static bool is_chosen(const struct mapping *m, const struct forward_reference *reference,
		      const json_t *entry, enum choice choice)
{
	const struct mapping_request *request = m->request;

	if (!reference->automatic || !mapping_is_automatic(entry) ||
	    (request->internal_port != 0 && reference->target_port != request->internal_port))
		return false;
	if (choice == BY_NONCE)
		return request->has_nonce && request->internal_port != 0 &&
		       lease_has_nonce(json_object_get(entry, "lease"), request->protocol,
				       request->nonce);
	return true;
}

/* The references are copied, because they change with each removal. */
static int remove_chosen(struct mapping *m, const struct forward_reference *all, size_t count,
			 enum choice choice, bool *ret_found)
{
	int r = 0;

	*ret_found = false;
	for (size_t i = 0; i < count && r == 0; i++) {
		struct endpoint endpoint = { .address = ip_from_v4(all[i].external),
					     .port = all[i].external_port };
		const json_t *entry = json_object_get(forwards_of(job_document(m->job)),
						      endpoint_format(&endpoint, m->key));

		if (!is_chosen(m, &all[i], entry, choice))
			continue;
		*ret_found = true;
		r = release(m, m->key, entry, m->request->protocol);
	}
	return r;
}

/* The same of IPv6. They are looked for in a copy, which stays as it is. */
static int remove_chosen6(struct mapping *m, enum choice choice, bool *ret_found)
{
	json_t *all = json_copy(json_object_get(job_document(m->job), FORWARDS6));
	const json_t *entry;
	const char *key;
	int r = 0;

	json_object_foreach(all, key, entry) {
		struct document_forward6 forward;
		struct forward_reference reference = { .automatic = mapping_is_automatic(entry) };

		if (r < 0 || !document_forward6(key, entry, &forward) ||
		    !ip_equal(&forward.target, &m->target6))
			continue;
		reference.target_port = forward.target_port;
		if (!is_chosen(m, &reference, entry, choice))
			continue;
		*ret_found = true;
		r = release(m, key, entry, m->request->protocol);
	}
	json_decref(all);
	return r;
}

static int remove_internal6(struct mapping *m)
{
	bool found = false;
	int r = 0;

	if (!find_target6(m))
		return MAPPING_DONE;
	for (enum choice choice = BY_NONCE; choice < CHOICES && r == 0 && !found; choice++)
		r = remove_chosen6(m, choice, &found);
	return r < 0 ? r : MAPPING_DONE;
}

/* That there is nothing to remove is as good. */
static int remove_internal(struct mapping *m)
{
	size_t count;
	const struct forward_reference *present =
		forward_index_of(m->job->tunnel->index, m->request->device, &count);
	cleanup_free struct forward_reference *all = calloc(count + 1, sizeof(*all));
	bool found = false;
	int r = all ? 0 : -ENOMEM;

	if (r == 0 && count > 0)
		memcpy(all, present, count * sizeof(*all));
	for (enum choice choice = BY_NONCE; choice < CHOICES && r == 0 && !found; choice++)
		r = remove_chosen(m, all, count, choice, &found);
	return r < 0 ? r : MAPPING_DONE;
}

static int remove_external(struct mapping *m)
{
	const struct mapping_request *request = m->request;
	const json_t *document = job_document(m->job);
	struct endpoint endpoint = { .port = request->external_port };
	struct document_forward forward;
	const json_t *entry, *lease;
	uint32_t external;
	int r;

	if (!wan_of(document, request->device, &external))
		return MAPPING_NOT_FOUND;
	endpoint.address = ip_from_v4(external);
	entry = json_object_get(forwards_of(document), endpoint_format(&endpoint, m->key));
	if (!entry || !document_forward(m->key, entry, &forward) ||
	    forward.target != request->device)
		return MAPPING_NOT_FOUND;
	if (!mapping_is_automatic(entry))
		return MAPPING_NOT_AUTHORIZED;
	lease = json_object_get(entry, "lease");
	if (json_is_object(lease) && request->protocol != 0 &&
	    !lease_holds(lease, request->protocol, &m->now))
		return MAPPING_NOT_FOUND;
	r = release(m, m->key, entry, request->protocol);
	return r < 0 ? r : MAPPING_DONE;
}

/* Batches. */

static int carry_out(struct mapping *m, struct mapping_outcome *outcome)
{
	int r;

	*outcome = (struct mapping_outcome){ 0 };
	switch (m->request->action) {
	case MAPPING_ADD:
		r = m->request->ipv6 ? add6(m, outcome) : add(m, outcome);
		break;
	case MAPPING_REMOVE_INTERNAL:
		if (m->request->ipv6) {
			r = remove_internal6(m);
			break;
		}
		r = m->request->name_count > 0 ? MAPPING_DONE : remove_internal(m);
		if (r == MAPPING_DONE && m->request->protocol != IPPROTO_UDP)
			r = mapping_remove_names(m);
		break;
	default:
		r = remove_external(m);
		break;
	}
	if (r < 0)
		return r;
	outcome->result = (enum mapping_result)r;
	return 0;
}

static int change_batch(struct job *job, const json_t *params, struct fault *fault)
{
	struct port_mapper *mapper = job->data;
	struct mapping m = { .job = job, .fault = fault };
	int r = 0;

	lease_clock_read(&m.now);
	list_foreach(node, &mapper->batch) {
		struct waiting *one = container_of(node, struct waiting, node);

		m.request = &one->request;
		if (r == 0)
			r = carry_out(&m, &one->outcome);
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

	mapper->running = false;
	if (alone && mapper->single > 0)
		mapper->single--;
	if (!done && !alone && !mapper->tunnel->stopping)
		put_back(mapper);
	while (!list_empty(&mapper->batch))
		answer(mapper, container_of(mapper->batch.next, struct waiting, node), done);
	while (mapper->tunnel->stopping && !list_empty(&mapper->waiting))
		answer(mapper, container_of(mapper->waiting.next, struct waiting, node), false);
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
	       a->count == b->count && memcmp(a->nonce, b->nonce, sizeof(a->nonce)) == 0 &&
	       a->name_count == b->name_count &&
	       memcmp(a->names, b->names, a->name_count * sizeof(a->names[0])) == 0;
}

static bool waits(const struct list *head, const struct mapping_request *request)
{
	for (const struct list *node = head->next; node != head; node = node->next)
		if (is_same(&container_of(node, const struct waiting, node)->request, request))
			return true;
	return false;
}

int port_mapper_submit(struct port_mapper *mapper, const struct mapping_request *request,
		       mapping_done done, void *context)
{
	uint32_t device = request->device;
	uintptr_t of_device = (uintptr_t)map_get(&mapper->of_device, &device, sizeof(device));
	struct waiting *one;

	/* What is sent again because the answer takes its time. Only a device that has something waiting
	 * is looked for. */
	if (of_device > 0 && (waits(&mapper->waiting, request) || waits(&mapper->batch, request)))
		return -EALREADY;
	if (mapper->waiting_count >= PORT_MAPPER_WAITING_MAX ||
	    of_device >= PORT_MAPPER_DEVICE_WAITING_MAX)
		return -EBUSY;
	one = malloc(sizeof(*one));
	if (!one)
		return -ENOMEM;
	*one = (struct waiting){ .request = *request, .done = done, .context = context };
	list_append(&mapper->waiting, &one->node);
	mapper->waiting_count++;
	count_device(mapper, device, 1);
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
			r = release(&m, key, entry_of(job_document(job), key), 0);
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
	const json_t *all = json_object_get(document, FORWARDS6);

	if (all && json_object_size(all) == 0)
		(void)json_object_del(document, FORWARDS6);
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

	if (forwards6_is(key))
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
	if (mapper)
		mapper->epoch_start_s = clock_monotonic_ns() / NS_PER_S;
}

int port_mapper_new(struct tunnel *tunnel, struct port_mapper **ret)
{
	struct port_mapper *mapper = calloc(1, sizeof(*mapper));

	if (!mapper)
		return -ENOMEM;
	*mapper = (struct port_mapper){ .tunnel = tunnel };
	list_init(&mapper->waiting);
	list_init(&mapper->batch);
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
	map_done(&mapper->of_device);
	uv_close((uv_handle_t *)&mapper->look, on_mapper_closed);
	return NULL;
}
