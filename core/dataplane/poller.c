#include "dataplane/poller.h"

#include <assert.h>
#include <sched.h>

#include "base/clock.h"

#define LOOK_NS (500 * NS_PER_US)
#define LIGHT_NS (30 * NS_PER_US) /* a round of a packet or two */
#define CALM_ROUNDS 2
#define CREDIT_SHARE 10 /* of all time, one part */
#define CREDIT_MAX_NS NS_PER_S

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

static int look(struct poller *p, uint64_t now)
{
	uint64_t begin = now, end;
	int count;

	p->credit_ns += (now - p->looked_ns) / CREDIT_SHARE;
	if (p->credit_ns > CREDIT_MAX_NS)
		p->credit_ns = CREDIT_MAX_NS;
	end = begin + (p->credit_ns < LOOK_NS ? p->credit_ns : LOOK_NS);
	do {
		(void)sched_yield(); /* whoever else wants the processor comes first */
		count = epoll_wait(p->fd, p->events, POLLER_EVENTS_MAX, 0);
		now = clock_monotonic_ns();
	} while (count == 0 && now < end);
	p->credit_ns -= now - begin < p->credit_ns ? now - begin : p->credit_ns;
	p->looked_ns = now;
	return count;
}

/*
 * A virtual processor that sleeps takes longer to be woken than a small packet takes to be sealed. So
 * where light rounds have followed soon on each other, as when requests are answered one by one, the next
 * event is looked for a moment before the thread sleeps. Credit keeps that to short exchanges: one that
 * goes on and on takes a tenth of a processor more for it.
 */
static int wait_for_events(struct poller *p)
{
	uint64_t now = clock_monotonic_ns();
	int count = 0;

	if (now - p->woken_ns > LIGHT_NS)
		p->calm_rounds = 0;
	if (p->calm_rounds >= CALM_ROUNDS)
		count = look(p, now);
	if (count == 0)
		count = epoll_wait(p->fd, p->events, POLLER_EVENTS_MAX, -1);
	p->woken_ns = clock_monotonic_ns();
	p->calm_rounds = p->woken_ns - now < LOOK_NS ? p->calm_rounds + 1 : 0;
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

void poller_stop(struct poller *p)
{
	p->stopped = true;
}
