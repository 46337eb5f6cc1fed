/*
 * Kernel parameters of the network namespace under /proc/sys
 */
#pragma once

/* @name: with slashes, "net/ipv4/ip_forward". Return 0, a negative errno, -EBADMSG: no number. */
int sysctl_read(const char *name, int *ret);
int sysctl_write(const char *name, int value);
