/*
 * The steps are in an order that never opens anything: the firewall is in place before forwarding
 * is switched on and before the interface is up, and what goes leaves the firewall before it leaves
 * the interface. To undo, all steps run again in the same order with the reversed plan, each
 * passing over what it cannot do: what had not been done yet is then found undone already.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/ip.h"
#include "network/network_internal.h"
#include "network/ruleset.h"
#include "system/sysctl.h"

#define ADDR_GEN_NONE 1 /* the kernel's IN6_ADDR_GEN_MODE_NONE */

struct application {
	struct network *network;
	const struct plan *plan;
	const struct fact_set *before; /* NULL: of a change, see apply_plan() */
	const struct fact_set *after;
	bool undoing; /* errors do not stop it */
	struct fault *fault;
};

static int failed(const struct application *a, int error, const char *attempt,
		  const struct fact *fact)
{
	char text[FACT_TEXT_MAX];

	return fault_set_errno(a->fault, error, FAULT_NETWORK, "%s %s", attempt,
			       fact_format(fact, text));
}

typedef int (*apply_change)(struct application *a, const struct change *change);

/* Does something for the changes of one kind of fact. */
static int each(struct application *a, enum fact_kind kind, apply_change apply)
{
	for (size_t i = 0; i < a->plan->count; i++) {
		const struct change *change = &a->plan->changes[i];
		int r;

		if (change_fact(change)->kind != kind)
			continue;
		r = apply(a, change);
		if (r < 0 && !a->undoing)
			return r;
	}
	return 0;
}

static int make_link(struct application *a)
{
	const struct change *change = plan_find(a->plan, FACT_LINK);
	struct rtnl_link link;
	int r;

	if (!change || change->kind != CHANGE_ADD)
		return 0;
	r = wg_link_create(a->network->link);
	if (r == -ENOENT)
		return fault_set_errno(a->fault, r, FAULT_NETWORK,
				       "starting the userspace WireGuard device");
	if (r == 0)
		r = wg_link_find(a->network->link, &link);
	if (r < 0)
		return failed(a, r, "making", &change->after);
	a->network->index = link.index;
	return 0;
}

static int load(struct application *a, const struct text *text)
{
	CLEANUP(text_done) struct text error = { 0 };
	int r = text_error(text);

	if (r == 0)
		r = nft_load(text->data, &error);
	if (r < 0)
		return fault_set(a->fault, FAULT_NETWORK, "loading the nftables table %s: %.300s",
				 RULESET_TABLE, text_string(&error));
	return 0;
}

static int load_ruleset(struct application *a, const struct change *change)
{
	CLEANUP(text_done) struct text text = { 0 };
	CLEANUP(traffic_done) struct traffic traffic = { 0 };
	struct network *network = a->network;
	struct text *picture;
	int r;

	/* What has been counted goes on, so far as it can be read. */
	(void)traffic_read(network->netfilter, &traffic);
	if (change->kind == CHANGE_REMOVE)
		ruleset_write_delete(&text);
	else
		ruleset_write(&text, a->after, &traffic);
	r = load(a, &text);
	if (r < 0 || change->kind == CHANGE_REMOVE)
		return r;
	picture = &network->pictures[change->after.value[0]];
	if (picture->size > 0)
		return 0;
	r = nft_table_picture(network->netfilter, RULESET_TABLE, picture);
	if (r < 0)
		return failed(a, r, "reading back the", &change->after);
	return 0;
}

static int first_element_error(struct application *a, int error)
{
	for (size_t i = 0; i < a->plan->count; i++)
		if (fact_is_element(change_fact(&a->plan->changes[i])))
			return failed(a, error, "changing the firewall, beginning with",
				      change_fact(&a->plan->changes[i]));
	return error;
}

static int change_firewall(struct application *a)
{
	const struct change *ruleset = plan_find(a->plan, FACT_RULESET);
	CLEANUP(nft_batch_done) struct nft_batch batch = { 0 };
	int r;

	if (ruleset)
		return load_ruleset(a, ruleset);
	ruleset_batch(&batch, a->network->netfilter, a->plan);
	r = nft_batch_commit(&batch, a->network->netfilter);
	return r < 0 ? first_element_error(a, r) : 0;
}

/* Routers do not take their own routes from other routers, unless accept_ra is 2: then this machine keeps
 * the default route that it has from its provider. Interfaces that take none stay so. */
static void keep_accepting_routes(void)
{
	DIR *all = opendir("/proc/sys/net/ipv6/conf");
	const struct dirent *entry;

	while (all && (entry = readdir(all))) {
		char name[NAME_MAX + 32];
		int value;

		(void)snprintf(name, sizeof(name), "net/ipv6/conf/%s/accept_ra", entry->d_name);
		if (entry->d_name[0] != '.' && strcmp(entry->d_name, NET_LINK_NAME) != 0 &&
		    sysctl_read(name, &value) == 0 && value == 1)
			(void)sysctl_write(name, 2);
	}
	if (all)
		(void)closedir(all);
}

static int switch_forwarding(struct application *a)
{
	const struct change *change = plan_find(a->plan, FACT_FORWARDING);
	const struct change *change6 = plan_find(a->plan, FACT_FORWARDING6);
	int r = 0;

	if (change)
		r = sysctl_write("net/ipv4/ip_forward", change->kind != CHANGE_REMOVE);
	if (r < 0)
		return failed(a, r, "setting", change_fact(change));
	if (change6 && change6->kind != CHANGE_REMOVE)
		keep_accepting_routes();
	if (change6)
		r = sysctl_write("net/ipv6/conf/all/forwarding", change6->kind != CHANGE_REMOVE);
	return r < 0 ? failed(a, r, "setting", change_fact(change6)) : 0;
}

/* An IPv6 address that it gives itself is of no use, and soliciting routers would wake the device for ever. A
 * kernel without IPv6 has no such files, nor has an interface with less than 1280 bytes of MTU. */
static int switch_ipv6(bool on)
{
	(void)sysctl_write("net/ipv6/conf/" NET_LINK_NAME "/addr_gen_mode", ADDR_GEN_NONE);
	(void)sysctl_write("net/ipv6/conf/" NET_LINK_NAME "/accept_ra", 0);
	(void)sysctl_write("net/ipv6/conf/" NET_LINK_NAME "/router_solicitations", 0);
	return sysctl_write("net/ipv6/conf/" NET_LINK_NAME "/disable_ipv6", !on);
}

static int set_link(struct application *a, const struct fact *state)
{
	return rtnl_link_set(a->network->rtnl, a->network->index, state->value[0],
			     fact_address(state->value + 1));
}

static int set_link_state(struct application *a)
{
	const struct change *change = plan_find(a->plan, FACT_LINK_STATE);
	bool ipv6;
	int r;

	if (!change || change->kind == CHANGE_REMOVE)
		return 0;
	ipv6 = change->after.value[5];
	r = switch_ipv6(ipv6);
	if (r == -ENOENT && ipv6) {
		r = set_link(a, &change->after);
		if (r == 0)
			(void)switch_ipv6(
				false); /* off takes away the address that it gave itself */
		if (r == 0)
			r = switch_ipv6(ipv6);
	}
	if (r < 0 && ipv6)
		return failed(a, r, "enabling IPv6 in", &change->after);
	a->network->ipv6 |= ipv6;
	r = set_link(a, &change->after);
	return r < 0 ? failed(a, r, "setting", &change->after) : 0;
}

static int add_address(struct application *a, const struct change *change)
{
	const struct ip_prefix address = fact_prefix(&change->after);
	int r;

	if (change->kind != CHANGE_ADD)
		return 0;
	r = rtnl_address_add(a->network->rtnl, a->network->index, &address);
	if (r == -EEXIST) /* somebody else made it so, since that was read */
		return 0;
	return r < 0 ? failed(a, r, "adding the", &change->after) : 0;
}

static int add_addresses(struct application *a)
{
	int r = each(a, FACT_ADDRESS, add_address);

	return r < 0 ? r : each(a, FACT_ADDRESS6, add_address);
}

static int add_route(struct application *a, const struct change *change)
{
	const struct ip_prefix network = fact_prefix(&change->after);
	struct ip_address source = { 0 };
	int r;

	if (change->kind == CHANGE_REMOVE)
		return 0;
	if (change->after.kind == FACT_ROUTE)
		source = ip_from_v4(fact_address(change->after.value));
	r = rtnl_route_add(a->network->rtnl, a->network->index, &network, &source);
	return r < 0 ? failed(a, r, "adding the", &change->after) : 0;
}

static int add_routes(struct application *a)
{
	int r = each(a, FACT_ROUTE, add_route);

	return r < 0 ? r : each(a, FACT_ROUTE6, add_route);
}

const struct rtnl_rule return_rule = {
	.from_link = NET_LINK_NAME,
	.mark = NET_TRANSPARENT_MARK,
	.table = RETURN_TABLE,
	.priority = 49,
};

/* What somebody else made so, or took away, since that was read, is as wanted. */
static int set_return_rule(struct application *a)
{
	const struct change *change = plan_find(a->plan, FACT_RETURN_RULE);
	int r;

	if (!change)
		return 0;
	r = change->kind == CHANGE_ADD ? rtnl_rule_add(a->network->rtnl, &return_rule)
				       : rtnl_rule_remove(a->network->rtnl, &return_rule);
	if (r == -EEXIST || r == -ENOENT)
		return 0;
	return r < 0 ? failed(a, r, "changing the", change_fact(change)) : 0;
}

static int set_return_route(struct application *a)
{
	const struct change *change = plan_find(a->plan, FACT_RETURN_ROUTE);
	int r;

	if (!change)
		return 0;
	r = change->kind == CHANGE_ADD ? rtnl_local_default_add(a->network->rtnl, RETURN_TABLE)
				       : rtnl_local_default_remove(a->network->rtnl, RETURN_TABLE);
	if (r == -ESRCH)
		return 0;
	return r < 0 ? failed(a, r, "changing the", change_fact(change)) : 0;
}

/* A peer that comes back is spoken to where it was last: it need not notice and speak first. */
static void put_last_endpoint(const struct network *network, struct wg_config_peer *peer)
{
	for (size_t i = 0; i < network->last.peer_count; i++) {
		const struct wg_config_peer *last = &network->last.peers[i];

		if (last->endpoint.address.family == 0 ||
		    memcmp(last->public_key, peer->public_key, NET_KEY_SIZE) != 0)
			continue;
		peer->has |= WG_PEER_HAS_ENDPOINT;
		peer->endpoint = last->endpoint;
		return;
	}
}

static int put_peer_addresses(struct wg_config *config, struct wg_config_peer *peer,
			      const struct fact *fact)
{
	const uint8_t *address6 = fact->value + FACT_PEER_ADDRESS6;
	struct ip_prefix prefix = {
		.address = ip_from_v4(fact_address(fact->value + FACT_PEER_ADDRESS)),
		.length = 32,
	};
	int r;

	peer->has |= WG_PEER_REPLACE_ALLOWED_IPS;
	r = wg_config_add_allowed_ip(config, peer, &prefix, false);
	if (r < 0 || !net_has_address6(address6))
		return r;
	prefix = (struct ip_prefix){ .address.family = AF_INET6, .length = 128 };
	memcpy(prefix.address.bytes, address6, NET_ADDRESS6_SIZE);
	return wg_config_add_allowed_ip(config, peer, &prefix, false);
}

/* Only what changed is named, so that nothing else about the peer is touched. */
static int put_peer(const struct network *network, struct wg_config *config,
		    const struct change *change)
{
	const struct fact *after = &change->after;
	bool added = change->kind == CHANGE_ADD;
	struct wg_config_peer *peer;
	int r = wg_config_add_peer(config, after->key, &peer);

	if (r < 0)
		return r;
	if (added)
		put_last_endpoint(network, peer);
	if (added || memcmp(after->value, change->before.value, NET_KEY_SIZE) != 0) {
		peer->has |= WG_PEER_HAS_PRESHARED_KEY;
		memcpy(peer->preshared_key, after->value, NET_KEY_SIZE);
	}
	if (!added &&
	    memcmp(after->value + FACT_PEER_ADDRESS, change->before.value + FACT_PEER_ADDRESS,
		   FACT_VALUE_SIZE - FACT_PEER_ADDRESS) == 0)
		return 0;
	return put_peer_addresses(config, peer, after);
}

static void put_device(struct wg_config *config, const struct fact *fact)
{
	config->has = WG_HAS_PRIVATE_KEY | WG_HAS_LISTEN_PORT;
	memcpy(config->private_key, fact->value, NET_KEY_SIZE);
	config->listen_port = fact_port(fact->value + NET_KEY_SIZE);
}

/* Peers that come and peers that change, and the device's own key and port, in one message. */
static int set_wg(struct application *a)
{
	const struct change *device = plan_find(a->plan, FACT_WG_DEVICE);
	CLEANUP(wg_config_done) struct wg_config config = { 0 };
	const struct fact *first = NULL;
	int r = 0;

	if (device && device->kind != CHANGE_REMOVE) {
		put_device(&config, &device->after);
		first = &device->after;
	}
	for (size_t i = 0; i < a->plan->count && r == 0; i++) {
		const struct change *change = &a->plan->changes[i];

		if (change_fact(change)->kind != FACT_PEER || change->kind == CHANGE_REMOVE)
			continue;
		r = put_peer(a->network, &config, change);
		if (!first)
			first = &change->after;
	}
	if (r == 0 && first)
		r = wg_link_set(a->network->link, &config);
	return r < 0 ? failed(a, r, "configuring the", first) : 0;
}

static int remove_peers(struct application *a)
{
	CLEANUP(wg_config_done) struct wg_config config = { 0 };
	const struct fact *first = NULL;
	struct wg_config_peer *peer;
	int r = 0;

	for (size_t i = 0; i < a->plan->count && r == 0; i++) {
		const struct change *change = &a->plan->changes[i];

		if (change->kind != CHANGE_REMOVE || change->before.kind != FACT_PEER)
			continue;
		if (!first)
			first = &change->before;
		r = wg_config_add_peer(&config, change->before.key, &peer);
		if (r == 0)
			peer->has = WG_PEER_REMOVE;
	}
	if (r == 0 && first)
		r = wg_link_set(a->network->link, &config);
	return r < 0 ? failed(a, r, "removing the", first) : 0;
}

static int remove_address(struct application *a, const struct change *change)
{
	const struct ip_prefix address = fact_prefix(&change->before);
	int r;

	if (change->kind != CHANGE_REMOVE)
		return 0;
	r = rtnl_address_remove(a->network->rtnl, a->network->index, &address);
	/* ENXIO: the interface is too small for IPv6 by now, and has none of its addresses. */
	if (r == -EADDRNOTAVAIL || (r == -ENXIO && address.address.family == AF_INET6))
		return 0;
	return r < 0 ? failed(a, r, "removing the", &change->before) : 0;
}

static int remove_addresses(struct application *a)
{
	int r = each(a, FACT_ADDRESS, remove_address);

	return r < 0 ? r : each(a, FACT_ADDRESS6, remove_address);
}

/* The kernel takes a route away with its address; ESRCH is the rule. */
static int remove_route(struct application *a, const struct change *change)
{
	const struct ip_prefix network = fact_prefix(&change->before);
	int r;

	if (change->kind != CHANGE_REMOVE)
		return 0;
	r = rtnl_route_remove(a->network->rtnl, a->network->index, &network);
	if (r == -ESRCH)
		return 0;
	return r < 0 ? failed(a, r, "removing the", &change->before) : 0;
}

static int remove_routes(struct application *a)
{
	int r = each(a, FACT_ROUTE, remove_route);

	return r < 0 ? r : each(a, FACT_ROUTE6, remove_route);
}

/* With the interface go its addresses, routes and peers. */
static int destroy_link(struct application *a)
{
	const struct change *change = plan_find(a->plan, FACT_LINK);
	int r;

	if (!change || change->kind != CHANGE_REMOVE)
		return 0;
	r = wg_link_destroy(a->network->link);
	a->network->index = 0;
	return r < 0 ? failed(a, r, "removing", &change->before) : 0;
}

static bool link_goes(const struct application *a)
{
	const struct change *change = plan_find(a->plan, FACT_LINK);

	return change && change->kind == CHANGE_REMOVE;
}

/* An old connection of a forward that leads elsewhere now would go on to where it led before: it is
 * ended here and now. All others are without effect already. */
static int end_connections(struct application *a)
{
	bool now = sweep_note(a->network, a->plan);
	int r;

	if (!now || a->undoing)
		return 0;
	r = sweep_run(a->network);
	if (r < 0)
		return fault_set_errno(a->fault, r, FAULT_NETWORK,
				       "ending the connections of what was changed");
	return 0;
}

static const struct step {
	int (*apply)(struct application *a);
	bool of_link; /* pointless where the interface goes */
} steps[] = {
	{ make_link, false },	     { change_firewall, false }, { switch_forwarding, false },
	{ set_link_state, true },    { add_addresses, true },	 { add_routes, true },
	{ set_return_route, false }, { set_return_rule, false }, { set_wg, true },
	{ remove_peers, true },	     { remove_addresses, true }, { remove_routes, true },
	{ destroy_link, false },     { end_connections, false },
};

/* Best effort: what cannot be undone is found by the next comparison. The firewall is one
 * transaction: where it failed, there is nothing of it to undo. */
static void undo(const struct application *a, bool firewall_failed)
{
	CLEANUP(plan_done) struct plan reversed = { 0 };
	struct application back = {
		.network = a->network,
		.plan = &reversed,
		.before = a->after,
		.after = a->before,
		.undoing = true,
	};

	if (plan_reverse(a->plan, &reversed) < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		if (steps[i].of_link && link_goes(&back))
			continue;
		if (steps[i].apply == change_firewall && firewall_failed)
			continue;
		(void)steps[i].apply(&back);
	}
}

int apply_plan(struct network *network, const struct plan *plan, const struct fact_set *before,
	       const struct fact_set *after, struct fault *fault)
{
	struct application a = {
		.network = network,
		.plan = plan,
		.before = before,
		.after = after,
		.fault = fault,
	};
	bool firewall_done = false;

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		int r = 0;

		if (!steps[i].of_link || !link_goes(&a))
			r = steps[i].apply(&a);
		if (r < 0) {
			undo(&a, !firewall_done);
			return r;
		}
		firewall_done |= steps[i].apply == change_firewall;
	}
	return 0;
}
