#include "wireguard/ip_packet.h"

#include "base/bytes.h"

#define ECN_MASK 3
#define IPV4_HEADER_MIN 20
#define IPV6_HEADER 40

enum ecn {
	ECN_NOT_ECT = 0,
	ECN_ECT1 = 1,
	ECN_ECT0 = 2,
	ECN_CE = 3,
};

static int parse_v4(struct reader *r, size_t available, struct ip_packet *ret)
{
	size_t header = (size_t)(reader_u8(r) & 0x0f) * 4;

	ret->ecn = reader_u8(r) & ECN_MASK;
	ret->size = reader_u16(r);
	(void)reader_take(r, 8);
	ret->source = reader_take(r, 4);
	ret->destination = reader_take(r, 4);
	if (r->failed || header < IPV4_HEADER_MIN || ret->size < header || ret->size > available)
		return -EBADMSG;
	return 0;
}

static int parse_v6(struct reader *r, size_t available, struct ip_packet *ret)
{
	ret->ecn = (uint8_t)(reader_u16(r) >> 4) & ECN_MASK;
	(void)reader_u16(r);
	ret->size = IPV6_HEADER + (size_t)reader_u16(r);
	(void)reader_u16(r);
	ret->source = reader_take(r, 16);
	ret->destination = reader_take(r, 16);
	return r->failed || ret->size > available ? -EBADMSG : 0;
}

int ip_packet_parse(const uint8_t *data, size_t size, struct ip_packet *ret)
{
	struct reader r;
	uint8_t version;

	reader_init(&r, data, size);
	version = size > 0 ? data[0] >> 4 : 0;
	ret->v6 = version == 6;
	if (version == 4)
		return parse_v4(&r, size, ret);
	if (version == 6)
		return parse_v6(&r, size, ret);
	return -EBADMSG;
}

uint8_t ip_packet_ecn(const uint8_t *data, size_t size)
{
	if (size < IPV4_HEADER_MIN)
		return 0;
	if (data[0] >> 4 == 4)
		return data[1] & ECN_MASK;
	return data[0] >> 4 == 6 ? data[1] >> 4 & ECN_MASK : 0;
}

/* The checksum follows the one word that changed (RFC 1624, equation 3). */
static void set_ecn_v4(uint8_t *data, uint8_t ecn)
{
	uint32_t old = (uint32_t)data[0] << 8 | data[1];
	uint32_t sum = (uint32_t)data[10] << 8 | data[11];
	uint32_t new;

	data[1] = (uint8_t)((data[1] & ~ECN_MASK) | ecn);
	new = (uint32_t)data[0] << 8 | data[1];
	sum = (~sum & 0xffff) + (~old & 0xffff) + new;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	data[10] = (uint8_t)(~sum >> 8);
	data[11] = (uint8_t)~sum;
}

void ip_packet_take_ecn(uint8_t *data, const struct ip_packet *packet, uint8_t outer_ds)
{
	uint8_t outer = outer_ds & ECN_MASK;
	uint8_t ecn = packet->ecn;

	if (ecn == ECN_NOT_ECT)
		return;
	if (outer == ECN_CE || (outer == ECN_ECT1 && ecn == ECN_ECT0))
		ecn = outer;
	if (ecn == packet->ecn)
		return;
	if (packet->v6)
		data[1] = (uint8_t)((data[1] & ~(ECN_MASK << 4)) | ecn << 4);
	else
		set_ecn_v4(data, ecn);
}
