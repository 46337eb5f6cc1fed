/*
 * Connections that outlived what let them in
 *
 * The kernel remembers connections, and with them where they were led. After a forward or a device
 * is gone, its entries are deleted. They are told by what is wanted now, not by what was removed:
 * an entry of one of our networks that no wanted forward or device explains has to go. So a start
 * finds as well what was removed while we did not run.
 *
 * Finding them means a walk over the kernel's whole table: milliseconds where that is large,
 * however few the entries. The firewall stops such connections by itself and at once (ruleset.c),
 * so the walk waits for a pause between edits. Only a forward that leads elsewhere cannot wait.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/clock.h"
#include "base/ip.h"
#include "network/network_internal.h"
#include "system/conntrack.h"

#define QUIET_NS (20 * NS_PER_MS)
#define LATEST_NS (250 * NS_PER_MS)

void sweep_done(struct sweep *sweep)
{
	free(sweep->subnets);
	*sweep = (struct sweep){ 0 };
}

static bool is_within(uint32_t address, const struct net_item *subnet)
{
	return ((address ^ subnet->subnet.address) & ip_v4_mask(subnet->subnet.prefix)) == 0;
}

static bool is_ours(const struct sweep *sweep, uint32_t address)
{
	for (size_t i = 0; i < sweep->subnet_count; i++)
		if (is_within(address, &sweep->subnets[i]))
			return true;
	return false;
}

static bool is_known(const struct sweep *sweep, const struct net_item *subnet)
{
	for (size_t i = 0; i < sweep->subnet_count; i++)
		if (is_within(subnet->subnet.address, &sweep->subnets[i]) &&
		    sweep->subnets[i].subnet.prefix <= subnet->subnet.prefix)
			return true;
	return false;
}

int sweep_know(struct network *network, const struct net_set *wanted)
{
	struct sweep *sweep = &network->sweep;

	for (size_t i = 0; i < wanted->count; i++) {
		const struct net_item *item = &wanted->items[i];
		struct net_item *subnets;

		if (item->kind != NET_SUBNET || is_known(sweep, item))
			continue;
		if (sweep->subnet_count == SWEEP_SUBNETS_MAX) /* forgets the oldest */
			memmove(sweep->subnets, sweep->subnets + 1,
				--sweep->subnet_count * sizeof(*subnets));
		subnets = reallocarray(sweep->subnets, sweep->subnet_count + 1, sizeof(*subnets));
		if (!subnets)
			return -ENOMEM;
		sweep->subnets = subnets;
		subnets[sweep->subnet_count++] = *item;
	}
	return 0;
}

static void note(struct sweep *sweep)
{
	sweep->last_ns = clock_monotonic_ns();
	if (!sweep->pending)
		sweep->since_ns = sweep->last_ns;
	sweep->pending = true;
}

static void note_forward(struct sweep *sweep, const struct fact *forward)
{
	uint32_t external = fact_address(forward->key);
	uint16_t port = fact_port(forward->key + 4);

	if (sweep->pending && (sweep->external != external || sweep->external_port != port))
		sweep->everything = true;
	sweep->external = external;
	sweep->external_port = port;
	note(sweep);
}

void sweep_note_everything(struct network *network)
{
	network->sweep.everything = true;
	note(&network->sweep);
}

bool sweep_note(struct network *network, const struct plan *plan)
{
	bool now = false;

	for (size_t i = 0; i < plan->count; i++) {
		const struct change *change = &plan->changes[i];
		const struct fact *fact = change_fact(change);

		if (fact->kind == FACT_FORWARD) {
			note_forward(&network->sweep, fact);
			now |= change->kind == CHANGE_UPDATE;
		} else if (fact->kind == FACT_PEER && change->kind != CHANGE_ADD) {
			sweep_note_everything(network);
		}
	}
	return now;
}

/* Index of the first wanted item that is not below @like. */
static size_t lower_bound(const struct net_set *wanted, const struct net_item *like)
{
	size_t low = 0, high = wanted->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (net_item_compare(&wanted->items[middle], like) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The wanted forward of the flow's external port, or NULL: only the one with the last first port up
 * to it can hold it. */
static const struct net_item *find_forward(const struct net_set *wanted,
					   const struct conntrack_flow *flow)
{
	struct net_item like = { .kind = NET_FORWARD,
				 .forward = { .external = flow->destination,
					      .external_port = flow->destination_port,
					      .count = UINT16_MAX,
					      .target = UINT32_MAX,
					      .target_port = UINT16_MAX } };
	size_t at = lower_bound(wanted, &like);
	const struct net_item *item = at > 0 ? &wanted->items[at - 1] : NULL;

	if (!item || item->kind != NET_FORWARD || item->forward.external != flow->destination ||
	    flow->destination_port - item->forward.external_port >= item->forward.count)
		return NULL;
	return item;
}

static bool leads_to(const struct net_item *item, const struct conntrack_flow *flow)
{
	int offset = flow->destination_port - item->forward.external_port;

	return item->forward.target == flow->target &&
	       item->forward.target_port + offset == flow->target_port;
}

static bool is_device(const struct net_set *wanted, uint32_t address)
{
	struct net_item like = { .kind = NET_DEVICE, .device = { .address = address } };
	size_t at = lower_bound(wanted, &like);

	return at < wanted->count && wanted->items[at].kind == NET_DEVICE &&
	       wanted->items[at].device.address == address;
}

static bool is_our_address(const struct net_set *wanted, uint32_t address)
{
	struct net_item like = { .kind = NET_SUBNET, .subnet = { .address = address } };
	size_t at = lower_bound(wanted, &like);

	return at < wanted->count && wanted->items[at].kind == NET_SUBNET &&
	       wanted->items[at].subnet.address == address;
}

static bool is_gone(const struct network *network, uint32_t address)
{
	return is_ours(&network->sweep, address) && !is_device(&network->wanted, address) &&
	       !is_our_address(&network->wanted, address);
}

/*
 * A UDP flow that was there before its forward would go on to this machine for as long as its
 * client speaks. A TCP connection is this machine's own business until it ends.
 */
static bool is_stale(const struct conntrack_flow *flow, void *context)
{
	const struct network *network = context;
	const struct net_item *forward = find_forward(&network->wanted, flow);

	if (flow->destination_translated) {
		if (is_ours(&network->sweep, flow->target) && !(forward && leads_to(forward, flow)))
			return true;
	} else if (forward && flow->protocol == IPPROTO_UDP) {
		return true;
	}
	return is_gone(network, flow->source) || is_gone(network, flow->target);
}

static int flush(struct network *network, uint8_t protocol)
{
	const struct sweep *sweep = &network->sweep;
	struct conntrack_filter filter = { 0 };
	size_t count;

	if (!sweep->everything)
		filter = (struct conntrack_filter){ .destination = sweep->external,
						    .protocol = protocol,
						    .destination_port = sweep->external_port };
	return conntrack_flush(network->netfilter, &filter, is_stale, network, &count);
}

int sweep_run(struct network *network)
{
	struct sweep *sweep = &network->sweep;
	int r = 0;

	if (!sweep->pending)
		return 0;
	r = flush(network, IPPROTO_TCP);
	if (r == 0 && !sweep->everything)
		r = flush(network, IPPROTO_UDP);
	sweep->pending = sweep->everything = false;
	if (r == 0) {
		/* Connections of removed subnets are gone: the addresses may be another's now. */
		sweep->subnet_count = 0;
		(void)sweep_know(network, &network->wanted); /* there is room */
	}
	return r;
}

uint64_t sweep_due_ns(const struct network *network)
{
	const struct sweep *sweep = &network->sweep;
	uint64_t quiet = sweep->last_ns + QUIET_NS, latest = sweep->since_ns + LATEST_NS;

	if (!sweep->pending)
		return UINT64_MAX;
	return quiet < latest ? quiet : latest;
}
