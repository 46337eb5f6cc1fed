/*
 * The other side of a netd_client, for tests that play start-netd. The test owns the socket and what came;
 * frames are as large as netd_protocol.h lets them be.
 */
#pragma once

#include <unistd.h>

#include "base/test.h"
#include "base/text.h"
#include "netstate/netd_protocol.h"

/* Reads what has come on @fd behind what @received holds, and gives each whole frame to @reply. */
static inline void netd_test_read(int fd, struct text *received,
				  void (*reply)(void *context, const struct netd_frame *frame),
				  void *context)
{
	struct netd_frame frame;
	char buffer[65536];
	ssize_t size = read(fd, buffer, sizeof(buffer));

	if (size <= 0)
		return;
	text_append_bytes(received, buffer, (size_t)size);
	while ((size = netd_frame_parse((uint8_t *)received->data, received->size, &frame)) > 0) {
		reply(context, &frame);
		received->size -= (size_t)size;
		memmove(received->data, received->data + size, received->size);
	}
}
