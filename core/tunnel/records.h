/*
 * The records of /dnsRecords
 *
 * Inside core/tunnel: what methods and updates do to them. Names are compared without regard to case, values in
 * their one spelling.
 */
#pragma once

#include "dns/update.h"
#include "tunnel/job.h"

/* Fills a table with all records. Those that are none (names, types, values that nobody can ask for) are
 * passed over; returns how many, or -ENOMEM. */
int records_load(const json_t *document, struct dns_records *to);

/* What an update from a device does to the records, or why it may not: the rules come first, so that
 * nothing is done in part. Returns 0 with *ret_code, or -ENOMEM. */
int records_update(struct job *job, const struct dns_update *update, uint32_t source,
		   const struct dns_records *records, enum dns_code *ret_code);

/* Whether a device may change records now. Gives its preshared key. */
bool records_permitted(const json_t *document, uint32_t address, uint8_t ret_psk[32]);

/* Removes the records of devices that may have none. */
int records_prune(struct job *job);

/* For a document that takes the place of another: takes out the records of devices that may change records in
 * @before and may not in @after. */
void records_close_unpermitted(const json_t *before, json_t *after);
