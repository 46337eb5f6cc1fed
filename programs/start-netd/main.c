/*
 * start-netd: the process with the privilege
 *
 * Started by start-tunneld before that gives its own privilege up. Serves the short table of typed
 * requests of netd_protocol.h over the socket it inherits, one at a time, and repairs what others
 * do to the state in its care. Ends when the socket closes, and leaves the kernel's state as it is:
 * the tunnel, its forwards and connections go on. The next one waits for that end (predecessor.h).
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/secret.h"
#include "options.h"
#include "predecessor.h"
#include "privilege.h"
#include "requests.h"
#include "sandbox/syscall_filter.h"
#include "transparent.h"

#define READ_SIZE 65536
#define RECEIVE_MAX (NETD_FRAME_MAX + 4)

struct program {
	struct options options;
	struct requests requests;
	struct text received; /* holds keys */
	int children; /* tells the end of what we started */
};

static void program_done(struct program *p)
{
	options_done(&p->options);
	(void)network_free(p->requests.network);
	text_done_secret(&p->received);
	if (p->children >= 0)
		(void)close(p->children);
	if (p->requests.transparent >= 0)
		(void)close(p->requests.transparent);
}
DEFINE_CLEANUP_DONE(struct program, program_done);

/* Sends some bytes, and a descriptor with them unless it is negative. */
static ssize_t send_some(const void *bytes, size_t size, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec part = { .iov_base = (void *)bytes, .iov_len = size };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	if (fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		*CMSG_FIRSTHDR(&message) = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
							     .cmsg_level = SOL_SOCKET,
							     .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &fd, sizeof(fd));
	}
	return sendmsg(NETD_SOCKET_FD, &message, MSG_NOSIGNAL);
}

/* The descriptor, unless negative, goes with the first byte. */
static int send_answer(const struct text *answer, int fd)
{
	size_t sent = 0;

	while (sent < answer->size) {
		ssize_t n = send_some(answer->data + sent, answer->size - sent,
				      sent == 0 ? fd : -EBADF);
		struct pollfd room = { .fd = NETD_SOCKET_FD, .events = POLLOUT };

		if (n >= 0)
			sent += (size_t)n;
		else if (errno == EAGAIN)
			(void)poll(&room, 1, -1);
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}

/* Keeps what follows the first @size bytes, and wipes the rest. */
static void pass_over(struct text *received, size_t size)
{
	size_t left = received->size - size;

	memmove(received->data, received->data + size, left);
	secret_wipe(received->data + left, size);
	received->size = left;
}

static int handle_frames(struct program *p)
{
	struct netd_frame frame;
	ssize_t size;

	while ((size = netd_frame_parse((const uint8_t *)text_string(&p->received),
					p->received.size, &frame)) > 0) {
		CLEANUP(text_done) struct text answer = { 0 };
		cleanup_close int fd = -EBADF;
		int r = requests_handle(&p->requests, &frame, &answer, &fd);

		if (r == 0)
			r = send_answer(&answer, fd);
		if (r < 0)
			return r;
		pass_over(&p->received, (size_t)size);
	}
	return (int)size;
}

/* Returns 0, -ECONNRESET (closed), or why the other side cannot be served any more. */
static int on_socket(struct program *p)
{
	static uint8_t chunk[READ_SIZE];
	ssize_t size = recv(NETD_SOCKET_FD, chunk, sizeof(chunk), MSG_DONTWAIT);

	if (size < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (size == 0)
		return -ECONNRESET;
	text_append_bytes(&p->received, chunk, (size_t)size);
	secret_wipe(chunk, (size_t)size);
	if (text_error(&p->received) < 0)
		return text_error(&p->received);
	return handle_frames(p);
}

static void on_children(struct program *p)
{
	struct signalfd_siginfo info;

	(void)!read(p->children, &info, sizeof(info));
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static void watch_network(struct program *p)
{
	const char *text = NULL;
	int error = 0;

	if (!network_run(p->requests.network, &text, &error))
		return;
	if (error < 0)
		log_warning("repairing the network's state failed: %s", text);
	else
		log_notice("the network's state was not as wanted, repaired: %s", text);
}

static void tidy_up(struct program *p)
{
	int r = network_tidy(p->requests.network);

	if (r < 0)
		log_warning_errno(r, "cannot end the connections of what was removed");
}

/* The relay that wanted sockets may end, and another one ask again. */
static void on_transparent(struct program *p)
{
	int r = transparent_serve(p->requests.transparent);

	if (r == 0)
		return;
	if (r != -ECONNRESET && r != -EPIPE)
		log_warning_errno(r, "cannot give sockets to the relay of shared ports");
	(void)close(p->requests.transparent);
	p->requests.transparent = -EBADF;
}

static int run(struct program *p)
{
	struct pollfd fds[NETWORK_FDS + 3];
	int r = 0;

	network_poll_fds(p->requests.network, fds);
	fds[NETWORK_FDS] = (struct pollfd){ .fd = NETD_SOCKET_FD, .events = POLLIN };
	fds[NETWORK_FDS + 1] = (struct pollfd){ .fd = p->children, .events = POLLIN };
	fds[NETWORK_FDS + 2] = (struct pollfd){ .events = POLLIN };
	while (r == 0) {
		int timeout = network_poll_timeout_ms(p->requests.network);
		int ready;

		fds[NETWORK_FDS + 2].fd = p->requests.transparent;
		ready = poll(fds, ARRAY_SIZE(fds), timeout);
		if (ready < 0 && errno == EINTR)
			continue;
		if (ready < 0)
			return -errno;
		if (fds[NETWORK_FDS + 1].revents)
			on_children(p);
		if (fds[NETWORK_FDS].revents &
		    POLLHUP) /* what is repaired is the next one's matter */
			return -ECONNRESET;
		if (fds[NETWORK_FDS + 2].revents)
			on_transparent(p);
		watch_network(p);
		if (fds[NETWORK_FDS].revents)
			r = on_socket(p);
		if (r == 0)
			tidy_up(p);
	}
	return r;
}

/* A terminal's interrupt reaches the whole group: it is start-tunneld that decides, by closing. */
static int set_up_signals(struct program *p)
{
	sigset_t children;

	if (signal(SIGINT, SIG_IGN) == SIG_ERR || signal(SIGHUP, SIG_IGN) == SIG_ERR ||
	    signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return -errno;
	(void)sigemptyset(&children);
	(void)sigaddset(&children, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &children, NULL) < 0)
		return -errno;
	p->children = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
	return p->children < 0 ? -errno : 0;
}

static int check_socket(void)
{
	int type;
	socklen_t size = sizeof(type);

	if (getsockopt(NETD_SOCKET_FD, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
		return -errno;
	if (type != SOCK_STREAM)
		return -EPROTOTYPE;
	return fcntl(NETD_SOCKET_FD, F_SETFD, FD_CLOEXEC) < 0 ? -errno : 0;
}

/* Before anything is started that shall inherit it. Under systemd the unit has a filter of the same kind,
 * and the capability that this one takes is not there. */
static int filter_calls(void)
{
	int r = syscall_filter_guard();

	if (r == -EACCES && prctl(PR_GET_SECCOMP) > 0)
		return 0;
	if (r == -EACCES || r == -EINVAL) {
		log_warning_errno(r, "system calls are not filtered: this takes CAP_SYS_ADMIN, or "
				     "a unit of systemd with SystemCallFilter=");
		return 0;
	}
	return r;
}

static int begin(struct program *p)
{
	int r = check_socket();

	if (r < 0) {
		log_error_errno(r, "descriptor %d is no socket of start-tunneld, which starts this",
				NETD_SOCKET_FD);
		return r;
	}
	r = filter_calls();
	if (r < 0) {
		log_error_errno(r, "cannot filter system calls");
		return r;
	}
	r = predecessor_await();
	if (r < 0)
		return r;
	r = network_new(p->options.backend, p->options.start_wg, &p->requests.network);
	if (r < 0) {
		log_error_errno(r, "cannot reach the kernel's network configuration");
		return r;
	}
	r = privilege_narrow();
	if (r == 0)
		r = set_up_signals(p);
	if (r < 0)
		log_error_errno(r, "cannot narrow the privilege; start-netd runs as root");
	p->requests.reboot_command = p->options.reboot_command;
	return r;
}

int main(int argc, char **argv)
{
	CLEANUP(program_done)
	struct program p = { .received.max = RECEIVE_MAX,
			     .requests.transparent = -EBADF,
			     .children = -EBADF };
	int r;

	log_init("start-netd", LOG_INFO);
	r = options_parse(argc, argv, &p.options);
	if (r != OPTIONS_RUN)
		return r == OPTIONS_SHOWN ? EXIT_SUCCESS : EXIT_FAILURE;
	if (begin(&p) < 0)
		return EXIT_FAILURE;
	r = run(&p);
	if (r == -ECONNRESET)
		return EXIT_SUCCESS;
	log_error_errno(r, "start-tunneld does not keep to the protocol; ending");
	return EXIT_FAILURE;
}
