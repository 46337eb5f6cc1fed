/*
 * The document of StartTunnel
 *
 * Its form (tunnel.md 1), what a fresh one holds, and small questions about it. Documents are jansson
 * trees that passed document_check(); the functions below rely on that. Trees are borrowed.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/ip.h"
#include "base/text.h"

#define DOCUMENT_DEVICE_NAME_MAX 256
#define DOCUMENT_SUBNET_LENGTH_MIN                                                                 \
	8 /* larger ones would swallow what the machine itself talks to */
#define DOCUMENT_SUBNET_LENGTH_MAX 24

/* A new document: one random subnet, a fresh key (tunnel.md 1.3). NULL: out of memory. */
json_t *document_fresh(void);

/*
 * Holds a tree against the form and the invariants (tunnel.md 1.7): fills in what may be missing,
 * drops unknown members. Returns 0, -ENOMEM, or -EPROTO with a fault that begins with the path of the
 * first thing that is wrong.
 */
int document_check(json_t *document, struct fault *fault);

/* Appends the JSON pointer made of the given member names; the last argument is NULL. */
void document_pointer(struct text *to, ...) __attribute__((sentinel));

struct document_subnet {
	const char *key; /* "10.59.37.1/24" */
	const json_t *value;
	uint32_t server; /* the address in the key */
	uint8_t prefix; /* length */
};

/* Length of every IPv6 network of devices. */
#define DOCUMENT_IPV6_LENGTH 64

/* The subnet with this key, or the one that the address lies in. Return false where there is none. */
bool document_subnet(const json_t *document, const char *key, struct document_subnet *ret);
bool document_subnet_of(const json_t *document, uint32_t address, struct document_subnet *ret);

/* A device of a subnet by its address, or NULL. */
const json_t *document_device(const struct document_subnet *subnet, uint32_t address);

/* Whether an address belongs to a device of any subnet. */
bool document_is_device(const json_t *document, uint32_t address);

/*
 * The IPv6 network of a subnet: /64, without host bits. Returns false where the subnet has none. In it this
 * machine has the address that ends in "::1", and a device the one that ends in the host part of its
 * IPv4 address, which is the same as long as the device is there.
 */
bool document_ipv6(const struct document_subnet *subnet, struct ip_prefix *ret);
struct ip_address document_ipv6_of(const struct document_subnet *subnet,
				   const struct ip_prefix *network, uint32_t address);

/* Whether the addresses of an IPv6 network are of no use outside (unique local, RFC 4193). */
bool document_ipv6_is_local(const struct ip_address *address);

/* Whether a text is the network that a subnet may have: global or unique local, /64, no host bits. */
bool document_ipv6_parse(const char *text, struct ip_prefix *ret);

/* The device with an IPv6 address, by its IPv4 address. Returns false where there is none. */
bool document_device6(const json_t *document, const struct ip_address *address,
		      struct document_subnet *ret_subnet, uint32_t *ret_device);

/* The member with the forwards and pinholes of IPv6, there with its first entry only. */
#define DOCUMENT_FORWARDS6 "portForwards6"

/* Whether the name of a forward is one of IPv6. */
static inline bool document_is_forward6(const char *source)
{
	return source[0] == '[';
}

/* An entry of /portForwards6. Returns false where it is none. */
struct document_forward6 {
	struct ip_address external;
	uint16_t external_port;
	struct ip_address target;
	uint16_t target_port;
	uint16_t count;
	bool enabled;
};

bool document_forward6(const char *key, const json_t *value, struct document_forward6 *ret);

/* Whether all entries of /portForwards6 are in order, each for itself; part of document_check(). 0, or -EPROTO with a
 * fault. */
int document_check_forwards6(const json_t *document, struct fault *fault);

/* Whether @count ports (not 0) from both on are ports. 0, or -EPROTO with a fault that names the parameter. */
int document_check_span(uint32_t external, uint32_t target, uint32_t count, struct fault *fault);

/* A member of forwards and routes, not there where it is false: the device gets a header of the PROXY protocol
 * before all else. */
#define DOCUMENT_PROXY "proxyProtocol"

/* Whether connections to the port of a forward end on this machine, and are relayed: many names share it,
 * or the device gets a header. Else the kernel leads packets to the device. */
bool document_is_relayed(const json_t *entry);

/* Gives an entry or a route the member, where @proxy is true. Takes @entry and returns it; NULL: no memory. */
json_t *document_with_proxy(json_t *entry, bool proxy);

/* Whether a forward may have DOCUMENT_PROXY as it has it. 0, or a negative errno with a fault that names the
 * member. */
int document_check_proxy(const char *source, const json_t *entry, struct fault *fault);

/* A plain forward as its entry says it. */
struct document_forward {
	uint32_t external;
	uint16_t external_port;
	uint32_t target;
	uint16_t target_port;
	uint16_t count;
	bool enabled;
};

/* Returns false where the entry is not a plain forward ("dnat"). */
bool document_forward(const char *key, const json_t *value, struct document_forward *ret);

/* The same of one route of a port that is shared by host name ("sni"), with @key of the port. */
bool document_route(const char *key, const json_t *route, struct document_forward *ret);

/* The name of a route as it is kept: in lower case, perhaps with "*." before it, or DOCUMENT_ROUTE_ANY for all other
 * names. Returns 0, or -EINVAL for what no host is called. */
#define DOCUMENT_ROUTE_ANY "*"
#define DOCUMENT_ROUTE_NAME_MAX 254
int document_route_name(const char *text, char ret[DOCUMENT_ROUTE_NAME_MAX]);
