#include "rpc/http_head.h"

#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/ip.h"

#define HOST_MAX 64 /* bytes: the longest IP address, brackets and port */

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool http_path_is_rpc(const char *path)
{
	return strncmp(path, "/rpc/", 5) == 0 && path[5] != '\0' && path[5] != '?';
}

/* Takes spaces, and one pair of quotes, off both ends. */
static void trim(const char **start, const char **end)
{
	while (*start < *end && is_space(**start))
		(*start)++;
	while (*end > *start && is_space((*end)[-1]))
		(*end)--;
	if (*end - *start >= 2 && **start == '"' && (*end)[-1] == '"') {
		(*start)++;
		(*end)--;
	}
}

const char *http_cookie_find(const char *field, const char *name, size_t *ret_size)
{
	size_t name_size = strlen(name);

	while (*field) {
		const char *end = field + strcspn(field, ";");
		const char *equals;

		while (is_space(*field))
			field++;
		equals = memchr(field, '=', (size_t)(end - field));
		if (equals && (size_t)(equals - field) == name_size &&
		    memcmp(field, name, name_size) == 0) {
			const char *value = equals + 1;

			trim(&value, &end);
			*ret_size = (size_t)(end - value);
			return value;
		}
		field = *end ? end + 1 : end;
	}
	return NULL;
}

/* Cuts the port off. Returns the size of the host, or 0 where what follows it is no port. */
static size_t host_size(const char *field)
{
	const char *end = *field == '[' ? strchr(field, ']') : field + strcspn(field, ":") - 1;
	size_t size;

	if (!end || end < field)
		return 0;
	size = (size_t)(end - field) + 1;
	if (field[size] == '\0')
		return size;
	if (field[size] != ':' ||
	    strspn(field + size + 1, "0123456789") != strlen(field + size + 1))
		return 0;
	return size;
}

bool http_host_is_literal(const char *field)
{
	size_t size = host_size(field);
	struct ip_address address;
	char host[HOST_MAX];

	if (size == 0 || size >= sizeof(host))
		return false;
	memcpy(host, field, size);
	host[size] = '\0';
	if (host[0] == '[') {
		host[size - 1] = '\0';
		return ip_parse(host + 1, &address) == 0 && address.family == AF_INET6;
	}
	if (strcasecmp(host, "localhost") == 0)
		return true;
	return ip_parse(host, &address) == 0 && address.family == AF_INET;
}

bool http_origin_is_host(const char *origin, const char *host)
{
	if (strncasecmp(origin, "http://", 7) == 0)
		return strcasecmp(origin + 7, host) == 0;
	if (strncasecmp(origin, "https://", 8) == 0)
		return strcasecmp(origin + 8, host) == 0;
	return false;
}

int http_length_parse(const char *field, uint64_t *ret)
{
	uint64_t length = 0;
	size_t digits = 0;

	for (; is_digit(field[digits]); digits++)
		if (digits < 18)
			length = length * 10 + (uint64_t)(field[digits] - '0');
	if (digits == 0 || digits > 18 || field[digits] != '\0')
		return -EINVAL;
	*ret = length;
	return 0;
}
