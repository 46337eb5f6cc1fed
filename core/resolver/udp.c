/* UDP: packets are read and answered in batches. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "resolver/resolver_internal.h"

#define BATCH 32
#define BATCHES_MAX 8 /* before others on the loop have their turn */
#define REQUEST_MAX 4096 /* bytes; larger ones are for TCP */
#define RECEIVE_BUFFER (1 << 20) /* bytes that the kernel holds for us, as far as it allows */

struct udp_server {
	struct proxy *proxy;
	uv_poll_t poll;
	int fd;
};

/* Requests and answers of one batch at a time. */
struct udp_buffers {
	uint8_t in[BATCH][REQUEST_MAX];
	uint8_t out[BATCH][SERVE_ANSWER_MAX];
	struct sockaddr_in from[BATCH];
	struct iovec in_parts[BATCH];
	struct iovec out_parts[BATCH];
	struct mmsghdr requests[BATCH];
	struct mmsghdr answers[BATCH];
};

void udp_buffers_free(struct udp_buffers *buffers)
{
	free(buffers);
}

static void prepare(struct udp_buffers *b)
{
	for (size_t i = 0; i < BATCH; i++) {
		b->in_parts[i] = (struct iovec){ b->in[i], REQUEST_MAX };
		b->requests[i] = (struct mmsghdr){
			.msg_hdr = { .msg_name = &b->from[i],
				     .msg_namelen = sizeof(b->from[i]),
				     .msg_iov = &b->in_parts[i],
				     .msg_iovlen = 1 },
		};
	}
}

static void add_answer(struct udp_buffers *b, size_t count, size_t from, size_t size)
{
	b->out_parts[count] = (struct iovec){ b->out[count], size };
	b->answers[count] = (struct mmsghdr){
		.msg_hdr = { .msg_name = &b->from[from],
			     .msg_namelen = sizeof(b->from[from]),
			     .msg_iov = &b->out_parts[count],
			     .msg_iovlen = 1 },
	};
}

/* What does not fit into the socket's buffer is lost, as on the way. */
static void send_all(int fd, struct mmsghdr *answers, size_t count)
{
	size_t sent = 0;

	while (sent < count) {
		int n = sendmmsg(fd, answers + sent, (unsigned)(count - sent), MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		sent += n > 0 ? (size_t)n : 1;
	}
}

/* Returns whether there may be more. */
static bool serve_batch(struct udp_server *udp, struct udp_buffers *b)
{
	size_t answers = 0;
	int count;

	prepare(b);
	count = recvmmsg(udp->fd, b->requests, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < count; i++) {
		const struct client client = { .proxy = udp->proxy,
					       .address = ntohl(b->from[i].sin_addr.s_addr),
					       .port = ntohs(b->from[i].sin_port) };
		size_t size;

		if (b->requests[i].msg_hdr.msg_flags & MSG_TRUNC)
			continue;
		size = serve(&client, b->in[i], b->requests[i].msg_len, b->out[answers]);
		if (size > 0)
			add_answer(b, answers++, (size_t)i, size);
	}
	send_all(udp->fd, b->answers, answers);
	return count == BATCH;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct udp_server *udp = container_of(poll, struct udp_server, poll);
	struct resolver *resolver = udp->proxy->resolver;

	(void)status;
	(void)events;
	if (!resolver->buffers)
		resolver->buffers = malloc(sizeof(*resolver->buffers));
	for (int i = 0; resolver->buffers && i < BATCHES_MAX; i++)
		if (!serve_batch(udp, resolver->buffers))
			break;
}

int udp_server_new(struct proxy *proxy, int fd)
{
	struct udp_server *udp = calloc(1, sizeof(*udp));
	int size = RECEIVE_BUFFER;
	int r = udp ? uv_poll_init(proxy->resolver->options.loop, &udp->poll, fd) : -ENOMEM;

	if (r < 0) {
		free(udp);
		(void)close(fd);
		return r;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	udp->fd = fd;
	udp->proxy = proxy_ref(proxy);
	proxy->udp = udp;
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

	proxy->udp = NULL;
	uv_close((uv_handle_t *)&udp->poll, on_closed);
	(void)close(udp->fd);
	proxy_unref(proxy);
}

void udp_server_send(struct udp_server *udp, uint32_t address, uint16_t port,
		     const uint8_t *message, size_t size)
{
	const struct sockaddr_in to = { .sin_family = AF_INET,
					.sin_port = htons(port),
					.sin_addr.s_addr = htonl(address) };

	(void)sendto(udp->fd, message, size, MSG_DONTWAIT, (const struct sockaddr *)&to,
		     sizeof(to));
}
