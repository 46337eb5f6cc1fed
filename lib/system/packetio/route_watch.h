/*
 * By which interface messages leave this host, and whether that may have changed
 *
 * Two rtnetlink sockets. One becomes readable when links, addresses, rules or routes change. What
 * changed is not told: however many routes do, it holds a few messages, the kernel drops the others
 * without a word, and all of them together mean "look again". The other one asks. Needs no privilege.
 */
#pragma once

#include <stdint.h>

#include "packetio/udp.h"

struct route_watch {
	int fd; /* readable: something changed */
	int lookup_fd;
	uint32_t sequence; /* of the last question */
};

/* Returns 0 or a negative errno. */
int route_watch_open(struct route_watch *ret);

/* Closes both; -EBADF is fine. */
void route_watch_close(struct route_watch *watch);
DEFINE_CLEANUP_DONE(struct route_watch, route_watch_close);

/* Takes note: @fd is not readable until something else changes. Returns after a few messages in any case;
 * where changes do not end, it stays readable. */
void route_watch_clear(const struct route_watch *watch);

/*
 * Asks for the interface that UDP messages leave by, from @port and @path->local (where it has a family) to
 * @path->remote with a firewall mark. The kernel answers within the call, in a few microseconds.
 * Returns its index, or 0: there is no way, or it cannot be told.
 */
uint32_t route_watch_lookup(struct route_watch *watch, const struct udp_path *path, uint16_t port,
			    uint32_t mark);
