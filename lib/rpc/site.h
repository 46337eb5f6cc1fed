/*
 * Which site a request talks to, and which one's page has sent it
 *
 * Pure functions over fields of a request's head. Nothing is trusted: the texts may hold any byte but
 * NUL.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RPC_HOST_MAX 254 /* bytes of a name, with the NUL */

/* A scheme, host and port: what browsers call an origin. */
struct rpc_site {
	bool secure; /* https */
	char host[RPC_HOST_MAX]; /* in lower case; IPv6 without its brackets */
	uint16_t port;
	bool literal; /* the host is an IP address or localhost */
};

/* Parses a Host field. @secure: the request came over TLS. Returns 0 or -EINVAL. */
int rpc_site_parse_host(const char *field, bool secure, struct rpc_site *ret);

/* Parses an Origin field; "null" is none. Returns 0 or -EINVAL. */
int rpc_site_parse_origin(const char *field, struct rpc_site *ret);

bool rpc_site_equal(const struct rpc_site *a, const struct rpc_site *b);

/*
 * Whether no page of another site has made a request: the Origin field, where there is one, has to be
 * the site, and Sec-Fetch-Site, where there is one, "same-origin" or "none". Either may be NULL.
 */
bool rpc_site_is_senders(const struct rpc_site *site, const char *origin, const char *fetch_site);

/*
 * Finds the first cookie of a name in a Cookie field (RFC 6265 section 5.4, lax about spaces and
 * quotes around the value). Returns the start of its value with the size in @ret_size, or NULL.
 */
const char *rpc_cookie_find(const char *field, const char *name, size_t *ret_size);

/* Whether a list of names between commas has a name, in any case. */
bool rpc_list_has(const char *list, const char *name);
