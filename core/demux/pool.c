/*
 * Transparent sockets are asked for before they are needed, so that a connection seldom waits for
 * start-netd. Pipes are kept for the next connection that has bytes to move.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "demux/demux_internal.h"
#include "netstate/netd_protocol.h"

#define PIPE_SIZE (256 << 10)
#define AGAIN_NS NS_PER_S
#define ANSWER_NS (3 * NS_PER_S) /* later the request, or its answer, was lost for want of memory */

void pool_init(struct pool *pool, int channel)
{
	*pool = (struct pool){ .source = { SOURCE_CHANNEL }, .channel = channel };
}

void pool_discard(struct pool *pool)
{
	while (pool->count > 0)
		(void)close(pool->sockets[--pool->count]);
}

void pool_done(struct pool *pool)
{
	pool_discard(pool);
	while (pool->pipe_count > 0) {
		struct pipe *one = &pool->pipes[--pool->pipe_count];

		(void)close(one->read);
		(void)close(one->write);
	}
	if (pool->channel >= 0)
		(void)close(pool->channel);
}

static void ask(struct pool *pool, uint64_t now_ns)
{
	static const uint8_t wanted = NETD_TRANSPARENT_MAX;

	if (now_ns < pool->again_ns)
		return;
	pool->again_ns = now_ns;
	pool->again_ns += send(pool->channel, &wanted, 1, MSG_NOSIGNAL) == 1 ? ANSWER_NS : AGAIN_NS;
}

int pool_take(struct pool *pool, uint64_t now_ns)
{
	if (pool->count < POOL_LOW)
		ask(pool, now_ns);
	return pool->count > 0 ? pool->sockets[--pool->count] : -EAGAIN;
}

static void keep(struct pool *pool, int fd)
{
	if (pool->count < POOL_MAX)
		pool->sockets[pool->count++] = fd;
	else
		(void)close(fd);
}

int pool_receive(struct pool *pool, uint64_t now_ns)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(NETD_TRANSPARENT_MAX * sizeof(int))];
	} control;
	uint8_t error = 0;
	struct iovec part = { .iov_base = &error, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	ssize_t size = recvmsg(pool->channel, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	size_t before = pool->count;

	if (size < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (size == 0)
		return -ECONNRESET;
	pool->again_ns = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		int fds[NETD_TRANSPARENT_MAX];

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
		    count > NETD_TRANSPARENT_MAX)
			continue;
		memcpy(fds, CMSG_DATA(c), count * sizeof(int));
		for (size_t i = 0; i < count; i++)
			keep(pool, fds[i]);
	}
	if (pool->count > before)
		return 0;
	pool->again_ns = now_ns + AGAIN_NS;
	return error ? -error : -EMFILE; /* the kernel dropped them: there is no room */
}

int pool_take_pipe(struct pool *pool, struct pipe *ret)
{
	int fds[2];

	if (pool->pipe_count > 0) {
		*ret = pool->pipes[--pool->pipe_count];
		return 0;
	}
	if (pool->pipes_open >= pool->pipes_max)
		return -EMFILE;
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	pool->pipes_open++;
	(void)fcntl(fds[1], F_SETPIPE_SZ, PIPE_SIZE); /* where there is room; it works without */
	*ret = (struct pipe){ .read = fds[0], .write = fds[1] };
	return 0;
}

void pool_give_pipe(struct pool *pool, struct pipe *pipe, bool empty)
{
	if (pipe->read < 0)
		return;
	if (empty && pool->pipe_count < PIPES_MAX) {
		pool->pipes[pool->pipe_count++] = *pipe;
	} else {
		(void)close(pipe->read);
		(void)close(pipe->write);
		pool->pipes_open--;
	}
	*pipe = (struct pipe){ -EBADF, -EBADF };
}
