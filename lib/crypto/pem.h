/*
 * PEM, RFC 7468: base64 between a line that opens and one that closes
 *
 * One block, with nothing but white space around it. Widths of lines and line ends do not matter.
 * Buffers that may have held a private key are wiped.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PEM_LABEL_MAX 40

/*
 * Decodes a block of at most @text_max bytes into @to. Returns the number of bytes and the label ("PUBLIC
 * KEY"), or -EINVAL: not PEM, broken, or something stands around it; -E2BIG: longer than @text_max;
 * -ENOBUFS: more than @capacity bytes.
 */
ssize_t pem_decode(const char *text, size_t text_max, char ret_label[PEM_LABEL_MAX], void *to,
		   size_t capacity);

#define PEM_ENCODE_MAX 512 /* bytes of a block that is written */

/* Bytes of the text for a block, with its NUL. */
#define PEM_SIZE(label, bytes, width)                                                              \
	(11 + 9 + 2 * (sizeof(label) - 1 + 6) + ((bytes) + 2) / 3 * 4 +                            \
	 (((bytes) + 2) / 3 * 4 + (width)-1) / (width) + 1)

/* Writes a block with @width digits in a line and LF line ends, PEM_SIZE() bytes, and returns @to. */
char *pem_encode(const char *label, const void *bytes, size_t size, size_t width, char *to);
