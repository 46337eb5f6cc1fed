/*
 * Inside of a WireGuard device: peers, sessions, and who does what
 *
 * For the files of this folder and their tests. A device owns its peers, a peer its sessions and
 * its handshake. session.c holds keys and counters, peer.c what a peer is, peer_timers.c when
 * something is due, handshake.c the messages that make sessions, answer.c what answers them, job.c what
 * they cost, data.c those that use them, configure.c changes from outside.
 */
#pragma once

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "wireguard/aead.h"
#include "wireguard/allowed_ips.h"
#include "wireguard/cookie.h"
#include "wireguard/device.h"
#include "wireguard/dh.h"
#include "wireguard/index_table.h"
#include "wireguard/limiter.h"
#include "wireguard/noise.h"
#include "wireguard/replay.h"
#include "wireguard/timer_wheel.h"

/* Constants of the paper, section 6.1. */
#define REKEY_AFTER_MESSAGES (UINT64_C(1) << 60)
#define REJECT_AFTER_MESSAGES (UINT64_MAX - (UINT64_C(1) << 13))
#define REKEY_AFTER_TIME (120 * NS_PER_S)
#define REJECT_AFTER_TIME (180 * NS_PER_S)
#define REKEY_ATTEMPT_TIME (90 * NS_PER_S)
#define REKEY_TIMEOUT (5 * NS_PER_S)
#define REKEY_JITTER_MS 334 /* up to a third of a second, so that two sides do not stay in step */
#define KEEPALIVE_TIMEOUT (10 * NS_PER_S)

/*
 * Bounds of wg_device_run_timers(), which has the thread of the packets: however many peers want something at
 * once, a round of it takes a small part of a millisecond on a processor of today, and packets have their turn
 * between two rounds. Handshakes are begun no faster than a processor or two can compute them: 110 us each,
 * 180 us the first one with a peer, and 90 us for the response.
 */
#define TIMERS_AT_ONCE 64 /* peers */
#define BEGUN_AT_ONCE 4 /* handshakes */
#define BEGUN_INTERVAL NS_PER_MS /* from one such row to the next */

#define INITIATION_INTERVAL (20 * NS_PER_MS) /* a peer may not begin handshakes more often */
#define TIMESTAMP_GRAIN (UINT64_C(1) << 24) /* ns; stamps tell no more than that (about 17 ms) */

/*
 * A device is under load for LOAD_LINGER after an interval with more handshakes than that: about a sixth of
 * one core. A processor that cannot do as many in an interval does not keep up: it finds LOAD_BATCH or more
 * in each batch, and that many in such batches in a row are load, too.
 */
#define LOAD_HANDSHAKES 100
#define LOAD_INTERVAL (100 * NS_PER_MS)
#define LOAD_LINGER NS_PER_S
#define LOAD_BATCH 16
#define LOAD_ANSWERS (ANSWERS_MAX / 2) /* so many that wait are load, too */

/* Messages of handshakes that are computed at once, at most. Each kind has its own places, so that none keeps the
 * others away. */
#define INITIATIONS_MAX 64 /* of our own */
#define RESPONSES_MAX 64 /* to them */
#define ANSWERS_MAX (WG_JOBS_MAX - INITIATIONS_MAX - RESPONSES_MAX)

/*
 * Cookies that the device gives out in a second, to all addresses together: 8 us each, about a thirtieth of one
 * core. An address that asked for few (limiter.h) gets the last half of those that may be given out at once, so
 * that a flood from one address leaves some to others, and a flood in his name some to the one who has it.
 */
#define COOKIES_PER_SECOND 4000
#define COOKIES_BURST 1024

#define DS_HANDSHAKE 0x88 /* AF41 */

struct session {
	struct wg_peer *peer;
	struct aead_key *seal;
	struct aead_key *open;
	uint64_t send_counter; /* of the next packet */
	uint64_t born_ns;
	uint32_t local_index;
	uint32_t remote_index;
	bool initiator;
	struct replay replay;
};

/* What a peer may have to do at some time. */
enum peer_timer {
	TIMER_RETRANSMIT, /* the handshake was not answered */
	TIMER_KEEPALIVE, /* something came, and nothing went back */
	TIMER_NEW_HANDSHAKE, /* something went out, and nothing came back */
	TIMER_ERASE, /* sessions are long over: forget the keys */
	TIMER_PERSISTENT, /* the persistent keepalive */
	TIMER_COUNT,
};

/* A packet that waits for a session. */
struct staged_packet {
	struct list link; /* of all that are staged, the oldest first */
	struct wg_peer *peer;
	struct staged_packet *next; /* of the same peer */
	size_t size;
	size_t mtu;
	uint8_t bytes[]; /* headroom, packet, tailroom */
};

struct staged_queue {
	struct staged_packet *first;
	struct staged_packet **last;
	size_t count;
};

enum shared_state {
	SHARED_UNKNOWN, /* not computed yet */
	SHARED_KNOWN,
	SHARED_REJECTED, /* the public key is of low order: no handshake is possible */
};

enum job_step {
	JOB_READ_INITIATION, /* who is it? */
	JOB_WRITE_RESPONSE, /* is it really, and if so, what is the response? */
	JOB_WRITE_INITIATION,
	JOB_READ_RESPONSE,
};

enum job_share {
	JOB_SHARE_ANSWERS, /* both of their steps */
	JOB_SHARE_INITIATIONS,
	JOB_SHARE_RESPONSES,
	JOB_SHARES,
};

struct job_places {
	size_t places;
	size_t out; /* of them */
};

struct wg_peer {
	struct wg_device *device;
	struct list link; /* of the device's peers, or of those that are not there */
	bool present; /* false only within wg_device_configure() */
	bool named; /* by the change that is being applied */

	uint8_t public_key[WG_KEY_SIZE];
	uint8_t preshared_key[WG_KEY_SIZE];
	uint16_t keepalive_s;
	struct allowed_ips_owner allowed_ips;
	struct wg_route route; /* remote family 0: not known; local: `source`, or none */
	struct ip_address source; /* that the peer spoke to last; family 0: none */
	uint32_t source_output; /* interface that messages from `source` left by when it became it; 0: not known */
	uint32_t routes_seen; /* wg_device.routes when that was looked up last */

	/* The secret of both static keys. */
	uint8_t shared[DH_SIZE];
	enum shared_state shared_state;

	struct list waiting; /* in the device's list: a handshake is to be begun */
	const struct wg_job *initiation; /* that is being computed; NULL: none that is wanted still */

	/* The handshake that we began, while its index is not 0. */
	struct noise_handshake handshake;
	uint32_t handshake_index;
	uint64_t attempt_began_ns; /* the first of a row of initiations */
	uint64_t next_initiation_ns; /* none is sent before */
	uint64_t last_stamp_ns; /* of our last initiation */

	/* The handshakes of the other side. */
	uint8_t latest_timestamp[NOISE_TIMESTAMP_SIZE];
	uint64_t next_acceptance_ns; /* none is answered before */
	struct cookie_jar cookies;

	/* Packets go out in `current`. `next` is one that we answered to: it becomes current with the
	 * first packet that comes in it. */
	struct session *previous;
	struct session *current;
	struct session *next;
	struct staged_queue staged;

	/* The node stands at or before the earliest of the timers: one that moves away is left alone
	 * until the node is due. */
	struct timer_node timer_node;
	uint64_t timers[TIMER_COUNT]; /* TIMER_NEVER: off */
	uint64_t jitter_ns; /* of what is sent again, so that both sides do not stay in step */
	bool another_keepalive; /* more came while TIMER_KEEPALIVE was on */
	bool last_minute_sent; /* a handshake was begun because packets came in an old session */

	uint64_t last_handshake_ns; /* real time; 0: never */
	uint64_t rx_bytes;
	uint64_t tx_bytes;
};

/* A message of a handshake that is to be computed. A value of its own: while it is out, the device and its peers
 * may change. */
struct wg_job {
	struct wg_job *next; /* of whoever holds it */
	enum job_step step;
	int result; /* of the step: 0, an error of noise.h, or -ESTALE: seen before */

	struct dh_key *identity; /* ours when it began; NULL: the place is free */
	struct noise_handshake handshake;
	struct noise_initiation initiation;
	struct noise_response response;

	/* Of a message that came. */
	struct wg_route from;
	uint32_t sender;
	uint32_t receiver; /* of a response */

	/* Of the peer, once he is known. */
	uint8_t remote_static[DH_SIZE];
	uint8_t shared[DH_SIZE]; /* in, and out if it was unknown */
	enum shared_state shared_state;
	uint8_t preshared_key[WG_KEY_SIZE];
	/* Of our initiation; of an answer the latest one, and then that of the initiation. */
	uint8_t timestamp[NOISE_TIMESTAMP_SIZE];

	uint8_t ephemeral[DH_SIZE]; /* random */
	struct noise_keys keys; /* out */
};

struct wg_device {
	struct wg_device_ops ops;
	void *context;
	bool up; /* while it is not, there are no sessions, and nothing is due */

	uint8_t private_key[WG_KEY_SIZE];
	uint8_t public_key[WG_KEY_SIZE];
	struct dh_key *identity; /* NULL: there is no private key */
	uint16_t listen_port;
	uint32_t fwmark;

	struct list peers; /* in the order in which they were made */
	struct map peers_by_key;
	struct index_table indices;
	struct allowed_ips allowed_ips;
	struct timer_wheel timers;
	struct list waiting; /* peers that a handshake is to be begun with, in their order */
	uint64_t begin_ns; /* none is begun before */

	struct cookie_checker checker;
	struct limiter limiter;
	struct limiter cookie_limiter; /* of its own: cookies are asked for without proof */
	uint64_t cookies_full_ns; /* when COOKIES_BURST may be given out at once again */
	uint64_t load_interval_ns; /* when the running interval ends */
	unsigned load_count; /* handshakes in it */
	unsigned load_row; /* handshakes in this batch and those before it that were full of them */
	uint64_t loaded_until_ns;

	struct wg_job *jobs; /* WG_JOBS_MAX, or few where they are computed at once */
	struct job_places shares[JOB_SHARES]; /* of them */
	size_t jobs_made; /* those after it were never used */
	struct wg_job *free_jobs;

	struct list staged; /* packets of all peers */
	size_t staged_bytes; /* that they take */

	uint32_t routes; /* changes of the host's routes */

	struct wg_device_drops drops;
};

/* device.c */

static inline void device_random(struct wg_device *device, void *to, size_t size)
{
	device->ops.random(device->context, to, size);
}

/* Sends a message to a peer and counts it. */
void peer_send(struct wg_peer *peer, uint8_t ds, const void *message, size_t size);

/* session.c */

/* Makes a session from the keys of a handshake, without an index. Returns 0 or -ENOMEM. */
int session_new(struct wg_peer *peer, const struct noise_keys *keys, bool initiator,
		struct wg_time now, struct session **ret);

/* Forgets its index, wipes it. NULL is fine. Returns NULL. */
struct session *session_free(struct session *session);

/* Whether @count more packets may be sent in it, or one be received. NULL is fine: no. */
bool session_can_send(const struct session *session, size_t count, struct wg_time now);
bool session_can_receive(const struct session *session, struct wg_time now);

/* Seals packets in place; the session can send as many. Returns the bytes of all messages. */
size_t session_seal(struct session *session, struct wg_buffer *buffers, size_t count, size_t mtu);

/* peer.c */

/* Makes a peer that is not in its device's lists. Returns 0 or -ENOMEM. */
int peer_new(struct wg_device *device, const uint8_t public_key[WG_KEY_SIZE], struct wg_peer **ret);

/* Releases the peer; its lists have forgotten it. NULL is fine. Returns NULL. */
struct wg_peer *peer_free(struct wg_peer *peer);
DEFINE_CLEANUP(struct wg_peer *, peer_free);

/* Forgets what the peer has with the other side and what it waits for: sessions, handshakes, packets. Settings
 * and counters stay. */
void peer_stop(struct wg_peer *peer);

/* Makes the peer as if it were new: no settings, sessions, networks, counters. */
void peer_reset(struct wg_peer *peer);

void peer_forget_sessions(struct wg_peer *peer);

/* Forgets the handshake that we began. */
void peer_forget_handshake(struct wg_peer *peer);

/* Keeps the secret of both static keys that a job had to find, for those that come. */
void peer_remember_shared(struct wg_peer *peer, const struct wg_job *job);

/* Keeps copies of packets until there is a session. */
void peer_stage(struct wg_peer *peer, const struct wg_buffer *buffers, size_t count, size_t mtu);

/* Takes the oldest packet out, if there is one; the caller frees it. */
struct staged_packet *peer_unstage(struct wg_peer *peer);

/* Drops what is staged, and counts it. */
void peer_drop_staged(struct wg_peer *peer);

/* Settles where the peer is: nothing is known of the address that it speaks to. */
void peer_set_endpoint(struct wg_peer *peer, const struct endpoint *endpoint);

/* An authentic message came from there. */
void peer_follow(struct wg_peer *peer, const struct wg_route *from);

/* To be called before the route is used: lets go of the source if the way there has become another one. */
void peer_check_route(struct wg_peer *peer);

/* Puts a session in its place: see struct wg_peer. */
void peer_add_session(struct wg_peer *peer, struct session *session);

/* Makes `next` the current session. */
void peer_promote_next(struct wg_peer *peer);

/* peer_timers.c: each tells of something that happened. */
void peer_timer_set(struct wg_peer *peer, enum peer_timer timer, uint64_t at_ns);
void peer_data_sent(struct wg_peer *peer, struct wg_time now);
void peer_data_received(struct wg_peer *peer, struct wg_time now);
void peer_authenticated_sent(struct wg_peer *peer, struct wg_time now);
void peer_authenticated_received(struct wg_peer *peer, struct wg_time now);
void peer_handshake_begun(struct wg_peer *peer, struct wg_time now);
void peer_handshake_complete(struct wg_peer *peer, struct wg_time now);
void peer_session_derived(struct wg_peer *peer, struct wg_time now);

/* handshake.c */

/* Has a handshake begun by wg_device_run_timers(), unless one was just now. @retry: it belongs to the row of
 * attempts that is going on. */
void peer_initiate(struct wg_peer *peer, bool retry, struct wg_time now);

/* Begins the handshakes that wait, as many as may be now. */
void device_begin_handshakes(struct wg_device *device, struct wg_time now);

/* Deals with a message of any type but data. */
void device_handle_handshake(struct wg_device *device, const struct wg_buffer *message,
			     uint32_t type, struct wg_time now);

/* Sends an initiation that was computed, if it is wanted still. */
void handshake_begun(struct wg_device *device, struct wg_job *job, struct wg_time now);

/* Makes the session of a response that was computed, if it is an answer to what we said last. */
void handshake_answered(struct wg_device *device, const struct wg_job *job, struct wg_time now);

/* Counts a handshake that failed for one of the errors of noise.h. */
void device_count_failure(struct wg_device *device, int error);

/* A handshake message of @size from the peer was authentic. */
void peer_handshake_received(struct wg_peer *peer, const struct wg_route *from, size_t size,
			     struct wg_time now);

/* answer.c */

/* Begins to answer an initiation that came from @from. */
void device_answer(struct wg_device *device, const struct wg_route *from, uint32_t sender,
		   const struct noise_initiation *initiation, struct wg_time now);

/* It is known who wants the answer: has the rest of it computed. Returns whether there is a rest. */
bool answer_begin(struct wg_device *device, struct wg_job *job, struct wg_time now);

/* Makes the session and sends the response, if both are wanted still. */
void answer_finish(struct wg_device *device, const struct wg_job *job, struct wg_time now);

/* job.c */

/* Returns 0 or -ENOMEM. */
int jobs_init(struct wg_device *device);
void jobs_done(struct wg_device *device);

/* Takes an empty job with our key, to be handed to job_compute(). NULL: as many of its kind as may be are out. */
struct wg_job *job_take(struct wg_device *device, enum job_step step);
bool job_may_be_taken(const struct wg_device *device, enum job_step step);

/* Has it computed, at once or elsewhere. */
void job_compute(struct wg_device *device, struct wg_job *job, struct wg_time now);

/* data.c */

/* Sends what was staged, in the current session. */
void peer_flush_staged(struct wg_peer *peer, struct wg_time now);

/* Sends an empty packet, or begins a handshake where there is no session. */
void peer_send_keepalive(struct wg_peer *peer, struct wg_time now);
