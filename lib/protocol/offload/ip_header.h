/*
 * Where things are in IPv4, IPv6, TCP and UDP headers, for this folder
 */
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "offload/checksum.h"

enum {
	IPV4_SIZE = 20, /* without options */
	IPV4_TOTAL_LENGTH = 2,
	IPV4_ID = 4,
	IPV4_FRAGMENT = 6,
	IPV4_PROTOCOL = 9,
	IPV4_CHECKSUM = 10,
	IPV4_SOURCE = 12,

	IPV6_SIZE = 40,
	IPV6_PAYLOAD_LENGTH = 4,
	IPV6_NEXT_HEADER = 6,
	IPV6_SOURCE = 8,

	TCP_SIZE = 20, /* without options */
	TCP_SEQUENCE = 4,
	TCP_ACKNOWLEDGMENT = 8,
	TCP_DATA_OFFSET = 12,
	TCP_FLAGS = 13,
	TCP_WINDOW = 14,
	TCP_CHECKSUM = 16,
	TCP_URGENT = 18,

	UDP_SIZE = 8,
	UDP_LENGTH = 4,
	UDP_CHECKSUM = 6,
};

enum {
	IPV4_DONT_FRAGMENT = 0x4000,

	TCP_FIN = 0x01,
	TCP_PSH = 0x08,
	TCP_ACK = 0x10,
	TCP_ECE = 0x40,
	TCP_CWR = 0x80,
};

static inline uint16_t load_u16(const uint8_t *from)
{
	return (uint16_t)(from[0] << 8 | from[1]);
}

static inline uint32_t load_u32(const uint8_t *from)
{
	return (uint32_t)load_u16(from) << 16 | load_u16(from + 2);
}

static inline void store_u16(uint8_t *to, uint16_t value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
}

static inline void store_u32(uint8_t *to, uint32_t value)
{
	store_u16(to, (uint16_t)(value >> 16));
	store_u16(to + 2, (uint16_t)value);
}

/* Stores a folded sum, which is in the order of memory already. */
static inline void store_sum(uint8_t *to, uint16_t sum)
{
	memcpy(to, &sum, sizeof(sum));
}

static inline bool packet_is_v6(const uint8_t *packet)
{
	return packet[0] >> 4 == 6;
}

static inline size_t ipv4_header_size(const uint8_t *packet)
{
	return (size_t)(packet[0] & 0xf) * 4;
}

/* Both addresses and the protocol of the pseudo header; its length is added for each packet. */
static inline uint64_t pseudo_header_sum(const uint8_t *packet, uint8_t protocol)
{
	if (packet_is_v6(packet))
		return checksum_add(htons(protocol), packet + IPV6_SOURCE, 32);
	return checksum_add(htons(protocol), packet + IPV4_SOURCE, 8);
}

/* Tells an IPv4 or IPv6 header the size of its packet, and gives IPv4 its checksum. */
static inline void set_ip_length(uint8_t *packet, size_t size)
{
	if (packet_is_v6(packet)) {
		store_u16(packet + IPV6_PAYLOAD_LENGTH, (uint16_t)(size - IPV6_SIZE));
		return;
	}
	store_u16(packet + IPV4_TOTAL_LENGTH, (uint16_t)size);
	store_u16(packet + IPV4_CHECKSUM, 0);
	store_sum(packet + IPV4_CHECKSUM,
		  (uint16_t)~checksum_fold(checksum_add(0, packet, ipv4_header_size(packet))));
}
