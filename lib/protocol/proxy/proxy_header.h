/*
 * The header of the PROXY protocol, version 2
 *
 * Tells a server that is reached through somebody else who the client is and where it came to: the first
 * bytes of a connection, or of each datagram. Written here and never read. The form is that of HAProxy's
 * proxy-protocol.txt, section 2.2: addresses of IPv4 or IPv6 with their ports, and one TLV where the client
 * said which host it wants (PP2_TYPE_AUTHORITY). Does no I/O and takes no memory.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/ip.h"

#define PROXY_AUTHORITY_MAX 255 /* bytes of a host name */
#define PROXY_HEADER_BARE_MAX (16 + 36) /* without a host name */
#define PROXY_HEADER_MAX (PROXY_HEADER_BARE_MAX + 3 + PROXY_AUTHORITY_MAX)

struct proxy_header {
	bool datagram; /* UDP, else TCP */
	struct endpoint source; /* the client */
	struct endpoint destination; /* that it came to; of the same family */
	const char *authority; /* the host that it wants; NULL or "": it did not say */
};

/* Returns the size, at most PROXY_HEADER_MAX, or -EINVAL: the addresses are not two of one family, or the
 * host name is too long. */
ssize_t proxy_header_write(const struct proxy_header *header, uint8_t to[PROXY_HEADER_MAX]);
