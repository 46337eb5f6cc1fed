/*
 * Many subscribers of db.subscribe over TLS, for the benchmark of the stream
 *
 *	subscribers IP PORT REVISION SOCKETS SOURCE... <tokens
 *
 * Reads tokens of sessions, one a line, and opens SOCKETS WebSockets as pages do that come back after
 * REVISION, each on a connection of its own from the next address and with the next session. Then says
 * on standard output, with times of CLOCK_MONOTONIC in nanoseconds:
 *
 *	open SOCKETS			all are open
 *	status SOCKETS			all have got a status
 *	revision NUMBER TIME...		all have got a revision, each at its time
 *	closed SOCKET			one has ended, which none should
 *
 * Ends with its standard input. Certificates are not looked at: here it is only time that counts.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define TOKENS_MAX 64
#define TOKEN_MAX 64
#define REVISIONS 64 /* that may be on their way at once */
#define HEAD_MAX 8192 /* bytes of an answer, without the document */
#define BEGIN_MAX 64 /* bytes of a frame that are looked at */

struct socket {
	SSL *ssl;
	int fd;
	unsigned char head[10]; /* of the frame that comes in */
	size_t head_size;
	uint64_t left; /* bytes of its payload */
	bool first; /* of its message */
	char begin[BEGIN_MAX + 1];
	size_t begin_size;
	bool has_status;
	bool closed;
};

struct revision {
	uint64_t number;
	size_t count;
	uint64_t *times;
};

static struct sockaddr_in server;
static char authority[64];
static char tokens[TOKENS_MAX][TOKEN_MAX];
static size_t token_count;
static struct socket *sockets;
static size_t socket_count;
static size_t opened;
static size_t with_status;
static struct revision revisions[REVISIONS];
static unsigned char buffer[1 << 16];

static void fail(const char *what)
{
	fprintf(stderr, "subscribers: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* --- frames --- */

static void take_revision(uint64_t number)
{
	struct revision *revision = &revisions[number % REVISIONS];

	if (revision->number != number) {
		revision->number = number;
		revision->count = 0;
	}
	revision->times[revision->count++] = now_ns();
	if (revision->count < socket_count)
		return;
	printf("revision %" PRIu64, number);
	for (size_t i = 0; i < revision->count; i++)
		printf(" %" PRIu64, revision->times[i]);
	printf("\n");
}

/* {"id":N,"patch":[]...} has no revision but a status, {"id":N,"patch":[{... a revision. */
static void take_message(struct socket *s)
{
	uint64_t number;
	char after = 0;

	s->begin[s->begin_size] = '\0';
	if (sscanf(s->begin, "{\"id\":%" SCNu64 ",\"patch\":[%c", &number, &after) != 2)
		return;
	if (after == '{') {
		take_revision(number);
	} else if (!s->has_status) {
		s->has_status = true;
		if (++with_status == socket_count)
			printf("status %zu\n", with_status);
	}
}

/* Bytes of a frame's head that are there; 0: some are missing yet. */
static size_t head_length(const struct socket *s)
{
	size_t size = 2;

	if (s->head_size < 2)
		return 0;
	if ((s->head[1] & 0x7f) == 126)
		size = 4;
	else if ((s->head[1] & 0x7f) == 127)
		size = 10;
	return s->head_size < size ? 0 : size;
}

static void take_head(struct socket *s)
{
	size_t size = head_length(s);

	s->left = s->head[1] & 0x7f;
	if (size > 2)
		s->left = 0;
	for (size_t i = 2; i < size; i++)
		s->left = s->left << 8 | s->head[i];
	s->head_size = 0;
	s->first = (s->head[0] & 0x0f) == 1;
	if (s->first)
		s->begin_size = 0;
}

static void take_bytes(struct socket *s, const unsigned char *bytes, size_t size)
{
	while (size > 0) {
		size_t part = s->left < size ? (size_t)s->left : size;

		if (s->left == 0) {
			s->head[s->head_size++] = *bytes++;
			size--;
			if (head_length(s) > 0)
				take_head(s);
			continue;
		}
		if (s->begin_size < BEGIN_MAX) {
			size_t room = BEGIN_MAX - s->begin_size;

			memcpy(s->begin + s->begin_size, bytes, part < room ? part : room);
			s->begin_size += part < room ? part : room;
		}
		bytes += part;
		size -= part;
		s->left -= part;
		if (s->left == 0 && s->first)
			take_message(s);
	}
}

static void read_socket(struct socket *s)
{
	int r = 1;

	while (!s->closed && r > 0) {
		r = SSL_read(s->ssl, buffer, sizeof(buffer));
		if (r > 0)
			take_bytes(s, buffer, (size_t)r);
	}
	if (s->closed || SSL_get_error(s->ssl, r) == SSL_ERROR_WANT_READ)
		return;
	s->closed = true;
	(void)close(s->fd);
	printf("closed %zu\n", (size_t)(s - sockets));
}

/* --- opening --- */

/* Sends a request and reads the head of its answer, and the body where there is one. */
static void exchange(SSL *ssl, const char *request, char answer[HEAD_MAX + 1])
{
	size_t size = 0, wanted = 0;

	if (SSL_write(ssl, request, (int)strlen(request)) <= 0)
		fail("sending a request");
	while (size == 0 || size < wanted || !strstr(answer, "\r\n\r\n")) {
		/* Behind the head of a socket come its frames: they are not for us. */
		int r = SSL_read(ssl, answer + size, wanted ? (int)(HEAD_MAX - size) : 1);
		const char *length;

		if (r <= 0)
			fail("reading an answer");
		size += (size_t)r;
		answer[size] = '\0';
		if (wanted || !strstr(answer, "\r\n\r\n"))
			continue;
		length = strcasestr(answer, "content-length:");
		wanted =
			size + (length ? strtoul(length + strlen("content-length:"), NULL, 10) : 0);
		if (wanted > HEAD_MAX)
			fail("an answer that is too long");
	}
}

static SSL *connect_from(SSL_CTX *context, const char *source, int *ret_fd)
{
	struct sockaddr_in from = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	SSL *ssl = SSL_new(context);

	if (inet_pton(AF_INET, source, &from.sin_addr) != 1)
		fail(source);
	if (fd < 0 || bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0 ||
	    connect(fd, (struct sockaddr *)&server, sizeof(server)) < 0)
		fail("connecting");
	if (!ssl || !SSL_set_fd(ssl, fd) || SSL_connect(ssl) != 1)
		fail("handshake");
	*ret_fd = fd;
	return ssl;
}

static void open_socket(struct socket *s, SSL_CTX *context, const char *source, const char *token,
			const char *since)
{
	char request[2048], body[256], answer[HEAD_MAX + 1];
	const char *guid;

	s->ssl = connect_from(context, source, &s->fd);
	(void)snprintf(body, sizeof(body),
		       "{\"method\":\"db.subscribe\",\"params\":{\"since\":%s}}", since);
	(void)snprintf(request, sizeof(request),
		       "POST /rpc/v1 HTTP/1.1\r\nHost: %s\r\nCookie: session=%s\r\n"
		       "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
		       authority, token, strlen(body), body);
	exchange(s->ssl, request, answer);
	guid = strstr(answer, "\"guid\":\"");
	if (!guid || !strstr(answer, "\"resumed\":true")) {
		fprintf(stderr, "subscribers: %s\n", answer);
		exit(1);
	}
	(void)snprintf(request, sizeof(request),
		       "GET /ws/rpc/%.32s HTTP/1.1\r\nHost: %s\r\nCookie: session=%s\r\n"
		       "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
		       "Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n\r\n",
		       guid + strlen("\"guid\":\""), authority, token);
	exchange(s->ssl, request, answer);
	if (strncmp(answer, "HTTP/1.1 101", strlen("HTTP/1.1 101")) != 0) {
		fprintf(stderr, "subscribers: %s\n", answer);
		exit(1);
	}
	(void)fcntl(s->fd, F_SETFL, O_NONBLOCK);
}

/* Reads from those that have something. Returns false at the end of standard input. */
static bool pump(int epoll, int timeout_ms)
{
	struct epoll_event events[256];
	int count = epoll_wait(epoll, events, 256, timeout_ms);
	bool more = true;

	for (int i = 0; i < count; i++) {
		if (events[i].data.ptr)
			read_socket(events[i].data.ptr);
		else
			more = read(0, buffer, sizeof(buffer)) > 0;
	}
	return more;
}

static void watch(int epoll, int fd, struct socket *s)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = s };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		fail("epoll");
}

static void read_tokens(void)
{
	while (token_count < TOKENS_MAX && fgets(tokens[token_count], TOKEN_MAX, stdin)) {
		tokens[token_count][strcspn(tokens[token_count], "\n")] = '\0';
		if (!tokens[token_count][0])
			return; /* an empty line ends them */
		token_count++;
	}
}

int main(int argc, char **argv)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	if (argc < 6) {
		fprintf(stderr, "usage: subscribers IP PORT REVISION SOCKETS SOURCE... <tokens\n");
		return 2;
	}
	server = (struct sockaddr_in){ .sin_family = AF_INET,
				       .sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10)) };
	if (inet_pton(AF_INET, argv[1], &server.sin_addr) != 1)
		fail(argv[1]);
	(void)snprintf(authority, sizeof(authority), "%s:%s", argv[1], argv[2]);
	socket_count = strtoul(argv[4], NULL, 10);
	sockets = calloc(socket_count, sizeof(*sockets));
	for (size_t i = 0; i < REVISIONS; i++)
		revisions[i].times = calloc(socket_count, sizeof(uint64_t));
	setvbuf(stdin, NULL, _IONBF, 0);
	setvbuf(stdout, NULL, _IOLBF, 1 << 16);
	read_tokens();
	if (token_count == 0)
		fail("tokens");
	for (opened = 0; opened < socket_count; opened++) {
		struct socket *s = &sockets[opened];

		open_socket(s, context, argv[5 + opened % (size_t)(argc - 5)],
			    tokens[opened % token_count], argv[3]);
		watch(epoll, s->fd, s);
		read_socket(s);
		(void)pump(epoll, 0);
	}
	printf("open %zu\n", opened);
	watch(epoll, 0, NULL);
	while (pump(epoll, -1))
		;
	return 0;
}
