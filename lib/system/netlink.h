/*
 * Requests and notifications over netlink
 *
 * A socket of one netlink family, for requests that are answered before the call returns, or for
 * listening to multicast groups. Blocking: for processes whose work this is. Owned by one thread.
 */
#pragma once

#include <libmnl/libmnl.h>

#include "base/cleanup.h"

#define NETLINK_MESSAGE_MAX 65536 /* of one request, and of what one read returns */

struct netlink;

/* @protocol: NETLINK_ROUTE and so on. Returns 0 or a negative errno. */
int netlink_new(int protocol, struct netlink **ret);

/* Closes the socket. NULL is fine. Returns NULL. */
struct netlink *netlink_free(struct netlink *nl);
DEFINE_CLEANUP(struct netlink *, netlink_free);

int netlink_fd(const struct netlink *nl);
uint32_t netlink_port(const struct netlink *nl);

/* Called for each message of an answer. Negative ends with that error, after all was read. */
typedef int (*netlink_visit)(const struct nlmsghdr *message, void *context);

/*
 * Sends a request and reads its whole answer. Sequence number and NLM_F_ACK are set here.
 * @visit: NULL where only success counts.
 * Returns 0, the kernel's negative errno, -EINTR (a dump changed while it was read: ask again).
 */
int netlink_request(struct netlink *nl, struct nlmsghdr *message, netlink_visit visit,
		    void *context);

/*
 * Asks for a dump that is read in parts, between which the caller does other things. Until it is over the
 * socket is good for nothing else. Returns 0 or a negative errno.
 */
int netlink_dump_begin(struct netlink *nl, struct nlmsghdr *message);

/* Reads the next part: what one read returns, tens of kilobytes. Returns 1: there is more, 0: that was
 * the last one, or as netlink_request(). */
int netlink_dump_next(struct netlink *nl, netlink_visit visit, void *context);

/*
 * Sends messages that the kernel takes as one transaction (NFNL_MSG_BATCH_BEGIN to _END), of which
 * at least one asks for an acknowledgement, and reads what it says to them.
 * Returns 0, or the first error of any of them; then none had an effect.
 */
int netlink_batch(struct netlink *nl, const void *messages, size_t size);

/* The number for the next message of a batch. */
uint32_t netlink_next_sequence(struct netlink *nl);

/* Joins a multicast group. 0 or a negative errno. */
int netlink_subscribe(struct netlink *nl, unsigned group);

/* Hands over all notifications that wait. Returns 0, or -ENOBUFS: some were lost. */
int netlink_receive(struct netlink *nl, netlink_visit visit, void *context);
