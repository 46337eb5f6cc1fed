/*
 * The first set-up of the web interface (tunnel.md 2.9)
 *
 * Asks the daemon to enable it, provides what the daemon says is missing, and asks again. Options
 * answer the questions beforehand: what they say is set in any case.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/host.h"
#include "base/ip.h"
#include "base/secret.h"
#include "client/prompt.h"
#include "crypto/certificate_authority.h"
#include "crypto/password.h"
#include "web.h"

#define DEFAULT_PORT "8443"
#define ROUNDS_MAX 8 /* the daemon misses three things */
#define TRIES_MAX 5 /* for one of them */
#define ADDRESSES_MAX 256
#define MENU_ADDRESSES_MAX 16

struct init {
	struct rpc_client *client;
	const char *listen, *key, *cert; /* of the options; NULL: not given */
	const json_t *names;
	bool generate;
	struct text root; /* of a certificate that was generated: PEM */
	char password[PASSWORD_RANDOM_SIZE]; /* "": was there already */
};

/* --- 1: the address --- */

static bool is_candidate(const struct ip_address *address)
{
	static const char *const private[] = { "127.0.0.0/8",	 "10.0.0.0/8",	   "172.16.0.0/12",
					       "192.168.0.0/16", "169.254.0.0/16", "::1/128",
					       "fe80::/10" };

	for (size_t i = 0; i < ARRAY_SIZE(private); i++) {
		struct ip_prefix prefix;

		if (ip_prefix_parse(private[i], &prefix) == 0 &&
		    ip_prefix_contains(&prefix, address))
			return false;
	}
	return true;
}

/* The addresses of the server that others may reach. The texts are borrowed from @list. */
static size_t candidates(const json_t *list, const char *ret[ADDRESSES_MAX])
{
	const json_t *item;
	size_t i, count = 0;

	json_array_foreach(list, i, item) {
		const char *text = json_string_value(item);
		struct ip_address address;

		if (text && count < ADDRESSES_MAX && ip_parse(text, &address) == 0 &&
		    is_candidate(&address))
			ret[count++] = text;
	}
	return count;
}

static int ask_address(struct init *init, struct ip_address *ret, struct fault *fault)
{
	CLEANUP(text_done) struct text answer = { 0 };
	CLEANUP(text_done) struct text label = { 0 };
	const char *found[ADDRESSES_MAX];
	json_t *list = NULL;
	size_t count, chosen = 0;
	int r = command_call(init->client, "web.get-available-ips", json_object(), &list, fault);

	if (r < 0)
		return r;
	count = candidates(list, found);
	if (count > 1 && count <= MENU_ADDRESSES_MAX) {
		r = prompt_menu("Listen Address:", found, count, &chosen, fault);
	} else if (count != 1) {
		text_printf(&label, count > 0 ? "Listen Address [%s]: " : "Listen Address: ",
			    count > 0 ? found[0] : "");
		r = prompt_line(text_string(&label), count > 0 ? found[0] : NULL, &answer, fault);
		found[0] = text_string(&answer);
	}
	if (r == 0 && ip_parse(found[chosen], ret) < 0)
		r = fault_set(fault, FAULT_PARSE_NET_ADDRESS, "\"%s\" is not an IP address",
			      found[chosen]);
	json_decref(list);
	return r;
}

static int ask_port(uint16_t *ret, struct fault *fault)
{
	CLEANUP(text_done) struct text answer = { 0 };
	const char *digits;
	unsigned long port = 0;
	int r;

	(void)fprintf(stderr, "Port 8443 is recommended: it is seldom used, and 443 stays free for "
			      "the servers behind this tunnel.\n");
	r = prompt_line("Port [" DEFAULT_PORT "]: ", DEFAULT_PORT, &answer, fault);
	if (r < 0)
		return r;
	for (digits = text_string(&answer); isdigit((unsigned char)*digits) && port <= UINT16_MAX;
	     digits++)
		port = port * 10 + (unsigned long)(*digits - '0');
	if (*digits || port == 0 || port > UINT16_MAX)
		return fault_set(fault, FAULT_PARSE_NUMBER, "\"%s\" is not a port, 1 to 65535",
				 text_string(&answer));
	*ret = (uint16_t)port;
	return 0;
}

static int set_listen(struct init *init, const char *listen, struct fault *fault)
{
	return command_call(init->client, "web.set-listen", json_pack("{s:s}", "listen", listen),
			    NULL, fault);
}

/* What a person mistyped is told and asked for again; other faults are final. */
static bool may_ask_again(const struct fault *fault)
{
	return prompt_is_possible() &&
	       (fault->kind == FAULT_NETWORK || fault->kind == FAULT_PARSE_NET_ADDRESS ||
		fault->kind == FAULT_PARSE_NUMBER || fault->kind == FAULT_PARSE_URL ||
		fault->kind == FAULT_INVALID_REQUEST);
}

static int ask_listen(struct init *init, struct fault *fault)
{
	struct endpoint listen = { 0 };
	char text[IP_TEXT_MAX];
	int r = ask_address(init, &listen.address, fault);

	if (r == 0)
		r = ask_port(&listen.port, fault);
	return r < 0 ? r : set_listen(init, endpoint_format(&listen, text), fault);
}

/* The address that the daemon has; -ENOENT where it has none. */
static int get_listen(struct init *init, struct endpoint *ret, struct fault *fault)
{
	json_t *listen = NULL;
	int r = command_call(init->client, "web.get-listen", json_object(), &listen, fault);

	if (r == 0 &&
	    (!json_is_string(listen) || endpoint_parse(json_string_value(listen), ret) < 0))
		r = -ENOENT;
	json_decref(listen);
	return r;
}

static bool is_unspecified(const struct ip_address *address)
{
	static const uint8_t zeroes[16];

	return memcmp(address->bytes, zeroes, sizeof(zeroes)) == 0;
}

/* --- 2: the certificate --- */

/* Adds a name once. */
static int add_name(json_t *names, const char *name, struct fault *fault)
{
	struct ip_address address;
	const json_t *old;
	size_t i;

	if (ip_parse(name, &address) < 0 && !host_is_name(name))
		return fault_set(fault, FAULT_PARSE_URL,
				 "\"%s\" is neither a host name nor an IP address", name);
	json_array_foreach(names, i, old) {
		if (strcmp(json_string_value(old), name) == 0)
			return 0;
	}
	if (json_array_size(names) == CERTIFICATE_SUBJECTS_MAX)
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "a certificate holds at most %d names", CERTIFICATE_SUBJECTS_MAX);
	return json_array_append_new(names, json_string(name)) < 0 ? -ENOMEM : 0;
}

static int ask_names(json_t *names, struct fault *fault)
{
	CLEANUP(text_done) struct text answer = { 0 };
	char *rest, *name;
	int r = prompt_line("Subject Alternative Name(s): ", NULL, &answer, fault);

	for (rest = answer.data; r == 0 && rest && (name = strsep(&rest, ","));) {
		size_t size;

		name += strspn(name, " \t");
		for (size = strlen(name); size > 0 && strchr(" \t", name[size - 1]);)
			name[--size] = '\0';
		if (*name || !rest) /* "a, ,b" is a slip; an empty answer is none */
			r = add_name(names, name, fault);
	}
	return r;
}

/* The certificate is for what --san says and the address of the interface; where that is any address,
 * somebody has to say. */
static int collect_names(struct init *init, json_t *names, struct fault *fault)
{
	struct endpoint listen = { 0 };
	char address[IP_TEXT_MAX];
	const json_t *name;
	size_t i;
	int r = get_listen(init, &listen, fault);

	if (r < 0 && r != -ENOENT)
		return r;
	r = 0;
	json_array_foreach(init->names, i, name) {
		if (r == 0)
			r = add_name(names, json_string_value(name), fault);
	}
	if (r == 0 && listen.address.family && !is_unspecified(&listen.address))
		r = add_name(names, ip_format(&listen.address, address), fault);
	if (r == 0 && json_array_size(names) == 0 && !prompt_is_possible())
		r = fault_set(
			fault, FAULT_INVALID_REQUEST,
			"--generate needs a name by --san: the address of --listen names no host");
	return r == 0 && json_array_size(names) == 0 ? ask_names(names, fault) : r;
}

/* The last certificate of a stack is the root. */
static void keep_root(struct init *init, const char *chain)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----";
	const char *last = NULL;

	for (const char *at = chain; at && (at = strstr(at, begin)); at++)
		last = at;
	text_clear(&init->root);
	if (last)
		text_append(&init->root, last);
	while (init->root.size > 0 && init->root.data[init->root.size - 1] == '\n')
		init->root.data[--init->root.size] = '\0';
}

static int generate(struct init *init, struct fault *fault)
{
	json_t *names = json_array(), *chain = NULL;
	int r = names ? collect_names(init, names, fault) : -ENOMEM;

	if (r < 0) {
		json_decref(names);
		return r;
	}
	r = command_call(init->client, "web.generate-certificate",
			 json_pack("{s:o}", "subject", names), &chain, fault);
	if (r == 0)
		keep_root(init, json_string_value(chain));
	json_decref(chain);
	return r;
}

static int ask_certificate(struct init *init, struct fault *fault)
{
	static const char *const ways[] = { "Generate a certificate", "Provide a certificate" };
	size_t way = 0;
	int r;

	(void)fprintf(stderr, "The web interface needs a certificate for HTTPS. Generate makes one "
			      "under a root of your own, which your devices then trust; Provide "
			      "takes one that you have.\n");
	r = prompt_menu("SSL Certificate:", ways, ARRAY_SIZE(ways), &way, fault);
	if (r < 0)
		return r;
	return way == 0 ? generate(init, fault) : web_import_paste(init->client, fault);
}

/* --- 3: the password --- */

static int make_password(struct init *init, struct fault *fault)
{
	int r;

	(void)fprintf(stderr, "Generating a random password...\n");
	password_random(init->password);
	r = command_call(init->client, "auth.set-password",
			 json_pack("{s:s}", "password", init->password), NULL, fault);
	if (r < 0)
		secret_wipe(init->password, sizeof(init->password));
	return r;
}

/* --- the loop --- */

/* What the options say, before anything is asked. */
static int apply_options(struct init *init, struct fault *fault)
{
	struct endpoint wanted = { 0 }, present = { 0 };
	int r = 0;

	if (!init->key != !init->cert)
		return fault_set(fault, FAULT_INVALID_REQUEST, "--key and --cert belong together");
	if (init->key && init->generate)
		return fault_set(
			fault, FAULT_INVALID_REQUEST,
			"--generate makes a certificate, --key and --cert name one: choose");
	if (init->listen) {
		(void)endpoint_parse(init->listen, &wanted);
		r = get_listen(init, &present, fault);
		if (r < 0 && r != -ENOENT)
			return r;
		if (r == -ENOENT || wanted.port != present.port ||
		    !ip_equal(&wanted.address, &present.address))
			r = set_listen(init, init->listen, fault);
	}
	if (r == 0 && init->generate)
		r = generate(init, fault);
	if (r == 0 && init->key)
		r = web_import_files(init->client, init->key, init->cert, fault);
	return r;
}

/* Asks for one thing that is missing. Returns 0 where it was set. */
static int provide_once(struct init *init, enum fault_kind missing, struct fault *fault)
{
	switch (missing) {
	case FAULT_PARSE_NET_ADDRESS:
		return ask_listen(init, fault);
	case FAULT_OPENSSL:
		return ask_certificate(init, fault);
	default:
		return make_password(init, fault);
	}
}

/* Provides what web.enable misses; what a person mistypes may be typed again. */
static int provide(struct init *init, struct fault *fault)
{
	enum fault_kind missing = fault->kind;
	int r = -EPROTO;

	for (int i = 0; r < 0 && i < TRIES_MAX; i++) {
		fault_done(fault);
		r = provide_once(init, missing, fault);
		if (r < 0 && (!may_ask_again(fault) || missing == FAULT_AUTHORIZATION))
			return r;
		if (r < 0 && i + 1 < TRIES_MAX)
			(void)fprintf(stderr, "%s: %s\n", fault_kind_text(fault->kind),
				      fault->details ? fault->details : "");
	}
	return r;
}

static bool is_missing(const struct init *init, const struct fault *fault)
{
	return fault->kind == FAULT_PARSE_NET_ADDRESS || fault->kind == FAULT_OPENSSL ||
	       (fault->kind == FAULT_AUTHORIZATION && !rpc_client_is_refused(init->client));
}

static int run(struct init *init, struct fault *fault)
{
	int r = apply_options(init, fault);

	for (int round = 0; r == 0 && round < ROUNDS_MAX; round++) {
		r = command_call(init->client, "web.enable", json_object(), NULL, fault);
		if (r == 0)
			return 0;
		if (!is_missing(init, fault))
			return r;
		r = provide(init, fault);
	}
	return r < 0 ? r
		     : fault_set(fault, FAULT_UNKNOWN,
				 "the daemon goes on missing what it was given");
}

/* --- 4: what the owner needs to know --- */

static void print_fingerprint(const struct init *init)
{
	CLEANUP(certificate_chain_free) struct certificate_chain *root = NULL;
	CLEANUP(fault_done) struct fault fault = { 0 };
	char text[CERTIFICATE_FINGERPRINT_MAX];

	if (certificate_chain_read(text_string(&init->root), &root, &fault) == 0)
		(void)printf("SHA-256 fingerprint: %s\n", certificate_fingerprint(root, 0, text));
}

static void print_url(const struct endpoint *listen)
{
	static const struct ip_prefix loopback = { { AF_INET, { 127 } }, 8 };
	static const struct ip_address loopback6 = { AF_INET6, { [15] = 1 } };
	char text[IP_TEXT_MAX];

	(void)printf("\n\U0001F310 Web URL\nhttps://%s\n", endpoint_format(listen, text));
	if (is_unspecified(&listen->address))
		(void)printf("(on every address of this server: put one in the place of %s)\n",
			     ip_format(&listen->address, text));
	else if (ip_prefix_contains(&loopback, &listen->address) ||
		 ip_equal(&listen->address, &loopback6))
		(void)printf("(from this server alone: the address is a loopback one)\n");
}

static void print_root(const struct init *init, const struct endpoint *listen)
{
	char text[IP_TEXT_MAX];

	(void)printf("\n\U0001F4DC Root CA:\n%s\n", text_string(&init->root));
	print_fingerprint(init);
	(void)printf(
		"\nLet your devices trust it, so that browsers show no warning: the login page "
		"has it for download with a guide for each system, and so has the chapter on "
		"the web interface in the manual. Compare the fingerprint. For the command on "
		"another machine: start-tunnel --root-ca FILE -t %s ...\n",
		endpoint_format(listen, text));
}

static int report(struct init *init, struct fault *fault)
{
	struct endpoint listen;
	int r = get_listen(init, &listen, fault);

	if (r == -ENOENT)
		return fault_set(fault, FAULT_PARSE_NET_ADDRESS,
				 "the daemon has no address to tell");
	if (r < 0)
		return r;
	(void)printf("\u2705 StartTunnel's web interface is set up \u2705\n\n");
	(void)printf("Below %s the Web URL%s%s. Keep what is secret safe.\n",
		     *init->password || init->root.size > 0 ? "are" : "is",
		     *init->password ? " and the password" : "",
		     init->root.size > 0 ? " and the Root CA" : "");
	print_url(&listen);
	(void)printf("\n\U0001F512 Password\n");
	if (*init->password)
		(void)printf("%s\nFor another one: start-tunnel auth reset-password\n",
			     init->password);
	else
		(void)printf(
			"It was set before. For a new one: start-tunnel auth reset-password\n");
	if (init->root.size > 0)
		print_root(init, &listen);
	return 0;
}

int web_init(struct rpc_client *client, const json_t *params, json_t **ret_result,
	     struct fault *fault)
{
	struct init init = {
		.client = client,
		.listen = json_string_value(json_object_get(params, "listen")),
		.key = json_string_value(json_object_get(params, "key")),
		.cert = json_string_value(json_object_get(params, "cert")),
		.names = json_object_get(params, "san"),
		.generate = json_is_true(json_object_get(params, "generate")),
	};
	int r = run(&init, fault);

	if (r == 0)
		r = report(&init, fault);
	if (r == 0)
		*ret_result = json_null();
	else if (*init.password) /* it holds, and nobody would ever know it */
		(void)printf("The interface is not on, but its password is set already:\n%s\n",
			     init.password);
	text_done(&init.root);
	secret_wipe(init.password, sizeof(init.password));
	return r < 0 ? r : 1;
}
