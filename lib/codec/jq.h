/*
 * Filters in the jq language on a value
 *
 * A filter may loop for ever or take all memory, so each runs in a process of its own: forked, with
 * limits on processor time and memory, without any descriptor, environment or system call but what
 * computing takes. It sees the value through its copy of this process' memory and sends its result
 * back as text. The filter language is that of the libjq that is installed; numbers beyond 2^53
 * lose precision in it.
 *
 * The program must not reap children that it does not know (waitpid(-1)), nor ignore SIGCHLD.
 */
#pragma once

#include <jansson.h>
#include <uv.h>

#include "base/fault.h"

#define JQ_RESULT_MAX (64U << 20) /* bytes of text */
#define JQ_DEPTH_MAX 256

struct jq_limits {
	unsigned cpu_s; /* processor time; three times as much may pass on the clock */
	size_t memory; /* bytes */
};

#define JQ_LIMITS_DEFAULT                                                                          \
	{                                                                                          \
		.cpu_s = 10, .memory = (size_t)512 << 20                                           \
	}

/*
 * Starts @filter on @document, which must not change until this returns; both are borrowed until
 * then.
 * @limits: NULL for the default. @done is called on the loop, once, with the one result, which
 * becomes its own, or with NULL and a fault, which is borrowed:
 * - FAULT_INVALID_REQUEST: the filter does not compile, or gives no result or more than one;
 * - FAULT_DESERIALIZATION: it failed while it ran, or went beyond its memory;
 * - FAULT_TIMEOUT: it went beyond its time.
 * Returns 0 or a negative errno, and then @done is not called.
 */
int jq_run(uv_loop_t *loop, const char *filter, const json_t *document,
	   const struct jq_limits *limits,
	   void (*done)(void *context, json_t *result, struct fault *fault), void *context);

/* The same for a program without a loop: waits. Returns 0, or a negative errno with a fault. */
int jq_run_now(const char *filter, const json_t *document, const struct jq_limits *limits,
	       json_t **ret, struct fault *fault);
