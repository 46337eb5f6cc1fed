/*
 * Growable text
 *
 * A buffer that is always terminated by a NUL. Appending may fail for want of memory or because the
 * bound would be passed; the failure is kept, later appends do nothing, and text_error() tells once
 * at the end. Embedded in its owner; text_done() releases it.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct text {
	char *data; /* NULL until something was appended */
	size_t size; /* without the NUL */
	size_t capacity;
	size_t max; /* 0: no bound but memory */
	int error;
};

void text_done(struct text *t);
DEFINE_CLEANUP_DONE(struct text, text_done);

/* Wipes the contents before releasing them. */
void text_done_secret(struct text *t);
DEFINE_CLEANUP_DONE(struct text, text_done_secret);

/* Forgets the contents and a kept error; keeps the memory. */
void text_clear(struct text *t);

void text_append(struct text *t, const char *string);
void text_append_bytes(struct text *t, const void *bytes, size_t size);
void text_append_char(struct text *t, char c);

/* In decimal; many times faster than text_printf(). */
void text_append_number(struct text *t, uint64_t number);
void text_printf(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_vprintf(struct text *t, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

/* 0, or what the first failed append met: -ENOMEM, or -E2BIG for the bound. */
int text_error(const struct text *t);

/* The contents, "" where there are none; borrowed until the next append. */
const char *text_string(const struct text *t);

/* Hands the contents to the caller, who frees them. Returns NULL after an error. */
char *text_take(struct text *t);
