/*
 * New TCP connections per second, for the benchmark of forwards
 *
 *	connection_rate serve PORT		accepts and closes, until killed
 *	connection_rate connect IP PORT MS	prints how many connections came about within MS
 *
 * Connections are closed by a reset, so that neither end keeps anything of them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define IN_FLIGHT 32

static double now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void close_at_once(int fd)
{
	struct linger reset = { .l_onoff = 1 };

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	(void)close(fd);
}

static int serve(const struct sockaddr_in *address)
{
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;

	(void)setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (const struct sockaddr *)address, sizeof(*address)) < 0 ||
	    listen(listener, 4096) < 0) {
		perror("serve");
		return 1;
	}
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0)
			close_at_once(fd);
	}
}

static bool start_connecting(int epoll, const struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct epoll_event event = { .events = EPOLLOUT, .data.fd = fd };

	if (fd < 0)
		return false;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
	    errno != EINPROGRESS) {
		(void)close(fd);
		return false;
	}
	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* Whether the connection came about. The server may have closed it already, by a reset. */
static bool finish_connecting(int fd)
{
	socklen_t size = sizeof(int);
	int error = 0;

	(void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
	close_at_once(fd);
	return error == 0 || error == ECONNRESET;
}

static int connect_for(const struct sockaddr_in *address, double duration_ms)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	double begin = now_ms(), passed = 0;
	uint64_t count = 0, failed = 0;

	for (int i = 0; i < IN_FLIGHT; i++)
		if (!start_connecting(epoll, address))
			return 1;
	while (passed < duration_ms) {
		struct epoll_event events[IN_FLIGHT];
		int ready = epoll_wait(epoll, events, IN_FLIGHT, 1000);

		for (int i = 0; i < ready; i++) {
			if (finish_connecting(events[i].data.fd))
				count++;
			else
				failed++;
			if (!start_connecting(epoll, address))
				return 1;
		}
		passed = now_ms() - begin;
	}
	printf("%.1f %llu\n", (double)count * 1e3 / passed, (unsigned long long)failed);
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET };

	if (argc == 3 && strcmp(argv[1], "serve") == 0) {
		address.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
		return serve(&address);
	}
	if (argc == 5 && strcmp(argv[1], "connect") == 0 &&
	    inet_pton(AF_INET, argv[2], &address.sin_addr) == 1) {
		address.sin_port = htons((uint16_t)strtoul(argv[3], NULL, 10));
		return connect_for(&address, strtod(argv[4], NULL));
	}
	fputs("Usage: connection_rate serve PORT | connect IP PORT MS\n", stderr);
	return 2;
}
