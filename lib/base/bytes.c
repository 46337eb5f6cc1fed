#include "base/bytes.h"

void reader_init(struct reader *r, const void *data, size_t size)
{
	*r = (struct reader){ .at = data, .end = (const uint8_t *)data + size };
}

const uint8_t *reader_take(struct reader *r, size_t size)
{
	const uint8_t *at = r->at;

	if (r->failed || size > (size_t)(r->end - r->at)) {
		r->failed = true;
		return NULL;
	}
	r->at += size;
	return at;
}

/* Reads a number of @size bytes; the loops compile to one load and a swap. */
static uint64_t read_number(struct reader *r, size_t size, bool little)
{
	const uint8_t *at = reader_take(r, size);
	uint64_t value = 0;

	if (!at)
		return 0;
	for (size_t i = 0; i < size; i++)
		value |= (uint64_t)at[i] << 8 * (little ? i : size - 1 - i);
	return value;
}

uint8_t reader_u8(struct reader *r)
{
	return (uint8_t)read_number(r, 1, false);
}

uint16_t reader_u16(struct reader *r)
{
	return (uint16_t)read_number(r, 2, false);
}

uint32_t reader_u32(struct reader *r)
{
	return (uint32_t)read_number(r, 4, false);
}

uint64_t reader_u64(struct reader *r)
{
	return read_number(r, 8, false);
}

uint16_t reader_u16le(struct reader *r)
{
	return (uint16_t)read_number(r, 2, true);
}

uint32_t reader_u32le(struct reader *r)
{
	return (uint32_t)read_number(r, 4, true);
}

uint64_t reader_u64le(struct reader *r)
{
	return read_number(r, 8, true);
}

void reader_copy(struct reader *r, void *to, size_t size)
{
	const uint8_t *at = reader_take(r, size);

	if (at)
		memcpy(to, at, size);
	else
		memset(to, 0, size);
}

size_t reader_left(const struct reader *r)
{
	return r->failed ? 0 : (size_t)(r->end - r->at);
}

bool reader_done(const struct reader *r)
{
	return !r->failed && r->at == r->end;
}

void writer_init(struct writer *w, void *buffer, size_t size)
{
	*w = (struct writer){ .start = buffer, .at = buffer, .end = (uint8_t *)buffer + size };
}

uint8_t *writer_reserve(struct writer *w, size_t size)
{
	uint8_t *at = w->at;

	if (w->failed || size > (size_t)(w->end - w->at)) {
		w->failed = true;
		return NULL;
	}
	w->at += size;
	return at;
}

static void write_number(struct writer *w, uint64_t value, size_t size, bool little)
{
	uint8_t *at = writer_reserve(w, size);

	if (!at)
		return;
	for (size_t i = 0; i < size; i++)
		at[i] = (uint8_t)(value >> 8 * (little ? i : size - 1 - i));
}

void writer_u8(struct writer *w, uint8_t value)
{
	write_number(w, value, 1, false);
}

void writer_u16(struct writer *w, uint16_t value)
{
	write_number(w, value, 2, false);
}

void writer_u32(struct writer *w, uint32_t value)
{
	write_number(w, value, 4, false);
}

void writer_u64(struct writer *w, uint64_t value)
{
	write_number(w, value, 8, false);
}

void writer_u16le(struct writer *w, uint16_t value)
{
	write_number(w, value, 2, true);
}

void writer_u32le(struct writer *w, uint32_t value)
{
	write_number(w, value, 4, true);
}

void writer_u64le(struct writer *w, uint64_t value)
{
	write_number(w, value, 8, true);
}

void writer_copy(struct writer *w, const void *from, size_t size)
{
	uint8_t *at = writer_reserve(w, size);

	if (at && size > 0)
		memcpy(at, from, size);
}

void writer_zero(struct writer *w, size_t size)
{
	uint8_t *at = writer_reserve(w, size);

	if (at)
		memset(at, 0, size);
}

ssize_t writer_size(const struct writer *w)
{
	return w->failed ? -ENOBUFS : w->at - w->start;
}
