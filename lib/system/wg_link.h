/*
 * A WireGuard interface, whoever runs it
 *
 * Two back ends behind one face: the kernel's own (generic netlink), and a userspace device that is
 * started as "PROGRAM NAME" and spoken to over /var/run/wireguard/NAME.sock, in a session of its
 * own so that it outlives us. An interface that is there already is adopted with the back end that
 * it has. Blocking; owned by one thread.
 */
#pragma once

#include <stdbool.h>

#include "system/netlink.h"
#include "system/rtnl.h"
#include "wireguard/config.h"

enum wg_backend_choice {
	WG_BACKEND_AUTO, /* the kernel's where it has one */
	WG_BACKEND_KERNEL,
	WG_BACKEND_USERSPACE,
};

struct wg_link;

/*
 * @rtnl: a socket of NETLINK_ROUTE; borrowed for the object's life, like @name and @program.
 * @program: the userspace device. Touches no interface. Returns 0 or -ENOMEM.
 */
int wg_link_new(struct netlink *rtnl, const char *name, enum wg_backend_choice choice,
		const char *program, struct wg_link **ret);
struct wg_link *wg_link_free(struct wg_link *link);
DEFINE_CLEANUP(struct wg_link *, wg_link_free);

/*
 * Looks whether the interface is there and works. One of the userspace kind whose program is gone
 * does not; -ENODEV then too. -EEXIST: it is there and no WireGuard interface.
 */
int wg_link_find(struct wg_link *link, struct rtnl_link *ret);

/* Makes it, and removes a dead one first. -EOPNOTSUPP: no kernel back end, and no other allowed. */
int wg_link_create(struct wg_link *link);
int wg_link_destroy(struct wg_link *link);

int wg_link_set(struct wg_link *link, const struct wg_config *change);
int wg_link_get(struct wg_link *link, struct wg_config *ret);

/* "kernel", the program's name, or "" before an interface was found or made. */
const char *wg_link_backend(const struct wg_link *link);
