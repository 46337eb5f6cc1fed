/*
 * Packets are kept in items, one for each write to come, in the order of their first packets. A
 * table with one place for each hash of a flow says which item the next packet of the flow may join.
 * A flow that loses its place to another one begins a new item with its next packet: that costs a
 * write, and never the order.
 */
#include "offload/coalescer.h"

#include <assert.h>

#include "offload/ip_header.h"
#include "offload/virtio.h"

#define FLOWS 256 /* places in the table; a power of two */
#define NO_ITEM UINT32_MAX
#define NO_PART UINT32_MAX
#define UDP_SEGMENTS_MAX 64 /* kernels before 6.9 take no more */
#define TCP_SEGMENTS_MAX 1024 /* no bound of the kernel, but of one writev(), the header included */
#define SUPER_PACKET_MAX 65535

struct part {
	uint8_t *data;
	uint32_t size;
	uint32_t next; /* part of the same item */
};

/* A packet that coalescing could concern, taken apart. */
struct segment {
	uint8_t *packet;
	uint32_t size;
	uint16_t transport;
	uint16_t headers;
	uint8_t protocol;
};

struct item {
	struct segment head;
	uint32_t size; /* of all together, one header */
	uint32_t payload_max; /* that of the first packet */
	uint32_t next_sequence;
	uint32_t first_part;
	uint32_t last_part;
	uint16_t count;
	bool open; /* may be joined */
	bool verified; /* the first packet's checksums were found right */
	bool push; /* the last one has PSH */
};

struct coalescer {
	unsigned kinds;
	uint32_t capacity;
	uint32_t part_count;
	uint32_t item_count;
	uint32_t next_item;
	uint32_t flows[FLOWS];
	struct part *parts;
	struct item *items;
	struct virtio_net_hdr header;
	struct iovec vector[TCP_SEGMENTS_MAX];
};

int coalescer_new(unsigned kinds, size_t capacity, struct coalescer **ret)
{
	CLEANUP(coalescer_free) struct coalescer *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->kinds = kinds;
	c->capacity = (uint32_t)capacity;
	c->parts = calloc(capacity, sizeof(*c->parts));
	c->items = calloc(capacity, sizeof(*c->items));
	if (!c->parts || !c->items)
		return -ENOMEM;
	coalescer_clear(c);
	*ret = TAKE_PTR(c);
	return 0;
}

struct coalescer *coalescer_free(struct coalescer *c)
{
	if (!c)
		return NULL;
	free(c->parts);
	free(c->items);
	free(c);
	return NULL;
}

void coalescer_disable(struct coalescer *c, unsigned kinds)
{
	c->kinds &= ~kinds;
}

unsigned coalescer_kinds(const struct coalescer *c)
{
	return c->kinds;
}

static void forget_flows(struct coalescer *c)
{
	memset(c->flows, 0xff, sizeof(c->flows)); /* NO_ITEM */
}

void coalescer_clear(struct coalescer *c)
{
	c->part_count = c->item_count = c->next_item = 0;
	forget_flows(c);
}

enum parse_result {
	PARSED, /* TCP or UDP with payload, in one piece */
	NOT_A_FLOW, /* neither: nobody expects an order with a flow's packets */
	ODD, /* belongs to a flow perhaps, in a form that is not worth the work */
};

static enum parse_result parse_transport(struct segment *s)
{
	const uint8_t *at = s->packet + s->transport;
	uint32_t left = s->size - s->transport;
	uint32_t header = UDP_SIZE;

	if (s->protocol == IPPROTO_TCP) {
		if (left < TCP_SIZE)
			return ODD;
		header = (uint32_t)(at[TCP_DATA_OFFSET] >> 4) * 4;
		if (header < TCP_SIZE)
			return ODD;
	} else if (left < UDP_SIZE || load_u16(at + UDP_LENGTH) != left ||
		   load_u16(at + UDP_CHECKSUM) == 0) {
		return ODD;
	}
	if (left < header)
		return ODD;
	s->headers = (uint16_t)(s->transport + header);
	return PARSED;
}

static bool is_coalescable(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
}

static enum parse_result parse_v4(struct segment *s)
{
	const uint8_t *ip = s->packet;

	if (s->size < IPV4_SIZE)
		return ODD;
	/* Reserved bit, more fragments, or an offset. */
	if ((load_u16(ip + IPV4_FRAGMENT) & ~IPV4_DONT_FRAGMENT) != 0)
		return ODD;
	s->protocol = ip[IPV4_PROTOCOL];
	if (!is_coalescable(s->protocol))
		return NOT_A_FLOW;
	if (ipv4_header_size(ip) != IPV4_SIZE || load_u16(ip + IPV4_TOTAL_LENGTH) != s->size)
		return ODD;
	s->transport = IPV4_SIZE;
	return parse_transport(s);
}

static enum parse_result parse_v6(struct segment *s)
{
	const uint8_t *ip = s->packet;

	if (s->size < IPV6_SIZE)
		return ODD;
	s->protocol = ip[IPV6_NEXT_HEADER];
	if (s->protocol == IPPROTO_ICMPV6)
		return NOT_A_FLOW;
	if (!is_coalescable(s->protocol) ||
	    load_u16(ip + IPV6_PAYLOAD_LENGTH) + (uint32_t)IPV6_SIZE != s->size)
		return ODD;
	s->transport = IPV6_SIZE;
	return parse_transport(s);
}

static enum parse_result parse(struct segment *s)
{
	if (s->size == 0 || s->size > SUPER_PACKET_MAX)
		return ODD;
	switch (s->packet[0] >> 4) {
	case 4:
		return parse_v4(s);
	case 6:
		return parse_v6(s);
	default:
		return NOT_A_FLOW;
	}
}

/* A hash that is not keyed: who makes flows collide loses throughput of these flows, not more. */
static uint32_t *flow_of(struct coalescer *c, const struct segment *s)
{
	bool v6 = packet_is_v6(s->packet);
	const uint8_t *at = s->packet + (v6 ? IPV6_SOURCE : IPV4_SOURCE);
	const uint8_t *end = at + (v6 ? 32 : 8);
	uint32_t hash = s->protocol ^ load_u32(s->packet + s->transport);

	for (; at < end; at += 4)
		hash = (hash ^ load_u32(at)) * 0x9e3779b1;
	return &c->flows[hash >> 24 & (FLOWS - 1)];
}

/*
 * Whether the checksums are right, and those that segmentation makes: 0xffff is right where zero is, but no usual
 * sender's in a header that holds anything (RFC 1624), but for UDP's.
 */
static bool checksums_right(const struct segment *s)
{
	uint64_t sum = pseudo_header_sum(s->packet, s->protocol);

	if (!packet_is_v6(s->packet) &&
	    (load_u16(s->packet + IPV4_CHECKSUM) == UINT16_MAX ||
	     checksum_fold(checksum_add(0, s->packet, IPV4_SIZE)) != UINT16_MAX))
		return false;
	if (s->protocol == IPPROTO_TCP &&
	    load_u16(s->packet + s->transport + TCP_CHECKSUM) == UINT16_MAX)
		return false;
	sum += htons((uint16_t)(s->size - s->transport));
	sum = checksum_add(sum, s->packet + s->transport, s->size - s->transport);
	return checksum_fold(sum) == UINT16_MAX;
}

/* Everything of the IP headers alike but what segmentation makes anew. @index: of @b behind @a. */
static bool ip_headers_match(const uint8_t *a, const uint8_t *b, uint16_t index)
{
	if (memcmp(a, b, 2) != 0)
		return false; /* version, header size, traffic class */
	if (packet_is_v6(a))
		return memcmp(a + 2, b + 2, 2) == 0 &&
		       memcmp(a + IPV6_NEXT_HEADER, b + IPV6_NEXT_HEADER, 34) == 0;
	if (!(load_u16(a + IPV4_FRAGMENT) & IPV4_DONT_FRAGMENT) &&
	    load_u16(b + IPV4_ID) != (uint16_t)(load_u16(a + IPV4_ID) + index))
		return false;
	return memcmp(a + IPV4_FRAGMENT, b + IPV4_FRAGMENT, 4) == 0 &&
	       memcmp(a + IPV4_SOURCE, b + IPV4_SOURCE, 8) == 0;
}

static bool tcp_headers_match(const struct item *item, const struct segment *s)
{
	const uint8_t *a = item->head.packet + item->head.transport;
	const uint8_t *b = s->packet + s->transport;

	return s->headers == item->head.headers && memcmp(a, b, 4) == 0 &&
	       load_u32(b + TCP_SEQUENCE) == item->next_sequence &&
	       memcmp(a + TCP_ACKNOWLEDGMENT, b + TCP_ACKNOWLEDGMENT, 5) == 0 &&
	       ((a[TCP_FLAGS] ^ b[TCP_FLAGS]) & ~TCP_PSH) == 0 &&
	       memcmp(a + TCP_WINDOW, b + TCP_WINDOW, 2) == 0 &&
	       memcmp(a + TCP_URGENT, b + TCP_URGENT, (size_t)(s->headers - s->transport) - 18) ==
		       0;
}

static bool may_join(struct item *item, const struct segment *s)
{
	bool tcp = s->protocol == IPPROTO_TCP;
	uint32_t payload = s->size - s->headers;

	if (!item->open || item->head.protocol != s->protocol || payload > item->payload_max ||
	    item->size + payload > SUPER_PACKET_MAX)
		return false;
	if (item->count + 2U > (tcp ? TCP_SEGMENTS_MAX : UDP_SEGMENTS_MAX + 1U))
		return false;
	if (!ip_headers_match(item->head.packet, s->packet, item->count))
		return false;
	if (tcp ? !tcp_headers_match(item, s)
		: memcmp(item->head.packet + item->head.transport, s->packet + s->transport, 4) !=
			    0)
		return false;
	if (!item->verified) {
		item->verified = checksums_right(&item->head);
		item->open = item->verified;
	}
	return item->verified && checksums_right(s);
}

static uint32_t add_part(struct coalescer *c, uint8_t *data, uint32_t size)
{
	c->parts[c->part_count] = (struct part){ .data = data, .size = size, .next = NO_PART };
	return c->part_count++;
}

static bool has_push(const struct segment *s)
{
	return s->protocol == IPPROTO_TCP && (s->packet[s->transport + TCP_FLAGS] & TCP_PSH);
}

static void join(struct coalescer *c, struct item *item, const struct segment *s)
{
	uint32_t payload = s->size - s->headers;
	uint32_t part = add_part(c, s->packet + s->headers, payload);

	c->parts[item->last_part].next = part;
	item->last_part = part;
	item->size += payload;
	item->next_sequence += payload;
	item->count++;
	item->push = has_push(s);
	item->open = payload == item->payload_max && !item->push;
}

/* Whether others may follow a packet in its item: nothing that only a last segment can have. */
static bool may_lead(const struct coalescer *c, const struct segment *s)
{
	uint8_t flags;

	if (s->size == s->headers)
		return false;
	if (s->protocol == IPPROTO_UDP)
		return c->kinds & COALESCE_UDP;
	flags = s->packet[s->transport + TCP_FLAGS];
	return (c->kinds & COALESCE_TCP) && (flags & ~TCP_ECE) == TCP_ACK;
}

static void add_item(struct coalescer *c, const struct segment *s, bool open)
{
	struct item *item = &c->items[c->item_count++];
	uint32_t part = add_part(c, s->packet, s->size);

	*item = (struct item){
		.head = *s,
		.size = s->size,
		.payload_max = s->size - s->headers,
		.first_part = part,
		.last_part = part,
		.count = 1,
		.open = open,
	};
	if (open && s->protocol == IPPROTO_TCP)
		item->next_sequence =
			load_u32(s->packet + s->transport + TCP_SEQUENCE) + item->payload_max;
}

void coalescer_add(struct coalescer *c, uint8_t *packet, size_t size)
{
	struct segment s = { .packet = packet, .size = (uint32_t)size };
	enum parse_result parsed = parse(&s);
	uint32_t *flow;

	assert(c->part_count < c->capacity);
	if (parsed != PARSED) {
		if (parsed == ODD)
			forget_flows(c); /* nothing that comes later joins what came before it */
		add_item(c, &s, false);
		return;
	}
	flow = flow_of(c, &s);
	if (s.size > s.headers && *flow != NO_ITEM && may_join(&c->items[*flow], &s)) {
		join(c, &c->items[*flow], &s);
		return;
	}
	*flow = c->item_count;
	add_item(c, &s, may_lead(c, &s));
}

/* Makes the first packet's headers those of the whole. */
static void finish_headers(struct coalescer *c, const struct item *item)
{
	uint8_t *packet = item->head.packet;
	uint8_t *transport = packet + item->head.transport;
	uint16_t size = (uint16_t)(item->size - item->head.transport);
	bool tcp = item->head.protocol == IPPROTO_TCP;
	size_t checksum = tcp ? TCP_CHECKSUM : UDP_CHECKSUM;

	set_ip_length(packet, item->size);
	if (tcp && item->push)
		transport[TCP_FLAGS] |= TCP_PSH;
	if (!tcp)
		store_u16(transport + UDP_LENGTH, size);
	store_sum(transport + checksum,
		  checksum_fold(pseudo_header_sum(packet, item->head.protocol) + htons(size)));
	c->header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	c->header.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
	if (tcp)
		c->header.gso_type = packet_is_v6(packet) ? VIRTIO_NET_HDR_GSO_TCPV6
							  : VIRTIO_NET_HDR_GSO_TCPV4;
	c->header.hdr_len = item->head.headers;
	c->header.gso_size = (uint16_t)item->payload_max;
	c->header.csum_start = item->head.transport;
	c->header.csum_offset = (uint16_t)checksum;
}

bool coalescer_next(struct coalescer *c, struct coalesced *ret)
{
	const struct item *item = &c->items[c->next_item];
	size_t count = 1;

	if (c->next_item == c->item_count)
		return false;
	c->next_item++;
	c->header = (struct virtio_net_hdr){ 0 };
	if (item->count > 1)
		finish_headers(c, item);
	c->vector[0] = (struct iovec){ &c->header, sizeof(c->header) };

	for (const struct part *part = &c->parts[item->first_part];; part = &c->parts[part->next]) {
		c->vector[count++] = (struct iovec){ part->data, part->size };
		if (part->next == NO_PART)
			break;
	}
	*ret = (struct coalesced){ c->vector, count, item->count };
	return true;
}
