#include "dns/exchange.h"

#include <string.h>

#include "dns/wire.h"

#define FLAGS_RECURSION_DESIRED 0x0100
#define FLAGS_CHECKING_DISABLED 0x0010
#define OPT_DNSSEC_OK 0x8000

void dns_exchange_init(struct dns_exchange *exchange, const struct dns_query *query,
		       const struct dns_name *name)
{
	exchange->query = (struct dns_query){ .recursion_desired = true,
					      .checking_disabled = query->checking_disabled,
					      .dnssec_ok = query->dnssec_ok,
					      .edns = true,
					      .udp_max = DNS_EDNS_UDP_MAX,
					      .name = *name,
					      .type = query->type,
					      .class = query->class };
	exchange->query.question_end = (size_t)DNS_HEADER_SIZE + name->size + 4;
	exchange->tcp = exchange->plain = false;
	exchange->asked_size = 0;
}

/* Each letter in one of its two spellings. */
static void shuffle(struct dns_name *name, const uint8_t *random)
{
	dns_name_lower(name);
	for (size_t i = 0; i < name->size; i++)
		if (name->bytes[i] >= 'a' && name->bytes[i] <= 'z' && (random[i / 8] >> i % 8 & 1))
			name->bytes[i] = (uint8_t)(name->bytes[i] - ('a' - 'A'));
}

void dns_exchange_ask(struct dns_exchange *exchange, const uint8_t random[DNS_ASK_RANDOM])
{
	const struct dns_query *query = &exchange->query;
	struct dns_name name = query->name;
	struct writer w;

	shuffle(&name, random + 2);
	writer_init(&w, exchange->asked, sizeof(exchange->asked));
	writer_copy(&w, random, 2);
	writer_u16(&w, FLAGS_RECURSION_DESIRED |
			       (query->checking_disabled ? FLAGS_CHECKING_DISABLED : 0));
	writer_u16(&w, 1);
	writer_u32(&w, 0);
	writer_u16(&w, exchange->plain ? 0 : 1);
	writer_copy(&w, name.bytes, name.size);
	writer_u16(&w, query->type);
	writer_u16(&w, query->class);
	if (!exchange->plain) {
		writer_u8(&w, 0);
		writer_u16(&w, DNS_OPT);
		writer_u16(&w, DNS_EDNS_UDP_MAX);
		writer_u32(&w, query->dnssec_ok ? OPT_DNSSEC_OK : 0);
		writer_u16(&w, 0);
	}
	exchange->asked_size = (uint16_t)writer_size(&w);
}

/* Whether it answers the question but for its spelling. */
static bool matches_loosely(const struct dns_exchange *exchange, const uint8_t *message,
			    size_t size)
{
	uint8_t copy[DNS_ASK_MAX];
	size_t question = exchange->query.question_end;
	struct dns_name name = { .size = exchange->query.name.size };

	if (size < question)
		return false;
	memcpy(name.bytes, message + DNS_HEADER_SIZE, name.size);
	if (!dns_name_equal(&name, &exchange->query.name))
		return false;
	memcpy(copy, message, question);
	memcpy(copy + DNS_HEADER_SIZE, exchange->asked + DNS_HEADER_SIZE, name.size);
	return dns_response_matches(copy, question, exchange->asked, exchange->asked_size);
}

enum dns_verdict dns_exchange_take(struct dns_exchange *exchange, const uint8_t *message,
				   size_t size)
{
	bool exact = dns_response_matches(message, size, exchange->asked, exchange->asked_size);
	enum dns_code code = dns_code_of(message, size);
	uint32_t lifetime_s;

	if (!exact && !matches_loosely(exchange, message, size))
		return DNS_IGNORED;
	if (!exchange->tcp && (!exact || dns_is_truncated(message, size))) {
		exchange->tcp = true;
		return DNS_ASK_AGAIN;
	}
	if (!exchange->plain && (code == DNS_FORMERR || code == DNS_NOTIMP)) {
		exchange->plain = true;
		return DNS_ASK_AGAIN;
	}
	if (dns_lifetime(message, size, &lifetime_s) < 0 ||
	    (code != DNS_NOERROR && code != DNS_NXDOMAIN))
		return DNS_ASK_NEXT;
	return DNS_TAKEN;
}
