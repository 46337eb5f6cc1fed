/* What answers of all engines have in common. */
#include <string.h>

#include "http/request.h"

static void count(struct http_body *body, struct http_host *host)
{
	if (!host->answers)
		return;
	body->host = host;
	host->answer_bytes += body->size;
	if (!host->abandoned)
		host->answers->used += body->size;
}

static void uncount(const struct http_body *body)
{
	if (!body->host)
		return;
	body->host->answer_bytes -= body->size;
	if (!body->host->abandoned)
		body->host->answers->used -= body->size;
}

int http_body_take(struct http_body *body, const struct http_answer *answer, struct http_host *host)
{
	unsigned char *copy;

	*body = (struct http_body){ answer->body, answer->body_size, answer->release,
				    answer->release_context, NULL };
	if (answer->release && !answer->kept)
		count(body, host);
	if (answer->release)
		return 0;
	*body = (struct http_body){ 0 };
	if (answer->body_size == 0)
		return 0;
	copy = malloc(answer->body_size);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, answer->body, answer->body_size);
	body->bytes = copy;
	body->size = answer->body_size;
	count(body, host);
	return 0;
}

void http_body_done(struct http_body *body)
{
	uncount(body);
	if (body->release)
		body->release(body->release_context);
	else
		free((void *)body->bytes);
	*body = (struct http_body){ 0 };
}

bool http_status_has_body(unsigned status)
{
	return status >= 200 && status != 204 && status != 304;
}

size_t http_refusal(const char *reason, char to[HTTP_REFUSAL_MAX])
{
	int size = snprintf(to, HTTP_REFUSAL_MAX,
			    "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32600,\"message\":"
			    "\"Invalid Request\",\"data\":\"%s\"},\"id\":null}",
			    reason);

	return (size_t)size;
}

const char *http_status_phrase(unsigned status)
{
	static const struct {
		unsigned status;
		const char *phrase;
	} phrases[] = {
		{ 100, "Continue" },
		{ 101, "Switching Protocols" },
		{ 200, "OK" },
		{ 201, "Created" },
		{ 202, "Accepted" },
		{ 204, "No Content" },
		{ 206, "Partial Content" },
		{ 301, "Moved Permanently" },
		{ 302, "Found" },
		{ 303, "See Other" },
		{ 304, "Not Modified" },
		{ 307, "Temporary Redirect" },
		{ 308, "Permanent Redirect" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 406, "Not Acceptable" },
		{ 408, "Request Timeout" },
		{ 409, "Conflict" },
		{ 411, "Length Required" },
		{ 412, "Precondition Failed" },
		{ 413, "Content Too Large" },
		{ 414, "URI Too Long" },
		{ 415, "Unsupported Media Type" },
		{ 416, "Range Not Satisfiable" },
		{ 417, "Expectation Failed" },
		{ 421, "Misdirected Request" },
		{ 426, "Upgrade Required" },
		{ 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 503, "Service Unavailable" },
		{ 505, "HTTP Version Not Supported" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(phrases); i++)
		if (phrases[i].status == status)
			return phrases[i].phrase;
	return "Unknown";
}
