#include "bind.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"

/* What the daemon serves to devices. */
static const struct {
	uint8_t kind;
	uint16_t port;
} services[] = {
	{ NETD_UDP, 53 }, /* DNS */
	{ NETD_TCP, 53 },    { NETD_UDP, 1900 }, /* SSDP */
	{ NETD_UDP, 5351 }, /* PCP and NAT-PMP */
	{ NETD_TCP, 49001 }, /* UPnP IGD */
};

static bool is_service(const struct netd_bind *wanted)
{
	for (size_t i = 0; i < ARRAY_SIZE(services); i++)
		if (services[i].kind == wanted->kind && services[i].port == wanted->endpoint.port)
			return true;
	return false;
}

/* UDP of one address only: with all of them, it would take what others on this machine are asked in the tunnel. */
static bool is_public(const struct netd_bind *wanted)
{
	static const struct ip_address nothing = { 0 };

	if (wanted->flags != 0)
		return false;
	return wanted->kind == NETD_TCP ||
	       (wanted->kind == NETD_UDP &&
		memcmp(wanted->endpoint.address.bytes, nothing.bytes, sizeof(nothing.bytes)) != 0);
}

/* All but what the kernel alone knows: whether the address is here. */
static bool may_bind(const struct netd_bind *wanted)
{
	const struct ip_address *address = &wanted->endpoint.address;

	if (wanted->flags == NETD_BIND_TUNNEL ? !is_service(wanted) : !is_public(wanted))
		return false;
	if (wanted->endpoint.port == 0)
		return false;
	if (address->family == AF_INET)
		return address->bytes[0] < 224; /* neither multicast nor broadcast */
	return address->family == AF_INET6 && address->bytes[0] != 0xff;
}

/* A TCP port is free again at once after a restart; a UDP port is never shared. */
static int set_options(int fd, const struct netd_bind *wanted)
{
	static const char name[IFNAMSIZ] = NET_LINK_NAME;
	int on = 1;

	if (wanted->kind == NETD_TCP &&
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -errno;
	/* The services in the tunnel have a socket for each family. */
	if ((wanted->flags & NETD_BIND_TUNNEL) && wanted->endpoint.address.family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return -errno;
	if ((wanted->flags & NETD_BIND_TUNNEL) &&
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, sizeof(name)) < 0)
		return -errno;
	return 0;
}

int bind_socket(const struct netd_bind *wanted, int *ret)
{
	struct sockaddr_storage address;
	cleanup_close int fd = -EBADF;
	socklen_t size;
	int r;

	if (!may_bind(wanted))
		return -EINVAL;
	fd = socket(wanted->endpoint.address.family,
		    (wanted->kind == NETD_TCP ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC |
			    SOCK_NONBLOCK,
		    0);
	if (fd < 0)
		return -errno;
	r = set_options(fd, wanted);
	if (r < 0)
		return r;
	size = endpoint_to_sockaddr(&wanted->endpoint, &address);
	if (bind(fd, (struct sockaddr *)&address, size) < 0)
		return -errno;
	*ret = TAKE_FD(fd);
	return 0;
}
