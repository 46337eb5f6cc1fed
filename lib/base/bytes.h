/*
 * Reading and writing of byte messages
 *
 * A reader walks over received bytes that it borrows. It cannot run past the end: a read that does
 * not fit gives zeroes and makes every later one fail, so that a parser reads straight through and
 * asks reader_done() once. A writer is the same for a buffer of fixed size. Multi-byte numbers are
 * big-endian in the plain functions and little-endian in those that end in le.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct reader {
	const uint8_t *at;
	const uint8_t *end;
	bool failed;
};

void reader_init(struct reader *r, const void *data, size_t size);

uint8_t reader_u8(struct reader *r);
uint16_t reader_u16(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);
uint16_t reader_u16le(struct reader *r);
uint32_t reader_u32le(struct reader *r);
uint64_t reader_u64le(struct reader *r);

/* Copies @size bytes to @to; on failure @to is zeroed. */
void reader_copy(struct reader *r, void *to, size_t size);

/* Returns the address of the next @size bytes and passes over them, or NULL. */
const uint8_t *reader_take(struct reader *r, size_t size);

/* Bytes that are left; 0 after a failure. */
size_t reader_left(const struct reader *r);

/* Whether everything was read and nothing is left over. */
bool reader_done(const struct reader *r);

struct writer {
	uint8_t *start;
	uint8_t *at;
	uint8_t *end;
	bool failed;
};

void writer_init(struct writer *w, void *buffer, size_t size);

void writer_u8(struct writer *w, uint8_t value);
void writer_u16(struct writer *w, uint16_t value);
void writer_u32(struct writer *w, uint32_t value);
void writer_u64(struct writer *w, uint64_t value);
void writer_u16le(struct writer *w, uint16_t value);
void writer_u32le(struct writer *w, uint32_t value);
void writer_u64le(struct writer *w, uint64_t value);
void writer_copy(struct writer *w, const void *from, size_t size);
void writer_zero(struct writer *w, size_t size);

/* Reserves @size bytes that the caller fills in. Returns NULL where they do not fit. */
uint8_t *writer_reserve(struct writer *w, size_t size);

/* Bytes written so far, or -ENOBUFS where something did not fit. */
ssize_t writer_size(const struct writer *w);
