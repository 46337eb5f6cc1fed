/*
 * Connections that outlived what let them in
 *
 * The kernel remembers connections, and with them where they were led. After a forward or a device
 * is gone, its entries are deleted. They are told by what is wanted now, not by what was removed:
 * an entry of one of our networks that no wanted forward or device explains has to go. So a start
 * finds as well what was removed while we did not run.
 *
 * Finding them means a walk over the kernel's whole table: milliseconds where that has room for many,
 * tenths of a second where it has many. The firewall stops such connections by itself and at once
 * (ruleset.c), so the walk waits for a pause between edits, and goes in steps between which edits go
 * on. Where they never pause it takes a tenth of the time. Only a forward that leads elsewhere cannot
 * wait.
 *
 * A step goes by what is wanted when it runs. What is removed behind it is noted for a walk of its own.
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
#define RETRY_NS (10 * NS_PER_S) /* after a failure, unless there is an edit before */
#define WALK_SHARE                                                                                 \
	9 /* at least this much longer than a walk nothing is walked, while edits go on */

static void forget_wanted6(struct sweep *sweep)
{
	free(sweep->wanted6);
	sweep->wanted6 = NULL;
	sweep->wanted6_count = 0;
}

void sweep_done(struct sweep *sweep)
{
	(void)conntrack_walk_free(sweep->walk);
	forget_wanted6(sweep);
	free(sweep->subnets);
	*sweep = (struct sweep){ 0 };
}

static struct ip_address from_v6(const uint8_t address[NET_ADDRESS6_SIZE])
{
	struct ip_address ip = { .family = AF_INET6 };

	memcpy(ip.bytes, address, NET_ADDRESS6_SIZE);
	return ip;
}

/* The network of a NET_SUBNET or NET_SUBNET6. */
static struct ip_prefix network_of(const struct net_item *subnet)
{
	if (subnet->kind == NET_SUBNET6)
		return (struct ip_prefix){ from_v6(subnet->subnet6.address), NET_SUBNET6_PREFIX };
	return (struct ip_prefix){ ip_from_v4(subnet->subnet.address), subnet->subnet.prefix };
}

static bool is_ours(const struct sweep *sweep, const struct ip_address *address)
{
	for (size_t i = 0; i < sweep->subnet_count; i++) {
		const struct ip_prefix network = network_of(&sweep->subnets[i]);

		if (ip_prefix_contains(&network, address))
			return true;
	}
	return false;
}

static bool is_known(const struct sweep *sweep, const struct net_item *subnet)
{
	const struct ip_prefix network = network_of(subnet);

	for (size_t i = 0; i < sweep->subnet_count; i++) {
		const struct ip_prefix known = network_of(&sweep->subnets[i]);

		if (ip_prefix_contains(&known, &network.address) && known.length <= network.length)
			return true;
	}
	return false;
}

int sweep_know(struct network *network, const struct net_set *wanted)
{
	struct sweep *sweep = &network->sweep;

	for (size_t i = 0; i < wanted->count; i++) {
		const struct net_item *item = &wanted->items[i];
		struct net_item *subnets;

		if ((item->kind != NET_SUBNET && item->kind != NET_SUBNET6) ||
		    is_known(sweep, item))
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
	bool v4 = forward->kind == FACT_FORWARD;
	struct ip_address external = v4 ? ip_from_v4(fact_address(forward->key))
					: from_v6(forward->key);
	uint16_t port = fact_port(forward->key + (v4 ? 4 : NET_ADDRESS6_SIZE));

	if (sweep->pending &&
	    (!ip_equal(&sweep->external, &external) || sweep->external_port != port))
		sweep->everything = true;
	sweep->external = external;
	sweep->external_port = port;
	note(sweep);
}

void sweep_note_everything(struct network *network)
{
	forget_wanted6(&network->sweep);
	network->sweep.everything = true;
	note(&network->sweep);
}

bool sweep_note(struct network *network, const struct plan *plan)
{
	bool now = false;

	forget_wanted6(&network->sweep);
	for (size_t i = 0; i < plan->count; i++) {
		const struct change *change = &plan->changes[i];
		const struct fact *fact = change_fact(change);

		if (fact->kind == FACT_FORWARD || fact->kind == FACT_FORWARD6 ||
		    fact->kind == FACT_PUBLISHED6) {
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
	uint32_t destination = ip_to_v4(&flow->destination);
	struct net_item like = { .kind = NET_FORWARD,
				 .forward = { .external = destination,
					      .external_port = flow->destination_port,
					      .count = UINT16_MAX,
					      .target = UINT32_MAX,
					      .target_port = UINT16_MAX } };
	size_t at = lower_bound(wanted, &like);
	const struct net_item *item = at > 0 ? &wanted->items[at - 1] : NULL;

	if (!item || item->kind != NET_FORWARD || item->forward.external != destination ||
	    flow->destination_port - item->forward.external_port >= item->forward.count)
		return NULL;
	return item;
}

/* The same of IPv6. */
static const struct net_item *find_forward6(const struct net_set *wanted,
					    const struct conntrack_flow *flow)
{
	struct net_item like = { .kind = NET_FORWARD6,
				 .forward6 = { .external_port = flow->destination_port,
					       .count = UINT16_MAX } };
	const struct net_item *item;
	size_t at;

	memcpy(like.forward6.external, flow->destination.bytes, NET_ADDRESS6_SIZE);
	memset(like.forward6.target, 0xff, NET_ADDRESS6_SIZE);
	at = lower_bound(wanted, &like);
	item = at > 0 ? &wanted->items[at - 1] : NULL;
	if (!item || item->kind != NET_FORWARD6 ||
	    memcmp(item->forward6.external, flow->destination.bytes, NET_ADDRESS6_SIZE) != 0 ||
	    flow->destination_port - item->forward6.external_port >= item->forward6.count)
		return NULL;
	return item;
}

static const struct net_item *find_any_forward(const struct net_set *wanted,
					       const struct conntrack_flow *flow)
{
	return flow->destination.family == AF_INET6 ? find_forward6(wanted, flow)
						    : find_forward(wanted, flow);
}

static bool leads_to(const struct net_item *item, const struct conntrack_flow *flow)
{
	bool v4 = item->kind == NET_FORWARD;
	struct ip_address target = v4 ? ip_from_v4(item->forward.target)
				      : from_v6(item->forward6.target);
	int first = v4 ? item->forward.external_port : item->forward6.external_port;
	int target_port = v4 ? item->forward.target_port : item->forward6.target_port;

	return ip_equal(&target, &flow->target) &&
	       target_port + flow->destination_port - first == flow->target_port;
}

static bool is_device(const struct net_set *wanted, const struct ip_address *address)
{
	struct net_item like = { .kind = NET_DEVICE, .device = { .address = ip_to_v4(address) } };
	size_t at = lower_bound(wanted, &like);

	return at < wanted->count && wanted->items[at].kind == NET_DEVICE &&
	       wanted->items[at].device.address == like.device.address;
}

static bool is_our_address(const struct net_set *wanted, const struct ip_address *address)
{
	struct net_item like = { .kind = NET_SUBNET, .subnet = { .address = ip_to_v4(address) } };
	size_t at = lower_bound(wanted, &like);

	return at < wanted->count && wanted->items[at].kind == NET_SUBNET &&
	       wanted->items[at].subnet.address == like.subnet.address;
}

static int compare6(const void *a, const void *b)
{
	return memcmp(a, b, NET_ADDRESS6_SIZE);
}

/* The IPv6 address of a device, or of this machine among devices; NULL: the item has none. */
static const uint8_t *address6_of(const struct net_item *item)
{
	if (item->kind == NET_SUBNET6)
		return item->subnet6.address;
	if (item->kind == NET_DEVICE && net_has_address6(item->device.address6))
		return item->device.address6;
	return NULL;
}

/* Those that are wanted, sorted: each connection of the kernel's table is looked up in them. */
static int list_wanted6(struct network *network)
{
	const struct net_set *wanted = &network->wanted;
	struct sweep *sweep = &network->sweep;
	size_t count = 0;

	for (size_t i = 0; i < wanted->count; i++)
		count += address6_of(&wanted->items[i]) != NULL;
	sweep->wanted6 = calloc(count + 1, NET_ADDRESS6_SIZE);
	if (!sweep->wanted6)
		return -ENOMEM;
	for (size_t i = 0; i < wanted->count; i++) {
		const uint8_t *address = address6_of(&wanted->items[i]);

		if (address)
			memcpy(sweep->wanted6[sweep->wanted6_count++], address, NET_ADDRESS6_SIZE);
	}
	qsort(sweep->wanted6, sweep->wanted6_count, NET_ADDRESS6_SIZE, compare6);
	return 0;
}

static bool is_wanted6(const struct sweep *sweep, const struct ip_address *address)
{
	return sweep->wanted6_count > 0 &&
	       bsearch(address->bytes, sweep->wanted6, sweep->wanted6_count, NET_ADDRESS6_SIZE,
		       compare6);
}

static bool is_gone(const struct network *network, const struct ip_address *address)
{
	const struct net_set *wanted = &network->wanted;

	if (!is_ours(&network->sweep, address))
		return false;
	if (address->family == AF_INET6)
		return !is_wanted6(&network->sweep, address);
	return !is_device(wanted, address) && !is_our_address(wanted, address);
}

/* From elsewhere to a device's own address, without a pinhole. What a device began itself came from
 * there. */
static bool entered_uninvited(const struct network *network, const struct conntrack_flow *flow,
			      const struct net_item *forward)
{
	return flow->destination.family == AF_INET6 && !forward &&
	       is_ours(&network->sweep, &flow->destination) &&
	       !is_ours(&network->sweep, &flow->source);
}

/*
 * A UDP flow that was there before its forward would go on to this machine for as long as its
 * client speaks. A TCP connection is this machine's own business until it ends.
 */
static bool is_stale(const struct conntrack_flow *flow, void *context)
{
	const struct network *network = context;
	const struct net_item *forward = find_any_forward(&network->wanted, flow);

	if (flow->destination_translated) {
		if (is_ours(&network->sweep, &flow->target) &&
		    !(forward && leads_to(forward, flow)))
			return true;
	} else if (forward && flow->protocol == IPPROTO_UDP && !leads_to(forward, flow)) {
		return true;
	} else if (entered_uninvited(network, flow, forward)) {
		return true;
	}
	return is_gone(network, &flow->source) || is_gone(network, &flow->target);
}

/* Which walks make up a sweep. Of IPv6 there is nothing where no subnet has had it. */
static void choose_walks(struct network *network)
{
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP };
	struct sweep *sweep = &network->sweep;

	if (sweep->everything) {
		sweep->filters[0] = (struct conntrack_filter){ .family = AF_INET };
		sweep->filters[1] = (struct conntrack_filter){ .family = AF_INET6 };
		sweep->filter_count = network->ipv6 ? 2 : 1;
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
		sweep->filters[i] =
			(struct conntrack_filter){ .family = sweep->external.family,
						   .destination = sweep->external,
						   .protocol = protocols[i],
						   .destination_port = sweep->external_port };
	sweep->filter_count = ARRAY_SIZE(protocols);
}

static int walk(struct network *network)
{
	struct sweep *sweep = &network->sweep;
	int r = 0;

	if (network->ipv6 && !sweep->wanted6)
		r = list_wanted6(network);
	if (r == 0 && !sweep->walk)
		r = conntrack_walk_new(network->netfilter, &sweep->filters[sweep->filter_count - 1],
				       &sweep->walk);
	if (r == 0)
		r = conntrack_walk_step(sweep->walk, is_stale, network);
	if (r != 1)
		sweep->walk = conntrack_walk_free(sweep->walk);
	if (r < 0)
		return r;
	if (r == 0)
		sweep->filter_count--;
	return sweep->filter_count > 0 ? 1 : 0;
}

static void end(struct network *network, int r)
{
	struct sweep *sweep = &network->sweep;

	sweep->filter_count = 0;
	forget_wanted6(sweep);
	sweep->not_before_ns = clock_monotonic_ns() + WALK_SHARE * sweep->spent_ns;
	if (r < 0) {
		sweep_note_everything(network);
		sweep->last_ns = sweep->since_ns = clock_monotonic_ns() + RETRY_NS;
	} else if (!sweep->pending) {
		/* Connections of removed subnets are gone: the addresses may be another's now. */
		sweep->subnet_count = 0;
		(void)sweep_know(network, &network->wanted); /* there is room */
	}
}

int sweep_step(struct network *network)
{
	struct sweep *sweep = &network->sweep;
	uint64_t begin = clock_monotonic_ns();
	int r;

	if (sweep->filter_count == 0 && !sweep->pending)
		return 0;
	if (sweep->filter_count == 0) {
		choose_walks(network);
		sweep->pending = sweep->everything = false;
		sweep->spent_ns = 0;
	}
	r = walk(network);
	sweep->spent_ns += clock_monotonic_ns() - begin;
	if (r != 1)
		end(network, r);
	return r < 0 ? r : sweep->filter_count > 0 || sweep->pending;
}

int sweep_run(struct network *network)
{
	struct sweep *sweep = &network->sweep;
	int r;

	if (sweep->filter_count > 0) { /* begins anew, as what is asked for now may lie behind */
		sweep->walk = conntrack_walk_free(sweep->walk);
		sweep->filter_count = 0;
		sweep_note_everything(network);
	}
	do
		r = sweep_step(network);
	while (r == 1);
	return r;
}

uint64_t sweep_due_ns(const struct network *network)
{
	const struct sweep *sweep = &network->sweep;
	uint64_t quiet = sweep->last_ns + QUIET_NS, latest = sweep->since_ns + LATEST_NS;

	if (sweep->filter_count > 0)
		return 0;
	if (!sweep->pending)
		return UINT64_MAX;
	if (latest < sweep->not_before_ns)
		latest = sweep->not_before_ns;
	return quiet < latest ? quiet : latest;
}
