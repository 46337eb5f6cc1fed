/*
 * Sockets that the daemon may not bind itself
 *
 * What it may have is checked here. The socket is close-on-exec, does not block and does not listen.
 */
#pragma once

#include "netstate/netd_protocol.h"

/* Returns 0 with the descriptor, -EINVAL for what the daemon is not to have, or the kernel's
 * negative errno: -EADDRINUSE, -EADDRNOTAVAIL, -ENODEV (there is no tunnel yet). */
int bind_socket(const struct netd_bind *wanted, int *ret);
