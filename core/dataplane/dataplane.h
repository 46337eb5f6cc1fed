/*
 * The data plane: a WireGuard device between a TUN interface and UDP sockets
 *
 * One thread runs everything from one poller, but for the computing that handshakes take
 * (workers.h). A round takes what the TUN has, or what a socket has,
 * up to the size of a batch, passes it through the engine in place and hands it on: nothing waits for
 * a timer to become a batch, nothing is allocated or locked for a packet. The engine's own timers run
 * from one timerfd, which is armed only while the engine has a deadline.
 *
 * A socket that is full stops the reading of the TUN until it can send again. Reads of the TUN that fail
 * are counted and others follow, at once or, where nothing but errors comes, a moment later. While the
 * interface is down nothing is received and nothing is sent.
 */
#pragma once

#include <stddef.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "dataplane/opener.h"
#include "dataplane/poller.h"
#include "packetio/tun.h"
#include "wireguard/config.h"

enum dataplane_flags {
	DATAPLANE_WITHOUT_SEGMENT = 1 << 0, /* no UDP_SEGMENT */
	DATAPLANE_WITHOUT_COALESCE = 1 << 1, /* no super-packets to the TUN */
};

struct dataplane;

struct dataplane_ops {
	/* The interface was removed: nothing goes on. */
	void (*ended)(void *context);
	/* The interface has another name now. */
	void (*renamed)(void *context, const char *name);
};

/*
 * Makes a device without key and peers, listening on any free port. Takes @tun. @opener, @poller,
 * @ops and @context are kept. All that needs privilege is done when it returns, but for what the
 * opener does; the threads are left to dataplane_start_workers(). Returns 0 or a negative errno.
 */
int dataplane_new(struct poller *poller, struct tun *tun, const struct opener *opener,
		  unsigned flags, const struct dataplane_ops *ops, void *context,
		  struct dataplane **ret);

/*
 * Starts the threads that answer handshakes, with the privilege that the caller has by then: to be called
 * once the caller has none, but may start threads still. Returns 0 or a negative errno.
 */
int dataplane_start_workers(struct dataplane *d);

struct dataplane *dataplane_free(struct dataplane *d);
DEFINE_CLEANUP(struct dataplane *, dataplane_free);

/* Applies a change, whole or not at all. Returns 0, or a negative errno: -EADDRINUSE for the port. */
int dataplane_configure(struct dataplane *d, const struct wg_config *change);

/* Finds an interface of the host that the UDP sockets are in. Returns 0 or -ENODEV. */
int dataplane_find_link(const struct dataplane *d, const char *name, uint32_t *ret_index);

/* Tells configuration and state. Returns 0 or -ENOMEM. */
int dataplane_read(const struct dataplane *d, struct wg_config *ret);

/* Counters since the start. */
struct dataplane_counters {
	uint64_t tun_packets; /* read from the TUN, a super-packet is one */
	uint64_t tun_malformed; /* of them, those whose offload header does not fit */
	uint64_t tun_read_errors; /* mostly packets of a kind of offload that the kernel's TUN does not know */
	uint64_t sealed;
	uint64_t trains; /* received, many messages each */
	uint64_t messages;
	uint64_t opened;
	uint64_t tun_writes; /* of packets and super-packets */
	uint64_t tun_write_errors; /* packets that were lost by them */
};

const struct dataplane_counters *dataplane_counters(const struct dataplane *d);

/*
 * Writes what is in use, what passed and what was dropped and why, one "name=value" a line. Names that
 * begin with "drop_" count packets or messages that are lost here, a super-packet as those that it stands
 * for; one that is malformed or could not be read counts one, for of these that is not known. Has the state of
 * the link read first.
 */
void dataplane_write_status(struct dataplane *d, struct text *to);
