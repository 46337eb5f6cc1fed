#include "tunnel/web_listener.h"

#include <sys/socket.h>

#include "base/host.h"
#include "base/log.h"
#include "tunnel/job.h"
#include "tunnel/web_certificate.h"

#define DAY_MS UINT64_C(86400000)

struct web_listener {
	struct tunnel *tunnel;
	struct web_server server;
	struct store_subscription *settings;
	struct store_subscription *addresses;
	uv_timer_t retry;
	uv_timer_t renewal;
	int open_handles;
	bool stopped;

	void *listener; /* the server's, or NULL */
	struct endpoint bound; /* what it listens on */
	bool binding; /* start-netd is asked for `wanted` */
	struct endpoint asked;

	struct certificate_names hosts; /* of the certificate */
	char *bind_problem; /* or NULL */
	char *certificate_problem;
	char *warning; /* what ends soon, as it was logged; "" or NULL: nothing */
};

/* --- what is wanted --- */

static const json_t *setting(const struct tunnel *tunnel, const char *name)
{
	return json_object_get(json_object_get(store_document(tunnel->store), "webserver"), name);
}

static bool is_enabled(const struct tunnel *tunnel)
{
	return json_is_true(setting(tunnel, "enabled"));
}

/* Where HTTPS is to be served. False: nowhere. */
static bool wanted_endpoint(const struct tunnel *tunnel, struct endpoint *ret)
{
	const char *listen = json_string_value(setting(tunnel, "listen"));

	return is_enabled(tunnel) && listen && json_is_object(setting(tunnel, "certificate")) &&
	       endpoint_parse(listen, ret) == 0;
}

static bool same_endpoint(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && a->scope_id == b->scope_id &&
	       ip_equal(&a->address, &b->address);
}

static bool is_unspecified(const struct ip_address *address)
{
	const struct ip_address none = { .family = address->family };

	return ip_equal(address, &none);
}

/* Whether the two cannot be listened on at once. */
static bool collide(const struct endpoint *a, const struct endpoint *b)
{
	if (a->port != b->port)
		return false;
	return ip_equal(&a->address, &b->address) || is_unspecified(&a->address) ||
	       is_unspecified(&b->address);
}

bool web_listener_has(const struct tunnel *tunnel, const struct endpoint *endpoint)
{
	const struct web_listener *web = tunnel->web;

	return web && web->listener && collide(&web->bound, endpoint);
}

/* --- listening --- */

static void follow(struct web_listener *web);

static void close_listener(struct web_listener *web)
{
	if (web->listener)
		web->server.close(web->server.context, TAKE_PTR(web->listener));
}

static void forget_problem(struct web_listener *web)
{
	free(TAKE_PTR(web->bind_problem));
	(void)uv_timer_stop(&web->retry);
}

static void on_retry(uv_timer_t *timer)
{
	follow(container_of(timer, struct web_listener, retry));
}

/* Logged when it is new, not each time that it is met. */
static void note_problem(struct web_listener *web, const char *problem)
{
	if (!web->bind_problem || strcmp(web->bind_problem, problem) != 0) {
		log_error("the web interface cannot listen, trying again every %d s: %s",
			  WEB_RETRY_S, problem);
		free(web->bind_problem);
		web->bind_problem = strdup(problem);
	}
	(void)uv_timer_start(&web->retry, on_retry, WEB_RETRY_S * 1000, 0);
}

static void note_errno(struct web_listener *web, const char *what, int error)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	char text[IP_TEXT_MAX];

	(void)fault_set_errno(&fault, error, FAULT_NETWORK, "%s %s", what,
			      endpoint_format(&web->asked, text));
	note_problem(web, fault.details ? fault.details : "out of memory");
}

/* Takes @fd. */
static void serve(struct web_listener *web, int fd)
{
	char text[IP_TEXT_MAX];
	void *listener;
	int r = listen(fd, WEB_BACKLOG) < 0 ? -errno : 0;

	if (r < 0)
		(void)close(fd);
	else
		r = web->server.listen(web->server.context, fd, &listener);
	if (r < 0) {
		note_errno(web, "listening on", r);
		return;
	}
	close_listener(web);
	web->listener = listener;
	web->bound = web->asked;
	forget_problem(web);
	log_notice("the web interface is served on https://%s", endpoint_format(&web->bound, text));
}

static void on_listener_bound(void *context, const struct fault *fault, int fd)
{
	struct web_listener *web = context;
	struct endpoint wanted;

	web->binding = false;
	if (web->stopped || !wanted_endpoint(web->tunnel, &wanted) ||
	    !same_endpoint(&wanted, &web->asked)) {
		if (fd >= 0)
			(void)close(fd);
		follow(web);
		return;
	}
	if (fault)
		note_problem(web, fault->details ? fault->details : "out of memory");
	else
		serve(web, fd);
}

/* Makes the listener what the document wants, or has that begun. */
static void follow(struct web_listener *web)
{
	struct endpoint wanted;
	int r;

	if (web->stopped)
		return;
	if (!wanted_endpoint(web->tunnel, &wanted)) {
		close_listener(web);
		forget_problem(web);
		return;
	}
	if (web->binding) /* then it is looked at again */
		return;
	if (web->listener && same_endpoint(&web->bound, &wanted)) {
		forget_problem(web);
		return;
	}
	if (web->listener && collide(&web->bound, &wanted))
		close_listener(web);
	web->asked = wanted;
	r = netd_client_bind(web->tunnel->netd,
			     &(struct netd_bind){ .kind = NETD_TCP, .endpoint = wanted },
			     on_listener_bound, web);
	web->binding = r == 0;
	if (r < 0)
		note_errno(web, "asking start-netd to bind", r);
}

/* --- certificate and names --- */

static void note_certificate_problem(struct web_listener *web, const struct fault *fault)
{
	free(TAKE_PTR(web->certificate_problem));
	if (!fault)
		return;
	log_error("the web interface's certificate cannot be used: %s", fault->details);
	if (asprintf(&web->certificate_problem, "the certificate cannot be used: %s",
		     fault->details ? fault->details : "out of memory") < 0)
		web->certificate_problem = NULL;
}

static const char *member(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

static void set_certificate(struct web_listener *web)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	const json_t *certificate = setting(web->tunnel, "certificate");
	int r = web->server.set_certificate(web->server.context, member(certificate, "key"),
					    member(certificate, "cert"), &fault);

	if (r < 0)
		(void)fault_set_errno(&fault, r, FAULT_OPENSSL, "setting it");
	note_certificate_problem(web, r < 0 ? &fault : NULL);
}

/* Hosts of the certificate; none where it has none. Returns 0 or -ENOMEM. */
static int certificate_hosts(const struct tunnel *tunnel, struct certificate_names *ret)
{
	CLEANUP(certificate_chain_free) struct certificate_chain *chain = NULL;
	const char *text = member(setting(tunnel, "certificate"), "cert");
	int r = text ? certificate_chain_read(text, &chain, NULL) : -ENODATA;

	if (r < 0)
		return r == -ENOMEM ? r : 0;
	return certificate_names(chain, ret);
}

static void set_names(struct web_listener *web)
{
	struct certificate_names hosts = { 0 }, old = web->hosts;
	struct web_names names = { 0 };
	int r = certificate_hosts(web->tunnel, &hosts);

	if (r < 0) {
		log_error_errno(r, "cannot note the names of the certificate; the old ones stay");
		return;
	}
	web->hosts = hosts;
	names.listen = json_string_value(setting(web->tunnel, "listen"));
	names.hosts = (const char *const *)web->hosts.names;
	names.host_count = web->hosts.count;
	web->server.set_names(web->server.context, &names);
	certificate_names_done(&old);
}

bool web_listener_is_host(void *tunnel, const char *name)
{
	const struct web_listener *web = ((const struct tunnel *)tunnel)->web;

	for (size_t i = 0; web && i < web->hosts.count; i++)
		if (host_is_for(web->hosts.names[i], name))
			return true;
	return false;
}

static void run_renewal(struct job *job)
{
	job_edit(job, web_certificate_renew);
}

/* Logged when it is new, not each day. */
static void warn(struct web_listener *web)
{
	CLEANUP(text_done) struct text warning = { 0 };

	web_certificate_warning(store_document(web->tunnel->store), web_certificate_now(),
				&warning);
	if (web->warning && strcmp(web->warning, text_string(&warning)) == 0)
		return;
	free(web->warning);
	web->warning = text_take(&warning);
	if (web->warning && *web->warning)
		log_warning("the web interface: %s", web->warning);
}

static void on_renewal(uv_timer_t *timer)
{
	struct web_listener *web = container_of(timer, struct web_listener, renewal);

	warn(web);
	if (web_certificate_wants_renewal(store_document(web->tunnel->store),
					  web_certificate_now()))
		tunnel_job(web->tunnel, NULL, run_renewal);
}

/* Looks at once, and then once a day as long as the interface is enabled. */
static void watch_renewal(struct web_listener *web)
{
	if (!is_enabled(web->tunnel)) {
		(void)uv_timer_stop(&web->renewal);
		return;
	}
	(void)uv_timer_start(&web->renewal, on_renewal, DAY_MS, DAY_MS);
	on_renewal(&web->renewal);
}

static void on_settings(void *context, uint64_t revision, const json_t *patch)
{
	struct web_listener *web = context;

	if (web->stopped)
		return;
	set_certificate(web);
	set_names(web);
	follow(web);
	watch_renewal(web);
}

static void on_addresses(void *context, uint64_t revision, const json_t *patch)
{
	follow(context);
}

/* --- life --- */

int web_listener_start(struct tunnel *tunnel, const struct web_server *server)
{
	struct web_listener *web = calloc(1, sizeof(*web));
	int r;

	if (!web)
		return -ENOMEM;
	*web = (struct web_listener){ .tunnel = tunnel, .server = *server, .open_handles = 2 };
	(void)uv_timer_init(tunnel->loop, &web->retry);
	(void)uv_timer_init(tunnel->loop, &web->renewal);
	tunnel->web = web;
	r = store_subscribe(tunnel->store, "/webserver", on_settings, web, &web->settings);
	if (r == 0)
		r = store_subscribe(tunnel->store, "/gateways", on_addresses, web, &web->addresses);
	if (r == 0)
		on_settings(web, 0, NULL);
	return r;
}

void web_listener_stop(struct tunnel *tunnel)
{
	struct web_listener *web = tunnel->web;

	if (!web || web->stopped)
		return;
	web->stopped = true;
	close_listener(web);
	(void)uv_timer_stop(&web->retry);
	(void)uv_timer_stop(&web->renewal);
	web->settings = web->settings ? store_unsubscribe(web->settings) : NULL;
	web->addresses = web->addresses ? store_unsubscribe(web->addresses) : NULL;
}

static void release(struct web_listener *web)
{
	if (--web->open_handles > 0)
		return;
	free(web->bind_problem);
	free(web->certificate_problem);
	free(web->warning);
	certificate_names_done(&web->hosts);
	free(web);
}

static void on_retry_closed(uv_handle_t *handle)
{
	release(container_of(handle, struct web_listener, retry));
}

static void on_renewal_closed(uv_handle_t *handle)
{
	release(container_of(handle, struct web_listener, renewal));
}

struct web_listener *web_listener_free(struct web_listener *web)
{
	if (!web)
		return NULL;
	web_listener_stop(web->tunnel);
	uv_close((uv_handle_t *)&web->retry, on_retry_closed);
	uv_close((uv_handle_t *)&web->renewal, on_renewal_closed);
	return NULL;
}

/* --- status --- */

/* A link that works: an address for everybody is replaced by the certificate's first host. */
static void append_url(const struct tunnel *tunnel, const struct endpoint *endpoint,
		       struct text *to)
{
	const struct web_listener *web = tunnel->web;
	const char *name = NULL;
	char text[IP_TEXT_MAX];
	struct ip_address host;

	text_append(to, "https://");
	for (size_t i = 0;
	     is_unspecified(&endpoint->address) && web && i < web->hosts.count && !name; i++)
		if (web->hosts.names[i][0] != '*')
			name = web->hosts.names[i];
	if (!name)
		text_append(to, endpoint_format(endpoint, text));
	else if (ip_parse(name, &host) == 0 && host.family == AF_INET6)
		text_printf(to, "[%s]:%u", name, endpoint->port);
	else
		text_printf(to, "%s:%u", name, endpoint->port);
}

static bool has_address(const json_t *ip_info, const struct ip_address *address)
{
	const json_t *subnet;
	struct ip_prefix own;
	size_t i;

	json_array_foreach(json_object_get(ip_info, "subnets"), i, subnet)
		if (ip_prefix_parse(json_string_value(subnet), &own) == 0 &&
		    ip_equal(&own.address, address))
			return true;
	return false;
}

/* Whether an address is on this machine. A socket stays where it is when its address goes, and serves
 * again when that comes back. */
static bool is_here(const struct tunnel *tunnel, const struct ip_address *address)
{
	static const struct ip_address loopback = { .family = AF_INET6, .bytes = { [15] = 1 } };
	json_t *gateways = json_object_get(store_document(tunnel->store), "gateways"), *gateway;
	const char *name;

	if (is_unspecified(address) || ip_equal(address, &loopback) ||
	    (address->family == AF_INET && address->bytes[0] == 127))
		return true;
	json_object_foreach(gateways, name, gateway)
		if (has_address(json_object_get(gateway, "ipInfo"), address))
			return true;
	return false;
}

static const char *problem_of(const struct tunnel *tunnel)
{
	const struct web_listener *web = tunnel->web;

	if (!is_enabled(tunnel))
		return NULL;
	if (!json_is_string(setting(tunnel, "listen")))
		return "no address to listen on is set";
	if (!json_is_object(setting(tunnel, "certificate")))
		return "no certificate is set";
	if (!web)
		return NULL;
	if (web->bind_problem)
		return web->bind_problem;
	if (web->listener && !is_here(tunnel, &web->bound.address))
		return "the address is not on this machine now";
	return web->certificate_problem;
}

static const char *warning_of(const struct tunnel *tunnel)
{
	const struct web_listener *web = tunnel->web;

	return web && is_enabled(tunnel) && web->warning && *web->warning ? web->warning : NULL;
}

json_t *web_listener_status(const struct tunnel *tunnel)
{
	CLEANUP(text_done) struct text url = { 0 };
	const struct web_listener *web = tunnel->web;
	bool listening = false;
	struct endpoint wanted;

	if (wanted_endpoint(tunnel, &wanted)) {
		listening = web && web->listener && same_endpoint(&web->bound, &wanted) &&
			    is_here(tunnel, &wanted.address);
		append_url(tunnel, &wanted, &url);
	}
	if (text_error(&url) < 0)
		return NULL;
	return json_pack("{s:b, s:s?, s:s?, s:s?}", "listening", listening ? 1 : 0, "problem",
			 problem_of(tunnel), "url", url.data, "warning", warning_of(tunnel));
}
