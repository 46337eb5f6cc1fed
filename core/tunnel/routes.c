#include "tunnel/routes.h"

#include "base/log.h"
#include "base/map.h"
#include "codec/pointer.h"
#include "document/wan.h"
#include "tunnel/job.h"

/* An entry of the document that is served. */
struct relayed_port {
	struct list node; /* of all, or of those that are gone */
	struct routes *routes;
	char source[IP_TEXT_MAX];
	enum demux_port_kind kind;
	struct endpoint external;
	struct demux_port *demux;
	json_t *names; /* that it was told, as members */
	bool binding; /* start-netd is asked for `asked` */
	bool listening; /* on `bound` */
	bool gone; /* but start-netd still owes an answer */
	int stream; /* bound, while the socket for datagrams is asked for; or negative */
	struct endpoint asked;
	struct endpoint bound;
	char *problem; /* or NULL */
};

/* Who waits for a port to be bound. */
struct waiter {
	struct list node;
	char source[IP_TEXT_MAX];
	routes_settled settled;
	void *context;
};

struct routes {
	struct tunnel *tunnel;
	struct demux *demux; /* NULL: nothing was routed yet, or there is no channel */
	bool asking; /* for the channel */
	char *problem; /* why there is none, or NULL */
	struct store_subscription *forwards;
	struct store_subscription *forwards6;
	struct store_subscription *addresses;
	struct map by_source;
	struct list ports;
	struct list gone;
	struct list waiters;
	uv_timer_t retry;
	bool stopped;
};

/* --- listening --- */

static void follow_listener(struct relayed_port *port);

static void settle(struct routes *routes);

static void drop_port(struct routes *routes, struct relayed_port *port);

static void try_again_later(struct routes *routes);

/* Logged when it is new, not each time that it is met. */
static void note_problem(struct routes *routes, char **problem, const char *about, const char *text)
{
	text = text ? text : "out of memory";
	if (!*problem || strcmp(*problem, text) != 0) {
		log_error("%s cannot be served, trying again every %d s: %s", about, ROUTES_RETRY_S,
			  text);
		free(*problem);
		*problem = strdup(text);
	}
	try_again_later(routes);
}

static void note_errno(struct relayed_port *port, const char *what, int error)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	char text[IP_TEXT_MAX];

	(void)fault_set_errno(&fault, error, FAULT_NETWORK, "%s %s", what,
			      endpoint_format(&port->asked, text));
	note_problem(port->routes, &port->problem, port->source, fault.details);
}

/* Most likely of memory: some is left away for now. */
static void be_short(struct routes *routes, const char *source, const char *what, int error)
{
	log_error("%s of %s cannot be served, trying again every %d s: %s", what, source,
		  ROUTES_RETRY_S, strerror(-error));
	try_again_later(routes);
}

static bool same_endpoint(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && ip_equal(&a->address, &b->address);
}

/* Where packets for the external address come to. */
static struct endpoint wanted_endpoint(const struct relayed_port *port)
{
	struct endpoint wanted = port->external;
	struct wan_addresses addresses;

	if (wanted.address.family == AF_INET6) /* as it comes */
		return wanted;
	wan_addresses(store_document(port->routes->tunnel->store), &addresses);
	wanted.address = ip_from_v4(wan_local(&addresses, ip_to_v4(&wanted.address)));
	return wanted;
}

/* Both sockets of a plain port are asked for anew. */
static void drop_stream(struct relayed_port *port)
{
	if (port->stream >= 0)
		(void)close(TAKE_FD(port->stream));
}

static void free_port(struct relayed_port *port)
{
	drop_stream(port);
	list_remove(&port->node);
	(void)demux_port_free(port->demux);
	json_decref(port->names);
	free(port->problem);
	free(port);
}

/* Takes @fd: the last of the port's sockets. The port may be gone after this. */
static void serve(struct relayed_port *port, int fd)
{
	bool plain = port->kind == DEMUX_PLAIN;
	char text[IP_TEXT_MAX];
	int r = demux_port_listen(port->demux, plain ? TAKE_FD(port->stream) : fd);

	if (r < 0) {
		if (plain)
			(void)close(fd);
		note_errno(port, "listening on", r);
		return;
	}
	r = plain ? demux_port_datagrams(port->demux, fd) : 0;
	if (r < 0) { /* the other one is in use: both are made anew */
		be_short(port->routes, port->source, "UDP", r);
		drop_port(port->routes, port);
		return;
	}
	port->listening = true;
	port->bound = port->asked;
	free(TAKE_PTR(port->problem));
	log_info("%s is %s", endpoint_format(&port->bound, text),
		 port->kind == DEMUX_SHARED ? "shared by host name"
					    : "relayed by the PROXY protocol");
}

static void on_port_bound(void *context, const struct fault *fault, int fd);

/* Asks for the next socket: first for connections, and of a plain port then for datagrams. */
static void ask_socket(struct relayed_port *port)
{
	const struct netd_bind wanted = { .kind = port->stream >= 0 ? NETD_UDP : NETD_TCP,
					  .endpoint = port->asked };
	int r = netd_client_bind(port->routes->tunnel->netd, &wanted, on_port_bound, port);

	port->binding = r == 0;
	if (r == 0)
		return;
	drop_stream(port);
	note_errno(port, "asking start-netd to bind", r);
}

static void on_port_bound(void *context, const struct fault *fault, int fd)
{
	struct relayed_port *port = context;
	struct routes *routes = port->routes;
	struct endpoint wanted;

	port->binding = false;
	if (port->gone || routes->stopped) {
		if (fd >= 0)
			(void)close(fd);
		if (port->gone)
			free_port(port);
		return;
	}
	wanted = wanted_endpoint(port);
	if (!same_endpoint(&wanted, &port->asked)) {
		if (fd >= 0)
			(void)close(fd);
		drop_stream(port);
		follow_listener(port);
	} else if (port->kind == DEMUX_PLAIN && port->stream < 0 && !fault) {
		port->stream = fd;
		ask_socket(port);
	} else if (fault) {
		drop_stream(port);
		note_problem(port->routes, &port->problem, port->source, fault->details);
	} else {
		serve(port, fd);
	}
	settle(routes);
}

static void follow_listener(struct relayed_port *port)
{
	const struct endpoint wanted = wanted_endpoint(port);

	if (port->binding) /* then it is looked at again */
		return;
	if (port->listening && same_endpoint(&port->bound, &wanted)) {
		free(TAKE_PTR(port->problem));
		return;
	}
	port->asked = wanted;
	ask_socket(port);
}

/* --- names --- */

static const json_t *entry_of(const struct routes *routes, const char *source)
{
	return json_object_get(json_object_get(store_document(routes->tunnel->store),
					       document_is_forward6(source) ? DOCUMENT_FORWARDS6
									    : "portForwards"),
			       source);
}

static bool is_enabled(const json_t *entry)
{
	return json_is_true(json_object_get(entry, "enabled"));
}

/* Whether anything of an entry is to be served. */
static bool is_wanted(const json_t *entry)
{
	json_t *routes = json_object_get(entry, "routes");
	const json_t *route;
	const char *name;

	json_object_foreach(routes, name, route)
		if (is_enabled(route))
			return true;
	return !routes && document_is_relayed(entry) && is_enabled(entry);
}

/* {name: entry} of what is to be served. Returns 0 or -ENOMEM. */
static int wanted_names(const json_t *entry, json_t **ret)
{
	json_t *routes = json_object_get(entry, "routes"), *names = json_object(), *route;
	const char *name;
	int r = names ? 0 : -ENOMEM;

	if (r == 0 && !routes && is_wanted(entry))
		r = json_object_set(names, DEMUX_ANY, (json_t *)entry);
	json_object_foreach(routes, name, route)
		if (r == 0 && is_enabled(route))
			r = json_object_set(names, name, route);
	if (r == 0)
		*ret = names;
	else
		json_decref(names);
	return r == 0 ? 0 : -ENOMEM;
}

static bool read_target(const struct relayed_port *port, const json_t *entry,
			struct demux_target *ret)
{
	const char *target = json_string_value(json_object_get(entry, "target"));

	*ret = (struct demux_target){ .proxy = json_is_true(json_object_get(entry, DOCUMENT_PROXY)),
				      .external = port->external };
	return target && endpoint_parse(target, &ret->device) == 0;
}

/* What does not succeed is tried again. */
static void put_name(struct relayed_port *port, const char *name, const json_t *entry)
{
	struct demux_target target;
	int r = read_target(port, entry, &target) ? demux_port_put(port->demux, name, &target)
						  : -EINVAL;

	if (r < 0)
		be_short(port->routes, port->source, name, r);
}

/* Tells the demultiplexer of one name. @entry: NULL: it is not to be served. */
static void tell_name(struct relayed_port *port, const char *name, const json_t *entry)
{
	if (!entry) {
		if (json_object_del(port->names, name) == 0)
			demux_port_remove(port->demux, name);
		return;
	}
	if (json_object_set(port->names, name, (json_t *)entry) == 0)
		put_name(port, name, entry);
	else
		be_short(port->routes, port->source, name, -ENOMEM);
}

/* Tells the demultiplexer what is different. Takes @wanted. */
static void tell_names(struct relayed_port *port, json_t *wanted)
{
	const json_t *entry;
	const char *name;

	json_object_foreach(port->names, name, entry)
		if (!json_object_get(wanted, name))
			demux_port_remove(port->demux, name);
	json_object_foreach(wanted, name, entry)
		put_name(port, name, entry);
	json_decref(port->names);
	port->names = wanted;
}

static struct relayed_port *make_port(struct routes *routes, const char *source,
				      enum demux_port_kind kind)
{
	struct relayed_port *port = calloc(1, sizeof(*port));

	if (!port)
		return NULL;
	port->routes = routes;
	port->kind = kind;
	port->stream = -EBADF;
	list_init(&port->node);
	(void)snprintf(port->source, sizeof(port->source), "%s", source);
	if (endpoint_parse(source, &port->external) == 0 &&
	    demux_port_new(routes->demux, kind, &port->demux) == 0 &&
	    map_set(&routes->by_source, source, strlen(source), port, NULL) == 0) {
		list_append(&routes->ports, &port->node);
		return port;
	}
	free_port(port);
	return NULL;
}

static void drop_port(struct routes *routes, struct relayed_port *port)
{
	(void)map_remove(&routes->by_source, port->source, strlen(port->source));
	if (!port->binding) {
		free_port(port);
		return;
	}
	port->gone = true;
	list_remove(&port->node);
	list_append(&routes->gone, &port->node);
	port->demux = demux_port_free(port->demux);
}

static void ask_channel(struct routes *routes);

/* An entry of which anything is wanted. */
static void follow_wanted(struct routes *routes, const char *source, enum demux_port_kind kind,
			  const json_t *entry)
{
	struct relayed_port *port = map_get(&routes->by_source, source, strlen(source));
	json_t *wanted = NULL;

	if (!port)
		port = make_port(routes, source, kind);
	if (!port || wanted_names(entry, &wanted) < 0) {
		be_short(routes, source, "all", -ENOMEM);
		return;
	}
	tell_names(port, wanted);
	follow_listener(port);
}

static void follow_entry(struct routes *routes, const char *source)
{
	struct relayed_port *port = map_get(&routes->by_source, source, strlen(source));
	const json_t *entry = entry_of(routes, source);
	enum demux_port_kind kind = json_object_get(entry, "routes") ? DEMUX_SHARED : DEMUX_PLAIN;
	bool wanted = is_wanted(entry);

	if (port && (!wanted || port->kind != kind))
		drop_port(routes, port);
	if (wanted && routes->demux)
		follow_wanted(routes, source, kind, entry);
	else if (wanted)
		ask_channel(routes);
}

/* One name of an entry. The others are as they were, and are not looked at: there may be thousands. */
static void follow_name(struct routes *routes, const char *source, const char *name)
{
	struct relayed_port *port = map_get(&routes->by_source, source, strlen(source));
	const json_t *all = json_object_get(entry_of(routes, source), "routes");
	const json_t *route = json_object_get(all, name);

	if (!port && !is_enabled(route))
		return;
	if (!port && !routes->demux) {
		ask_channel(routes);
		return;
	}
	if (!port || port->kind != DEMUX_SHARED || !all) {
		follow_entry(routes, source);
		return;
	}
	tell_name(port, name, is_enabled(route) ? route : NULL);
	if (json_object_size(port->names) == 0)
		drop_port(routes, port);
	else
		follow_listener(port);
}

/* --- who waits --- */

/* Whether it is known if the port of an entry is bound, or that there is none to bind. */
static bool is_settled(const struct routes *routes, const char *source, bool *ret_bound)
{
	const struct relayed_port *port = map_get(&routes->by_source, source, strlen(source));
	struct endpoint wanted;

	if (port) {
		wanted = wanted_endpoint(port);
		*ret_bound = port->listening && same_endpoint(&port->bound, &wanted);
		return *ret_bound || !port->binding;
	}
	*ret_bound = !is_wanted(entry_of(routes, source));
	return *ret_bound || !routes->asking;
}

/* The head is looked for anew after each call, which may do anything. */
static struct waiter *find_settled(const struct routes *routes, bool *ret_bound)
{
	for (struct list *node = routes->waiters.next; node != &routes->waiters;
	     node = node->next) {
		struct waiter *waiter = container_of(node, struct waiter, node);

		if (is_settled(routes, waiter->source, ret_bound))
			return waiter;
	}
	return NULL;
}

static void settle(struct routes *routes)
{
	struct waiter *waiter;
	bool bound;

	while ((waiter = find_settled(routes, &bound))) {
		list_remove(&waiter->node);
		waiter->settled(waiter->context, bound);
		free(waiter);
	}
}

bool routes_failed(const struct routes *routes, const char *source)
{
	const struct relayed_port *port =
		routes ? map_get(&routes->by_source, source, strlen(source)) : NULL;

	return port ? port->problem && !port->listening
		    : routes && !routes->demux && routes->problem;
}

int routes_await(struct routes *routes, const char *source, routes_settled settled, void *context)
{
	struct waiter *waiter;
	bool bound = true;

	if (!routes || is_settled(routes, source, &bound)) {
		settled(context, bound);
		return 0;
	}
	waiter = malloc(sizeof(*waiter));
	if (!waiter)
		return -ENOMEM;
	*waiter = (struct waiter){ .settled = settled, .context = context };
	(void)snprintf(waiter->source, sizeof(waiter->source), "%s", source);
	list_append(&routes->waiters, &waiter->node);
	return 0;
}

/* --- the whole --- */

static void follow_member(struct routes *routes, const char *member)
{
	json_t *all = json_object_get(store_document(routes->tunnel->store), member);
	const json_t *entry;
	const char *source;

	json_object_foreach(all, source, entry)
		if (document_is_relayed(entry))
			follow_entry(routes, source);
}

static void follow_all(struct routes *routes)
{
	list_foreach(node, &routes->ports) {
		struct relayed_port *port = container_of(node, struct relayed_port, node);

		if (!document_is_relayed(entry_of(routes, port->source)))
			drop_port(routes, port);
	}
	follow_member(routes, "portForwards");
	follow_member(routes, DOCUMENT_FORWARDS6);
	settle(routes);
}

static void on_channel(void *context, const struct fault *fault, int fd)
{
	struct routes *routes = context;
	CLEANUP(fault_done) struct fault inner = { 0 };
	int r;

	routes->asking = false;
	if (!fault) {
		r = demux_new(fd, NET_LINK_NAME, &routes->demux);
		if (r < 0)
			(void)fault_set_errno(&inner, r, FAULT_NETWORK,
					      "starting the demultiplexer");
	}
	if (!fault && routes->demux) {
		free(TAKE_PTR(routes->problem));
		follow_all(routes);
		return;
	}
	fault = fault ? fault : &inner;
	note_problem(routes, &routes->problem, "no port", fault->details);
	settle(routes);
}

static void ask_channel(struct routes *routes)
{
	int r;

	if (routes->asking)
		return;
	r = netd_client_transparent(routes->tunnel->netd, on_channel, routes);
	routes->asking = r == 0;
	if (r < 0)
		note_problem(routes, &routes->problem, "no port", strerror(-r));
}

static void on_retry(uv_timer_t *timer)
{
	follow_all(container_of(timer, struct routes, retry));
}

static void try_again_later(struct routes *routes)
{
	(void)uv_timer_start(&routes->retry, on_retry, ROUTES_RETRY_S * 1000, 0);
}

void routes_let_go(struct routes *routes, const char *source)
{
	struct relayed_port *port = routes ? map_get(&routes->by_source, source, strlen(source))
					   : NULL;

	if (!port || port->kind != DEMUX_PLAIN)
		return;
	drop_port(routes, port);
	try_again_later(routes);
}

/* Copies a token of a path, which needs no unescaping: an entry's key, a host name. False: it is too long. */
static bool read_token(const char *path, char *to, size_t to_size)
{
	size_t size = strcspn(path, "/");

	if (size >= to_size)
		return false;
	memcpy(to, path, size);
	to[size] = '\0';
	return true;
}

/* A path of a patch. False: it says nothing of one entry alone. */
static bool follow_path(struct routes *routes, const char *path)
{
	static const char below[] = "/routes/";
	char source[IP_TEXT_MAX], name[DOCUMENT_ROUTE_NAME_MAX];
	const char *rest;

	if (!path || path[0] != '/' || !read_token(path + 1, source, sizeof(source)))
		return false;
	rest = path + 1 + strlen(source);
	if (strncmp(rest, below, strlen(below)) != 0)
		follow_entry(routes, source);
	else if (read_token(rest + strlen(below), name, sizeof(name)))
		follow_name(routes, source, name);
	else
		return false;
	return true;
}

static void on_forwards(void *context, uint64_t revision, const json_t *patch)
{
	struct routes *routes = context;
	const json_t *operation;
	bool whole = !patch;
	size_t i;

	json_array_foreach(patch, i, operation)
		if (!whole)
			whole = !follow_path(routes,
					     json_string_value(json_object_get(operation, "path")));
	if (whole)
		follow_all(routes);
	else
		settle(routes);
}

static void on_addresses(void *context, uint64_t revision, const json_t *patch)
{
	follow_all(context);
}

int routes_new(struct tunnel *tunnel, struct routes **ret)
{
	struct routes *routes = calloc(1, sizeof(*routes));
	int r;

	if (!routes)
		return -ENOMEM;
	routes->tunnel = tunnel;
	list_init(&routes->ports);
	list_init(&routes->gone);
	list_init(&routes->waiters);
	(void)uv_timer_init(tunnel->loop, &routes->retry);
	r = store_subscribe(tunnel->store, "/portForwards", on_forwards, routes, &routes->forwards);
	if (r == 0)
		r = store_subscribe(tunnel->store, "/" DOCUMENT_FORWARDS6, on_forwards, routes,
				    &routes->forwards6);
	if (r == 0)
		r = store_subscribe(tunnel->store, "/gateways", on_addresses, routes,
				    &routes->addresses);
	if (r < 0) {
		(void)routes_free(routes);
		return r;
	}
	follow_all(routes);
	*ret = routes;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	free(container_of(handle, struct routes, retry));
}

/* Start-netd is not heard any more after this: what it still owes is not waited for. */
struct routes *routes_free(struct routes *routes)
{
	if (!routes)
		return NULL;
	routes->stopped = true;
	if (routes->forwards)
		(void)store_unsubscribe(routes->forwards);
	if (routes->forwards6)
		(void)store_unsubscribe(routes->forwards6);
	if (routes->addresses)
		(void)store_unsubscribe(routes->addresses);
	list_foreach(node, &routes->ports)
		free_port(container_of(node, struct relayed_port, node));
	list_foreach(node, &routes->gone)
		free_port(container_of(node, struct relayed_port, node));
	list_foreach(node, &routes->waiters)
		free(container_of(node, struct waiter, node));
	map_done(&routes->by_source);
	(void)demux_free(routes->demux);
	free(routes->problem);
	uv_close((uv_handle_t *)&routes->retry, on_closed);
	return NULL;
}

/* --- status --- */

enum routes_state routes_traffic(const struct routes *routes, const char *source, const char *name,
				 struct demux_traffic *ret)
{
	const struct relayed_port *port =
		routes ? map_get(&routes->by_source, source, strlen(source)) : NULL;

	if (!port || !demux_port_traffic(port->demux, name, ret))
		*ret = (struct demux_traffic){ 0 };
	return port && port->listening ? ROUTES_SERVED : ROUTES_UNBOUND;
}

static const char *first_problem(const struct routes *routes)
{
	if (routes->problem)
		return routes->problem;
	for (const struct list *node = routes->ports.next; node != &routes->ports;
	     node = node->next) {
		const struct relayed_port *port =
			container_of(node, const struct relayed_port, node);

		if (port->problem)
			return port->problem;
	}
	return NULL;
}

json_t *routes_status(const struct routes *routes)
{
	struct demux_stats stats = { 0 };

	if (routes && routes->demux)
		demux_stats(routes->demux, &stats);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:s?}", "connections",
			 (json_int_t)stats.connections, "accepted", (json_int_t)stats.accepted,
			 "unknown", (json_int_t)stats.unknown, "refused", (json_int_t)stats.refused,
			 "failed", (json_int_t)stats.failed, "problem",
			 routes ? first_problem(routes) : NULL);
}
