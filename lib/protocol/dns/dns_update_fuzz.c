/*
 * Bytes from anybody as an update and as what an upstream server says. Steps lie in their zone; data that has
 * a text form comes back from it; a message that is signed verifies, and not with another key; an answer
 * that is put together is whole.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "dns/data.h"
#include "dns/tsig.h"
#include "dns/update.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_step(const struct dns_step *step)
{
	char text[DNS_DATA_TEXT_MAX];
	uint8_t again[DNS_DATA_MAX];

	assert(step->name.size > 0);
	if (!step->data || dns_data_format(step->type, step->data, step->data_size, text) < 0)
		return;
	assert(dns_data_parse(step->type, text, again) == step->data_size);
	if (step->type != DNS_CNAME)
		assert(memcmp(again, step->data, step->data_size) == 0);
}

static void check_update(const uint8_t *data, size_t size)
{
	CLEANUP(dns_update_done) struct dns_update update = { 0 };
	CLEANUP(dns_records_free) struct dns_records *records = NULL;
	int r = dns_update_parse(data, size, &update);

	assert(update.query.question_end <= size || size < DNS_HEADER_SIZE);
	assert(update.query.question_end <= DNS_HEADER_SIZE + DNS_NAME_MAX + 4);
	if (r != 0) {
		update = (struct dns_update){ 0 };
		return;
	}
	assert(dns_records_new(&records) == 0);
	for (size_t i = 0; i < update.count; i++) {
		const struct dns_step *step = &update.steps[i];
		const struct dns_local local = { .type = step->type, .data_size = step->data_size };

		check_step(step);
		if (step->kind == DNS_ADD)
			(void)dns_records_add(records, &step->name, &local, step->data);
	}
	(void)dns_update_check(&update, records);
}

static void check_signature(const uint8_t *data, size_t size)
{
	uint8_t key[DNS_TSIG_KEY_SIZE] = { 1 };
	struct dns_tsig tsig;
	uint8_t *copy;
	size_t whole;

	if (dns_tsig_find(data, size, &tsig) == 0) {
		assert(tsig.start < size);
		assert(!dns_tsig_verify(&tsig, data, key, NULL) || tsig.known);
		return;
	}
	copy = malloc(size + DNS_TSIG_RECORD_MAX);
	assert(copy);
	memcpy(copy, data, size);
	if (size < DNS_HEADER_SIZE || memcmp(copy + 10, "\xff\xff", 2) == 0) {
		free(copy);
		return;
	}
	whole = dns_tsig_sign(copy, size, key, NULL, 1700000000);
	if (dns_tsig_find(copy, whole, &tsig) == 0 && tsig.start == size) {
		assert(dns_tsig_verify(&tsig, copy, key, NULL));
		key[0] = 2;
		assert(!dns_tsig_verify(&tsig, copy, key, NULL));
	}
	free(copy);
}

/* The message as the answer about a CNAME's target. */
static void check_completion(const uint8_t *data, size_t size)
{
	static const uint8_t bytes[] = { 0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'a', 0, 0, 1, 0, 1 };
	static const struct dns_local cname = { .type = DNS_CNAME, .data_size = 3 };
	CLEANUP(dns_records_free) struct dns_records *records = NULL;
	uint8_t *to = malloc(DNS_MESSAGE_MAX);
	struct dns_query query;
	struct dns_chain chain;
	uint32_t lifetime_s;
	int written;

	assert(to && dns_records_new(&records) == 0);
	assert(dns_query_parse(bytes, sizeof(bytes), &query) == 0);
	assert(dns_records_add(records, &query.name, &cname, (const uint8_t *)"\1b") == 0);
	assert(dns_records_look_up(records, &query, &chain) && !chain.end);
	written = dns_chain_complete(&chain, &query, bytes, data, size, to, DNS_MESSAGE_MAX);
	if (written > 0) {
		assert(dns_response_matches(to, (size_t)written, bytes, sizeof(bytes)));
		assert(dns_lifetime(to, (size_t)written, &lifetime_s) == 0);
	}
	free(to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > DNS_MESSAGE_MAX)
		return 0;
	check_update(data, size);
	check_signature(data, size);
	check_completion(data, size);
	return 0;
}
