#include "dns/wire.h"

#include <string.h>

void dns_wire_init(struct dns_wire *wire, const uint8_t *message, size_t size,
		   struct dns_wire_header *ret)
{
	*wire = (struct dns_wire){ .message = message, .size = size };
	reader_init(&wire->reader, message, size);
	ret->id = reader_u16(&wire->reader);
	ret->flags = reader_u16(&wire->reader);
	for (size_t i = 0; i < 4; i++)
		ret->counts[i] = reader_u16(&wire->reader);
}

/* Appends a label with its length. Returns false where the name gets too long. */
static bool add_label(struct dns_name *name, const uint8_t *label, uint8_t size)
{
	if (!label || name->size + 1 + size > DNS_NAME_MAX - 1)
		return false;
	name->bytes[name->size++] = size;
	memcpy(name->bytes + name->size, label, size);
	name->size = (uint8_t)(name->size + size);
	return true;
}

static bool read_labels(const struct dns_wire *wire, struct reader *first, struct dns_name *name)
{
	size_t before = (size_t)(first->at - wire->message); /* where what is read begins */
	struct reader elsewhere;
	struct reader *r = first;

	for (;;) {
		uint8_t size = reader_u8(r);

		if (r->failed || size == 0)
			return !r->failed;
		if ((size & DNS_POINTER) == DNS_POINTER) {
			size_t to = (size_t)(size & ~DNS_POINTER) << 8 | reader_u8(r);

			if (r->failed || to >= before)
				return false;
			before = to;
			reader_init(&elsewhere, wire->message + to, wire->size - to);
			r = &elsewhere;
		} else if (size > DNS_LABEL_MAX || !add_label(name, reader_take(r, size), size)) {
			return false;
		}
	}
}

void dns_wire_name(struct dns_wire *wire, struct dns_name *ret)
{
	struct dns_name name = { .size = 0 };

	if (wire->reader.failed || !read_labels(wire, &wire->reader, &name)) {
		wire->reader.failed = true;
		*ret = (struct dns_name){ .size = 0 };
		return;
	}
	name.bytes[name.size++] = 0;
	*ret = name;
}

void dns_wire_record(struct dns_wire *wire, struct dns_wire_record *ret)
{
	struct reader *r = &wire->reader;

	ret->start = dns_wire_place(wire);
	dns_wire_name(wire, &ret->name);
	ret->type = reader_u16(r);
	ret->class = reader_u16(r);
	ret->ttl_s = reader_u32(r);
	ret->data_size = reader_u16(r);
	ret->data_at = dns_wire_place(wire);
	(void)reader_take(r, ret->data_size);
}

/* Data of a type: bytes, names, bytes to the end. */
static const struct data_form {
	uint16_t type;
	uint8_t before; /* bytes before the first name */
	uint8_t names;
} forms[] = {
	{ DNS_NS, 0, 1 },      { DNS_CNAME, 0, 1 },	 { DNS_SOA, 0, 2 },
	{ DNS_PTR, 0, 1 },     { DNS_MX, 2, 1 },	 { 14 /* MINFO */, 0, 2 },
	{ 17 /* RP */, 0, 2 }, { 18 /* AFSDB */, 2, 1 }, { DNS_SRV, 6, 1 },
	{ DNS_DNAME, 0, 1 },
};

void dns_wire_data(const struct dns_wire *wire, const struct dns_wire_record *record,
		   struct writer *to)
{
	const struct data_form *form = NULL;
	struct dns_wire data = *wire;

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
		if (forms[i].type == record->type)
			form = &forms[i];
	/* Names may point before the data, but not run past its end. */
	data.size = record->data_at + record->data_size;
	reader_init(&data.reader, wire->message + record->data_at, record->data_size);
	if (form) {
		writer_copy(to, reader_take(&data.reader, form->before),
			    data.reader.failed ? 0 : form->before);
		for (uint8_t i = 0; i < form->names; i++) {
			struct dns_name name;

			dns_wire_name(&data, &name);
			writer_copy(to, name.bytes, name.size);
		}
	}
	if (data.reader.failed)
		to->failed = true;
	else
		writer_copy(to, data.reader.at, reader_left(&data.reader));
}
