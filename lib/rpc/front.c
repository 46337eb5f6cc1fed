#include "rpc/front.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/secret.h"
#include "crypto/blake3.h"
#include "http/content.h"
#include "rpc/site.h"

#define ANSWER_LARGE 262144 /* bytes; of which the memory goes back to the system */
#define USER_AGENT_MAX 256 /* bytes that are kept of one */
#define FIELDS_MAX 24 /* of an answer */
#define SOCKETS "/ws/rpc/"
#define EXTENSION_MAX 11 /* letters of a file name's last part */

/*
 * Scripts and styles come from here and from files only. Framing is forbidden, twice for browsers that
 * know one of the two.
 */
#define POLICY_OF_PAGES                                                                            \
	"default-src 'none'; script-src 'self'; style-src 'self'; "                                \
	"img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; manifest-src 'self'; "   \
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
#define POLICY_OF_DATA "default-src 'none'; frame-ancestors 'none'"

struct rpc_front {
	struct rpc_front_options options;
	bool (*is_ours)(void *context, const char *name);
	void *is_ours_context;
};

/* A call on its way, from its head to its answer. */
struct exchange {
	struct rpc_front *front;
	struct http_request *request; /* NULL: the client is gone */
	struct rpc_caller caller; /* its texts are the exchange's own */
	struct rpc_body_proof proof;
	bool dispatched;
	bool cross_origin; /* CORS has to let the sender's page read the answer */
	char *answer;
	size_t answer_size;
};

/* The fields of an answer while they are put together. */
struct fields {
	struct http_field items[FIELDS_MAX];
	size_t count;
};

static void add(struct fields *fields, const char *name, const char *value)
{
	if (fields->count < FIELDS_MAX)
		fields->items[fields->count++] = (struct http_field){ name, value };
}

static void add_security(struct fields *fields, const char *policy)
{
	add(fields, "content-security-policy", policy);
	add(fields, "x-content-type-options", "nosniff");
	add(fields, "x-frame-options", "DENY");
	add(fields, "referrer-policy", "no-referrer");
	add(fields, "cross-origin-opener-policy", "same-origin");
	add(fields, "cross-origin-resource-policy", "same-origin");
	add(fields, "permissions-policy",
	    "camera=(), microphone=(), geolocation=(), payment=(), usb=()");
}

/* An answer of a few words. @type: NULL: plain text. */
static void answer_text(struct http_request *request, unsigned status, const char *type,
			const char *text, struct fields *fields)
{
	add(fields, "content-type", type ? type : "text/plain; charset=utf-8");
	add(fields, "cache-control", "no-store");
	add_security(fields, POLICY_OF_DATA);
	http_request_answer(request, &(struct http_answer){ .status = status,
							    .fields = fields->items,
							    .field_count = fields->count,
							    .body = text,
							    .body_size = strlen(text) });
}

/* The refusal of a whole body, in the form of a JSON-RPC error. */
static void refuse(struct http_request *request, unsigned status, enum fault_kind kind,
		   const char *reason, struct fields *fields)
{
	struct fault fault = { .kind = kind, .details = (char *)reason };
	cleanup_free char *text = rpc_refusal(&fault);

	answer_text(request, status, "application/json", text ? text : "", fields);
}

static void refuse_request(struct http_request *request, unsigned status, const char *reason)
{
	struct fields fields = { 0 };

	refuse(request, status, FAULT_RPC_INVALID_REQUEST, reason, &fields);
}

static void not_found(struct http_request *request)
{
	struct fields fields = { 0 };

	answer_text(request, 404, NULL, "Not Found", &fields);
}

/* --- who sends --- */

/* What the policy of the front makes of a request's origin. */
struct sender {
	struct rpc_site site; /* that it talks to */
	const char *origin; /* NULL: none */
	bool own; /* no page of another site has made it */
};

static bool host_is_ours(const struct rpc_front *front, const struct rpc_site *site)
{
	return site->literal || (site->secure && front->is_ours &&
				 front->is_ours(front->is_ours_context, site->host));
}

/* Returns false where the request was refused. */
static bool check_host(const struct rpc_front *front, struct http_request *request,
		       struct sender *ret)
{
	const char *host = http_request_host(request);

	if (!*host) {
		refuse_request(request, 400, "the Host field is missing");
		return false;
	}
	if (rpc_site_parse_host(host, http_request_is_secure(request), &ret->site) < 0 ||
	    !host_is_ours(front, &ret->site)) {
		refuse_request(request, 421,
			       http_request_is_secure(request)
				       ? "the Host field has to be an IP address, localhost, or a "
					 "name that the certificate has"
				       : "the Host field has to be an IP address or localhost");
		return false;
	}
	ret->origin = http_request_field(request, "origin");
	ret->own = rpc_site_is_senders(&ret->site, ret->origin,
				       http_request_field(request, "sec-fetch-site"));
	return true;
}

/* A copy of a cookie's value, or NULL. */
static char *cookie_copy(const struct http_request *request, const char *name)
{
	const char *field = http_request_field(request, "cookie");
	size_t size = 0;
	const char *value = field ? rpc_cookie_find(field, name, &size) : NULL;

	return value && size > 0 ? strndup(value, size) : NULL;
}

static void secret_free(char *text)
{
	if (text)
		secret_wipe(text, strlen(text));
	free(text);
}

/* Asks the authenticator about those credentials that count. */
static int authenticate(struct rpc_front *front, struct http_request *request,
			const struct sender *sender, bool session_only, struct rpc_caller *ret,
			struct rpc_body_proof *ret_proof)
{
	const struct rpc_authenticator *authenticator = front->options.authenticator;
	char *local = sender->own && !session_only ? cookie_copy(request, "local") : NULL;
	char *session = sender->own ? cookie_copy(request, "session") : NULL;
	struct rpc_credentials credentials = {
		.local = local,
		.session = session,
		.signature = session_only ? NULL
					  : http_request_field(request, "x-startos-auth-sig"),
		.user_agent = http_request_field(request, "user-agent"),
		.host = sender->site.host,
		.source = http_request_peer(request)->address,
		.secure = http_request_is_secure(request),
	};
	int r = 0;

	*ret = (struct rpc_caller){ .kind = RPC_CALLER_NOBODY };
	*ret_proof = (struct rpc_body_proof){ 0 };
	if (local || session || credentials.signature)
		r = authenticator->head(authenticator->context, &credentials, ret, ret_proof);
	ret->user_agent = credentials.user_agent;
	ret->source = credentials.source;
	ret->secure = credentials.secure;
	secret_free(local);
	secret_free(session);
	return r;
}

/* --- calls --- */

static void exchange_free(struct exchange *exchange)
{
	free((char *)exchange->caller.session);
	free((char *)exchange->caller.key);
	free((char *)exchange->caller.user_agent);
	if (exchange->answer)
		secret_wipe(exchange->answer, exchange->answer_size);
	free(exchange->answer);
	free(exchange);
}

/* The server has done with the answer's bytes. */
static void release_answer(void *context)
{
	struct exchange *exchange = context;
	bool large = exchange->answer_size > ANSWER_LARGE;

	exchange_free(exchange);
	if (large)
		(void)malloc_trim(0); /* what it was made of took many times its size */
}

/* Lets a page of another site read the answer to what it has signed. */
static void add_cors(struct fields *fields, const struct http_request *request)
{
	const char *origin = http_request_field(request, "origin");

	add(fields, "access-control-allow-origin", origin ? origin : "*");
	add(fields, "access-control-allow-credentials", "true");
}

static void on_answer(void *context, char *answer, size_t size, const char *set_cookie)
{
	struct exchange *exchange = context;
	struct http_request *request = exchange->request;
	struct fields fields = { 0 };

	exchange->answer = answer;
	exchange->answer_size = size;
	if (!request) {
		exchange_free(exchange);
		return;
	}
	add(&fields, "content-type", "application/json");
	add(&fields, "cache-control", "no-store");
	add(&fields, "vary", "Origin");
	if (exchange->cross_origin)
		add_cors(&fields, request);
	if (set_cookie)
		add(&fields, "set-cookie", set_cookie);
	add_security(&fields, POLICY_OF_DATA);
	http_request_answer(request, &(struct http_answer){ .status = 200,
							    .fields = fields.items,
							    .field_count = fields.count,
							    .body = answer,
							    .body_size = size,
							    .release = release_answer,
							    .release_context = exchange });
}

/* Answers a preflight: pages of other sites may sign what they send, and do nothing else. */
static size_t answer_options(struct http_request *request, const struct sender *sender)
{
	const char *method = http_request_field(request, "access-control-request-method");
	const char *names = http_request_field(request, "access-control-request-headers");
	struct fields fields = { 0 };

	add(&fields, "vary", "Origin");
	if (sender->origin &&
	    (sender->own || (names && rpc_list_has(names, "x-startos-auth-sig")))) {
		add_cors(&fields, request);
		add(&fields, "access-control-allow-methods", method ? method : "*");
		add(&fields, "access-control-allow-headers", names ? names : "*");
	}
	add(&fields, "allow", "POST, OPTIONS");
	answer_text(request, 200, NULL, "", &fields);
	return 0;
}

/* The texts become the exchange's own. */
static int keep_caller(struct exchange *exchange, const struct rpc_caller *caller)
{
	struct rpc_caller *own = &exchange->caller;

	*own = *caller;
	own->session = caller->session ? strdup(caller->session) : NULL;
	own->key = caller->key ? strdup(caller->key) : NULL;
	own->user_agent = caller->user_agent ? strndup(caller->user_agent, USER_AGENT_MAX) : NULL;
	return (caller->session && !own->session) || (caller->key && !own->key) ||
			       (caller->user_agent && !own->user_agent)
		       ? -ENOMEM
		       : 0;
}

/* Returns how many bytes of body are wanted. */
static size_t begin_call(struct rpc_front *front, struct http_request *request,
			 const struct sender *sender)
{
	struct exchange *exchange = NULL;
	struct rpc_body_proof proof;
	struct rpc_caller caller;
	int r = authenticate(front, request, sender, false, &caller, &proof);

	if (r == 0) {
		exchange = calloc(1, sizeof(*exchange));
		r = exchange ? keep_caller(exchange, &caller) : -ENOMEM;
	}
	if (r < 0) {
		if (exchange)
			exchange_free(exchange);
		refuse_request(request, 500, "the request could not be looked at");
		return 0;
	}
	exchange->front = front;
	exchange->request = request;
	exchange->proof = proof;
	exchange->cross_origin = !sender->own && sender->origin;
	http_request_set_data(request, exchange);
	return caller.kind == RPC_CALLER_NOBODY ? RPC_FRONT_STRANGER_BODY_MAX : RPC_BODY_MAX;
}

static size_t on_rpc_head(struct rpc_front *front, struct http_request *request,
			  const struct sender *sender)
{
	const char *method = http_request_method(request);
	struct fields fields = { 0 };

	if (strcmp(method, "OPTIONS") == 0)
		return answer_options(request, sender);
	if (strcmp(method, "POST") != 0) {
		add(&fields, "allow", "POST, OPTIONS");
		refuse(request, 405, FAULT_RPC_INVALID_REQUEST, "the request has to be a POST",
		       &fields);
		return 0;
	}
	/* A page of another site may not even try a password, nor make us read its body. */
	if (!sender->own && !http_request_field(request, "x-startos-auth-sig")) {
		refuse(request, 200, FAULT_AUTHORIZATION, "UNAUTHORIZED", &fields);
		return 0;
	}
	return begin_call(front, request, sender);
}

static bool body_is_proved(const struct rpc_body_proof *proof, const void *body, size_t size)
{
	uint8_t hash[BLAKE3_SIZE];

	if (size != proof->size)
		return false;
	blake3(body, size, hash);
	return memcmp(hash, proof->blake3, sizeof(hash)) == 0;
}

static void on_complete(void *context, struct http_request *request)
{
	struct exchange *exchange = http_request_data(request);
	static const struct rpc_caller nobody;
	struct rpc_caller caller = exchange->caller;
	size_t size;
	const void *body = http_request_body(request, &size);

	if (exchange->proof.wanted && !body_is_proved(&exchange->proof, body, size)) {
		caller = nobody;
		caller.user_agent = exchange->caller.user_agent;
		caller.source = exchange->caller.source;
		caller.secure = exchange->caller.secure;
	}
	exchange->dispatched = true;
	rpc_dispatch(exchange->front->options.dispatcher, body, size, &caller, on_answer, exchange);
}

static void on_gone(void *context, struct http_request *request)
{
	struct exchange *exchange = http_request_data(request);

	if (!exchange)
		return;
	exchange->request = NULL;
	if (!exchange->dispatched)
		exchange_free(exchange);
}

/* --- sockets --- */

static size_t on_socket_head(struct rpc_front *front, struct http_request *request,
			     const struct sender *sender)
{
	const char *guid = http_request_path(request) + strlen(SOCKETS);
	struct rpc_continuations *continuations = front->options.continuations;
	struct rpc_body_proof proof;
	struct rpc_caller caller;
	struct fields fields = { 0 };

	if (!continuations || !http_request_wants_socket(request)) {
		not_found(request);
		return 0;
	}
	if (!sender->own) {
		answer_text(request, 403, NULL, "Forbidden", &fields);
		return 0;
	}
	if (authenticate(front, request, sender, true, &caller, &proof) < 0) {
		refuse_request(request, 500, "the request could not be looked at");
		return 0;
	}
	if (rpc_continuations_open(continuations, guid, caller.session, request,
				   clock_monotonic_ns()) == -ENOENT)
		not_found(request);
	return 0;
}

/* --- files --- */

static void release_nothing(void *context)
{
}

static void answer_file(struct http_request *request, const struct http_file *file)
{
	bool is_get = strcmp(http_request_method(request), "GET") == 0;
	struct http_wish wish = {
		.accept_encoding = http_request_field(request, "accept-encoding"),
		.if_none_match = http_request_field(request, "if-none-match"),
		.range = is_get ? http_request_field(request, "range") : NULL,
		.if_range = http_request_field(request, "if-range"),
	};
	struct fields fields = { 0 };
	struct http_content content;
	char range[96], etag[128];

	http_content_choose(file, &wish, &content);
	(void)snprintf(etag, sizeof(etag), "%s%s", content.encoding ? "W/" : "", file->etag);
	if (content.status == 206)
		(void)snprintf(range, sizeof(range), "bytes %zu-%zu/%zu", content.first,
			       content.first + content.size - 1, content.whole);
	else
		(void)snprintf(range, sizeof(range), "bytes */%zu", content.whole);
	add(&fields, "content-type", file->type);
	add(&fields, "etag", etag);
	add(&fields, "cache-control",
	    file->immutable ? "public, max-age=31536000, immutable" : "no-cache");
	add(&fields, "vary", "Accept-Encoding");
	add(&fields, "accept-ranges", "bytes");
	if (content.encoding)
		add(&fields, "content-encoding", content.encoding);
	if (content.status == 206 || content.status == 416)
		add(&fields, "content-range", range);
	add_security(&fields, POLICY_OF_PAGES);
	http_request_answer(request, &(struct http_answer){ .status = content.status,
							    .fields = fields.items,
							    .field_count = fields.count,
							    .body = content.bytes,
							    .body_size = content.size,
							    .release = release_nothing,
							    .kept = true });
}

static const struct rpc_route *find_route(const struct rpc_front *front, const char *path)
{
	for (const struct rpc_route *route = front->options.routes; route && route->path; route++)
		if (strcmp(route->path, path) == 0)
			return route;
	return NULL;
}

static void answer_route(struct http_request *request, const struct rpc_route *route)
{
	struct fields fields = { 0 };
	struct rpc_page page = { 0 };
	int r = route->make(route->context, &page);

	if (r < 0) {
		answer_text(request, r == -ENOENT ? 404 : 500, NULL,
			    r == -ENOENT ? "Not Found" : "Internal Server Error", &fields);
		return;
	}
	add(&fields, "content-type", page.type);
	if (page.disposition)
		add(&fields, "content-disposition", page.disposition);
	add(&fields, "cache-control", "no-cache");
	add_security(&fields, POLICY_OF_DATA);
	http_request_answer(request, &(struct http_answer){ .status = 200,
							    .fields = fields.items,
							    .field_count = fields.count,
							    .body = page.body,
							    .body_size = page.size,
							    .release = free,
							    .release_context = page.body });
}

/* Whether a path names a file: its last part ends with letters behind a dot. An address is none. */
static bool has_extension(const char *path)
{
	const char *dot = strrchr(path, '.');
	size_t size = dot ? strlen(dot + 1) : 0;

	return size > 0 && size <= EXTENSION_MAX && !strchr(dot, '/') &&
	       strspn(dot + 1, "0123456789") < size;
}

/* Pages know what to show for paths of their own, which no file has. */
static const struct http_file *find_file(const struct rpc_front *front, const char *path)
{
	const struct http_files *files = front->options.files;
	const struct http_file *file = files ? http_file_find(files, path) : NULL;

	if (!files || file || has_extension(path) || strncmp(path, "/static/", 8) == 0)
		return file;
	return http_file_find(files, "/index.html");
}

static void answer_page(struct rpc_front *front, struct http_request *request, const char *path)
{
	const struct rpc_route *route = find_route(front, path);
	const struct http_file *file = route ? NULL : find_file(front, path);
	const char *method = http_request_method(request);
	struct fields fields = { 0 };

	if (!route && !file) {
		not_found(request);
		return;
	}
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
		add(&fields, "allow", "GET, HEAD");
		answer_text(request, 405, NULL, "Method Not Allowed", &fields);
	} else if (route) {
		answer_route(request, route);
	} else {
		answer_file(request, file);
	}
}

/* --- the server's side --- */

static bool begins(const char *path, const char *prefix)
{
	return strncmp(path, prefix, strlen(prefix)) == 0;
}

static size_t on_head(void *context, struct http_request *request)
{
	struct rpc_front *front = context;
	const char *path = http_request_path(request);
	struct sender sender = { 0 };

	if (!check_host(front, request, &sender))
		return 0;
	if (begins(path, "/rpc/") && path[strlen("/rpc/")])
		return on_rpc_head(front, request, &sender);
	if (begins(path, SOCKETS))
		return on_socket_head(front, request, &sender);
	if (begins(path, "/rpc") || begins(path, "/ws/") || begins(path, "/rest/"))
		refuse_request(request, 404, "requests go to /rpc/v0");
	else
		answer_page(front, request, path);
	return 0;
}

const struct http_handlers rpc_front_handlers = {
	.head = on_head,
	.complete = on_complete,
	.gone = on_gone,
};

int rpc_front_new(const struct rpc_front_options *options, struct rpc_front **ret)
{
	struct rpc_front *front = calloc(1, sizeof(*front));

	if (!front)
		return -ENOMEM;
	front->options = *options;
	*ret = front;
	return 0;
}

struct rpc_front *rpc_front_free(struct rpc_front *front)
{
	free(front);
	return NULL;
}

void rpc_front_set_names(struct rpc_front *front, bool (*is_ours)(void *context, const char *name),
			 void *context)
{
	front->is_ours = is_ours;
	front->is_ours_context = context;
}
