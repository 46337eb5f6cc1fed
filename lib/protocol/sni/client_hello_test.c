/* Names in hellos, however they come. */
#include "sni/client_hello.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/test.h"

#define EXTENSION_GREASE 0x2a2a
#define EXTENSION_KEY_SHARE 51
#define EXTENSION_ECH 0xfe0d

static void put_extension(struct writer *w, uint16_t type, const void *bytes, size_t size)
{
	writer_u16(w, type);
	writer_u16(w, (uint16_t)size);
	writer_copy(w, bytes, size);
}

static void put_name(struct writer *w, const char *name, size_t size)
{
	writer_u16(w, 0);
	writer_u16(w, (uint16_t)(size + 5));
	writer_u16(w, (uint16_t)(size + 3));
	writer_u8(w, 0);
	writer_u16(w, (uint16_t)size);
	writer_copy(w, name, size);
}

struct hello {
	uint8_t bytes[CLIENT_HELLO_MAX * 2];
	size_t size;
};

/* The message alone. @name: NULL for none. @padding: bytes of a key share, as large as those of today's
 * browsers are and larger. */
static void make_message(struct hello *hello, const char *name, size_t padding)
{
	static const uint8_t share[CLIENT_HELLO_MAX];
	uint8_t *length, *extensions;
	struct writer w;

	writer_init(&w, hello->bytes, sizeof(hello->bytes));
	writer_u8(&w, 1);
	writer_u8(&w, 0);
	length = writer_reserve(&w, 2);
	writer_u16(&w, 0x0303);
	writer_zero(&w, 32);
	writer_u8(&w, 32);
	writer_zero(&w, 32);
	writer_u16(&w, 4);
	writer_u16(&w, 0x4a4a); /* GREASE */
	writer_u16(&w, 0x1301);
	writer_u8(&w, 1);
	writer_u8(&w, 0);
	extensions = writer_reserve(&w, 2);
	put_extension(&w, EXTENSION_GREASE, "", 0);
	put_extension(&w, EXTENSION_KEY_SHARE, share, padding);
	if (name)
		put_name(&w, name, strlen(name));
	put_extension(&w, EXTENSION_ECH, share, 200);
	assert_true(writer_size(&w) > 0);
	hello->size = (size_t)writer_size(&w);
	length[0] = (uint8_t)((hello->size - 4) >> 8);
	length[1] = (uint8_t)(hello->size - 4);
	extensions[0] = (uint8_t)((size_t)(w.at - extensions - 2) >> 8);
	extensions[1] = (uint8_t)(w.at - extensions - 2);
}

/* Puts a message into records of @each bytes. */
static void frame(const struct hello *message, size_t each, struct hello *ret)
{
	struct writer w;

	writer_init(&w, ret->bytes, sizeof(ret->bytes));
	for (size_t at = 0; at < message->size; at += each) {
		size_t size = message->size - at < each ? message->size - at : each;

		writer_u8(&w, 22);
		writer_u16(&w, 0x0301);
		writer_u16(&w, (uint16_t)size);
		writer_copy(&w, message->bytes + at, size);
	}
	assert_true(writer_size(&w) > 0);
	ret->size = (size_t)writer_size(&w);
}

static void make(struct hello *hello, const char *name, size_t padding, size_t each)
{
	struct hello message;

	make_message(&message, name, padding);
	frame(&message, each, hello);
}

static void names_are_read_in_lower_case(void **state)
{
	static const struct {
		const char *name, *expected;
	} rows[] = {
		{ "git.example.com", "git.example.com" },
		{ "GIT.Example.COM", "git.example.com" },
		{ "a", "a" },
		{ "_x.example.com", "_x.example.com" },
		{ "dot.example.com.", "dot.example.com" },
	};
	struct client_hello read;
	struct hello hello;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		make(&hello, rows[i].name, 32, 16384);
		assert_int_equal(client_hello_read(hello.bytes, hello.size, &read),
				 CLIENT_HELLO_NAMED);
		assert_string_equal(read.name, rows[i].expected);
	}
}

static void what_no_host_is_called_is_no_name(void **state)
{
	static const char *const rows[] = { "a b", "x/y", "\xc3\xa4.example", ".",
					    "*.example.com" };
	struct client_hello read;
	struct hello hello;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		make(&hello, rows[i], 32, 16384);
		assert_int_equal(client_hello_read(hello.bytes, hello.size, &read),
				 CLIENT_HELLO_NAMELESS);
		assert_string_equal(read.name, "");
	}
	make(&hello, NULL, 32, 16384);
	assert_int_equal(client_hello_read(hello.bytes, hello.size, &read), CLIENT_HELLO_NAMELESS);
}

/* Of one that comes byte by byte, nothing is told before its end, and the end is never asked to be
 * behind itself. */
static void check_growth(const struct hello *hello, const char *name)
{
	struct client_hello read;

	for (size_t size = 0; size < hello->size; size++) {
		assert_int_equal(client_hello_read(hello->bytes, size, &read), CLIENT_HELLO_MORE);
		assert_true(read.needed > size && read.needed <= hello->size);
	}
	assert_int_equal(client_hello_read(hello->bytes, hello->size, &read), CLIENT_HELLO_NAMED);
	assert_string_equal(read.name, name);
}

static void it_may_come_in_pieces_and_records(void **state)
{
	static const size_t records[] = { 16384, 1400, 100, 5, 4, 3, 1 };
	struct hello hello;

	for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
		make(&hello, "shop.example.com", 1250, records[i]);
		check_growth(&hello, "shop.example.com");
	}
}

/* Of one that takes as many bytes as there may be, all in records of one: few looks are enough. */
static void small_records_cost_no_more_looks(void **state)
{
	static const size_t records[] = { 16384, 100, 2, 1 };
	struct client_hello read;
	struct hello hello;

	for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
		size_t size = 0, looks = 0;

		make(&hello, "slow.example.com", records[i] == 1 ? 2400 : 4000, records[i]);
		while (client_hello_read(hello.bytes, size, &read) == CLIENT_HELLO_MORE) {
			assert_true(read.needed > size && read.needed <= hello.size);
			size = read.needed;
			looks++;
		}
		assert_int_equal(size, hello.size);
		assert_string_equal(read.name, "slow.example.com");
		assert_true(looks < CLIENT_HELLO_READS_MAX);
	}
}

static void what_follows_does_not_matter(void **state)
{
	struct client_hello read;
	struct hello hello;

	make(&hello, "early.example.com", 32, 16384);
	memset(hello.bytes + hello.size, 0xff, 5000);
	assert_int_equal(client_hello_read(hello.bytes, hello.size + 5000, &read),
			 CLIENT_HELLO_NAMED);
	assert_string_equal(read.name, "early.example.com");
}

static void what_is_not_a_hello_is_told_early(void **state)
{
	static const struct {
		const char *what;
		uint8_t bytes[12];
		size_t size;
	} rows[] = {
		{ "HTTP", "GET / HTTP/", 11 },
		{ "SSH", "SSH-2.0", 7 },
		{ "version 2", { 22, 2 }, 2 },
		{ "an empty record", { 22, 3, 1, 0, 0 }, 5 },
		{ "a record of more than there may be", { 22, 3, 1, 0x40, 1 }, 5 },
		{ "a ServerHello", { 22, 3, 1, 0, 50, 2 }, 6 },
		{ "a hello of 1 MiB", { 22, 3, 1, 0, 50, 1, 0x10, 0, 0 }, 9 },
		{ "a hello without content", { 22, 3, 1, 0, 4, 1, 0, 0, 0 }, 9 },
	};
	struct client_hello read;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (client_hello_read(rows[i].bytes, rows[i].size, &read) != CLIENT_HELLO_NONE)
			fail_msg("%s was taken", rows[i].what);
}

static void long_ones_are_bounded(void **state)
{
	struct client_hello read;
	struct hello hello;

	make(&hello, "long.example.com", 15000, 16384);
	assert_int_equal(client_hello_read(hello.bytes, hello.size, &read), CLIENT_HELLO_NAMED);
	make(&hello, "long.example.com", 16200, 8000);
	assert_int_equal(client_hello_read(hello.bytes, hello.size, &read), CLIENT_HELLO_NONE);
	make(&hello, "many.example.com", 2800, 1); /* six bytes for each one */
	assert_int_equal(client_hello_read(hello.bytes, hello.size, &read), CLIENT_HELLO_NONE);
}

/* Two names, names that are cut off, lists that are longer than they are. */
static void broken_names_are_refused(void **state)
{
	struct client_hello read;
	struct hello hello, good;

	make(&good, "two.example.com", 0, 16384);
	for (size_t i = 0; i + 5 < good.size; i++) {
		if (memcmp(good.bytes + i, "\0\0\0\x14\0\x12\0\0\x0f", 9) != 0)
			continue;
		for (size_t at = i + 3; at < i + 9; at++) {
			hello = good;
			hello.bytes[at]++;
			if (at == i + 6) /* the type */
				continue;
			assert_int_equal(client_hello_read(hello.bytes, hello.size, &read),
					 CLIENT_HELLO_NONE);
		}
		return;
	}
	fail_msg("the extension was not found");
}

static void the_alert_is_of_an_unknown_name(void **state)
{
	assert_memory_equal(client_hello_alert, "\x15\x03\x03\x00\x02\x02\x70",
			    CLIENT_HELLO_ALERT_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_read_in_lower_case),
		cmocka_unit_test(what_no_host_is_called_is_no_name),
		cmocka_unit_test(it_may_come_in_pieces_and_records),
		cmocka_unit_test(small_records_cost_no_more_looks),
		cmocka_unit_test(what_follows_does_not_matter),
		cmocka_unit_test(what_is_not_a_hello_is_told_early),
		cmocka_unit_test(long_ones_are_bounded),
		cmocka_unit_test(broken_names_are_refused),
		cmocka_unit_test(the_alert_is_of_an_unknown_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
