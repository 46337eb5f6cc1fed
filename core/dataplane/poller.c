#include "dataplane/poller.h"

#include <assert.h>
#include <sched.h>

#include "base/clock.h"

#define LOOK_NS (500 * NS_PER_US)
#define CALM_ROUNDS 2
#define CREDIT_SHARE 10 /* of all time, one part */
#define CREDIT_MAX_NS NS_PER_S
#define CROWDED_NS NS_PER_MS /* until it is our turn again */
#define PAUSE_MIN_NS (10 * NS_PER_MS) /* without looking, doubled each time on end */
#define PAUSE_MAX_NS NS_PER_S

int poller_init(struct poller *p)
{
	*p = (struct poller){ .fd = epoll_create1(EPOLL_CLOEXEC) };
	return p->fd < 0 ? -errno : 0;
}

void poller_done(struct poller *p)
{
	cleanup_close_fd(&p->fd);
	p->fd = -EBADF;
}

int poller_add(struct poller *p, struct poller_source *source)
{
	struct epoll_event event = { .events = source->events, .data.ptr = source };

	return epoll_ctl(p->fd, EPOLL_CTL_ADD, source->fd, &event) < 0 ? -errno : 0;
}

void poller_change(struct poller *p, struct poller_source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };
	int r;

	if (source->fd < 0 || source->events == events)
		return;
	source->events = events;
	r = epoll_ctl(p->fd, EPOLL_CTL_MOD, source->fd, &event);
	assert(r == 0); /* it was added, and MOD allocates nothing */
}

void poller_remove(struct poller *p, struct poller_source *source)
{
	if (source->fd < 0)
		return;
	(void)epoll_ctl(p->fd, EPOLL_CTL_DEL, source->fd, NULL);
	for (int i = 0; i < p->pending; i++) {
		if (p->events[i].data.ptr == source)
			p->events[i].data.ptr = NULL;
	}
}

/* Somebody else had the processor for long: what comes meanwhile would wait for that each time. */
static void look_less(struct poller *p, uint64_t now)
{
	p->pause_ns = p->pause_ns == 0 ? PAUSE_MIN_NS : 2 * p->pause_ns;
	if (p->pause_ns > PAUSE_MAX_NS)
		p->pause_ns = PAUSE_MAX_NS;
	p->look_again_ns = now + p->pause_ns;
}

static bool may_look(struct poller *p, uint64_t now)
{
	if (p->calm_rounds < CALM_ROUNDS || now < p->look_again_ns)
		return false;
	p->credit_ns += (now - p->looked_ns) / CREDIT_SHARE;
	if (p->credit_ns > CREDIT_MAX_NS)
		p->credit_ns = CREDIT_MAX_NS;
	p->looked_ns = now;
	return p->credit_ns >= LOOK_NS;
}

/* Returns how many events there are, 0 where none came, or -1 with errno. */
static int look(struct poller *p, uint64_t now)
{
	uint64_t begin = now, gone;
	int count = epoll_wait(p->fd, p->events, POLLER_EVENTS_MAX, 0);

	while (count == 0 && now - begin < LOOK_NS) {
		uint64_t before = now;

		(void)sched_yield(); /* whoever else wants the processor comes first */
		count = epoll_wait(p->fd, p->events, POLLER_EVENTS_MAX, 0);
		now = clock_monotonic_ns();
		if (now - before > CROWDED_NS) {
			look_less(p, now);
			break;
		}
		if (count > 0)
			p->pause_ns = 0;
	}
	gone = now - begin;
	p->credit_ns -= gone < p->credit_ns ? gone : p->credit_ns;
	p->looked_ns = now;
	return count;
}

/*
 * A virtual processor that sleeps takes longer to be woken than a small packet takes to be sealed. So
 * where rounds of a packet or two have followed soon on each other, as when requests are answered one by one, the next
 * event is looked for a moment before the thread sleeps. Credit keeps that to short exchanges: one that
 * goes on and on takes a tenth of a processor more for it. Who gives the processor away waits for his next
 * turn longer than who sleeps, so where others want it the thread sleeps as ever.
 */
static int wait_for_events(struct poller *p)
{
	uint64_t now = clock_monotonic_ns();
	int count = 0;

	if (may_look(p, now))
		count = look(p, now);
	if (count == 0)
		count = epoll_wait(p->fd, p->events, POLLER_EVENTS_MAX, -1);
	p->calm_rounds = clock_monotonic_ns() - now < LOOK_NS ? p->calm_rounds + 1 : 0;
	return count;
}

int poller_run(struct poller *p)
{
	while (!p->stopped) {
		p->pending = wait_for_events(p);
		if (p->pending < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < p->pending && !p->stopped; i++) {
			struct poller_source *source = p->events[i].data.ptr;

			if (source)
				source->ready(source, p->events[i].events);
		}
		p->pending = 0;
	}
	return 0;
}

void poller_rest(struct poller *p)
{
	p->calm_rounds = 0;
}

void poller_stop(struct poller *p)
{
	p->stopped = true;
}
