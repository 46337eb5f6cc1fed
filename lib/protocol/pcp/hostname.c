#include "pcp/pcp.h"

#include <errno.h>
#include <string.h>

#define LABEL_MAX 63

static bool is_letter_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static char to_lower(uint8_t byte)
{
	return (char)(byte >= 'A' && byte <= 'Z' ? byte + ('a' - 'A') : byte);
}

static bool is_label(const char *label, size_t size)
{
	if (size == 0 || size > LABEL_MAX || label[0] == '-' || label[size - 1] == '-')
		return false;
	for (size_t i = 0; i < size; i++)
		if (!is_letter_or_digit(label[i]) && label[i] != '-')
			return false;
	return true;
}

int pcp_hostname_parse(const uint8_t *bytes, size_t size, struct pcp_hostname *ret)
{
	struct pcp_hostname name = { 0 };
	const char *label = name.text;

	if (size == 0 || size > PCP_HOSTNAME_MAX)
		return -EINVAL;
	for (size_t i = 0; i < size; i++) {
		name.text[i] = to_lower(bytes[i]);
		if (name.text[i] == '\0')
			return -EINVAL;
	}
	if (strncmp(label, "*.", 2) == 0)
		label += 2;
	for (;;) {
		size_t length = strcspn(label, ".");

		if (!is_label(label, length))
			return -EINVAL;
		if (label[length] == '\0')
			break;
		label += length + 1;
	}
	*ret = name;
	return 0;
}
