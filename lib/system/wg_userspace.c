#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/text.h"
#include "system/wg_link_internal.h"
#include "wireguard/uapi.h"

#define SOCKET_DIRECTORY "/var/run/wireguard"
#define START_TIMEOUT_S 10
#define ANSWER_TIMEOUT_S 10
#define READ_SIZE 65536
#define ERRNO_MAX 4095
#define LISTEN_RETRY_MS 5 /* the socket's file is there a moment before it can be connected to */

static int connect_socket(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval timeout = { .tv_sec = ANSWER_TIMEOUT_S };
	cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	(void)snprintf(address.sun_path, sizeof(address.sun_path), SOCKET_DIRECTORY "/%s.sock",
		       name);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0 ||
	    connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

bool wg_userspace_alive(const char *name)
{
	cleanup_close int fd = connect_socket(name);

	return fd >= 0;
}

static int send_all(int fd, const struct text *request)
{
	size_t sent = 0;

	if (text_error(request) < 0)
		return text_error(request);
	while (sent < request->size) {
		ssize_t n = send(fd, request->data + sent, request->size - sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		sent += (size_t)n;
	}
	return 0;
}

static bool is_complete(const struct text *answer)
{
	return answer->size >= 2 && memcmp(answer->data + answer->size - 2, "\n\n", 2) == 0;
}

/* Reads up to the empty line that ends an answer. The bytes hold keys: they are wiped. */
static int receive_answer(int fd, struct text *answer)
{
	char chunk[READ_SIZE];
	int r = 0;

	while (r == 0 && !is_complete(answer)) {
		ssize_t n = recv(fd, chunk, sizeof(chunk), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			r = errno == EAGAIN ? -ETIMEDOUT : -errno;
		} else if (n == 0) {
			r = -ECONNRESET;
		} else {
			text_append_bytes(answer, chunk, (size_t)n);
			r = text_error(answer);
		}
	}
	explicit_bzero(chunk, sizeof(chunk));
	return r;
}

/* The answer ends in the line "errno=N": cuts it off. Returns -N, 0 or -EBADMSG. */
static int cut_status(struct text *answer)
{
	static const char key[] = "errno=";
	size_t start = answer->size - 2;
	char *end;
	long number;

	while (start > 0 && answer->data[start - 1] != '\n')
		start--;
	if (strncmp(answer->data + start, key, sizeof(key) - 1) != 0)
		return -EBADMSG;
	number = strtol(answer->data + start + sizeof(key) - 1, &end, 10);
	if (*end != '\n' || number < -ERRNO_MAX || number > ERRNO_MAX)
		return -EBADMSG;
	answer->size = start;
	return number < 0 ? (int)number : -(int)number;
}

static int converse(const char *name, const struct text *request, struct text *answer)
{
	cleanup_close int fd = connect_socket(name);
	int r = fd < 0 ? fd : send_all(fd, request);

	if (r == 0)
		r = receive_answer(fd, answer);
	return r == 0 ? cut_status(answer) : r;
}

int wg_userspace_set(const char *name, const struct wg_config *change)
{
	CLEANUP(text_done_secret) struct text request = { 0 };
	CLEANUP(text_done_secret) struct text answer = { .max = UAPI_MESSAGE_MAX };

	uapi_write_set(&request, change);
	return converse(name, &request, &answer);
}

static int find_link(void *context, const char *name, uint32_t *ret)
{
	(void)context;
	*ret = if_nametoindex(name);
	return *ret ? 0 : -ENODEV;
}

int wg_userspace_get(const char *name, struct wg_config *ret)
{
	CLEANUP(text_done_secret) struct text request = { 0 };
	CLEANUP(text_done_secret) struct text answer = { .max = UAPI_MESSAGE_MAX };
	static const struct uapi_links links = { find_link, NULL };
	int r;

	text_append(&request, "get=1\n\n");
	r = converse(name, &request, &answer);
	return r < 0 ? r : uapi_parse(answer.data, answer.size, &links, ret);
}

/* In the child: a session of its own, no descriptor of ours but the standard three. */
static void become(const char *name, const char *program)
{
	char *argv[] = { (char *)(uintptr_t)program, (char *)(uintptr_t)name, NULL };
	sigset_t none;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGINT, SIG_DFL);
	(void)signal(SIGHUP, SIG_DFL);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)setsid();
	if (close_range(STDERR_FILENO + 1, UINT_MAX, CLOSE_RANGE_CLOEXEC) == 0)
		(void)execv(program, argv);
	_exit(127);
}

static int pidfd_of(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -errno : fd;
}

/* A program that goes to the background ends with 0; any other end is a failure. */
static int reap(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return WIFEXITED(status) && WEXITSTATUS(status) == 127 ? -ENOENT : -ECHILD;
}

/* Waits for the socket to appear in its directory, or for the program to end. */
static int await_socket(const char *name, pid_t pid, int watch, int pidfd)
{
	uint64_t deadline = clock_monotonic_ns() + START_TIMEOUT_S * NS_PER_S;
	struct pollfd fds[] = { { .fd = watch, .events = POLLIN },
				{ .fd = pidfd, .events = POLLIN } };
	bool seen = false;
	char events[4096];

	while (!wg_userspace_alive(name)) {
		uint64_t now = clock_monotonic_ns();
		int r;

		if (now >= deadline)
			return -ETIMEDOUT;
		r = poll(fds, ARRAY_SIZE(fds),
			 seen ? LISTEN_RETRY_MS : (int)((deadline - now) / NS_PER_MS) + 1);
		if (r < 0 && errno != EINTR)
			return -errno;
		if (fds[1].revents) {
			r = reap(pid);
			if (r < 0)
				return r;
			fds[1] = (struct pollfd){ .fd = -1 };
		}
		seen |= read(watch, events, sizeof(events)) > 0;
	}
	return 0;
}

/* The device of an interface that was removed a moment ago answers until it has noticed: it is not the
 * one to be made. Returns 0 once nobody answers, or -EADDRINUSE. */
static int await_predecessor(const char *name)
{
	uint64_t deadline = clock_monotonic_ns() + START_TIMEOUT_S * NS_PER_S;
	uint64_t now;

	while ((now = clock_monotonic_ns()) < deadline) {
		cleanup_close int fd = connect_socket(name);
		struct pollfd ended = { .fd = fd, .events = POLLIN };

		if (fd < 0)
			return 0;
		/* The connection ends with the device. */
		(void)poll(&ended, 1, (int)((deadline - now) / NS_PER_MS) + 1);
		(void)poll(NULL, 0, LISTEN_RETRY_MS);
	}
	return -EADDRINUSE;
}

int wg_userspace_create(const char *name, const char *program)
{
	cleanup_close int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	cleanup_close int pidfd = -EBADF;
	pid_t pid;
	int r;

	if (mkdir(SOCKET_DIRECTORY, 0755) < 0 && errno != EEXIST)
		return -errno;
	if (watch < 0 ||
	    inotify_add_watch(watch, SOCKET_DIRECTORY, IN_CREATE | IN_MOVED_TO | IN_ATTRIB) < 0)
		return -errno;
	r = await_predecessor(name);
	if (r < 0)
		return r;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		become(name, program);
	pidfd = pidfd_of(pid);
	r = pidfd < 0 ? pidfd : await_socket(name, pid, watch, pidfd);
	if (r == -ETIMEDOUT)
		(void)kill(pid, SIGKILL);
	return r;
}
