#include "client/qr_text.h"

#include <qrencode.h>
#include <stdbool.h>
#include <string.h>

#define QUIET 4 /* modules, ISO/IEC 18004 section 9.1 */

/* Whether a module is dark; all around the code are light. */
static bool is_dark(const QRcode *code, int row, int column)
{
	return row >= 0 && column >= 0 && row < code->width && column < code->width &&
	       (code->data[row * code->width + column] & 1) != 0;
}

static void write_code(const QRcode *code, struct text *to)
{
	static const char *const blocks[2][2] = {
		{ " ", "\u2584" }, /* light above */
		{ "\u2580", "\u2588" },
	};

	for (int row = -QUIET; row < code->width + QUIET; row += 2) {
		text_append(to, "\033[38;5;16;48;5;231m"); /* black on white, of the 256 colours */
		for (int column = -QUIET; column < code->width + QUIET; column++)
			text_append(
				to,
				blocks[is_dark(code, row, column)][is_dark(code, row + 1, column)]);
		text_append(to, "\033[0m\n");
	}
}

int qr_text_write(const char *content, size_t columns, size_t lines, struct text *to,
		  struct fault *fault)
{
	QRcode *code = NULL;
	size_t wide, high;

	if (strlen(content) <= QR_TEXT_MAX)
		code = QRcode_encodeString8bit(content, 0, QR_ECLEVEL_L);
	if (!code)
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "the text does not fit into a QR code: it has %zu bytes",
				 strlen(content));
	wide = (size_t)code->width + 2 * QUIET;
	high = (wide + 1) / 2;
	if ((columns > 0 && wide > columns) || (lines > 0 && high > lines)) {
		QRcode_free(code);
		return fault_set(
			fault, FAULT_INVALID_REQUEST,
			"the QR code needs %zu columns and %zu lines, and this terminal has "
			"%zu and %zu: enlarge it or use smaller letters",
			wide, high, columns, lines);
	}
	write_code(code, to);
	QRcode_free(code);
	return text_error(to) < 0 ? fault_set_errno(fault, text_error(to), FAULT_SERIALIZATION,
						    "drawing the QR code")
				  : 0;
}
