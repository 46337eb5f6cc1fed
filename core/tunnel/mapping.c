/* What a request of a device does to the document */
#include "tunnel/port_mapper_internal.h"

#include "base/secret.h"
#include "document/forward_index.h"
#include "document/wan.h"
#include "tunnel/forwards6.h"

#define OTHER_PORTS_TRIED 64
#define OTHER_PORT_MIN 1024
#define SSH_PORT 22

/* What the document says. */

static const json_t *forwards_of(const json_t *document)
{
	return json_object_get(document, "portForwards");
}

static const char *member_of(const char *key)
{
	return document_is_forward6(key) ? DOCUMENT_FORWARDS6 : "portForwards";
}

json_t *mapping_entry(const json_t *document, const char *key)
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

	if (document_is_forward6(m->key))
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

/* What the owner decided of an older one stays: its label, that it is disabled, that the device is told its
 * clients. @old: or NULL. */
static json_t *new_entry(const struct mapping *m, const json_t *old)
{
	const struct mapping_request *request = m->request;
	struct endpoint target = { .address = request->ipv6 ? m->target6
							    : ip_from_v4(request->device),
				   .port = request->internal_port };
	json_t *label = json_object_get(old, "label"), *entry;
	char text[IP_TEXT_MAX];

	entry = json_pack("{s:s, s:s, s:o, s:b, s:i, s:b, s:o}", "kind", "dnat", "target",
			  endpoint_format(&target, text), "label",
			  label ? json_incref(label) : json_string(MAPPING_LABEL), "enabled",
			  !old || mapping_is_enabled(old), "count", (int)request->count, "auto",
			  true, "lease", mapping_lease(m, NULL));
	return document_with_proxy(entry, json_is_true(json_object_get(old, DOCUMENT_PROXY)));
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

/* Of IPv6: whether an entry leads to the asker. Most are told by their text, without reading it. */
static bool leads_to_asker6(const struct mapping *m, const char *key, const json_t *entry,
			    struct document_forward6 *ret)
{
	const char *target = json_string_value(json_object_get(entry, "target"));

	return target && strncmp(target, m->target6_text, m->target6_size) == 0 &&
	       document_forward6(key, entry, ret) && ip_equal(&ret->target, &m->target6);
}

/* Those of IPv6 are counted for themselves. */
static void usage6(const struct mapping *m, unsigned *ret_forwards, unsigned *ret_ports)
{
	const json_t *entry;
	const char *key;

	*ret_forwards = *ret_ports = 0;
	json_object_foreach(json_object_get(job_document(m->job), DOCUMENT_FORWARDS6), key, entry) {
		struct document_forward6 forward;

		if (!mapping_is_automatic(entry) || !leads_to_asker6(m, key, entry, &forward))
			continue;
		*ret_forwards += 1;
		*ret_ports += forward.count;
	}
}

/* @old: ports of the forward that the request replaces; 0: it makes one. */
static bool exceeds_quota(const struct mapping *m, uint16_t old)
{
	unsigned forwards, ports;

	if (m->request->ipv6)
		usage6(m, &forwards, &ports);
	else
		forward_index_usage(m->job->tunnel->index, m->request->device, &forwards, &ports);
	if (old == 0 && forwards >= PORT_MAPPER_DEVICE_FORWARDS_MAX)
		return true;
	return m->request->count > old &&
	       ports - old + m->request->count > PORT_MAPPER_DEVICE_PORTS_MAX;
}

/* The device asks for other ports of its own, or for more of them, behind a port that it has. The other protocol may
 * still need the old ones. @count: of the ports that it has there. */
static int repoint(const struct mapping *m, uint16_t port, bool pinhole, const json_t *entry,
		   uint16_t count)
{
	const struct mapping_request *request = m->request;
	uint8_t other = request->protocol == IPPROTO_TCP ? IPPROTO_UDP : IPPROTO_TCP;

	if (lease_holds(json_object_get(entry, "lease"), other, &m->now))
		return MAPPING_TAKEN;
	if (request->count > 1 && document_is_relayed(entry)) /* which no range is */
		return MAPPING_TAKEN;
	if (!pinhole && mapping_is_machines_own(job_document(m->job), port, request->count))
		return MAPPING_TAKEN;
	if (exceeds_quota(m, count))
		return MAPPING_QUOTA;
	return put_entry(m, new_entry(m, entry));
}

/* Something is at the port already. Returns an enum mapping_result or a negative errno. */
static int renew(struct mapping *m, uint16_t port, bool pinhole, const json_t *entry)
{
	const struct mapping_request *request = m->request;
	bool relayed = document_is_relayed(entry);
	uint16_t target_port, count;
	int r;

	if (!leads_to_asker(m, entry, &target_port, &count))
		return MAPPING_TAKEN;
	if (relayed && request->protocol != IPPROTO_TCP) /* which alone is relayed */
		return MAPPING_TAKEN;
	if (target_port != request->internal_port || count != request->count)
		r = mapping_is_automatic(entry) ? repoint(m, port, pinhole, entry, count)
						: MAPPING_TAKEN;
	else if (mapping_is_automatic(entry))
		r = put_member(m, m->key, "lease",
			       mapping_lease(m, json_object_get(entry, "lease")));
	else
		r = MAPPING_DONE; /* as wanted, and the owner's */
	if (r == 1)
		r = MAPPING_TAKEN;
	m->shared = relayed && r == MAPPING_DONE;
	return r;
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
	entry = mapping_entry(document, endpoint_format(&endpoint, m->key));
	if (json_object_get(entry, "routes") && m->request->protocol == IPPROTO_TCP &&
	    m->request->via != LEASE_UPNP && m->request->count == 1)
		return mapping_add_names(m);
	if (entry)
		return renew(m, port, pinhole, entry);
	if (!pinhole && mapping_is_machines_own(document, port, m->request->count))
		return MAPPING_TAKEN;
	if (exceeds_quota(m, 0))
		return MAPPING_QUOTA;
	r = put_entry(m, new_entry(m, NULL));
	return r == 1 ? MAPPING_TAKEN : r;
}

/* Whether a forward is for the protocol that is asked for: a relayed one is for TCP alone. */
static bool carries(const struct mapping *m, const struct forward_reference *reference)
{
	struct endpoint endpoint = { .address = ip_from_v4(reference->external),
				     .port = reference->external_port };
	char key[IP_TEXT_MAX];

	return m->request->protocol == IPPROTO_TCP ||
	       !document_is_relayed(
		       mapping_entry(job_document(m->job), endpoint_format(&endpoint, key)));
}

/* The external port that leads to the device's port already; the owner's is as good. 0: none. */
static uint16_t port_it_has(const struct mapping *m, uint32_t external)
{
	size_t count;
	const struct forward_reference *all =
		forward_index_of(m->job->tunnel->index, m->request->device, &count);

	for (size_t i = 0; i < count; i++)
		if (all[i].target_port == m->request->internal_port &&
		    all[i].count == m->request->count && all[i].external == external &&
		    carries(m, &all[i]))
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

	json_object_foreach(json_object_get(job_document(m->job), DOCUMENT_FORWARDS6), key, entry) {
		struct document_forward6 forward;

		if (leads_to_asker6(m, key, entry, &forward) &&
		    ip_equal(&forward.external, external) && forward.count == m->request->count &&
		    forward.target_port == m->request->internal_port)
			return forward.external_port;
	}
	return 0;
}

/* Any other port: the one that it has already, for the same is asked again and again. */
static int add_any(struct mapping *m, const struct ip_address *external, uint16_t *ret_port)
{
	uint16_t port = m->request->ipv6 ? port_it_has6(m, external)
					 : port_it_has(m, ip_to_v4(external));
	int r = port ? add_at(m, external, port) : MAPPING_TAKEN;

	if (r == MAPPING_TAKEN)
		return add_elsewhere(m, external, ret_port);
	*ret_port = port;
	return r;
}

/* The device's IPv6 address. Whether it has one. */
static bool find_target6(struct mapping *m)
{
	char text[IP_TEXT_MAX];
	struct document_subnet subnet;
	struct ip_prefix network;

	if (!document_subnet_of(job_document(m->job), m->request->device, &subnet) ||
	    !document_ipv6(&subnet, &network))
		return false;
	m->target6 = document_ipv6_of(&subnet, &network, m->request->device);
	/* "[2001:db8::2]:", as it begins in the document. */
	(void)snprintf(m->target6_text, sizeof(m->target6_text),
		       "[%s]:", ip_format(&m->target6, text));
	m->target6_size = strlen(m->target6_text);
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
		r = add_any(m, &outcome->external6, &port);
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
		r = add_any(m, &external, &port);
	outcome->external_port = port;
	return r;
}

/* Removing. */

int mapping_release(const struct mapping *m, const char *key, const json_t *entry, uint8_t protocol)
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
	if (document_is_forward6(key))
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
		r = mapping_release(m, m->key, entry, m->request->protocol);
	}
	return r;
}

/* The same of IPv6. They are looked for in a copy, which stays as it is. */
static int remove_chosen6(struct mapping *m, enum choice choice, bool *ret_found)
{
	json_t *all = json_copy(json_object_get(job_document(m->job), DOCUMENT_FORWARDS6));
	const json_t *entry;
	const char *key;
	int r = 0;

	json_object_foreach(all, key, entry) {
		struct document_forward6 forward;
		struct forward_reference reference = { .automatic = mapping_is_automatic(entry) };

		if (r < 0 || !leads_to_asker6(m, key, entry, &forward))
			continue;
		reference.target_port = forward.target_port;
		if (!is_chosen(m, &reference, entry, choice))
			continue;
		*ret_found = true;
		r = mapping_release(m, key, entry, m->request->protocol);
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
	r = mapping_release(m, m->key, entry, request->protocol);
	return r < 0 ? r : MAPPING_DONE;
}

/* Both. */

int mapping_carry_out(struct mapping *m, struct mapping_outcome *outcome)
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
