#include "pcp/nat_pmp.h"

#include <errno.h>
#include <netinet/in.h>

#include "base/bytes.h"

#define RESPONSE_BIT 0x80
#define MAP_SIZE 12

bool nat_pmp_is(const uint8_t *data, size_t size)
{
	return size >= 2 && data[0] == 0;
}

int nat_pmp_request_parse(const uint8_t *data, size_t size, struct nat_pmp_request *ret)
{
	struct reader r;

	*ret = (struct nat_pmp_request){ 0 };
	if (!nat_pmp_is(data, size) || data[1] & RESPONSE_BIT)
		return -EBADMSG;
	reader_init(&r, data, size);
	(void)reader_u8(&r);
	ret->opcode = reader_u8(&r);
	if (ret->opcode == NAT_PMP_ADDRESS)
		return 0;
	if (ret->opcode > NAT_PMP_MAP_TCP) {
		ret->refusal = NAT_PMP_UNSUPP_OPCODE;
		return 0;
	}
	if (size < MAP_SIZE)
		return -EBADMSG;
	(void)reader_u16(&r);
	ret->protocol = ret->opcode == NAT_PMP_MAP_UDP ? IPPROTO_UDP : IPPROTO_TCP;
	ret->internal_port = reader_u16(&r);
	ret->external_port = reader_u16(&r);
	ret->lifetime_s = reader_u32(&r);
	/* There is no code for a request that makes no sense. */
	if (ret->internal_port == 0 && ret->lifetime_s > 0)
		return -EBADMSG;
	return 0;
}

size_t nat_pmp_response_write(const struct nat_pmp_request *request,
			      const struct nat_pmp_response *response,
			      uint8_t to[NAT_PMP_RESPONSE_MAX])
{
	bool granted = response->result == NAT_PMP_SUCCESS;
	struct writer w;

	writer_init(&w, to, NAT_PMP_RESPONSE_MAX);
	writer_u8(&w, 0);
	writer_u8(&w, request->opcode | RESPONSE_BIT);
	writer_u16(&w, (uint16_t)response->result);
	writer_u32(&w, response->epoch_s);
	if (request->opcode == NAT_PMP_ADDRESS) {
		writer_u32(&w, granted ? response->address : 0);
	} else if (request->opcode <= NAT_PMP_MAP_TCP) {
		writer_u16(&w, request->internal_port);
		writer_u16(&w, granted ? response->external_port : 0);
		writer_u32(&w, granted ? response->lifetime_s : 0);
	}
	return (size_t)(w.at - w.start);
}
