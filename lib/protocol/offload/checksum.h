/*
 * The Internet checksum (RFC 1071), over memory in any alignment
 *
 * Sums are kept unfolded in 64 bits and in the byte order of memory: numbers are converted to
 * network order before they are added, and what checksum_fold() gives is stored as it is. A part of
 * odd size may only be the last one of a sum.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

uint64_t checksum_add(uint64_t sum, const void *data, size_t size);

/* Copies @size bytes and adds them up in the same pass. The areas do not overlap. */
uint64_t checksum_copy(uint64_t sum, void *to, const void *from, size_t size);

/* The 16-bit one's complement sum, not inverted. 0xffff over data that holds a right checksum. */
uint16_t checksum_fold(uint64_t sum);
