#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "packetio/udp.h"

#define BUFFER_SIZE (8 << 20)
#define PORT_TRIES 64 /* to find one that is free in both families */

static int set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static void set_buffers(int fd)
{
	/* The FORCE variants go beyond net.core.*mem_max and need CAP_NET_ADMIN; less is no error. */
	if (set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_SIZE) < 0)
		(void)set_int(fd, SOL_SOCKET, SO_RCVBUF, BUFFER_SIZE);
	if (set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, BUFFER_SIZE) < 0)
		(void)set_int(fd, SOL_SOCKET, SO_SNDBUF, BUFFER_SIZE);
}

/* The kernel counts twice what is asked for, to have room for what it adds. */
static uint32_t granted(int fd, int option)
{
	int value = 0;
	socklen_t size = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 ? (uint32_t)value / 2 : 0;
}

uint32_t udp_receive_buffer(int fd)
{
	return granted(fd, SO_RCVBUF);
}

uint32_t udp_send_buffer(int fd)
{
	return granted(fd, SO_SNDBUF);
}

static int set_v4_options(int fd)
{
	int r = set_int(fd, IPPROTO_IP, IP_PKTINFO, 1);

	if (r == 0)
		r = set_int(fd, IPPROTO_IP, IP_RECVTOS, 1);
	if (r == 0)
		r = set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
	return r;
}

static int set_v6_options(int fd)
{
	int r = set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);

	if (r == 0)
		r = set_int(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	if (r == 0)
		r = set_int(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
	if (r == 0)
		r = set_int(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT);
	return r;
}

static int bind_port(int fd, int family, uint16_t port)
{
	const struct endpoint any = { .address = { .family = (uint8_t)family }, .port = port };
	struct sockaddr_storage address;
	socklen_t size = endpoint_to_sockaddr(&any, &address);

	return bind(fd, (struct sockaddr *)&address, size) < 0 ? -errno : 0;
}

static int open_one(int family, uint16_t port, uint32_t mark, unsigned flags, int *ret_fd)
{
	cleanup_close int fd =
		socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP);
	int r;

	if (fd < 0)
		return -errno;
	set_buffers(fd);
	r = family == AF_INET ? set_v4_options(fd) : set_v6_options(fd);
	if (r == 0 && mark != 0)
		r = set_int(fd, SOL_SOCKET, SO_MARK, (int)mark);
	if (r == 0)
		r = bind_port(fd, family, port);
	if (r < 0)
		return r;
	if (!(flags & UDP_WITHOUT_GRO))
		(void)set_int(fd, IPPROTO_UDP, UDP_GRO, 1); /* before Linux 5.0 each comes alone */
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int port_of(int fd, uint16_t *ret)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	struct endpoint bound;
	int r;

	if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		return -errno;
	r = endpoint_from_sockaddr((struct sockaddr *)&address, &bound);
	if (r < 0)
		return r;
	*ret = bound.port;
	return 0;
}

/* One try; a family that the host does not have is left out. */
static int open_both(uint16_t port, uint32_t mark, unsigned flags, struct udp_pair *ret)
{
	CLEANUP(udp_close_pair) struct udp_pair pair = { -EBADF, -EBADF, port };
	int r;

	r = open_one(AF_INET, port, mark, flags, &pair.v4);
	if (r < 0 && r != -EAFNOSUPPORT)
		return r;
	if (pair.v4 >= 0) {
		r = port_of(pair.v4, &pair.port);
		if (r < 0)
			return r;
	}
	r = open_one(AF_INET6, pair.port, mark, flags, &pair.v6);
	if (r == -EADDRNOTAVAIL || r == -EAFNOSUPPORT) /* the first: disable_ipv6 */
		r = pair.v4 >= 0 ? 0 : r;
	if (r == 0 && pair.v4 < 0)
		r = port_of(pair.v6, &pair.port);
	if (r < 0)
		return r;
	*ret = pair;
	pair.v4 = pair.v6 = -EBADF;
	return 0;
}

int udp_open_pair(uint16_t port, uint32_t mark, unsigned flags, struct udp_pair *ret)
{
	int r = -EADDRINUSE;

	for (int i = 0; i < PORT_TRIES && r == -EADDRINUSE; i++) {
		r = open_both(port, mark, flags, ret);
		if (port != 0)
			break;
	}
	return r;
}

void udp_close_pair(struct udp_pair *pair)
{
	cleanup_close_fd(&pair->v4);
	cleanup_close_fd(&pair->v6);
	pair->v4 = pair->v6 = -EBADF;
}

int udp_set_mark(const struct udp_pair *pair, uint32_t mark)
{
	int r = 0;

	if (pair->v4 >= 0)
		r = set_int(pair->v4, SOL_SOCKET, SO_MARK, (int)mark);
	if (r == 0 && pair->v6 >= 0)
		r = set_int(pair->v6, SOL_SOCKET, SO_MARK, (int)mark);
	return r;
}

int udp_find_link(const struct udp_pair *pair, const char *name, uint32_t *ret)
{
	struct ifreq request = { 0 };
	size_t size = strlen(name);

	if (size >= sizeof(request.ifr_name))
		return -ENODEV;
	memcpy(request.ifr_name, name, size);
	if (ioctl(pair->v6 >= 0 ? pair->v6 : pair->v4, SIOCGIFINDEX, &request) < 0)
		return -errno;
	*ret = (uint32_t)request.ifr_ifindex;
	return 0;
}
