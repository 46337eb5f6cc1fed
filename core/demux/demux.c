/* The owner's side: ports and names, under the lock; the relay is woken to look at what changed. */
#include "demux/demux.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "demux/demux_internal.h"

#define STACK_SIZE (256 << 10)
#define DESCRIPTORS_RESERVED 1024 /* for the rest of the daemon */

static void wake(struct demux *demux)
{
	(void)eventfd_write(demux->wake_fd, 1);
}

static void lock(struct demux *demux)
{
	(void)pthread_mutex_lock(&demux->lock);
}

/* Lets go, and has the relay look. */
static void unlock_and_wake(struct demux *demux)
{
	(void)pthread_mutex_unlock(&demux->lock);
	wake(demux);
}

/* Two descriptors are a connection's sockets; of every three, one is left for pipes. A flow has one. */
static void share_descriptors(struct demux *demux)
{
	size_t descriptors = 3 * (size_t)DEMUX_CONNECTIONS_MAX + DEMUX_FLOWS_MAX, all = descriptors;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
	    limit.rlim_cur < descriptors + DESCRIPTORS_RESERVED)
		descriptors = limit.rlim_cur > 2 * DESCRIPTORS_RESERVED
				      ? (size_t)limit.rlim_cur - DESCRIPTORS_RESERVED
				      : (size_t)limit.rlim_cur / 2;
	demux->flows_max = descriptors * DEMUX_FLOWS_MAX / all;
	descriptors -= demux->flows_max;
	demux->connections_max = descriptors / 3;
	demux->source_connections_max = demux->connections_max / DEMUX_SOURCE_SHARE;
	if (demux->source_connections_max < DEMUX_SOURCE_CONNECTIONS_MIN)
		demux->source_connections_max = DEMUX_SOURCE_CONNECTIONS_MIN;
	demux->route_connections_max =
		demux->connections_max - demux->connections_max / DEMUX_OTHERS_SHARE;
	demux->pool.pipes_max = (descriptors - 2 * demux->connections_max) / 2;
}

/* Signals are the main thread's. */
static int start_thread(struct demux *demux)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	int r;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	(void)pthread_attr_init(&attributes);
	(void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
	r = pthread_create(&demux->thread, &attributes, relay_run, demux);
	(void)pthread_attr_destroy(&attributes);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	demux->started = r == 0;
	return -r;
}

static int watch(struct demux *demux, int fd, struct source *source)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = source };

	return epoll_ctl(demux->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int demux_new(int channel, const char *link, struct demux **ret)
{
	struct demux *demux = calloc(1, sizeof(*demux));
	int r = 0;

	if (!demux) {
		(void)close(channel);
		return -ENOMEM;
	}
	(void)pthread_mutex_init(&demux->lock, NULL);
	pool_init(&demux->pool, channel);
	(void)snprintf(demux->link, sizeof(demux->link), "%s", link);
	list_init(&demux->changed);
	list_init(&demux->retired);
	list_init(&demux->ports);
	list_init(&demux->runnable);
	datagram_init(demux);
	for (size_t i = 0; i < STATES; i++)
		list_init(&demux->states[i]);
	share_descriptors(demux);
	demux->wake.kind = SOURCE_WAKE;
	demux->epoll = epoll_create1(EPOLL_CLOEXEC);
	demux->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (demux->epoll < 0 || demux->wake_fd < 0)
		r = -errno;
	if (r == 0)
		r = watch(demux, demux->wake_fd, &demux->wake);
	if (r == 0)
		r = watch(demux, channel, &demux->pool.source);
	if (r == 0)
		r = start_thread(demux);
	if (r < 0) {
		(void)demux_free(demux);
		return r;
	}
	*ret = demux;
	return 0;
}

struct demux *demux_free(struct demux *demux)
{
	if (!demux)
		return NULL;
	if (demux->started) {
		lock(demux);
		demux->stopping = true;
		unlock_and_wake(demux);
		(void)pthread_join(demux->thread, NULL);
	}
	pool_done(&demux->pool);
	map_done(&demux->sources);
	map_done(&demux->flow_map);
	if (demux->epoll >= 0)
		(void)close(demux->epoll);
	if (demux->wake_fd >= 0)
		(void)close(demux->wake_fd);
	(void)pthread_mutex_destroy(&demux->lock);
	free(demux);
	return NULL;
}

static uint64_t get(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

void demux_stats(const struct demux *demux, struct demux_stats *ret)
{
	*ret = (struct demux_stats){
		.connections = get(&demux->stats.connections),
		.accepted = get(&demux->stats.accepted),
		.unknown = get(&demux->stats.unknown),
		.refused = get(&demux->stats.refused),
		.failed = get(&demux->stats.failed),
	};
}

int demux_port_new(struct demux *demux, enum demux_port_kind kind, struct demux_port **ret)
{
	struct demux_port *port = calloc(1, sizeof(*port));

	if (!port)
		return -ENOMEM;
	*port = (struct demux_port){ .source = { SOURCE_LISTENER },
				     .datagram_source = { SOURCE_DATAGRAMS },
				     .datagrams = -EBADF,
				     .demux = demux,
				     .kind = kind,
				     .listener = -EBADF,
				     .next = -EBADF };
	list_init(&port->node);
	list_init(&port->changed);
	*ret = port;
	return 0;
}

/* With the lock. */
static void note_change(struct demux_port *port)
{
	list_remove(&port->changed);
	list_append(&port->demux->changed, &port->changed);
}

static void retire(void *value, void *context)
{
	struct demux_route *route = value;
	struct demux *demux = context;

	list_append(&demux->retired, &route->retired);
}

/* With the lock, which the relay holds while it uses the socket: so the address is free at once. */
static void close_datagrams(struct demux_port *port)
{
	if (port->datagrams < 0)
		return;
	(void)epoll_ctl(port->demux->epoll, EPOLL_CTL_DEL, port->datagrams, NULL);
	(void)close(TAKE_FD(port->datagrams));
}

struct demux_port *demux_port_free(struct demux_port *port)
{
	struct demux *demux;

	if (!port)
		return NULL;
	demux = port->demux;
	lock(demux);
	/* The relay closes it; that it listens no more is for now, so that the address is free. */
	if (port->listener >= 0)
		(void)shutdown(port->listener, SHUT_RDWR);
	if (port->next >= 0)
		(void)close(TAKE_FD(port->next));
	close_datagrams(port);
	map_each(&port->routes, retire, demux);
	map_done(&port->routes);
	port->freed = true;
	note_change(port);
	unlock_and_wake(demux);
	return NULL;
}

int demux_set_options(int fd)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, DEMUX_KEEPALIVE_S },
		{ IPPROTO_TCP, TCP_KEEPINTVL, 10 },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, DEMUX_UNANSWERED_S * 1000 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (setsockopt(fd, options[i].level, options[i].name, &options[i].value,
			       sizeof(int)) < 0)
			return -errno;
	return 0;
}

int demux_port_listen(struct demux_port *port, int fd)
{
	int r = demux_set_options(fd);

	if (r == 0 && listen(fd, DEMUX_BACKLOG) < 0)
		r = -errno;
	if (r < 0) {
		(void)close(fd);
		return r;
	}
	lock(port->demux);
	if (port->next >= 0)
		(void)close(port->next);
	if (port->listener >= 0)
		(void)shutdown(port->listener, SHUT_RDWR);
	port->next = fd;
	note_change(port);
	unlock_and_wake(port->demux);
	return 0;
}

int demux_port_datagrams(struct demux_port *port, int fd)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	struct endpoint local;
	int r = getsockname(fd, (struct sockaddr *)&address, &size) < 0 ? -errno : 0;

	if (r == 0)
		r = endpoint_from_sockaddr((struct sockaddr *)&address, &local);
	if (r < 0) {
		(void)close(fd);
		return r;
	}
	lock(port->demux);
	close_datagrams(port);
	port->datagram_address = local;
	port->datagrams = fd;
	r = watch(port->demux, fd, &port->datagram_source);
	if (r < 0)
		(void)close(TAKE_FD(port->datagrams));
	(void)pthread_mutex_unlock(&port->demux->lock);
	return r;
}

static bool same_target(const struct demux_target *a, const struct demux_target *b)
{
	return a->proxy == b->proxy && a->device.port == b->device.port &&
	       ip_equal(&a->device.address, &b->device.address) &&
	       a->external.port == b->external.port &&
	       ip_equal(&a->external.address, &b->external.address);
}

/* With the lock. */
static int replace_route(struct demux_port *port, const char *name,
			 const struct demux_target *target)
{
	struct demux_route *route = calloc(1, sizeof(*route));
	void *old = NULL;
	int r;

	if (!route)
		return -ENOMEM;
	route->target = *target;
	list_init(&route->retired);
	list_init(&route->connections);
	list_init(&route->flows);
	r = map_set(&port->routes, name, strlen(name), route, &old);
	if (r < 0)
		free(route);
	else if (old)
		retire(old, port->demux);
	return r;
}

int demux_port_put(struct demux_port *port, const char *name, const struct demux_target *target)
{
	const struct demux_route *old;
	int r;

	if (target->device.address.family != AF_INET && !target->proxy)
		return -EINVAL;
	lock(port->demux);
	old = map_get(&port->routes, name, strlen(name));
	if (old && same_target(&old->target, target)) {
		(void)pthread_mutex_unlock(&port->demux->lock);
		return 0;
	}
	r = replace_route(port, name, target);
	unlock_and_wake(port->demux);
	return r;
}

void demux_port_remove(struct demux_port *port, const char *name)
{
	void *route;

	lock(port->demux);
	route = map_remove(&port->routes, name, strlen(name));
	if (route)
		retire(route, port->demux);
	unlock_and_wake(port->demux);
}

bool demux_port_traffic(struct demux_port *port, const char *name, struct demux_traffic *ret)
{
	const struct demux_route *route;

	lock(port->demux);
	route = map_get(&port->routes, name, strlen(name));
	if (route)
		*ret = (struct demux_traffic){ .connections = get(&route->count),
					       .rx_bytes = get(&route->rx_bytes),
					       .tx_bytes = get(&route->tx_bytes) };
	(void)pthread_mutex_unlock(&port->demux->lock);
	return route != NULL;
}
