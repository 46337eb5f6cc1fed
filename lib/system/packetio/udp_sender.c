#include <assert.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include "packetio/udp.h"

/*
 * Bounds of one segmented send. The kernel takes a payload that fits one IP packet with its headers,
 * and 64 segments (128 since Linux 6.9, which only small messages would reach).
 */
#define SEGMENTS_MAX 64
#define SEGMENTED_MAX (65535 - 40 - 8)

#define SMALL_PATHS 64 /* a power of two */
#define SMALL_PATH_MESSAGES 4096 /* a failed try is one call more for some hundred */

#define CONTROL_SIZE                                                                               \
	(CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int)) +                        \
	 CMSG_SPACE(sizeof(uint16_t)))

/* One send: messages to one place, all but the last of one size. */
struct group {
	struct udp_path path;
	void *owner;
	uint16_t segment_size; /* 0: one message */
	uint8_t ds;
	struct sockaddr_storage address;
	uint8_t control[CONTROL_SIZE] __attribute__((aligned(8)));
};

/* A path on which segmented sends of such messages failed. */
struct small_path {
	struct endpoint remote;
	size_t message_size; /* the least one that failed */
	unsigned left; /* messages that go one by one before segments are tried again; 0: no path */
};

struct udp_sender {
	int fd;
	bool segment;
	const struct udp_sender_ops *ops;
	void *context;
	size_t capacity;
	size_t count; /* groups in the queue */
	size_t next; /* the first that is not sent */
	uint64_t lost;
	uint64_t refused; /* segmented sends */
	struct mmsghdr *headers;
	struct group *groups;
	struct small_path small_paths[SMALL_PATHS]; /* each in the place that its address says */
};

int udp_sender_new(size_t capacity, bool segment, const struct udp_sender_ops *ops, void *context,
		   struct udp_sender **ret)
{
	CLEANUP(udp_sender_free) struct udp_sender *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->fd = -EBADF;
	s->segment = segment;
	s->ops = ops;
	s->context = context;
	s->capacity = capacity;
	s->headers = calloc(capacity, sizeof(*s->headers));
	s->groups = calloc(capacity, sizeof(*s->groups));
	if (!s->headers || !s->groups)
		return -ENOMEM;
	*ret = TAKE_PTR(s);
	return 0;
}

struct udp_sender *udp_sender_free(struct udp_sender *s)
{
	if (!s)
		return NULL;
	free(s->headers);
	free(s->groups);
	free(s);
	return NULL;
}

void udp_sender_set_socket(struct udp_sender *s, int fd)
{
	int value;
	socklen_t size = sizeof(value);

	s->fd = fd;
	/* Before Linux 4.18 there is no such option, and a send that names it fails. */
	if (fd >= 0 && getsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &value, &size) < 0)
		s->segment = false;
}

static void add_control(struct msghdr *header, int level, int type, const void *value, size_t size)
{
	struct cmsghdr *control = (void *)((uint8_t *)header->msg_control + header->msg_controllen);

	control->cmsg_level = level;
	control->cmsg_type = type;
	control->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(control), value, size);
	header->msg_controllen += CMSG_SPACE(size);
}

static void add_source(struct msghdr *header, const struct ip_address *local)
{
	struct in_pktinfo v4 = { 0 };
	struct in6_pktinfo v6 = { 0 };

	if (local->family == AF_INET) {
		memcpy(&v4.ipi_spec_dst, local->bytes, sizeof(v4.ipi_spec_dst));
		add_control(header, IPPROTO_IP, IP_PKTINFO, &v4, sizeof(v4));
	} else if (local->family == AF_INET6) {
		memcpy(&v6.ipi6_addr, local->bytes, sizeof(v6.ipi6_addr));
		add_control(header, IPPROTO_IPV6, IPV6_PKTINFO, &v6, sizeof(v6));
	}
}

/* Writes address and control messages of a send from its group. */
static void write_header(struct msghdr *header, struct group *group)
{
	int ds = group->ds;
	bool v6 = group->path.remote.address.family == AF_INET6;

	header->msg_name = &group->address;
	header->msg_namelen = endpoint_to_sockaddr(&group->path.remote, &group->address);
	header->msg_control = group->control;
	header->msg_controllen = 0;
	header->msg_flags = 0;
	add_source(header, &group->path.local);
	if (ds != 0)
		add_control(header, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_TCLASS : IP_TOS, &ds,
			    sizeof(ds));
	if (group->segment_size != 0)
		add_control(header, IPPROTO_UDP, UDP_SEGMENT, &group->segment_size,
			    sizeof(group->segment_size));
	if (header->msg_controllen == 0)
		header->msg_control = NULL;
}

static bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && a->scope_id == b->scope_id &&
	       ip_equal(&a->address, &b->address);
}

static struct small_path *small_path_place(struct udp_sender *s, const struct endpoint *remote)
{
	unsigned sum = remote->port;

	for (size_t i = 0; i < sizeof(remote->address.bytes); i++)
		sum += remote->address.bytes[i];
	return &s->small_paths[sum & (SMALL_PATHS - 1)];
}

/* Returns NULL where segmented sends to it did not fail lately. */
static struct small_path *small_path_of(struct udp_sender *s, const struct endpoint *remote)
{
	struct small_path *path = small_path_place(s, remote);

	return path->left > 0 && endpoint_equal(&path->remote, remote) ? path : NULL;
}

static void remember_small_path(struct udp_sender *s, const struct endpoint *remote, size_t size)
{
	*small_path_place(s, remote) = (struct small_path){ *remote, size, SMALL_PATH_MESSAGES };
}

/* Whether a message goes alone because its path was found too small. @path: NULL: it was not. */
static bool goes_alone(struct small_path *path, size_t size)
{
	if (!path || path->left == 0 || size < path->message_size)
		return false;
	path->left--;
	return true;
}

/* How many of the messages can go in one send. */
static size_t group_size(const struct udp_sender *s, const struct iovec *messages, size_t count)
{
	size_t size = messages[0].iov_len;
	size_t total = size;
	size_t n = 1;

	if (!s->segment || size == 0)
		return 1;
	while (n < count && n < SEGMENTS_MAX && messages[n].iov_len > 0 &&
	       messages[n].iov_len <= size && total + messages[n].iov_len <= SEGMENTED_MAX) {
		total += messages[n].iov_len;
		if (messages[n++].iov_len < size)
			break;
	}
	return n;
}

void udp_sender_add(struct udp_sender *s, const struct udp_path *path, uint8_t ds,
		    struct iovec *messages, size_t count, void *owner)
{
	struct small_path *small = small_path_of(s, &path->remote);

	while (count > 0) {
		size_t n = goes_alone(small, messages[0].iov_len) ? 1
								  : group_size(s, messages, count);
		struct group *group = &s->groups[s->count];
		struct msghdr *header = &s->headers[s->count].msg_hdr;

		assert(s->count < s->capacity);
		s->count++;
		group->path = *path;
		group->owner = owner;
		group->ds = ds;
		group->segment_size = n > 1 ? (uint16_t)messages[0].iov_len : 0;
		header->msg_iov = messages;
		header->msg_iovlen = n;
		write_header(header, group);
		messages += n;
		count -= n;
	}
}

/* Errors that a source address makes that the host does not have, or not towards this peer. A packet
 * filter or a full queue says something else. */
static bool blames_source(int error)
{
	return error == EINVAL || error == EADDRNOTAVAIL || error == ENETUNREACH ||
	       error == EHOSTUNREACH;
}

/* Errors that sending many messages as one makes, and one message alone does not. */
static bool blames_segments(int error)
{
	return error == EMSGSIZE || error == EINVAL || error == EIO || error == EOPNOTSUPP;
}

uint64_t udp_sender_lost(const struct udp_sender *s)
{
	return s->lost;
}

uint64_t udp_sender_refused(const struct udp_sender *s)
{
	return s->refused;
}

bool udp_sender_segments(const struct udp_sender *s)
{
	return s->segment;
}

/* The source address of the first send, and of all others on its path, goes. */
static void forget_source(struct udp_sender *s)
{
	const struct udp_path path = s->groups[s->next].path;
	void *owner = s->groups[s->next].owner;
	struct small_path *small = small_path_of(s, &path.remote);

	for (size_t i = s->next; i < s->count; i++) {
		struct group *group = &s->groups[i];

		if (endpoint_equal(&group->path.remote, &path.remote) &&
		    ip_equal(&group->path.local, &path.local)) {
			group->path.local.family = 0;
			write_header(&s->headers[i].msg_hdr, group);
		}
	}
	if (small)
		small->left = 0; /* it was the source that the segmented send failed for */
	if (owner)
		s->ops->source_refused(s->context, owner);
}

/* Puts the messages of the first group into the queue one by one. */
static void split(struct udp_sender *s)
{
	struct group whole = s->groups[s->next];
	struct iovec *messages = s->headers[s->next].msg_hdr.msg_iov;
	size_t n = s->headers[s->next].msg_hdr.msg_iovlen;
	size_t after = s->count - s->next - 1;

	s->count += n - 1;
	assert(s->count <= s->capacity);
	memmove(&s->groups[s->next + n], &s->groups[s->next + 1], after * sizeof(*s->groups));
	memmove(&s->headers[s->next + n], &s->headers[s->next + 1], after * sizeof(*s->headers));
	whole.segment_size = 0;
	for (size_t i = 0; i < n; i++) {
		s->groups[s->next + i] = whole;
		s->headers[s->next + i].msg_hdr.msg_iov = &messages[i];
		s->headers[s->next + i].msg_hdr.msg_iovlen = 1;
	}
	for (size_t i = s->next; i < s->count; i++) /* they point at their groups */
		write_header(&s->headers[i].msg_hdr, &s->groups[i]);
}

/*
 * The first send of the queue failed. Segmentation fails for messages larger than the path's MTU
 * (they may be fragmented, a segmented send may not), which old kernels call EINVAL, and on devices
 * that make no checksums: its messages go one by one, and so do later ones. One message alone may have
 * failed for its source address, and is tried again without. What fails for another reason is lost, as on
 * any network.
 */
static void deal_with_failure(struct udp_sender *s, int error)
{
	const struct group *group = &s->groups[s->next];

	if (group->segment_size != 0 && blames_segments(error)) {
		s->refused++;
		if (error == EIO || error == EOPNOTSUPP)
			s->segment = false;
		else
			remember_small_path(s, &group->path.remote, group->segment_size);
		split(s);
	} else if (group->path.local.family != 0 && blames_source(error)) {
		forget_source(s);
	} else {
		s->lost += s->headers[s->next++].msg_hdr.msg_iovlen;
	}
}

int udp_sender_flush(struct udp_sender *s)
{
	while (s->next < s->count && s->fd >= 0) {
		int sent = sendmmsg(s->fd, s->headers + s->next, (unsigned)(s->count - s->next),
				    MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent > 0)
			s->next += (size_t)sent;
		else if (sent < 0 && errno == EAGAIN)
			return UDP_BLOCKED;
		else if (sent < 0 && errno != EINTR)
			deal_with_failure(s, errno);
	}
	udp_sender_drop(s);
	return UDP_FLUSHED;
}

void udp_sender_drop(struct udp_sender *s)
{
	for (; s->next < s->count; s->next++)
		s->lost += s->headers[s->next].msg_hdr.msg_iovlen;
	s->count = s->next = 0;
}

void udp_sender_forget_owners(struct udp_sender *s)
{
	for (size_t i = s->next; i < s->count; i++)
		s->groups[i].owner = NULL;
}

void udp_sender_send(struct udp_sender *s, const struct udp_path *path, uint8_t ds,
		     const void *message, size_t size)
{
	struct group group = { .path = *path, .ds = ds };
	struct iovec vector = { (void *)message, size };
	struct msghdr header = { .msg_iov = &vector, .msg_iovlen = 1 };

	write_header(&header, &group);
	if (s->fd >= 0 && sendmsg(s->fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return;
	if (s->fd >= 0 && blames_source(errno) && path->local.family != 0) {
		group.path.local.family = 0;
		write_header(&header, &group);
		if (sendmsg(s->fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			return;
	}
	s->lost++;
}
