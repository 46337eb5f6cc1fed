#include "dns/message.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dns/wire.h"

#define LABEL_MAX DNS_LABEL_MAX
#define POINTER DNS_POINTER
#define OPT_SIZE 11 /* bytes of an OPT record without options */

enum flag {
	FLAG_RESPONSE = 0x8000,
	FLAG_TRUNCATED = DNS_FLAG_TRUNCATED,
	FLAG_RECURSION_DESIRED = 0x0100,
	FLAG_RECURSION_AVAILABLE = 0x0080,
	FLAG_CHECKING_DISABLED = 0x0010,
	OPCODE_MASK = 0x7800,
	CODE_MASK = 0x000f,
	OPT_DNSSEC_OK = 0x8000,
};

struct header {
	uint16_t id;
	uint16_t flags;
	uint16_t counts[4]; /* questions, answers, authority, additional */
};

static struct header read_header(struct reader *r)
{
	struct header h = { .id = reader_u16(r), .flags = reader_u16(r) };

	for (int i = 0; i < 4; i++)
		h.counts[i] = reader_u16(r);
	return h;
}

static size_t place(const struct reader *r, const uint8_t *data)
{
	return (size_t)(r->at - data);
}

/* Passes over a name; where it is compressed, its rest is elsewhere. */
static void skip_name(struct reader *r)
{
	for (;;) {
		uint8_t size = reader_u8(r);

		if (r->failed || size == 0)
			return;
		if ((size & POINTER) == POINTER) {
			(void)reader_u8(r);
			return;
		}
		if (size > LABEL_MAX) {
			r->failed = true;
			return;
		}
		(void)reader_take(r, size);
	}
}

/* Reads a name that is not compressed, as a question's has to be. */
static void read_name(struct reader *r, struct dns_name *ret)
{
	const uint8_t *start = r->at;

	for (;;) {
		uint8_t size = reader_u8(r);

		if (size > LABEL_MAX)
			r->failed = true;
		if (r->failed || size == 0)
			break;
		(void)reader_take(r, size);
	}
	if (r->failed || place(r, start) > DNS_NAME_MAX) {
		r->failed = true;
		return;
	}
	ret->size = (uint8_t)place(r, start);
	memcpy(ret->bytes, start, ret->size);
}

/* A record as it stands in a message. */
struct record {
	bool is_root; /* its name */
	uint16_t type;
	uint16_t class;
	uint32_t ttl;
	size_t start;
	size_t ttl_at; /* places in the message */
	const uint8_t *data;
	uint16_t data_size;
};

static struct record read_record(struct reader *r, const uint8_t *message)
{
	struct record record = { .start = place(r, message) };

	record.is_root = reader_left(r) > 0 && *r->at == 0;
	skip_name(r);
	record.type = reader_u16(r);
	record.class = reader_u16(r);
	record.ttl_at = place(r, message);
	record.ttl = reader_u32(r);
	record.data_size = reader_u16(r);
	record.data = reader_take(r, record.data_size);
	return record;
}

static void read_opt(const struct record *opt, struct dns_query *query)
{
	query->edns = true;
	query->dnssec_ok = (opt->ttl & OPT_DNSSEC_OK) != 0;
	if (opt->class > DNS_UDP_MAX)
		query->udp_max = opt->class < DNS_EDNS_UDP_MAX ? opt->class : DNS_EDNS_UDP_MAX;
	if (((opt->ttl >> 16) & 0xff) != 0)
		query->refusal = DNS_BADVERS;
}

/* Reads the sections behind the question. Returns false where they are broken. */
static bool read_additional(struct reader *r, const uint8_t *data, const struct header *h,
			    struct dns_query *query)
{
	uint32_t count = (uint32_t)h->counts[1] + h->counts[2] + h->counts[3];

	for (uint32_t i = 0; i < count && !r->failed; i++) {
		struct record record = read_record(r, data);

		if (r->failed || record.type != DNS_OPT)
			continue;
		if (query->edns || !record.is_root)
			return false; /* at most one, of the root's name */
		read_opt(&record, query);
	}
	return reader_done(r);
}

int dns_query_parse(const uint8_t *data, size_t size, struct dns_query *ret)
{
	struct dns_query query = { .udp_max = DNS_UDP_MAX };
	struct reader r;
	struct header h;

	reader_init(&r, data, size);
	h = read_header(&r);
	if (r.failed || (h.flags & FLAG_RESPONSE))
		return -EBADMSG;
	query.id = h.id;
	query.opcode = (uint8_t)((h.flags & OPCODE_MASK) >> 11);
	query.recursion_desired = h.flags & FLAG_RECURSION_DESIRED;
	query.checking_disabled = h.flags & FLAG_CHECKING_DISABLED;
	query.question_end = DNS_HEADER_SIZE;
	if (query.opcode != 0) {
		query.refusal = DNS_NOTIMP;
	} else if (h.counts[0] != 1) {
		query.refusal = DNS_FORMERR;
	} else {
		read_name(&r, &query.name);
		query.type = reader_u16(&r);
		query.class = reader_u16(&r);
		if (r.failed) {
			query.refusal = DNS_FORMERR;
			query.name.size = 0;
		} else {
			query.question_end = place(&r, data);
			if (!read_additional(&r, data, &h, &query))
				query.refusal = DNS_FORMERR;
		}
	}
	*ret = query;
	return 0;
}

bool dns_response_matches(const uint8_t *data, size_t size, const uint8_t *query, size_t query_size)
{
	struct dns_name asked, answered;
	struct reader r, q;
	struct header answer, question;
	uint32_t kind;

	reader_init(&r, data, size);
	reader_init(&q, query, query_size);
	answer = read_header(&r);
	question = read_header(&q);
	if (r.failed || q.failed || answer.id != question.id || !(answer.flags & FLAG_RESPONSE) ||
	    ((answer.flags ^ question.flags) & OPCODE_MASK) || answer.counts[0] != 1)
		return false;
	read_name(&r, &answered);
	read_name(&q, &asked);
	kind = reader_u32(&r);
	return kind == reader_u32(&q) && !r.failed && !q.failed && answered.size == asked.size &&
	       memcmp(answered.bytes, asked.bytes, asked.size) == 0;
}

static uint16_t flags_of(const uint8_t *data, size_t size)
{
	return size < DNS_HEADER_SIZE ? 0 : (uint16_t)(data[2] << 8 | data[3]);
}

bool dns_is_truncated(const uint8_t *data, size_t size)
{
	return flags_of(data, size) & FLAG_TRUNCATED;
}

enum dns_code dns_code_of(const uint8_t *data, size_t size)
{
	return (enum dns_code)(flags_of(data, size) & CODE_MASK);
}

/* Begins to read the records of a message: passes over header and questions. */
static struct header begin_records(struct reader *r, const uint8_t *data, size_t size)
{
	struct header h;

	reader_init(r, data, size);
	h = read_header(r);
	for (uint16_t i = 0; i < h.counts[0] && !r->failed; i++) {
		skip_name(r);
		(void)reader_u32(r);
	}
	return h;
}

/* The lesser of a SOA's own time to live and its last number, or 0. */
static uint32_t negative_ttl(const struct record *soa)
{
	struct reader r;

	uint32_t minimum;

	if (soa->data_size < 4)
		return 0;
	reader_init(&r, soa->data + soa->data_size - 4, 4);
	minimum = reader_u32(&r);
	return soa->ttl < minimum ? soa->ttl : minimum;
}

int dns_lifetime(const uint8_t *data, size_t size, uint32_t *ret_s)
{
	struct reader r;
	struct header h = begin_records(&r, data, size);
	uint32_t count = (uint32_t)h.counts[1] + h.counts[2] + h.counts[3];
	uint16_t code = h.flags & CODE_MASK;
	uint32_t least = DNS_TTL_MAX, negative = 0;

	for (uint32_t i = 0; i < count && !r.failed; i++) {
		struct record record = read_record(&r, data);

		if (r.failed || record.type == DNS_OPT)
			continue;
		if (record.ttl < least)
			least = record.ttl;
		if (record.type == DNS_SOA && i >= h.counts[1])
			negative = negative_ttl(&record);
	}
	if (!reader_done(&r))
		return -EBADMSG;
	if ((h.flags & FLAG_TRUNCATED) || (code != DNS_NOERROR && code != DNS_NXDOMAIN))
		least = 0;
	else if (code == DNS_NXDOMAIN || h.counts[1] == 0)
		least = negative < DNS_NEGATIVE_TTL_MAX ? negative : DNS_NEGATIVE_TTL_MAX;
	*ret_s = least;
	return 0;
}

int dns_age(uint8_t *data, size_t size, uint32_t age_s)
{
	struct reader r;
	struct header h = begin_records(&r, data, size);
	uint32_t count = (uint32_t)h.counts[1] + h.counts[2] + h.counts[3];

	for (uint32_t i = 0; i < count && !r.failed; i++) {
		struct record record = read_record(&r, data);
		struct writer w;

		if (r.failed || record.type == DNS_OPT)
			continue;
		writer_init(&w, data + record.ttl_at, 4);
		writer_u32(&w, record.ttl > age_s ? record.ttl - age_s : 0);
	}
	return reader_done(&r) ? 0 : -EBADMSG;
}

size_t dns_strip_opt(uint8_t *data, size_t size)
{
	struct reader r;
	struct header h = begin_records(&r, data, size);
	uint32_t count = (uint32_t)h.counts[1] + h.counts[2] + h.counts[3];
	struct record last = { 0 };
	struct writer w;

	for (uint32_t i = 0; i < count && !r.failed; i++)
		last = read_record(&r, data);
	if (!reader_done(&r) || h.counts[3] == 0 || last.type != DNS_OPT)
		return size;
	writer_init(&w, data + 10, 2);
	writer_u16(&w, (uint16_t)(h.counts[3] - 1));
	return last.start;
}

void dns_set_id(uint8_t *data, uint16_t id)
{
	data[0] = (uint8_t)(id >> 8);
	data[1] = (uint8_t)id;
}

void dns_wire_begin(struct writer *w, const struct dns_query *query, const uint8_t *bytes,
		    enum dns_code code, unsigned flags, uint16_t answers)
{
	unsigned all = flags | FLAG_RESPONSE | (unsigned)query->opcode << 11 |
		       ((unsigned)code & CODE_MASK);

	if (query->opcode == DNS_QUERY)
		all |= FLAG_RECURSION_AVAILABLE;
	if (query->recursion_desired)
		all |= FLAG_RECURSION_DESIRED;
	if (query->checking_disabled)
		all |= FLAG_CHECKING_DISABLED;
	writer_u16(w, query->id);
	writer_u16(w, (uint16_t)all);
	writer_u16(w, query->name.size > 0 ? 1 : 0);
	writer_u16(w, answers);
	writer_u16(w, 0);
	writer_u16(w, query->edns ? 1 : 0);
	if (query->name.size > 0)
		writer_copy(w, bytes + DNS_HEADER_SIZE, query->question_end - DNS_HEADER_SIZE);
}

void dns_wire_end(struct writer *w, const struct dns_query *query, enum dns_code code)
{
	if (!query->edns)
		return;
	writer_u8(w, 0);
	writer_u16(w, DNS_OPT);
	writer_u16(w, DNS_EDNS_UDP_MAX);
	writer_u32(w, (uint32_t)(code >> 4) << 24 | (query->dnssec_ok ? OPT_DNSSEC_OK : 0));
	writer_u16(w, 0);
}

size_t dns_write_empty(const struct dns_query *query, const uint8_t *query_bytes,
		       enum dns_code code, bool truncated, uint8_t *to)
{
	struct writer w;

	writer_init(&w, to, query->question_end + OPT_SIZE);
	dns_wire_begin(&w, query, query_bytes, code, truncated ? DNS_FLAG_TRUNCATED : 0, 0);
	dns_wire_end(&w, query, code);
	return (size_t)writer_size(&w);
}

size_t dns_fit(uint8_t *data, size_t size, const struct dns_query *query,
	       const uint8_t *query_bytes, size_t max)
{
	dns_set_id(data, query->id);
	/* What is passed on is not said with authority, and we do recur. */
	data[2] = (uint8_t)((data[2] & ~(1 | DNS_FLAG_AUTHORITATIVE >> 8)) |
			    query->recursion_desired);
	data[3] |= FLAG_RECURSION_AVAILABLE;
	memcpy(data + DNS_HEADER_SIZE, query_bytes + DNS_HEADER_SIZE,
	       query->question_end - DNS_HEADER_SIZE);
	if (!query->edns)
		size = dns_strip_opt(data, size);
	if (size <= max)
		return size;
	return dns_write_empty(query, query_bytes, dns_code_of(data, size), true, data);
}

/* --- names --- */

void dns_name_lower(struct dns_name *name)
{
	/* Lengths are below 64, where no letter is. */
	for (size_t i = 0; i < name->size; i++)
		if (name->bytes[i] >= 'A' && name->bytes[i] <= 'Z')
			name->bytes[i] = (uint8_t)(name->bytes[i] + ('a' - 'A'));
}

bool dns_name_equal(const struct dns_name *a, const struct dns_name *b)
{
	struct dns_name first = *a, second = *b;

	if (a->size != b->size)
		return false;
	dns_name_lower(&first);
	dns_name_lower(&second);
	return memcmp(first.bytes, second.bytes, first.size) == 0;
}

static bool is_label(const char *text, size_t size, bool first)
{
	if (size == 0 || size > LABEL_MAX)
		return false;
	if (first && size == 1 && *text == '*')
		return true;
	for (size_t i = 0; i < size; i++)
		if (!isalnum((unsigned char)text[i]) && text[i] != '-' && text[i] != '_')
			return false;
	return text[0] != '-' && text[size - 1] != '-';
}

int dns_name_parse(const char *text, struct dns_name *ret)
{
	struct dns_name name = { .size = 0 };
	struct writer w;
	bool first = true;

	writer_init(&w, name.bytes, sizeof(name.bytes));
	if (*text == '\0')
		return -EINVAL;
	while (*text) {
		size_t size = strcspn(text, ".");

		if (!is_label(text, size, first))
			return -EINVAL;
		first = false;
		writer_u8(&w, (uint8_t)size);
		writer_copy(&w, text, size);
		text += size;
		if (*text == '.')
			text++;
	}
	writer_u8(&w, 0);
	if (writer_size(&w) < 0)
		return -EINVAL;
	name.size = (uint8_t)writer_size(&w);
	*ret = name;
	return 0;
}

static size_t format_byte(uint8_t byte, char *to)
{
	if (byte > ' ' && byte < 0x7f && byte != '.' && byte != '\\' && byte != '"') {
		*to = (char)byte;
		return 1;
	}
	return (size_t)snprintf(to, 5, "\\%03u", byte);
}

char *dns_name_format(const struct dns_name *name, char to[DNS_NAME_TEXT_MAX])
{
	size_t at = 0, size = 0;

	while (at < name->size && name->bytes[at] > 0) {
		size_t end = at + 1 + name->bytes[at];

		if (size > 0)
			to[size++] = '.';
		for (at++; at < end && at < name->size; at++)
			size += format_byte(name->bytes[at], to + size);
	}
	if (size == 0)
		to[size++] = '.';
	to[size] = '\0';
	return to;
}
