#include "packetio/route_watch.h"

#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

/* The kernel's minimum: what is in the messages does not matter, and one is enough. */
#define EVENT_BUFFER_SIZE 1
#define EVENTS_MAX 16
#define LOOKUP_SIZE 2048

static int open_socket(int *ret_fd)
{
	const struct sockaddr_nl address = { .nl_family = AF_NETLINK };
	cleanup_close int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* All that a way may depend on. IPv4 tells of no routes that go with their link or address. */
static int listen_for_changes(int fd)
{
	static const int groups[] = {
		RTNLGRP_LINK,	    RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
		RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE,	 RTNLGRP_IPV6_RULE,   RTNLGRP_NEXTHOP,
	};
	const int size = EVENT_BUFFER_SIZE;
	const int yes = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) < 0 ||
	    setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &yes, sizeof(yes)) < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
		/* RTNLGRP_NEXTHOP came with Linux 5.3. */
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i],
			       sizeof(groups[i])) < 0 &&
		    errno != EINVAL)
			return -errno;
	}
	return 0;
}

int route_watch_open(struct route_watch *ret)
{
	CLEANUP(route_watch_close) struct route_watch watch = { -EBADF, -EBADF, 0 };
	int r = open_socket(&watch.fd);

	if (r == 0)
		r = listen_for_changes(watch.fd);
	if (r == 0)
		r = open_socket(&watch.lookup_fd);
	if (r < 0)
		return r;
	*ret = watch;
	watch = (struct route_watch){ -EBADF, -EBADF, 0 };
	return 0;
}

void route_watch_close(struct route_watch *watch)
{
	cleanup_close_fd(&watch->fd);
	cleanup_close_fd(&watch->lookup_fd);
}

void route_watch_clear(const struct route_watch *watch)
{
	uint8_t byte;

	for (unsigned i = 0; i < EVENTS_MAX; i++)
		if (recv(watch->fd, &byte, sizeof(byte), MSG_DONTWAIT | MSG_TRUNC) < 0 &&
		    errno == EAGAIN)
			return;
}

static void put_address(struct nlmsghdr *message, uint16_t type, const struct ip_address *address)
{
	mnl_attr_put(message, type, address->family == AF_INET6 ? 16 : 4, address->bytes);
}

static void write_question(struct nlmsghdr *message, const struct udp_path *path, uint16_t port,
			   uint32_t mark)
{
	bool v6 = path->remote.address.family == AF_INET6;
	uint8_t length = v6 ? 128 : 32;
	struct rtmsg *route;

	message->nlmsg_type = RTM_GETROUTE;
	message->nlmsg_flags = NLM_F_REQUEST;
	route = mnl_nlmsg_put_extra_header(message, sizeof(*route));
	route->rtm_family = v6 ? AF_INET6 : AF_INET;
	route->rtm_dst_len = length;
	put_address(message, RTA_DST, &path->remote.address);
	if (path->local.family) {
		route->rtm_src_len = length;
		put_address(message, RTA_SRC, &path->local);
	}
	if (path->remote.scope_id)
		mnl_attr_put_u32(message, RTA_OIF, path->remote.scope_id);
	if (mark)
		mnl_attr_put_u32(message, RTA_MARK, mark);
	/* Rules may name these. */
	mnl_attr_put_u8(message, RTA_IP_PROTO, IPPROTO_UDP);
	mnl_attr_put_u16(message, RTA_SPORT, htons(port));
	mnl_attr_put_u16(message, RTA_DPORT, htons(path->remote.port));
}

static uint32_t read_answer(const struct nlmsghdr *message)
{
	const struct rtmsg *route = mnl_nlmsg_get_payload(message);
	const struct nlattr *attribute;

	if (message->nlmsg_type != RTM_NEWROUTE ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(*route) ||
	    (route->rtm_type != RTN_UNICAST && route->rtm_type != RTN_LOCAL))
		return 0;
	mnl_attr_for_each(attribute, message, sizeof(*route))
	{
		if (mnl_attr_get_type(attribute) == RTA_OIF &&
		    mnl_attr_validate(attribute, MNL_TYPE_U32) == 0)
			return mnl_attr_get_u32(attribute);
	}
	return 0;
}

uint32_t route_watch_lookup(struct route_watch *watch, const struct udp_path *path, uint16_t port,
			    uint32_t mark)
{
	uint8_t buffer[LOOKUP_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	ssize_t size;

	write_question(message, path, port, mark);
	message->nlmsg_seq = ++watch->sequence;
	if (send(watch->lookup_fd, message, message->nlmsg_len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return 0;
	do {
		size = recv(watch->lookup_fd, buffer, sizeof(buffer), MSG_DONTWAIT);
		if (size <= 0 || !mnl_nlmsg_ok(message, (int)size))
			return 0;
	} while (message->nlmsg_seq != watch->sequence);
	return read_answer(message);
}
