/*
 * What a document wants of the network
 *
 * A pure function from the document, or one part of it, to network items (netstate/net_item.h). An
 * edit takes the items of the parts that it touches before and after, and their difference is all that
 * start-netd is told: the cost of an edit does not grow with the document.
 */
#pragma once

#include <jansson.h>

#include "netstate/net_item.h"

/*
 * Appends the items that the part of the document at @pointer gives rise to. "" is the whole; a
 * pointer below a device, a forward, or the like means all of that one; a part that has no bearing on
 * the network gives nothing. Items depend on /gateways as well: after a change there, take the whole.
 * The set is not sorted. Returns 0, -ENOMEM or -E2BIG.
 */
int desired_at(const json_t *document, const char *pointer, struct net_set *to);
