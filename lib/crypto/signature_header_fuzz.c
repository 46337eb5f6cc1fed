/* What parses says the same after it was written and parsed again, and verifies under no context that
 * nobody signed for. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/signature_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(text_done) struct text written = { 0 };
	CLEANUP(fault_done) struct fault fault = { 0 };
	cleanup_free char *value = strndup((const char *)data, size);
	struct signature_header header, again;
	int r;

	assert(value);
	r = signature_header_parse(value, &header, &fault);
	assert((r == 0) == !fault_is_set(&fault));
	if (r < 0)
		return 0;
	signature_header_write(&header, &written);
	assert(text_error(&written) == 0);
	assert(signature_header_parse(text_string(&written), &again, NULL) == 0);
	assert(memcmp(&header, &again, sizeof(header)) == 0);
	assert(!signature_header_verify(&header, "nobody signed for this"));
	return 0;
}
