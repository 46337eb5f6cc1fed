/* What port_mapper.c, mapping.c and route_mapper.c share. */
#pragma once

#include <assert.h>

#include "tunnel/job.h"
#include "tunnel/port_mapper.h"

#define MAPPING_LABEL "PCP" /* of every automatic forward, tunnel.md 5.3 */

/* A request, while it is carried out. */
struct mapping {
	struct job *job;
	const struct mapping_request *request;
	struct lease_clock now;
	char key[IP_TEXT_MAX]; /* of the forward */
	struct ip_address target6; /* of a request of IPv6 */
	char target6_text[IP_TEXT_MAX + 4]; /* how targets of the asker begin */
	size_t target6_size;
	bool shared; /* `key` is a port of the demultiplexer, which has to be bound, and ... */
	unsigned made; /* ... bit N: name N of the request was not there before */
	struct fault *fault;
};

static_assert(PCP_HOSTNAMES_MAX <= 8 * sizeof(unsigned), "a bit for each name");

static inline bool mapping_is_automatic(const json_t *entry)
{
	return json_is_true(json_object_get(entry, "auto"));
}

static inline bool mapping_is_enabled(const json_t *entry)
{
	return json_is_true(json_object_get(entry, "enabled"));
}

/* The lease of a forward as the request begins it anew. NULL: no memory. */
json_t *mapping_lease(const struct mapping *m, const json_t *lease);

/* Does what m->request says, in the edit m->job. Returns 0 with the outcome, or a negative errno: the edit fails. */
int mapping_carry_out(struct mapping *m, struct mapping_outcome *outcome);

/* A forward by its name, of either family, or NULL. */
json_t *mapping_entry(const json_t *document, const char *key);

/* Ends the terms of a protocol (0: both) of an automatic forward, and with the last one the forward. Returns 0 or a
 * negative errno. */
int mapping_release(const struct mapping *m, const char *key, const json_t *entry,
		    uint8_t protocol);

/* Whether this machine answers one of the ports itself: a device must not cut the owner off. */
bool mapping_is_machines_own(const json_t *document, uint16_t first, uint16_t count);

/* Names of the request, or "*" where it has none, on the port of m->key; sets m->shared and m->made. Returns an enum
 * mapping_result or a negative errno. */
int mapping_add_names(struct mapping *m);

/* Removes the names, or where there are none those that lead to the internal port (0: to any) without having
 * been asked for by name. Returns an enum mapping_result or a negative errno. */
int mapping_remove_names(struct mapping *m);

/* Ends the term of a route, and with it the route. 0 or a negative errno. */
int mapping_release_route(struct job *job, const char *key, const char *name, struct fault *fault);

/* For a document that nobody follows yet: removes routes of an entry that are over, and the entry with the last. 0
 * or -ENOMEM. */
int mapping_prepare_routes(json_t *all, const char *key, json_t *entry,
			   const struct lease_clock *now);
