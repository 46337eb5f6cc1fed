#include "tunnel/replays.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/map.h"

/* Whose signatures are kept; there while there are any. */
struct device {
	struct replays *replays;
	uint32_t address;
	size_t count;
	struct list kept; /* in order of arrival */
};

struct replay {
	struct list node; /* of all, in order of arrival */
	struct list of_device;
	struct device *device;
	uint64_t until_s;
	bool pending; /* not answered yet */
	uint8_t mac[DNS_TSIG_MAC_SIZE];
};

struct replays {
	struct map all; /* by MAC */
	struct map devices; /* by address */
	struct list order;
};

int replays_new(struct replays **ret)
{
	struct replays *replays = calloc(1, sizeof(*replays));

	if (!replays)
		return -ENOMEM;
	list_init(&replays->order);
	*ret = replays;
	return 0;
}

static void drop_if_empty(struct device *device)
{
	if (device->count > 0)
		return;
	(void)map_remove(&device->replays->devices, &device->address, sizeof(device->address));
	free(device);
}

void replay_forget(struct replay *replay)
{
	struct device *device = replay->device;

	(void)map_remove(&device->replays->all, replay->mac, sizeof(replay->mac));
	list_remove(&replay->node);
	list_remove(&replay->of_device);
	free(replay);
	device->count--;
	drop_if_empty(device);
}

void replay_answered(struct replay *replay)
{
	replay->pending = false;
}

struct replays *replays_free(struct replays *replays)
{
	if (!replays)
		return NULL;
	list_foreach(node, &replays->order)
		replay_forget(container_of(node, struct replay, node));
	map_done(&replays->all);
	map_done(&replays->devices);
	free(replays);
	return NULL;
}

static bool is_over(const struct replay *replay, uint64_t now_s)
{
	return !replay->pending && replay->until_s < now_s;
}

/* Of all devices, as far as they are over in the order in which they came. None holds the others up for long. */
static void forget_first(struct replays *replays, uint64_t now_s)
{
	list_foreach(node, &replays->order) {
		struct replay *replay = container_of(node, struct replay, node);

		if (!is_over(replay, now_s))
			return;
		replay_forget(replay);
	}
}

/* Of a device that has its share, in whichever order they came. It keeps one at least: the last. */
static void forget_those_of(struct device *device, uint64_t now_s)
{
	list_foreach(node, &device->kept) {
		struct replay *replay = container_of(node, struct replay, of_device);

		if (device->count > 1 && is_over(replay, now_s))
			replay_forget(replay);
	}
}

static struct device *device_of(struct replays *replays, uint32_t address)
{
	struct device *device = map_get(&replays->devices, &address, sizeof(address));

	if (device)
		return device;
	device = calloc(1, sizeof(*device));
	if (!device)
		return NULL;
	*device = (struct device){ .replays = replays, .address = address };
	list_init(&device->kept);
	if (map_set(&replays->devices, &device->address, sizeof(device->address), device, NULL) <
	    0) {
		free(device);
		return NULL;
	}
	return device;
}

static int add(struct device *device, const uint8_t *mac, uint64_t until_s, struct replay **ret)
{
	struct replay *replay = calloc(1, sizeof(*replay));

	if (!replay)
		return -ENOMEM;
	*replay = (struct replay){ .device = device, .until_s = until_s, .pending = true };
	memcpy(replay->mac, mac, sizeof(replay->mac));
	if (map_set(&device->replays->all, replay->mac, sizeof(replay->mac), replay, NULL) < 0) {
		free(replay);
		return -ENOMEM;
	}
	list_append(&device->replays->order, &replay->node);
	list_append(&device->kept, &replay->of_device);
	device->count++;
	*ret = replay;
	return 0;
}

int replays_add(struct replays *replays, uint32_t address, const uint8_t mac[DNS_TSIG_MAC_SIZE],
		uint64_t now_s, uint64_t until_s, struct replay **ret)
{
	const struct replay *kept = map_get(&replays->all, mac, DNS_TSIG_MAC_SIZE);
	struct device *device;
	int r;

	if (kept)
		return kept->pending ? -EALREADY : -EEXIST;
	forget_first(replays, now_s);
	device = device_of(replays, address);
	if (!device)
		return -ENOMEM;
	if (device->count >= NAMES_DEVICE_REPLAYS_MAX)
		forget_those_of(device, now_s);
	if (device->count >= NAMES_DEVICE_REPLAYS_MAX)
		return -EBUSY;
	r = add(device, mac, until_s, ret);
	if (r < 0)
		drop_if_empty(device);
	return r;
}
