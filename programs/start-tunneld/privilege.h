/*
 * What start-tunneld does while it is root, and how it stops being root
 *
 * Short on purpose, and done before a byte from outside is read.
 */
#pragma once

#include <sys/types.h>

#include "base/fault.h"

#define COOKIE_SIZE 32
#define COOKIE_TEXT_MAX 48
#define COOKIE_DIRECTORY "/run/startos"
#define COOKIE_PATH COOKIE_DIRECTORY "/tunnel.authcookie"
#define LOCK_PATH COOKIE_DIRECTORY "/tunnel.lock"

struct privilege_user {
	uid_t uid;
	gid_t gid;
};

/* Finds the account that the daemon is to run as; root is refused. 0, or -EPROTO with a fault. */
int privilege_find_user(const char *name, struct privilege_user *ret, struct fault *fault);

/* Makes the data directory where it is missing and gives it, mode 0700, to the account. */
int privilege_prepare_directory(const char *path, const struct privilege_user *user,
				struct fault *fault);

/*
 * Makes sure that no other daemon runs on this machine: its secret and its network would be taken from
 * under it. The lock is the process', and ends with it. Returns 0 with a descriptor to keep open, or
 * -EPROTO with a fault that names the other process.
 */
int privilege_take_lock(int *ret_fd, struct fault *fault);

/* Writes a new secret for local callers (tunnel.md 2.4): mode 0640, root's. */
int privilege_write_cookie(char ret_cookie[COOKIE_TEXT_MAX], struct fault *fault);

/*
 * Becomes the account for good: no way back, no capabilities, nothing to gain by exec, and a filter of
 * system calls.
 */
int privilege_drop(const struct privilege_user *user, struct fault *fault);
