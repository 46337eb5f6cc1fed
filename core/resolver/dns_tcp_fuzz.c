/*
 * Bytes of a device go through a real connection of tcp.c, over a pair of sockets and on a loop that is
 * stepped by hand, in pieces, with answers read as they come or at the end.
 *
 * The input is how it is cut and how it ends, and the stream. Each message says what becomes of it: it is
 * answered at once, later, from within, or not at all, answers others, or ends the service. Messages come out
 * whole and in order, all that are whole until a length that is none, which closes the connection; so do the
 * answers, once each; what waits stays within the limits; and nothing is left of the connection.
 */
#include <assert.h>
#include <signal.h>
#include <sys/socket.h>

#include "resolver/tcp.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STREAM_MAX 32768
#define MESSAGES_MAX (STREAM_MAX / (2 + DNS_HEADER_SIZE) + 1)
#define SOCKET_BUFFER 8192
#define LARGE 24000 /* so that a dozen answers that nobody reads are enough */
#define TURNS_MAX 100000 /* of the loop, until nothing moves any more */
#define QUIET_TURNS 4

enum { /* the first byte of an input */
       READS_ALONG = 1,
       LAST_FIRST = 2, /* what waits longest is answered last */
       BREAKS_OFF = 4, /* the device goes without another word */
};

enum action { /* the third byte of a message, where a query has its opcode */
	      ACTION_ANSWER,
	      ACTION_ANSWER_LARGE,
	      ACTION_LATER,
	      ACTION_WITHIN, /* as an update is that is refused at once */
	      ACTION_NONE,
	      ACTION_ANSWER_WAITING, /* as a question that many have asked */
	      ACTION_WITHIN_LARGE,
	      ACTION_END,
	      ACTION_COUNT,
};

struct waiting {
	struct tcp_connection *connection;
	unsigned number;
};

struct run {
	uv_loop_t loop;
	struct resolver resolver;
	struct proxy proxy;
	struct tcp_connection *connection; /* there as long as it is counted */
	int fd; /* the device's */
	uint8_t how;
	const uint8_t *stream; /* what is not served yet */
	size_t left;
	bool ended; /* by ACTION_END */
	unsigned served;
	struct waiting waiting[WAITING_MAX + 1];
	unsigned waiting_count;
	uint16_t answers[MESSAGES_MAX]; /* sizes of those that the device is to get */
	uint8_t output[2 + DNS_MESSAGE_MAX]; /* read, and no whole answer yet */
	size_t output_size;
};

/* --- who uses tcp.c --- */

struct proxy *proxy_ref(struct proxy *proxy)
{
	proxy->refs++;
	return proxy;
}

void proxy_unref(struct proxy *proxy)
{
	proxy->refs--;
}

uint32_t proxy_device(const struct proxy *proxy, const struct ip_address *from)
{
	return ip_to_v4(from);
}

static bool is_open(const struct run *run)
{
	return run->resolver.connection_count > 0;
}

/* Number, filling, number. */
static size_t write_answer(struct run *run, unsigned number, size_t size, uint8_t *to)
{
	memset(to, (int)number, size);
	to[0] = to[size - 2] = (uint8_t)(number >> 8);
	to[1] = to[size - 1] = (uint8_t)number;
	run->answers[number] = (uint16_t)size;
	return size;
}

static void answer(struct run *run, struct tcp_connection *connection, unsigned number, size_t size)
{
	uint8_t bytes[LARGE];

	tcp_connection_send(connection, bytes, write_answer(run, number, size, bytes));
	tcp_connection_unref(connection);
}

static bool answer_waiting(struct run *run)
{
	struct waiting w = run->waiting[0];

	if (run->waiting_count == 0)
		return false;
	run->waiting_count--;
	if (run->how & LAST_FIRST)
		w = run->waiting[run->waiting_count];
	else
		memmove(run->waiting, run->waiting + 1, run->waiting_count * sizeof(w));
	answer(run, w.connection, w.number, 16);
	return true;
}

static void check_limits(const struct run *run)
{
	const struct tcp_connection *connection = run->connection;

	assert(connection->capacity <= RESOLVER_TCP_REQUEST_MAX + 2 + READ_MIN);
	assert(connection->size <= connection->capacity);
	assert(connection->refs <= 2 + WAITING_MAX + 1);
	assert(uv_stream_get_write_queue_size((const uv_stream_t *)&connection->stream) <=
	       QUEUED_MAX + 2 * (2 + LARGE));
}

/* Whether the stream goes on with a message; false, too, where it goes on with something else. */
static bool has_message(const struct run *run, size_t *ret_size, bool *ret_sound)
{
	*ret_size = run->left >= 2 ? (size_t)run->stream[0] << 8 | run->stream[1] : 0;
	*ret_sound = run->left < 2 ||
		     (*ret_size >= DNS_HEADER_SIZE && *ret_size <= RESOLVER_TCP_REQUEST_MAX);
	return run->left >= 2 && *ret_sound && run->left - 2 >= *ret_size;
}

size_t serve(const struct client *client, const uint8_t *message, size_t size, uint8_t *to)
{
	struct run *run = container_of(client->proxy, struct run, proxy);
	unsigned number = run->served++;
	size_t expected;
	bool sound;

	assert(is_open(run) && client->tcp == run->connection);
	check_limits(run);
	assert(has_message(run, &expected, &sound));
	assert(size == expected && memcmp(message, run->stream + 2, size) == 0);
	run->stream += 2 + size;
	run->left -= 2 + size;
	switch ((enum action)(message[2] % ACTION_COUNT)) {
	case ACTION_ANSWER:
		return write_answer(run, number, DNS_HEADER_SIZE + message[3], to);
	case ACTION_ANSWER_LARGE:
		return write_answer(run, number, LARGE, to);
	case ACTION_LATER:
		assert(run->waiting_count < ARRAY_SIZE(run->waiting));
		run->waiting[run->waiting_count++] =
			(struct waiting){ tcp_connection_ref(client->tcp), number };
		return 0;
	case ACTION_WITHIN:
		answer(run, tcp_connection_ref(client->tcp), number, 16);
		return 0;
	case ACTION_WITHIN_LARGE:
		answer(run, tcp_connection_ref(client->tcp), number, LARGE);
		return 0;
	case ACTION_ANSWER_WAITING:
		while (answer_waiting(run))
			;
		return 0;
	case ACTION_END:
		run->ended = true;
		tcp_close_all(&run->resolver, &run->proxy);
		return write_answer(run, number, DNS_HEADER_SIZE, to);
	default:
		return 0;
	}
}

/* --- the device --- */

/* Takes the answers that are whole. */
static void take_answers(struct run *run)
{
	for (;;) {
		const uint8_t *at = run->output + 2;
		size_t size;
		unsigned number;

		if (run->output_size < 2)
			return;
		size = (size_t)run->output[0] << 8 | run->output[1];
		if (run->output_size - 2 < size)
			return;
		assert(size >= DNS_HEADER_SIZE);
		number = (unsigned)at[0] << 8 | at[1];
		assert(number < run->served && run->answers[number] == size);
		assert(memcmp(at, at + size - 2, 2) == 0);
		for (size_t i = 2; i < size - 2; i++)
			assert(at[i] == (uint8_t)number);
		run->answers[number] = 0;
		run->output_size -= 2 + size;
		memmove(run->output, at + size, run->output_size);
	}
}

/* Reads what has come. Returns whether there was anything. */
static bool drain(struct run *run)
{
	ssize_t size = recv(run->fd, run->output + run->output_size,
			    sizeof(run->output) - run->output_size, MSG_DONTWAIT);

	if (size <= 0)
		return false;
	run->output_size += (size_t)size;
	take_answers(run);
	return true;
}

/* Turns the loop until the connection waits for more, or for the device to read. */
static void settle(struct run *run, bool reads)
{
	unsigned quiet = 0;

	for (unsigned turn = 0; quiet < QUIET_TURNS; turn++) {
		bool moved = answer_waiting(run);

		assert(turn < TURNS_MAX);
		(void)uv_run(&run->loop, UV_RUN_NOWAIT);
		if (reads)
			moved = drain(run) || moved;
		if (is_open(run))
			check_limits(run);
		quiet = moved ? 0 : quiet + 1;
	}
}

/* All that is sent is read in the end, or there is nobody any more who could. */
static void give(struct run *run, const uint8_t *bytes, size_t size)
{
	while (size > 0 && is_open(run)) {
		ssize_t part = send(run->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);

		settle(run, part < 0 || (run->how & READS_ALONG));
		bytes += part > 0 ? part : 0;
		size -= part > 0 ? (size_t)part : 0;
	}
}

static void begin(struct run *run)
{
	const int buffer = SOCKET_BUFFER;
	int fds[2];

	assert(uv_loop_init(&run->loop) == 0);
	run->resolver.options.loop = &run->loop;
	list_init(&run->resolver.connections);
	run->proxy = (struct proxy){ .resolver = &run->resolver, .refs = 1 };
	assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	assert(setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer)) == 0);
	run->fd = fds[0];
	run->connection = connection_new(&run->proxy);
	assert(run->connection && uv_tcp_open(&run->connection->stream, fds[1]) == 0);
	keep_alive(run->connection);
	read_on(run->connection);
}

/* What the device sent was served, and it got all answers, unless somebody had a reason to close. */
static void check_end(struct run *run)
{
	size_t size;
	bool sound;

	settle(run, true);
	assert(!has_message(run, &size, &sound) || run->ended);
	assert(is_open(run) == (sound && !run->ended));
	for (unsigned i = 0; i < run->served && is_open(run); i++)
		assert(run->answers[i] == 0);
}

static void end(struct run *run)
{
	if (!(run->how & BREAKS_OFF)) {
		check_end(run);
		(void)shutdown(run->fd, SHUT_WR);
		settle(run, true);
		assert(!is_open(run));
	}
	(void)close(run->fd);
	(void)uv_run(&run->loop, UV_RUN_NOWAIT);
	while (answer_waiting(run))
		;
	tcp_close_all(&run->resolver, NULL);
	(void)uv_run(&run->loop, UV_RUN_DEFAULT);
	while (answer_waiting(run)) /* asked since */
		;
	assert(uv_loop_close(&run->loop) == 0);
	assert(!is_open(run) && run->proxy.refs == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct run run;
	size_t step;

	if (size < 2 || size - 2 > STREAM_MAX)
		return 0;
	(void)signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	run = (struct run){ .how = data[0], .stream = data + 2, .left = size - 2 };
	step = data[1];
	data += 2;
	size -= 2;
	begin(&run);
	while (size > 0) {
		size_t part = step && step < size ? step : size;

		give(&run, data, part);
		data += part;
		size -= part;
		step = step ? step * 7 % 1021 + 1 : 0;
	}
	end(&run);
	return 0;
}
