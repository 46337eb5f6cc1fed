#include "network/network.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "network/network_internal.h"
#include "network/ruleset.h"

#define WIREGUARD_OVERHEAD 80 /* an outer IPv6 header, UDP, and WireGuard's own */
#define MTU_DEFAULT 1420
#define MTU_MIN 576

int network_new(enum wg_backend_choice choice, const char *program, struct network **ret)
{
	CLEANUP(network_free) struct network *network = calloc(1, sizeof(*network));
	int r;

	if (!network)
		return -ENOMEM;
	network->mtu = MTU_DEFAULT;
	r = netlink_new(NETLINK_ROUTE, &network->rtnl);
	if (r == 0)
		r = netlink_new(NETLINK_NETFILTER, &network->netfilter);
	if (r == 0)
		r = wg_link_new(network->rtnl, NET_LINK_NAME, choice, program, &network->link);
	if (r == 0)
		r = watch_new(&network->watch);
	if (r < 0)
		return r;
	/* Without it, what is there after the first load is taken for right. */
	(void)ruleset_reference(FACT_RULESET_V4, &network->pictures[FACT_RULESET_V4]);
	(void)ruleset_reference(FACT_RULESET_V6, &network->pictures[FACT_RULESET_V6]);
	*ret = TAKE_PTR(network);
	return 0;
}

struct network *network_free(struct network *network)
{
	if (network) {
		(void)watch_free(network->watch);
		(void)wg_link_free(network->link);
		(void)netlink_free(network->rtnl);
		(void)netlink_free(network->netfilter);
		net_set_done(&network->wanted);
		sweep_done(&network->sweep);
		for (size_t i = 0; i < ARRAY_SIZE(network->pictures); i++)
			text_done(&network->pictures[i]);
		wg_config_done(&network->last);
		traffic_done(&network->traffic);
		free(network);
	}
	return NULL;
}

static void count_drift(struct network *network, const struct plan *plan)
{
	network->drift_found++;
	network->drift_last_s = clock_realtime_ns() / NS_PER_S;
	(void)plan_format(plan, network->drift_last);
}

/* Takes @device. */
static void remember(struct network *network, struct wg_config *device)
{
	wg_config_done(&network->last);
	network->last = *device;
	*device = (struct wg_config){ 0 };
}

static bool has_peer_changes(const struct plan *plan)
{
	return plan->count > 0 && change_fact(&plan->changes[plan->count - 1])->kind == FACT_PEER;
}

int network_converge(struct network *network, bool drift, bool *ret_different, struct fault *fault)
{
	CLEANUP(fact_set_done) struct fact_set wanted = { 0 };
	CLEANUP(fact_set_done) struct fact_set present = { 0 };
	CLEANUP(wg_config_done) struct wg_config device = { 0 };
	CLEANUP(plan_done) struct plan plan = { 0 };
	int r = facts_expand(&network->wanted, network->mtu, &wanted, fault);

	if (r == 0)
		r = present_read(network, &wanted, &present, &device, fault);
	if (r == 0)
		r = plan_make(&present, &wanted, &plan);
	if (r < 0)
		return r;
	if (!has_peer_changes(&plan))
		remember(network, &device);
	*ret_different = plan.count > 0;
	if (drift && plan.count == 0)
		return 0;
	if (drift)
		count_drift(network, &plan);
	r = apply_plan(network, &plan, &present, &wanted, fault);
	if (r == 0 && drift)
		network->drift_repaired++;
	return r;
}

static void choose_mtu(struct network *network)
{
	uint32_t mtu;

	network->mtu = MTU_DEFAULT;
	if (rtnl_default_mtu(network->rtnl, &mtu) == 0 && mtu >= MTU_MIN + WIREGUARD_OVERHEAD &&
	    mtu <= UINT16_MAX)
		network->mtu = mtu - WIREGUARD_OVERHEAD;
}

/* Where no one said what is wrong, it is the error number that tells. */
static int explain(int error, struct fault *fault)
{
	if (error < 0 && !fault_is_set(fault))
		(void)fault_set_errno(fault, error, FAULT_NETWORK, "applying the network's state");
	return error;
}

int network_sync(struct network *network, const struct net_set *wanted, struct fault *fault)
{
	const struct net_set none = { 0 };
	CLEANUP(net_set_done) struct net_set nothing = { 0 };
	CLEANUP(net_set_done) struct net_set copy = { 0 };
	struct net_set old = network->wanted;
	bool different;
	int r = net_set_difference(&none, wanted, &nothing, &copy);

	if (r == 0)
		r = wanted_check(wanted, &none, wanted, fault);
	if (r < 0)
		return explain(r, fault);
	choose_mtu(network);
	network->wanted = copy;
	r = sweep_know(network, &network->wanted);
	if (r == 0)
		r = network_converge(network, false, &different, fault);
	if (r < 0) {
		network->wanted = old;
		watch_set_dirty(network->watch);
		return explain(r, fault);
	}
	copy = old; /* goes with its scope */
	network->synced = true;
	sweep_note_everything(network);
	return 0;
}

static bool needs_everything(const struct plan *plan)
{
	return plan_find(plan, FACT_LINK) || plan_find(plan, FACT_RULESET);
}

/* Applies a difference of items to what is taken to be present. */
static int apply_difference(struct network *network, const struct net_set *gone,
			    const struct net_set *come, struct fault *fault)
{
	CLEANUP(fact_set_done) struct fact_set before = { 0 };
	CLEANUP(fact_set_done) struct fact_set after = { 0 };
	CLEANUP(plan_done) struct plan plan = { 0 };
	int r = facts_expand(gone, network->mtu, &before, fault);

	if (r == 0)
		r = facts_expand(come, network->mtu, &after, fault);
	if (r == 0)
		r = plan_make(&before, &after, &plan);
	if (r == 0 && needs_everything(&plan))
		r = -EAGAIN;
	if (r == 0)
		r = apply_plan(network, &plan, NULL, NULL, fault);
	return r;
}

/* What of the change is one: not removing what is not there, not adding what is. */
static int narrow(const struct net_set *wanted, const struct net_set *remove,
		  const struct net_set *add, struct net_set *gone, struct net_set *come)
{
	int r = 0;

	for (size_t i = 0; i < remove->count && r == 0; i++)
		if (net_set_contains(wanted, &remove->items[i]) &&
		    !net_set_contains(add, &remove->items[i]))
			r = net_set_append(gone, &remove->items[i]);
	for (size_t i = 0; i < add->count && r == 0; i++)
		if (!net_set_contains(wanted, &add->items[i]))
			r = net_set_append(come, &add->items[i]);
	return r;
}

/* With `wanted` being what is to be: quickly, or by looking at everything. */
static int apply_change(struct network *network, const struct net_set *gone,
			const struct net_set *come, struct fault *fault)
{
	CLEANUP(fault_done) struct fault first = { 0 };
	bool different;
	int r = wanted_check(&network->wanted, gone, come, fault);

	if (r == 0)
		r = sweep_know(network, come);
	if (r < 0)
		return r;
	if (network->synced && network->index != 0 &&
	    apply_difference(network, gone, come, &first) == 0)
		return 0;
	r = network_converge(network, false, &different, fault);
	if (r == 0)
		network->synced = true;
	return r;
}

int network_change(struct network *network, const struct net_set *remove, const struct net_set *add,
		   struct fault *fault)
{
	CLEANUP(net_set_done) struct net_set gone = { 0 };
	CLEANUP(net_set_done) struct net_set come = { 0 };
	int r = narrow(&network->wanted, remove, add, &gone, &come);

	if (r == 0 && gone.count + come.count == 0)
		return 0;
	if (r == 0)
		r = net_set_change(&network->wanted, &gone, &come);
	if (r < 0)
		return explain(r, fault);
	r = apply_change(network, &gone, &come, fault);
	if (r < 0) {
		(void)net_set_change(&network->wanted, &come, &gone); /* the room is there */
		watch_set_dirty(network->watch); /* undone as far as it went: look once more */
	}
	return explain(r, fault);
}

static int tell_peers(const struct wg_config *config, struct netd_status *status)
{
	if (config->peer_count == 0)
		return 0;
	status->peers = calloc(config->peer_count, sizeof(*status->peers));
	if (!status->peers)
		return -ENOMEM;
	status->peer_count = config->peer_count;
	for (size_t i = 0; i < config->peer_count; i++) {
		const struct wg_config_peer *from = &config->peers[i];
		struct netd_peer_status *to = &status->peers[i];

		memcpy(to->public_key, from->public_key, NET_KEY_SIZE);
		to->endpoint = from->endpoint;
		to->last_handshake_s = from->last_handshake_s;
		to->rx_bytes = from->rx_bytes;
		to->tx_bytes = from->tx_bytes;
	}
	return 0;
}

/* The items up to the devices come first in the set: their facts hold all of WireGuard's. */
static bool peers_differ(struct network *network, const struct wg_config *config)
{
	CLEANUP(fact_set_done) struct fact_set all = { 0 };
	CLEANUP(fact_set_done) struct fact_set present = { 0 };
	CLEANUP(plan_done) struct plan plan = { 0 };
	struct net_set view = { .items = network->wanted.items };
	struct fact_set wanted;
	size_t first = 0;

	while (view.count < network->wanted.count && view.items[view.count].kind <= NET_DEVICE)
		view.count++;
	if (facts_expand(&view, network->mtu, &all, NULL) < 0 ||
	    present_wg_facts(config, &present) < 0 || fact_set_finish(&present, NULL) < 0)
		return true;
	while (first < all.count && all.facts[first].kind < FACT_WG_DEVICE)
		first++;
	wanted = (struct fact_set){ .facts = all.facts + first, .count = all.count - first };
	return plan_make(&present, &wanted, &plan) < 0 || plan.count > 0;
}

/* Reads the device; a difference is left to network_run(). */
static int read_device(struct network *network, struct wg_config *config)
{
	int r = wg_link_get(network->link, config);

	if (network->synced && (r < 0 || peers_differ(network, config)))
		watch_set_dirty(network->watch);
	return r;
}

/* Reads the counters, unless that was done lately and took long. */
static int tell_traffic(struct network *network, struct netd_status *status)
{
	uint64_t begin = clock_monotonic_ns();

	if (begin >= network->traffic_due_ns) {
		uint64_t end;

		(void)traffic_read(network->netfilter, &network->traffic); /* else what was */
		end = clock_monotonic_ns();
		network->traffic_due_ns = end + TRAFFIC_SHARE * (end - begin);
	}
	return traffic_of_forwards(&network->traffic, &network->wanted, &status->forwards,
				   &status->forward_count);
}

int network_status(struct network *network, bool traffic, struct netd_status *ret)
{
	CLEANUP(netd_status_done) struct netd_status status = { 0 };
	CLEANUP(wg_config_done) struct wg_config config = { 0 };
	const char *text;
	struct rtnl_link link;
	int error;

	if (read_device(network, &config) < 0 || watch_is_dirty(network->watch)) {
		(void)network_run(network, &text, &error);
		wg_config_done(&config);
		(void)wg_link_get(network->link, &config);
	}
	if (wg_link_find(network->link, &link) == 0) {
		status.link_up = link.up;
		status.mtu = link.mtu;
	}
	(void)snprintf(status.backend, sizeof(status.backend), "%.60s",
		       wg_link_backend(network->link));
	status.listen_port = config.listen_port;
	status.drift_found = network->drift_found;
	status.drift_repaired = network->drift_repaired;
	status.drift_last_s = network->drift_last_s;
	(void)snprintf(status.drift_last, sizeof(status.drift_last), "%s", network->drift_last);
	error = tell_peers(&config, &status);
	if (error == 0 && traffic)
		error = tell_traffic(network, &status);
	if (error < 0)
		return error;
	if (!watch_is_dirty(network->watch))
		remember(network, &config);
	*ret = status;
	status = (struct netd_status){ 0 };
	return 0;
}

int network_tidy(struct network *network)
{
	int r = clock_monotonic_ns() >= sweep_due_ns(network) ? sweep_step(network) : 0;

	return r < 0 ? r : 0;
}
