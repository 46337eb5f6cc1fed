#include <errno.h>
#include <string.h>

#include "base/ip.h"
#include "network/network_internal.h"
#include "network/ruleset.h"
#include "system/sysctl.h"

struct prefix_reading {
	const struct fact_set *wanted;
	struct fact_set *facts;
};

static int add_address(uint32_t address, uint8_t prefix, void *context)
{
	struct prefix_reading *reading = context;
	struct fact fact = fact_of_address(address, prefix);

	fact_set_append(reading->facts, &fact);
	return 0;
}

/* Routes that others lead through the interface are their own: only wanted ones count. */
static int add_route(uint32_t network, uint8_t prefix, void *context)
{
	struct prefix_reading *reading = context;
	struct fact like = fact_of_route(network, prefix, 0);
	const struct fact *fact = fact_set_find(reading->wanted, &like);

	if (fact)
		fact_set_append(reading->facts, fact);
	return 0;
}

/* A peer is as we make them where it has one allowed IP, and that is one IPv4 address. */
static uint32_t peer_address(const struct wg_config_peer *peer)
{
	const struct ip_prefix *prefix;

	if (peer->allowed_ip_count != 1)
		return 0;
	prefix = &peer->allowed_ips[0].prefix;
	if (prefix->address.family != AF_INET || prefix->length != 32)
		return 0;
	return ip_to_v4(&prefix->address);
}

int present_wg_facts(const struct wg_config *config, struct fact_set *ret)
{
	struct fact fact = fact_of_wg_device(config->private_key, config->listen_port);

	fact_set_append(ret, &fact);
	for (size_t i = 0; i < config->peer_count; i++) {
		const struct wg_config_peer *peer = &config->peers[i];

		fact = fact_of_peer(peer->public_key, peer->preshared_key, peer_address(peer));
		fact_set_append(ret, &fact);
	}
	explicit_bzero(&fact, sizeof(fact));
	return ret->error;
}

static int read_wg(struct network *network, struct fact_set *facts, struct wg_config *device)
{
	int r = wg_link_get(network->link, device);

	return r < 0 ? r : present_wg_facts(device, facts);
}

static int read_link(struct network *network, const struct fact_set *wanted, struct fact_set *facts,
		     struct wg_config *device, struct fault *fault)
{
	struct prefix_reading reading = { .wanted = wanted, .facts = facts };
	struct fact fact = { .kind = FACT_LINK };
	struct rtnl_link link;
	int r = wg_link_find(network->link, &link);

	network->index = 0;
	if (r == -ENODEV)
		return 0;
	if (r == 0) {
		network->index = link.index;
		fact_set_append(facts, &fact);
		fact = fact_of_link_state(link.up, link.mtu);
		fact_set_append(facts, &fact);
		r = rtnl_address_each(network->rtnl, link.index, add_address, &reading);
	}
	if (r == 0)
		r = rtnl_route_each(network->rtnl, link.index, add_route, &reading);
	if (r == 0)
		r = read_wg(network, facts, device);
	if (r == -EEXIST)
		return fault_set_errno(fault, r, FAULT_NETWORK,
				       "an interface %s is there that is not WireGuard's",
				       NET_LINK_NAME);
	if (r < 0)
		return fault_set_errno(fault, r, FAULT_NETWORK, "reading the state of %s",
				       NET_LINK_NAME);
	return 0;
}

/* Where a set of ours is gone, the elements of the others do not matter: all is loaded anew. */
static int read_ruleset(struct network *network, struct fact_set *facts, struct fault *fault)
{
	CLEANUP(text_done) struct text picture = { 0 };
	struct fact fact = { .kind = FACT_RULESET };
	size_t count = facts->count;
	bool foreign = false;
	int r = nft_table_picture(network->netfilter, RULESET_TABLE, &picture);

	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = ruleset_read(network->netfilter, facts, &foreign);
	if (r == -ENOENT) {
		facts->count = count;
		foreign = true;
	} else if (r < 0) {
		return fault_set_errno(fault, r, FAULT_NETWORK, "reading the nftables table %s",
				       RULESET_TABLE);
	}
	fact.value[0] = !foreign && picture.size > 0 && picture.size == network->picture.size &&
			memcmp(picture.data, network->picture.data, picture.size) == 0;
	fact_set_append(facts, &fact);
	return 0;
}

static int read_forwarding(const struct fact_set *wanted, struct fact_set *facts,
			   struct fault *fault)
{
	struct fact fact = { .kind = FACT_FORWARDING };
	int value;
	int r;

	if (!fact_set_find(wanted, &fact))
		return 0;
	r = sysctl_read("net/ipv4/ip_forward", &value);
	if (r < 0)
		return fault_set_errno(fault, r, FAULT_NETWORK, "reading net.ipv4.ip_forward");
	if (value)
		fact_set_append(facts, &fact);
	return 0;
}

static int read_return_path(struct network *network, struct fact_set *facts, struct fault *fault)
{
	struct fact fact = { .kind = FACT_RETURN_RULE };
	int r = rtnl_rule_find(network->rtnl, &return_rule);

	if (r == 0)
		fact_set_append(facts, &fact);
	if (r == 0 || r == -ENOENT)
		r = rtnl_local_default_find(network->rtnl, RETURN_TABLE);
	fact.kind = FACT_RETURN_ROUTE;
	if (r == 0)
		fact_set_append(facts, &fact);
	if (r < 0 && r != -ENOENT)
		return fault_set_errno(fault, r, FAULT_NETWORK, "reading the routing rules");
	return 0;
}

int present_read(struct network *network, const struct fact_set *wanted, struct fact_set *ret,
		 struct wg_config *ret_device, struct fault *fault)
{
	CLEANUP(fact_set_done) struct fact_set facts = { 0 };
	CLEANUP(wg_config_done) struct wg_config device = { 0 };
	int r = read_link(network, wanted, &facts, &device, fault);

	if (r == 0)
		r = read_ruleset(network, &facts, fault);
	if (r == 0)
		r = read_forwarding(wanted, &facts, fault);
	if (r == 0)
		r = read_return_path(network, &facts, fault);
	if (r < 0)
		return r;
	r = fact_set_finish(&facts, NULL);
	if (r < 0)
		return fault_set_errno(fault, r, FAULT_NETWORK, "reading the network's state");
	*ret = facts;
	facts = (struct fact_set){ 0 };
	*ret_device = device;
	device = (struct wg_config){ 0 };
	return 0;
}
