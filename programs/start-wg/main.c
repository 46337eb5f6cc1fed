/*
 * start-wg: a WireGuard interface without the kernel's module
 *
 * Three processes for a moment, two for good:
 *
 *  - the one that was called stays until the interface can be used, and tells by its exit status
 *    whether that came to be (with --foreground it is the data plane itself);
 *  - the data plane (core/dataplane): TUN, UDP sockets, the protocol, the configuration socket. Opens
 *    what it needs, then has no privilege whatever and a short list of system calls;
 *  - the opener (core/dataplane/opener.h): keeps the privilege to open and mark UDP sockets, which
 *    the data plane may ask it for with a message of fixed size; unlinks the configuration socket
 *    in the end. It outlives the data plane by a moment.
 *
 * The program ends when its interface is removed, or by SIGTERM or SIGINT, and takes the interface
 * and the configuration socket with it.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "base/log.h"
#include "dataplane/dataplane.h"
#include "dataplane/sandbox.h"
#include "dataplane/uapi_server.h"
#include "journal.h"
#include "notify.h"
#include "options.h"
#include "status.h"

#define MTU_DEFAULT 1420

struct program {
	struct options options;
	struct poller poller;
	struct poller_source signals;
	struct opener opener;
	struct dataplane *dataplane;
	struct uapi_server *uapi;
	bool empty_root; /* is where the data plane lives */
	int ready_fd; /* tells the process that was called; -EBADF: none */
};

/* What to do about an error that starting may meet. */
struct advice {
	int error;
	const char *text;
};

static int fail(int error, const struct advice *advices, const char *what, const char *object)
{
	for (; advices->error != 0; advices++) {
		if (advices->error == error) {
			log_error("cannot %s %s: %s", what, object, advices->text);
			return error;
		}
	}
	log_error_errno(error, "cannot %s %s", what, object);
	return error;
}

static int set_log_level(void)
{
	static const struct {
		const char *name;
		int level;
	} levels[] = {
		{ "silent", LOG_EMERG - 1 }, { "error", LOG_ERR },   { "info", LOG_INFO },
		{ "verbose", LOG_DEBUG },    { "debug", LOG_DEBUG },
	};
	const char *wanted = getenv("LOG_LEVEL");
	int level = LOG_INFO;

	for (size_t i = 0; wanted && i < ARRAY_SIZE(levels); i++) {
		if (strcmp(wanted, levels[i].name) == 0)
			level = levels[i].level;
	}
	log_init("start-wg", level);
	return level;
}

/* Waits for the child's word. Returns the exit status of the program that was called. */
static int await_ready(int fd, pid_t child)
{
	char byte;
	int status = 0;
	ssize_t n;

	do {
		n = read(fd, &byte, 1);
	} while (n < 0 && errno == EINTR);
	if (n == 1)
		return EXIT_SUCCESS;
	(void)waitpid(child, &status, 0);
	if (WIFSIGNALED(status))
		log_error("cannot start: the process in the background was ended by signal %d",
			  WTERMSIG(status));
	return EXIT_FAILURE;
}

/* Goes to the background: only the child returns. */
static int daemonize(struct program *p)
{
	int ends[2];
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	child = fork();
	if (child < 0)
		return -errno;
	if (child > 0) {
		(void)close(ends[1]);
		exit(await_ready(ends[0], child));
	}
	(void)close(ends[0]);
	p->ready_fd = ends[1];
	/* Outlives who called: another session, and no directory held. */
	(void)setsid();
	return chdir("/") < 0 ? -errno : 0;
}

static void on_signal(struct poller_source *source, uint32_t events)
{
	struct program *p = container_of(source, struct program, signals);
	struct signalfd_siginfo info;

	(void)events;
	if (read(source->fd, &info, sizeof(info)) != sizeof(info))
		return;
	log_info("%s: ends by signal %u", p->options.interface, info.ssi_signo);
	poller_stop(&p->poller);
}

static int watch_signals(struct program *p)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	/* The opener inherits this and ends by the data plane's end alone. */
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return -errno;
	p->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (p->signals.fd < 0)
		return -errno;
	p->signals.events = EPOLLIN;
	p->signals.ready = on_signal;
	return poller_add(&p->poller, &p->signals);
}

static void on_ended(void *context)
{
	struct program *p = context;

	log_info("%s: ends, the interface was removed", p->options.interface);
	poller_stop(&p->poller);
}

static void on_renamed(void *context, const char *name)
{
	struct program *p = context;

	log_notice("%s: the interface is called %s now; the configuration socket keeps its name",
		   p->options.interface, name);
}

static int on_set(void *context, const struct wg_config *change)
{
	struct program *p = context;
	int r = dataplane_configure(p->dataplane, change);

	if (r < 0)
		log_warning_errno(r, "%s: cannot apply a change of %zu peers", p->options.interface,
				  change->peer_count);
	return r;
}

static int on_get(void *context, struct wg_config *ret)
{
	const struct program *p = context;

	return dataplane_read(p->dataplane, ret);
}

static int on_find_link(void *context, const char *name, uint32_t *ret)
{
	const struct program *p = context;

	return dataplane_find_link(p->dataplane, name, ret);
}

static void on_status(void *context, struct text *to)
{
	const struct program *p = context;

	dataplane_write_status(p->dataplane, to);
	text_printf(to, "empty_root=%d\n", p->empty_root);
}

static const struct dataplane_ops dataplane_ops = { on_ended, on_renamed };
static const struct uapi_server_ops uapi_ops = { on_set, on_get, on_find_link, on_status };

static void log_features(const char *name, unsigned features)
{
	log_debug("%s: interface made; header %s, checksums %s, TSO %s, TSO for IPv6 %s, USO %s",
		  name, features & TUN_HAS_HEADER ? "yes" : "no",
		  features & TUN_HAS_CSUM ? "yes" : "no", features & TUN_HAS_TSO4 ? "yes" : "no",
		  features & TUN_HAS_TSO6 ? "yes" : "no", features & TUN_HAS_USO ? "yes" : "no");
}

static int open_tun(struct program *p, struct tun *ret)
{
	static const struct advice advices[] = {
		{ -EBUSY, "another program holds it; stop that one, or choose another name" },
		{ -EPERM, "making interfaces needs CAP_NET_ADMIN; run start-wg as root" },
		{ -EACCES, "/dev/net/tun may not be opened; run start-wg as root" },
		{ -ENOENT, "/dev/net/tun is missing; load the module (modprobe tun) or, in a "
			   "container, pass the device in" },
		{ -ENODEV, "the kernel has no TUN driver; load the module (modprobe tun)" },
		{ -EINVAL,
		  "an interface of another kind has this name; remove it, or choose another "
		  "name" },
		{ 0 },
	};
	const char *name = p->options.interface;
	bool existed = if_nametoindex(name) != 0;
	int r = tun_open(name, p->options.tun_features, ret);

	if (r < 0)
		return fail(r, advices, "make interface", name);
	log_features(name, ret->features);
	if (existed)
		return 0; /* a persistent one: its MTU is somebody's choice */
	r = tun_set_mtu(ret, MTU_DEFAULT);
	if (r < 0)
		log_error_errno(r, "cannot set the MTU of %s to %d", name, MTU_DEFAULT);
	return r;
}

static int open_uapi(struct program *p, int directory_fd, const char *name, int *ret_fd)
{
	static const struct advice advices[] = {
		{ -EADDRINUSE, "another program answers there; stop that one, or choose another "
			       "interface" },
		{ 0 },
	};
	cleanup_close int fd = -EBADF;
	ino_t inode = 0;
	int r = uapi_socket_open(UAPI_DIRECTORY, directory_fd, name, &fd, &inode);

	if (r < 0)
		return fail(r, advices, "make the configuration socket " UAPI_DIRECTORY "/", name);
	r = opener_own_socket(&p->opener, inode);
	if (r < 0)
		return fail(r, advices + 1, "hand over the configuration socket of", name);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int open_dataplane(struct program *p, struct tun *tun, int uapi_fd)
{
	const struct advice none = { 0 };
	int r = dataplane_new(&p->poller, tun, &p->opener, p->options.dataplane_flags,
			      &dataplane_ops, p, &p->dataplane);

	if (r < 0) {
		(void)close(uapi_fd);
		return fail(r, &none, "open UDP sockets for", p->options.interface);
	}
	r = uapi_server_new(&p->poller, uapi_fd, &uapi_ops, p, &p->uapi);
	return r < 0 ? fail(r, &none, "serve the configuration socket of", p->options.interface)
		     : 0;
}

/* Everything that is opened, in the order in which each needs the one before. */
static int open_all(struct program *p)
{
	const struct advice none = { 0 };
	CLEANUP(tun_close) struct tun tun = { .fd = -EBADF };
	cleanup_close int directory_fd = -EBADF;
	char name[IFNAMSIZ + sizeof(".sock")];
	int uapi_fd = -EBADF;
	int r;

	(void)snprintf(name, sizeof(name), "%s.sock", p->options.interface);
	r = uapi_directory_open(UAPI_DIRECTORY, &directory_fd);
	if (r < 0)
		return fail(r, &none, "open the directory", UAPI_DIRECTORY);
	r = opener_start(directory_fd, name, p->options.udp_flags, &p->opener);
	if (r < 0)
		return fail(r, &none, "start the process that opens sockets for",
			    p->options.interface);
	r = open_tun(p, &tun);
	if (r == 0)
		r = open_uapi(p, directory_fd, name, &uapi_fd);
	return r == 0 ? open_dataplane(p, &tun, uapi_fd) : r;
}

/* The filter allows no call that takes a path. The empty root is a second wall, which cannot be had in a
 * container without CAP_SYS_CHROOT. */
static void enter_empty_root(struct program *p)
{
	int r = sandbox_enter_empty_root(UAPI_DIRECTORY);

	if (r < 0)
		log_warning_errno(r,
				  "%s: runs without an empty root directory, behind its filter of "
				  "system calls alone",
				  p->options.interface);
	p->empty_root = r == 0;
}

static int drop_privilege(struct program *p)
{
	static const struct advice advices[] = {
		{ -ENOENT, "there is no such user; name one with --user" },
		{ -EINVAL, "this container has no such user; name one that it has with --user" },
		{ 0 },
	};
	/* Any other daemon that is nobody could end a process that is nobody too. */
	const char *name = p->options.user ? p->options.user : "start-wg";
	struct sandbox_user user;
	int r = sandbox_find_user(name, &user);

	if (r == -ENOENT && !p->options.user) {
		name = "nobody";
		r = sandbox_find_user(name, &user);
	}
	if (r == 0)
		enter_empty_root(p); /* in which no user can be looked up */
	if (r == 0)
		r = sandbox_drop_privilege(&user);
	return r < 0 ? fail(r, advices, "become user", name) : 0;
}

/* Gives up all privilege, and everything that is not needed from here on. */
static int shut_in(struct program *p)
{
	static const struct advice advices[] = {
		{ -EAGAIN, "its user has as many processes as it may; raise that limit, or name "
			   "another user with --user" },
		{ 0 },
	};
	const struct advice *none = &advices[1];
	int r = drop_privilege(p);

	if (r < 0)
		return r;
	r = dataplane_start_workers(p->dataplane);
	if (r < 0)
		return fail(r, advices, "start threads for", p->options.interface);
	r = sandbox_filter_dataplane();
	return r < 0 ? fail(r, none, "filter the system calls of", p->options.interface) : 0;
}

/* Lets go of the caller's terminal or pipes. */
static void detach(int null_fd, int log_fd)
{
	(void)dup2(null_fd, STDIN_FILENO);
	(void)dup2(null_fd, STDOUT_FILENO);
	(void)dup2(log_fd >= 0 ? log_fd : null_fd, STDERR_FILENO);
}

/* Gives up what is not needed from here on, and says that the interface can be used. */
static int become_ready(struct program *p, int log_level)
{
	cleanup_close int null_fd = -EBADF;
	cleanup_close int journal_fd = -EBADF;
	cleanup_close int notify_fd = notify_open();
	int r;

	if (!p->options.foreground) {
		null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		journal_fd = journal_open("start-wg");
		if (null_fd < 0)
			return fail(-errno, &(struct advice){ 0 }, "open", "/dev/null");
	}
	r = shut_in(p);
	if (r < 0)
		return r;
	if (notify_fd >= 0)
		notify_ready(notify_fd);
	if (p->options.foreground)
		return 0;
	detach(null_fd, journal_fd);
	if (journal_fd >= 0) {
		(void)setenv("JOURNAL_STREAM", "1", 1); /* the log looks for it */
		log_init("start-wg", log_level);
	}
	(void)!write(p->ready_fd, "", 1);
	cleanup_close_fd(&p->ready_fd);
	return 0;
}

static int start(struct program *p, int log_level)
{
	int r = poller_init(&p->poller);

	if (r == 0)
		r = watch_signals(p);
	if (r < 0)
		return fail(r, &(struct advice){ 0 }, "make an event loop for",
			    p->options.interface);
	r = open_all(p);
	return r == 0 ? become_ready(p, log_level) : r;
}

static void log_counters(const struct program *p)
{
	const struct dataplane_counters *c = dataplane_counters(p->dataplane);

	log_debug("%s: %" PRIu64 " packets read, %" PRIu64 " sealed; %" PRIu64
		  " datagrams with %" PRIu64 " messages received, %" PRIu64 " opened, %" PRIu64
		  " writes, %" PRIu64 " failed",
		  p->options.interface, c->tun_packets, c->sealed, c->trains, c->messages,
		  c->opened, c->tun_writes, c->tun_write_errors);
}

static void stop(struct program *p)
{
	if (p->dataplane)
		log_counters(p);
	/* As long as this one answers, no other takes the name: what is unlinked is not its socket. */
	if (p->opener.fd >= 0)
		(void)opener_unlink_socket(&p->opener);
	uapi_server_free(p->uapi);
	dataplane_free(p->dataplane);
	opener_done(&p->opener);
	cleanup_close_fd(&p->signals.fd);
	poller_done(&p->poller);
}

int main(int argc, char **argv)
{
	struct program p = {
		.poller = { .fd = -EBADF },
		.signals = { .fd = -EBADF },
		.opener = { .fd = -EBADF },
		.ready_fd = -EBADF,
	};
	int log_level = set_log_level();
	int r = options_parse(argc, argv, &p.options);

	if (r != OPTIONS_RUN)
		return r == OPTIONS_DONE ? EXIT_SUCCESS : 2;
	if (p.options.status)
		return status_print(p.options.interface);
	closefrom(STDERR_FILENO + 1); /* a caller's pipe that was left open would never end */
	if (!p.options.foreground && daemonize(&p) < 0) {
		log_error("cannot go to the background: no process or pipe can be made");
		return EXIT_FAILURE;
	}
	r = start(&p, log_level);
	if (r == 0)
		r = poller_run(&p.poller);
	stop(&p);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
