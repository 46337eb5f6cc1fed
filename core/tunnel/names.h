/*
 * DNS for devices, following the document
 *
 * The subnets, their servers and the records are served as the document has them (resolver/resolver.h). Devices that
 * may do so change records by signed updates (RFC 2136, tunnel.md 7.4): each is an edit like any other,
 * answered when it is durable. Owned by the tunnel.
 */
#pragma once

#include "tunnel/tunnel.h"

#define NAMES_DEVICE_RECORDS_MAX 256 /* records that a device may hold */

struct names;

/* For tunnel_serve_names() and tunnel_free(). */
int names_new(struct tunnel *tunnel, const char *const *resolv_conf, struct names **ret);
struct names *names_free(struct names *names);

/* The machine's addresses and interfaces have changed. NULL is fine. */
void names_follow_link(struct names *names);

/* Why DNS is not served everywhere, for a person; NULL: it is. */
const char *names_problem(const struct names *names);
