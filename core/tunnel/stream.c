#include "tunnel/stream.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/secret.h"
#include "document/redact.h"
#include "store/scope.h"

/* Those who see the same of each revision. */
struct view {
	struct list node;
	struct list readers;
	bool redacted;
	char pointer[];
};

/* A revision as a view sees it, empty where it does not touch that; or a status. */
struct frame {
	struct frame *next;
	const struct view *view; /* NULL: the whole document with its secrets */
	struct stream *stream; /* NULL: not lent, or the stream is gone */
	struct list lent; /* among those of the stream that are lent */
	unsigned loans;
	unsigned references; /* its owner, and each loan */
	size_t size;
	char text[];
};

struct entry {
	struct list node;
	uint64_t revision;
	struct frame *whole; /* the document with its secrets; all others can be made from it */
	struct frame *frames; /* of views */
};

struct stream_reader {
	struct list node; /* in its view */
	struct list starved; /* its sink is empty, and it waits for what is lent to come back */
	struct stream *stream;
	struct view *view;
	void *sink; /* NULL: not open yet, or dropped */
	uint64_t position; /* the revision it has */
	size_t queued; /* in its sink, when that was last looked at */
	uint64_t since_ns; /* it is so; 0: for stream_check() to note */
	bool wants_status; /* the whole one */
	bool freed; /* while frames are given out */
};

struct stream {
	const struct stream_sink *sink;
	struct list views;
	struct list entries; /* oldest first */
	size_t entry_count;
	size_t bytes;
	uint64_t begin; /* the revision before the oldest entry */
	uint64_t revision;
	struct list starved;
	struct list lent; /* frames that sinks have */
	size_t lent_bytes;
	size_t open;
	int busy; /* giving out: readers stay in their lists */
	bool garbage; /* readers that were freed meanwhile */
	char *(*status)(void *context);
	void *status_context;
	struct frame *whole; /* of the whole status, while it is of now */
};

/* Frames. */

static struct frame *frame_new(const struct view *view, size_t size)
{
	struct frame *frame = malloc(sizeof(*frame) + size + 1);

	if (frame) {
		*frame = (struct frame){ .view = view, .references = 1, .size = size };
		list_init(&frame->lent);
		frame->text[size] = '\0';
	}
	return frame;
}

static struct frame *frame_unref(struct frame *frame)
{
	if (!frame || --frame->references > 0)
		return NULL;
	secret_wipe(frame->text, frame->size);
	free(frame);
	return NULL;
}

static void frame_lend(struct stream *stream, struct frame *frame)
{
	frame->references++;
	if (frame->loans++ > 0)
		return;
	frame->stream = stream;
	list_append(&stream->lent, &frame->lent);
	stream->lent_bytes += frame->size;
}

/* No longer among what is lent, as its stream sees it. */
static void frame_returned(struct frame *frame)
{
	if (!frame->stream)
		return;
	frame->stream->lent_bytes -= frame->size;
	list_remove(&frame->lent);
	frame->stream = NULL;
}

/* A sink has done with it. */
static void on_release(void *lent)
{
	struct frame *frame = lent;

	if (--frame->loans == 0)
		frame_returned(frame);
	(void)frame_unref(frame);
}

/* The text of a patch as a frame. NULL: out of memory. */
static struct frame *frame_of_patch(const struct view *view, uint64_t revision, const json_t *patch)
{
	cleanup_free char *body = json_array_size(patch) > 0 ? json_dumps(patch, JSON_COMPACT)
							     : NULL;
	char head[64];
	size_t size = 0, head_size, body_size = body ? strlen(body) : 0;
	struct frame *frame;

	if (json_array_size(patch) > 0 && !body)
		return NULL;
	head_size =
		(size_t)snprintf(head, sizeof(head), "{\"id\":%" PRIu64 ",\"patch\":", revision);
	if (body)
		size = head_size + body_size + 1;
	frame = frame_new(view, size);
	if (frame && body) {
		memcpy(frame->text, head, head_size);
		memcpy(frame->text + head_size, body, body_size);
		frame->text[size - 1] = '}';
	}
	if (body)
		secret_wipe(body, body_size);
	return frame;
}

/* What a view sees of a patch. NULL: out of memory. */
static json_t *seen_patch(const struct view *view, const json_t *patch)
{
	json_t *seen = NULL, *scoped = NULL;

	if (!view->redacted)
		seen = json_incref((json_t *)patch);
	else if (redact_patch(patch, &seen) < 0)
		return NULL;
	if (!view->pointer[0])
		return seen;
	if (scope_patch(seen, view->pointer, &scoped) < 0)
		scoped = NULL;
	json_decref(seen);
	return scoped;
}

static struct frame *frame_of_view(const struct view *view, uint64_t revision, const json_t *patch)
{
	json_t *seen = seen_patch(view, patch);
	struct frame *frame = seen ? frame_of_patch(view, revision, seen) : NULL;

	json_decref(seen);
	return frame;
}

/* The frame for a view, made from that of the whole where it is not there yet. NULL: out of memory. */
static struct frame *entry_frame(struct stream *stream, struct entry *entry,
				 const struct view *view, const json_t *patch)
{
	struct frame *frame = entry->frames;
	json_t *object = NULL;

	if (!view->redacted && !view->pointer[0])
		return entry->whole;
	while (frame && frame->view != view)
		frame = frame->next;
	if (frame)
		return frame;
	if (!patch) {
		object = json_loads(entry->whole->text, 0, NULL);
		patch = json_object_get(object, "patch");
	}
	frame = patch ? frame_of_view(view, entry->revision, patch) : NULL;
	json_decref(object);
	if (frame) {
		frame->next = entry->frames;
		entry->frames = frame;
		stream->bytes += frame->size;
	}
	return frame;
}

static void entry_free(struct stream *stream, struct entry *entry)
{
	struct frame *next;

	for (struct frame *frame = entry->frames; frame; frame = next) {
		next = frame->next;
		stream->bytes -= frame->size;
		(void)frame_unref(frame);
	}
	stream->bytes -= entry->whole->size;
	(void)frame_unref(entry->whole);
	list_remove(&entry->node);
	stream->entry_count--;
	free(entry);
}

static struct entry *oldest_entry(struct stream *stream)
{
	return list_empty(&stream->entries)
		       ? NULL
		       : container_of(stream->entries.next, struct entry, node);
}

static void forget_entries(struct stream *stream)
{
	struct entry *oldest;

	while ((oldest = oldest_entry(stream)))
		entry_free(stream, oldest);
	stream->begin = stream->revision;
}

/* Keeps within the bounds; readers that need what goes are lost. */
static void forget_oldest(struct stream *stream)
{
	struct entry *oldest;

	while ((oldest = oldest_entry(stream)) &&
	       (stream->entry_count > STREAM_REVISIONS_MAX || stream->bytes > STREAM_BYTES_MAX)) {
		stream->begin = oldest->revision;
		entry_free(stream, oldest);
	}
}

/* Views. */

static struct view *view_find(struct stream *stream, const char *pointer, bool redacted)
{
	list_foreach(node, &stream->views) {
		struct view *view = container_of(node, struct view, node);

		if (view->redacted == redacted && strcmp(view->pointer, pointer) == 0)
			return view;
	}
	return NULL;
}

static struct view *view_new(struct stream *stream, const char *pointer, bool redacted)
{
	size_t size = strlen(pointer) + 1;
	struct view *view = malloc(sizeof(*view) + size);

	if (!view)
		return NULL;
	*view = (struct view){ .redacted = redacted };
	memcpy(view->pointer, pointer, size);
	list_init(&view->readers);
	list_append(&stream->views, &view->node);
	return view;
}

/* Its last reader is gone. */
static void view_free(struct stream *stream, struct view *view)
{
	list_foreach(node, &stream->entries) {
		struct entry *entry = container_of(node, struct entry, node);
		struct frame **at = &entry->frames;

		while (*at && (*at)->view != view)
			at = &(*at)->next;
		if (*at) {
			struct frame *frame = *at;

			*at = frame->next;
			stream->bytes -= frame->size;
			(void)frame_unref(frame);
		}
	}
	list_remove(&view->node);
	free(view);
}

/* Readers. */

static void note_queued(struct stream_reader *reader, size_t queued)
{
	if (queued == 0 || reader->queued == 0)
		reader->since_ns = 0;
	reader->queued = queued;
}

/* The sink is of no use any more; who owns it frees the reader when it is gone. */
static void leave_sink(struct stream_reader *reader)
{
	if (!reader->sink)
		return;
	note_queued(reader, 0);
	reader->sink = NULL;
	reader->stream->open--;
	list_remove(&reader->starved);
}

static void lose(struct stream_reader *reader)
{
	void *sink = reader->sink;

	leave_sink(reader);
	if (sink)
		reader->stream->sink->drop(sink);
}

static bool has_room(struct stream_reader *reader)
{
	note_queued(reader, reader->stream->sink->queued(reader->sink));
	return reader->queued <= STREAM_READER_QUEUE_MAX;
}

/* Whether a frame may be sent now. Where not, it is when this sink, or others, have drained. */
static bool may_send(struct stream_reader *reader, const struct frame *frame)
{
	struct stream *stream = reader->stream;

	list_remove(&reader->starved);
	if (!has_room(reader))
		return false;
	if (frame->size <= STREAM_COPY_MAX)
		return reader->queued + frame->size <= STREAM_READER_QUEUE_MAX;
	if (frame->loans > 0 || stream->lent_bytes + frame->size <= STREAM_LENT_MAX)
		return true;
	if (reader->queued == 0)
		list_append(&stream->starved, &reader->starved);
	return false;
}

/* Returns false where the sink ended. */
static bool send(struct stream_reader *reader, struct frame *frame)
{
	struct stream *stream = reader->stream;
	int r;

	if (frame->size <= STREAM_COPY_MAX) {
		r = stream->sink->send(reader->sink, frame->text, frame->size);
	} else {
		frame_lend(stream, frame);
		r = stream->sink->lend(reader->sink, frame->text, frame->size, on_release, frame);
	}
	if (r < 0) {
		leave_sink(reader);
	} else if (reader->sink) {
		note_queued(reader, stream->sink->queued(reader->sink));
	}
	return reader->sink;
}

/* The first entry that the reader has not got, or NULL. It is among the newest, as a rule. */
static struct entry *next_entry(const struct stream_reader *reader)
{
	struct stream *stream = reader->stream;
	struct list *node = &stream->entries;

	while (node->previous != &stream->entries &&
	       container_of(node->previous, struct entry, node)->revision > reader->position)
		node = node->previous;
	return node == &stream->entries ? NULL : container_of(node, struct entry, node);
}

/* Whether the reader has everything now. @patch: of the newest entry, where it is at hand. */
static bool give_revisions(struct stream_reader *reader, const json_t *patch)
{
	struct stream *stream = reader->stream;
	struct entry *entry = next_entry(reader);

	if (reader->position < stream->begin) {
		lose(reader);
		return false;
	}
	while (entry) {
		bool newest = entry->node.next == &stream->entries;
		struct frame *frame =
			entry_frame(stream, entry, reader->view, newest ? patch : NULL);

		if (!frame) {
			lose(reader);
			return false;
		}
		if (frame->size > 0 && !may_send(reader, frame))
			return false;
		reader->position = entry->revision;
		if (frame->size > 0 && !send(reader, frame))
			return false;
		entry = newest ? NULL : container_of(entry->node.next, struct entry, node);
	}
	return true;
}

/* NULL: out of memory. */
static struct frame *status_frame(uint64_t revision, const char *status)
{
	char head[64];
	int head_size = snprintf(head, sizeof(head),
				 "{\"id\":%" PRIu64 ",\"patch\":[],\"status\":", revision);
	size_t size = strlen(status);
	struct frame *frame = frame_new(NULL, (size_t)head_size + size + 1);

	if (frame) {
		memcpy(frame->text, head, (size_t)head_size);
		memcpy(frame->text + head_size, status, size);
		frame->text[frame->size - 1] = '}';
	}
	return frame;
}

static struct frame *whole_status(struct stream *stream)
{
	cleanup_free char *status = NULL;

	if (!stream->whole) {
		status = stream->status ? stream->status(stream->status_context) : NULL;
		stream->whole = status ? status_frame(stream->revision, status) : NULL;
	}
	return stream->whole;
}

/* Gives a reader what it has not got, so far as its sink takes it. */
static void catch_up(struct stream_reader *reader, const json_t *patch)
{
	struct frame *status;

	/* The whole status is not made for a sink that has no room for it anyway. */
	if (!reader->sink || reader->freed || !give_revisions(reader, patch) ||
	    !reader->wants_status || !has_room(reader))
		return;
	status = whole_status(reader->stream);
	if (status && may_send(reader, status) && send(reader, status))
		reader->wants_status = false;
}

static void reader_release(struct stream_reader *reader)
{
	struct stream *stream = reader->stream;

	list_remove(&reader->node);
	if (list_empty(&reader->view->readers))
		view_free(stream, reader->view);
	free(reader);
}

/* While frames are given out, readers that are freed stay where they are. */
static void begin_giving(struct stream *stream)
{
	stream->busy++;
}

static void end_giving(struct stream *stream)
{
	if (--stream->busy > 0)
		return;
	forget_oldest(stream);
	if (!stream->garbage)
		return;
	stream->garbage = false;
	list_foreach(view_node, &stream->views) {
		struct view *view = container_of(view_node, struct view, node);
		struct list *last = view->readers.previous;

		/* The view goes with its last reader. */
		list_foreach(node, &view->readers) {
			struct stream_reader *reader =
				container_of(node, struct stream_reader, node);
			bool end = node == last;

			if (reader->freed)
				reader_release(reader);
			if (end)
				break;
		}
	}
}

static void give_everybody(struct stream *stream, const json_t *patch)
{
	begin_giving(stream);
	list_foreach(view_node, &stream->views) {
		struct view *view = container_of(view_node, struct view, node);

		list_foreach(node, &view->readers)
			catch_up(container_of(node, struct stream_reader, node), patch);
	}
	end_giving(stream);
}

int stream_reader_new(struct stream *stream, const char *pointer, bool redacted, uint64_t since,
		      struct stream_reader **ret)
{
	struct stream_reader *reader;

	if (since < stream->begin || since > stream->revision)
		return -ESTALE;
	reader = calloc(1, sizeof(*reader));
	if (!reader)
		return -ENOMEM;
	reader->view = view_find(stream, pointer, redacted);
	if (!reader->view)
		reader->view = view_new(stream, pointer, redacted);
	if (!reader->view) {
		free(reader);
		return -ENOMEM;
	}
	reader->stream = stream;
	reader->position = since;
	reader->wants_status = true;
	list_init(&reader->starved);
	list_append(&reader->view->readers, &reader->node);
	*ret = reader;
	return 0;
}

struct stream_reader *stream_reader_free(struct stream_reader *reader)
{
	if (!reader)
		return NULL;
	leave_sink(reader);
	reader->freed = true;
	if (reader->stream->busy == 0)
		reader_release(reader);
	else
		reader->stream->garbage = true;
	return NULL;
}

void stream_reader_open(struct stream_reader *reader, void *sink)
{
	struct stream *stream = reader->stream;

	reader->sink = sink;
	if (stream->open++ == 0)
		stream->whole = frame_unref(stream->whole); /* nobody has kept it up to date */
	begin_giving(stream);
	catch_up(reader, NULL);
	end_giving(stream);
}

/* Those whose turn it is now that others have drained. */
static void feed_starved(struct stream *stream)
{
	while (!list_empty(&stream->starved)) {
		struct stream_reader *reader =
			container_of(stream->starved.next, struct stream_reader, starved);

		list_remove(&reader->starved);
		catch_up(reader, NULL);
		if (!list_empty(&reader->starved))
			break;
	}
}

void stream_reader_drained(struct stream_reader *reader)
{
	struct stream *stream = reader->stream;

	if (!reader->sink)
		return;
	note_queued(reader, stream->sink->queued(reader->sink));
	begin_giving(stream);
	catch_up(reader, NULL);
	feed_starved(stream);
	end_giving(stream);
}

void stream_publish(struct stream *stream, uint64_t revision, const json_t *patch)
{
	struct entry *entry = patch ? calloc(1, sizeof(*entry)) : NULL;

	stream->revision = revision;
	stream->whole =
		frame_unref(stream->whole); /* it tells of a revision that readers are past */
	if (entry)
		entry->whole = frame_of_patch(NULL, revision, patch);
	if (!entry || !entry->whole) {
		free(entry);
		forget_entries(stream); /* so everybody is lost */
		give_everybody(stream, NULL);
		return;
	}
	entry->revision = revision;
	list_append(&stream->entries, &entry->node);
	stream->entry_count++;
	stream->bytes += entry->whole->size;
	forget_oldest(stream);
	give_everybody(stream, patch);
}

static void tell_status(struct stream_reader *reader, struct frame *frame)
{
	if (!reader->sink || reader->freed)
		return;
	if (!reader->wants_status && !next_entry(reader) && may_send(reader, frame)) {
		(void)send(reader, frame);
		return;
	}
	/* It missed this one, so the next has to be whole. */
	reader->wants_status = true;
	catch_up(reader, NULL);
}

void stream_tell_status(struct stream *stream, const char *changes)
{
	struct frame *frame;

	if (!changes) {
		give_everybody(stream, NULL);
		return;
	}
	stream->whole = frame_unref(stream->whole);
	frame = status_frame(stream->revision, changes);
	if (!frame)
		return; /* out of memory: the next one comes soon */
	begin_giving(stream);
	list_foreach(view_node, &stream->views) {
		struct view *view = container_of(view_node, struct view, node);

		list_foreach(node, &view->readers)
			tell_status(container_of(node, struct stream_reader, node), frame);
	}
	end_giving(stream);
	(void)frame_unref(frame);
}

static void check_reader(struct stream_reader *reader, uint64_t now_ns)
{
	if (!reader->sink || reader->freed)
		return;
	note_queued(reader, reader->stream->sink->queued(reader->sink));
	if (reader->queued == 0)
		return;
	if (reader->since_ns == 0)
		reader->since_ns = now_ns;
	else if (now_ns - reader->since_ns > STREAM_STALL_S * NS_PER_S)
		lose(reader);
}

void stream_check(struct stream *stream, uint64_t now_ns)
{
	begin_giving(stream);
	list_foreach(view_node, &stream->views) {
		struct view *view = container_of(view_node, struct view, node);

		list_foreach(node, &view->readers)
			check_reader(container_of(node, struct stream_reader, node), now_ns);
	}
	feed_starved(stream);
	end_giving(stream);
}

size_t stream_open_readers(const struct stream *stream)
{
	return stream->open;
}

void stream_set_status(struct stream *stream, char *(*whole)(void *context), void *context)
{
	stream->status = whole;
	stream->status_context = context;
}

int stream_new(const struct stream_sink *sink, uint64_t revision, struct stream **ret)
{
	struct stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		return -ENOMEM;
	stream->sink = sink;
	stream->begin = stream->revision = revision;
	list_init(&stream->views);
	list_init(&stream->entries);
	list_init(&stream->starved);
	list_init(&stream->lent);
	*ret = stream;
	return 0;
}

struct stream *stream_free(struct stream *stream)
{
	if (!stream)
		return NULL;
	forget_entries(stream);
	stream->whole = frame_unref(stream->whole);
	list_foreach(node, &stream->lent)
		frame_returned(container_of(node, struct frame, lent));
	free(stream);
	return NULL;
}
