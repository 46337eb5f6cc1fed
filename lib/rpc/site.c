#include "rpc/site.h"

#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/ip.h"

#define PORT_HTTP 80
#define PORT_HTTPS 443

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A character of a name or of an IPv4 address, in lower case; '\0': none. */
static char host_character(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	if ((c >= 'a' && c <= 'z') || is_digit(c) || c == '.' || c == '-' || c == '_')
		return c;
	return '\0';
}

/* Parses what follows the host: nothing, or a port. */
static int parse_port(const char *text, bool secure, uint16_t *ret)
{
	uint32_t port = 0;

	if (*text == '\0') {
		*ret = secure ? PORT_HTTPS : PORT_HTTP;
		return 0;
	}
	if (*text++ != ':' || *text == '\0' || strlen(text) > 5)
		return -EINVAL;
	for (; is_digit(*text); text++)
		port = port * 10 + (uint32_t)(*text - '0');
	if (*text != '\0' || port == 0 || port > UINT16_MAX)
		return -EINVAL;
	*ret = (uint16_t)port;
	return 0;
}

/* An address in brackets; written anew, so that each has one text. */
static int parse_v6(const char *field, struct rpc_site *site, const char **ret_rest)
{
	const char *end = strchr(field, ']');
	struct ip_address address;
	char text[IP_TEXT_MAX];
	size_t size = end ? (size_t)(end - field) - 1 : 0;

	if (!end || size >= sizeof(text))
		return -EINVAL;
	memcpy(text, field + 1, size);
	text[size] = '\0';
	if (ip_parse(text, &address) < 0 || address.family != AF_INET6)
		return -EINVAL;
	(void)ip_format(&address, text);
	memcpy(site->host, text, strlen(text) + 1);
	site->literal = true;
	*ret_rest = end + 1;
	return 0;
}

static int parse_name(const char *field, struct rpc_site *site, const char **ret_rest)
{
	struct ip_address address;
	size_t size = 0;

	for (; host_character(field[size]) != '\0' && size < sizeof(site->host) - 1; size++)
		site->host[size] = host_character(field[size]);
	if (size == 0)
		return -EINVAL;
	site->host[size] = '\0';
	site->literal = strcmp(site->host, "localhost") == 0 ||
			(ip_parse(site->host, &address) == 0 && address.family == AF_INET);
	*ret_rest = field + size;
	return 0;
}

int rpc_site_parse_host(const char *field, bool secure, struct rpc_site *ret)
{
	struct rpc_site site = { .secure = secure };
	const char *rest;
	int r = *field == '[' ? parse_v6(field, &site, &rest) : parse_name(field, &site, &rest);

	if (r == 0)
		r = parse_port(rest, secure, &site.port);
	if (r == 0)
		*ret = site;
	return r;
}

int rpc_site_parse_origin(const char *field, struct rpc_site *ret)
{
	if (strncasecmp(field, "http://", 7) == 0)
		return rpc_site_parse_host(field + 7, false, ret);
	if (strncasecmp(field, "https://", 8) == 0)
		return rpc_site_parse_host(field + 8, true, ret);
	return -EINVAL;
}

bool rpc_site_equal(const struct rpc_site *a, const struct rpc_site *b)
{
	return a->secure == b->secure && a->port == b->port && strcmp(a->host, b->host) == 0;
}

bool rpc_site_is_senders(const struct rpc_site *site, const char *origin, const char *fetch_site)
{
	struct rpc_site sender;

	if (fetch_site && strcmp(fetch_site, "same-origin") != 0 && strcmp(fetch_site, "none") != 0)
		return false;
	return !origin ||
	       (rpc_site_parse_origin(origin, &sender) == 0 && rpc_site_equal(&sender, site));
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

const char *rpc_cookie_find(const char *field, const char *name, size_t *ret_size)
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

bool rpc_list_has(const char *list, const char *name)
{
	size_t name_size = strlen(name);

	while (*list) {
		const char *start = list + strspn(list, " \t,");
		size_t size = strcspn(start, " \t,");

		if (size == name_size && strncasecmp(start, name, size) == 0)
			return true;
		list = start + size;
	}
	return false;
}
