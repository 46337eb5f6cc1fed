/*
 * Ports that devices open by themselves
 *
 * Takes the requests that PCP, NAT-PMP and UPnP have in common and makes them entries of /portForwards,
 * in the same transactions as the owner's edits: an answer is given once the change is in force and on
 * disk; one to a port that is shared by host name once that is bound. Where it cannot be, what the request made is
 * taken back. Requests that arrive while one is being written become one transaction; where that one fails,
 * each is tried alone. Forwards whose lease is over are removed when their time has come.
 *
 * A TCP port that is asked for without a host name, and is shared by host name already, is had for all names
 * that nobody else has, unless somebody has those.
 *
 * What the owner decided stays: a manual forward is never changed, and a forward that the owner disabled
 * is not enabled, nor removed, by anything that a device or the time does.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "document/lease.h"
#include "pcp/pcp.h"
#include "tunnel/tunnel.h"

#define PORT_MAPPER_WAITING_MAX 2048 /* requests of all devices */
#define PORT_MAPPER_DEVICE_WAITING_MAX 256 /* of one */
#define PORT_MAPPER_BATCH_MAX 128 /* in one transaction */
#define PORT_MAPPER_DEVICE_FORWARDS_MAX 1024 /* automatic ones of a device */
#define PORT_MAPPER_DEVICE_PORTS_MAX 8192 /* external ports of these together */
#define PORT_MAPPER_DEVICE_NAMES_MAX 1024 /* host names, on all ports, ... */
#define PORT_MAPPER_DEVICE_SHARED_PORTS_MAX                                                        \
	64 /* ... of which it opens so many at most: each is a listener */

enum mapping_action {
	MAPPING_ADD, /* or renew */
	MAPPING_REMOVE_INTERNAL, /* by the device's port; 0: all */
	MAPPING_REMOVE_EXTERNAL, /* by the public port */
};

struct mapping_request {
	enum mapping_action action;
	enum lease_via via;
	uint32_t device; /* who asks, and whom the forward leads to */
	bool ipv6; /* to its IPv6 address: a pinhole, or a forward of this machine's address */
	uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP; 0: both, only to remove */
	uint16_t internal_port;
	uint16_t external_port; /* wanted; 0: any */
	uint16_t count; /* ports, at least 1 */
	bool any_port; /* another external port is as good */
	bool exact; /* of IPv6: no other external port than the wanted one */
	uint32_t lifetime_s; /* 0: without end */
	bool has_nonce;
	uint8_t nonce[LEASE_NONCE_SIZE];

	/* Where there are any, a TCP port is shared: all of them are had, or none. To be removed by them, they are
	 * looked for on the external port, or where that is 0 on all. */
	struct pcp_hostname names[PCP_HOSTNAMES_MAX];
	size_t name_count;
};

enum mapping_result {
	MAPPING_DONE,
	MAPPING_NOT_AUTHORIZED,
	MAPPING_NO_ADDRESS, /* no public address is known */
	MAPPING_TAKEN, /* another forward, or this machine, has a port of it, or somebody else a name */
	MAPPING_QUOTA,
	MAPPING_NOT_FOUND,
	MAPPING_UNBOUND, /* something else on this machine has the port that is to be shared */
	MAPPING_FAILED, /* the network or the disk refused */
};

struct mapping_outcome {
	enum mapping_result result;
	uint32_t external; /* of MAPPING_ADD, where done */
	struct ip_address external6; /* the same of one with ipv6 */
	uint16_t external_port;
};

typedef void (*mapping_done)(void *context, const struct mapping_request *request,
			     const struct mapping_outcome *outcome);

struct port_mapper;

/* @tunnel: borrowed; frees the mapper before itself. Returns 0 or -ENOMEM. */
int port_mapper_new(struct tunnel *tunnel, struct port_mapper **ret);

/* Forgets what waits, without a call. NULL is fine. Returns NULL. */
struct port_mapper *port_mapper_free(struct port_mapper *mapper);

/*
 * Carries out a request, which is copied. Returns 0, and @done is called once, later; or -EALREADY: the
 * same one waits already, and nothing about its port was asked for since (never over UPnP); -EBUSY: too many wait;
 * -ENOMEM. Then it is not called.
 */
int port_mapper_submit(struct port_mapper *mapper, const struct mapping_request *request,
		       mapping_done done, void *context);

/* Has no more called with this context. */
void port_mapper_forget(struct port_mapper *mapper, const void *context);

/* Leases may have changed: looks again when the next one is over. */
void port_mapper_look(struct port_mapper *mapper);

/* Seconds since the state that devices know of was last lost, RFC 6887 section 8.5. */
uint32_t port_mapper_epoch(const struct port_mapper *mapper);

/* The public addresses of forwards changed: devices have to ask again. */
void port_mapper_begin_epoch(struct port_mapper *mapper);

/* Has @changed called whenever that is so. NULL: nobody any more. */
void port_mapper_on_epoch(struct port_mapper *mapper, void (*changed)(void *context),
			  void *context);

/* Whether the device at an address may open ports. */
bool port_mapper_permits(const json_t *document, uint32_t device);

/* For a document that takes the place of another: takes out the open automatic forwards of devices that may
 * open ports in @before and may not in @after. */
void port_mapper_close_unpermitted(const json_t *before, json_t *after);

/* For a document that nobody follows yet: removes what is over, measures the rest by this start of the
 * machine. 0 or -ENOMEM. */
int port_mapper_prepare_document(json_t *document);
