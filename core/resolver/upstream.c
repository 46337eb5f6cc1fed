/* Questions on their way to other servers. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/secret.h"
#include "resolver/resolver_internal.h"

#define DOWN_MS 30000 /* that a server which did not answer is asked last */
#define KEY_MAX (DNS_NAME_MAX + 9)

/* One attempt: a socket with a port of its own. */
struct attempt {
	uv_poll_t poll;
	struct question *question; /* NULL: given up */
	int fd;
	bool sent; /* over TCP */
	size_t received; /* over TCP, with the length before the message */
	uint8_t bytes[]; /* of an answer */
};

/* What is asked for, and everybody who wants to know it. */
struct question {
	struct list node; /* by deadline */
	struct upstream *upstream;
	struct dns_exchange exchange;
	uint32_t view;
	struct resolver_servers servers;
	size_t server; /* index of the one that is asked */
	unsigned attempts;
	uint64_t deadline_ms;
	struct attempt *attempt;
	struct list waiters;
	size_t key_size;
	uint8_t key[KEY_MAX];
};

struct waiter {
	struct list node;
	struct client client;
	struct dns_query query;
	uint8_t bytes[DNS_HEADER_SIZE + DNS_NAME_MAX + 4]; /* header and question */
};

struct upstream {
	struct resolver *resolver;
	struct map questions; /* by key */
	struct list pending;
	size_t waiter_count;
	uv_timer_t timer;
	struct down {
		struct endpoint server;
		uint64_t until_ms;
	} down[DOWN_MAX];
	size_t down_next;
	uint8_t *answer; /* DNS_MESSAGE_MAX bytes, made with the first answer */
};

static void begin_attempt(struct question *question);

/* --- which server --- */

static bool same_endpoint(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && a->scope_id == b->scope_id &&
	       ip_equal(&a->address, &b->address);
}

static struct down *find_down(struct upstream *upstream, const struct endpoint *server)
{
	for (size_t i = 0; i < DOWN_MAX; i++)
		if (same_endpoint(&upstream->down[i].server, server))
			return &upstream->down[i];
	return NULL;
}

static bool is_down(struct upstream *upstream, const struct endpoint *server)
{
	const struct down *down = find_down(upstream, server);

	return down && now_ms(upstream->resolver) < down->until_ms;
}

static void note_down(struct upstream *upstream, const struct endpoint *server)
{
	struct down *down = find_down(upstream, server);

	if (!down) {
		down = &upstream->down[upstream->down_next];
		upstream->down_next = (upstream->down_next + 1) % DOWN_MAX;
	}
	*down = (struct down){ *server, now_ms(upstream->resolver) + DOWN_MS };
}

static void note_up(struct upstream *upstream, const struct endpoint *server)
{
	struct down *down = find_down(upstream, server);

	if (down)
		down->until_ms = 0;
}

/* The next one in turn that is not known to be down; if all are, simply the next. */
static size_t choose_server(struct question *question, size_t from)
{
	size_t count = question->servers.count;

	for (size_t i = 0; i < count; i++) {
		size_t index = (from + i) % count;

		if (!is_down(question->upstream, &question->servers.list[index]))
			return index;
	}
	return from % count;
}

/* --- attempts --- */

static void on_attempt_closed(uv_handle_t *handle)
{
	free(container_of(handle, struct attempt, poll));
}

static void end_attempt(struct question *question)
{
	struct attempt *attempt = TAKE_PTR(question->attempt);

	if (!attempt)
		return;
	attempt->question = NULL;
	uv_close((uv_handle_t *)&attempt->poll, on_attempt_closed);
	(void)close(attempt->fd);
}

static void free_waiter(struct upstream *upstream, struct waiter *waiter)
{
	list_remove(&waiter->node);
	upstream->waiter_count--;
	client_unref(&waiter->client);
	free(waiter);
}

/* A connection that waited may ask the same again as soon as it is released: nobody finds the question then. */
static void end_question(struct question *question)
{
	struct upstream *upstream = question->upstream;

	end_attempt(question);
	(void)map_remove(&upstream->questions, question->key, question->key_size);
	list_remove(&question->node);
	list_foreach(node, &question->waiters)
		free_waiter(upstream, container_of(node, struct waiter, node));
	free(question);
	if (list_empty(&upstream->pending))
		(void)uv_timer_stop(&upstream->timer);
}

/* Everybody gets the answer; without one, that there is none. */
static void answer_all(struct question *question, const uint8_t *message, size_t size)
{
	struct upstream *upstream = question->upstream;

	list_foreach(node, &question->waiters) {
		struct waiter *waiter = container_of(node, struct waiter, node);
		size_t written;

		if (waiter->client.proxy->closed)
			continue;
		written = message ? complete_answer(&waiter->client, &waiter->query, waiter->bytes,
						    message, size, upstream->answer,
						    DNS_MESSAGE_MAX)
				  : dns_write_empty(&waiter->query, waiter->bytes, DNS_SERVFAIL,
						    false, upstream->answer);
		client_send(&waiter->client, upstream->answer, written);
	}
	end_question(question);
}

static void next_server(struct question *question)
{
	if (question->attempts >= RESOLVER_ATTEMPTS_MAX) {
		answer_all(question, NULL, 0);
		return;
	}
	question->server = choose_server(question, question->server + 1);
	question->exchange.tcp = question->exchange.plain = false;
	begin_attempt(question);
}

static void server_failed(struct question *question)
{
	note_down(question->upstream, &question->servers.list[question->server]);
	next_server(question);
}

static void take_message(struct question *question, const uint8_t *message, size_t size)
{
	struct resolver *resolver = question->upstream->resolver;

	switch (dns_exchange_take(&question->exchange, message, size)) {
	case DNS_IGNORED:
		return;
	case DNS_TAKEN:
		note_up(question->upstream, &question->servers.list[question->server]);
		dns_cache_put(resolver->cache, question->view, &question->exchange.query, message,
			      size, now_ms(resolver) / 1000);
		answer_all(question, message, size);
		return;
	case DNS_ASK_AGAIN:
		if (question->attempts < RESOLVER_ATTEMPTS_MAX)
			begin_attempt(question);
		else
			answer_all(question, NULL, 0);
		return;
	case DNS_ASK_NEXT:
		next_server(question);
		return;
	}
}

/* --- sockets --- */

static void read_datagrams(struct attempt *attempt)
{
	/* What is ignored may be followed by the answer; each call reads one, the loop calls again. */
	ssize_t size = recv(attempt->fd, attempt->bytes, DNS_CACHE_ANSWER_MAX, MSG_DONTWAIT);

	if (size >= 0)
		take_message(attempt->question, attempt->bytes, (size_t)size);
	else if (errno != EAGAIN && errno != EINTR)
		server_failed(attempt->question); /* there is nobody */
}

/* Returns false where it failed: the attempt is over. */
static bool send_stream(struct attempt *attempt)
{
	const struct dns_exchange *exchange = &attempt->question->exchange;
	uint8_t bytes[2 + DNS_ASK_MAX];
	ssize_t size;

	bytes[0] = (uint8_t)(exchange->asked_size >> 8);
	bytes[1] = (uint8_t)exchange->asked_size;
	memcpy(bytes + 2, exchange->asked, exchange->asked_size);
	size = send(attempt->fd, bytes, 2 + (size_t)exchange->asked_size,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
	attempt->sent = size ==
			2 + exchange->asked_size; /* a fresh connection has room for so little */
	if (!attempt->sent)
		server_failed(attempt->question);
	return attempt->sent;
}

static void read_stream(struct attempt *attempt)
{
	ssize_t size = recv(attempt->fd, attempt->bytes + attempt->received,
			    2 + DNS_MESSAGE_MAX - attempt->received, MSG_DONTWAIT);
	size_t wanted;

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (size <= 0) {
		server_failed(attempt->question);
		return;
	}
	attempt->received += (size_t)size;
	wanted = 2 + ((size_t)attempt->bytes[0] << 8 | attempt->bytes[1]);
	if (attempt->received >= 2 && attempt->received >= wanted)
		take_message(attempt->question, attempt->bytes + 2, wanted - 2);
}

static void on_attempt(uv_poll_t *poll, int status, int events);

static void step_stream(struct attempt *attempt, int status, int events)
{
	struct question *question = attempt->question;

	if (status < 0) {
		server_failed(question);
	} else if (!attempt->sent && (events & UV_WRITABLE)) {
		if (send_stream(attempt))
			(void)uv_poll_start(&attempt->poll, UV_READABLE, on_attempt);
	} else if (events & UV_READABLE) {
		read_stream(attempt);
	}
}

/* What is done may end the question; nothing is touched afterwards. */
static void on_attempt(uv_poll_t *poll, int status, int events)
{
	struct attempt *attempt = container_of(poll, struct attempt, poll);

	if (!attempt->question)
		return;
	if (attempt->question->exchange.tcp)
		step_stream(attempt, status, events);
	else
		read_datagrams(attempt);
}

/* A connected socket: only the server's own packets come, and the kernel chooses the port at random. */
static int open_socket(const struct endpoint *server, bool tcp, int *ret)
{
	struct sockaddr_storage address;
	socklen_t size = endpoint_to_sockaddr(server, &address);
	cleanup_close int fd =
		socket(server->address.family,
		       (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, size) < 0 && errno != EINPROGRESS)
		return -errno;
	*ret = TAKE_FD(fd);
	return 0;
}

static int open_attempt(struct question *question)
{
	const struct dns_exchange *exchange = &question->exchange;
	size_t room = exchange->tcp ? 2 + DNS_MESSAGE_MAX : DNS_CACHE_ANSWER_MAX;
	struct attempt *attempt = calloc(1, sizeof(*attempt) + room);
	int r = attempt ? open_socket(&question->servers.list[question->server], exchange->tcp,
				      &attempt->fd)
			: -ENOMEM;

	if (r == 0) {
		r = uv_poll_init(question->upstream->resolver->options.loop, &attempt->poll,
				 attempt->fd);
		if (r < 0)
			(void)close(attempt->fd);
	}
	if (r < 0) {
		free(attempt);
		return r;
	}
	attempt->question = question;
	question->attempt = attempt;
	(void)uv_poll_start(&attempt->poll, exchange->tcp ? UV_WRITABLE : UV_READABLE, on_attempt);
	if (!exchange->tcp &&
	    send(attempt->fd, exchange->asked, exchange->asked_size, MSG_DONTWAIT | MSG_NOSIGNAL) <
		    0 &&
	    errno != EAGAIN)
		return -errno;
	return 0;
}

static void on_deadline(uv_timer_t *timer);

static void wake_at(struct upstream *upstream)
{
	const struct question *first = container_of(upstream->pending.next, struct question, node);
	uint64_t now = now_ms(upstream->resolver);

	if (list_empty(&upstream->pending))
		(void)uv_timer_stop(&upstream->timer);
	else
		(void)uv_timer_start(&upstream->timer, on_deadline,
				     first->deadline_ms > now ? first->deadline_ms - now : 0, 0);
}

static void on_deadline(uv_timer_t *timer)
{
	struct upstream *upstream = container_of(timer, struct upstream, timer);

	while (!list_empty(&upstream->pending)) {
		struct question *first =
			container_of(upstream->pending.next, struct question, node);

		if (first->deadline_ms > now_ms(upstream->resolver))
			break;
		server_failed(first);
	}
	wake_at(upstream);
}

/* Each attempt has the same time, so that the list stays in order. One that cannot even begin is over when
 * the loop comes round: the caller may hold the question. */
static void begin_attempt(struct question *question)
{
	struct upstream *upstream = question->upstream;
	uint8_t random[DNS_ASK_RANDOM];
	bool alone = list_empty(&upstream->pending);

	end_attempt(question);
	question->attempts++;
	random_bytes(random, sizeof(random));
	dns_exchange_ask(&question->exchange, random);
	question->deadline_ms = now_ms(upstream->resolver) + RESOLVER_ATTEMPT_MS;
	list_remove(&question->node);
	if (open_attempt(question) < 0) {
		end_attempt(question);
		question->deadline_ms = 0;
		list_append(upstream->pending.next, &question->node); /* before all others */
		alone = true;
	} else {
		list_append(&upstream->pending, &question->node);
	}
	if (alone)
		wake_at(upstream);
}

/* --- questions --- */

static size_t make_key(uint8_t key[KEY_MAX], uint32_t view, const struct dns_query *query,
		       const struct dns_name *name)
{
	struct dns_name lower = *name;
	struct {
		uint32_t view;
		uint16_t type;
		uint16_t class;
		uint8_t flags;
	} __attribute__((packed)) rest = { view, query->type, query->class,
					   query->dnssec_ok | query->checking_disabled << 1 };

	dns_name_lower(&lower);
	memcpy(key, lower.bytes, lower.size);
	memcpy(key + lower.size, &rest, sizeof(rest));
	return lower.size + sizeof(rest);
}

static int add_waiter(struct question *question, const struct client *client,
		      const struct dns_query *query, const uint8_t *query_bytes)
{
	struct waiter *waiter;

	if (question->upstream->waiter_count == RESOLVER_WAITERS_MAX)
		return -EBUSY;
	waiter = malloc(sizeof(*waiter));
	if (!waiter)
		return -ENOMEM;
	waiter->client = client_ref(client);
	waiter->query = *query;
	memcpy(waiter->bytes, query_bytes, query->question_end);
	list_append(&question->waiters, &waiter->node);
	question->upstream->waiter_count++;
	return 0;
}

static int add_question(struct upstream *upstream, const struct resolver_servers *servers,
			struct question **ret)
{
	struct question *question;

	if (servers->count == 0)
		return -ENOENT;
	if (upstream->questions.count == RESOLVER_QUESTIONS_MAX)
		return -EBUSY;
	if (!upstream->answer)
		upstream->answer = malloc(DNS_MESSAGE_MAX);
	question = calloc(1, sizeof(*question));
	if (!question || !upstream->answer) {
		free(question);
		return -ENOMEM;
	}
	question->upstream = upstream;
	question->servers = *servers;
	list_init(&question->node);
	list_init(&question->waiters);
	*ret = question;
	return 0;
}

int upstream_ask(struct upstream *upstream, const struct client *client,
		 const struct dns_query *query, const uint8_t *query_bytes,
		 const struct dns_name *name)
{
	uint32_t view;
	const struct resolver_servers *servers = servers_for(client, &view);
	uint8_t key[KEY_MAX];
	size_t key_size = make_key(key, view, query, name);
	struct question *question = map_get(&upstream->questions, key, key_size);
	int r;

	if (question)
		return add_waiter(question, client, query, query_bytes);
	r = add_question(upstream, servers, &question);
	if (r < 0)
		return r;
	question->view = view;
	question->key_size = key_size;
	memcpy(question->key, key, key_size);
	dns_exchange_init(&question->exchange, query, name);
	r = add_waiter(question, client, query, query_bytes);
	if (r == 0)
		r = map_set(&upstream->questions, key, key_size, question, NULL);
	if (r < 0) {
		list_foreach(node, &question->waiters)
			free_waiter(upstream, container_of(node, struct waiter, node));
		free(question);
		return r;
	}
	question->server = choose_server(question, 0);
	begin_attempt(question);
	return 0;
}

int upstream_new(struct resolver *resolver)
{
	struct upstream *upstream = calloc(1, sizeof(*upstream));

	if (!upstream)
		return -ENOMEM;
	upstream->resolver = resolver;
	list_init(&upstream->pending);
	(void)uv_timer_init(resolver->options.loop, &upstream->timer);
	resolver->upstream = upstream;
	return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct upstream *upstream = container_of(handle, struct upstream, timer);

	map_done(&upstream->questions);
	free(upstream->answer);
	free(upstream);
}

void upstream_free(struct upstream *upstream)
{
	while (!list_empty(&upstream->pending))
		end_question(container_of(upstream->pending.next, struct question, node));
	uv_close((uv_handle_t *)&upstream->timer, on_timer_closed);
}
