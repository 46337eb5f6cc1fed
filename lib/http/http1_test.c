/* What the parser takes, what it refuses and why, each at once and byte by byte. */
#include "base/test.h"

#include "http/http1.h"
#include "http/test_host.h"

#define HOST "Host: h\r\n"

struct conversation {
	const char *name;
	const char *bytes;
	const char *log; /* of the requests */
	const char *output; /* a part of it; NULL: there is none */
};

static void run(const struct conversation *c, size_t step, bool late)
{
	struct test_host t;

	test_host_init(&t, late);
	assert_int_equal(http1_engine_new(&t.host, false, &t.engine), 0);
	for (size_t at = 0; at < strlen(c->bytes); at += step) {
		size_t part = strlen(c->bytes) - at < step ? strlen(c->bytes) - at : step;

		if (!test_give(&t, c->bytes + at, part))
			break;
	}
	if (strcmp(text_string(&t.log), c->log) != 0)
		fail_msg("%s: \"%s\"", c->name, text_string(&t.log));
	if (!c->output && t.output.size > 0)
		fail_msg("%s: says \"%s\"", c->name, text_string(&t.output));
	if (c->output && !strstr(text_string(&t.output), c->output))
		fail_msg("%s: \"%s\"", c->name, text_string(&t.output));
	test_host_done(&t);
}

static void run_all(const struct conversation *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		run(&cases[i], 100000, false);
		run(&cases[i], 1, false);
		run(&cases[i], 7, true);
	}
}

static void requests_are_taken(void **state)
{
	static const struct conversation cases[] = {
		{ "a request", "GET /a HTTP/1.1\r\n" HOST "\r\n", "GET /a? @h host=h :\n",
		  "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
		  "Content-Length: 2\r\n\r\nok" },
		{ "a query, which may have question marks", "GET /a?b?c HTTP/1.1\r\n" HOST "\r\n",
		  "GET /a?b?c @h host=h :\n", "200 OK" },
		{ "names are in lower case, values without space around",
		  "GET / HTTP/1.1\r\nHOST:h\r\nX-Y:\t a b \t\r\nE:\r\n\r\n",
		  "GET /? @h host=h x-y=a b e= :\n", "200 OK" },
		{ "fields of one name are joined, cookies in their own way",
		  "GET / HTTP/1.1\r\nA: 1\r\n" HOST
		  "Cookie: a=b\r\na: 2\r\nCookie: c=d\r\nA: 3\r\n\r\n",
		  "GET /? @h a=1, 2, 3 host=h cookie=a=b; c=d :\n", "200 OK" },
		{ "an empty line before", "\r\nGET / HTTP/1.1\r\n" HOST "\r\n",
		  "GET /? @h host=h :\n", "200 OK" },
		{ "a URL as its target", "GET http://other:8/p?q HTTP/1.1\r\n" HOST "\r\n",
		  "GET /p?q @other:8 host=h :\n", "200 OK" },
		{ "a URL without path", "GET https://other?q HTTP/1.1\r\n" HOST "\r\n",
		  "GET /?q @other host=h :\n", "200 OK" },
		{ "all of the server", "OPTIONS * HTTP/1.1\r\n" HOST "\r\n",
		  "OPTIONS *? @h host=h :\n", "200 OK" },
		{ "an unknown method is for the handlers", "BREW /pot HTTP/1.1\r\n" HOST "\r\n",
		  "BREW /pot? @h host=h :\n", "200 OK" },
		{ "HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", "GET /? @ :\n", "Connection: close\r\n" },
		{ "HTTP/1.0 that goes on",
		  "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
		  "GET /2 HTTP/1.0\r\nConnection: Keep-Alive, close\r\n\r\n",
		  "GET /? @ connection=keep-alive :\n"
		  "GET /2? @ connection=Keep-Alive, close :\n",
		  "Connection: keep-alive\r\n\r\nokHTTP/1.1 200 OK\r\n" },
		{ "a later HTTP/1", "GET / HTTP/1.9\r\n" HOST "\r\n", "GET /? @h host=h :\n",
		  "200 OK" },
		{ "nothing behind \"close\"",
		  "GET / HTTP/1.1\r\n" HOST "Connection: x , Close\r\n\r\n"
		  "GET /2 HTTP/1.1\r\n" HOST "\r\n",
		  "GET /? @h host=h connection=x , Close :\n", "Connection: close\r\n" },
		{ "HEAD has the length and no body",
		  "HEAD / HTTP/1.1\r\n" HOST "\r\nGET /now HTTP/1.1\r\n" HOST "\r\n",
		  "HEAD /? @h host=h :\nnow\n", "Content-Length: 2\r\n\r\nHTTP/1.1 200 OK" },
		{ "one after the other",
		  "GET /1 HTTP/1.1\r\n" HOST "\r\nPOST /2 HTTP/1.1\r\nContent-Length: 3\r\n" HOST
		  "\r\nabcGET /3 HTTP/1.1\r\n" HOST "\r\n",
		  "GET /1? @h host=h :\nPOST /2? @h content-length=3 host=h :abc\n"
		  "GET /3? @h host=h :\n",
		  "okHTTP/1.1 200 OK" },
	};

	run_all(cases, ARRAY_SIZE(cases));
}

static void bodies_are_taken(void **state)
{
	static const struct conversation cases[] = {
		{ "counted", "POST / HTTP/1.1\r\n" HOST "Content-Length: 05\r\n\r\nhello",
		  "POST /? @h host=h content-length=05 :hello\n", "200 OK" },
		{ "one length twice",
		  "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
		  "POST /? @h host=h content-length=1, 1 :x\n", "200 OK" },
		{ "chunked",
		  "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n"
		  "3\r\nabc\r\n00A;x=\"y\"\r\n0123456789\r\n0\r\n\r\nGET /now HTTP/1.1\r\n" HOST
		  "\r\n",
		  "POST /? @h host=h transfer-encoding=Chunked :abc0123456789\nnow\n",
		  "okHTTP/1.1 200 OK" },
		{ "chunked, with trailer fields",
		  "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
		  "1\r\na\r\n0\r\nX: y\r\nZ:\r\n\r\n",
		  "POST /? @h host=h transfer-encoding=chunked :a\n", "200 OK" },
		{ "the client waits to be told",
		  "POST / HTTP/1.1\r\n" HOST "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n",
		  "", "HTTP/1.1 100 Continue\r\n\r\n" },
		{ "an answer to the head alone ends the connection",
		  "POST /now HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n", "now\n",
		  "Connection: close\r\n" },
	};

	run_all(cases, ARRAY_SIZE(cases));
}

#define BODY_REFUSED(fields, body, status)                                                         \
	"POST / HTTP/1.1\r\n" HOST fields "\r\n" body, "", "HTTP/1.1 " status

static void ambiguity_is_refused(void **state)
{
	static const struct conversation cases[] = {
		{ "bare line feed", "GET / HTTP/1.1\nHost: h\n\n", "", "HTTP/1.1 400 " },
		{ "bare line feed in a head", "GET / HTTP/1.1\r\nHost: h\n\r\n", "",
		  "HTTP/1.1 400 " },
		{ "bare carriage return", "GET / HTTP/1.1\r\nX: a\rb\r\n" HOST "\r\n", "",
		  "HTTP/1.1 400 " },
		{ "field that goes on in the next line",
		  "GET / HTTP/1.1\r\n" HOST "X: a\r\n b\r\n\r\n", "", "HTTP/1.1 400 " },
		{ "space before the colon", "GET / HTTP/1.1\r\nHost : h\r\n\r\n", "",
		  "HTTP/1.1 400 " },
		{ "no colon", "GET / HTTP/1.1\r\n" HOST "X\r\n\r\n", "", "HTTP/1.1 400 " },
		{ "no name", "GET / HTTP/1.1\r\n" HOST ": x\r\n\r\n", "", "HTTP/1.1 400 " },
		{ "control character", "GET / HTTP/1.1\r\n" HOST "X: \x01\r\n\r\n", "",
		  "HTTP/1.1 400 " },
		{ "no host", "GET / HTTP/1.1\r\n\r\n", "", "the Host field is missing" },
		{ "two hosts", "GET / HTTP/1.1\r\n" HOST "Host: i\r\n\r\n", "", "HTTP/1.1 400 " },
		{ "host with a user", "GET / HTTP/1.1\r\nHost: u@h\r\n\r\n", "", "HTTP/1.1 400 " },
		{ "two spaces", "GET  / HTTP/1.1\r\n" HOST "\r\n", "", "HTTP/1.1 400 " },
		{ "space in the target", "GET /a b HTTP/1.1\r\n" HOST "\r\n", "", "HTTP/1.1 400 " },
		{ "space at the end", "GET / HTTP/1.1 \r\n" HOST "\r\n", "", "HTTP/1.1 400 " },
		{ "fragment", "GET /a#b HTTP/1.1\r\n" HOST "\r\n", "", "HTTP/1.1 400 " },
		{ "no path", "GET a HTTP/1.1\r\n" HOST "\r\n", "", "HTTP/1.1 400 " },
		{ "URL without host", "GET http:///a HTTP/1.1\r\n" HOST "\r\n", "",
		  "HTTP/1.1 400 " },
		{ "star for another method", "GET * HTTP/1.1\r\n" HOST "\r\n", "",
		  "HTTP/1.1 400 " },
		{ "no version", "GET /\r\n" HOST "\r\n", "", "HTTP/1.1 400 " },
		{ "version in lower case", "GET / http/1.1\r\n" HOST "\r\n", "", "HTTP/1.1 400 " },
		{ "another version", "GET / HTTP/3.0\r\n" HOST "\r\n", "", "HTTP/1.1 505 " },
		{ "tunnel", "CONNECT h:1 HTTP/1.1\r\n" HOST "\r\n", "", "HTTP/1.1 501 " },
		{ "TLS", "\x16\x03\x01", "", "HTTP/1.1 400 " },
		{ "length and chunks",
		  BODY_REFUSED("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", "", "400 ") },
		{ "two lengths",
		  BODY_REFUSED("Content-Length: 1\r\nContent-Length: 2\r\n", "x", "400 ") },
		{ "list of lengths", BODY_REFUSED("Content-Length: 1, 1\r\n", "x", "400 ") },
		{ "signed length", BODY_REFUSED("Content-Length: +1\r\n", "x", "400 ") },
		{ "length past 64 bits",
		  BODY_REFUSED("Content-Length: 18446744073709551617\r\n", "x", "400 ") },
		{ "empty length", BODY_REFUSED("Content-Length:\r\n", "x", "400 ") },
		{ "another encoding",
		  BODY_REFUSED("Transfer-Encoding: gzip, chunked\r\n", "", "501 ") },
		{ "chunked twice",
		  BODY_REFUSED("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "",
			       "400 ") },
		{ "chunks in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "",
		  "HTTP/1.1 400 " },
		{ "chunk without size",
		  BODY_REFUSED("Transfer-Encoding: chunked\r\n", "\r\n", "400 ") },
		{ "chunk with a sign",
		  BODY_REFUSED("Transfer-Encoding: chunked\r\n", "-1\r\n", "400 ") },
		{ "chunk with a prefix",
		  BODY_REFUSED("Transfer-Encoding: chunked\r\n", "0x1\r\n", "400 ") },
		{ "chunk size in a bare line",
		  BODY_REFUSED("Transfer-Encoding: chunked\r\n", "1\na\r\n", "400 ") },
		{ "chunk that is longer than it says",
		  BODY_REFUSED("Transfer-Encoding: chunked\r\n", "1\r\nab\r\n", "400 ") },
		{ "trailer that is no field",
		  BODY_REFUSED("Transfer-Encoding: chunked\r\n", "0\r\n x\r\n\r\n", "400 ") },
		{ "expectation",
		  BODY_REFUSED("Expect: wonders\r\nContent-Length: 1\r\n", "", "417 ") },
		{ "large body", BODY_REFUSED("Content-Length: 1001\r\n", "", "413 ") },
		{ "large chunk",
		  BODY_REFUSED("Transfer-Encoding: chunked\r\n", "3E9\r\n", "413 ") },
	};

	run_all(cases, ARRAY_SIZE(cases));
}

/* @count times the same text, behind a beginning. */
static char *repeat(const char *start, const char *part, unsigned count, const char *end)
{
	struct text text = { 0 };

	text_append(&text, start);
	for (unsigned i = 0; i < count; i++)
		text_append(&text, part);
	text_append(&text, end);
	return text_take(&text);
}

static void heads_have_limits(void **state)
{
	cleanup_free char *target = repeat("GET /", "a", 8192, " HTTP/1.1\r\n" HOST "\r\n");
	cleanup_free char *endless = repeat("GET /", "a", 40000, "");
	cleanup_free char *fields =
		repeat("GET / HTTP/1.1\r\n" HOST, "X: y\r\n", HTTP_FIELDS_MAX, "\r\n");
	cleanup_free char *large = repeat("GET / HTTP/1.1\r\n" HOST "X: ", "a", 16384, "\r\n\r\n");
	cleanup_free char *chunk = repeat("POST / HTTP/1.1\r\n" HOST
					  "Transfer-Encoding: chunked\r\n\r\n1;",
					  "a", 300, "\r\n");
	cleanup_free char *trailer = repeat("POST / HTTP/1.1\r\n" HOST
					    "Transfer-Encoding: chunked\r\n\r\n0\r\n",
					    "X: y\r\n", 1000, "\r\n");
	const struct conversation cases[] = {
		{ "long target", target, "", "HTTP/1.1 414 " },
		{ "target without end", endless, "", "HTTP/1.1 414 " },
		{ "many fields", fields, "", "HTTP/1.1 431 " },
		{ "large head", large, "", "HTTP/1.1 431 " },
		{ "long line of a chunk", chunk, "", "HTTP/1.1 400 " },
		{ "long trailer", trailer, "", "HTTP/1.1 400 " },
	};

	run_all(cases, ARRAY_SIZE(cases));
}

/* The server's budget for bodies is for all; what ends gives its part back. */
static void bodies_have_a_budget(void **state)
{
	static const char head[] = "POST / HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\nx";
	struct test_host t;

	test_host_init(&t, false);
	t.bodies.max = 999;
	assert_int_equal(http1_engine_new(&t.host, false, &t.engine), 0);
	assert_true(test_give(&t, head, strlen(head)));
	assert_non_null(strstr(text_string(&t.output), "HTTP/1.1 503 "));
	assert_int_equal(t.gone, 1);
	test_host_done(&t);
}

/* Requests that come early wait in a buffer that does not grow. */
static void early_requests_wait(void **state)
{
	cleanup_free char *early = repeat("", "GET /now HTTP/1.1\r\n" HOST "\r\n", 600, "");
	struct test_host t;
	size_t given = 0;

	test_host_init(&t, true);
	assert_int_equal(http1_engine_new(&t.host, false, &t.engine), 0);
	assert_int_equal(t.engine->ops->receive(t.engine, "GET / HTTP/1.1\r\n" HOST "\r\n", 27), 0);
	for (; t.engine->ops->wants_bytes(t.engine); given += 1000)
		assert_int_equal(t.engine->ops->receive(t.engine, early + given, 1000), 0);
	assert_true(given <= HTTP1_AHEAD_MAX);
	test_settle(&t);
	assert_true(t.engine->ops->wants_bytes(t.engine));
	test_host_done(&t);
}

static void plain_clients_are_redirected(void **state)
{
	static const struct conversation cases[] = {
		{ "to the same place", "GET /a?b=c HTTP/1.1\r\nHost: h:8443\r\n\r\n", "",
		  "HTTP/1.1 307 Temporary Redirect\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
		  "Location: https://h:8443/a?b=c\r\n" },
		{ "nowhere", "GET / HTTP/1.0\r\n\r\n", "", "\"Host header required\"" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct test_host t;

		test_host_init(&t, false);
		assert_int_equal(http1_engine_new(&t.host, true, &t.engine), 0);
		assert_true(test_give(&t, cases[i].bytes, strlen(cases[i].bytes)));
		if (!strstr(text_string(&t.output), cases[i].output))
			fail_msg("%s: %s", cases[i].name, text_string(&t.output));
		test_host_done(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_taken),
		cmocka_unit_test(bodies_are_taken),
		cmocka_unit_test(ambiguity_is_refused),
		cmocka_unit_test(heads_have_limits),
		cmocka_unit_test(bodies_have_a_budget),
		cmocka_unit_test(early_requests_wait),
		cmocka_unit_test(plain_clients_are_redirected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
