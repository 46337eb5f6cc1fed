/*
 * What the tunnel has to know of an inner IP packet
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ip_packet {
	bool v6;
	size_t size; /* by the header: padding may follow */
	const uint8_t *source; /* 4 or 16 bytes within the packet */
	const uint8_t *destination;
	uint8_t ecn; /* the two lower bits of the DS field */
};

/* Returns 0, or -EBADMSG for what is no whole IPv4 or IPv6 packet. */
int ip_packet_parse(const uint8_t *data, size_t size, struct ip_packet *ret);

/* The ECN field of what may be no IP packet at all: then 0. */
uint8_t ip_packet_ecn(const uint8_t *data, size_t size);

/*
 * Combines the ECN field of the outer header into the inner one, as RFC 6040 section 4.2 says, and
 * keeps the checksum of an IPv4 header right. @data: a packet that ip_packet_parse() accepted.
 * But for one case: a packet that knows no ECN passes with a mark outside, too, which no router makes for
 * it. Boxes that write into the DS field as they like do, and would stop a tunnel; Linux lets it pass, too.
 */
void ip_packet_take_ecn(uint8_t *data, const struct ip_packet *packet, uint8_t outer_ds);
