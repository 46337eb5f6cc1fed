/*
 * Datagrams through a tunnel, for its benchmark
 *
 *	datagrams flood IP PORT SIZE MS		sends as fast as it goes
 *	datagrams count IP PORT MS		prints how many arrive within MS, from the first one on
 *	datagrams echo IP PORT			sends back what comes, until killed
 *	datagrams ask IP PORT COUNT		round trips of 64 bytes: prints their median and 99th
 *						percentile in microseconds
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define SIZE_MAX_SENT 1500
#define BUFFER_SIZE (8 << 20)
#define ASK_SIZE 64
#define ANSWER_MS 1000

static double now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* A socket that is bound to, or else connected with, an address of either family. */
static int open_socket(const char *ip, const char *port, bool to_bind)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6,
				    .sin6_port = htons((uint16_t)atol(port)) };
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = six.sin6_port };
	bool is_six = inet_pton(AF_INET6, ip, &six.sin6_addr) == 1;
	const struct sockaddr *address = is_six ? (const void *)&six : (const void *)&four;
	socklen_t size = is_six ? sizeof(six) : sizeof(four);
	int fd = socket(is_six ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int buffer = BUFFER_SIZE;

	if ((!is_six && inet_pton(AF_INET, ip, &four.sin_addr) != 1) || fd < 0 ||
	    (to_bind ? bind(fd, address, size) : connect(fd, address, size)) < 0) {
		perror(ip);
		exit(1);
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer));
	return fd;
}

struct batch {
	uint8_t data[BATCH][SIZE_MAX_SENT];
	struct iovec parts[BATCH];
	struct mmsghdr messages[BATCH];
};

static struct batch *batch_of(size_t size)
{
	static struct batch batch;

	for (size_t i = 0; i < BATCH; i++) {
		batch.parts[i] = (struct iovec){ batch.data[i], size };
		batch.messages[i].msg_hdr.msg_iov = &batch.parts[i];
		batch.messages[i].msg_hdr.msg_iovlen = 1;
	}
	return &batch;
}

static int flood(int fd, size_t size, double ms)
{
	struct batch *batch = batch_of(size);
	double end = now_ms() + ms;

	while (now_ms() < end)
		(void)sendmmsg(fd, batch->messages, BATCH, 0);
	return 0;
}

static int count(int fd, double ms)
{
	struct batch *batch = batch_of(SIZE_MAX_SENT);
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	uint64_t packets = 0;
	double end = 0;

	while (end == 0 || now_ms() < end) {
		int received;

		if (poll(&wait, 1, 100) <= 0)
			continue;
		received = recvmmsg(fd, batch->messages, BATCH, MSG_DONTWAIT, NULL);
		if (end == 0)
			end = now_ms() + ms;
		if (received > 0)
			packets += (uint64_t)received;
	}
	printf("%llu\n", (unsigned long long)packets);
	return 0;
}

static _Noreturn void echo(int fd)
{
	for (;;) {
		struct sockaddr_storage from;
		socklen_t from_size = sizeof(from);
		uint8_t data[SIZE_MAX_SENT];
		ssize_t size =
			recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&from, &from_size);

		if (size >= 0)
			(void)sendto(fd, data, (size_t)size, 0, (struct sockaddr *)&from,
				     from_size);
	}
}

static int compare_doubles(const void *a, const void *b)
{
	double difference = *(const double *)a - *(const double *)b;

	return difference < 0 ? -1 : difference > 0;
}

static int ask(int fd, size_t count)
{
	double *took = calloc(count, sizeof(*took));
	struct pollfd wait = { .fd = fd, .events = POLLIN };

	if (!took || count == 0)
		return 1;
	for (size_t i = 0; i < count; i++) {
		uint8_t data[ASK_SIZE] = { 0 };
		double start = now_ms();

		if (send(fd, data, sizeof(data), 0) < 0 || poll(&wait, 1, ANSWER_MS) <= 0 ||
		    recv(fd, data, sizeof(data), 0) < 0) {
			(void)fprintf(stderr, "no answer\n");
			return 1;
		}
		took[i] = (now_ms() - start) * 1e3;
	}
	qsort(took, count, sizeof(*took), compare_doubles);
	printf("%.1f %.1f\n", took[count / 2], took[count * 99 / 100]);
	free(took);
	return 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 3 ? argv[1] : "";
	bool serves = strcmp(verb, "count") == 0 || strcmp(verb, "echo") == 0;
	int fd = argc > 3 ? open_socket(argv[2], argv[3], serves) : -1;

	if (strcmp(verb, "flood") == 0 && argc == 6 && atol(argv[4]) <= SIZE_MAX_SENT)
		return flood(fd, (size_t)atol(argv[4]), (double)atol(argv[5]));
	if (strcmp(verb, "count") == 0 && argc == 5)
		return count(fd, (double)atol(argv[4]));
	if (strcmp(verb, "echo") == 0)
		echo(fd);
	if (strcmp(verb, "ask") == 0 && argc == 5)
		return ask(fd, (size_t)atol(argv[4]));
	(void)fprintf(stderr, "usage: datagrams flood|count|echo|ask IP PORT ...\n");
	return 2;
}
