/*
 * Calls on a document, with a start-netd of the test's own behind the socket
 *
 * It keeps the set of items that it was told, answers each request, and fails where it is asked to.
 */
#include <fcntl.h>
#include <ftw.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "codec/pointer.h"
#include "document/desired.h"
#include "rpc/dispatch.h"
#include "tunnel/job.h"
#include "tunnel/tunnel.h"

#include "base/test.h"
#include "tunnel/netd_test.h"

struct fixture {
	uv_loop_t loop;
	char directory[64];
	struct netd_client *netd;
	struct tunnel *tunnel;
	struct rpc_dispatcher *dispatcher;
	struct rpc_continuations *continuations;

	/* The other side. */
	int fd;
	uv_poll_t poll;
	struct text received;
	struct net_set kernel;
	int requests;
	int pass_next; /* so many CHANGEs, before the ones that fail */
	int fail_next;
	char *answer;
	int answers;
	enum rpc_caller_kind caller;
};

static void reply(void *context, const struct netd_frame *frame)
{
	struct fixture *f = context;
	CLEANUP(text_done) struct text text = { 0 };
	CLEANUP(fault_done) struct fault fault = { 0 };
	CLEANUP(net_set_done) struct net_set remove = { 0 };
	CLEANUP(net_set_done) struct net_set add = { 0 };

	f->requests++;
	if (frame->type == NETD_SYNC) {
		net_set_done(&f->kernel);
		assert_int_equal(netd_parse_sync(frame, &f->kernel), 0);
	} else if (frame->type == NETD_CHANGE && f->pass_next == 0 && f->fail_next > 0) {
		f->fail_next--;
		(void)fault_set(&fault, FAULT_NETWORK, "adding the rule: no buffer space");
	} else if (frame->type == NETD_CHANGE) {
		f->pass_next -= f->pass_next > 0;
		assert_int_equal(netd_parse_change(frame, &remove, &add), 0);
		assert_int_equal(net_set_change(&f->kernel, &remove, &add), 0);
	}
	if (fault_is_set(&fault))
		netd_write_failed(&text, frame->number, &fault);
	else
		netd_write_plain(&text, NETD_DONE, frame->number);
	assert_int_equal(write(f->fd, text.data, text.size), text.size);
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

static void on_ready(void *context)
{
	uv_stop(context);
}

static void begin(struct fixture *f)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	int fds[2];

	assert_int_equal(uv_loop_init(&f->loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
			 0);
	f->fd = fds[1];
	assert_int_equal(uv_poll_init(&f->loop, &f->poll, f->fd), 0);
	assert_int_equal(uv_poll_start(&f->poll, UV_READABLE, on_readable), 0);
	assert_int_equal(netd_client_new(&f->loop, fds[0], on_netd_closed, f, &f->netd), 0);
	assert_int_equal(tunnel_new(&f->loop, f->directory, f->netd, &f->tunnel, &fault), 0);
	assert_int_equal(rpc_dispatcher_new(&tunnel_api, f->tunnel, &f->dispatcher), 0);
	assert_int_equal(rpc_continuations_new(&f->continuations), 0);
	assert_int_equal(tunnel_serve_sockets(f->tunnel, f->continuations), 0);
	tunnel_start(f->tunnel, on_ready, &f->loop);
	uv_run(&f->loop, UV_RUN_DEFAULT);
}

static void on_idle(void *context)
{
	struct fixture *f = context;

	f->dispatcher = rpc_dispatcher_free(f->dispatcher);
	f->tunnel = tunnel_free(f->tunnel);
	f->netd = netd_client_free(f->netd);
	f->continuations = rpc_continuations_free(f->continuations);
	uv_close((uv_handle_t *)&f->poll, NULL);
}

static void finish(struct fixture *f)
{
	tunnel_stop(f->tunnel, on_idle, f);
	while (uv_run(&f->loop, UV_RUN_DEFAULT) != 0)
		; /* an answer's uv_stop() may still be pending */
	assert_int_equal(uv_loop_close(&f->loop), 0);
	(void)close(f->fd);
	text_done(&f->received);
	free(TAKE_PTR(f->answer));
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	(void)snprintf(f->directory, sizeof(f->directory), "/tmp/tunnel-test-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	f->caller = RPC_CALLER_LOCAL;
	begin(f);
	*state = f;
	return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	finish(f);
	net_set_done(&f->kernel);
	(void)nftw(f->directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

static void on_answer(void *context, char *answer, size_t size, const char *set_cookie)
{
	struct fixture *f = context;

	free(f->answer);
	f->answer = answer;
	f->answers++;
	uv_stop(&f->loop);
}

static void send_call(struct fixture *f, const char *body)
{
	const struct rpc_caller caller = { .kind = f->caller };

	rpc_dispatch(f->dispatcher, body, strlen(body), &caller, on_answer, f);
}

/* Calls a method and gives the member of its answer at @pointer, which the caller releases. */
__attribute__((format(printf, 3, 4))) static json_t *call(struct fixture *f, const char *pointer,
							  const char *format, ...)
{
	CLEANUP(text_done) struct text body = { 0 };
	int before = f->answers;
	json_t *answer, *member;
	va_list args;

	va_start(args, format);
	text_vprintf(&body, format, args);
	va_end(args);
	for (size_t i = 0; i < body.size; i++)
		if (body.data[i] == '\'')
			body.data[i] = '"';
	send_call(f, text_string(&body));
	while (f->answers == before)
		uv_run(&f->loop, UV_RUN_DEFAULT);
	answer = json_loads(f->answer, 0, NULL);
	assert_non_null(answer);
	member = json_incref(pointer_get(answer, pointer));
	if (!member)
		fail_msg("no %s in %s", pointer, f->answer);
	json_decref(answer);
	return member;
}

static void succeeds(struct fixture *f, const char *method, const char *params)
{
	json_decref(call(f, "/result", "{'id':1,'method':'%s','params':{%s}}", method, params));
}

static void fails(struct fixture *f, const char *method, const char *params, int code,
		  const char *details)
{
	json_t *error = call(f, "/error", "{'method':'%s','params':{%s}}", method, params);
	const json_t *data = json_object_get(error, "data");
	const char *text = json_string_value(data);

	if (!text)
		text = json_string_value(json_object_get(data, "details"));
	assert_int_equal(json_integer_value(json_object_get(error, "code")), code);
	if (!strstr(text, details))
		fail_msg("%s does not say: %s", text, details);
	json_decref(error);
}

/* The network is what the document says. */
static void assert_in_step(struct fixture *f)
{
	CLEANUP(net_set_done) struct net_set wanted = { 0 };
	json_t *document = call(f, "/result/value", "{'method':'db.dump','params':{}}");

	assert_int_equal(desired_at(document, "", &wanted), 0);
	net_set_sort(&wanted);
	assert_int_equal(f->kernel.count, wanted.count);
	for (size_t i = 0; i < wanted.count; i++)
		assert_int_equal(net_item_compare(&f->kernel.items[i], &wanted.items[i]), 0);
	json_decref(document);
}

/* A subnet with a public address, whatever addresses this machine has. */
static void make_subnet(struct fixture *f)
{
	succeeds(f, "subnet.add", "'subnet':'172.29.5.77/24','name':'Test'");
	succeeds(f, "subnet.set-wan", "'subnet':'172.29.5.1/24','wanIp':'198.18.0.7'");
	succeeds(f, "device.add", "'subnet':'172.29.5.1/24','name':'Server','kind':'server'");
}

static void edits_reach_the_network_and_the_disk(void **state)
{
	struct fixture *f = *state;

	make_subnet(f);
	succeeds(f, "port-forward.add", "'externalPort':8000,'target':'172.29.5.2:80','count':3");
	assert_in_step(f);
	succeeds(f, "port-forward.set-enabled", "'source':'198.18.0.7:8000','enabled':false");
	assert_in_step(f);
	succeeds(f, "port-forward.set-enabled", "'source':'198.18.0.7:8000','enabled':true");
	assert_in_step(f);
	succeeds(f, "port-forward.add",
		 "'externalPort':443,'target':'172.29.5.2:443','proxyProtocol':true");
	assert_in_step(f);
	succeeds(f, "port-forward.set-proxy-protocol", "'source':'198.18.0.7:443'");
	assert_in_step(f);
	succeeds(f, "port-forward.set-proxy-protocol", "'source':'198.18.0.7:443','enabled':true");
	assert_in_step(f);
	finish(f);
	begin(f);
	assert_in_step(f);
	json_decref(call(f, "/result/value/target",
			 "{'method':'db.dump','params':"
			 "{'pointer':'/portForwards/198.18.0.7:8000'}}"));
}

static void a_refusal_of_the_network_undoes_the_edit(void **state)
{
	struct fixture *f = *state;
	json_t *before, *after;

	make_subnet(f);
	before = call(f, "/result", "{'method':'db.dump','params':{}}");
	f->fail_next = 1;
	fails(f, "port-forward.add", "'externalPort':80,'target':'172.29.5.2:80'", FAULT_NETWORK,
	      "adding the rule: no buffer space");
	after = call(f, "/result", "{'method':'db.dump','params':{}}");
	assert_true(json_equal(before, after));
	assert_in_step(f);
	succeeds(f, "port-forward.add", "'externalPort':80,'target':'172.29.5.2:80'");
	assert_in_step(f);
	json_decref(before);
	json_decref(after);
}

/* Files may not grow any more, as on a full disk. Returns how it was. */
static struct rlimit fill_disk(void)
{
	struct rlimit before, full;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	full = (struct rlimit){ .rlim_cur = 0, .rlim_max = before.rlim_max };
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
	return before;
}

static void what_cannot_be_written_is_undone(void **state)
{
	struct fixture *f = *state;
	struct rlimit before;

	make_subnet(f);
	before = fill_disk();
	send_call(f, "{\"method\":\"port-forward.add\",\"params\":{\"externalPort\":80,"
		     "\"target\":\"172.29.5.2:80\"}}");
	while (!f->answer || !strstr(f->answer, "could not be written to disk and was undone"))
		uv_run(&f->loop, UV_RUN_ONCE);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_in_step(f);
	succeeds(f, "port-forward.add", "'externalPort':80,'target':'172.29.5.2:80'");
	assert_in_step(f);
}

/* Then it is tried again by itself, and with the next edit. */
static void an_undoing_that_fails_is_made_good(void **state)
{
	struct fixture *f = *state;
	struct rlimit before;

	make_subnet(f);
	f->pass_next = f->fail_next = 1;
	before = fill_disk();
	send_call(f, "{\"method\":\"port-forward.add\",\"params\":{\"externalPort\":80,"
		     "\"target\":\"172.29.5.2:80\"}}");
	while (!f->answer || !strstr(f->answer, "could not be written to disk and was undone"))
		uv_run(&f->loop, UV_RUN_ONCE);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(f->fail_next, 0);
	assert_true(uv_is_active((uv_handle_t *)&f->tunnel->retry));
	assert_string_equal(f->tunnel->sync_problem, "adding the rule: no buffer space");
	succeeds(f, "device.add", "'subnet':'172.29.5.1/24','name':'Other'");
	assert_in_step(f);
}

/* An interface of this machine with a private address, in a network of the test's own. */
static int make_interface(void)
{
	struct ifreq request = { .ifr_name = "test0", .ifr_flags = IFF_TUN | IFF_NO_PI };
	struct sockaddr_in *address = (struct sockaddr_in *)&request.ifr_addr;
	int tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	cleanup_close int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(tun >= 0 && any >= 0);
	assert_int_equal(ioctl(tun, TUNSETIFF, &request), 0);
	*address =
		(struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a4d0005) };
	assert_int_equal(ioctl(any, SIOCSIFADDR, &request), 0);
	return tun;
}

/* The forward comes in by the new address now, behind 1:1 NAT. Nobody can refuse that it is there. */
static void addresses_change_whatever_the_network_says(void **state)
{
	cleanup_close int tun = -EBADF;
	struct fixture *f = *state;

	if (access("/dev/net/tun", W_OK) < 0 || unshare(CLONE_NEWNET) < 0)
		skip();
	finish(f);
	begin(f);
	make_subnet(f);
	succeeds(f, "port-forward.add", "'externalPort':80,'target':'172.29.5.2:80'");
	f->fail_next = 1;
	tun = make_interface();
	while (f->fail_next > 0)
		uv_run(&f->loop, UV_RUN_ONCE);
	json_decref(call(f, "/result/value/ipInfo/name",
			 "{'method':'db.dump','params':{'pointer':"
			 "'/gateways/test0'}}"));
	succeeds(f, "device.add", "'subnet':'172.29.5.1/24','name':'Other'");
	assert_in_step(f);
}

/* All at once in one batch: each finds what those before it left. */
static void edits_at_once_serialise(void **state)
{
	CLEANUP(text_done) struct text body = { 0 };
	struct fixture *f = *state;
	json_t *all;

	make_subnet(f);
	text_append_char(&body, '[');
	for (int i = 0; i < 100; i++)
		text_printf(&body,
			    "%s{'id':%d,'method':'device.add','params':{'subnet':"
			    "'172.29.5.1/24','name':'d%d'}}",
			    i ? "," : "", i, i);
	text_append_char(&body, ']');
	json_decref(call(f, "/99/result", "%s", text_string(&body)));
	assert_in_step(f);
	all = call(f, "/result/clients",
		   "{'method':'device.list','params':{'subnet':"
		   "'172.29.5.1/24'}}");
	assert_int_equal(json_object_size(all), 101);
	json_decref(all);
}

static void devices_take_their_forwards_along(void **state)
{
	struct fixture *f = *state;
	json_t *forwards;

	make_subnet(f);
	succeeds(f, "device.add", "'subnet':'172.29.5.1/24','name':'Other'");
	succeeds(f, "port-forward.add", "'externalPort':80,'target':'172.29.5.2:80'");
	succeeds(f, "port-forward.add", "'externalPort':81,'target':'172.29.5.3:80'");
	succeeds(f, "device.set-wan",
		 "'subnet':'172.29.5.1/24','ip':'172.29.5.3','wanIp':"
		 "'198.18.0.8'");
	forwards = call(f, "/result/value",
			"{'method':'db.dump','params':{'pointer':"
			"'/portForwards'}}");
	assert_non_null(json_object_get(forwards, "198.18.0.8:81"));
	json_decref(forwards);
	succeeds(f, "device.remove", "'subnet':'172.29.5.1/24','ip':'172.29.5.3'");
	forwards = call(f, "/result/value",
			"{'method':'db.dump','params':{'pointer':"
			"'/portForwards'}}");
	assert_int_equal(json_object_size(forwards), 1);
	assert_non_null(json_object_get(forwards, "198.18.0.7:80"));
	json_decref(forwards);
	assert_in_step(f);
	succeeds(f, "subnet.remove", "'subnet':'172.29.5.1/24'");
	assert_in_step(f);
}

/* Upstream loses one of the two. */
static void a_move_onto_another_forward_is_refused(void **state)
{
	struct fixture *f = *state;

	make_subnet(f);
	succeeds(f, "device.add", "'subnet':'172.29.5.1/24','name':'Other'");
	succeeds(f, "device.set-wan",
		 "'subnet':'172.29.5.1/24','ip':'172.29.5.3','wanIp':"
		 "'198.18.0.8'");
	succeeds(f, "port-forward.add", "'externalPort':80,'target':'172.29.5.2:80'");
	succeeds(f, "port-forward.add", "'externalPort':75,'target':'172.29.5.3:80','count':9");
	fails(f, "device.set-wan", "'subnet':'172.29.5.1/24','ip':'172.29.5.3'",
	      FAULT_INVALID_REQUEST, "198.18.0.7:75 overlaps the port forward 198.18.0.7:80");
	assert_in_step(f);
}

static void bad_input_names_the_field_and_changes_nothing(void **state)
{
	static const struct {
		const char *method, *params;
		int code;
		const char *details;
	} cases[] = {
		{ "subnet.add", "'subnet':'10.9.0.0/25','name':'x'", 38, "subnet: invalid subnet" },
		{ "subnet.add", "'subnet':'172.29.4.1/23','name':'x'", 38,
		  "subnet: 172.29.4.1/23 overlaps the subnet 172.29.5.1/24" },
		{ "subnet.add", "'subnet':'224.0.0.1/24','name':'x'", 38,
		  "subnet: invalid subnet" },
		{ "subnet.add", "'subnet':'x','name':'x'", -32602, "subnet" },
		{ "subnet.set-wan", "'subnet':'10.1.1.1/24'", 6, "10.1.1.1/24" },
		{ "device.add", "'subnet':'10.1.1.1/24','name':'x'", 6, "10.1.1.1/24" },
		{ "device.add", "'subnet':'172.29.5.1/24','name':'x','ip':'172.29.6.2'", 38,
		  "ip: 172.29.6.2 is not in the subnet" },
		{ "device.add", "'subnet':'172.29.5.1/24','name':'x','ip':'172.29.5.0'", 38,
		  "ip: " },
		{ "device.add", "'subnet':'172.29.5.1/24','name':'x','ip':'172.29.5.255'", 38,
		  "ip: " },
		{ "device.add", "'subnet':'172.29.5.1/24','name':'x','ip':'172.29.5.1'", 38,
		  "ip: " },
		{ "device.add", "'subnet':'172.29.5.1/24','name':'a\\nb'", -32602, "name" },
		{ "device.add", "'subnet':'172.29.5.1/24','name':7", -32602, "name" },
		{ "port-forward.add", "'externalPort':80,'target':'127.0.0.1:80'", 38,
		  "target: 127.0.0.1:80 is not" },
		{ "subnet.set-wan", "'subnet':'172.29.5.1/24','wanIp':'0.0.0.0'", 38,
		  "wanIp: 0.0.0.0 is not" },
		{ "device.set-wan",
		  "'subnet':'172.29.5.1/24','ip':'172.29.5.2','wanIp':"
		  "'255.255.255.255'",
		  38, "wanIp: 255.255.255.255 is not" },
		{ "device.set-kind", "'subnet':'172.29.5.1/24','ip':'172.29.5.2','kind':'x'",
		  -32602, "kind" },
		{ "device.remove", "'subnet':'172.29.5.1/24','ip':'172.29.5.9'", 6, "172.29.5.9" },
		{ "port-forward.add", "'externalPort':70000,'target':'172.29.5.2:80'", -32602,
		  "externalPort" },
		{ "port-forward.add", "'externalPort':0,'target':'172.29.5.2:80'", 38,
		  "externalPort" },
		{ "port-forward.add", "'externalPort':80,'target':'172.29.5.2:80','count':0", 38,
		  "count" },
		{ "port-forward.add", "'externalPort':65530,'target':'172.29.5.2:80','count':10",
		  38, "count" },
		{ "port-forward.add", "'externalPort':80,'target':'172.29.5.2:65530','count':10",
		  38, "count" },
		{ "port-forward.add", "'externalPort':8000,'target':'172.29.5.2:80'", 38,
		  "198.18.0.7:8000 is forwarded already" },
		{ "port-forward.add", "'externalPort':7999,'target':'172.29.5.2:80','count':2", 38,
		  "overlaps the port forward 198.18.0.7:8000" },
		{ "port-forward.add", "'externalPort':51820,'target':'172.29.5.2:80'", 38,
		  "the tunnel's own" },
		{ "port-forward.update-label", "'source':'198.18.0.7:1','label':'x'", 6,
		  "198.18.0.7:1" },
		{ "port-forward.set-proxy-protocol", "'source':'198.18.0.7:1'", 6, "198.18.0.7:1" },
		{ "port-forward.add",
		  "'externalPort':9000,'target':'172.29.5.2:80','count':5,'proxyProtocol':true", 38,
		  "proxyProtocol: is for one port at a time, not for a range of 5" },
	};
	struct fixture *f = *state;
	json_t *before, *after;

	make_subnet(f);
	succeeds(f, "port-forward.add", "'externalPort':8000,'target':'172.29.5.2:80'");
	before = call(f, "/result", "{'method':'db.dump','params':{}}");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		fails(f, cases[i].method, cases[i].params, cases[i].code, cases[i].details);
	after = call(f, "/result", "{'method':'db.dump','params':{}}");
	assert_true(json_equal(before, after));
	assert_in_step(f);
	json_decref(before);
	json_decref(after);
}

static void a_filter_changes_the_document_and_the_network(void **state)
{
	struct fixture *f = *state;

	make_subnet(f);
	succeeds(f, "db.apply", "'expr':'.wg.port = 5555'");
	assert_in_step(f);
	assert_int_equal(f->kernel.items[0].link.listen_port, 5555);
	fails(f, "db.apply", "'expr':'.wg.port = 70000'", FAULT_DESERIALIZATION,
	      "/wg/port: must be a number of 1 to 65535");
	fails(f, "db.apply", "'expr':'.wg.['", FAULT_INVALID_REQUEST, "");
	fails(f, "db.apply", "'expr':'empty'", FAULT_INVALID_REQUEST, "");
	assert_in_step(f);
}

/* Asserts that neither key of the device and none of the server is in the last answer. */
static void assert_answer_has_none(const struct fixture *f, const json_t *wg)
{
	static const char *const pointers[] = {
		"/key",
		"/subnets/172.29.5.1~124/clients/172.29.5.2/key",
		"/subnets/172.29.5.1~124/clients/172.29.5.2/psk",
	};

	for (size_t i = 0; i < ARRAY_SIZE(pointers); i++) {
		const char *secret = json_string_value(pointer_get(wg, pointers[i]));

		assert_int_equal(strlen(secret), 43);
		assert_null(strstr(f->answer, secret));
	}
}

static void a_browser_is_told_no_secret(void **state)
{
	static const char *const bodies[] = {
		"{'method':'db.dump','params':{}}",
		"{'method':'db.dump','params':{'pointer':'/wg/key'}}",
		"{'method':'db.dump','params':{'pointer':'/wg/subnets/172.29.5.1~124/clients'}}",
		"{'method':'device.list','params':{'subnet':'172.29.5.1/24'}}",
		"{'method':'db.apply','params':{'expr':'error(.wg.key)'}}",
	};
	struct fixture *f = *state;
	json_t *wg, *name;

	make_subnet(f);
	wg = call(f, "/result/value", "{'method':'db.dump','params':{'pointer':'/wg'}}");
	f->caller = RPC_CALLER_SESSION;
	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		json_decref(call(f, "", "%s", bodies[i]));
		assert_answer_has_none(f, wg);
	}
	name = call(f, "/result/clients/172.29.5.2/name",
		    "{'method':'device.list','params':{'subnet':'172.29.5.1/24'}}");
	assert_string_equal(json_string_value(name), "Server");
	json_decref(name);
	fails(f, "db.apply", "'expr':'error(.wg.key)'", 34, "not for a login");
	json_decref(wg);
}

static void a_subscription_begins_with_the_document(void **state)
{
	struct fixture *f = *state;
	json_t *result, *again;
	const char *guid;

	make_subnet(f);
	f->caller = RPC_CALLER_SESSION;
	result = call(f, "/result", "{'method':'db.subscribe','params':{}}");
	guid = json_string_value(json_object_get(result, "guid"));
	assert_int_equal(strlen(guid), RPC_GUID_SIZE);
	assert_true(rpc_continuations_find(f->continuations, guid, NULL, clock_monotonic_ns()));
	assert_string_equal(json_string_value(pointer_get(result, "/dump/value/wg/key")), "");
	assert_null(json_object_get(result, "resumed"));

	/* Who comes back soon is not told everything again. */
	f->caller = RPC_CALLER_LOCAL;
	succeeds(f, "subnet.add", "'subnet':'172.29.5.1/24','name':'Renamed'");
	again = call(f, "/result", "{'method':'db.subscribe','params':{'since':%d}}",
		     (int)json_integer_value(pointer_get(result, "/dump/id")));
	assert_true(json_is_true(json_object_get(again, "resumed")));
	assert_true(json_equal(pointer_get(again, "/dump/id"), pointer_get(result, "/dump/id")));
	assert_true(json_is_null(pointer_get(again, "/dump/value")));
	json_decref(again);
	again = call(f, "/result", "{'method':'db.subscribe','params':{'since':1000000}}");
	assert_null(json_object_get(again, "resumed"));
	assert_string_equal(
		json_string_value(pointer_get(again, "/dump/value/wg/subnets/172.29.5.1~124/name")),
		"Renamed");
	assert_int_equal(rpc_continuations_count(f->continuations), 3);
	json_decref(again);
	json_decref(result);
}

static void a_part_may_be_followed(void **state)
{
	struct fixture *f = *state;
	json_t *result =
		call(f, "/result", "{'method':'db.subscribe','params':{'pointer':'/wg/port'}}");

	assert_int_equal(json_integer_value(pointer_get(result, "/dump/value")), 51820);
	json_decref(result);
	result = call(f, "/result", "{'method':'db.subscribe','params':{'pointer':'/no/where'}}");
	assert_true(json_is_null(pointer_get(result, "/dump/value")));
	json_decref(result);
	fails(f, "db.subscribe", "'pointer':'wg'", -32602, "pointer");
	fails(f, "db.subscribe", "'pointer':'/dnsRecords/0/name'", 38, "/dnsRecords is a list");
	fails(f, "db.subscribe", "'since':-1", -32602, "since");
}

static void subscriptions_are_bounded(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < RPC_CONTINUATIONS_OF_OTHERS_MAX; i++)
		succeeds(f, "db.subscribe", "'pointer':'/wg/port'");
	fails(f, "db.subscribe", "'pointer':'/wg/port'", 37, "too many subscriptions");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(edits_reach_the_network_and_the_disk, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_refusal_of_the_network_undoes_the_edit, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_written_is_undone, setup, teardown),
		cmocka_unit_test_setup_teardown(an_undoing_that_fails_is_made_good, setup,
						teardown),
		cmocka_unit_test_setup_teardown(edits_at_once_serialise, setup, teardown),
		cmocka_unit_test_setup_teardown(devices_take_their_forwards_along, setup, teardown),
		cmocka_unit_test_setup_teardown(a_move_onto_another_forward_is_refused, setup,
						teardown),
		cmocka_unit_test_setup_teardown(bad_input_names_the_field_and_changes_nothing,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_filter_changes_the_document_and_the_network,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_browser_is_told_no_secret, setup, teardown),
		cmocka_unit_test_setup_teardown(a_subscription_begins_with_the_document, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_part_may_be_followed, setup, teardown),
		cmocka_unit_test_setup_teardown(subscriptions_are_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(addresses_change_whatever_the_network_says, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
