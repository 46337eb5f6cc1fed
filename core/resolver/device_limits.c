#include "resolver/device_limits.h"

#include "base/list.h"
#include "base/map.h"

static const struct {
	uint32_t per_s;
	uint32_t burst;
} rates[LIMITED_KINDS] = {
	[LIMITED_QUESTION] = { 500, 1000 },
	[LIMITED_UPDATE] = { 50, 600 },
};

/* Budgets are in thousandths, so that a millisecond adds a whole number. */
struct device {
	struct list node; /* the longest not seen first */
	uint32_t address;
	uint64_t since_ms;
	uint32_t left[LIMITED_KINDS];
};

struct device_limits {
	struct map devices; /* by address */
	struct list seen;
};

int device_limits_new(struct device_limits **ret)
{
	struct device_limits *limits = calloc(1, sizeof(*limits));

	if (!limits)
		return -ENOMEM;
	list_init(&limits->seen);
	*ret = limits;
	return 0;
}

struct device_limits *device_limits_free(struct device_limits *limits)
{
	if (!limits)
		return NULL;
	list_foreach(node, &limits->seen)
		free(container_of(node, struct device, node));
	map_done(&limits->devices);
	free(limits);
	return NULL;
}

static void drop_oldest(struct device_limits *limits)
{
	struct device *device = container_of(limits->seen.next, struct device, node);

	(void)map_remove(&limits->devices, &device->address, sizeof(device->address));
	list_remove(&device->node);
	free(device);
}

/* A device that was not seen before has everything. */
static struct device *add(struct device_limits *limits, uint32_t address, uint64_t now_ms)
{
	struct device *device;

	if (limits->devices.count == LIMITED_DEVICES_MAX)
		drop_oldest(limits);
	device = calloc(1, sizeof(*device));
	if (!device)
		return NULL;
	device->address = address;
	device->since_ms = now_ms;
	for (size_t i = 0; i < LIMITED_KINDS; i++)
		device->left[i] = rates[i].burst * 1000;
	list_init(&device->node);
	if (map_set(&limits->devices, &device->address, sizeof(device->address), device, NULL) <
	    0) {
		free(device);
		return NULL;
	}
	return device;
}

static void refill(struct device *device, uint64_t now_ms)
{
	uint64_t passed = now_ms - device->since_ms;

	device->since_ms = now_ms;
	for (size_t i = 0; i < LIMITED_KINDS; i++) {
		uint64_t full = (uint64_t)rates[i].burst * 1000;
		uint64_t left = passed >= full ? full : device->left[i] + passed * rates[i].per_s;

		device->left[i] = (uint32_t)(left < full ? left : full);
	}
}

bool device_limits_take(struct device_limits *limits, uint32_t address, enum limited_kind kind,
			uint32_t count, uint64_t now_ms)
{
	struct device *device = map_get(&limits->devices, &address, sizeof(address));

	if (!device)
		device = add(limits, address, now_ms);
	if (!device)
		return false;
	list_remove(&device->node);
	list_append(&limits->seen, &device->node);
	refill(device, now_ms);
	if (device->left[kind] / 1000 < count)
		return false;
	device->left[kind] -= count * 1000;
	return true;
}
