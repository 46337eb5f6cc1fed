/*
 * The first bytes of a connection from anybody. What is read obeys its bounds; what is told of a begin
 * holds for the whole; a hello says the same in records of any size, and takes few looks.
 */
#include <assert.h>
#include <string.h>

#include "sni/client_hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_read(enum client_hello_result result, const struct client_hello *hello,
		       size_t size)
{
	assert((result == CLIENT_HELLO_NAMED) == (hello->name[0] != '\0') ||
	       result == CLIENT_HELLO_NONE);
	assert(memchr(hello->name, '\0', sizeof(hello->name)));
	for (const char *c = hello->name; result == CLIENT_HELLO_NAMED && *c; c++)
		assert(*c < 'A' || *c > 'Z');
	if (result == CLIENT_HELLO_MORE)
		assert(hello->needed > size && hello->needed <= CLIENT_HELLO_MAX);
}

/* Where the whole has a name, each begin of it has the same one or wants more. */
static void check_begins(const uint8_t *data, size_t size, const struct client_hello *whole)
{
	struct client_hello begin;

	for (size_t cut = size / 2; cut < size; cut += 1 + size / 16) {
		enum client_hello_result result = client_hello_read(data, cut, &begin);

		check_read(result, &begin, cut);
		assert(result == CLIENT_HELLO_MORE ||
		       (result == CLIENT_HELLO_NAMED && strcmp(begin.name, whole->name) == 0));
	}
}

/* Who waits for what is needed is done after few looks, and not before the hello is whole. */
static void check_looks(const uint8_t *data, size_t size)
{
	struct client_hello hello;
	size_t have = 0, looks = 0;

	while (client_hello_read(data, have, &hello) == CLIENT_HELLO_MORE) {
		have = hello.needed;
		assert(have <= size && ++looks < CLIENT_HELLO_READS_MAX);
	}
	assert(hello.name[0] != '\0');
}

/* The bytes as a message, in records of @each: the name does not depend on that. */
static enum client_hello_result read_framed(const uint8_t *data, size_t size, size_t each,
					    struct client_hello *ret)
{
	static uint8_t framed[2 * CLIENT_HELLO_MAX];
	size_t used = 0;

	for (size_t at = 0; at < size; at += each) {
		size_t part = size - at < each ? size - at : each;

		memcpy(framed + used,
		       (const uint8_t[]){ 22, 3, 1, (uint8_t)(part >> 8), (uint8_t)part }, 5);
		memcpy(framed + used + 5, data + at, part);
		used += 5 + part;
	}
	return client_hello_read(framed, used, ret);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct client_hello hello, other;
	enum client_hello_result result, small;

	if (size > CLIENT_HELLO_MAX)
		return 0;
	result = client_hello_read(data, size, &hello);
	check_read(result, &hello, size);
	if (result == CLIENT_HELLO_NAMED) {
		check_begins(data, size, &hello);
		check_looks(data, size);
	}
	if (size <= 5 || size > 2000)
		return 0;
	/* As a message of its own: the record's head is cut off. */
	result = read_framed(data + 5, size - 5, 2000, &hello);
	small = read_framed(data + 5, size - 5, 1 + data[0] % 64, &other);
	/* What is to come may be too long with so many heads. */
	assert(small == result || (result == CLIENT_HELLO_MORE && small == CLIENT_HELLO_NONE));
	assert(result != CLIENT_HELLO_NAMED || strcmp(hello.name, other.name) == 0);
	return 0;
}
