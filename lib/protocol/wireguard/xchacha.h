/*
 * XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03): the AEAD with a nonce long enough to be random
 *
 * WireGuard encrypts its cookies with it. libcrypto has no such cipher; it is HChaCha20, which is
 * here, before the ordinary one.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "wireguard/aead.h"

#define XCHACHA_NONCE_SIZE 24

void hchacha20(const uint8_t key[AEAD_KEY_SIZE], const uint8_t nonce[16],
	       uint8_t to[AEAD_KEY_SIZE]);

/* As aead_seal_once() and aead_open_once(). */
int xchacha_seal(const uint8_t key[AEAD_KEY_SIZE], const uint8_t nonce[XCHACHA_NONCE_SIZE],
		 const void *associated, size_t associated_size, const uint8_t *from, size_t size,
		 uint8_t *to);
int xchacha_open(const uint8_t key[AEAD_KEY_SIZE], const uint8_t nonce[XCHACHA_NONCE_SIZE],
		 const void *associated, size_t associated_size, const uint8_t *from, size_t size,
		 uint8_t *to);
