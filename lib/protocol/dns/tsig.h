/*
 * Signed messages (TSIG, RFC 8945) with the one key name and algorithm that devices use
 *
 * The key of a device comes from its WireGuard preshared key (tunnel.md 7.4). MACs are HMAC-SHA256 in
 * full length. Who remembers MACs to refuse replays is the caller. Keys are the caller's to wipe.
 */
#pragma once

#include "dns/message.h"

#define DNS_TSIG_KEY_SIZE 32
#define DNS_TSIG_MAC_SIZE 32
#define DNS_TSIG_FUDGE_S 300 /* how far the clocks may be apart, whatever the other side says */
#define DNS_TSIG_RECORD_MAX 128 /* bytes that signing adds */

/* The key of a device for its preshared key. */
void dns_tsig_key(const uint8_t preshared[DNS_TSIG_KEY_SIZE], uint8_t ret[DNS_TSIG_KEY_SIZE]);

/* The signature of a message as it stands there. */
struct dns_tsig {
	size_t start; /* bytes of the message before it */
	bool known; /* our key name and algorithm, a MAC of full length */
	uint16_t original_id;
	uint64_t signed_s; /* since 1970 */
	uint16_t fudge_s;
	uint8_t mac[DNS_TSIG_MAC_SIZE];
	uint16_t error;
	uint16_t other_size;
	size_t other_at;
};

/* Returns 0, -ENOENT: it is not signed, or -EBADMSG: broken, or signed in another place than the last. */
int dns_tsig_find(const uint8_t *message, size_t size, struct dns_tsig *ret);

/* Whether the MAC is that of the key. @request: of a response, the MAC of what it answers; else NULL. */
bool dns_tsig_verify(const struct dns_tsig *tsig, const uint8_t *message,
		     const uint8_t key[DNS_TSIG_KEY_SIZE], const uint8_t *request);

/* Whether it was signed just now, by the clocks of both. */
bool dns_tsig_in_time(const struct dns_tsig *tsig, uint64_t now_s);

/*
 * Signs a message in place, which has room for DNS_TSIG_RECORD_MAX bytes more. @request: as above.
 * Returns the new size.
 */
size_t dns_tsig_sign(uint8_t *message, size_t size, const uint8_t key[DNS_TSIG_KEY_SIZE],
		     const uint8_t *request, uint64_t now_s);
