/*
 * MAC1, MAC2 and cookies (WireGuard paper, sections 5.3, 5.4.4 and 5.4.7)
 *
 * A struct cookie_checker is the side that receives handshakes, one per device; a struct cookie_jar
 * is the side that sends them, one per peer. Every message here is a complete one whose last
 * MESSAGE_MACS_SIZE bytes are the MACs.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"
#include "wireguard/blake2s.h"
#include "wireguard/config.h"
#include "wireguard/message.h"
#include "wireguard/xchacha.h"

#define COOKIE_SIZE 16
#define COOKIE_LIFE_S 120
#define COOKIE_LATENCY_S 5 /* a cookie is not used in its last moments */

struct cookie_checker {
	uint8_t mac1_key[BLAKE2S_SIZE];
	uint8_t cookie_key[BLAKE2S_SIZE];
	uint8_t secret[BLAKE2S_SIZE]; /* that cookies are made with */
	uint64_t secret_until_ns; /* 0: there is none yet */
};

struct cookie_jar {
	uint8_t mac1_key[BLAKE2S_SIZE];
	uint8_t cookie_key[BLAKE2S_SIZE];
	uint8_t cookie[COOKIE_SIZE];
	uint64_t cookie_until_ns; /* 0: no cookie */
	uint8_t mac1[MESSAGE_MAC_SIZE]; /* of the last message sent */
	bool mac1_sent; /* a reply to it may come */
};

/* For handshakes to the holder of a public key. Forgets everything before. */
void cookie_checker_init(struct cookie_checker *checker, const uint8_t public_key[WG_KEY_SIZE]);
void cookie_jar_init(struct cookie_jar *jar, const uint8_t public_key[WG_KEY_SIZE]);

/* Whether the sender knew our public key. */
bool cookie_mac1_valid(const struct cookie_checker *checker, const uint8_t *message, size_t size);

/*
 * Makes a new secret where the old one is too old. To be called before the two functions below.
 * @random: fills in random bytes.
 */
void cookie_checker_refresh(struct cookie_checker *checker, uint64_t now_ns,
			    void (*random)(void *context, void *to, size_t size), void *context);

/* Whether the sender holds the cookie of the address that it sends from. */
bool cookie_mac2_valid(const struct cookie_checker *checker, const uint8_t *message, size_t size,
		       const struct endpoint *from);

/* Writes the reply that gives @from a cookie. @nonce: random. Returns 0 or -ENOMEM. */
int cookie_reply_write(const struct cookie_checker *checker, const uint8_t *message, size_t size,
		       uint32_t receiver, const struct endpoint *from,
		       const uint8_t nonce[XCHACHA_NONCE_SIZE], uint8_t ret[MESSAGE_COOKIE_SIZE]);

/* Fills in both MACs of a message that is complete but for them. */
void cookie_jar_sign(struct cookie_jar *jar, uint8_t *message, size_t size, uint64_t now_ns);

/* Takes the cookie out of a reply's nonce and sealed cookie. Returns 0, -EBADMSG or -ENOMEM. */
int cookie_jar_take(struct cookie_jar *jar, const uint8_t nonce[XCHACHA_NONCE_SIZE],
		    const uint8_t sealed[COOKIE_SIZE + AEAD_TAG_SIZE], uint64_t now_ns);
