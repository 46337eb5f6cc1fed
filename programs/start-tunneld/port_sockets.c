#include "port_sockets.h"

#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "pcp/pcp.h"
#include "tunnel/pcp_service.h"

struct port_sockets {
	struct netd_client *netd;
	struct pcp_service *pcp;
	uv_loop_t *loop;
	uv_timer_t check;
	uv_poll_t *poll; /* NULL: there is no socket */
	int fd;
	unsigned link; /* that the socket is bound to */
	bool binding;
	bool complained;
};

/* Datagrams. */

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
};

/* Gives the address that it was sent to. */
static bool read_destination(struct msghdr *message, uint32_t *ret)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		struct in_pktinfo info;

		if (c->cmsg_level != IPPROTO_IP || c->cmsg_type != IP_PKTINFO)
			continue;
		memcpy(&info, CMSG_DATA(c), sizeof(info));
		*ret = ntohl(info.ipi_addr.s_addr);
		return true;
	}
	return false;
}

static void on_send(void *context, const struct pcp_peer *to, const uint8_t *data, size_t size)
{
	struct port_sockets *sockets = context;
	struct in_pktinfo info = { .ipi_spec_dst.s_addr = htonl(to->server) };
	struct iovec iov = { (void *)data, size };
	struct sockaddr_storage address;
	union control control = { 0 };
	struct msghdr message = {
		.msg_name = &address,
		.msg_namelen = endpoint_to_sockaddr(&to->client, &address),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control.bytes),
	};

	control.header.cmsg_level = IPPROTO_IP;
	control.header.cmsg_type = IP_PKTINFO;
	control.header.cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(&control.header), &info, sizeof(info));
	if (sockets->poll) /* what gets lost is asked for again */
		(void)sendmsg(sockets->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Reads one datagram. Returns whether there was one. */
static bool receive(struct port_sockets *sockets)
{
	uint8_t data[PCP_MESSAGE_MAX + 1]; /* one that is too long is seen to be */
	struct sockaddr_storage address;
	struct iovec iov = { data, sizeof(data) };
	union control control;
	struct msghdr message = {
		.msg_name = &address,
		.msg_namelen = sizeof(address),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct pcp_peer peer;
	ssize_t size = recvmsg(sockets->fd, &message, MSG_DONTWAIT);

	if (size < 0)
		return false;
	if (endpoint_from_sockaddr((struct sockaddr *)&address, &peer.client) == 0 &&
	    read_destination(&message, &peer.server))
		pcp_service_datagram(sockets->pcp, &peer, data, (size_t)size);
	return true;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct port_sockets *sockets = poll->data;

	for (int i = 0; i < PORT_SOCKETS_BURST && receive(sockets); i++)
		;
}

/* The socket. */

static void on_poll_closed(uv_handle_t *handle)
{
	free(handle);
}

static void drop_socket(struct port_sockets *sockets)
{
	if (!sockets->poll)
		return;
	uv_close((uv_handle_t *)TAKE_PTR(sockets->poll), on_poll_closed);
	(void)close(sockets->fd);
}

/* Takes the socket. */
static int use_socket(struct port_sockets *sockets, int fd)
{
	cleanup_close int own = fd;
	uv_poll_t *poll = malloc(sizeof(*poll));
	int on = 1, r;

	if (!poll)
		return -ENOMEM;
	r = setsockopt(own, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)) < 0 ? -errno : 0;
	if (r == 0)
		r = uv_poll_init(sockets->loop, poll, own);
	if (r < 0) {
		free(poll);
		return r;
	}
	poll->data = sockets;
	sockets->poll = poll;
	sockets->fd = TAKE_FD(own);
	return uv_poll_start(poll, UV_READABLE, on_readable);
}

static void complain(struct port_sockets *sockets, const char *reason)
{
	if (!sockets->complained)
		log_warning("devices cannot open ports by PCP yet: %s", reason);
	sockets->complained = true;
}

static void on_bound(void *context, const struct fault *fault, int fd)
{
	struct port_sockets *sockets = context;
	int r;

	sockets->binding = false;
	if (fault) {
		complain(sockets, fault->details ? fault->details : "out of memory");
		return;
	}
	r = use_socket(sockets, fd);
	if (r < 0)
		complain(sockets, strerror(-r));
	else
		sockets->complained = false;
}

/* A socket that is bound to an interface does not follow to one of the same name. */
static void on_check(uv_timer_t *timer)
{
	struct port_sockets *sockets = container_of(timer, struct port_sockets, check);
	unsigned link = if_nametoindex(NET_LINK_NAME);
	const struct netd_bind wanted = {
		.kind = NETD_UDP,
		.flags = NETD_BIND_TUNNEL,
		.endpoint = { .address = { .family = AF_INET }, .port = PCP_PORT },
	};

	if (sockets->binding || link == 0 || (sockets->poll && sockets->link == link))
		return;
	drop_socket(sockets);
	sockets->link = link;
	sockets->binding = netd_client_bind(sockets->netd, &wanted, on_bound, sockets) == 0;
}

int port_sockets_start(uv_loop_t *loop, struct tunnel *tunnel, struct netd_client *netd,
		       struct port_sockets **ret)
{
	struct port_sockets *sockets = calloc(1, sizeof(*sockets));
	int r;

	if (!sockets)
		return -ENOMEM;
	*sockets = (struct port_sockets){ .netd = netd, .loop = loop, .fd = -EBADF };
	r = pcp_service_new(tunnel, on_send, sockets, &sockets->pcp);
	if (r < 0) {
		free(sockets);
		return r;
	}
	(void)uv_timer_init(loop, &sockets->check);
	(void)uv_timer_start(&sockets->check, on_check, 0, PORT_SOCKETS_CHECK_S * 1000);
	*ret = sockets;
	return 0;
}

static void on_check_closed(uv_handle_t *handle)
{
	free(container_of(handle, struct port_sockets, check));
}

struct port_sockets *port_sockets_free(struct port_sockets *sockets)
{
	if (!sockets)
		return NULL;
	drop_socket(sockets);
	(void)pcp_service_free(sockets->pcp);
	uv_close((uv_handle_t *)&sockets->check, on_check_closed);
	return NULL;
}
