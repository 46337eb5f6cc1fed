#include "dataplane/sandbox.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/if_tun.h>
#include <pwd.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/capability.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "base/cleanup.h"
#include "base/sanitized.h"

/* Memory, time and the end: what any program needs. */
static const int common_calls[] = {
	SCMP_SYS(brk),		SCMP_SYS(clock_gettime),
	SCMP_SYS(close),	SCMP_SYS(exit),
	SCMP_SYS(exit_group),	SCMP_SYS(futex),
	SCMP_SYS(getpid),	SCMP_SYS(gettid),
	SCMP_SYS(gettimeofday), SCMP_SYS(madvise),
	SCMP_SYS(mremap),	SCMP_SYS(munmap),
	SCMP_SYS(read),		SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(sched_yield),
	SCMP_SYS(tgkill),	SCMP_SYS(write),
};

static const int dataplane_calls[] = {
	SCMP_SYS(accept4),     SCMP_SYS(dup2),	     SCMP_SYS(dup3),	  SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_wait), SCMP_SYS(getrandom), SCMP_SYS(getsockopt),
	SCMP_SYS(readv),       SCMP_SYS(recvfrom),   SCMP_SYS(recvmmsg),  SCMP_SYS(recvmsg),
	SCMP_SYS(sendmmsg),    SCMP_SYS(sendmsg),    SCMP_SYS(sendto),	  SCMP_SYS(timerfd_settime),
	SCMP_SYS(writev),
};

static const int opener_calls[] = {
	SCMP_SYS(bind),	      SCMP_SYS(fstatat64), SCMP_SYS(getsockname),
	SCMP_SYS(newfstatat), SCMP_SYS(recvfrom),  SCMP_SYS(sendmsg),
	SCMP_SYS(setsockopt), SCMP_SYS(socket),	   SCMP_SYS(unlinkat),
};

int sandbox_find_user(const char *name, struct sandbox_user *ret)
{
	const struct passwd *found = getpwnam(name);

	if (!found)
		return -ENOENT;
	*ret = (struct sandbox_user){ found->pw_uid, found->pw_gid };
	return 0;
}

static int allow(scmp_filter_ctx filter, const int *calls, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);

		if (r < 0 && r != -EDOM) /* a call that this architecture does not have */
			return r;
	}
	return 0;
}

/* Memory may be mapped and changed, but never be made executable. */
static int allow_plain_memory(scmp_filter_ctx filter)
{
	int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				 SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));

	if (r < 0)
		return r;
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
}

/* Whether the TUN is still there, and which interface a link-local address is on. */
static int allow_questions(scmp_filter_ctx filter)
{
	int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
				 SCMP_A1(SCMP_CMP_EQ, TUNGETIFF, 0));

	if (r < 0)
		return r;
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
				SCMP_A1(SCMP_CMP_EQ, SIOCGIFINDEX, 0));
}

static int load_filter(const int *calls, size_t count, bool questions)
{
	scmp_filter_ctx filter;
	int r;

	if (SANITIZED)
		return 0;
	filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	if (!filter)
		return -ENOMEM;
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree, not a list */
	r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1); /* of all threads, or of none */
	if (r == 0)
		r = allow(filter, common_calls, ARRAY_SIZE(common_calls));
	if (r == 0)
		r = allow(filter, calls, count);
	if (r == 0)
		r = allow_plain_memory(filter);
	if (r == 0 && questions)
		r = allow_questions(filter);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r;
}

/*
 * The root becomes a directory that was removed: it is empty, and the kernel lets nobody put anything
 * into it. Other than a file system of its own this takes no CAP_SYS_ADMIN, which start-netd, where it
 * starts this program, does not pass on.
 */
int sandbox_enter_empty_root(const char *directory)
{
	char path[128];
	cleanup_close int root = -EBADF;
	int size = snprintf(path, sizeof(path), "%s/.root.XXXXXX", directory);

	if (SANITIZED)
		return -EOPNOTSUPP;
	if (size < 0 || (size_t)size >= sizeof(path))
		return -ENAMETOOLONG;
	if (!mkdtemp(path))
		return -errno;
	root = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (rmdir(path) < 0 || root < 0 || fchdir(root) < 0 || chroot(".") < 0)
		return -errno;
	return 0;
}

static int drop_user(const struct sandbox_user *user)
{
	if (geteuid() != 0)
		return 0; /* started by somebody who has the capabilities alone */
	if (setgroups(0, NULL) < 0 || setresgid(user->gid, user->gid, user->gid) < 0 ||
	    setresuid(user->uid, user->uid, user->uid) < 0)
		return -errno;
	return 0;
}

/* No capability comes back, whatever is executed. Takes CAP_SETPCAP: before the others go. */
static int empty_bounding_set(void)
{
	for (int i = 0; prctl(PR_CAPBSET_READ, i) >= 0; i++) {
		/* Without CAP_SETPCAP no_new_privs has to do. */
		if (prctl(PR_CAPBSET_DROP, i) < 0 && errno != EPERM)
			return -errno;
	}
	return 0;
}

/* Leaves @count capabilities. */
static int keep_capabilities(const cap_value_t *kept, int count)
{
	cap_t set = cap_init();
	int r = 0;

	if (!set)
		return -ENOMEM;
	if (count > 0 && (cap_set_flag(set, CAP_PERMITTED, count, kept, CAP_SET) < 0 ||
			  cap_set_flag(set, CAP_EFFECTIVE, count, kept, CAP_SET) < 0))
		r = -errno;
	if (r == 0 && cap_set_proc(set) < 0)
		r = -errno;
	(void)cap_free(set);
	return r;
}

static int forbid_new_privileges(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

int sandbox_drop_privilege(const struct sandbox_user *user)
{
	int r = empty_bounding_set();

	if (r == 0)
		r = drop_user(user);
	if (r == 0)
		r = keep_capabilities(NULL, 0);
	if (r == 0)
		r = forbid_new_privileges();
	/* The search for leaks in the end traces the process. */
	if (r == 0 && prctl(PR_SET_DUMPABLE, SANITIZED) < 0)
		r = -errno;
	return r;
}

int sandbox_filter_dataplane(void)
{
	return load_filter(dataplane_calls, ARRAY_SIZE(dataplane_calls), true);
}

int sandbox_enter_opener(void)
{
	static const cap_value_t kept[] = { CAP_NET_ADMIN, CAP_NET_BIND_SERVICE };
	int r = empty_bounding_set();

	if (r == 0)
		r = keep_capabilities(kept, ARRAY_SIZE(kept));
	if (r == 0)
		r = forbid_new_privileges();
	if (r == 0)
		r = load_filter(opener_calls, ARRAY_SIZE(opener_calls), false);
	return r;
}
