#include "base/host.h"

#include <stddef.h>
#include <string.h>

#define LABEL_MAX 63

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Checks one label; notes whether it is a number. */
static bool is_label(const char *text, size_t size, bool *ret_number)
{
	if (size == 0 || size > LABEL_MAX || text[0] == '-' || text[size - 1] == '-')
		return false;
	*ret_number = true;
	for (size_t i = 0; i < size; i++) {
		if (!is_digit(text[i]) && !is_letter(text[i]) && text[i] != '-')
			return false;
		*ret_number &= is_digit(text[i]);
	}
	return true;
}

bool host_is_name(const char *text)
{
	bool number = false;

	if (strlen(text) > HOST_NAME_MAX_SIZE)
		return false;
	for (;;) {
		size_t size = strcspn(text, ".");

		if (!is_label(text, size, &number))
			return false;
		if (text[size] == '\0')
			return !number;
		text += size + 1;
	}
}

bool host_is_for(const char *pattern, const char *host)
{
	const char *rest = strchr(host, '.');

	if (strcmp(pattern, host) == 0)
		return true;
	return strncmp(pattern, "*.", 2) == 0 && rest && rest != host &&
	       strcmp(pattern + 1, rest) == 0;
}
