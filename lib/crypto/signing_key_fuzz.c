/* A key or signature that parses is the same after it was written in its one form and parsed again. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/signing_key.h"
#include "crypto/ssh_signature.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_keys(const char *text)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	char pem[SIGNING_KEY_PRIVATE_PEM_SIZE];
	uint8_t key[32], again[32];

	if (signing_key_parse_public(text, key, &fault) == 0) {
		(void)signing_key_format_public(key, pem);
		assert(signing_key_parse_public(pem, again, NULL) == 0);
		assert(memcmp(key, again, sizeof(key)) == 0);
	} else {
		assert(fault_is_set(&fault));
	}
	if (signing_key_parse_private(text, key, NULL) == 0) {
		(void)signing_key_format_private(key, pem);
		assert(signing_key_parse_private(pem, again, NULL) == 0);
		assert(memcmp(key, again, sizeof(key)) == 0);
	}
}

static void check_signatures(const char *text)
{
	CLEANUP(text_done) struct text written = { 0 };
	struct ssh_signature ssh, ssh_again;
	uint8_t signature[64], again[64];
	char pem[SIGNATURE_PEM_SIZE];

	if (signature_parse(text, signature, NULL) == 0) {
		assert(signature_parse(signature_format(signature, pem), again, NULL) == 0);
		assert(memcmp(signature, again, sizeof(signature)) == 0);
	}
	if (ssh_signature_parse(text, &ssh, NULL) == 0) {
		ssh_signature_write(&ssh, &written);
		assert(ssh_signature_parse(text_string(&written), &ssh_again, NULL) == 0);
		assert(memcmp(&ssh, &ssh_again, sizeof(ssh)) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_free char *text = strndup((const char *)data, size);

	assert(text);
	check_keys(text);
	check_signatures(text);
	return 0;
}
