#include <arpa/inet.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include "packetio/udp.h"

#define BUFFER_SIZE 65536
#define CONTROL_SIZE 128

struct slot {
	struct sockaddr_in6 address; /* the larger one of both families */
	struct iovec vector;
	uint8_t control[CONTROL_SIZE] __attribute__((aligned(8)));
};

struct udp_receiver {
	size_t capacity;
	uint64_t discarded;
	size_t used; /* headers that the last call changed */
	uint8_t *buffers;
	struct mmsghdr *headers;
	struct slot *slots;
	struct udp_train *trains;
};

static void prepare_header(struct udp_receiver *r, size_t i)
{
	struct slot *slot = &r->slots[i];

	r->headers[i].msg_hdr = (struct msghdr){
		.msg_name = &slot->address,
		.msg_namelen = sizeof(slot->address),
		.msg_iov = &slot->vector,
		.msg_iovlen = 1,
		.msg_control = slot->control,
		.msg_controllen = sizeof(slot->control),
	};
	slot->vector = (struct iovec){ r->buffers + i * BUFFER_SIZE, BUFFER_SIZE };
}

int udp_receiver_new(size_t capacity, struct udp_receiver **ret)
{
	CLEANUP(udp_receiver_free) struct udp_receiver *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->capacity = capacity;
	r->buffers = aligned_alloc(64, capacity * BUFFER_SIZE);
	r->headers = calloc(capacity, sizeof(*r->headers));
	r->slots = calloc(capacity, sizeof(*r->slots));
	r->trains = calloc(capacity, sizeof(*r->trains));
	if (!r->buffers || !r->headers || !r->slots || !r->trains)
		return -ENOMEM;
	r->used = capacity;
	*ret = TAKE_PTR(r);
	return 0;
}

struct udp_receiver *udp_receiver_free(struct udp_receiver *r)
{
	if (!r)
		return NULL;
	free(r->buffers);
	free(r->headers);
	free(r->slots);
	free(r->trains);
	free(r);
	return NULL;
}

uint32_t udp_overflows(int fd)
{
	uint32_t info[SK_MEMINFO_VARS] = { 0 };
	socklen_t size = sizeof(info);

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &size) < 0)
		return 0;
	return info[SK_MEMINFO_DROPS];
}

uint64_t udp_receiver_discarded(const struct udp_receiver *r)
{
	return r->discarded;
}

static void take_pktinfo(struct udp_path *path, const struct cmsghdr *control)
{
	const struct in_pktinfo *info = (const void *)CMSG_DATA(control);

	/* Not ipi_addr: for a multicast or broadcast that is no address to send from. */
	path->local = ip_from_v4(ntohl(info->ipi_spec_dst.s_addr));
}

static void take_pktinfo6(struct udp_path *path, const struct cmsghdr *control)
{
	const struct in6_pktinfo *info = (const void *)CMSG_DATA(control);

	path->local = (struct ip_address){ .family = AF_INET6 };
	memcpy(path->local.bytes, &info->ipi6_addr, 16);
}

static void take_control(struct udp_train *train, struct msghdr *header)
{
	int value;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			take_pktinfo(&train->path, c);
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			take_pktinfo6(&train->path, c);
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
			train->ds = *CMSG_DATA(c);
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
			memcpy(&value, CMSG_DATA(c), sizeof(value));
			train->ds = (uint8_t)value;
		} else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
			memcpy(&value, CMSG_DATA(c), sizeof(value));
			if (value > 0)
				train->message_size = (size_t)value;
		}
	}
}

/* Returns whether the datagram is whole and from somewhere. */
static bool take_datagram(struct udp_receiver *r, size_t i, struct udp_train *train)
{
	struct mmsghdr *header = &r->headers[i];

	if (header->msg_len == 0 || header->msg_hdr.msg_flags & MSG_TRUNC)
		return false;
	*train = (struct udp_train){
		.data = r->buffers + i * BUFFER_SIZE,
		.size = header->msg_len,
		.message_size = header->msg_len,
	};
	if (endpoint_from_sockaddr(header->msg_hdr.msg_name, &train->path.remote) < 0)
		return false;
	take_control(train, &header->msg_hdr);
	return true;
}

ssize_t udp_receive(struct udp_receiver *r, int fd, struct udp_train **ret_trains)
{
	size_t count = 0;
	int received;

	for (; r->used > 0; r->used--)
		prepare_header(r, r->used - 1);
	received = recvmmsg(fd, r->headers, (unsigned)r->capacity, MSG_DONTWAIT, NULL);
	if (received < 0)
		return -errno;
	r->used = (size_t)received;
	for (size_t i = 0; i < r->used; i++)
		count += take_datagram(r, i, &r->trains[count]);
	r->discarded += r->used - count;
	*ret_trains = r->trains;
	return (ssize_t)count;
}
