/*
 * Which plain forwards lead to a device, and which ports are shared by host name
 *
 * Follows the document as forward_ports.h does, so that a device's own forwards, and its names, are found
 * without looking at all others.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

struct forward_index;

struct forward_reference {
	uint32_t external;
	uint16_t external_port;
	uint16_t target_port;
	uint16_t count;
	bool automatic;
};

int forward_index_new(struct forward_index **ret);
struct forward_index *forward_index_free(struct forward_index *index);
DEFINE_CLEANUP(struct forward_index *, forward_index_free);

void forward_index_clear(struct forward_index *index);

/* An entry of /portForwards comes or goes. 0 or -ENOMEM. */
int forward_index_add(struct forward_index *index, const char *key, const json_t *value);
void forward_index_remove(struct forward_index *index, const char *key, const json_t *value);

/* All of a document. 0 or -ENOMEM. */
int forward_index_add_all(struct forward_index *index, const json_t *document);

/* Those that lead to a device, in no order; valid until the index changes. */
const struct forward_reference *forward_index_of(const struct forward_index *index, uint32_t device,
						 size_t *ret_count);

/* How many of them are automatic, and how many ports these have. */
void forward_index_usage(const struct forward_index *index, uint32_t device, unsigned *ret_forwards,
			 unsigned *ret_ports);

/* Calls @visit with the key of each entry that is shared by host name, in no order; it must change none. */
void forward_index_each_shared(const struct forward_index *index,
			       void (*visit)(const char *key, void *context), void *context);
