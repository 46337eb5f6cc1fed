#include "wireguard/cookie.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "base/secret.h"

static void derive_keys(const uint8_t public_key[WG_KEY_SIZE], uint8_t mac1_key[BLAKE2S_SIZE],
			uint8_t cookie_key[BLAKE2S_SIZE])
{
	blake2s_hash(mac1_key, "mac1----", 8, public_key, WG_KEY_SIZE);
	blake2s_hash(cookie_key, "cookie--", 8, public_key, WG_KEY_SIZE);
}

void cookie_checker_init(struct cookie_checker *checker, const uint8_t public_key[WG_KEY_SIZE])
{
	secret_wipe(checker, sizeof(*checker));
	derive_keys(public_key, checker->mac1_key, checker->cookie_key);
}

void cookie_jar_init(struct cookie_jar *jar, const uint8_t public_key[WG_KEY_SIZE])
{
	secret_wipe(jar, sizeof(*jar));
	derive_keys(public_key, jar->mac1_key, jar->cookie_key);
}

bool cookie_mac1_valid(const struct cookie_checker *checker, const uint8_t *message, size_t size)
{
	size_t covered = size - MESSAGE_MACS_SIZE;
	uint8_t mac[MESSAGE_MAC_SIZE];

	blake2s_mac(mac, sizeof(mac), checker->mac1_key, BLAKE2S_SIZE, message, covered);
	return secret_equal(mac, message + covered, sizeof(mac));
}

void cookie_checker_refresh(struct cookie_checker *checker, uint64_t now_ns,
			    void (*random)(void *context, void *to, size_t size), void *context)
{
	if (now_ns < checker->secret_until_ns)
		return;
	random(context, checker->secret, sizeof(checker->secret));
	checker->secret_until_ns = now_ns + COOKIE_LIFE_S * NS_PER_S;
}

static void make_cookie(const struct cookie_checker *checker, const struct endpoint *from,
			uint8_t ret[COOKIE_SIZE])
{
	size_t size = from->address.family == AF_INET ? 4 : 16;
	const uint8_t port[2] = { (uint8_t)(from->port >> 8), (uint8_t)from->port };
	struct blake2s s;

	blake2s_init(&s, COOKIE_SIZE, checker->secret, sizeof(checker->secret));
	blake2s_update(&s, from->address.bytes, size);
	blake2s_update(&s, port, sizeof(port));
	blake2s_final(&s, ret);
}

bool cookie_mac2_valid(const struct cookie_checker *checker, const uint8_t *message, size_t size,
		       const struct endpoint *from)
{
	static const uint8_t none[MESSAGE_MAC_SIZE]; /* what who has no cookie sends */
	size_t covered = size - MESSAGE_MAC_SIZE;
	uint8_t cookie[COOKIE_SIZE];
	uint8_t mac[MESSAGE_MAC_SIZE];

	if (memcmp(message + covered, none, sizeof(none)) == 0)
		return false; /* what most of a flood is: sooner than by computing the right one */
	make_cookie(checker, from, cookie);
	blake2s_mac(mac, sizeof(mac), cookie, sizeof(cookie), message, covered);
	return secret_equal(mac, message + covered, sizeof(mac));
}

int cookie_reply_write(const struct cookie_checker *checker, const uint8_t *message, size_t size,
		       uint32_t receiver, const struct endpoint *from,
		       const uint8_t nonce[XCHACHA_NONCE_SIZE], uint8_t ret[MESSAGE_COOKIE_SIZE])
{
	uint8_t cookie[COOKIE_SIZE];
	struct writer w;

	make_cookie(checker, from, cookie);
	writer_init(&w, ret, MESSAGE_COOKIE_SIZE);
	writer_u32le(&w, MESSAGE_COOKIE);
	writer_u32le(&w, receiver);
	writer_copy(&w, nonce, XCHACHA_NONCE_SIZE);
	return xchacha_seal(checker->cookie_key, nonce, message + size - MESSAGE_MACS_SIZE,
			    MESSAGE_MAC_SIZE, cookie, sizeof(cookie),
			    writer_reserve(&w, COOKIE_SIZE + AEAD_TAG_SIZE));
}

void cookie_jar_sign(struct cookie_jar *jar, uint8_t *message, size_t size, uint64_t now_ns)
{
	uint8_t *mac1 = message + size - MESSAGE_MACS_SIZE;
	uint8_t *mac2 = message + size - MESSAGE_MAC_SIZE;

	blake2s_mac(mac1, MESSAGE_MAC_SIZE, jar->mac1_key, BLAKE2S_SIZE, message,
		    size - MESSAGE_MACS_SIZE);
	memcpy(jar->mac1, mac1, MESSAGE_MAC_SIZE);
	jar->mac1_sent = true;
	if (now_ns < jar->cookie_until_ns)
		blake2s_mac(mac2, MESSAGE_MAC_SIZE, jar->cookie, COOKIE_SIZE, message,
			    size - MESSAGE_MAC_SIZE);
	else
		memset(mac2, 0, MESSAGE_MAC_SIZE);
}

int cookie_jar_take(struct cookie_jar *jar, const uint8_t nonce[XCHACHA_NONCE_SIZE],
		    const uint8_t sealed[COOKIE_SIZE + AEAD_TAG_SIZE], uint64_t now_ns)
{
	uint8_t cookie[COOKIE_SIZE];
	int r;

	if (!jar->mac1_sent)
		return -EBADMSG;
	r = xchacha_open(jar->cookie_key, nonce, jar->mac1, sizeof(jar->mac1), sealed,
			 COOKIE_SIZE + AEAD_TAG_SIZE, cookie);
	if (r < 0)
		return r;
	memcpy(jar->cookie, cookie, sizeof(cookie));
	jar->cookie_until_ns = now_ns + (COOKIE_LIFE_S - COOKIE_LATENCY_S) * NS_PER_S;
	jar->mac1_sent = false;
	return 0;
}
