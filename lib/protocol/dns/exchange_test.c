/* What a server says, and what is made of it. */
#include <string.h>

#include "dns/exchange.h"

#include "base/test.h"

struct asked {
	struct dns_exchange exchange;
	uint8_t answer[DNS_MESSAGE_MAX];
	size_t size;
};

/* Asks for the address of a name, and has an empty answer made of the very question. */
static void ask(struct asked *a, uint8_t random)
{
	struct dns_query query = { .type = DNS_A, .class = DNS_CLASS_IN };
	uint8_t bytes[DNS_ASK_RANDOM];
	struct dns_name name;

	memset(bytes, random, sizeof(bytes));
	assert_int_equal(dns_name_parse("Git.example.com", &name), 0);
	if (a->exchange.asked_size == 0)
		dns_exchange_init(&a->exchange, &query, &name);
	dns_exchange_ask(&a->exchange, bytes);
	assert_int_equal(dns_query_parse(a->exchange.asked, a->exchange.asked_size, &query), 0);
	a->size = dns_write_empty(&query, a->exchange.asked, DNS_NOERROR, false, a->answer);
}

static enum dns_verdict take(struct asked *a)
{
	return dns_exchange_take(&a->exchange, a->answer, a->size);
}

static void an_answer_is_taken_with_its_spelling(void **state)
{
	struct asked a = { 0 };

	(void)state;
	ask(&a, 0xff);
	assert_memory_equal(a.exchange.asked + 12, "\3GIT\7EXAMPLE\3COM", 17);
	assert_int_equal(take(&a), DNS_TAKEN);
	ask(&a, 0x55);
	assert_memory_not_equal(a.exchange.asked + 12, "\3GIT\7EXAMPLE\3COM", 17);
	assert_int_equal(take(&a), DNS_TAKEN);
	a.answer[0] ^= 1;
	assert_int_equal(take(&a), DNS_IGNORED);
	assert_int_equal(dns_exchange_take(&a.exchange, a.answer, 11), DNS_IGNORED);
}

static void another_spelling_leads_to_tcp(void **state)
{
	struct asked a = { 0 };

	(void)state;
	ask(&a, 0x00);
	a.answer[13] ^= 0x20;
	assert_int_equal(take(&a), DNS_ASK_AGAIN);
	assert_true(a.exchange.tcp);
	assert_int_equal(take(&a), DNS_TAKEN);
	a.answer[14] ^= 1; /* another name */
	assert_int_equal(take(&a), DNS_IGNORED);
}

static void what_is_cut_off_leads_to_tcp(void **state)
{
	struct asked a = { 0 };

	(void)state;
	ask(&a, 3);
	a.answer[2] |= 2;
	assert_int_equal(take(&a), DNS_ASK_AGAIN);
	assert_true(a.exchange.tcp);
}

static void a_server_without_edns_is_asked_without(void **state)
{
	struct asked a = { 0 };

	(void)state;
	ask(&a, 3);
	a.answer[3] = DNS_FORMERR;
	assert_int_equal(take(&a), DNS_ASK_AGAIN);
	assert_true(a.exchange.plain && !a.exchange.tcp);
	ask(&a, 9);
	assert_int_equal(a.exchange.asked[11], 0);
	a.answer[3] = DNS_FORMERR;
	assert_int_equal(take(&a), DNS_ASK_NEXT);
}

static void a_server_that_cannot_tell(void **state)
{
	static const enum dns_code codes[] = { DNS_SERVFAIL, DNS_REFUSED, 9 };
	struct asked a = { 0 };

	(void)state;
	ask(&a, 3);
	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
		a.answer[3] = (uint8_t)codes[i];
		assert_int_equal(take(&a), DNS_ASK_NEXT);
	}
	a.answer[3] = DNS_NXDOMAIN;
	assert_int_equal(take(&a), DNS_TAKEN);
	a.answer[7] = 1; /* an answer that is not there */
	assert_int_equal(take(&a), DNS_ASK_NEXT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_is_taken_with_its_spelling),
		cmocka_unit_test(another_spelling_leads_to_tcp),
		cmocka_unit_test(what_is_cut_off_leads_to_tcp),
		cmocka_unit_test(a_server_without_edns_is_asked_without),
		cmocka_unit_test(a_server_that_cannot_tell),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
