/*
 * The host name in a TLS ClientHello
 *
 * Reads the first bytes of a connection as far as they have come, and tells which host they ask for
 * (server_name, RFC 6066 section 3). The hello may lie in several records (RFC 8446 section 5.1); what
 * follows it, such as early data, does not matter. Of Encrypted ClientHello it is the outer name that
 * counts, which is the only one to be seen. Nothing else of the hello is judged: it goes on to the
 * server as it came.
 *
 * Does no I/O and keeps nothing: with more bytes, it is asked again from the first on. Who waits for as many
 * as it needs asks CLIENT_HELLO_READS_MAX times at most, however small the records are.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define CLIENT_HELLO_MAX                                                                           \
	16384 /* bytes from the first to the end of the hello, record headers included */
#define CLIENT_HELLO_NAME_MAX 256 /* with the NUL */
#define CLIENT_HELLO_READS_MAX 64

enum client_hello_result {
	CLIENT_HELLO_NAMED,
	CLIENT_HELLO_NAMELESS, /* there is no name in it, or none that a host can have */
	CLIENT_HELLO_MORE, /* it is not whole yet */
	CLIENT_HELLO_NONE, /* not TLS, or broken, or longer than CLIENT_HELLO_MAX */
};

struct client_hello {
	char name[CLIENT_HELLO_NAME_MAX]; /* in lower case, without a dot at the end; else "" */
	size_t needed; /* of CLIENT_HELLO_MORE: with fewer bytes it cannot be whole */
};

/* Returns an enum client_hello_result; it cannot fail. */
enum client_hello_result client_hello_read(const uint8_t *data, size_t size,
					   struct client_hello *ret);

/* What a server says to a name that it does not know: a fatal alert, unrecognized_name. */
#define CLIENT_HELLO_ALERT_SIZE 7
extern const uint8_t client_hello_alert[CLIENT_HELLO_ALERT_SIZE];
