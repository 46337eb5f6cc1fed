/*
 * The event loop of the data plane: one epoll descriptor
 *
 * A source is embedded in its owner, who finds itself with container_of(). Level-triggered. A source
 * may be removed at any time, also from within a callback of the same round.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/cleanup.h"

#define POLLER_EVENTS_MAX 32

struct poller_source {
	int fd;
	uint32_t events; /* EPOLLIN and so on; errors are told at any rate */
	void (*ready)(struct poller_source *source, uint32_t events);
};

struct poller {
	int fd;
	bool stopped;
	int pending; /* events of the round that are not dispatched yet */
	struct epoll_event events[POLLER_EVENTS_MAX];
	unsigned calm_rounds; /* on end: of little, and soon after another */
	uint64_t credit_ns; /* how long it may look for events instead of sleeping */
	uint64_t looked_ns; /* when credit was counted last */
	uint64_t look_again_ns; /* not before: others wanted the processor */
	uint64_t pause_ns;
};

/* Returns 0 or a negative errno. */
int poller_init(struct poller *p);
void poller_done(struct poller *p);
DEFINE_CLEANUP_DONE(struct poller, poller_done);

/* Adds a source with its members set. Returns 0 or a negative errno. */
int poller_add(struct poller *p, struct poller_source *source);

/* Waits for other events from now on; 0: for none but errors. */
void poller_change(struct poller *p, struct poller_source *source, uint32_t events);

/* Takes a source out, if it is in. Its descriptor must be open still. */
void poller_remove(struct poller *p, struct poller_source *source);

/* Dispatches events until poller_stop(). Returns 0 or a negative errno. */
int poller_run(struct poller *p);

/* To be called in a round that has much to do, or no packets: after it the thread sleeps, and does not look
 * for the next event. */
void poller_rest(struct poller *p);

void poller_stop(struct poller *p);
