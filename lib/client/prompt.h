/*
 * Questions to the person at the terminal
 *
 * Asked on stderr and answered on stdin, so that stdout holds results alone. They need a terminal and
 * say so otherwise (FAULT_FILESYSTEM); only a menu may also be answered from a pipe, by number. Ctrl-C
 * and the end of the input give FAULT_CANCELLED. The terminal is always left as it was found, also
 * where a signal ends or stops the program. One thread at a time.
 */
#pragma once

#include "base/fault.h"
#include "base/text.h"

#define PROMPT_LINE_MAX 4096 /* bytes of an answer */

/*
 * Asks for a line, which is left without its end. @initial: what an empty line means; NULL: it means "".
 * Returns 0, or a negative errno with a fault.
 */
int prompt_line(const char *label, const char *initial, struct text *ret, struct fault *fault);

/* Asks for a secret: nothing shows while it is typed. The caller wipes it. */
int prompt_secret(const char *label, struct text *ret, struct fault *fault);

/*
 * Asks for a secret of several lines, up to one that begins with @end, as what is pasted has. Nothing
 * shows from the first question to the last answer.
 * @max: bytes of an answer; more is -E2BIG.
 * @check: says what is wrong with an answer, which is shown and asked for again; NULL where nothing is.
 * Returns 0, or a negative errno with a fault. The caller wipes *ret.
 */
int prompt_secret_block(const char *label, const char *end, size_t max,
			const char *(*check)(const struct text *answer, void *context),
			void *context, struct text *ret, struct fault *fault);

/*
 * Lets one of the items be chosen: by the arrow keys on a terminal that has them, else by its number
 * (out of range or nothing: FAULT_INVALID_REQUEST).
 */
int prompt_menu(const char *label, const char *const *items, size_t count, size_t *ret,
		struct fault *fault);

/* Whether a person is there to answer. */
bool prompt_is_possible(void);
