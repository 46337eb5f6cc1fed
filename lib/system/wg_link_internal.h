/* What a back end does for wg_link.c. */
#pragma once

#include "system/wg_link.h"

/* -ENOENT, -EOPNOTSUPP: the kernel has no WireGuard. */
int wg_kernel_set(const char *name, const struct wg_config *change);
int wg_kernel_get(const char *name, struct wg_config *ret);

/* Starts @program and waits until it answers on its socket. */
int wg_userspace_create(const char *name, const char *program);
bool wg_userspace_alive(const char *name);
int wg_userspace_set(const char *name, const struct wg_config *change);
int wg_userspace_get(const char *name, struct wg_config *ret);
