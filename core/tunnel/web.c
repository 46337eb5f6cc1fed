/* web.*, tunnel.md 2.7 */
#include "tunnel/job.h"

#include <sys/socket.h>

#include "account/account.h"
#include "crypto/certificate_authority.h"
#include "tunnel/web_certificate.h"
#include "tunnel/web_listener.h"

static const json_t *setting(const json_t *document, const char *name)
{
	return json_object_get(json_object_get(document, "webserver"), name);
}

/* --- the address --- */

static int change_listen(struct job *job, const json_t *params, struct fault *fault)
{
	return job_put(job, "/webserver/listen", json_copy(json_object_get(params, "listen")),
		       fault);
}

static void finish_listen(struct job *job, const struct fault *fault)
{
	CLEANUP(fault_done) struct fault copy = { 0 };

	if (!fault) {
		job_edit(job, change_listen);
		return;
	}
	(void)fault_set(&copy, FAULT_NETWORK, "listen: %s",
			fault->details ? fault->details : "out of memory");
	job_done(job, NULL, &copy);
}

static void on_tried(void *context, const struct fault *fault, int fd)
{
	if (fd >= 0)
		(void)close(fd);
	finish_listen(context, fault);
}

/* The port is ours already: what is left to find out is whether the address is this machine's. */
static int try_address(const struct endpoint *endpoint, struct fault *fault)
{
	cleanup_close int fd =
		socket(endpoint->address.family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	struct endpoint any_port = *endpoint;
	struct sockaddr_storage address;
	char text[IP_TEXT_MAX];
	socklen_t size;

	any_port.port = 0;
	size = endpoint_to_sockaddr(&any_port, &address);
	if (fd >= 0 && bind(fd, (struct sockaddr *)&address, size) == 0)
		return 0;
	return fault_set_errno(fault, -errno, FAULT_NETWORK, "%s is not available to bind to",
			       endpoint_format(endpoint, text));
}

static void run_set_listen(struct job *job)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	const char *listen = param_string(rpc_params(job->call), "listen");
	struct netd_bind wanted = { .kind = NETD_TCP };
	int r = endpoint_parse(listen, &wanted.endpoint);

	if (r < 0 || wanted.endpoint.port == 0) {
		(void)fault_set(&fault, FAULT_INVALID_REQUEST,
				"listen: %s must have a port of 1 to 65535", listen);
		job_done(job, NULL, &fault);
	} else if (web_listener_has(job->tunnel, &wanted.endpoint)) {
		r = try_address(&wanted.endpoint, &fault);
		finish_listen(job, r < 0 ? &fault : NULL);
	} else {
		r = netd_client_bind(job->tunnel->netd, &wanted, on_tried, job);
		if (r == 0)
			return;
		(void)fault_set_errno(&fault, r, FAULT_NETWORK, "asking start-netd");
		finish_listen(job, &fault);
	}
}

void web_set_listen(struct rpc_call *call)
{
	tunnel_job(rpc_context(call), call, run_set_listen);
}

static int read_listen(struct tunnel *tunnel, const json_t *params, json_t **ret,
		       struct fault *fault)
{
	*ret = json_copy((json_t *)setting(store_document(tunnel->store), "listen"));
	return *ret ? 0 : -ENOMEM;
}

/* Adds the addresses of one interface, each once. */
static int add_addresses(const json_t *gateway, json_t *seen, json_t *to)
{
	const json_t *info = json_object_get(gateway, "ipInfo");
	const json_t *subnet;
	size_t i;

	json_array_foreach(json_object_get(info, "subnets"), i, subnet) {
		struct ip_prefix prefix;
		char text[IP_TEXT_MAX];

		if (ip_prefix_parse(json_string_value(subnet), &prefix) < 0)
			continue;
		ip_format(&prefix.address, text);
		if (json_object_get(seen, text))
			continue;
		if (json_object_set_new(seen, text, json_true()) < 0 ||
		    json_array_append_new(to, json_string(text)) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int read_available_ips(struct tunnel *tunnel, const json_t *params, json_t **ret,
			      struct fault *fault)
{
	json_t *gateways = json_object_get(store_document(tunnel->store), "gateways");
	json_t *addresses = json_array(), *seen = json_object();
	const json_t *gateway;
	const char *name;
	int r = addresses && seen ? 0 : -ENOMEM;

	json_object_foreach(gateways, name, gateway)
		if (r == 0)
			r = add_addresses(gateway, seen, addresses);
	json_decref(seen);
	if (r < 0) {
		json_decref(addresses);
		return r;
	}
	*ret = addresses;
	return 0;
}

/* --- the certificate --- */

static int change_generate(struct job *job, const json_t *params, struct fault *fault)
{
	const json_t *subject = json_object_get(params, "subject");
	const char *names[CERTIFICATE_SUBJECTS_MAX];
	cleanup_free char *chain = NULL;
	const json_t *name;
	size_t i;
	int r;

	json_array_foreach(subject, i, name)
		if (i < CERTIFICATE_SUBJECTS_MAX)
			names[i] = json_string_value(name);
	r = web_certificate_issue(job, names, json_array_size(subject),
				  param_bool(params, "newRoot"), &chain, fault);
	if (r < 0)
		return r;
	job->result = json_string(chain);
	return job->result ? 0 : -ENOMEM;
}

/* What is kept is the owner's chain in our form: PKCS#8, and nothing between the certificates. */
static int change_import(struct job *job, const json_t *params, struct fault *fault)
{
	CLEANUP(certificate_chain_free) struct certificate_chain *chain = NULL;
	CLEANUP(text_done_secret) struct text key = { 0 };
	CLEANUP(text_done) struct text cert = { 0 };
	const char *given_key = param_string(params, "key");
	int r = certificate_chain_read(param_string(params, "cert"), &chain, fault);

	if (r < 0)
		fault_prefix(fault, "cert");
	if (r == 0) {
		r = certificate_key_write(given_key, &key, fault);
		if (r < 0)
			fault_prefix(fault, "key");
	}
	if (r == 0) {
		r = certificate_chain_check(chain, given_key, web_certificate_now(), fault);
		if (r < 0)
			fault_prefix(fault, "cert");
	}
	if (r == 0)
		r = certificate_chain_write(chain, &cert);
	if (r < 0)
		return r;
	return job_put(job, "/webserver/certificate",
		       json_pack("{s:s, s:s}", "key", text_string(&key), "cert",
				 text_string(&cert)),
		       fault);
}

static int read_certificate(struct tunnel *tunnel, const json_t *params, json_t **ret,
			    struct fault *fault)
{
	const json_t *certificate = setting(store_document(tunnel->store), "certificate");
	const json_t *chain = json_object_get(certificate, "cert");

	*ret = chain ? json_copy((json_t *)chain) : json_null();
	return *ret ? 0 : -ENOMEM;
}

static int read_root(struct tunnel *tunnel, const json_t *params, json_t **ret, struct fault *fault)
{
	CLEANUP(text_done) struct text text = { 0 };
	int r = web_certificate_root(
		store_document(tunnel->store),
		param_bool(params, "fingerprint") ? WEB_ROOT_FINGERPRINT : WEB_ROOT_PEM, &text);

	if (r == -ENOENT)
		return fault_set(fault, FAULT_NOT_FOUND,
				 "the web interface has no certificate of a root of ours");
	if (r < 0)
		return r;
	*ret = json_string(text_string(&text));
	return *ret ? 0 : -ENOMEM;
}

/* --- on and off --- */

static int change_enable(struct job *job, const json_t *params, struct fault *fault)
{
	const json_t *document = job_document(job);

	/* The kinds are what `web init` asks for next; the order is the one that it asks in. */
	if (!json_is_string(setting(document, "listen")))
		return fault_set(fault, FAULT_PARSE_NET_ADDRESS,
				 "no address to listen on is set; web.set-listen sets it");
	if (!json_is_object(setting(document, "certificate")))
		return fault_set(fault, FAULT_OPENSSL,
				 "no certificate is set; web.generate-certificate or "
				 "web.import-certificate sets it");
	if (!json_is_string(json_object_get(document, "password")))
		return fault_set(fault, FAULT_AUTHORIZATION,
				 "no password is set; auth.set-password sets it");
	return job_put(job, "/webserver/enabled", json_true(), fault);
}

static int change_disable(struct job *job, const json_t *params, struct fault *fault)
{
	return job_put(job, "/webserver/enabled", json_false(), fault);
}

/* The authority stays: devices that trust it will trust the next certificate too. Sessions do not: what
 * the old password let in is not to be there when there is a new one. */
static int change_uninit(struct job *job, const json_t *params, struct fault *fault)
{
	int r = change_disable(job, params, fault);

	if (r == 0)
		r = job_put(job, "/webserver/listen", json_null(), fault);
	if (r == 0)
		r = job_put(job, "/webserver/certificate", json_null(), fault);
	if (r == 0)
		r = job_put(job, "/password", json_null(), fault);
	if (r == 0)
		r = job_put(job, "/sessions", json_object(), fault);
	return r;
}

/* Those that the document does not hold. */
static void uninit_ended(struct job *job, bool done)
{
	if (done)
		session_table_end_others(account_sessions(tunnel_account(job->tunnel)), NULL);
}

void web_uninit(struct rpc_call *call)
{
	tunnel_edit_with(call, change_uninit, NULL, uninit_ended);
}

TUNNEL_READ(web_get_listen, read_listen);
TUNNEL_READ(web_get_available_ips, read_available_ips);
TUNNEL_EDIT(web_generate_certificate, change_generate);
TUNNEL_EDIT(web_import_certificate, change_import);
TUNNEL_READ(web_get_certificate, read_certificate);
TUNNEL_READ(web_get_root, read_root);
TUNNEL_EDIT(web_enable, change_enable);
TUNNEL_EDIT(web_disable, change_disable);
