/*
 * What devices are told without having asked
 *
 * After a restart, and where the public addresses of forwards change, a gateway says so: by PCP's ANNOUNCE (RFC 6887
 * section 14.1), NAT-PMP's public address (RFC 6886 section 3.2.1) and UPnP's NOTIFY. These are meant for the groups
 * 224.0.0.1, ff02::1 and 239.255.255.250, but WireGuard hands a packet to the one peer whose allowed addresses its
 * destination is in: those of a peer here are the device's own, and a group can be in those of one peer at most. So
 * each device gets its own copy, at the group's port; and only a device that may open ports and has some, by the
 * protocol that it had them by, for nobody else has anything to ask again.
 *
 * A series is ANNOUNCER_ROUNDS rounds, ANNOUNCER_FIRST_MS and then twice as long each time apart; a new event begins
 * it anew, no sooner than ANNOUNCER_FIRST_MS after the round before. UPnP is in the first ANNOUNCER_UPNP_ROUNDS of
 * them, and in one round before what was said is over (SSDP_MAX_AGE_S). Has no socket.
 */
#pragma once

#include <stddef.h>

#include "portcontrol/pcp_service.h"
#include "tunnel/tunnel.h"

#define ANNOUNCER_ROUNDS 10
#define ANNOUNCER_FIRST_MS 250
#define ANNOUNCER_UPNP_ROUNDS 3
#define ANNOUNCER_BURST 64 /* devices that are told at a time, ... */
#define ANNOUNCER_BURST_MS 10 /* ... and how long it is until the next are */
#define ANNOUNCER_BYE_MAX 1024 /* devices that are told of the end */

enum announcer_port {
	ANNOUNCER_PCP, /* the port where PCP is asked */
	ANNOUNCER_SSDP,
};

/* @port: which of this machine's ports it leaves from, and from which address of it is in @to. */
typedef void (*announcer_send)(void *context, enum announcer_port port, const struct pcp_peer *to,
			       const void *data, size_t size);

struct announcer;

/* Follows the tunnel's epoch from now on. @tunnel: borrowed. Returns 0 or -ENOMEM. */
int announcer_new(struct tunnel *tunnel, announcer_send send, void *context,
		  struct announcer **ret);

/* Begins a series: devices are answered again. */
void announcer_begin(struct announcer *announcer);

/* Tells by UPnP that nobody answers any more, and is silent from then on. */
void announcer_stop(struct announcer *announcer);

/* Before the tunnel is freed. NULL is fine. Returns NULL. */
struct announcer *announcer_free(struct announcer *announcer);
