/*
 * Transparent sockets for the daemon (netd_protocol.h: NETD_TRANSPARENT)
 *
 * The daemon's relay takes a socket for each connection, so it asks on a channel of its own, many at a
 * time. A socket may be bound to any address, because it speaks to devices from that of its client; it
 * can speak to nobody else, for it is bound to the WireGuard interface.
 */
#pragma once

/* The two ends of a channel. Returns 0 or a negative errno; both are the caller's. */
int transparent_channel(int *ret_ours, int *ret_theirs);

/* There is something on our end: answers one request. Returns 0, or a negative errno: closed, or the
 * other side does not keep to the protocol. */
int transparent_serve(int fd);
