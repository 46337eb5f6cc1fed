#include "client/ssh_agent.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "base/bytes.h"

#define KEY_TYPE "ssh-ed25519"
#define KEY_BLOB_SIZE (4 + sizeof(KEY_TYPE) - 1 + 4 + ED25519_PUBLIC_SIZE)

/* Numbers of messages, section 6.1 */
enum {
	AGENT_FAILURE = 5,
	AGENT_REQUEST_IDENTITIES = 11,
	AGENT_IDENTITIES_ANSWER = 12,
	AGENT_SIGN_REQUEST = 13,
	AGENT_SIGN_RESPONSE = 14,
};

/* --- strings, RFC 4251 section 5 --- */

static struct reader read_string(struct reader *r)
{
	uint32_t size = reader_u32(r);
	const uint8_t *bytes = reader_take(r, size);
	struct reader inner;

	reader_init(&inner, bytes, bytes ? size : 0);
	inner.failed = !bytes;
	return inner;
}

static bool read_text(struct reader *r, const char *text)
{
	struct reader inner = read_string(r);
	size_t size = strlen(text);
	const uint8_t *bytes = reader_left(&inner) == size ? reader_take(&inner, size) : NULL;

	return bytes && memcmp(bytes, text, size) == 0;
}

static void write_string(struct writer *w, const void *bytes, size_t size)
{
	writer_u32(w, (uint32_t)size);
	writer_copy(w, bytes, size);
}

static void write_key(struct writer *w, const uint8_t public_key[ED25519_PUBLIC_SIZE])
{
	writer_u32(w, KEY_BLOB_SIZE);
	write_string(w, KEY_TYPE, strlen(KEY_TYPE));
	write_string(w, public_key, ED25519_PUBLIC_SIZE);
}

/* --- messages --- */

/* Whether a blob is an Ed25519 key. */
static bool read_key(struct reader blob, uint8_t ret[ED25519_PUBLIC_SIZE])
{
	struct reader key;

	if (!read_text(&blob, KEY_TYPE))
		return false;
	key = read_string(&blob);
	reader_copy(&key, ret, ED25519_PUBLIC_SIZE);
	return reader_done(&key) && reader_done(&blob);
}

/* 0 where the message is of the wanted kind. */
static int read_kind(struct reader *r, uint8_t wanted)
{
	uint8_t kind = reader_u8(r);

	return r->failed	       ? -EBADMSG
	       : kind == wanted	       ? 0
	       : kind == AGENT_FAILURE ? -EACCES
				       : -EBADMSG;
}

ssize_t ssh_agent_read_list(const uint8_t *bytes, size_t size, uint8_t (*ret)[ED25519_PUBLIC_SIZE],
			    size_t max)
{
	uint8_t key[ED25519_PUBLIC_SIZE];
	struct reader r;
	uint32_t total;
	ssize_t count = 0;
	int error;

	reader_init(&r, bytes, size);
	error = read_kind(&r, AGENT_IDENTITIES_ANSWER);
	if (error < 0)
		return error;
	total = reader_u32(&r);
	if (total > SSH_AGENT_KEYS_MAX)
		return -EBADMSG;
	for (uint32_t i = 0; i < total; i++) {
		struct reader blob = read_string(&r);

		(void)read_string(&r); /* the comment */
		if ((size_t)count < max && read_key(blob, key))
			memcpy(ret[count++], key, sizeof(key));
	}
	return reader_done(&r) ? count : -EBADMSG;
}

int ssh_agent_read_signature(const uint8_t *bytes, size_t size, uint8_t ret[ED25519_SIGNATURE_SIZE])
{
	struct reader r, blob, signature;
	int error;

	reader_init(&r, bytes, size);
	error = read_kind(&r, AGENT_SIGN_RESPONSE);
	if (error < 0)
		return error;
	blob = read_string(&r);
	if (!reader_done(&r) || !read_text(&blob, KEY_TYPE))
		return -EBADMSG;
	signature = read_string(&blob);
	reader_copy(&signature, ret, ED25519_SIGNATURE_SIZE);
	return reader_done(&signature) && reader_done(&blob) ? 0 : -EBADMSG;
}

/* --- the socket --- */

static int connect_agent(const char *path, int *ret_fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = SSH_AGENT_TIMEOUT_S };
	cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
	    connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int receive(int fd, uint8_t *to, size_t size)
{
	while (size > 0) {
		ssize_t got = recv(fd, to, size, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got == 0 ? -EBADMSG : -errno;
		to += got;
		size -= (size_t)got;
	}
	return 0;
}

/* Sends a message and gives the answer, which the caller frees. */
static int ask(const char *path, const uint8_t *message, size_t size, uint8_t **ret,
	       size_t *ret_size)
{
	cleanup_free uint8_t *answer = NULL;
	cleanup_close int fd = -EBADF;
	uint8_t head[4];
	struct reader r;
	uint32_t answer_size;
	int error = connect_agent(path, &fd);

	if (error < 0)
		return error;
	/* Messages are small beside the buffer of a new socket: they go out in one piece. */
	if (send(fd, message, size, MSG_NOSIGNAL) != (ssize_t)size)
		return -EPIPE;
	error = receive(fd, head, sizeof(head));
	if (error < 0)
		return error;
	reader_init(&r, head, sizeof(head));
	answer_size = reader_u32(&r);
	if (answer_size == 0 || answer_size > SSH_AGENT_MESSAGE_MAX)
		return -EBADMSG;
	answer = malloc(answer_size);
	if (!answer)
		return -ENOMEM;
	error = receive(fd, answer, answer_size);
	if (error < 0)
		return error;
	*ret = TAKE_PTR(answer);
	*ret_size = answer_size;
	return 0;
}

ssize_t ssh_agent_list(const char *socket_path, uint8_t (*ret)[ED25519_PUBLIC_SIZE], size_t max)
{
	static const uint8_t message[] = { 0, 0, 0, 1, AGENT_REQUEST_IDENTITIES };
	cleanup_free uint8_t *answer = NULL;
	size_t size;
	int r = ask(socket_path, message, sizeof(message), &answer, &size);

	return r < 0 ? r : ssh_agent_read_list(answer, size, ret, max);
}

int ssh_agent_sign(const char *socket_path, const uint8_t public_key[ED25519_PUBLIC_SIZE],
		   const void *message, size_t size, uint8_t ret[ED25519_SIGNATURE_SIZE])
{
	cleanup_free uint8_t *answer = NULL;
	uint8_t request[4096];
	struct writer w;
	size_t answer_size;
	ssize_t request_size;
	int r;

	writer_init(&w, request, sizeof(request));
	writer_u32(&w, (uint32_t)(1 + 4 + KEY_BLOB_SIZE + 4 + size + 4));
	writer_u8(&w, AGENT_SIGN_REQUEST);
	write_key(&w, public_key);
	write_string(&w, message, size);
	writer_u32(&w, 0); /* flags */
	request_size = writer_size(&w);
	if (request_size < 0)
		return (int)request_size;
	r = ask(socket_path, request, (size_t)request_size, &answer, &answer_size);
	return r < 0 ? r : ssh_agent_read_signature(answer, answer_size, ret);
}
