#include "sandbox/syscall_filter.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <seccomp.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/sanitized.h"

/* A kernel header that knows them all is not at hand everywhere. */
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

#define SOCKET_TYPE_MASK 0xf /* the rest are flags: close-on-exec, non-blocking */
#define FAMILIES_END 64 /* AF_MAX is 46 in Linux 6.1 */

/* --- lists --- */

static const int serve_calls[] = {
	/* memory; mmap and mprotect are below */
	SCMP_SYS(brk),
	SCMP_SYS(madvise),
	SCMP_SYS(membarrier),
	SCMP_SYS(mincore),
	SCMP_SYS(mlock),
	SCMP_SYS(mlock2),
	SCMP_SYS(mremap),
	SCMP_SYS(msync),
	SCMP_SYS(munlock),
	SCMP_SYS(munmap),
	/* threads, children, signals and the end; clone is below */
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(fork),
	SCMP_SYS(futex),
	SCMP_SYS(futex_waitv),
	SCMP_SYS(get_robust_list),
	SCMP_SYS(getpgrp),
	SCMP_SYS(getpid),
	SCMP_SYS(getppid),
	SCMP_SYS(gettid),
	SCMP_SYS(kill),
	SCMP_SYS(pause),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(rseq),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigpending),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigsuspend),
	SCMP_SYS(rt_sigtimedwait),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(sched_getparam),
	SCMP_SYS(sched_getscheduler),
	SCMP_SYS(sched_yield),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(set_tid_address),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(signalfd4),
	SCMP_SYS(tgkill),
	SCMP_SYS(wait4),
	SCMP_SYS(waitid),
	SCMP_SYS(seccomp),
	/* time */
	SCMP_SYS(adjtimex),
	SCMP_SYS(clock_adjtime),
	SCMP_SYS(clock_getres),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(nanosleep),
	SCMP_SYS(time),
	SCMP_SYS(timerfd_create),
	SCMP_SYS(timerfd_gettime),
	SCMP_SYS(timerfd_settime),
	/* what this is and may use */
	SCMP_SYS(capget),
	SCMP_SYS(getegid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getgroups),
	SCMP_SYS(getrandom),
	SCMP_SYS(getresgid),
	SCMP_SYS(getresuid),
	SCMP_SYS(getrlimit),
	SCMP_SYS(getrusage),
	SCMP_SYS(getuid),
	SCMP_SYS(prlimit64),
	SCMP_SYS(setrlimit),
	SCMP_SYS(sysinfo),
	SCMP_SYS(times),
	SCMP_SYS(uname),
	/* descriptors; ioctl is below */
	SCMP_SYS(close),
	SCMP_SYS(close_range),
	SCMP_SYS(copy_file_range),
	SCMP_SYS(dup),
	SCMP_SYS(dup2),
	SCMP_SYS(dup3),
	SCMP_SYS(epoll_create),
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_pwait2),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(eventfd2),
	SCMP_SYS(fcntl),
	SCMP_SYS(inotify_add_watch),
	SCMP_SYS(inotify_init1),
	SCMP_SYS(inotify_rm_watch),
	SCMP_SYS(pipe),
	SCMP_SYS(pipe2),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(preadv),
	SCMP_SYS(preadv2),
	SCMP_SYS(pread64),
	SCMP_SYS(pselect6),
	SCMP_SYS(pwrite64),
	SCMP_SYS(pwritev),
	SCMP_SYS(pwritev2),
	SCMP_SYS(read),
	SCMP_SYS(readv),
	SCMP_SYS(select),
	SCMP_SYS(sendfile),
	SCMP_SYS(splice),
	SCMP_SYS(tee),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	/* files, as far as the user may */
	SCMP_SYS(access),
	SCMP_SYS(chmod),
	SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2),
	SCMP_SYS(fadvise64),
	SCMP_SYS(fallocate),
	SCMP_SYS(fchmod),
	SCMP_SYS(fchmodat),
	SCMP_SYS(fdatasync),
	SCMP_SYS(flock),
	SCMP_SYS(fstat),
	SCMP_SYS(fstatfs),
	SCMP_SYS(fsync),
	SCMP_SYS(ftruncate),
	SCMP_SYS(getcwd),
	SCMP_SYS(getdents64),
	SCMP_SYS(lseek),
	SCMP_SYS(lstat),
	SCMP_SYS(mkdir),
	SCMP_SYS(mkdirat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(open),
	SCMP_SYS(openat),
	SCMP_SYS(readlink),
	SCMP_SYS(readlinkat),
	SCMP_SYS(rename),
	SCMP_SYS(renameat),
	SCMP_SYS(renameat2),
	SCMP_SYS(rmdir),
	SCMP_SYS(stat),
	SCMP_SYS(statfs),
	SCMP_SYS(statx),
	SCMP_SYS(sync_file_range),
	SCMP_SYS(umask),
	SCMP_SYS(unlink),
	SCMP_SYS(unlinkat),
	SCMP_SYS(utimensat),
	/* sockets; socket is below */
	SCMP_SYS(accept),
	SCMP_SYS(accept4),
	SCMP_SYS(bind),
	SCMP_SYS(connect),
	SCMP_SYS(getpeername),
	SCMP_SYS(getsockname),
	SCMP_SYS(getsockopt),
	SCMP_SYS(listen),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmmsg),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(setsockopt),
	SCMP_SYS(shutdown),
	SCMP_SYS(socketpair),
};

/* What nothing of ours has a use for, with privilege or without. */
static const int foreign_calls[] = {
	/* other processes */
	SCMP_SYS(kcmp),
	SCMP_SYS(pidfd_getfd),
	SCMP_SYS(process_madvise),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(ptrace),
	/* mounts and what goes around paths */
	SCMP_SYS(fanotify_init),
	SCMP_SYS(fsconfig),
	SCMP_SYS(fsmount),
	SCMP_SYS(fsopen),
	SCMP_SYS(fspick),
	SCMP_SYS(mount),
	SCMP_SYS(mount_setattr),
	SCMP_SYS(move_mount),
	SCMP_SYS(name_to_handle_at),
	SCMP_SYS(open_by_handle_at),
	SCMP_SYS(open_tree),
	SCMP_SYS(pivot_root),
	SCMP_SYS(quotactl),
	SCMP_SYS(umount),
	SCMP_SYS(umount2),
	/* the kernel itself */
	SCMP_SYS(acct),
	SCMP_SYS(bpf),
	SCMP_SYS(delete_module),
	SCMP_SYS(finit_module),
	SCMP_SYS(init_module),
	SCMP_SYS(ioperm),
	SCMP_SYS(iopl),
	SCMP_SYS(kexec_file_load),
	SCMP_SYS(kexec_load),
	SCMP_SYS(lookup_dcookie),
	SCMP_SYS(perf_event_open),
	SCMP_SYS(swapoff),
	SCMP_SYS(swapon),
	SCMP_SYS(syslog),
	SCMP_SYS(userfaultfd),
	/* keys, clocks, names of the machine, other namespaces */
	SCMP_SYS(add_key),
	SCMP_SYS(keyctl),
	SCMP_SYS(request_key),
	SCMP_SYS(clock_settime),
	SCMP_SYS(settimeofday),
	SCMP_SYS(sethostname),
	SCMP_SYS(setdomainname),
	SCMP_SYS(setns),
};

/* What one without privilege has no use for, besides. */
static const int serve_fatal_calls[] = {
	SCMP_SYS(capset),    SCMP_SYS(chroot),	  SCMP_SYS(execve),    SCMP_SYS(execveat),
	SCMP_SYS(mknod),     SCMP_SYS(mknodat),	  SCMP_SYS(reboot),    SCMP_SYS(setfsgid),
	SCMP_SYS(setfsuid),  SCMP_SYS(setgid),	  SCMP_SYS(setgroups), SCMP_SYS(setregid),
	SCMP_SYS(setresgid), SCMP_SYS(setresuid), SCMP_SYS(setreuid),  SCMP_SYS(setuid),
	SCMP_SYS(unshare),
};

/* --- rules --- */

/* One rule; a call that this architecture does not have needs none. */
static int add(scmp_filter_ctx filter, uint32_t action, int call, unsigned count,
	       const struct scmp_arg_cmp *arguments)
{
	int r = seccomp_rule_add_array(filter, action, call, count, arguments);

	return r == -EDOM ? 0 : r;
}

static int add_all(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t count)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = add(filter, action, calls[i], 0, NULL);
	return r;
}

/* A rule for each value of one argument. */
static int add_values(scmp_filter_ctx filter, uint32_t action, int call, unsigned argument,
		      const uint64_t *values, size_t count)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = add(filter, action, call, 1,
			&(struct scmp_arg_cmp){ argument, SCMP_CMP_EQ, values[i], 0 });
	return r;
}

/* A rule for each bit of a set of flags: where it is set. */
static int add_flags(scmp_filter_ctx filter, uint32_t action, int call, uint64_t flags)
{
	int r = 0;

	for (uint64_t bit = 1; r == 0 && bit <= flags; bit <<= 1)
		if (flags & bit)
			r = add(filter, action, call, 1,
				&(struct scmp_arg_cmp){ 0, SCMP_CMP_MASKED_EQ, bit, bit });
	return r;
}

/* Memory may be mapped and changed, but never be made executable. */
static int allow_plain_memory(scmp_filter_ctx filter)
{
	const struct scmp_arg_cmp plain = { 2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0 };
	int r = add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, &plain);

	return r < 0 ? r : add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, &plain);
}

#define NAMESPACES_BUT_USER_AND_NET                                                                \
	(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWCGROUP)
#define NAMESPACES (NAMESPACES_BUT_USER_AND_NET | CLONE_NEWUSER | CLONE_NEWNET)

/* Threads and children in the namespaces of this process. clone3() has its flags in memory, where no
 * filter sees them: the C library takes clone() in its place. */
static int allow_clone(scmp_filter_ctx filter)
{
	return add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
		   &(struct scmp_arg_cmp){ 0, SCMP_CMP_MASKED_EQ, NAMESPACES, 0 });
}

static int allow_sockets(scmp_filter_ctx filter)
{
	static const struct {
		unsigned count;
		struct scmp_arg_cmp arguments[2];
	} rows[] = {
		{ 1, { { 0, SCMP_CMP_EQ, AF_UNIX, 0 } } },
		{ 2, { { 0, SCMP_CMP_EQ, AF_NETLINK, 0 }, { 2, SCMP_CMP_EQ, 0, 0 } } }, /* ROUTE */
		{ 2,
		  { { 0, SCMP_CMP_EQ, AF_INET, 0 },
		    { 1, SCMP_CMP_MASKED_EQ, SOCKET_TYPE_MASK, SOCK_STREAM } } },
		{ 2,
		  { { 0, SCMP_CMP_EQ, AF_INET, 0 },
		    { 1, SCMP_CMP_MASKED_EQ, SOCKET_TYPE_MASK, SOCK_DGRAM } } },
		{ 2,
		  { { 0, SCMP_CMP_EQ, AF_INET6, 0 },
		    { 1, SCMP_CMP_MASKED_EQ, SOCKET_TYPE_MASK, SOCK_STREAM } } },
		{ 2,
		  { { 0, SCMP_CMP_EQ, AF_INET6, 0 },
		    { 1, SCMP_CMP_MASKED_EQ, SOCKET_TYPE_MASK, SOCK_DGRAM } } },
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(rows); i++)
		r = add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), rows[i].count, rows[i].arguments);
	return r;
}

static int allow_some_controls(scmp_filter_ctx filter)
{
	/* Modes of descriptors, whether one is a terminal, what waits in a socket's queues, numbers and
	 * names of links. */
	static const uint64_t controls[] = { FIOCLEX,  FIONBIO,	     FIONREAD,	 TCGETS,
					     SIOCOUTQ, SIOCGIFINDEX, SIOCGIFNAME };
	static const uint64_t options[] = { PR_GET_DUMPABLE,  PR_GET_NAME,    PR_GET_SECCOMP,
					    PR_SET_DUMPABLE,  PR_SET_NAME,    PR_SET_NO_NEW_PRIVS,
					    PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_VMA };
	int r = add_values(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, controls,
			   ARRAY_SIZE(controls));

	return r < 0 ? r
		     : add_values(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 0, options,
				  ARRAY_SIZE(options));
}

/* Takes the filter. Other architectures' calls kill the process, as libseccomp has it. */
static int load(scmp_filter_ctx filter, int r)
{
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r;
}

static scmp_filter_ctx begin(uint32_t otherwise)
{
	scmp_filter_ctx filter = seccomp_init(otherwise);

	if (!filter)
		return NULL;
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree, not a list */
	(void)seccomp_attr_set(filter, SCMP_FLTATR_API_SYSRAWRC, 1); /* the kernel's own errno */
	/* Nobody else's code runs in here, against whom speculation would have to be slowed. */
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
	return filter;
}

int syscall_filter_serve(void)
{
	scmp_filter_ctx filter;
	int r;

	if (SANITIZED)
		return 0;
	filter = begin(SCMP_ACT_ERRNO(ENOSYS));
	if (!filter)
		return -ENOMEM;
	r = add_all(filter, SCMP_ACT_ALLOW, serve_calls, ARRAY_SIZE(serve_calls));
	if (r == 0)
		r = add_all(filter, SCMP_ACT_KILL_PROCESS, foreign_calls,
			    ARRAY_SIZE(foreign_calls));
	if (r == 0)
		r = add_all(filter, SCMP_ACT_KILL_PROCESS, serve_fatal_calls,
			    ARRAY_SIZE(serve_fatal_calls));
	if (r == 0)
		r = allow_plain_memory(filter);
	if (r == 0)
		r = allow_clone(filter);
	if (r == 0)
		r = allow_sockets(filter);
	if (r == 0)
		r = allow_some_controls(filter);
	return load(filter, r);
}

/* A number each: libseccomp compares an argument once in a rule. */
static int refuse_families(scmp_filter_ctx filter)
{
	int r = 0;

	for (int family = 0; r == 0 && family < FAMILIES_END; family++)
		if (family != AF_UNIX && family != AF_INET && family != AF_INET6 &&
		    family != AF_NETLINK)
			r = add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1,
				&(struct scmp_arg_cmp){ 0, SCMP_CMP_EQ, (scmp_datum_t)family, 0 });
	return r;
}

static int refuse_raw_sockets(scmp_filter_ctx filter)
{
	static const int families[] = { AF_INET, AF_INET6 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(families); i++) {
		const struct scmp_arg_cmp raw[] = {
			{ 0, SCMP_CMP_EQ, (scmp_datum_t)families[i], 0 },
			{ 1, SCMP_CMP_MASKED_EQ, SOCKET_TYPE_MASK, SOCK_RAW },
		};

		r = add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), ARRAY_SIZE(raw), raw);
	}
	return r;
}

int syscall_filter_guard(void)
{
	scmp_filter_ctx filter;
	int r;

	if (SANITIZED)
		return 0;
	filter = begin(SCMP_ACT_ALLOW);
	if (!filter)
		return -ENOMEM;
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0);
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
	r = add_all(filter, SCMP_ACT_ERRNO(EPERM), foreign_calls, ARRAY_SIZE(foreign_calls));
	if (r == 0)
		r = add_flags(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare),
			      NAMESPACES_BUT_USER_AND_NET | CLONE_NEWTIME);
	if (r == 0)
		r = add_flags(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone),
			      NAMESPACES_BUT_USER_AND_NET);
	if (r == 0)
		r = add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0, NULL);
	if (r == 0)
		r = refuse_families(filter);
	if (r == 0)
		r = refuse_raw_sockets(filter);
	return load(filter, r);
}
