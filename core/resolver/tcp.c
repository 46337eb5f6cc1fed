/* TCP: messages with their length before them (RFC 1035 section 4.2.2, RFC 7766). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "resolver/resolver_internal.h"

#define BACKLOG 64
#define READ_MIN 512
#define WAITING_MAX 32 /* questions of a connection that are not answered yet */
#define QUEUED_MAX (256 << 10) /* bytes of answers that the device does not take */

struct tcp_server {
	struct proxy *proxy;
	unsigned family;
	uv_tcp_t listener;
};

struct tcp_connection {
	struct list node;
	struct proxy *proxy;
	uint32_t address; /* of the device */
	struct endpoint from;
	uv_tcp_t stream;
	uv_timer_t idle;
	unsigned refs; /* its handles, and those that wait for answers */
	bool closed;
	bool serving; /* messages are taken from the buffer; see read_on() */
	bool paused;
	uint8_t *buffer;
	size_t size;
	size_t capacity;
};

struct sending {
	uv_write_t request;
	uint8_t bytes[];
};

struct tcp_connection *tcp_connection_ref(struct tcp_connection *connection)
{
	connection->refs++;
	return connection;
}

static void release(struct tcp_connection *connection)
{
	if (--connection->refs > 0)
		return;
	proxy_unref(connection->proxy);
	free(connection->buffer);
	free(connection);
}

static void on_stream_closed(uv_handle_t *handle)
{
	release(container_of(handle, struct tcp_connection, stream));
}

static void on_idle_closed(uv_handle_t *handle)
{
	release(container_of(handle, struct tcp_connection, idle));
}

static void close_connection(struct tcp_connection *connection)
{
	if (connection->closed)
		return;
	connection->closed = true;
	list_remove(&connection->node);
	connection->proxy->resolver->connection_count--;
	uv_close((uv_handle_t *)&connection->stream, on_stream_closed);
	uv_close((uv_handle_t *)&connection->idle, on_idle_closed);
}

static void on_idle(uv_timer_t *timer)
{
	close_connection(container_of(timer, struct tcp_connection, idle));
}

static void keep_alive(struct tcp_connection *connection)
{
	(void)uv_timer_start(&connection->idle, on_idle, RESOLVER_IDLE_S * 1000, 0);
}

static bool is_full(const struct tcp_connection *connection)
{
	return connection->refs > 2 + WAITING_MAX ||
	       uv_stream_get_write_queue_size((const uv_stream_t *)&connection->stream) >
		       QUEUED_MAX;
}

static void read_on(struct tcp_connection *connection);

static void on_written(uv_write_t *request, int status)
{
	struct tcp_connection *connection =
		container_of(request->handle, struct tcp_connection, stream);

	free(container_of(request, struct sending, request));
	if (status < 0)
		close_connection(connection);
	else
		read_on(connection);
}

void tcp_connection_send(struct tcp_connection *connection, const uint8_t *message, size_t size)
{
	struct sending *sending;
	uv_buf_t part;

	if (connection->closed)
		return;
	sending = malloc(sizeof(*sending) + 2 + size);
	if (!sending) {
		close_connection(connection);
		return;
	}
	sending->bytes[0] = (uint8_t)(size >> 8);
	sending->bytes[1] = (uint8_t)size;
	memcpy(sending->bytes + 2, message, size);
	part = uv_buf_init((char *)sending->bytes, (unsigned)(2 + size));
	if (uv_write(&sending->request, (uv_stream_t *)&connection->stream, &part, 1, on_written) <
	    0) {
		free(sending);
		close_connection(connection);
		return;
	}
	keep_alive(connection);
}

void tcp_connection_unref(struct tcp_connection *connection)
{
	if (!connection->closed && connection->paused)
		read_on(connection);
	release(connection);
}

/* Serves the messages that are there in whole. Returns false where the device breaks the rules. */
static bool take_messages(struct tcp_connection *connection)
{
	const struct client client = { .proxy = connection->proxy,
				       .tcp = connection,
				       .address = connection->address,
				       .from = connection->from };
	uint8_t *answer = malloc(DNS_MESSAGE_MAX);
	size_t used = 0;
	bool sound = answer != NULL;

	while (sound && !connection->closed && !is_full(connection) &&
	       connection->size - used >= 2) {
		const uint8_t *at = connection->buffer + used;
		size_t size = (size_t)at[0] << 8 | at[1];
		size_t written;

		sound = size >= DNS_HEADER_SIZE && size <= RESOLVER_TCP_REQUEST_MAX;
		if (!sound || connection->size - used < 2 + size)
			break;
		written = serve(&client, at + 2, size, answer);
		if (written > 0)
			tcp_connection_send(connection, answer, written);
		used += 2 + size;
	}
	free(answer);
	if (used == 0)
		return sound;
	connection->size -= used;
	memmove(connection->buffer, connection->buffer + used, connection->size);
	return sound;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	struct tcp_connection *connection = container_of(handle, struct tcp_connection, stream);
	size_t wanted = connection->size + READ_MIN;
	uint8_t *bytes = connection->buffer;

	(void)suggested;
	if (wanted > connection->capacity) {
		wanted = wanted * 2 < RESOLVER_TCP_REQUEST_MAX + 2 + READ_MIN
				 ? wanted * 2
				 : RESOLVER_TCP_REQUEST_MAX + 2 + READ_MIN;
		bytes = realloc(bytes, wanted);
		if (!bytes) {
			*buffer = uv_buf_init(NULL, 0);
			return;
		}
		connection->buffer = bytes;
		connection->capacity = wanted;
	}
	*buffer = uv_buf_init((char *)bytes + connection->size,
			      (unsigned)(connection->capacity - connection->size));
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
	struct tcp_connection *connection = container_of(stream, struct tcp_connection, stream);

	(void)buffer;
	if (size == 0)
		return;
	if (size < 0) {
		close_connection(connection);
		return;
	}
	connection->size += (size_t)size;
	keep_alive(connection);
	read_on(connection);
}

/* Serves what was read, and goes on reading unless the device has to take answers first. A message that is
 * answered at once releases the connection and so comes here once more: the buffer is in use then, and who
 * uses it goes on anyway. */
static void read_on(struct tcp_connection *connection)
{
	bool sound;

	if (connection->closed || connection->serving)
		return;
	connection->serving = true;
	sound = take_messages(connection);
	connection->serving = false;
	if (!sound)
		close_connection(connection);
	if (connection->closed)
		return;
	connection->paused = is_full(connection);
	if (connection->paused)
		(void)uv_read_stop((uv_stream_t *)&connection->stream);
	else
		(void)uv_read_start((uv_stream_t *)&connection->stream, on_alloc, on_read);
}

static size_t count_of(const struct resolver *resolver, uint32_t address)
{
	size_t count = 0;

	list_foreach(node, &((struct resolver *)resolver)->connections)
		count += container_of(node, struct tcp_connection, node)->address == address;
	return count;
}

/* Who connects, unless there are enough. */
static bool is_welcome(struct tcp_connection *connection)
{
	struct resolver *resolver = connection->proxy->resolver;
	struct sockaddr_storage from;
	int size = sizeof(from);

	if (uv_tcp_getpeername(&connection->stream, (struct sockaddr *)&from, &size) < 0 ||
	    endpoint_from_sockaddr((struct sockaddr *)&from, &connection->from) < 0)
		return false;
	connection->address = proxy_device(connection->proxy, &connection->from.address);
	return connection->address != 0 &&
	       count_of(resolver, connection->address) <= RESOLVER_DEVICE_CONNECTIONS_MAX &&
	       resolver->connection_count <= RESOLVER_CONNECTIONS_MAX;
}

/* One whose stream is not open yet. NULL: no memory. */
static struct tcp_connection *connection_new(struct proxy *proxy)
{
	struct resolver *resolver = proxy->resolver;
	struct tcp_connection *connection = calloc(1, sizeof(*connection));

	if (!connection)
		return NULL;
	connection->proxy = proxy_ref(proxy);
	connection->refs = 2;
	(void)uv_tcp_init(resolver->options.loop, &connection->stream);
	(void)uv_timer_init(resolver->options.loop, &connection->idle);
	list_append(&resolver->connections, &connection->node);
	resolver->connection_count++;
	return connection;
}

static void on_connection(uv_stream_t *stream, int status)
{
	struct tcp_server *tcp = container_of(stream, struct tcp_server, listener);
	struct tcp_connection *connection = status < 0 ? NULL : connection_new(tcp->proxy);

	if (!connection)
		return;
	if (uv_accept(stream, (uv_stream_t *)&connection->stream) < 0 || !is_welcome(connection)) {
		close_connection(connection);
		return;
	}
	(void)uv_tcp_nodelay(&connection->stream,
			     1); /* an answer does not wait for the one before */
	keep_alive(connection);
	read_on(connection);
}

static void on_listener_closed(uv_handle_t *handle)
{
	free(container_of(handle, struct tcp_server, listener));
}

int tcp_server_new(struct proxy *proxy, unsigned family, int fd)
{
	struct tcp_server *tcp = calloc(1, sizeof(*tcp));
	int r;

	if (!tcp) {
		(void)close(fd);
		return -ENOMEM;
	}
	(void)uv_tcp_init(proxy->resolver->options.loop, &tcp->listener);
	r = uv_tcp_open(&tcp->listener, fd);
	if (r < 0)
		(void)close(fd);
	if (r == 0)
		r = uv_listen((uv_stream_t *)&tcp->listener, BACKLOG, on_connection);
	if (r < 0) {
		uv_close((uv_handle_t *)&tcp->listener, on_listener_closed);
		return r;
	}
	tcp->proxy = proxy_ref(proxy);
	tcp->family = family;
	proxy->tcp[family] = tcp;
	return 0;
}

void tcp_server_close(struct tcp_server *tcp)
{
	struct proxy *proxy = tcp->proxy;

	proxy->tcp[tcp->family] = NULL;
	uv_close((uv_handle_t *)&tcp->listener, on_listener_closed);
	proxy_unref(proxy);
}

void tcp_close_all(struct resolver *resolver, const struct proxy *proxy)
{
	list_foreach(node, &resolver->connections) {
		struct tcp_connection *connection = container_of(node, struct tcp_connection, node);

		if (!proxy || connection->proxy == proxy)
			close_connection(connection);
	}
}

void tcp_close_v6(const struct proxy *proxy)
{
	list_foreach(node, &proxy->resolver->connections) {
		struct tcp_connection *connection = container_of(node, struct tcp_connection, node);

		if (connection->proxy == proxy && connection->from.address.family == AF_INET6)
			close_connection(connection);
	}
}
