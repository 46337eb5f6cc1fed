/* The drawing, read back module by module. */
#include "base/test.h"

#include <qrencode.h>
#include <string.h>

#include "client/qr_text.h"

#define BEGIN "\033[38;5;16;48;5;231m"
#define END "\033[0m\n"

static void assert_code(const QRcode *code, int row, int column, bool dark)
{
	bool inside = row >= 0 && column >= 0 && row < code->width && column < code->width;

	if (dark != (inside && (code->data[row * code->width + column] & 1)))
		fail_msg("module %d, %d is %s", row, column, dark ? "dark" : "light");
}

/* Takes one block off. Returns its upper and lower half as bits 0 and 1. */
static int take_block(const char **at)
{
	static const char *const blocks[] = { " ", "\u2580", "\u2584", "\u2588" };

	for (int i = 0; i < 4; i++)
		if (strncmp(*at, blocks[i], strlen(blocks[i])) == 0) {
			*at += strlen(blocks[i]);
			return i;
		}
	fail_msg("no block: %.4s", *at);
	return 0;
}

static void reads_back(void **state)
{
	static const char content[] = "[Interface]\nAddress = 10.59.37.2/24\n";
	QRcode *code = QRcode_encodeString8bit(content, 0, QR_ECLEVEL_L);
	CLEANUP(text_done) struct text text = { 0 };
	CLEANUP(fault_done) struct fault fault = { 0 };
	const char *at;

	assert_int_equal(qr_text_write(content, 0, 0, &text, &fault), 0);
	at = text_string(&text);
	for (int row = -4; row < code->width + 4; row += 2) {
		assert_int_equal(strncmp(at, BEGIN, strlen(BEGIN)), 0);
		at += strlen(BEGIN);
		for (int column = -4; column < code->width + 4; column++) {
			int block = take_block(&at);

			assert_code(code, row, column, (block & 1) != 0);
			assert_code(code, row + 1, column, (block & 2) != 0);
		}
		assert_int_equal(strncmp(at, END, strlen(END)), 0);
		at += strlen(END);
	}
	assert_int_equal(*at, '\0');
	QRcode_free(code);
}

static void refuses(void **state)
{
	CLEANUP(text_done) struct text text = { 0 };
	CLEANUP(text_done) struct text fits = { 0 };
	CLEANUP(fault_done) struct fault narrow = { 0 };
	CLEANUP(fault_done) struct fault low = { 0 };
	CLEANUP(fault_done) struct fault large = { 0 };
	char content[QR_TEXT_MAX + 2];

	assert_int_equal(qr_text_write("x", 29, 15, &fits, &narrow), 0);
	assert_true(qr_text_write("x", 28, 15, &text, &narrow) < 0);
	assert_non_null(strstr(narrow.details, "needs 29 columns and 15 lines"));
	assert_true(qr_text_write("x", 29, 14, &text, &low) < 0);
	memset(content, 'x', sizeof(content) - 1);
	content[sizeof(content) - 1] = '\0';
	assert_true(qr_text_write(content, 0, 0, &text, &large) < 0);
	assert_int_equal(text.size, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_back),
		cmocka_unit_test(refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
