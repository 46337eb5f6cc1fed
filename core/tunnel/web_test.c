/*
 * The web interface's listener and certificate, with a start-netd and a server of the test's own
 *
 * Both note what they are asked, in order; start-netd gives sockets on the loopback, whatever address is
 * wanted, and refuses or waits where it is told to.
 */
#include <ftw.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "codec/pointer.h"
#include "crypto/certificate_authority.h"
#include "rpc/dispatch.h"
#include "tunnel/gateways.h"
#include "tunnel/job.h"
#include "tunnel/web_certificate.h"
#include "tunnel/web_listener.h"
#include "tunnel/web_routes.h"

#include "base/test.h"
#include "tunnel/netd_test.h"

#define DAY_S INT64_C(86400)

struct fixture {
	uv_loop_t loop;
	char directory[64];
	struct netd_client *netd;
	struct tunnel *tunnel;
	struct rpc_dispatcher *dispatcher;
	struct text events; /* of netd and server: "bind 127.0.0.1:8443; listen; ..." */

	/* start-netd. */
	int fd;
	uv_poll_t poll;
	struct text received;
	bool refuse;
	bool hold; /* answers to BIND wait */
	uint32_t held; /* the number of one that waits */

	/* The server. */
	int listeners;
	bool reject_certificate;
	char listen[IP_TEXT_MAX];
	size_t hosts;

	char *answer;
	int answers;
};

static void note(struct fixture *f, const char *what, const char *about)
{
	text_printf(&f->events, "%s%s%s%s", f->events.size ? "; " : "", what, *about ? " " : "",
		    about);
}

/* The events since the last time that this was asked. */
static void assert_events(struct fixture *f, const char *wanted)
{
	assert_string_equal(text_string(&f->events), wanted);
	text_clear(&f->events);
}

/* --- start-netd --- */

static void send_bound(struct fixture *f, uint32_t number)
{
	cleanup_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in any = { .sin_family = AF_INET };
	CLEANUP(text_done) struct text text = { 0 };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr message = { .msg_control = &control, .msg_controllen = sizeof(control) };
	struct iovec part;

	any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
	netd_write_plain(&text, NETD_BOUND, number);
	part = (struct iovec){ .iov_base = text.data, .iov_len = text.size };
	message.msg_iov = &part;
	message.msg_iovlen = 1;
	*CMSG_FIRSTHDR(&message) = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
						     .cmsg_level = SOL_SOCKET,
						     .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &fd, sizeof(fd));
	assert_int_equal(sendmsg(f->fd, &message, 0), text.size);
}

static void reply(void *context, const struct netd_frame *frame)
{
	struct fixture *f = context;
	CLEANUP(text_done) struct text text = { 0 };
	CLEANUP(fault_done) struct fault fault = { 0 };
	struct netd_bind wanted;
	char text_of[IP_TEXT_MAX];

	if (frame->type != NETD_BIND) {
		if (frame->type == NETD_STATUS)
			netd_write_status(&text, frame->number, &(struct netd_status){ 0 });
		else
			netd_write_plain(&text, NETD_DONE, frame->number);
		assert_int_equal(write(f->fd, text.data, text.size), text.size);
		return;
	}
	assert_int_equal(netd_parse_bind(frame, &wanted), 0);
	assert_int_equal(wanted.kind, NETD_TCP);
	note(f, "bind", endpoint_format(&wanted.endpoint, text_of));
	if (f->refuse) {
		(void)fault_set(&fault, FAULT_NETWORK, "%s is in use", text_of);
		netd_write_failed(&text, frame->number, &fault);
		assert_int_equal(write(f->fd, text.data, text.size), text.size);
	} else if (f->hold) {
		f->held = frame->number;
	} else {
		send_bound(f, frame->number);
	}
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct fixture *f = container_of(poll, struct fixture, poll);

	netd_test_read(f->fd, &f->received, reply, f);
}

static void on_netd_closed(void *context, int error)
{
	fail_msg("the connection broke: %d", error);
}

/* --- the server --- */

static int serve(void *context, int fd, void **ret_listener)
{
	struct fixture *f = context;
	int listening = 0;
	socklen_t size = sizeof(listening);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size), 0);
	assert_int_equal(listening, 1);
	note(f, "listen", "");
	f->listeners++;
	*ret_listener = malloc(sizeof(int));
	assert_non_null(*ret_listener);
	*(int *)*ret_listener = fd;
	return 0;
}

static void unserve(void *context, void *listener)
{
	struct fixture *f = context;

	(void)close(*(int *)listener);
	free(listener);
	f->listeners--;
	note(f, "close", "");
}

static int take_certificate(void *context, const char *key, const char *chain, struct fault *fault)
{
	const struct fixture *f = context;

	assert_int_equal(!key, !chain);
	return f->reject_certificate ? fault_set(fault, FAULT_OPENSSL, "too green") : 0;
}

static void take_names(void *context, const struct web_names *names)
{
	struct fixture *f = context;

	(void)snprintf(f->listen, sizeof(f->listen), "%s", names->listen ? names->listen : "");
	f->hosts = names->host_count;
}

/* --- calls --- */

static void on_answer(void *context, char *answer, size_t size, const char *set_cookie)
{
	struct fixture *f = context;

	free(f->answer);
	f->answer = answer;
	f->answers++;
}

/* Calls a method and gives the member of its answer at @pointer, which the caller releases. */
static json_t *call(struct fixture *f, const char *pointer, const char *method, const char *params)
{
	const struct rpc_caller caller = { .kind = RPC_CALLER_LOCAL };
	CLEANUP(text_done) struct text body = { 0 };
	int before = f->answers;
	json_t *answer, *member;

	text_printf(&body, "{'method':'%s','params':{%s}}", method, params);
	for (size_t i = 0; i < body.size; i++)
		if (body.data[i] == '\'')
			body.data[i] = '"';
	rpc_dispatch(f->dispatcher, body.data, body.size, &caller, on_answer, f);
	while (f->answers == before)
		(void)uv_run(&f->loop, UV_RUN_ONCE);
	answer = json_loads(f->answer, 0, NULL);
	assert_non_null(answer);
	member = json_incref(pointer_get(answer, pointer));
	if (!member)
		fail_msg("%s: no %s in %s", method, pointer, f->answer);
	json_decref(answer);
	return member;
}

static void succeeds(struct fixture *f, const char *method, const char *params)
{
	json_decref(call(f, "/result", method, params));
}

static void fails(struct fixture *f, const char *method, const char *params, int code)
{
	json_t *got = call(f, "/error/code", method, params);

	assert_int_equal(json_integer_value(got), code);
	json_decref(got);
}

/* Goes on until the events are these, and forgets them. */
static void until_events(struct fixture *f, const char *wanted)
{
	while (strcmp(text_string(&f->events), wanted) != 0)
		(void)uv_run(&f->loop, UV_RUN_ONCE);
	text_clear(&f->events);
}

static void assert_status(struct fixture *f, bool listening, const char *problem)
{
	json_t *web = call(f, "/result/web", "status", "");
	const char *got = json_string_value(json_object_get(web, "problem"));

	assert_int_equal(json_is_true(json_object_get(web, "listening")), listening);
	if (problem ? !got || !strstr(got, problem) : got != NULL)
		fail_msg("the problem is: %s", got);
	json_decref(web);
}

/* --- life --- */

static void on_ready(void *context)
{
	uv_stop(context);
}

static void put(struct fixture *f, const char *pointer, json_t *value)
{
	struct store_txn *txn;

	assert_int_equal(store_begin(f->tunnel->store, &txn), 0);
	assert_int_equal(store_put(txn, pointer, value), 0);
	assert_int_equal(store_commit_now(txn), 0);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct web_server server = { .context = f,
					   .listen = serve,
					   .close = unserve,
					   .set_certificate = take_certificate,
					   .set_names = take_names };
	int fds[2];

	(void)snprintf(f->directory, sizeof(f->directory), "/tmp/web-test-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	assert_int_equal(uv_loop_init(&f->loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
			 0);
	f->fd = fds[1];
	assert_int_equal(uv_poll_init(&f->loop, &f->poll, f->fd), 0);
	assert_int_equal(uv_poll_start(&f->poll, UV_READABLE, on_readable), 0);
	assert_int_equal(netd_client_new(&f->loop, fds[0], on_netd_closed, f, &f->netd), 0);
	assert_int_equal(tunnel_new(&f->loop, f->directory, f->netd, &f->tunnel, NULL), 0);
	assert_int_equal(rpc_dispatcher_new(&tunnel_api, f->tunnel, &f->dispatcher), 0);
	/* What happens to this machine's addresses meanwhile is not to be seen here. */
	f->tunnel->gateways = gateway_watch_free(f->tunnel->gateways);
	tunnel_start(f->tunnel, on_ready, &f->loop);
	(void)uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(web_listener_start(f->tunnel, &server), 0);
	put(f, "/password", json_string("$argon2id$"));
	*state = f;
	return 0;
}

static void on_idle(void *context)
{
	struct fixture *f = context;

	f->dispatcher = rpc_dispatcher_free(f->dispatcher);
	f->tunnel = tunnel_free(f->tunnel);
	f->netd = netd_client_free(f->netd);
	uv_close((uv_handle_t *)&f->poll, NULL);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	web_listener_stop(f->tunnel);
	assert_int_equal(f->listeners, 0);
	tunnel_stop(f->tunnel, on_idle, f);
	while (uv_run(&f->loop, UV_RUN_DEFAULT) != 0)
		; /* uv_stop() may still be pending */
	assert_int_equal(uv_loop_close(&f->loop), 0);
	(void)close(f->fd);
	(void)nftw(f->directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	text_done(&f->received);
	text_done(&f->events);
	free(f->answer);
	free(f);
	return 0;
}

/* An interface that is served at 127.0.0.1:8443. */
static void enable(struct fixture *f)
{
	succeeds(f, "web.set-listen", "'listen':'127.0.0.1:8443'");
	succeeds(f, "web.generate-certificate", "'subject':['127.0.0.1','vpn.example.com']");
	succeeds(f, "web.enable", "");
	/* The first one only tried the address. */
	until_events(f, "bind 127.0.0.1:8443; bind 127.0.0.1:8443; listen");
	assert_status(f, true, NULL);
}

/* --- listening --- */

static void it_is_served_while_it_is_enabled(void **state)
{
	struct fixture *f = *state;

	fails(f, "web.enable", "", 41);
	enable(f);
	assert_string_equal(f->listen, "127.0.0.1:8443");
	assert_int_equal(f->hosts, 2);
	assert_true(web_listener_is_host(f->tunnel, "vpn.example.com"));
	assert_true(web_listener_is_host(f->tunnel, "127.0.0.1"));
	assert_false(web_listener_is_host(f->tunnel, "example.com"));
	assert_false(web_listener_is_host(f->tunnel, "a.vpn.example.com"));
	succeeds(f, "web.disable", "");
	assert_events(f, "close");
	assert_status(f, false, NULL);
	succeeds(f, "web.enable", "");
	until_events(f, "bind 127.0.0.1:8443; listen");
	succeeds(f, "web.uninit", "");
	assert_events(f, "close");
	assert_int_equal(f->hosts, 0);
	assert_string_equal(f->listen, "");
}

static void a_new_address_is_bound_before_the_old_one_is_left(void **state)
{
	struct fixture *f = *state;

	enable(f);
	succeeds(f, "web.set-listen", "'listen':'127.0.0.2:8443'");
	until_events(f, "bind 127.0.0.2:8443; bind 127.0.0.2:8443; listen; close");
	succeeds(f, "web.set-listen", "'listen':'127.0.0.2:8443'"); /* its own is fine */
	assert_events(f, "");
	/* All addresses with the same port exclude the one; it cannot be tried either. */
	succeeds(f, "web.set-listen", "'listen':'0.0.0.0:8443'");
	until_events(f, "close; bind 0.0.0.0:8443; listen");
	assert_status(f, true, NULL);
	fails(f, "web.set-listen", "'listen':'198.51.100.99:8443'", 9);
	fails(f, "web.set-listen", "'listen':'127.0.0.1:0'", 38);
	assert_events(f, "");
}

static void a_refused_address_is_shown_and_tried_again(void **state)
{
	struct fixture *f = *state;

	succeeds(f, "web.set-listen", "'listen':'127.0.0.1:8443'");
	succeeds(f, "web.generate-certificate", "'subject':['127.0.0.1']");
	assert_events(f, "bind 127.0.0.1:8443");
	f->refuse = true;
	fails(f, "web.set-listen", "'listen':'127.0.0.1:8444'", 9);
	succeeds(f, "web.enable", "");
	until_events(f, "bind 127.0.0.1:8444; bind 127.0.0.1:8443");
	assert_status(f, false, "127.0.0.1:8443 is in use");
	/* The machine's addresses changed. */
	put(f, "/gateways/x0",
	    json_pack("{s:n, s:n, s:n, s:n}", "name", "secure", "ipInfo", "type"));
	until_events(f, "bind 127.0.0.1:8443");
	assert_status(f, false, "127.0.0.1:8443 is in use");
	f->refuse = false;
	put(f, "/gateways/x1",
	    json_pack("{s:n, s:n, s:n, s:n}", "name", "secure", "ipInfo", "type"));
	until_events(f, "bind 127.0.0.1:8443; listen");
	assert_status(f, true, NULL);
}

static void what_changes_meanwhile_counts(void **state)
{
	struct fixture *f = *state;
	json_t *settings;

	succeeds(f, "web.generate-certificate", "'subject':['127.0.0.1']");
	f->hold = true;
	settings = json_deep_copy(store_get(f->tunnel->store, "/webserver"));
	assert_int_equal(json_object_set_new(settings, "enabled", json_true()), 0);
	assert_int_equal(json_object_set_new(settings, "listen", json_string("127.0.0.1:1111")), 0);
	put(f, "/webserver", settings);
	until_events(f, "bind 127.0.0.1:1111");
	put(f, "/webserver/listen", json_string("127.0.0.1:2222"));
	put(f, "/webserver/listen", json_string("127.0.0.1:3333"));
	assert_events(f, "");
	f->hold = false;
	send_bound(f, f->held);
	until_events(f, "bind 127.0.0.1:3333; listen");
	f->hold = true;
	put(f, "/webserver/listen", json_string("127.0.0.1:4444"));
	until_events(f, "bind 127.0.0.1:4444");
	put(f, "/webserver/enabled", json_false());
	assert_events(f, "close");
	send_bound(f, f->held);
	assert_status(f, false, NULL);
	assert_events(f, "");
}

static void what_is_missing_is_shown(void **state)
{
	struct fixture *f = *state;

	put(f, "/webserver/enabled", json_true()); /* as db.apply may */
	assert_status(f, false, "no address");
	put(f, "/webserver/listen", json_string("127.0.0.1:8443"));
	assert_status(f, false, "no certificate");
	f->reject_certificate = true;
	succeeds(f, "web.generate-certificate", "'subject':['127.0.0.1']");
	until_events(f, "bind 127.0.0.1:8443; listen");
	assert_status(f, true, "the certificate cannot be used: too green");
	f->reject_certificate = false;
	succeeds(f, "web.generate-certificate", "'subject':['127.0.0.1']");
	assert_status(f, true, NULL);
	assert_events(f, "");
}

/* --- certificates --- */

static void renewal_is_due_near_the_end(void **state)
{
	static const struct {
		const char *name;
		int from, to, root; /* days from now */
		bool due;
	} cases[] = {
		{ "fresh", -1, 396, 3640, false },
		{ "31 days left", -366, 31, 3640, false },
		{ "29 days left", -368, 29, 3640, true },
		{ "expired", -500, -103, 3640, true },
		{ "half of a short life left", -30, 29, 3640, false },
		{ "a quarter of a short life left", -60, 20, 3640, true },
		{ "the root ends with it", -368, 20, 20, false },
		{ "the root ends soon after it", -368, 10, 60, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (web_certificate_is_due(cases[i].from * DAY_S, cases[i].to * DAY_S,
					   cases[i].root * DAY_S, 0) != cases[i].due)
			fail_msg("%s", cases[i].name);
}

static struct certificate_chain *current_chain(const struct fixture *f)
{
	struct certificate_chain *chain;

	assert_int_equal(
		certificate_chain_read(json_string_value(store_get(f->tunnel->store,
								   "/webserver/certificate/cert")),
				       &chain, NULL),
		0);
	return chain;
}

/* Puts a leaf that was issued so many days ago by the kept authority. */
static void age(struct fixture *f, int days)
{
	static const char *const names[] = { "vpn.example.com", "127.0.0.1" };
	const json_t *kept = store_get(f->tunnel->store, "/webserver/authority");
	struct certificate_authority authority = {
		.root_cert = (char *)json_string_value(json_object_get(kept, "rootCert")),
		.root_key = (char *)json_string_value(json_object_get(kept, "rootKey")),
		.intermediate_cert =
			(char *)json_string_value(json_object_get(kept, "intermediateCert")),
		.intermediate_key =
			(char *)json_string_value(json_object_get(kept, "intermediateKey")),
	};
	CLEANUP(certificate_leaf_done) struct certificate_leaf leaf = { 0 };

	assert_int_equal(certificate_authority_issue(&authority, names, ARRAY_SIZE(names),
						     web_certificate_now() - days * DAY_S, &leaf,
						     NULL),
			 0);
	put(f, "/webserver/certificate",
	    json_pack("{s:s, s:s}", "key", leaf.key, "cert", leaf.chain));
}

static void an_old_leaf_is_renewed_under_the_same_root(void **state)
{
	struct fixture *f = *state;
	CLEANUP(certificate_chain_free) struct certificate_chain *first = NULL;
	CLEANUP(certificate_chain_free) struct certificate_chain *last = NULL;
	CLEANUP(certificate_names_done) struct certificate_names names = { 0 };
	uint8_t root[CERTIFICATE_DIGEST_SIZE], same[CERTIFICATE_DIGEST_SIZE];
	uint64_t revision;
	json_t *web;

	enable(f);
	first = current_chain(f);
	revision = store_revision(f->tunnel->store);
	age(f, 380);
	/* The change itself is one revision, the renewal the next. */
	while (store_revision(f->tunnel->store) < revision + 2)
		(void)uv_run(&f->loop, UV_RUN_ONCE);
	last = current_chain(f);
	assert_true(certificate_not_after(last, 0) > web_certificate_now() + 395 * DAY_S);
	assert_int_equal(certificate_names(last, &names), 0);
	assert_int_equal(names.count, 2);
	certificate_digest(first, 2, root);
	certificate_digest(last, 2, same);
	assert_memory_equal(root, same, sizeof(root));
	assert_events(f, ""); /* nobody is disconnected */
	/* Not while the interface is off, and not what others issued. */
	succeeds(f, "web.disable", "");
	age(f, 380);
	assert_true(web_certificate_wants_renewal(store_document(f->tunnel->store),
						  web_certificate_now()));
	revision = store_revision(f->tunnel->store);
	assert_status(f, false, NULL);
	put(f, "/webserver/authority", json_null());
	succeeds(f, "web.enable", "");
	assert_status(f, true, NULL);
	assert_int_equal(store_revision(f->tunnel->store), revision + 2);
	/* That one is the owner's to replace, who is told. */
	web = call(f, "/result/web", "status", "");
	assert_non_null(strstr(json_string_value(json_object_get(web, "warning")), "successor"));
	json_decref(web);
}

static void assert_warning(struct fixture *f, int64_t in_days, const char *wanted)
{
	CLEANUP(text_done) struct text warning = { 0 };

	web_certificate_warning(store_document(f->tunnel->store),
				web_certificate_now() + in_days * DAY_S, &warning);
	if (*wanted ? !strstr(text_string(&warning), wanted) : warning.size > 0)
		fail_msg("in %d days: %s", (int)in_days, text_string(&warning));
}

static void the_owner_is_told_before_a_root_ends(void **state)
{
	struct fixture *f = *state;

	assert_warning(f, 0, "");
	enable(f);
	assert_warning(f, CERTIFICATE_ROOT_DAYS - 182, "");
	assert_warning(f, CERTIFICATE_ROOT_DAYS - 179, "the root certificate ends on 20");
	assert_warning(f, CERTIFICATE_LEAF_DAYS, ""); /* it is renewed in time */
	put(f, "/webserver/authority", json_null());
	assert_warning(f, CERTIFICATE_LEAF_DAYS - 32, "");
	assert_warning(f, CERTIFICATE_LEAF_DAYS - 29, "the imported certificate ends on 20");
}

static void an_address_that_goes_is_shown(void **state)
{
	struct fixture *f = *state;
	json_t *gateway = json_pack("{s:{s:s, s:[s]}}", "ipInfo", "deviceType", "ethernet",
				    "subnets", "198.51.100.7/24");

	enable(f);
	put(f, "/gateways", json_pack("{s:o}", "eth7", gateway));
	succeeds(f, "web.set-listen", "'listen':'198.51.100.7:8443'");
	until_events(f, "bind 198.51.100.7:8443; bind 198.51.100.7:8443; listen; close");
	assert_status(f, true, NULL);
	put(f, "/gateways/eth7/ipInfo", json_null());
	assert_status(f, false, "not on this machine");
	put(f, "/gateways/eth7/ipInfo",
	    json_pack("{s:s, s:[s]}", "deviceType", "ethernet", "subnets", "198.51.100.7/24"));
	assert_status(f, true, NULL);
	assert_events(f, "");
}

static void the_root_comes_in_every_form(void **state)
{
	struct fixture *f = *state;
	CLEANUP(text_done) struct text pem = { 0 };
	CLEANUP(text_done) struct text profile = { 0 };
	CLEANUP(text_done) struct text facts = { 0 };
	CLEANUP(text_done) struct text fingerprint = { 0 };
	const json_t *document = store_document(f->tunnel->store);
	json_t *read;

	assert_int_equal(web_certificate_root(document, WEB_ROOT_PEM, &pem), -ENOENT);
	fails(f, "web.get-root", "", 6);
	succeeds(f, "web.generate-certificate", "'subject':['127.0.0.1']");
	document = store_document(f->tunnel->store);
	assert_int_equal(web_certificate_root(document, WEB_ROOT_PEM, &pem), 0);
	assert_string_equal(text_string(&pem), json_string_value(pointer_get(
						       document, "/webserver/authority/rootCert")));
	assert_int_equal(web_certificate_root(document, WEB_ROOT_FINGERPRINT, &fingerprint), 0);
	assert_int_equal(web_certificate_root(document, WEB_ROOT_FACTS, &facts), 0);
	read = json_loads(text_string(&facts), 0, NULL);
	assert_string_equal(json_string_value(json_object_get(read, "fingerprint")),
			    text_string(&fingerprint));
	assert_non_null(json_string_value(json_object_get(read, "notAfter")));
	json_decref(read);
	assert_int_equal(web_certificate_root(document, WEB_ROOT_PROFILE, &profile), 0);
	assert_non_null(strstr(text_string(&profile), "com.apple.security.root"));
	assert_non_null(strstr(text_string(&profile), "com.start9.ca.profile."));
}

static void assert_page(const struct rpc_route *route, const char *type, const char *disposition)
{
	struct rpc_page page;

	assert_int_equal(route->make(route->context, &page), 0);
	assert_string_equal(page.type, type);
	assert_int_equal(page.disposition != NULL, disposition != NULL);
	if (disposition)
		assert_string_equal(page.disposition, disposition);
	assert_int_equal(strlen(page.body), page.size);
	free(page.body);
}

/* The page's bytes, with a NUL. */
static char *page_text(const struct rpc_route *route)
{
	struct rpc_page page;
	char *text;

	assert_int_equal(route->make(route->context, &page), 0);
	text = strndup(page.body, page.size);
	assert_non_null(text);
	free(page.body);
	return text;
}

static void anybody_may_have_the_root(void **state)
{
	struct fixture *f = *state;
	struct rpc_route routes[WEB_ROUTES];
	struct rpc_page page;
	cleanup_free char *before = NULL, *again = NULL, *after = NULL;

	web_routes(f->tunnel, routes);
	for (size_t i = 0; routes[i].path; i++)
		assert_int_equal(routes[i].make(routes[i].context, &page), -ENOENT);
	succeeds(f, "web.generate-certificate", "'subject':['2001:db8::7']");
	assert_string_equal(routes[0].path, "/static/local-root-ca.crt");
	assert_page(&routes[0], "application/x-x509-ca-cert",
		    "attachment; filename=\"2001-db8--7.crt\"");
	assert_page(&routes[1], "application/x-apple-aspen-config",
		    "attachment; filename=\"2001-db8--7.mobileconfig\"");
	assert_page(&routes[2], "application/json", NULL);
	before = page_text(&routes[0]);
	again = page_text(&routes[0]);
	assert_string_equal(again, before);
	succeeds(f, "web.generate-certificate", "'subject':['a.example'],'newRoot':true");
	assert_page(&routes[0], "application/x-x509-ca-cert",
		    "attachment; filename=\"a.example.crt\"");
	after = page_text(&routes[0]);
	assert_string_not_equal(after, before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_is_served_while_it_is_enabled, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_new_address_is_bound_before_the_old_one_is_left,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_refused_address_is_shown_and_tried_again, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(what_changes_meanwhile_counts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_missing_is_shown, set_up, tear_down),
		cmocka_unit_test(renewal_is_due_near_the_end),
		cmocka_unit_test_setup_teardown(the_owner_is_told_before_a_root_ends, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(an_address_that_goes_is_shown, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_old_leaf_is_renewed_under_the_same_root, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(the_root_comes_in_every_form, set_up, tear_down),
		cmocka_unit_test_setup_teardown(anybody_may_have_the_root, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
