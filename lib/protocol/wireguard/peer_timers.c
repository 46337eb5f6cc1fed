/*
 * The timers of the paper's section 6
 *
 * Each peer has one node in the device's wheel. Packets move timers further away all the time; the
 * wheel is told only of those that come nearer, and finds out about the others when the node is due.
 */
#include "wireguard/device_internal.h"

/* With each handshake, not with each timer: that one is set anew by packets, too. */
static void draw_jitter(struct wg_peer *peer)
{
	uint32_t random;

	device_random(peer->device, &random, sizeof(random));
	peer->jitter_ns = random % REKEY_JITTER_MS * NS_PER_MS;
}

void peer_timer_set(struct wg_peer *peer, enum peer_timer timer, uint64_t at_ns)
{
	if (!peer->device->up)
		return;
	peer->timers[timer] = at_ns;
	if (at_ns < peer->timer_node.at_ns)
		timer_wheel_set(&peer->device->timers, &peer->timer_node, at_ns);
}

static bool timer_is_on(const struct wg_peer *peer, enum peer_timer timer)
{
	return peer->timers[timer] != TIMER_NEVER;
}

static void timer_off(struct wg_peer *peer, enum peer_timer timer)
{
	peer->timers[timer] = TIMER_NEVER;
}

/* Anything authentic that passes puts the persistent keepalive off. */
static void peer_traversed(struct wg_peer *peer, struct wg_time now)
{
	if (peer->keepalive_s)
		peer_timer_set(peer, TIMER_PERSISTENT,
			       now.monotonic_ns + peer->keepalive_s * NS_PER_S);
}

void peer_data_sent(struct wg_peer *peer, struct wg_time now)
{
	if (!timer_is_on(peer, TIMER_NEW_HANDSHAKE))
		peer_timer_set(peer, TIMER_NEW_HANDSHAKE,
			       now.monotonic_ns + KEEPALIVE_TIMEOUT + REKEY_TIMEOUT +
				       peer->jitter_ns);
}

void peer_data_received(struct wg_peer *peer, struct wg_time now)
{
	if (timer_is_on(peer, TIMER_KEEPALIVE))
		peer->another_keepalive = true;
	else
		peer_timer_set(peer, TIMER_KEEPALIVE, now.monotonic_ns + KEEPALIVE_TIMEOUT);
}

void peer_authenticated_sent(struct wg_peer *peer, struct wg_time now)
{
	timer_off(peer, TIMER_KEEPALIVE);
	peer_traversed(peer, now);
}

void peer_authenticated_received(struct wg_peer *peer, struct wg_time now)
{
	timer_off(peer, TIMER_NEW_HANDSHAKE);
	peer_traversed(peer, now);
}

void peer_handshake_begun(struct wg_peer *peer, struct wg_time now)
{
	draw_jitter(peer);
	peer_timer_set(peer, TIMER_RETRANSMIT, now.monotonic_ns + REKEY_TIMEOUT + peer->jitter_ns);
}

void peer_handshake_complete(struct wg_peer *peer, struct wg_time now)
{
	timer_off(peer, TIMER_RETRANSMIT);
	list_remove(&peer->waiting);
	peer->initiation = NULL;
	peer->attempt_began_ns = now.monotonic_ns;
	peer->last_minute_sent = false;
	peer->last_handshake_ns = now.realtime_ns;
}

void peer_session_derived(struct wg_peer *peer, struct wg_time now)
{
	draw_jitter(peer);
	peer_timer_set(peer, TIMER_ERASE, now.monotonic_ns + 3 * REJECT_AFTER_TIME);
}

static void on_retransmit(struct wg_peer *peer, struct wg_time now)
{
	if (now.monotonic_ns < peer->attempt_began_ns + REKEY_ATTEMPT_TIME) {
		wg_peer_forget_source(peer); /* perhaps it is the way that fails */
		peer_initiate(peer, true, now);
		return;
	}
	timer_off(peer, TIMER_KEEPALIVE);
	peer_drop_staged(peer);
	if (!timer_is_on(peer, TIMER_ERASE))
		peer_session_derived(peer, now);
}

static void on_keepalive(struct wg_peer *peer, struct wg_time now)
{
	bool another = peer->another_keepalive;

	peer->another_keepalive = false;
	peer_send_keepalive(peer, now);
	if (another)
		peer_timer_set(peer, TIMER_KEEPALIVE, now.monotonic_ns + KEEPALIVE_TIMEOUT);
}

static void on_new_handshake(struct wg_peer *peer, struct wg_time now)
{
	wg_peer_forget_source(peer);
	peer_initiate(peer, false, now);
}

/* Keys are old, but a handshake may be new: after a sleep a packet can come before the timers run. */
static void on_erase(struct wg_peer *peer, struct wg_time now)
{
	(void)now;
	peer_forget_sessions(peer);
	if (!timer_is_on(peer, TIMER_RETRANSMIT) && list_empty(&peer->waiting))
		peer_forget_handshake(peer);
}

static void on_persistent(struct wg_peer *peer, struct wg_time now)
{
	if (!peer->keepalive_s || !peer->route.remote.address.family)
		return; /* an endpoint that is set or learned turns it on again */
	peer_send_keepalive(peer, now);
	peer_traversed(peer, now); /* goes on even where nothing could be sent */
}

static void (*const timer_actions[TIMER_COUNT])(struct wg_peer *peer, struct wg_time now) = {
	[TIMER_RETRANSMIT] = on_retransmit,	  [TIMER_KEEPALIVE] = on_keepalive,
	[TIMER_NEW_HANDSHAKE] = on_new_handshake, [TIMER_ERASE] = on_erase,
	[TIMER_PERSISTENT] = on_persistent,
};

static void peer_run_timers(struct wg_peer *peer, struct wg_time now)
{
	uint64_t earliest = TIMER_NEVER;

	for (size_t i = 0; i < TIMER_COUNT; i++) {
		if (peer->timers[i] > now.monotonic_ns)
			continue;
		peer->timers[i] = TIMER_NEVER;
		timer_actions[i](peer, now);
	}
	for (size_t i = 0; i < TIMER_COUNT; i++)
		if (peer->timers[i] < earliest)
			earliest = peer->timers[i];
	timer_wheel_set(&peer->device->timers, &peer->timer_node, earliest);
}

void wg_device_run_timers(struct wg_device *device, struct wg_time now)
{
	struct timer_node *node;
	size_t count = 0;

	while (count++ < TIMERS_AT_ONCE &&
	       (node = timer_wheel_due(&device->timers, now.monotonic_ns)))
		peer_run_timers(container_of(node, struct wg_peer, timer_node), now);
	device_begin_handshakes(device, now);
}

uint64_t wg_device_deadline(const struct wg_device *device)
{
	uint64_t earliest = timer_wheel_deadline(&device->timers);

	return list_empty(&device->waiting) || earliest < device->begin_ns ? earliest
									   : device->begin_ns;
}
