/*
 * The thread: one round takes what epoll tells, then what changed by time. Sockets of connections are
 * watched by edges, so that nothing is registered more than once. A connection that has ended is kept to
 * the end of its round, for the round may tell of it once more.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "demux/demux_internal.h"
#include "sni/client_hello.h"

#define EVENTS_MAX 128
#define ACCEPTS_MAX 64 /* of one listener in a round */
#define PAUSE_NS (100 * NS_PER_MS) /* of accepting, without descriptors */
#define WATCHED (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

static void count(uint64_t *counter, int by)
{
	__atomic_fetch_add(counter, (uint64_t)by, __ATOMIC_RELAXED);
}

/* --- states --- */

static const uint64_t allowed_ns[STATES] = {
	[STATE_HELLO] = DEMUX_HELLO_S * NS_PER_S,
	[STATE_WAITING] = DEMUX_CONNECT_S * NS_PER_S,
	[STATE_CONNECTING] = DEMUX_CONNECT_S * NS_PER_S,
	[STATE_LINGER] = DEMUX_LINGER_S * NS_PER_S,
};

/* In each state all have as long, so the first in its list is the first whose time is over. */
void relay_enter(struct demux *demux, struct connection *connection, enum state state)
{
	list_remove(&connection->node);
	connection->state = state;
	connection->deadline_ns = clock_monotonic_ns() + allowed_ns[state];
	list_append(&demux->states[state], &connection->node);
}

static struct connection *first_in(struct demux *demux, enum state state)
{
	const struct list *head = &demux->states[state];

	return list_empty(head) ? NULL : container_of(head->next, struct connection, node);
}

/* --- who counts --- */

struct client_source *relay_source(struct demux *demux, struct ip_address address)
{
	struct client_source *source;

	if (address.family == AF_INET6)
		memset(address.bytes + 8, 0, 8);
	source = map_get(&demux->sources, &address, sizeof(address));
	if (source)
		return source;
	source = calloc(1, sizeof(*source));
	if (!source)
		return NULL;
	source->address = address;
	if (map_set(&demux->sources, &address, sizeof(address), source, NULL) == 0)
		return source;
	free(source);
	return NULL;
}

void relay_release_source(struct demux *demux, struct client_source *source)
{
	if (source->connections > 0 || source->flows > 0)
		return;
	(void)map_remove(&demux->sources, &source->address, sizeof(source->address));
	free(source);
}

static void said_hello(struct demux *demux, struct connection *connection)
{
	if (!connection->counted_hello)
		return;
	connection->counted_hello = false;
	connection->from->hellos--;
	demux->hellos--;
}

/* --- the end --- */

/* A socket is watched until its last copy is closed, and a child of the daemon may have one for a moment. */
static void unwatch_and_close(struct demux *demux, int fd)
{
	(void)epoll_ctl(demux->epoll, EPOLL_CTL_DEL, fd, NULL);
	(void)close(fd);
}

static void close_side(struct demux *demux, struct side *side, bool reset)
{
	const struct linger at_once = { .l_onoff = 1 };

	pool_give_pipe(&demux->pool, &side->pipe, side->in_pipe == 0);
	side->in_pipe = 0;
	if (side->fd < 0)
		return;
	if (reset)
		(void)setsockopt(side->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	unwatch_and_close(demux, TAKE_FD(side->fd));
}

void relay_close(struct demux *demux, struct connection *connection, bool reset)
{
	if (connection->state == STATE_DEAD)
		return;
	close_side(demux, &connection->client, reset);
	close_side(demux, &connection->device, reset);
	free(TAKE_PTR(connection->header));
	said_hello(demux, connection);
	connection->from->connections--;
	relay_release_source(demux, connection->from);
	if (connection->route)
		count(&connection->route->count, -1);
	list_remove(&connection->of_route);
	list_remove(&connection->runnable);
	demux->connections--;
	count(&demux->stats.connections, -1);
	relay_enter(demux, connection, STATE_DEAD);
}

static void bury(struct demux *demux)
{
	struct connection *connection;

	while ((connection = first_in(demux, STATE_DEAD))) {
		list_remove(&connection->node);
		free(connection);
	}
	datagram_bury(demux);
}

void relay_fail(struct demux *demux, struct connection *connection)
{
	count(&demux->stats.failed, 1);
	relay_close(demux, connection, true);
}

/* --- names --- */

/* The alert is lost where bytes that nobody read are left when the socket closes. Returns whether there may
 * be more. */
static bool swallow(const struct connection *connection)
{
	static uint8_t waste[CLIENT_HELLO_MAX];
	ssize_t n;

	do
		n = recv(connection->client.fd, waste, sizeof(waste), MSG_DONTWAIT);
	while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 && errno == EAGAIN;
}

static void set_low_water(struct connection *connection, size_t size)
{
	int value = (int)size;

	(void)setsockopt(connection->client.fd, SOL_SOCKET, SO_RCVLOWAT, &value, sizeof(value));
	connection->low_water = size > 1;
}

static void say_unknown(struct demux *demux, struct connection *connection, bool alert)
{
	bool more;

	count(&demux->stats.unknown, 1);
	said_hello(demux, connection);
	more = alert && swallow(connection);
	if (alert)
		(void)send(connection->client.fd, client_hello_alert, sizeof(client_hello_alert),
			   MSG_NOSIGNAL | MSG_DONTWAIT);
	if (!more) {
		relay_close(demux, connection, false);
		return;
	}
	(void)shutdown(connection->client.fd, SHUT_WR);
	if (connection->low_water)
		set_low_water(connection, 1);
	relay_enter(demux, connection, STATE_LINGER);
}

/* With the lock. */
static struct demux_route *find_route(const struct demux_port *port, const char *name)
{
	const char *rest = strchr(name, '.');
	char wildcard[CLIENT_HELLO_NAME_MAX + 1];
	struct demux_route *route = NULL;
	int size;

	if (*name)
		route = map_get(&port->routes, name, strlen(name));
	if (!route && rest) {
		size = snprintf(wildcard, sizeof(wildcard), "*%s", rest);
		route = map_get(&port->routes, wildcard, (size_t)size);
	}
	return route ? route : map_get(&port->routes, DEMUX_ANY, strlen(DEMUX_ANY));
}

/* From here on the connection ends with its route. Returns whether there is one. */
static bool take_route(struct demux *demux, struct connection *connection, const char *name)
{
	struct demux_route *route = NULL;

	(void)pthread_mutex_lock(&demux->lock);
	if (!connection->port->freed)
		route = find_route(connection->port, name);
	(void)pthread_mutex_unlock(&demux->lock);
	/* What is retired now is freed by this thread, and not before this round is over. */
	if (!route)
		return false;
	connection->route = route;
	count(&route->count, 1);
	list_append(&route->connections, &connection->of_route);
	return true;
}

/* --- the device --- */

static void on_sockets(struct demux *demux)
{
	int r = pool_receive(&demux->pool, clock_monotonic_ns());
	struct connection *connection;

	if (r == -ECONNRESET) { /* start-netd ended, and soon we will */
		(void)epoll_ctl(demux->epoll, EPOLL_CTL_DEL, demux->pool.channel, NULL);
		return;
	}
	while ((connection = first_in(demux, STATE_WAITING)) &&
	       (demux->pool.count > 0 || (r < 0 && r != -EMFILE))) {
		if (demux->pool.count > 0)
			device_go_on(demux, connection);
		else /* there is no tunnel */
			relay_fail(demux, connection);
	}
}

/* --- the client --- */

static void admit(struct demux *demux, struct connection *connection, const char *name, bool tls)
{
	if (!take_route(demux, connection, name)) {
		say_unknown(demux, connection, tls);
	} else if (connection->route->count > demux->route_connections_max) {
		count(&demux->stats.refused, 1);
		relay_close(demux, connection, true);
	} else {
		said_hello(demux, connection);
		if (connection->low_water)
			set_low_water(connection, 1);
		device_connect(demux, connection, name);
	}
}

/* The bytes stay in the socket, and go on from there with all that follows. */
static void read_hello(struct demux *demux, struct connection *connection, bool ended)
{
	static uint8_t bytes[CLIENT_HELLO_MAX];
	ssize_t size = recv(connection->client.fd, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);
	struct client_hello hello;

	if (size <= 0) {
		if (size == 0 || (errno != EAGAIN && errno != EINTR))
			relay_close(demux, connection, false);
		return;
	}
	switch (client_hello_read(bytes, (size_t)size, &hello)) {
	case CLIENT_HELLO_NAMED:
		admit(demux, connection, hello.name, true);
		break;
	case CLIENT_HELLO_NAMELESS:
		admit(demux, connection, "", true);
		break;
	case CLIENT_HELLO_NONE:
		admit(demux, connection, "", false);
		break;
	case CLIENT_HELLO_MORE:
		if (ended)
			relay_close(demux, connection, false);
		else
			set_low_water(connection, hello.needed);
		break;
	}
}

static void note_events(struct side *side, uint32_t events)
{
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		side->readable = true;
	if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		side->writable = true;
}

static void on_client(struct demux *demux, struct connection *connection, uint32_t events)
{
	note_events(&connection->client, events);
	if (events & EPOLLERR) {
		relay_close(demux, connection, true);
		return;
	}
	switch (connection->state) {
	case STATE_HELLO:
		if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP))
			read_hello(demux, connection, events & (EPOLLRDHUP | EPOLLHUP));
		break;
	case STATE_OPEN:
		stream_move(demux, connection);
		break;
	case STATE_LINGER:
		if (!swallow(connection))
			relay_close(demux, connection, false);
		break;
	default:
		break;
	}
}

static void on_device(struct demux *demux, struct connection *connection, uint32_t events)
{
	note_events(&connection->device, events);
	if (events & EPOLLERR) {
		if (connection->state == STATE_CONNECTING)
			relay_fail(demux, connection);
		else
			relay_close(demux, connection, true);
		return;
	}
	if (connection->state == STATE_CONNECTING && (events & EPOLLOUT)) {
		if (device_greet(connection) < 0) {
			relay_fail(demux, connection);
			return;
		}
		relay_enter(demux, connection, STATE_OPEN);
		connection->client.readable = true;
	}
	if (connection->state == STATE_OPEN)
		stream_move(demux, connection);
}

/* --- listeners --- */

static void pause_accepting(struct demux *demux)
{
	list_foreach(node, &demux->ports) {
		struct demux_port *port = container_of(node, struct demux_port, node);
		struct epoll_event event = { .data.ptr = &port->source };

		if (port->listener >= 0)
			(void)epoll_ctl(demux->epoll, EPOLL_CTL_MOD, port->listener, &event);
	}
	demux->paused_until_ns = clock_monotonic_ns() + PAUSE_NS;
}

static void go_on_accepting(struct demux *demux)
{
	list_foreach(node, &demux->ports) {
		struct demux_port *port = container_of(node, struct demux_port, node);
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = &port->source };

		if (port->listener >= 0)
			(void)epoll_ctl(demux->epoll, EPOLL_CTL_MOD, port->listener, &event);
	}
	demux->paused_until_ns = 0;
}

/* Whether another connection of this source is taken. The oldest that has said nothing makes room. */
static bool has_room(struct demux *demux, const struct client_source *source)
{
	struct connection *oldest = first_in(demux, STATE_HELLO);

	if (source->connections >= demux->source_connections_max ||
	    source->hellos >= DEMUX_SOURCE_HELLOS_MAX)
		return false;
	if (demux->hellos < DEMUX_HELLOS_MAX && demux->connections < demux->connections_max)
		return true;
	if (!oldest || oldest->from == source)
		return false;
	count(&demux->stats.refused, 1);
	relay_close(demux, oldest, true);
	return true;
}

/* Takes @fd. */
static void begin(struct demux *demux, struct demux_port *port, int fd,
		  const struct endpoint *address)
{
	struct client_source *source = relay_source(demux, address->address);
	struct connection *connection = NULL;
	struct epoll_event event = { .events = WATCHED };

	if (source && has_room(demux, source))
		connection = calloc(1, sizeof(*connection));
	if (!connection) {
		count(&demux->stats.refused, 1);
		if (source)
			relay_release_source(demux, source);
		(void)close(fd);
		return;
	}
	*connection = (struct connection){
		.port = port,
		.from = source,
		.address = *address,
		.counted_hello = port->kind == DEMUX_SHARED,
		.client = { .source = { SOURCE_CLIENT },
			    .fd = fd,
			    .writable = true,
			    .pipe = { -EBADF, -EBADF } },
		.device = { .source = { SOURCE_DEVICE }, .fd = -EBADF, .pipe = { -EBADF, -EBADF } },
	};
	list_init(&connection->node);
	list_init(&connection->of_route);
	list_init(&connection->runnable);
	source->connections++;
	source->hellos += connection->counted_hello;
	demux->hellos += connection->counted_hello;
	demux->connections++;
	count(&demux->stats.connections, 1);
	count(&demux->stats.accepted, 1);
	relay_enter(demux, connection, STATE_HELLO);
	event.data.ptr = &connection->client.source;
	if (epoll_ctl(demux->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		relay_close(demux, connection, true);
	else if (port->kind == DEMUX_PLAIN)
		admit(demux, connection, "", false);
}

static void on_listener(struct demux *demux, struct demux_port *port)
{
	for (int i = 0; i < ACCEPTS_MAX && port->listener >= 0; i++) {
		struct sockaddr_storage from;
		socklen_t size = sizeof(from);
		int fd = accept4(port->listener, (struct sockaddr *)&from, &size,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct endpoint address;

		if (fd >= 0) {
			if (endpoint_from_sockaddr((struct sockaddr *)&from, &address) == 0)
				begin(demux, port, fd, &address);
			else
				(void)close(fd);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
			   errno == ENOMEM) {
			pause_accepting(demux);
			return;
		} else if (errno != ECONNABORTED && errno != EINTR) {
			return; /* all were taken, or it listens no more */
		}
	}
}

/* --- what the owner changed --- */

static void end_route(struct demux *demux, struct demux_route *route)
{
	list_foreach(node, &route->connections)
		relay_close(demux, container_of(node, struct connection, of_route), false);
	datagram_end_route(demux, route);
	free(route);
}

/* Those that have not said their name are of no route yet. */
static void end_hellos(struct demux *demux, const struct demux_port *port)
{
	list_foreach(node, &demux->states[STATE_HELLO]) {
		struct connection *connection = container_of(node, struct connection, node);

		if (connection->port == port)
			relay_close(demux, connection, false);
	}
	list_foreach(node, &demux->states[STATE_LINGER]) {
		struct connection *connection = container_of(node, struct connection, node);

		if (connection->port == port)
			relay_close(demux, connection, false);
	}
}

/* With the lock. */
static void take_listener(struct demux *demux, struct demux_port *port)
{
	struct epoll_event event = { .events = demux->paused_until_ns ? 0 : EPOLLIN,
				     .data.ptr = &port->source };

	if (port->listener >= 0 && (port->next >= 0 || port->freed))
		unwatch_and_close(demux, TAKE_FD(port->listener));
	if (port->next < 0)
		return;
	port->listener = TAKE_FD(port->next);
	(void)epoll_ctl(demux->epoll, EPOLL_CTL_ADD, port->listener, &event);
	if (!port->known)
		list_append(&demux->ports, &port->node);
	port->known = true;
}

/* Returns false: the thread is to end. */
static bool on_wake(struct demux *demux)
{
	struct list freed, retired;
	eventfd_t ignored;
	bool goes_on;

	list_init(&freed);
	list_init(&retired);
	(void)eventfd_read(demux->wake_fd, &ignored);
	(void)pthread_mutex_lock(&demux->lock);
	goes_on = !demux->stopping;
	list_foreach(node, &demux->changed) {
		struct demux_port *port = container_of(node, struct demux_port, changed);

		list_remove(node);
		take_listener(demux, port);
		if (port->freed)
			list_append(&freed, node);
	}
	list_foreach(node, &demux->retired) {
		list_remove(node);
		list_append(&retired, node);
	}
	(void)pthread_mutex_unlock(&demux->lock);
	list_foreach(node, &retired) {
		list_remove(node);
		end_route(demux, container_of(node, struct demux_route, retired));
	}
	list_foreach(node, &freed) {
		struct demux_port *port = container_of(node, struct demux_port, changed);

		list_remove(node);
		list_remove(&port->node);
		end_hellos(demux, port);
		free(port);
	}
	return goes_on;
}

/* --- time --- */

static uint64_t earliest(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Ends what has had its time. Returns when to look again, UINT64_MAX for never. */
static uint64_t watch_time(struct demux *demux)
{
	static const enum state timed[] = { STATE_HELLO, STATE_WAITING, STATE_CONNECTING,
					    STATE_LINGER };
	uint64_t now_ns = clock_monotonic_ns();
	uint64_t next_ns = datagram_watch_time(demux, now_ns);

	for (size_t i = 0; i < ARRAY_SIZE(timed); i++) {
		struct connection *connection;

		while ((connection = first_in(demux, timed[i])) &&
		       connection->deadline_ns <= now_ns) {
			if (timed[i] == STATE_HELLO)
				count(&demux->stats.refused, 1);
			if (timed[i] == STATE_WAITING || timed[i] == STATE_CONNECTING)
				relay_fail(demux, connection);
			else
				relay_close(demux, connection, false);
		}
		if (connection)
			next_ns = earliest(next_ns, connection->deadline_ns);
	}
	if (demux->paused_until_ns != 0 && demux->paused_until_ns <= now_ns)
		go_on_accepting(demux);
	else if (demux->paused_until_ns != 0)
		next_ns = earliest(next_ns, demux->paused_until_ns);
	/* Who waits for sockets asks again, where the last answer was that there are none, or did not come. */
	if (first_in(demux, STATE_WAITING) && demux->pool.again_ns <= now_ns)
		device_go_on(demux, first_in(demux, STATE_WAITING));
	if (first_in(demux, STATE_WAITING))
		next_ns = earliest(next_ns, demux->pool.again_ns);
	return next_ns;
}

static void move_more(struct demux *demux)
{
	struct list now;

	list_init(&now);
	list_foreach(node, &demux->runnable) {
		list_remove(node);
		list_append(&now, node);
	}
	while (!list_empty(&now))
		stream_move(demux, container_of(now.next, struct connection, runnable));
}

/* Returns whether the owner changed something. */
static bool on_event(struct demux *demux, const struct epoll_event *event)
{
	struct source *source = event->data.ptr;

	switch (source->kind) {
	case SOURCE_CLIENT:
		on_client(demux, container_of(source, struct connection, client.source),
			  event->events);
		break;
	case SOURCE_DEVICE:
		on_device(demux, container_of(source, struct connection, device.source),
			  event->events);
		break;
	case SOURCE_LISTENER:
		on_listener(demux, container_of(source, struct demux_port, source));
		break;
	case SOURCE_CHANNEL:
		on_sockets(demux);
		break;
	case SOURCE_DATAGRAMS:
		datagram_on_port(demux, container_of(source, struct demux_port, datagram_source));
		break;
	case SOURCE_FLOW:
		datagram_on_flow(demux, container_of(source, struct flow, source));
		break;
	case SOURCE_WAKE:
		return true;
	}
	return false;
}

static int timeout_ms(const struct demux *demux, uint64_t next_ns)
{
	uint64_t now_ns = clock_monotonic_ns();

	if (!list_empty(&demux->runnable))
		return 0;
	if (next_ns == UINT64_MAX)
		return -1;
	return next_ns <= now_ns ? 0 : (int)((next_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS);
}

static void end_all(struct demux *demux)
{
	for (enum state state = 0; state < STATE_DEAD; state++)
		while (first_in(demux, state))
			relay_close(demux, first_in(demux, state), false);
	datagram_end_all(demux);
	bury(demux);
}

void *relay_run(void *context)
{
	struct demux *demux = context;
	struct epoll_event events[EVENTS_MAX];
	bool goes_on = true;

	(void)pthread_setname_np(pthread_self(), "demux");
	while (goes_on) {
		int ready = epoll_wait(demux->epoll, events, EVENTS_MAX,
				       timeout_ms(demux, watch_time(demux)));

		bool woken = false;

		for (int i = 0; i < ready; i++)
			woken |= on_event(demux, &events[i]);
		move_more(demux);
		if (woken) /* after the others, because it frees ports */
			goes_on = on_wake(demux);
		bury(demux);
	}
	end_all(demux);
	return NULL;
}
