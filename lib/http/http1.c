/*
 * The engine is a small state machine over what came. Its input is either in the hands of receive() or,
 * where more came than can be used now, in the buffer `ahead`; feed() eats from either and says how much.
 */
#include "http/http1.h"

#include <assert.h>
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

#include "base/secret.h"
#include "base/text.h"
#include "http/http1_parse.h"
#include "http/socket.h"

#define RECEIVE_MAX 16384 /* what a connection gives at once, at most */
#define CHUNK_LINE_MAX 256
#define TRAILER_MAX 4096 /* bytes of all trailer fields */
#define KEY_SIZE 24 /* of a Sec-WebSocket-Key: 16 bytes in base64 */
#define CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"
#define WEBSOCKET_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455 section 1.3 */

enum state {
	STATE_HEAD, /* of the next request */
	STATE_BODY, /* counted bytes */
	STATE_CHUNK_SIZE,
	STATE_CHUNK,
	STATE_CHUNK_END,
	STATE_TRAILER,
	STATE_ANSWER, /* handlers work, or the answer is being pulled; input waits */
	STATE_SOCKET,
	STATE_OVER, /* nothing more is read; what is queued is pulled */
};

struct http1 {
	struct http_engine engine;
	enum state state;
	bool redirect;
	bool ended; /* the client sends no more */
	bool going; /* shut_down was called */
	bool unread; /* STATE_OVER: the client may still send */
	bool waits_head; /* the host was told HTTP_WAIT_HEAD */
	bool says_continue; /* to be pulled before anything else */
	size_t continue_sent;
	struct http1_head head; /* of the request */
	struct http_request *request; /* NULL: none, or answered */
	struct http_socket *socket;
	uint64_t body_left; /* of the body or the chunk */
	size_t trailer_size;

	unsigned char *ahead; /* what came and was not used yet */
	size_t ahead_size;
	size_t ahead_capacity;
	size_t scanned; /* of a head or line that is not whole */

	bool has_answer;
	bool answer_closes;
	char *answer_head;
	size_t answer_head_size;
	size_t answer_head_sent;
	struct http_body answer_body;
	size_t answer_body_sent;
};

static struct http1 *http1_of(struct http_engine *engine)
{
	return container_of(engine, struct http1, engine);
}

static void tell_wait(struct http1 *h, enum http_wait wait)
{
	h->waits_head = wait == HTTP_WAIT_HEAD;
	h->engine.host->wait(h->engine.host, wait);
}

static void answer_done(struct http1 *h)
{
	free(h->answer_head);
	h->answer_head = NULL;
	h->answer_head_size = h->answer_head_sent = h->answer_body_sent = 0;
	http_body_done(&h->answer_body);
	h->has_answer = false;
}

static void over(struct http1 *h, bool unread)
{
	h->state = STATE_OVER;
	h->unread = unread && !h->ended;
	h->request = http_request_free(h->request);
	h->says_continue = false;
	tell_wait(h, HTTP_WAIT_NONE);
}

/* --- answers --- */

static bool is_line(const char *text)
{
	return !strpbrk(text, "\r\n");
}

/* Writes the head of an answer. Returns it, or NULL for want of memory or where a field is not one. */
static char *make_head(struct http1 *h, const struct http_answer *answer, bool close,
		       size_t *ret_size)
{
	CLEANUP(text_done) struct text text = { 0 };

	text_printf(&text, "HTTP/1.1 %u %s\r\nDate: %s\r\n", answer->status,
		    http_status_phrase(answer->status), h->engine.host->date(h->engine.host));
	for (size_t i = 0; i < answer->field_count; i++) {
		const struct http_field *field = &answer->fields[i];

		if (!is_line(field->name) || !is_line(field->value))
			return NULL;
		text_append(&text, field->name);
		text_append_bytes(&text, ": ", 2);
		text_append(&text, field->value);
		text_append_bytes(&text, "\r\n", 2);
	}
	if (http_status_has_body(answer->status))
		text_printf(&text, "Content-Length: %zu\r\n", answer->body_size);
	if (close)
		text_append(&text, "Connection: close\r\n");
	else if (h->head.keep_alive)
		text_append(&text, "Connection: keep-alive\r\n");
	text_append(&text, "\r\n");
	*ret_size = text.size;
	return text_take(&text);
}

/* Makes it the answer that is pulled. On failure the connection ends. */
static void queue_answer(struct http1 *h, const struct http_answer *answer, bool is_head)
{
	bool has_body = !is_head && http_status_has_body(answer->status);
	bool close = answer->close || h->head.close || h->going || h->state == STATE_OVER;
	struct http_answer without = *answer;

	assert(!h->has_answer);
	if (!has_body && answer->release)
		answer->release(answer->release_context);
	if (!has_body) {
		without.body_size = 0;
		without.release = NULL;
	}
	if (http_body_take(&h->answer_body, &without, h->engine.host) == 0) {
		h->answer_head = make_head(h, answer, close, &h->answer_head_size);
		h->has_answer = h->answer_head != NULL;
	}
	if (!h->has_answer) {
		answer_done(h);
		over(h, false);
		return;
	}
	h->answer_closes = close;
}

/* Refuses what the client does; the connection ends after it. */
static void refuse(struct http1 *h, unsigned status, const char *reason)
{
	static const struct http_field fields[] = { { "Content-Type", "application/json" } };
	char body[HTTP_REFUSAL_MAX];
	struct http_answer answer = {
		.status = status, .fields = fields, .field_count = 1, .body = body, .close = true
	};
	bool is_head = h->request && h->request->is_head;

	answer.body_size = http_refusal(reason, body);
	over(h, true);
	queue_answer(h, &answer, is_head);
}

/* The body of the request is not whole, and will not be read. */
static bool body_is_left(const struct http1 *h)
{
	return h->state != STATE_ANSWER;
}

static void http1_answer(struct http_request *request, const struct http_answer *answer)
{
	struct http1 *h = http1_of(request->engine);
	struct http_answer last = *answer;
	bool is_head = request->is_head;

	h->request = NULL;
	if (body_is_left(h)) {
		last.close = true;
		over(h, true);
	}
	queue_answer(h, &last, is_head);
	(void)http_request_free(request); /* the answer may be made of it */
	h->engine.host->wake(h->engine.host);
}

/* To the same place by https. */
static void redirect(struct http1 *h)
{
	CLEANUP(text_done) struct text location = { .max = 2 * HTTP_HEAD_MAX };
	const char *query = http_request_query(h->request);
	struct http_field field = { "Location", NULL };
	struct http_answer answer = { .status = 307, .fields = &field, .field_count = 1 };
	bool is_head = h->request->is_head;

	if (!http_request_host(h->request)[0] || http_request_path(h->request)[0] != '/') {
		refuse(h, 400, "Host header required");
		return;
	}
	text_printf(&location, "https://%s%s%s%s", http_request_host(h->request),
		    http_request_path(h->request), *query ? "?" : "", query);
	field.value = text_string(&location);
	over(h, true);
	if (text_error(&location) == 0)
		queue_answer(h, &answer, is_head);
}

/* --- a request --- */

static bool wants_continue(const struct http1 *h, size_t here)
{
	return h->head.expects_continue && here == 0;
}

/* The whole request is here. */
static void complete(struct http1 *h)
{
	h->state = STATE_ANSWER;
	tell_wait(h, HTTP_WAIT_NONE);
	http_request_deliver_body(h->request);
}

/* The request was answered by its first handler, or is refused, or its body is awaited. @here: bytes
 * of the body that came with the head. */
static void head_is_here(struct http1 *h, size_t here)
{
	bool has_body = h->head.chunked || h->head.length > 0;

	/* What is answered within the handler has its whole body here where it has none. */
	h->state = !has_body ? STATE_ANSWER : h->head.chunked ? STATE_CHUNK_SIZE : STATE_BODY;
	h->body_left = h->head.length;
	h->trailer_size = 0;
	tell_wait(h, has_body ? HTTP_WAIT_BODY : HTTP_WAIT_NONE);
	if (!http_request_deliver_head(h->request))
		return;
	if (h->state == STATE_ANSWER) {
		complete(h);
	} else if (h->head.length > h->request->body_max) {
		refuse(h, 413, "the body is larger than what is accepted here");
	} else if (wants_continue(h, here)) {
		h->says_continue = true;
		h->continue_sent = 0;
	}
}

static int take_head(struct http1 *h, const char *text, size_t size, size_t here)
{
	struct http1_refusal refusal = { 0 };
	int r = http_request_new(&h->engine, NULL, &h->request);

	if (r < 0)
		return r;
	r = http1_parse_head(text, size, h->request, &h->head, &refusal);
	if (r == -EBADMSG)
		refuse(h, refusal.status, refusal.reason);
	else if (r < 0)
		return r;
	else if (h->redirect)
		redirect(h);
	else
		head_is_here(h, here);
	return 0;
}

/* --- input: each of these eats from the start of what is there and says how much it took --- */

/* Whether more lines may come to a head of which @size bytes are there. */
static bool head_too_large(struct http1 *h, const char *text, size_t size)
{
	if (size < HTTP_HEAD_MAX)
		return false;
	if (!memchr(text, '\n', HTTP1_TARGET_MAX + 64))
		refuse(h, 414, "the request's target is longer than 8192 bytes");
	else
		refuse(h, 431, "the head is larger than 16384 bytes");
	return true;
}

/* Finds the end of the head, which is behind an empty line. Returns its size, 0 where it is not there
 * yet, or where it was refused. */
static size_t find_head_end(struct http1 *h, const char *text, size_t size)
{
	const char *at = text + h->scanned;
	const char *end = text + (size < HTTP_HEAD_MAX ? size : HTTP_HEAD_MAX);
	const char *line;

	while ((line = memchr(at, '\n', (size_t)(end - at)))) {
		size_t place = (size_t)(line - text);

		if (place == 0 || line[-1] != '\r') {
			refuse(h, 400, "a line of the head does not end in CR LF");
			return 0;
		}
		if (place >= 3 && line[-2] == '\n')
			return place + 1;
		at = line + 1;
	}
	h->scanned = (size_t)(end - text);
	(void)head_too_large(h, text, size);
	return 0;
}

static ssize_t eat_head(struct http1 *h, const char *text, size_t size)
{
	size_t head;
	int r;

	/* An empty line before a request is passed over: RFC 9112 section 2.2. */
	if (h->scanned == 0 && text[0] == '\r') {
		if (size >= 2 && text[1] == '\n')
			return 2;
		if (size == 1)
			return 0;
	}
	if (h->scanned == 0 && (text[0] < 'A' || text[0] > 'z')) {
		refuse(h, 400, "the request does not begin with a method and a space");
		return (ssize_t)size;
	}
	head = find_head_end(h, text, size);
	if (head == 0) {
		if (h->state == STATE_HEAD && !h->waits_head)
			tell_wait(h, HTTP_WAIT_HEAD);
		return 0;
	}
	h->scanned = 0;
	r = take_head(h, text, head, size - head);
	return r < 0 ? r : (ssize_t)head;
}

static void add_body(struct http1 *h, const char *bytes, size_t size)
{
	int r = http_request_add_body(h->request, bytes, size);

	if (r == -EFBIG)
		refuse(h, 413, "the body is larger than what is accepted here");
	else if (r < 0)
		refuse(h, 503, "too many bodies are being sent at once");
}

static ssize_t eat_body(struct http1 *h, const char *bytes, size_t size)
{
	size_t part = h->body_left < size ? (size_t)h->body_left : size;

	h->body_left -= part;
	add_body(h, bytes, part);
	if (h->body_left > 0 || h->state == STATE_OVER)
		return (ssize_t)part;
	if (h->state == STATE_CHUNK)
		h->state = STATE_CHUNK_END;
	else
		complete(h);
	return (ssize_t)part;
}

/* Finds a line. Returns its size without CR LF, or -1 where it is not whole or was refused. */
static ssize_t find_line(struct http1 *h, const char *text, size_t size, size_t max)
{
	const char *line = memchr(text, '\n', size < max ? size : max);

	if (!line && size >= max)
		refuse(h, 400, "a line of the chunked body is too long");
	if (!line)
		return -1;
	if (line == text || line[-1] != '\r') {
		refuse(h, 400, "a line of the chunked body does not end in CR LF");
		return -1;
	}
	return line - text - 1;
}

static ssize_t eat_chunk_size(struct http1 *h, const char *text, size_t size)
{
	ssize_t line = find_line(h, text, size, CHUNK_LINE_MAX);
	uint64_t chunk;

	if (line < 0)
		return 0;
	if (http1_parse_chunk_size(text, (size_t)line, &chunk) < 0) {
		refuse(h, 400, "the size of a chunk is malformed");
	} else if (chunk > h->request->body_max - h->request->body_size) {
		refuse(h, 413, "the body is larger than what is accepted here");
	} else {
		h->body_left = chunk;
		h->state = chunk > 0 ? STATE_CHUNK : STATE_TRAILER;
	}
	return line + 2;
}

static ssize_t eat_chunk_end(struct http1 *h, const char *text, size_t size)
{
	if (size < 2 && text[0] == '\r')
		return 0;
	if (text[0] != '\r' || text[1] != '\n') {
		refuse(h, 400, "a chunk is longer than its size says");
		return 0;
	}
	h->state = STATE_CHUNK_SIZE;
	return 2;
}

/* Trailer fields are checked and forgotten. */
static ssize_t eat_trailer(struct http1 *h, const char *text, size_t size)
{
	ssize_t line = find_line(h, text, size, TRAILER_MAX - h->trailer_size);

	if (line < 0)
		return 0;
	h->trailer_size += (size_t)line + 2;
	if (line == 0)
		complete(h);
	else if (h->trailer_size >= TRAILER_MAX || !http1_is_field(text, (size_t)line))
		refuse(h, 400, "a trailer field of the chunked body is malformed or too long");
	return line + 2;
}

static ssize_t eat_socket(struct http1 *h, const char *bytes, size_t size)
{
	http_socket_receive(h->socket, bytes, size);
	return (ssize_t)size;
}

/* Eats as long as something is to be had. Returns how much was eaten, or a negative errno. */
static ssize_t feed(struct http1 *h, const char *bytes, size_t size)
{
	static ssize_t (*const eat[])(struct http1 *, const char *, size_t) = {
		[STATE_HEAD] = eat_head,
		[STATE_BODY] = eat_body,
		[STATE_CHUNK_SIZE] = eat_chunk_size,
		[STATE_CHUNK] = eat_body,
		[STATE_CHUNK_END] = eat_chunk_end,
		[STATE_TRAILER] = eat_trailer,
		[STATE_SOCKET] = eat_socket,
	};
	size_t eaten = 0;

	while (eaten < size && h->state != STATE_ANSWER && h->state != STATE_OVER) {
		enum state before = h->state;
		ssize_t part = eat[before](h, bytes + eaten, size - eaten);

		if (part < 0)
			return part;
		eaten += (size_t)part;
		if (part == 0 && h->state == before)
			break; /* more is needed */
	}
	return (ssize_t)(h->state == STATE_OVER ? size : eaten);
}

/* Keeps what was not eaten. Heads and answers leave secrets nowhere: memory is wiped. */
static int keep(struct http1 *h, const void *bytes, size_t size)
{
	size_t capacity = h->ahead_capacity ? h->ahead_capacity : 1024;
	unsigned char *ahead;

	if (size > HTTP1_AHEAD_MAX - h->ahead_size)
		return -EMSGSIZE; /* the connection gave more than was wanted */
	if (h->ahead_size + size > h->ahead_capacity) {
		while (capacity < h->ahead_size + size)
			capacity *= 2;
		ahead = malloc(capacity);
		if (!ahead)
			return -ENOMEM;
		if (h->ahead_size > 0)
			memcpy(ahead, h->ahead, h->ahead_size);
		if (h->ahead)
			secret_wipe(h->ahead, h->ahead_size);
		free(h->ahead);
		h->ahead = ahead;
		h->ahead_capacity = capacity;
	}
	memcpy(h->ahead + h->ahead_size, bytes, size);
	h->ahead_size += size;
	return 0;
}

static void drop_ahead(struct http1 *h)
{
	if (h->ahead)
		secret_wipe(h->ahead, h->ahead_size);
	free(h->ahead);
	h->ahead = NULL;
	h->ahead_size = h->ahead_capacity = 0;
}

static int feed_ahead(struct http1 *h)
{
	ssize_t eaten;

	if (h->ahead_size == 0)
		return 0;
	eaten = feed(h, (const char *)h->ahead, h->ahead_size);
	if (eaten < 0)
		return (int)eaten;
	if ((size_t)eaten == h->ahead_size) {
		drop_ahead(h);
		return 0;
	}
	memmove(h->ahead, h->ahead + eaten, h->ahead_size - (size_t)eaten);
	h->ahead_size -= (size_t)eaten;
	return 0;
}

static int http1_receive(struct http_engine *engine, const void *bytes, size_t size)
{
	struct http1 *h = http1_of(engine);
	ssize_t eaten = 0;
	int r;

	if (h->state == STATE_OVER)
		return 0;
	if (h->ahead_size == 0) {
		eaten = feed(h, bytes, size);
		if (eaten < 0)
			return (int)eaten;
		if ((size_t)eaten == size)
			return 0;
		return keep(h, (const char *)bytes + eaten, size - (size_t)eaten);
	}
	r = keep(h, bytes, size);
	return r < 0 ? r : feed_ahead(h);
}

static void http1_end(struct http_engine *engine)
{
	struct http1 *h = http1_of(engine);

	h->ended = true;
	if (h->state != STATE_ANSWER && h->state != STATE_OVER)
		over(h, false);
	h->unread = false;
}

static bool http1_wants_bytes(const struct http_engine *engine)
{
	const struct http1 *h = container_of(engine, struct http1, engine);

	return h->state != STATE_OVER && !h->ended &&
	       h->ahead_size <= HTTP1_AHEAD_MAX - RECEIVE_MAX;
}

/* --- output --- */

struct output {
	unsigned char *at;
	size_t left;
};

/* Puts what fits of a thing of which @sent bytes went before. Returns whether all of it is sent. */
static bool put(struct output *out, const void *bytes, size_t size, size_t *sent)
{
	size_t part = size - *sent < out->left ? size - *sent : out->left;

	if (part > 0)
		memcpy(out->at, (const unsigned char *)bytes + *sent, part);
	out->at += part;
	out->left -= part;
	*sent += part;
	return *sent == size;
}

/* The answer is pulled: what came early is next. */
static void next_request(struct http1 *h)
{
	bool closes = h->answer_closes;

	answer_done(h);
	if (h->state == STATE_SOCKET) /* it was the 101 */
		return;
	if (h->state == STATE_OVER)
		return;
	if (closes || h->going || (h->ended && h->ahead_size == 0)) {
		over(h, h->ahead_size > 0);
		return;
	}
	h->state = STATE_HEAD;
	tell_wait(h, HTTP_WAIT_IDLE);
	if (feed_ahead(h) < 0)
		over(h, false);
	else if (h->ended && h->state != STATE_ANSWER && h->state != STATE_OVER)
		over(h, false);
}

static void pull_socket(struct http1 *h, struct output *out)
{
	size_t size;

	if (feed_ahead(h) < 0)
		http_socket_drop(h->socket);
	size = http_socket_pull(h->socket, out->at, out->left);
	out->at += size;
	out->left -= size;
	if (http_socket_is_over(h->socket))
		over(h, false);
}

static size_t http1_pull(struct http_engine *engine, void *to, size_t capacity)
{
	struct http1 *h = http1_of(engine);
	struct output out = { to, capacity };

	if (h->says_continue && put(&out, CONTINUE, strlen(CONTINUE), &h->continue_sent))
		h->says_continue = false;
	while (h->has_answer && out.left > 0) {
		if (!put(&out, h->answer_head, h->answer_head_size, &h->answer_head_sent) ||
		    !put(&out, h->answer_body.bytes, h->answer_body.size, &h->answer_body_sent))
			break;
		next_request(h);
	}
	if (h->state == STATE_SOCKET && !h->has_answer && out.left > 0)
		pull_socket(h, &out);
	return capacity - out.left;
}

static enum http_ending http1_ending(const struct http_engine *engine)
{
	const struct http1 *h = container_of(engine, struct http1, engine);

	if (h->state != STATE_OVER || h->has_answer)
		return HTTP_OPEN;
	return h->unread ? HTTP_OVER_UNREAD : HTTP_OVER;
}

static bool http1_is_answering(const struct http_engine *engine)
{
	const struct http1 *h = container_of(engine, struct http1, engine);

	return h->state == STATE_ANSWER || h->has_answer;
}

static void http1_expire(struct http_engine *engine, enum http_wait wait)
{
	struct http1 *h = http1_of(engine);

	/* Browsers open connections ahead of need: one on which nothing came gets no refusal either. */
	if (wait == HTTP_WAIT_IDLE || (wait == HTTP_WAIT_HEAD && h->ahead_size == 0))
		over(h, false);
	else if (wait == HTTP_WAIT_HEAD)
		refuse(h, 408, "the head of the request did not come in time");
	else if (wait == HTTP_WAIT_BODY)
		refuse(h, 408, "the body of the request did not come in time");
}

static void http1_shut_down(struct http_engine *engine)
{
	struct http1 *h = http1_of(engine);

	h->going = true;
	if (h->state == STATE_SOCKET)
		http_socket_go_away(h->socket);
	else if (h->state != STATE_ANSWER && h->state != STATE_OVER)
		over(h, false);
}

static void http1_free(struct http_engine *engine)
{
	struct http1 *h = http1_of(engine);

	(void)http_request_free(h->request);
	if (h->socket)
		http_socket_gone(h->socket);
	answer_done(h);
	drop_ahead(h);
	free(h);
}

/* --- sockets --- */

static bool field_is(const struct http_request *request, const char *name, const char *value)
{
	const char *field = http_request_field(request, name);

	return field && strcmp(field, value) == 0;
}

/* Whether the text is 16 bytes in base64. */
static bool is_key(const char *key)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				     "0123456789+/";

	return key && strlen(key) == KEY_SIZE && strspn(key, digits) == 22 &&
	       strcmp(key + 22, "==") == 0;
}

static bool http1_wants_socket(const struct http_request *request)
{
	const struct http1 *h = http1_of(request->engine);
	const char *upgrade = http_request_field(request, "upgrade");

	return h->head.upgrades && upgrade && http1_list_has(upgrade, "websocket") &&
	       strcmp(http_request_method(request), "GET") == 0 && !h->head.chunked &&
	       h->head.length == 0 && field_is(request, "sec-websocket-version", "13") &&
	       is_key(http_request_field(request, "sec-websocket-key"));
}

/* RFC 6455 section 4.2.2, 5.4 */
static int accept_key(const char *key, char to[32])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	char text[KEY_SIZE + sizeof(WEBSOCKET_GUID)];
	unsigned size;

	(void)snprintf(text, sizeof(text), "%s" WEBSOCKET_GUID, key);
	if (EVP_Digest(text, strlen(text), digest, &size, EVP_sha1(), NULL) != 1)
		return -ENOMEM;
	(void)EVP_EncodeBlock((unsigned char *)to, digest, (int)size);
	return 0;
}

static int http1_accept_socket(struct http_request *request, struct http_socket *socket)
{
	struct http1 *h = http1_of(request->engine);
	char *head = NULL;
	char key[32];
	int size = -1;

	if (accept_key(http_request_field(request, "sec-websocket-key"), key) == 0)
		size = asprintf(&head,
				"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
				"Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
				key);
	h->request = NULL;
	(void)http_request_free(request);
	h->engine.host->wake(h->engine.host);
	if (size < 0 || h->going) {
		free(size < 0 ? NULL : head);
		over(h, false);
		return size < 0 ? -ENOMEM : -ECANCELED;
	}
	h->answer_head = head;
	h->answer_head_size = (size_t)size;
	h->has_answer = true;
	h->answer_closes = false;
	h->state = STATE_SOCKET;
	h->socket = socket;
	http_socket_attach(socket, &h->engine, h);
	tell_wait(h, HTTP_WAIT_NONE);
	return 0;
}

static void http1_socket_ready(struct http_engine *engine, void *stream)
{
	engine->host->wake(engine->host);
}

int http1_engine_new(struct http_host *host, bool redirect, struct http_engine **ret)
{
	static const struct http_engine_ops ops = {
		.receive = http1_receive,
		.end = http1_end,
		.wants_bytes = http1_wants_bytes,
		.pull = http1_pull,
		.ending = http1_ending,
		.is_answering = http1_is_answering,
		.expire = http1_expire,
		.shut_down = http1_shut_down,
		.free = http1_free,
		.answer = http1_answer,
		.wants_socket = http1_wants_socket,
		.accept_socket = http1_accept_socket,
		.socket_ready = http1_socket_ready,
	};
	struct http1 *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->engine = (struct http_engine){ &ops, host };
	h->redirect = redirect;
	h->waits_head = true; /* the connection waits for one from its start */
	*ret = &h->engine;
	return 0;
}
