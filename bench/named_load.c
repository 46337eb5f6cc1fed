/*
 * Load for ports that are shared by host name
 *
 *	named_load serve PORT			answers each hello with a byte; to one for "bulk." more and more
 *	named_load rate IP PORT NAME MS		prints how many hellos were answered within MS
 *	named_load bulk IP PORT NAME MS STREAMS	prints how many bytes came within MS
 *	named_load hold IP PORT NAME COUNT FIRST LAST
 *		opens connections from this machine's addresses FIRST to LAST, prints "held", and stays until its
 *		input ends
 *
 * Connections are closed by a reset, so that no end keeps anything of them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define IN_FLIGHT 48
#define HELLO_MAX 600
#define PART (256 << 10)

static uint8_t hello[HELLO_MAX];
static size_t hello_size;
static uint8_t waste[PART];

static double now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* As large as those of openssl are. */
static void make_hello(const char *name)
{
	size_t n = strlen(name), rest = 517 - 63 - n - 4;
	const uint8_t head[] = { 22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3 };
	const uint8_t middle[] = { 0,
				   0,
				   2,
				   0x13,
				   1,
				   1,
				   0,
				   (uint8_t)((9 + n + 4 + rest) >> 8),
				   (uint8_t)(9 + n + 4 + rest),
				   0,
				   0,
				   0,
				   (uint8_t)(n + 5),
				   0,
				   (uint8_t)(n + 3),
				   0,
				   0,
				   (uint8_t)n };
	uint8_t *at = hello;

	memcpy(at, head, sizeof(head));
	at += sizeof(head) + 32;
	memcpy(at, middle, sizeof(middle));
	at += sizeof(middle);
	memcpy(at, name, n);
	at += n;
	at[1] = 21; /* padding */
	at[2] = (uint8_t)(rest >> 8);
	at[3] = (uint8_t)rest;
	at += 4 + rest;
	hello_size = (size_t)(at - hello);
	hello[3] = (uint8_t)((hello_size - 5) >> 8);
	hello[4] = (uint8_t)(hello_size - 5);
	hello[7] = (uint8_t)((hello_size - 9) >> 8);
	hello[8] = (uint8_t)(hello_size - 9);
}

static void reset(int fd)
{
	const struct linger at_once = { .l_onoff = 1 };

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	(void)close(fd);
}

static int fail(const char *what)
{
	perror(what);
	return 1;
}

static void watch(int epoll, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.fd = fd };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		(void)epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
}

/* --- the service --- */

static void answer(int epoll, int fd, uint32_t events)
{
	uint8_t bytes[4096];
	ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		reset(fd);
	} else if (n > 0 && memmem(bytes, (size_t)n, "bulk.", 5)) {
		watch(epoll, fd, EPOLLOUT);
	} else if (n > 0) {
		(void)send(fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	} else if (events & EPOLLOUT) {
		(void)send(fd, waste, sizeof(waste), MSG_NOSIGNAL | MSG_DONTWAIT);
	}
}

static int serve(struct sockaddr_in *address)
{
	struct epoll_event events[64];
	int listener = socket(AF_INET, SOCK_STREAM, 0), epoll = epoll_create1(0), on = 1, fd;

	(void)setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (struct sockaddr *)address, sizeof(*address)) < 0 ||
	    listen(listener, 4096) < 0)
		return fail("listen");
	watch(epoll, listener, EPOLLIN);
	for (;;) {
		int ready = epoll_wait(epoll, events, 64, -1);

		for (int i = 0; i < ready; i++) {
			if (events[i].data.fd != listener) {
				answer(epoll, events[i].data.fd, events[i].events);
				continue;
			}
			fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
			if (fd >= 0)
				watch(epoll, fd, EPOLLIN);
		}
	}
}

/* --- clients --- */

static int begin(int epoll, const struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
	    errno != EINPROGRESS)
		return fail("connect");
	watch(epoll, fd, EPOLLOUT | EPOLLIN | EPOLLET);
	return 0;
}

/* Returns whether the connection is done with. */
static bool step(int fd, uint32_t events, unsigned long *answered)
{
	uint8_t byte;
	ssize_t n;

	if (events & EPOLLIN) {
		n = recv(fd, &byte, 1, 0);
		*answered += n == 1;
		return n == 1 || errno != EAGAIN;
	}
	if (events & (EPOLLERR | EPOLLHUP))
		return true;
	return (events & EPOLLOUT) && send(fd, hello, hello_size, MSG_NOSIGNAL) < 0;
}

static int rate(const struct sockaddr_in *address, double ms)
{
	struct epoll_event events[IN_FLIGHT];
	unsigned long answered = 0;
	int epoll = epoll_create1(0);
	double end = now_ms() + ms;

	for (int i = 0; i < IN_FLIGHT; i++)
		if (begin(epoll, address) != 0)
			return 1;
	while (now_ms() < end) {
		int ready = epoll_wait(epoll, events, IN_FLIGHT, 100);

		for (int i = 0; i < ready; i++) {
			if (!step(events[i].data.fd, events[i].events, &answered))
				continue;
			reset(events[i].data.fd);
			if (begin(epoll, address) != 0)
				return 1;
		}
	}
	printf("%lu\n", answered);
	return 0;
}

static int join(const struct sockaddr_in *address, uint32_t source)
{
	const struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(source) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (source != 0 && bind(fd, (const struct sockaddr *)&from, sizeof(from)) < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ||
	    send(fd, hello, hello_size, MSG_NOSIGNAL) < 0)
		return -1;
	return fd;
}

static int bulk(const struct sockaddr_in *address, double ms, int streams)
{
	struct epoll_event events[64];
	unsigned long long bytes = 0;
	int epoll = epoll_create1(0);
	double end = now_ms() + ms;

	for (int i = 0; i < streams; i++) {
		int fd = join(address, 0);

		if (fd < 0)
			return fail("join");
		watch(epoll, fd, EPOLLIN);
	}
	while (now_ms() < end) {
		int ready = epoll_wait(epoll, events, 64, 100);

		for (int i = 0; i < ready; i++) {
			ssize_t n = recv(events[i].data.fd, waste, sizeof(waste), MSG_DONTWAIT);

			if (n == 0 || (n < 0 && errno != EAGAIN))
				return fail("bulk");
			bytes += n > 0 ? (unsigned long long)n : 0;
		}
	}
	printf("%llu\n", bytes);
	return 0;
}

static int hold(const struct sockaddr_in *address, int count, uint32_t first, uint32_t last)
{
	uint8_t byte;

	for (int i = 0; i < count; i++) {
		int fd = join(address, first + (uint32_t)i % (last - first + 1));

		if (fd < 0 || recv(fd, &byte, 1, 0) != 1)
			return fail("hold");
	}
	printf("held\n");
	(void)fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	return 0;
}

static void allow_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET };

	allow_descriptors();
	if (argc == 3 && strcmp(argv[1], "serve") == 0) {
		address.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
		return serve(&address);
	}
	if (argc < 6 || inet_pton(AF_INET, argv[2], &address.sin_addr) != 1)
		return 2;
	address.sin_port = htons((uint16_t)strtoul(argv[3], NULL, 10));
	make_hello(argv[4]);
	if (strcmp(argv[1], "rate") == 0)
		return rate(&address, strtod(argv[5], NULL));
	if (strcmp(argv[1], "bulk") == 0 && argc == 7)
		return bulk(&address, strtod(argv[5], NULL), (int)strtol(argv[6], NULL, 10));
	if (strcmp(argv[1], "hold") == 0 && argc == 8)
		return hold(&address, (int)strtol(argv[5], NULL, 10), ntohl(inet_addr(argv[6])),
			    ntohl(inet_addr(argv[7])));
	return 2;
}
