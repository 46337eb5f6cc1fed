/*
 * Ports whose connections are relayed: many TLS services behind one, told apart by host name (tunnel.md 6), and
 * such as tell the device its client by the PROXY protocol
 *
 * A thread of its own accepts connections, reads the host name of their first bytes, connects to the device
 * that the name leads to, and from then on moves bytes between the two by splice(2), without seeing them.
 * TLS is not ended here. The device sees its client's own address; a client that is this machine or the
 * device itself is seen as this machine's address in the subnet, or replies would not come back.
 *
 * Where a target wants a header of the PROXY protocol, version 2, it gets that before all else, and sees this
 * machine's address in the subnet: so its replies come back whatever it routes into the tunnel. On a plain port
 * nothing is read: every connection goes where "*" leads. So does UDP, each datagram with a header of its own; what
 * the device sends back goes to the client as it is.
 *
 * A name is looked up as it is, then with a star in place of its first label, then as "*". A client that
 * asks for a name which leads nowhere gets the alert unrecognized_name, one that does not speak TLS
 * nothing. A connection ends with its route, and with the demultiplexer; half an end and a reset go
 * through to the other side.
 *
 * The functions are for one thread, the owner's, and do not block; what they change counts for the next
 * connection. Memory does not grow with what is sent: bytes wait in the kernel, in the sockets' buffers
 * and in pipes that a connection has only while bytes are in them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/ip.h"

#define DEMUX_CONNECTIONS_MAX 16384 /* fewer where the limit on descriptors allows no more */
#define DEMUX_SOURCE_SHARE 16 /* of one address, or /64 of IPv6: one part in so many of all, ... */
#define DEMUX_SOURCE_CONNECTIONS_MIN 64 /* ... and never fewer */
#define DEMUX_OTHERS_SHARE 8 /* one part in so many of all is left to other names than one */
#define DEMUX_HELLOS_MAX 2048 /* that have not said their name; above, the oldest is closed */
#define DEMUX_SOURCE_HELLOS_MAX 256
#define DEMUX_HELLO_S 10 /* for the whole ClientHello */
#define DEMUX_CONNECT_S 10
#define DEMUX_LINGER_S 2 /* after an alert */
#define DEMUX_KEEPALIVE_S 60 /* of silence, then every 10 s */
#define DEMUX_UNANSWERED_S 300 /* a side that takes nothing, or does not answer, is gone */
#define DEMUX_BACKLOG 4096
#define DEMUX_FLOWS_MAX                                                                            \
	4096 /* clients of UDP; fewer where the limit on descriptors allows no more */
#define DEMUX_SOURCE_FLOWS_MAX 256
#define DEMUX_FLOW_NEW_S 30 /* of silence, until the device has answered, ... */
#define DEMUX_FLOW_S 120 /* ... and then */
#define DEMUX_ANY "*" /* as a name: what no other name is for */

struct demux;
struct demux_port;

/*
 * Starts the thread.
 * @channel: of netd_client_transparent(), taken also on failure.
 * @link: the interface that the devices are behind, which may come and go.
 * Returns 0 or a negative errno.
 */
int demux_new(int channel, const char *link, struct demux **ret);

/* Ends all connections and the thread. The ports have to be freed before. NULL is fine. Returns NULL. */
struct demux *demux_free(struct demux *demux);
DEFINE_CLEANUP(struct demux *, demux_free);

struct demux_stats {
	uint64_t connections; /* now */
	uint64_t accepted; /* since the start, as are the others */
	uint64_t unknown; /* asked for a name that leads nowhere, or for none */
	uint64_t refused; /* by a limit, or because they did not say their name in time */
	uint64_t failed; /* the device could not be reached */
};

void demux_stats(const struct demux *demux, struct demux_stats *ret);

enum demux_port_kind {
	DEMUX_SHARED, /* clients say a name */
	DEMUX_PLAIN, /* nothing is read */
};

/* A port without a socket and without names. Returns 0 or -ENOMEM. */
int demux_port_new(struct demux *demux, enum demux_port_kind kind, struct demux_port **ret);

/* Stops listening, and ends the connections of the port. The address can be bound again at once. NULL is
 * fine. Returns NULL. */
struct demux_port *demux_port_free(struct demux_port *port);

/* Accepts on a bound socket from now on, in place of the one before. @fd is taken, also on failure. Returns 0
 * or the negative errno of listen(2). */
int demux_port_listen(struct demux_port *port, int fd);

/* Takes datagrams too, on a bound socket of UDP, of a plain port whose device gets headers. @fd is taken, also
 * on failure. Returns 0 or a negative errno. */
int demux_port_datagrams(struct demux_port *port, int fd);

struct demux_target {
	struct endpoint device; /* one of IPv6 has to get a header */
	bool proxy; /* a header of the PROXY protocol comes first */
	struct endpoint external; /* that clients dial, as it is told; zero: where the port listens */
};

/* A name, in lower case, leads to a device from now on; connections to where it led before end. Returns 0,
 * -EINVAL (IPv6 without a header) or -ENOMEM. */
int demux_port_put(struct demux_port *port, const char *name, const struct demux_target *target);

/* A name leads nowhere from now on, and its connections end. */
void demux_port_remove(struct demux_port *port, const char *name);

struct demux_traffic {
	uint64_t connections; /* now */
	uint64_t rx_bytes; /* from the device */
	uint64_t tx_bytes; /* to it */
};

/* Of a name, since it leads to where it does. False: there is no such name. */
bool demux_port_traffic(struct demux_port *port, const char *name, struct demux_traffic *ret);
