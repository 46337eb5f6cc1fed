#include "dataplane/workers.h"

#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define STACK_SIZE (256 << 10)
#define CACHE_LINE 64

struct workers {
	struct poller *poller;
	const struct workers_ops *ops;
	void *context;

	/* To the workers. No more are out than there are places: of those that nobody has claimed, none is
	 * written over. */
	struct wg_job *_Atomic ring[WG_JOBS_MAX];
	size_t put; /* by the owner alone */
	sem_t waiting; /* jobs in the ring that no worker has claimed */

	_Alignas(CACHE_LINE) atomic_size_t claimed; /* by the workers */

	/* From the workers, the last one first. */
	_Alignas(CACHE_LINE) struct wg_job *_Atomic computed;

	struct poller_source wake; /* readable once something was added to an empty list */
	struct wg_job *taken; /* in order; of the owner alone */

	atomic_bool stopping;
	sem_t started;
	size_t count;
	pthread_t threads[WORKERS_MAX];
};

/* Takes a list that has its last element first; @list comes after it. */
static struct wg_job *reverse(struct wg_job *list)
{
	struct wg_job *reversed = NULL;

	while (list) {
		struct wg_job **next = wg_job_next(list);
		struct wg_job *rest = *next;

		*next = reversed;
		reversed = list;
		list = rest;
	}
	return reversed;
}

static void wake_owner(struct workers *workers)
{
	const uint64_t one = 1;

	(void)!write(workers->wake.fd, &one, sizeof(one)); /* full: it is readable anyway */
}

/* Adds computed jobs to the list for the owner, who is awake if there were some. */
static void give_back(struct workers *workers, struct wg_job *const *jobs, size_t count)
{
	struct wg_job *last = atomic_load_explicit(&workers->computed, memory_order_relaxed);

	for (size_t i = 1; i < count; i++)
		*wg_job_next(jobs[i]) = jobs[i - 1];
	do {
		*wg_job_next(jobs[0]) = last;
	} while (!atomic_compare_exchange_weak_explicit(&workers->computed, &last, jobs[count - 1],
							memory_order_acq_rel,
							memory_order_relaxed));
	if (!last)
		wake_owner(workers);
}

static void wait_for(sem_t *semaphore)
{
	while (sem_wait(semaphore) < 0) /* interrupted */
		continue;
}

/* Waits for jobs to compute and takes some. Returns how many; 0: the thread ends. */
static size_t claim(struct workers *workers, struct wg_job **jobs)
{
	size_t count = 1;
	size_t first, i;

	wait_for(&workers->waiting);
	while (count < WORKERS_BATCH && sem_trywait(&workers->waiting) == 0)
		count++;
	/* What was taken may be what workers_free() posted. */
	if (atomic_load_explicit(&workers->stopping, memory_order_relaxed))
		return 0;
	/*
	 * Read first, then claimed: once they are claimed, others may come and go around the whole ring
	 * before this thread runs again.
	 */
	first = atomic_load_explicit(&workers->claimed, memory_order_acquire);
	do {
		for (i = 0; i < count; i++)
			jobs[i] = atomic_load_explicit(&workers->ring[(first + i) % WG_JOBS_MAX],
						       memory_order_relaxed);
	} while (!atomic_compare_exchange_weak_explicit(&workers->claimed, &first, first + count,
							memory_order_acq_rel,
							memory_order_acquire));
	return count;
}

static void *run(void *context)
{
	struct workers *workers = context;
	struct wg_job *jobs[WORKERS_BATCH];
	size_t count;

	errno = 0;
	(void)!nice(WORKERS_NICE); /* of this thread alone; where it fails it was nice before */
	(void)sem_post(&workers->started);
	while ((count = claim(workers, jobs)) > 0) {
		wg_jobs_compute(jobs, count);
		give_back(workers, jobs, count);
	}
	return NULL;
}

static void on_computed(struct poller_source *source, uint32_t events)
{
	struct workers *workers = container_of(source, struct workers, wake);
	struct wg_job *jobs[WORKERS_TAKEN_MAX];
	size_t count = 0;
	uint64_t times;

	(void)events;
	if (!workers->taken) {
		(void)!read(source->fd, &times, sizeof(times));
		workers->taken = reverse(
			atomic_exchange_explicit(&workers->computed, NULL, memory_order_acquire));
	}
	for (; workers->taken && count < WORKERS_TAKEN_MAX; count++) {
		jobs[count] = workers->taken;
		workers->taken = *wg_job_next(workers->taken);
	}
	if (workers->taken)
		wake_owner(workers); /* the rest after those who have packets */
	workers->ops->computed(workers->context, jobs, count);
}

int workers_new(struct poller *poller, const struct workers_ops *ops, void *context,
		struct workers **ret)
{
	CLEANUP(workers_free) struct workers *workers = NULL;
	int r;

	workers = aligned_alloc(CACHE_LINE, sizeof(*workers));
	if (!workers)
		return -ENOMEM;
	memset(workers, 0, sizeof(*workers));
	workers->poller = poller;
	workers->ops = ops;
	workers->context = context;
	(void)sem_init(&workers->waiting, 0, 0);
	(void)sem_init(&workers->started, 0, 0);
	workers->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (workers->wake.fd < 0)
		return -errno;
	workers->wake.events = EPOLLIN;
	workers->wake.ready = on_computed;
	r = poller_add(poller, &workers->wake);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(workers);
	return 0;
}

size_t workers_wanted(void)
{
	cpu_set_t set;
	int count = 1;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		count = CPU_COUNT(&set);
	return count < WORKERS_MAX ? (size_t)count : WORKERS_MAX;
}

int workers_start(struct workers *workers, size_t count)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	int r = 0;

	/* One heap for all: with many, the C library asks for the number of processors, which a filter of
	 * system calls may not let through. */
	(void)mallopt(M_ARENA_MAX, 1);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	(void)pthread_attr_init(&attributes);
	(void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
	while (r == 0 && workers->count < count) {
		r = -pthread_create(&workers->threads[workers->count], &attributes, run, workers);
		workers->count += r == 0;
	}
	/* Where the user may have no more threads, those that there are do all. */
	if (workers->count > 0)
		r = 0;
	(void)pthread_attr_destroy(&attributes);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	/* A filter of system calls may come next: not before they did those of a new thread. */
	for (size_t i = 0; i < workers->count; i++)
		wait_for(&workers->started);
	return r;
}

size_t workers_count(const struct workers *workers)
{
	return workers->count;
}

void workers_compute(struct workers *workers, struct wg_job *job)
{
	atomic_store_explicit(&workers->ring[workers->put++ % WG_JOBS_MAX], job,
			      memory_order_relaxed);
	(void)sem_post(&workers->waiting); /* wakes a worker if one sleeps */
}

struct workers *workers_free(struct workers *workers)
{
	if (!workers)
		return NULL;
	atomic_store_explicit(&workers->stopping, true, memory_order_relaxed);
	/* A worker takes as many as a batch has before it sees that it is to stop. */
	for (size_t i = 0; i < workers->count * WORKERS_BATCH; i++)
		(void)sem_post(&workers->waiting);
	for (size_t i = 0; i < workers->count; i++)
		(void)pthread_join(workers->threads[i], NULL);
	poller_remove(workers->poller, &workers->wake);
	cleanup_close_fd(&workers->wake.fd);
	(void)sem_destroy(&workers->waiting);
	(void)sem_destroy(&workers->started);
	free(workers);
	return NULL;
}
