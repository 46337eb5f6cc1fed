/*
 * A kernel without room for one descriptor more to wait for: start-wg-unwatched is start-wg with this
 *
 * What cannot be watched are IPv6 sockets with the firewall mark 0x77, so a test says when.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define MARK 0x77

int __real_epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event);

static int option_of(int fd, int name)
{
	int value = -1;
	socklen_t size = sizeof(value);

	(void)getsockopt(fd, SOL_SOCKET, name, &value, &size);
	return value;
}

int __wrap_epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
	if (operation == EPOLL_CTL_ADD && option_of(fd, SO_DOMAIN) == AF_INET6 &&
	    option_of(fd, SO_MARK) == MARK) {
		errno = ENOSPC;
		return -1;
	}
	return __real_epoll_ctl(epoll_fd, operation, fd, event);
}
