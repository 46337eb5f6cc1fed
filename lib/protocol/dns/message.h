/*
 * DNS messages as a forwarding server looks at them (RFC 1035, 2308, 6891)
 *
 * Reads what decides where a query goes and how long an answer lives, and changes in place what a
 * forwarder may change: ids, flags, times to live. It builds no tree of records. Does no I/O. Names are
 * in wire form: labels with their lengths, ending with a zero. All parsers take bytes from anybody.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNS_HEADER_SIZE 12
#define DNS_NAME_MAX 255 /* bytes of a name in wire form */
#define DNS_NAME_TEXT_MAX 1024 /* of one as text, each byte escaped, with the NUL */
#define DNS_MESSAGE_MAX 65535
#define DNS_UDP_MAX 512 /* bytes of a message to a client that says nothing of its buffer */
#define DNS_EDNS_UDP_MAX 1232 /* what we offer and use at most: fits every path's MTU */
#define DNS_TTL_MAX 86400 /* seconds that an answer is kept at most, a day */
#define DNS_NEGATIVE_TTL_MAX 3600 /* the same of "there is no such name" */

enum dns_type {
	DNS_A = 1,
	DNS_NS = 2,
	DNS_CNAME = 5,
	DNS_SOA = 6,
	DNS_PTR = 12,
	DNS_MX = 15,
	DNS_TXT = 16,
	DNS_AAAA = 28,
	DNS_SRV = 33,
	DNS_DNAME = 39,
	DNS_OPT = 41,
	DNS_TSIG = 250,
	DNS_ANY = 255,
};

enum dns_class {
	DNS_CLASS_IN = 1,
	DNS_CLASS_NONE = 254, /* of updates */
	DNS_CLASS_ANY = 255,
};

enum dns_opcode {
	DNS_QUERY = 0,
	DNS_UPDATE = 5,
};

enum dns_code {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NXDOMAIN = 3,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5,
	DNS_YXDOMAIN = 6, /* of updates (RFC 2136 section 2.2) */
	DNS_YXRRSET = 7,
	DNS_NXRRSET = 8,
	DNS_NOTZONE = 10,
	DNS_BADVERS = 16, /* its upper bits are in the OPT record */
};

struct dns_name {
	uint8_t bytes[DNS_NAME_MAX]; /* as they came; compare with dns_name_equal() */
	uint8_t size; /* with the zero at the end */
};

/* What matters of a query. */
struct dns_query {
	uint16_t id;
	uint8_t opcode; /* enum dns_opcode */
	bool recursion_desired;
	bool checking_disabled;
	struct dns_name name;
	uint16_t type;
	uint16_t class;
	size_t question_end; /* bytes of header and question */
	bool edns;
	bool dnssec_ok;
	uint16_t udp_max; /* bytes of an answer over UDP, DNS_UDP_MAX to DNS_EDNS_UDP_MAX */
	enum dns_code refusal; /* not 0: how to answer at once */
};

/*
 * Reads a query. One that is readable but not to be served has `refusal` set: FORMERR for more or less
 * than one question or broken records, NOTIMP for another opcode, BADVERS for an EDNS version that does not
 * exist. Returns 0, or -EBADMSG for what deserves no answer: too short, or a response.
 */
int dns_query_parse(const uint8_t *data, size_t size, struct dns_query *ret);

/* Whether @data is the response to @query: its id, its question (in the very spelling), QR. */
bool dns_response_matches(const uint8_t *data, size_t size, const uint8_t *query,
			  size_t query_size);

bool dns_is_truncated(const uint8_t *data, size_t size);
enum dns_code dns_code_of(const uint8_t *data, size_t size); /* the lower four bits */

/*
 * How long a response may be kept: the least of its times to live; for "no such name" and "nothing of
 * this type" what its SOA says (RFC 2308 section 5), 0 where there is none. 0 for other codes, and for
 * what is truncated. Returns 0 or -EBADMSG.
 */
int dns_lifetime(const uint8_t *data, size_t size, uint32_t *ret_s);

/* Takes @age_s off each time to live, not below 0; OPT has none. Returns 0 or -EBADMSG. */
int dns_age(uint8_t *data, size_t size, uint32_t age_s);

/* The message without its OPT record where that is the last one, as a client without EDNS has to get it.
 * Returns the new size, or @size. */
size_t dns_strip_opt(uint8_t *data, size_t size);

void dns_set_id(uint8_t *data, uint16_t id);

/*
 * Makes a response to somebody else's question of the same name and type one to this query: its id, its
 * spelling, its flags, without authority, EDNS as far as the client knows it. Where it is larger than
 * @max it becomes an empty one that says so. In place. Returns the new size.
 */
size_t dns_fit(uint8_t *data, size_t size, const struct dns_query *query,
	       const uint8_t *query_bytes, size_t max);

/*
 * Writes the answer that carries no records: header, question, and an OPT record where the query had one.
 * @query_bytes: the whole query; @truncated: says to come again over TCP. @to has room for
 * query->question_end + 11 bytes. Returns the size.
 */
size_t dns_write_empty(const struct dns_query *query, const uint8_t *query_bytes,
		       enum dns_code code, bool truncated, uint8_t *to);

/* Names compare without regard to case (RFC 4343). */
bool dns_name_equal(const struct dns_name *a, const struct dns_name *b);
void dns_name_lower(struct dns_name *name);

/*
 * Reads a name from text: "git.example.com" with or without a dot at its end, labels of 1 to 63 bytes
 * that are letters, digits, hyphens, underscores, and "*" alone as the first. Returns 0 or -EINVAL.
 */
int dns_name_parse(const char *text, struct dns_name *ret);

/* Writes it as text without the dot at its end, "." for the root; other bytes as \DDD. */
char *dns_name_format(const struct dns_name *name, char to[DNS_NAME_TEXT_MAX]);
