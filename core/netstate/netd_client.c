#include "netstate/netd_client.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/list.h"

#define READ_SIZE 65536
#define FREE_FD_MIN 16 /* clear of the descriptors that the child is to have */

struct pending {
	struct list node;
	uint32_t number;
	uint8_t type;
	netd_client_done done;
	netd_client_bound bound; /* of BIND and TRANSPARENT, in place of `done` */
	void *context;
};

struct netd_client {
	uv_pipe_t pipe;
	struct list pending; /* oldest first */
	size_t pending_count;
	uint32_t last_number;
	uint8_t *received;
	size_t received_size;
	size_t received_capacity;
	bool failed; /* the socket is of no use any more */
	bool freed; /* memory lasts until the handle is closed */
	netd_client_closed on_closed;
	void *context;
};

struct outgoing {
	uv_write_t request;
	struct text frame;
};

/* @fd: of BIND, else negative. */
static void answer_with(struct netd_client *client, const struct fault *fault,
			const struct netd_status *status, int fd)
{
	struct pending *first = container_of(client->pending.next, struct pending, node);

	list_remove(&first->node);
	client->pending_count--;
	if (first->bound)
		first->bound(first->context, fault, fd);
	else
		first->done(first->context, fault, status);
	free(first);
}

static void answer(struct netd_client *client, const struct fault *fault,
		   const struct netd_status *status)
{
	answer_with(client, fault, status, -EBADF);
}

/* Each callback may free the client; its memory is there until the loop has closed the handle. */
static void fail(struct netd_client *client, int error)
{
	CLEANUP(fault_done) struct fault fault = { 0 };

	if (client->failed || client->freed)
		return;
	client->failed = true;
	(void)uv_read_stop((uv_stream_t *)&client->pipe);
	(void)fault_set(&fault, FAULT_NETWORK,
			"start-netd, which applies network changes, has gone: %s",
			strerror(-error));
	while (!client->freed && !list_empty(&client->pending))
		answer(client, &fault, NULL);
	if (!client->freed)
		client->on_closed(client->context, error);
}

static int take_failed(struct netd_client *client, const struct netd_frame *frame)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	int r = netd_parse_failed(frame, &fault);

	if (r == 0)
		answer(client, &fault, NULL);
	return r;
}

static int take_status(struct netd_client *client, const struct netd_frame *frame)
{
	CLEANUP(netd_status_done) struct netd_status status = { 0 };
	int r = netd_parse_status(frame, &status);

	if (r == 0)
		answer(client, NULL, &status);
	return r;
}

static void on_holder_closed(uv_handle_t *handle)
{
	free(handle);
}

/* Takes the descriptor that came with the frame out of libuv's hands, which gives it as a handle. It
 * does not look whether that fits the kind of socket. */
static int take_descriptor(struct netd_client *client, int *ret)
{
	uv_tcp_t *holder;
	uv_os_fd_t fd;
	int r;

	if (uv_pipe_pending_count(&client->pipe) == 0)
		return -EMFILE; /* the kernel dropped it */
	holder = malloc(sizeof(*holder));
	if (!holder)
		return -ENOMEM;
	r = uv_tcp_init(client->pipe.loop, holder);
	if (r < 0) {
		free(holder);
		return r;
	}
	r = uv_accept((uv_stream_t *)&client->pipe, (uv_stream_t *)holder);
	if (r == 0)
		r = uv_fileno((uv_handle_t *)holder, &fd);
	if (r == 0) {
		*ret = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		r = *ret < 0 ? -errno : 0;
	}
	uv_close((uv_handle_t *)holder, on_holder_closed);
	return r;
}

/* Where there is no room for the descriptor, the socket is not had; all else goes on. */
static int take_bound(struct netd_client *client)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	int fd, r = take_descriptor(client, &fd);

	if (r == 0) {
		answer_with(client, NULL, NULL, fd);
		return 0;
	}
	(void)fault_set_errno(&fault, r, FAULT_NETWORK, "taking the socket that start-netd opened");
	answer(client, &fault, NULL);
	return 0;
}

static int take_frame(struct netd_client *client, const struct netd_frame *frame)
{
	const struct pending *first = container_of(client->pending.next, struct pending, node);

	if (list_empty(&client->pending) || first->number != frame->number)
		return -EBADMSG;
	if (frame->type == NETD_FAILED)
		return take_failed(client, frame);
	if (frame->type == NETD_STATUS_IS && first->type == NETD_STATUS)
		return take_status(client, frame);
	if (frame->type == NETD_BOUND && first->bound && frame->body_size == 0)
		return take_bound(client);
	if (frame->type != NETD_DONE || first->type == NETD_STATUS || first->bound ||
	    frame->body_size > 0)
		return -EBADMSG;
	answer(client, NULL, NULL);
	return 0;
}

static void take_received(struct netd_client *client)
{
	size_t used = 0;
	ssize_t size = 0;
	int r = 0;

	while (r == 0 && !client->freed && !client->failed) {
		struct netd_frame frame;

		size = netd_frame_parse(client->received + used, client->received_size - used,
					&frame);
		if (size <= 0)
			break;
		r = take_frame(client, &frame);
		used += (size_t)size;
	}
	client->received_size -= used;
	memmove(client->received, client->received + used, client->received_size);
	if (size < 0 || r < 0)
		fail(client, size < 0 ? (int)size : r);
}

/* A frame is bounded by netd_frame_parse(), so the buffer is too. */
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	struct netd_client *client = container_of(handle, struct netd_client, pipe);
	size_t capacity = client->received_capacity ? client->received_capacity : READ_SIZE;
	uint8_t *bytes;

	(void)suggested;
	while (capacity < client->received_size + READ_SIZE)
		capacity *= 2;
	bytes = capacity == client->received_capacity ? client->received
						      : realloc(client->received, capacity);
	if (!bytes) {
		*buffer = uv_buf_init(NULL, 0); /* on_read() gets UV_ENOBUFS */
		return;
	}
	client->received = bytes;
	client->received_capacity = capacity;
	*buffer = uv_buf_init((char *)bytes + client->received_size,
			      (unsigned)(capacity - client->received_size));
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
	struct netd_client *client = container_of(stream, struct netd_client, pipe);

	(void)buffer;
	if (size < 0) {
		fail(client, size == UV_EOF ? -ECONNRESET : (int)size);
		return;
	}
	client->received_size += (size_t)size;
	take_received(client);
}

static void on_written(uv_write_t *request, int status)
{
	struct outgoing *out = container_of(request, struct outgoing, request);
	struct netd_client *client = container_of(request->handle, struct netd_client, pipe);

	text_done_secret(&out->frame);
	free(out);
	if (status < 0 && status != UV_ECANCELED)
		fail(client, status);
}

int netd_client_new(uv_loop_t *loop, int fd, netd_client_closed on_closed, void *context,
		    struct netd_client **ret)
{
	struct netd_client *client = calloc(1, sizeof(*client));
	int r;

	if (!client)
		return -ENOMEM;
	list_init(&client->pending);
	client->on_closed = on_closed;
	client->context = context;
	r = uv_pipe_init(loop, &client->pipe, 1); /* 1: descriptors come too */
	if (r < 0) {
		free(client);
		return r;
	}
	r = uv_pipe_open(&client->pipe, fd);
	if (r == 0)
		r = uv_read_start((uv_stream_t *)&client->pipe, on_alloc, on_read);
	if (r < 0) {
		(void)netd_client_free(client);
		return r;
	}
	*ret = client;
	return 0;
}

static void on_closed_handle(uv_handle_t *handle)
{
	struct netd_client *client = container_of(handle, struct netd_client, pipe);

	free(client->received);
	free(client);
}

struct netd_client *netd_client_free(struct netd_client *client)
{
	if (!client || client->freed)
		return NULL;
	client->freed = true;
	list_foreach(node, &client->pending)
		free(container_of(node, struct pending, node));
	list_init(&client->pending);
	uv_close((uv_handle_t *)&client->pipe, on_closed_handle);
	return NULL;
}

/* Sends a frame that was written with the number client->last_number + 1. */
static int send_request(struct netd_client *client, struct outgoing *out,
			const struct pending *wanted)
{
	struct pending *pending = calloc(1, sizeof(*pending));
	uv_buf_t buffer = uv_buf_init(out->frame.data, (unsigned)out->frame.size);
	int r = pending ? text_error(&out->frame) : -ENOMEM;

	if (r == 0)
		r = uv_write(&out->request, (uv_stream_t *)&client->pipe, &buffer, 1, on_written);
	if (r < 0) {
		text_done_secret(&out->frame);
		free(out);
		free(pending);
		return r;
	}
	*pending = *wanted;
	pending->number = ++client->last_number;
	list_append(&client->pending, &pending->node);
	client->pending_count++;
	return 0;
}

/* Room for a request, or why there is none. */
static int begin_request(const struct netd_client *client, struct outgoing **ret)
{
	struct outgoing *out;

	if (client->failed || client->freed)
		return -ENOTCONN;
	if (client->pending_count == NETD_CLIENT_PENDING_MAX)
		return -EBUSY;
	out = calloc(1, sizeof(*out));
	if (!out)
		return -ENOMEM;
	*ret = out;
	return 0;
}

int netd_client_sync(struct netd_client *client, const struct net_set *wanted,
		     netd_client_done done, void *context)
{
	struct outgoing *out;
	int r = begin_request(client, &out);

	if (r < 0)
		return r;
	netd_write_sync(&out->frame, client->last_number + 1, wanted);
	return send_request(
		client, out,
		&(struct pending){ .type = NETD_SYNC, .done = done, .context = context });
}

int netd_client_change(struct netd_client *client, const struct net_set *remove,
		       const struct net_set *add, netd_client_done done, void *context)
{
	struct outgoing *out;
	int r = begin_request(client, &out);

	if (r < 0)
		return r;
	netd_write_change(&out->frame, client->last_number + 1, remove, add);
	return send_request(
		client, out,
		&(struct pending){ .type = NETD_CHANGE, .done = done, .context = context });
}

static int send_plain(struct netd_client *client, uint8_t type, netd_client_done done,
		      void *context)
{
	struct outgoing *out;
	int r = begin_request(client, &out);

	if (r < 0)
		return r;
	netd_write_plain(&out->frame, type, client->last_number + 1);
	return send_request(client, out,
			    &(struct pending){ .type = type, .done = done, .context = context });
}

int netd_client_status(struct netd_client *client, uint8_t flags, netd_client_done done,
		       void *context)
{
	struct outgoing *out;
	int r = begin_request(client, &out);

	if (r < 0)
		return r;
	netd_write_status_request(&out->frame, client->last_number + 1, flags);
	return send_request(
		client, out,
		&(struct pending){ .type = NETD_STATUS, .done = done, .context = context });
}

int netd_client_reboot(struct netd_client *client, netd_client_done done, void *context)
{
	return send_plain(client, NETD_REBOOT, done, context);
}

int netd_client_bind(struct netd_client *client, const struct netd_bind *wanted,
		     netd_client_bound bound, void *context)
{
	struct outgoing *out;
	int r = begin_request(client, &out);

	if (r < 0)
		return r;
	netd_write_bind(&out->frame, client->last_number + 1, wanted);
	return send_request(
		client, out,
		&(struct pending){ .type = NETD_BIND, .bound = bound, .context = context });
}

int netd_client_transparent(struct netd_client *client, netd_client_bound bound, void *context)
{
	struct outgoing *out;
	int r = begin_request(client, &out);

	if (r < 0)
		return r;
	netd_write_plain(&out->frame, NETD_TRANSPARENT, client->last_number + 1);
	return send_request(
		client, out,
		&(struct pending){ .type = NETD_TRANSPARENT, .bound = bound, .context = context });
}

/* In the child, between fork and exec: only what is safe after fork. Tells a failure through
 * @report. */
static void become(const char *path, char *const argv[], int socket, int report)
{
	sigset_t none;
	int error;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(socket, NETD_SOCKET_FD) == NETD_SOCKET_FD &&
	    close_range(NETD_SOCKET_FD + 1, UINT_MAX, CLOSE_RANGE_CLOEXEC) == 0)
		(void)execv(path, argv);
	error = errno;
	(void)!write(report, &error, sizeof(error));
	_exit(127);
}

/* A copy of a descriptor, clear of the child's own numbers; the old one is closed. */
static int move_up(int *fd)
{
	int moved = fcntl(*fd, F_DUPFD_CLOEXEC, FREE_FD_MIN);

	if (moved < 0)
		return -errno;
	(void)close(*fd);
	*fd = moved;
	return 0;
}

/* Waits for the exec: 0, or the negative errno that the child reported. */
static int await_exec(pid_t pid, int report)
{
	ssize_t size;
	int error;

	do
		size = read(report, &error, sizeof(error));
	while (size < 0 && errno == EINTR);
	if (size == 0) /* closed by the exec */
		return 0;
	(void)waitpid(pid, NULL, 0);
	return size == sizeof(error) ? -error : -EIO;
}

static int make_pipes(int ours[2], int theirs[2])
{
	int pair[2], pipe_fds[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	ours[0] = pair[0];
	theirs[0] = pair[1];
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -errno;
	ours[1] = pipe_fds[0];
	theirs[1] = pipe_fds[1];
	r = move_up(&theirs[0]);
	if (r == 0)
		r = move_up(&theirs[1]);
	if (r == 0 && fcntl(ours[0], F_SETFL, O_NONBLOCK) < 0)
		r = -errno;
	return r;
}

static void close_pair(const int fds[2])
{
	for (size_t i = 0; i < 2; i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
}

int netd_spawn(const char *path, char *const argv[], pid_t *ret_pid, int *ret_fd)
{
	int ours[2] = { -EBADF, -EBADF }, theirs[2] = { -EBADF, -EBADF };
	pid_t pid = -1;
	int r = make_pipes(ours, theirs);

	if (r == 0) {
		pid = fork();
		if (pid == 0)
			become(path, argv, theirs[0], theirs[1]);
		r = pid < 0 ? -errno : 0;
	}
	close_pair(theirs);
	if (r == 0)
		r = await_exec(pid, ours[1]);
	if (r == 0) {
		*ret_pid = pid;
		*ret_fd = TAKE_FD(ours[0]);
	}
	close_pair(ours);
	return r;
}
