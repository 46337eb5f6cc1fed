#include "transparent.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "netstate/netd_protocol.h"

int transparent_channel(int *ret_ours, int *ret_theirs)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		return -errno;
	*ret_ours = ends[0];
	*ret_theirs = ends[1];
	return 0;
}

static int open_socket(int *ret)
{
	static const char name[IFNAMSIZ] = NET_LINK_NAME;
	static const int on = 1, mark = NET_TRANSPARENT_MARK;
	cleanup_close int fd =
		socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, sizeof(name)) < 0 ||
	    setsockopt(fd, SOL_IP, IP_TRANSPARENT, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -errno;
	*ret = TAKE_FD(fd);
	return 0;
}

/* Where the first one fails, the error is the answer; where a later one does, it is those before. */
static int answer(int channel, uint8_t wanted)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(NETD_TRANSPARENT_MAX * sizeof(int))];
	} control;
	uint8_t error = 0;
	struct iovec part = { .iov_base = &error, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	int fds[NETD_TRANSPARENT_MAX];
	size_t count = 0;
	int r = 0;

	while (count < wanted && r == 0) {
		r = open_socket(&fds[count]);
		count += r == 0;
	}
	if (count == 0) {
		error = (uint8_t)-r;
	} else {
		memset(&control, 0, sizeof(control));
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		*CMSG_FIRSTHDR(&message) =
			(struct cmsghdr){ .cmsg_len = CMSG_LEN(count * sizeof(int)),
					  .cmsg_level = SOL_SOCKET,
					  .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), fds, count * sizeof(int));
	}
	r = sendmsg(channel, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
	for (size_t i = 0; i < count; i++)
		(void)close(fds[i]);
	if (r == 0 || count == 0)
		return r;
	/* No memory, or too many descriptors on their way: that is an answer, too. */
	error = (uint8_t)-r;
	message.msg_control = NULL;
	message.msg_controllen = 0;
	return sendmsg(channel, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int transparent_serve(int fd)
{
	uint8_t wanted;
	ssize_t size = recv(fd, &wanted, 1, MSG_TRUNC | MSG_DONTWAIT);
	int r;

	if (size < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (size != 1 || wanted == 0 || wanted > NETD_TRANSPARENT_MAX)
		return size == 0 ? -ECONNRESET : -EBADMSG;
	r = answer(fd, wanted);
	/* No room even to say so. Whoever asked asks again. */
	return r == -ENOBUFS || r == -ENOMEM || r == -EAGAIN ? 0 : r;
}
