/*
 * Readiness, told to systemd
 */
#pragma once

/*
 * Connects to the socket that NOTIFY_SOCKET in the environment names. Returns a descriptor, or a
 * negative errno where nobody wants to know. To be called before the process shuts itself in.
 */
int notify_open(void);

/* Says that the service is ready. */
void notify_ready(int fd);
