/*
 * The configuration socket of a device
 *
 * A UNIX stream socket that wg(8) and others connect to, one request and answer after another. At
 * most UAPI_CLIENTS_MAX clients at a time: a further one takes the place of the one that was silent
 * longest. A request is at most UAPI_MESSAGE_MAX bytes. Never blocks: a client that does not read
 * its answer waits for itself.
 */
#pragma once

#include <sys/types.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "dataplane/poller.h"
#include "wireguard/config.h"

#define UAPI_DIRECTORY "/var/run/wireguard"
#define UAPI_CLIENTS_MAX 16

/* A request of our own: what is in use, counted and dropped. The answer ends like that of "get=1". */
#define UAPI_STATUS "status=1\n\n"

struct uapi_server;

struct uapi_server_ops {
	/* Each returns 0, or a negative errno for the client. */
	int (*set)(void *context, const struct wg_config *change);
	int (*get)(void *context, struct wg_config *ret);
	/* As in struct uapi_links. */
	int (*find_link)(void *context, const char *name, uint32_t *ret_index);
	/* Appends lines of "name=value", for UAPI_STATUS. */
	void (*status)(void *context, struct text *to);
};

/* Opens the directory of the sockets and makes it, for its owner alone, where it is missing. */
int uapi_directory_open(const char *path, int *ret_fd);

/*
 * Makes and listens on the socket @name in @directory (that of @directory_fd), replacing a stale one.
 * Returns 0, or a negative errno: -EADDRINUSE where a process answers on it. @ret_inode: tells it
 * from one that another process puts in its place.
 */
int uapi_socket_open(const char *directory, int directory_fd, const char *name, int *ret_fd,
		     ino_t *ret_inode);

/* Serves on a listening socket, which it takes. Returns 0 or a negative errno. */
int uapi_server_new(struct poller *poller, int fd, const struct uapi_server_ops *ops, void *context,
		    struct uapi_server **ret);

struct uapi_server *uapi_server_free(struct uapi_server *server);
DEFINE_CLEANUP(struct uapi_server *, uapi_server_free);
