/*
 * The HTTPS side of the daemon's server
 *
 * Gives the listener of the web interface (tunnel/web_listener.h), which follows the document, the HTTP
 * server to serve it and the account to check signatures under its names. Owned by the program.
 */
#pragma once

#include "http/server.h"
#include "tunnel/tunnel.h"

struct https;

/* @tunnel has to be ready; it and @server outlive https_stop(). Returns 0 or a negative errno. */
int https_start(struct tunnel *tunnel, struct http_server *server, struct https **ret);

/* Stops listening; connections that were made stay. NULL is fine. */
void https_stop(struct https *https);

/* Releases it, after https_stop() and the end of the server's last connection. NULL is fine. Returns
 * NULL. */
struct https *https_free(struct https *https);
