#include "dns/tsig.h"

#include <assert.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "base/secret.h"
#include "dns/wire.h"

/* In wire form and lower case, as they are signed. */
static const uint8_t key_name[] = "\x12startos-dns-update";
static const uint8_t algorithm[] = "\x0bhmac-sha256";
static const char info[] = "startos-dns-update-v1";

#define VARIABLES_MAX (sizeof(key_name) + sizeof(algorithm) + 18 + UINT16_MAX)

static void hmac(const uint8_t *key, size_t key_size, const uint8_t *data, size_t size,
		 uint8_t ret[DNS_TSIG_MAC_SIZE])
{
	const uint8_t *done = HMAC(EVP_sha256(), key, (int)key_size, data, size, ret, NULL);

	assert(done);
}

/* HKDF-SHA256 without salt (RFC 5869): one block of output is all that is wanted. */
void dns_tsig_key(const uint8_t preshared[DNS_TSIG_KEY_SIZE], uint8_t ret[DNS_TSIG_KEY_SIZE])
{
	static const uint8_t no_salt[DNS_TSIG_MAC_SIZE];
	uint8_t extracted[DNS_TSIG_MAC_SIZE];
	uint8_t block[sizeof(info)];

	hmac(no_salt, sizeof(no_salt), preshared, DNS_TSIG_KEY_SIZE, extracted);
	memcpy(block, info, sizeof(info));
	block[sizeof(info) - 1] = 1; /* in the place of the NUL: the number of the block */
	hmac(extracted, sizeof(extracted), block, sizeof(block), ret);
	secret_wipe(extracted, sizeof(extracted));
}

static bool is_name(const struct dns_name *name, const uint8_t *wanted, size_t size)
{
	struct dns_name lower = *name;

	dns_name_lower(&lower);
	return lower.size == size && memcmp(lower.bytes, wanted, size) == 0;
}

static int read_data(struct dns_wire *wire, const struct dns_wire_record *record,
		     struct dns_tsig *tsig)
{
	struct dns_wire data = *wire;
	struct reader *r = &data.reader;
	struct dns_name name;
	uint16_t mac_size;
	const uint8_t *mac;

	reader_init(r, wire->message + record->data_at, record->data_size);
	dns_wire_name(&data, &name);
	tsig->signed_s = (uint64_t)reader_u16(r) << 32;
	tsig->signed_s |= reader_u32(r);
	tsig->fudge_s = reader_u16(r);
	mac_size = reader_u16(r);
	mac = reader_take(r, mac_size);
	tsig->original_id = reader_u16(r);
	tsig->error = reader_u16(r);
	tsig->other_size = reader_u16(r);
	tsig->other_at = dns_wire_place(&data);
	(void)reader_take(r, tsig->other_size);
	if (!reader_done(r))
		return -EBADMSG;
	tsig->known = is_name(&record->name, key_name, sizeof(key_name)) &&
		      is_name(&name, algorithm, sizeof(algorithm)) &&
		      record->class == DNS_CLASS_ANY && record->ttl_s == 0 &&
		      mac_size == DNS_TSIG_MAC_SIZE;
	if (tsig->known)
		memcpy(tsig->mac, mac, DNS_TSIG_MAC_SIZE);
	return 0;
}

int dns_tsig_find(const uint8_t *message, size_t size, struct dns_tsig *ret)
{
	struct dns_tsig tsig = { .start = 0 };
	struct dns_wire_header header;
	struct dns_wire_record record = { .type = 0 };
	struct dns_name name;
	struct dns_wire wire;
	uint32_t count;

	dns_wire_init(&wire, message, size, &header);
	for (uint16_t i = 0; i < header.counts[0] && !wire.reader.failed; i++) {
		dns_wire_name(&wire, &name);
		(void)reader_u32(&wire.reader);
	}
	count = (uint32_t)header.counts[1] + header.counts[2] + header.counts[3];
	for (uint32_t i = 0; i < count && !wire.reader.failed; i++) {
		if (i > 0 && record.type == DNS_TSIG)
			return -EBADMSG;
		dns_wire_record(&wire, &record);
	}
	if (!reader_done(&wire.reader))
		return -EBADMSG;
	if (count == 0 || record.type != DNS_TSIG)
		return -ENOENT;
	if (header.counts[3] == 0)
		return -EBADMSG;
	tsig.start = record.start;
	if (read_data(&wire, &record, &tsig) < 0)
		return -EBADMSG;
	*ret = tsig;
	return 0;
}

/*
 * What is signed: of a response the MAC of the request, the message as it was before the record was
 * added, and the record's members (RFC 8945 section 4.3).
 */
static void compute(const struct dns_tsig *tsig, const uint8_t *message, uint16_t additional,
		    const uint8_t *other, const uint8_t key[DNS_TSIG_KEY_SIZE],
		    const uint8_t *request, uint8_t ret[DNS_TSIG_MAC_SIZE])
{
	size_t capacity = 2 + DNS_TSIG_MAC_SIZE + tsig->start + VARIABLES_MAX;
	uint8_t *bytes = malloc(capacity);
	uint8_t *start;
	struct writer w;

	/* Without memory no MAC is right. */
	random_bytes(ret, DNS_TSIG_MAC_SIZE);
	if (!bytes)
		return;
	writer_init(&w, bytes, capacity);
	if (request) {
		writer_u16(&w, DNS_TSIG_MAC_SIZE);
		writer_copy(&w, request, DNS_TSIG_MAC_SIZE);
	}
	start = w.at;
	writer_copy(&w, message, tsig->start);
	dns_set_id(start, tsig->original_id);
	start[10] = (uint8_t)(additional >> 8);
	start[11] = (uint8_t)additional;
	writer_copy(&w, key_name, sizeof(key_name));
	writer_u16(&w, DNS_CLASS_ANY);
	writer_u32(&w, 0);
	writer_copy(&w, algorithm, sizeof(algorithm));
	writer_u16(&w, (uint16_t)(tsig->signed_s >> 32));
	writer_u32(&w, (uint32_t)tsig->signed_s);
	writer_u16(&w, tsig->fudge_s);
	writer_u16(&w, tsig->error);
	writer_u16(&w, tsig->other_size);
	writer_copy(&w, other, tsig->other_size);
	if (writer_size(&w) > 0)
		hmac(key, DNS_TSIG_KEY_SIZE, bytes, (size_t)writer_size(&w), ret);
	free(bytes);
}

static uint16_t additional_of(const uint8_t *message)
{
	return (uint16_t)(message[10] << 8 | message[11]);
}

bool dns_tsig_verify(const struct dns_tsig *tsig, const uint8_t *message,
		     const uint8_t key[DNS_TSIG_KEY_SIZE], const uint8_t *request)
{
	uint8_t mac[DNS_TSIG_MAC_SIZE];

	if (!tsig->known)
		return false;
	compute(tsig, message, (uint16_t)(additional_of(message) - 1), message + tsig->other_at,
		key, request, mac);
	return secret_equal(mac, tsig->mac, sizeof(mac));
}

bool dns_tsig_in_time(const struct dns_tsig *tsig, uint64_t now_s)
{
	uint64_t fudge_s = tsig->fudge_s < DNS_TSIG_FUDGE_S ? tsig->fudge_s : DNS_TSIG_FUDGE_S;

	return tsig->signed_s <= now_s + fudge_s && now_s < tsig->signed_s + fudge_s;
}

size_t dns_tsig_sign(uint8_t *message, size_t size, const uint8_t key[DNS_TSIG_KEY_SIZE],
		     const uint8_t *request, uint64_t now_s)
{
	struct dns_tsig tsig = { .start = size,
				 .original_id = (uint16_t)(message[0] << 8 | message[1]),
				 .signed_s = now_s,
				 .fudge_s = DNS_TSIG_FUDGE_S };
	uint16_t additional = additional_of(message);
	uint8_t mac[DNS_TSIG_MAC_SIZE];
	struct writer w;

	compute(&tsig, message, additional, NULL, key, request, mac);
	additional++;
	message[10] = (uint8_t)(additional >> 8);
	message[11] = (uint8_t)additional;
	writer_init(&w, message + size, DNS_TSIG_RECORD_MAX);
	writer_copy(&w, key_name, sizeof(key_name));
	writer_u16(&w, DNS_TSIG);
	writer_u16(&w, DNS_CLASS_ANY);
	writer_u32(&w, 0);
	writer_u16(&w, (uint16_t)(sizeof(algorithm) + 16 + sizeof(mac)));
	writer_copy(&w, algorithm, sizeof(algorithm));
	writer_u16(&w, (uint16_t)(now_s >> 32));
	writer_u32(&w, (uint32_t)now_s);
	writer_u16(&w, DNS_TSIG_FUDGE_S);
	writer_u16(&w, sizeof(mac));
	writer_copy(&w, mac, sizeof(mac));
	writer_u16(&w, tsig.original_id);
	writer_u32(&w, 0); /* no error, nothing else */
	assert(!w.failed);
	return size + (size_t)writer_size(&w);
}
