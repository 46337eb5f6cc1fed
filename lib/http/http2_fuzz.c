/*
 * Frames of a client go into the engine behind the preface, in pieces, with handlers that answer at once
 * or later. What is handed on keeps the limits (test_host.h), what comes out is whole frames of HTTP/2 and
 * not more than the client asked for, and when the client ends the engine does, with nothing kept.
 */
#include "http/http2.h"
#include "http/test_host.h"

#define FRAME_HEAD 9
#define FRAME_MAX 16384

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_output(const struct text *output, size_t size)
{
	const uint8_t *at = (const uint8_t *)output->data;
	size_t left = output->size;

	assert(left <= 4096 + 64 * size);
	while (left > 0) {
		size_t length;

		assert(left >= FRAME_HEAD);
		length = (size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2];
		assert(length <= FRAME_MAX && length <= left - FRAME_HEAD);
		assert(at[3] <= 9);
		at += FRAME_HEAD + length;
		left -= FRAME_HEAD + length;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct test_host t;
	size_t step;

	if (size == 0 || size > 65536)
		return 0;
	test_host_init(&t, data[0] & 1);
	step = data[0] & 2 ? size : (data[0] >> 2) + 1U;
	assert(http2_engine_new(&t.host, &t.engine) == 0);
	if (test_give(&t, HTTP2_PREFACE, strlen(HTTP2_PREFACE)))
		for (size_t at = 1; at < size; at += step)
			if (!test_give(&t, data + at, step < size - at ? step : size - at))
				break;
	t.engine->ops->end(t.engine);
	test_settle(&t);
	assert(t.engine->ops->ending(t.engine) != HTTP_OPEN);
	check_output(&t.output, size);
	test_host_done(&t);
	return 0;
}
