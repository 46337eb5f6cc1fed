/*
 * On wslay's event interface. The library answers pings and close frames by itself, checks masks,
 * fragments, opcodes, close codes and UTF-8, and queues a close frame where something is wrong. What it
 * does not bound is bounded here: pongs that nobody reads, and messages in ever so many fragments.
 */
#include "http/websocket.h"

#include <stdio.h>
#include <string.h>
#include <wslay/wslay.h>

#include "base/list.h"
#include "base/secret.h"
#include "http/server.h"

#define FRAME_HEAD_MAX 10 /* bytes before a payload of the server */
#define PONGS_MAX 64 /* that wait to be pulled */
#define FRAGMENTS_MAX 1024 /* of a message */
#define PING_SIZE 8
#define REASON_MAX 123 /* bytes, RFC 6455 section 5.5 */

/* The rest of a message that is its lender's. */
struct loan {
	struct list node;
	struct websocket *websocket;
	const char *text;
	size_t size;
	void (*release)(void *context);
	void *context;
};

struct websocket {
	wslay_event_context_ptr codec;
	websocket_message_fn *message;
	void *context;
	const uint8_t *in; /* what websocket_receive() was given and the library has not read */
	size_t in_size;
	uint8_t *out; /* the rest of the room that websocket_pull() was given */
	size_t out_size;
	struct list loans;
	size_t lent; /* bytes of them */
	unsigned pongs; /* at least as many as wait */
	unsigned fragments; /* of the message that comes in */
	bool flooded; /* by pings */
	bool closing; /* once what is queued was pulled: */
	uint16_t close_code;
	char close_reason[REASON_MAX + 1];
};

static ssize_t on_receive(wslay_event_context_ptr codec, uint8_t *to, size_t size, int flags,
			  void *user)
{
	struct websocket *websocket = user;

	if (websocket->in_size == 0 || websocket->flooded) {
		wslay_event_set_error(codec, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	if (size > websocket->in_size)
		size = websocket->in_size;
	memcpy(to, websocket->in, size);
	websocket->in += size;
	websocket->in_size -= size;
	return (ssize_t)size;
}

static ssize_t on_send(wslay_event_context_ptr codec, const uint8_t *bytes, size_t size, int flags,
		       void *user)
{
	struct websocket *websocket = user;

	if (websocket->out_size == 0) {
		wslay_event_set_error(codec, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	if (size > websocket->out_size)
		size = websocket->out_size;
	memcpy(websocket->out, bytes, size);
	websocket->out += size;
	websocket->out_size -= size;
	return (ssize_t)size;
}

static void loan_end(struct loan *loan)
{
	loan->websocket->lent -= loan->size;
	list_remove(&loan->node);
	loan->release(loan->context);
	free(loan);
}

/* The library wants the next fragment of a loan. */
static ssize_t on_fragment(wslay_event_context_ptr codec, uint8_t *to, size_t size,
			   const union wslay_event_msg_source *source, int *eof, void *user)
{
	struct loan *loan = source->data;

	if (size > loan->size)
		size = loan->size;
	memcpy(to, loan->text, size);
	loan->text += size;
	loan->size -= size;
	loan->websocket->lent -= size;
	if (loan->size == 0) {
		*eof = 1;
		loan_end(loan);
	}
	return (ssize_t)size;
}

static void on_frame(wslay_event_context_ptr codec,
		     const struct wslay_event_on_frame_recv_start_arg *frame, void *user)
{
	struct websocket *websocket = user;

	if (wslay_is_ctrl_frame(frame->opcode))
		return;
	if (frame->opcode != WSLAY_CONTINUATION_FRAME)
		websocket->fragments = 0;
	if (++websocket->fragments <= FRAGMENTS_MAX)
		return;
	wslay_event_shutdown_read(codec);
	(void)websocket_close(websocket, WSLAY_CODE_POLICY_VIOLATION, "too many fragments");
}

static void on_message(wslay_event_context_ptr codec,
		       const struct wslay_event_on_msg_recv_arg *message, void *user)
{
	struct websocket *websocket = user;

	if (message->opcode == WSLAY_PING && ++websocket->pongs > PONGS_MAX)
		websocket->flooded = true;
	if (!wslay_is_ctrl_frame(message->opcode) && websocket->message)
		websocket->message(websocket->context, message->msg, message->msg_length,
				   message->opcode == WSLAY_TEXT_FRAME);
}

int websocket_new(websocket_message_fn *message, void *context, struct websocket **ret)
{
	static const struct wslay_event_callbacks callbacks = {
		.recv_callback = on_receive,
		.send_callback = on_send,
		.on_frame_recv_start_callback = on_frame,
		.on_msg_recv_callback = on_message,
	};
	struct websocket *websocket = calloc(1, sizeof(*websocket));

	if (!websocket)
		return -ENOMEM;
	if (wslay_event_context_server_init(&websocket->codec, &callbacks, websocket) != 0) {
		free(websocket);
		return -ENOMEM;
	}
	wslay_event_config_set_max_recv_msg_length(websocket->codec, HTTP_SOCKET_MESSAGE_MAX);
	wslay_event_config_set_no_buffering(websocket->codec, !message);
	websocket->message = message;
	websocket->context = context;
	list_init(&websocket->loans);
	*ret = websocket;
	return 0;
}

struct websocket *websocket_free(struct websocket *websocket)
{
	if (!websocket)
		return NULL;
	wslay_event_context_free(websocket->codec);
	list_foreach(node, &websocket->loans)
		loan_end(container_of(node, struct loan, node));
	free(websocket);
	return NULL;
}

int websocket_receive(struct websocket *websocket, const void *bytes, size_t size)
{
	int r;

	if (!wslay_event_get_read_enabled(websocket->codec))
		return 0;
	websocket->in = bytes;
	websocket->in_size = size;
	r = wslay_event_recv(websocket->codec);
	websocket->in = NULL;
	websocket->in_size = 0;
	if (websocket->flooded)
		return -ENOBUFS;
	/* Of a frame that is none the library thinks that reading failed; it has queued a close frame
	 * without a code then and reads no more. */
	return r == 0 || r == WSLAY_ERR_CALLBACK_FAILURE ? 0 : -ENOMEM;
}

/* The library sends control frames before messages, and nothing after a close frame: a close frame is
 * given to it when nothing else is left. Returns whether there is one to send now. */
static bool close_now(struct websocket *websocket)
{
	if (!websocket->closing || wslay_event_want_write(websocket->codec))
		return false;
	websocket->closing = false;
	return wslay_event_queue_close(websocket->codec, websocket->close_code,
				       (const uint8_t *)websocket->close_reason,
				       strlen(websocket->close_reason)) == 0;
}

size_t websocket_pull(struct websocket *websocket, void *to, size_t capacity)
{
	websocket->out = to;
	websocket->out_size = capacity;
	/* It fails only where on_send() does or memory is short; then the rest stays queued. */
	if (wslay_event_want_write(websocket->codec))
		(void)wslay_event_send(websocket->codec);
	if (close_now(websocket))
		(void)wslay_event_send(websocket->codec);
	if (!wslay_event_want_write(websocket->codec))
		websocket->pongs = 0;
	capacity -= websocket->out_size;
	websocket->out = NULL;
	websocket->out_size = 0;
	return capacity;
}

size_t websocket_queued(const struct websocket *websocket)
{
	if (!wslay_event_want_write(websocket->codec))
		return websocket->closing ? FRAME_HEAD_MAX : 0;
	return websocket->lent + wslay_event_get_queued_msg_length(websocket->codec) +
	       wslay_event_get_queued_msg_count(websocket->codec) * FRAME_HEAD_MAX;
}

/* What the library says of a message that was to be queued, as an errno. */
static int queue_error(int r)
{
	if (r == 0)
		return 0;
	return r == WSLAY_ERR_NO_MORE_MSG ? -EPIPE : -ENOMEM;
}

/* Whether a message may be queued. */
static int check_room(const struct websocket *websocket, size_t size)
{
	if (websocket->closing)
		return -EPIPE;
	return size > HTTP_SOCKET_QUEUE_MAX ||
			       websocket_queued(websocket) > HTTP_SOCKET_QUEUE_MAX - size
		       ? -ENOBUFS
		       : 0;
}

int websocket_send_text(struct websocket *websocket, const char *text, size_t size)
{
	const struct wslay_event_msg message = { WSLAY_TEXT_FRAME, (const uint8_t *)text, size };
	int r = check_room(websocket, size);

	return r < 0 ? r : queue_error(wslay_event_queue_msg(websocket->codec, &message));
}

int websocket_lend_text(struct websocket *websocket, const char *text, size_t size,
			void (*release)(void *context), void *context)
{
	struct wslay_event_fragmented_msg message = { .opcode = WSLAY_TEXT_FRAME,
						      .read_callback = on_fragment };
	int r = check_room(websocket, size);
	struct loan *loan = r == 0 ? malloc(sizeof(*loan)) : NULL;

	if (!loan) {
		release(context);
		return r < 0 ? r : -ENOMEM;
	}
	*loan = (struct loan){ { 0 }, websocket, text, size, release, context };
	list_append(&websocket->loans, &loan->node);
	websocket->lent += size;
	message.source.data = loan;
	r = queue_error(wslay_event_queue_fragmented_msg(websocket->codec, &message));
	if (r < 0)
		loan_end(loan);
	return r;
}

int websocket_ping(struct websocket *websocket)
{
	uint8_t payload[PING_SIZE];
	const struct wslay_event_msg message = { WSLAY_PING, payload, sizeof(payload) };

	if (websocket->closing)
		return -EPIPE;
	random_bytes(payload, sizeof(payload));
	return queue_error(wslay_event_queue_msg(websocket->codec, &message));
}

int websocket_close(struct websocket *websocket, uint16_t code, const char *reason)
{
	if (websocket->closing || !wslay_event_get_write_enabled(websocket->codec))
		return -EPIPE;
	websocket->closing = true;
	websocket->close_code = code;
	(void)snprintf(websocket->close_reason, sizeof(websocket->close_reason), "%s",
		       reason ? reason : "");
	return 0;
}

bool websocket_is_over(const struct websocket *websocket)
{
	return wslay_event_get_close_sent(websocket->codec) &&
	       !wslay_event_get_read_enabled(websocket->codec);
}
