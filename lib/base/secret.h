/*
 * Memory that held a secret, and randomness
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Overwrites memory; the compiler cannot leave it out. */
static inline void secret_wipe(void *memory, size_t size)
{
	explicit_bzero(memory, size);
}

/* Compares in a time that depends on @size only. */
bool secret_equal(const void *a, const void *b, size_t size);

/* Fills memory from the kernel's generator; ends the program where there is none. */
void random_bytes(void *to, size_t size);
