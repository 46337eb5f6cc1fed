#include "dns/update.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dns/data.h"
#include "dns/wire.h"

void dns_update_done(struct dns_update *update)
{
	for (size_t i = 0; i < update->count; i++)
		free(update->steps[i].data);
	free(update->steps);
	*update = (struct dns_update){ 0 };
}

/* Whether @name is @zone or lies below it. */
static bool is_in_zone(const struct dns_name *name, const struct dns_name *zone)
{
	struct dns_name rest = *name;

	while (rest.size > zone->size) {
		size_t step = (size_t)rest.bytes[0] + 1;

		rest.size = (uint8_t)(rest.size - step);
		memmove(rest.bytes, rest.bytes + step, rest.size);
	}
	return dns_name_equal(&rest, zone);
}

static bool is_meta(uint16_t type)
{
	return type == DNS_OPT || (type >= 128 && type <= 255);
}

static int kind_of_prerequisite(const struct dns_wire_record *record)
{
	bool any = record->type == DNS_ANY;

	if (record->ttl_s != 0 || (is_meta(record->type) && !any))
		return -EBADMSG;
	if (record->class == DNS_CLASS_IN)
		return any ? -EBADMSG : DNS_SET_EQUALS;
	if (record->data_size > 0)
		return -EBADMSG;
	if (record->class == DNS_CLASS_ANY)
		return any ? DNS_NAME_EXISTS : DNS_SET_EXISTS;
	if (record->class == DNS_CLASS_NONE)
		return any ? DNS_NAME_FREE : DNS_SET_FREE;
	return -EBADMSG;
}

static int kind_of_change(const struct dns_wire_record *record)
{
	bool any = record->type == DNS_ANY;

	if (is_meta(record->type) && !(any && record->class == DNS_CLASS_ANY))
		return -EBADMSG;
	if (record->class == DNS_CLASS_IN)
		return DNS_ADD;
	if (record->ttl_s != 0)
		return -EBADMSG;
	if (record->class == DNS_CLASS_NONE)
		return DNS_DELETE_RECORD;
	if (record->class != DNS_CLASS_ANY || record->data_size > 0)
		return -EBADMSG;
	return any ? DNS_DELETE_NAME : DNS_DELETE_SET;
}

static bool has_data(enum dns_step_kind kind)
{
	return kind == DNS_SET_EQUALS || kind == DNS_ADD || kind == DNS_DELETE_RECORD;
}

static int keep_data(const struct dns_wire *wire, const struct dns_wire_record *record,
		     struct dns_step *step)
{
	uint8_t data[DNS_DATA_MAX];
	char text[DNS_DATA_TEXT_MAX];
	struct writer w;
	int size;

	writer_init(&w, data, sizeof(data));
	dns_wire_data(wire, record, &w);
	size = (int)writer_size(&w);
	if (size < 0)
		return DNS_FORMERR;
	/* How a TXT record was cut into strings is not kept, and so means nothing. */
	if (record->type == DNS_TXT && dns_data_format(DNS_TXT, data, (size_t)size, text) == 0)
		size = dns_data_parse(DNS_TXT, text, data);
	step->data_size = (uint16_t)size;
	step->data = malloc(step->data_size + (size_t)1);
	if (!step->data)
		return -ENOMEM;
	memcpy(step->data, data, step->data_size);
	return 0;
}

static int read_step(struct dns_wire *wire, struct dns_update *update,
		     int (*kind_of)(const struct dns_wire_record *record))
{
	struct dns_step *step = &update->steps[update->count];
	struct dns_wire_record record;
	int kind;

	dns_wire_record(wire, &record);
	if (wire->reader.failed)
		return DNS_FORMERR;
	if (!is_in_zone(&record.name, &update->query.name))
		return DNS_NOTZONE;
	kind = kind_of(&record);
	if (kind < 0)
		return DNS_FORMERR;
	*step = (struct dns_step){ .kind = (enum dns_step_kind)kind,
				   .name = record.name,
				   .type = record.type,
				   .ttl_s = record.ttl_s };
	update->count++;
	return has_data(step->kind) ? keep_data(wire, &record, step) : 0;
}

/* What follows is no step: an OPT record, perhaps. */
static int read_rest(struct dns_wire *wire, uint16_t count, struct dns_query *query)
{
	struct dns_wire_record record;

	for (uint16_t i = 0; i < count && !wire->reader.failed; i++) {
		dns_wire_record(wire, &record);
		query->edns |= record.type == DNS_OPT;
	}
	return wire->reader.failed ? DNS_FORMERR : 0;
}

/* Before the zone's name there is nothing that it could be compressed with. */
static int read_zone(struct dns_wire *wire, const struct dns_wire_header *header,
		     struct dns_query *query)
{
	query->id = header->id;
	query->opcode = DNS_UPDATE;
	query->udp_max = DNS_UDP_MAX;
	query->question_end = DNS_HEADER_SIZE;
	if (header->counts[0] != 1)
		return DNS_FORMERR;
	dns_wire_name(wire, &query->name);
	query->type = reader_u16(&wire->reader);
	query->class = reader_u16(&wire->reader);
	if (wire->reader.failed ||
	    dns_wire_place(wire) != (size_t)DNS_HEADER_SIZE + query->name.size + 4) {
		query->name.size = 0;
		return DNS_FORMERR;
	}
	query->question_end = dns_wire_place(wire);
	return query->type == DNS_SOA && query->class == DNS_CLASS_IN ? 0 : DNS_FORMERR;
}

int dns_update_parse(const uint8_t *message, size_t size, struct dns_update *ret)
{
	CLEANUP(dns_update_done) struct dns_update update = { .count = 0 };
	struct dns_wire_header header;
	struct dns_wire wire;
	size_t count;
	int r;

	dns_wire_init(&wire, message, size, &header);
	r = read_zone(&wire, &header, &update.query);
	ret->query = update.query;
	count = (size_t)header.counts[1] + header.counts[2];
	if (r == 0 && count > DNS_UPDATE_STEPS_MAX)
		r = DNS_REFUSED;
	if (r == 0 && count > 0) {
		update.steps = calloc(count, sizeof(*update.steps));
		r = update.steps ? 0 : -ENOMEM;
	}
	for (uint16_t i = 0; i < header.counts[1] && r == 0; i++)
		r = read_step(&wire, &update, kind_of_prerequisite);
	update.prerequisites = update.count;
	for (uint16_t i = 0; i < header.counts[2] && r == 0; i++)
		r = read_step(&wire, &update, kind_of_change);
	if (r == 0)
		r = read_rest(&wire, header.counts[3], &update.query);
	ret->query = update.query;
	if (r == 0 && reader_left(&wire.reader) > 0)
		r = DNS_FORMERR;
	if (r != 0)
		return r;
	*ret = update;
	update = (struct dns_update){ 0 };
	return 0;
}

static bool same_data(const struct dns_local *local, const struct dns_step *step)
{
	return local->type == step->type && local->data_size == step->data_size &&
	       memcmp(local->data, step->data, step->data_size) == 0;
}

/* Records of a type, of an owner or NULL. */
static size_t count_of(const struct dns_owner *owner, uint16_t type)
{
	size_t count = 0;

	for (const struct dns_local *local = owner ? dns_owner_first(owner) : NULL; local;
	     local = local->next)
		count += local->type == type;
	return count;
}

/* Whether the set is exactly the records that the prerequisites name, some of them perhaps twice. */
static bool set_equals(const struct dns_update *update, const struct dns_step *step,
		       const struct dns_owner *owner)
{
	bool present = false;

	if (!owner)
		return false;
	for (const struct dns_local *local = dns_owner_first(owner); local; local = local->next) {
		bool named = false;

		present |= same_data(local, step);
		for (size_t i = 0; i < update->prerequisites && local->type == step->type; i++) {
			const struct dns_step *other = &update->steps[i];

			named |= other->kind == DNS_SET_EQUALS && same_data(local, other) &&
				 dns_name_equal(&other->name, &step->name);
		}
		if (local->type == step->type && !named)
			return false;
	}
	return present;
}

static enum dns_code check(const struct dns_update *update, const struct dns_step *step,
			   const struct dns_owner *owner)
{
	size_t count = count_of(owner, step->type);

	switch (step->kind) {
	case DNS_NAME_EXISTS:
		return owner ? DNS_NOERROR : DNS_NXDOMAIN;
	case DNS_NAME_FREE:
		return owner ? DNS_YXDOMAIN : DNS_NOERROR;
	case DNS_SET_EXISTS:
		return count > 0 ? DNS_NOERROR : DNS_NXRRSET;
	case DNS_SET_FREE:
		return count > 0 ? DNS_YXRRSET : DNS_NOERROR;
	case DNS_SET_EQUALS:
		return set_equals(update, step, owner) ? DNS_NOERROR : DNS_NXRRSET;
	default:
		return DNS_NOERROR;
	}
}

enum dns_code dns_update_check(const struct dns_update *update, const struct dns_records *records)
{
	enum dns_code code = DNS_NOERROR;

	for (size_t i = 0; i < update->prerequisites && code == DNS_NOERROR; i++)
		code = check(update, &update->steps[i],
			     dns_records_find(records, &update->steps[i].name));
	return code;
}
