#include "crypto/pem.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/secret.h"
#include "codec/base64.h"

#define OPEN "-----BEGIN "
#define CLOSE "-----END "
#define DASHES "-----"

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Reads the label behind OPEN or CLOSE and the dashes after it. Returns what follows, or NULL. */
static const char *read_label(const char *at, char label[PEM_LABEL_MAX])
{
	size_t size = 0;

	while (at[size] && at[size] != '-' && at[size] != '\n')
		size++;
	if (size == 0 || size >= PEM_LABEL_MAX || strncmp(at + size, DASHES, 5) != 0)
		return NULL;
	memcpy(label, at, size);
	label[size] = '\0';
	return at + size + 5;
}

/* Copies the digits up to the closing line to @digits. Returns what follows it, or NULL. */
static const char *read_digits(const char *at, const char *label, char *digits)
{
	char closing[PEM_LABEL_MAX];

	for (; *at && *at != '-'; at++)
		if (!is_space(*at))
			*digits++ = *at;
	*digits = '\0';
	if (strncmp(at, CLOSE, strlen(CLOSE)) != 0)
		return NULL;
	at = read_label(at + strlen(CLOSE), closing);
	return at && strcmp(closing, label) == 0 ? at : NULL;
}

ssize_t pem_decode(const char *text, size_t text_max, char ret_label[PEM_LABEL_MAX], void *to,
		   size_t capacity)
{
	size_t size = strnlen(text, text_max + 1);
	cleanup_free char *digits = NULL;
	ssize_t result = -EINVAL;

	if (size > text_max)
		return -E2BIG;
	while (is_space(*text))
		text++;
	if (strncmp(text, OPEN, strlen(OPEN)) != 0)
		return -EINVAL;
	text = read_label(text + strlen(OPEN), ret_label);
	digits = malloc(size + 1);
	if (!digits)
		return -ENOMEM;
	if (text)
		text = read_digits(text, ret_label, digits);
	while (text && is_space(*text))
		text++;
	if (text && *text == '\0')
		result = base64_decode(digits, to, capacity);
	secret_wipe(digits, size + 1);
	return result;
}

static char *append(char *to, const char *text, size_t size)
{
	memcpy(to, text, size);
	return to + size;
}

static char *append_line(char *to, const char *opening, const char *label)
{
	to = append(to, opening, strlen(opening));
	to = append(to, label, strlen(label));
	return append(to, DASHES "\n", 6);
}

char *pem_encode(const char *label, const void *bytes, size_t size, size_t width, char *to)
{
	char digits[BASE64_SIZE(PEM_ENCODE_MAX)];
	char *at = append_line(to, OPEN, label);
	size_t count;

	assert(size <= PEM_ENCODE_MAX);
	count = strlen(base64_encode(bytes, size, true, digits));
	for (size_t i = 0; i < count; i += width) {
		at = append(at, digits + i, count - i < width ? count - i : width);
		*at++ = '\n';
	}
	at = append_line(at, CLOSE, label);
	*at = '\0';
	secret_wipe(digits, sizeof(digits));
	return to;
}
