/*
 * Signatures that were accepted, so that none is accepted twice
 *
 * A signature is kept as long as its time lets it be accepted. Each device has a share of its own, so that
 * none uses up what another needs: NAMES_DEVICE_REPLAYS_MAX signatures of about 200 bytes, or 400 KiB for
 * each device that may change records, at most. Reads no clock; times are monotonic.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "dns/tsig.h"

/* Twice as many as a device that sends two updates for each of 256 names every 180 s has within 300 s; as
 * many as it has within 600 s, where its clock is ahead. */
#define NAMES_DEVICE_REPLAYS_MAX 2048

struct replays;
struct replay; /* one signature; owned by the table */

/* Returns 0 or -ENOMEM. */
int replays_new(struct replays **ret);

/* NULL is fine. Returns NULL. */
struct replays *replays_free(struct replays *replays);
DEFINE_CLEANUP(struct replays *, replays_free);

/*
 * Keeps a signature of a device until @until_s has passed, and in any case until replay_answered(). Returns 0;
 * -EALREADY: it is kept and not answered yet; -EEXIST: it is kept and was answered; -EBUSY: the device has
 * its share; -ENOMEM.
 */
int replays_add(struct replays *replays, uint32_t device, const uint8_t mac[DNS_TSIG_MAC_SIZE],
		uint64_t now_s, uint64_t until_s, struct replay **ret);

/* What it signs was done. @replay is not to be used afterwards. */
void replay_answered(struct replay *replay);

/* What it signs was not done: it may come again. */
void replay_forget(struct replay *replay);
