#include "offload/segmenter.h"

#include "base/cleanup.h"
#include "offload/ip_header.h"
#include "offload/virtio.h"

/* Whether the outer header is an IP header that reaches up to the transport header at @transport. */
static bool ip_header_fits(const uint8_t *packet, size_t transport)
{
	if (packet_is_v6(packet))
		return transport >= IPV6_SIZE;
	return packet[0] >> 4 == 4 && transport >= IPV4_SIZE &&
	       transport == ipv4_header_size(packet);
}

static int init_checksum_only(struct segmenter *s, const struct virtio_net_hdr *header)
{
	s->payload_max = s->size;
	s->transport = SIZE_MAX;
	if (!(header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return 0;
	s->transport = header->csum_start;
	s->checksum = s->transport + header->csum_offset;
	return s->checksum + sizeof(uint16_t) <= s->size ? 0 : -EINVAL;
}

static int init_udp(struct segmenter *s)
{
	s->protocol = IPPROTO_UDP;
	s->headers = s->transport + UDP_SIZE;
	s->checksum = s->transport + UDP_CHECKSUM;
	return s->headers < s->size ? 0 : -EINVAL;
}

static int init_tcp(struct segmenter *s)
{
	size_t tcp_size;

	if (s->size < s->transport + TCP_SIZE)
		return -EINVAL;
	tcp_size = (size_t)(s->packet[s->transport + TCP_DATA_OFFSET] >> 4) * 4;
	s->protocol = IPPROTO_TCP;
	s->headers = s->transport + tcp_size;
	s->checksum = s->transport + TCP_CHECKSUM;
	return tcp_size >= TCP_SIZE && s->headers < s->size ? 0 : -EINVAL;
}

static int init_super_packet(struct segmenter *s, const struct virtio_net_hdr *header)
{
	unsigned kind = header->gso_type & ~(unsigned)VIRTIO_NET_HDR_GSO_ECN;
	unsigned tcp = packet_is_v6(s->packet) ? VIRTIO_NET_HDR_GSO_TCPV6
					       : VIRTIO_NET_HDR_GSO_TCPV4;
	int r;

	s->transport = header->csum_start;
	if (!(header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) || header->gso_size == 0)
		return -EINVAL;
	if (s->size > UINT16_MAX || s->size < s->transport ||
	    !ip_header_fits(s->packet, s->transport))
		return -EINVAL;
	if (kind == VIRTIO_NET_HDR_GSO_UDP_L4)
		r = init_udp(s);
	else
		r = kind == tcp ? init_tcp(s) : -EINVAL;
	if (r < 0)
		return r;
	s->at = s->headers;
	s->payload_max = header->gso_size;
	s->pseudo_sum = pseudo_header_sum(s->packet, s->protocol);
	return 0;
}

int segmenter_init(struct segmenter *s, const struct virtio_net_hdr *header, const uint8_t *packet,
		   size_t size)
{
	*s = (struct segmenter){ .packet = packet, .size = size };
	if (size == 0)
		return -EINVAL;
	if (header->gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return init_checksum_only(s, header);
	return init_super_packet(s, header);
}

size_t segmenter_size(const struct segmenter *s)
{
	size_t left = s->size - s->at;

	if (left == 0)
		return 0;
	return s->headers + (left < s->payload_max ? left : s->payload_max);
}

size_t segmenter_count(const struct segmenter *s)
{
	size_t left = s->size - s->at;

	if (left <= s->payload_max) /* of most packets, without a division */
		return left > 0;
	return (left + s->payload_max - 1) / s->payload_max;
}

/* In UDP a checksum of zero says that there is none (RFC 768); 0xffff is the same number. */
static void store_checksum(uint8_t *to, uint64_t sum, bool udp)
{
	uint16_t checksum = (uint16_t)~checksum_fold(sum);

	store_sum(to, checksum == 0 && udp ? UINT16_MAX : checksum);
}

/* The only segment: the packet as it is, its checksum made from the pseudo header's sum in it. */
static void copy_whole(struct segmenter *s, uint8_t *to)
{
	uint64_t sum;

	s->at = s->size;
	if (s->transport == SIZE_MAX) {
		memcpy(to, s->packet, s->size);
		return;
	}
	memcpy(to, s->packet, s->transport);
	sum = checksum_copy(0, to + s->transport, s->packet + s->transport, s->size - s->transport);
	store_checksum(to + s->checksum, sum, s->checksum - s->transport == UDP_CHECKSUM);
}

/* What of the TCP header differs between segments: FIN and PSH belong to the last, CWR to the first. */
static void set_tcp_header(const struct segmenter *s, uint8_t *tcp, bool last)
{
	store_u32(tcp + TCP_SEQUENCE,
		  load_u32(tcp + TCP_SEQUENCE) + (uint32_t)(s->at - s->headers));
	if (!last)
		tcp[TCP_FLAGS] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	if (s->index > 0)
		tcp[TCP_FLAGS] &= (uint8_t)~TCP_CWR;
}

void segmenter_next(struct segmenter *s, uint8_t *to)
{
	size_t size = segmenter_size(s);
	size_t payload = size - s->headers;
	uint64_t sum = s->pseudo_sum + htons((uint16_t)(size - s->transport));
	uint8_t *transport = to + s->transport;

	if (s->protocol == 0) {
		copy_whole(s, to);
		return;
	}
	memcpy(to, s->packet, s->headers);
	if (!packet_is_v6(to))
		store_u16(to + IPV4_ID, (uint16_t)(load_u16(to + IPV4_ID) + s->index));
	set_ip_length(to, size);
	if (s->protocol == IPPROTO_TCP)
		set_tcp_header(s, transport, s->at + payload == s->size);
	else
		store_u16(transport + UDP_LENGTH, (uint16_t)(size - s->transport));
	store_u16(to + s->checksum, 0);
	sum = checksum_add(sum, transport, s->headers - s->transport);
	sum = checksum_copy(sum, to + s->headers, s->packet + s->at, payload);
	store_checksum(to + s->checksum, sum, s->protocol == IPPROTO_UDP);
	s->at += payload;
	s->index++;
}
