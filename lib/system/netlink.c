#include "system/netlink.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <time.h>

#define RECEIVE_BUFFER_SIZE (8 << 20) /* of notifications, before some are lost */

struct answer {
	bool complete;
	bool interrupted;
	int error; /* the first one */
};

struct netlink {
	struct mnl_socket *socket;
	uint32_t sequence;
	struct answer dump; /* of netlink_dump_begin() */
	char buffer[NETLINK_MESSAGE_MAX];
};

int netlink_new(int protocol, struct netlink **ret)
{
	CLEANUP(netlink_free) struct netlink *nl = calloc(1, sizeof(*nl));

	if (!nl)
		return -ENOMEM;
	nl->socket = mnl_socket_open2(protocol, SOCK_CLOEXEC);
	if (!nl->socket || mnl_socket_bind(nl->socket, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	nl->sequence = (uint32_t)time(NULL);
	*ret = TAKE_PTR(nl);
	return 0;
}

struct netlink *netlink_free(struct netlink *nl)
{
	if (nl) {
		if (nl->socket)
			(void)mnl_socket_close(nl->socket);
		explicit_bzero(nl->buffer, sizeof(nl->buffer)); /* answers hold keys */
		free(nl);
	}
	return NULL;
}

int netlink_fd(const struct netlink *nl)
{
	return mnl_socket_get_fd(nl->socket);
}

uint32_t netlink_port(const struct netlink *nl)
{
	return mnl_socket_get_portid(nl->socket);
}

uint32_t netlink_next_sequence(struct netlink *nl)
{
	return ++nl->sequence;
}

static void note(struct answer *answer, int error)
{
	if (error < 0 && answer->error == 0)
		answer->error = error;
}

/* NLMSG_ERROR and NLMSG_DONE begin with an error number; an acknowledgement is error 0. */
static int status_of(const struct nlmsghdr *message)
{
	if (mnl_nlmsg_get_payload_len(message) < sizeof(int))
		return message->nlmsg_type == NLMSG_DONE ? 0 : -EBADMSG;
	return *(const int *)mnl_nlmsg_get_payload(message);
}

static void take_message(const struct nlmsghdr *message, struct answer *answer, netlink_visit visit,
			 void *context)
{
	if (message->nlmsg_flags & NLM_F_DUMP_INTR)
		answer->interrupted = true;
	if (message->nlmsg_type == NLMSG_ERROR || message->nlmsg_type == NLMSG_DONE) {
		note(answer, status_of(message));
		answer->complete = true;
	} else if (message->nlmsg_type >= NLMSG_MIN_TYPE && visit && answer->error == 0) {
		note(answer, visit(message, context));
	}
}

/* What is sent last is what take_part() reads the answer of. */
static int ask(struct netlink *nl, struct nlmsghdr *message)
{
	message->nlmsg_seq = netlink_next_sequence(nl);
	message->nlmsg_flags |= NLM_F_REQUEST;
	if ((message->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP)
		message->nlmsg_flags |= NLM_F_ACK;
	return mnl_socket_sendto(nl->socket, message, message->nlmsg_len) < 0 ? -errno : 0;
}

/* Of an answer, what one read returns. 0, or a negative errno: the rest cannot be read either. */
static int take_part(struct netlink *nl, struct answer *answer, netlink_visit visit, void *context)
{
	ssize_t size = mnl_socket_recvfrom(nl->socket, nl->buffer, sizeof(nl->buffer));
	const struct nlmsghdr *at = (const struct nlmsghdr *)nl->buffer;
	int left = (int)size;

	if (size < 0)
		return errno == EINTR ? 0 : -errno;
	for (; mnl_nlmsg_ok(at, left); at = mnl_nlmsg_next(at, &left))
		if (at->nlmsg_seq == nl->sequence)
			take_message(at, answer, visit, context);
	return 0;
}

static int outcome_of(const struct answer *answer)
{
	if (answer->error == 0 && answer->interrupted)
		return -EINTR;
	return answer->error;
}

int netlink_request(struct netlink *nl, struct nlmsghdr *message, netlink_visit visit,
		    void *context)
{
	struct answer answer = { 0 };
	int r = ask(nl, message);

	while (r == 0 && !answer.complete)
		r = take_part(nl, &answer, visit, context);
	return r < 0 ? r : outcome_of(&answer);
}

int netlink_dump_begin(struct netlink *nl, struct nlmsghdr *message)
{
	nl->dump = (struct answer){ 0 };
	message->nlmsg_flags |= NLM_F_DUMP;
	return ask(nl, message);
}

int netlink_dump_next(struct netlink *nl, netlink_visit visit, void *context)
{
	int r = take_part(nl, &nl->dump, visit, context);

	if (r < 0)
		return r;
	return nl->dump.complete ? outcome_of(&nl->dump) : 1;
}

/* A batch is handed over in one send, so the socket has to hold it whole. */
static int make_room(const struct netlink *nl, size_t size)
{
	int wanted = (int)(size + size / 2 + 65536);

	if (size > INT_MAX / 4)
		return -EMSGSIZE;
	if (setsockopt(netlink_fd(nl), SOL_SOCKET, SO_SNDBUFFORCE, &wanted, sizeof(wanted)) < 0)
		return -errno;
	return 0;
}

int netlink_batch(struct netlink *nl, const void *messages, size_t size)
{
	struct answer answer = { 0 };
	int r = make_room(nl, size);

	if (r < 0)
		return r;
	if (mnl_socket_sendto(nl->socket, messages, size) < 0)
		return -errno;
	/* The kernel has queued everything it has to say by the time that the send returns. */
	for (;;) {
		ssize_t got = recv(netlink_fd(nl), nl->buffer, sizeof(nl->buffer), MSG_DONTWAIT);
		const struct nlmsghdr *at = (const struct nlmsghdr *)nl->buffer;
		int left = (int)got;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			break;
		for (; mnl_nlmsg_ok(at, left); at = mnl_nlmsg_next(at, &left))
			take_message(at, &answer, NULL, NULL);
	}
	if (errno != EAGAIN)
		return -errno;
	return answer.complete ? answer.error : -EPROTO;
}

int netlink_subscribe(struct netlink *nl, unsigned group)
{
	int size = RECEIVE_BUFFER_SIZE;
	int number = (int)group;

	/* A small buffer only means that a re-read comes sooner. */
	(void)setsockopt(netlink_fd(nl), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (mnl_socket_setsockopt(nl->socket, NETLINK_ADD_MEMBERSHIP, &number, sizeof(number)) < 0)
		return -errno;
	return 0;
}

int netlink_receive(struct netlink *nl, netlink_visit visit, void *context)
{
	struct answer answer = { 0 };

	for (;;) {
		ssize_t size = recv(netlink_fd(nl), nl->buffer, sizeof(nl->buffer), MSG_DONTWAIT);
		const struct nlmsghdr *at = (const struct nlmsghdr *)nl->buffer;
		int left = (int)size;

		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0 && errno == ENOBUFS) {
			note(&answer, -ENOBUFS);
			continue;
		}
		if (size < 0)
			break;
		for (; mnl_nlmsg_ok(at, left); at = mnl_nlmsg_next(at, &left))
			if (at->nlmsg_type >= NLMSG_MIN_TYPE)
				(void)visit(at, context);
	}
	return answer.error;
}
