#include "dns/records.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "dns/wire.h"

struct dns_owner {
	struct dns_name name;
	struct dns_local *first;
	struct dns_local *last;
	size_t count;
};

struct dns_records {
	struct map owners; /* by name in lower case */
	size_t count;
};

int dns_records_new(struct dns_records **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

static void free_owner(void *value, void *context)
{
	struct dns_owner *owner = value;

	(void)context;
	while (owner->first) {
		struct dns_local *local = owner->first;

		owner->first = local->next;
		free(local);
	}
	free(owner);
}

void dns_records_clear(struct dns_records *records)
{
	map_each(&records->owners, free_owner, NULL);
	map_done(&records->owners);
	records->owners = (struct map){ 0 };
	records->count = 0;
}

struct dns_records *dns_records_free(struct dns_records *records)
{
	if (!records)
		return NULL;
	dns_records_clear(records);
	free(records);
	return NULL;
}

static struct dns_owner *find(const struct dns_records *records, const struct dns_name *name)
{
	struct dns_name lower;

	if (records->count == 0)
		return NULL;
	lower = *name;
	dns_name_lower(&lower);
	return map_get(&records->owners, lower.bytes, lower.size);
}

static int add_owner(struct dns_records *records, const struct dns_name *name,
		     struct dns_owner **ret)
{
	struct dns_owner *owner = calloc(1, sizeof(*owner));
	int r = owner ? 0 : -ENOMEM;

	if (r < 0)
		return r;
	owner->name = *name;
	dns_name_lower(&owner->name);
	r = map_set(&records->owners, owner->name.bytes, owner->name.size, owner, NULL);
	if (r < 0)
		free(owner);
	else
		*ret = owner;
	return r;
}

int dns_records_add(struct dns_records *records, const struct dns_name *name,
		    const struct dns_local *local, const uint8_t *data)
{
	struct dns_owner *owner = find(records, name);
	struct dns_local *added;
	int r;

	if (records->count == DNS_RECORDS_MAX || local->data_size > DNS_DATA_MAX ||
	    (owner && owner->count == DNS_RECORDS_PER_NAME_MAX))
		return -E2BIG;
	added = malloc(sizeof(*added) + local->data_size);
	if (!added)
		return -ENOMEM;
	*added = *local;
	added->next = NULL;
	memcpy(added->data, data, local->data_size);
	r = owner ? 0 : add_owner(records, name, &owner);
	if (r < 0) {
		free(added);
		return r;
	}
	if (owner->last)
		owner->last->next = added;
	else
		owner->first = added;
	owner->last = added;
	owner->count++;
	records->count++;
	return 0;
}

size_t dns_records_count(const struct dns_records *records)
{
	return records->count;
}

const struct dns_owner *dns_records_find(const struct dns_records *records,
					 const struct dns_name *name)
{
	return find(records, name);
}

const struct dns_local *dns_owner_first(const struct dns_owner *owner)
{
	return owner->first;
}

static const struct dns_local *cname_of(const struct dns_owner *owner)
{
	const struct dns_local *local = owner->first;

	while (local && local->type != DNS_CNAME)
		local = local->next;
	return local;
}

static bool matches(const struct dns_local *local, uint16_t type)
{
	return local->type == type || type == DNS_ANY;
}

static bool has_type(const struct dns_owner *owner, uint16_t type)
{
	for (const struct dns_local *local = owner->first; local; local = local->next)
		if (matches(local, type))
			return true;
	return false;
}

/* A chain that leads in a circle ends where it is noticed. */
bool dns_records_look_up(const struct dns_records *records, const struct dns_query *query,
			 struct dns_chain *ret)
{
	const struct dns_owner *owner;

	if (query->class != DNS_CLASS_IN && query->class != DNS_CLASS_ANY)
		return false;
	owner = find(records, &query->name);
	ret->count = 0;
	ret->end = owner;
	if (!owner)
		return false;
	while (!has_type(owner, query->type) && ret->count < DNS_CHAIN_MAX) {
		const struct dns_local *cname = cname_of(owner);

		if (!cname)
			break;
		ret->links[ret->count++] = owner;
		ret->elsewhere.size = (uint8_t)cname->data_size;
		memcpy(ret->elsewhere.bytes, cname->data, cname->data_size);
		owner = find(records, &ret->elsewhere);
		ret->end = owner;
		if (!owner)
			break;
	}
	return true;
}

/* The question's own name is written as a pointer to it, which also keeps its spelling. */
static void write_record(struct writer *w, const struct dns_name *name,
			 const struct dns_local *local)
{
	if (name)
		writer_copy(w, name->bytes, name->size);
	else
		writer_u16(w, DNS_POINTER << 8 | DNS_HEADER_SIZE);
	writer_u16(w, local->type);
	writer_u16(w, DNS_CLASS_IN);
	writer_u32(w, local->ttl_s);
	writer_u16(w, local->data_size);
	writer_copy(w, local->data, local->data_size);
}

static void write_links(struct writer *w, const struct dns_chain *chain)
{
	for (size_t i = 0; i < chain->count; i++)
		write_record(w, i > 0 ? &chain->links[i]->name : NULL, cname_of(chain->links[i]));
}

int dns_chain_write(const struct dns_chain *chain, const struct dns_query *query,
		    const uint8_t *query_bytes, uint8_t *to, size_t capacity)
{
	const struct dns_local *first = chain->end->first;
	const struct dns_name *name = chain->count > 0 ? &chain->end->name : NULL;
	size_t count = chain->count;
	struct writer w;

	for (const struct dns_local *local = first; local; local = local->next)
		count += matches(local, query->type);
	writer_init(&w, to, capacity);
	dns_wire_begin(&w, query, query_bytes, DNS_NOERROR, DNS_FLAG_AUTHORITATIVE,
		       (uint16_t)count);
	write_links(&w, chain);
	for (const struct dns_local *local = first; local; local = local->next)
		if (matches(local, query->type))
			write_record(&w, name, local);
	dns_wire_end(&w, query, DNS_NOERROR);
	return (int)writer_size(&w);
}

/* Copies a record, with names in full: those that it points to may stand elsewhere now. */
static void copy_record(struct dns_wire *wire, struct writer *w)
{
	struct dns_wire_record record;
	uint8_t *size_at;
	uint8_t *start;

	dns_wire_record(wire, &record);
	if (wire->reader.failed)
		return;
	writer_copy(w, record.name.bytes, record.name.size);
	writer_u16(w, record.type);
	writer_u16(w, record.class);
	writer_u32(w, record.ttl_s);
	size_at = writer_reserve(w, 2);
	start = w->at;
	dns_wire_data(wire, &record, w);
	if (w->failed)
		return;
	size_at[0] = (uint8_t)((w->at - start) >> 8);
	size_at[1] = (uint8_t)(w->at - start);
}

int dns_chain_complete(const struct dns_chain *chain, const struct dns_query *query,
		       const uint8_t *query_bytes, const uint8_t *response, size_t response_size,
		       uint8_t *to, size_t capacity)
{
	enum dns_code code = dns_code_of(response, response_size);
	struct dns_wire_header header;
	struct dns_name asked;
	struct dns_wire wire;
	struct writer w;

	dns_wire_init(&wire, response, response_size, &header);
	for (uint16_t i = 0; i < header.counts[0] && !wire.reader.failed; i++) {
		dns_wire_name(&wire, &asked);
		(void)reader_u32(&wire.reader);
	}
	if (header.counts[1] > UINT16_MAX - DNS_CHAIN_MAX)
		return -EBADMSG;
	writer_init(&w, to, capacity);
	dns_wire_begin(&w, query, query_bytes, code, 0,
		       (uint16_t)(chain->count + header.counts[1]));
	write_links(&w, chain);
	for (uint16_t i = 0; i < header.counts[1] && !wire.reader.failed && !w.failed; i++)
		copy_record(&wire, &w);
	if (wire.reader.failed)
		return -EBADMSG;
	dns_wire_end(&w, query, code);
	return (int)writer_size(&w);
}
