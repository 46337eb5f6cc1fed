/*
 * Deadlines of a server; inside this folder only
 *
 * Each kind of deadline takes the same time for everybody, so a list for each kind is in order of
 * expiry by itself, and setting or clearing one costs the same however many there are. One timer of
 * the loop serves all; it is left running late rather than set anew for each, and http_timers_rest()
 * stops it, so that nothing wakes the loop where nobody is connected. Embedded in its server.
 */
#pragma once

#include <uv.h>

#include "base/list.h"

enum http_timeout {
	HTTP_TIMEOUT_HELLO, /* of TLS */
	HTTP_TIMEOUT_HANDSHAKE,
	HTTP_TIMEOUT_HEAD,
	HTTP_TIMEOUT_BODY,
	HTTP_TIMEOUT_IDLE,
	HTTP_TIMEOUT_PROGRESS, /* of a client that reads slowly */
	HTTP_TIMEOUT_LINGER, /* behind a refusal */
	HTTP_TIMEOUT_PING,
	HTTP_TIMEOUT_PONG,
	HTTP_TIMEOUT_COUNT,
};

/* Embedded in what it is about. The function is called from the loop, once for each setting. */
struct http_deadline {
	struct list node;
	uint64_t at_ms;
	void (*expired)(struct http_deadline *deadline);
};

struct http_timers {
	uv_timer_t timer;
	uint64_t timer_at_ms; /* 0: it is not active */
	struct list lists[HTTP_TIMEOUT_COUNT];
	unsigned timeouts_ms[HTTP_TIMEOUT_COUNT];
};

/* @timeouts_ms: 0 where the usual time is meant. The owner closes the timer's handle. */
void http_timers_init(struct http_timers *timers, uv_loop_t *loop,
		      const unsigned timeouts_ms[HTTP_TIMEOUT_COUNT]);

/* Stops the timer where no deadline is set. */
void http_timers_rest(struct http_timers *timers);

void http_deadline_init(struct http_deadline *deadline,
			void (*expired)(struct http_deadline *deadline));

/* Sets it, from now on, in place of what it was set to. @timers: NULL: it never expires. */
void http_deadline_set(struct http_timers *timers, struct http_deadline *deadline,
		       enum http_timeout timeout);

void http_deadline_clear(struct http_deadline *deadline);

bool http_deadline_is_set(const struct http_deadline *deadline);
