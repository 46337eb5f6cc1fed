#include "system/rtnl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

#define REQUEST_MAX 512
#define DUMP_TRIES 8

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

static int change_address(struct netlink *nl, uint16_t type, uint16_t flags, uint32_t index,
			  uint32_t address, uint8_t prefix)
{
	struct request request;
	struct nlmsghdr *message = begin(&request, type, flags);
	struct ifaddrmsg *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));

	info->ifa_family = AF_INET;
	info->ifa_prefixlen = prefix;
	info->ifa_index = index;
	mnl_attr_put_u32(message, IFA_LOCAL, htonl(address));
	mnl_attr_put_u32(message, IFA_ADDRESS, htonl(address));
	return netlink_request(nl, message, NULL, NULL);
}

int rtnl_address_add(struct netlink *nl, uint32_t index, uint32_t address, uint8_t prefix)
{
	return change_address(nl, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, index, address, prefix);
}

int rtnl_address_remove(struct netlink *nl, uint32_t index, uint32_t address, uint8_t prefix)
{
	return change_address(nl, RTM_DELADDR, 0, index, address, prefix);
}

/* What a dump of addresses or routes is searched for. */
struct prefix_walk {
	uint32_t index;
	rtnl_visit_prefix visit;
	void *context;
	uint32_t address;
	uint32_t through;
};

static int read_address_attribute(const struct nlattr *attribute, void *context)
{
	struct prefix_walk *walk = context;

	if (mnl_attr_get_type(attribute) == IFA_LOCAL)
		walk->address = ntohl(mnl_attr_get_u32(attribute));
	return MNL_CB_OK;
}

static int visit_address(const struct nlmsghdr *message, void *context)
{
	const struct ifaddrmsg *info = mnl_nlmsg_get_payload(message);
	struct prefix_walk *walk = context;

	if (message->nlmsg_type != RTM_NEWADDR || info->ifa_family != AF_INET ||
	    info->ifa_index != walk->index)
		return 0;
	walk->address = 0;
	(void)mnl_attr_parse(message, sizeof(*info), read_address_attribute, walk);
	return walk->visit(walk->address, info->ifa_prefixlen, walk->context);
}

int rtnl_address_each(struct netlink *nl, uint32_t index, rtnl_visit_prefix visit, void *context)
{
	struct prefix_walk walk = { .index = index, .visit = visit, .context = context };
	struct request request;
	struct nlmsghdr *message = begin(&request, RTM_GETADDR, 0);
	struct ifaddrmsg *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));

	info->ifa_family = AF_INET;
	return dump(nl, message, visit_address, &walk);
}

static int change_route(struct netlink *nl, uint16_t type, uint16_t flags, uint32_t index,
			uint32_t network, uint8_t prefix, uint32_t source)
{
	struct request request;
	struct nlmsghdr *message = begin(&request, type, flags);
	struct rtmsg *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));

	info->rtm_family = AF_INET;
	info->rtm_dst_len = prefix;
	info->rtm_table = RT_TABLE_MAIN;
	info->rtm_protocol = RTPROT_KERNEL;
	info->rtm_scope = RT_SCOPE_LINK;
	info->rtm_type = RTN_UNICAST;
	mnl_attr_put_u32(message, RTA_DST, htonl(network));
	mnl_attr_put_u32(message, RTA_OIF, index);
	if (source)
		mnl_attr_put_u32(message, RTA_PREFSRC, htonl(source));
	return netlink_request(nl, message, NULL, NULL);
}

int rtnl_route_add(struct netlink *nl, uint32_t index, uint32_t network, uint8_t prefix,
		   uint32_t source)
{
	return change_route(nl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, index, network, prefix,
			    source);
}

int rtnl_route_remove(struct netlink *nl, uint32_t index, uint32_t network, uint8_t prefix)
{
	return change_route(nl, RTM_DELROUTE, 0, index, network, prefix, 0);
}

static int read_route_attribute(const struct nlattr *attribute, void *context)
{
	struct prefix_walk *walk = context;

	if (mnl_attr_get_type(attribute) == RTA_DST)
		walk->address = ntohl(mnl_attr_get_u32(attribute));
	else if (mnl_attr_get_type(attribute) == RTA_OIF)
		walk->through = mnl_attr_get_u32(attribute);
	return MNL_CB_OK;
}

/* Fills in address and through. Whether it is a unicast IPv4 route of the main table. */
static bool read_route(const struct nlmsghdr *message, struct prefix_walk *walk)
{
	const struct rtmsg *info = mnl_nlmsg_get_payload(message);

	if (message->nlmsg_type != RTM_NEWROUTE || info->rtm_family != AF_INET ||
	    info->rtm_table != RT_TABLE_MAIN || info->rtm_type != RTN_UNICAST)
		return false;
	walk->address = walk->through = 0;
	(void)mnl_attr_parse(message, sizeof(*info), read_route_attribute, walk);
	return true;
}

static int visit_route(const struct nlmsghdr *message, void *context)
{
	const struct rtmsg *info = mnl_nlmsg_get_payload(message);
	struct prefix_walk *walk = context;

	if (!read_route(message, walk) || walk->through != walk->index ||
	    info->rtm_scope != RT_SCOPE_LINK)
		return 0;
	return walk->visit(walk->address, info->rtm_dst_len, walk->context);
}

static int dump_routes(struct netlink *nl, netlink_visit visit, struct prefix_walk *walk)
{
	struct request request;
	struct nlmsghdr *message = begin(&request, RTM_GETROUTE, 0);
	struct rtmsg *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));

	info->rtm_family = AF_INET;
	return dump(nl, message, visit, walk);
}

int rtnl_route_each(struct netlink *nl, uint32_t index, rtnl_visit_prefix visit, void *context)
{
	struct prefix_walk walk = { .index = index, .visit = visit, .context = context };

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
	struct prefix_walk walk = { 0 };
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
