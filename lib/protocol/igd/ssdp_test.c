/* Searches and their responses. */
#include "igd/ssdp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/test.h"

static int searched(const char *st, enum ssdp_target *ret)
{
	char text[1024];
	int size = snprintf(text, sizeof(text),
			    "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n"
			    "MAN: \"ssdp:discover\"\r\nMX: 2\r\n%s\r\n\r\n",
			    st);

	return ssdp_search_parse((const uint8_t *)text, (size_t)size, ret);
}

static void gateways_are_found(void **state)
{
	static const struct {
		const char *st;
		enum ssdp_target target;
	} rows[] = {
		{ "ST: ssdp:all", SSDP_GATEWAY },
		{ "st:upnp:rootdevice", SSDP_ROOT },
		{ "ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1", SSDP_GATEWAY },
		{ "ST: urn:schemas-upnp-org:device:InternetGatewayDevice:2 ", SSDP_GATEWAY },
		{ "ST : urn:schemas-upnp-org:service:WANIPConnection:1", SSDP_CONNECTION },
		{ "ST:\turn:schemas-upnp-org:device:WANConnectionDevice:1",
		  SSDP_CONNECTION_DEVICE },
	};
	enum ssdp_target target;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(searched(rows[i].st, &target), 0);
		assert_int_equal(target, rows[i].target);
	}
}

static void others_are_not_meant(void **state)
{
	static const char *const other[] = {
		"ST: urn:schemas-upnp-org:service:WANCommonInterfaceConfig:1",
		"ST: urn:schemas-upnp-org:device:MediaServer:1",
		"STX: ssdp:all",
		"X: y\r\n\r\nST: ssdp:all", /* behind the head */
		"",
	};
	static const char notify[] = "NOTIFY * HTTP/1.1\r\nST: ssdp:all\r\n\r\n";
	enum ssdp_target target;

	for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
		assert_int_equal(searched(other[i], &target), -ENOENT);
	assert_int_equal(ssdp_search_parse((const uint8_t *)notify, sizeof(notify) - 1, &target),
			 -EBADMSG);
	assert_int_equal(ssdp_search_parse((const uint8_t *)notify, 0, &target), -EBADMSG);
}

static void the_response(void **state)
{
	char response[SSDP_RESPONSE_MAX];
	size_t size = ssdp_response_write(SSDP_GATEWAY, 0x0a3b0001,
					  "00010203-0405-0607-0809-0a0b0c0d0e0f", response);

	assert_int_equal(size, strlen(response));
	assert_string_equal(
		response,
		"HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=1800\r\nEXT:\r\n"
		"LOCATION: http://10.59.0.1:49001/rootDesc.xml\r\nSERVER: StartOS UPnP/1.1\r\n"
		"ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"
		"USN: uuid:00010203-0405-0607-0809-0a0b0c0d0e0f::"
		"urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n\r\n");
}

static void notifications(void **state)
{
	static const char uuid[] = "00010203-0405-0607-0809-0a0b0c0d0e0f";
	char message[SSDP_RESPONSE_MAX];
	size_t size = ssdp_notify_write(SSDP_ALIVE, 2, 0x0a3b0001, uuid, message);

	assert_int_equal(size, strlen(message));
	assert_string_equal(
		message,
		"NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n"
		"CACHE-CONTROL: max-age=1800\r\n"
		"LOCATION: http://10.59.0.1:49001/rootDesc.xml\r\nSERVER: StartOS UPnP/1.1\r\n"
		"NT: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\nNTS: ssdp:alive\r\n"
		"USN: uuid:00010203-0405-0607-0809-0a0b0c0d0e0f::"
		"urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n\r\n");
	(void)ssdp_notify_write(SSDP_BYEBYE, 6, 0x0a3b0001, uuid, message);
	assert_string_equal(message,
			    "NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n"
			    "NT: uuid:00010203-0405-0607-0809-0a0b0c0d0e0f-wanconn\r\n"
			    "NTS: ssdp:byebye\r\n"
			    "USN: uuid:00010203-0405-0607-0809-0a0b0c0d0e0f-wanconn\r\n\r\n");
	for (unsigned part = 0; part < SSDP_PARTS; part++) {
		size = ssdp_notify_write(SSDP_ALIVE, part, 0xffffffff, uuid, message);
		assert_int_equal(size, strlen(message)); /* whole, with the longest address */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gateways_are_found),
		cmocka_unit_test(others_are_not_meant),
		cmocka_unit_test(the_response),
		cmocka_unit_test(notifications),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
