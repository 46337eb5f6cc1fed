/* Host names that devices ask for: routes of ports that are shared (routes.h) */
#include "tunnel/port_mapper_internal.h"

#include "document/forward_index.h"
#include "tunnel/routes.h"

static const json_t *forwards_of(const json_t *document)
{
	return json_object_get(document, "portForwards");
}

static const json_t *routes_at(const struct mapping *m)
{
	const json_t *entry = json_object_get(forwards_of(job_document(m->job)), m->key);

	return json_object_get(entry, "routes");
}

static size_t name_count(const struct mapping_request *request)
{
	return request->name_count > 0 ? request->name_count : 1;
}

static const char *name_at(const struct mapping_request *request, size_t index)
{
	return request->name_count > 0 ? request->names[index].text : DEMUX_ANY;
}

static bool leads_to(const char *key, const json_t *route, uint32_t device, uint16_t port)
{
	struct document_forward is;

	return document_route(key, route, &is) && is.target == device &&
	       (port == 0 || is.target_port == port);
}

/* How many names a device has by itself, and on how many ports. */
struct usage {
	const struct mapping *m;
	size_t names;
	size_t ports;
};

static void count_names(const char *key, void *context)
{
	struct usage *usage = context;
	const json_t *entry = json_object_get(forwards_of(job_document(usage->m->job)), key);
	json_t *routes = json_object_get(entry, "routes");
	size_t before = usage->names;
	const json_t *route;
	const char *name;

	json_object_foreach(routes, name, route)
		usage->names += mapping_is_automatic(route) &&
				leads_to(key, route, usage->m->request->device, 0);
	usage->ports += usage->names > before;
}

/* Whether the names that are added are too many, or one port more is. */
static bool exceeds_quota(const struct mapping *m, size_t added)
{
	struct usage usage = { .m = m };

	if (added == 0)
		return false;
	forward_index_each_shared(m->job->tunnel->index, count_names, &usage);
	return usage.names + added > PORT_MAPPER_DEVICE_NAMES_MAX ||
	       (!routes_at(m) && usage.ports >= PORT_MAPPER_DEVICE_SHARED_PORTS_MAX);
}

/* Whether a name is one of those that a wildcard leads to another device: *.example.com is taken whole. */
static bool is_under_anothers(const struct mapping *m, const json_t *routes, const char *name)
{
	const char *rest = strchr(name, '.');
	char wildcard[DOCUMENT_ROUTE_NAME_MAX + 1];
	const json_t *route;

	if (!rest || *name == '*')
		return false;
	(void)snprintf(wildcard, sizeof(wildcard), "*%s", rest);
	route = json_object_get(routes, wildcard);
	return route && !leads_to(m->key, route, m->request->device, 0);
}

/* Whether all names can be had. Returns an enum mapping_result. */
static int check_names(const struct mapping *m)
{
	const struct mapping_request *request = m->request;
	const json_t *routes = routes_at(m);
	size_t added = 0;

	for (size_t i = 0; i < name_count(request); i++) {
		const json_t *route = json_object_get(routes, name_at(request, i));

		if (!route && is_under_anothers(m, routes, name_at(request, i)))
			return MAPPING_TAKEN;
		if (!route)
			added++;
		else if (!leads_to(m->key, route, request->device, 0) ||
			 (!mapping_is_automatic(route) &&
			  !leads_to(m->key, route, request->device, request->internal_port)))
			return MAPPING_TAKEN;
	}
	if (exceeds_quota(m, added))
		return MAPPING_QUOTA;
	return routes_failed(m->job->tunnel->routes, m->key) ? MAPPING_UNBOUND : MAPPING_DONE;
}

/* What the owner decided of an older one stays: its label, that it is disabled, that the device is told its
 * clients. */
static json_t *make_route(const struct mapping *m, const json_t *old)
{
	const struct mapping_request *request = m->request;
	struct endpoint target = { .address = ip_from_v4(request->device),
				   .port = request->internal_port };
	json_t *label = json_object_get(old, "label"), *route;
	char text[IP_TEXT_MAX];

	route = json_pack("{s:s, s:o, s:b, s:b, s:o}", "target", endpoint_format(&target, text),
			  "label", label ? json_incref(label) : json_string(MAPPING_LABEL),
			  "enabled", !old || mapping_is_enabled(old), "auto", true, "lease",
			  mapping_lease(m, json_object_get(old, "lease")));
	return document_with_proxy(route, json_is_true(json_object_get(old, DOCUMENT_PROXY)));
}

int mapping_add_names(struct mapping *m)
{
	const struct mapping_request *request = m->request;
	int r = check_names(m);

	for (size_t i = 0; i < name_count(request) && r == MAPPING_DONE; i++) {
		const char *name = name_at(request, i);
		const json_t *old = json_object_get(routes_at(m), name);

		if (old && !mapping_is_automatic(old))
			continue; /* as wanted, and the owner's */
		r = forwards_put_route(m->job, m->key, name, make_route(m, old), m->fault);
		if (r == 1)
			return MAPPING_TAKEN; /* of the first: a range has the port */
		if (!old)
			m->made |= 1U << i;
	}
	m->shared = true;
	return r;
}

int mapping_release_route(struct job *job, const char *key, const char *name, struct fault *fault)
{
	const json_t *entry = json_object_get(forwards_of(job_document(job)), key);
	const json_t *route = json_object_get(json_object_get(entry, "routes"), name);
	CLEANUP(text_done) struct text pointer = { 0 };

	if (!route)
		return 0;
	if (mapping_is_enabled(route))
		return forwards_remove_route(job, key, name);
	document_pointer(&pointer, "portForwards", key, "routes", name, "lease", NULL);
	return job_put(job, text_string(&pointer), json_null(), fault);
}

static bool is_chosen(const struct mapping *m, const char *key, const char *name,
		      const json_t *route)
{
	const struct mapping_request *request = m->request;

	if (!mapping_is_automatic(route) ||
	    !leads_to(key, route, request->device, request->internal_port))
		return false;
	for (size_t i = 0; i < request->name_count; i++)
		if (strcmp(request->names[i].text, name) == 0)
			return true;
	return request->name_count == 0 &&
	       (request->internal_port == 0 || strcmp(name, DEMUX_ANY) == 0);
}

struct removal {
	const struct mapping *m;
	json_t *chosen; /* [key, name] of each route that is to go */
	int result;
};

static void collect(const char *key, void *context)
{
	struct removal *removal = context;
	const struct mapping_request *request = removal->m->request;
	const json_t *entry = json_object_get(forwards_of(job_document(removal->m->job)), key);
	json_t *routes = json_object_get(entry, "routes");
	struct endpoint external;
	const json_t *route;
	const char *name;

	if (endpoint_parse(key, &external) < 0 ||
	    (request->external_port != 0 && request->name_count > 0 &&
	     request->external_port != external.port))
		return;
	json_object_foreach(routes, name, route)
		if (is_chosen(removal->m, key, name, route) &&
		    json_array_append_new(removal->chosen, json_pack("[s, s]", key, name)) < 0)
			removal->result = -ENOMEM;
}

/* That there is nothing to remove is as good. */
int mapping_remove_names(struct mapping *m)
{
	struct removal removal = { .m = m, .chosen = json_array() };
	const json_t *one;
	size_t i;
	int r;

	if (!removal.chosen)
		return -ENOMEM;
	forward_index_each_shared(m->job->tunnel->index, collect, &removal);
	r = removal.result;
	json_array_foreach(removal.chosen, i, one)
		if (r == 0)
			r = mapping_release_route(m->job, json_string_value(json_array_get(one, 0)),
						  json_string_value(json_array_get(one, 1)),
						  m->fault);
	json_decref(removal.chosen);
	return r < 0 ? r : MAPPING_DONE;
}

static int prepare_route(json_t *routes, const char *name, json_t *route,
			 const struct lease_clock *now)
{
	const json_t *lease = json_object_get(route, "lease");

	if (!mapping_is_automatic(route) || !json_is_object(lease))
		return 0;
	if (lease_left(lease, now) == 0 && mapping_is_enabled(route))
		return json_object_del(routes, name);
	if (lease_left(lease, now) > 0 && !lease_is_foreign(lease, now))
		return 0;
	return json_object_set_new(route, "lease", lease_rebased(lease, now)) < 0 ? -ENOMEM : 0;
}

int mapping_prepare_routes(json_t *all, const char *key, json_t *entry,
			   const struct lease_clock *now)
{
	json_t *routes = json_object_get(entry, "routes"), *route;
	const char *name;
	void *next;
	int r = 0;

	json_object_foreach_safe(routes, next, name, route)
		if (r == 0)
			r = prepare_route(routes, name, route, now);
	if (r == 0 && json_object_size(routes) == 0)
		r = json_object_del(all, key);
	return r;
}
