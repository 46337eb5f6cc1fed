/* NAT-PMP byte for byte, RFC 6886 sections 3.2 to 3.5. */
#include "pcp/nat_pmp.h"

#include <errno.h>
#include <netinet/in.h>

#include "base/test.h"

static void the_address(void **state)
{
	static const uint8_t asked[] = { 0, 0 };
	static const uint8_t wanted[] = { 0, 128, 0, 0, 0, 0, 0, 42, 198, 51, 100, 7 };
	static const uint8_t refused[] = { 0, 128, 0, 3, 0, 0, 0, 42, 0, 0, 0, 0 };
	struct nat_pmp_response response = { .epoch_s = 42, .address = 0xc6336407 };
	uint8_t is[NAT_PMP_RESPONSE_MAX];
	struct nat_pmp_request request;

	assert_int_equal(nat_pmp_request_parse(asked, sizeof(asked), &request), 0);
	assert_int_equal(nat_pmp_response_write(&request, &response, is), sizeof(wanted));
	assert_memory_equal(is, wanted, sizeof(wanted));
	response.result = NAT_PMP_NETWORK_FAILURE;
	assert_int_equal(nat_pmp_response_write(&request, &response, is), sizeof(refused));
	assert_memory_equal(is, refused, sizeof(refused));
}

static void a_mapping(void **state)
{
	static const uint8_t asked[] = { 0, 2, 0, 0, 0x1f, 0x90, 0, 80, 0, 0, 0x1c, 0x20 };
	static const uint8_t wanted[] = { 0,	130,  0, 0,  0, 0, 0,	 42,
					  0x1f, 0x90, 0, 80, 0, 0, 0x0e, 0x10 };
	static const uint8_t refused[] = { 0, 130, 0, 4, 0, 0, 0, 42, 0x1f, 0x90, 0, 0, 0, 0, 0, 0 };
	struct nat_pmp_response response = { .epoch_s = 42,
					     .external_port = 80,
					     .lifetime_s = 3600 };
	uint8_t is[NAT_PMP_RESPONSE_MAX];
	struct nat_pmp_request request;

	assert_int_equal(nat_pmp_request_parse(asked, sizeof(asked), &request), 0);
	assert_int_equal(request.refusal, NAT_PMP_SUCCESS);
	assert_int_equal(request.protocol, IPPROTO_TCP);
	assert_int_equal(request.internal_port, 8080);
	assert_int_equal(request.external_port, 80);
	assert_int_equal(request.lifetime_s, 7200);
	assert_int_equal(nat_pmp_response_write(&request, &response, is), sizeof(wanted));
	assert_memory_equal(is, wanted, sizeof(wanted));
	response.result = NAT_PMP_NO_RESOURCES;
	assert_int_equal(nat_pmp_response_write(&request, &response, is), sizeof(refused));
	assert_memory_equal(is, refused, sizeof(refused));
}

static void an_unknown_opcode(void **state)
{
	static const uint8_t asked[] = { 0, 3 };
	static const uint8_t wanted[] = { 0, 131, 0, 5, 0, 0, 0, 42 };
	struct nat_pmp_response response = { .result = NAT_PMP_UNSUPP_OPCODE, .epoch_s = 42 };
	uint8_t is[NAT_PMP_RESPONSE_MAX];
	struct nat_pmp_request request;

	assert_int_equal(nat_pmp_request_parse(asked, sizeof(asked), &request), 0);
	assert_int_equal(request.refusal, NAT_PMP_UNSUPP_OPCODE);
	assert_int_equal(nat_pmp_response_write(&request, &response, is), sizeof(wanted));
	assert_memory_equal(is, wanted, sizeof(wanted));
}

static void some_get_no_answer(void **state)
{
	static const uint8_t response[] = { 0, 128, 0, 0 };
	static const uint8_t pcp[] = { 2, 1, 0, 0 };
	static const uint8_t short_map[] = { 0, 1, 0, 0, 0x1f, 0x90, 0, 80, 0, 0, 0x1c };
	static const uint8_t no_port[] = { 0, 1, 0, 0, 0, 0, 0, 80, 0, 0, 0x1c, 0x20 };
	static const uint8_t delete_all[] = { 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
	struct nat_pmp_request request;

	assert_false(nat_pmp_is(pcp, sizeof(pcp)));
	assert_int_equal(nat_pmp_request_parse(pcp, sizeof(pcp), &request), -EBADMSG);
	assert_int_equal(nat_pmp_request_parse(response, sizeof(response), &request), -EBADMSG);
	assert_int_equal(nat_pmp_request_parse(response, 1, &request), -EBADMSG);
	assert_int_equal(nat_pmp_request_parse(short_map, sizeof(short_map), &request), -EBADMSG);
	assert_int_equal(nat_pmp_request_parse(no_port, sizeof(no_port), &request), -EBADMSG);
	assert_int_equal(nat_pmp_request_parse(delete_all, sizeof(delete_all), &request), 0);
	assert_int_equal(request.protocol, IPPROTO_UDP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_address),
		cmocka_unit_test(a_mapping),
		cmocka_unit_test(an_unknown_opcode),
		cmocka_unit_test(some_get_no_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
