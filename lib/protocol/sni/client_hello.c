#include "sni/client_hello.h"

#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"

#define RECORD_HEAD_SIZE 5
#define RECORD_MAX 16384
#define RECORD_HANDSHAKE 22
#define MESSAGE_HEAD_SIZE 4
#define MESSAGE_CLIENT_HELLO 1
#define VERSION_SIZE 2
#define RANDOM_SIZE 32
#define SESSION_ID_MAX 32
#define EXTENSION_SERVER_NAME 0
#define NAME_HOST 0

const uint8_t client_hello_alert[CLIENT_HELLO_ALERT_SIZE] = {
	21, /* alert */
	3,   3, 0, 2, 2, /* fatal */
	112, /* unrecognized_name */
};

static bool is_name_byte(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_' || c == '.';
}

/* Whether the bytes are what a host may be called; a dot at the end says no more than its absence. */
static bool take_name(const uint8_t *bytes, size_t size, char to[CLIENT_HELLO_NAME_MAX])
{
	if (size > 0 && bytes[size - 1] == '.')
		size--;
	if (size == 0 || size >= CLIENT_HELLO_NAME_MAX)
		return false;
	for (size_t i = 0; i < size; i++) {
		if (!is_name_byte(bytes[i]))
			return false;
		to[i] = (char)(bytes[i] >= 'A' && bytes[i] <= 'Z' ? bytes[i] | 0x20 : bytes[i]);
	}
	to[size] = '\0';
	return true;
}

/* A reader of the next @size bytes, taken out of @r. */
static struct reader sub_reader(struct reader *r, size_t size)
{
	const uint8_t *bytes = reader_take(r, size);
	struct reader sub;

	reader_init(&sub, bytes ? bytes : r->end, bytes ? size : 0);
	sub.failed = !bytes;
	return sub;
}

/* The list may hold one name of each type (RFC 6066 section 3); types beside the host's have no known form.
 * Returns false where it is broken. */
static bool read_server_name(struct reader *extension, struct client_hello *ret)
{
	struct reader list = sub_reader(extension, reader_u16(extension));
	uint8_t type = reader_u8(&list);
	size_t size = reader_u16(&list);
	const uint8_t *name = reader_take(&list, size);

	if (!reader_done(extension) || !name || !reader_done(&list) || size == 0)
		return false;
	if (type == NAME_HOST && !take_name(name, size, ret->name))
		ret->name[0] = '\0';
	return true;
}

static enum client_hello_result read_extensions(struct reader *r, struct client_hello *ret)
{
	bool found = false;

	while (reader_left(r) > 0) {
		uint16_t type = reader_u16(r);
		struct reader extension = sub_reader(r, reader_u16(r));

		if (extension.failed)
			return CLIENT_HELLO_NONE;
		if (type != EXTENSION_SERVER_NAME)
			continue;
		if (found || !read_server_name(&extension, ret))
			return CLIENT_HELLO_NONE;
		found = true;
	}
	if (!reader_done(r))
		return CLIENT_HELLO_NONE;
	return ret->name[0] != '\0' ? CLIENT_HELLO_NAMED : CLIENT_HELLO_NAMELESS;
}

/* A whole message, without its head. */
static enum client_hello_result read_hello(const uint8_t *bytes, size_t size,
					   struct client_hello *ret)
{
	struct reader r, extensions;
	size_t session_id, suites, compressions;

	reader_init(&r, bytes, size);
	(void)reader_take(&r, VERSION_SIZE + RANDOM_SIZE);
	session_id = reader_u8(&r);
	(void)reader_take(&r, session_id);
	suites = reader_u16(&r);
	(void)reader_take(&r, suites);
	compressions = reader_u8(&r);
	(void)reader_take(&r, compressions);
	if (r.failed || session_id > SESSION_ID_MAX || suites < 2 || suites % 2 != 0 ||
	    compressions < 1)
		return CLIENT_HELLO_NONE;
	if (reader_done(&r)) /* of before there were extensions */
		return CLIENT_HELLO_NAMELESS;
	extensions = sub_reader(&r, reader_u16(&r));
	if (!reader_done(&r))
		return CLIENT_HELLO_NONE;
	return read_extensions(&extensions, ret);
}

/* What the records of a hello carried so far. */
struct message {
	const uint8_t *bytes; /* in the first record, where that holds all of it; else `joined` */
	size_t size;
	uint8_t joined[CLIENT_HELLO_MAX];
};

static size_t message_size(const uint8_t *head)
{
	return MESSAGE_HEAD_SIZE + ((size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3]);
}

static void join(struct message *message, const uint8_t *bytes, size_t size)
{
	if (message->size == 0) {
		message->bytes = bytes;
	} else {
		if (message->bytes != message->joined)
			memcpy(message->joined, message->bytes, message->size);
		message->bytes = message->joined;
		memcpy(message->joined + message->size, bytes, size);
	}
	message->size += size;
}

/* How much of the message is missing, at least: its size is in its head. */
static size_t left_of(const struct message *message)
{
	size_t wanted = message->size < MESSAGE_HEAD_SIZE ? MESSAGE_HEAD_SIZE
							  : message_size(message->bytes);

	return message->size < wanted ? wanted - message->size : 0;
}

static enum client_hello_result more(struct client_hello *ret, size_t needed)
{
	ret->needed = needed;
	return needed > CLIENT_HELLO_MAX ? CLIENT_HELLO_NONE : CLIENT_HELLO_MORE;
}

/* A record's head, as far as it is there: whether it is one that a hello may lie in. */
static bool is_record(const uint8_t *head, size_t size)
{
	size_t length;

	if ((size > 0 && head[0] != RECORD_HANDSHAKE) || (size > 1 && head[1] != 3))
		return false;
	if (size < RECORD_HEAD_SIZE)
		return true;
	length = (size_t)head[3] << 8 | head[4];
	return length > 0 && length <= RECORD_MAX;
}

/* Whether what has come of the message can be the begin of a hello. */
static bool is_hello(const struct message *message)
{
	return message->bytes[0] == MESSAGE_CLIENT_HELLO &&
	       (message->size < MESSAGE_HEAD_SIZE ||
		message_size(message->bytes) <= CLIENT_HELLO_MAX - RECORD_HEAD_SIZE);
}

enum client_hello_result client_hello_read(const uint8_t *data, size_t size,
					   struct client_hello *ret)
{
	struct message message;
	size_t at = 0;

	message.bytes = message.joined;
	message.size = 0;
	ret->name[0] = '\0';
	ret->needed = 0;
	if (size > CLIENT_HELLO_MAX)
		size = CLIENT_HELLO_MAX;
	for (;;) {
		const uint8_t *record = data + at;
		size_t here = size - at, length, rest;

		if (!is_record(record, here))
			return CLIENT_HELLO_NONE;
		rest = left_of(&message);
		if (here < RECORD_HEAD_SIZE)
			return more(ret, at + RECORD_HEAD_SIZE + rest);
		length = (size_t)record[3] << 8 | record[4];
		if (here > RECORD_HEAD_SIZE) {
			size_t came = here - RECORD_HEAD_SIZE;

			join(&message, record + RECORD_HEAD_SIZE, came < length ? came : length);
			if (!is_hello(&message))
				return CLIENT_HELLO_NONE;
		}
		rest = left_of(&message);
		if (rest == 0 && message.size >= MESSAGE_HEAD_SIZE)
			return read_hello(message.bytes + MESSAGE_HEAD_SIZE,
					  message_size(message.bytes) - MESSAGE_HEAD_SIZE, ret);
		if (here - RECORD_HEAD_SIZE < length) {
			/* Where the rest goes beyond this record, the next one has a head. */
			size_t left = length - (here - RECORD_HEAD_SIZE);

			return more(ret, size + rest + (left < rest ? RECORD_HEAD_SIZE : 0));
		}
		at += RECORD_HEAD_SIZE + length;
	}
}
