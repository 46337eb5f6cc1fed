/*
 * UDP of plain ports. A client is a flow, with a socket of its own to the device: so what comes back is known
 * to be for it. Each datagram to the device begins with a header, because any may be the first that arrives;
 * what the device sends goes to the client as it is. Flows end when nothing was said for a while: those that the
 * device never answered soon, and they also make room for others, so that a flood from made-up addresses leaves
 * those alone that are in use.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "demux/demux_internal.h"
#include "proxy/proxy_header.h"

#define DATAGRAM_MAX 65535
#define BURST 64 /* datagrams of one socket in a round */

static uint8_t bytes[DATAGRAM_MAX]; /* of the one that is on its way */

static const uint64_t allowed_ns[FLOW_STATES] = {
	[FLOW_NEW] = DEMUX_FLOW_NEW_S * NS_PER_S,
	[FLOW_ANSWERED] = DEMUX_FLOW_S * NS_PER_S,
};

struct flow_key {
	const struct demux_port *port;
	struct ip_address address;
	uint16_t client_port;
};

/* Whole, with what is between the members: it is compared as bytes. */
static void make_key(struct flow_key *key, const struct demux_port *port,
		     const struct endpoint *client)
{
	memset(key, 0, sizeof(*key));
	key->port = port;
	key->address = client->address;
	key->client_port = client->port;
}

void datagram_init(struct demux *demux)
{
	for (size_t i = 0; i < FLOW_STATES; i++)
		list_init(&demux->flows[i]);
}

static struct flow *first_in(struct demux *demux, enum flow_state state)
{
	const struct list *head = &demux->flows[state];

	return list_empty(head) ? NULL : container_of(head->next, struct flow, node);
}

/* In each state all may be silent for as long, so the first in its list is the first whose time is over. */
static void touch(struct demux *demux, struct flow *flow)
{
	flow->deadline_ns = clock_monotonic_ns() + allowed_ns[flow->state];
	list_remove(&flow->node);
	list_append(&demux->flows[flow->state], &flow->node);
}

static void end_flow(struct demux *demux, struct flow *flow)
{
	struct flow_key key;

	if (flow->state == FLOW_DEAD)
		return;
	make_key(&key, flow->port, &flow->client);
	(void)map_remove(&demux->flow_map, &key, sizeof(key));
	(void)epoll_ctl(demux->epoll, EPOLL_CTL_DEL, flow->fd, NULL);
	(void)close(flow->fd);
	flow->from->flows--;
	relay_release_source(demux, flow->from);
	demux->flow_count--;
	list_remove(&flow->of_route);
	flow->state = FLOW_DEAD;
	list_remove(&flow->node);
	list_append(&demux->flows[FLOW_DEAD], &flow->node);
}

void datagram_bury(struct demux *demux)
{
	struct flow *flow;

	while ((flow = first_in(demux, FLOW_DEAD))) {
		list_remove(&flow->node);
		free(flow);
	}
}

void datagram_end_route(struct demux *demux, struct demux_route *route)
{
	list_foreach(node, &route->flows)
		end_flow(demux, container_of(node, struct flow, of_route));
}

void datagram_end_all(struct demux *demux)
{
	for (enum flow_state state = 0; state < FLOW_DEAD; state++)
		while (first_in(demux, state))
			end_flow(demux, first_in(demux, state));
	datagram_bury(demux);
}

uint64_t datagram_watch_time(struct demux *demux, uint64_t now_ns)
{
	uint64_t next_ns = UINT64_MAX;

	for (enum flow_state state = 0; state < FLOW_DEAD; state++) {
		struct flow *flow;

		while ((flow = first_in(demux, state)) && flow->deadline_ns <= now_ns)
			end_flow(demux, flow);
		if (flow && flow->deadline_ns < next_ns)
			next_ns = flow->deadline_ns;
	}
	return next_ns;
}

/* Whether there may be one more of this source. The oldest that the device never answered makes room. */
static bool has_room(struct demux *demux, const struct client_source *source)
{
	struct flow *oldest = first_in(demux, FLOW_NEW);

	if (source->flows >= DEMUX_SOURCE_FLOWS_MAX)
		return false;
	if (demux->flow_count < demux->flows_max)
		return true;
	if (!oldest || oldest->from == source)
		return false;
	end_flow(demux, oldest);
	return true;
}

static int open_socket(const struct demux *demux, const struct endpoint *device, int *ret)
{
	cleanup_close int fd = socket(device->address.family,
				      SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
	struct sockaddr_storage address;
	socklen_t size = endpoint_to_sockaddr(device, &address);

	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, demux->link, sizeof(demux->link)) < 0 ||
	    connect(fd, (const struct sockaddr *)&address, size) < 0)
		return -errno;
	*ret = TAKE_FD(fd);
	return 0;
}

/* The members that take effort; the flow is nowhere yet. Returns 0 or a negative errno. */
static int make_flow(struct demux *demux, struct demux_port *port, struct demux_route *route,
		     const struct endpoint *client, struct flow *flow)
{
	const struct proxy_header header = { .datagram = true,
					     .source = *client,
					     .destination = route->target.external.port
								    ? route->target.external
								    : port->datagram_address };
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = &flow->source };
	uint8_t written[PROXY_HEADER_MAX];
	struct flow_key key;
	ssize_t size = proxy_header_write(&header, written);
	int r = size < 0 ? (int)size : open_socket(demux, &route->target.device, &flow->fd);

	if (r < 0)
		return r;
	memcpy(flow->header, written, (size_t)size);
	flow->header_size = (size_t)size;
	make_key(&key, port, client);
	if (epoll_ctl(demux->epoll, EPOLL_CTL_ADD, flow->fd, &event) < 0)
		r = -errno;
	if (r == 0)
		r = map_set(&demux->flow_map, &key, sizeof(key), flow, NULL);
	if (r < 0) {
		(void)epoll_ctl(demux->epoll, EPOLL_CTL_DEL, flow->fd, NULL);
		(void)close(flow->fd);
	}
	return r;
}

/* A client's first datagram, or its first after a while. NULL: it is dropped. With the lock. */
static struct flow *begin_flow(struct demux *demux, struct demux_port *port,
			       struct demux_route *route, const struct endpoint *client)
{
	struct client_source *source = relay_source(demux, client->address);
	struct flow *flow = NULL;

	if (source && has_room(demux, source))
		flow = calloc(1, sizeof(*flow));
	if (flow) {
		*flow = (struct flow){ .source = { SOURCE_FLOW },
				       .port = port,
				       .route = route,
				       .from = source,
				       .client = *client };
		list_init(&flow->node);
		list_init(&flow->of_route);
		if (make_flow(demux, port, route, client, flow) < 0) {
			free(flow);
			flow = NULL;
		}
	}
	if (!flow) {
		__atomic_fetch_add(&demux->stats.refused, 1, __ATOMIC_RELAXED);
		if (source)
			relay_release_source(demux, source);
		return NULL;
	}
	source->flows++;
	demux->flow_count++;
	list_append(&route->flows, &flow->of_route);
	return flow;
}

/* With the lock. */
static struct flow *flow_of(struct demux *demux, struct demux_port *port,
			    const struct endpoint *client)
{
	struct demux_route *route = map_get(&port->routes, DEMUX_ANY, strlen(DEMUX_ANY));
	struct flow_key key;
	struct flow *flow;

	if (!route || !route->target.proxy)
		return NULL;
	make_key(&key, port, client);
	flow = map_get(&demux->flow_map, &key, sizeof(key));
	if (flow && flow->route != route) { /* it leads elsewhere since */
		end_flow(demux, flow);
		flow = NULL;
	}
	return flow ? flow : begin_flow(demux, port, route, client);
}

static void add(uint64_t *counter, ssize_t size)
{
	if (size > 0)
		__atomic_fetch_add(counter, (uint64_t)size, __ATOMIC_RELAXED);
}

/* What does not go out is lost, as it may be anywhere on its way. */
static void tell_device(struct demux *demux, struct flow *flow, size_t size)
{
	struct iovec parts[] = { { flow->header, flow->header_size }, { bytes, size } };
	const struct msghdr message = { .msg_iov = parts, .msg_iovlen = ARRAY_SIZE(parts) };
	ssize_t sent = sendmsg(flow->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (sent < 0 && errno == ECONNREFUSED) /* of the one before */
		sent = sendmsg(flow->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent > 0)
		add(&flow->route->tx_bytes, (ssize_t)size);
	touch(demux, flow);
}

void datagram_on_port(struct demux *demux, struct demux_port *port)
{
	(void)pthread_mutex_lock(&demux->lock);
	for (int i = 0; i < BURST && port->datagrams >= 0; i++) {
		struct sockaddr_storage from;
		socklen_t from_size = sizeof(from);
		ssize_t size = recvfrom(port->datagrams, bytes, sizeof(bytes), MSG_DONTWAIT,
					(struct sockaddr *)&from, &from_size);
		struct endpoint client;
		struct flow *flow;

		if (size < 0 && errno == EAGAIN)
			break;
		if (size < 0 || endpoint_from_sockaddr((struct sockaddr *)&from, &client) < 0)
			continue;
		flow = flow_of(demux, port, &client);
		if (flow)
			tell_device(demux, flow, (size_t)size);
	}
	(void)pthread_mutex_unlock(&demux->lock);
}

void datagram_on_flow(struct demux *demux, struct flow *flow)
{
	struct sockaddr_storage to;
	socklen_t to_size = endpoint_to_sockaddr(&flow->client, &to);

	if (flow->state == FLOW_DEAD)
		return;
	(void)pthread_mutex_lock(&demux->lock);
	for (int i = 0; i < BURST && flow->port->datagrams >= 0; i++) {
		ssize_t size = recv(flow->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

		if (size < 0 && errno == EAGAIN)
			break;
		if (size < 0) /* nobody is there, for now */
			continue;
		add(&flow->route->rx_bytes,
		    sendto(flow->port->datagrams, bytes, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL,
			   (const struct sockaddr *)&to, to_size));
		flow->state = FLOW_ANSWERED;
		touch(demux, flow);
	}
	(void)pthread_mutex_unlock(&demux->lock);
}
