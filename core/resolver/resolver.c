#include "resolver/resolver.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "resolver/resolver_internal.h"

#define PORT 53

/* A request to start-netd. */
struct binding {
	struct list node;
	struct proxy *proxy;
	uint8_t kind; /* enum netd_socket_kind */
	unsigned family;
	struct ip_address address;
	unsigned link; /* the interface that was there when it was asked */
};

struct proxy *proxy_ref(struct proxy *proxy)
{
	proxy->refs++;
	return proxy;
}

void proxy_unref(struct proxy *proxy)
{
	if (--proxy->refs == 0)
		free(proxy);
}

uint32_t proxy_device(const struct proxy *proxy, const struct ip_address *from)
{
	static const uint8_t zero[4];
	const struct resolver_subnet *subnet = &proxy->subnet;
	uint32_t mask = ip_v4_mask(subnet->prefix), host;

	if (from->family == AF_INET)
		return ip_to_v4(from);
	host = (uint32_t)from->bytes[12] << 24 | (uint32_t)from->bytes[13] << 16 |
	       (uint32_t)from->bytes[14] << 8 | from->bytes[15];
	if (subnet->address6.family == 0 || (host & mask) != 0 ||
	    memcmp(from->bytes, subnet->address6.bytes, 8) != 0 ||
	    memcmp(from->bytes + 8, zero, sizeof(zero)) != 0)
		return 0;
	return (subnet->address & mask) | host;
}

/* --- binding --- */

static void follow(struct resolver *resolver);

static void on_retry(uv_timer_t *timer)
{
	follow(container_of(timer, struct resolver, retry));
}

/* The first one is logged, not each time that it is met again, for each subnet. */
static void note_problem(struct resolver *resolver, const char *problem)
{
	if (!resolver->problem) {
		log_error("DNS cannot be served everywhere, trying again every %d s: %s",
			  RESOLVER_RETRY_S, problem);
		resolver->problem = strdup(problem);
	}
	if (!uv_is_active((uv_handle_t *)&resolver->retry))
		(void)uv_timer_start(&resolver->retry, on_retry, RESOLVER_RETRY_S * 1000, 0);
}

static bool is_served(const struct proxy *proxy)
{
	return proxy->udp[FAMILY_V4] && proxy->tcp[FAMILY_V4] &&
	       (proxy->subnet.address6.family == 0 ||
		(proxy->udp[FAMILY_V6] && proxy->tcp[FAMILY_V6]));
}

static void forget_problem(struct resolver *resolver)
{
	list_foreach(node, &resolver->proxies)
		if (!is_served(container_of(node, struct proxy, node)))
			return;
	free(TAKE_PTR(resolver->problem));
	(void)uv_timer_stop(&resolver->retry);
}

static void take_socket(struct proxy *proxy, uint8_t kind, unsigned family, int fd)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	int r = kind == NETD_UDP ? udp_server_new(proxy, family, fd)
				 : tcp_server_new(proxy, family, fd);

	if (r == 0) {
		forget_problem(proxy->resolver);
		return;
	}
	(void)fault_set_errno(&fault, r, FAULT_NETWORK, "serving DNS");
	note_problem(proxy->resolver, fault.details ? fault.details : "out of memory");
}

static struct ip_address address_of(const struct proxy *proxy, unsigned family)
{
	return family == FAMILY_V6 ? proxy->subnet.address6 : ip_from_v4(proxy->subnet.address);
}

static void on_bound(void *context, const struct fault *fault, int fd)
{
	struct binding *binding = context;
	struct proxy *proxy = binding->proxy;
	struct resolver *resolver = proxy->resolver;
	const struct ip_address wanted = address_of(proxy, binding->family);
	bool stale = proxy->closed || binding->link != resolver->link ||
		     !ip_equal(&binding->address, &wanted);

	list_remove(&binding->node);
	proxy->binding[binding->family] &= ~(1U << binding->kind);
	if (fd >= 0 && stale)
		(void)close(fd);
	else if (fd >= 0)
		take_socket(proxy, binding->kind, binding->family, fd);
	else if (!stale)
		note_problem(resolver, fault->details ? fault->details : "out of memory");
	if (stale && !proxy->closed)
		follow(resolver);
	proxy_unref(proxy);
	free(binding);
}

static int ask_to_bind(struct proxy *proxy, uint8_t kind, unsigned family)
{
	struct resolver *resolver = proxy->resolver;
	const struct netd_bind wanted = { .kind = kind,
					  .flags = NETD_BIND_TUNNEL,
					  .endpoint = { .address = address_of(proxy, family),
							.port = PORT } };
	struct binding *binding;
	int r;

	if (wanted.endpoint.address.family == 0 || (proxy->binding[family] & 1U << kind))
		return 0;
	binding = calloc(1, sizeof(*binding));
	if (!binding)
		return -ENOMEM;
	r = netd_client_bind(resolver->options.netd, &wanted, on_bound, binding);
	if (r < 0) {
		free(binding);
		return r;
	}
	*binding = (struct binding){ .proxy = proxy_ref(proxy),
				     .kind = kind,
				     .family = family,
				     .address = wanted.endpoint.address,
				     .link = resolver->link };
	list_append(&resolver->bindings, &binding->node);
	proxy->binding[family] |= 1U << kind;
	return 0;
}

/* Asks for the sockets that are missing. Without an interface there is nothing to bind to: it will be told
 * when there is one. */
static void follow(struct resolver *resolver)
{
	int r = 0;

	if (resolver->freed || resolver->link == 0)
		return;
	list_foreach(node, &resolver->proxies) {
		struct proxy *proxy = container_of(node, struct proxy, node);

		for (unsigned family = 0; family < FAMILIES; family++) {
			if (!proxy->udp[family] && r == 0)
				r = ask_to_bind(proxy, NETD_UDP, family);
			if (!proxy->tcp[family] && r == 0)
				r = ask_to_bind(proxy, NETD_TCP, family);
		}
	}
	if (r < 0)
		note_problem(resolver, "start-netd cannot be asked to bind now");
}

static void close_family(struct proxy *proxy, unsigned family)
{
	if (proxy->udp[family])
		udp_server_close(proxy->udp[family]);
	if (proxy->tcp[family])
		tcp_server_close(proxy->tcp[family]);
}

static void close_sockets(struct proxy *proxy)
{
	close_family(proxy, FAMILY_V4);
	close_family(proxy, FAMILY_V6);
}

void resolver_follow_link(struct resolver *resolver)
{
	unsigned link = if_nametoindex(resolver->options.link);

	if (link == resolver->link) {
		follow(resolver); /* an address may have become free */
		return;
	}
	resolver->link = link;
	list_foreach(node, &resolver->proxies)
		close_sockets(container_of(node, struct proxy, node));
	tcp_close_all(resolver, NULL);
	follow(resolver);
}

/* --- subnets --- */

static struct proxy *find_proxy(struct resolver *resolver, const struct resolver_subnet *subnet)
{
	list_foreach(node, &resolver->proxies) {
		struct proxy *proxy = container_of(node, struct proxy, node);

		if (proxy->subnet.address == subnet->address &&
		    proxy->subnet.prefix == subnet->prefix)
			return proxy;
	}
	return NULL;
}

static void close_proxy(struct proxy *proxy)
{
	proxy->closed = true;
	list_remove(&proxy->node);
	close_sockets(proxy);
	tcp_close_all(proxy->resolver, proxy);
	proxy_unref(proxy);
}

static int add_proxy(struct resolver *resolver, const struct resolver_subnet *subnet)
{
	struct proxy *proxy = calloc(1, sizeof(*proxy));

	if (!proxy)
		return -ENOMEM;
	*proxy = (struct proxy){ .resolver = resolver, .refs = 1, .subnet = *subnet };
	list_append(&resolver->proxies, &proxy->node);
	return 0;
}

static bool same_servers(const struct resolver_subnet *a, const struct resolver_subnet *b)
{
	bool same = a->own == b->own && a->device == b->device &&
		    a->servers.count == b->servers.count;

	for (size_t i = 0; i < a->servers.count && same; i++)
		same = a->servers.list[i].port == b->servers.list[i].port &&
		       a->servers.list[i].scope_id == b->servers.list[i].scope_id &&
		       ip_equal(&a->servers.list[i].address, &b->servers.list[i].address);
	return same;
}

/* What another server said is not true any more, perhaps. */
static void update_proxy(struct proxy *proxy, const struct resolver_subnet *subnet)
{
	if (!ip_equal(&proxy->subnet.address6, &subnet->address6)) {
		close_family(proxy, FAMILY_V6);
		tcp_close_v6(proxy);
		proxy->subnet.address6 = subnet->address6;
	}
	if (same_servers(&proxy->subnet, subnet))
		return;
	proxy->subnet = *subnet;
	dns_cache_clear(proxy->resolver->cache);
}

int resolver_set_subnets(struct resolver *resolver, const struct resolver_subnet *subnets,
			 size_t count)
{
	int r = 0;

	list_foreach(node, &resolver->proxies) {
		struct proxy *proxy = container_of(node, struct proxy, node);
		bool stays = false;

		for (size_t i = 0; i < count; i++)
			stays |= subnets[i].address == proxy->subnet.address &&
				 subnets[i].prefix == proxy->subnet.prefix;
		if (!stays)
			close_proxy(proxy);
	}
	for (size_t i = 0; i < count && r == 0; i++) {
		struct proxy *proxy = find_proxy(resolver, &subnets[i]);

		if (proxy)
			update_proxy(proxy, &subnets[i]);
		else
			r = add_proxy(resolver, &subnets[i]);
	}
	forget_problem(resolver);
	follow(resolver);
	return r;
}

/* --- life --- */

struct dns_records *resolver_records(struct resolver *resolver)
{
	return resolver->records;
}

const char *resolver_problem(const struct resolver *resolver)
{
	return resolver->problem;
}

int resolver_new(const struct resolver_options *options, struct resolver **ret)
{
	struct resolver *resolver = calloc(1, sizeof(*resolver));
	int r;

	if (!resolver)
		return -ENOMEM;
	resolver->options = *options;
	list_init(&resolver->proxies);
	list_init(&resolver->bindings);
	list_init(&resolver->connections);
	(void)uv_timer_init(options->loop, &resolver->retry);
	resolver->link = if_nametoindex(options->link);
	r = dns_records_new(&resolver->records);
	if (r == 0)
		r = dns_cache_new(&resolver->cache);
	if (r == 0)
		r = device_limits_new(&resolver->limits);
	if (r == 0)
		r = upstream_new(resolver);
	if (r == 0)
		r = conf_watch_new(resolver);
	if (r < 0) {
		(void)resolver_free(resolver);
		return r;
	}
	*ret = resolver;
	return 0;
}

static void on_retry_closed(uv_handle_t *handle)
{
	struct resolver *resolver = container_of(handle, struct resolver, retry);

	(void)dns_records_free(resolver->records);
	(void)dns_cache_free(resolver->cache);
	(void)device_limits_free(resolver->limits);
	udp_buffers_free(resolver->buffers);
	free(resolver->problem);
	free(resolver);
}

struct resolver *resolver_free(struct resolver *resolver)
{
	if (!resolver)
		return NULL;
	resolver->freed = true;
	list_foreach(node, &resolver->proxies)
		close_proxy(container_of(node, struct proxy, node));
	tcp_close_all(resolver, NULL);
	if (resolver->upstream)
		upstream_free(resolver->upstream);
	if (resolver->watch)
		conf_watch_free(resolver->watch);
	list_foreach(node, &resolver->bindings) {
		struct binding *binding = container_of(node, struct binding, node);

		proxy_unref(binding->proxy);
		free(binding);
	}
	uv_close((uv_handle_t *)&resolver->retry, on_retry_closed);
	return NULL;
}
