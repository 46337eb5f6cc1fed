/* A chain that reads is written and read again as the same certificates, and whatever it holds, it can
 * be asked and checked. */
#include <assert.h>
#include <string.h>

#include "crypto/certificate.h"

#define NOW_S INT64_C(1790000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const struct certificate_chain *chain)
{
	CLEANUP(certificate_names_done) struct certificate_names names = { 0 };
	CLEANUP(text_done) struct text text = { 0 };

	assert(certificate_names(chain, &names) == 0 && names.count <= CERTIFICATE_NAMES_MAX);
	for (size_t i = 0; i < names.count; i++)
		assert(names.names[i][0] != '\0' && !strpbrk(names.names[i], " \n\t"));
	for (size_t i = 0; i < certificate_chain_count(chain); i++) {
		char fingerprint[CERTIFICATE_FINGERPRINT_MAX];

		(void)certificate_not_before(chain, i);
		(void)certificate_not_after(chain, i);
		(void)certificate_is_root(chain, i);
		assert(strlen(certificate_fingerprint(chain, i, fingerprint)) == 95);
		(void)certificate_subject(chain, i, &text);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(certificate_chain_free) struct certificate_chain *chain = NULL;
	CLEANUP(certificate_chain_free) struct certificate_chain *again = NULL;
	CLEANUP(text_done) struct text first = { 0 };
	CLEANUP(text_done) struct text second = { 0 };
	CLEANUP(text_done_secret) struct text key = { 0 };
	CLEANUP(fault_done) struct fault fault = { 0 };
	cleanup_free char *text = strndup((const char *)data, size);
	int r = certificate_chain_read(text, &chain, &fault);

	if (r < 0) {
		assert(!chain && fault_is_set(&fault) && fault.details);
		fault_done(&fault);
		(void)certificate_key_write(text, &key, &fault);
		return 0;
	}
	assert(!fault_is_set(&fault));
	ask(chain);
	assert(certificate_chain_write(chain, &first) == 0);
	assert(certificate_chain_read(text_string(&first), &again, NULL) == 0);
	assert(certificate_chain_count(again) == certificate_chain_count(chain));
	assert(certificate_chain_write(again, &second) == 0);
	assert(strcmp(text_string(&first), text_string(&second)) == 0);
	r = certificate_chain_check(chain, text, NOW_S, &fault);
	assert(r == 0 || fault_is_set(&fault));
	return 0;
}
