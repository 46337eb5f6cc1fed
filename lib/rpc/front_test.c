/* The front behind a real server: the command's client, browsers, pages of other sites, and clients that
 * mean harm, all on loopback. */
#include "base/test.h"

#include <poll.h>
#include <string.h>

#include "client/client.h"
#include "crypto/blake3.h"
#include "rpc/test_server.h"

static int setup_small(void **state)
{
	return setup_with(state, 2);
}

static int connect_client(const struct fixture *f)
{
	struct sockaddr_storage to;
	socklen_t size = endpoint_to_sockaddr(&f->address, &to);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval limit = { .tv_sec = 20 };

	assert_true(fd >= 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	assert_int_equal(connect(fd, (struct sockaddr *)&to, size), 0);
	return fd;
}

/* Receives until the end, or until @mark was seen. */
static void receive(int fd, const char *mark, struct text *to)
{
	char buffer[4096];
	ssize_t size;

	while (!mark || !strstr(text_string(to), mark)) {
		size = recv(fd, buffer, sizeof(buffer), 0);
		if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			fail_msg("nothing more came after \"%s\"", text_string(to));
		if (size <= 0)
			return;
		text_append_bytes(to, buffer, (size_t)size);
	}
}

static void exchange(const struct fixture *f, const char *request, const char *mark,
		     struct text *to)
{
	cleanup_close int fd = connect_client(f);

	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	receive(fd, mark, to);
}

static void assert_contains(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" has no \"%s\"", text, part);
}

/* Calls a method as the command does. @cookie: NULL: without any proof of who calls. */
static int call(const struct endpoint *address, const char *cookie, const char *method,
		const json_t *params, json_t **ret_result, struct fault *fault)
{
	char target[IP_TEXT_MAX];
	struct rpc_client_options options = {
		.tunnel = endpoint_format(address, target),
		.cookie = cookie ? cookie : "none",
	};
	CLEANUP(rpc_client_free) struct rpc_client *client = NULL;

	assert_int_equal(rpc_client_new(&options, &client), 0);
	return rpc_client_call_as(client, cookie ? RPC_PROOF_ALL : RPC_PROOF_NONE, NULL, method,
				  params, ret_result, fault);
}

static void client_calls(void **state)
{
	struct fixture *f = *state;
	CLEANUP(fault_done) struct fault fault = { 0 };
	json_t *params = json_pack("{s:s}", "message", "h\xc3\xa9llo");
	json_t *result = NULL;

	assert_int_equal(call(&f->address, SECRET, "echo", params, &result, &fault), 0);
	assert_string_equal(json_string_value(result), "h\xc3\xa9llo");
	json_decref(result);
	json_decref(params);
	assert_int_equal(call(&f->address, SECRET, "nothing", NULL, &result, &fault), 0);
	assert_true(json_is_null(result));
}

static void client_faults(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *cookie, *method, *details;
		enum fault_kind kind;
	} cases[] = {
		{ SECRET, "no.such",
		  "the daemon does not know what it was asked for: it is older than this command, "
		  "or another program",
		  FAULT_NOT_FOUND },
		{ SECRET, "echo", "message: is required", FAULT_DESERIALIZATION },
		{ "wrong", "nothing", "does not accept the local cookie", FAULT_AUTHORIZATION },
		{ "c2VjcmV0c2VjcmV0", "nothing", "does not accept the local cookie",
		  FAULT_AUTHORIZATION },
		{ NULL, "nothing", "does not know this session", FAULT_AUTHORIZATION },
	};
	json_t *result = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(fault_done) struct fault fault = { 0 };

		assert_true(call(&f->address, cases[i].cookie, cases[i].method, NULL, &result,
				 &fault) < 0);
		assert_int_equal(fault.kind, cases[i].kind);
		assert_contains(fault.details, cases[i].details);
	}
}

static void client_finds_nobody(void **state)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	struct endpoint address;
	json_t *result = NULL;

	(void)close(listen_anywhere(&address));
	assert_true(call(&address, SECRET, "echo", NULL, &result, &fault) < 0);
	assert_int_equal(fault.kind, FAULT_NETWORK);
	assert_contains(fault.details, "is start-tunneld running?");
}

#define SAY_X "{\"method\":\"echo\",\"params\":{\"message\":\"x\"}}"
#define DO_NOTHING "{\"method\":\"nothing\",\"params\":{}}"

#define HOST "Host: 127.0.0.1:77\r\n"
#define POST "POST /rpc/v1 HTTP/1.1\r\n" HOST

struct exchange_case {
	const char *name, *request, *status, *part;
};

static void run_cases(const struct fixture *f, const struct exchange_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		CLEANUP(text_done) struct text answer = { 0 };

		exchange(f, cases[i].request, NULL, &answer);
		if (answer.size < 12 || memcmp(answer.data + 9, cases[i].status, 3) != 0 ||
		    !strcasestr(answer.data, cases[i].part))
			fail_msg("%s: \"%s\"", cases[i].name, text_string(&answer));
	}
}

#define END "Connection: close\r\n\r\n"

static void calls_over_http(void **state)
{
	static const struct exchange_case cases[] = {
		{ "an answer has its type and length", POST "Content-Length: 42\r\n" END SAY_X,
		  "200", "content-type: application/json\r\n" },
		{ "its length", POST "Content-Length: 42\r\n" END SAY_X, "200",
		  "content-length: 40\r\n" },
		{ "it is not stored", POST "Content-Length: 42\r\n" END SAY_X, "200",
		  "cache-control: no-store\r\n" },
		{ "the path's tail is ignored",
		  "POST /rpc/x?y HTTP/1.1\r\nHost: LocalHost\r\nContent-Length: 42\r\n" END SAY_X,
		  "200", "\"result\":\"x\"" },
		{ "another path", "POST /rpcx HTTP/1.1\r\n" HOST "Content-Length: 42\r\n" END SAY_X,
		  "404", "requests go to /rpc/v0" },
		{ "nothing after /rpc/",
		  "POST /rpc/ HTTP/1.1\r\n" HOST "Content-Length: 42\r\n" END SAY_X, "404",
		  "requests go to /rpc/v0" },
		{ "GET", "GET /rpc/v1 HTTP/1.1\r\n" HOST END, "405", "allow: POST, OPTIONS" },
		{ "no host", "POST /rpc/v1 HTTP/1.1\r\nContent-Length: 42\r\n" END SAY_X, "400",
		  "" },
		{ "chunked",
		  POST "Transfer-Encoding: chunked\r\n" END "2A\r\n" SAY_X "\r\n0\r\n\r\n", "200",
		  "\"result\":\"x\"" },
		{ "the empty body", POST "Content-Length: 0\r\n" END, "200", "-32700" },
		{ "a body of a stranger that is large is refused before it comes",
		  POST "Content-Length: 16385\r\n" END, "413", "" },
		{ "a body that is too large is refused before it comes",
		  POST "Cookie: local=" SECRET "\r\nContent-Length: 1048577\r\n" END, "413", "" },
		{ "a client that waits to be asked for its body",
		  POST "Content-Length: 42\r\nExpect: 100-continue\r\n" END SAY_X, "200",
		  "\"result\":\"x\"" },
		{ "a method that sets a cookie",
		  POST "Content-Length: 31\r\n" END "{\"method\":\"whoami\",\"params\":{}}", "200",
		  "set-cookie: who=am; HttpOnly\r\n" },
		{ "who calls",
		  POST "User-Agent: test/1\r\nContent-Length: 31\r\n" END
		       "{\"method\":\"whoami\",\"params\":{}}",
		  "200", "\"agent\":\"test/1\"" },
		{ "a session",
		  POST "Cookie: session=s-1\r\nContent-Length: 31\r\n" END
		       "{\"method\":\"whoami\",\"params\":{}}",
		  "200", "{\"kind\":\"session\",\"session\":\"s-1\"" },
	};

	run_cases(*state, cases, ARRAY_SIZE(cases));
}

static void names_that_anybody_may_point_here_are_refused(void **state)
{
	static const struct exchange_case cases[] = {
		{ "a call",
		  "POST /rpc/v1 HTTP/1.1\r\nHost: rebind.example\r\nContent-Length: 42\r\n" END
			  SAY_X,
		  "421", "Host field has to be an IP address" },
		{ "a page", "GET / HTTP/1.1\r\nHost: rebind.example:5960\r\n" END, "421",
		  "Host field has to be an IP address" },
		{ "a name like an address",
		  "GET / HTTP/1.1\r\nHost: 127.0.0.1.rebind.example\r\n" END, "421", "" },
		{ "localhost", "GET / HTTP/1.1\r\nHost: LOCALHOST:5960\r\n" END, "200", "" },
		{ "IPv6", "GET / HTTP/1.1\r\nHost: [::1]:5960\r\n" END, "200", "" },
	};

	run_cases(*state, cases, ARRAY_SIZE(cases));
}

static void files_are_served(void **state)
{
	static const struct exchange_case cases[] = {
		{ "the first page", "GET / HTTP/1.1\r\n" HOST END, "200",
		  "\r\n\r\n<!doctype html>" },
		{ "a path of the pages' own",
		  "GET /subnets/10.59.37.1/devices/10.59.37.2 HTTP/1.1\r\n" HOST END, "200",
		  "\r\n\r\n<!doctype html>" },
		{ "brotli", "GET / HTTP/1.1\r\n" HOST "Accept-Encoding: gzip, br\r\n" END, "200",
		  "content-encoding: br\r\n" },
		{ "its tag is a weak one", "GET / HTTP/1.1\r\n" HOST "Accept-Encoding: br\r\n" END,
		  "200", "etag: W/\"1\"\r\n" },
		{ "a cache of others", "GET / HTTP/1.1\r\n" HOST END, "200",
		  "vary: Accept-Encoding\r\n" },
		{ "the first page is asked for again", "GET / HTTP/1.1\r\n" HOST END, "200",
		  "cache-control: no-cache\r\n" },
		{ "a name with a hash is kept", "GET /assets/a-1234.js HTTP/1.1\r\n" HOST END,
		  "200", "cache-control: public, max-age=31536000, immutable\r\n" },
		{ "unchanged", "GET / HTTP/1.1\r\n" HOST "If-None-Match: W/\"1\"\r\n" END, "304",
		  "etag: \"1\"\r\n" },
		{ "a range", "GET / HTTP/1.1\r\n" HOST "Range: bytes=2-8\r\n" END, "206",
		  "content-range: bytes 2-8/15\r\n" },
		{ "a range outside", "GET / HTTP/1.1\r\n" HOST "Range: bytes=99-\r\n" END, "416",
		  "content-range: bytes */15\r\n" },
		{ "HEAD", "HEAD / HTTP/1.1\r\n" HOST END, "200", "content-length: 15\r\n" },
		{ "a file that is not there", "GET /assets/b-1234.js HTTP/1.1\r\n" HOST END, "404",
		  "Not Found" },
		{ "POST", "POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n" END, "405",
		  "allow: GET, HEAD\r\n" },
		{ "a route", "GET /static/local-root-ca.crt HTTP/1.1\r\n" HOST END, "200",
		  "content-disposition: attachment; filename=\"a.crt\"\r\n" },
		{ "a route with nothing", "GET /static/missing.crt HTTP/1.1\r\n" HOST END, "404",
		  "Not Found" },
		{ "neither route nor file", "GET /static/what HTTP/1.1\r\n" HOST END, "404",
		  "Not Found" },
		{ "no framing", "GET / HTTP/1.1\r\n" HOST END, "200", "frame-ancestors 'none'" },
		{ "no inline script", "GET / HTTP/1.1\r\n" HOST END, "200", "script-src 'self';" },
		{ "no sniffing", "GET / HTTP/1.1\r\n" HOST END, "200",
		  "x-content-type-options: nosniff\r\n" },
		{ "no referrer", "GET / HTTP/1.1\r\n" HOST END, "200",
		  "referrer-policy: no-referrer\r\n" },
		{ "errors have the fields, too", "GET /static/what HTTP/1.1\r\n" HOST END, "404",
		  "x-content-type-options: nosniff\r\n" },
	};

	run_cases(*state, cases, ARRAY_SIZE(cases));
}

/* A page of another site may ask, but its cookies do not count, nor may it try a password. */
static void cross_site_posts_are_refused(void **state)
{
	struct fixture *f = *state;
	static const char format[] = POST "%s\r\nCookie: a=b; local=" SECRET
					  "\r\nContent-Length: 32\r\n" END DO_NOTHING;
	static const char open_format[] = POST "%s\r\nCookie: local=" SECRET
					       "\r\nContent-Length: 42\r\n" END SAY_X;
	static const struct {
		const char *fields;
		bool own;
	} cases[] = {
		{ "X: y", true },
		{ "Origin: http://127.0.0.1:77", true },
		{ "Origin: http://127.0.0.1:77\r\nSec-Fetch-Site: same-origin", true },
		{ "Sec-Fetch-Site: none", true },
		{ "Origin: http://127.0.0.1:78", false },
		{ "Origin: http://127.0.0.1", false },
		{ "Origin: https://127.0.0.1:77", false },
		{ "Origin: https://a.example", false },
		{ "Origin: null", false },
		{ "Origin:", false },
		{ "Sec-Fetch-Site: cross-site", false },
		{ "Sec-Fetch-Site: same-site", false },
		{ "Origin: http://127.0.0.1:77\r\nSec-Fetch-Site: cross-site", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases) * 2; i++) {
		CLEANUP(text_done) struct text answer = { 0 };
		cleanup_free char *request = NULL;
		const char *fields = cases[i / 2].fields;

		assert_true(asprintf(&request, i % 2 ? open_format : format, fields) > 0);
		exchange(f, request, NULL, &answer);
		if ((strstr(text_string(&answer), "\"result\":") != NULL) != cases[i / 2].own ||
		    (strstr(text_string(&answer), "UNAUTHORIZED") != NULL) == cases[i / 2].own)
			fail_msg("%s: %s", fields, text_string(&answer));
		if (!cases[i / 2].own && strcasestr(text_string(&answer), "access-control-"))
			fail_msg("%s: %s", fields, text_string(&answer));
	}
	assert_int_equal(f->context.handled, 8); /* by those that are our own */
}

static void preflights(void **state)
{
	static const struct exchange_case cases[] = {
		{ "a page that signs",
		  "OPTIONS /rpc/v1 HTTP/1.1\r\n" HOST "Origin: http://a.example\r\n"
		  "Access-Control-Request-Method: POST\r\n"
		  "Access-Control-Request-Headers: content-type, x-startos-auth-sig\r\n" END,
		  "200", "access-control-allow-origin: http://a.example\r\n" },
		{ "what it may send",
		  "OPTIONS /rpc/v1 HTTP/1.1\r\n" HOST "Origin: http://a.example\r\n"
		  "Access-Control-Request-Method: POST\r\n"
		  "Access-Control-Request-Headers: content-type, x-startos-auth-sig\r\n" END,
		  "200", "access-control-allow-headers: content-type, x-startos-auth-sig\r\n" },
		{ "a page of our own",
		  "OPTIONS /rpc/v1 HTTP/1.1\r\n" HOST "Origin: http://127.0.0.1:77\r\n"
		  "Access-Control-Request-Headers: content-type\r\n" END,
		  "200", "access-control-allow-headers: content-type\r\n" },
	};
	CLEANUP(text_done) struct text answer = { 0 };

	run_cases(*state, cases, ARRAY_SIZE(cases));
	exchange(*state,
		 "OPTIONS /rpc/v1 HTTP/1.1\r\n" HOST "Origin: http://a.example\r\n"
		 "Access-Control-Request-Method: POST\r\n"
		 "Access-Control-Request-Headers: content-type\r\n" END,
		 NULL, &answer);
	assert_contains(text_string(&answer), " 200 ");
	assert_null(strcasestr(text_string(&answer), "access-control-"));
}

/* A signature is of one body. */
static void signed_bodies(void **state)
{
	static const char whoami[] = "{\"method\":\"whoami\",\"params\":{}}";
	static const char format[] = POST "Origin: http://a.example\r\nX-StartOS-Auth-Sig: "
					  "body:%zu:%s\r\nContent-Length: 31\r\n" END "%s";
	static const struct {
		const char *body;
		size_t size;
		const char *part;
	} cases[] = {
		{ whoami, 31, "\"kind\":\"key\",\"session\":null,\"key\":\"key\"" },
		{ "{\"method\":\"whoami\",\"params\":{ }", 31, "Parse error" },
		{ "{\"method\":\"nothing\",\"params\":{}", 31, "Parse error" },
		{ whoami, 30, "\"kind\":\"nobody\"" },
		{ " {\"method\":\"whoam\",\"params\":{}}", 31, "Method not found" },
		{ "{\"params\":{},\"method\":\"whoami\"}", 31, "\"kind\":\"nobody\"" },
	};
	char hex[65];
	uint8_t hash[BLAKE3_SIZE];

	blake3(whoami, strlen(whoami), hash);
	for (size_t i = 0; i < sizeof(hash); i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", hash[i]);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(text_done) struct text answer = { 0 };
		cleanup_free char *request = NULL;

		assert_true(asprintf(&request, format, cases[i].size, hex, cases[i].body) > 0);
		exchange(*state, request, NULL, &answer);
		assert_contains(text_string(&answer), cases[i].part);
		assert_non_null(strcasestr(text_string(&answer),
					   "access-control-allow-origin: http://a.example\r\n"));
	}
}

#define UPGRADE                                                                                    \
	HOST "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"          \
	     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define FRAME "\x81\x08{\"id\":1}"

/* Calls `subscribe` with a cookie; gives the guid. */
static void subscribe(const struct fixture *f, const char *cookie, char guid[RPC_GUID_SIZE + 1])
{
	static const char format[] = POST "Cookie: %s\r\nContent-Length: 34\r\n" END
					  "{\"method\":\"subscribe\",\"params\":{}}";
	CLEANUP(text_done) struct text answer = { 0 };
	cleanup_free char *request = NULL;
	const char *at;

	assert_true(asprintf(&request, format, cookie) > 0);
	exchange(f, request, NULL, &answer);
	at = strstr(text_string(&answer), "\"result\":\"");
	assert_non_null(at);
	memcpy(guid, at + 10, RPC_GUID_SIZE);
	guid[RPC_GUID_SIZE] = '\0';
}

/* Asks for the socket of a guid. Returns the connection with what came until @mark. */
static int open_socket(const struct fixture *f, const char *guid, const char *fields,
		       const char *mark, struct text *answer)
{
	cleanup_free char *request = NULL;
	int fd = connect_client(f);

	assert_true(asprintf(&request, "GET /ws/rpc/%s HTTP/1.1\r\n%s%s\r\n", guid, UPGRADE,
			     fields) > 0);
	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	receive(fd, mark, answer);
	return fd;
}

static void refused_socket(const struct fixture *f, const char *guid, const char *fields,
			   const char *status)
{
	CLEANUP(text_done) struct text answer = { 0 };

	(void)close(open_socket(f, guid, fields, "\r\n\r\n", &answer));
	assert_contains(text_string(&answer), status);
}

static void a_guid_opens_one_socket(void **state)
{
	struct fixture *f = *state;
	char guid[RPC_GUID_SIZE + 1];
	CLEANUP(text_done) struct text answer = { 0 };
	cleanup_close int fd = -EBADF;

	subscribe(f, "session=s-1", guid);
	fd = open_socket(f, guid, "Cookie: session=s-1\r\nOrigin: http://127.0.0.1:77\r\n", FRAME,
			 &answer);
	assert_contains(text_string(&answer), " 101 ");
	assert_non_null(strcasestr(text_string(&answer), "sec-websocket-accept: "
							 "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
	refused_socket(f, guid, "Cookie: session=s-1\r\n", " 404 ");
	refused_socket(f, "AAAABBBBCCCCDDDDEEEEFFFFGGGG2345", "Cookie: session=s-1\r\n", " 404 ");
}

static void a_stolen_guid_is_refused(void **state)
{
	struct fixture *f = *state;
	char guid[RPC_GUID_SIZE + 1];
	CLEANUP(text_done) struct text answer = { 0 };
	cleanup_close int fd = -EBADF;

	subscribe(f, "session=s-1", guid);
	refused_socket(f, guid, "", " 404 ");
	refused_socket(f, guid, "Cookie: session=s-2\r\n", " 404 ");
	refused_socket(f, guid, "Cookie: local=" SECRET "\r\n", " 404 ");
	refused_socket(f, guid, "Cookie: session=s-1\r\nOrigin: http://a.example\r\n", " 403 ");
	refused_socket(f, guid, "Cookie: session=s-1\r\nSec-Fetch-Site: cross-site\r\n", " 403 ");
	/* It is its owner's all the same. */
	fd = open_socket(f, guid, "Cookie: session=s-1\r\n", FRAME, &answer);
	assert_contains(text_string(&answer), " 101 ");
}

static void a_request_for_a_guid_that_is_no_upgrade_spends_nothing(void **state)
{
	struct fixture *f = *state;
	char guid[RPC_GUID_SIZE + 1];
	CLEANUP(text_done) struct text answer = { 0 }, refusal = { 0 };
	cleanup_free char *request = NULL;

	subscribe(f, "local=" SECRET, guid);
	assert_true(asprintf(&request, "GET /ws/rpc/%s HTTP/1.1\r\n%s%s", guid, HOST, END) > 0);
	exchange(f, request, NULL, &refusal);
	assert_contains(text_string(&refusal), " 404 ");
	assert_contains(text_string(&refusal), "Not Found");
	(void)close(open_socket(f, guid, "", FRAME, &answer));
	assert_contains(text_string(&answer), " 101 ");
}

static void a_logout_ends_the_sockets_of_the_session(void **state)
{
	struct fixture *f = *state;
	char guid[RPC_GUID_SIZE + 1];
	CLEANUP(text_done) struct text answer = { 0 }, logout = { 0 };
	cleanup_close int fd = -EBADF;

	subscribe(f, "session=s-1", guid);
	fd = open_socket(f, guid, "Cookie: session=s-1\r\n", FRAME, &answer);
	subscribe(f, "session=s-1", guid);
	exchange(f,
		 POST "Cookie: session=s-1\r\nContent-Length: 31\r\n" END
		      "{\"method\":\"logout\",\"params\":{}}",
		 NULL, &logout);
	assert_contains(text_string(&logout), "\"result\":null");
	receive(fd, NULL, &answer); /* until its end */
	refused_socket(f, guid, "Cookie: session=s-1\r\n", " 404 ");
}

static void bad_frames_end_the_socket(void **state)
{
	struct fixture *f = *state;
	char guid[RPC_GUID_SIZE + 1];
	CLEANUP(text_done) struct text answer = { 0 };
	cleanup_close int fd = -EBADF;

	subscribe(f, "local=" SECRET, guid);
	fd = open_socket(f, guid, "", FRAME, &answer);
	assert_int_equal(send(fd,
			      "\x81\x01"
			      "a",
			      3, MSG_NOSIGNAL),
			 3); /* not masked */
	receive(fd, NULL, &answer);
	assert_contains(text_string(&answer), "\x88\x02\x03\xea"); /* 1002 */
}

static void many_requests_on_one_connection(void **state)
{
	static const char request[] = POST "Content-Length: 42\r\n\r\n" SAY_X;
	cleanup_close int fd = connect_client(*state);

	for (int i = 0; i < 1000; i++) {
		CLEANUP(text_done) struct text answer = { 0 };

		assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
		receive(fd, "\"id\":null}", &answer);
		assert_contains(text_string(&answer), "\"result\":\"x\"");
	}
}

static void byte_by_byte(void **state)
{
	static const char request[] =
		"POST /rpc/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 42\r\n\r\n" SAY_X;
	cleanup_close int fd = connect_client(*state);
	CLEANUP(text_done) struct text answer = { 0 };

	for (size_t i = 0; i < strlen(request); i++)
		assert_int_equal(send(fd, request + i, 1, MSG_NOSIGNAL), 1);
	receive(fd, "\"id\":null}", &answer);
	assert_contains(text_string(&answer), "\"result\":\"x\"");
}

/* A client may begin with HTTP/2, which shows in its first 24 bytes, however they are cut. */
static void http2_in_pieces(void **state)
{
	static const char bytes[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
				    "\0\0\016\1\5\0\0\0\1\x82\x86\x84\x41\x09"
				    "127.0.0.1"
				    "\0\0\0\7\0\0\0\0\0";
	cleanup_close int fd = connect_client(*state);
	CLEANUP(text_done) struct text answer = { 0 };
	char buffer[4096];
	ssize_t size;

	for (size_t i = 0; i < sizeof(bytes) - 1 - 9; i++)
		assert_int_equal(send(fd, bytes + i, 1, MSG_NOSIGNAL), 1);
	while (answer.size < 15 || memcmp(answer.data + answer.size - 15, "<!doctype html>", 15)) {
		size = recv(fd, buffer, sizeof(buffer), 0);
		assert_true(size > 0);
		text_append_bytes(&answer, buffer, (size_t)size);
	}
	assert_memory_equal(answer.data, "\0\0\x18\4", 4); /* SETTINGS of the server */
}

static void what_only_begins_like_http2(void **state)
{
	static const struct exchange_case cases[] = {
		{ "a method", "PRI * HTTP/1.1\r\n" HOST END, "400", "" },
		{ "PRO", "PRO / HTTP/1.1\r\n" HOST END, "405", "" },
		{ "P", "PUT / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n" END, "405", "" },
	};

	run_cases(*state, cases, ARRAY_SIZE(cases));
}

/* Requests that come at once are answered in their order, also where the first takes its time. */
static void pipelined_requests(void **state)
{
	struct fixture *f = *state;
	CLEANUP(text_done) struct text requests = { 0 }, answers = { 0 };
	cleanup_close int fd = connect_client(f);
	const char *at;

	for (int i = 100; i < 200; i++)
		text_printf(&requests,
			    POST "Content-Length: 44\r\n%s\r\n"
				 "{\"method\":\"echo\",\"params\":{\"message\":\"%d\"}}",
			    i == 199 ? "Connection: close\r\n" : "", i);
	assert_int_equal(send(fd, requests.data, requests.size, MSG_NOSIGNAL), requests.size);
	receive(fd, NULL, &answers);
	at = text_string(&answers);
	for (int i = 100; i < 200; i++) {
		char part[32];

		(void)snprintf(part, sizeof(part), "\"result\":\"%d\"", i);
		at = strstr(at, part);
		if (!at)
			fail_msg("%s is missing, or out of order", part);
	}
}

/* The refusal arrives although the client never stops sending. */
static void huge_body(void **state)
{
	static const char head[] = POST "Cookie: local=" SECRET
					"\r\nContent-Length: 10485760\r\n\r\n";
	cleanup_close int fd = connect_client(*state);
	cleanup_free char *body = calloc(1, 10U << 20);
	CLEANUP(text_done) struct text answer = { 0 };
	ssize_t sent;

	assert_int_equal(send(fd, head, strlen(head), MSG_NOSIGNAL), strlen(head));
	sent = send(fd, body, 100000, MSG_NOSIGNAL);
	assert_true(sent > 0);
	receive(fd, "\r\n\r\n", &answer);
	assert_contains(text_string(&answer), " 413 ");
}

static void oversized_heads_are_refused(void **state)
{
	CLEANUP(text_done) struct text large = { 0 }, many = { 0 }, target = { 0 };
	CLEANUP(text_done) struct text answer = { 0 };

	text_append(&large, POST "A: ");
	for (int i = 0; i < 2000; i++)
		text_append(&large, "0123456789");
	text_append(&large, "\r\n" END);
	exchange(*state, text_string(&large), "\r\n\r\n", &answer);
	assert_contains(text_string(&answer), " 431 ");
	text_clear(&answer);

	text_append(&many, POST);
	for (int i = 0; i < 100; i++)
		text_printf(&many, "A%d: b\r\n", i);
	text_append(&many, END);
	exchange(*state, text_string(&many), "\r\n\r\n", &answer);
	assert_contains(text_string(&answer), " 431 ");
	text_clear(&answer);

	text_append(&target, "GET /");
	for (int i = 0; i < 1000; i++)
		text_append(&target, "0123456789");
	text_append(&target, " HTTP/1.1\r\n" HOST END);
	exchange(*state, text_string(&target), "\r\n\r\n", &answer);
	assert_contains(text_string(&answer), " 414 ");
}

/* Whoever opens connections and says nothing keeps nobody out. */
static void too_many_connections(void **state)
{
	static const char request[] = POST "Content-Length: 42\r\n" END SAY_X;
	struct fixture *f = *state;
	int silent[8];

	for (size_t i = 0; i < ARRAY_SIZE(silent); i++)
		silent[i] = connect_client(f);
	for (int i = 0; i < 16; i++) {
		CLEANUP(text_done) struct text answer = { 0 };

		exchange(f, request, NULL, &answer);
		assert_contains(text_string(&answer), "\"result\":\"x\"");
	}
	for (size_t i = 0; i < ARRAY_SIZE(silent); i++)
		(void)close(silent[i]);
}

/* What runs when the server closes has its connection closed, and may still answer afterwards. */
static void close_while_running(void **state)
{
	static const char request[] = "POST /rpc/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
				      "Content-Length: 32\r\n\r\n"
				      "{\"method\":\"later\",\"params\":{}  }";
	struct fixture *f = *state;
	cleanup_close int idle = connect_client(f);
	cleanup_close int fd = connect_client(f);
	CLEANUP(text_done) struct text answer = { 0 };
	struct pollfd readable = { .fd = fd, .events = POLLIN };

	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	assert_int_equal(poll(&readable, 1, 50), 0);
	stop(f);
	receive(fd, NULL, &answer);
	assert_int_equal(answer.size, 0);
	receive(idle, NULL, &answer);
	assert_int_equal(answer.size, 0);
}

/* An answer that is ready within the time for that still goes out. */
static void answers_while_closing(void **state)
{
	static const char request[] = "POST /rpc/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
				      "Content-Length: 32\r\n\r\n"
				      "{\"method\":\"later\",\"params\":{}  }";
	struct fixture *f = *state;
	cleanup_close int fd = connect_client(f);
	CLEANUP(text_done) struct text answer = { 0 };

	f->answer_late = true;
	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	while (rpc_dispatcher_running(f->dispatcher) == 0)
		(void)usleep(1000);
	stop(f);
	receive(fd, NULL, &answer);
	assert_contains(text_string(&answer), "\"result\":0");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(client_finds_nobody),
		TEST(client_calls),
		TEST(client_faults),
		TEST(calls_over_http),
		TEST(names_that_anybody_may_point_here_are_refused),
		TEST(files_are_served),
		TEST(cross_site_posts_are_refused),
		TEST(preflights),
		TEST(signed_bodies),
		TEST(a_guid_opens_one_socket),
		TEST(a_stolen_guid_is_refused),
		TEST(a_request_for_a_guid_that_is_no_upgrade_spends_nothing),
		TEST(a_logout_ends_the_sockets_of_the_session),
		TEST(bad_frames_end_the_socket),
		TEST(many_requests_on_one_connection),
		TEST(byte_by_byte),
		TEST(http2_in_pieces),
		TEST(what_only_begins_like_http2),
		TEST(pipelined_requests),
		TEST(huge_body),
		TEST(oversized_heads_are_refused),
		cmocka_unit_test_setup_teardown(too_many_connections, setup_small, teardown),
		TEST(close_while_running),
		TEST(answers_while_closing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
