/*
 * What becomes of a network interface, told by rtnetlink
 *
 * A non-blocking descriptor that becomes readable when something changed. Needs no privilege. The
 * first event comes by itself after link_watch_open().
 */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

struct link_state {
	char name[IFNAMSIZ];
	uint32_t mtu;
	bool up; /* administratively */
	uint64_t queue_drops; /* packets that its queue had no room for, when it was told last */
	bool removed; /* from this namespace: deleted, or moved to another one */
};

/* Opens a watch on one interface and asks for its state. Returns 0 or a negative errno. */
int link_watch_open(uint32_t ifindex, int *ret_fd);

/* Asks for the state as it is now: link_watch_read() finds it at once. Returns 0 or a negative errno. */
int link_watch_ask(int fd, uint32_t ifindex);

/* Takes in all that is there to read. Members of @state that nothing was said of stay.
 * Returns 0 or a negative errno. */
int link_watch_read(int fd, uint32_t ifindex, struct link_state *state);
