#include "port_sockets.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "http/server.h"
#include "igd/ssdp.h"
#include "pcp/pcp.h"
#include "portcontrol/announcer.h"
#include "portcontrol/igd_service.h"
#include "portcontrol/pcp_service.h"

enum service {
	SERVICE_PCP,
	SERVICE_PCP6, /* the same over IPv6; not bound where the kernel has none */
	SERVICE_SSDP,
	SERVICE_IGD,
	SERVICES,
};

static const struct {
	uint8_t kind;
	uint8_t family;
	uint16_t port;
	const char *name;
} services[SERVICES] = {
	[SERVICE_PCP] = { NETD_UDP, AF_INET, PCP_PORT, "PCP" },
	[SERVICE_PCP6] = { NETD_UDP, AF_INET6, PCP_PORT, "PCP over IPv6" },
	[SERVICE_SSDP] = { NETD_UDP, AF_INET, SSDP_PORT, "SSDP" },
	[SERVICE_IGD] = { NETD_TCP, AF_INET, IGD_HTTP_PORT, "UPnP" },
};

struct port_socket {
	struct port_sockets *owner;
	enum service service;
	uv_poll_t *poll; /* of a UDP socket; NULL: there is none */
	int fd;
	struct http_listener *listener; /* of a TCP socket */
	unsigned link; /* that it is bound to; 0: it is not */
	bool binding;
	bool complained;
};

struct port_sockets {
	struct netd_client *netd;
	struct pcp_service *pcp;
	struct igd_service *igd;
	struct announcer *announcer;
	struct http_server *server;
	uv_loop_t *loop;
	uv_timer_t retry;
	uv_poll_t *watch; /* of interfaces that come and go */
	int watch_fd;
	struct port_socket sockets[SERVICES];
	bool stopping;
	void (*closed)(void *context);
	void *closed_context;
};

/* Datagrams. */

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))]; /* the larger one */
};

/* Gives the address that it was sent to. */
static bool read_destination(struct msghdr *message, struct pcp_peer *ret)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		struct in_pktinfo info;
		struct in6_pktinfo info6;

		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			memcpy(&info, CMSG_DATA(c), sizeof(info));
			ret->server = ntohl(info.ipi_addr.s_addr);
			return true;
		}
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			memcpy(&info6, CMSG_DATA(c), sizeof(info6));
			ret->server6.family = AF_INET6;
			memcpy(ret->server6.bytes, &info6.ipi6_addr, sizeof(info6.ipi6_addr));
			return true;
		}
	}
	return false;
}

/* Has the answer leave from the address that was asked. Returns the size of the message. */
static size_t put_source(union control *control, const struct pcp_peer *to)
{
	struct in_pktinfo info = { .ipi_spec_dst.s_addr = htonl(to->server) };
	struct in6_pktinfo info6 = { 0 };

	if (to->client.address.family == AF_INET) {
		control->header.cmsg_level = IPPROTO_IP;
		control->header.cmsg_type = IP_PKTINFO;
		control->header.cmsg_len = CMSG_LEN(sizeof(info));
		memcpy(CMSG_DATA(&control->header), &info, sizeof(info));
		return CMSG_SPACE(sizeof(info));
	}
	memcpy(&info6.ipi6_addr, to->server6.bytes, sizeof(info6.ipi6_addr));
	control->header.cmsg_level = IPPROTO_IPV6;
	control->header.cmsg_type = IPV6_PKTINFO;
	control->header.cmsg_len = CMSG_LEN(sizeof(info6));
	memcpy(CMSG_DATA(&control->header), &info6, sizeof(info6));
	return CMSG_SPACE(sizeof(info6));
}

static void send_by(const struct port_socket *socket, const struct pcp_peer *to, const void *data,
		    size_t size)
{
	struct iovec iov = { (void *)data, size };
	struct sockaddr_storage address;
	union control control = { 0 };
	struct msghdr message = {
		.msg_name = &address,
		.msg_namelen = endpoint_to_sockaddr(&to->client, &address),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = put_source(&control, to),
	};

	if (socket->poll) /* what gets lost is asked for again */
		(void)sendmsg(socket->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void on_send(void *context, const struct pcp_peer *to, const uint8_t *data, size_t size)
{
	const struct port_sockets *sockets = context;
	bool v4 = to->client.address.family == AF_INET;

	send_by(&sockets->sockets[v4 ? SERVICE_PCP : SERVICE_PCP6], to, data, size);
}

static void on_announce(void *context, enum announcer_port port, const struct pcp_peer *to,
			const void *data, size_t size)
{
	const struct port_sockets *sockets = context;

	if (port == ANNOUNCER_SSDP)
		send_by(&sockets->sockets[SERVICE_SSDP], to, data, size);
	else
		on_send(context, to, data, size);
}

/* The answer to a search leaves from the address of the device's subnet, as its route has it. */
static void on_search(const struct port_socket *socket, const struct endpoint *from,
		      const uint8_t *data, size_t size)
{
	char response[SSDP_RESPONSE_MAX];
	struct sockaddr_storage address;
	socklen_t address_size = endpoint_to_sockaddr(from, &address);

	if (from->address.family != AF_INET)
		return;
	size = igd_service_search(socket->owner->igd, ip_to_v4(&from->address), data, size,
				  response, sizeof(response));
	if (size > 0)
		(void)sendto(socket->fd, response, size, MSG_DONTWAIT | MSG_NOSIGNAL,
			     (struct sockaddr *)&address, address_size);
}

/* Reads one datagram. Returns whether there was one. */
static bool receive(struct port_socket *socket)
{
	uint8_t data[SSDP_MESSAGE_MAX + 1]; /* one that is too long is seen to be */
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
	struct pcp_peer peer = { 0 };
	ssize_t size = recvmsg(socket->fd, &message, MSG_DONTWAIT);

	if (size < 0)
		return false;
	if (endpoint_from_sockaddr((struct sockaddr *)&address, &peer.client) < 0)
		return true;
	if (socket->service == SERVICE_SSDP)
		on_search(socket, &peer.client, data, (size_t)size);
	else if (read_destination(&message, &peer))
		pcp_service_datagram(socket->owner->pcp, &peer, data, (size_t)size);
	return true;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct port_socket *socket = poll->data;

	for (int i = 0; i < PORT_SOCKETS_BURST && receive(socket); i++)
		;
}

/* Sockets. */

static void on_poll_closed(uv_handle_t *handle)
{
	free(handle);
}

static void drop_socket(struct port_socket *socket)
{
	socket->listener = http_listener_close(socket->listener);
	socket->link = 0;
	if (!socket->poll)
		return;
	uv_close((uv_handle_t *)TAKE_PTR(socket->poll), on_poll_closed);
	(void)close(socket->fd);
}

static int set_options(const struct port_socket *socket, int fd)
{
	const struct ip_mreqn group = { .imr_multiaddr.s_addr = htonl(SSDP_GROUP),
					.imr_ifindex = (int)socket->link };
	bool v4 = services[socket->service].family == AF_INET;
	int on = 1;

	if (setsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_PKTINFO : IPV6_RECVPKTINFO, &on,
		       sizeof(on)) < 0)
		return -errno;
	if (socket->service == SERVICE_SSDP &&
	    setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
		return -errno;
	return 0;
}

/* Takes the descriptor. */
static int use_datagrams(struct port_socket *socket, int fd)
{
	cleanup_close int own = fd;
	uv_poll_t *poll = malloc(sizeof(*poll));
	int r;

	if (!poll)
		return -ENOMEM;
	r = set_options(socket, own);
	if (r == 0)
		r = uv_poll_init(socket->owner->loop, poll, own);
	if (r < 0) {
		free(poll);
		return r;
	}
	poll->data = socket;
	socket->poll = poll;
	socket->fd = TAKE_FD(own);
	return uv_poll_start(poll, UV_READABLE, on_readable);
}

/* Takes the descriptor. */
static int use_stream(struct port_socket *socket, int fd)
{
	cleanup_close int own = fd;

	if (listen(own, PORT_SOCKETS_HTTP_MAX) < 0)
		return -errno;
	return http_server_listen_fd(socket->owner->server, TAKE_FD(own), NULL, &socket->listener);
}

static void on_retry(uv_timer_t *timer);

static void retry_later(struct port_sockets *sockets)
{
	if (!sockets->stopping)
		(void)uv_timer_start(&sockets->retry, on_retry, PORT_SOCKETS_RETRY_S * 1000, 0);
}

static void complain(struct port_socket *socket, const char *reason)
{
	if (!socket->complained)
		log_warning("devices cannot open ports by %s yet: %s",
			    services[socket->service].name, reason);
	socket->complained = true;
	socket->link = 0;
	retry_later(socket->owner);
}

static void check(struct port_socket *socket, unsigned link);

/* The interface may have been made anew meanwhile: nothing tells of it once more. */
static void check_again(struct port_socket *socket)
{
	unsigned link = if_nametoindex(NET_LINK_NAME);

	if (link != 0)
		check(socket, link);
}

static void on_bound(void *context, const struct fault *fault, int fd)
{
	struct port_socket *socket = context;
	int r;

	socket->binding = false;
	if (fault) {
		complain(socket, fault->details ? fault->details : "out of memory");
		return;
	}
	if (socket->owner->stopping) {
		(void)close(fd);
		return;
	}
	r = services[socket->service].kind == NETD_TCP ? use_stream(socket, fd)
						       : use_datagrams(socket, fd);
	if (r < 0) {
		complain(socket, strerror(-r));
		return;
	}
	socket->complained = false;
	if (socket->poll)
		announcer_begin(socket->owner->announcer);
	check_again(socket);
}

/* A socket that is bound to an interface does not follow to one of the same name. */
static void check(struct port_socket *socket, unsigned link)
{
	const struct netd_bind wanted = {
		.kind = services[socket->service].kind,
		.flags = NETD_BIND_TUNNEL,
		.endpoint = { .address = { .family = services[socket->service].family },
			      .port = services[socket->service].port },
	};

	if (socket->binding || socket->link == link)
		return;
	if (services[socket->service].family == AF_INET6 && access("/proc/net/if_inet6", F_OK) < 0)
		return;
	drop_socket(socket);
	socket->link = link;
	socket->binding = netd_client_bind(socket->owner->netd, &wanted, on_bound, socket) == 0;
	if (!socket->binding)
		complain(socket, "start-netd cannot be asked");
}

static void check_all(struct port_sockets *sockets)
{
	unsigned link = if_nametoindex(NET_LINK_NAME);

	for (enum service i = 0; i < SERVICES && link != 0; i++)
		check(&sockets->sockets[i], link);
}

static void on_retry(uv_timer_t *timer)
{
	check_all(container_of(timer, struct port_sockets, retry));
}

/* What the messages say does not matter: what is there now is looked up. */
static void on_link_changed(uv_poll_t *watch, int status, int events)
{
	struct port_sockets *sockets = watch->data;
	char message[8192];

	while (recv(sockets->watch_fd, message, sizeof(message), MSG_DONTWAIT) >= 0 ||
	       errno == ENOBUFS)
		;
	check_all(sockets);
}

static int begin_watch(struct port_sockets *sockets)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	cleanup_close int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	uv_poll_t *watch;
	int r;

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	watch = malloc(sizeof(*watch));
	r = watch ? uv_poll_init(sockets->loop, watch, fd) : -ENOMEM;
	if (r < 0) {
		free(watch);
		return r;
	}
	watch->data = sockets;
	sockets->watch = watch;
	sockets->watch_fd = TAKE_FD(fd);
	return uv_poll_start(watch, UV_READABLE, on_link_changed);
}

static int begin_services(struct port_sockets *sockets, struct tunnel *tunnel)
{
	struct http_server_options options = {
		.handlers = &igd_service_handlers,
		.connections_max = PORT_SOCKETS_HTTP_MAX,
		.source_connections_max = PORT_SOCKETS_HTTP_DEVICE_MAX,
	};
	int r = pcp_service_new(tunnel, on_send, sockets, &sockets->pcp);

	if (r == 0)
		r = igd_service_new(tunnel, &sockets->igd);
	if (r == 0)
		r = announcer_new(tunnel, on_announce, sockets, &sockets->announcer);
	options.context = sockets->igd;
	return r < 0 ? r : http_server_new(sockets->loop, &options, &sockets->server);
}

int port_sockets_start(uv_loop_t *loop, struct tunnel *tunnel, struct netd_client *netd,
		       struct port_sockets **ret)
{
	struct port_sockets *sockets = calloc(1, sizeof(*sockets));
	int r;

	if (!sockets)
		return -ENOMEM;
	*sockets = (struct port_sockets){ .netd = netd, .loop = loop };
	for (enum service i = 0; i < SERVICES; i++)
		sockets->sockets[i] =
			(struct port_socket){ .owner = sockets, .service = i, .fd = -EBADF };
	r = begin_services(sockets, tunnel);
	if (r < 0) {
		(void)announcer_free(sockets->announcer);
		(void)igd_service_free(sockets->igd);
		(void)pcp_service_free(sockets->pcp);
		free(sockets);
		return r;
	}
	(void)uv_timer_init(loop, &sockets->retry);
	*ret = sockets;
	r = begin_watch(sockets);
	check_all(sockets);
	return r;
}

static void on_server_closed(void *context)
{
	struct port_sockets *sockets = context;

	sockets->closed(sockets->closed_context);
}

void port_sockets_stop(struct port_sockets *sockets, void (*closed)(void *context), void *context)
{
	sockets->stopping = true;
	sockets->closed = closed;
	sockets->closed_context = context;
	(void)uv_timer_stop(&sockets->retry);
	if (sockets->watch) {
		uv_close((uv_handle_t *)TAKE_PTR(sockets->watch), on_poll_closed);
		(void)close(sockets->watch_fd);
	}
	announcer_stop(sockets->announcer);
	for (enum service i = 0; i < SERVICES; i++)
		drop_socket(&sockets->sockets[i]);
	http_server_close(TAKE_PTR(sockets->server), on_server_closed, sockets);
}

static void on_retry_closed(uv_handle_t *handle)
{
	free(container_of(handle, struct port_sockets, retry));
}

struct port_sockets *port_sockets_free(struct port_sockets *sockets)
{
	if (!sockets)
		return NULL;
	(void)announcer_free(sockets->announcer);
	(void)igd_service_free(sockets->igd);
	(void)pcp_service_free(sockets->pcp);
	uv_close((uv_handle_t *)&sockets->retry, on_retry_closed);
	return NULL;
}
