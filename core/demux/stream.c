/*
 * Bytes go from a socket into a pipe and from there into the other socket, and stay in the kernel. A side
 * is read only when its pipe is empty, so what waits is bounded by one pipe in each direction. Where there
 * is no pipe to be had, bytes are copied, and what does not go out stays in the socket that it came from.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "demux/demux_internal.h"

#define ONCE_MAX (1 << 20) /* bytes of one call */
#define COPY_MAX 65536
#define ROUNDS_MAX 8 /* of one side, before it is another connection's turn */

enum moved {
	MOVED_ALL, /* that can be moved now */
	MOVED_SOME, /* there is more */
	MOVED_BROKEN, /* the connection is reset */
};

/* Fills the pipe. Returns 0: there are bytes in it; -EAGAIN: none now, or none any more; else broken. */
static int fill(struct demux *demux, struct side *from)
{
	ssize_t n;
	int r = 0;

	if (from->in_pipe > 0)
		return 0;
	if (!from->readable || from->ended)
		return -EAGAIN;
	if (from->pipe.read < 0)
		r = pool_take_pipe(&demux->pool, &from->pipe);
	if (r < 0)
		return r;
	n = splice(from->fd, NULL, from->pipe.write, NULL, ONCE_MAX,
		   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (n > 0) {
		from->in_pipe = (size_t)n;
		return 0;
	}
	if (n < 0 && errno != EAGAIN)
		return errno == EINTR ? 0 : -errno;
	from->ended = n == 0;
	from->readable = false;
	return -EAGAIN;
}

/* Returns how many bytes left the pipe, or a negative errno. */
static ssize_t drain(struct side *from, struct side *to)
{
	ssize_t n = splice(from->pipe.read, NULL, to->fd, NULL, from->in_pipe,
			   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

	if (n < 0)
		return -errno;
	from->in_pipe -= (size_t)n;
	return n;
}

/* Without a pipe. Returns how many bytes went, -EAGAIN for none now, or another negative errno. */
static ssize_t copy(struct side *from, struct side *to)
{
	static uint8_t bytes[COPY_MAX];
	ssize_t n = recv(from->fd, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT), sent;

	if (n == 0)
		from->ended = true;
	if (n == 0 || (n < 0 && errno == EAGAIN))
		from->readable = false;
	if (n <= 0)
		return n == 0 ? -EAGAIN : -errno;
	sent = send(to->fd, bytes, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0 && errno == EAGAIN)
		to->writable = false;
	if (sent < 0)
		return -errno;
	n = recv(from->fd, bytes, (size_t)sent, MSG_DONTWAIT); /* what was looked at */
	return n == sent ? n : -EIO;
}

static bool is_want_of_pipes(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOMEM;
}

static enum moved move(struct demux *demux, struct side *from, struct side *to, uint64_t *bytes)
{
	for (int round = 0; round < ROUNDS_MAX; round++) {
		ssize_t n;
		int r = fill(demux, from);

		if (r == -EAGAIN)
			break;
		if (r < 0 && !is_want_of_pipes(r))
			return MOVED_BROKEN;
		if (!to->writable)
			return MOVED_ALL;
		if (r < 0) {
			n = copy(from, to);
			if (n == -EAGAIN)
				break;
		} else {
			n = from->in_pipe > 0 ? drain(from, to) : 0;
		}
		if (n == -EAGAIN) {
			to->writable = false;
			return MOVED_ALL;
		}
		if (n < 0 && n != -EINTR)
			return MOVED_BROKEN;
		if (n > 0)
			__atomic_fetch_add(bytes, (uint64_t)n, __ATOMIC_RELAXED);
	}
	if (from->in_pipe == 0)
		pool_give_pipe(&demux->pool, &from->pipe, true);
	if (!from->ended)
		return to->writable && (from->readable || from->in_pipe > 0) ? MOVED_SOME
									     : MOVED_ALL;
	if (from->in_pipe == 0 && !to->shut) {
		(void)shutdown(to->fd, SHUT_WR);
		to->shut = true;
	}
	return to->writable && from->in_pipe > 0 ? MOVED_SOME : MOVED_ALL;
}

void stream_move(struct demux *demux, struct connection *connection)
{
	struct side *client = &connection->client, *device = &connection->device;
	struct demux_route *route = connection->route;
	enum moved there = move(demux, client, device, &route->tx_bytes);
	enum moved back = there == MOVED_BROKEN ? there
						: move(demux, device, client, &route->rx_bytes);

	list_remove(&connection->runnable);
	if (back == MOVED_BROKEN)
		relay_close(demux, connection, true);
	else if (client->shut && device->shut)
		relay_close(demux, connection, false);
	else if (there == MOVED_SOME || back == MOVED_SOME)
		list_append(&demux->runnable, &connection->runnable);
}
