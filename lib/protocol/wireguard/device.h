/*
 * A WireGuard device without I/O
 *
 * The whole protocol of the WireGuard paper (Donenfeld, NDSS 2017, rev. 2020): handshakes, sessions,
 * timers, cookies, allowed IPs. It reads no clock and opens no socket: bytes, time and randomness
 * come in as arguments and callbacks, messages leave through wg_device_ops.send and, for packets in
 * bulk, in the buffers of the caller, which are sealed and opened in place.
 *
 * Owned by one thread. What handshakes cost on curves and hashes may be left to others
 * (wg_device_ops.compute). Bounds: WG_CONFIG_PEERS_MAX peers; each stages WG_STAGED_MAX packets while
 * its handshake runs, and all together WG_STAGED_BYTES_MAX; WG_JOBS_MAX messages of handshakes are computed
 * at the same time; handshakes from addresses that ask too often cost one MAC each, and all addresses together
 * get 4,000 cookies in a second; the device begins no more than a few handshakes in a millisecond.
 *
 * Memory, beside 13 KiB of its own, the limiters, jobs and what is staged: a peer with one network takes
 * 0.9 KiB and a session 3.3 KiB, of which its two keys are 2.1 KiB and the replay window 1 KiB. A peer has two
 * sessions after a new handshake and never more than three; they go when none was derived for nine minutes.
 * allocation_test.c bounds these figures, and decision 0007 has what they come to.
 *
 * Addresses of struct wg_peer are stable until the peer is removed by wg_device_configure().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/ip.h"
#include "wireguard/config.h"

#define WG_HEADROOM 16 /* type, receiver, counter: before a packet that is to be sealed */
#define WG_TAILROOM 32 /* padding to 16 and the tag: after it */
#define WG_STAGED_MAX 128
#define WG_STAGED_BYTES_MAX (16 << 20) /* of memory, for all peers */
#define WG_PACKET_MAX 65535

#define WG_JOBS_MAX 512

struct wg_device;
struct wg_peer;
struct wg_job;

/* The two times that the protocol needs: timers run on the first, TAI64N stamps come from the second. */
struct wg_time {
	uint64_t monotonic_ns;
	uint64_t realtime_ns;
};

/* Where a message goes and, where it is known, what it is to come from (sticky source). */
struct wg_route {
	struct endpoint remote;
	struct ip_address local; /* family 0: the kernel chooses */
};

struct wg_device_ops {
	/* Sends one message (handshake, cookie, keepalive, a packet that was staged). @ds: the DS field
	 * of the outer header. What it cannot send is lost, as on any network. */
	void (*send)(void *context, const struct wg_route *to, uint8_t ds, const void *message,
		     size_t size);
	void (*random)(void *context, void *to, size_t size);

	/*
	 * May be NULL. A message of a handshake is to be written or read, which takes computing for a while:
	 * has wg_jobs_compute() called and the job given back, in any order and at any time before the device
	 * is released. No more than WG_JOBS_MAX are out.
	 */
	void (*compute)(void *context, struct wg_job *job);

	/*
	 * May be NULL. By which network interface a message leaves that goes to @to from @to->local now, or
	 * 0: not known. Asked when the address that a peer speaks to becomes another one, and once for each
	 * peer that speaks after wg_device_routes_changed().
	 */
	uint32_t (*output)(void *context, const struct wg_route *to);
};

/* One packet: on its way out an inner IP packet that becomes a message, on its way in a message
 * that becomes an inner IP packet. `data` moves over the same memory. */
struct wg_buffer {
	uint8_t *data;
	size_t size;
	uint8_t ds; /* DS field of the outer header; ECN is combined (ip_packet.h) */

	/* Of wg_device_open() only. */
	struct wg_route from; /* in: where the message came from, and the address it came to */
	struct wg_peer *peer; /* out: who sent the packet; NULL: no packet for the TUN */
};

enum wg_seal_result {
	WG_SEALED = 0,
	WG_STAGED = 1, /* no session: the packets were copied, a handshake is due */
	WG_NO_ENDPOINT = 2, /* nowhere to send to, or the device is down; dropped */
};

/* What was dropped, and why; each counts packets or messages since the device was made. */
struct wg_device_drops {
	uint64_t no_peer; /* out: no allowed IP matches */
	uint64_t no_endpoint;
	uint64_t bad_key; /* out: a public key of low order, with which no handshake is possible */
	uint64_t staged_overflow; /* beyond WG_STAGED_MAX or WG_STAGED_BYTES_MAX: the oldest */
	uint64_t malformed;
	uint64_t bad_mac; /* also every handshake while there is no private key */
	uint64_t cookie_given; /* too many handshakes: this one was answered with a cookie, which the next wants */
	uint64_t cookie_refused; /* there were too many for that, too */
	uint64_t busy; /* as many handshakes as may be are being computed */
	uint64_t rate_limited;
	uint64_t unknown_peer;
	uint64_t handshake_replayed;
	uint64_t unknown_index;
	uint64_t replayed;
	uint64_t bad_tag;
	uint64_t wrong_source; /* in: the inner source is not the peer's */
	uint64_t expired; /* in: the session is over */
	uint64_t no_session; /* out: staged, but no handshake succeeded in time */
	uint64_t no_memory;
};

/*
 * Makes a device without key and peers, which is down. @ops is copied, @context is kept. Has libcrypto load all that
 * it will ever need, so that the caller may shut itself in afterwards. Returns 0 or -ENOMEM.
 */
int wg_device_new(const struct wg_device_ops *ops, void *context, struct wg_time now,
		  struct wg_device **ret);

/* Releases the device and wipes its keys. NULL is fine. Returns NULL. */
struct wg_device *wg_device_free(struct wg_device *device);
DEFINE_CLEANUP(struct wg_device *, wg_device_free);

/*
 * Applies a change, whole or not at all, and disturbs no peer that it does not name. Listen port and
 * fwmark are only remembered: the sockets are the caller's.
 * Returns 0, -ENOMEM, or -E2BIG where it would pass a bound.
 */
int wg_device_configure(struct wg_device *device, const struct wg_config *change,
			struct wg_time now);

/* Tells configuration and state of everything, keys included. Returns 0 or -ENOMEM. */
int wg_device_read(const struct wg_device *device, struct wg_config *ret);

void wg_device_drops(const struct wg_device *device, struct wg_device_drops *ret);

/*
 * Which peer an outgoing IP packet belongs to by its destination, or NULL (counted as dropped). @count: packets
 * that it stands for.
 */
struct wg_peer *wg_device_route(struct wg_device *device, const uint8_t *packet, size_t size,
				size_t count);

/*
 * Seals packets for one peer in place, in order. Each buffer holds an inner packet with WG_HEADROOM
 * writable bytes before it and WG_TAILROOM after it; sealed, it holds the message. An empty buffer
 * becomes a keepalive. Padding never makes a packet longer than @mtu.
 * Returns an enum wg_seal_result; unless WG_SEALED, the buffers are unchanged and not to be sent.
 */
int wg_peer_seal(struct wg_peer *peer, struct wg_buffer *buffers, size_t count, size_t mtu,
		 struct wg_time now);

/* Where to send to the peer now. */
const struct wg_route *wg_peer_route(const struct wg_peer *peer);

/* The kernel refused the remembered source address of the route: forget it. */
void wg_peer_forget_source(struct wg_peer *peer);

/*
 * Takes in messages as they came from the sockets, in any mixture and from anyone. Those that hold
 * an authentic packet from a peer that may send it come back with `peer` set and data/size telling
 * the inner packet; all others are dealt with, and come back with peer NULL.
 */
void wg_device_open(struct wg_device *device, struct wg_buffer *buffers, size_t count,
		    struct wg_time now);

/*
 * Does the computing of jobs: changes nothing but them, so that any thread may. Several at once take less time
 * than one after the other.
 */
void wg_jobs_compute(struct wg_job *const *jobs, size_t count);

/* Gives a job back to its device once it was computed. */
void wg_device_take_job(struct wg_device *device, struct wg_job *job, struct wg_time now);

/* A place for whoever has the job to chain it with others. */
struct wg_job **wg_job_next(struct wg_job *job);

/* Does what is due, up to bounds that keep it short: what is left is due at once, and packets may have their
 * turn before it. Call at wg_device_deadline(), and any time else. */
void wg_device_run_timers(struct wg_device *device, struct wg_time now);

/* Monotonic time of the next timer, or UINT64_MAX: none. */
uint64_t wg_device_deadline(const struct wg_device *device);

/*
 * The way to any peer may be another one now: a peer whose messages leave by another interface than before
 * is spoken to from whatever address the kernel chooses there, and from the one that it speaks to once the
 * way leads back. Costs nothing by itself.
 */
void wg_device_routes_changed(struct wg_device *device);

/*
 * The link went up or down. Up: peers with a persistent keepalive speak. Down: sessions and handshakes are
 * forgotten, and until the link is up again nothing is due, begun, sealed, opened or answered.
 */
void wg_device_set_up(struct wg_device *device, bool up, struct wg_time now);
