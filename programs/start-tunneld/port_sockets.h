/*
 * Sockets by which devices open ports: PCP with NAT-PMP, and UPnP
 *
 * They come from start-netd, bound to the WireGuard interface, and are made anew when that is. What
 * arrives goes to the services of core/tunnel, at most PORT_SOCKETS_BURST datagrams at a time; UPnP's
 * calls have an HTTP server of their own.
 */
#pragma once

#include <uv.h>

#include "tunnel/tunnel.h"

#define PORT_SOCKETS_BURST 64
#define PORT_SOCKETS_RETRY_S 2 /* until a socket that could not be had is asked for again */
#define PORT_SOCKETS_HTTP_MAX 256 /* connections of all devices, ... */
#define PORT_SOCKETS_HTTP_DEVICE_MAX 16 /* ... and of one */

struct port_sockets;

/* All but the loop outlives it. Returns 0 or a negative errno; a socket that cannot be had is asked for
 * again and again. */
int port_sockets_start(uv_loop_t *loop, struct tunnel *tunnel, struct netd_client *netd,
		       struct port_sockets **ret);

/* Takes nothing more and calls @closed, perhaps at once, when the last answer was given. */
void port_sockets_stop(struct port_sockets *sockets, void (*closed)(void *context), void *context);

/* For what is stopped, before the tunnel and the client of start-netd are freed. NULL is fine. Returns
 * NULL. */
struct port_sockets *port_sockets_free(struct port_sockets *sockets);
