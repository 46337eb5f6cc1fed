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

static int add_address(const struct ip_prefix *prefix, void *context)
{
	struct prefix_reading *reading = context;
	struct fact fact =
		prefix->address.family == AF_INET6
			? fact_of_network6(FACT_ADDRESS6, prefix->address.bytes, prefix->length)
			: fact_of_address(ip_to_v4(&prefix->address), prefix->length);

	fact_set_append(reading->facts, &fact);
	return 0;
}

/* Routes that others lead through the interface are their own: only wanted ones count. */
static int add_route(const struct ip_prefix *network, void *context)
{
	struct prefix_reading *reading = context;
	struct fact like =
		network->address.family == AF_INET6
			? fact_of_network6(FACT_ROUTE6, network->address.bytes, network->length)
			: fact_of_route(ip_to_v4(&network->address), network->length, 0);
	const struct fact *fact = fact_set_find(reading->wanted, &like);

	if (fact)
		fact_set_append(reading->facts, fact);
	return 0;
}

/* A peer is as we make them where its allowed IPs are one IPv4 address, or that and one IPv6 address;
 * else the fact has none. Their order is whoever reads them's own. */
static struct fact peer_fact(const struct wg_config_peer *peer)
{
	uint8_t address6[NET_ADDRESS6_SIZE] = { 0 };
	uint32_t address = 0;
	size_t good = 0;

	for (size_t i = 0; i < peer->allowed_ip_count && i < 2; i++) {
		const struct ip_prefix *prefix = &peer->allowed_ips[i].prefix;

		if (prefix->address.family == AF_INET && prefix->length == 32 && address == 0)
			address = ip_to_v4(&prefix->address);
		else if (prefix->address.family == AF_INET6 && prefix->length == 128 &&
			 !net_has_address6(address6))
			memcpy(address6, prefix->address.bytes, sizeof(address6));
		else
			continue;
		good++;
	}
	if (good != peer->allowed_ip_count || address == 0) {
		address = 0;
		memset(address6, 0, sizeof(address6));
	}
	return fact_of_peer(peer->public_key, peer->preshared_key, address, address6);
}

int present_wg_facts(const struct wg_config *config, struct fact_set *ret)
{
	struct fact fact = fact_of_wg_device(config->private_key, config->listen_port);

	fact_set_append(ret, &fact);
	for (size_t i = 0; i < config->peer_count; i++) {
		const struct wg_config_peer *peer = &config->peers[i];

		fact = peer_fact(peer);
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

static bool speaks_ipv6(void)
{
	int disabled;

	return sysctl_read("net/ipv6/conf/" NET_LINK_NAME "/disable_ipv6", &disabled) == 0 &&
	       !disabled;
}

/* Where we never had it speak IPv6, that is not looked at. */
static struct fact read_link_state(const struct network *network, const struct fact_set *wanted,
				   const struct rtnl_link *link)
{
	const struct fact like = { .kind = FACT_LINK_STATE };
	const struct fact *state = fact_set_find(wanted, &like);
	bool looks = network->ipv6 || (state && state->value[5]);

	return fact_of_link_state(link->up, link->mtu, looks && speaks_ipv6());
}

/* IPv6 addresses are read where there can be some of ours. */
static int read_prefixes(struct network *network, struct prefix_reading *reading)
{
	int r = 0;

	for (int i = 0; i < 2 && r == 0; i++) {
		uint8_t family = i == 0 ? AF_INET : AF_INET6;

		r = rtnl_address_each(network->rtnl, network->index, family, add_address, reading);
		if (r == 0)
			r = rtnl_route_each(network->rtnl, network->index, family, add_route,
					    reading);
		if (family == AF_INET6 && (r == -EAFNOSUPPORT || r == -EOPNOTSUPP))
			r = 0; /* a kernel without it */
	}
	return r;
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
		fact = read_link_state(network, wanted, &link);
		fact_set_append(facts, &fact);
		r = read_prefixes(network, &reading);
	}
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

/* Which of our tables it is. */
static enum fact_ruleset find_picture(const struct network *network, const struct text *picture)
{
	for (enum fact_ruleset i = FACT_RULESET_V4; i <= FACT_RULESET_V6; i++) {
		const struct text *ours = &network->pictures[i];

		if (picture->size > 0 && picture->size == ours->size &&
		    memcmp(picture->data, ours->data, picture->size) == 0)
			return i;
	}
	return FACT_RULESET_OTHER;
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
	fact.value[0] = foreign ? FACT_RULESET_OTHER : find_picture(network, &picture);
	fact_set_append(facts, &fact);
	return 0;
}

static int read_forwarding(enum fact_kind kind, const char *name, const struct fact_set *wanted,
			   struct fact_set *facts, struct fault *fault)
{
	struct fact fact = { .kind = (uint8_t)kind };
	int value;
	int r;

	if (!fact_set_find(wanted, &fact))
		return 0;
	r = sysctl_read(name, &value);
	if (r < 0)
		return fault_set_errno(fault, r, FAULT_NETWORK, "reading the sysctl %s", name);
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
		r = read_return_path(network, &facts, fault);
	if (r == 0)
		r = read_forwarding(FACT_FORWARDING, "net/ipv4/ip_forward", wanted, &facts, fault);
	if (r == 0)
		r = read_forwarding(FACT_FORWARDING6, "net/ipv6/conf/all/forwarding", wanted,
				    &facts, fault);
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
