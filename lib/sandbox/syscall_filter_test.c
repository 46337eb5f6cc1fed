/* What the filters let through, each tried in a child of its own: they are never taken back. */
#include "base/test.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/sanitized.h"
#include "sandbox/syscall_filter.h"

#define KILLED (-1) /* by SIGSYS */
#define NO_FILTER 200 /* exit status: it could not be loaded, for want of CAP_SYS_ADMIN */

/* 0, or the errno of a call that returned a negative number. */
static int error_of(long result)
{
	return result < 0 ? errno : 0;
}

static int try_execve(void)
{
	char *argv[] = { (char *)"/bin/true", NULL };

	return error_of(execv(argv[0], argv));
}

static int try_execve_in_child(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(try_execve());
	return pid < 0 || waitpid(pid, &status, 0) < 0	   ? errno
	       : WIFEXITED(status) && !WEXITSTATUS(status) ? 0
							   : ECHILD;
}

static int try_ptrace(void)
{
	return error_of(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int try_mount(void)
{
	return error_of(mount("none", "/nowhere", "tmpfs", 0, NULL));
}

static int try_bpf(void)
{
	return error_of(syscall(SYS_bpf, -1, NULL, 0));
}

static int try_keyctl(void)
{
	return error_of(syscall(SYS_keyctl, -1));
}

static int try_module(void)
{
	return error_of(syscall(SYS_finit_module, -1, "", 0));
}

static int try_perf(void)
{
	return error_of(syscall(SYS_perf_event_open, NULL, -1, -1, -1, 0));
}

static int try_setuid(void)
{
	return error_of(setuid(getuid()));
}

static int try_unshare_user(void)
{
	return error_of(unshare(CLONE_NEWUSER));
}

static int try_unshare_mounts(void)
{
	return error_of(unshare(CLONE_NEWUSER | CLONE_NEWNS));
}

static int try_clone_mounts(void)
{
	long pid =
		syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWNS | SIGCHLD, NULL, NULL, NULL, NULL);

	if (pid == 0)
		_exit(0);
	return error_of(pid);
}

static int try_io_uring(void)
{
	return error_of(syscall(SYS_io_uring_setup, 0, NULL));
}

static int try_code(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int r = page == MAP_FAILED ? errno : 0;

	if (r == 0)
		r = error_of(mprotect(page, 4096, PROT_READ | PROT_EXEC));
	return r;
}

static int try_socket(int family, int type, int protocol)
{
	cleanup_close int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);

	return error_of(fd);
}

static int try_tcp(void)
{
	return try_socket(AF_INET, SOCK_STREAM, 0);
}

static int try_udp6(void)
{
	return try_socket(AF_INET6, SOCK_DGRAM, 0);
}

static int try_route(void)
{
	return try_socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
}

static int try_netfilter(void)
{
	return try_socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
}

static int try_packet(void)
{
	return try_socket(AF_PACKET, SOCK_RAW, 0);
}

static int try_raw(void)
{
	return try_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

static int try_family(void)
{
	return try_socket(AF_ALG, SOCK_SEQPACKET, 0);
}

static int try_typing(void)
{
	return error_of(ioctl(STDIN_FILENO, TIOCSTI, "x"));
}

static void *nothing(void *argument)
{
	return argument;
}

static int try_thread(void)
{
	pthread_t thread;
	int r = pthread_create(&thread, NULL, nothing, NULL);

	return r ? r : pthread_join(thread, NULL);
}

static int try_child(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return error_of(pid < 0 ? pid : waitpid(pid, &status, 0));
}

/* What a relay of connections does. */
static int try_relay(void)
{
	int ends[2], pair[2];
	struct epoll_event event = { .events = EPOLLIN };
	cleanup_close int poller = epoll_create1(EPOLL_CLOEXEC);

	int queued;

	if (poller < 0 || pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) < 0 ||
	    epoll_ctl(poller, EPOLL_CTL_ADD, pair[1], &event) < 0 || write(pair[0], "x", 1) != 1 ||
	    epoll_wait(poller, &event, 1, -1) != 1 || ioctl(pair[1], FIONREAD, &queued) < 0 ||
	    ioctl(pair[1], SIOCOUTQ, &queued) < 0 ||
	    splice(pair[1], NULL, ends[1], NULL, 1, SPLICE_F_NONBLOCK) != 1)
		return errno;
	return 0;
}

static int try_files(void)
{
	char path[] = "/tmp/syscall_filter_test.XXXXXX";
	cleanup_close int fd = mkstemp(path);

	if (fd < 0 || ftruncate(fd, 4096) < 0 || fsync(fd) < 0 || unlink(path) < 0)
		return errno;
	return 0;
}

struct filter_case {
	const char *name;
	int (*try)(void);
	int serve, guard; /* the errno that it fails with, 0: it works, KILLED */
};

#define ANY (-2) /* depends on who runs the test, or on the machine */

static const struct filter_case cases[] = {
	{ "another program", try_execve_in_child, ECHILD, 0 },
	{ "another program in its place", try_execve, KILLED, 0 },
	{ "another process's memory", try_ptrace, KILLED, EPERM },
	{ "a mount", try_mount, KILLED, EPERM },
	{ "a program in the kernel", try_bpf, KILLED, EPERM },
	{ "the kernel's keys", try_keyctl, KILLED, EPERM },
	{ "a module", try_module, KILLED, EPERM },
	{ "the kernel's counters", try_perf, KILLED, EPERM },
	{ "another user", try_setuid, KILLED, 0 },
	{ "a namespace of users", try_unshare_user, KILLED, ANY },
	{ "a namespace of mounts", try_unshare_mounts, KILLED, EPERM },
	{ "a child in a namespace of mounts", try_clone_mounts, ENOSYS, EPERM },
	{ "what came with later kernels", try_io_uring, ENOSYS, ANY },
	{ "memory with code", try_code, ENOSYS, 0 },
	{ "TCP", try_tcp, 0, 0 },
	{ "UDP over IPv6", try_udp6, 0, 0 },
	{ "addresses of this machine", try_route, 0, 0 },
	{ "rules of the firewall", try_netfilter, ENOSYS, 0 },
	{ "packets of a link", try_packet, ENOSYS, EPERM },
	{ "raw packets", try_raw, ENOSYS, EPERM },
	{ "another family of sockets", try_family, ENOSYS, EPERM },
	{ "typing on the terminal", try_typing, ENOSYS, ANY },
	{ "a thread", try_thread, 0, 0 },
	{ "a child", try_child, 0, 0 },
	{ "a relay", try_relay, 0, 0 },
	{ "files", try_files, 0, 0 },
};

static int serve(void)
{
	int r = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;

	return r < 0 ? r : syscall_filter_serve();
}

/* Returns an errno, 0, KILLED or NO_FILTER. */
static int outcome(int (*filter)(void), int (*try)(void))
{
	const struct rlimit no_core = { 0 };
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)setrlimit(RLIMIT_CORE, &no_core);
		if (filter() < 0 || prctl(PR_GET_SECCOMP) != SECCOMP_MODE_FILTER)
			_exit(NO_FILTER);
		_exit(try());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status)) {
		assert_int_equal(WTERMSIG(status), SIGSYS);
		return KILLED;
	}
	return WEXITSTATUS(status);
}

static int loaded(void)
{
	return 0;
}

static void who_serves_strangers(void **state)
{
	if (SANITIZED) { /* which leaves the filter out */
		assert_int_equal(outcome(serve, loaded), NO_FILTER);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		print_message("%s\n", cases[i].name);
		assert_int_equal(outcome(serve, cases[i].try), cases[i].serve);
	}
}

static void who_has_privilege(void **state)
{
	if (outcome(syscall_filter_guard, loaded) == NO_FILTER) {
		/* A sanitizer, or no CAP_SYS_ADMIN: then it says so. */
		assert_true(SANITIZED || syscall_filter_guard() == -EACCES);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int got;

		print_message("%s\n", cases[i].name);
		got = outcome(syscall_filter_guard, cases[i].try);
		if (cases[i].guard != ANY)
			assert_int_equal(got, cases[i].guard);
		else
			assert_true(got != KILLED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_serves_strangers),
		cmocka_unit_test(who_has_privilege),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
