/*
 * The public addresses of this machine (tunnel.md 1.6)
 *
 * Answers come from the document alone: its gateways say which addresses the machine has, and a pinned
 * wanIp of a subnet or device says what the owner knows. Where a provider maps a public address to a
 * private one (1:1 NAT), the machine does not have the public one; what arrives is addressed to its
 * own, and wan_local() tells which that is.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "document/document.h"

/* Whether the internet may reach an address: not private, loopback, link-local or for documentation.
 * 100.64.0.0/10 counts. */
bool wan_is_candidate(uint32_t address);

/* Whether one host may have an address: start-netd takes no other in any place. */
bool wan_is_host(uint32_t address);

/* Whether the parameter `wanIp` may be pinned: null, or such an address. 0, or -EPROTO with a fault. */
int wan_check_pinned(const json_t *params, struct fault *fault);

/* The address that stands for the whole machine. Returns false where only private ones are there. */
bool wan_default(const json_t *document, uint32_t *ret);

/* The pinned one of the device, else of its subnet, else the default. Returns false for none. */
bool wan_of(const json_t *document, uint32_t address, uint32_t *ret);

/* A pinned address only. @device may be NULL. */
bool wan_pinned(const struct document_subnet *subnet, const json_t *device, uint32_t *ret);

/* The machine's own IPv4 addresses. */
#define WAN_ADDRESSES_MAX 256
struct wan_addresses {
	uint32_t own[WAN_ADDRESSES_MAX];
	size_t count;
	uint32_t behind_nat; /* which one stands for public addresses that are not here; 0: none */
};

void wan_addresses(const json_t *document, struct wan_addresses *ret);
bool wan_is_own(const struct wan_addresses *addresses, uint32_t address);

/* To which address of this machine packets for @wan come: @wan itself where it is here, else the one
 * behind 1:1 NAT, else @wan. */
uint32_t wan_local(const struct wan_addresses *addresses, uint32_t wan);

/* Says that no public address is known and what the owner can do about it. Returns -EPROTO. */
int wan_fault(const json_t *document, enum fault_kind kind, struct fault *fault);

/* Of IPv6: whether one host may have an address (global, or unique local); the machine's first address of the
 * internet; whether an address is one of its own. */
bool wan6_is_host(const struct ip_address *address);
bool wan6_default(const json_t *document, struct ip_address *ret);
bool wan6_is_own(const json_t *document, const struct ip_address *address);

/* Appends the addresses that this machine has, of both families, but those of its own link alone. 0 or -ENOMEM. */
int wan_list(const json_t *document, json_t *to);
