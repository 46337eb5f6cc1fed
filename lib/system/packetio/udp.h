/*
 * UDP in batches
 *
 * udp_open_pair() makes the sockets and is the only part that may need privilege. A udp_sender
 * queues messages for one socket and sends them with as few system calls as the kernel allows:
 * messages to one place become one segmented send (UDP_SEGMENT), and all that is queued is one
 * sendmmsg(). Where the path is too small for segments of that size, messages go one by one, and for a
 * while it remembers that. A udp_receiver takes in many datagrams in one call, each of which may be a train of
 * equal messages (UDP_GRO). What the kernel or the device below turns out not to do is stepped down
 * at run time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "base/ip.h"

/* Where a message goes to or came from, and the address of this host that it is from or was to. */
struct udp_path {
	struct endpoint remote;
	struct ip_address local; /* family 0: the kernel chooses */
};

struct udp_pair {
	int v4; /* -EBADF where the host has no such family */
	int v6;
	uint16_t port;
};

enum udp_open_flags {
	UDP_WITHOUT_GRO = 1 << 0,
};

/*
 * Opens an IPv4 and an IPv6 socket on one port, ready for sender and receiver: non-blocking, 8 MiB of
 * buffers where that is permitted, packet information, DS field and GRO on receive; packets that are
 * sent may be fragmented on their way. @port 0: any that is free in both families.
 * Returns 0, or a negative errno: -EADDRINUSE, -EACCES, -EPERM (mark), -EAFNOSUPPORT for no IP at all.
 */
int udp_open_pair(uint16_t port, uint32_t mark, unsigned flags, struct udp_pair *ret);

void udp_close_pair(struct udp_pair *pair);
DEFINE_CLEANUP_DONE(struct udp_pair, udp_close_pair);

/* Sets the firewall mark of both. Returns 0 or a negative errno. */
int udp_set_mark(const struct udp_pair *pair, uint32_t mark);

/* Tells the index of an interface where the sockets are. Needs no privilege. Returns 0 or -ENODEV. */
int udp_find_link(const struct udp_pair *pair, const char *name, uint32_t *ret);

struct udp_sender;

struct udp_sender_ops {
	/* The kernel refused the local address of a path; its messages went without. */
	void (*source_refused)(void *context, void *owner);
};

enum udp_flush_result {
	UDP_FLUSHED = 0,
	UDP_BLOCKED = 1, /* the socket is full: flush again when it is writable */
};

/* @capacity: messages in the queue. @segment: whether to try UDP_SEGMENT. Returns 0 or -ENOMEM. */
int udp_sender_new(size_t capacity, bool segment, const struct udp_sender_ops *ops, void *context,
		   struct udp_sender **ret);

struct udp_sender *udp_sender_free(struct udp_sender *s);
DEFINE_CLEANUP(struct udp_sender *, udp_sender_free);

/* Uses another socket, borrowed; what is queued goes there. -EBADF: none, messages are lost. */
void udp_sender_set_socket(struct udp_sender *s, int fd);

/*
 * Queues messages to one place, in order. The vectors and what they point at stay until the queue is
 * flushed. @owner goes to source_refused(). The caller keeps within the capacity.
 */
void udp_sender_add(struct udp_sender *s, const struct udp_path *path, uint8_t ds,
		    struct iovec *messages, size_t count, void *owner);

/* Sends what is queued; what fails is lost, as on any network. Returns an enum udp_flush_result. */
int udp_sender_flush(struct udp_sender *s);

/* Forgets what is queued, which is lost. */
void udp_sender_drop(struct udp_sender *s);

/* Messages that could not be sent, or only had no socket, since it was made. */
uint64_t udp_sender_lost(const struct udp_sender *s);

/* Sends of many messages as one that the kernel refused; they went one by one. */
uint64_t udp_sender_refused(const struct udp_sender *s);

/* Whether it still sends many messages as one. */
bool udp_sender_segments(const struct udp_sender *s);

/* Datagrams that a socket had no room for, since it was opened. */
uint32_t udp_overflows(int fd);

/* Bytes of buffer that a socket was granted, of the 8 MiB that were asked for. */
uint32_t udp_receive_buffer(int fd);
uint32_t udp_send_buffer(int fd);

/* Owners may have gone: none will be told of what is queued. */
void udp_sender_forget_owners(struct udp_sender *s);

/* Sends one message at once, past the queue. A full socket loses it. */
void udp_sender_send(struct udp_sender *s, const struct udp_path *path, uint8_t ds,
		     const void *message, size_t size);

/* A datagram, or several messages of message_size each (the last may be shorter) from one sender. */
struct udp_train {
	uint8_t *data;
	size_t size;
	size_t message_size; /* at least 1 */
	uint8_t ds;
	struct udp_path path;
};

struct udp_receiver;

/* @capacity: datagrams in one call, 64 KiB each. Returns 0 or -ENOMEM. */
int udp_receiver_new(size_t capacity, struct udp_receiver **ret);

struct udp_receiver *udp_receiver_free(struct udp_receiver *r);
DEFINE_CLEANUP(struct udp_receiver *, udp_receiver_free);

/*
 * Receives what is there, at most the capacity; it stays valid and may be changed until the next
 * call. @ret_trains: borrowed array. Returns the number of trains, -EAGAIN, or another negative errno.
 */
ssize_t udp_receive(struct udp_receiver *r, int fd, struct udp_train **ret_trains);

/* Datagrams that were no train, since it was made: empty, not whole, or from nowhere. */
uint64_t udp_receiver_discarded(const struct udp_receiver *r);
