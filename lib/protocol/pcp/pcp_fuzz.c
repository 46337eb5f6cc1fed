/*
 * Datagrams from anybody as requests of PCP and of NAT-PMP. What is read obeys its bounds; a response to
 * it can be written, has a whole number of words, and is itself never read as a request.
 */
#include <assert.h>
#include <string.h>

#include "pcp/nat_pmp.h"
#include "pcp/pcp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_hostnames(const struct pcp_request *request)
{
	struct pcp_hostname again;

	assert(request->hostname_count <= PCP_HOSTNAMES_MAX);
	for (size_t i = 0; i < request->hostname_count; i++) {
		const char *text = request->hostnames[i].text;

		assert(pcp_hostname_parse((const uint8_t *)text, strlen(text), &again) == 0);
		assert(strcmp(again.text, text) == 0);
	}
}

static void check_pcp(const uint8_t *data, size_t size)
{
	static const enum pcp_result results[] = { PCP_SUCCESS, PCP_NOT_AUTHORIZED,
						   PCP_NO_RESOURCES };
	uint8_t message[PCP_MESSAGE_MAX];
	struct pcp_request request, again;

	if (pcp_request_parse(data, size, &request) < 0)
		return;
	check_hostnames(&request);
	if (request.refusal == PCP_SUCCESS && request.opcode == PCP_MAP) {
		assert(request.whole_map);
		assert(request.internal_port > 0 || request.lifetime_s == 0);
	}
	for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
		struct pcp_response response = { .result = request.refusal ? request.refusal
									   : results[i],
						 .capability = true,
						 .port_set_size = request.port_set_size };
		ssize_t written = pcp_response_write(&request, &response, message);

		assert(written >= 24 && written % 4 == 0);
		assert(pcp_request_parse(message, (size_t)written, &again) < 0);
	}
}

static void check_nat_pmp(const uint8_t *data, size_t size)
{
	uint8_t message[NAT_PMP_RESPONSE_MAX];
	struct nat_pmp_request request, again;
	struct nat_pmp_response response;
	size_t written;

	if (nat_pmp_request_parse(data, size, &request) < 0)
		return;
	assert(request.internal_port > 0 || request.lifetime_s == 0);
	response = (struct nat_pmp_response){ .result = request.refusal };
	written = nat_pmp_response_write(&request, &response, message);
	assert(written == 8 || written == 12 || written == 16);
	assert(nat_pmp_request_parse(message, written, &again) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > PCP_MESSAGE_MAX + 64)
		return 0;
	check_pcp(data, size);
	check_nat_pmp(data, size);
	return 0;
}
