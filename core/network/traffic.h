/*
 * Bytes through forwards, as our table counts them
 *
 * Each external port is an element of a set for each direction, and elements count: what a packet costs
 * does not grow with the number of forwards. Reading is a dump of both sets, so it is done only for
 * somebody who watches, and no oftener than TRAFFIC_SHARE allows.
 *
 * Counted are packets of connections that a forward led into the tunnel, with their IP headers; not
 * those of this machine's own connections to its forwards. The kernel keeps the numbers: they go on
 * when start-netd starts again, and when a repair replaces the table. They begin anew where a forward
 * is disabled and enabled, or the machine starts.
 */
#pragma once

#include "netstate/netd_protocol.h"
#include "system/netlink.h"

#define TRAFFIC_KEY_SIZE 18 /* address and port, big-endian; those of IPv4 end in zeroes */
#define TRAFFIC_SHARE 20 /* of the time between two readings, one part is spent reading */

enum traffic_direction {
	TRAFFIC_ENTERED, /* from whoever connected, to the device */
	TRAFFIC_RETURNED,
};

struct traffic_port {
	uint8_t key[TRAFFIC_KEY_SIZE];
	uint64_t packets[2]; /* by enum traffic_direction */
	uint64_t bytes[2];
};

/* Ports that anything went through, sorted by key. Embedded in its owner; zeroed is empty. */
struct traffic {
	struct traffic_port *ports;
	size_t count;
	size_t capacity;
};

void traffic_done(struct traffic *traffic);
DEFINE_CLEANUP_DONE(struct traffic, traffic_done);

/* Reads the counters; @ret is replaced. 0, -ENOENT (no such table or set), -EINTR (it kept changing),
 * -ENOMEM. */
int traffic_read(struct netlink *nl, struct traffic *ret);

/* Of one external address and port, or NULL. @traffic: NULL is fine. */
const struct traffic_port *traffic_find(const struct traffic *traffic,
					const uint8_t key[TRAFFIC_KEY_SIZE]);

/* Adds up what the forwards among @items count; those with nothing are left away. 0 or -ENOMEM. */
int traffic_of_forwards(const struct traffic *traffic, const struct net_set *items,
			struct netd_forward_status **ret, size_t *ret_count);
