/*
 * Messages record by record, for what has to understand them: updates and answers that are put together
 *
 * Inside lib/protocol/dns. Reads names whether compressed or not, and writes them uncompressed.
 */
#pragma once

#include "base/bytes.h"
#include "dns/message.h"

#define DNS_LABEL_MAX 63
#define DNS_POINTER 0xc0

/* A message that is read; the reader stands somewhere in it. */
struct dns_wire {
	const uint8_t *message;
	size_t size;
	struct reader reader;
};

struct dns_wire_header {
	uint16_t id;
	uint16_t flags;
	uint16_t counts[4]; /* questions, answers, authority, additional; or as RFC 2136 has them */
};

struct dns_wire_record {
	struct dns_name name; /* as it is spelled */
	uint16_t type;
	uint16_t class;
	uint32_t ttl_s;
	size_t start; /* its place in the message, and that of its data */
	size_t data_at;
	uint16_t data_size;
};

void dns_wire_init(struct dns_wire *wire, const uint8_t *message, size_t size,
		   struct dns_wire_header *ret);

/* Reads a name at the reader's place. Pointers lead backwards only, so that none is followed twice. A
 * name that is no name fails the reader. */
void dns_wire_name(struct dns_wire *wire, struct dns_name *ret);

/* Reads a record and passes over its data. */
void dns_wire_record(struct dns_wire *wire, struct dns_wire_record *ret);

/*
 * Writes the data of a record as it stands without compression, for the types whose data may hold
 * compressed names (RFC 3597 section 4); of others the bytes. A failure is the writer's.
 */
void dns_wire_data(const struct dns_wire *wire, const struct dns_wire_record *record,
		   struct writer *to);

/* Flags of dns_wire_begin(). */
#define DNS_FLAG_AUTHORITATIVE 0x0400
#define DNS_FLAG_TRUNCATED 0x0200

/* Header and question of a response to a query, and the OPT record, where the query had one, that closes
 * it. What comes in between is as many answers as the header says. */
void dns_wire_begin(struct writer *w, const struct dns_query *query, const uint8_t *query_bytes,
		    enum dns_code code, unsigned flags, uint16_t answers);
void dns_wire_end(struct writer *w, const struct dns_query *query, enum dns_code code);

static inline size_t dns_wire_place(const struct dns_wire *wire)
{
	return (size_t)(wire->reader.at - wire->message);
}
