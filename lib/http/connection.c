/*
 * One step reads at most HTTP_CHUNK bytes into memory that all connections share, gives them to the
 * engine, pulls as much from it into shared memory, and writes that. Only what the kernel does not
 * take is kept for the connection, so an idle one owns no buffer. Nothing is pulled while something
 * is kept, so that a client that does not read costs one chunk and not its answers.
 */
#include <linux/sockios.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/secret.h"
#include "http/http1.h"
#include "http/http2.h"
#include "http/server_internal.h"

#define STEPS 8 /* on one connection before others have their turn */
#define TLS_HANDSHAKE_RECORD 0x16

static void on_poll(uv_poll_t *poll, int status, int events);

static struct http_connection *connection_of(struct http_host *host)
{
	return container_of(host, struct http_connection, host);
}

/* --- what the client owes --- */

static void owe(struct http_connection *c, struct list *list)
{
	if (!list_empty(&c->owes) && (c->wait == HTTP_WAIT_IDLE || c->wait == HTTP_WAIT_HEAD) &&
	    list == &c->server->owe_head)
		return; /* a head that has begun makes nobody younger */
	list_remove(&c->owes);
	list_append(list, &c->owes);
}

static void host_wait(struct http_host *host, enum http_wait wait)
{
	struct http_connection *c = connection_of(host);
	struct http_timers *timers = &c->server->timers;

	switch (wait) {
	case HTTP_WAIT_NONE:
		list_remove(&c->owes);
		http_deadline_clear(&c->deadline);
		break;
	case HTTP_WAIT_IDLE:
		owe(c, &c->server->owe_head);
		http_deadline_set(timers, &c->deadline, HTTP_TIMEOUT_IDLE);
		break;
	case HTTP_WAIT_HEAD:
		owe(c, &c->server->owe_head);
		http_deadline_set(timers, &c->deadline, HTTP_TIMEOUT_HEAD);
		break;
	case HTTP_WAIT_BODY:
		owe(c, &c->server->owe_body);
		http_deadline_set(timers, &c->deadline, HTTP_TIMEOUT_BODY);
		break;
	}
	c->wait = wait;
}

static void on_deadline(struct http_deadline *deadline)
{
	struct http_connection *c = container_of(deadline, struct http_connection, deadline);

	if (c->phase != HTTP_PHASE_SERVE) {
		http_connection_close(c);
		return;
	}
	c->engine->ops->expire(c->engine, c->wait);
	http_connection_work(c);
}

/* --- the transport --- */

/* What an operation of OpenSSL that gave @r means: -EAGAIN, -ECONNRESET; 0: the client ended. */
static int tls_error(struct http_connection *c, int r)
{
	int error = SSL_get_error(c->ssl, r);

	switch (error) {
	case SSL_ERROR_WANT_READ:
		return -EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		c->tls_wants_write = true;
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		c->tls_failed = true;
		ERR_clear_error();
		return -ECONNRESET;
	}
}

/* Reads into the server's buffer. Returns the bytes, 0 at the end, -EAGAIN, or another errno. */
static ssize_t transport_read(struct http_connection *c)
{
	unsigned char *to = c->server->in;
	ssize_t size;

	if (c->ssl) {
		int r;

		ERR_clear_error();
		r = SSL_read(c->ssl, to, HTTP_CHUNK);
		if (r <= 0)
			return tls_error(c, r);
		c->readable = SSL_has_pending(c->ssl); /* for the rest the loop calls again */
		return r;
	}
	do
		size = recv(c->fd, to, HTTP_CHUNK, MSG_DONTWAIT);
	while (size < 0 && errno == EINTR);
	if (size < HTTP_CHUNK)
		c->readable = false;
	return size < 0 ? -errno : size;
}

/* Returns the bytes that were taken, -EAGAIN, or another errno. */
static ssize_t transport_write(struct http_connection *c, const void *bytes, size_t size)
{
	ssize_t written;

	if (c->ssl) {
		int r;

		ERR_clear_error();
		r = SSL_write(c->ssl, bytes, (int)size);
		if (r <= 0) {
			int error = tls_error(c, r);

			return error == 0 ? -ECONNRESET : error;
		}
		return r;
	}
	do
		written = send(c->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (written < 0 && errno == EINTR);
	return written < 0 ? -errno : written;
}

/* --- writing --- */

static void drop_pending(struct http_connection *c)
{
	if (c->pending)
		secret_wipe(c->pending, c->pending_size); /* it may be a device's configuration */
	free(c->pending);
	c->pending = NULL;
	c->pending_size = c->pending_sent = 0;
	http_deadline_clear(&c->progress);
}

/* Bytes that the client's kernel has confirmed. */
static uint64_t arrived(const struct http_connection *c)
{
	int queued = 0;

	if (ioctl(c->fd, SIOCOUTQ, &queued) < 0 || queued < 0 || (uint64_t)queued > c->written)
		queued = 0;
	return c->written - (uint64_t)queued;
}

static void watch_progress(struct http_connection *c)
{
	c->progress_mark = arrived(c);
	http_deadline_set(&c->server->timers, &c->progress, HTTP_TIMEOUT_PROGRESS);
}

static void on_progress(struct http_deadline *deadline)
{
	struct http_connection *c = container_of(deadline, struct http_connection, progress);

	if (arrived(c) - c->progress_mark < HTTP_PROGRESS_MIN)
		http_connection_close(c);
	else
		watch_progress(c);
}

static int keep_pending(struct http_connection *c, const unsigned char *bytes, size_t size)
{
	c->pending = malloc(size);
	if (!c->pending)
		return -ENOMEM;
	memcpy(c->pending, bytes, size);
	c->pending_size = size;
	c->pending_sent = 0;
	watch_progress(c);
	return 0;
}

/* Writes what was kept. Returns 1 when nothing is kept any more, 0, or a negative errno. */
static int write_pending(struct http_connection *c)
{
	while (c->pending) {
		ssize_t size = transport_write(c, c->pending + c->pending_sent,
					       c->pending_size - c->pending_sent);

		if (size == -EAGAIN)
			return 0;
		if (size < 0)
			return (int)size;
		c->written += (uint64_t)size;
		c->pending_sent += (size_t)size;
		if (c->pending_sent == c->pending_size)
			drop_pending(c);
	}
	return 1;
}

/* Writes it; what cannot be written yet is kept. Returns as write_some(). */
static int write_now(struct http_connection *c, const unsigned char *bytes, size_t size)
{
	size_t sent = 0;

	while (sent < size) {
		ssize_t part = transport_write(c, bytes + sent, size - sent);

		if (part == -EAGAIN)
			return keep_pending(c, bytes + sent, size - sent);
		if (part < 0)
			return (int)part;
		c->written += (uint64_t)part;
		sent += (size_t)part;
	}
	return size > 0;
}

/* Pulls once and writes that. Returns whether something was moved, or a negative errno. */
static int write_some(struct http_connection *c)
{
	unsigned char *out = c->server->out;
	size_t size;
	int r = write_pending(c);

	if (r <= 0)
		return r;
	size = c->engine->ops->pull(c->engine, out, HTTP_CHUNK);
	r = write_now(c, out, size);
	secret_wipe(out, size); /* a token, perhaps; the next answer may be shorter */
	return r;
}

/* --- reading --- */

static int serve(struct http_connection *c, bool http2)
{
	int r = http2 ? http2_engine_new(&c->host, &c->engine)
		      : http1_engine_new(&c->host, false, &c->engine);

	if (r < 0)
		return r;
	c->phase = HTTP_PHASE_SERVE;
	return 0;
}

static int engine_receive(struct http_connection *c, const void *bytes, size_t size)
{
	return c->engine->ops->receive(c->engine, bytes, size);
}

/* The first bytes of a plain connection say which protocol it is. What may yet become the preface of
 * HTTP/2 is kept. */
static int receive_first(struct http_connection *c, const unsigned char *bytes, size_t size)
{
	bool http2;
	int r;

	while (size > 0 && c->preface_size < sizeof(c->preface) &&
	       *bytes == (unsigned char)HTTP2_PREFACE[c->preface_size]) {
		c->preface[c->preface_size++] = (char)*bytes++;
		size--;
	}
	http2 = c->preface_size == sizeof(c->preface);
	if (size == 0 && !http2)
		return 0;
	r = serve(c, http2);
	if (r == 0 && c->preface_size > 0)
		r = engine_receive(c, c->preface, c->preface_size);
	return r < 0 || size == 0 ? r : engine_receive(c, bytes, size);
}

static bool wants_bytes(const struct http_connection *c)
{
	if (c->ended)
		return false;
	return c->phase != HTTP_PHASE_SERVE || c->engine->ops->wants_bytes(c->engine);
}

static int client_ended(struct http_connection *c)
{
	c->ended = true;
	c->readable = false;
	if (c->phase != HTTP_PHASE_SERVE)
		return -ECONNRESET;
	c->engine->ops->end(c->engine);
	return 1;
}

/* Reads once. Returns whether something was moved, or a negative errno. */
static int read_some(struct http_connection *c)
{
	unsigned char *in = c->server->in;
	ssize_t size;
	int r;

	if (!c->readable || !wants_bytes(c))
		return 0;
	size = transport_read(c);
	if (size == -EAGAIN)
		c->readable = false;
	if (size <= 0)
		return size == -EAGAIN ? 0 : size < 0 ? (int)size : client_ended(c);
	if (c->phase == HTTP_PHASE_PREFACE)
		r = receive_first(c, in, (size_t)size);
	else
		r = engine_receive(c, in, (size_t)size);
	secret_wipe(in, (size_t)size); /* a password, perhaps */
	return r < 0 ? r : 1;
}

/* --- TLS --- */

/* Looks at the first byte without taking it. Returns 1 when the connection goes on, 0 to wait. */
static int first_byte(struct http_connection *c)
{
	unsigned char byte;
	ssize_t size = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	int r;

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (size <= 0)
		return -ECONNRESET;
	if (byte == TLS_HANDSHAKE_RECORD) {
		c->phase = HTTP_PHASE_HANDSHAKE;
		r = http_tls_accept(c->tls, c->fd, &c->hello, &c->ssl);
	} else {
		/* Somebody forgot the "s" of https. */
		r = http1_engine_new(&c->host, true, &c->engine);
		c->phase = HTTP_PHASE_SERVE;
		c->host.secure = false;
		host_wait(&c->host, HTTP_WAIT_HEAD);
	}
	c->tls = http_tls_free(c->tls);
	return r < 0 ? r : 1;
}

static int handshake(struct http_connection *c)
{
	int r;

	ERR_clear_error();
	r = SSL_accept(c->ssl);
	if (c->hello && !c->hello_noted) {
		c->hello_noted = true;
		http_deadline_set(&c->server->timers, &c->deadline, HTTP_TIMEOUT_HANDSHAKE);
	}
	if (r != 1) {
		r = tls_error(c, r);
		c->readable = false;
		return r == -EAGAIN ? 0 : -ECONNRESET;
	}
	c->readable = true; /* a request may have come with its end */
	host_wait(&c->host, HTTP_WAIT_HEAD);
	r = serve(c, http_tls_is_http2(c->ssl));
	return r < 0 ? r : 1;
}

/* --- work --- */

/* The answer is written, and the client still sends: were the socket closed now, its bytes would make
 * the kernel drop what the client has not read. */
static int begin_linger(struct http_connection *c)
{
	if (c->ssl && !c->tls_failed)
		(void)SSL_shutdown(c->ssl);
	ERR_clear_error();
	(void)shutdown(c->fd, SHUT_WR);
	c->phase = HTTP_PHASE_LINGER;
	list_remove(&c->owes);
	list_append(&c->server->lingering, &c->owes);
	http_deadline_set(&c->server->timers, &c->deadline, HTTP_TIMEOUT_LINGER);
	return 1;
}

static int linger(struct http_connection *c)
{
	ssize_t size = recv(c->fd, c->server->in, HTTP_CHUNK, MSG_DONTWAIT);

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (size <= 0)
		return -ECONNRESET;
	secret_wipe(c->server->in, (size_t)size);
	c->lingered += (size_t)size;
	return c->lingered > HTTP_LINGER_MAX ? -ECONNRESET : 1;
}

/* Returns whether there may be more to do, or a negative errno: the connection is to close. */
static int step(struct http_connection *c)
{
	int read;
	int written;

	switch (c->phase) {
	case HTTP_PHASE_FIRST_BYTE:
		return first_byte(c);
	case HTTP_PHASE_HANDSHAKE:
		return handshake(c);
	case HTTP_PHASE_PREFACE:
		return read_some(c);
	case HTTP_PHASE_LINGER:
		return linger(c);
	case HTTP_PHASE_SERVE:
		break;
	}
	read = read_some(c);
	if (read < 0)
		return read;
	written = write_some(c);
	if (written < 0)
		return written;
	if (c->pending)
		return 0; /* the client has to read first */
	switch (c->engine->ops->ending(c->engine)) {
	case HTTP_OVER:
		return -ESHUTDOWN;
	case HTTP_OVER_UNREAD:
		return c->ended ? -ESHUTDOWN : begin_linger(c);
	case HTTP_OPEN:
		break;
	}
	return read || written;
}

/* Says to the loop what the connection waits for. */
static void update_poll(struct http_connection *c)
{
	int events = 0;

	if (wants_bytes(c) || c->phase == HTTP_PHASE_LINGER)
		events |= UV_READABLE;
	if (c->pending || c->tls_wants_write)
		events |= UV_WRITABLE;
	if (events == c->poll_events)
		return;
	c->poll_events = events;
	if (events)
		(void)uv_poll_start(&c->poll, events, on_poll);
	else
		(void)uv_poll_stop(&c->poll);
}

void http_connection_work(struct http_connection *c)
{
	int r = 1;

	list_remove(&c->woken);
	if (c->host.abandoned) {
		http_connection_close(c);
		return;
	}
	c->inside = true;
	c->tls_wants_write = false;
	for (int i = 0; i < STEPS && r > 0; i++)
		r = step(c);
	c->inside = false;
	if (r < 0) {
		http_connection_close(c);
		return;
	}
	if (r > 0)
		http_connection_wake(c);
	update_poll(c);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct http_connection *c = container_of(poll, struct http_connection, poll);

	if (status < 0) {
		http_connection_close(c);
		return;
	}
	/* Reading may have had to write first, for TLS. */
	if ((events & UV_READABLE) || c->tls_wants_write)
		c->readable = true;
	http_connection_work(c);
}

void http_connection_wake(struct http_connection *c)
{
	if (c->closed || !list_empty(&c->woken))
		return;
	list_append(&c->server->woken, &c->woken);
	http_server_wake(c->server);
}

static void host_wake(struct http_host *host)
{
	struct http_connection *c = connection_of(host);

	if (!c->inside) /* it will be pulled from in this very step */
		http_connection_wake(c);
}

static const char *host_date(struct http_host *host)
{
	return http_server_date(connection_of(host)->server);
}

/* --- its life --- */

static void on_closed(uv_handle_t *handle)
{
	struct http_connection *c = container_of((uv_poll_t *)handle, struct http_connection, poll);
	struct http_server *server = c->server;

	free(c);
	http_server_handle_gone(server);
}

bool http_connection_is_answering(const struct http_connection *c)
{
	return c->phase == HTTP_PHASE_SERVE &&
	       (c->pending || c->engine->ops->is_answering(c->engine));
}

void http_connection_shut_down(struct http_connection *c)
{
	if (c->phase != HTTP_PHASE_SERVE) {
		http_connection_close(c);
		return;
	}
	c->engine->ops->shut_down(c->engine);
	http_connection_work(c);
}

void http_connection_close(struct http_connection *c)
{
	c->closed = true;
	list_remove(&c->node);
	list_remove(&c->owes);
	list_remove(&c->woken);
	http_deadline_clear(&c->deadline);
	drop_pending(c);
	uv_close((uv_handle_t *)&c->poll, on_closed); /* before its descriptor goes */
	if (c->ssl) {
		if (!c->tls_failed && c->phase == HTTP_PHASE_SERVE)
			(void)SSL_shutdown(c->ssl);
		ERR_clear_error();
		SSL_free(c->ssl);
	}
	c->tls = http_tls_free(c->tls);
	(void)close(c->fd);
	if (c->engine)
		c->engine->ops->free(c->engine);
	/* What the engine's handlers called may have woken it. */
	http_deadline_clear(&c->deadline);
	list_remove(&c->owes);
	http_server_connection_gone(c->server, c->source);
}

int http_connection_new(struct http_server *server, int fd, const struct endpoint *peer,
			struct http_source *source, struct http_tls *tls)
{
	struct http_connection *c = calloc(1, sizeof(*c));
	int r = c ? uv_poll_init(server->loop, &c->poll, fd) : -ENOMEM;

	if (r < 0) {
		free(c);
		(void)close(fd);
		return r;
	}
	server->handles++;
	c->host = (struct http_host){ .handlers = server->handlers,
				      .context = server->context,
				      .bodies = &server->bodies,
				      .answers = &server->answers,
				      .timers = &server->timers,
				      .peer = *peer,
				      .secure = tls != NULL,
				      .wake = host_wake,
				      .wait = host_wait,
				      .date = host_date };
	c->server = server;
	c->source = source;
	c->fd = fd;
	c->tls = tls ? http_tls_ref(tls) : NULL;
	c->phase = tls ? HTTP_PHASE_FIRST_BYTE : HTTP_PHASE_PREFACE;
	list_init(&c->owes);
	list_init(&c->woken);
	list_append(&server->connections, &c->node);
	http_deadline_init(&c->deadline, on_deadline);
	http_deadline_init(&c->progress, on_progress);
	host_wait(&c->host, HTTP_WAIT_HEAD);
	if (tls)
		http_deadline_set(&server->timers, &c->deadline, HTTP_TIMEOUT_HELLO);
	update_poll(c);
	return 0;
}
