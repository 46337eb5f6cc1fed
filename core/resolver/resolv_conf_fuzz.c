/*
 * Any file as a resolv.conf: what is read are servers, each once, none of this machine itself; and written as a
 * resolv.conf they are read again.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "resolver/resolver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(text_done) struct text again = { 0 };
	struct resolver_servers servers, second;
	char *text = calloc(1, size + 1);

	assert(text);
	memcpy(text, data, size);
	resolver_parse_conf(text, &servers);
	free(text);
	assert(servers.count <= RESOLVER_SERVERS_MAX);
	for (size_t i = 0; i < servers.count; i++) {
		const struct ip_address *address = &servers.list[i].address;
		char spelled[IP_TEXT_MAX];

		assert(servers.list[i].port == 53);
		assert(address->family != AF_INET || address->bytes[0] != 127);
		for (size_t j = 0; j < i; j++)
			assert(!ip_equal(address, &servers.list[j].address));
		text_printf(&again, "nameserver %s\n", ip_format(address, spelled));
	}
	resolver_parse_conf(text_string(&again), &second);
	assert(second.count == servers.count);
	return 0;
}
