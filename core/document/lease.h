/*
 * Leases of automatic port forwards
 *
 * A forward that a device opened by itself carries in the document for whom it stays open, and until when:
 *
 *	"lease": { "via": "pcp", "tcp": TERM or null, "udp": TERM or null }
 *	TERM: { "seconds": 3600, "boot": "1f0c9a2b", "uptime": 81234, "until": "2026-11-21T12:00:00Z",
 *	        "nonce": "000102030405060708090a0b" or null }
 *
 * A forward always leads TCP and UDP, but devices ask for one of them: it ends with the last of its two
 * terms. Time is measured by the clock that never jumps, `uptime` in seconds since the machine's start,
 * and is good as long as `boot` is this start; after another one `until` tells what is left, never more
 * than was granted. `seconds` 0 means without end. Pure functions; trees are borrowed.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define LEASE_BOOT_SIZE 9
#define LEASE_NONCE_SIZE 12
#define LEASE_ENDLESS UINT64_MAX

enum lease_via {
	LEASE_PCP,
	LEASE_NAT_PMP,
	LEASE_UPNP,
	LEASE_VIAS,
};

/* The time of now, read once for each piece of work. */
struct lease_clock {
	char boot[LEASE_BOOT_SIZE]; /* which start of the machine */
	uint64_t uptime_s;
	uint64_t unix_s;
};

void lease_clock_read(struct lease_clock *ret);

/* "pcp", "nat-pmp", "upnp". */
extern const char *const lease_via_names[LEASE_VIAS + 1];

struct lease_grant {
	enum lease_via via;
	uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	uint32_t seconds; /* 0: without end */
	const uint8_t *nonce; /* of PCP, LEASE_NONCE_SIZE bytes; NULL: none */
};

/* A lease like @lease (NULL or null: none yet) with the term of one protocol begun anew. NULL: out of
 * memory. */
json_t *lease_with(const json_t *lease, const struct lease_grant *grant,
		   const struct lease_clock *now);

/* The same without a protocol's term; null where it was the last. NULL: out of memory. */
json_t *lease_without(const json_t *lease, uint8_t protocol);

/* Whether a protocol has a term that is not over. */
bool lease_holds(const json_t *lease, uint8_t protocol, const struct lease_clock *now);

/* Whether the term of a protocol was asked for with this nonce. */
bool lease_has_nonce(const json_t *lease, uint8_t protocol, const uint8_t nonce[LEASE_NONCE_SIZE]);

/* Seconds until the lease as a whole is over, LEASE_ENDLESS for never; 0: it is. No lease is endless. */
uint64_t lease_left(const json_t *lease, const struct lease_clock *now);

/* The same for one protocol's term; 0 where it has none. */
uint64_t lease_protocol_left(const json_t *lease, uint8_t protocol, const struct lease_clock *now);

/* Whether some term was begun before the machine's last start. */
bool lease_is_foreign(const json_t *lease, const struct lease_clock *now);

/* What of the lease goes on, measured by this start of the machine. null: nothing; NULL: out of memory. */
json_t *lease_rebased(const json_t *lease, const struct lease_clock *now);
