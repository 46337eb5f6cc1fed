/*
 * What devices ask by PCP and NAT-PMP
 *
 * Takes datagrams of port 5351, over IPv4 and IPv6, and gives back the answers, those to mappings once they are durable. Each
 * device is answered at the server's address in its own subnet alone, and only ever opens ports to
 * itself; what is no device gets no answer. Has no socket.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"
#include "tunnel/tunnel.h"

#define PCP_SERVICE_PER_S 500 /* datagrams of one device that are looked at; more are dropped */
#define PCP_SERVICE_BURST 500

struct pcp_service;

/* Who asked, and at which address of this machine. */
struct pcp_peer {
	struct endpoint client;
	uint32_t server; /* of IPv4 */
	struct ip_address server6; /* where the client's address is one of IPv6 */
};

typedef void (*pcp_service_send)(void *context, const struct pcp_peer *to, const uint8_t *data,
				 size_t size);

/* @tunnel: borrowed. Returns 0 or -ENOMEM. */
int pcp_service_new(struct tunnel *tunnel, pcp_service_send send, void *context,
		    struct pcp_service **ret);

/* Nothing is sent any more; what was asked happens still. Before the tunnel is freed. NULL is fine.
 * Returns NULL. */
struct pcp_service *pcp_service_free(struct pcp_service *service);

void pcp_service_datagram(struct pcp_service *service, const struct pcp_peer *peer,
			  const uint8_t *data, size_t size);
