#include "base/text.h"

#include <stdio.h>

void text_done(struct text *t)
{
	free(t->data);
	*t = (struct text){ 0 };
}

void text_done_secret(struct text *t)
{
	if (t->data)
		explicit_bzero(t->data, t->capacity);
	text_done(t);
}

void text_clear(struct text *t)
{
	t->size = 0;
	t->error = 0;
	if (t->data)
		t->data[0] = '\0';
}

/* Makes room for @more bytes and the NUL. The old bytes are wiped when they move: some are secret. */
static int text_grow(struct text *t, size_t more)
{
	size_t need = t->size + more + 1;
	size_t capacity = t->capacity ? t->capacity : 64;
	char *data;

	if (t->error)
		return t->error;
	if (need < more || (t->max && need > t->max + 1))
		return t->error = -E2BIG;
	if (need <= t->capacity)
		return 0;
	while (capacity < need)
		capacity *= 2;
	data = malloc(capacity);
	if (!data)
		return t->error = -ENOMEM;
	if (t->data) {
		memcpy(data, t->data, t->size);
		explicit_bzero(t->data, t->capacity);
		free(t->data);
	}
	t->data = data;
	t->capacity = capacity;
	return 0;
}

void text_append_bytes(struct text *t, const void *bytes, size_t size)
{
	if (text_grow(t, size) < 0)
		return;
	if (size > 0)
		memcpy(t->data + t->size, bytes, size);
	t->size += size;
	t->data[t->size] = '\0';
}

void text_append(struct text *t, const char *string)
{
	text_append_bytes(t, string, strlen(string));
}

void text_append_char(struct text *t, char c)
{
	text_append_bytes(t, &c, 1);
}

void text_append_number(struct text *t, uint64_t number)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	text_append_bytes(t, digits + at, sizeof(digits) - at);
}

void text_vprintf(struct text *t, const char *format, va_list args)
{
	size_t room = t->error ? 0 : t->capacity - t->size;
	va_list again;
	int size;

	va_copy(again, args);
	size = vsnprintf(room > 0 ? t->data + t->size : NULL, room, format, again);
	va_end(again);
	if (size < 0) {
		t->error = t->error ? t->error : -EINVAL;
		return;
	}
	if (text_grow(t, (size_t)size) < 0) {
		if (room > 0)
			t->data[t->size] = '\0';
		return;
	}
	if ((size_t)size >= room)
		(void)vsnprintf(t->data + t->size, (size_t)size + 1, format, args);
	t->size += (size_t)size;
}

void text_printf(struct text *t, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	text_vprintf(t, format, args);
	va_end(args);
}

int text_error(const struct text *t)
{
	return t->error;
}

const char *text_string(const struct text *t)
{
	return t->data ? t->data : "";
}

char *text_take(struct text *t)
{
	char *data;

	text_append_bytes(t, NULL, 0);
	if (t->error) {
		text_done(t);
		return NULL;
	}
	data = t->data;
	*t = (struct text){ .max = t->max };
	return data;
}
