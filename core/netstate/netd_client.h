/*
 * The unprivileged side of the socket to start-netd
 *
 * Runs on the caller's libuv loop and never blocks. Requests are answered in the order they were
 * made, each exactly once: with an outcome, or with a fault when the socket closes before. Owned by
 * the loop's thread. At most NETD_CLIENT_PENDING_MAX requests wait at a time.
 */
#pragma once

#include <sys/types.h>
#include <uv.h>

#include "netstate/netd_protocol.h"

#define NETD_CLIENT_PENDING_MAX 1024

struct netd_client;

/* @fault: what went wrong, or NULL: done. @status: of netd_client_status() only. Both are borrowed. */
typedef void (*netd_client_done)(void *context, const struct fault *fault,
				 const struct netd_status *status);

/* @fd: a socket that is bound and does not listen yet, the callee's; negative with a fault. */
typedef void (*netd_client_bound)(void *context, const struct fault *fault, int fd);

/* The other side closed or broke the protocol. Called once, after every pending request was
 * answered with a fault; the client is then only good for netd_client_free(). */
typedef void (*netd_client_closed)(void *context, int error);

/* Takes @fd. Returns 0 or a negative errno; on failure @fd stays the caller's. */
int netd_client_new(uv_loop_t *loop, int fd, netd_client_closed on_closed, void *context,
		    struct netd_client **ret);

/* Closes the socket; pending requests are forgotten without a call. The memory goes away when the
 * loop has closed its handles. NULL is fine. Returns NULL. */
struct netd_client *netd_client_free(struct netd_client *client);

/*
 * Requests. The sets are copied to the socket's buffer. Return 0, and @done is called later (never
 * from within); or -ENOMEM, -EBUSY (too many pending), -ENOTCONN, and it is not.
 */
int netd_client_sync(struct netd_client *client, const struct net_set *wanted,
		     netd_client_done done, void *context);
int netd_client_change(struct netd_client *client, const struct net_set *remove,
		       const struct net_set *add, netd_client_done done, void *context);
/* @flags: enum netd_status_flag. */
int netd_client_status(struct netd_client *client, uint8_t flags, netd_client_done done,
		       void *context);
int netd_client_reboot(struct netd_client *client, netd_client_done done, void *context);
int netd_client_bind(struct netd_client *client, const struct netd_bind *wanted,
		     netd_client_bound bound, void *context);
/* @bound gets our end of the channel. */
int netd_client_transparent(struct netd_client *client, netd_client_bound bound, void *context);

/*
 * Starts start-netd as a child that inherits one end of a socket pair as NETD_SOCKET_FD and every
 * other descriptor closed but the standard three. For use before the caller drops its privilege.
 * @path: the program; @argv: its arguments, argv[0] included, ended by NULL.
 * Returns 0 with the child's id and our end (close-on-exec, non-blocking), or a negative errno,
 * also that of a failed exec.
 */
int netd_spawn(const char *path, char *const argv[], pid_t *ret_pid, int *ret_fd);
