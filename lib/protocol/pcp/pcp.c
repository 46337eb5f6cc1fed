#include "pcp/pcp.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/bytes.h"

#define HEADER_SIZE 24
#define MAP_SIZE 36 /* behind the header */
#define RESPONSE_BIT 0x80
#define OPTIONAL_BIT 0x80 /* of an option's code: who does not know it passes over it */
#define OPTION_HEADER_SIZE 4
#define PORT_SET_DATA_SIZE 5

static const uint8_t capability[] = { 'S', '9', 0x3b, 0x01 };

/* An address of 16 bytes, IPv4 in its mapped form. */
static struct ip_address read_address(struct reader *r)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct ip_address address = { .family = AF_INET6 };

	reader_copy(r, address.bytes, 16);
	if (memcmp(address.bytes, mapped, sizeof(mapped)) != 0)
		return address;
	address.family = AF_INET;
	memmove(address.bytes, address.bytes + 12, 4);
	memset(address.bytes + 4, 0, 12);
	return address;
}

static void write_address(struct writer *w, const struct ip_address *address)
{
	if (address->family == AF_INET6) {
		writer_copy(w, address->bytes, 16);
		return;
	}
	writer_zero(w, 10);
	writer_u16(w, 0xffff);
	writer_copy(w, address->bytes, 4);
}

static enum pcp_result read_hostname(struct pcp_request *request, const uint8_t *data, size_t size)
{
	if (request->hostname_count == PCP_HOSTNAMES_MAX)
		return PCP_NO_RESOURCES;
	if (pcp_hostname_parse(data, size, &request->hostnames[request->hostname_count]) < 0)
		return PCP_MALFORMED_OPTION;
	request->hostname_count++;
	return PCP_SUCCESS;
}

/* The first one counts. */
static enum pcp_result read_port_set(struct pcp_request *request, const uint8_t *data, size_t size)
{
	struct reader r;

	if (request->has_port_set)
		return PCP_SUCCESS;
	reader_init(&r, data, size);
	request->has_port_set = true;
	request->port_set_size = reader_u16(&r);
	(void)reader_u16(&r); /* the first internal port, which the header has already */
	request->port_set_parity = reader_u8(&r) & 1;
	return r.failed || request->port_set_size == 0 ? PCP_MALFORMED_OPTION : PCP_SUCCESS;
}

static enum pcp_result read_option(struct pcp_request *request, uint8_t code, const uint8_t *data,
				   size_t size)
{
	switch (code) {
	case PCP_OPTION_PREFER_FAILURE:
		request->prefer_failure = true;
		return size == 0 ? PCP_SUCCESS : PCP_MALFORMED_OPTION;
	case PCP_OPTION_PORT_SET:
		return read_port_set(request, data, size);
	case PCP_OPTION_HOSTNAME:
		return read_hostname(request, data, size);
	default:
		return code & OPTIONAL_BIT ? PCP_SUCCESS : PCP_UNSUPP_OPTION;
	}
}

/* Options up to the end; the padding of the last one may be missing, and fewer than four bytes mean
 * nothing. All are read, so that the answer to a broken list does not hang on their order. */
static enum pcp_result read_options(struct pcp_request *request, struct reader *r)
{
	enum pcp_result result = PCP_SUCCESS;

	while (reader_left(r) >= OPTION_HEADER_SIZE) {
		uint8_t code = reader_u8(r);
		size_t size, padding;
		const uint8_t *data;
		enum pcp_result one;

		(void)reader_u8(r);
		size = reader_u16(r);
		padding = (4 - size % 4) % 4;
		data = reader_take(r, size);
		if (r->failed)
			return PCP_MALFORMED_OPTION;
		(void)reader_take(r, padding < reader_left(r) ? padding : reader_left(r));
		one = read_option(request, code, data, size);
		if (result == PCP_SUCCESS)
			result = one;
	}
	return result;
}

static enum pcp_result check_map(const struct pcp_request *request)
{
	/* "All ports" can only be deleted here. */
	if (request->internal_port == 0)
		return request->lifetime_s == 0 && request->protocol == 0 ? PCP_SUCCESS
									  : PCP_MALFORMED_REQUEST;
	if (request->hostname_count > 0)
		return request->protocol == IPPROTO_TCP ? PCP_SUCCESS : PCP_UNSUPP_HOSTNAME;
	if (request->protocol == 0)
		return PCP_MALFORMED_REQUEST; /* a port without a protocol, RFC 6887 section 11.2 */
	return request->protocol == IPPROTO_TCP || request->protocol == IPPROTO_UDP
		       ? PCP_SUCCESS
		       : PCP_UNSUPP_PROTOCOL;
}

static enum pcp_result read_map(struct pcp_request *request, struct reader *r)
{
	enum pcp_result result;

	if (reader_left(r) < MAP_SIZE)
		return PCP_MALFORMED_REQUEST;
	reader_copy(r, request->nonce, PCP_NONCE_SIZE);
	request->protocol = reader_u8(r);
	(void)reader_take(r, 3);
	request->internal_port = reader_u16(r);
	request->external_port = reader_u16(r);
	(void)reader_take(r, 16); /* the suggested address: a device has one */
	request->whole_map = true;
	result = read_options(request, r);
	return result == PCP_SUCCESS ? check_map(request) : result;
}

int pcp_request_parse(const uint8_t *data, size_t size, struct pcp_request *ret)
{
	struct reader r;
	uint8_t version;

	*ret = (struct pcp_request){ 0 };
	reader_init(&r, data, size);
	version = reader_u8(&r);
	ret->opcode = reader_u8(&r);
	if (size < HEADER_SIZE || ret->opcode & RESPONSE_BIT)
		return -EBADMSG;
	(void)reader_u16(&r);
	ret->lifetime_s = reader_u32(&r);
	ret->client = read_address(&r);
	if (version != PCP_VERSION)
		ret->refusal = PCP_UNSUPP_VERSION;
	else if (size > PCP_MESSAGE_MAX)
		ret->refusal = PCP_MALFORMED_REQUEST;
	else if (ret->opcode == PCP_MAP)
		ret->refusal = read_map(ret, &r);
	else if (ret->opcode != PCP_ANNOUNCE)
		ret->refusal = PCP_UNSUPP_OPCODE;
	return 0;
}

bool pcp_client_matches(const struct pcp_request *request, const struct ip_address *source)
{
	return ip_equal(&request->client, source);
}

static void write_option(struct writer *w, uint8_t code, const void *data, size_t size)
{
	writer_u8(w, code);
	writer_u8(w, 0);
	writer_u16(w, (uint16_t)size);
	writer_copy(w, data, size);
	writer_zero(w, (4 - size % 4) % 4);
}

static void write_port_set(struct writer *w, const struct pcp_request *request, uint16_t size)
{
	uint8_t data[PORT_SET_DATA_SIZE];
	struct writer inner;

	writer_init(&inner, data, sizeof(data));
	writer_u16(&inner, size);
	writer_u16(&inner, request->internal_port);
	writer_u8(&inner, 0);
	write_option(w, PCP_OPTION_PORT_SET, data, sizeof(data));
}

/* A refusal names no address, and no port of either side where the asker has no business here. */
static void write_map(struct writer *w, const struct pcp_request *request,
		      const struct pcp_response *response)
{
	static const struct ip_address none = { .family = AF_INET };
	bool granted = response->result == PCP_SUCCESS;

	writer_copy(w, request->nonce, PCP_NONCE_SIZE);
	writer_u8(w, request->protocol);
	writer_zero(w, 3);
	writer_u16(w, response->result == PCP_NOT_AUTHORIZED ? 0 : request->internal_port);
	writer_u16(w, granted ? response->external_port : 0);
	write_address(w, granted && response->external.family != 0 ? &response->external : &none);
	if (!granted)
		return;
	for (size_t i = 0; i < request->hostname_count; i++)
		write_option(w, PCP_OPTION_HOSTNAME, request->hostnames[i].text,
			     strlen(request->hostnames[i].text));
	if (response->port_set_size > 0)
		write_port_set(w, request, response->port_set_size);
}

ssize_t pcp_response_write(const struct pcp_request *request, const struct pcp_response *response,
			   uint8_t to[PCP_MESSAGE_MAX])
{
	bool granted = response->result == PCP_SUCCESS;
	struct writer w;

	writer_init(&w, to, PCP_MESSAGE_MAX);
	writer_u8(&w, PCP_VERSION);
	writer_u8(&w, request->opcode | RESPONSE_BIT);
	writer_u8(&w, 0);
	writer_u8(&w, (uint8_t)response->result);
	writer_u32(&w, response->lifetime_s);
	writer_u32(&w, response->epoch_s);
	writer_zero(&w, 12);
	if (request->opcode == PCP_ANNOUNCE && granted && response->capability)
		write_option(&w, PCP_OPTION_CAPABILITY, capability, sizeof(capability));
	else if (request->whole_map)
		write_map(&w, request, response);
	return writer_size(&w);
}

uint32_t pcp_lifetime(uint32_t wanted_s)
{
	return wanted_s < PCP_LIFETIME_MAX_S ? wanted_s : PCP_LIFETIME_MAX_S;
}
