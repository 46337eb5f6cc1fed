/*
 * One question on its way to an upstream server, whatever it takes
 *
 * Asks with a random id and a random spelling of the name (0x20), which a forger has to guess together
 * with the port; with EDNS, and without it where a server does not know that; over UDP, and over TCP where
 * an answer was cut off or its spelling is not ours. Does no I/O: sockets, servers and time are the
 * caller's.
 */
#pragma once

#include "dns/message.h"

#define DNS_ASK_MAX (DNS_HEADER_SIZE + DNS_NAME_MAX + 4 + 11)
#define DNS_ASK_RANDOM 34 /* bytes: the id and the spelling */

struct dns_exchange {
	struct dns_query query; /* what is asked for; names the answer in the cache */
	bool tcp; /* how to ask now */
	bool plain; /* without EDNS */
	uint16_t asked_size;
	uint8_t asked[DNS_ASK_MAX];
};

/* Begins with a client's question, as one about @name. */
void dns_exchange_init(struct dns_exchange *exchange, const struct dns_query *query,
		       const struct dns_name *name);

/* Writes the query to send, exchange->asked. */
void dns_exchange_ask(struct dns_exchange *exchange, const uint8_t random[DNS_ASK_RANDOM]);

enum dns_verdict {
	DNS_IGNORED, /* no answer to what was asked; go on waiting */
	DNS_TAKEN, /* the answer */
	DNS_ASK_AGAIN, /* ask the same server once more, in another way */
	DNS_ASK_NEXT, /* this server cannot tell, another might; the message may still be passed on */
};

enum dns_verdict dns_exchange_take(struct dns_exchange *exchange, const uint8_t *message,
				   size_t size);
