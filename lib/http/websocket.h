/*
 * WebSocket frames, RFC 6455, the server's side, on wslay; inside this folder only
 *
 * A codec without I/O: bytes of the client in, bytes for the client out, for a connection of HTTP/1.1
 * and for a stream of HTTP/2. Owned by its socket. A message is at most HTTP_SOCKET_MESSAGE_MAX bytes,
 * the queue HTTP_SOCKET_QUEUE_MAX. Pings of the client are answered here. Handlers are called from
 * within websocket_receive() and may call the other functions but websocket_free().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct websocket;

/* A whole message arrived. */
typedef void websocket_message_fn(void *context, const void *bytes, size_t size, bool text);

/* Returns 0 or -ENOMEM. @message: NULL: messages are forgotten. */
int websocket_new(websocket_message_fn *message, void *context, struct websocket **ret);

/* NULL is fine. Returns NULL. */
struct websocket *websocket_free(struct websocket *websocket);
DEFINE_CLEANUP(struct websocket *, websocket_free);

/* Takes all bytes. Where they break the protocol a close frame is queued (with a code, but for frames
 * that are none), and what follows is ignored. Returns 0, -ENOMEM, or -ENOBUFS: the client pings and
 * does not read; the socket is to end at once. */
int websocket_receive(struct websocket *websocket, const void *bytes, size_t size);

/* Gives at most @capacity bytes to send, 0 where there are none. */
size_t websocket_pull(struct websocket *websocket, void *to, size_t capacity);

/* Bytes that websocket_pull() has yet to give, about; 0 where there are none. */
size_t websocket_queued(const struct websocket *websocket);

/* Queues a text message, which is copied. Returns 0, -ENOBUFS: the queue is full, -ENOMEM, -EPIPE: a
 * close frame was queued before. */
int websocket_send_text(struct websocket *websocket, const char *text, size_t size);

/* Queues a text message that is borrowed until @release is called, which it is once, also on failure. It
 * goes in fragments. Returns what websocket_send_text() does. */
int websocket_lend_text(struct websocket *websocket, const char *text, size_t size,
			void (*release)(void *context), void *context);

/* Queues a ping. Returns 0, -ENOMEM, -EPIPE. */
int websocket_ping(struct websocket *websocket);

/* Queues a close frame behind everything else. @reason: at most 123 bytes, or NULL. Returns 0, or
 * -EPIPE: there is one already. */
int websocket_close(struct websocket *websocket, uint16_t code, const char *reason);

/* Whether close frames went both ways, or the protocol was broken, and everything was pulled: nothing
 * more is to be sent or received. */
bool websocket_is_over(const struct websocket *websocket);
