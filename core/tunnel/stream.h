/*
 * Revisions and live status on their way to many readers
 *
 * Keeps the recent revisions as text, made once for each view of the document (a pointer, with secrets
 * or without) and shared by all its readers. A reader has a place in them: it is given what follows
 * while its socket takes it, falls behind where that is slow, and catches up when the socket has
 * drained. Long texts are lent to sockets, not copied. So a slow reader costs a place, not a queue, and
 * delays nobody. Where it falls out of what is kept, or its socket does not drain within STREAM_STALL_S,
 * that is dropped: it comes back for the document.
 *
 * Frames are {"id": revision, "patch": [...]} (rpc-and-patchdb.md 4.7) and, for the status,
 * {"id": revision, "patch": [], "status": {...}}, which clients that know nothing of it pass over. A
 * reader's first status is whole; later ones hold what changed.
 *
 * Does no I/O and reads no clock: texts go to sinks, time is passed in. Owned by one event loop.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#define STREAM_REVISIONS_MAX 2048 /* kept for those who fell behind or come back */
#define STREAM_BYTES_MAX (4U << 20) /* of their texts; a longer revision loses every reader */
#define STREAM_READER_QUEUE_MAX 8192 /* bytes in its socket beyond which a reader gets no more */
#define STREAM_COPY_MAX                                                                            \
	8192 /* bytes of a frame that a socket gets a copy of; longer ones are lent */
#define STREAM_LENT_MAX                                                                            \
	(8U << 20) /* bytes of all that are lent; what is not among them has to wait */
#define STREAM_STALL_S 30 /* that a socket may take to drain */

struct stream;
struct stream_reader;

/* Where a reader's frames go. drop() ends it at once; none of these may free the reader. */
struct stream_sink {
	int (*send)(void *sink, const char *text,
		    size_t size); /* copies; 0 or negative: it ended */
	/* The same, but borrows until it calls release(lent), once, also on failure. */
	int (*lend)(void *sink, const char *text, size_t size, void (*release)(void *lent),
		    void *lent);
	size_t (*queued)(const void *sink); /* bytes that are not on their way yet */
	void (*drop)(void *sink);
};

/* @sink: how all readers' sinks work; borrowed. @revision: of the document now. 0 or -ENOMEM. */
int stream_new(const struct stream_sink *sink, uint64_t revision, struct stream **ret);

/* Its readers were freed before; what is lent may come back later. NULL is fine. Returns NULL. */
struct stream *stream_free(struct stream *stream);
DEFINE_CLEANUP(struct stream *, stream_free);

/* What gives the whole status as the text of a JSON object, which the stream frees with free(); NULL:
 * not known yet, and stream_tell_status() is called when it is. */
void stream_set_status(struct stream *stream, char *(*whole)(void *context), void *context);

/*
 * A new revision. @patch: of the whole document; NULL where it is not known, which loses every
 * reader. Want of memory loses readers too.
 */
void stream_publish(struct stream *stream, uint64_t revision, const json_t *patch);

/* The status is of now. @changes: text of a JSON object with what changed; NULL: nothing did, and only
 * readers that have not got the whole one are told something. */
void stream_tell_status(struct stream *stream, const char *changes);

/* Drops readers that stall. To be called every few seconds while there are open readers. */
void stream_check(struct stream *stream, uint64_t now_ns);

/*
 * Adds a reader that has seen @since.
 * @pointer: to the part that it sees, copied. @redacted: without secrets (redact.h).
 * Returns 0; -ESTALE where what came after @since is not kept, or did not happen yet; -ENOMEM.
 */
int stream_reader_new(struct stream *stream, const char *pointer, bool redacted, uint64_t since,
		      struct stream_reader **ret);

/* NULL is fine. Returns NULL. Does not drop the sink. */
struct stream_reader *stream_reader_free(struct stream_reader *reader);

/* The sink is there: gives it what it missed. */
void stream_reader_open(struct stream_reader *reader, void *sink);

/* Everything in the sink is on its way. */
void stream_reader_drained(struct stream_reader *reader);

/* Readers whose sink is open. */
size_t stream_open_readers(const struct stream *stream);
