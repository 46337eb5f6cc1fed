/* The parts of the data plane that its files share. */
#pragma once

#include "dataplane/dataplane.h"
#include "dataplane/workers.h"
#include "offload/coalescer.h"
#include "offload/segmenter.h"
#include "packetio/link_watch.h"
#include "packetio/route_watch.h"
#include "packetio/udp.h"
#include "wireguard/device.h"

/*
 * Packets in a batch. Large enough for two full super-packets and for what UDP_SEGMENT takes, small
 * enough that a batch of full-size packets stays in the second-level cache on its way through.
 */
#define BATCH 128
#define FEW_PACKETS 4 /* are a request, an answer, or what belongs to them */
#define OUTBOUND_ARENA (384 << 10)
#define RECEIVE_DATAGRAMS 32

/* TUN to UDP. */
struct outbound {
	struct segmenter segmenter; /* over `packet`, which may wait for room in the arena */
	bool packet_waits;
	bool blocked; /* a socket is full */
	uint64_t rests_until_ns; /* reading the TUN failed again and again; UINT64_MAX: it does not */
	size_t count; /* buffers in use */
	size_t used; /* bytes of the arena in use */
	uint8_t packet[TUN_READ_MAX];
	struct wg_buffer buffers[BATCH];
	struct wg_peer *peers[BATCH]; /* of the buffers */
	struct iovec messages[BATCH];
	uint8_t arena[OUTBOUND_ARENA] __attribute__((aligned(64)));
};

/* UDP to TUN. */
struct inbound {
	struct udp_receiver *receiver;
	struct coalescer *coalescer;
	size_t count;
	struct wg_buffer buffers[BATCH];
};

/* Changes of routes within that time count as one: however many there are, a peer's is looked up as seldom. */
#define ROUTES_INTERVAL_NS (500 * NS_PER_MS)

#define REPLIES_MAX 64
#define REPLY_SIZE 160 /* of the largest handshake message, and some more */

/* A short message of the engine's own that waits for the end of the round. */
struct reply {
	struct wg_route to;
	uint8_t ds;
	uint8_t bytes[REPLY_SIZE];
};

/*
 * Messages of the engine's own, sent at the end of each round: those to one place are one send. What a full
 * socket does not take of them is lost, as on any network.
 */
struct replies {
	struct udp_sender *v4;
	struct udp_sender *v6;
	size_t count;
	struct iovec messages[REPLIES_MAX];
	struct reply queue[REPLIES_MAX];
};

/* What a pair of sockets is in the poller by. */
struct socket_sources {
	struct poller_source v4;
	struct poller_source v6;
	struct dataplane *dataplane;
};

struct dataplane {
	struct poller *poller;
	const struct opener *opener;
	const struct dataplane_ops *ops;
	void *context;

	struct tun tun;
	struct link_state link;
	struct route_watch routes;
	uint64_t routes_deaf_ns; /* until when changes of routes have to wait; UINT64_MAX: they do not */
	struct wg_device *device;
	struct workers *workers;
	struct udp_pair sockets;
	struct udp_sender *sender_v4;
	struct udp_sender *sender_v6;
	bool port_chosen; /* by the kernel, not by the configuration */
	uint32_t mark;
	uint64_t armed_ns; /* deadline that the timer waits for; UINT64_MAX: none */

	struct poller_source tun_source;
	struct socket_sources *listening; /* the one of the two that is in use */
	struct socket_sources socket_sources[2];
	struct poller_source timer_source;
	struct poller_source link_source;
	struct poller_source routes_source;

	struct outbound out;
	struct inbound in;
	struct replies replies;
	uint64_t overflows; /* of sockets that are closed */
	struct dataplane_counters counters;
};

struct wg_time dataplane_now(void);

/* The sender of the family that a path has. */
struct udp_sender *dataplane_sender(struct dataplane *d, const struct wg_route *route);

struct udp_path dataplane_path(const struct wg_route *route);

/* Takes in what the link watch has to tell. */
void dataplane_read_link(struct dataplane *d);

int replies_init(struct replies *replies, bool segment, const struct udp_sender_ops *ops,
		 void *context);
void replies_done(struct replies *replies);

void replies_set_sockets(struct replies *replies, const struct udp_pair *sockets);

/* Sends a message in its order: queues it, where it is a short one. */
void replies_add(struct replies *replies, const struct wg_route *to, uint8_t ds,
		 const void *message, size_t size);

/* Sends what is queued. To be called wherever the engine was. */
void replies_flush(struct replies *replies);

/* Reads the TUN until it is empty or the batch full, seals and sends. Returns 0, or -EBADFD where the
 * TUN is gone. */
int outbound_run(struct dataplane *d);

/* Reads the TUN again where it rested until now. */
void outbound_end_rest(struct dataplane *d, uint64_t now_ns);

/* Sends what is queued, and reads the TUN again once nothing is left. */
void outbound_flush(struct dataplane *d);

int inbound_init(struct inbound *in, const struct tun *tun, unsigned flags);
void inbound_done(struct inbound *in);

/* Receives from one socket, opens and writes to the TUN. */
void inbound_run(struct dataplane *d, int fd);
