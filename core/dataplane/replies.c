#include <string.h>

#include "dataplane/dataplane_internal.h"

int replies_init(struct replies *replies, bool segment, const struct udp_sender_ops *ops,
		 void *context)
{
	int r = udp_sender_new(REPLIES_MAX, segment, ops, context, &replies->v4);

	return r == 0 ? udp_sender_new(REPLIES_MAX, segment, ops, context, &replies->v6) : r;
}

void replies_done(struct replies *replies)
{
	replies->v4 = udp_sender_free(replies->v4);
	replies->v6 = udp_sender_free(replies->v6);
}

void replies_set_sockets(struct replies *replies, const struct udp_pair *sockets)
{
	udp_sender_set_socket(replies->v4, sockets->v4);
	udp_sender_set_socket(replies->v6, sockets->v6);
}

static struct udp_sender *sender_for(const struct replies *replies, const struct wg_route *to)
{
	return to->remote.address.family == AF_INET6 ? replies->v6 : replies->v4;
}

static bool same_place(const struct reply *a, const struct reply *b)
{
	return a->ds == b->ds && a->to.remote.scope_id == b->to.remote.scope_id &&
	       a->to.remote.port == b->to.remote.port &&
	       ip_equal(&a->to.remote.address, &b->to.remote.address) &&
	       ip_equal(&a->to.local, &b->to.local);
}

/* A socket that is full is full of packets: those are worth more than what is said again anyway. */
static void flush_one(struct udp_sender *sender)
{
	if (udp_sender_flush(sender) == UDP_BLOCKED)
		udp_sender_drop(sender);
}

void replies_flush(struct replies *replies)
{
	size_t first = 0;

	if (replies->count == 0)
		return;
	while (first < replies->count) {
		const struct reply *reply = &replies->queue[first];
		struct udp_path path = dataplane_path(&reply->to);
		size_t next = first + 1;

		while (next < replies->count && same_place(reply, &replies->queue[next]))
			next++;
		udp_sender_add(sender_for(replies, &reply->to), &path, reply->ds,
			       &replies->messages[first], next - first, NULL);
		first = next;
	}
	flush_one(replies->v4);
	flush_one(replies->v6);
	replies->count = 0;
}

void replies_add(struct replies *replies, const struct wg_route *to, uint8_t ds,
		 const void *message, size_t size)
{
	struct reply *reply;

	if (replies->count == REPLIES_MAX || size > REPLY_SIZE)
		replies_flush(replies);
	if (size > REPLY_SIZE) {
		struct udp_path path = dataplane_path(to);

		udp_sender_send(sender_for(replies, to), &path, ds, message, size);
		return;
	}
	reply = &replies->queue[replies->count];
	reply->to = *to;
	reply->ds = ds;
	memcpy(reply->bytes, message, size);
	replies->messages[replies->count++] = (struct iovec){ reply->bytes, size };
}
