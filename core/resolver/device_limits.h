/*
 * What one device may ask for in a time
 *
 * Questions that go upstream and updates cost more than their packet; a device has a number of each
 * per second, and may save some up. Answers from here and from the cache are not counted. Does no I/O and
 * reads no clock. Bounded by LIMITED_DEVICES_MAX: who was not seen for the longest gives way.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

#define LIMITED_DEVICES_MAX 1024

enum limited_kind {
	LIMITED_QUESTION, /* 500 a second, 1000 at once */
	LIMITED_UPDATE, /* 50 a second; 600 at once, for two updates of each of 256 names */
	LIMITED_KINDS,
};

struct device_limits;

/* Returns 0 or -ENOMEM. */
int device_limits_new(struct device_limits **ret);

/* NULL is fine. Returns NULL. */
struct device_limits *device_limits_free(struct device_limits *limits);
DEFINE_CLEANUP(struct device_limits *, device_limits_free);

/* Whether the device may have @count more now, which are counted then. */
bool device_limits_take(struct device_limits *limits, uint32_t address, enum limited_kind kind,
			uint32_t count, uint64_t now_ms);
