/* What the gateway says about itself. */
#include "igd/description.h"

#include <string.h>

#include "base/test.h"

static int count_of(const char *text, const char *part)
{
	int count = 0;

	for (const char *at = text; (at = strstr(at, part)); at++)
		count++;
	return count;
}

static void the_id(void **state)
{
	uint8_t bytes[16];
	char uuid[IGD_UUID_SIZE];

	for (uint8_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = i;
	assert_string_equal(igd_uuid_format(bytes, uuid), "00010203-0405-0607-0809-0a0b0c0d0e0f");
}

static void the_device(void **state)
{
	CLEANUP(text_done) struct text text = { 0 };

	igd_write_root(&text, "00010203-0405-0607-0809-0a0b0c0d0e0f");
	assert_int_equal(text_error(&text), 0);
	assert_int_equal(count_of(text.data, "<device>"), 3);
	assert_int_equal(count_of(text.data, "</device>"), 3);
	assert_non_null(strstr(text.data, "<serviceType>" IGD_CONNECTION_TYPE "</serviceType>"));
	assert_non_null(strstr(text.data, "<controlURL>/ctl/IPConn</controlURL>"));
	assert_non_null(strstr(text.data, "<SCPDURL>/WANIPCn.xml</SCPDURL>"));
	assert_non_null(strstr(text.data, "0e0f-wanconn</UDN>"));
}

static void the_services(void **state)
{
	CLEANUP(text_done) struct text text = { 0 };
	const char *add, *end;

	igd_write_connection(&text);
	assert_int_equal(text_error(&text), 0);
	add = strstr(text.data, "<name>AddPortMapping</name>");
	assert_non_null(add);
	end = strstr(add, "</action>");
	assert_non_null(end);
	text.data[end - text.data] = '\0';
	assert_int_equal(count_of(add, "<direction>in</direction>"), 8);
	assert_non_null(strstr(add, "<name>NewLeaseDuration</name>"));

	text_clear(&text);
	igd_write_interface(&text);
	assert_non_null(strstr(text.data, "<name>GetCommonLinkProperties</name>"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_id),
		cmocka_unit_test(the_device),
		cmocka_unit_test(the_services),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
