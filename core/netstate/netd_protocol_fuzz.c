/* What parses is written again, and then parses to the same and is written to the same bytes. */
#include <assert.h>
#include <string.h>

#include "netstate/netd_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct netd_frame reparse(const struct text *t)
{
	struct netd_frame frame;
	ssize_t size = netd_frame_parse((const uint8_t *)t->data, t->size, &frame);

	assert(text_error(t) == 0 && size == (ssize_t)t->size);
	return frame;
}

static void assert_same(const struct text *a, const struct text *b)
{
	assert(a->size == b->size && memcmp(a->data, b->data, a->size) == 0);
}

static void sync_again(const struct netd_frame *frame)
{
	CLEANUP(net_set_done) struct net_set set = { 0 };
	CLEANUP(net_set_done) struct net_set again = { 0 };
	CLEANUP(text_done) struct text first = { 0 };
	CLEANUP(text_done) struct text second = { 0 };
	struct netd_frame written;

	if (netd_parse_sync(frame, &set) < 0)
		return;
	for (size_t i = 0; i < set.count; i++)
		(void)net_item_check(&set.items[i], NULL);
	netd_write_sync(&first, frame->number, &set);
	written = reparse(&first);
	assert(netd_parse_sync(&written, &again) == 0);
	netd_write_sync(&second, frame->number, &again);
	assert_same(&first, &second);
}

static void change_again(const struct netd_frame *frame)
{
	CLEANUP(net_set_done) struct net_set remove = { 0 };
	CLEANUP(net_set_done) struct net_set add = { 0 };
	CLEANUP(net_set_done) struct net_set remove_again = { 0 };
	CLEANUP(net_set_done) struct net_set add_again = { 0 };
	CLEANUP(text_done) struct text first = { 0 };
	CLEANUP(text_done) struct text second = { 0 };
	struct netd_frame written;

	if (netd_parse_change(frame, &remove, &add) < 0)
		return;
	netd_write_change(&first, frame->number, &remove, &add);
	written = reparse(&first);
	assert(netd_parse_change(&written, &remove_again, &add_again) == 0);
	netd_write_change(&second, frame->number, &remove_again, &add_again);
	assert_same(&first, &second);
}

static void failed_again(const struct netd_frame *frame)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	CLEANUP(text_done) struct text first = { 0 };
	struct netd_frame written;

	if (netd_parse_failed(frame, &fault) < 0)
		return;
	netd_write_failed(&first, frame->number, &fault);
	written = reparse(&first);
	assert(written.body_size == frame->body_size);
	assert(memcmp(written.body, frame->body, frame->body_size) == 0);
}

static void status_again(const struct netd_frame *frame)
{
	CLEANUP(netd_status_done) struct netd_status status = { 0 };
	CLEANUP(netd_status_done) struct netd_status again = { 0 };
	CLEANUP(text_done) struct text first = { 0 };
	CLEANUP(text_done) struct text second = { 0 };
	struct netd_frame written;

	if (netd_parse_status(frame, &status) < 0)
		return;
	netd_write_status(&first, frame->number, &status);
	written = reparse(&first);
	assert(netd_parse_status(&written, &again) == 0);
	netd_write_status(&second, frame->number, &again);
	assert_same(&first, &second);
}

static void status_request_again(const struct netd_frame *frame)
{
	CLEANUP(text_done) struct text first = { 0 };
	struct netd_frame written;
	uint8_t flags, again;

	if (netd_parse_status_request(frame, &flags) < 0)
		return;
	netd_write_status_request(&first, frame->number, flags);
	written = reparse(&first);
	assert(netd_parse_status_request(&written, &again) == 0 && again == flags);
}

static void bind_again(const struct netd_frame *frame)
{
	CLEANUP(text_done) struct text first = { 0 };
	struct netd_bind wanted;
	struct netd_frame written;

	if (netd_parse_bind(frame, &wanted) < 0)
		return;
	netd_write_bind(&first, frame->number, &wanted);
	written = reparse(&first);
	assert(written.body_size == frame->body_size);
	assert(memcmp(written.body, frame->body, frame->body_size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct netd_frame frame;
	ssize_t used;

	while ((used = netd_frame_parse(data, size, &frame)) > 0) {
		assert((size_t)used <= size);
		sync_again(&frame);
		change_again(&frame);
		failed_again(&frame);
		status_again(&frame);
		status_request_again(&frame);
		bind_again(&frame);
		data += used;
		size -= (size_t)used;
	}
	return 0;
}
