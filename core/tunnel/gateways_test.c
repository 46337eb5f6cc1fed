#include "tunnel/gateways.h"

#include "base/test.h"

/* Interfaces of containers come and go under names of their own without end. */
static void interfaces_that_are_gone_are_forgotten(void **state)
{
	json_t *present = json_pack("{s:{s:n, s:n, s:n, s:n}, s:{s:s, s:n, s:n, s:{s:s, s:[]}}}",
				    "veth7", "name", "secure", "ipInfo", "type", "veth8", "name",
				    "DMZ", "secure", "type", "ipInfo", "name", "veth8", "subnets");
	json_t *now = NULL;

	(void)state;
	assert_non_null(present);
	assert_int_equal(gateways_read(present, &now), 0);
	assert_null(json_object_get(now, "veth7"));
	assert_true(json_is_null(json_object_get(json_object_get(now, "veth8"), "ipInfo")));
	json_decref(present);
	json_decref(now);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(interfaces_that_are_gone_are_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
