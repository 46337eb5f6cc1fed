/*
 * Dynamic updates (RFC 2136): what a message asks for
 *
 * Reads an update into prerequisites and changes, both with names in the zone that it names. Every name
 * may be a zone: ours has no cuts. What the changes do to the records is the caller's, since those are in
 * its document. An update has at most DNS_UPDATE_STEPS_MAX of both together.
 */
#pragma once

#include "dns/records.h"

#define DNS_UPDATE_STEPS_MAX 256

enum dns_step_kind {
	DNS_NAME_EXISTS, /* prerequisites, section 2.4 */
	DNS_NAME_FREE,
	DNS_SET_EXISTS,
	DNS_SET_FREE,
	DNS_SET_EQUALS, /* this record, with the others of its name and type, is the set */
	DNS_ADD, /* changes, section 2.5 */
	DNS_DELETE_NAME,
	DNS_DELETE_SET,
	DNS_DELETE_RECORD,
};

struct dns_step {
	enum dns_step_kind kind;
	struct dns_name name;
	uint16_t type;
	uint16_t data_size;
	uint32_t ttl_s;
	uint8_t *data; /* without compression; NULL where there is none */
};

struct dns_update {
	struct dns_query query; /* the zone section as a question, for the answer */
	struct dns_step *steps; /* prerequisites first */
	size_t prerequisites;
	size_t count; /* of all */
};

void dns_update_done(struct dns_update *update);
DEFINE_CLEANUP_DONE(struct dns_update, dns_update_done);

/*
 * A signature is not looked at. Returns 0; -ENOMEM; or an enum
 * dns_code that says why it is refused, with ret->query set for the answer.
 */
int dns_update_parse(const uint8_t *message, size_t size, struct dns_update *ret);

/* Whether the prerequisites hold (section 3.2). Returns DNS_NOERROR, or the code that says which does not. */
enum dns_code dns_update_check(const struct dns_update *update, const struct dns_records *records);
