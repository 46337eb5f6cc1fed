/* Queries, responses and names. */
#include <errno.h>
#include <string.h>

#include "dns/message.h"

#include "base/test.h"

/* "git.Example.com" A IN, with EDNS of 4,096 bytes and DO. */
static const uint8_t with_edns[] = { 0x12, 0x34, 0x01, 0x00, 0,	  1,   0,   0,	  0,   0,   0,
				     1,	   3,	 'g',  'i',  't', 7,   'E', 'x',  'a', 'm', 'p',
				     'l',  'e',	 3,    'c',  'o', 'm', 0,   0,	  1,   0,   1,
				     0,	   0,	 41,   0x10, 0,	  0,   0,   0x80, 0,   0,   0 };
#define QUESTION_END 33

/* The answer: 192.0.2.7 for 300 s, 192.0.2.8 for 60 s, and an OPT record. */
static const uint8_t answer[] = { 0x12, 0x34, 0x81, 0x80, 0,   1,    0,	  2,   0,   0,	 0,
				  1,	3,    'g',  'i',  't', 7,    'E', 'x', 'a', 'm', 'p',
				  'l',	'e',  3,    'c',  'o', 'm',  0,	  0,   1,   0,	 1,
				  0xc0, 12,   0,    1,	  0,   1,    0,	  0,   1,   44,	 0,
				  4,	192,  0,    2,	  7,   0xc0, 12,  0,   1,   0,	 1,
				  0,	0,    0,    60,	  0,   4,    192, 0,   2,   8,	 0,
				  0,	41,   4,    0xd0, 0,   0,    0,	  0,   0,   0 };

static void query_with_edns(void **state)
{
	struct dns_query query;
	char text[DNS_NAME_TEXT_MAX];

	(void)state;
	assert_int_equal(dns_query_parse(with_edns, sizeof(with_edns), &query), 0);
	assert_int_equal(query.refusal, DNS_NOERROR);
	assert_int_equal(query.id, 0x1234);
	assert_int_equal(query.type, DNS_A);
	assert_int_equal(query.class, DNS_CLASS_IN);
	assert_int_equal(query.question_end, QUESTION_END);
	assert_int_equal(query.udp_max, DNS_EDNS_UDP_MAX);
	assert_true(query.edns && query.dnssec_ok && query.recursion_desired);
	assert_string_equal(dns_name_format(&query.name, text), "git.Example.com");
}

static void what_is_refused(void **state)
{
	uint8_t bytes[sizeof(with_edns)];
	struct dns_query query;

	(void)state;
	for (size_t size = 0; size < sizeof(with_edns); size++) {
		int r = dns_query_parse(with_edns, size, &query);

		assert_int_equal(r, size < DNS_HEADER_SIZE ? -EBADMSG : 0);
		if (r == 0)
			assert_int_equal(query.refusal, DNS_FORMERR);
	}
	memcpy(bytes, with_edns, sizeof(bytes));
	bytes[2] |= 0x80; /* a response */
	assert_int_equal(dns_query_parse(bytes, sizeof(bytes), &query), -EBADMSG);
	bytes[2] = 0x28; /* UPDATE */
	assert_int_equal(dns_query_parse(bytes, sizeof(bytes), &query), 0);
	assert_int_equal(query.refusal, DNS_NOTIMP);
	memcpy(bytes, with_edns, sizeof(bytes));
	bytes[sizeof(bytes) - 5] = 1; /* EDNS version 1 */
	assert_int_equal(dns_query_parse(bytes, sizeof(bytes), &query), 0);
	assert_int_equal(query.refusal, DNS_BADVERS);
	memcpy(bytes, with_edns, sizeof(bytes));
	bytes[12] = 0xc0; /* a compressed question */
	assert_int_equal(dns_query_parse(bytes, sizeof(bytes), &query), 0);
	assert_int_equal(query.refusal, DNS_FORMERR);
}

static void response_belongs_to_query(void **state)
{
	uint8_t other[sizeof(answer)];

	(void)state;
	assert_true(dns_response_matches(answer, sizeof(answer), with_edns, sizeof(with_edns)));
	memcpy(other, answer, sizeof(other));
	other[17] = 'e'; /* another spelling: not what we asked */
	assert_false(dns_response_matches(other, sizeof(other), with_edns, sizeof(with_edns)));
	memcpy(other, answer, sizeof(other));
	other[1]++;
	assert_false(dns_response_matches(other, sizeof(other), with_edns, sizeof(with_edns)));
	memcpy(other, answer, sizeof(other));
	other[30] = DNS_AAAA;
	assert_false(dns_response_matches(other, sizeof(other), with_edns, sizeof(with_edns)));
	assert_false(
		dns_response_matches(with_edns, sizeof(with_edns), with_edns, sizeof(with_edns)));
}

static void lifetime_and_age(void **state)
{
	uint8_t bytes[sizeof(answer)];
	uint32_t lifetime_s;

	(void)state;
	memcpy(bytes, answer, sizeof(bytes));
	assert_int_equal(dns_lifetime(bytes, sizeof(bytes), &lifetime_s), 0);
	assert_int_equal(lifetime_s, 60);
	assert_int_equal(dns_age(bytes, sizeof(bytes), 45), 0);
	assert_int_equal(dns_lifetime(bytes, sizeof(bytes), &lifetime_s), 0);
	assert_int_equal(lifetime_s, 15);
	assert_int_equal(bytes[42], 255); /* 300 - 45 */
	assert_memory_equal(bytes + sizeof(bytes) - 11, answer + sizeof(answer) - 11, 11);
	for (size_t size = 0; size < sizeof(answer); size++)
		assert_int_equal(dns_lifetime(answer, size, &lifetime_s), -EBADMSG);
	bytes[3] = 0x82; /* SERVFAIL */
	assert_int_equal(dns_lifetime(bytes, sizeof(bytes), &lifetime_s), 0);
	assert_int_equal(lifetime_s, 0);
}

static void opt_is_for_those_who_know_it(void **state)
{
	uint8_t bytes[sizeof(answer)];
	size_t size;
	uint32_t lifetime_s;

	(void)state;
	memcpy(bytes, answer, sizeof(bytes));
	size = dns_strip_opt(bytes, sizeof(bytes));
	assert_int_equal(size, sizeof(answer) - 11);
	assert_int_equal(bytes[11], 0);
	assert_int_equal(dns_lifetime(bytes, size, &lifetime_s), 0);
	assert_int_equal(dns_strip_opt(bytes, size), size);
}

static void a_response_becomes_ones_own(void **state)
{
	uint8_t bytes[sizeof(answer)];
	uint8_t plain[QUESTION_END];
	struct dns_query query;
	size_t size;

	(void)state;
	memcpy(bytes, answer, sizeof(answer));
	bytes[2] |= 4;
	memcpy(plain, answer, QUESTION_END);
	memcpy(plain, (const uint8_t[]){ 9, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0 }, DNS_HEADER_SIZE);
	plain[13] ^= 0x20;
	assert_int_equal(dns_query_parse(plain, sizeof(plain), &query), 0);
	size = dns_fit(bytes, sizeof(answer), &query, plain, DNS_UDP_MAX);
	assert_int_equal(size, sizeof(answer) - 11);
	assert_true(dns_response_matches(bytes, size, plain, sizeof(plain)));
	assert_int_equal(bytes[2] & 5, 0); /* no recursion desired, no authority */
	assert_false(dns_is_truncated(bytes, size));
	size = dns_fit(bytes, size, &query, plain, size - 1);
	assert_int_equal(size, QUESTION_END);
	assert_true(dns_is_truncated(bytes, size));
}

static void empty_answers(void **state)
{
	struct dns_query query;
	uint8_t to[512];
	size_t size;

	(void)state;
	assert_int_equal(dns_query_parse(with_edns, sizeof(with_edns), &query), 0);
	size = dns_write_empty(&query, with_edns, DNS_BADVERS, false, to);
	assert_int_equal(dns_code_of(to, size), 0);
	assert_int_equal(to[size - 6], 1); /* the upper bits of 16 */
}

static void names_as_text(void **state)
{
	static const char *const good[] = { "a", "git.example.com", "_acme-challenge.x.y",
					    "*.example.com", "1.2.3.4" };
	static const char *const bad[] = { "",	  ".",	   "a..b", "-a.b",	 "a-.b",
					   "a b", "x.*.y", "a/b",  "\xc3\xa4.de" };
	struct dns_name name, other;
	char text[DNS_NAME_TEXT_MAX];
	char long_label[66], long_name[300] = "";

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_int_equal(dns_name_parse(good[i], &name), 0);
		assert_string_equal(dns_name_format(&name, text), good[i]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(dns_name_parse(bad[i], &name), -EINVAL);
	memset(long_label, 'a', 64);
	long_label[64] = '\0';
	assert_int_equal(dns_name_parse(long_label, &name), -EINVAL);
	for (int i = 0; i < 127; i++)
		memcpy(long_name + 2 * i, "a.", 3);
	assert_int_equal(dns_name_parse(long_name, &name), 0);
	assert_int_equal(name.size, DNS_NAME_MAX);
	memcpy(long_name + 254, "a", 2);
	assert_int_equal(dns_name_parse(long_name, &name), -EINVAL);
	assert_int_equal(dns_name_parse("GIT.example.com", &name), 0);
	assert_int_equal(dns_name_parse("git.EXAMPLE.com.", &other), 0);
	assert_true(dns_name_equal(&name, &other));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(query_with_edns),
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(response_belongs_to_query),
		cmocka_unit_test(lifetime_and_age),
		cmocka_unit_test(opt_is_for_those_who_know_it),
		cmocka_unit_test(a_response_becomes_ones_own),
		cmocka_unit_test(empty_answers),
		cmocka_unit_test(names_as_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
