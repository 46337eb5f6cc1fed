/*
 * The Internet Gateway Device that devices see: UPnP
 *
 * Answers searches (SSDP) and calls of actions over HTTP for devices that may open ports, each in its own
 * subnet. A device sees its own forwards, and opens and closes ports to itself alone. Has no socket: the
 * HTTP server is its owner's, who serves it with igd_service_handlers.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"
#include "http/server.h"
#include "igd/igd.h"
#include "tunnel/tunnel.h"

#define IGD_SERVICE_PER_S 100 /* searches and requests of one device; more are refused */
#define IGD_SERVICE_BURST 200
#define IGD_LEASE_MAX_S 604800 /* a week, as in WANIPConnection:2 */

struct igd_service;

/* The context is the service. */
extern const struct http_handlers igd_service_handlers;

/* @tunnel: borrowed. Returns 0 or -ENOMEM. */
int igd_service_new(struct tunnel *tunnel, struct igd_service **ret);

/* For one that has no request any more: after its HTTP server. Before the tunnel is freed. NULL is fine.
 * Returns NULL. */
struct igd_service *igd_service_free(struct igd_service *service);

/* The name of the gateway: it stays the same as long as the server's key does. */
void igd_service_uuid(const struct tunnel *tunnel, char to[IGD_UUID_SIZE]);

/*
 * Reads a search that came from @device. Writes the response to @to and returns its size, 0: none.
 * @capacity: at least SSDP_RESPONSE_MAX (igd/ssdp.h).
 */
size_t igd_service_search(struct igd_service *service, uint32_t device, const uint8_t *data,
			  size_t size, char *to, size_t capacity);
