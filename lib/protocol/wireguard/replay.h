/*
 * Which counters of a session have been seen (RFC 6479)
 *
 * A window of REPLAY_WINDOW counters below the highest accepted one. Words of the bitmap are reused
 * as a ring, so that moving the window forward clears words and never shifts. A zeroed struct is
 * empty.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define REPLAY_WINDOW 8192
#define REPLAY_WORDS (REPLAY_WINDOW / 64 + 1) /* the window begins within a word */

struct replay {
	uint64_t next; /* one past the highest counter accepted */
	uint64_t bits[REPLAY_WORDS];
};

/* Accepts an authentic packet's counter once; false if it was seen or is older than the window.
 * @counter: below UINT64_MAX. */
bool replay_accept(struct replay *replay, uint64_t counter);
