#include "rpc/client.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/secret.h"
#include "base/text.h"

#define DEFAULT_TARGET "127.0.59.60:5960"

/* --- where to --- */

static bool is_loopback(const struct ip_address *address)
{
	static const struct ip_prefix loopback = { { AF_INET, { 127 } }, 8 };
	static const struct ip_address loopback6 = { AF_INET6, { [15] = 1 } };

	return ip_prefix_contains(&loopback, address) || ip_equal(address, &loopback6);
}

int rpc_client_target(const struct rpc_client_wish *wish, struct endpoint *ret, struct fault *fault)
{
	const char *configured = wish->tunnel ? wish->tunnel : wish->tunnel_listen;
	const char *text = configured ? configured : DEFAULT_TARGET;
	struct endpoint target;

	if (endpoint_parse(text, &target) < 0)
		return fault_set(fault, FAULT_PARSE_NET_ADDRESS,
				 "\"%s\" is not an address with a port, which looks like %s", text,
				 DEFAULT_TARGET);
	if (wish->cookie && is_loopback(&target.address)) {
		*ret = target;
		return 0;
	}
	if (configured)
		return fault_set(
			fault, FAULT_NETWORK,
			"%s: only the tunnel of this machine can be reached so far; run the "
			"command there, as root",
			text);
	return fault_set(
		fault, FAULT_INVALID_REQUEST,
		"the daemon's cookie cannot be read: run the command as root on the machine "
		"where start-tunneld runs, or name another one by --tunnel IP:PORT");
}

int rpc_client_cookie(const char *path, char **ret)
{
	char buffer[RPC_COOKIE_MAX + 1];
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t size;
	char *cookie;

	if (fd < 0)
		return -errno;
	size = read(fd, buffer, sizeof(buffer));
	if (size < 0)
		return -errno;
	while (size > 0 && (buffer[size - 1] == '\n' || buffer[size - 1] == '\r'))
		size--;
	if (size == 0 || size > RPC_COOKIE_MAX)
		return -EBADMSG;
	for (ssize_t i = 0; i < size; i++)
		if (buffer[i] <= ' ' || buffer[i] > '~' || buffer[i] == ';' || buffer[i] == '"')
			return -EBADMSG;
	cookie = strndup(buffer, (size_t)size);
	secret_wipe(buffer, sizeof(buffer));
	if (!cookie)
		return -ENOMEM;
	*ret = cookie;
	return 0;
}

/* --- the answer --- */

struct span {
	const char *at;
	size_t size;
};

/* Cuts the next line off, without its end. Returns false where there is none. */
static bool next_line(struct span *from, struct span *ret)
{
	const char *end = memmem(from->at, from->size, "\r\n", 2);

	if (!end)
		return false;
	*ret = (struct span){ from->at, (size_t)(end - from->at) };
	from->size -= ret->size + 2;
	from->at = end + 2;
	return true;
}

/* The value of a header line, where it has this name. */
static bool field_is(const struct span *line, const char *name, struct span *ret)
{
	size_t size = strlen(name);

	if (line->size <= size || strncasecmp(line->at, name, size) != 0 || line->at[size] != ':')
		return false;
	*ret = (struct span){ line->at + size + 1, line->size - size - 1 };
	while (ret->size > 0 && (*ret->at == ' ' || *ret->at == '\t')) {
		ret->at++;
		ret->size--;
	}
	while (ret->size > 0 && (ret->at[ret->size - 1] == ' ' || ret->at[ret->size - 1] == '\t'))
		ret->size--;
	return true;
}

static int bad_answer(struct fault *fault, const char *why)
{
	return fault_set(fault, FAULT_NETWORK, "the daemon's answer %s", why);
}

/* Status "HTTP/1.1 200 OK". Returns the number, or 0. */
static unsigned status_of(const struct span *line)
{
	const char *at = line->at + 9;

	if (line->size < 12 || memcmp(line->at, "HTTP/1.", 7) != 0 || line->at[8] != ' ' ||
	    at[0] < '1' || at[0] > '5' || at[1] < '0' || at[1] > '9' || at[2] < '0' || at[2] > '9')
		return 0;
	return (unsigned)(at[0] - '0') * 100 + (unsigned)(at[1] - '0') * 10 +
	       (unsigned)(at[2] - '0');
}

struct response {
	unsigned status;
	bool json;
	struct span body;
};

/* Reads the digits of a length; anything else gives a length that no body has. */
static size_t length_of(const struct span *value)
{
	size_t length = 0;

	for (size_t i = 0; i < value->size; i++) {
		if (value->at[i] < '0' || value->at[i] > '9' || i > 9)
			return SIZE_MAX;
		length = length * 10 + (size_t)(value->at[i] - '0');
	}
	return length;
}

static int parse_head(const char *bytes, size_t size, struct response *ret, struct fault *fault)
{
	struct span rest = { bytes, size }, line, value;
	size_t length = SIZE_MAX;
	bool has_length = false;

	*ret = (struct response){ 0 };
	if (!next_line(&rest, &line) || (ret->status = status_of(&line)) == 0)
		return bad_answer(fault, "is not HTTP: does another program listen there?");
	while (next_line(&rest, &line) && line.size > 0) {
		if (field_is(&line, "content-type", &value))
			ret->json = value.size == strlen("application/json") &&
				    memcmp(value.at, "application/json", value.size) == 0;
		else if (field_is(&line, "content-length", &value)) {
			length = length_of(&value);
			has_length = true;
		}
	}
	if (line.size > 0 || (has_length && length != rest.size))
		return bad_answer(fault, "was cut off");
	ret->body = rest;
	return 0;
}

/* The codes that are kinds of ours stay; those of the protocol become one (1.4 of the reference). */
static enum fault_kind kind_of(json_int_t code)
{
	switch (code) {
	case FAULT_RPC_METHOD_NOT_FOUND:
		return FAULT_NOT_FOUND;
	case FAULT_RPC_PARSE:
	case FAULT_RPC_INVALID_PARAMS:
	case FAULT_RPC_INVALID_REQUEST:
		return FAULT_DESERIALIZATION;
	default:
		return code > 0 && code <= 80 ? (enum fault_kind)code : FAULT_UNKNOWN;
	}
}

static int fault_from(const json_t *error, struct fault *fault)
{
	const json_t *data = json_object_get(error, "data");
	const char *details = json_string_value(json_object_get(data, "details"));

	if (!details)
		details = json_string_value(data);
	if (!details)
		details = json_string_value(json_object_get(error, "message"));
	return fault_set(fault, kind_of(json_integer_value(json_object_get(error, "code"))), "%s",
			 details ? details : "the daemon did not say why");
}

static int unwrap(const json_t *envelope, json_t **ret_result, struct fault *fault)
{
	const char *version = json_string_value(json_object_get(envelope, "jsonrpc"));
	json_t *result = json_object_get(envelope, "result");
	const json_t *error = json_object_get(envelope, "error");

	if (!version || strcmp(version, "2.0") != 0 || !json_object_get(envelope, "id") ||
	    !result == !error)
		return bad_answer(fault, "is not a JSON-RPC response");
	if (error)
		return fault_from(error, fault);
	*ret_result = json_incref(result);
	return 0;
}

int rpc_response_parse(const char *bytes, size_t size, json_t **ret_result, struct fault *fault)
{
	struct response response;
	json_t *envelope;
	int r = parse_head(bytes, size, &response, fault);

	if (r < 0)
		return r;
	if (!response.json && response.status == 200)
		return bad_answer(fault, "has a content type other than application/json");
	envelope = response.json ? json_loadb(response.body.at, response.body.size, 0, NULL) : NULL;
	if (response.status != 200) {
		const char *why = json_string_value(
			json_object_get(json_object_get(envelope, "error"), "data"));

		r = fault_set(fault, FAULT_NETWORK, "the daemon answered with HTTP status %u%s%s",
			      response.status, why ? ": " : "", why ? why : "");
	} else {
		r = envelope ? unwrap(envelope, ret_result, fault)
			     : bad_answer(fault, "is not JSON");
	}
	json_decref(envelope);
	return r;
}

/* --- the call --- */

static int set_timeouts(int fd, time_t seconds)
{
	struct timeval timeout = { .tv_sec = seconds };

	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0)
		return -errno;
	return 0;
}

static int connect_to(const struct endpoint *target, int *ret_fd, struct fault *fault)
{
	struct sockaddr_storage address;
	socklen_t size = endpoint_to_sockaddr(target, &address);
	cleanup_close int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char text[IP_TEXT_MAX];
	int error = 0;

	if (fd < 0 || set_timeouts(fd, RPC_CLIENT_CONNECT_TIMEOUT_S) < 0 ||
	    connect(fd, (const struct sockaddr *)&address, size) < 0 ||
	    set_timeouts(fd, RPC_CLIENT_ANSWER_TIMEOUT_S) < 0)
		error = -errno;
	if (error == -ECONNREFUSED)
		return fault_set(fault, FAULT_NETWORK,
				 "nothing listens on %s: is start-tunneld running? See `systemctl "
				 "status start-tunneld`",
				 endpoint_format(target, text));
	if (error < 0)
		return fault_set_errno(fault, error, FAULT_NETWORK, "connecting to %s",
				       endpoint_format(target, text));
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int send_all(int fd, const char *bytes, size_t size, struct fault *fault)
{
	while (size > 0) {
		ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
			return 0; /* the answer, which may be there, says why */
		if (sent < 0)
			return fault_set_errno(fault, -errno, FAULT_NETWORK,
					       "sending to the daemon");
		bytes += sent;
		size -= (size_t)sent;
	}
	return 0;
}

static int receive_all(int fd, struct text *to, struct fault *fault)
{
	char buffer[16384];
	ssize_t size;

	to->max = RPC_ANSWER_MAX;
	do {
		size = recv(fd, buffer, sizeof(buffer), 0);
		if (size > 0)
			text_append_bytes(to, buffer, (size_t)size);
	} while ((size > 0 && text_error(to) == 0) || (size < 0 && errno == EINTR));
	if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return fault_set(fault, FAULT_TIMEOUT, "the daemon did not answer within %d s",
				 RPC_CLIENT_ANSWER_TIMEOUT_S);
	if (size < 0 && to->size == 0)
		return fault_set_errno(fault, -errno, FAULT_NETWORK, "receiving from the daemon");
	if (text_error(to) < 0)
		return fault_set_errno(fault, text_error(to), FAULT_NETWORK,
				       "receiving from the daemon");
	if (to->size == 0)
		return fault_set(fault, FAULT_NETWORK,
				 "the daemon closed the connection without an answer");
	return 0;
}

static int write_request(struct text *to, const struct endpoint *target, const char *cookie,
			 const char *method, const json_t *params)
{
	json_t *object = params ? json_incref((json_t *)params) : json_object();
	json_t *request = json_pack("{s:i, s:s, s:o}", "id", 0, "method", method, "params", object);
	char *body = request ? json_dumps(request, JSON_COMPACT) : NULL;
	char address[IP_TEXT_MAX];

	json_decref(request);
	if (!body)
		return -ENOMEM;
	text_printf(to,
		    "POST /rpc/v0 HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n"
		    "Content-Type: application/json\r\nAccept: application/json\r\n"
		    "Content-Length: %zu\r\n",
		    endpoint_format(target, address), strlen(body));
	if (cookie)
		text_printf(to, "Cookie: local=%s\r\n", cookie);
	text_printf(to, "\r\n%s", body);
	free(body);
	return text_error(to);
}

int rpc_client_call(const struct endpoint *target, const char *cookie, const char *method,
		    const json_t *params, json_t **ret_result, struct fault *fault)
{
	CLEANUP(text_done_secret) struct text request = { 0 };
	CLEANUP(text_done_secret) struct text response = { 0 };
	cleanup_close int fd = -EBADF;
	int r = write_request(&request, target, cookie, method, params);

	if (r < 0)
		return fault_set_errno(fault, r, FAULT_SERIALIZATION, "writing the request");
	r = connect_to(target, &fd, fault);
	if (r >= 0)
		r = send_all(fd, text_string(&request), request.size, fault);
	if (r >= 0)
		r = receive_all(fd, &response, fault);
	if (r < 0)
		return r;
	return rpc_response_parse(text_string(&response), response.size, ret_result, fault);
}
