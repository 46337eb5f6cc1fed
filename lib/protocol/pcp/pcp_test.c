/* PCP byte for byte: RFC 6887 and 7753, and the options of private use. */
#include "pcp/pcp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/test.h"

#define HEADER                                                                                     \
	"0201000000000e10"                                                                         \
	"00000000000000000000ffff0a3b0002"
#define NONCE "000102030405060708090a0b"
#define MAP_443                                                                                    \
	NONCE "06000000"                                                                           \
	      "01bb01bb"                                                                           \
	      "00000000000000000000ffff00000000"
#define GIT "e000000f6769742e6578616d706c652e636f6d00" /* HOSTNAME git.example.com */
#define TEN_PORTS "82000005000a01bb00000000" /* PORT_SET */

static size_t bytes_of(const char *hex, uint8_t to[PCP_MESSAGE_MAX + 8])
{
	size_t size = strlen(hex) / 2;

	for (size_t i = 0; i < size; i++) {
		unsigned byte;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		to[i] = (uint8_t)byte;
	}
	return size;
}

static struct pcp_request parsed(const char *hex)
{
	uint8_t bytes[PCP_MESSAGE_MAX + 8];
	struct pcp_request request;
	size_t size = bytes_of(hex, bytes);

	assert_int_equal(pcp_request_parse(bytes, size, &request), 0);
	return request;
}

static void assert_written(const struct pcp_request *request, const struct pcp_response *response,
			   const char *hex)
{
	uint8_t wanted[PCP_MESSAGE_MAX + 8], is[PCP_MESSAGE_MAX];
	size_t size = bytes_of(hex, wanted);

	assert_int_equal(pcp_response_write(request, response, is), size);
	assert_memory_equal(is, wanted, size);
}

static struct ip_address address_of(const char *text)
{
	struct ip_address address;

	assert_int_equal(ip_parse(text, &address), 0);
	return address;
}

static void map_is_read_and_answered(void **state)
{
	struct pcp_request request = parsed(HEADER MAP_443);
	struct pcp_response response = { .lifetime_s = 3600,
					 .epoch_s = 42,
					 .external_port = 443,
					 .external = address_of("198.51.100.7") };
	struct ip_address source = address_of("10.59.0.2");

	assert_int_equal(request.refusal, PCP_SUCCESS);
	assert_int_equal(request.opcode, PCP_MAP);
	assert_int_equal(request.lifetime_s, 3600);
	assert_int_equal(request.protocol, IPPROTO_TCP);
	assert_int_equal(request.internal_port, 443);
	assert_int_equal(request.external_port, 443);
	assert_true(pcp_client_matches(&request, &source));
	source.bytes[3] = 3;
	assert_false(pcp_client_matches(&request, &source));
	assert_written(&request, &response,
		       "0281000000000e100000002a000000000000000000000000" NONCE
		       "0600000001bb01bb00000000000000000000ffffc6336407");
	response.result = PCP_NO_RESOURCES;
	response.lifetime_s = PCP_SHORT_REFUSAL_S;
	assert_written(&request, &response,
		       "028100080000001e0000002a000000000000000000000000" NONCE
		       "0600000001bb000000000000000000000000ffff00000000");
	response.result = PCP_NOT_AUTHORIZED;
	response.lifetime_s = 0;
	assert_written(&request, &response,
		       "02810002000000000000002a000000000000000000000000" NONCE "06000000"
		       "00000000"
		       "00000000000000000000ffff00000000");
}

static void announce_tells_the_capability(void **state)
{
	struct pcp_request request = parsed("020000000000000000000000000000000000ffff0a3b0002");
	struct pcp_response response = { .epoch_s = 42, .capability = true };

	assert_written(&request, &response,
		       "02800000000000000000002a000000000000000000000000e100000453393b01");
	response.capability = false;
	assert_written(&request, &response, "02800000000000000000002a000000000000000000000000");
}

static void options_are_read(void **state)
{
	struct pcp_response response = { .external_port = 443, .port_set_size = 10 };
	struct pcp_request request = parsed(HEADER MAP_443 GIT);

	assert_int_equal(request.refusal, PCP_SUCCESS);
	assert_int_equal(request.hostname_count, 1);
	assert_string_equal(request.hostnames[0].text, "git.example.com");

	request = parsed(HEADER MAP_443 TEN_PORTS);
	assert_int_equal(request.refusal, PCP_SUCCESS);
	assert_true(request.has_port_set);
	assert_int_equal(request.port_set_size, 10);
	assert_false(request.port_set_parity);
	assert_written(&request, &response,
		       "028100000000000000000000000000000000000000000000" NONCE
		       "0600000001bb01bb00000000000000000000ffff00000000" TEN_PORTS);

	/* Without the padding of the last one, and with bytes that are no option. */
	assert_int_equal(parsed(HEADER MAP_443 "82000005000a01bb01").port_set_parity, true);
	assert_int_equal(parsed(HEADER MAP_443 "020000").refusal, PCP_SUCCESS);
	assert_true(parsed(HEADER MAP_443 "02000000").prefer_failure);
	/* What need not be understood is passed over; what has to be is refused. */
	request = parsed(HEADER MAP_443 "f00000020102"
					"0000" GIT);
	assert_int_equal(request.refusal, PCP_SUCCESS);
	assert_int_equal(request.hostname_count, 1);
	request = parsed(HEADER MAP_443 "0100001000000000000000000000ffff0a3b0003");
	assert_int_equal(request.refusal, PCP_UNSUPP_OPTION);
}

static void hostnames_are_echoed(void **state)
{
	struct pcp_request request = parsed(HEADER MAP_443 GIT);
	struct pcp_response response = { .lifetime_s = 60,
					 .external_port = 443,
					 .external = address_of("198.51.100.7") };

	assert_written(&request, &response,
		       "028100000000003c00000000000000000000000000000000" NONCE
		       "0600000001bb01bb00000000000000000000ffffc6336407" GIT);
}

static void what_is_wrong_has_its_code(void **state)
{
	static const struct {
		const char *hex;
		enum pcp_result result;
	} rows[] = {
		{ "0101000000000e1000000000000000000000ffff0a3b0002", PCP_UNSUPP_VERSION },
		{ "0203000000000e1000000000000000000000ffff0a3b0002", PCP_UNSUPP_OPCODE },
		{ HEADER, PCP_MALFORMED_REQUEST },
		{ HEADER NONCE "06000000000001bb00000000000000000000ffff00000000",
		  PCP_MALFORMED_REQUEST },
		{ HEADER NONCE "0000000001bb01bb00000000000000000000ffff00000000",
		  PCP_MALFORMED_REQUEST },
		{ HEADER NONCE "8400000001bb01bb00000000000000000000ffff00000000",
		  PCP_UNSUPP_PROTOCOL },
		{ HEADER NONCE "1100000001bb01bb00000000000000000000ffff00000000" GIT,
		  PCP_UNSUPP_HOSTNAME },
		{ HEADER MAP_443 "e000000f6769742e", PCP_MALFORMED_OPTION },
		{ HEADER MAP_443 "e0000000", PCP_MALFORMED_OPTION },
		{ HEADER MAP_443 "e0000003612e2e00", PCP_MALFORMED_OPTION },
		{ HEADER MAP_443 "82000004000a01bb", PCP_MALFORMED_OPTION },
		{ HEADER MAP_443 "82000005000001bb00000000", PCP_MALFORMED_OPTION },
		{ HEADER MAP_443 GIT GIT GIT GIT GIT GIT GIT GIT GIT, PCP_NO_RESOURCES },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(parsed(rows[i].hex).refusal, rows[i].result);
}

static void some_get_no_answer(void **state)
{
	uint8_t bytes[PCP_MESSAGE_MAX + 8];
	struct pcp_request request;
	size_t size = bytes_of(HEADER MAP_443, bytes);

	assert_int_equal(pcp_request_parse(bytes, 23, &request), -EBADMSG);
	assert_int_equal(pcp_request_parse(bytes, 0, &request), -EBADMSG);
	bytes[1] |= 0x80;
	assert_int_equal(pcp_request_parse(bytes, size, &request), -EBADMSG);
}

/* Everything of a device is deleted by protocol and port 0. */
static void all_is_only_to_delete(void **state)
{
	struct pcp_request request = parsed("020100000000000000000000000000000000ffff0a3b0002" NONCE
					    "000000000000000000000000000000000000ffff00000000");

	assert_int_equal(request.refusal, PCP_SUCCESS);
	request = parsed(HEADER NONCE "000000000000000000000000000000000000ffff00000000");
	assert_int_equal(request.refusal, PCP_MALFORMED_REQUEST);
}

static void hostnames(void **state)
{
	static const char *const good[] = { "a", "*.example.com", "git.example.com", "x-1.local" };
	static const char *const bad[] = { "",	   ".a", "a.", "a b",  "a.*.b", "a..b",	   "*",
					   "_x.a", "-a", "a-", "*a.b", "*.",	"\xc3\xa4" };
	struct pcp_hostname name;
	uint8_t longest[256];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(
			pcp_hostname_parse((const uint8_t *)good[i], strlen(good[i]), &name), 0);
		assert_string_equal(name.text, good[i]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(pcp_hostname_parse((const uint8_t *)bad[i], strlen(bad[i]), &name),
				 -EINVAL);
	assert_int_equal(pcp_hostname_parse((const uint8_t *)"a\0b", 3, &name), -EINVAL);
	assert_int_equal(pcp_hostname_parse((const uint8_t *)"Git.Example.COM", 15, &name), 0);
	assert_string_equal(name.text, "git.example.com");
	for (size_t i = 0; i < sizeof(longest); i++)
		longest[i] = i % 2 ? '.' : 'a';
	assert_int_equal(pcp_hostname_parse(longest, 253, &name), 0);
	assert_int_equal(pcp_hostname_parse(longest, 255, &name), -EINVAL);
}

static void lifetimes_are_bounded(void **state)
{
	assert_int_equal(pcp_lifetime(0), 0);
	assert_int_equal(pcp_lifetime(120), 120);
	assert_int_equal(pcp_lifetime(UINT32_MAX), 3600);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(map_is_read_and_answered),
		cmocka_unit_test(announce_tells_the_capability),
		cmocka_unit_test(options_are_read),
		cmocka_unit_test(hostnames_are_echoed),
		cmocka_unit_test(what_is_wrong_has_its_code),
		cmocka_unit_test(some_get_no_answer),
		cmocka_unit_test(all_is_only_to_delete),
		cmocka_unit_test(hostnames),
		cmocka_unit_test(lifetimes_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
