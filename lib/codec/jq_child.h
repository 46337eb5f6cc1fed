/* The forked half of jq.h. */
#pragma once

#include "codec/jq.h"

/*
 * What the child sends: one byte, JQ_RESULT or the number of a fault's kind, and then the text of
 * the result or of the fault until the end.
 */
#define JQ_RESULT 0

/* Never returns. Everything of the parent but @fd, @filter and @document is closed or left alone. */
_Noreturn void jq_child_run(int fd, const char *filter, const json_t *document,
			    const struct jq_limits *limits);
