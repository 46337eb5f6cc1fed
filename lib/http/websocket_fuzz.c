/*
 * What a client sends, cut into pieces of any size, gives the same messages and the same answer as in
 * one piece as long as it breaks no rule: how much of a broken frame is
 * looked at depends on the pieces. Nothing is sent after a close frame.
 */
#include "http/websocket.h"

#include <assert.h>
#include <string.h>

#include "http/server.h"

#define OUT_MAX 65536

struct run {
	struct websocket *websocket;
	uint64_t digest; /* of the messages */
	unsigned messages;
	int r;
	bool over;
	uint8_t out[OUT_MAX];
	size_t out_size;
};

static void on_message(void *context, const void *bytes, size_t size, bool text)
{
	struct run *run = context;
	const uint8_t *at = bytes;

	assert(size <= HTTP_SOCKET_MESSAGE_MAX);
	run->messages++;
	run->digest = run->digest * 31 + text;
	for (size_t i = 0; i < size; i++)
		run->digest = run->digest * 31 + at[i];
}

static void run(struct run *run, const uint8_t *data, size_t size, size_t piece)
{
	run->r = websocket_new(on_message, run, &run->websocket);
	if (run->r < 0)
		return;
	for (size_t at = 0; at < size && run->r == 0; at += piece)
		run->r = websocket_receive(run->websocket, data + at,
					   size - at < piece ? size - at : piece);
	run->out_size = websocket_pull(run->websocket, run->out, sizeof(run->out));
	run->over = websocket_is_over(run->websocket);
	if (run->over) {
		assert(websocket_send_text(run->websocket, "x", 1) == -EPIPE);
		assert(websocket_pull(run->websocket, run->out, sizeof(run->out)) == 0);
	}
	websocket_free(run->websocket);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct run whole, pieces;

	if (size < 1 || size > 16384)
		return 0;
	memset(&whole, 0, sizeof(whole));
	memset(&pieces, 0, sizeof(pieces));
	run(&whole, data + 1, size - 1, SIZE_MAX / 2);
	run(&pieces, data + 1, size - 1, (data[0] & 15) + 1U);
	if (whole.r == -ENOMEM || pieces.r == -ENOMEM)
		return 0;
	assert(whole.r == pieces.r);
	if (whole.r < 0)
		return 0; /* the socket ends without a word */
	assert(whole.messages == pieces.messages && whole.digest == pieces.digest);
	if (whole.over || pieces.over)
		return 0;
	assert(whole.out_size == pieces.out_size);
	assert(memcmp(whole.out, pieces.out, whole.out_size) == 0);
	return 0;
}
