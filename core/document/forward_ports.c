#include "document/forward_ports.h"

#include "base/ip.h"
#include "base/map.h"
#include "document/document.h"

#define WORD_BITS 64

#define PAGE_PORTS 1024
#define PAGE_WORDS (PAGE_PORTS / WORD_BITS)

/* Pages are made with the first port in them: a device with a pinhole has an address of its own, and few ports. */
struct ports_of_address {
	uint64_t *pages[(UINT16_MAX + 1) / PAGE_PORTS];
};

struct forward_ports {
	struct map addresses; /* bytes of the address -> struct ports_of_address */
};

/* The span of an entry on its external address. An SNI entry spans one port. */
struct span {
	struct ip_address address;
	uint32_t first;
	uint32_t count;
};

static int entry_span(const char *key, const json_t *value, struct span *ret, struct fault *fault)
{
	struct document_forward6 forward6;
	struct document_forward forward;
	struct endpoint external;

	if (endpoint_parse(key, &external) < 0)
		return -EINVAL;
	*ret = (struct span){ external.address, external.port, 1 };
	if (document_forward(key, value, &forward)) {
		ret->count = forward.count;
		return document_check_span(ret->first, forward.target_port, ret->count, fault);
	}
	if (document_forward6(key, value, &forward6)) {
		ret->count = forward6.count;
		return document_check_span(ret->first, forward6.target_port, ret->count, fault);
	}
	return 0;
}

int forward_ports_new(struct forward_ports **ret)
{
	struct forward_ports *ports = calloc(1, sizeof(*ports));

	if (!ports)
		return -ENOMEM;
	*ret = ports;
	return 0;
}

static void free_ports(void *value, void *context)
{
	struct ports_of_address *of = value;

	for (size_t i = 0; i < ARRAY_SIZE(of->pages); i++)
		free(of->pages[i]);
	free(of);
}

void forward_ports_clear(struct forward_ports *ports)
{
	map_each(&ports->addresses, free_ports, NULL);
	map_done(&ports->addresses);
}

struct forward_ports *forward_ports_free(struct forward_ports *ports)
{
	if (!ports)
		return NULL;
	forward_ports_clear(ports);
	free(ports);
	return NULL;
}

static struct ports_of_address *find_ports(const struct forward_ports *ports,
					   const struct ip_address *address)
{
	return map_get(&ports->addresses, address->bytes, address->family == AF_INET ? 4 : 16);
}

/* With pages for all ports of the span. */
static int ports_of(struct forward_ports *ports, const struct span *span,
		    struct ports_of_address **ret)
{
	const struct ip_address *address = &span->address;
	struct ports_of_address *of = find_ports(ports, address);

	if (!of) {
		of = calloc(1, sizeof(*of));
		if (!of || map_set(&ports->addresses, address->bytes,
				   address->family == AF_INET ? 4 : 16, of, NULL) < 0) {
			free(of);
			return -ENOMEM;
		}
	}
	for (uint32_t page = span->first / PAGE_PORTS;
	     page <= (span->first + span->count - 1) / PAGE_PORTS; page++) {
		if (!of->pages[page])
			of->pages[page] = calloc(PAGE_WORDS, sizeof(uint64_t));
		if (!of->pages[page])
			return -ENOMEM;
	}
	*ret = of;
	return 0;
}

/* NULL: the port is in no page. */
static uint64_t *port_word(const struct ports_of_address *of, uint32_t port)
{
	uint64_t *page = of->pages[port / PAGE_PORTS];

	return page ? &page[port % PAGE_PORTS / WORD_BITS] : NULL;
}

static uint64_t port_bit(uint32_t port)
{
	return UINT64_C(1) << port % WORD_BITS;
}

int forward_ports_take(struct forward_ports *ports, const char *key, const json_t *value,
		       struct fault *fault)
{
	struct ports_of_address *of = NULL;
	struct span span;
	int r = entry_span(key, value, &span, fault);

	if (r == 0)
		r = ports_of(ports, &span, &of);
	if (r < 0)
		return r;
	for (uint32_t p = span.first; p < span.first + span.count; p++)
		if (*port_word(of, p) & port_bit(p))
			return 1;
	for (uint32_t p = span.first; p < span.first + span.count; p++)
		*port_word(of, p) |= port_bit(p);
	return 0;
}

void forward_ports_release(struct forward_ports *ports, const char *key, const json_t *value)
{
	struct ports_of_address *of;
	struct span span;

	if (entry_span(key, value, &span, NULL) < 0)
		return;
	of = find_ports(ports, &span.address);
	for (uint32_t p = span.first; of && p < span.first + span.count; p++)
		if (port_word(of, p))
			*port_word(of, p) &= ~port_bit(p);
}

const char *forward_ports_conflict(const json_t *document, const char *key, const json_t *value)
{
	json_t *all = json_object_get(document, document_is_forward6(key) ? DOCUMENT_FORWARDS6
									  : "portForwards");
	struct span span, other;
	const json_t *other_value;
	const char *other_key;

	if (entry_span(key, value, &span, NULL) < 0)
		return NULL;
	json_object_foreach(all, other_key, other_value) {
		if (strcmp(other_key, key) == 0 && other_value == value)
			continue;
		if (entry_span(other_key, other_value, &other, NULL) == 0 &&
		    ip_equal(&other.address, &span.address) &&
		    other.first < span.first + span.count && span.first < other.first + other.count)
			return other_key;
	}
	return NULL;
}

static int add_member(struct forward_ports *ports, const json_t *document, const char *member,
		      struct fault *fault)
{
	json_t *all = json_object_get(document, member);
	const json_t *value;
	const char *key;

	json_object_foreach(all, key, value) {
		CLEANUP(text_done) struct text path = { 0 };
		CLEANUP(fault_done) struct fault inner = { 0 };
		int r = forward_ports_take(ports, key, value, &inner);

		if (r == 0)
			continue;
		document_pointer(&path, member, key, NULL);
		if (r == 1)
			return fault_set(fault, FAULT_DESERIALIZATION, "%s: shares a port with %s",
					 text_string(&path),
					 forward_ports_conflict(document, key, value));
		if (fault_is_set(&inner))
			return fault_set(fault, FAULT_DESERIALIZATION, "%s/%s", text_string(&path),
					 inner.details);
		return r;
	}
	return 0;
}

int forward_ports_add_all(struct forward_ports *ports, const json_t *document, struct fault *fault)
{
	int r = add_member(ports, document, "portForwards", fault);

	return r < 0 ? r : add_member(ports, document, DOCUMENT_FORWARDS6, fault);
}
