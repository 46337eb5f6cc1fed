#include "tunnel/forwards6.h"

#include "document/forward_ports.h"
#include "document/wan.h"

#define REPLACED_MIN 100 /* entries to remove: more are one operation, with what stays */

static json_t *all_of(const json_t *document)
{
	return json_object_get(document, DOCUMENT_FORWARDS6);
}

int forwards6_put(struct job *job, const char *key, json_t *value, struct fault *fault)
{
	CLEANUP(text_done) struct text pointer = { 0 };
	json_t *first;
	int r;

	document_pointer(&pointer, DOCUMENT_FORWARDS6, NULL);
	if (!all_of(job_document(job))) {
		first = json_object();
		if (json_object_set_new(first, key, value) < 0) {
			json_decref(first);
			return -ENOMEM;
		}
		return job_put(job, text_string(&pointer), first, fault);
	}
	document_pointer(&pointer, key, NULL);
	r = text_error(&pointer);
	if (r == 0)
		return job_put(job, text_string(&pointer), value, fault);
	json_decref(value);
	return r;
}

int forwards6_remove(struct job *job, const char *key)
{
	CLEANUP(text_done) struct text pointer = { 0 };
	const json_t *all = all_of(job_document(job));

	if (!json_object_get(all, key))
		return 0;
	document_pointer(&pointer, DOCUMENT_FORWARDS6, json_object_size(all) > 1 ? key : NULL,
			 NULL);
	return job_remove(job, text_string(&pointer));
}

/* A device with an address of the internet needs no other. */
static int default_external(const json_t *document, const struct ip_address *target,
			    struct ip_address *ret, struct fault *fault)
{
	if (!document_ipv6_is_local(target)) {
		*ret = *target;
		return 0;
	}
	if (wan6_default(document, ret))
		return 0;
	return fault_set(
		fault, FAULT_NETWORK,
		"externalPort: this machine has no IPv6 address of the internet that could "
		"lead to the device");
}

static int read_external(const json_t *document, const json_t *params,
			 const struct endpoint *target, struct endpoint *ret, struct fault *fault)
{
	const json_t *external = json_object_get(params, "externalPort");
	const char *text = json_string_value(external);

	*ret = (struct endpoint){ .port = (uint16_t)json_integer_value(external) };
	if (!text) {
		if (ret->port == 0)
			return fault_set(fault, FAULT_INVALID_REQUEST,
					 "externalPort: must be 1 to 65535");
		return default_external(document, &target->address, &ret->address, fault);
	}
	if (endpoint_parse(text, ret) < 0 || ret->port == 0 || ret->scope_id != 0)
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "externalPort: %s must have a port of 1 to 65535", text);
	if (!ip_equal(&ret->address, &target->address) && !wan6_is_own(document, &ret->address))
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "externalPort: %s is neither an IPv6 address of this machine nor "
				 "the target's own",
				 text);
	return 0;
}

int forwards6_add(struct job *job, const json_t *params, const struct endpoint *target,
		  struct fault *fault)
{
	const json_t *port = json_object_get(json_object_get(job_document(job), "wg"), "port");
	uint16_t count = param_u16(params, "count");
	char key[IP_TEXT_MAX], spelled[IP_TEXT_MAX];
	struct document_subnet subnet;
	struct endpoint external;
	uint32_t device;
	json_t *entry;
	int r;

	if (!document_device6(job_document(job), &target->address, &subnet, &device))
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "target: %s is not the IPv6 address of a device",
				 param_string(params, "target"));
	r = read_external(job_document(job), params, target, &external, fault);
	if (r == 0)
		r = document_check_span(external.port, target->port, count, fault);
	if (r < 0)
		return r;
	if (!ip_equal(&external.address, &target->address) &&
	    json_integer_value(port) >= external.port &&
	    json_integer_value(port) < external.port + count)
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "externalPort: port %d is the tunnel's own; every device would be "
				 "cut off",
				 (int)json_integer_value(port));
	endpoint_format(&external, key);
	if (json_object_get(all_of(job_document(job)), key))
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "externalPort: %s is forwarded already", key);
	entry = json_pack("{s:s, s:s, s:O, s:b, s:i, s:b}", "kind", "dnat", "target",
			  endpoint_format(target, spelled), "label",
			  json_object_get(params, "label"), "enabled", true, "count", (int)count,
			  "auto", false);
	entry = document_with_proxy(entry, param_bool(params, DOCUMENT_PROXY));
	if (!entry)
		return -ENOMEM;
	r = document_check_proxy(key, entry, fault);
	if (r == 0)
		r = forwards6_put(job, key, json_incref(entry), fault);
	if (r == 1)
		r = fault_set(fault, FAULT_INVALID_REQUEST,
			      "externalPort: %s overlaps the port forward %s", key,
			      forward_ports_conflict(job_document(job), key, entry));
	json_decref(entry);
	return r;
}

typedef bool (*chooser)(const json_t *document, const struct document_forward6 *forward,
			const json_t *entry, uint32_t device);

/* One operation in place of thousands. Takes @all. 0, 1 where two entries share a port, or a negative errno. */
static int replace_all(struct job *job, json_t *all, struct fault *fault)
{
	if (json_object_size(all) > 0)
		return job_put(job, "/" DOCUMENT_FORWARDS6, all, fault);
	json_decref(all);
	return job_remove(job, "/" DOCUMENT_FORWARDS6);
}

/* The names of the entries that @chosen picks. */
static json_t *choose(const json_t *document, chooser chosen, uint32_t device)
{
	json_t *names = json_array();
	const json_t *entry;
	const char *key;

	json_object_foreach(all_of(document), key, entry) {
		struct document_forward6 forward;

		if (!document_forward6(key, entry, &forward) ||
		    !chosen(document, &forward, entry, device))
			continue;
		if (json_array_append_new(names, json_string(key)) < 0) {
			json_decref(names);
			return NULL;
		}
	}
	return names;
}

/* Removes the entries that @chosen picks. */
static int remove_chosen(struct job *job, chooser chosen, uint32_t device)
{
	json_t *names = choose(job_document(job), chosen, device), *rest = NULL;
	const json_t *name;
	size_t i;
	int r = names ? 0 : -ENOMEM;

	if (json_array_size(names) > REPLACED_MIN) {
		rest = json_copy(all_of(job_document(job)));
		r = rest ? 0 : -ENOMEM;
	}
	json_array_foreach(names, i, name)
		if (r == 0)
			r = rest ? json_object_del(rest, json_string_value(name))
				 : forwards6_remove(job, json_string_value(name));
	if (r == 0 && rest)
		r = replace_all(job, TAKE_PTR(rest), NULL);
	json_decref(rest);
	json_decref(names);
	return r;
}

static bool leads_nowhere(const json_t *document, const struct document_forward6 *forward,
			  const json_t *entry, uint32_t device)
{
	struct document_subnet subnet;
	uint32_t found;

	return !document_device6(document, &forward->target, &subnet, &found);
}

int forwards6_prune(struct job *job)
{
	return remove_chosen(job, leads_nowhere, 0);
}

static bool is_open_automatic(const json_t *document, const struct document_forward6 *forward,
			      const json_t *entry, uint32_t device)
{
	struct document_subnet subnet;
	uint32_t found;

	return forward->enabled && json_is_true(json_object_get(entry, "auto")) &&
	       document_device6(document, &forward->target, &subnet, &found) && found == device;
}

int forwards6_close_automatic(struct job *job, uint32_t device)
{
	return remove_chosen(job, is_open_automatic, device);
}

/* The address in another network. */
static void move(struct ip_address *address, const struct ip_prefix *from,
		 const struct ip_prefix *to)
{
	if (ip_prefix_contains(from, address))
		memcpy(address->bytes, to->address.bytes, DOCUMENT_IPV6_LENGTH / 8);
}

/* The member as it is to be, gathered and put as one: thousands of operations would hold others up. */
struct following {
	const json_t *document;
	const struct ip_prefix *from, *to;
	json_t *all; /* the new member */
	struct forward_ports *ports; /* of it */
	bool any; /* entry has changed */
};

/* A pinhole goes with the device's address; from an address of the internet to a local one it becomes a
 * forward of this machine, where there is an address for that. */
static int moved_entry(const struct following *f, const struct document_forward6 *forward,
		       const json_t *entry, struct endpoint *ret_external, json_t **ret,
		       struct fault *fault)
{
	struct endpoint external = { .address = forward->external, .port = forward->external_port };
	struct endpoint target = { .address = forward->target, .port = forward->target_port };
	char text[IP_TEXT_MAX];
	json_t *moved;
	int r = 0;

	move(&target.address, f->from, f->to);
	if (ip_equal(&forward->external, &forward->target))
		r = default_external(f->document, &target.address, &external.address, fault);
	if (r < 0)
		return r;
	moved = json_copy((json_t *)entry);
	if (!moved ||
	    json_object_set_new(moved, "target", json_string(endpoint_format(&target, text))) < 0) {
		json_decref(moved);
		return -ENOMEM;
	}
	*ret_external = external;
	*ret = moved;
	return 0;
}

/* Adds an entry, which is taken, under the name that it has now. */
static int gather(struct following *f, const char *key, json_t *entry, struct fault *fault)
{
	int r = json_object_get(f->all, key) ? 1 : forward_ports_take(f->ports, key, entry, fault);

	if (r == 0 && json_object_set(f->all, key, entry) < 0)
		r = -ENOMEM;
	json_decref(entry);
	return r != 1 ? r
		      : fault_set(fault, FAULT_INVALID_REQUEST,
				  "ipv6: two port forwards would both become %s; remove one of "
				  "them first",
				  key);
}

static int follow_one(struct following *f, const char *key, const json_t *entry,
		      struct fault *fault)
{
	struct document_forward6 forward;
	struct endpoint external = { 0 };
	char text[IP_TEXT_MAX];
	json_t *moved = NULL;
	int r;

	if (!document_forward6(key, entry, &forward) ||
	    !ip_prefix_contains(f->from, &forward.target))
		return gather(f, key, json_incref((json_t *)entry), fault);
	r = moved_entry(f, &forward, entry, &external, &moved, fault);
	if (r < 0)
		return r;
	f->any = true;
	return gather(f, endpoint_format(&external, text), moved, fault);
}

int forwards6_follow(struct job *job, const struct ip_prefix *from, const struct ip_prefix *to,
		     struct fault *fault)
{
	struct following f = { .document = job_document(job), .from = from, .to = to };
	const json_t *entry;
	const char *key;
	int r = forward_ports_new(&f.ports);

	f.all = json_object();
	if (!f.all)
		r = -ENOMEM;
	json_object_foreach(all_of(f.document), key, entry)
		if (r == 0)
			r = follow_one(&f, key, entry, fault);
	if (r == 0 && f.any)
		r = replace_all(job, TAKE_PTR(f.all), fault);
	json_decref(f.all);
	(void)forward_ports_free(f.ports);
	return r;
}
