/*
 * The live status of devices, forwards and the machine, and what changed in it
 *
 * Joins the document with what start-netd says. Keeps a row for each device and each plain forward, so
 * that an update costs no more than a look at each where the document did not change: keys are
 * computed and forwards looked up only when it did. Inside core/tunnel. Owned by one event loop.
 *
 * Members are those of `status` frames: now, interface, network, drift, web, devices by address, forwards by
 * source.
 */
#pragma once

#include "tunnel/job.h"

struct live;

int live_new(struct live **ret);
struct live *live_free(struct live *live); /* NULL is fine. Returns NULL. */
DEFINE_CLEANUP(struct live *, live_free);

/*
 * Takes in what start-netd says of the document's devices and forwards. @ret_changes: NULL is fine;
 * an object with the members that are other than before, or NULL where nothing is. In it a device or
 * forward is whole, and null where it is gone. Returns 0 or -ENOMEM; after that, what is told is as
 * though nothing had been known.
 */
int live_update(struct live *live, const struct tunnel *tunnel, const struct netd_status *status,
		json_t **ret_changes);

/* Whether the last update was of the document as it is now. */
bool live_is_current(const struct live *live, const struct tunnel *tunnel);

/* Everything, as of the last update, as the text of an object, which the caller frees. NULL: out of memory,
 * or there was none. */
char *live_whole(const struct live *live);

/* The same for people and programs that ask (`status`): lists, with what the document says of each. */
json_t *live_report(const struct live *live, const struct tunnel *tunnel);
