/*
 * QR codes as text for a terminal
 *
 * Two rows of modules in a line of UTF-8 half blocks, with the four modules of quiet zone around that
 * scanners want. Colours are set, so that the code is dark on light whatever the terminal's are.
 */
#pragma once

#include <stddef.h>

#include "base/fault.h"
#include "base/text.h"

#define QR_TEXT_MAX 2900 /* bytes that fit into the largest code */

/*
 * Appends the code for some text. Where a number of columns or lines is given (not 0) and the code
 * needs more, nothing is appended. Returns 0, or a negative errno with a fault.
 */
int qr_text_write(const char *content, size_t columns, size_t lines, struct text *to,
		  struct fault *fault);
