/*
 * The inner side of a socket: what an engine does with it; inside this folder only
 *
 * A socket is made by http_request_accept_socket() and owns the codec (websocket.h). The engine that
 * serves it moves its bytes; when the stream or the connection is gone the engine says so once with
 * http_socket_gone(), which tells the user and releases the socket.
 */
#pragma once

#include "http/engine.h"

/* Says where the socket lives, from accept_socket of the engine. */
void http_socket_attach(struct http_socket *socket, struct http_engine *engine, void *stream);

/* Bytes of the client. The socket may be over afterwards. */
void http_socket_receive(struct http_socket *socket, const void *bytes, size_t size);

/* Gives at most @capacity bytes for the client, 0 where there are none now. */
size_t http_socket_pull(struct http_socket *socket, void *to, size_t capacity);

/* Whether the stream is to end: everything was pulled and the closing handshake is done, or the user
 * dropped the socket. */
bool http_socket_is_over(const struct http_socket *socket);

/* Begins the closing handshake. */
void http_socket_go_away(struct http_socket *socket);

/* The stream has ended: calls `closed` and releases the socket. */
void http_socket_gone(struct http_socket *socket);
