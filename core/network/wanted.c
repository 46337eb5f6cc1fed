/* Whether wanted items make sense together. An edit is checked for what it touches only. */
#include <string.h>

#include "base/ip.h"
#include "network/fact.h"
#include "network/network_internal.h"

/* Items are sorted by kind: those of one kind are a run. */
static const struct net_item *first_of(const struct net_set *set, enum net_item_kind kind,
				       size_t *ret_count)
{
	size_t low = 0, high = set->count, end;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (set->items[middle].kind < kind)
			low = middle + 1;
		else
			high = middle;
	}
	for (end = low; end < set->count && set->items[end].kind == kind; end++)
		;
	*ret_count = end - low;
	return *ret_count ? &set->items[low] : NULL;
}

static int refuse(struct fault *fault, const struct net_item *item, const char *why)
{
	char text[NET_ITEM_TEXT_MAX];

	return fault_set(fault, FAULT_INVALID_REQUEST, "%s %s", net_item_format(item, text), why);
}

static bool overlap(const struct net_item *a, const struct net_item *b)
{
	uint8_t shorter = a->subnet.prefix < b->subnet.prefix ? a->subnet.prefix : b->subnet.prefix;

	return ((a->subnet.address ^ b->subnet.address) & ip_v4_mask(shorter)) == 0;
}

static int check_subnet(const struct net_set *wanted, const struct net_item *subnet,
			struct fault *fault)
{
	size_t count;
	const struct net_item *others = first_of(wanted, NET_SUBNET, &count);

	for (size_t i = 0; i < count; i++)
		if (net_item_compare(&others[i], subnet) != 0 && overlap(&others[i], subnet))
			return refuse(fault, subnet, "overlaps another one");
	return 0;
}

static bool is_in_a_subnet(const struct net_set *wanted, uint32_t address)
{
	size_t count;
	const struct net_item *subnets = first_of(wanted, NET_SUBNET, &count);

	for (size_t i = 0; i < count; i++) {
		const struct net_item *subnet = &subnets[i];

		if (((address ^ subnet->subnet.address) & ip_v4_mask(subnet->subnet.prefix)) == 0 &&
		    address != subnet->subnet.address)
			return true;
	}
	return false;
}

/* Of one length all: two that overlap are the same network. */
static bool is_in_subnet6(const struct net_item *subnet, const uint8_t address[NET_ADDRESS6_SIZE])
{
	return memcmp(subnet->subnet6.address, address, NET_SUBNET6_PREFIX / 8) == 0;
}

static int check_subnet6(const struct net_set *wanted, const struct net_item *subnet,
			 struct fault *fault)
{
	size_t count;
	const struct net_item *others = first_of(wanted, NET_SUBNET6, &count);

	for (size_t i = 0; i < count; i++)
		if (net_item_compare(&others[i], subnet) != 0 &&
		    is_in_subnet6(&others[i], subnet->subnet6.address))
			return refuse(fault, subnet, "overlaps another one");
	return 0;
}

static bool has_good_address6(const struct net_set *wanted, const struct net_item *device)
{
	size_t count;
	const struct net_item *subnets = first_of(wanted, NET_SUBNET6, &count);

	if (!net_has_address6(device->device.address6))
		return true;
	for (size_t i = 0; i < count; i++)
		if (is_in_subnet6(&subnets[i], device->device.address6))
			return memcmp(subnets[i].subnet6.address, device->device.address6,
				      NET_ADDRESS6_SIZE) != 0;
	return false;
}

static int check_device(const struct net_set *wanted, const struct net_item *device,
			struct fault *fault)
{
	size_t count;
	const struct net_item *others = first_of(wanted, NET_DEVICE, &count);

	if (!is_in_a_subnet(wanted, device->device.address))
		return refuse(fault, device, "is in no wanted subnet");
	if (!has_good_address6(wanted, device))
		return refuse(fault, device, "has an IPv6 address of no wanted subnet");
	for (size_t i = 0; i < count; i++) {
		if (net_item_compare(&others[i], device) == 0)
			continue;
		if (others[i].device.address == device->device.address)
			return refuse(fault, device, "is wanted twice");
		if (memcmp(others[i].device.public_key, device->device.public_key, NET_KEY_SIZE) ==
		    0)
			return refuse(fault, device, "has the key of another device");
		if (net_has_address6(device->device.address6) &&
		    memcmp(others[i].device.address6, device->device.address6, NET_ADDRESS6_SIZE) ==
			    0)
			return refuse(fault, device, "has the IPv6 address of another device");
	}
	return 0;
}

static int check_item(const struct net_set *wanted, const struct net_item *item,
		      struct fault *fault)
{
	switch (item->kind) {
	case NET_SUBNET:
		return check_subnet(wanted, item, fault);
	case NET_DEVICE:
		return check_device(wanted, item, fault);
	case NET_SUBNET6:
		return check_subnet6(wanted, item, fault);
	default:
		return 0; /* what two forwards or egresses both claim shows in their facts */
	}
}

int wanted_check(const struct net_set *wanted, const struct net_set *removed,
		 const struct net_set *added, struct fault *fault)
{
	size_t links, subnets, subnets6, devices;
	const struct net_item *first;
	int r = 0;

	(void)first_of(wanted, NET_LINK, &links);
	if (links > 1 || (links == 0 && wanted->count > 0))
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "exactly one interface must be wanted, not %zu", links);
	for (size_t i = 0; i < added->count && r == 0; i++)
		r = check_item(wanted, &added->items[i], fault);
	if (r == 0 && added->count > 0)
		r = facts_check_ports(wanted, fault);
	(void)first_of(removed, NET_SUBNET, &subnets);
	(void)first_of(removed, NET_SUBNET6, &subnets6);
	if (r < 0 || subnets + subnets6 == 0)
		return r;
	first = first_of(wanted, NET_DEVICE, &devices);
	for (size_t i = 0; i < devices && r == 0; i++) {
		if (!is_in_a_subnet(wanted, first[i].device.address))
			r = refuse(fault, &first[i], "is in no wanted subnet");
		else if (!has_good_address6(wanted, &first[i]))
			r = refuse(fault, &first[i], "has an IPv6 address of no wanted subnet");
	}
	return r;
}
