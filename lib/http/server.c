/*
 * Where connections are too many, one that owes us something is closed at once, so that its slot is
 * free for the one that comes. That choice walks over the connections, but only then.
 */
#include <assert.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "http/request.h"
#include "http/server_internal.h"

#define WOKEN_BATCH 16 /* connections that are worked on in a turn of the loop */
#define ACCEPT_BATCH 64 /* connections taken in one turn of the loop */
#define ACCEPT_PAUSE_MS 100 /* after the process ran out of descriptors */
#define LISTEN_BACKLOG 1024
#define KEEPALIVE_IDLE_S 60
#define KEEPALIVE_INTERVAL_S 10
#define KEEPALIVE_COUNT 6
#define TURN_AWAY_READ 65536 /* bytes of somebody who is told that there is no room */

/* --- sources --- */

static void source_key(const struct ip_address *address, struct http_source *ret)
{
	ret->key[0] = address->family;
	ret->key_size = address->family == AF_INET6 ? 9 : 5; /* a /64, or the whole address */
	memcpy(ret->key + 1, address->bytes, ret->key_size - 1U);
}

static bool is_loopback(const struct ip_address *address)
{
	static const uint8_t v6[16] = { [15] = 1 };

	return (address->family == AF_INET && address->bytes[0] == 127) ||
	       (address->family == AF_INET6 && memcmp(address->bytes, v6, sizeof(v6)) == 0);
}

/* Whether connections of an address are not counted: of this machine, or of no network at all. */
static bool is_exempt(const struct http_server *server, const struct ip_address *address)
{
	return address->family == 0 || (!server->loopback_is_source && is_loopback(address));
}

static struct http_source *source_find(struct http_server *server, const struct ip_address *address)
{
	struct http_source key = { 0 };

	source_key(address, &key);
	return map_get(&server->sources, key.key, key.key_size);
}

/* Counts a connection more. Gives NULL where none are counted. */
static int source_add(struct http_server *server, const struct ip_address *address,
		      struct http_source **ret)
{
	struct http_source *source;
	int r;

	*ret = NULL;
	if (is_exempt(server, address))
		return 0;
	source = source_find(server, address);
	if (!source) {
		source = calloc(1, sizeof(*source));
		if (!source)
			return -ENOMEM;
		source_key(address, source);
		r = map_set(&server->sources, source->key, source->key_size, source, NULL);
		if (r < 0) {
			free(source);
			return r;
		}
	}
	source->count++;
	*ret = source;
	return 0;
}

static void source_remove(struct http_server *server, struct http_source *source)
{
	if (!source || --source->count > 0)
		return;
	(void)map_remove(&server->sources, source->key, source->key_size);
	free(source);
}

/* --- room --- */

/* Who gives way: of the busiest source, and among those who comes first in the lists. */
struct choice {
	const struct http_source *source; /* only of this one; NULL: of any */
	unsigned least; /* only of sources with so many */
	struct http_connection *found;
	unsigned busiest; /* the connections of its source */
};

static void consider(struct choice *choice, struct http_connection *c, unsigned least)
{
	unsigned count = c->source ? c->source->count : 1;

	if (c->inside || (choice->source && c->source != choice->source))
		return;
	if (count < least || count < choice->least || count <= choice->busiest)
		return;
	choice->found = c;
	choice->busiest = count;
}

/* Of those in a list of the server, the one that has been in it longest comes first. An answer that is on
 * its way is not cut off. */
static void consider_owing(struct choice *choice, const struct list *list)
{
	list_foreach(node, list) {
		struct http_connection *c = container_of(node, struct http_connection, owes);

		if (!c->pending)
			consider(choice, c, 1);
	}
}

/* Of those that do not read what waits for them; but a source's only connection is left alone. */
static void consider_slow(struct choice *choice, const struct http_server *server)
{
	list_foreach(node, &server->timers.lists[HTTP_TIMEOUT_PROGRESS]) {
		struct http_deadline *deadline = container_of(node, struct http_deadline, node);

		consider(choice, container_of(deadline, struct http_connection, progress), 2);
	}
}

/* Closes a connection that owes us something, or whose client does not keep up with its answers. Returns
 * whether there was one. @source: of this one only; NULL: of any that has @least connections. */
static bool make_room(struct http_server *server, const struct http_source *source, unsigned least)
{
	struct choice choice = { .source = source, .least = least };

	consider_owing(&choice, &server->lingering);
	consider_owing(&choice, &server->owe_head);
	consider_owing(&choice, &server->owe_body);
	consider_slow(&choice, server);
	if (choice.found)
		http_connection_close(choice.found);
	return choice.found != NULL;
}

/* Bodies that stand still keep none out that comes. */
static bool reclaim_bodies(struct http_budget *bodies, const struct http_host *asker)
{
	struct http_server *server = container_of(bodies, struct http_server, bodies);
	struct choice choice = { 0 };

	consider_owing(&choice, &server->owe_body);
	if (choice.found)
		http_connection_close(choice.found);
	return choice.found != NULL;
}

/* Whether the client of a connection has to read before anything goes on there. */
static bool waits_for_reader(const struct http_connection *c)
{
	return c->host.answer_bytes > 0 && !c->inside && list_empty(&c->woken);
}

/*
 * An answer waits for room: the connection that holds most of it without reading, of the busiest source,
 * ends. It does so in a turn of its own, because its user is about to answer another one. But a source's
 * only connection is left alone.
 */
static bool reclaim_answers(struct http_budget *answers, const struct http_host *asker)
{
	struct http_server *server = container_of(answers, struct http_server, answers);
	struct http_connection *found = NULL;

	list_foreach(node, &server->connections) {
		struct http_connection *c = container_of(node, struct http_connection, node);
		unsigned count = c->source ? c->source->count : 0;

		if (&c->host == asker || c->host.abandoned || count < 2 || !waits_for_reader(c))
			continue;
		if (found && (count < found->source->count ||
			      (count == found->source->count &&
			       c->host.answer_bytes <= found->host.answer_bytes)))
			continue;
		found = c;
	}
	if (!found)
		return false;
	found->host.abandoned = true;
	answers->used -= found->host.answer_bytes;
	http_connection_wake(found);
	return true;
}

/* Tells a client that there is no room, as far as that goes without waiting for it. */
static void turn_away(int fd, bool tls)
{
	char body[HTTP_REFUSAL_MAX];
	char answer[HTTP_REFUSAL_MAX + 256];
	char ignored[4096];
	ssize_t size;

	if (!tls) {
		size = (ssize_t)http_refusal("too many connections", body);
		size = snprintf(answer, sizeof(answer),
				"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n"
				"Content-Type: application/json\r\nContent-Length: %zd\r\n\r\n%s",
				size, body);
		(void)send(fd, answer, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);
		(void)shutdown(fd, SHUT_WR);
		/* Bytes that nobody read would make the kernel drop the answer. */
		for (size_t all = 0; all < TURN_AWAY_READ; all += (size_t)size) {
			size = recv(fd, ignored, sizeof(ignored), MSG_DONTWAIT);
			if (size <= 0)
				break;
		}
	}
	(void)close(fd);
}

/* --- accepting --- */

static void peer_of(int fd, struct endpoint *ret)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct sockaddr_storage from = { 0 };
	socklen_t size = sizeof(from);
	struct ip_address *address = &ret->address;

	*ret = (struct endpoint){ 0 };
	if (getpeername(fd, (struct sockaddr *)&from, &size) < 0 ||
	    endpoint_from_sockaddr((struct sockaddr *)&from, ret) < 0)
		return; /* another kind of stream: a caller of this machine */
	if (address->family == AF_INET6 && memcmp(address->bytes, mapped, sizeof(mapped)) == 0) {
		struct ip_address v4 = { .family = AF_INET };

		memcpy(v4.bytes, address->bytes + 12, 4);
		*address = v4;
	}
}

static void set_options(int fd)
{
	/* Another kind of stream than TCP has none of these. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){ 1 }, sizeof(int));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &(int){ KEEPALIVE_IDLE_S }, sizeof(int));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &(int){ KEEPALIVE_INTERVAL_S },
			 sizeof(int));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &(int){ KEEPALIVE_COUNT }, sizeof(int));
}

static bool is_full(struct http_server *server)
{
	return server->connection_count >= server->connections_max;
}

/* Whether a connection more of an address may be made. Others give way to it: its own, where it has as
 * many as a source may, and those of sources that have no fewer. */
static bool has_room(struct http_server *server, const struct ip_address *address)
{
	struct http_source *source = is_exempt(server, address) ? NULL
								: source_find(server, address);
	unsigned count = source ? source->count : 0;

	if (count >= server->source_connections_max)
		return make_room(server, source, 0);
	return !is_full(server) || make_room(server, NULL, count);
}

int http_server_adopt(struct http_server *server, int fd, struct http_tls *tls)
{
	struct http_source *source;
	struct endpoint peer;
	int r;

	peer_of(fd, &peer);
	if (server->closing || !has_room(server, &peer.address)) {
		turn_away(fd, tls != NULL);
		return -EBUSY;
	}
	r = source_add(server, &peer.address, &source);
	if (r < 0) {
		(void)close(fd);
		return r;
	}
	set_options(fd);
	server->connection_count++;
	r = http_connection_new(server, fd, &peer, source, tls);
	if (r < 0)
		http_server_connection_gone(server, source);
	return r;
}

unsigned http_server_connections(const struct http_server *server)
{
	return server->connection_count;
}

static void on_connectable(uv_poll_t *poll, int status, int events);

static void listeners_set(struct http_server *server, bool on)
{
	list_foreach(node, &server->listeners) {
		struct http_listener *listener = container_of(node, struct http_listener, node);

		if (on)
			(void)uv_poll_start(&listener->poll, UV_READABLE, on_connectable);
		else
			(void)uv_poll_stop(&listener->poll);
	}
}

static void take_spare(struct http_server *server)
{
	if (server->spare_fd < 0)
		server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void on_accept_timer(uv_timer_t *timer)
{
	take_spare(container_of(timer, struct http_server, accept_timer));
	listeners_set(container_of(timer, struct http_server, accept_timer), true);
}

static int accept_fd(const struct http_listener *listener)
{
	return accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

/*
 * Descriptors have run out. Who comes is let in all the same, in place of the spare one, so that it is
 * known who it is: others give way to it, or it is turned away, as where there are too many connections.
 * Returns 1, 0 where nobody comes (the kernel looks for a descriptor first), or a negative errno.
 */
static int accept_in_place_of_spare(struct http_listener *listener)
{
	struct http_server *server = listener->server;
	struct http_source *source;
	struct endpoint peer;
	int fd, r;

	if (server->spare_fd < 0)
		return -EMFILE;
	(void)close(server->spare_fd);
	server->spare_fd = -EBADF;
	fd = accept_fd(listener);
	r = fd >= 0 ? 1 : errno == EAGAIN ? 0 : -errno;
	if (fd >= 0) {
		peer_of(fd, &peer);
		source = is_exempt(server, &peer.address) ? NULL
							  : source_find(server, &peer.address);
		if (make_room(server, NULL, source ? source->count : 0))
			(void)http_server_adopt(server, fd, listener->tls);
		else
			turn_away(fd, listener->tls != NULL);
	}
	take_spare(server);
	return r;
}

/* Takes one connection. Returns whether to go on. */
static bool accept_one(struct http_listener *listener)
{
	struct http_server *server = listener->server;
	int fd = accept_fd(listener);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
		int r = accept_in_place_of_spare(listener);

		if (r >= 0)
			return r > 0;
		listeners_set(server, false); /* it would call again at once */
		(void)uv_timer_start(&server->accept_timer, on_accept_timer, ACCEPT_PAUSE_MS, 0);
		return false;
	}
	if (fd < 0)
		return errno == EINTR || errno == ECONNABORTED;
	(void)http_server_adopt(server, fd, listener->tls);
	return true;
}

static void on_connectable(uv_poll_t *poll, int status, int events)
{
	struct http_listener *listener = container_of(poll, struct http_listener, poll);

	/* A handler of one that gave way may close the listener. */
	for (int i = 0; i < ACCEPT_BATCH && !listener->closed && accept_one(listener); i++)
		;
}

/* --- listeners --- */

int http_server_listen_fd(struct http_server *server, int fd, struct http_tls *tls,
			  struct http_listener **ret)
{
	struct http_listener *listener = server->closing ? NULL : calloc(1, sizeof(*listener));
	int r = listener ? uv_poll_init(server->loop, &listener->poll, fd) : -ENOMEM;

	if (r < 0) {
		free(listener);
		(void)close(fd);
		return server->closing ? -ECANCELED : r;
	}
	server->handles++;
	listener->server = server;
	listener->fd = fd;
	listener->tls = tls ? http_tls_ref(tls) : NULL;
	list_append(&server->listeners, &listener->node);
	(void)uv_poll_start(&listener->poll, UV_READABLE, on_connectable);
	if (ret)
		*ret = listener;
	return 0;
}

int http_server_listen(struct http_server *server, const struct endpoint *address,
		       struct http_tls *tls, struct http_listener **ret)
{
	struct sockaddr_storage to;
	socklen_t size = endpoint_to_sockaddr(address, &to);
	cleanup_close int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)) < 0 ||
	    bind(fd, (const struct sockaddr *)&to, size) < 0 || listen(fd, LISTEN_BACKLOG) < 0)
		return -errno;
	return http_server_listen_fd(server, TAKE_FD(fd), tls, ret);
}

static void on_listener_closed(uv_handle_t *handle)
{
	struct http_listener *listener =
		container_of((uv_poll_t *)handle, struct http_listener, poll);
	struct http_server *server = listener->server;

	free(listener);
	http_server_handle_gone(server);
}

struct http_listener *http_listener_close(struct http_listener *listener)
{
	if (!listener)
		return NULL;
	listener->closed = true;
	list_remove(&listener->node);
	uv_close((uv_handle_t *)&listener->poll, on_listener_closed);
	(void)close(listener->fd);
	listener->tls = http_tls_free(listener->tls);
	return NULL;
}

/* --- the server's life --- */

const char *http_server_date(struct http_server *server)
{
	int64_t now_s = (int64_t)(clock_realtime_ns() / NS_PER_S);
	struct tm parts;
	time_t now = (time_t)now_s;

	if (now_s != server->date_s && gmtime_r(&now, &parts)) {
		server->date_s = now_s;
		(void)strftime(server->date, sizeof(server->date), "%a, %d %b %Y %H:%M:%S GMT",
			       &parts);
	}
	return server->date;
}

static void on_handle_closed(uv_handle_t *handle)
{
	http_server_handle_gone(handle->data);
}

static void close_handle(struct http_server *server, void *handle)
{
	uv_handle_t *generic = handle;

	generic->data = server;
	uv_close(generic, on_handle_closed);
}

/* Moves all of a list behind another. */
static void list_move(struct list *from, struct list *to)
{
	while (!list_empty(from)) {
		struct list *node = from->next;

		list_remove(node);
		list_append(to, node);
	}
}

/* Everything is closed but the server's own handles. */
static void finish(struct http_server *server)
{
	if (server->finished)
		return;
	server->finished = true;
	close_handle(server, &server->timers.timer);
	close_handle(server, &server->idle);
	close_handle(server, &server->accept_timer);
	close_handle(server, &server->close_timer);
}

/* Closes those that are not answering, or all. Each may close others, by its handlers. */
static void close_connections(struct http_server *server, bool answering_too)
{
	struct list all;

	list_init(&all);
	list_move(&server->connections, &all);
	while (!list_empty(&all)) {
		struct http_connection *c = container_of(all.next, struct http_connection, node);

		list_remove(&c->node);
		list_append(&server->connections, &c->node);
		if (answering_too || !http_connection_is_answering(c))
			http_connection_close(c);
	}
}

static void on_close_timer(uv_timer_t *timer)
{
	struct http_server *server = container_of(timer, struct http_server, close_timer);

	close_connections(server, server->only_answers);
	if (server->only_answers || server->finished)
		return;
	server->only_answers = true;
	(void)uv_timer_start(timer, on_close_timer, HTTP_CLOSE_ANSWERS_MS - HTTP_CLOSE_TIMEOUT_MS,
			     0);
}

/* Tells the connections that the server closes. Each may close others meanwhile, by its handlers. */
static void tell_connections(struct http_server *server)
{
	struct list all;

	server->told = true;
	list_init(&all);
	list_move(&server->connections, &all);
	while (!list_empty(&all)) {
		struct list *node = all.next;

		list_remove(node);
		list_append(&server->connections, node);
		http_connection_shut_down(container_of(node, struct http_connection, node));
	}
	if (server->connection_count == 0)
		finish(server);
	else
		(void)uv_timer_start(&server->close_timer, on_close_timer, HTTP_CLOSE_TIMEOUT_MS,
				     0);
}

/* Works on the first of those that are on the list now. The rest has its turn after the sockets that
 * became ready meanwhile, so that a call does not wait for a message to a thousand sockets. */
static void on_idle(uv_idle_t *idle)
{
	struct http_server *server = container_of(idle, struct http_server, idle);
	struct list now;

	list_init(&now);
	for (int i = 0; i < WOKEN_BATCH && !list_empty(&server->woken); i++) {
		struct list *node = server->woken.next;

		list_remove(node);
		list_append(&now, node);
	}
	while (!list_empty(&now))
		http_connection_work(container_of(now.next, struct http_connection, woken));
	if (server->closing && !server->told)
		tell_connections(server);
	if (list_empty(&server->woken) && !server->finished)
		(void)uv_idle_stop(idle);
}

void http_server_wake(struct http_server *server)
{
	if (!server->finished)
		(void)uv_idle_start(&server->idle, on_idle);
}

void http_server_connection_gone(struct http_server *server, struct http_source *source)
{
	source_remove(server, source);
	if (--server->connection_count > 0)
		return;
	http_timers_rest(&server->timers);
	if (server->closing && server->told)
		finish(server);
}

void http_server_handle_gone(struct http_server *server)
{
	void (*closed)(void *) = server->closed;
	void *context = server->closed_context;

	if (--server->handles > 0)
		return;
	map_done(&server->sources);
	if (server->spare_fd >= 0)
		(void)close(server->spare_fd);
	free(server);
	if (closed)
		closed(context);
}

int http_server_new(uv_loop_t *loop, const struct http_server_options *options,
		    struct http_server **ret)
{
	struct http_server *server = calloc(1, sizeof(*server));

	if (!server)
		return -ENOMEM;
	(void)signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
	server->loop = loop;
	server->handlers = options->handlers;
	server->context = options->context;
	server->connections_max = options->connections_max ? options->connections_max
							   : HTTP_CONNECTIONS_MAX;
	server->source_connections_max = options->source_connections_max
						 ? options->source_connections_max
						 : HTTP_SOURCE_CONNECTIONS_MAX;
	server->loopback_is_source = options->loopback_is_source;
	server->bodies = (struct http_budget){ .max = options->bodies_max ? options->bodies_max
									  : HTTP_BODIES_MAX,
					       .reclaim = reclaim_bodies };
	server->answers = (struct http_budget){
		.max = options->answers_max ? options->answers_max : HTTP_ANSWERS_MAX,
		.reclaim = reclaim_answers,
	};
	server->spare_fd = -EBADF;
	take_spare(server);
	list_init(&server->listeners);
	list_init(&server->connections);
	list_init(&server->owe_head);
	list_init(&server->owe_body);
	list_init(&server->lingering);
	list_init(&server->woken);
	http_timers_init(&server->timers, loop, options->timeouts_ms);
	(void)uv_idle_init(loop, &server->idle);
	(void)uv_timer_init(loop, &server->accept_timer);
	(void)uv_timer_init(loop, &server->close_timer);
	server->handles = 4;
	*ret = server;
	return 0;
}

void http_server_close(struct http_server *server, void (*closed)(void *context), void *context)
{
	assert(!server->closing);
	server->closing = true;
	server->closed = closed;
	server->closed_context = context;
	while (!list_empty(&server->listeners))
		(void)http_listener_close(
			container_of(server->listeners.next, struct http_listener, node));
	(void)uv_timer_stop(&server->accept_timer);
	http_server_wake(server);
}
