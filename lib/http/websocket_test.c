/* A client of wslay's own talks to the codec; what breaks the protocol is written out as bytes. */
#include "http/websocket.h"

#include <wslay/wslay.h>

#include "base/test.h"
#include "http/server.h"

struct pair {
	struct websocket *server;
	wslay_event_context_ptr client;
	uint8_t in[8192]; /* what the server sent and the client has not read */
	size_t in_size;
	size_t in_read;
	char text[256]; /* of the last message, on either side */
	size_t size;
	bool is_text;
	unsigned server_messages;
	unsigned client_messages;
	unsigned pings;
	unsigned pongs;
	unsigned close_code; /* that the client got */
	int receive_error;
};

static void on_server_message(void *context, const void *bytes, size_t size, bool text)
{
	struct pair *p = context;

	p->server_messages++;
	p->size = size;
	p->is_text = text;
	memcpy(p->text, bytes, size < sizeof(p->text) ? size : sizeof(p->text));
}

static ssize_t client_receive(wslay_event_context_ptr codec, uint8_t *to, size_t size, int flags,
			      void *user)
{
	struct pair *p = user;

	if (p->in_read == p->in_size) {
		p->in_size = websocket_pull(p->server, p->in, sizeof(p->in));
		p->in_read = 0;
	}
	if (p->in_size == 0) {
		wslay_event_set_error(codec, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	if (size > p->in_size - p->in_read)
		size = p->in_size - p->in_read;
	memcpy(to, p->in + p->in_read, size);
	p->in_read += size;
	return (ssize_t)size;
}

/* One byte at a time, so that the server sees every cut. */
static ssize_t client_send(wslay_event_context_ptr codec, const uint8_t *bytes, size_t size,
			   int flags, void *user)
{
	struct pair *p = user;

	for (size_t i = 0; i < size; i++) {
		int r = websocket_receive(p->server, bytes + i, 1);

		if (r < 0)
			p->receive_error = r;
	}
	return (ssize_t)size;
}

static int client_mask(wslay_event_context_ptr codec, uint8_t *to, size_t size, void *user)
{
	memset(to, 0x5a, size);
	return 0;
}

static void client_message(wslay_event_context_ptr codec,
			   const struct wslay_event_on_msg_recv_arg *message, void *user)
{
	struct pair *p = user;

	if (message->opcode == WSLAY_PING)
		p->pings++;
	else if (message->opcode == WSLAY_PONG)
		p->pongs++;
	else if (message->opcode == WSLAY_CONNECTION_CLOSE)
		p->close_code = message->status_code;
	else {
		p->client_messages++;
		p->size = message->msg_length;
		memcpy(p->text, message->msg,
		       p->size < sizeof(p->text) ? p->size : sizeof(p->text));
	}
}

static int setup(void **state)
{
	static const struct wslay_event_callbacks callbacks = {
		.recv_callback = client_receive,
		.send_callback = client_send,
		.genmask_callback = client_mask,
		.on_msg_recv_callback = client_message,
	};
	struct pair *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	assert_int_equal(websocket_new(on_server_message, p, &p->server), 0);
	assert_int_equal(wslay_event_context_client_init(&p->client, &callbacks, p), 0);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct pair *p = *state;

	wslay_event_context_free(p->client);
	websocket_free(p->server);
	free(p);
	return 0;
}

static void client_queue(struct pair *p, uint8_t opcode, const char *text)
{
	const struct wslay_event_msg message = { opcode, (const uint8_t *)text, strlen(text) };

	assert_int_equal(wslay_event_queue_msg(p->client, &message), 0);
}

/* Until neither has anything to say. */
static void talk(struct pair *p)
{
	for (int i = 0; i < 8; i++) {
		assert_int_equal(wslay_event_send(p->client), 0);
		assert_int_equal(wslay_event_recv(p->client), 0);
	}
	assert_int_equal(websocket_queued(p->server), 0);
}

static void messages_go_both_ways(void **state)
{
	struct pair *p = *state;

	client_queue(p, WSLAY_TEXT_FRAME, "h\xc3\xa4llo");
	talk(p);
	assert_int_equal(p->server_messages, 1);
	assert_true(p->is_text);
	assert_int_equal(p->size, 6);
	assert_memory_equal(p->text, "h\xc3\xa4llo", 6);

	client_queue(p, WSLAY_BINARY_FRAME, "\xff\xfe");
	talk(p);
	assert_int_equal(p->server_messages, 2);
	assert_false(p->is_text);

	assert_int_equal(websocket_send_text(p->server, "{\"id\":1}", 8), 0);
	assert_true(websocket_queued(p->server) >= 8);
	talk(p);
	assert_int_equal(p->client_messages, 1);
	assert_memory_equal(p->text, "{\"id\":1}", 8);
}

static void pings_are_answered_on_both_sides(void **state)
{
	struct pair *p = *state;

	client_queue(p, WSLAY_PING, "?");
	talk(p);
	assert_int_equal(p->pongs, 1);
	assert_int_equal(websocket_ping(p->server), 0);
	talk(p);
	assert_int_equal(p->pings, 1);
	assert_false(websocket_is_over(p->server));
}

static void the_server_closes(void **state)
{
	struct pair *p = *state;

	assert_int_equal(websocket_send_text(p->server, "last", 4), 0);
	assert_int_equal(websocket_close(p->server, HTTP_SOCKET_GOING_AWAY, "bye"), 0);
	assert_int_equal(websocket_close(p->server, HTTP_SOCKET_NORMAL, NULL), -EPIPE);
	assert_int_equal(websocket_send_text(p->server, "more", 4), -EPIPE);
	assert_int_equal(websocket_ping(p->server), -EPIPE);
	assert_false(websocket_is_over(p->server));
	talk(p);
	assert_int_equal(p->client_messages, 1);
	assert_int_equal(p->close_code, HTTP_SOCKET_GOING_AWAY);
	assert_true(websocket_is_over(p->server));
	assert_int_equal(websocket_receive(p->server, "ignored", 7), 0);
}

static void the_client_closes(void **state)
{
	struct pair *p = *state;

	assert_int_equal(wslay_event_queue_close(p->client, 1000, NULL, 0), 0);
	talk(p);
	assert_int_equal(p->close_code, 1000);
	assert_true(websocket_is_over(p->server));
	assert_int_equal(websocket_send_text(p->server, "late", 4), -EPIPE);
}

static void the_queue_is_bounded(void **state)
{
	struct pair *p = *state;
	char *text = calloc(1, 65536);
	unsigned queued = 0;

	assert_non_null(text);
	memset(text, 'x', 65536);
	while (websocket_send_text(p->server, text, 65536) == 0)
		queued++;
	assert_int_equal(websocket_send_text(p->server, text, 65536), -ENOBUFS);
	assert_in_range(queued, 60, 64);
	talk(p);
	assert_int_equal(p->client_messages, queued);
	assert_int_equal(websocket_send_text(p->server, text, 65536), 0);
	free(text);
}

static void note_release(void *context)
{
	++*(unsigned *)context;
}

static void messages_may_be_lent(void **state)
{
	struct pair *p = *state;
	char *text = calloc(1, 50000);
	uint8_t bytes[4096];
	unsigned released = 0;

	assert_non_null(text);
	memset(text, 'x', 50000);
	memcpy(text, "begin", 5);
	assert_int_equal(websocket_lend_text(p->server, text, 50000, note_release, &released), 0);
	assert_int_equal(websocket_send_text(p->server, "next", 4), 0);
	assert_in_range(websocket_queued(p->server), 50004, 50100);
	client_queue(p, WSLAY_PING, "?");
	talk(p); /* the pong goes between two fragments */
	assert_int_equal(p->pongs, 1);
	assert_int_equal(p->client_messages, 2);
	assert_memory_equal(p->text, "next", 4);
	assert_int_equal(released, 1);

	assert_int_equal(websocket_lend_text(p->server, text, 50000, note_release, &released), 0);
	assert_int_equal(websocket_close(p->server, HTTP_SOCKET_NORMAL, NULL), 0);
	assert_int_equal(websocket_lend_text(p->server, text, 50000, note_release, &released),
			 -EPIPE);
	assert_int_equal(released, 2);
	talk(p);
	assert_int_equal(p->client_messages, 3);
	assert_int_equal(p->size, 50000);
	assert_memory_equal(p->text, "beginxxx", 8);
	assert_int_equal(p->close_code, HTTP_SOCKET_NORMAL);
	assert_int_equal(released, 3);

	/* Of a socket that ends in the middle. */
	p->server = websocket_free(p->server);
	assert_int_equal(websocket_new(NULL, NULL, &p->server), 0);
	assert_int_equal(websocket_lend_text(p->server, text, 50000, note_release, &released), 0);
	assert_int_equal(websocket_lend_text(p->server, text, 50000, note_release, &released), 0);
	assert_int_equal(websocket_pull(p->server, bytes, sizeof(bytes)), sizeof(bytes));
	p->server = websocket_free(p->server);
	assert_int_equal(released, 5);
	free(text);
}

static void pulling_works_in_any_amount(void **state)
{
	struct pair *p = *state;
	uint8_t bytes[64];
	size_t size = 0, got;

	assert_int_equal(websocket_send_text(p->server, "0123456789", 10), 0);
	while ((got = websocket_pull(p->server, bytes + size, 1)) > 0)
		size += got;
	assert_int_equal(size, 12);
	assert_memory_equal(bytes,
			    "\x81\x0a"
			    "0123456789",
			    12);
}

static void a_flood_of_pings_ends_the_socket(void **state)
{
	struct pair *p = *state;
	static const uint8_t ping[] = { 0x89, 0x81, 1, 2, 3, 4, 5 };
	int r = 0;

	for (int i = 0; i < 1000 && r == 0; i++)
		r = websocket_receive(p->server, ping, sizeof(ping));
	assert_int_equal(r, -ENOBUFS);
	assert_true(websocket_queued(p->server) < 4096);
}

static void a_message_in_endless_fragments_is_refused(void **state)
{
	struct pair *p = *state;
	static const uint8_t first[] = { 0x01, 0x81, 0, 0, 0, 0, 'a' };
	static const uint8_t more[] = { 0x00, 0x81, 0, 0, 0, 0, 'a' };

	assert_int_equal(websocket_receive(p->server, first, sizeof(first)), 0);
	for (int i = 0; i < 2000; i++)
		assert_int_equal(websocket_receive(p->server, more, sizeof(more)), 0);
	assert_int_equal(wslay_event_recv(p->client), 0);
	assert_int_equal(p->close_code, HTTP_SOCKET_POLICY);
	assert_int_equal(p->server_messages, 0);
}

static const struct {
	const char *name;
	unsigned code; /* 0: none */
	size_t size;
	const char *bytes;
} bad_frames[] = {
	{ "without a mask", 1002, 3,
	  "\x81\x01"
	  "a" },
	{ "reserved bit", 1002, 7,
	  "\xc1\x81\0\0\0\0"
	  "a" },
	{ "reserved opcode", 1002, 7,
	  "\x83\x81\0\0\0\0"
	  "a" },
	{ "reserved control opcode", 1002, 6, "\x8b\x80\0\0\0\0" },
	{ "long ping", 0, 8, "\x89\xfe\x00\x7e\0\0\0\0" },
	{ "fragmented ping", 0, 6, "\x09\x80\0\0\0\0" },
	{ "continuation of nothing", 1002, 7,
	  "\x80\x81\0\0\0\0"
	  "a" },
	{ "message in a message", 1002, 14,
	  "\x01\x81\0\0\0\0"
	  "a\x01\x81\0\0\0\0"
	  "a" },
	{ "not UTF-8", 1007, 8, "\x81\x82\0\0\0\0\xc0\xaf" },
	{ "half a character", 1007, 7, "\x81\x81\0\0\0\0\xc3" },
	{ "too long", 1009, 15,
	  "\x82\xff\0\0\0\0\0\x01\0\x01\0\0\0\0"
	  "a" },
	{ "longer than anything", 0, 14, "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0" },
	{ "length in too many bytes", 0, 9,
	  "\x81\xfe\0\x01\0\0\0\0"
	  "a" },
	{ "close with half a code", 0, 7, "\x88\x81\0\0\0\0\x03" },
	{ "close with a code that nobody sends", 1002, 8, "\x88\x82\0\0\0\0\x03\xed" },
};

static void bad_frames_are_told_so(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad_frames); i++) {
		struct websocket *server = NULL;
		uint8_t answer[256];
		unsigned code;
		size_t size;

		assert_int_equal(websocket_new(NULL, NULL, &server), 0);
		assert_int_equal(websocket_receive(server, bad_frames[i].bytes, bad_frames[i].size),
				 0);
		size = websocket_pull(server, answer, sizeof(answer));
		code = size < 4 ? 0 : (unsigned)(answer[2] << 8 | answer[3]);
		if (size < 2 || answer[0] != 0x88 || code != bad_frames[i].code)
			fail_msg("%s: %zu bytes, code %u", bad_frames[i].name, size, code);
		assert_true(websocket_is_over(server));
		websocket_free(server);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(messages_go_both_ways, setup, teardown),
		cmocka_unit_test_setup_teardown(pings_are_answered_on_both_sides, setup, teardown),
		cmocka_unit_test_setup_teardown(the_server_closes, setup, teardown),
		cmocka_unit_test_setup_teardown(the_client_closes, setup, teardown),
		cmocka_unit_test_setup_teardown(the_queue_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(messages_may_be_lent, setup, teardown),
		cmocka_unit_test_setup_teardown(pulling_works_in_any_amount, setup, teardown),
		cmocka_unit_test_setup_teardown(a_flood_of_pings_ends_the_socket, setup, teardown),
		cmocka_unit_test_setup_teardown(a_message_in_endless_fragments_is_refused, setup,
						teardown),
		cmocka_unit_test(bad_frames_are_told_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
