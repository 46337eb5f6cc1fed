/*
 * Giving up privilege
 *
 * Irrevocable, for the calling process. The filters are lists of the system calls that the processes
 * make; any other one ends the process. A build with sanitizers leaves the filters out, since the
 * sanitizers' runtime makes calls of its own.
 */
#pragma once

#include <sys/types.h>

struct sandbox_user {
	uid_t uid;
	gid_t gid;
};

/* Looks a user up. Returns 0, or -ENOENT where there is none. */
int sandbox_find_user(const char *name, struct sandbox_user *ret);

/*
 * For the data plane: an empty root directory, in which nobody can put anything. Made and removed in
 * @directory. Takes CAP_SYS_CHROOT. Returns 0, or a negative errno; -EOPNOTSUPP in a build with
 * sanitizers, whose search for leaks reads /proc in the end.
 */
int sandbox_enter_empty_root(const char *directory);

/*
 * For the data plane: the user's ids and no further groups, no capability, no way to gain one. To be
 * called before there are threads. Returns 0 or a negative errno.
 */
int sandbox_drop_privilege(const struct sandbox_user *user);

/* The filter, for all threads that there are by then: none can be started. Returns 0 or a negative errno. */
int sandbox_filter_dataplane(void);

/* For the opener: CAP_NET_ADMIN and CAP_NET_BIND_SERVICE stay. Returns 0 or a negative errno. */
int sandbox_enter_opener(void);
