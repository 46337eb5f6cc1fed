/*
 * What start-netd keeps of root's privilege
 *
 * Itself: CAP_NET_ADMIN, and CAP_NET_BIND_SERVICE for the sockets that it binds for start-tunneld. The
 * programs that it starts as root (the userspace WireGuard device, the reboot command) cannot have more
 * than those and what they need.
 */
#pragma once

/* Gives everything else up, for good. Returns 0 or a negative errno. */
int privilege_narrow(void);
