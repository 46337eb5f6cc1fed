/*
 * The way to the device: from the client's own address, by a transparent socket of start-netd; or, where the
 * device wants a header of the PROXY protocol, from this machine's address in the subnet, by one of our own.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "demux/demux_internal.h"
#include "proxy/proxy_header.h"

#define WATCHED (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)
#define LOOPBACK 127

/* That the client came to. Returns 0 or a negative errno. */
static int local_endpoint(const struct connection *connection, struct endpoint *ret)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);

	if (getsockname(connection->client.fd, (struct sockaddr *)&address, &size) < 0)
		return -errno;
	return endpoint_from_sockaddr((struct sockaddr *)&address, ret);
}

/* Whether replies to the client's own address would not come back to us: this machine's, the device's. */
static bool is_near(const struct connection *connection)
{
	const struct ip_address *client = &connection->address.address;
	struct endpoint local;

	return client->bytes[0] == LOOPBACK ||
	       ip_equal(client, &connection->route->target.device.address) ||
	       (local_endpoint(connection, &local) == 0 && ip_equal(client, &local.address));
}

static int bind_source(struct connection *connection, int fd)
{
	struct endpoint source = connection->address;
	struct sockaddr_storage address;
	socklen_t size;

	if (connection->header || is_near(connection))
		return 0;
	if (!connection->any_port) {
		size = endpoint_to_sockaddr(&source, &address);
		if (bind(fd, (struct sockaddr *)&address, size) == 0)
			return 0;
		/* In use, or below 1024, where only privileged processes bind. */
		if (errno != EADDRINUSE && errno != EACCES)
			return -errno;
		connection->any_port = true;
	}
	source.port = 0;
	size = endpoint_to_sockaddr(&source, &address);
	return bind(fd, (struct sockaddr *)&address, size) < 0 ? -errno : 0;
}

static int connect_with(struct demux *demux, struct connection *connection, int fd)
{
	struct epoll_event event = { .events = WATCHED, .data.ptr = &connection->device.source };
	struct sockaddr_storage target;
	socklen_t size = endpoint_to_sockaddr(&connection->route->target.device, &target);
	int r = bind_source(connection, fd);

	if (r < 0)
		return r;
	(void)demux_set_options(fd); /* it works without */
	if (connect(fd, (const struct sockaddr *)&target, size) < 0 && errno != EINPROGRESS)
		return -errno;
	return epoll_ctl(demux->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* What the device is told. Returns 0 or a negative errno. */
static int make_header(struct connection *connection, const char *name)
{
	struct proxy_header header = { .source = connection->address,
				       .destination = connection->route->target.external,
				       .authority = name };
	uint8_t bytes[PROXY_HEADER_MAX];
	int r = header.destination.port ? 0 : local_endpoint(connection, &header.destination);
	ssize_t size = r < 0 ? r : proxy_header_write(&header, bytes);

	if (size < 0)
		return (int)size;
	connection->header = malloc((size_t)size);
	if (!connection->header)
		return -ENOMEM;
	memcpy(connection->header, bytes, (size_t)size);
	connection->header_size = (size_t)size;
	return 0;
}

/* A socket for one that is told. It never leaves by another interface, also where ours is gone. */
static int connect_plainly(struct demux *demux, struct connection *connection)
{
	cleanup_close int fd = socket(connection->route->target.device.address.family,
				      SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	int r;

	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, demux->link, sizeof(demux->link)) < 0)
		return -errno;
	r = connect_with(demux, connection, fd);
	if (r == 0)
		connection->device.fd = TAKE_FD(fd);
	return r;
}

static bool is_stale(int error)
{
	return error == -ENODEV || error == -ENXIO || error == -ENETUNREACH ||
	       error == -EHOSTUNREACH;
}

/*
 * Takes sockets until one connects. An address whose port is in use towards this device (another
 * connection of the client, or one that has just ended) gets another port; sockets of an interface that was
 * made anew are replaced.
 */
void device_go_on(struct demux *demux, struct connection *connection)
{
	for (;;) {
		int fd = pool_take(&demux->pool, clock_monotonic_ns()), r;

		if (fd < 0) {
			if (connection->state != STATE_WAITING)
				relay_enter(demux, connection, STATE_WAITING);
			return;
		}
		r = connect_with(demux, connection, fd);
		if (r == 0) {
			connection->device.fd = fd;
			relay_enter(demux, connection, STATE_CONNECTING);
			return;
		}
		(void)close(fd);
		if (r == -EADDRNOTAVAIL && !connection->any_port && !is_near(connection)) {
			connection->any_port = true;
		} else if (is_stale(r) && !connection->retried) {
			connection->retried = true;
			pool_discard(&demux->pool);
		} else {
			relay_fail(demux, connection);
			return;
		}
	}
}

void device_connect(struct demux *demux, struct connection *connection, const char *name)
{
	int r;

	if (!connection->route->target.proxy) {
		device_go_on(demux, connection);
		return;
	}
	r = make_header(connection, name);
	if (r == 0)
		r = connect_plainly(demux, connection);
	if (r == 0)
		relay_enter(demux, connection, STATE_CONNECTING);
	else
		relay_fail(demux, connection);
}

int device_greet(struct connection *connection)
{
	ssize_t sent;

	if (!connection->header)
		return 0;
	/* There is room for it: nothing was sent before. */
	sent = send(connection->device.fd, connection->header, connection->header_size,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0)
		return -errno;
	if ((size_t)sent != connection->header_size)
		return -EIO;
	free(TAKE_PTR(connection->header));
	return 0;
}
