/*
 * What start-tunneld asks start-netd
 *
 * Typed requests over the socket that start-netd inherits from the daemon that started it. A frame
 * is a length (4 bytes, of what follows), a type (1), a number (4) that the answer repeats, and the
 * body. Numbers are big-endian. start-netd checks every member again: it trusts nothing that a
 * process without privilege says. Requests are answered in order, one at a time.
 */
#pragma once

#include "base/ip.h"
#include "base/text.h"
#include "netstate/net_item.h"

#define NETD_FRAME_MAX (32U << 20)
#define NETD_SOCKET_FD 3 /* the inherited socket (SOCK_STREAM) */

enum netd_request_type {
	NETD_SYNC = 1, /* the whole wanted set: read what is present, make it so */
	NETD_CHANGE = 2, /* items to remove and to add: all of it happens, or nothing */
	NETD_STATUS = 3,
	NETD_REBOOT = 4, /* reboots the machine */
	NETD_BIND = 5, /* a socket that is bound to an endpoint, ports below 1024 included */
	NETD_TRANSPARENT = 6, /* a channel of its own for transparent sockets, see below */
};

enum netd_answer_type {
	NETD_DONE = 128, /* to SYNC, CHANGE, REBOOT: no body */
	NETD_FAILED = 129, /* fault kind (4, signed) and details: nothing changed */
	NETD_STATUS_IS = 130,
	NETD_BOUND =
		131, /* to BIND and TRANSPARENT: no body; the socket comes with the frame (SCM_RIGHTS) */
};

#define NETD_NAME_MAX 64

struct netd_peer_status {
	uint8_t public_key[NET_KEY_SIZE];
	struct endpoint endpoint; /* family 0: none known */
	uint64_t last_handshake_s; /* since 1970, 0: never */
	uint64_t rx_bytes;
	uint64_t tx_bytes;
};

/* What went through a forward, the one that begins at this external address and port. */
struct netd_forward_status {
	struct ip_address external;
	uint16_t external_port;
	uint64_t rx_bytes; /* from the device */
	uint64_t tx_bytes; /* to it */
};

/* Of NETD_STATUS: what is wanted beyond the rest. A request without a body wants nothing more. */
enum netd_status_flag {
	NETD_STATUS_TRAFFIC = 1 << 0, /* the forwards that anything went through */
};

struct netd_status {
	char backend[NETD_NAME_MAX]; /* "kernel" or "start-wg", with its version where known */
	bool link_up;
	uint32_t mtu;
	uint16_t listen_port;
	uint64_t drift_found; /* how often the kernel was not as wanted, since start-netd runs */
	uint64_t drift_repaired;
	char drift_last[256]; /* what it was, for a person; "" never */
	uint64_t drift_last_s; /* when, since 1970 */
	struct netd_peer_status *peers;
	size_t peer_count;
	struct netd_forward_status *forwards;
	size_t forward_count;
};

void netd_status_done(struct netd_status *status);
DEFINE_CLEANUP_DONE(struct netd_status, netd_status_done);

enum netd_socket_kind {
	NETD_TCP = 1,
	NETD_UDP = 2, /* outside of the tunnel of one address only, not of all */
};

enum netd_bind_flag {
	/* Bound to the WireGuard interface too (SO_BINDTODEVICE), so that nobody else reaches it. The
	 * interface has to be there; where it is made anew, the socket is of no use any more. */
	NETD_BIND_TUNNEL = 1 << 0,
};

/* What NETD_BIND asks for. start-netd binds any TCP port for everybody, any UDP port of one address, and of the tunnel the ports of
 * its services: 53, 1900 and 5351 of UDP, 53 and 49001 of TCP. */
struct netd_bind {
	uint8_t kind; /* enum netd_socket_kind */
	uint8_t flags; /* enum netd_bind_flag */
	struct endpoint endpoint;
};

/*
 * The channel that NETD_TRANSPARENT gives (SOCK_SEQPACKET). A request is one byte, how many sockets are
 * wanted: 1 to NETD_TRANSPARENT_MAX. The answer is one byte: 0, and one or more TCP sockets come with it
 * (SCM_RIGHTS), or the errno why there is none. A socket is not bound, does not block, and may take any
 * IPv4 address as its own (IP_TRANSPARENT); it speaks through the WireGuard interface only. There is one
 * channel at a time: another request closes the one before.
 */
#define NETD_TRANSPARENT_MAX 64

/* A frame as it was parsed; the body is borrowed from the buffer. */
struct netd_frame {
	uint8_t type;
	uint32_t number;
	const uint8_t *body;
	size_t body_size;
};

/* Splits the first frame off received bytes. Returns its whole size, 0 where bytes are still
 * missing, or -EMSGSIZE, -EBADMSG. */
ssize_t netd_frame_parse(const uint8_t *data, size_t size, struct netd_frame *ret);

/* Whole frames, appended to @to (a text that is wiped by its owner: text_done_secret). */
void netd_write_sync(struct text *to, uint32_t number, const struct net_set *wanted);
void netd_write_change(struct text *to, uint32_t number, const struct net_set *remove,
		       const struct net_set *add);
void netd_write_bind(struct text *to, uint32_t number, const struct netd_bind *wanted);
void netd_write_plain(struct text *to, uint8_t type, uint32_t number);
void netd_write_status_request(struct text *to, uint32_t number, uint8_t flags);
void netd_write_failed(struct text *to, uint32_t number, const struct fault *fault);
void netd_write_status(struct text *to, uint32_t number, const struct netd_status *status);

/* Bodies. Return 0, -EBADMSG (wrong form), -E2BIG, -ENOMEM; sets come sorted. The members are not
 * checked here: net_item_check(). */
int netd_parse_sync(const struct netd_frame *frame, struct net_set *ret_wanted);
int netd_parse_change(const struct netd_frame *frame, struct net_set *ret_remove,
		      struct net_set *ret_add);
int netd_parse_bind(const struct netd_frame *frame, struct netd_bind *ret);
int netd_parse_status_request(const struct netd_frame *frame, uint8_t *ret_flags);
int netd_parse_failed(const struct netd_frame *frame, struct fault *ret);
int netd_parse_status(const struct netd_frame *frame, struct netd_status *ret);
