/*
 * Threads that compute handshakes
 *
 * The data plane's thread hands jobs out and gets them back computed: it never waits for a curve. One
 * thread for each processor, of less priority than the data plane's, so that what strangers ask for costs
 * the sessions of peers next to nothing; where the processors are idle, all of them help.
 *
 * Ways between the threads are free of locks, and bounded by WG_JOBS_MAX: a ring that one thread fills and
 * all workers empty, and a list that all workers add to and one thread takes whole. A system call is
 * made only to wake who sleeps.
 *
 * Owned by the thread of the poller. Computed jobs come in no particular order, at most
 * WORKERS_TAKEN_MAX in one round of the poller.
 */
#pragma once

#include "base/cleanup.h"
#include "dataplane/poller.h"
#include "wireguard/device.h"

#define WORKERS_MAX 16
#define WORKERS_BATCH 16 /* jobs that a worker takes at once */
#define WORKERS_TAKEN_MAX 32
#define WORKERS_NICE 15

struct workers;

struct workers_ops {
	void (*computed)(void *context, struct wg_job *const *jobs, size_t count);
};

/* Without threads yet. @poller, @ops and @context are kept. Returns 0 or a negative errno. */
int workers_new(struct poller *poller, const struct workers_ops *ops, void *context,
		struct workers **ret);

/* So many threads as there are processors for this process, at most WORKERS_MAX. */
size_t workers_wanted(void);

/* Starts @count threads, at most WORKERS_MAX, which have the privilege that the caller has. Signals are not
 * theirs. Fewer are enough where there cannot be more. Returns 0, or a negative errno where there is none. */
int workers_start(struct workers *workers, size_t count);

/* How many there are. */
size_t workers_count(const struct workers *workers);

/* Has a job computed; it is not the caller's any more until ops.computed() gets it. */
void workers_compute(struct workers *workers, struct wg_job *job);

/* Ends the threads; what was not given back yet never will be. NULL is fine. Returns NULL. */
struct workers *workers_free(struct workers *workers);
DEFINE_CLEANUP(struct workers *, workers_free);
