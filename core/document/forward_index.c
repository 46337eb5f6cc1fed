#include "document/forward_index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "document/document.h"

struct device_forwards {
	struct forward_reference *references;
	size_t count;
	size_t capacity;
	unsigned automatic_forwards;
	unsigned automatic_ports;
};

struct forward_index {
	struct map devices; /* uint32_t -> struct device_forwards */
	struct map shared; /* key of an entry -> a copy of it */
};

int forward_index_new(struct forward_index **ret)
{
	struct forward_index *index = calloc(1, sizeof(*index));

	if (!index)
		return -ENOMEM;
	*ret = index;
	return 0;
}

static void free_device(void *value, void *context)
{
	struct device_forwards *device = value;

	free(device->references);
	free(device);
}

static void free_key(void *value, void *context)
{
	free(value);
}

void forward_index_clear(struct forward_index *index)
{
	map_each(&index->devices, free_device, NULL);
	map_done(&index->devices);
	map_each(&index->shared, free_key, NULL);
	map_done(&index->shared);
}

struct forward_index *forward_index_free(struct forward_index *index)
{
	if (!index)
		return NULL;
	forward_index_clear(index);
	free(index);
	return NULL;
}

static int device_of(struct forward_index *index, uint32_t address, struct device_forwards **ret)
{
	struct device_forwards *device = map_get(&index->devices, &address, sizeof(address));

	if (!device) {
		device = calloc(1, sizeof(*device));
		if (!device ||
		    map_set(&index->devices, &address, sizeof(address), device, NULL) < 0) {
			free(device);
			return -ENOMEM;
		}
	}
	*ret = device;
	return 0;
}

static int reserve(struct device_forwards *device)
{
	size_t capacity = device->capacity ? device->capacity * 2 : 4;
	struct forward_reference *references;

	if (device->count < device->capacity)
		return 0;
	references = reallocarray(device->references, capacity, sizeof(*references));
	if (!references)
		return -ENOMEM;
	device->references = references;
	device->capacity = capacity;
	return 0;
}

static bool read_reference(const char *key, const json_t *value, uint32_t *ret_device,
			   struct forward_reference *ret)
{
	struct document_forward forward;

	if (!document_forward(key, value, &forward))
		return false;
	*ret_device = forward.target;
	*ret = (struct forward_reference){
		.external = forward.external,
		.external_port = forward.external_port,
		.target_port = forward.target_port,
		.count = forward.count,
		.automatic = json_is_true(json_object_get(value, "auto")),
	};
	return true;
}

static bool is_shared(const json_t *value)
{
	return json_object_get(value, "routes") != NULL;
}

static int add_shared(struct forward_index *index, const char *key)
{
	char *copy;
	int r;

	if (map_get(&index->shared, key, strlen(key)))
		return 0;
	copy = strdup(key);
	r = copy ? map_set(&index->shared, key, strlen(key), copy, NULL) : -ENOMEM;
	if (r < 0)
		free(copy);
	return r;
}

int forward_index_add(struct forward_index *index, const char *key, const json_t *value)
{
	struct forward_reference reference;
	struct device_forwards *device;
	uint32_t address;
	int r;

	if (is_shared(value))
		return add_shared(index, key);
	if (!read_reference(key, value, &address, &reference))
		return 0;
	r = device_of(index, address, &device);
	if (r == 0)
		r = reserve(device);
	if (r < 0)
		return r;
	device->references[device->count++] = reference;
	device->automatic_forwards += reference.automatic;
	device->automatic_ports += reference.automatic ? reference.count : 0;
	return 0;
}

void forward_index_remove(struct forward_index *index, const char *key, const json_t *value)
{
	struct forward_reference gone;
	struct device_forwards *device;
	uint32_t address;

	if (is_shared(value)) {
		free(map_remove(&index->shared, key, strlen(key)));
		return;
	}
	if (!read_reference(key, value, &address, &gone))
		return;
	device = map_get(&index->devices, &address, sizeof(address));
	for (size_t i = 0; device && i < device->count; i++) {
		struct forward_reference *at = &device->references[i];

		if (at->external != gone.external || at->external_port != gone.external_port)
			continue;
		device->automatic_forwards -= at->automatic;
		device->automatic_ports -= at->automatic ? at->count : 0;
		*at = device->references[--device->count];
		break;
	}
	if (device && device->count == 0)
		free_device(map_remove(&index->devices, &address, sizeof(address)), NULL);
}

int forward_index_add_all(struct forward_index *index, const json_t *document)
{
	const json_t *value;
	const char *key;
	int r = 0;

	json_object_foreach(json_object_get(document, "portForwards"), key, value)
		if (r == 0)
			r = forward_index_add(index, key, value);
	return r;
}

const struct forward_reference *forward_index_of(const struct forward_index *index,
						 uint32_t address, size_t *ret_count)
{
	const struct device_forwards *device = map_get(&index->devices, &address, sizeof(address));

	*ret_count = device ? device->count : 0;
	return device ? device->references : NULL;
}

void forward_index_usage(const struct forward_index *index, uint32_t address,
			 unsigned *ret_forwards, unsigned *ret_ports)
{
	const struct device_forwards *device = map_get(&index->devices, &address, sizeof(address));

	*ret_forwards = device ? device->automatic_forwards : 0;
	*ret_ports = device ? device->automatic_ports : 0;
}

struct visit {
	void (*visit)(const char *key, void *context);
	void *context;
};

static void visit_key(void *value, void *context)
{
	const struct visit *visit = context;

	visit->visit(value, visit->context);
}

void forward_index_each_shared(const struct forward_index *index,
			       void (*visit)(const char *key, void *context), void *context)
{
	map_each(&index->shared, visit_key, &(struct visit){ visit, context });
}
