#include "base/ip.h"

#include <arpa/inet.h>
#include <inttypes.h>

#include "base/cleanup.h"

struct ip_address ip_from_v4(uint32_t address)
{
	struct ip_address result = { .family = AF_INET };

	for (int i = 0; i < 4; i++)
		result.bytes[i] = (uint8_t)(address >> (24 - 8 * i));
	return result;
}

uint32_t ip_to_v4(const struct ip_address *address)
{
	const uint8_t *b = address->bytes;

	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static size_t ip_size(const struct ip_address *address)
{
	return address->family == AF_INET ? 4 : 16;
}

int ip_compare(const struct ip_address *a, const struct ip_address *b)
{
	if (a->family != b->family)
		return a->family == AF_INET ? -1 : b->family == AF_INET ? 1 : a->family - b->family;
	return memcmp(a->bytes, b->bytes, ip_size(a));
}

bool ip_equal(const struct ip_address *a, const struct ip_address *b)
{
	return ip_compare(a, b) == 0;
}

struct ip_prefix ip_prefix_network(const struct ip_prefix *prefix)
{
	struct ip_prefix network = *prefix;
	size_t size = ip_size(&prefix->address);

	for (size_t i = 0; i < size; i++) {
		int kept = prefix->length - (int)(8 * i);

		if (kept <= 0)
			network.address.bytes[i] = 0;
		else if (kept < 8)
			network.address.bytes[i] &= (uint8_t)(0xff << (8 - kept));
	}
	return network;
}

bool ip_prefix_contains(const struct ip_prefix *prefix, const struct ip_address *address)
{
	struct ip_prefix a = ip_prefix_network(prefix);
	struct ip_prefix b = { *address, prefix->length };

	if (prefix->address.family != address->family)
		return false;
	b = ip_prefix_network(&b);
	return ip_equal(&a.address, &b.address);
}

int ip_v4_parse(const char *text, uint32_t *ret)
{
	struct in_addr address;

	if (inet_pton(AF_INET, text, &address) != 1)
		return -EINVAL;
	*ret = ntohl(address.s_addr);
	return 0;
}

int ip_parse(const char *text, struct ip_address *ret)
{
	struct ip_address address = { 0 };
	uint32_t v4;

	if (ip_v4_parse(text, &v4) == 0) {
		*ret = ip_from_v4(v4);
		return 0;
	}
	if (inet_pton(AF_INET6, text, address.bytes) != 1)
		return -EINVAL;
	address.family = AF_INET6;
	*ret = address;
	return 0;
}

/* Decimal digits without sign, space or a leading zero. */
static int parse_number(const char *text, uint32_t max, uint32_t *ret)
{
	uint64_t value = 0;

	if (text[0] == '\0' || (text[0] == '0' && text[1] != '\0'))
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		value = value * 10 + (uint64_t)(*text - '0');
		if (value > max)
			return -EINVAL;
	}
	*ret = (uint32_t)value;
	return 0;
}

int ip_prefix_parse(const char *text, struct ip_prefix *ret)
{
	const char *slash = strchr(text, '/');
	char address[INET6_ADDRSTRLEN];
	struct ip_prefix prefix;
	uint32_t length;

	if (!slash || (size_t)(slash - text) >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	if (ip_parse(address, &prefix.address) < 0 ||
	    parse_number(slash + 1, prefix.address.family == AF_INET ? 32 : 128, &length) < 0)
		return -EINVAL;
	prefix.length = (uint8_t)length;
	*ret = prefix;
	return 0;
}

int endpoint_parse(const char *text, struct endpoint *ret)
{
	const char *colon = strrchr(text, ':');
	struct endpoint endpoint = { 0 };
	char address[IP_TEXT_MAX];
	size_t size;
	uint32_t port;
	bool brackets;
	char *scope;

	if (!colon || (size_t)(colon - text) >= sizeof(address))
		return -EINVAL;
	brackets = text[0] == '[' && colon > text + 1 && colon[-1] == ']';
	size = (size_t)(colon - text) - (brackets ? 2 : 0);
	memcpy(address, text + (brackets ? 1 : 0), size);
	address[size] = '\0';
	scope = brackets ? strchr(address, '%') : NULL;
	if (scope) {
		*scope = '\0';
		if (parse_number(scope + 1, UINT32_MAX, &endpoint.scope_id) < 0)
			return -EINVAL;
	}
	if (ip_parse(address, &endpoint.address) < 0 ||
	    (endpoint.address.family == AF_INET6) != brackets ||
	    parse_number(colon + 1, UINT16_MAX, &port) < 0)
		return -EINVAL;
	endpoint.port = (uint16_t)port;
	*ret = endpoint;
	return 0;
}

/* Lists of addresses are long, and inet_ntop() takes its time. */
static void format_v4(const uint8_t bytes[4], char *to)
{
	for (int i = 0; i < 4; i++) {
		unsigned value = bytes[i];

		if (i > 0)
			*to++ = '.';
		if (value >= 100)
			*to++ = (char)('0' + value / 100);
		if (value >= 10)
			*to++ = (char)('0' + value / 10 % 10);
		*to++ = (char)('0' + value % 10);
	}
	*to = '\0';
}

char *ip_format(const struct ip_address *address, char to[IP_TEXT_MAX])
{
	to[0] = '\0';
	if (address->family == AF_INET)
		format_v4(address->bytes, to);
	else
		(void)inet_ntop(address->family, address->bytes, to, IP_TEXT_MAX);
	return to;
}

char *ip_v4_format(uint32_t address, char to[IP_TEXT_MAX])
{
	struct ip_address ip = ip_from_v4(address);

	return ip_format(&ip, to);
}

char *ip_prefix_format(const struct ip_prefix *prefix, char to[IP_TEXT_MAX])
{
	size_t size;

	ip_format(&prefix->address, to);
	size = strlen(to);
	(void)snprintf(to + size, IP_TEXT_MAX - size, "/%u", prefix->length);
	return to;
}

char *endpoint_format(const struct endpoint *endpoint, char to[IP_TEXT_MAX])
{
	bool v6 = endpoint->address.family == AF_INET6;
	char address[IP_TEXT_MAX];
	char scope[16] = "";

	if (v6 && endpoint->scope_id)
		(void)snprintf(scope, sizeof(scope), "%%%" PRIu32, endpoint->scope_id);
	(void)snprintf(to, IP_TEXT_MAX, "%s%.46s%s%s:%u", v6 ? "[" : "",
		       ip_format(&endpoint->address, address), scope, v6 ? "]" : "",
		       endpoint->port);
	return to;
}

socklen_t endpoint_to_sockaddr(const struct endpoint *endpoint, struct sockaddr_storage *to)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)to;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)to;

	memset(to, 0, sizeof(*to));
	to->ss_family = endpoint->address.family;
	if (endpoint->address.family == AF_INET) {
		v4->sin_port = htons(endpoint->port);
		memcpy(&v4->sin_addr, endpoint->address.bytes, 4);
		return sizeof(*v4);
	}
	v6->sin6_port = htons(endpoint->port);
	v6->sin6_scope_id = endpoint->scope_id;
	memcpy(&v6->sin6_addr, endpoint->address.bytes, 16);
	return sizeof(*v6);
}

int endpoint_from_sockaddr(const struct sockaddr *from, struct endpoint *ret)
{
	struct endpoint endpoint = { .address.family = (uint8_t)from->sa_family };

	if (from->sa_family == AF_INET) {
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)from;

		endpoint.port = ntohs(v4->sin_port);
		memcpy(endpoint.address.bytes, &v4->sin_addr, 4);
	} else if (from->sa_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)from;

		endpoint.port = ntohs(v6->sin6_port);
		endpoint.scope_id = v6->sin6_scope_id;
		memcpy(endpoint.address.bytes, &v6->sin6_addr, 16);
	} else {
		return -EAFNOSUPPORT;
	}
	*ret = endpoint;
	return 0;
}
