#include "dataplane/dataplane_internal.h"

#include <assert.h>
#include <sys/timerfd.h>

#include "base/clock.h"
#include "base/secret.h"

struct wg_time dataplane_now(void)
{
	return (struct wg_time){ clock_monotonic_ns(), clock_realtime_ns() };
}

struct udp_sender *dataplane_sender(struct dataplane *d, const struct wg_route *route)
{
	return route->remote.address.family == AF_INET6 ? d->sender_v6 : d->sender_v4;
}

struct udp_path dataplane_path(const struct wg_route *route)
{
	return (struct udp_path){ route->remote, route->local };
}

/* The engine sends a message of its own. */
static void on_engine_send(void *context, const struct wg_route *to, uint8_t ds,
			   const void *message, size_t size)
{
	struct dataplane *d = context;

	replies_add(&d->replies, to, ds, message, size);
}

static void on_engine_random(void *context, void *to, size_t size)
{
	(void)context;
	random_bytes(to, size);
}

static void on_engine_compute(void *context, struct wg_job *job)
{
	struct dataplane *d = context;

	workers_compute(d->workers, job);
}

static uint32_t on_engine_output(void *context, const struct wg_route *to)
{
	struct dataplane *d = context;
	struct udp_path path = dataplane_path(to);

	return route_watch_lookup(&d->routes, &path, d->sockets.port, d->mark);
}

static void on_source_refused(void *context, void *owner)
{
	(void)context;
	wg_peer_forget_source(owner);
}

static const struct wg_device_ops engine_ops = { on_engine_send, on_engine_random,
						 on_engine_compute, on_engine_output };
static const struct udp_sender_ops sender_ops = { on_source_refused };

/*
 * Sees to it that the timer fires no later than the engine's deadline, or the end of a rest of ours. One that fires
 * too early, because the deadline moved away meanwhile, costs less than setting it with every packet.
 */
static void arm_timer(struct dataplane *d)
{
	uint64_t deadline = wg_device_deadline(d->device);
	struct itimerspec when = { 0 };
	int r;

	if (d->out.rests_until_ns < deadline)
		deadline = d->out.rests_until_ns;
	if (d->routes_deaf_ns < deadline)
		deadline = d->routes_deaf_ns;
	if (deadline >= d->armed_ns)
		return;
	d->armed_ns = deadline;
	/* Zero would disarm it. */
	deadline = deadline > 0 ? deadline : 1;
	when.it_value.tv_sec = (time_t)(deadline / NS_PER_S);
	when.it_value.tv_nsec = (long)(deadline % NS_PER_S);
	r = timerfd_settime(d->timer_source.fd, TFD_TIMER_ABSTIME, &when, NULL);
	assert(r == 0);
}

/* The engine was asked for something: it may want to be called sooner, and to say something. */
static void end_round(struct dataplane *d)
{
	replies_flush(&d->replies);
	arm_timer(d);
}

/* Routes changed: deals with it, and listens to no other change for a while. */
static void on_routes_changed(struct poller_source *source, uint32_t events)
{
	struct dataplane *d = container_of(source, struct dataplane, routes_source);

	(void)events;
	route_watch_clear(&d->routes); /* first: what comes after is another change */
	wg_device_routes_changed(d->device);
	d->routes_deaf_ns = dataplane_now().monotonic_ns + ROUTES_INTERVAL_NS;
	poller_change(d->poller, source, 0);
	end_round(d);
}

static void on_timer(struct poller_source *source, uint32_t events)
{
	struct dataplane *d = container_of(source, struct dataplane, timer_source);
	struct wg_time now = dataplane_now();
	uint64_t expirations;

	(void)events;
	if (read(source->fd, &expirations, sizeof(expirations)) < 0)
		return;
	d->armed_ns = UINT64_MAX;
	if (now.monotonic_ns >= d->routes_deaf_ns) {
		d->routes_deaf_ns = UINT64_MAX;
		poller_change(d->poller, &d->routes_source, EPOLLIN);
	}
	poller_rest(d->poller); /* no packet came that another one may follow soon */
	wg_device_run_timers(d->device, now);
	outbound_end_rest(d, now.monotonic_ns);
	end_round(d);
}

static void on_computed(void *context, struct wg_job *const *jobs, size_t count)
{
	struct dataplane *d = context;
	struct wg_time now = dataplane_now();

	for (size_t i = 0; i < count; i++)
		wg_device_take_job(d->device, jobs[i], now);
	end_round(d);
}

static const struct workers_ops workers_ops = { on_computed };

static void on_tun_ready(struct poller_source *source, uint32_t events)
{
	struct dataplane *d = container_of(source, struct dataplane, tun_source);
	int r = 0;

	/* The kernel says so when the interface is removed, in whatever namespace it is by then. */
	if (events & EPOLLERR && !tun_is_attached(&d->tun))
		r = -EBADFD;
	if (r == 0 && events & (EPOLLIN | EPOLLOUT))
		r = outbound_run(d);
	if (r < 0) {
		poller_remove(d->poller, source);
		d->ops->ended(d->context);
		return;
	}
	end_round(d);
}

static void on_socket_ready(struct dataplane *d, struct poller_source *source, uint32_t events)
{
	if (events & EPOLLOUT && d->out.blocked)
		outbound_flush(d);
	/* Errors too: receiving clears them. */
	if (events & (EPOLLIN | EPOLLERR))
		inbound_run(d, source->fd);
	end_round(d);
}

static void on_v4_ready(struct poller_source *source, uint32_t events)
{
	on_socket_ready(container_of(source, struct socket_sources, v4)->dataplane, source, events);
}

static void on_v6_ready(struct poller_source *source, uint32_t events)
{
	on_socket_ready(container_of(source, struct socket_sources, v6)->dataplane, source, events);
}

/* Sockets are listened to while the interface is up. */
static void listen_if_up(struct dataplane *d)
{
	struct socket_sources *now = d->listening;
	uint32_t events = d->link.up ? EPOLLIN : 0;

	poller_change(d->poller, &now->v4, (now->v4.events & EPOLLOUT) | events);
	poller_change(d->poller, &now->v6, (now->v6.events & EPOLLOUT) | events);
}

void dataplane_read_link(struct dataplane *d)
{
	struct link_state before = d->link;

	if (link_watch_read(d->link_source.fd, d->tun.ifindex, &d->link) < 0)
		return;
	/* Gone from here, but the TUN still has it: it was moved to another namespace, where nobody
	 * tells us anything but through the TUN. */
	if (d->link.removed)
		d->link.up = tun_is_attached(&d->tun);
	if (strcmp(before.name, d->link.name) != 0)
		d->ops->renamed(d->context, d->link.name);
	listen_if_up(d);
	wg_device_set_up(d->device, d->link.up, dataplane_now());
	end_round(d);
}

static void on_link_event(struct poller_source *source, uint32_t events)
{
	(void)events;
	dataplane_read_link(container_of(source, struct dataplane, link_source));
}

static int add_source(struct dataplane *d, struct poller_source *source, int fd, uint32_t events,
		      void (*ready)(struct poller_source *, uint32_t))
{
	*source = (struct poller_source){ fd, events, ready };
	return fd < 0 ? 0 : poller_add(d->poller, source);
}

static struct socket_sources *other_sources(struct dataplane *d)
{
	return &d->socket_sources[d->listening == d->socket_sources ? 1 : 0];
}

static void unwatch(struct dataplane *d, struct socket_sources *sources)
{
	poller_remove(d->poller, &sources->v4);
	poller_remove(d->poller, &sources->v6);
	sources->v4.fd = sources->v6.fd = -EBADF;
}

/* Puts a pair into the poller beside the one that is in use: the last thing about it that can fail. */
static int watch_next(struct dataplane *d, const struct udp_pair *pair)
{
	struct socket_sources *next = other_sources(d);
	uint32_t events = d->link.up ? EPOLLIN : 0;
	int r;

	/* Where a socket was full, its successor is writable at once and lets the rest go. */
	if (d->out.blocked)
		events |= EPOLLOUT;
	r = add_source(d, &next->v4, pair->v4, events, on_v4_ready);
	if (r == 0)
		r = add_source(d, &next->v6, pair->v6, events, on_v6_ready);
	if (r < 0)
		unwatch(d, next);
	return r;
}

/* Makes a pair that is watched the device's sockets and closes those it had. */
static void use_sockets(struct dataplane *d, struct udp_pair *pair)
{
	struct socket_sources *next = other_sources(d);

	unwatch(d, d->listening);
	d->listening = next;
	d->overflows += udp_overflows(d->sockets.v4) + udp_overflows(d->sockets.v6);
	udp_close_pair(&d->sockets);
	d->sockets = *pair;
	pair->v4 = pair->v6 = -EBADF;
	udp_sender_set_socket(d->sender_v4, d->sockets.v4);
	udp_sender_set_socket(d->sender_v6, d->sockets.v6);
	replies_set_sockets(&d->replies, &d->sockets);
}

static int remember_port(struct dataplane *d)
{
	const struct wg_config change = { .has = WG_HAS_LISTEN_PORT,
					  .listen_port = d->sockets.port };

	return wg_device_configure(d->device, &change, dataplane_now());
}

static int open_first_sockets(struct dataplane *d)
{
	CLEANUP(udp_close_pair) struct udp_pair pair = { -EBADF, -EBADF, 0 };
	int r = opener_open(d->opener, 0, 0, &pair);

	if (r == 0)
		r = opener_keep(d->opener);
	if (r == 0)
		r = watch_next(d, &pair);
	if (r < 0)
		return r;
	use_sockets(d, &pair);
	d->port_chosen = true;
	return remember_port(d);
}

static int add_other_sources(struct dataplane *d)
{
	int timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	int link = -EBADF;
	int r;

	if (timer < 0)
		return -errno;
	r = add_source(d, &d->timer_source, timer, EPOLLIN, on_timer);
	if (r == 0)
		r = link_watch_open(d->tun.ifindex, &link);
	if (r == 0)
		r = add_source(d, &d->link_source, link, EPOLLIN, on_link_event);
	if (r == 0)
		r = route_watch_open(&d->routes);
	if (r == 0)
		r = add_source(d, &d->routes_source, d->routes.fd, EPOLLIN, on_routes_changed);
	return r == 0 ? add_source(d, &d->tun_source, d->tun.fd, EPOLLIN, on_tun_ready) : r;
}

static int make_engine(struct dataplane *d, unsigned flags)
{
	bool segment = !(flags & DATAPLANE_WITHOUT_SEGMENT);
	int r = wg_device_new(&engine_ops, d, dataplane_now(), &d->device);

	if (r == 0)
		r = workers_new(d->poller, &workers_ops, d, &d->workers);
	if (r == 0)
		r = udp_sender_new(BATCH, segment, &sender_ops, d, &d->sender_v4);
	if (r == 0)
		r = udp_sender_new(BATCH, segment, &sender_ops, d, &d->sender_v6);
	if (r == 0)
		r = replies_init(&d->replies, segment, &sender_ops, d);
	return r == 0 ? inbound_init(&d->in, &d->tun, flags) : r;
}

static void init_socket_sources(struct dataplane *d)
{
	for (size_t i = 0; i < ARRAY_SIZE(d->socket_sources); i++) {
		struct socket_sources *sources = &d->socket_sources[i];

		sources->v4.fd = sources->v6.fd = -EBADF;
		sources->dataplane = d;
	}
	d->listening = d->socket_sources;
}

int dataplane_new(struct poller *poller, struct tun *tun, const struct opener *opener,
		  unsigned flags, const struct dataplane_ops *ops, void *context,
		  struct dataplane **ret)
{
	CLEANUP(dataplane_free) struct dataplane *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	d->poller = poller;
	d->opener = opener;
	d->ops = ops;
	d->context = context;
	d->armed_ns = d->out.rests_until_ns = UINT64_MAX;
	d->sockets = (struct udp_pair){ -EBADF, -EBADF, 0 };
	init_socket_sources(d);
	d->timer_source.fd = d->link_source.fd = -EBADF;
	d->tun_source.fd = d->routes_source.fd = -EBADF;
	d->routes = (struct route_watch){ -EBADF, -EBADF, 0 };
	d->routes_deaf_ns = UINT64_MAX;
	d->tun = *tun;
	tun->fd = -EBADF;
	memcpy(d->link.name, d->tun.name, sizeof(d->link.name));
	d->link.mtu = 1420; /* until the first event of the link tells */
	r = make_engine(d, flags);
	if (r == 0)
		r = open_first_sockets(d);
	if (r == 0)
		r = add_other_sources(d);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(d);
	return 0;
}

int dataplane_start_workers(struct dataplane *d)
{
	return workers_start(d->workers, workers_wanted());
}

static void close_source(struct dataplane *d, struct poller_source *source)
{
	poller_remove(d->poller, source);
	cleanup_close_fd(&source->fd);
}

struct dataplane *dataplane_free(struct dataplane *d)
{
	if (!d)
		return NULL;
	poller_remove(d->poller, &d->tun_source);
	unwatch(d, d->listening);
	close_source(d, &d->timer_source);
	close_source(d, &d->link_source);
	poller_remove(d->poller, &d->routes_source);
	route_watch_close(&d->routes);
	workers_free(d->workers); /* before the jobs that they have */
	wg_device_free(d->device);
	udp_sender_free(d->sender_v4);
	udp_sender_free(d->sender_v6);
	replies_done(&d->replies);
	inbound_done(&d->in);
	udp_close_pair(&d->sockets);
	tun_close(&d->tun);
	free(d);
	return NULL;
}

/* Whether a change needs other sockets. "Any port" is what a port that the kernel chose is already. */
static bool needs_sockets(const struct dataplane *d, const struct wg_config *change)
{
	if (!(change->has & WG_HAS_LISTEN_PORT))
		return false;
	return change->listen_port == 0 ? !d->port_chosen : change->listen_port != d->sockets.port;
}

/* The part of a change that the engine takes: with the port that there is in the end. */
static int configure_engine(struct dataplane *d, const struct wg_config *change, uint16_t port)
{
	struct wg_config adjusted = *change;

	adjusted.listen_port = port;
	/* Peers may go: nothing may name them afterwards. What is queued is sent nevertheless. */
	udp_sender_forget_owners(d->sender_v4);
	udp_sender_forget_owners(d->sender_v6);
	return wg_device_configure(d->device, &adjusted, dataplane_now());
}

static int configure_with_sockets(struct dataplane *d, const struct wg_config *change,
				  uint32_t mark)
{
	CLEANUP(udp_close_pair) struct udp_pair pair = { -EBADF, -EBADF, 0 };
	int r = opener_open(d->opener, change->listen_port, mark, &pair);

	if (r < 0)
		return r;
	r = watch_next(d, &pair);
	if (r == 0)
		r = configure_engine(d, change, pair.port);
	if (r < 0) {
		unwatch(d, other_sources(d));
		(void)opener_drop(d->opener);
		return r;
	}
	(void)opener_keep(
		d->opener); /* fails only where the opener is gone: then nothing is left */
	d->port_chosen = change->listen_port == 0;
	use_sockets(d, &pair);
	return 0;
}

static int configure_with_mark(struct dataplane *d, const struct wg_config *change, uint32_t mark)
{
	int r = mark != d->mark ? opener_mark(d->opener, mark) : 0;

	if (r < 0)
		return r;
	r = configure_engine(d, change, d->sockets.port);
	if (r < 0 && mark != d->mark)
		(void)opener_mark(d->opener, d->mark);
	return r;
}

int dataplane_configure(struct dataplane *d, const struct wg_config *change)
{
	uint32_t mark = change->has & WG_HAS_FWMARK ? change->fwmark : d->mark;
	int r;

	if (needs_sockets(d, change))
		r = configure_with_sockets(d, change, mark);
	else
		r = configure_with_mark(d, change, mark);
	if (r < 0)
		return r;
	if (mark != d->mark)
		wg_device_routes_changed(d->device); /* rules may name it */
	d->mark = mark;
	if (change->has & WG_HAS_LISTEN_PORT)
		d->port_chosen = change->listen_port == 0;
	end_round(d);
	return 0;
}

int dataplane_find_link(const struct dataplane *d, const char *name, uint32_t *ret_index)
{
	return udp_find_link(&d->sockets, name, ret_index);
}

int dataplane_read(const struct dataplane *d, struct wg_config *ret)
{
	return wg_device_read(d->device, ret);
}

const struct dataplane_counters *dataplane_counters(const struct dataplane *d)
{
	return &d->counters;
}
