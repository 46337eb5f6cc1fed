/* port-forward.*, tunnel.md 2.7, 1.7 and 4.6 */
#include "tunnel/job.h"

#include "document/forward_ports.h"
#include "document/wan.h"
#include "tunnel/forwards6.h"
#include "tunnel/routes.h"

static const json_t *all_forwards(const json_t *document)
{
	return json_object_get(document, "portForwards");
}

/* A forward by its name, of either family. */
static json_t *entry_of(const json_t *document, const char *key)
{
	return json_object_get(json_object_get(document, document_is_forward6(key)
								 ? DOCUMENT_FORWARDS6
								 : "portForwards"),
			       key);
}

static int conflict_fault(const json_t *document, const char *key, const json_t *value,
			  struct fault *fault)
{
	const char *other = forward_ports_conflict(document, key, value);

	return fault_set(fault, FAULT_INVALID_REQUEST,
			 "externalPort: %s overlaps the port forward %s", key,
			 other ? other : "of another device");
}

/* Puts an entry; ports that are taken become a fault that names the other one. */
static int put_forward(struct job *job, const char *key, json_t *value, struct fault *fault)
{
	CLEANUP(text_done) struct text pointer = { 0 };
	json_t *kept = json_incref(value);
	int r;

	if (document_is_forward6(key)) {
		json_decref(kept);
		return forwards6_put(job, key, value, fault);
	}
	document_pointer(&pointer, "portForwards", key, NULL);
	r = job_put(job, text_string(&pointer), value, fault);
	if (r == 1)
		r = conflict_fault(job_document(job), key, kept, fault);
	json_decref(kept);
	return r;
}

static int remove_forward(struct job *job, const char *key)
{
	CLEANUP(text_done) struct text pointer = { 0 };

	if (document_is_forward6(key))
		return forwards6_remove(job, key);
	document_pointer(&pointer, "portForwards", key, NULL);
	return job_remove(job, text_string(&pointer));
}

/* What would take away the tunnel's own packets. */
static int check_own_port(const json_t *document, uint16_t first, uint16_t count,
			  struct fault *fault)
{
	const json_t *port = json_object_get(json_object_get(document, "wg"), "port");
	json_int_t own = json_integer_value(port);

	if (own < first || own > first + count - 1)
		return 0;
	return fault_set(fault, FAULT_INVALID_REQUEST,
			 "externalPort: port %d is the tunnel's own; every device would be cut off",
			 (int)own);
}

static int check_add(const json_t *document, const json_t *params, struct endpoint *ret_target,
		     struct fault *fault)
{
	const char *target = param_string(params, "target");
	uint16_t port = param_u16(params, "externalPort");
	uint16_t count = param_u16(params, "count");

	if (port == 0)
		return fault_set(fault, FAULT_INVALID_REQUEST, "externalPort: must be 1 to 65535");
	if (count == 0)
		return fault_set(fault, FAULT_INVALID_REQUEST, "count: must be at least 1");
	if (count > 1 && json_array_size(json_object_get(params, "sni")) > 0)
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "count: one port at a time can be shared by host name");
	if (endpoint_parse(target, ret_target) < 0 || ret_target->address.family != AF_INET ||
	    ret_target->port == 0)
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "target: %s must be an IPv4 address with a port of 1 to 65535",
				 target);
	if (!wan_is_host(ip_to_v4(&ret_target->address)))
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "target: %s is not an address that a device may have", target);
	return check_own_port(document, port, count, fault);
}

/* Routes. */

static const json_t *route_of(const json_t *document, const char *key, const char *name)
{
	const json_t *entry = json_object_get(all_forwards(document), key);

	return json_object_get(json_object_get(entry, "routes"), name);
}

int forwards_put_route(struct job *job, const char *key, const char *name, json_t *route,
		       struct fault *fault)
{
	const json_t *entry = json_object_get(all_forwards(job_document(job)), key);
	CLEANUP(text_done) struct text pointer = { 0 };

	if (entry) {
		document_pointer(&pointer, "portForwards", key, "routes", name, NULL);
		return job_put(job, text_string(&pointer), route, fault);
	}
	document_pointer(&pointer, "portForwards", key, NULL);
	return job_put(job, text_string(&pointer),
		       json_pack("{s:s, s:{s:o}}", "kind", "sni", "routes", name, route), fault);
}

/* That the port lies in a range of others. */
static int route_conflict_fault(const json_t *document, const char *key, struct fault *fault)
{
	json_t *value = json_pack("{s:s, s:{}}", "kind", "sni", "routes");
	int r = value ? conflict_fault(document, key, value, fault) : -ENOMEM;

	json_decref(value);
	return r;
}

/* A name that the device has by itself already becomes the owner's. */
static int add_route(struct job *job, const json_t *params, const char *key, const char *text,
		     struct fault *fault)
{
	const char *target = param_string(params, "target"), *present;
	char name[DOCUMENT_ROUTE_NAME_MAX];
	const json_t *route;
	json_t *added;
	int r;

	if (document_route_name(text, name) < 0)
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "sni: %s is not a host name, such as git.example.com or "
				 "*.example.com",
				 text);
	route = route_of(job_document(job), key, name);
	present = json_string_value(json_object_get(route, "target"));
	if (route && strcmp(present, target) != 0)
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "sni: %s on %s leads to %s already (192)", name, key, present);
	added = json_pack("{s:s, s:O, s:b, s:b}", "target", target, "label",
			  json_object_get(params, "label"), "enabled", true, "auto", false);
	added = document_with_proxy(added, param_bool(params, DOCUMENT_PROXY));
	r = forwards_put_route(job, key, name, added, fault);
	return r == 1 ? route_conflict_fault(job_document(job), key, fault) : r;
}

static int add_routes(struct job *job, const json_t *params, const char *key, struct fault *fault)
{
	const json_t *entry = json_object_get(all_forwards(job_document(job)), key);
	const json_t *name;
	size_t i;
	int r = 0;

	if (entry && !json_object_get(entry, "routes"))
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "externalPort: %s is forwarded as a whole already", key);
	json_array_foreach(json_object_get(params, "sni"), i, name)
		if (r == 0)
			r = add_route(job, params, key, json_string_value(name), fault);
	return r;
}

/* A forward of a whole port, or of a range. */
static int add_plain(struct job *job, const json_t *params, const char *key, struct fault *fault)
{
	const json_t *present = json_object_get(all_forwards(job_document(job)), key);
	json_t *entry;
	int r;

	if (present)
		return fault_set(
			fault, FAULT_INVALID_REQUEST, "externalPort: %s is %s already", key,
			json_object_get(present, "routes") ? "shared by host name" : "forwarded");
	entry = json_pack("{s:s, s:s, s:O, s:b, s:i, s:b}", "kind", "dnat", "target",
			  param_string(params, "target"), "label", json_object_get(params, "label"),
			  "enabled", true, "count", (int)param_u16(params, "count"), "auto", false);
	entry = document_with_proxy(entry, param_bool(params, DOCUMENT_PROXY));
	if (!entry)
		return -ENOMEM;
	r = document_check_proxy(key, entry, fault);
	if (r == 0)
		return put_forward(job, key, entry, fault);
	json_decref(entry);
	return r;
}

static int change_add(struct job *job, const json_t *params, struct fault *fault)
{
	const json_t *document = job_document(job);
	struct endpoint target, external = { 0 };
	char key[IP_TEXT_MAX];
	uint32_t wan;
	int r;

	if (endpoint_parse(param_string(params, "target"), &target) == 0 &&
	    target.address.family == AF_INET6 && target.scope_id == 0 && target.port != 0 &&
	    json_array_size(json_object_get(params, "sni")) == 0)
		return forwards6_add(job, params, &target, fault);
	if (json_is_string(json_object_get(params, "externalPort")))
		return fault_set(
			fault, FAULT_INVALID_REQUEST,
			"externalPort: of an IPv4 target it is a port alone; the address is "
			"that of the device (set-wan)");
	r = check_add(document, params, &target, fault);
	if (r < 0)
		return r;
	if (!wan_of(document, ip_to_v4(&target.address), &wan))
		return wan_fault(document, FAULT_NETWORK, fault);
	external.address = ip_from_v4(wan);
	external.port = param_u16(params, "externalPort");
	endpoint_format(&external, key);
	if (json_array_size(json_object_get(params, "sni")) > 0)
		return add_routes(job, params, key, fault);
	return add_plain(job, params, key, fault);
}

/* Takes a route out of an SNI entry, and the entry with its last route. */
int forwards_remove_route(struct job *job, const char *key, const char *hostname)
{
	const json_t *entry = json_object_get(all_forwards(job_document(job)), key);
	const json_t *routes = json_object_get(entry, "routes");
	CLEANUP(text_done) struct text pointer = { 0 };

	if (!json_object_get(routes, hostname))
		return 0;
	if (json_object_size(routes) == 1)
		return remove_forward(job, key);
	document_pointer(&pointer, "portForwards", key, "routes", hostname, NULL);
	return job_remove(job, text_string(&pointer));
}

/* As it is kept, so far as it is a name: else there is none such. */
static const char *hostname_kept(const char *hostname, char to[DOCUMENT_ROUTE_NAME_MAX])
{
	return hostname && document_route_name(hostname, to) == 0 ? to : hostname;
}

/* What is not there needs no removing. */
static int change_remove(struct job *job, const json_t *params, struct fault *fault)
{
	const char *key = param_string(params, "source");
	const char *hostname = param_string(params, "hostname");
	const json_t *entry = entry_of(job_document(job), key);
	char kept[DOCUMENT_ROUTE_NAME_MAX];

	if (!entry)
		return 0;
	if (hostname && json_object_get(entry, "routes"))
		return forwards_remove_route(job, key, hostname_kept(hostname, kept));
	return remove_forward(job, key);
}

/* The pointer to a member of a forward, or of one route of an SNI entry. */
static int member_pointer(const struct job *job, const json_t *params, const char *member,
			  struct text *to, struct fault *fault)
{
	const char *key = param_string(params, "source");
	char kept[DOCUMENT_ROUTE_NAME_MAX];
	const char *hostname = hostname_kept(param_string(params, "hostname"), kept);
	const json_t *entry = entry_of(job_document(job), key);
	const json_t *routes = json_object_get(entry, "routes");

	if (!entry)
		return fault_set(fault, FAULT_NOT_FOUND, "%s", key);
	if (routes && !hostname)
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "hostname: is needed, %s leads to several hosts", key);
	if (routes && !json_object_get(routes, hostname))
		return fault_set(fault, FAULT_NOT_FOUND, "%s on %s", hostname, key);
	if (routes)
		document_pointer(to, "portForwards", key, "routes", hostname, member, NULL);
	else
		document_pointer(to,
				 document_is_forward6(key) ? DOCUMENT_FORWARDS6 : "portForwards",
				 key, member, NULL);
	return 0;
}

static int change_label(struct job *job, const json_t *params, struct fault *fault)
{
	CLEANUP(text_done) struct text pointer = { 0 };
	int r = member_pointer(job, params, "label", &pointer, fault);

	if (r < 0)
		return r;
	return job_put(job, text_string(&pointer), json_copy(json_object_get(params, "label")),
		       fault);
}

static int change_enabled(struct job *job, const json_t *params, struct fault *fault)
{
	CLEANUP(text_done) struct text pointer = { 0 };
	int r = member_pointer(job, params, "enabled", &pointer, fault);

	if (r < 0)
		return r;
	return job_put(job, text_string(&pointer), json_boolean(param_bool(params, "enabled")),
		       fault);
}

static int check_proxy(const struct job *job, const char *key, struct fault *fault)
{
	json_t *entry = json_copy(entry_of(job_document(job), key));
	int r = -ENOMEM;

	entry = document_with_proxy(entry, true);
	if (entry)
		r = document_check_proxy(key, entry, fault);
	json_decref(entry);
	return r;
}

static int change_proxy(struct job *job, const json_t *params, struct fault *fault)
{
	CLEANUP(text_done) struct text pointer = { 0 };
	int r = member_pointer(job, params, DOCUMENT_PROXY, &pointer, fault);

	if (r < 0)
		return r;
	if (param_bool(params, "enabled")) {
		r = check_proxy(job, param_string(params, "source"), fault);
		return r < 0 ? r : job_put(job, text_string(&pointer), json_true(), fault);
	}
	if (!store_get(job->tunnel->store, text_string(&pointer)))
		return 0;
	r = job_remove(job, text_string(&pointer));
	if (r == 0)
		routes_let_go(job->tunnel->routes, param_string(params, "source"));
	return r;
}

/* The forward, or one route, becomes the owner's own: no device and no lease ends it. */
static int change_pin(struct job *job, const json_t *params, struct fault *fault)
{
	CLEANUP(text_done) struct text pointer = { 0 };
	json_t *entry;
	int r = member_pointer(job, params, NULL, &pointer, fault);

	if (r < 0)
		return r;
	entry = json_copy((json_t *)store_get(job->tunnel->store, text_string(&pointer)));
	if (!entry || json_object_set_new(entry, "auto", json_false()) < 0) {
		json_decref(entry);
		return -ENOMEM;
	}
	(void)json_object_del(entry, "lease");
	return job_put(job, text_string(&pointer), entry, fault);
}

static bool target_is_device(const json_t *document, const json_t *entry)
{
	const char *text = json_string_value(json_object_get(entry, "target"));
	struct endpoint target;

	return text && endpoint_parse(text, &target) == 0 &&
	       document_is_device(document, ip_to_v4(&target.address));
}

/* The names of a JSON object, copied, since what they name is about to be removed. */
static int copy_names(const json_t *object, json_t **ret)
{
	json_t *names = json_array();
	const json_t *value;
	const char *name;

	json_object_foreach((json_t *)object, name, value) {
		if (json_array_append_new(names, json_string(name)) < 0) {
			json_decref(names);
			return -ENOMEM;
		}
	}
	*ret = names;
	return names ? 0 : -ENOMEM;
}

static int prune_routes(struct job *job, const char *key, const json_t *entry)
{
	const json_t *routes = json_object_get(entry, "routes");
	json_t *hosts = NULL;
	const json_t *host;
	size_t i;
	int r = copy_names(routes, &hosts);

	json_array_foreach(hosts, i, host) {
		const char *name = json_string_value(host);
		const json_t *now = json_object_get(all_forwards(job_document(job)), key);

		if (r == 0 &&
		    !target_is_device(job_document(job),
				      json_object_get(json_object_get(now, "routes"), name)))
			r = forwards_remove_route(job, key, name);
	}
	json_decref(hosts);
	return r;
}

int forwards_prune(struct job *job)
{
	const json_t *document = job_document(job);
	json_t *keys = NULL;
	const json_t *key;
	size_t i;
	int r = copy_names(all_forwards(document), &keys);

	json_array_foreach(keys, i, key) {
		const char *name = json_string_value(key);
		const json_t *entry = json_object_get(all_forwards(document), name);

		if (r < 0)
			break;
		if (json_object_get(entry, "routes"))
			r = prune_routes(job, name, entry);
		else if (!target_is_device(document, entry))
			r = remove_forward(job, name);
	}
	json_decref(keys);
	return r < 0 ? r : forwards6_prune(job);
}

/* Whether an entry or route was opened by a device for itself, and is open. */
static bool is_open_automatic(const json_t *entry, uint32_t device)
{
	const char *text = json_string_value(json_object_get(entry, "target"));
	struct endpoint target;

	return json_is_true(json_object_get(entry, "auto")) &&
	       json_is_true(json_object_get(entry, "enabled")) && text &&
	       endpoint_parse(text, &target) == 0 && ip_to_v4(&target.address) == device;
}

static int close_routes(struct job *job, const char *key, const json_t *entry, uint32_t device)
{
	json_t *hosts = NULL;
	const json_t *host;
	size_t i;
	int r = copy_names(json_object_get(entry, "routes"), &hosts);

	json_array_foreach(hosts, i, host) {
		const char *name = json_string_value(host);
		const json_t *now = json_object_get(all_forwards(job_document(job)), key);

		if (r == 0 &&
		    is_open_automatic(json_object_get(json_object_get(now, "routes"), name),
				      device))
			r = forwards_remove_route(job, key, name);
	}
	json_decref(hosts);
	return r;
}

int forwards_close_automatic(struct job *job, uint32_t device)
{
	json_t *keys = NULL;
	const json_t *key;
	size_t i;
	int r = copy_names(all_forwards(job_document(job)), &keys);

	json_array_foreach(keys, i, key) {
		const char *name = json_string_value(key);
		const json_t *entry = json_object_get(all_forwards(job_document(job)), name);

		if (r == 0 && json_object_get(entry, "routes"))
			r = close_routes(job, name, entry, device);
		else if (r == 0 && is_open_automatic(entry, device))
			r = remove_forward(job, name);
	}
	json_decref(keys);
	return r < 0 ? r : forwards6_close_automatic(job, device);
}

/* The key that a forward should have now; equal to @key where no address is known. */
static void rekeyed(const json_t *document, const char *key, const json_t *entry,
		    char ret[IP_TEXT_MAX])
{
	struct endpoint external, target;
	uint32_t wan;

	(void)snprintf(ret, IP_TEXT_MAX, "%s", key);
	if (endpoint_parse(key, &external) < 0 ||
	    endpoint_parse(json_string_value(json_object_get(entry, "target")), &target) < 0 ||
	    !wan_of(document, ip_to_v4(&target.address), &wan))
		return;
	external.address = ip_from_v4(wan);
	endpoint_format(&external, ret);
}

static int collision_fault(const char *key, struct fault *fault)
{
	return fault_set(fault, FAULT_INVALID_REQUEST,
			 "wanIp: two port forwards would both become %s; remove one of them first",
			 key);
}

/* Collects [old key, name, new key, route] of the routes that have to move. */
static int find_route_moves(const json_t *document, const char *key, const json_t *entry,
			    json_t *moves)
{
	json_t *routes = json_object_get(entry, "routes");
	const json_t *route;
	const char *name;

	json_object_foreach(routes, name, route) {
		char moved[IP_TEXT_MAX];

		rekeyed(document, key, route, moved);
		if (strcmp(key, moved) != 0 &&
		    json_array_append_new(moves, json_pack("[s, s, s, o]", key, name, moved,
							   json_deep_copy(route))) < 0)
			return -ENOMEM;
	}
	return 0;
}

static const char *text_at(const json_t *array, size_t index)
{
	return json_string_value(json_array_get(array, index));
}

static int take_routes_out(struct job *job, const json_t *moves)
{
	const json_t *move;
	size_t i;
	int r = 0;

	json_array_foreach(moves, i, move)
		if (r == 0)
			r = forwards_remove_route(job, text_at(move, 0), text_at(move, 1));
	return r;
}

static int put_routes_back(struct job *job, const json_t *moves, struct fault *fault)
{
	const json_t *move;
	size_t i;

	json_array_foreach(moves, i, move) {
		const char *name = text_at(move, 1), *key = text_at(move, 2);
		const json_t *entry = json_object_get(all_forwards(job_document(job)), key);
		int r;

		if (entry && !json_object_get(entry, "routes"))
			return collision_fault(key, fault);
		if (route_of(job_document(job), key, name))
			return fault_set(fault, FAULT_INVALID_REQUEST,
					 "wanIp: two routes would both become %s on %s; remove one "
					 "of them first",
					 name, key);
		r = forwards_put_route(job, key, name, json_incref(json_array_get(move, 3)), fault);
		if (r == 1)
			r = collision_fault(key, fault);
		if (r != 0)
			return r;
	}
	return 0;
}

/* Collects {new key: entry} of the forwards that have to move. */
static int find_moves(const json_t *document, json_t *from, json_t *to, json_t *moves,
		      struct fault *fault)
{
	const json_t *entry;
	const char *key;

	json_object_foreach((json_t *)all_forwards(document), key, entry) {
		char moved[IP_TEXT_MAX];

		if (json_object_get(entry, "routes")) {
			if (find_route_moves(document, key, entry, moves) < 0)
				return -ENOMEM;
			continue;
		}
		rekeyed(document, key, entry, moved);
		if (strcmp(key, moved) == 0)
			continue;
		if (json_object_get(to, moved))
			return collision_fault(moved, fault);
		if (json_array_append_new(from, json_string(key)) < 0 ||
		    json_object_set_new(to, moved, json_deep_copy(entry)) < 0)
			return -ENOMEM;
	}
	return 0;
}

int forwards_rekey(struct job *job, struct fault *fault)
{
	json_t *from = json_array(), *to = json_object(), *moves = json_array();
	const json_t *old;
	const char *key;
	json_t *entry;
	size_t i;
	int r = from && to && moves ? find_moves(job_document(job), from, to, moves, fault)
				    : -ENOMEM;

	json_array_foreach(from, i, old)
		if (r == 0)
			r = remove_forward(job, json_string_value(old));
	if (r == 0)
		r = take_routes_out(job, moves);
	json_object_foreach(to, key, entry) {
		if (r == 0 && json_object_get(all_forwards(job_document(job)), key))
			r = collision_fault(key, fault);
		if (r == 0)
			r = put_forward(job, key, json_incref(entry), fault);
	}
	if (r == 0)
		r = put_routes_back(job, moves, fault);
	if (r == 0 && json_object_size(to) + json_array_size(moves) > 0)
		job->moves_ports = true;
	if (r < 0)
		fault_prefix(fault, "the port forwards cannot follow to the new WAN address");
	json_decref(from);
	json_decref(to);
	json_decref(moves);
	return r;
}

TUNNEL_EDIT(forward_add, change_add);
TUNNEL_EDIT(forward_remove, change_remove);
TUNNEL_EDIT(forward_update_label, change_label);
TUNNEL_EDIT(forward_set_enabled, change_enabled);
TUNNEL_EDIT(forward_set_proxy, change_proxy);
TUNNEL_EDIT(forward_pin, change_pin);
