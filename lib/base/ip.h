/*
 * IP addresses, networks and endpoints as values
 *
 * All are plain structs without padding that matters: compare with the functions, copy by
 * assignment. An IPv4 address is a uint32_t in host byte order where only IPv4 can occur.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ip_address {
	uint8_t family; /* AF_INET, AF_INET6, or 0: none */
	uint8_t bytes[16]; /* network byte order; the first 4 for IPv4, the others zero */
};

/* An address with a prefix length; host bits are kept. */
struct ip_prefix {
	struct ip_address address;
	uint8_t length;
};

struct endpoint {
	struct ip_address address;
	uint16_t port; /* host byte order */
	uint32_t scope_id; /* of a link-local IPv6 address, else 0 */
};

/* Enough for every text form below, with the NUL. */
#define IP_TEXT_MAX 72

struct ip_address ip_from_v4(uint32_t address);
uint32_t ip_to_v4(const struct ip_address *address); /* the caller knows that it is IPv4 */

bool ip_equal(const struct ip_address *a, const struct ip_address *b);

/* Sorts IPv4 before IPv6, then by value: <0, 0, >0. */
int ip_compare(const struct ip_address *a, const struct ip_address *b);

/* Whether @address lies in @prefix (host bits of @prefix are ignored). */
bool ip_prefix_contains(const struct ip_prefix *prefix, const struct ip_address *address);

/* Clears the host bits. */
struct ip_prefix ip_prefix_network(const struct ip_prefix *prefix);

/*
 * Parsers: strict, the whole text must be used (no leading zeroes in IPv4, no spaces).
 * ip_prefix_parse needs the "/length"; endpoint_parse wants "1.2.3.4:5" or "[::1]:5" (with %scope
 * number allowed inside the brackets). Return 0 or -EINVAL.
 */
int ip_parse(const char *text, struct ip_address *ret);
int ip_v4_parse(const char *text, uint32_t *ret);
int ip_prefix_parse(const char *text, struct ip_prefix *ret);
int endpoint_parse(const char *text, struct endpoint *ret);

/* Formatters: write at most IP_TEXT_MAX bytes to @to and return it. */
char *ip_format(const struct ip_address *address, char to[IP_TEXT_MAX]);
char *ip_v4_format(uint32_t address, char to[IP_TEXT_MAX]);
char *ip_prefix_format(const struct ip_prefix *prefix, char to[IP_TEXT_MAX]);
char *endpoint_format(const struct endpoint *endpoint, char to[IP_TEXT_MAX]);

/* To and from the socket API. endpoint_to_sockaddr returns the used size of *@to. */
socklen_t endpoint_to_sockaddr(const struct endpoint *endpoint, struct sockaddr_storage *to);
int endpoint_from_sockaddr(const struct sockaddr *from, struct endpoint *ret);

/* The mask of an IPv4 prefix length 0 to 32. */
static inline uint32_t ip_v4_mask(uint8_t length)
{
	return length == 0 ? 0 : UINT32_MAX << (32 - length);
}
