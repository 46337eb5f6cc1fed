/*
 * Bytes of a client go into the engine twice: as they are, with handlers that answer at once, and in
 * pieces, with handlers that answer later. Both times the same requests come out, each keeps the limits
 * (test_host.h), and the same is answered; only whether 100 Continue was worth saying may differ.
 */
#include "http/http1.h"
#include "http/test_host.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(struct test_host *t, bool redirect, const uint8_t *data, size_t size, unsigned step)
{
	int r = http1_engine_new(&t->host, redirect, &t->engine);

	assert(r == 0);
	for (size_t at = 0; at < size;) {
		size_t part = step ? step : size;

		if (part > size - at)
			part = size - at;
		if (!test_give(t, data + at, part))
			break;
		at += part;
		step = step ? step * 5 % 61 + 1 : 0;
	}
	t->engine->ops->end(t->engine);
	test_settle(t);
	assert(t->engine->ops->ending(t->engine) != HTTP_OPEN);
}

static void without_continue(struct text *text)
{
	static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
	char *at;

	while (text->data && (at = strstr(text->data, line))) {
		size_t size = strlen(line);

		memmove(at, at + size, text->size + 1 - (size_t)(at - text->data) - size);
		text->size -= size;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct test_host whole;
	struct test_host split;
	bool redirect = size > 0 && data[0] & 0x80;

	if (size == 0 || size > 65536)
		return 0;
	test_host_init(&whole, false);
	test_host_init(&split, true);
	run(&whole, redirect, data + 1, size - 1, 0);
	run(&split, redirect, data + 1, size - 1, (data[0] & 0x3fU) + 1);
	without_continue(&whole.output);
	without_continue(&split.output);
	assert(strcmp(text_string(&whole.log), text_string(&split.log)) == 0);
	assert(whole.output.size == split.output.size);
	assert(strcmp(text_string(&whole.output), text_string(&split.output)) == 0);
	assert(whole.output.size == 0 || strncmp(text_string(&whole.output), "HTTP/1.1 ", 9) == 0);
	test_host_done(&whole);
	test_host_done(&split);
	return 0;
}
