#include "tunnel/forward_ports.h"

#include "base/ip.h"
#include "base/map.h"
#include "tunnel/document.h"

#define WORD_BITS 64

struct ports_of_address {
	uint64_t taken[(UINT16_MAX + 1) / WORD_BITS];
};

struct forward_ports {
	struct map addresses; /* uint32_t -> struct ports_of_address */
};

/* The span of an entry on its external address. An SNI entry spans one port. */
struct span {
	uint32_t address;
	uint32_t first;
	uint32_t count;
};

static int entry_span(const char *key, const json_t *value, struct span *ret, struct fault *fault)
{
	struct document_forward forward;
	struct endpoint external;

	if (endpoint_parse(key, &external) < 0)
		return -EINVAL;
	*ret = (struct span){ ip_to_v4(&external.address), external.port, 1 };
	if (!document_forward(key, value, &forward))
		return 0;
	ret->count = forward.count;
	if (forward.count == 0)
		return fault_set(fault, FAULT_INVALID_REQUEST, "count: must be at least 1");
	if (ret->first + ret->count - 1 > UINT16_MAX)
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "count: %u ports from external port %u on pass 65535", ret->count,
				 ret->first);
	if ((uint32_t)forward.target_port + ret->count - 1 > UINT16_MAX)
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "count: %u ports from target port %u on pass 65535", ret->count,
				 forward.target_port);
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
	free(value);
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

static int ports_of(struct forward_ports *ports, uint32_t address, struct ports_of_address **ret)
{
	struct ports_of_address *of = map_get(&ports->addresses, &address, sizeof(address));

	if (!of) {
		of = calloc(1, sizeof(*of));
		if (!of || map_set(&ports->addresses, &address, sizeof(address), of, NULL) < 0) {
			free(of);
			return -ENOMEM;
		}
	}
	*ret = of;
	return 0;
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
		r = ports_of(ports, span.address, &of);
	if (r < 0)
		return r;
	for (uint32_t p = span.first; p < span.first + span.count; p++)
		if (of->taken[p / WORD_BITS] & port_bit(p))
			return 1;
	for (uint32_t p = span.first; p < span.first + span.count; p++)
		of->taken[p / WORD_BITS] |= port_bit(p);
	return 0;
}

void forward_ports_release(struct forward_ports *ports, const char *key, const json_t *value)
{
	struct ports_of_address *of;
	struct span span;

	if (entry_span(key, value, &span, NULL) < 0)
		return;
	of = map_get(&ports->addresses, &span.address, sizeof(span.address));
	for (uint32_t p = span.first; of && p < span.first + span.count; p++)
		of->taken[p / WORD_BITS] &= ~port_bit(p);
}

const char *forward_ports_conflict(const json_t *document, const char *key, const json_t *value)
{
	json_t *all = json_object_get(document, "portForwards");
	struct span span, other;
	const json_t *other_value;
	const char *other_key;

	if (entry_span(key, value, &span, NULL) < 0)
		return NULL;
	json_object_foreach(all, other_key, other_value) {
		if (strcmp(other_key, key) == 0 && other_value == value)
			continue;
		if (entry_span(other_key, other_value, &other, NULL) == 0 &&
		    other.address == span.address && other.first < span.first + span.count &&
		    span.first < other.first + other.count)
			return other_key;
	}
	return NULL;
}

int forward_ports_add_all(struct forward_ports *ports, const json_t *document, struct fault *fault)
{
	json_t *all = json_object_get(document, "portForwards");
	const json_t *value;
	const char *key;

	json_object_foreach(all, key, value) {
		CLEANUP(text_done) struct text path = { 0 };
		CLEANUP(fault_done) struct fault inner = { 0 };
		int r = forward_ports_take(ports, key, value, &inner);

		if (r == 0)
			continue;
		document_pointer(&path, "portForwards", key, NULL);
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
