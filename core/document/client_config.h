/*
 * The configuration file of a device (tunnel.md 3.3)
 *
 * Made byte for byte as upstream makes it, since StartOS recognises and parses it.
 */
#pragma once

#include "base/text.h"
#include "document/document.h"

/*
 * Appends the file of a device; it holds secrets, so @to is wiped by its owner.
 *
 * The endpoint is, in this order: @wan_addr where the caller gives a usable one (public, or any that
 * is neither loopback, private nor link-local), the address that is pinned to the device or its
 * subnet, that of the web interface where it is a public one, the machine's own public address.
 * @wan_addr may be NULL. Returns 0, -ENOMEM, or -EPROTO with a fault (FAULT_NOT_FOUND: no address).
 */
int client_config_write(struct text *to, const json_t *document,
			const struct document_subnet *subnet, uint32_t address,
			const char *wan_addr, struct fault *fault);
