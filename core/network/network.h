/*
 * The applier: makes the kernel's network state what is wanted, and keeps it so
 *
 * Holds the wanted items. A start (sync), an edit (change) and a repair go one way: facts wanted,
 * facts present, the plan between them, applied; where a step fails, what was applied is undone. An
 * edit takes for present what was applied before and reads nothing, so that its cost does not grow
 * with what is configured; only if that fails does it look.
 *
 * What others do to our table, interface or sysctl is told by netlink. Then everything is read and
 * compared; a difference is drift, counted and repaired. With somebody who keeps undoing that, the
 * pauses between repairs grow.
 *
 * Needs CAP_NET_ADMIN. Blocking; owned by one thread. Leaves the kernel's state as it is when
 * freed.
 */
#pragma once

#include <poll.h>

#include "netstate/netd_protocol.h"
#include "system/wg_link.h"

#define NETWORK_FDS 2

struct network;

/* @program: the userspace WireGuard device; borrowed. Wants CAP_SYS_ADMIN or user namespaces
 * for the length of the call, and does without. Returns 0 or a negative errno. */
int network_new(enum wg_backend_choice choice, const char *program, struct network **ret);
struct network *network_free(struct network *network);
DEFINE_CLEANUP(struct network *, network_free);

/* Makes everything so. The items were checked one by one. 0, or negative with a fault: then all is
 * as it was before, in the kernel and here. */
int network_sync(struct network *network, const struct net_set *wanted, struct fault *fault);

/* The same for a difference. */
int network_change(struct network *network, const struct net_set *remove, const struct net_set *add,
		   struct fault *fault);

/*
 * Also compares the WireGuard peers, of which netlink tells nothing, and repairs.
 * @traffic: with the bytes of forwards, which may be some seconds old where there are very many.
 * 0 or -ENOMEM.
 */
int network_status(struct network *network, bool traffic, struct netd_status *ret);

/* What to wait for: descriptors, and for how long at most (milliseconds, -1: no end). */
void network_poll_fds(const struct network *network, struct pollfd fds[NETWORK_FDS]);
int network_poll_timeout_ms(const struct network *network);

/* Call after the wait: ends connections of what was removed, a part of them in each call of less than a
 * millisecond; they are without effect by then. 0 or a negative errno. */
int network_tidy(struct network *network);

/* Call after the wait: takes the notifications in and repairs what is due. Returns whether it
 * compared and found a difference; *@ret_text is then what, in static storage of @network. */
bool network_run(struct network *network, const char **ret_text, int *ret_error);
