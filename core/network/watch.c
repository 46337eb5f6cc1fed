#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/netconf.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

#include "base/clock.h"
#include "network/network_internal.h"
#include "network/ruleset.h"

#define PAUSE_MIN_NS (100 * NS_PER_MS) /* between two comparisons */
#define PAUSE_MAX_NS (10 * NS_PER_S)
#define CALM_NS (30 * NS_PER_S) /* without a difference: whoever it was has stopped */

struct watch {
	struct netlink *rtnl;
	struct netlink *netfilter;
	bool dirty;
	uint64_t pause_ns;
	uint64_t last_difference_ns;
	uint64_t not_before_ns; /* the next comparison */
};

static int subscribe(struct watch *watch)
{
	static const unsigned groups[] = { RTNLGRP_LINK,       RTNLGRP_IPV4_IFADDR,
					   RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV4_NETCONF,
					   RTNLGRP_IPV4_RULE,  RTNLGRP_IPV6_IFADDR,
					   RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV6_NETCONF };
	int r = netlink_new(NETLINK_ROUTE, &watch->rtnl);

	for (size_t i = 0; i < ARRAY_SIZE(groups) && r == 0; i++)
		r = netlink_subscribe(watch->rtnl, groups[i]);
	if (r == 0)
		r = netlink_new(NETLINK_NETFILTER, &watch->netfilter);
	if (r == 0)
		r = netlink_subscribe(watch->netfilter, NFNLGRP_NFTABLES);
	return r;
}

int watch_new(struct watch **ret)
{
	struct watch *watch = calloc(1, sizeof(*watch));
	int r;

	if (!watch)
		return -ENOMEM;
	watch->pause_ns = PAUSE_MIN_NS;
	r = subscribe(watch);
	if (r < 0) {
		(void)watch_free(watch);
		return r;
	}
	*ret = watch;
	return 0;
}

struct watch *watch_free(struct watch *watch)
{
	if (watch) {
		(void)netlink_free(watch->rtnl);
		(void)netlink_free(watch->netfilter);
		free(watch);
	}
	return NULL;
}

void watch_set_dirty(struct watch *watch)
{
	watch->dirty = true;
}

bool watch_is_dirty(const struct watch *watch)
{
	return watch->dirty;
}

struct attribute_search {
	uint16_t type;
	bool found;
	uint32_t number;
	const char *string;
};

static int search_attribute(const struct nlattr *attribute, void *context)
{
	struct attribute_search *search = context;

	if (mnl_attr_get_type(attribute) != search->type)
		return MNL_CB_OK;
	search->found = true;
	if (mnl_attr_get_payload_len(attribute) == sizeof(uint32_t))
		search->number = mnl_attr_get_u32(attribute);
	if (mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0)
		search->string = mnl_attr_get_str(attribute);
	return MNL_CB_STOP;
}

static struct attribute_search find_attribute(const struct nlmsghdr *message, size_t header,
					      uint16_t type)
{
	struct attribute_search search = { .type = type };

	(void)mnl_attr_parse(message, (unsigned)header, search_attribute, &search);
	return search;
}

/* By name too: after the interface vanished, one of a new index may come. */
static bool is_our_link(const struct nlmsghdr *message, uint32_t index)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
	struct attribute_search name = find_attribute(message, sizeof(*info), IFLA_IFNAME);

	return (uint32_t)info->ifi_index == index ||
	       (name.string && strcmp(name.string, NET_LINK_NAME) == 0);
}

static bool is_forwarding(const struct nlmsghdr *message)
{
	size_t header = NLMSG_ALIGN(sizeof(struct netconfmsg));
	struct attribute_search index = find_attribute(message, header, NETCONFA_IFINDEX);
	struct attribute_search forwarding = find_attribute(message, header, NETCONFA_FORWARDING);

	return forwarding.found && (int32_t)index.number == NETCONFA_IFINDEX_ALL;
}

static bool concerns_us(const struct nlmsghdr *message, uint32_t index)
{
	switch (message->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		return is_our_link(message, index);
	case RTM_NEWADDR:
	case RTM_DELADDR:
		return ((const struct ifaddrmsg *)mnl_nlmsg_get_payload(message))->ifa_index ==
		       index;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		return find_attribute(message, sizeof(struct rtmsg), RTA_OIF).number == index ||
		       find_attribute(message, sizeof(struct rtmsg), RTA_TABLE).number ==
			       RETURN_TABLE;
	case RTM_NEWRULE:
	case RTM_DELRULE:
		return find_attribute(message, sizeof(struct fib_rule_hdr), FRA_TABLE).number ==
		       RETURN_TABLE;
	case RTM_NEWNETCONF:
		return is_forwarding(message);
	default:
		return false;
	}
}

/* What our own requests caused carries the number of the socket that made them. */
static int on_rtnl(const struct nlmsghdr *message, void *context)
{
	struct network *network = context;

	if (message->nlmsg_pid != netlink_port(network->rtnl) &&
	    concerns_us(message, network->index))
		network->watch->dirty = true;
	return 0;
}

static int on_netfilter(const struct nlmsghdr *message, void *context)
{
	struct network *network = context;

	if (message->nlmsg_pid != netlink_port(network->netfilter) &&
	    nft_message_is_about(message, RULESET_TABLE))
		network->watch->dirty = true;
	return 0;
}

/* Takes the notifications in. */
static void drain(struct network *network)
{
	struct watch *watch = network->watch;

	/* Lost notifications may have been about us. */
	if (netlink_receive(watch->rtnl, on_rtnl, network) < 0)
		watch->dirty = true;
	if (netlink_receive(watch->netfilter, on_netfilter, network) < 0)
		watch->dirty = true;
}

void network_poll_fds(const struct network *network, struct pollfd fds[NETWORK_FDS])
{
	fds[0] = (struct pollfd){ .fd = netlink_fd(network->watch->rtnl), .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = netlink_fd(network->watch->netfilter), .events = POLLIN };
}

int network_poll_timeout_ms(const struct network *network)
{
	const struct watch *watch = network->watch;
	uint64_t now = clock_monotonic_ns();
	uint64_t due = sweep_due_ns(network);

	if (watch->dirty && network->synced && watch->not_before_ns < due)
		due = watch->not_before_ns;
	if (due == UINT64_MAX)
		return -1;
	return now >= due ? 0 : (int)((due - now) / NS_PER_MS) + 1;
}

/* Each difference that follows closely on another doubles the pause. */
static void schedule(struct watch *watch, bool different, uint64_t now)
{
	if (now - watch->last_difference_ns > CALM_NS)
		watch->pause_ns = PAUSE_MIN_NS;
	else if (different && watch->pause_ns < PAUSE_MAX_NS)
		watch->pause_ns *= 2;
	if (different)
		watch->last_difference_ns = now;
	watch->not_before_ns = clock_monotonic_ns() + watch->pause_ns;
}

bool network_run(struct network *network, const char **ret_text, int *ret_error)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	struct watch *watch = network->watch;
	uint64_t now = clock_monotonic_ns();
	bool different = false;

	drain(network);
	if (!watch->dirty || !network->synced || now < watch->not_before_ns)
		return false;
	watch->dirty = false;
	*ret_error = network_converge(network, true, &different, &fault);
	if (*ret_error < 0)
		watch->dirty = true; /* again after a pause */
	schedule(watch, different || *ret_error < 0, now);
	if (*ret_error < 0)
		(void)snprintf(network->drift_last, sizeof(network->drift_last), "%s",
			       fault.details ? fault.details : "cannot compare");
	*ret_text = network->drift_last;
	return different || *ret_error < 0;
}
