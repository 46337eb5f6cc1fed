/*
 * Which external ports are taken
 *
 * One bit for each port of each external address of either family, so that a new forward is checked against all others
 * without looking at them. Follows the document: the owner adds and removes entries as they come and
 * go. Disabled forwards hold their ports too.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "base/fault.h"

struct forward_ports;

int forward_ports_new(struct forward_ports **ret);
struct forward_ports *forward_ports_free(struct forward_ports *ports);
DEFINE_CLEANUP(struct forward_ports *, forward_ports_free);

/* Forgets everything. */
void forward_ports_clear(struct forward_ports *ports);

/*
 * Takes the ports of an entry of /portForwards, or of /portForwards6. Returns 0, 1 where one of them is taken (and nothing
 * changes), -ENOMEM, or -EPROTO with a fault where the range leaves 1 to 65535.
 */
int forward_ports_take(struct forward_ports *ports, const char *key, const json_t *value,
		       struct fault *fault);

void forward_ports_release(struct forward_ports *ports, const char *key, const json_t *value);

/* Takes those of a whole document. A conflict is a fault that names both entries. 0, -ENOMEM, -EPROTO. */
int forward_ports_add_all(struct forward_ports *ports, const json_t *document, struct fault *fault);

/* The key of an entry of the document that shares a port with @key/@value, or NULL. Looks at all. */
const char *forward_ports_conflict(const json_t *document, const char *key, const json_t *value);
