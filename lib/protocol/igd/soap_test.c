/* Calls, responses and faults. */
#include "igd/soap.h"

#include <errno.h>
#include <string.h>

#include "base/test.h"

#define BEGIN                                                                                      \
	"<?xml version=\"1.0\"?>\r\n<s:Envelope "                                                  \
	"xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>"
#define END "</s:Body></s:Envelope>"
#define ADD                                                                                        \
	BEGIN "<u:AddPortMapping xmlns:u=\"urn:schemas-upnp-org:service:WANIPConnection:1\">"      \
	      "<NewRemoteHost></NewRemoteHost><NewExternalPort>443</NewExternalPort>"              \
	      "<NewPortMappingDescription>a &lt;b&gt; &amp; c</NewPortMappingDescription>"         \
	      "</u:AddPortMapping>" END

static int read_call(const char *header, const char *body, struct soap_call *call)
{
	return soap_call_parse(header, body, strlen(body), call);
}

static void a_call_is_read(void **state)
{
	struct soap_call call;
	unsigned long port;

	assert_int_equal(read_call(NULL, ADD, &call), 0);
	assert_string_equal(call.action, "AddPortMapping");
	assert_int_equal(call.argument_count, 3);
	assert_string_equal(soap_argument(&call, "NewRemoteHost"), "");
	assert_string_equal(soap_argument(&call, "NewPortMappingDescription"), "a <b> & c");
	assert_null(soap_argument(&call, "NewProtocol"));
	assert_true(soap_number(&call, "NewExternalPort", 65535, &port));
	assert_int_equal(port, 443);
	assert_false(soap_number(&call, "NewExternalPort", 442, &port));
	assert_false(soap_number(&call, "NewRemoteHost", 65535, &port));
	assert_false(soap_number(&call, "NewProtocol", 65535, &port));
	/* The header comes first. */
	assert_int_equal(read_call("\"urn:x:1#DeletePortMapping\"", ADD, &call), 0);
	assert_string_equal(call.action, "DeletePortMapping");
	assert_int_equal(read_call("nothing", ADD, &call), 0);
	assert_string_equal(call.action, "AddPortMapping");
}

static void what_is_no_call(void **state)
{
	static const char *const bad[] = {
		"",
		"hello",
		BEGIN END,
		"<s:Envelope><s:Header><u:A/></s:Header></s:Envelope>",
		BEGIN "<u:A>",
		"<!DOCTYPE x [<!ENTITY a \"b\">]>" BEGIN "<u:A>&a;</u:A>" END,
	};
	CLEANUP(text_done) struct text deep = { 0 };
	struct soap_call call;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(read_call(NULL, bad[i], &call), -EBADMSG);
	for (int i = 0; i < 1000; i++)
		text_append(&deep, "<a>");
	assert_int_equal(read_call(NULL, deep.data, &call), -E2BIG);
	text_clear(&deep);
	text_append(&deep, BEGIN "<u:A>");
	for (int i = 0; i < SOAP_ARGUMENTS_MAX + 1; i++)
		text_append(&deep, "<a/>");
	text_append(&deep, "</u:A>" END);
	assert_int_equal(read_call(NULL, deep.data, &call), -E2BIG);
}

static void long_values_are_cut_off(void **state)
{
	CLEANUP(text_done) struct text body = { 0 };
	struct soap_call call;

	text_append(&body, BEGIN "<u:A><b>x");
	for (int i = 0; i < 300; i++)
		text_append(&body, "\xc3\xa4");
	text_append(&body, "</b></u:A>" END);
	assert_int_equal(read_call(NULL, body.data, &call), 0);
	assert_int_equal(strlen(call.arguments[0].value), SOAP_VALUE_MAX - 1);
}

static void a_response(void **state)
{
	static const struct soap_argument results[] = {
		{ "NewInternalClient", "10.59.0.2" }, { "NewPortMappingDescription", "<\x01&>" }
	};
	CLEANUP(text_done) struct text text = { 0 };

	soap_write_response(&text, "urn:x", "Do", results, 2);
	assert_non_null(strstr(text.data, "<u:DoResponse xmlns:u=\"urn:x\"><NewInternalClient>"
					  "10.59.0.2</NewInternalClient><NewPortMappingDescription>"
					  "&lt;?&amp;&gt;</NewPortMappingDescription>"
					  "</u:DoResponse>"));
}

static void a_fault(void **state)
{
	CLEANUP(text_done) struct text text = { 0 };

	soap_write_fault(&text, SOAP_CONFLICT);
	assert_non_null(strstr(text.data, "<faultcode>s:Client</faultcode>"
					  "<faultstring>UPnPError</faultstring>"));
	assert_non_null(strstr(text.data, "<errorCode>718</errorCode><errorDescription>"
					  "ConflictInMappingEntry</errorDescription>"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_is_read),
		cmocka_unit_test(what_is_no_call),
		cmocka_unit_test(long_values_are_cut_off),
		cmocka_unit_test(a_response),
		cmocka_unit_test(a_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
