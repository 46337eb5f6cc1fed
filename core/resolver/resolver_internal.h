/*
 * What the files of this folder share
 */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "dns/cache.h"
#include "dns/exchange.h"
#include "resolver/device_limits.h"
#include "resolver/resolver.h"

#define DOWN_MAX 16

/* Sockets of a subnet: one of each kind for each family. */
enum { FAMILY_V4, FAMILY_V6, FAMILIES };

struct conf_watch;
struct udp_server;
struct tcp_server;
struct upstream;

struct resolver {
	struct resolver_options options;
	struct list proxies;
	struct list bindings; /* asked of start-netd */
	struct dns_records *records;
	struct dns_cache *cache;
	struct device_limits *limits;
	struct resolver_servers machine; /* its own servers, as resolv.conf has them */
	struct conf_watch *watch;
	struct upstream *upstream;
	struct udp_buffers *buffers; /* of all UDP servers, made with the first packet */
	struct list connections;
	size_t connection_count;
	size_t update_count;
	unsigned link; /* index of the interface that sockets are bound to */
	uv_timer_t retry;
	char *problem;
	bool freed;
};

/* The service of one subnet. Counted: its sockets and clients hold on to it. */
struct proxy {
	struct list node;
	struct resolver *resolver;
	unsigned refs;
	bool closed; /* out of service; what waits for an answer gets none */
	struct resolver_subnet subnet;
	struct udp_server *udp[FAMILIES]; /* NULL: not bound */
	struct tcp_server *tcp[FAMILIES];
	unsigned binding[FAMILIES]; /* requests under way, a bit for each kind */
};

struct proxy *proxy_ref(struct proxy *proxy);
void proxy_unref(struct proxy *proxy);

/* The device that has an address in the subnet, by its IPv4 address; 0: none can have it. */
uint32_t proxy_device(const struct proxy *proxy, const struct ip_address *from);

/* A client that is to get an answer. Holds on to its proxy, and to the connection. */
struct client {
	struct proxy *proxy;
	struct tcp_connection *tcp; /* NULL: over UDP */
	uint32_t address; /* of the device, by IPv4 */
	struct endpoint from; /* where the answer goes */
};

struct client client_ref(const struct client *client);
void client_unref(struct client *client);
void client_send(const struct client *client, const uint8_t *message, size_t size);
static inline size_t client_max(const struct client *client, const struct dns_query *query)
{
	return client->tcp ? DNS_MESSAGE_MAX : query->udp_max;
}

/*
 * Serves a message. Returns the size of an answer that is ready in @to, which has room for
 * SERVE_ANSWER_MAX bytes (over TCP DNS_MESSAGE_MAX), or 0: there is none, or it comes later.
 */
#define SERVE_ANSWER_MAX DNS_CACHE_ANSWER_MAX
size_t serve(const struct client *client, const uint8_t *message, size_t size, uint8_t *to);

/* Writes the answer to a query from what an upstream server or the cache said. Returns its size. */
size_t complete_answer(const struct client *client, const struct dns_query *query,
		       const uint8_t *query_bytes, const uint8_t *response, size_t size,
		       uint8_t *to, size_t capacity);

uint64_t now_ms(const struct resolver *resolver);

/* Servers that a client's questions go to, and the view of the cache that they have. */
const struct resolver_servers *servers_for(const struct client *client, uint32_t *ret_view);

/* udp.c; takes @fd, also on failure. */
int udp_server_new(struct proxy *proxy, unsigned family, int fd);
void udp_server_close(struct udp_server *udp);
void udp_server_send(struct udp_server *udp, const struct endpoint *to, const uint8_t *message,
		     size_t size);
void udp_buffers_free(struct udp_buffers *buffers);

/* tcp.c; the same. */
int tcp_server_new(struct proxy *proxy, unsigned family, int fd);
void tcp_server_close(struct tcp_server *tcp);
void tcp_connection_send(struct tcp_connection *connection, const uint8_t *message, size_t size);
struct tcp_connection *tcp_connection_ref(struct tcp_connection *connection);
void tcp_connection_unref(struct tcp_connection *connection);
void tcp_close_all(struct resolver *resolver, const struct proxy *proxy); /* NULL: of all */
void tcp_close_v6(const struct proxy *proxy);

/* upstream.c */
int upstream_new(struct resolver *resolver);
void upstream_free(struct upstream *upstream);

/* Has a name asked about for a client, who is answered later. Returns 0, or -EBUSY: too many questions. */
int upstream_ask(struct upstream *upstream, const struct client *client,
		 const struct dns_query *query, const uint8_t *query_bytes,
		 const struct dns_name *name);

/* conf_watch.c: reads the machine's servers now and whenever the files change. */
int conf_watch_new(struct resolver *resolver);
void conf_watch_free(struct conf_watch *watch);
