/*
 * Port Control Protocol, as a server speaks it (RFC 6887)
 *
 * Reads a request and writes a response; keeps no state and does no I/O. Beyond the opcodes ANNOUNCE and
 * MAP it knows the options PREFER_FAILURE, PORT_SET (RFC 7753), and two of private use: HOSTNAME, which
 * asks for a share of a port by host name, and the capability that says that HOSTNAME is understood.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/ip.h"

#define PCP_PORT 5351
#define PCP_CLIENT_PORT 5350 /* where clients hear what they did not ask for */
#define PCP_MESSAGE_MAX 1100 /* bytes of a message, RFC 6887 section 7 */
#define PCP_VERSION 2
#define PCP_NONCE_SIZE 12
#define PCP_HOSTNAMES_MAX 8 /* in one request; more are PCP_NO_RESOURCES */
#define PCP_HOSTNAME_MAX 253 /* the longest name that DNS can have */
#define PCP_PORT_SET_MAX 1024 /* ports that one request is granted at most */
#define PCP_LIFETIME_MAX_S 3600
#define PCP_SHORT_REFUSAL_S 30 /* of what may soon be otherwise, RFC 6887 section 7.4 */

enum pcp_opcode {
	PCP_ANNOUNCE = 0,
	PCP_MAP = 1,
};

enum pcp_result {
	PCP_SUCCESS = 0,
	PCP_UNSUPP_VERSION = 1,
	PCP_NOT_AUTHORIZED = 2,
	PCP_MALFORMED_REQUEST = 3,
	PCP_UNSUPP_OPCODE = 4,
	PCP_UNSUPP_OPTION = 5,
	PCP_MALFORMED_OPTION = 6,
	PCP_NETWORK_FAILURE = 7,
	PCP_NO_RESOURCES = 8,
	PCP_UNSUPP_PROTOCOL = 9,
	PCP_USER_EX_QUOTA = 10,
	PCP_CANNOT_PROVIDE_EXTERNAL = 11,
	PCP_ADDRESS_MISMATCH = 12,
	PCP_HOSTNAME_TAKEN = 192, /* private use */
	PCP_UNSUPP_HOSTNAME = 193,
};

enum pcp_option {
	PCP_OPTION_THIRD_PARTY = 1,
	PCP_OPTION_PREFER_FAILURE = 2,
	PCP_OPTION_FILTER = 3,
	PCP_OPTION_PORT_SET = 130,
	PCP_OPTION_HOSTNAME = 224, /* private use */
	PCP_OPTION_CAPABILITY = 225,
};

struct pcp_hostname {
	char text[PCP_HOSTNAME_MAX + 1]; /* in lower case */
};

struct pcp_request {
	uint8_t opcode; /* as it came, without the R bit */
	enum pcp_result refusal; /* not PCP_SUCCESS: what it is answered with */
	bool whole_map; /* the fields of MAP are there: a refusal echoes them */
	uint32_t lifetime_s; /* 0: delete */
	struct ip_address client; /* that the client thinks it has; an IPv4-mapped one is IPv4 */

	/* Of MAP. */
	uint8_t nonce[PCP_NONCE_SIZE];
	uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP; 0 with port 0: all, only to delete */
	uint16_t internal_port;
	uint16_t external_port; /* suggested; 0: any */
	bool prefer_failure; /* the suggested one or none */
	bool has_port_set;
	uint16_t port_set_size;
	bool port_set_parity;
	struct pcp_hostname hostnames[PCP_HOSTNAMES_MAX];
	size_t hostname_count;
};

/*
 * Reads a request. What is readable but cannot be served has `refusal` set. Returns 0, or -EBADMSG for
 * what deserves no answer: shorter than a header, or a response.
 */
int pcp_request_parse(const uint8_t *data, size_t size, struct pcp_request *ret);

/* Whether the header names the address that the datagram came from; else it passed a NAT. */
bool pcp_client_matches(const struct pcp_request *request, const struct ip_address *source);

struct pcp_response {
	enum pcp_result result;
	uint32_t lifetime_s; /* of the mapping; of a refusal, until it makes sense to ask again (0: not said) */
	uint32_t epoch_s;
	bool capability; /* HOSTNAME is understood: for ANNOUNCE */

	/* Of a granted MAP. */
	uint16_t external_port;
	struct ip_address external;
	uint16_t port_set_size; /* 0: no PORT_SET */
};

/*
 * Writes the response to @request. One to MAP repeats nonce, protocol, internal port, and where it grants
 * something the host names. Returns its size, or -ENOBUFS.
 */
ssize_t pcp_response_write(const struct pcp_request *request, const struct pcp_response *response,
			   uint8_t to[PCP_MESSAGE_MAX]);

/* How long a mapping is granted. */
uint32_t pcp_lifetime(uint32_t wanted_s);

/*
 * Reads a host name of HOSTNAME: labels of 1 to 63 letters, digits and hyphens (none at their ends), "*"
 * alone as the first; no dot at either end. Upper case becomes lower. Returns 0 or -EINVAL.
 */
int pcp_hostname_parse(const uint8_t *bytes, size_t size, struct pcp_hostname *ret);
