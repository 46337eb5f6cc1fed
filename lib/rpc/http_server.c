/*
 * libwebsockets runs on a loop of its own that is embedded in the caller's: its epoll descriptor is
 * polled there, and its next timeout is a timer there. The library keeps two timers of 30 s for
 * itself (docs/decisions/0009-http-server-loop.md); they are of no use while nobody is connected, so
 * the outer timer stands still then and the daemon sleeps. An inner loop can also be run to its end
 * by itself, which makes the library's destruction, a matter of several turns, one call here.
 */
#include "rpc/http_server.h"

#include <assert.h>
#include <libwebsockets.h>
#include <malloc.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/secret.h"
#include "rpc/http_head.h"

#define INNER_TURNS 8 /* of the library's loop in one turn of the caller's */
#define ACCEPT_BATCH 16 /* connections taken in one turn of the loop */
#define ACCEPT_PAUSE_MS 100 /* after the process ran out of descriptors */
#define LISTEN_BACKLOG 128
#define CHUNK_SIZE 16384 /* bytes of an answer written in one turn */
#define ANSWER_LARGE 262144 /* bytes; of which the memory goes back to the system */
#define FIELD_MAX 256 /* bytes of a header field that we look at, but for cookies */
#define LENGTH_MAX 31 /* bytes of a Content-Length field, as the library has it */
#define LINGER_BYTES 262144 /* of a refused body that are read, so that the refusal arrives */
#define LINGER_MS 1000

struct listener {
	struct http_server *server;
	uv_poll_t poll;
	int fd;
};

struct http_server {
	uv_loop_t *loop; /* the caller's */
	uv_loop_t inner; /* the library's */
	uv_poll_t inner_ready;
	uv_prepare_t inner_changed; /* active while something was done to the library from outside */
	uv_timer_t inner_timer;
	uv_timer_t accept_timer;
	uv_timer_t close_timer;
	struct lws_context *context;
	struct lws_vhost *vhost;
	struct rpc_dispatcher *dispatcher;
	char *secret;
	struct listener listeners[HTTP_LISTEN_MAX];
	unsigned listener_count;
	struct list connections;
	unsigned connection_count;
	unsigned connections_max;
	unsigned handles; /* of the caller's loop, that are not closed yet */
	bool inside; /* the inner loop runs */
	bool closing;
	bool expired; /* the time for answers, while closing */
	void (*closed)(void *context);
	void *closed_context;
};

/* What a connection is doing. */
enum phase {
	PHASE_HEAD,
	PHASE_BODY,
	PHASE_RUNNING, /* handlers work */
	PHASE_ANSWER, /* writes */
	PHASE_LINGER, /* answered; the rest of a refused body passes by */
};

struct connection {
	struct list node;
	struct http_server *server;
	struct lws *wsi;
	enum phase phase;
	struct rpc_caller caller;
	struct text body;
	struct exchange *exchange; /* while PHASE_RUNNING */
	unsigned status;
	char *answer;
	size_t answer_size;
	size_t answer_sent;
	bool head_sent;
	bool body_ended;
	bool rest_of_body; /* a part of the body was not read when it was refused */
	size_t lingered;
	uint64_t deadline_ns; /* for the phase; 0: none */
	char origin[FIELD_MAX]; /* of the request; "": none */
	char ask_method[FIELD_MAX]; /* of a preflight request */
	char ask_fields[FIELD_MAX];
};

/* A body that the dispatcher has. It outlives its connection. */
struct exchange {
	struct connection *connection; /* NULL: gone */
};

/* --- the inner loop --- */

static void server_finish(struct http_server *server);

/* Sets the outer timer to what the inner loop waits for, if a connection is there to wait. */
static void arm_timer(struct http_server *server);

static void run_inner(struct http_server *server)
{
	if (!server->context)
		return;
	server->inside = true;
	for (int i = 0; i < INNER_TURNS; i++) {
		(void)uv_run(&server->inner, UV_RUN_NOWAIT);
		if (uv_backend_timeout(&server->inner) != 0)
			break; /* nothing is due at once */
	}
	server->inside = false;
	if (server->closing && (server->connection_count == 0 || server->expired))
		server_finish(server);
	else
		arm_timer(server);
}

static void on_inner_timer(uv_timer_t *timer)
{
	run_inner(container_of(timer, struct http_server, inner_timer));
}

static void on_inner_ready(uv_poll_t *poll, int status, int events)
{
	run_inner(container_of(poll, struct http_server, inner_ready));
}

static void on_inner_changed(uv_prepare_t *prepare)
{
	(void)uv_prepare_stop(prepare);
	run_inner(container_of(prepare, struct http_server, inner_changed));
}

static void arm_timer(struct http_server *server)
{
	int timeout_ms = server->connection_count > 0 ? uv_backend_timeout(&server->inner) : -1;

	if (timeout_ms < 0)
		(void)uv_timer_stop(&server->inner_timer);
	else
		(void)uv_timer_start(&server->inner_timer, on_inner_timer,
				     timeout_ms > 0 ? (uint64_t)timeout_ms : 1, 0);
}

/* What was done to the library from outside its loop takes effect before the caller's loop sleeps. */
static void inner_touched(struct http_server *server)
{
	if (!server->inside)
		(void)uv_prepare_start(&server->inner_changed, on_inner_changed);
}

/* --- deadlines --- */

static void deadline_set(struct connection *connection, unsigned timeout_ms)
{
	connection->deadline_ns = clock_monotonic_ns() + timeout_ms * NS_PER_MS;
	lws_set_timer_usecs(connection->wsi, timeout_ms * LWS_US_PER_MS);
}

/* The library's timer cannot be cancelled (libwebsockets 4.1.6): it may ring for nothing. */
static void deadline_clear(struct connection *connection)
{
	connection->deadline_ns = 0;
}

static int on_timer(struct connection *connection)
{
	return connection->deadline_ns && clock_monotonic_ns() >= connection->deadline_ns ? -1 : 0;
}

/* --- answers --- */

/* Makes a refusal in the form of a JSON-RPC error the answer; the connection closes after it. */
static int refuse(struct connection *connection, unsigned status, const char *reason)
{
	struct fault fault = { .kind = FAULT_RPC_INVALID_REQUEST, .details = (char *)reason };
	char *answer = rpc_refusal(&fault);

	if (!answer)
		return -1;
	connection->status = status;
	connection->answer = answer;
	connection->answer_size = strlen(answer);
	connection->phase = PHASE_ANSWER;
	lws_callback_on_writable(connection->wsi);
	return 0;
}

static void on_answer(void *context, char *answer, size_t size, const char *set_cookie)
{
	struct exchange *exchange = context;
	struct connection *connection = exchange->connection;

	free(exchange);
	if (!connection) {
		free(answer);
		return;
	}
	connection->exchange = NULL;
	connection->answer = answer;
	connection->answer_size = size;
	connection->status = HTTP_STATUS_OK;
	connection->phase = PHASE_ANSWER;
	/* With its reading stopped the library would not write either. */
	(void)lws_rx_flow_control(connection->wsi, 1);
	lws_callback_on_writable(connection->wsi);
	inner_touched(connection->server);
}

struct head {
	struct lws *wsi;
	unsigned char *at;
	unsigned char *end;
	bool failed;
};

static void head_field(struct head *head, const char *name, const char *value)
{
	head->failed = head->failed ||
		       lws_add_http_header_by_name(head->wsi, (const unsigned char *)name,
						   (const unsigned char *)value, (int)strlen(value),
						   &head->at, head->end);
}

/*
 * Lets the page that asked read the answer. It does so without its cookies having counted, unless it
 * is of this very host: http_server.h.
 */
static void cors_fields(struct head *head, const struct connection *connection)
{
	if (!connection->origin[0])
		return;
	head_field(head, "access-control-allow-origin:", connection->origin);
	head_field(head, "access-control-allow-credentials:", "true");
	head_field(head, "vary:", "origin");
	if (connection->ask_method[0])
		head_field(head, "access-control-allow-methods:", connection->ask_method);
	if (connection->ask_fields[0])
		head_field(head, "access-control-allow-headers:", connection->ask_fields);
}

static int write_head(struct connection *connection)
{
	unsigned char buffer[LWS_PRE + 2048];
	unsigned char *start = buffer + LWS_PRE;
	struct head head = { connection->wsi, start, buffer + sizeof(buffer), false };
	const char *type = connection->answer_size > 0 ? "application/json" : NULL;

	if (lws_add_http_common_headers(connection->wsi, connection->status, type,
					connection->answer_size, &head.at, head.end))
		return -1;
	cors_fields(&head, connection);
	if (connection->status == HTTP_STATUS_METHOD_NOT_ALLOWED)
		head_field(&head, "allow:", "POST, OPTIONS");
	head_field(&head, "connection:", "close");
	if (head.failed ||
	    lws_finalize_write_http_header(connection->wsi, start, &head.at, head.end))
		return -1;
	connection->head_sent = true;
	return 0;
}

static int answer_written(struct connection *connection)
{
	if (connection->rest_of_body) {
		/* Were the socket closed now, the bytes that still come would make the kernel drop
		 * the answer that the client has not read. */
		(void)shutdown(lws_get_socket_fd(connection->wsi), SHUT_WR);
		connection->phase = PHASE_LINGER;
		deadline_set(connection, LINGER_MS);
		return 0;
	}
	/*
	 * One request for each connection: where bytes of a next one came early, the library
	 * (4.1.6) reads its body from memory that it has freed.
	 */
	return -1;
}

static int on_writable(struct connection *connection)
{
	unsigned char buffer[LWS_PRE + CHUNK_SIZE];
	size_t left = connection->answer_size - connection->answer_sent;
	size_t size = left < CHUNK_SIZE ? left : CHUNK_SIZE;
	enum lws_write_protocol how = size == left ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP;

	if (connection->phase != PHASE_ANSWER)
		return 0;
	deadline_set(connection, HTTP_BODY_TIMEOUT_S * 1000);
	if (!connection->head_sent && write_head(connection) < 0)
		return -1;
	if (size > 0) {
		memcpy(buffer + LWS_PRE, connection->answer + connection->answer_sent, size);
		if (lws_write(connection->wsi, buffer + LWS_PRE, size, how) < (int)size)
			return -1;
		connection->answer_sent += size;
	}
	if (size == left)
		return answer_written(connection);
	lws_callback_on_writable(connection->wsi);
	return 0;
}

/* --- requests --- */

/* Copies a field's value. Returns its size, 0 where the field is missing, or -1 where it is too long,
 * empty, or has a NUL. */
static int field_copy(struct lws *wsi, enum lws_token_indexes token, char *to, size_t capacity)
{
	int size;

	to[0] = '\0';
	if (lws_hdr_total_length(wsi, token) <= 0)
		return 0;
	size = lws_hdr_copy(wsi, to, (int)capacity, token);
	return size > 0 && strlen(to) == (size_t)size ? size : -1;
}

static void preflight_fields(struct connection *connection)
{
	static const char method[] = "access-control-request-method:";

	if (lws_hdr_custom_copy(connection->wsi, connection->ask_method, FIELD_MAX, method,
				(int)strlen(method)) < 0)
		connection->ask_method[0] = '\0';
	if (field_copy(connection->wsi, WSI_TOKEN_HTTP_AC_REQUEST_HEADERS, connection->ask_fields,
		       FIELD_MAX) < 0)
		connection->ask_fields[0] = '\0';
}

static bool cookie_is_secret(const struct connection *connection)
{
	const char *secret = connection->server->secret;
	char field[HTTP_HEAD_MAX];
	const char *value;
	size_t size;
	bool equal;

	if (field_copy(connection->wsi, WSI_TOKEN_HTTP_COOKIE, field, sizeof(field)) <= 0)
		return false;
	value = http_cookie_find(field, "local", &size);
	equal = value && size > 0 && size == strlen(secret) && secret_equal(value, secret, size);
	secret_wipe(field, sizeof(field));
	return equal;
}

static void authenticate(struct connection *connection, const char *host)
{
	bool own_page = !connection->origin[0] || http_origin_is_host(connection->origin, host);

	if (own_page && cookie_is_secret(connection))
		connection->caller.kind = RPC_CALLER_LOCAL;
}

/* The answer to an OPTIONS request: nothing but the fields of cors_fields(). */
static int answer_options(struct connection *connection)
{
	preflight_fields(connection);
	connection->status = HTTP_STATUS_OK;
	connection->phase = PHASE_ANSWER;
	lws_callback_on_writable(connection->wsi);
	return 0;
}

static int expect_body(struct connection *connection)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	unsigned char buffer[LWS_PRE + sizeof(go_on)];
	char expect[FIELD_MAX];

	connection->phase = PHASE_BODY;
	connection->body.max = RPC_BODY_MAX;
	deadline_set(connection, HTTP_BODY_TIMEOUT_S * 1000);
	if (field_copy(connection->wsi, WSI_TOKEN_HTTP_EXPECT, expect, sizeof(expect)) <= 0 ||
	    strcasecmp(expect, "100-continue") != 0)
		return 0;
	memcpy(buffer + LWS_PRE, go_on, strlen(go_on));
	return lws_write(connection->wsi, buffer + LWS_PRE, strlen(go_on), LWS_WRITE_RAW) < 0 ? -1
											      : 0;
}

/* The library takes any POST without a length for one of 100 MiB, and knows no chunked requests. */
static int check_length(struct connection *connection)
{
	char length_field[LENGTH_MAX];
	uint64_t length;

	if (lws_hdr_total_length(connection->wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0 ||
	    field_copy(connection->wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, length_field,
		       sizeof(length_field)) == 0)
		return refuse(connection, HTTP_STATUS_LENGTH_REQUIRED,
			      "the request needs a Content-Length field, and no transfer encoding");
	if (http_length_parse(length_field, &length) < 0)
		return refuse(connection, HTTP_STATUS_BAD_REQUEST,
			      "the Content-Length field is not a number");
	if (length > RPC_BODY_MAX)
		return refuse(connection, HTTP_STATUS_REQ_ENTITY_TOO_LARGE,
			      "the body is larger than 1048576 bytes, the most that is accepted");
	connection->rest_of_body = false;
	return expect_body(connection);
}

/*
 * Whether the library will wait for a body, which takes reading even where the request is refused.
 * Without one it must not read on: bytes that belong to no request make it busy without end.
 */
static bool body_will_come(struct lws *wsi)
{
	char field[LENGTH_MAX];
	uint64_t length;

	if (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) > 0)
		return field_copy(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, field, sizeof(field)) > 0 &&
		       http_length_parse(field, &length) == 0 && length > 0;
	return lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI) > 0 ||
	       lws_hdr_total_length(wsi, WSI_TOKEN_PUT_URI) > 0 ||
	       lws_hdr_total_length(wsi, WSI_TOKEN_PATCH_URI) > 0;
}

static int on_head(struct connection *connection, const char *path)
{
	struct lws *wsi = connection->wsi;
	char host[FIELD_MAX];
	int host_size = field_copy(wsi, WSI_TOKEN_HOST, host, sizeof(host));

	if (connection->phase != PHASE_HEAD)
		return -1;
	connection->rest_of_body = body_will_come(wsi);
	if (host_size <= 0)
		return refuse(connection, HTTP_STATUS_BAD_REQUEST, "the Host field is missing");
	if (!http_host_is_literal(host))
		return refuse(connection, 421,
			      "the Host field has to be an IP address or localhost");
	if (!http_path_is_rpc(path))
		return refuse(connection, HTTP_STATUS_NOT_FOUND, "requests go to /rpc/v0");
	if (field_copy(wsi, WSI_TOKEN_ORIGIN, connection->origin, FIELD_MAX) < 0)
		return refuse(connection, HTTP_STATUS_BAD_REQUEST, "the Origin field is malformed");
	if (lws_hdr_total_length(wsi, WSI_TOKEN_OPTIONS_URI) > 0)
		return answer_options(connection);
	if (lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI) <= 0)
		return refuse(connection, HTTP_STATUS_METHOD_NOT_ALLOWED,
			      "the request has to be a POST");
	authenticate(connection, host);
	return check_length(connection);
}

static int on_body(struct connection *connection, const void *bytes, size_t size)
{
	if (connection->phase == PHASE_BODY) {
		text_append_bytes(&connection->body, bytes, size);
		return text_error(&connection->body) < 0 ? -1 : 0;
	}
	connection->lingered += size;
	return connection->lingered > LINGER_BYTES ? -1 : 0;
}

/*
 * Bytes of a next request came before the answer to this one was written. The library gives them to
 * the old request without end, so the connection closes now: after the answer, if there is one.
 */
static int refuse_pipelining(struct connection *connection)
{
	while (connection->phase == PHASE_ANSWER && !lws_partial_buffered(connection->wsi))
		if (on_writable(connection) < 0)
			break;
	return -1;
}

static int on_body_end(struct connection *connection)
{
	struct exchange *exchange;

	if (connection->phase == PHASE_LINGER)
		return -1;
	if (connection->body_ended)
		return refuse_pipelining(connection);
	connection->body_ended = true;
	connection->rest_of_body = false;
	if (connection->phase != PHASE_BODY)
		return 0; /* refused; the answer is on its way */
	exchange = calloc(1, sizeof(*exchange));
	if (!exchange)
		return -1;
	exchange->connection = connection;
	connection->exchange = exchange;
	connection->phase = PHASE_RUNNING;
	deadline_clear(connection);
	lws_set_timeout(connection->wsi, NO_PENDING_TIMEOUT, 0);
	rpc_dispatch(connection->server->dispatcher, text_string(&connection->body),
		     connection->body.size, &connection->caller, on_answer, exchange);
	/* More bytes would be taken for more of this body. */
	if (connection->phase == PHASE_RUNNING)
		(void)lws_rx_flow_control(connection->wsi, 0);
	return 0;
}

/* --- connections --- */

static struct connection *connection_new(struct http_server *server)
{
	struct connection *connection = calloc(1, sizeof(*connection));

	if (!connection)
		return NULL;
	connection->server = server;
	list_append(&server->connections, &connection->node);
	server->connection_count++;
	return connection;
}

static void connection_free(struct connection *connection)
{
	connection->server->connection_count--;
	list_remove(&connection->node);
	if (connection->exchange)
		connection->exchange->connection = NULL;
	text_done_secret(&connection->body);
	free(connection->answer);
	if (connection->answer_size > ANSWER_LARGE)
		(void)malloc_trim(0); /* what it was made of took many times its size */
	free(connection);
}

/* Tells somebody who asks for WebSocket or HTTP/2 that there is none. */
static int refuse_upgrade(struct lws *wsi)
{
	(void)lws_return_http_status(wsi, HTTP_STATUS_NOT_IMPLEMENTED, NULL);
	return -1;
}

/* The library's events of all connections. A return that is not 0 closes the connection. */
static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
		    size_t size)
{
	struct connection *connection = lws_get_opaque_user_data(wsi);

	if (!connection)
		return 0; /* of the library itself */
	connection->wsi = wsi;
	switch (reason) {
	case LWS_CALLBACK_HTTP:
		return on_head(connection, in);
	case LWS_CALLBACK_HTTP_BODY:
		return on_body(connection, in, size);
	case LWS_CALLBACK_HTTP_BODY_COMPLETION:
		return on_body_end(connection);
	case LWS_CALLBACK_HTTP_WRITEABLE:
		return on_writable(connection);
	case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
		return refuse_upgrade(wsi);
	case LWS_CALLBACK_TIMER:
		return on_timer(connection);
	case LWS_CALLBACK_RAW_ADOPT: /* a CONNECT request */
	case LWS_CALLBACK_RAW_RX:
		return -1;
	case LWS_CALLBACK_WSI_DESTROY:
		lws_set_opaque_user_data(wsi, NULL);
		connection_free(connection);
		return 0;
	default:
		return 0;
	}
}

static const struct lws_protocols protocols[] = {
	{ .name = "rpc", .callback = on_event },
	{ 0 },
};

int http_server_adopt(struct http_server *server, int fd)
{
	lws_adopt_desc_t description = {
		.vh = server->vhost,
		.type = LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP,
		.fd.sockfd = fd,
	};
	struct connection *connection = NULL;
	unsigned before = server->connection_count;

	if (!server->closing && before < server->connections_max)
		connection = connection_new(server);
	if (!connection) {
		(void)close(fd);
		return server->connection_count < server->connections_max ? -ENOMEM : -EBUSY;
	}
	/* Head and body of an answer are two writes: the second does not wait for the first one's
	 * acknowledgement, which would take 40 ms. Another kind of stream has no such delay. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	description.opaque = connection;
	connection->wsi = lws_adopt_descriptor_vhost_via_info(&description);
	if (!connection->wsi)
		return -EIO;
	/* The library looks at its timeouts again only after an event of its own. */
	lws_cancel_service(server->context);
	inner_touched(server);
	return 0;
}

unsigned http_server_connections(const struct http_server *server)
{
	return server->connection_count;
}

/* --- listening --- */

static void on_connectable(uv_poll_t *poll, int status, int events);

static void listeners_set(struct http_server *server, bool on)
{
	for (unsigned i = 0; i < server->listener_count; i++) {
		struct listener *listener = &server->listeners[i];

		if (on)
			(void)uv_poll_start(&listener->poll, UV_READABLE, on_connectable);
		else
			(void)uv_poll_stop(&listener->poll);
	}
}

/* Tells a client that there is no room, as far as that goes without waiting for it. */
static void turn_away(int fd)
{
	static const char body[] =
		"{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32600,\"message\":"
		"\"Invalid Request\",\"data\":\"too many connections\"},\"id\":null}";
	char answer[512];
	int size = snprintf(answer, sizeof(answer),
			    "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n"
			    "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
			    strlen(body), body);

	(void)send(fd, answer, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)close(fd);
}

static void on_accept_timer(uv_timer_t *timer)
{
	struct http_server *server = container_of(timer, struct http_server, accept_timer);

	listeners_set(server, true);
}

/* Closes the oldest connection that still owes its head: whoever opens many and says nothing keeps
 * nobody out. Returns whether there is room now. */
static bool make_room(struct http_server *server)
{
	unsigned before = server->connection_count;

	list_foreach(node, &server->connections) {
		struct connection *connection = container_of(node, struct connection, node);

		if (connection->phase != PHASE_HEAD || !connection->wsi)
			continue;
		lws_set_timeout(connection->wsi, PENDING_TIMEOUT_USER_REASON_BASE,
				LWS_TO_KILL_SYNC);
		inner_touched(server);
		break;
	}
	return server->connection_count < before;
}

/* Takes one connection. Returns whether to go on. */
static bool accept_one(struct listener *listener)
{
	struct http_server *server = listener->server;
	int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
		listeners_set(server, false); /* it would call again at once */
		(void)uv_timer_start(&server->accept_timer, on_accept_timer, ACCEPT_PAUSE_MS, 0);
		return false;
	}
	if (fd < 0)
		return errno == EINTR || errno == ECONNABORTED;
	if (server->connection_count >= server->connections_max && !make_room(server)) {
		turn_away(fd);
		return true;
	}
	(void)http_server_adopt(server, fd);
	return true;
}

static void on_connectable(uv_poll_t *poll, int status, int events)
{
	struct listener *listener = container_of(poll, struct listener, poll);

	for (int i = 0; i < ACCEPT_BATCH && accept_one(listener); i++)
		;
}

int http_server_listen_fd(struct http_server *server, int fd)
{
	struct listener *listener = &server->listeners[server->listener_count];
	int r;

	if (server->listener_count == HTTP_LISTEN_MAX) {
		(void)close(fd);
		return -ENOSPC;
	}
	r = uv_poll_init(server->loop, &listener->poll, fd);
	if (r < 0) {
		(void)close(fd);
		return r;
	}
	server->handles++;
	listener->server = server;
	listener->fd = fd;
	server->listener_count++;
	return uv_poll_start(&listener->poll, UV_READABLE, on_connectable);
}

int http_server_listen(struct http_server *server, const struct endpoint *address)
{
	struct sockaddr_storage to;
	socklen_t size = endpoint_to_sockaddr(address, &to);
	cleanup_close int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, (const struct sockaddr *)&to, size) < 0 || listen(fd, LISTEN_BACKLOG) < 0)
		return -errno;
	return http_server_listen_fd(server, TAKE_FD(fd));
}

/* --- the server's life --- */

static int context_new(struct http_server *server)
{
	void *loops[] = { &server->inner };
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN_SERVER,
		.protocols = protocols,
		.foreign_loops = loops,
		.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
			   LWS_SERVER_OPTION_SKIP_SERVER_CANONICAL_NAME,
		.gid = (gid_t)-1,
		.uid = (uid_t)-1,
		.fd_limit_per_thread = server->connections_max + 8,
		.max_http_header_pool = (unsigned short)server->connections_max,
		.max_http_header_data2 = HTTP_HEAD_MAX,
		.pt_serv_buf_size = CHUNK_SIZE,
		.timeout_secs = HTTP_HEAD_TIMEOUT_S,
		.timeout_secs_ah_idle = HTTP_HEAD_TIMEOUT_S,
		.vhost_name = "rpc",
	};

	lws_set_log_level(0, NULL); /* libraries return, programs log */
	server->context = lws_create_context(&info);
	if (!server->context)
		return -ENOMEM;
	server->vhost = lws_create_vhost(server->context, &info);
	return server->vhost ? 0 : -ENOMEM;
}

/* The library closes its handles over several turns of its loop. */
static void context_destroy(struct http_server *server)
{
	if (server->context) {
		struct lws_context *context = TAKE_PTR(server->context);

		lws_context_destroy(context);
		(void)uv_run(&server->inner, UV_RUN_DEFAULT);
		lws_context_destroy(context);
	}
	(void)uv_run(&server->inner, UV_RUN_DEFAULT);
	(void)uv_loop_close(&server->inner);
}

static void server_free(struct http_server *server)
{
	if (server->secret)
		secret_wipe(server->secret, strlen(server->secret));
	free(server->secret);
	free(server);
}

int http_server_new(uv_loop_t *loop, const struct http_server_options *options,
		    struct http_server **ret)
{
	struct http_server *server = calloc(1, sizeof(*server));
	int r;

	if (!server)
		return -ENOMEM;
	server->loop = loop;
	server->dispatcher = options->dispatcher;
	server->connections_max = options->connections_max ? options->connections_max
							   : HTTP_CONNECTIONS_MAX;
	list_init(&server->connections);
	server->secret = strdup(options->secret ? options->secret : "");
	r = server->secret ? uv_loop_init(&server->inner) : -ENOMEM;
	if (r < 0) {
		server_free(server);
		return r;
	}
	r = context_new(server);
	if (r >= 0)
		r = uv_poll_init(loop, &server->inner_ready, uv_backend_fd(&server->inner));
	if (r < 0) {
		context_destroy(server);
		server_free(server);
		return r;
	}
	(void)uv_poll_start(&server->inner_ready, UV_READABLE, on_inner_ready);
	(void)uv_prepare_init(loop, &server->inner_changed);
	(void)uv_timer_init(loop, &server->inner_timer);
	(void)uv_timer_init(loop, &server->accept_timer);
	(void)uv_timer_init(loop, &server->close_timer);
	server->handles = 5;
	inner_touched(server);
	*ret = server;
	return 0;
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct http_server *server = handle->data;
	void (*closed)(void *) = server->closed;
	void *context = server->closed_context;

	if (--server->handles > 0)
		return;
	server_free(server);
	if (closed)
		closed(context);
}

static void close_handle(struct http_server *server, void *handle)
{
	uv_handle_t *generic = handle;

	generic->data = server;
	uv_close(generic, on_handle_closed);
}

static void server_finish(struct http_server *server)
{
	(void)uv_poll_stop(&server->inner_ready); /* before its descriptor goes */
	context_destroy(server);
	close_handle(server, &server->inner_ready);
	close_handle(server, &server->inner_changed);
	close_handle(server, &server->inner_timer);
	close_handle(server, &server->accept_timer);
	close_handle(server, &server->close_timer);
}

static void on_close_timer(uv_timer_t *timer)
{
	struct http_server *server = container_of(timer, struct http_server, close_timer);

	server->expired = true;
	run_inner(server);
}

void http_server_close(struct http_server *server, void (*closed)(void *context), void *context)
{
	assert(!server->closing);
	server->closing = true;
	server->closed = closed;
	server->closed_context = context;
	for (unsigned i = 0; i < server->listener_count; i++) {
		close_handle(server, &server->listeners[i].poll);
		(void)close(server->listeners[i].fd);
	}
	server->listener_count = 0;
	(void)uv_timer_stop(&server->accept_timer);
	list_foreach(node, &server->connections) {
		struct connection *connection = container_of(node, struct connection, node);

		if (connection->phase == PHASE_HEAD || connection->phase == PHASE_LINGER)
			lws_set_timeout(connection->wsi, PENDING_TIMEOUT_USER_REASON_BASE,
					LWS_TO_KILL_ASYNC);
	}
	lws_cancel_service(server->context);
	(void)uv_timer_start(&server->close_timer, on_close_timer, HTTP_CLOSE_TIMEOUT_MS, 0);
	(void)uv_prepare_start(&server->inner_changed, on_inner_changed);
}
