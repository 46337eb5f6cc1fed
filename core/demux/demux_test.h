/*
 * Clients, devices and the demultiplexer on this machine's loopback, for the tests of this folder
 *
 * Start-netd is played by a thread that hands out plain sockets: clients of the loopback are such as have
 * no address of their own towards a device. Each test owns its bench, from set_up() to tear_down().
 */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/test.h"
#include "demux/demux_internal.h"
#include "proxy/proxy_header.h"

#define PATIENCE_MS 60000
#define HELLO_MAX 512

/* --- start-netd --- */

struct giver {
	pthread_t thread;
	int ours, theirs;
	_Atomic unsigned unanswered; /* so many questions stay so */
};

static inline void give(int channel, size_t count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(64 * sizeof(int))];
	} control = { 0 };
	uint8_t error = 0;
	struct iovec part = { .iov_base = &error, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = CMSG_SPACE(count * sizeof(int)) };
	int fds[64];

	for (size_t i = 0; i < count; i++)
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	*CMSG_FIRSTHDR(&message) = (struct cmsghdr){ .cmsg_len = CMSG_LEN(count * sizeof(int)),
						     .cmsg_level = SOL_SOCKET,
						     .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), fds, count * sizeof(int));
	(void)sendmsg(channel, &message, MSG_NOSIGNAL);
	for (size_t i = 0; i < count; i++)
		(void)close(fds[i]);
}

static inline void *run_giver(void *context)
{
	struct giver *giver = context;
	uint8_t wanted;

	while (recv(giver->ours, &wanted, 1, 0) == 1) {
		if (giver->unanswered == 0)
			give(giver->ours, wanted);
		else
			giver->unanswered--;
	}
	return NULL;
}

/* --- the bench --- */

struct bench {
	struct giver giver;
	struct demux *demux;
	struct demux_port *port;
	struct sockaddr_in address;
};

static inline int listen_somewhere(struct sockaddr_in *ret)
{
	socklen_t size = sizeof(*ret);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*ret = (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	assert_int_equal(bind(fd, (struct sockaddr *)ret, sizeof(*ret)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)ret, &size), 0);
	return fd;
}

static inline int set_up(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	int ends[2], fd;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	bench->giver.ours = ends[0];
	assert_int_equal(pthread_create(&bench->giver.thread, NULL, run_giver, &bench->giver), 0);
	assert_int_equal(demux_new(ends[1], "lo", &bench->demux), 0);
	assert_int_equal(demux_port_new(bench->demux, DEMUX_SHARED, &bench->port), 0);
	fd = listen_somewhere(&bench->address);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(demux_port_listen(bench->port, fd), 0);
	*state = bench;
	return 0;
}

static inline int tear_down(void **state)
{
	struct bench *bench = *state;

	(void)demux_port_free(bench->port);
	(void)demux_free(bench->demux); /* closes its end of the channel */
	assert_int_equal(pthread_join(bench->giver.thread, NULL), 0);
	(void)close(bench->giver.ours);
	free(bench);
	return 0;
}

static inline int serve_at(struct demux_port *port, const char *name, bool proxy)
{
	struct demux_target target = { .proxy = proxy };
	struct sockaddr_in address;
	int fd = listen_somewhere(&address);

	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&address, &target.device), 0);
	assert_int_equal(demux_port_put(port, name, &target), 0);
	return fd;
}

/* A device's service. */
static inline int serve(const struct bench *bench, const char *name)
{
	return serve_at(bench->port, name, false);
}

static inline void await(int fd, short events)
{
	struct pollfd one = { .fd = fd, .events = events };

	assert_int_equal(poll(&one, 1, PATIENCE_MS), 1);
}

static inline int take(int listener)
{
	int fd;

	await(listener, POLLIN);
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	return fd;
}

static inline int join(const struct bench *bench)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(
		connect(fd, (const struct sockaddr *)&bench->address, sizeof(bench->address)), 0);
	return fd;
}

static inline size_t make_hello(const char *name, uint8_t to[HELLO_MAX])
{
	size_t n = strlen(name), at = 0;
	const uint8_t extension[] = { 0, 0, 0,	       (uint8_t)(n + 5), 0, (uint8_t)(n + 3),
				      0, 0, (uint8_t)n };
	size_t extensions = sizeof(extension) + n, body = 34 + 1 + 4 + 2 + 2 + extensions;

	memset(to, 0, HELLO_MAX);
	memcpy(to, (uint8_t[]){ 22, 3, 1, 0, (uint8_t)(body + 4), 1, 0, 0, (uint8_t)body, 3, 3 },
	       11);
	at = 11 + 32 + 1;
	memcpy(to + at, (uint8_t[]){ 0, 2, 0x13, 1, 1, 0, 0, (uint8_t)extensions }, 8);
	memcpy(to + at + 8, extension, sizeof(extension));
	memcpy(to + at + 8 + sizeof(extension), name, n);
	return 9 + body;
}

static inline void say(int fd, const void *bytes, size_t size)
{
	assert_int_equal(send(fd, bytes, size, MSG_NOSIGNAL), size);
}

static inline size_t say_hello(int fd, const char *name)
{
	uint8_t hello[HELLO_MAX];
	size_t size = make_hello(name, hello);

	say(fd, hello, size);
	return size;
}

static inline void expect(int fd, const void *bytes, size_t size)
{
	uint8_t came[HELLO_MAX];

	assert_true(size <= sizeof(came));
	for (size_t at = 0; at < size;) {
		ssize_t n;

		await(fd, POLLIN);
		n = recv(fd, came + at, size - at, 0);
		assert_true(n > 0);
		at += (size_t)n;
	}
	assert_memory_equal(came, bytes, size);
}

/* 0: it ended; else the errno. */
static inline int expect_end(int fd)
{
	uint8_t byte;
	ssize_t n;

	await(fd, POLLIN);
	n = recv(fd, &byte, 1, 0);
	assert_true(n <= 0);
	return n == 0 ? 0 : errno;
}

/* A connection of a client to a device, both ends. */
static inline void join_device(const struct bench *bench, const char *name, int listener,
			       int *client, int *device)
{
	uint8_t hello[HELLO_MAX];
	size_t size = make_hello(name, hello);

	*client = join(bench);
	say(*client, hello, size);
	*device = take(listener);
	expect(*device, hello, size);
}

/* --- ports whose devices are told their clients --- */

/* What comes first on @device is the header of @client, with the name that it said. */
static inline void expect_header(int device, int client, const char *name)
{
	struct proxy_header header = { .authority = name };
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	uint8_t bytes[PROXY_HEADER_MAX];

	assert_int_equal(getsockname(client, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&address, &header.source), 0);
	size = sizeof(address);
	assert_int_equal(getpeername(client, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&address, &header.destination),
			 0);
	expect(device, bytes, (size_t)proxy_header_write(&header, bytes));
}

/* A plain port beside the shared one, and what it leads to, on loopback of a family. */
struct plain {
	struct demux_port *port;
	struct sockaddr_storage address;
	socklen_t size;
	struct demux_target target;
	int device;
};

static inline int listen_at(struct ip_address where, struct endpoint *ret)
{
	struct endpoint endpoint = { .address = where };
	struct sockaddr_storage address;
	socklen_t size = endpoint_to_sockaddr(&endpoint, &address);
	int fd = socket(where.family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	size = sizeof(address);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&address, ret), 0);
	return fd;
}

static inline void open_plain(const struct bench *bench, struct ip_address where, struct plain *ret)
{
	struct endpoint endpoint;
	int fd = listen_at(where, &endpoint);

	*ret = (struct plain){ .target.proxy = true };
	ret->size = endpoint_to_sockaddr(&endpoint, &ret->address);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	ret->device = listen_at(where, &ret->target.device);
	assert_int_equal(listen(ret->device, 64), 0);
	assert_int_equal(demux_port_new(bench->demux, DEMUX_PLAIN, &ret->port), 0);
	assert_int_equal(demux_port_put(ret->port, DEMUX_ANY, &ret->target), 0);
	assert_int_equal(demux_port_listen(ret->port, fd), 0);
}

static inline void close_plain(struct plain *plain)
{
	(void)demux_port_free(plain->port);
	(void)close(plain->device);
}

static inline int join_plain(const struct plain *plain)
{
	int fd = socket(plain->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (const struct sockaddr *)&plain->address, plain->size), 0);
	return fd;
}

/* With as many descriptors as 200 connections take: one source has its least share. */
static inline int set_up_some(void **state)
{
	struct rlimit limit, some;
	int r;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	some = limit;
	some.rlim_cur = 1200;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &some), 0);
	r = set_up(state);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	return r;
}
