/*
 * NAT Port Mapping Protocol, as a gateway speaks it (RFC 6886)
 *
 * The elder of PCP, on the same port. Reads a request and writes a response; keeps no state.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define NAT_PMP_RESPONSE_MAX 16

enum nat_pmp_opcode {
	NAT_PMP_ADDRESS = 0,
	NAT_PMP_MAP_UDP = 1,
	NAT_PMP_MAP_TCP = 2,
};

enum nat_pmp_result {
	NAT_PMP_SUCCESS = 0,
	NAT_PMP_UNSUPP_VERSION = 1,
	NAT_PMP_NOT_AUTHORIZED = 2,
	NAT_PMP_NETWORK_FAILURE = 3,
	NAT_PMP_NO_RESOURCES = 4,
	NAT_PMP_UNSUPP_OPCODE = 5,
};

struct nat_pmp_request {
	uint8_t opcode;
	enum nat_pmp_result refusal; /* not NAT_PMP_SUCCESS: what it is answered with */
	uint8_t protocol; /* of a mapping: IPPROTO_TCP or IPPROTO_UDP */
	uint16_t internal_port; /* 0: all, only to delete */
	uint16_t external_port; /* suggested; 0: any */
	uint32_t lifetime_s; /* 0: delete */
};

/* Whether a datagram is of this protocol and not of PCP. */
bool nat_pmp_is(const uint8_t *data, size_t size);

/* Reads a request. Returns 0, or -EBADMSG for what deserves no answer. */
int nat_pmp_request_parse(const uint8_t *data, size_t size, struct nat_pmp_request *ret);

struct nat_pmp_response {
	enum nat_pmp_result result;
	uint32_t epoch_s;
	uint32_t address; /* the external one, for NAT_PMP_ADDRESS; 0: none */
	uint16_t external_port; /* of a mapping; 0 where it is deleted or refused */
	uint32_t lifetime_s;
};

/* Writes the response. Returns its size. */
size_t nat_pmp_response_write(const struct nat_pmp_request *request,
			      const struct nat_pmp_response *response,
			      uint8_t to[NAT_PMP_RESPONSE_MAX]);
