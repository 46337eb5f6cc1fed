/*
 * start-tunneld: the daemon of StartTunnel
 *
 * As root it prepares its directory and the secret for local commands, and starts start-netd, the one
 * process that keeps a privilege. Then it drops its own for good, opens the document, has the network
 * made as the document wants it, and answers commands until a signal ends it. The tunnel stays up.
 */
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "account/account.h"
#include "base/log.h"
#include "base/secret.h"
#include "codec/json_memory.h"
#include "https.h"
#include "options.h"
#include "pages.h"
#include "port_sockets.h"
#include "privilege.h"
#include "rpc/front.h"
#include "tunnel/tunnel.h"
#include "tunnel/web_listener.h"
#include "tunnel/web_routes.h"

#define DESCRIPTORS_MAX 131072
#define DESCRIPTORS_RESERVED 256 /* for all but connections */

struct daemon {
	uv_loop_t loop;
	struct options options;
	struct endpoint listen;
	char cookie[COOKIE_TEXT_MAX];
	int lock; /* held open to the end */
	struct netd_client *netd;
	struct tunnel *tunnel;
	struct rpc_dispatcher *dispatcher;
	struct rpc_continuations *continuations;
	struct rpc_route routes[WEB_ROUTES];
	struct rpc_front *front;
	struct http_server *server;
	struct https *https;
	struct port_sockets *port_sockets;
	struct http_listener *listener; /* for commands; it closes with the server */
	uv_signal_t signals[3];
	bool ending;
	int status; /* of the process, in the end */
};

/* The program that stands beside this one, unless another is named. */
static int netd_path(const struct options *options, char **ret)
{
	char self[4096];
	ssize_t size = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (options->netd) {
		*ret = strdup(options->netd);
		return *ret ? 0 : -ENOMEM;
	}
	if (size < 0)
		return -errno;
	self[size] = '\0';
	slash = strrchr(self, '/');
	*slash = '\0';
	if (asprintf(ret, "%s/start-netd", self) < 0)
		return -ENOMEM;
	if (access(*ret, X_OK) == 0)
		return 0;
	/* In a build tree each program has a directory of its own. */
	free(*ret);
	return asprintf(ret, "%s/../start-netd/start-netd", self) < 0 ? -ENOMEM : 0;
}

static int start_netd(const struct options *options, int *ret_fd, struct fault *fault)
{
	cleanup_free char *path = NULL;
	const char *argv[8] = { "start-netd" };
	size_t count = 1;
	pid_t pid;
	int r = netd_path(options, &path);

	if (options->start_wg) {
		argv[count++] = "--start-wg";
		argv[count++] = options->start_wg;
	}
	if (options->backend) {
		argv[count++] = "--backend";
		argv[count++] = options->backend;
	}
	if (options->reboot_command) {
		argv[count++] = "--reboot-command";
		argv[count++] = options->reboot_command;
	}
	argv[count] = NULL;
	if (r == 0)
		r = netd_spawn(path, (char *const *)argv, &pid, ret_fd);
	if (r < 0)
		return fault_set_errno(fault, r, FAULT_FILESYSTEM, "starting %s",
				       path ? path : "start-netd");
	return 0;
}

/* Everything that needs root, in one place; afterwards there is no root. */
static int begin_privileged(struct daemon *d, int *ret_netd_fd, struct fault *fault)
{
	struct privilege_user user;
	int r;

	if (geteuid() != 0)
		return fault_set(
			fault, FAULT_FILESYSTEM,
			"start-tunneld has to be started as root; it drops what it does not "
			"need by itself");
	r = privilege_find_user(d->options.user, &user, fault);
	if (r == 0)
		r = privilege_prepare_directory(d->options.datadir, &user, fault);
	if (r == 0)
		r = privilege_take_lock(&d->lock, fault);
	if (r == 0)
		r = privilege_write_cookie(d->cookie, fault);
	if (r == 0)
		r = start_netd(&d->options, ret_netd_fd, fault);
	if (r == 0)
		r = privilege_drop(&user, fault);
	return r;
}

/* The server is closed and the last job done. Frees each before what it borrows; the loop ends when the
 * last handle has closed. */
static void on_idle(void *context)
{
	struct daemon *d = context;

	for (size_t i = 0; i < ARRAY_SIZE(d->signals); i++)
		uv_close((uv_handle_t *)&d->signals[i], NULL);
	d->https = https_free(d->https);
	d->port_sockets = port_sockets_free(d->port_sockets);
	d->front = rpc_front_free(d->front);
	d->dispatcher = rpc_dispatcher_free(d->dispatcher);
	d->tunnel = tunnel_free(d->tunnel);
	d->continuations = rpc_continuations_free(d->continuations);
	d->netd = netd_client_free(d->netd);
}

static void on_server_closed(void *context)
{
	struct daemon *d = context;

	if (d->tunnel)
		tunnel_stop(d->tunnel, on_idle, d);
	else
		on_idle(d);
}

static void close_server(void *context)
{
	struct daemon *d = context;

	if (d->server)
		http_server_close(TAKE_PTR(d->server), on_server_closed, d);
	else
		on_server_closed(d);
}

static void end(struct daemon *d, int status)
{
	if (d->ending)
		return;
	d->ending = true;
	d->status = status;
	https_stop(d->https);
	if (d->port_sockets)
		port_sockets_stop(d->port_sockets, close_server, d);
	else
		close_server(d);
}

static void on_signal(uv_signal_t *handle, int number)
{
	log_notice("ending on signal %d; the tunnel stays up", number);
	end(handle->data, 0);
}

static void on_netd_closed(void *context, int error)
{
	struct daemon *d = context;

	if (d->ending)
		return;
	log_error_errno(error, "start-netd is gone; ending, so that both are started again");
	end(d, FAULT_NETWORK);
}

/* Where systemd-resolved is, the second one names it; the first one names those that it asks. */
static const char *const resolv_conf[] = { "/run/systemd/resolve/resolv.conf", "/etc/resolv.conf",
					   NULL };

static void on_ready(void *context)
{
	struct daemon *d = context;
	char text[IP_TEXT_MAX];
	int r;

	if (d->ending)
		return;
	r = http_server_listen(d->server, &d->listen, NULL, &d->listener);
	if (r < 0) {
		log_error_errno(r, "cannot listen on %s", endpoint_format(&d->listen, text));
		end(d, FAULT_NETWORK);
		return;
	}
	log_notice("ready; commands are answered on %s", endpoint_format(&d->listen, text));
	r = tunnel_serve_names(d->tunnel, resolv_conf);
	if (r < 0)
		log_error_errno(r, "DNS cannot be served to devices");
	r = tunnel_serve_routes(d->tunnel);
	if (r < 0)
		log_error_errno(r, "no port can be shared by host name");
	r = https_start(d->tunnel, d->server, &d->https);
	if (r < 0)
		log_error_errno(r, "the web interface cannot be served");
	r = port_sockets_start(&d->loop, d->tunnel, d->netd, &d->port_sockets);
	if (r < 0)
		log_error_errno(r, "devices cannot open ports by themselves");
}

/* How many connections leave descriptors for everything else, where they are few (allow_connections()). */
static unsigned connections_max(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 ||
	    limit.rlim_cur >= HTTP_CONNECTIONS_MAX + DESCRIPTORS_RESERVED)
		return HTTP_CONNECTIONS_MAX;
	return limit.rlim_cur > 2 * DESCRIPTORS_RESERVED
		       ? (unsigned)limit.rlim_cur - DESCRIPTORS_RESERVED
		       : (unsigned)limit.rlim_cur / 2;
}

/* What is served over HTTP, and to whom. Nothing listens yet. What was made when this fails is freed with
 * the rest, in on_idle(). */
static int begin_front(struct daemon *d)
{
	struct account *account = tunnel_account(d->tunnel);
	struct rpc_front_options options = {
		.authenticator = account_authenticator(account),
		.files = &pages,
		.routes = d->routes,
	};
	int r = account_set_local_secret(account, d->cookie);

	if (r == 0)
		r = rpc_dispatcher_new(&tunnel_api, d->tunnel, &d->dispatcher);
	if (r == 0)
		r = rpc_continuations_new(&d->continuations);
	if (r == 0)
		r = tunnel_serve_sockets(d->tunnel, d->continuations);
	if (r < 0)
		return r;
	web_routes(d->tunnel, d->routes);
	options.dispatcher = d->dispatcher;
	options.continuations = d->continuations;
	r = rpc_front_new(&options, &d->front);
	if (r < 0)
		return r;
	rpc_front_set_names(d->front, web_listener_is_host, d->tunnel);
	return http_server_new(&d->loop,
			       &(struct http_server_options){
				       .handlers = &rpc_front_handlers,
				       .context = d->front,
				       .connections_max = connections_max(),
			       },
			       &d->server);
}

static int begin(struct daemon *d, int netd_fd, struct fault *fault)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGQUIT };
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(d->signals); i++) {
		(void)uv_signal_init(&d->loop, &d->signals[i]);
		d->signals[i].data = d;
		(void)uv_signal_start(&d->signals[i], on_signal, numbers[i]);
	}
	r = netd_client_new(&d->loop, netd_fd, on_netd_closed, d, &d->netd);
	if (r == 0)
		r = tunnel_new(&d->loop, d->options.datadir, d->netd, &d->tunnel, fault);
	if (r == 0)
		r = begin_front(d);
	secret_wipe(d->cookie, sizeof(d->cookie));
	if (r < 0)
		return fault_set_errno(fault, r, FAULT_UNKNOWN, "starting the daemon");
	tunnel_start(d->tunnel, on_ready, d);
	return 0;
}

/* Few threads and heaps: the daemon does one thing at a time, and memory is dear on a small server. Two
 * threads, so that no edit waits for a password that is hashed. */
static void save_memory(void)
{
	(void)setenv("UV_THREADPOOL_SIZE", "2", 1);
	(void)mallopt(M_ARENA_MAX, 1);
	(void)mallopt(M_TRIM_THRESHOLD, 256 * 1024);
}

/* Descriptors for each connection, and some for the rest: a shell allows 1,024, as a rule. Of a port that is shared
 * by host name a connection takes several (demux/demux.h). */
static void allow_connections(void)
{
	const rlim_t wanted = DESCRIPTORS_MAX;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		log_warning_errno(-errno, "cannot allow %llu open files",
				  (unsigned long long)limit.rlim_cur);
}

int main(int argc, char **argv)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	struct daemon d = { 0 };
	int netd_fd = -EBADF;
	int r;

	log_init("start-tunneld", LOG_NOTICE);
	save_memory();
	allow_connections();
	json_memory_wipe_freed();
	r = options_read(argc, argv, &d.options, &fault);
	if (r == OPTIONS_SHOWN)
		return 0;
	if (r == 0 && endpoint_parse(d.options.listen, &d.listen) < 0)
		r = fault_set(&fault, FAULT_PARSE_NET_ADDRESS, "--listen: %s is not an IP:PORT",
			      d.options.listen);
	if (r == 0)
		r = begin_privileged(&d, &netd_fd, &fault);
	if (r == 0) {
		(void)uv_loop_init(&d.loop);
		r = begin(&d, netd_fd, &fault);
		if (r < 0)
			end(&d, fault.kind & 0xff);
		(void)uv_run(&d.loop, UV_RUN_DEFAULT);
		(void)uv_loop_close(&d.loop);
	}
	if (r < 0) {
		log_error("%s: %s", fault_kind_text(fault.kind), fault.details);
		d.status = fault.kind & 0xff;
	}
	options_done(&d.options);
	return d.status;
}
