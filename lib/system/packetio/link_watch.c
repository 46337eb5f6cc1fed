#include "packetio/link_watch.h"

#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "base/cleanup.h"

int link_watch_ask(int fd, uint32_t ifindex)
{
	struct {
		struct nlmsghdr header;
		struct ifinfomsg link;
	} request = {
		.header = { .nlmsg_len = sizeof(request),
			    .nlmsg_type = RTM_GETLINK,
			    .nlmsg_flags = NLM_F_REQUEST },
		.link = { .ifi_family = AF_UNSPEC, .ifi_index = (int)ifindex },
	};

	return send(fd, &request, sizeof(request), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int link_watch_open(uint32_t ifindex, int *ret_fd)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	cleanup_close int fd = -EBADF;
	int r;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	r = link_watch_ask(fd, ifindex);
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static void take_statistics(const struct nlattr *attribute, struct link_state *state)
{
	struct rtnl_link_stats64 statistics; /* the attribute may stand at any multiple of four */

	if (mnl_attr_get_payload_len(attribute) <
	    offsetof(struct rtnl_link_stats64, tx_dropped) + sizeof(statistics.tx_dropped))
		return;
	memcpy(&statistics.tx_dropped,
	       (const uint8_t *)mnl_attr_get_payload(attribute) +
		       offsetof(struct rtnl_link_stats64, tx_dropped),
	       sizeof(statistics.tx_dropped));
	state->queue_drops = statistics.tx_dropped;
}

static void take_link(const struct nlmsghdr *message, uint32_t ifindex, struct link_state *state)
{
	const struct ifinfomsg *link = mnl_nlmsg_get_payload(message);
	const struct nlattr *attribute;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*link) ||
	    (uint32_t)link->ifi_index != ifindex)
		return;
	state->removed = message->nlmsg_type == RTM_DELLINK;
	if (state->removed)
		return;
	state->up = link->ifi_flags & IFF_UP;
	mnl_attr_for_each(attribute, message, sizeof(*link))
	{
		uint16_t type = mnl_attr_get_type(attribute);

		if (type == IFLA_MTU && mnl_attr_validate(attribute, MNL_TYPE_U32) == 0)
			state->mtu = mnl_attr_get_u32(attribute);
		if (type == IFLA_STATS64)
			take_statistics(attribute, state);
		if (type == IFLA_IFNAME && mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0)
			(void)snprintf(state->name, sizeof(state->name), "%s",
				       mnl_attr_get_str(attribute));
	}
}

static void take_messages(const void *data, size_t size, uint32_t ifindex, struct link_state *state)
{
	const struct nlmsghdr *message = data;
	int left = (int)size;

	for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
		if (message->nlmsg_type == RTM_NEWLINK || message->nlmsg_type == RTM_DELLINK)
			take_link(message, ifindex, state);
	}
}

int link_watch_read(int fd, uint32_t ifindex, struct link_state *state)
{
	uint8_t buffer[8192] __attribute__((aligned(NLMSG_ALIGNTO)));

	for (;;) {
		ssize_t size = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);

		if (size > 0) {
			take_messages(buffer, (size_t)size, ifindex, state);
		} else if (size < 0 && errno == ENOBUFS) {
			/* Something was lost: ask for what is now. */
			int r = link_watch_ask(fd, ifindex);

			if (r < 0)
				return r;
		} else if (size < 0 && errno != EAGAIN && errno != EINTR) {
			return -errno;
		} else if (size == 0 || errno == EAGAIN) {
			return 0;
		}
	}
}
