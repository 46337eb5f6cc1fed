/*
 * The network interfaces of this machine, as the document shows them (tunnel.md 1.5)
 *
 * Unlike upstream, they are read again whenever an address or interface changes.
 */
#pragma once

#include <jansson.h>
#include <uv.h>

#include "base/cleanup.h"

/*
 * What /gateways has to hold now. @present: what it holds (borrowed); interfaces that are gone stay in
 * it with a null ipInfo where the owner set something about them, and are forgotten otherwise: on a
 * machine with containers they would be ever more. Returns 0 with a new object, or a negative errno.
 */
int gateways_read(const json_t *present, json_t **ret);

struct gateway_watch;

/* Calls @changed on the loop, some time after an address or interface came, went or changed. */
int gateway_watch_new(uv_loop_t *loop, void (*changed)(void *context), void *context,
		      struct gateway_watch **ret);

/* The memory goes away when the loop has closed its handles. NULL is fine. Returns NULL. */
struct gateway_watch *gateway_watch_free(struct gateway_watch *watch);
