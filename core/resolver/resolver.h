/*
 * DNS for the devices of every subnet
 *
 * A proxy for each subnet serves UDP and TCP on its first address, port 53, bound to the tunnel, and on its
 * first IPv6 address where it has one. A device is told by its IPv4 address, whichever it asks from: what it
 * may ask for, and what it may change, is the same for both. Names that
 * are held here are answered from here; other questions go to the servers of the subnet, through a
 * cache. Dynamic updates are handed to the caller. Devices are served in their own subnet only.
 *
 * Sockets come from start-netd. Where one cannot be bound, that is said once in the log and tried again
 * every RESOLVER_RETRY_S seconds. Without clients and questions no timer runs. The memory that clients
 * can make it take is bounded by the numbers below and the cache's. Runs on one libuv loop.
 */
#pragma once

#include <uv.h>

#include "base/ip.h"
#include "dns/records.h"
#include "netstate/netd_client.h"

#define RESOLVER_RETRY_S 10
#define RESOLVER_SERVERS_MAX 8
#define RESOLVER_ATTEMPT_MS 2000 /* that a server has to answer in */
#define RESOLVER_ATTEMPTS_MAX 5
#define RESOLVER_QUESTIONS_MAX 512 /* on their way upstream, each with a socket */
#define RESOLVER_WAITERS_MAX 2048 /* clients that wait for them */
#define RESOLVER_CONNECTIONS_MAX 128 /* TCP, of all devices */
#define RESOLVER_DEVICE_CONNECTIONS_MAX 16
#define RESOLVER_IDLE_S 30 /* that a connection may be silent */
#define RESOLVER_TCP_REQUEST_MAX 16384 /* bytes */
#define RESOLVER_UPDATES_MAX 64 /* not answered yet */

struct resolver;

/* Servers to ask, the first one that works. */
struct resolver_servers {
	struct endpoint list[RESOLVER_SERVERS_MAX];
	size_t count;
};

struct resolver_subnet {
	uint32_t address; /* of this machine in it, where it is served */
	uint8_t prefix; /* length */
	struct ip_address
		address6; /* the same of IPv6; family 0: it has none. The network is a /64, and the
				       address of a device ends in the host part of its IPv4 address */
	bool own; /* has servers of its own; else those of the machine are asked */
	uint32_t device; /* the one among them that is in the subnet itself, or 0: its own questions
			    go to the machine's servers, or they would come back to it */
	struct resolver_servers servers;
};

/* An update that waits for resolver_answer(). */
struct resolver_request;

struct resolver_options {
	uv_loop_t *loop;
	struct netd_client *netd; /* borrowed */
	const char *link; /* the tunnel's interface; borrowed */
	const char *const
		*resolv_conf; /* files with the machine's servers, of which the first counts that
					   names any; ends with NULL; borrowed */

	/* An update from a device, by its IPv4 address. @message is borrowed during the call; @request is to be answered once,
	 * now or later, but before resolver_free(). */
	void (*update)(void *context, struct resolver_request *request, uint32_t source,
		       const uint8_t *message, size_t size);
	void *context;
};

/* Returns 0 or a negative errno. @options is copied. */
int resolver_new(const struct resolver_options *options, struct resolver **ret);

/* Stops serving; the memory goes away when the loop has closed the handles. To be called right before the
 * netd client is freed. NULL is fine. Returns NULL. */
struct resolver *resolver_free(struct resolver *resolver);

/* The subnets from now on. Those that stay keep their sockets and clients. Returns 0 or -ENOMEM. */
int resolver_set_subnets(struct resolver *resolver, const struct resolver_subnet *subnets,
			 size_t count);

/* The records that are held here, for the caller to fill; looked at with each question. */
struct dns_records *resolver_records(struct resolver *resolver);

/* Interfaces or addresses have changed: sockets of an interface that is gone are replaced, those that are
 * missing are tried again. */
void resolver_follow_link(struct resolver *resolver);

/* Answers an update and releases the request. @size 0: no answer is given. */
void resolver_answer(struct resolver_request *request, const uint8_t *message, size_t size);

/* Why a subnet is not served, for a person; NULL: all are. */
const char *resolver_problem(const struct resolver *resolver);

/* Reads the servers of a resolv.conf. Those of this machine itself are left out (loopback), and those that are
 * there twice. */
void resolver_parse_conf(const char *text, struct resolver_servers *ret);
