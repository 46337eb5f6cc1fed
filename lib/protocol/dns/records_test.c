/* Names that are held, how they are answered, and how records are written. */
#include <errno.h>
#include <string.h>

#include "dns/data.h"

#include "base/test.h"

static void add(struct dns_records *records, const char *text, const char *type, const char *value)
{
	struct dns_local local = { .ttl_s = 300, .type = dns_type_parse(type) };
	uint8_t data[DNS_DATA_MAX];
	struct dns_name name;
	int size = dns_data_parse(local.type, value, data);

	assert_true(size > 0);
	local.data_size = (uint16_t)size;
	assert_int_equal(dns_name_parse(text, &name), 0);
	assert_int_equal(dns_records_add(records, &name, &local, data), 0);
}

static size_t ask(const char *name, const char *type, uint8_t to[DNS_UDP_MAX],
		  struct dns_query *ret)
{
	struct dns_name parsed;
	uint16_t number = dns_type_parse(type);
	size_t size = DNS_HEADER_SIZE;

	assert_int_equal(dns_name_parse(name, &parsed), 0);
	memcpy(to, (const uint8_t[]){ 1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0 }, size);
	memcpy(to + size, parsed.bytes, parsed.size);
	size += parsed.size;
	memcpy(to + size, (const uint8_t[]){ 0, (uint8_t)number, 0, 1 }, 4);
	assert_int_equal(dns_query_parse(to, size + 4, ret), 0);
	return size + 4;
}

/* Counts the answers of a response that our own parser takes for whole. */
static unsigned answers(const uint8_t *response, int size)
{
	uint32_t lifetime_s;

	assert_true(size > 0);
	assert_int_equal(dns_lifetime(response, (size_t)size, &lifetime_s), 0);
	return response[7];
}

static void a_held_name_is_answered_here(void **state)
{
	static const struct {
		const char *name, *type;
		bool held;
		unsigned answers;
	} cases[] = {
		{ "home.example.com", "A", true, 2 },
		{ "HOME.Example.com", "A", true, 2 },
		{ "home.example.com", "AAAA", true, 1 },
		{ "home.example.com", "MX", true, 0 },
		{ "home.example.com", "ANY", true, 3 },
		{ "example.com", "A", false, 0 },
		{ "a.home.example.com", "A", false, 0 },
		{ "www.example.com", "A", true, 3 },
		{ "www.example.com", "CNAME", true, 1 },
		{ "www.example.com", "TXT", true, 1 },
		{ "round.example.com", "A", true, DNS_CHAIN_MAX },
	};
	CLEANUP(dns_records_free) struct dns_records *records = NULL;

	(void)state;
	assert_int_equal(dns_records_new(&records), 0);
	add(records, "home.example.com", "A", "10.59.0.2");
	add(records, "home.example.com", "A", "10.59.0.3");
	add(records, "Home.example.com", "AAAA", "fd00::2");
	add(records, "www.example.com", "CNAME", "home.example.com");
	add(records, "round.example.com", "CNAME", "circle.example.com.");
	add(records, "circle.example.com", "CNAME", "round.example.com");
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint8_t query_bytes[DNS_UDP_MAX], to[DNS_UDP_MAX];
		struct dns_query query;
		struct dns_chain chain;
		size_t size = ask(cases[i].name, cases[i].type, query_bytes, &query);
		int written;

		assert_int_equal(dns_records_look_up(records, &query, &chain), cases[i].held);
		if (!cases[i].held)
			continue;
		assert_non_null(chain.end);
		written = dns_chain_write(&chain, &query, query_bytes, to, sizeof(to));
		assert_int_equal(answers(to, written), cases[i].answers);
		assert_true(dns_response_matches(to, (size_t)written, query_bytes, size));
		assert_int_equal(to[2] & 4, 4); /* authoritative */
		assert_int_equal(dns_chain_write(&chain, &query, query_bytes, to,
						 (size_t)written - 1),
				 -ENOBUFS);
	}
}

/* A chain that leaves: "elsewhere.example.net" is asked about, and its compressed answer spliced in. */
static void a_chain_is_completed(void **state)
{
	static const uint8_t rest[] = { 0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 4, 1,   'x', 0xc0, 22,
					0xc0, 51, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0,	  2,	7 };
	CLEANUP(dns_records_free) struct dns_records *records = NULL;
	uint8_t bytes[DNS_UDP_MAX], other[DNS_UDP_MAX], to[DNS_UDP_MAX];
	struct dns_query query, asked;
	struct dns_chain chain;
	size_t size;
	int written;

	(void)state;
	assert_int_equal(dns_records_new(&records), 0);
	add(records, "www.example.com", "CNAME", "elsewhere.example.net");
	(void)ask("www.example.com", "A", bytes, &query);
	assert_true(dns_records_look_up(records, &query, &chain));
	assert_null(chain.end);
	size = ask("elsewhere.example.net", "A", other, &asked);
	assert_true(dns_name_equal(&chain.elsewhere, &asked.name));
	memcpy(other + size, rest, sizeof(rest));
	other[2] |= 0x80;
	other[7] = 2;
	written = dns_chain_complete(&chain, &query, bytes, other, size + sizeof(rest), to,
				     sizeof(to));
	assert_int_equal(answers(to, written), 3);
	assert_memory_equal(to + written - 4, "\xc0\x00\x02\x07", 4);
	assert_non_null(memmem(to, (size_t)written, "\1x\7example\3net", 14));
	for (size_t cut = 0; cut < size + sizeof(rest); cut++)
		assert_true(dns_chain_complete(&chain, &query, bytes, other, cut, to, sizeof(to)) <
			    0);
	assert_int_equal(dns_chain_complete(&chain, &query, bytes, other, size + sizeof(rest), to,
					    (size_t)written - 1),
			 -ENOBUFS);
}

static void bounds_hold(void **state)
{
	CLEANUP(dns_records_free) struct dns_records *records = NULL;
	struct dns_local local = { .type = DNS_A, .data_size = 4 };
	struct dns_name name;
	char text[32];

	(void)state;
	assert_int_equal(dns_records_new(&records), 0);
	for (int i = 0; i < DNS_RECORDS_MAX; i++) {
		(void)snprintf(text, sizeof(text), "n%d.example", i / DNS_RECORDS_PER_NAME_MAX);
		assert_int_equal(dns_name_parse(text, &name), 0);
		assert_int_equal(dns_records_add(records, &name, &local, (const uint8_t *)"abcd"),
				 0);
		if (i == DNS_RECORDS_PER_NAME_MAX - 1)
			assert_int_equal(dns_records_add(records, &name, &local,
							 (const uint8_t *)"abcd"),
					 -E2BIG);
	}
	assert_int_equal(dns_name_parse("more.example", &name), 0);
	assert_int_equal(dns_records_add(records, &name, &local, (const uint8_t *)"abcd"), -E2BIG);
	dns_records_clear(records);
	assert_int_equal(dns_records_add(records, &name, &local, (const uint8_t *)"abcd"), 0);
}

static void data_as_text(void **state)
{
	static const struct {
		const char *type, *text, *back; /* back NULL: refused */
	} cases[] = {
		{ "A", "10.59.0.2", "10.59.0.2" },
		{ "A", "10.59.0.2.", NULL },
		{ "a", "fd00::1", NULL },
		{ "AAAA", "FD00::1", "fd00::1" },
		{ "AAAA", "10.0.0.1", NULL },
		{ "CNAME", "www.example.com.", "www.example.com" },
		{ "CNAME", "", NULL },
		{ "CNAME", "a b", NULL },
		{ "TXT", "", "" },
		{ "TXT", "v=1; \xc3\xa4 \"x\"", "v=1; \xc3\xa4 \"x\"" },
		{ "MX", "10 mail.example.com", NULL },
	};
	char longest[DNS_TEXT_MAX + 2], text[DNS_DATA_TEXT_MAX];
	uint8_t data[DNS_DATA_MAX];
	int size;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint16_t type = dns_type_parse(cases[i].type);

		size = dns_data_parse(type, cases[i].text, data);
		assert_int_equal(size < 0, cases[i].back == NULL);
		if (!cases[i].back)
			continue;
		assert_int_equal(dns_data_format(type, data, (size_t)size, text), 0);
		assert_string_equal(text, cases[i].back);
	}
	memset(longest, 'a', sizeof(longest));
	longest[DNS_TEXT_MAX + 1] = '\0';
	assert_int_equal(dns_data_parse(DNS_TXT, longest, data), -EINVAL);
	longest[DNS_TEXT_MAX] = '\0';
	size = dns_data_parse(DNS_TXT, longest, data);
	assert_int_equal(size, DNS_TEXT_MAX + 5);
	assert_int_equal(dns_data_format(DNS_TXT, data, (size_t)size, text), 0);
	assert_string_equal(text, longest);
	assert_int_equal(dns_data_format(DNS_TXT, (const uint8_t *)"\2a\n", 3, text), -EINVAL);
	assert_int_equal(dns_data_format(DNS_TXT, (const uint8_t *)"\2\xc0\x80", 3, text), -EINVAL);
	assert_int_equal(dns_data_format(DNS_TXT, (const uint8_t *)"\3ab", 3, text), -EINVAL);
	assert_int_equal(dns_type_parse("HTTPS"), 65);
	assert_int_equal(dns_type_parse("NONSENSE"), 0);
	assert_null(dns_type_local(DNS_MX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_held_name_is_answered_here),
		cmocka_unit_test(a_chain_is_completed),
		cmocka_unit_test(bounds_hold),
		cmocka_unit_test(data_as_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
