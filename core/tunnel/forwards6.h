/*
 * IPv6 port forwards, entries of /portForwards6
 *
 * An entry is as one of /portForwards, its name an IPv6 address with a port. Where that address is one of
 * this machine's, the port leads to the device; where it is the device's own, the entry is a pinhole: what
 * the firewall lets through to it. The member is there with its first entry only, so that who knows nothing
 * of IPv6 reads the same document as ever. Entries go with their device, and follow it to the new network
 * of its subnet. Which ports are taken is with those of IPv4 (forward_ports.h).
 */
#pragma once

#include "tunnel/job.h"

/* port-forward.add with an IPv6 target. 0, or a negative errno with a fault. */
int forwards6_add(struct job *job, const json_t *params, const struct endpoint *target,
		  struct fault *fault);

/* Puts an entry and takes @value. 0, 1 where another entry has a port of it, or a negative errno. */
int forwards6_put(struct job *job, const char *key, json_t *value, struct fault *fault);

/* Removes an entry, and the member with its last one. */
int forwards6_remove(struct job *job, const char *key);

/* Drops those whose target is no device any more. */
int forwards6_prune(struct job *job);

/* The subnet's network changes: entries of its devices change with it. */
int forwards6_follow(struct job *job, const struct ip_prefix *from, const struct ip_prefix *to,
		     struct fault *fault);

/* Closes what a device opened by itself; what the owner disabled stays as it is. */
int forwards6_close_automatic(struct job *job, uint32_t device);
