/*
 * WireGuard messages on the wire (paper, section 5.4): sizes and offsets
 *
 * All numbers are little-endian. Type and three zero bytes are read as one 32 bit number.
 */
#pragma once

#define MESSAGE_INITIATION 1
#define MESSAGE_RESPONSE 2
#define MESSAGE_COOKIE 3
#define MESSAGE_DATA 4

#define MESSAGE_MAC_SIZE 16
#define MESSAGE_MACS_SIZE (2 * MESSAGE_MAC_SIZE) /* mac1 and mac2, at the end */

#define MESSAGE_INITIATION_SIZE 148
#define MESSAGE_RESPONSE_SIZE 92
#define MESSAGE_COOKIE_SIZE 64
#define MESSAGE_DATA_HEADER 16 /* type, receiver, counter */
#define MESSAGE_DATA_MIN (MESSAGE_DATA_HEADER + 16)
