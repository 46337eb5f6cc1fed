#include "http/http1_parse.h"

#include <string.h>
#include <strings.h>

#include "http/http1.h"

#define METHOD_MAX 24
#define HOST_MAX 263 /* a name of 253 bytes, ":", a port, and room for brackets */
#define LENGTH_DIGITS_MAX 18
#define CHUNK_DIGITS_MAX 12

struct parser {
	const char *at;
	const char *end;
	struct http_request *request;
	struct http1_head *head;
	struct http1_refusal *refusal;
	bool host_seen;
	bool host_from_target; /* absolute-form: the Host field does not count */
};

static int refuse(struct parser *p, unsigned status, const char *reason)
{
	*p->refusal = (struct http1_refusal){ status, reason };
	return -EBADMSG;
}

/* What the request object says. */
static int stored(struct parser *p, int r)
{
	if (r == -E2BIG)
		return refuse(p, 431, "the head has too many fields, or is too large");
	return r;
}

/* RFC 9110 section 5.6.2 */
static bool is_token_char(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static size_t token_size(const char *at, const char *end)
{
	const char *from = at;

	while (at < end && is_token_char((unsigned char)*at))
		at++;
	return (size_t)(at - from);
}

/* RFC 9110 section 5.5: no control characters but the tab. */
static bool is_value(const char *at, const char *end)
{
	for (; at < end; at++) {
		unsigned char c = (unsigned char)*at;

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

/* Of a host with or without a port; RFC 3986 section 3.2.2, without user information. */
static bool is_host(const char *at, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)at[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		      (c != '\0' && strchr("-._~%!$&'()*+,;=:[]", c))))
			return false;
	}
	return size <= HOST_MAX;
}

/* --- the first line --- */

static int parse_absolute(struct parser *p, const char *target, size_t size)
{
	size_t scheme = strncasecmp(target, "https://", 8) == 0 ? 8 : 7;
	const char *host = target + scheme;
	const char *end = target + size;
	const char *path = host;
	int r;

	while (path < end && *path != '/' && *path != '?')
		path++;
	if (path == host || !is_host(host, (size_t)(path - host)))
		return refuse(p, 400, "the request's target has no valid host");
	r = stored(p, http_request_set_host(p->request, host, (size_t)(path - host)));
	if (r < 0)
		return r;
	p->host_from_target = true;
	if (path < end && *path == '/')
		return stored(p, http_request_set_target(p->request, path, (size_t)(end - path)));
	/* The path is empty, so it is "/"; there may be a query. */
	r = stored(p, http_request_set_target(p->request, path, (size_t)(end - path)));
	if (r < 0)
		return r;
	return stored(p, http_request_set_path_root(p->request));
}

static int parse_target(struct parser *p, const char *target, size_t size)
{
	if (size > HTTP1_TARGET_MAX)
		return refuse(p, 414, "the request's target is longer than 8192 bytes");
	for (size_t i = 0; i < size; i++)
		if (target[i] <= ' ' || target[i] > '~' || target[i] == '#')
			return refuse(p, 400,
				      "the request's target has a character that none may "
				      "have");
	if (target[0] == '/')
		return stored(p, http_request_set_target(p->request, target, size));
	if ((size > 7 && strncasecmp(target, "http://", 7) == 0) ||
	    (size > 8 && strncasecmp(target, "https://", 8) == 0))
		return parse_absolute(p, target, size);
	if (size == 1 && target[0] == '*' &&
	    strcmp(http_request_method(p->request), "OPTIONS") == 0)
		return stored(p, http_request_set_target(p->request, target, size));
	return refuse(p, 400, "the request's target is neither a path nor a URL");
}

static int parse_version(struct parser *p, const char *at, size_t size)
{
	if (size != 8 || memcmp(at, "HTTP/", 5) != 0 || at[5] < '0' || at[5] > '9' ||
	    at[6] != '.' || at[7] < '0' || at[7] > '9')
		return refuse(p, 400, "the request's first line does not end in a version of HTTP");
	if (at[5] != '1')
		return refuse(p, 505, "this server speaks HTTP/1.1 here");
	p->head->is_1_0 = at[7] == '0';
	return 0;
}

static int parse_first_line(struct parser *p, const char *line, const char *end)
{
	size_t method = token_size(line, end);
	const char *target = line + method + 1;
	const char *space;
	int r;

	if (method == 0 || target > end || line[method] != ' ')
		return refuse(p, 400, "the request does not begin with a method and a space");
	if (method > METHOD_MAX || (method == 7 && memcmp(line, "CONNECT", 7) == 0))
		return refuse(p, 501, "there is no such method here");
	space = memchr(target, ' ', (size_t)(end - target));
	if (!space || space == target)
		return refuse(p, 400, "the request's first line is not method, target and version");
	r = parse_version(p, space + 1, (size_t)(end - space - 1));
	if (r < 0)
		return r;
	r = stored(p, http_request_set_method(p->request, line, method));
	if (r < 0)
		return r;
	return parse_target(p, target, (size_t)(space - target));
}

/* --- fields --- */

static bool is_name(const char *name, size_t size, const char *wanted)
{
	return size == strlen(wanted) && strncasecmp(name, wanted, size) == 0;
}

static int take_host(struct parser *p, const char *value, size_t size)
{
	if (p->host_seen)
		return refuse(p, 400, "there is more than one Host field");
	p->host_seen = true;
	if (!is_host(value, size))
		return refuse(p, 400, "the Host field is malformed");
	if (p->host_from_target)
		return 0;
	return stored(p, http_request_set_host(p->request, value, size));
}

static int take_length(struct parser *p, const char *value, size_t size)
{
	uint64_t length = 0;

	if (size == 0 || size > LENGTH_DIGITS_MAX)
		return refuse(p, 400, "the Content-Length field is not a number");
	for (size_t i = 0; i < size; i++) {
		if (value[i] < '0' || value[i] > '9')
			return refuse(p, 400, "the Content-Length field is not a number");
		length = length * 10 + (uint64_t)(value[i] - '0');
	}
	if (p->head->has_length && p->head->length != length)
		return refuse(p, 400, "there are two Content-Length fields that differ");
	p->head->has_length = true;
	p->head->length = length;
	return 0;
}

static int take_encoding(struct parser *p, const char *value, size_t size)
{
	if (p->head->chunked)
		return refuse(p, 400, "there is more than one Transfer-Encoding field");
	if (!is_name(value, size, "chunked"))
		return refuse(p, 501, "no transfer encoding but chunked is known here");
	p->head->chunked = true;
	return 0;
}

static int take_expectation(struct parser *p, const char *value, size_t size)
{
	if (!is_name(value, size, "100-continue"))
		return refuse(p, 417, "no expectation but 100-continue is known here");
	p->head->expects_continue = !p->head->is_1_0;
	return 0;
}

static int take_special(struct parser *p, const char *name, size_t name_size, const char *value,
			size_t size)
{
	if (is_name(name, name_size, "host"))
		return take_host(p, value, size);
	if (is_name(name, name_size, "content-length"))
		return take_length(p, value, size);
	if (is_name(name, name_size, "transfer-encoding"))
		return take_encoding(p, value, size);
	if (is_name(name, name_size, "expect"))
		return take_expectation(p, value, size);
	return 0;
}

/* Cuts a line at its colon. Returns whether it is a field. */
static bool cut(const char *line, const char *end, size_t *ret_name, const char **ret_value,
		size_t *ret_size)
{
	size_t name = token_size(line, end);
	const char *value = line + name + 1;

	if (name == 0 || line + name == end || line[name] != ':' || !is_value(value, end))
		return false;
	while (value < end && (*value == ' ' || *value == '\t'))
		value++;
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*ret_name = name;
	*ret_value = value;
	*ret_size = (size_t)(end - value);
	return true;
}

static int parse_field(struct parser *p, const char *line, const char *end)
{
	const char *value;
	size_t name_size;
	size_t size;
	int r;

	if (*line == ' ' || *line == '\t')
		return refuse(p, 400, "a field goes on in a second line");
	if (!cut(line, end, &name_size, &value, &size))
		return refuse(p, 400, "a line of the head is not a field");
	r = take_special(p, line, name_size, value, size);
	if (r < 0)
		return r;
	return stored(p, http_request_add_field(p->request, line, name_size, value, size));
}

/* --- the head as a whole --- */

static int check_body(struct parser *p)
{
	if (!p->head->chunked)
		return 0;
	if (p->head->has_length)
		return refuse(p, 400, "there are both Content-Length and Transfer-Encoding");
	if (p->head->is_1_0)
		return refuse(p, 400, "HTTP/1.0 has no Transfer-Encoding");
	return 0;
}

static void check_connection(struct parser *p)
{
	const char *connection = http_request_field(p->request, "connection");
	bool keep = connection && http1_list_has(connection, "keep-alive");

	p->head->close = connection && http1_list_has(connection, "close");
	p->head->upgrades = connection && http1_list_has(connection, "upgrade") && !p->head->is_1_0;
	p->head->keep_alive = p->head->is_1_0 && keep && !p->head->close;
	if (p->head->is_1_0 && !keep)
		p->head->close = true;
}

static int parse_lines(struct parser *p)
{
	bool first = true;

	for (;;) {
		const char *line = p->at;
		const char *end = memchr(line, '\r', (size_t)(p->end - line));
		int r;

		if (!end || end + 1 == p->end || end[1] != '\n')
			return refuse(p, 400, "a line of the head does not end in CR LF");
		p->at = end + 2;
		if (end == line) /* the empty line */
			return first || p->at != p->end ? refuse(p, 400, "the head is empty") : 0;
		r = first ? parse_first_line(p, line, end) : parse_field(p, line, end);
		if (r < 0)
			return r;
		first = false;
	}
}

int http1_parse_head(const char *text, size_t size, struct http_request *request,
		     struct http1_head *ret, struct http1_refusal *refusal)
{
	struct parser p = { text, text + size, request, ret, refusal, false, false };
	int r;

	*ret = (struct http1_head){ 0 };
	r = parse_lines(&p);
	if (r < 0)
		return r;
	if (!p.host_seen && !ret->is_1_0)
		return refuse(&p, 400, "the Host field is missing");
	r = check_body(&p);
	if (r < 0)
		return r;
	r = stored(&p, http_request_finish_head(request));
	if (r < 0)
		return r;
	check_connection(&p);
	return 0;
}

/* --- the lines of a chunked body --- */

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int http1_parse_chunk_size(const char *line, size_t size, uint64_t *ret)
{
	uint64_t value = 0;
	size_t i = 0;

	for (; i < size && hex_value(line[i]) >= 0; i++)
		value = value << 4 | (uint64_t)hex_value(line[i]);
	if (i == 0 || i > CHUNK_DIGITS_MAX)
		return -EBADMSG;
	if (i < size && line[i] != ';')
		return -EBADMSG;
	if (!is_value(line + i, line + size))
		return -EBADMSG;
	*ret = value;
	return 0;
}

bool http1_is_field(const char *line, size_t size)
{
	const char *value;
	size_t name_size;
	size_t value_size;

	return cut(line, line + size, &name_size, &value, &value_size);
}

bool http1_list_has(const char *list, const char *token)
{
	size_t size = strlen(token);

	while (*list) {
		size_t item;

		list += strspn(list, ", \t");
		item = strcspn(list, ", \t");
		if (item == size && strncasecmp(list, token, size) == 0)
			return true;
		list += item;
	}
	return false;
}
