/*
 * UDP: questions are read and answered in batches
 *
 * A device that asks much has its questions joined by the kernel on their way in, and answers of one size to
 * one device go out as one packet, which the tunnel takes apart: most of what an answer costs is the way
 * of a packet through the kernel.
 */
#include <assert.h>
#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "packetio/udp.h"
#include "resolver/resolver_internal.h"

#define TRAINS 16 /* datagrams in one call, or joined ones */
#define BATCH 64 /* answers that are sent together */
#define TURN 256 /* questions, after which others on the loop have their turn */
#define REQUEST_MAX 4096 /* bytes; larger ones are for TCP */
#define RECEIVE_BUFFER (1 << 20) /* bytes that the kernel holds for us, as far as it allows */
#define ANSWERS_SIZE 65536 /* bytes, side by side */

struct udp_server {
	struct proxy *proxy;
	unsigned family;
	uv_poll_t poll;
	int fd;
};

struct answer {
	struct endpoint to;
	size_t size;
	uint8_t *message;
};

/* Of all servers, one of which is at work at a time. */
struct udp_buffers {
	struct udp_receiver *receiver;
	struct udp_sender *sender;
	size_t count;
	size_t used; /* bytes of messages */
	struct answer answers[BATCH];
	struct iovec parts[BATCH];
	uint8_t messages[ANSWERS_SIZE];
};

static_assert(SERVE_ANSWER_MAX <= ANSWERS_SIZE, "there is room for any answer");

void udp_buffers_free(struct udp_buffers *b)
{
	if (!b)
		return;
	b->receiver = udp_receiver_free(b->receiver);
	b->sender = udp_sender_free(b->sender);
	free(b);
}

static struct udp_buffers *buffers_new(void)
{
	struct udp_buffers *b = calloc(1, sizeof(*b));

	if (b && udp_receiver_new(TRAINS, &b->receiver) == 0 &&
	    udp_sender_new(BATCH, true, NULL, NULL, &b->sender) == 0)
		return b;
	udp_buffers_free(b);
	return NULL;
}

static bool same_client(const struct answer *a, const struct answer *b)
{
	return a->to.port == b->to.port && ip_equal(&a->to.address, &b->to.address);
}

/* Those to one client together, the larger ones first: the order among packets says nothing. */
static int compare(const void *a, const void *b)
{
	const struct answer *first = a, *second = b;
	int order = ip_compare(&first->to.address, &second->to.address);

	if (order != 0)
		return order;
	if (first->to.port != second->to.port)
		return first->to.port < second->to.port ? -1 : 1;
	return (first->size < second->size) - (first->size > second->size);
}

static void queue(struct udp_buffers *b, size_t first, size_t end)
{
	const struct udp_path path = { .remote = b->answers[first].to };

	for (size_t i = first; i < end; i++)
		b->parts[i] = (struct iovec){ b->answers[i].message, b->answers[i].size };
	udp_sender_add(b->sender, &path, 0, &b->parts[first], end - first, NULL);
}

/* What does not fit into the socket's buffer is lost, as on the way. */
static void send_all(struct udp_buffers *b)
{
	if (b->count > 1)
		qsort(b->answers, b->count, sizeof(b->answers[0]), compare);
	for (size_t first = 0, end; first < b->count; first = end) {
		for (end = first + 1; end < b->count; end++)
			if (!same_client(&b->answers[first], &b->answers[end]))
				break;
		queue(b, first, end);
	}
	if (udp_sender_flush(b->sender) == UDP_BLOCKED)
		udp_sender_drop(b->sender);
	b->count = b->used = 0;
}

static void serve_one(struct udp_server *udp, struct udp_buffers *b, const struct endpoint *from,
		      const uint8_t *message, size_t size)
{
	const struct client client = { .proxy = udp->proxy,
				       .address = proxy_device(udp->proxy, &from->address),
				       .from = *from };
	struct answer *answer;

	if (b->count == BATCH || ANSWERS_SIZE - b->used < SERVE_ANSWER_MAX)
		send_all(b);
	answer = &b->answers[b->count];
	*answer = (struct answer){ *from, 0, b->messages + b->used };
	answer->size = serve(&client, message, size, answer->message);
	if (answer->size == 0)
		return;
	b->used += answer->size;
	b->count++;
}

/* Adds to @served how many questions there were. Returns whether there may be more. */
static bool serve_batch(struct udp_server *udp, struct udp_buffers *b, size_t *served)
{
	struct udp_train *trains;
	ssize_t count = udp_receive(b->receiver, udp->fd, &trains);

	for (ssize_t i = 0; i < count; i++) {
		const struct udp_train *train = &trains[i];

		for (size_t at = 0; at < train->size && train->message_size <= REQUEST_MAX;
		     at += train->message_size) {
			size_t left = train->size - at;

			serve_one(udp, b, &train->path.remote, train->data + at,
				  left < train->message_size ? left : train->message_size);
			*served += 1;
		}
	}
	send_all(b);
	return count == TRAINS;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct udp_server *udp = container_of(poll, struct udp_server, poll);
	struct resolver *resolver = udp->proxy->resolver;
	size_t served = 0;

	(void)status;
	(void)events;
	if (!resolver->buffers)
		resolver->buffers = buffers_new();
	if (!resolver->buffers)
		return;
	udp_sender_set_socket(resolver->buffers->sender, udp->fd);
	while (served < TURN && serve_batch(udp, resolver->buffers, &served))
		continue;
}

int udp_server_new(struct proxy *proxy, unsigned family, int fd)
{
	struct udp_server *udp = calloc(1, sizeof(*udp));
	int size = RECEIVE_BUFFER, on = 1;
	int r = udp ? uv_poll_init(proxy->resolver->options.loop, &udp->poll, fd) : -ENOMEM;

	if (r < 0) {
		free(udp);
		(void)close(fd);
		return r;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	(void)setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on));
	udp->fd = fd;
	udp->family = family;
	udp->proxy = proxy_ref(proxy);
	proxy->udp[family] = udp;
	(void)uv_poll_start(&udp->poll, UV_READABLE, on_readable);
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	free(container_of(handle, struct udp_server, poll));
}

void udp_server_close(struct udp_server *udp)
{
	struct proxy *proxy = udp->proxy;

	proxy->udp[udp->family] = NULL;
	uv_close((uv_handle_t *)&udp->poll, on_closed);
	(void)close(udp->fd);
	proxy_unref(proxy);
}

void udp_server_send(struct udp_server *udp, const struct endpoint *to, const uint8_t *message,
		     size_t size)
{
	struct sockaddr_storage address;
	socklen_t address_size = endpoint_to_sockaddr(to, &address);

	(void)sendto(udp->fd, message, size, MSG_DONTWAIT, (const struct sockaddr *)&address,
		     address_size);
}
