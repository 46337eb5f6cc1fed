/* Headers as bytes that were written by hand from the specification, and as a reader made from it finds
 * them. */
#include "proxy/proxy_header.h"

#include <errno.h>
#include <string.h>

#include "base/test.h"

static struct endpoint endpoint(const char *text)
{
	struct endpoint parsed;

	assert_int_equal(endpoint_parse(text, &parsed), 0);
	return parsed;
}

/* What a server reads. */
struct read {
	bool datagram;
	char source[IP_TEXT_MAX];
	char destination[IP_TEXT_MAX];
	char authority[PROXY_AUTHORITY_MAX + 1];
};

static unsigned number(const uint8_t *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

static void read_endpoint(const uint8_t *address, size_t size, const uint8_t *port,
			  char to[IP_TEXT_MAX])
{
	struct endpoint found = { .address.family = size == 4 ? AF_INET : AF_INET6,
				  .port = (uint16_t)number(port) };

	memcpy(found.address.bytes, address, size);
	(void)endpoint_format(&found, to);
}

static void read_header(const uint8_t *bytes, size_t size, struct read *ret)
{
	size_t address = bytes[13] >> 4 == 1 ? 4 : 16, at = 16 + 2 * address + 4;

	*ret = (struct read){ .datagram = (bytes[13] & 15) == 2 };
	assert_memory_equal(bytes, "\r\n\r\n\0\r\nQUIT\n", 12);
	assert_int_equal(bytes[12], 0x21);
	assert_true(bytes[13] >> 4 == 1 || bytes[13] >> 4 == 2);
	assert_true((bytes[13] & 15) == 1 || (bytes[13] & 15) == 2);
	assert_int_equal(number(bytes + 14), size - 16);
	read_endpoint(bytes + 16, address, bytes + 16 + 2 * address, ret->source);
	read_endpoint(bytes + 16 + address, address, bytes + 18 + 2 * address, ret->destination);
	while (at < size) {
		size_t length = number(bytes + at + 1);

		assert_true(at + 3 + length <= size);
		assert_int_equal(bytes[at], 2);
		memcpy(ret->authority, bytes + at + 3, length);
		ret->authority[length] = '\0';
		at += 3 + length;
	}
	assert_int_equal(at, size);
}

static void bytes_are_those_of_the_specification(void **state)
{
	static const uint8_t expected[] = { 0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51,
					    0x55, 0x49, 0x54, 0x0a, 0x21, 0x11, 0x00, 0x10,
					    198,  51,	100,  7,    203,  0,	113,  9,
					    0x30, 0x39, 0x01, 0xbb, 0x02, 0x00, 0x01, 'a' };
	const struct proxy_header header = { .source = endpoint("198.51.100.7:12345"),
					     .destination = endpoint("203.0.113.9:443"),
					     .authority = "a" };
	uint8_t bytes[PROXY_HEADER_MAX];

	assert_int_equal(proxy_header_write(&header, bytes), sizeof(expected));
	assert_memory_equal(bytes, expected, sizeof(expected));
}

static void a_reader_finds_who_it_is(void **state)
{
	static const struct {
		const char *source, *destination, *authority;
		bool datagram;
		ssize_t size;
	} rows[] = {
		{ "198.51.100.7:1", "203.0.113.9:65535", NULL, false, 28 },
		{ "198.51.100.7:1", "203.0.113.9:65535", "", true, 28 },
		{ "198.51.100.7:1", "203.0.113.9:443", "git.example.com", false, 46 },
		{ "[2001:db8::1]:50000", "[2001:db8::2]:853", NULL, true, 52 },
		{ "[2001:db8::1]:50000", "[fd00::2]:443", "git.example.com", false, 70 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct proxy_header header = { .datagram = rows[i].datagram,
						     .source = endpoint(rows[i].source),
						     .destination = endpoint(rows[i].destination),
						     .authority = rows[i].authority };
		uint8_t bytes[PROXY_HEADER_MAX];
		struct read read;

		assert_int_equal(proxy_header_write(&header, bytes), rows[i].size);
		read_header(bytes, (size_t)rows[i].size, &read);
		assert_int_equal(read.datagram, rows[i].datagram);
		assert_string_equal(read.source, rows[i].source);
		assert_string_equal(read.destination, rows[i].destination);
		assert_string_equal(read.authority, rows[i].authority ? rows[i].authority : "");
	}
}

static void the_longest_fits(void **state)
{
	struct proxy_header header = { .source = endpoint("[2001:db8::1]:1"),
				       .destination = endpoint("[2001:db8::2]:2") };
	char name[PROXY_AUTHORITY_MAX + 2];
	uint8_t bytes[PROXY_HEADER_MAX];

	memset(name, 'x', sizeof(name));
	name[PROXY_AUTHORITY_MAX] = '\0';
	header.authority = name;
	assert_int_equal(proxy_header_write(&header, bytes), PROXY_HEADER_MAX);
	name[PROXY_AUTHORITY_MAX] = 'x';
	name[PROXY_AUTHORITY_MAX + 1] = '\0';
	assert_int_equal(proxy_header_write(&header, bytes), -EINVAL);
}

static void addresses_are_two_of_one_family(void **state)
{
	struct proxy_header header = { .source = endpoint("198.51.100.7:1"),
				       .destination = endpoint("[2001:db8::2]:2") };
	uint8_t bytes[PROXY_HEADER_MAX];

	assert_int_equal(proxy_header_write(&header, bytes), -EINVAL);
	header = (struct proxy_header){ 0 };
	assert_int_equal(proxy_header_write(&header, bytes), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_are_those_of_the_specification),
		cmocka_unit_test(a_reader_finds_who_it_is),
		cmocka_unit_test(the_longest_fits),
		cmocka_unit_test(addresses_are_two_of_one_family),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
