/*
 * A bad network for UDP: loses, repeats, reorders and spoils datagrams, by a seed
 *
 *   relay ADDRESS PORT TARGET PORT SEED LOSS DUPLICATE REORDER SPOIL
 *
 * The client speaks to ADDRESS PORT, the server at TARGET PORT sees the relay. The last four are out of
 * a thousand datagrams, in each direction. One that is reordered is overtaken by 1 to 32 others, or
 * waits until nothing has come for 20 ms. Nothing else is lost here: where a socket is full, the relay
 * waits.
 *
 * SIGUSR1: the client moves, that is, the server sees it at another port from now on. SIGUSR2: the server
 * moves. What is still sent to the old place arrives. SIGTERM prints what was done, and ends.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include "base/cleanup.h"

#define MOVES_MAX 16 /* sockets of one side */
#define HELD_MAX 32 /* datagrams that others overtake, in one direction */
#define BUFFER_SIZE (8 << 20)
#define IDLE_MS 20

struct held {
	uint8_t *data;
	size_t size;
	unsigned left; /* as many may still overtake it */
};

/* One side: where it was seen last, the sockets that it may speak to, and what is on the way to it. */
struct side {
	struct sockaddr_storage address; /* family 0: it did not speak yet */
	socklen_t address_size;
	int sockets[MOVES_MAX]; /* the last one is used to send */
	size_t socket_count;
	struct held held[HELD_MAX];
	size_t held_count;
};

enum counter { PASSED, LOST, DUPLICATED, REORDERED, SPOILED, COUNTERS };

static struct side client, server;
static unsigned chances[COUNTERS];
static unsigned counters[COUNTERS];
static uint64_t random_state;

/* SplitMix64. */
static uint64_t next_random(void)
{
	uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static bool happens(enum counter what)
{
	bool does = next_random() % 1000 < chances[what];

	counters[what] += does;
	return does;
}

static void must(bool holds, const char *what)
{
	if (holds)
		return;
	perror(what);
	exit(1);
}

static void parse_address(const char *address, const char *port, struct sockaddr_storage *ret,
			  socklen_t *ret_size)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
					.ai_socktype = SOCK_DGRAM };
	struct addrinfo *found;

	must(getaddrinfo(address, port, &hints, &found) == 0, address);
	memcpy(ret, found->ai_addr, found->ai_addrlen);
	*ret_size = found->ai_addrlen;
	freeaddrinfo(found);
}

/* Gives a side one more socket. @at: its address, with port 0 for any. */
static void add_socket(struct side *side, const struct sockaddr_storage *at, socklen_t size)
{
	int fd = socket(at->ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int buffer = BUFFER_SIZE;

	must(fd >= 0 && side->socket_count < MOVES_MAX, "socket");
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer));
	must(bind(fd, (const struct sockaddr *)at, size) == 0, "bind");
	side->sockets[side->socket_count++] = fd;
}

/* A socket as the first one of the side, on another port. */
static void move(struct side *seen_by)
{
	struct sockaddr_storage at;
	socklen_t size = sizeof(at);

	must(getsockname(seen_by->sockets[0], (struct sockaddr *)&at, &size) == 0, "getsockname");
	if (at.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&at)->sin6_port = 0;
	else
		((struct sockaddr_in *)&at)->sin_port = 0;
	add_socket(seen_by, &at, size);
}

static void send_to(const struct side *to, const uint8_t *data, size_t size)
{
	if (to->address.ss_family != 0)
		(void)sendto(to->sockets[to->socket_count - 1], data, size, 0,
			     (const struct sockaddr *)&to->address, to->address_size);
	counters[PASSED]++;
}

static void release(struct side *to, size_t i)
{
	send_to(to, to->held[i].data, to->held[i].size);
	free(to->held[i].data);
	to->held[i] = to->held[--to->held_count];
}

/* Something passed those that are held; some have waited long enough. */
static void overtake(struct side *to)
{
	for (size_t i = to->held_count; i-- > 0;) {
		if (--to->held[i].left == 0)
			release(to, i);
	}
}

static void release_all(struct side *to)
{
	while (to->held_count > 0)
		release(to, 0);
}

static void hold(struct side *to, const uint8_t *data, size_t size)
{
	struct held held = { malloc(size + 1), size, 1 + (unsigned)(next_random() % HELD_MAX) };

	must(held.data, "memory");
	memcpy(held.data, data, size);
	to->held[to->held_count++] = held;
}

static void pass(struct side *to, uint8_t *data, size_t size)
{
	if (happens(LOST))
		return;
	if (size > 0 && happens(SPOILED))
		data[next_random() % size] ^= (uint8_t)(1 << next_random() % 8);
	if (to->held_count < HELD_MAX && happens(REORDERED)) {
		hold(to, data, size);
		return;
	}
	send_to(to, data, size);
	if (happens(DUPLICATED))
		send_to(to, data, size);
	overtake(to);
}

static void receive(struct side *from, struct side *to, int fd)
{
	static uint8_t data[65536];
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	ssize_t n =
		recvfrom(fd, data, sizeof(data), MSG_DONTWAIT, (struct sockaddr *)&address, &size);

	if (n < 0)
		return; /* a refusal of the other side's kernel, perhaps */
	from->address = address;
	from->address_size = size;
	pass(to, data, (size_t)n);
}

static void print_counters(void)
{
	printf("{\"passed\": %u, \"lost\": %u, \"duplicated\": %u, \"reordered\": %u, "
	       "\"spoiled\": %u}\n",
	       counters[PASSED], counters[LOST], counters[DUPLICATED], counters[REORDERED],
	       counters[SPOILED]);
}

static bool take_signal(int fd)
{
	struct signalfd_siginfo info;

	must(read(fd, &info, sizeof(info)) == sizeof(info), "signal");
	if (info.ssi_signo == SIGTERM)
		return false;
	move(info.ssi_signo == SIGUSR1 ? &server : &client);
	return true;
}

static int open_signals(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR1);
	(void)sigaddset(&set, SIGUSR2);
	(void)sigaddset(&set, SIGTERM);
	must(sigprocmask(SIG_BLOCK, &set, NULL) == 0, "sigprocmask");
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static void poll_side(struct side *side, struct pollfd *polls, size_t *count)
{
	for (size_t i = 0; i < side->socket_count; i++)
		polls[(*count)++] = (struct pollfd){ side->sockets[i], POLLIN, 0 };
}

static void relay(int signals)
{
	struct pollfd polls[1 + 2 * MOVES_MAX];

	for (;;) {
		size_t count = 1, of_client;
		int ready;

		polls[0] = (struct pollfd){ signals, POLLIN, 0 };
		poll_side(&client, polls, &count);
		of_client = count;
		poll_side(&server, polls, &count);
		ready = poll(polls, count, IDLE_MS);
		must(ready >= 0, "poll");
		if (ready == 0) {
			release_all(&client);
			release_all(&server);
		}
		for (size_t i = 1; i < count; i++) {
			if (polls[i].revents && i < of_client)
				receive(&client, &server, polls[i].fd);
			else if (polls[i].revents)
				receive(&server, &client, polls[i].fd);
		}
		if (polls[0].revents && !take_signal(signals))
			return;
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_storage at;
	socklen_t size;

	if (argc != 10) {
		(void)fputs("relay: see relay.c for its arguments\n", stderr);
		return 2;
	}
	parse_address(argv[1], argv[2], &at, &size);
	add_socket(&client, &at, size);
	parse_address(argv[3], argv[4], &server.address, &server.address_size);
	parse_address(argv[3], "0", &at, &size);
	add_socket(&server, &at, size);
	random_state = strtoull(argv[5], NULL, 10);
	for (int i = LOST; i < COUNTERS; i++)
		chances[i] = (unsigned)strtoul(argv[5 + i], NULL, 10);
	relay(open_signals());
	print_counters();
	return 0;
}
