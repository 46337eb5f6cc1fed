/*
 * Bytes from anybody as a search and as the call of an action. What is read obeys its bounds, and what
 * is written back with the values that were read says the same when it is read again.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "igd/soap.h"
#include "igd/ssdp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_name(const char *name)
{
	return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") == strlen(name);
}

static void check_again(const struct soap_call *call)
{
	CLEANUP(text_done) struct text text = { 0 };
	struct soap_call *again = malloc(sizeof(*again));

	assert(again);
	soap_write_response(&text, "urn:x", "Y", call->arguments, call->argument_count);
	assert(soap_call_parse(NULL, text.data, text.size, again) == 0);
	assert(strcmp(again->action, "YResponse") == 0);
	assert(again->argument_count == call->argument_count);
	for (size_t i = 0; i < call->argument_count; i++)
		assert(strcmp(again->arguments[i].value, call->arguments[i].value) == 0);
	free(again);
}

static void check_call(const uint8_t *data, size_t size)
{
	struct soap_call *call = malloc(sizeof(*call));
	bool plain = true;
	unsigned long number;

	assert(call);
	if (soap_call_parse(NULL, data, size, call) == 0) {
		assert(call->argument_count <= SOAP_ARGUMENTS_MAX);
		assert(strlen(call->action) < SOAP_NAME_MAX);
		if (soap_number(call, "NewExternalPort", 65535, &number))
			assert(number <= 65535);
		for (size_t i = 0; i < call->argument_count; i++)
			plain &= is_name(call->arguments[i].name);
		if (plain)
			check_again(call);
	}
	free(call);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char response[SSDP_RESPONSE_MAX];
	enum ssdp_target target;

	if (size > SOAP_MESSAGE_MAX)
		return 0;
	if (ssdp_search_parse(data, size, &target) == 0) {
		size_t written = ssdp_response_write(
			target, 0xffffffff, "00010203-0405-0607-0809-0a0b0c0d0e0f", response);

		assert(written < SSDP_RESPONSE_MAX && written == strlen(response));
	}
	check_call(data, size);
	return 0;
}
