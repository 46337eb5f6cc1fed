/*
 * An agent's answer is a list, or a signature, or refused; never both. What a list says fits into the
 * bytes that it came in.
 */
#include <assert.h>

#include "client/ssh_agent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t keys[4][ED25519_PUBLIC_SIZE], signature[ED25519_SIGNATURE_SIZE];
	ssize_t count = ssh_agent_read_list(data, size, keys, 4);
	int r = ssh_agent_read_signature(data, size, signature);

	assert(count <= 4);
	assert(count <= 0 || size >= 5 + (size_t)count * (4 + ED25519_PUBLIC_SIZE));
	assert(count < 0 || r < 0);
	assert(r < 0 || size >= 1 + ED25519_SIGNATURE_SIZE);
	return 0;
}
