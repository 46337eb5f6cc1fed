/* Where a command connects, and what it makes of answers, over real sockets on loopback. */
#include "base/test.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include "base/text.h"
#include "client/client.h"

static void targets(void **state)
{
	static const struct {
		const char *name, *tunnel, *tunnel_listen, *cookie;
		const char *peer; /* NULL: refused */
		const char *host;
		bool local;
		enum fault_kind kind;
	} cases[] = {
		{ "root on the machine itself", NULL, NULL, "c", "127.0.59.60:5960", "127.0.59.60",
		  true, 0 },
		{ "the flag before the config file", "127.0.0.1:1", "127.0.0.2:2", "c",
		  "127.0.0.1:1", "127.0.0.1", true, 0 },
		{ "the address that the daemon listens on", NULL, "[::1]:2", "c", "[::1]:2", "::1",
		  true, 0 },
		{ "loopback without the cookie", "127.0.0.1:1", NULL, NULL, "127.0.0.1:1",
		  "127.0.0.1", false, 0 },
		{ "another machine", "198.51.100.1:1", NULL, "c", "198.51.100.1:1", "198.51.100.1",
		  false, 0 },
		{ "an IPv6 machine", "[2001:DB8::1]:8443", NULL, NULL, "[2001:db8::1]:8443",
		  "2001:db8::1", false, 0 },
		{ "a name", "Tunnel.Example.com:8443", NULL, "c", "tunnel.example.com:8443",
		  "tunnel.example.com", false, 0 },
		{ "a short name", "vps:1", NULL, NULL, "vps:1", "vps", false, 0 },
		{ "a user without the cookie", NULL, NULL, NULL, NULL, NULL, false,
		  FAULT_INVALID_REQUEST },
		{ "no port", "vps", NULL, "c", NULL, NULL, false, FAULT_PARSE_NET_ADDRESS },
		{ "port 0", "vps:0", NULL, "c", NULL, NULL, false, FAULT_PARSE_NET_ADDRESS },
		{ "port 65536", "vps:65536", NULL, "c", NULL, NULL, false,
		  FAULT_PARSE_NET_ADDRESS },
		{ "a mistyped address", "198.51.100.256:1", NULL, "c", NULL, NULL, false,
		  FAULT_PARSE_NET_ADDRESS },
		{ "a URL", "https://vps:1", NULL, "c", NULL, NULL, false, FAULT_PARSE_NET_ADDRESS },
		{ "a user in front", "me@vps:1", NULL, "c", NULL, NULL, false,
		  FAULT_PARSE_NET_ADDRESS },
		{ "an empty label", "a..b:1", NULL, "c", NULL, NULL, false,
		  FAULT_PARSE_NET_ADDRESS },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(fault_done) struct fault fault = { 0 };
		struct rpc_client_options options = { .tunnel = cases[i].tunnel,
						      .tunnel_listen = cases[i].tunnel_listen,
						      .cookie = cases[i].cookie };
		struct rpc_target target;
		int r = rpc_client_target(&options, &target, &fault);

		print_message("%s\n", cases[i].name);
		assert_int_equal(r == 0, cases[i].peer != NULL);
		assert_int_equal(fault.kind, cases[i].kind);
		if (r < 0)
			continue;
		assert_string_equal(target.peer, cases[i].peer);
		assert_string_equal(target.host, cases[i].host);
		assert_int_equal(target.local, cases[i].local);
	}
}

/* Accepts one connection, reads a request with its body, says what it was told, and closes. */
struct server {
	int fd;
	pthread_t thread;
	const char *answer;
	struct text request;
	char address[IP_TEXT_MAX];
};

static bool is_whole(const struct text *request)
{
	const char *length = strcasestr(text_string(request), "content-length: ");
	const char *body = strstr(text_string(request), "\r\n\r\n");

	return length && body &&
	       request->size - (size_t)(body + 4 - request->data) >=
		       strtoul(length + strlen("content-length: "), NULL, 10);
}

static void *serve(void *arg)
{
	struct server *s = arg;
	int fd = accept(s->fd, NULL, NULL);
	char buffer[4096];
	ssize_t size;

	while (!is_whole(&s->request) && (size = recv(fd, buffer, sizeof(buffer), 0)) > 0)
		text_append_bytes(&s->request, buffer, (size_t)size);
	(void)!send(fd, s->answer, strlen(s->answer), MSG_NOSIGNAL);
	(void)close(fd);
	return NULL;
}

static void server_start(struct server *s, const char *answer)
{
	struct sockaddr_in any = { .sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(any);
	struct endpoint address;

	*s = (struct server){ .answer = answer };
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(s->fd >= 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&any, sizeof(any)), 0);
	assert_int_equal(listen(s->fd, 1), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&any, &size), 0);
	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&any, &address), 0);
	(void)endpoint_format(&address, s->address);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_stop(struct server *s)
{
	assert_int_equal(pthread_join(s->thread, NULL), 0);
	(void)close(s->fd);
}

#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
#define GOOD "{\"jsonrpc\":\"2.0\",\"result\":1,\"id\":0}"

static void responses(void **state)
{
	static const struct {
		const char *name, *response, *details; /* NULL: it is good */
	} cases[] = {
		{ "good", HEAD "\r\n" GOOD, NULL },
		{ "two heads",
		  "HTTP/1.1 100 Continue\r\nContent-Type: text/html\r\n\r\n" HEAD "\r\n" GOOD,
		  NULL },
		{ "a type with blanks around it",
		  "HTTP/1.1 200 OK\r\ncontent-type:\t application/json \r\n\r\n" GOOD, NULL },
		{ "another type",
		  "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n\r\n" GOOD,
		  "the daemon's answer has a content type other than application/json" },
		{ "no type", "HTTP/1.1 200 OK\r\n\r\n" GOOD,
		  "the daemon's answer has a content type other than application/json" },
		{ "both a result and an error",
		  HEAD "\r\n{\"jsonrpc\":\"2.0\",\"result\":1,\"error\":{},\"id\":0}",
		  "the daemon's answer is not a JSON-RPC response" },
		{ "no id", HEAD "\r\n{\"jsonrpc\":\"2.0\",\"result\":1}",
		  "the daemon's answer is not a JSON-RPC response" },
		{ "no JSON", HEAD "\r\nhello", "the daemon's answer is not JSON" },
		{ "cut off", HEAD "Content-Length: 9\r\n\r\n{", "the daemon's answer was cut off" },
		{ "nothing at all", "", "the daemon closed the connection without an answer" },
		{ "a refusal",
		  "HTTP/1.1 503 Busy\r\nContent-Type: application/json\r\n\r\n"
		  "{\"error\":{\"data\":\"too many connections\"}}",
		  "the daemon answered with HTTP status 503: too many connections" },
		{ "another place", "HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:1/\r\n\r\n",
		  "the daemon answered with HTTP status 307" },
		{ "an SSH server", "SSH-2.0-OpenSSH_9.2\r\n",
		  "the daemon's answer is not HTTP: does another program listen there?" },
		{ "an error of ours",
		  HEAD "\r\n{\"jsonrpc\":\"2.0\",\"error\":{\"code\":6,\"message\":\"Not Found\","
		       "\"data\":{\"details\":\"10.1.2.1/24\"}},\"id\":0}",
		  "10.1.2.1/24" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(fault_done) struct fault fault = { 0 };
		CLEANUP(rpc_client_free) struct rpc_client *client = NULL;
		struct rpc_client_options options = { .cookie = "c2VjcmV0" };
		struct server server;
		json_t *result = NULL;
		int r;

		print_message("%s\n", cases[i].name);
		server_start(&server, cases[i].response);
		options.tunnel = server.address;
		assert_int_equal(rpc_client_new(&options, &client), 0);
		r = rpc_client_call(client, "echo", NULL, &result, &fault);
		server_stop(&server);
		assert_int_equal(r == 0, cases[i].details == NULL);
		if (cases[i].details)
			assert_string_equal(fault.details, cases[i].details);
		json_decref(result);
		text_done(&server.request);
	}
}

static void assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" has no \"%s\"", text, part);
}

/* The bytes that other daemons get to see, too. */
static void requests(void **state)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	CLEANUP(rpc_client_free) struct rpc_client *client = NULL;
	struct rpc_client_options options = { .cookie = "c2VjcmV0", .proxy = "http://127.0.0.1:1" };
	json_t *params = json_pack("{s:s}", "subnet", "10.59.37.1/24");
	struct server server;
	json_t *result = NULL;

	server_start(&server, HEAD "\r\n" GOOD);
	options.tunnel = server.address;
	assert_int_equal(rpc_client_new(&options, &client), 0);
	assert_int_equal(rpc_client_call(client, "device.list", params, &result, &fault), 0);
	server_stop(&server);
	assert_int_equal(strncmp(server.request.data, "POST /rpc/v0 HTTP/1.1\r\n", 23), 0);
	assert_has(server.request.data, "\r\nContent-Type: application/json\r\n");
	assert_has(server.request.data, "\r\nAccept: application/json\r\n");
	assert_has(server.request.data, "\r\nCookie: local=c2VjcmV0\r\n");
	assert_has(server.request.data,
		   "\r\n\r\n{\"id\":0,\"method\":\"device.list\",\"params\":{\"subnet\":"
		   "\"10.59.37.1/24\"}}");
	assert_null(strstr(server.request.data, "X-StartOS-Auth-Sig")); /* loopback is not signed */
	json_decref(result);
	json_decref(params);
	text_done(&server.request);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(targets),
		cmocka_unit_test(responses),
		cmocka_unit_test(requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
