#include "system/rtnl.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

#define REQUEST_MAX 512
#define DUMP_TRIES 8
#define LOOPBACK_INDEX 1 /* in every network namespace */
#define KERNEL_METRIC_V6 256 /* of the routes that the kernel makes with IPv6 addresses */

/* A request in its own aligned memory. */
struct request {
	_Alignas(struct nlmsghdr) char bytes[REQUEST_MAX];
};

static struct nlmsghdr *begin(struct request *request, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *message;

	*request = (struct request){ 0 };
	message = mnl_nlmsg_put_header(request->bytes);
	message->nlmsg_type = type;
	message->nlmsg_flags = flags;
	return message;
}

/* A dump that changed meanwhile is asked for again; @visit sees some entries twice then. */
static int dump(struct netlink *nl, struct nlmsghdr *message, netlink_visit visit, void *context)
{
	int r = -EINTR;

	message->nlmsg_flags |= NLM_F_DUMP;
	for (int i = 0; i < DUMP_TRIES && r == -EINTR; i++)
		r = netlink_request(nl, message, visit, context);
	return r;
}

static int find_kind(const struct nlattr *attribute, void *context)
{
	struct rtnl_link *link = context;

	if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND)
		(void)snprintf(link->kind, sizeof(link->kind), "%.*s",
			       mnl_attr_get_payload_len(attribute), mnl_attr_get_str(attribute));
	return MNL_CB_OK;
}

static int read_link_attribute(const struct nlattr *attribute, void *context)
{
	struct rtnl_link *link = context;

	if (mnl_attr_get_type(attribute) == IFLA_MTU)
		link->mtu = mnl_attr_get_u32(attribute);
	else if (mnl_attr_get_type(attribute) == IFLA_LINKINFO)
		(void)mnl_attr_parse_nested(attribute, find_kind, link);
	return MNL_CB_OK;
}

static int read_link(const struct nlmsghdr *message, void *context)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
	struct rtnl_link *link = context;

	if (message->nlmsg_type != RTM_NEWLINK)
		return 0;
	link->index = (uint32_t)info->ifi_index;
	link->up = info->ifi_flags & IFF_UP;
	(void)mnl_attr_parse(message, sizeof(*info), read_link_attribute, link);
	return 0;
}

static int get_link(struct netlink *nl, const char *name, uint32_t index, struct rtnl_link *ret)
{
	struct rtnl_link link = { 0 };
	struct request request;
	struct nlmsghdr *message = begin(&request, RTM_GETLINK, 0);
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	int r;

	info->ifi_index = (int)index;
	if (name)
		mnl_attr_put_strz(message, IFLA_IFNAME, name);
	r = netlink_request(nl, message, read_link, &link);
	if (r == 0)
		*ret = link;
	return r;
}

int rtnl_link_get(struct netlink *nl, const char *name, struct rtnl_link *ret)
{
	return get_link(nl, name, 0, ret);
}

int rtnl_link_create(struct netlink *nl, const char *name, const char *kind)
{
	struct request request;
	struct nlmsghdr *message = begin(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	struct nlattr *nested;

	(void)mnl_nlmsg_put_extra_header(message, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(message, IFLA_IFNAME, name);
	nested = mnl_attr_nest_start(message, IFLA_LINKINFO);
	mnl_attr_put_strz(message, IFLA_INFO_KIND, kind);
	mnl_attr_nest_end(message, nested);
	return netlink_request(nl, message, NULL, NULL);
}

int rtnl_link_delete(struct netlink *nl, uint32_t index)
{
	struct request request;
	struct nlmsghdr *message = begin(&request, RTM_DELLINK, 0);
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));

	info->ifi_index = (int)index;
	return netlink_request(nl, message, NULL, NULL);
}

int rtnl_link_set(struct netlink *nl, uint32_t index, bool up, uint32_t mtu)
{
	struct request request;
	struct nlmsghdr *message = begin(&request, RTM_NEWLINK, 0);
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));

	info->ifi_index = (int)index;
	info->ifi_change = IFF_UP;
	info->ifi_flags = up ? IFF_UP : 0;
	mnl_attr_put_u32(message, IFLA_MTU, mtu);
	return netlink_request(nl, message, NULL, NULL);
}

static size_t address_size(const struct ip_address *address)
{
	return address->family == AF_INET6 ? 16 : 4;
}

static void put_address(struct nlmsghdr *message, uint16_t type, const struct ip_address *address)
{
	mnl_attr_put(message, type, address_size(address), address->bytes);
}

/* Nobody else is on a tunnel who could have the same IPv6 address: it is not asked for. */
static int change_address(struct netlink *nl, uint16_t type, uint16_t flags, uint32_t index,
			  const struct ip_prefix *address)
{
	struct request request;
	struct nlmsghdr *message = begin(&request, type, flags);
	struct ifaddrmsg *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));

	info->ifa_family = address->address.family;
	info->ifa_prefixlen = address->length;
	info->ifa_index = index;
	if (info->ifa_family == AF_INET6)
		info->ifa_flags = IFA_F_NODAD;
	put_address(message, IFA_LOCAL, &address->address);
	put_address(message, IFA_ADDRESS, &address->address);
	return netlink_request(nl, message, NULL, NULL);
}

int rtnl_address_add(struct netlink *nl, uint32_t index, const struct ip_prefix *address)
{
	return change_address(nl, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, index, address);
}

int rtnl_address_remove(struct netlink *nl, uint32_t index, const struct ip_prefix *address)
{
	return change_address(nl, RTM_DELADDR, 0, index, address);
}

/* What a dump of addresses or routes is searched for. */
struct prefix_walk {
	uint32_t index;
	uint8_t family;
	rtnl_visit_prefix visit;
	void *context;
	struct ip_prefix prefix;
	uint32_t through;
};

static void read_prefix(const struct nlattr *attribute, struct prefix_walk *walk)
{
	struct ip_address *address = &walk->prefix.address;

	if (mnl_attr_get_payload_len(attribute) == address_size(address))
		memcpy(address->bytes, mnl_attr_get_payload(attribute), address_size(address));
}

/* An IPv6 address has no IFA_LOCAL where no other end is named. */
static int read_address_attribute(const struct nlattr *attribute, void *context)
{
	struct prefix_walk *walk = context;
	uint16_t type = mnl_attr_get_type(attribute);

	if (type == IFA_LOCAL || (type == IFA_ADDRESS && walk->family == AF_INET6))
		read_prefix(attribute, walk);
	return MNL_CB_OK;
}

static int visit_address(const struct nlmsghdr *message, void *context)
{
	const struct ifaddrmsg *info = mnl_nlmsg_get_payload(message);
	struct prefix_walk *walk = context;

	if (message->nlmsg_type != RTM_NEWADDR || info->ifa_family != walk->family ||
	    info->ifa_index != walk->index ||
	    (walk->family == AF_INET6 && info->ifa_scope == RT_SCOPE_LINK))
		return 0;
	walk->prefix = (struct ip_prefix){ { .family = walk->family }, info->ifa_prefixlen };
	(void)mnl_attr_parse(message, sizeof(*info), read_address_attribute, walk);
	return walk->visit(&walk->prefix, walk->context);
}

int rtnl_address_each(struct netlink *nl, uint32_t index, uint8_t family, rtnl_visit_prefix visit,
		      void *context)
{
	struct prefix_walk walk = {
		.index = index, .family = family, .visit = visit, .context = context
	};
	struct request request;
	struct nlmsghdr *message = begin(&request, RTM_GETADDR, 0);
	struct ifaddrmsg *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));

	info->ifa_family = family;
	return dump(nl, message, visit_address, &walk);
}

static int change_route(struct netlink *nl, uint16_t type, uint16_t flags, uint32_t index,
			const struct ip_prefix *network, const struct ip_address *source)
{
	struct request request;
	struct nlmsghdr *message = begin(&request, type, flags);
	struct rtmsg *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	bool v6 = network->address.family == AF_INET6;

	info->rtm_family = network->address.family;
	info->rtm_dst_len = network->length;
	info->rtm_table = RT_TABLE_MAIN;
	info->rtm_protocol = RTPROT_KERNEL;
	info->rtm_scope = v6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
	info->rtm_type = RTN_UNICAST;
	put_address(message, RTA_DST, &network->address);
	mnl_attr_put_u32(message, RTA_OIF, index);
	if (v6)
		mnl_attr_put_u32(message, RTA_PRIORITY, KERNEL_METRIC_V6);
	if (source && source->family != 0)
		put_address(message, RTA_PREFSRC, source);
	return netlink_request(nl, message, NULL, NULL);
}

int rtnl_route_add(struct netlink *nl, uint32_t index, const struct ip_prefix *network,
		   const struct ip_address *source)
{
	return change_route(nl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, index, network, source);
}

int rtnl_route_remove(struct netlink *nl, uint32_t index, const struct ip_prefix *network)
{
	return change_route(nl, RTM_DELROUTE, 0, index, network, NULL);
}

static int read_route_attribute(const struct nlattr *attribute, void *context)
{
	struct prefix_walk *walk = context;

	if (mnl_attr_get_type(attribute) == RTA_DST)
		read_prefix(attribute, walk);
	else if (mnl_attr_get_type(attribute) == RTA_OIF)
		walk->through = mnl_attr_get_u32(attribute);
	return MNL_CB_OK;
}

/* Fills in the prefix and through. Whether it is a unicast route of the family in the main table. */
static bool read_route(const struct nlmsghdr *message, struct prefix_walk *walk)
{
	const struct rtmsg *info = mnl_nlmsg_get_payload(message);

	if (message->nlmsg_type != RTM_NEWROUTE || info->rtm_family != walk->family ||
	    info->rtm_table != RT_TABLE_MAIN || info->rtm_type != RTN_UNICAST)
		return false;
	walk->prefix = (struct ip_prefix){ { .family = walk->family }, info->rtm_dst_len };
	walk->through = 0;
	(void)mnl_attr_parse(message, sizeof(*info), read_route_attribute, walk);
	return true;
}

static int visit_route(const struct nlmsghdr *message, void *context)
{
	const struct rtmsg *info = mnl_nlmsg_get_payload(message);
	struct prefix_walk *walk = context;

	if (!read_route(message, walk) || walk->through != walk->index ||
	    (walk->family == AF_INET && info->rtm_scope != RT_SCOPE_LINK))
		return 0;
	return walk->visit(&walk->prefix, walk->context);
}

static int dump_routes(struct netlink *nl, netlink_visit visit, struct prefix_walk *walk)
{
	struct request request;
	struct nlmsghdr *message = begin(&request, RTM_GETROUTE, 0);
	struct rtmsg *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));

	info->rtm_family = walk->family;
	return dump(nl, message, visit, walk);
}

int rtnl_route_each(struct netlink *nl, uint32_t index, uint8_t family, rtnl_visit_prefix visit,
		    void *context)
{
	struct prefix_walk walk = {
		.index = index, .family = family, .visit = visit, .context = context
	};

	return dump_routes(nl, visit_route, &walk);
}

/* The kernel lists routes to one destination by priority: the first default route is the one. */
static int visit_default(const struct nlmsghdr *message, void *context)
{
	const struct rtmsg *info = mnl_nlmsg_get_payload(message);
	struct prefix_walk *walk = context;

	if (walk->index == 0 && info->rtm_dst_len == 0 && read_route(message, walk))
		walk->index = walk->through;
	return 0;
}

int rtnl_default_mtu(struct netlink *nl, uint32_t *ret)
{
	struct prefix_walk walk = { .family = AF_INET };
	struct rtnl_link link;
	int r = dump_routes(nl, visit_default, &walk);

	if (r < 0)
		return r;
	if (walk.index == 0)
		return -ENOENT;
	r = get_link(nl, NULL, walk.index, &link);
	if (r < 0)
		return r;
	*ret = link.mtu;
	return 0;
}

static int change_rule(struct netlink *nl, uint16_t type, uint16_t flags,
		       const struct rtnl_rule *rule)
{
	struct request request;
	struct nlmsghdr *message = begin(&request, type, flags);
	struct fib_rule_hdr *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));

	info->family = AF_INET;
	info->action = FR_ACT_TO_TBL;
	mnl_attr_put_u32(message, FRA_PRIORITY, rule->priority);
	mnl_attr_put_u32(message, FRA_FWMARK, rule->mark);
	mnl_attr_put_u32(message, FRA_FWMASK, UINT32_MAX);
	mnl_attr_put_u32(message, FRA_TABLE, rule->table);
	mnl_attr_put_strz(message, FRA_IIFNAME, rule->from_link);
	return netlink_request(nl, message, NULL, NULL);
}

int rtnl_rule_add(struct netlink *nl, const struct rtnl_rule *rule)
{
	return change_rule(nl, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule);
}

int rtnl_rule_remove(struct netlink *nl, const struct rtnl_rule *rule)
{
	return change_rule(nl, RTM_DELRULE, 0, rule);
}

struct rule_search {
	const struct rtnl_rule *wanted;
	struct rtnl_rule rule; /* as the current message has it */
	uint32_t mask;
	bool other; /* it has more conditions */
	bool found;
};

static int read_rule_attribute(const struct nlattr *attribute, void *context)
{
	struct rule_search *search = context;

	switch (mnl_attr_get_type(attribute)) {
	case FRA_PRIORITY:
		search->rule.priority = mnl_attr_get_u32(attribute);
		break;
	case FRA_FWMARK:
		search->rule.mark = mnl_attr_get_u32(attribute);
		break;
	case FRA_FWMASK:
		search->mask = mnl_attr_get_u32(attribute);
		break;
	case FRA_TABLE:
		search->rule.table = mnl_attr_get_u32(attribute);
		break;
	case FRA_IIFNAME:
		search->rule.from_link = mnl_attr_get_str(attribute);
		break;
	case FRA_SRC:
	case FRA_DST:
	case FRA_OIFNAME:
	case FRA_IP_PROTO:
	case FRA_SPORT_RANGE:
	case FRA_DPORT_RANGE:
	case FRA_UID_RANGE:
		search->other = true;
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

static int visit_rule(const struct nlmsghdr *message, void *context)
{
	const struct fib_rule_hdr *info = mnl_nlmsg_get_payload(message);
	struct rule_search *search = context;
	const struct rtnl_rule *wanted = search->wanted;

	if (message->nlmsg_type != RTM_NEWRULE || info->family != AF_INET ||
	    info->action != FR_ACT_TO_TBL || (info->flags & FIB_RULE_INVERT))
		return 0;
	search->rule = (struct rtnl_rule){ 0 };
	search->mask = 0;
	search->other = false;
	(void)mnl_attr_parse(message, sizeof(*info), read_rule_attribute, search);
	if (!search->other && search->mask == UINT32_MAX && search->rule.mark == wanted->mark &&
	    search->rule.table == wanted->table && search->rule.priority == wanted->priority &&
	    search->rule.from_link && strcmp(search->rule.from_link, wanted->from_link) == 0)
		search->found = true;
	return 0;
}

int rtnl_rule_find(struct netlink *nl, const struct rtnl_rule *rule)
{
	struct rule_search search = { .wanted = rule };
	struct request request;
	struct nlmsghdr *message = begin(&request, RTM_GETRULE, 0);
	struct fib_rule_hdr *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	int r;

	info->family = AF_INET;
	r = dump(nl, message, visit_rule, &search);
	if (r < 0)
		return r;
	return search.found ? 0 : -ENOENT;
}

static int change_local_default(struct netlink *nl, uint16_t type, uint16_t flags, uint32_t table)
{
	struct request request;
	struct nlmsghdr *message = begin(&request, type, flags);
	struct rtmsg *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));

	info->rtm_family = AF_INET;
	info->rtm_table = RT_TABLE_COMPAT;
	info->rtm_protocol = RTPROT_STATIC;
	info->rtm_scope = RT_SCOPE_HOST;
	info->rtm_type = RTN_LOCAL;
	mnl_attr_put_u32(message, RTA_TABLE, table);
	mnl_attr_put_u32(message, RTA_OIF, LOOPBACK_INDEX);
	return netlink_request(nl, message, NULL, NULL);
}

int rtnl_local_default_add(struct netlink *nl, uint32_t table)
{
	return change_local_default(nl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, table);
}

int rtnl_local_default_remove(struct netlink *nl, uint32_t table)
{
	return change_local_default(nl, RTM_DELROUTE, 0, table);
}

struct table_search {
	uint32_t wanted;
	uint32_t table;
	uint32_t through;
	bool found;
};

static int read_table_attribute(const struct nlattr *attribute, void *context)
{
	struct table_search *search = context;

	if (mnl_attr_get_type(attribute) == RTA_TABLE)
		search->table = mnl_attr_get_u32(attribute);
	else if (mnl_attr_get_type(attribute) == RTA_OIF)
		search->through = mnl_attr_get_u32(attribute);
	return MNL_CB_OK;
}

static int visit_local_default(const struct nlmsghdr *message, void *context)
{
	const struct rtmsg *info = mnl_nlmsg_get_payload(message);
	struct table_search *search = context;

	if (message->nlmsg_type != RTM_NEWROUTE || info->rtm_family != AF_INET ||
	    info->rtm_type != RTN_LOCAL || info->rtm_dst_len != 0)
		return 0;
	search->table = info->rtm_table;
	search->through = 0;
	(void)mnl_attr_parse(message, sizeof(*info), read_table_attribute, search);
	if (search->table == search->wanted && search->through == LOOPBACK_INDEX)
		search->found = true;
	return 0;
}

int rtnl_local_default_find(struct netlink *nl, uint32_t table)
{
	struct table_search search = { .wanted = table };
	struct request request;
	struct nlmsghdr *message = begin(&request, RTM_GETROUTE, 0);
	struct rtmsg *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	int r;

	info->rtm_family = AF_INET;
	r = dump(nl, message, visit_local_default, &search);
	if (r < 0)
		return r;
	return search.found ? 0 : -ENOENT;
}
