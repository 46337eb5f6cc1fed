/*
 * X25519 keys, RFC 7748, as WireGuard uses them
 *
 * Keys are 32 bytes. Private keys are wiped by their owners.
 */
#pragma once

#include <stdint.h>

#define X25519_KEY_SIZE 32

/* Makes a private key, clamped as RFC 7748 section 5 says. */
void x25519_generate(uint8_t ret_private[X25519_KEY_SIZE]);

/* Clamps a private key in place: kernels store keys so, and a key that is compared must look alike. */
void x25519_clamp(uint8_t private_key[X25519_KEY_SIZE]);

/* Returns 0 or -ENOMEM. */
int x25519_public(const uint8_t private_key[X25519_KEY_SIZE], uint8_t ret_public[X25519_KEY_SIZE]);
