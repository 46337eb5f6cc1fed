/*
 * The opener: what is left of the privilege of start-wg
 *
 * The data plane parses packets from the internet and therefore holds no privilege, yet an owner may
 * give its interface a port below 1024 or a firewall mark at any time. So a second, tiny process is
 * forked before anything is opened. It keeps CAP_NET_ADMIN and CAP_NET_BIND_SERVICE, has a seccomp
 * filter of its own, and reads nothing but struct opener_request from a private socket pair. It
 * opens UDP sockets in the namespace where the program was started and passes the descriptors over.
 *
 * It ends when the other end of the pair closes, however that came about, and then unlinks the
 * configuration socket, which the data plane cannot reach any more.
 *
 * A change of port takes two steps, so that it can be taken back: opener_open() gives sockets that
 * opener_keep() makes the current ones; until then the old ones are untouched. The opener holds a
 * copy of the current sockets to be able to mark them.
 */
#pragma once

#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "packetio/udp.h"

struct opener {
	int fd; /* -EBADF: none */
};

/*
 * Forks the opener. @directory_fd and @socket_name say what it unlinks in the end, once
 * opener_own_socket() told that it is ours; borrowed. @udp_flags: enum udp_open_flags.
 * Returns 0 or a negative errno.
 */
int opener_start(int directory_fd, const char *socket_name, unsigned udp_flags, struct opener *ret);

/* Lets the opener end. */
void opener_done(struct opener *opener);
DEFINE_CLEANUP_DONE(struct opener, opener_done);

/* The socket with this inode is to be unlinked in the end; one that another process made is not. */
int opener_own_socket(const struct opener *opener, ino_t inode);

/* Unlinks it now, where the program ends in order. */
int opener_unlink_socket(const struct opener *opener);

/* Opens a candidate. Returns 0, what udp_open_pair() returns, or -EPIPE: the opener is gone. */
int opener_open(const struct opener *opener, uint16_t port, uint32_t mark, struct udp_pair *ret);

/* The candidate becomes current, the former sockets are closed in the opener. */
int opener_keep(const struct opener *opener);

/* Forgets the candidate. */
int opener_drop(const struct opener *opener);

/* Marks the current sockets. Returns 0 or a negative errno. */
int opener_mark(const struct opener *opener, uint32_t mark);
