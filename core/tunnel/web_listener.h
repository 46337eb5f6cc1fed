/*
 * The HTTPS listener, following the document
 *
 * What /webserver says is made so while the daemon runs: the address, the certificate, whether it
 * listens at all. A new address is bound before the old one is given up, where the two do not exclude
 * each other. An address that cannot be bound is said once in the log, shown in status, and tried
 * again every WEB_RETRY_S seconds and whenever this machine's addresses change. A certificate of our own
 * authority is renewed in time; it is looked at once a day. While the interface is disabled no timer
 * runs.
 *
 * Sockets are bound by start-netd. What they serve is not known here: the HTTP server is behind
 * struct web_server. Owned by the tunnel.
 */
#pragma once

#include <jansson.h>

#include "base/ip.h"
#include "crypto/certificate.h"
#include "tunnel/tunnel.h"

#define WEB_RETRY_S 10
#define WEB_BACKLOG 1024

struct web_listener;

/* How the interface is called: for the contexts of signatures, and the hosts that requests may name. */
struct web_names {
	const char *listen; /* "198.51.100.7:8443", or NULL: none is set */
	const char *const *hosts; /* of the certificate */
	size_t host_count;
};

/* What serves the interface; all but `context` are called from the loop. */
struct web_server {
	void *context;

	/* Serves connections of a listening socket, which is taken, also on failure. 0 or negative errno. */
	int (*listen)(void *context, int fd, void **ret_listener);
	void (*close)(void *context, void *listener); /* connections that were made stay */

	/* Handshakes from now on get this. 0, or a negative errno with a fault: the old one stays. */
	int (*set_certificate)(void *context, const char *key, const char *chain,
			       struct fault *fault);

	/* Borrowed during the call. */
	void (*set_names)(void *context, const struct web_names *names);
};

/* Follows the document from now on. @server is copied. For a tunnel that is ready. 0 or negative errno. */
int web_listener_start(struct tunnel *tunnel, const struct web_server *server);

/* Stops listening, for good. */
void web_listener_stop(struct tunnel *tunnel);

/* For tunnel_free(). NULL is fine. Returns NULL. */
struct web_listener *web_listener_free(struct web_listener *web);

/* Whether this is, or collides with, an address that the interface listens on right now. */
bool web_listener_has(const struct tunnel *tunnel, const struct endpoint *endpoint);

/* Whether the interface's certificate is for a host, given in lower case. For rpc_front_set_names(). */
bool web_listener_is_host(void *tunnel, const char *name);

/* {"listening", "problem", "url", "warning"} as status shows it: whether the wanted address is served, which
 * may be false while the one before still is; what ends soon and does not renew itself. All but the first
 * may be null. NULL: no memory. */
json_t *web_listener_status(const struct tunnel *tunnel);
