/*
 * dh.h for fuzz targets: public keys and shared secrets are computed once and remembered
 *
 * Where randomness is the same in each input, so are most keys, and curves would take most of the time. What
 * is remembered is what was computed; nothing else changes. To be included by one source of a program, which
 * then takes nothing from the library's dh.c.
 */
#pragma once

#include <sodium/crypto_scalarmult_curve25519.h>
#include <stdbool.h>
#include <string.h>

#include "wireguard/dh.h"

#define REMEMBERED 4096

struct remembered {
	bool known;
	int result;
	uint8_t private_key[DH_SIZE];
	uint8_t public_key[DH_SIZE];
	uint8_t product[DH_SIZE];
};

/* The place where the product of two keys is, if it is known, and else is to be. */
static struct remembered *remembered_at(const uint8_t *private_key, const uint8_t *public_key)
{
	static struct remembered places[REMEMBERED];
	struct remembered *place;
	uint64_t a, b;

	memcpy(&a, private_key + 8, sizeof(a));
	memcpy(&b, public_key + 8, sizeof(b));
	place = &places[(a + b * UINT64_C(0x9e3779b97f4a7c15)) >> 32 & (REMEMBERED - 1)];
	if (place->known && memcmp(place->private_key, private_key, DH_SIZE) == 0 &&
	    memcmp(place->public_key, public_key, DH_SIZE) == 0)
		return place;
	place->known = false;
	memcpy(place->private_key, private_key, DH_SIZE);
	memcpy(place->public_key, public_key, DH_SIZE);
	return place;
}

static int remembered_base(uint8_t *ret, const uint8_t *private_key)
{
	static const uint8_t base[DH_SIZE] = { 9 };
	struct remembered *place = remembered_at(private_key, base);

	if (!place->known)
		place->result = crypto_scalarmult_curve25519_base(place->product, private_key);
	place->known = true;
	memcpy(ret, place->product, DH_SIZE);
	return place->result;
}

static int compute_shared(struct dh_key *key, const uint8_t public_key[DH_SIZE],
			  uint8_t ret[DH_SIZE]);
static void compute_shared_many(struct dh_request *requests, size_t count) __attribute__((unused));

#define crypto_scalarmult_curve25519_base remembered_base
#define dh_shared compute_shared
#define dh_shared_many compute_shared_many
#include "wireguard/dh.c"
#undef crypto_scalarmult_curve25519_base
#undef dh_shared
#undef dh_shared_many

int dh_shared(struct dh_key *key, const uint8_t public_key[DH_SIZE], uint8_t ret[DH_SIZE])
{
	struct remembered *place = remembered_at(key->private_key, public_key);

	if (!place->known)
		place->result = compute_shared(key, public_key, place->product);
	place->known = true;
	if (place->result == 0)
		memcpy(ret, place->product, DH_SIZE);
	return place->result;
}

void dh_shared_many(struct dh_request *requests, size_t count)
{
	for (size_t i = 0; i < count; i++)
		requests[i].result =
			dh_shared(requests[i].key, requests[i].public_key, requests[i].secret);
}
