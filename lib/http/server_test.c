/* Clients of loopback, patient and hostile ones, talk to a real server. */
#include <sys/resource.h>

#include "http/test_server.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

static int setup(void **state)
{
	*state = server_start(NULL, NULL);
	return 0;
}

static int teardown(void **state)
{
	server_end(*state);
	return 0;
}

/* Sends all of it and returns what comes until the mark, or the end. */
static void exchange(const struct server_fixture *f, const char *request, const char *mark,
		     struct text *to)
{
	cleanup_close int fd = client_connect(f);

	client_send(fd, request);
	(void)client_receive(fd, mark, to);
}

static void a_request_is_answered(void **state)
{
	CLEANUP(text_done) struct text answer = { 0 };

	exchange(*state,
		 "POST /a/b?c=d HTTP/1.1\r\nHost: h:1\r\nX-A: 1\r\nx-a:2 \r\n"
		 "Content-Length: 5\r\n\r\nhello",
		 "hello", &answer);
	assert_contains(text_string(&answer), "HTTP/1.1 200 OK\r\nDate: ");
	assert_contains(text_string(&answer), "\r\nContent-Length: 38\r\n\r\n"
					      "POST /a/b ?c=d @h:1 x=1, 2 plain:hello");
}

static void a_connection_is_kept(void **state)
{
	cleanup_close int fd = client_connect(*state);

	for (int i = 0; i < 100; i++) {
		CLEANUP(text_done) struct text answer = { 0 };

		client_send(fd, "POST /e HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
		assert_false(client_receive(fd, "plain:abc", &answer));
	}
}

/* Many requests in one segment are answered in their order, late and early ones. */
static void pipelined_requests_keep_their_order(void **state)
{
	struct server_fixture *f = *state;
	CLEANUP(text_done) struct text answer = { 0 };
	CLEANUP(text_done) struct text requests = { 0 };
	cleanup_close int fd = client_connect(f);
	const char *at;

	client_send(fd, GET("/later") GET("/one") GET("/now") GET("/two"));
	wait_for(&f->later_count, 1);
	give_order(f, ORDER_ANSWER_LATER);
	assert_false(client_receive(fd, "/two", &answer));
	at = strstr(text_string(&answer), "later");
	assert_non_null(at);
	at = strstr(at, "/one");
	assert_non_null(at);
	at = strstr(at, "answered by its head");
	assert_non_null(at);

	text_clear(&answer);
	for (int i = 0; i < 2000; i++)
		text_append(&requests, GET("/many"));
	text_append(&requests, GET("/last"));
	client_send(fd, text_string(&requests));
	assert_false(client_receive(fd, "/last", &answer));
}

static void a_large_answer_waits_for_its_reader(void **state)
{
	struct server_fixture *f = *state;
	cleanup_close int slow = client_connect(f);
	cleanup_close int fd = client_connect(f);
	CLEANUP(text_done) struct text big = { 0 };
	CLEANUP(text_done) struct text small = { 0 };
	const char *body;

	client_send(slow, "GET /big HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
	client_send(fd, GET("/small")); /* others are served meanwhile */
	assert_false(client_receive(fd, "plain:", &small));
	assert_true(client_receive(slow, NULL, &big));
	body = memmem(big.data, big.size, "\r\n\r\n", 4);
	assert_non_null(body);
	assert_int_equal(big.data + big.size - body - 4, BIG_SIZE);
	assert_memory_equal(body + 4, f->big, BIG_SIZE);
	wait_for(&f->released, 1);
}

/* The handlers learn that a client went, and what was lent is given back. */
static void clients_that_leave_are_noticed(void **state)
{
	struct server_fixture *f = *state;
	CLEANUP(text_done) struct text answer = { 0 };
	int fd = client_connect(f);
	struct linger reset = { 1, 0 };

	client_send(fd, GET("/later"));
	wait_for(&f->later_count, 1);
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	(void)close(fd);
	wait_for(&f->gone, 1);
	assert_int_equal(f->later_count, 0);

	fd = client_connect(f);
	client_send(fd, GET("/big"));
	assert_false(client_receive(fd, "\r\n\r\n", &answer));
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	(void)close(fd);
	wait_for(&f->released, 1);
}

/* A client that has shut its writing side still gets its answer. */
static void half_closed_clients_are_answered(void **state)
{
	struct server_fixture *f = *state;
	CLEANUP(text_done) struct text answer = { 0 };
	cleanup_close int fd = client_connect(f);

	client_send(fd, GET("/later"));
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	wait_for(&f->later_count, 1);
	give_order(f, ORDER_ANSWER_LATER);
	assert_true(client_receive(fd, NULL, &answer));
	assert_contains(text_string(&answer), "\r\n\r\nlater");
}

/* A refusal arrives although the client is still sending what nobody reads. */
static void refusals_arrive(void **state)
{
	static char body[200000];
	CLEANUP(text_done) struct text answer = { 0 };
	cleanup_close int fd = client_connect(*state);

	client_send(fd, "POST /small HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n");
	(void)send(fd, body, sizeof(body), MSG_NOSIGNAL);
	assert_true(client_receive(fd, NULL, &answer));
	assert_contains(text_string(&answer), "HTTP/1.1 413 Content Too Large\r\n");
	assert_contains(text_string(&answer), "Connection: close\r\n");
	assert_contains(text_string(&answer),
			"{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32600,"
			"\"message\":\"Invalid Request\",\"data\":\"the body "
			"is larger than what is accepted here\"},\"id\":null}");
}

/* --- slow clients --- */

#define HASTE_MS 1500

static int setup_hasty(void **state)
{
	static const unsigned timeouts_ms[HTTP_TIMEOUT_COUNT] = {
		[HTTP_TIMEOUT_HEAD] = HASTE_MS,
		[HTTP_TIMEOUT_BODY] = HASTE_MS,
		[HTTP_TIMEOUT_IDLE] = HASTE_MS,
		[HTTP_TIMEOUT_PROGRESS] = HASTE_MS,
	};

	*state = server_start(&(struct http_server_options){ .timeouts_ms = timeouts_ms }, NULL);
	return 0;
}

static void slow_heads_and_bodies_end(void **state)
{
	static const struct {
		const char *name, *bytes, *answer;
	} cases[] = {
		{ "nothing at all", "", "" },
		{ "half a head",
		  "GET / HTTP/1.1\r\nHost:", "\"the head of the request did not come in time\"" },
		{ "half a body", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc",
		  "\"the body of the request did not come in time\"" },
		{ "half a chunk",
		  "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
		  "\"the body of the request did not come in time\"" },
		{ "no second request", GET("/"), "200 OK" },
	};
	int fds[ARRAY_SIZE(cases)];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fds[i] = client_connect(*state);
		client_send(fds[i], cases[i].bytes);
	}
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(text_done) struct text answer = { 0 };

		assert_true(client_receive(fds[i], NULL, &answer));
		if (!strstr(text_string(&answer), cases[i].answer))
			fail_msg("%s: %s", cases[i].name, text_string(&answer));
		(void)close(fds[i]);
	}
}

/* A head that drips in byte by byte has no longer than one that stands still. */
static void dripping_heads_end(void **state)
{
	cleanup_close int fd = client_connect(*state);

	client_send(fd, "GET / HTTP/1.1\r\n");
	while (send(fd, "x", 1, MSG_NOSIGNAL) == 1)
		(void)poll(NULL, 0, 5);
}

/* The answer is given up, and with it the memory that was lent for it. */
static void slow_readers_end(void **state)
{
	struct server_fixture *f = *state;
	CLEANUP(text_done) struct text part = { 0 };
	cleanup_close int fd = client_connect(f);

	client_send(fd, GET("/big"));
	wait_for(&f->released, 1);
	(void)client_receive(fd, NULL, &part);
	assert_true(part.size < BIG_SIZE);
}

/* --- many clients --- */

static int setup_small(void **state)
{
	*state = server_start(&(struct http_server_options){ .connections_max = 4 }, NULL);
	return 0;
}

/* Whatever the order in which clients come and however many there are, one that owes us a request
 * gives way at once: nobody who asks is told that there is no room. */
static void idle_connections_keep_nobody_out(void **state)
{
	struct server_fixture *f = *state;
	int idle[64];

	for (int round = 0; round < 50; round++) {
		CLEANUP(text_done) struct text answer = { 0 };

		for (size_t i = 0; i < ARRAY_SIZE(idle); i++) {
			idle[i] = client_connect(f);
			if (i % 2)
				client_send(idle[i], "GET / HTTP/1.1\r\n");
		}
		exchange(f, GET("/x"), "plain:", &answer);
		assert_contains(text_string(&answer), "200 OK");
		for (size_t i = 0; i < ARRAY_SIZE(idle); i++)
			(void)close(idle[i]);
	}
}

/* Only where everybody is being served is a new one told so; and those who are served stay. */
static void busy_connections_stay(void **state)
{
	struct server_fixture *f = *state;
	CLEANUP(text_done) struct text refusal = { 0 };
	int fds[4];

	for (int i = 0; i < 4; i++) {
		fds[i] = client_connect(f);
		client_send(fds[i], GET("/later"));
		wait_for(&f->later_count, i + 1);
	}
	exchange(f, GET("/x"), NULL, &refusal);
	assert_contains(text_string(&refusal), "HTTP/1.1 503 Service Unavailable\r\n");
	assert_contains(text_string(&refusal), "\"too many connections\"");
	give_order(f, ORDER_ANSWER_LATER);
	for (int i = 0; i < 4; i++) {
		CLEANUP(text_done) struct text answer = { 0 };

		assert_false(client_receive(fds[i], "later", &answer));
		(void)close(fds[i]);
	}
}

/* --- sources --- */

static int setup_sources(void **state)
{
	*state = server_start(&(struct http_server_options){ .connections_max = 8,
							     .source_connections_max = 4,
							     .loopback_is_source = true },
			      NULL);
	return 0;
}

static int connect_from(const struct server_fixture *f, const char *source)
{
	struct sockaddr_in from = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(inet_pton(AF_INET, source, &from.sin_addr), 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	return client_connect_on(f, fd);
}

/* Of one source only so many are served at once; another source does not notice. */
static void a_source_has_a_limit(void **state)
{
	struct server_fixture *f = *state;
	CLEANUP(text_done) struct text refusal = { 0 };
	CLEANUP(text_done) struct text answer = { 0 };
	int fds[4];
	int fd;

	for (int i = 0; i < 4; i++) {
		fds[i] = connect_from(f, "127.0.0.2");
		client_send(fds[i], GET("/later"));
		wait_for(&f->later_count, i + 1);
	}
	fd = connect_from(f, "127.0.0.2");
	client_send(fd, GET("/x"));
	assert_true(client_receive(fd, NULL, &refusal));
	assert_contains(text_string(&refusal), "503 Service Unavailable");
	(void)close(fd);
	fd = connect_from(f, "127.0.0.3");
	client_send(fd, GET("/x"));
	assert_false(client_receive(fd, "plain:", &answer));
	(void)close(fd);
	give_order(f, ORDER_ANSWER_LATER);
	for (int i = 0; i < 4; i++) {
		CLEANUP(text_done) struct text later = { 0 };

		assert_false(client_receive(fds[i], "later", &later));
		(void)close(fds[i]);
	}
}

/* Of its idle connections the first gives way to a source's own next one. Where all are too many, those
 * of the busiest source go, however old another's is. */
static void the_busiest_source_gives_way(void **state)
{
	struct server_fixture *f = *state;
	CLEANUP(text_done) struct text first = { 0 };
	CLEANUP(text_done) struct text last = { 0 };
	int old = connect_from(f, "127.0.0.9");
	int fds[64];

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = connect_from(f, i % 8 ? "127.0.0.2" : "127.0.0.3");
	client_send(fds[63], GET("/x"));
	assert_false(client_receive(fds[63], "plain:", &last));
	client_send(old, GET("/y"));
	assert_false(client_receive(old, "plain:", &first));
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		(void)close(fds[i]);
	(void)close(old);
}

/* Nor do slow readers: they give way, those of the busiest source first. One may have to try again while
 * the first bytes of their answers are written, but not for as long as a reader may be slow. */
static void slow_readers_keep_nobody_out(void **state)
{
	struct server_fixture *f = *state;
	unsigned served = 0;
	int fds[64];

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = connect_from(f, i % 2 ? "127.0.0.2" : "127.0.0.3");
		(void)send(fds[i], GET("/big"), strlen(GET("/big")), MSG_NOSIGNAL);
	}
	for (int tries = 0; tries < 1000 && served < 20; tries++) {
		CLEANUP(text_done) struct text answer = { 0 };
		cleanup_close int fd = connect_from(f, "127.0.0.9");

		(void)send(fd, GET("/x"), strlen(GET("/x")), MSG_NOSIGNAL);
		if (!client_receive(fd, "plain:", &answer))
			served++;
		else
			(void)poll(NULL, 0, 10);
	}
	assert_int_equal(served, 20);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		(void)close(fds[i]);
}

#define BODY_SIZE 60000

static int setup_few_bodies(void **state)
{
	*state = server_start(&(struct http_server_options){ .bodies_max = 2 * BODY_SIZE }, NULL);
	return 0;
}

/* Bodies that stand still use up the memory for bodies; one that comes whole gets its share. */
static void bodies_that_stand_still_keep_none_out(void **state)
{
	static char body[BODY_SIZE];
	struct server_fixture *f = *state;
	int fds[16];

	memset(body, 'b', sizeof(body));
	for (int round = 0; round < 5; round++) {
		CLEANUP(text_done) struct text request = { 0 };
		CLEANUP(text_done) struct text answer = { 0 };

		text_printf(&request, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n",
			    BODY_SIZE);
		text_append_bytes(&request, body, sizeof(body) - 1);
		for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
			fds[i] = client_connect(f);
			client_send(fds[i], text_string(&request));
		}
		text_append_bytes(&request, ".", 1);
		exchange(f, text_string(&request), "b.", &answer);
		assert_contains(text_string(&answer), "HTTP/1.1 200 OK\r\n");
		for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
			(void)close(fds[i]);
	}
}

/* --- answers that wait --- */

static int setup_few_answers(void **state)
{
	*state = server_start(&(struct http_server_options){ .answers_max = BIG_SIZE + 8192,
							     .loopback_is_source = true },
			      NULL);
	return 0;
}

/* Who does not read gives way to who does. One may have to try again until it shows who that is. */
static void answers_that_nobody_reads_keep_none_out(void **state)
{
	struct server_fixture *f = *state;
	bool served = false;
	int deaf[4];

	for (size_t i = 0; i < ARRAY_SIZE(deaf); i++) {
		deaf[i] = connect_from(f, "127.0.0.2");
		client_send(deaf[i], GET("/big"));
	}
	for (int tries = 0; tries < 1000 && !served; tries++) {
		CLEANUP(text_done) struct text answer = { 0 };
		cleanup_close int fd = connect_from(f, "127.0.0.9");

		client_send(fd, "GET /big HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
		assert_true(client_receive(fd, NULL, &answer));
		served = answer.size > BIG_SIZE;
		if (!served)
			assert_contains(text_string(&answer), "HTTP/1.1 503 ");
		if (!served)
			(void)poll(NULL, 0, 10);
	}
	assert_true(served);
	for (size_t i = 0; i < ARRAY_SIZE(deaf); i++)
		(void)close(deaf[i]);
}

/* The only connection of a source is not cut off; the next answer has to wait. Short ones have not. */
static void an_answer_waits_for_room(void **state)
{
	struct server_fixture *f = *state;
	CLEANUP(text_done) struct text refused = { 0 };
	CLEANUP(text_done) struct text small = { 0 };
	CLEANUP(text_done) struct text first = { 0 };
	CLEANUP(text_done) struct text second = { 0 };
	int slow = connect_from(f, "127.0.0.2"), other = connect_from(f, "127.0.0.3");

	client_send(slow, "GET /big HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
	assert_false(client_receive(slow, "\r\n\r\n", &first));
	client_send(other, GET("/big"));
	assert_false(client_receive(other, "try again", &refused));
	assert_contains(text_string(&refused), "HTTP/1.1 503 ");
	assert_false(client_receive(other, "null}", &refused));
	client_send(other, GET("/x"));
	assert_false(client_receive(other, "plain:", &small));
	assert_true(client_receive(slow, NULL, &first));
	assert_true(first.size > BIG_SIZE);
	client_send(other, "GET /big HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
	assert_true(client_receive(other, NULL, &second));
	assert_true(second.size > BIG_SIZE);
	(void)close(slow);
	(void)close(other);
}

/* --- descriptors --- */

static bool is_answered(int fd)
{
	CLEANUP(text_done) struct text answer = { 0 };

	(void)send(fd, GET("/x"), strlen(GET("/x")), MSG_NOSIGNAL);
	return !client_receive(fd, "plain:", &answer);
}

/* No descriptor is left: for one that comes one gives way, of the busiest source, and no other. */
static void one_gives_way_where_descriptors_run_out(void **state)
{
	struct server_fixture *f = *state;
	int idle[6], fd, answered = 0;
	struct rlimit before, none;

	for (int i = 0; i < 6; i++) {
		char source[16];

		(void)snprintf(source, sizeof(source), "127.0.0.%d", i < 3 ? 2 : i);
		idle[i] = connect_from(f, source);
		assert_true(is_answered(idle[i]));
	}
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = (rlim_t)dup(fd);
	(void)close((int)none.rlim_cur);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	fd = client_connect_on(f, fd);
	assert_true(is_answered(fd));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	for (int i = 0; i < 6; i++) {
		bool kept = is_answered(idle[i]);

		answered += kept;
		assert_true(kept || i < 3);
		(void)close(idle[i]);
	}
	assert_int_equal(answered, 5);
	(void)close(fd);
}

/* --- WebSocket --- */

#define ASK_SOCKET                                                                                     \
	"GET /socket HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n" \
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

/* A masked text frame with the mask 0: "abc" and "def". */
#define FRAME(text) "\x81\x83\x00\x00\x00\x00" text

static void send_frame(int fd, const char *text)
{
	char frame[16];

	memcpy(frame, FRAME(""), 6);
	memcpy(frame + 6, text, 3);
	assert_int_equal(send(fd, frame, 9, MSG_NOSIGNAL), 9);
}

static void receive_exactly(int fd, const char *bytes, size_t size)
{
	char buffer[256];

	assert_int_equal(recv(fd, buffer, size, MSG_WAITALL), size);
	assert_memory_equal(buffer, bytes, size);
}

static int open_socket(const struct server_fixture *f)
{
	static const char accepted[] =
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
	int fd = client_connect(f);

	client_send(fd, ASK_SOCKET); /* with the key of RFC 6455 section 1.3 */
	receive_exactly(fd, accepted, strlen(accepted));
	return fd;
}

static void a_socket_is_opened(void **state)
{
	struct server_fixture *f = *state;
	CLEANUP(text_done) struct text refusal = { 0 };
	cleanup_close int fd = open_socket(f);

	send_frame(fd, "abc");
	receive_exactly(fd,
			"\x81\x03"
			"abc",
			5);
	wait_for(&f->drained, 1);
	give_order(f, ORDER_CLOSE_SOCKET);
	receive_exactly(fd,
			"\x88\x08\x03\xe8"
			"enough",
			10);
	/* The close frame is answered. */
	assert_int_equal(send(fd, "\x88\x82\x00\x00\x00\x00\x03\xe8", 8, MSG_NOSIGNAL), 8);
	wait_for(&f->sockets_closed, 1);
	exchange(f, GET("/socket"), "asked for", &refusal);
	assert_contains(text_string(&refusal), "HTTP/1.1 426 Upgrade Required\r\n");
}

static void sockets_end(void **state)
{
	struct server_fixture *f = *state;
	CLEANUP(text_done) struct text rest = { 0 };
	int fd = open_socket(f);

	(void)close(fd); /* the client goes */
	wait_for(&f->sockets_closed, 1);
	fd = open_socket(f);
	give_order(f, ORDER_DROP_SOCKET);
	assert_true(client_receive(fd, NULL, &rest));
	assert_int_equal(rest.size, 0);
	wait_for(&f->sockets_closed, 2);
	(void)close(fd);
	fd = open_socket(f);
	server_stop(f); /* the server goes */
	receive_exactly(fd, "\x88\x02\x03\xe9", 4);
	assert_int_equal(f->sockets_closed, 3);
	(void)close(fd);
}

static int setup_pinging(void **state)
{
	static const unsigned timeouts_ms[HTTP_TIMEOUT_COUNT] = {
		[HTTP_TIMEOUT_PING] = 100,
		[HTTP_TIMEOUT_PONG] = 1000,
	};

	*state = server_start(&(struct http_server_options){ .timeouts_ms = timeouts_ms }, NULL);
	return 0;
}

/* A client that is silent is asked; one that does not answer is gone. */
static void silent_sockets_are_pinged(void **state)
{
	struct server_fixture *f = *state;
	cleanup_close int fd = open_socket(f);

	receive_exactly(fd, "\x89", 1);
	wait_for(&f->sockets_closed, 1);
}

/* --- the end --- */

/* Requests that run are given time; who owes a request is closed; nothing is accepted. */
static void closing_gives_answers_their_time(void **state)
{
	struct server_fixture *f = *state;
	CLEANUP(text_done) struct text nothing = { 0 };
	cleanup_close int running = client_connect(f);
	cleanup_close int idle = client_connect(f);

	client_send(running, GET("/later"));
	wait_for(&f->later_count, 1);
	server_stop(f);
	assert_int_equal(f->gone, 1); /* it was never answered */
	assert_true(client_receive(idle, NULL, &nothing));
	assert_string_equal(text_string(&nothing), "");
}

/* Sockets and idle connections are not waited for then, but an answer that takes its time is. */
static void closing_waits_for_an_answer_that_runs(void **state)
{
	struct server_fixture *f = *state;
	CLEANUP(text_done) struct text answer = { 0 };
	CLEANUP(text_done) struct text rest = { 0 };
	cleanup_close int running = client_connect(f);
	cleanup_close int socket = open_socket(f);

	client_send(running, GET("/later"));
	wait_for(&f->later_count, 1);
	server_begin_stop(f);
	assert_true(client_receive(socket, NULL, &rest)); /* HTTP_CLOSE_TIMEOUT_MS are over */
	assert_int_equal(f->later_count, 1);
	give_order(f, ORDER_ANSWER_LATER);
	assert_true(client_receive(running, NULL, &answer));
	assert_contains(text_string(&answer), "\r\n\r\nlater");
	assert_int_equal(f->gone, 0);
}

static void a_listener_closes_alone(void **state)
{
	struct server_fixture *f = *state;
	CLEANUP(text_done) struct text answer = { 0 };
	cleanup_close int fd = client_connect(f);
	struct sockaddr_storage to;
	socklen_t size = endpoint_to_sockaddr(&f->address, &to);

	client_send(fd, GET("/later"));
	wait_for(&f->later_count, 1);
	give_order(f, ORDER_CLOSE_LISTENER);
	for (;;) {
		cleanup_close int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (connect(other, (struct sockaddr *)&to, size) < 0)
			break;
	}
	give_order(f, ORDER_ANSWER_LATER);
	assert_false(client_receive(fd, "later", &answer));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_request_is_answered, setup, teardown),
		cmocka_unit_test_setup_teardown(a_connection_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(pipelined_requests_keep_their_order, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_large_answer_waits_for_its_reader, setup,
						teardown),
		cmocka_unit_test_setup_teardown(clients_that_leave_are_noticed, setup, teardown),
		cmocka_unit_test_setup_teardown(half_closed_clients_are_answered, setup, teardown),
		cmocka_unit_test_setup_teardown(refusals_arrive, setup, teardown),
		cmocka_unit_test_setup_teardown(slow_heads_and_bodies_end, setup_hasty, teardown),
		cmocka_unit_test_setup_teardown(dripping_heads_end, setup_hasty, teardown),
		cmocka_unit_test_setup_teardown(slow_readers_end, setup_hasty, teardown),
		cmocka_unit_test_setup_teardown(idle_connections_keep_nobody_out, setup_small,
						teardown),
		cmocka_unit_test_setup_teardown(busy_connections_stay, setup_small, teardown),
		cmocka_unit_test_setup_teardown(a_source_has_a_limit, setup_sources, teardown),
		cmocka_unit_test_setup_teardown(the_busiest_source_gives_way, setup_sources,
						teardown),
		cmocka_unit_test_setup_teardown(slow_readers_keep_nobody_out, setup_sources,
						teardown),
		cmocka_unit_test_setup_teardown(bodies_that_stand_still_keep_none_out,
						setup_few_bodies, teardown),
		cmocka_unit_test_setup_teardown(answers_that_nobody_reads_keep_none_out,
						setup_few_answers, teardown),
		cmocka_unit_test_setup_teardown(an_answer_waits_for_room, setup_few_answers,
						teardown),
		cmocka_unit_test_setup_teardown(one_gives_way_where_descriptors_run_out,
						setup_few_answers, teardown),
		cmocka_unit_test_setup_teardown(a_socket_is_opened, setup, teardown),
		cmocka_unit_test_setup_teardown(sockets_end, setup, teardown),
		cmocka_unit_test_setup_teardown(silent_sockets_are_pinged, setup_pinging, teardown),
		cmocka_unit_test_setup_teardown(closing_gives_answers_their_time, setup, teardown),
		cmocka_unit_test_setup_teardown(closing_waits_for_an_answer_that_runs, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_listener_closes_alone, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
