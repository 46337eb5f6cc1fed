#include "dataplane/uapi_server.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/list.h"
#include "base/secret.h"
#include "base/text.h"
#include "wireguard/uapi.h"

#define READ_SIZE 65536
#define ANSWER_PART 65536 /* of an answer that is made while it is sent */

struct client {
	struct poller_source source;
	struct uapi_server *server;
	struct list node; /* in the order of when they last spoke */
	struct text request;
	size_t scanned; /* of the request: no end before it */
	struct text answer;
	size_t written; /* of the answer */
	struct wg_config reading; /* which the answer goes on with */
	size_t next_peer; /* of the reading */
	bool unfinished; /* more of the reading is to come */
};

struct uapi_server {
	struct poller *poller;
	struct poller_source source;
	const struct uapi_server_ops *ops;
	void *context;
	struct list clients;
	size_t client_count;
};

int uapi_directory_open(const char *path, int *ret_fd)
{
	int fd;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_DIRECTORY | O_CLOEXEC | O_RDONLY);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

static int make_address(const char *directory, const char *name, struct sockaddr_un *to)
{
	int size;

	*to = (struct sockaddr_un){ .sun_family = AF_UNIX };
	size = snprintf(to->sun_path, sizeof(to->sun_path), "%s/%s", directory, name);
	return size < 0 || (size_t)size >= sizeof(to->sun_path) ? -ENAMETOOLONG : 0;
}

/* Whether a process listens there, even one that is too busy to answer. */
static bool is_served(const struct sockaddr_un *address)
{
	cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return true;
	return connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
	       errno == EAGAIN;
}

static int bind_private(int fd, const struct sockaddr_un *address)
{
	mode_t mask = umask(0177);
	int r = bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;

	(void)umask(mask);
	return r;
}

int uapi_socket_open(const char *directory, int directory_fd, const char *name, int *ret_fd,
		     ino_t *ret_inode)
{
	struct sockaddr_un address;
	cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat made;
	int r;

	if (fd < 0)
		return -errno;
	r = make_address(directory, name, &address);
	if (r < 0)
		return r;
	if (is_served(&address))
		return -EADDRINUSE;
	if (unlinkat(directory_fd, name, 0) < 0 && errno != ENOENT)
		return -errno;
	r = bind_private(fd, &address);
	if (r < 0)
		return r;
	if (listen(fd, UAPI_CLIENTS_MAX) < 0 ||
	    fstatat(directory_fd, name, &made, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	*ret_inode = made.st_ino;
	return 0;
}

static void client_free(struct client *client)
{
	poller_remove(client->server->poller, &client->source);
	cleanup_close_fd(&client->source.fd);
	list_remove(&client->node);
	client->server->client_count--;
	text_done_secret(&client->request);
	text_done_secret(&client->answer);
	wg_config_done(&client->reading);
	free(client);
}

/* Makes the next part of an answer, or the first. Whoever reads it works on it meanwhile. */
static void continue_answer(struct client *client)
{
	client->unfinished = !uapi_write_get_part(&client->answer, &client->reading,
						  &client->next_peer, ANSWER_PART);
	if (!client->unfinished) {
		wg_config_done(&client->reading);
		client->reading = (struct wg_config){ 0 };
	}
}

/* The answer is of one moment, however long it takes to send. */
static int answer_get(struct client *client)
{
	int r = client->server->ops->get(client->server->context, &client->reading);

	if (r < 0)
		return r;
	client->next_peer = 0;
	continue_answer(client);
	return 0; /* without memory for it the client is closed */
}

static int apply_set(const struct client *client, const char *lines, size_t size)
{
	const struct uapi_server *server = client->server;
	const struct uapi_links links = { server->ops->find_link, server->context };
	CLEANUP(wg_config_done) struct wg_config change = { 0 };
	int r = uapi_parse(lines, size, &links, &change);

	return r < 0 ? r : server->ops->set(server->context, &change);
}

/* Handles one request, which ends in an empty line. */
static void handle_request(struct client *client, const char *request, size_t size)
{
	static const char set[] = "set=1\n";
	static const char get[] = "get=1\n\n";
	int r;

	if (size == strlen(get) && memcmp(request, get, size) == 0) {
		r = answer_get(client);
		if (r == 0)
			return;
	} else if (size == strlen(UAPI_STATUS) && memcmp(request, UAPI_STATUS, size) == 0) {
		client->server->ops->status(client->server->context, &client->answer);
		r = 0;
	} else if (size > strlen(set) && memcmp(request, set, strlen(set)) == 0) {
		r = apply_set(client, request + strlen(set), size - strlen(set) - 1);
	} else {
		r = -EINVAL;
	}
	text_printf(&client->answer, "errno=%d\n\n", r); /* wg(8) expects a negative number */
}

/* Sends what is left of the answer. Returns 0, -EAGAIN where the client has to read first, or
 * another negative errno. */
static int write_answer(struct client *client)
{
	while (client->written < client->answer.size) {
		ssize_t n = send(client->source.fd, client->answer.data + client->written,
				 client->answer.size - client->written, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		client->written += (size_t)n;
		if (client->written == client->answer.size && client->unfinished) {
			text_clear(&client->answer);
			client->written = 0;
			continue_answer(client);
			if (text_error(&client->answer) < 0)
				return text_error(&client->answer);
		}
	}
	text_done_secret(&client->answer);
	client->written = 0;
	return 0;
}

/* Size of the first request that is complete, with the empty line that ends it; 0: none is. */
static size_t complete_request(struct client *client)
{
	const struct text *request = &client->request;
	const char *end = NULL;

	if (request->size > client->scanned)
		end = memmem(request->data + client->scanned, request->size - client->scanned,
			     "\n\n", 2);
	if (end)
		return (size_t)(end - request->data) + 2;
	client->scanned = request->size > 0 ? request->size - 1 : 0;
	return 0;
}

/* Answers all requests that are complete, as far as the client takes the answers. */
static int serve_requests(struct client *client)
{
	struct text *request = &client->request;
	size_t size;
	int r = 0;

	while (r == 0 && (size = complete_request(client)) > 0) {
		handle_request(client, request->data, size);
		client->scanned = 0;
		memmove(request->data, request->data + size, request->size - size);
		secret_wipe(request->data + request->size - size, size);
		request->size -= size;
		if (text_error(&client->answer) < 0)
			return text_error(&client->answer);
		r = write_answer(client);
	}
	return r;
}

static int read_request(struct client *client)
{
	static char buffer[READ_SIZE];
	ssize_t n = recv(client->source.fd, buffer, sizeof(buffer), 0);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -EPIPE;
	text_append_bytes(&client->request, buffer, (size_t)n);
	secret_wipe(buffer, (size_t)n);
	return text_error(&client->request);
}

/* Loop callback: a client speaks, or can take more of its answer. */
static void on_client_ready(struct poller_source *source, uint32_t events)
{
	struct client *client = container_of(source, struct client, source);
	struct list *clients = &client->server->clients;
	int r = 0;

	list_remove(&client->node);
	list_append(clients, &client->node);
	if (client->answer.size > 0)
		r = write_answer(client);
	else if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		r = read_request(client);
	if (r == 0)
		r = serve_requests(client);
	if (r < 0 && r != -EAGAIN) {
		client_free(client);
		return;
	}
	poller_change(client->server->poller, source, client->answer.size > 0 ? EPOLLOUT : EPOLLIN);
}

static int client_new(struct uapi_server *server, int fd)
{
	struct client *client = calloc(1, sizeof(*client));
	int r;

	if (!client)
		return -ENOMEM;
	client->source = (struct poller_source){ fd, EPOLLIN, on_client_ready };
	client->server = server;
	client->request.max = UAPI_MESSAGE_MAX;
	r = poller_add(server->poller, &client->source);
	if (r < 0) {
		free(client);
		return r;
	}
	list_append(&server->clients, &client->node);
	server->client_count++;
	return 0;
}

/* Loop callback: somebody connects. */
static void on_connection(struct poller_source *source, uint32_t events)
{
	struct uapi_server *server = container_of(source, struct uapi_server, source);
	cleanup_close int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0)
		return;
	if (server->client_count == UAPI_CLIENTS_MAX)
		client_free(container_of(server->clients.next, struct client, node));
	if (client_new(server, fd) == 0)
		(void)TAKE_FD(fd);
}

int uapi_server_new(struct poller *poller, int fd, const struct uapi_server_ops *ops, void *context,
		    struct uapi_server **ret)
{
	struct uapi_server *server = calloc(1, sizeof(*server));
	int r;

	if (!server) {
		(void)close(fd);
		return -ENOMEM;
	}
	list_init(&server->clients);
	server->poller = poller;
	server->ops = ops;
	server->context = context;
	server->source = (struct poller_source){ fd, EPOLLIN, on_connection };
	r = poller_add(poller, &server->source);
	if (r < 0) {
		(void)close(fd);
		free(server);
		return r;
	}
	*ret = server;
	return 0;
}

struct uapi_server *uapi_server_free(struct uapi_server *server)
{
	if (!server)
		return NULL;
	list_foreach(node, &server->clients)
		client_free(container_of(node, struct client, node));
	poller_remove(server->poller, &server->source);
	(void)close(server->source.fd);
	free(server);
	return NULL;
}
