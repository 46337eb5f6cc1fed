#include "http/timers.h"

#include "http/server.h"

static const unsigned usual_ms[HTTP_TIMEOUT_COUNT] = {
	[HTTP_TIMEOUT_HELLO] = HTTP_HELLO_TIMEOUT_S * 1000,
	[HTTP_TIMEOUT_HANDSHAKE] = HTTP_HANDSHAKE_TIMEOUT_S * 1000,
	[HTTP_TIMEOUT_HEAD] = HTTP_HEAD_TIMEOUT_S * 1000,
	[HTTP_TIMEOUT_BODY] = HTTP_BODY_TIMEOUT_S * 1000,
	[HTTP_TIMEOUT_IDLE] = HTTP_IDLE_TIMEOUT_S * 1000,
	[HTTP_TIMEOUT_PROGRESS] = HTTP_PROGRESS_TIMEOUT_S * 1000,
	[HTTP_TIMEOUT_LINGER] = HTTP_LINGER_TIMEOUT_MS,
	[HTTP_TIMEOUT_PING] = HTTP_SOCKET_PING_S * 1000,
	[HTTP_TIMEOUT_PONG] = HTTP_SOCKET_PONG_S * 1000,
};

static void arm(struct http_timers *timers, uint64_t at_ms);

static void expire(struct http_timers *timers, struct list *list)
{
	uint64_t now_ms = uv_now(timers->timer.loop);

	while (!list_empty(list)) {
		struct http_deadline *deadline =
			container_of(list->next, struct http_deadline, node);

		if (deadline->at_ms > now_ms)
			return;
		list_remove(&deadline->node);
		deadline->expired(deadline); /* whatever it sets is later than now */
	}
}

/* The next expiry, or 0. */
static uint64_t next(const struct http_timers *timers)
{
	uint64_t first = 0;

	for (unsigned i = 0; i < HTTP_TIMEOUT_COUNT; i++) {
		struct list *list = timers->lists[i].next;

		if (list_empty(&timers->lists[i]))
			continue;
		if (!first || container_of(list, struct http_deadline, node)->at_ms < first)
			first = container_of(list, struct http_deadline, node)->at_ms;
	}
	return first;
}

static void on_timer(uv_timer_t *timer)
{
	struct http_timers *timers = container_of(timer, struct http_timers, timer);
	uint64_t at_ms;

	timers->timer_at_ms = 0;
	for (unsigned i = 0; i < HTTP_TIMEOUT_COUNT; i++)
		expire(timers, &timers->lists[i]);
	at_ms = next(timers);
	if (at_ms)
		arm(timers, at_ms);
}

static void arm(struct http_timers *timers, uint64_t at_ms)
{
	uint64_t now_ms = uv_now(timers->timer.loop);

	if (uv_is_closing((uv_handle_t *)&timers->timer) ||
	    (timers->timer_at_ms && timers->timer_at_ms <= at_ms))
		return;
	timers->timer_at_ms = at_ms;
	(void)uv_timer_start(&timers->timer, on_timer, at_ms > now_ms ? at_ms - now_ms : 0, 0);
}

void http_timers_init(struct http_timers *timers, uv_loop_t *loop,
		      const unsigned timeouts_ms[HTTP_TIMEOUT_COUNT])
{
	(void)uv_timer_init(loop, &timers->timer);
	timers->timer_at_ms = 0;
	for (unsigned i = 0; i < HTTP_TIMEOUT_COUNT; i++) {
		list_init(&timers->lists[i]);
		timers->timeouts_ms[i] = timeouts_ms && timeouts_ms[i] ? timeouts_ms[i]
								       : usual_ms[i];
	}
}

void http_timers_rest(struct http_timers *timers)
{
	if (next(timers))
		return;
	timers->timer_at_ms = 0;
	(void)uv_timer_stop(&timers->timer);
}

void http_deadline_init(struct http_deadline *deadline,
			void (*expired)(struct http_deadline *deadline))
{
	list_init(&deadline->node);
	deadline->at_ms = 0;
	deadline->expired = expired;
}

void http_deadline_set(struct http_timers *timers, struct http_deadline *deadline,
		       enum http_timeout timeout)
{
	list_remove(&deadline->node);
	if (!timers)
		return;
	deadline->at_ms = uv_now(timers->timer.loop) + timers->timeouts_ms[timeout];
	list_append(&timers->lists[timeout], &deadline->node);
	arm(timers, deadline->at_ms);
}

void http_deadline_clear(struct http_deadline *deadline)
{
	list_remove(&deadline->node);
}

bool http_deadline_is_set(const struct http_deadline *deadline)
{
	return !list_empty(&deadline->node);
}
