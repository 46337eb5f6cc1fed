#include "dataplane/opener.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "dataplane/sandbox.h"

#define SOCKET_NAME_MAX 64 /* of the configuration socket */

enum opener_command {
	OPENER_OWN_SOCKET = 1,
	OPENER_UNLINK,
	OPENER_OPEN,
	OPENER_KEEP,
	OPENER_DROP,
	OPENER_MARK,
};

struct opener_request {
	uint32_t command;
	uint32_t mark;
	uint64_t inode;
	uint32_t port;
	uint32_t unused; /* no byte of it is left to chance */
};

struct opener_answer {
	int32_t error; /* 0 or a negative errno */
	uint16_t port;
	uint8_t has_v4; /* which descriptors come along, in this order */
	uint8_t has_v6;
};

/* The process itself. */
struct opener_process {
	int fd;
	int directory_fd;
	char socket_name[SOCKET_NAME_MAX];
	uint64_t inode; /* 0: not ours, or not made yet */
	unsigned udp_flags;
	struct udp_pair current;
	struct udp_pair candidate;
};

union opener_control {
	struct cmsghdr header; /* for its alignment */
	uint8_t bytes[CMSG_SPACE(2 * sizeof(int))];
};

static void unlink_socket(struct opener_process *p)
{
	struct stat now;

	if (p->inode != 0 &&
	    fstatat(p->directory_fd, p->socket_name, &now, AT_SYMLINK_NOFOLLOW) == 0 &&
	    now.st_ino == p->inode)
		(void)unlinkat(p->directory_fd, p->socket_name, 0);
	p->inode = 0;
}

static int handle(struct opener_process *p, const struct opener_request *request)
{
	switch (request->command) {
	case OPENER_OWN_SOCKET:
		p->inode = request->inode;
		return 0;
	case OPENER_UNLINK:
		unlink_socket(p);
		return 0;
	case OPENER_OPEN:
		udp_close_pair(&p->candidate);
		if (request->port > UINT16_MAX)
			return -EINVAL;
		return udp_open_pair((uint16_t)request->port, request->mark, p->udp_flags,
				     &p->candidate);
	case OPENER_KEEP:
		udp_close_pair(&p->current);
		p->current = p->candidate;
		p->candidate.v4 = p->candidate.v6 = -EBADF;
		return 0;
	case OPENER_DROP:
		udp_close_pair(&p->candidate);
		return 0;
	case OPENER_MARK:
		return udp_set_mark(&p->current, request->mark);
	default:
		return -EINVAL;
	}
}

static int answer(const struct opener_process *p, bool with_sockets, int error)
{
	struct opener_answer reply = { .error = error };
	union opener_control control = { 0 };
	struct iovec vector = { &reply, sizeof(reply) };
	struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1 };
	int fds[2];
	size_t count = 0;

	if (with_sockets && error == 0) {
		reply.port = p->candidate.port;
		reply.has_v4 = p->candidate.v4 >= 0;
		reply.has_v6 = p->candidate.v6 >= 0;
		if (reply.has_v4)
			fds[count++] = p->candidate.v4;
		if (reply.has_v6)
			fds[count++] = p->candidate.v6;
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
	}
	return sendmsg(p->fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void run(struct opener_process *p)
{
	struct opener_request request;
	ssize_t size;
	int r = sandbox_enter_opener();

	/* The first answer comes unasked. Without the sandbox nothing is opened. */
	if (answer(p, false, r) < 0)
		return;
	while (r == 0) {
		size = recv(p->fd, &request, sizeof(request), 0);
		if (size < 0 && errno == EINTR)
			continue;
		if (size != sizeof(request))
			break;
		r = answer(p, request.command == OPENER_OPEN, handle(p, &request));
	}
	unlink_socket(p);
}

/* Holds on to nothing of the program but the two descriptors, least of all to its starter's pipes. */
static int keep_descriptors(struct opener_process *p)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int fd = fcntl(p->fd, F_DUPFD_CLOEXEC, 64);
	int directory = fcntl(p->directory_fd, F_DUPFD_CLOEXEC, 64);

	if (null < 0 || fd < 0 || directory < 0)
		return -errno;
	for (int i = 0; i < 3; i++) {
		if (dup2(null, i) < 0)
			return -errno;
	}
	p->fd = dup2(fd, 3);
	p->directory_fd = dup2(directory, 4);
	closefrom(5);
	return p->fd == 3 && p->directory_fd == 4 ? 0 : -EBADF;
}

/* Takes the answer that an opener begins with. */
static int await_first_answer(int fd)
{
	struct opener_answer reply;
	ssize_t size = recv(fd, &reply, sizeof(reply), 0);

	if (size < 0)
		return -errno;
	return size == sizeof(reply) ? reply.error : -EPIPE;
}

int opener_start(int directory_fd, const char *socket_name, unsigned udp_flags, struct opener *ret)
{
	struct opener_process process = {
		.directory_fd = directory_fd,
		.udp_flags = udp_flags,
		.current = { -EBADF, -EBADF, 0 },
		.candidate = { -EBADF, -EBADF, 0 },
	};
	cleanup_close int ours = -EBADF;
	int ends[2];
	pid_t child;
	int r;

	if (strlen(socket_name) >= sizeof(process.socket_name))
		return -ENAMETOOLONG;
	memcpy(process.socket_name, socket_name, strlen(socket_name) + 1);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	child = fork();
	if (child < 0) {
		r = -errno;
		(void)close(ends[0]);
		(void)close(ends[1]);
		return r;
	}
	if (child == 0) {
		(void)close(ends[0]);
		(void)prctl(PR_SET_NAME, "start-wg-opener");
		process.fd = ends[1];
		if (keep_descriptors(&process) == 0)
			run(&process);
		_exit(0);
	}
	(void)close(ends[1]);
	ours = ends[0];
	r = await_first_answer(ours);
	if (r < 0)
		return r;
	ret->fd = TAKE_FD(ours);
	return 0;
}

void opener_done(struct opener *opener)
{
	cleanup_close_fd(&opener->fd);
	opener->fd = -EBADF;
}

/* Takes the descriptors of an answer into @pair. */
static int take_sockets(struct msghdr *message, const struct opener_answer *reply,
			struct udp_pair *pair)
{
	const struct cmsghdr *control = CMSG_FIRSTHDR(message);
	size_t count = (size_t)reply->has_v4 + reply->has_v6;
	int fds[2] = { -EBADF, -EBADF };
	size_t used = 0;

	if (!control || control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS ||
	    count > 2 || control->cmsg_len != CMSG_LEN(count * sizeof(int)))
		return -EPROTO;
	memcpy(fds, CMSG_DATA(control), count * sizeof(int));
	pair->port = reply->port;
	pair->v4 = reply->has_v4 ? fds[used++] : -EBADF;
	pair->v6 = reply->has_v6 ? fds[used] : -EBADF;
	return 0;
}

static int ask(const struct opener *opener, const struct opener_request *request,
	       struct udp_pair *ret_pair)
{
	struct opener_answer reply = { 0 };
	union opener_control control = { 0 };
	struct iovec vector = { &reply, sizeof(reply) };
	struct msghdr message = {
		.msg_iov = &vector,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t size;

	if (send(opener->fd, request, sizeof(*request), MSG_NOSIGNAL) < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	do {
		size = recvmsg(opener->fd, &message, MSG_CMSG_CLOEXEC);
	} while (size < 0 && errno == EINTR);
	if (size != sizeof(reply))
		return -EPIPE;
	if (reply.error < 0 || !ret_pair)
		return reply.error;
	return take_sockets(&message, &reply, ret_pair);
}

int opener_own_socket(const struct opener *opener, ino_t inode)
{
	const struct opener_request request = { .command = OPENER_OWN_SOCKET, .inode = inode };

	return ask(opener, &request, NULL);
}

int opener_unlink_socket(const struct opener *opener)
{
	return ask(opener, &(struct opener_request){ .command = OPENER_UNLINK }, NULL);
}

int opener_open(const struct opener *opener, uint16_t port, uint32_t mark, struct udp_pair *ret)
{
	const struct opener_request request = { .command = OPENER_OPEN,
						.port = port,
						.mark = mark };

	return ask(opener, &request, ret);
}

int opener_keep(const struct opener *opener)
{
	return ask(opener, &(struct opener_request){ .command = OPENER_KEEP }, NULL);
}

int opener_drop(const struct opener *opener)
{
	return ask(opener, &(struct opener_request){ .command = OPENER_DROP }, NULL);
}

int opener_mark(const struct opener *opener, uint32_t mark)
{
	return ask(opener, &(struct opener_request){ .command = OPENER_MARK, .mark = mark }, NULL);
}
