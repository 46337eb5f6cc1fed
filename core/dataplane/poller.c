#include "dataplane/poller.h"

#include <assert.h>

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

int poller_run(struct poller *p)
{
	while (!p->stopped) {
		p->pending = epoll_wait(p->fd, p->events, POLLER_EVENTS_MAX, -1);
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
