/*
 * The text of a request is one block that moves while it grows, so places in it are numbers until the
 * head is delivered. Fields of one name are joined at that moment: before, it would be work squared.
 */
#include "http/request.h"

#include <string.h>

#include "base/secret.h"

#define TEXT_MAX (HTTP_HEAD_MAX + 1024) /* the host may be in it twice */
#define TEXT_JOINED_MAX (2 * HTTP_HEAD_MAX + 2048) /* with the joined fields */
#define BODY_CAPACITY_MIN 1024
#define ANSWER_ALWAYS 4096 /* bytes of an answer that is never refused */

int http_request_new(struct http_engine *engine, void *stream, struct http_request **ret)
{
	struct http_request *request = malloc(sizeof(*request));

	if (!request)
		return -ENOMEM;
	memset(request, 0, offsetof(struct http_request, fields));
	request->body = NULL;
	request->body_size = request->body_capacity = 0;
	request->body_max = 0;
	request->engine = engine;
	request->stream = stream;
	request->text_capacity = 1024;
	request->text = malloc(request->text_capacity);
	if (!request->text) {
		free(request);
		return -ENOMEM;
	}
	request->text[0] = '\0'; /* place 0 is the empty string */
	request->text_size = 1;
	*ret = request;
	return 0;
}

static void set_answered(struct http_request *request)
{
	if (request->answered)
		*request->answered = true;
}

struct http_request *http_request_free(struct http_request *request)
{
	struct http_host *host;

	if (!request)
		return NULL;
	host = request->engine->host;
	if (request->delivered)
		host->handlers->gone(host->context, request);
	host->bodies->used -= request->body_capacity;
	if (request->body)
		secret_wipe(request->body, request->body_size); /* it may hold a password */
	free(request->body);
	secret_wipe(request->text, request->text_size); /* and a cookie */
	free(request->text);
	free(request);
	return NULL;
}

/* --- the head --- */

/* Makes room for more text. Returns 0, -E2BIG, -ENOMEM. */
static int text_reserve(struct http_request *request, size_t size, size_t max)
{
	size_t capacity = request->text_capacity;
	char *text;

	if (size > max - request->text_size)
		return -E2BIG;
	if (size <= capacity - request->text_size)
		return 0;
	while (capacity < request->text_size + size)
		capacity *= 2;
	text = malloc(capacity);
	if (!text)
		return -ENOMEM;
	memcpy(text, request->text, request->text_size);
	secret_wipe(request->text, request->text_size);
	free(request->text);
	request->text = text;
	request->text_capacity = (uint32_t)capacity;
	return 0;
}

/* Appends a string with its NUL; there is room. Returns its place. */
static uint16_t text_put(struct http_request *request, const char *from, size_t size)
{
	uint32_t place = request->text_size;

	memcpy(request->text + place, from, size);
	request->text[place + size] = '\0';
	request->text_size += (uint32_t)size + 1;
	return (uint16_t)place;
}

static int text_set(struct http_request *request, uint16_t *place, const char *from, size_t size)
{
	int r = text_reserve(request, size + 1, TEXT_MAX);

	if (r < 0)
		return r;
	*place = text_put(request, from, size);
	return 0;
}

int http_request_set_method(struct http_request *request, const char *method, size_t size)
{
	request->is_head = size == 4 && memcmp(method, "HEAD", 4) == 0;
	return text_set(request, &request->method, method, size);
}

int http_request_set_target(struct http_request *request, const char *target, size_t size)
{
	const char *mark = memchr(target, '?', size);
	size_t path_size = mark ? (size_t)(mark - target) : size;
	int r = text_set(request, &request->path, target, path_size);

	if (r < 0 || !mark)
		return r;
	return text_set(request, &request->query, mark + 1, size - path_size - 1);
}

int http_request_set_path_root(struct http_request *request)
{
	return text_set(request, &request->path, "/", 1);
}

int http_request_set_host(struct http_request *request, const char *host, size_t size)
{
	return text_set(request, &request->host, host, size);
}

int http_request_add_field(struct http_request *request, const char *name, size_t name_size,
			   const char *value, size_t value_size)
{
	struct http_request_field *field = &request->fields[request->field_count];
	int r;

	if (request->field_count == HTTP_FIELDS_MAX)
		return -E2BIG;
	r = text_reserve(request, name_size + value_size + 2, TEXT_MAX);
	if (r < 0)
		return r;
	field->name = text_put(request, name, name_size);
	for (char *at = request->text + field->name; *at; at++)
		if (*at >= 'A' && *at <= 'Z')
			*at += 'a' - 'A';
	field->value = text_put(request, value, value_size);
	request->field_count++;
	return 0;
}

/* Whether two fields have one name. */
static bool same_name(const struct http_request *request, unsigned a, unsigned b)
{
	return strcmp(request->text + request->fields[a].name,
		      request->text + request->fields[b].name) == 0;
}

/* Makes one field of all that have the name of field @first. */
static int join(struct http_request *request, unsigned first)
{
	bool cookie = strcmp(request->text + request->fields[first].name, "cookie") == 0;
	size_t size = 0;
	unsigned left = first + 1;
	uint32_t place;
	int r;

	for (unsigned i = first; i < request->field_count; i++)
		if (same_name(request, first, i))
			size += strlen(request->text + request->fields[i].value) + 2;
	r = text_reserve(request, size + 1, TEXT_JOINED_MAX);
	if (r < 0)
		return r;
	place = request->text_size;
	for (unsigned i = first; i < request->field_count; i++) {
		if (!same_name(request, first, i)) {
			request->fields[left++] = request->fields[i];
			continue;
		}
		if (i > first) { /* in place of the NUL behind the value before */
			memcpy(request->text + request->text_size - 1, cookie ? "; " : ", ", 2);
			request->text_size++;
		}
		(void)text_put(request, request->text + request->fields[i].value,
			       strlen(request->text + request->fields[i].value));
	}
	request->fields[first].value = (uint16_t)place;
	request->field_count = (uint16_t)left;
	return 0;
}

static int join_all(struct http_request *request)
{
	for (unsigned i = 0; i < request->field_count; i++)
		for (unsigned k = i + 1; k < request->field_count; k++)
			if (same_name(request, i, k)) {
				int r = join(request, i);

				if (r < 0)
					return r;
				break;
			}
	return 0;
}

int http_request_finish_head(struct http_request *request)
{
	return join_all(request);
}

bool http_request_deliver_head(struct http_request *request)
{
	struct http_host *host = request->engine->host;
	bool answered = false;
	size_t wanted;

	request->delivered = true;
	request->answered = &answered;
	wanted = host->handlers->head(host->context, request);
	if (answered)
		return false;
	request->answered = NULL;
	request->body_max = wanted;
	return true;
}

/* --- the body --- */

static int body_reserve(struct http_request *request, size_t size)
{
	struct http_budget *budget = request->engine->host->bodies;
	size_t capacity = request->body_capacity ? request->body_capacity : BODY_CAPACITY_MIN;
	unsigned char *body;

	if (size <= request->body_capacity)
		return 0;
	while (capacity < size)
		capacity *= 2;
	if (capacity > request->body_max)
		capacity = request->body_max;
	while (capacity - request->body_capacity > budget->max - budget->used)
		if (!budget->reclaim || !budget->reclaim(budget, request->engine->host))
			return -ENOBUFS;
	body = malloc(capacity);
	if (!body)
		return -ENOMEM;
	if (request->body_size > 0) {
		memcpy(body, request->body, request->body_size);
		secret_wipe(request->body, request->body_size);
	}
	free(request->body);
	budget->used += capacity - request->body_capacity;
	request->body = body;
	request->body_capacity = capacity;
	return 0;
}

int http_request_add_body(struct http_request *request, const void *bytes, size_t size)
{
	int r;

	if (size > request->body_max - request->body_size)
		return -EFBIG;
	r = body_reserve(request, request->body_size + size);
	if (r < 0)
		return r;
	if (size > 0)
		memcpy(request->body + request->body_size, bytes, size);
	request->body_size += size;
	return 0;
}

void http_request_deliver_body(struct http_request *request)
{
	struct http_host *host = request->engine->host;

	host->handlers->complete(host->context, request);
}

/* --- what users see --- */

const char *http_request_method(const struct http_request *request)
{
	return request->text + request->method;
}

const char *http_request_path(const struct http_request *request)
{
	return request->text + request->path;
}

const char *http_request_query(const struct http_request *request)
{
	return request->text + request->query;
}

const char *http_request_host(const struct http_request *request)
{
	return request->text + request->host;
}

const char *http_request_field(const struct http_request *request, const char *name)
{
	for (unsigned i = 0; i < request->field_count; i++)
		if (strcmp(request->text + request->fields[i].name, name) == 0)
			return request->text + request->fields[i].value;
	return NULL;
}

const void *http_request_body(const struct http_request *request, size_t *ret_size)
{
	*ret_size = request->body_size;
	return request->body ? request->body : (const unsigned char *)"";
}

bool http_request_is_secure(const struct http_request *request)
{
	return request->engine->host->secure;
}

const struct endpoint *http_request_peer(const struct http_request *request)
{
	return &request->engine->host->peer;
}

void http_request_set_data(struct http_request *request, void *data)
{
	request->data = data;
}

void *http_request_data(const struct http_request *request)
{
	return request->data;
}

/* Whether an answer may be kept until its client has read it. One alone may be of any size. */
static bool has_room(const struct http_host *host, size_t size)
{
	struct http_budget *answers = host->answers;

	while (answers->used > 0 &&
	       (answers->used > answers->max || size > answers->max - answers->used))
		if (!answers->reclaim || !answers->reclaim(answers, host))
			return false;
	return true;
}

/* In place of an answer for which there is no room. */
static void answer_later(struct http_request *request, const struct http_answer *answer)
{
	static const struct http_field fields[] = { { "Content-Type", "application/json" },
						    { "Retry-After", "1" } };
	char body[HTTP_REFUSAL_MAX];
	const size_t size = http_refusal(
		"too many answers wait for their clients to read them; try again", body);

	if (answer->release)
		answer->release(answer->release_context);
	request->engine->ops->answer(request,
				     &(struct http_answer){ .status = 503,
							    .fields = fields,
							    .field_count = ARRAY_SIZE(fields),
							    .body = body,
							    .body_size = size });
}

void http_request_answer(struct http_request *request, const struct http_answer *answer)
{
	const struct http_host *host = request->engine->host;

	request->delivered = false; /* the user has given it up */
	set_answered(request);
	if (host->answers && !answer->kept && !request->is_head &&
	    answer->body_size > ANSWER_ALWAYS && !has_room(host, answer->body_size))
		answer_later(request, answer);
	else
		request->engine->ops->answer(request, answer);
}

bool http_request_wants_socket(const struct http_request *request)
{
	return request->engine->ops->wants_socket(request);
}
