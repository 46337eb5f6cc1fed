/* What the files of this folder share. "Relay" is the thread's side. */
#pragma once

#include <net/if.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/list.h"
#include "base/map.h"
#include "demux/demux.h"
#include "proxy/proxy_header.h"

/* What an event of epoll is about; first member of what has events. */
enum source_kind {
	SOURCE_WAKE,
	SOURCE_CHANNEL,
	SOURCE_LISTENER,
	SOURCE_CLIENT,
	SOURCE_DEVICE,
	SOURCE_DATAGRAMS,
	SOURCE_FLOW,
};

struct source {
	enum source_kind kind;
};

struct pipe {
	int read, write;
};

/* One of the two sockets of a connection, and the bytes that came from it. */
struct side {
	struct source source;
	int fd; /* or negative */
	bool readable; /* as far as is known: edges are told once */
	bool writable;
	bool ended; /* it will send no more */
	bool shut; /* nor will we, to it */
	struct pipe pipe; /* while bytes are in it; negative: none */
	size_t in_pipe;
};

enum state {
	STATE_HELLO, /* the client has not said its name */
	STATE_WAITING, /* for a transparent socket */
	STATE_CONNECTING,
	STATE_OPEN,
	STATE_LINGER, /* the client was told to go */
	STATE_DEAD, /* until the end of the round of events */
	STATES,
};

struct connection {
	struct list node; /* of those in the same state, by time */
	struct list of_route;
	struct list runnable; /* there is more to move at once */
	enum state state;
	uint64_t deadline_ns;
	struct demux_port *port; /* until it has a route */
	struct demux_route *route;
	struct client_source *from; /* who counts it */
	struct endpoint address; /* of the client */
	uint8_t *header; /* of the PROXY protocol, until the device has it; or NULL */
	size_t header_size;
	bool counted_hello;
	bool low_water; /* the client's socket waits for more than one byte */
	bool any_port; /* the client's own port was not to be had */
	bool retried; /* with new sockets */
	struct side client;
	struct side device;
};

struct client_source {
	struct ip_address address; /* of IPv6 the first 64 bits: one host has all the others */
	unsigned connections;
	unsigned hellos;
	unsigned flows;
};

/* A client that sends datagrams, and its socket to the device. */
enum flow_state {
	FLOW_NEW, /* the device did not answer yet */
	FLOW_ANSWERED,
	FLOW_DEAD, /* until the end of the round of events */
	FLOW_STATES,
};

struct flow {
	struct source source;
	struct list node; /* of those in the same state, by time */
	struct list of_route;
	enum flow_state state;
	uint64_t deadline_ns;
	struct demux_port *port;
	struct demux_route *route;
	struct client_source *from;
	struct endpoint client;
	int fd;
	size_t header_size;
	uint8_t header[PROXY_HEADER_BARE_MAX];
};

struct demux_route {
	struct list retired;
	struct list connections; /* of_route; relay */
	struct list flows; /* of_route; relay */
	uint64_t count; /* of these; relay writes, atomic */
	uint64_t rx_bytes, tx_bytes; /* the same */
	struct demux_target target;
};

struct demux_port {
	struct source source;
	struct list node; /* of all; relay */
	struct list changed; /* to be looked at; lock */
	struct demux *demux;
	struct map routes; /* by name; lock */
	int listener; /* relay writes it, both read it; lock */
	int next; /* a new one, or negative; lock */
	enum demux_port_kind kind;
	struct source datagram_source;
	int datagrams; /* a socket of UDP, or negative; lock */
	struct endpoint datagram_address; /* of it; lock */
	bool freed; /* lock */
	bool known; /* in the list of all */
};

#define POOL_LOW 32
#define POOL_MAX 128
#define PIPES_MAX 64 /* that are kept for the next one */

struct pool {
	struct source source;
	int channel;
	int sockets[POOL_MAX];
	size_t count;
	uint64_t again_ns; /* no question before: one is on its way, or was in vain */
	struct pipe pipes[PIPES_MAX];
	size_t pipe_count;
	size_t pipes_open; /* with those that connections have */
	size_t pipes_max;
};

struct demux {
	pthread_t thread;
	bool started;
	pthread_mutex_t lock; /* for what says "lock" */
	struct list changed; /* ports; lock */
	struct list retired; /* routes; lock */
	bool stopping; /* lock */
	struct source wake;
	int wake_fd;
	int epoll;

	/* The relay's own. */
	struct list ports;
	struct list states[STATES];
	struct list runnable;
	struct pool pool;
	char link[IFNAMSIZ];
	struct map sources; /* struct ip_address -> struct client_source */
	size_t hellos;
	size_t connections;
	size_t connections_max;
	size_t source_connections_max;
	size_t route_connections_max;
	struct list flows[FLOW_STATES];
	struct map flow_map; /* by port and client */
	size_t flow_count;
	size_t flows_max;
	uint64_t paused_until_ns; /* 0: no listener is */
	struct demux_stats stats; /* written by the relay, atomic */
};

/*
 * demux.c: no delay and keepalives, for sockets of both sides. What a listener has, what it accepts has
 * too. Returns 0 or a negative errno.
 */
int demux_set_options(int fd);

/* relay.c: the thread. */
void *relay_run(void *demux);

/* A connection comes to another state, and has the time that this one allows. */
void relay_enter(struct demux *demux, struct connection *connection, enum state state);

/* Who counts a client; NULL: no memory. It goes with the last that is counted, or by a release. */
struct client_source *relay_source(struct demux *demux, struct ip_address address);
void relay_release_source(struct demux *demux, struct client_source *source);

/* The device cannot be had: the client learns it as it would without us. Ends the connection. */
void relay_fail(struct demux *demux, struct connection *connection);

/* Ends a connection. @reset: abruptly, as it ended on one side. */
void relay_close(struct demux *demux, struct connection *connection, bool reset);

/*
 * device.c: connects to the device of the route, now or when there is a socket. May end the connection.
 * @name: that the client said, or "".
 */
void device_connect(struct demux *demux, struct connection *connection, const char *name);

/* Goes on with one that waits for a socket. */
void device_go_on(struct demux *demux, struct connection *connection);

/* The device answered: it gets the header. Returns 0 or a negative errno. */
int device_greet(struct connection *connection);

/* datagram.c: flows. What is readable; the end of a route, of the silent, of all. */
void datagram_init(struct demux *demux);
void datagram_on_port(struct demux *demux, struct demux_port *port);
void datagram_on_flow(struct demux *demux, struct flow *flow);
void datagram_end_route(struct demux *demux, struct demux_route *route);
void datagram_end_all(struct demux *demux);

/* Returns when to look again, UINT64_MAX for never. */
uint64_t datagram_watch_time(struct demux *demux, uint64_t now_ns);

/* Frees those that ended in this round. */
void datagram_bury(struct demux *demux);

/* stream.c: moves what can be moved now. May end the connection. */
void stream_move(struct demux *demux, struct connection *connection);

/* pool.c. */
void pool_init(struct pool *pool, int channel);
void pool_done(struct pool *pool);

/* A transparent socket, or -EAGAIN: none yet, pool_receive() will have some. */
int pool_take(struct pool *pool, uint64_t now_ns);

/* The sockets belong to an interface that is gone. */
void pool_discard(struct pool *pool);

/* The channel is readable. Returns 0, or a negative errno: why there is none. */
int pool_receive(struct pool *pool, uint64_t now_ns);

/* An empty pipe. 0, -EMFILE: there are as many as there may be, or another negative errno. */
int pool_take_pipe(struct pool *pool, struct pipe *ret);

/* @empty: or it is of no use to anybody else. */
void pool_give_pipe(struct pool *pool, struct pipe *pipe, bool empty);
