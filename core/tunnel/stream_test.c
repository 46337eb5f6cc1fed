/*
 * Readers with sockets that only exist here: what they were sent waits until the test drains them
 */
#include "tunnel/stream.h"

#include <string.h>

#include "base/clock.h"
#include "base/secret.h"
#include "base/test.h"
#include "base/text.h"
#include "codec/diff.h"
#include "codec/patch.h"
#include "codec/pointer.h"
#include "document/redact.h"

#define LOANS_MAX 8

struct client {
	struct stream_reader *reader;
	struct {
		void (*release)(void *lent);
		void *lent;
	} loans[LOANS_MAX];
	size_t loan_count;
	struct text sent; /* one frame a line */
	const char *last; /* where the newest text was */
	size_t frames;
	size_t waiting; /* bytes */
	size_t capacity; /* bytes that leave at once */
	bool dropped;
	bool free_on_send;
	bool fails;
};

static int client_send(void *sink, const char *text, size_t size)
{
	struct client *client = sink;

	assert_false(client->dropped);
	assert_int_equal(strlen(text), size);
	if (client->free_on_send)
		client->reader = stream_reader_free(client->reader);
	if (client->fails || client->free_on_send)
		return -ENOBUFS;
	text_append_bytes(&client->sent, text, size);
	text_append_char(&client->sent, '\n');
	client->last = text;
	client->frames++;
	client->waiting += size;
	if (client->waiting <= client->capacity)
		client->waiting = 0;
	return 0;
}

static void give_back(struct client *client)
{
	while (client->loan_count > 0) {
		client->loan_count--;
		client->loans[client->loan_count].release(client->loans[client->loan_count].lent);
	}
}

static int client_lend(void *sink, const char *text, size_t size, void (*release)(void *lent),
		       void *lent)
{
	struct client *client = sink;
	int r = client_send(sink, text, size);

	assert_true(size > STREAM_COPY_MAX);
	assert_true(client->loan_count < LOANS_MAX);
	client->loans[client->loan_count].release = release;
	client->loans[client->loan_count++].lent = lent;
	if (r < 0 || client->waiting == 0)
		give_back(client);
	return r;
}

static size_t client_queued(const void *sink)
{
	return ((const struct client *)sink)->waiting;
}

static void client_drop(void *sink)
{
	((struct client *)sink)->dropped = true;
}

static const struct stream_sink sinks = {
	.send = client_send,
	.lend = client_lend,
	.queued = client_queued,
	.drop = client_drop,
};

static void drain(struct client *client)
{
	client->waiting = 0;
	give_back(client);
	stream_reader_drained(client->reader);
}

static void end(struct client *client)
{
	client->reader = stream_reader_free(client->reader);
	give_back(client);
	text_done(&client->sent);
}

static void publish(struct stream *stream, uint64_t revision, const char *path, json_t *value)
{
	json_t *patch = json_pack("[{s:s, s:s, s:o}]", "op", "add", "path", path, "value", value);

	assert_non_null(patch);
	stream_publish(stream, revision, patch);
	json_decref(patch);
}

static void join(struct stream *stream, struct client *client, const char *pointer, bool redacted,
		 uint64_t since)
{
	assert_int_equal(stream_reader_new(stream, pointer, redacted, since, &client->reader), 0);
	stream_reader_open(client->reader, client);
}

static json_t *text_of(size_t size)
{
	char *bytes = calloc(1, size + 1);
	json_t *value;

	memset(bytes, 'x', size);
	value = json_string(bytes);
	free(bytes);
	return value;
}

static void each_view_gets_its_frames(void **state)
{
	CLEANUP(stream_free) struct stream *stream = NULL;
	struct client all = { .capacity = 1 << 20 }, seen = all, twin = all, part = all;

	(void)state;
	assert_int_equal(stream_new(&sinks, 7, &stream), 0);
	join(stream, &all, "", false, 7);
	join(stream, &seen, "", true, 7);
	join(stream, &twin, "", true, 7);
	join(stream, &part, "/wg/subnets/10.0.0.1~124", true, 7);
	publish(stream, 8, "/wg/key", json_string("SECRET"));
	assert_ptr_equal(seen.last, twin.last); /* one text for both */
	publish(stream, 9, "/wg/subnets/10.0.0.1~124/name", json_string("Home"));
	publish(stream, 10, "/sessions/hash", json_object());
	assert_string_equal(all.sent.data,
			    "{\"id\":8,\"patch\":[{\"op\":\"add\",\"path\":\"/wg/key\","
			    "\"value\":\"SECRET\"}]}\n"
			    "{\"id\":9,\"patch\":[{\"op\":\"add\",\"path\":"
			    "\"/wg/subnets/10.0.0.1~124/name\",\"value\":\"Home\"}]}\n"
			    "{\"id\":10,\"patch\":[{\"op\":\"add\",\"path\":\"/sessions/hash\","
			    "\"value\":{}}]}\n");
	assert_string_equal(seen.sent.data,
			    "{\"id\":8,\"patch\":[{\"op\":\"add\",\"path\":\"/wg/key\","
			    "\"value\":\"\"}]}\n"
			    "{\"id\":9,\"patch\":[{\"op\":\"add\",\"path\":"
			    "\"/wg/subnets/10.0.0.1~124/name\",\"value\":\"Home\"}]}\n");
	assert_string_equal(twin.sent.data, seen.sent.data);
	assert_string_equal(part.sent.data,
			    "{\"id\":9,\"patch\":[{\"op\":\"add\",\"path\":\"/name\","
			    "\"value\":\"Home\"}]}\n");
	assert_int_equal(stream_open_readers(stream), 4);
	end(&all);
	end(&seen);
	end(&twin);
	end(&part);
	assert_int_equal(stream_open_readers(stream), 0);
}

static void what_was_missed_comes_first(void **state)
{
	CLEANUP(stream_free) struct stream *stream = NULL;
	struct client late = { .capacity = 1 << 20 }, back = late;
	struct stream_reader *none = NULL;

	(void)state;
	assert_int_equal(stream_new(&sinks, 1, &stream), 0);
	assert_int_equal(stream_reader_new(stream, "", true, 1, &late.reader), 0);
	for (unsigned i = 2; i <= 5; i++)
		publish(stream, i, "/a", json_integer(i));
	stream_reader_open(late.reader, &late);
	assert_int_equal(late.frames, 4);
	assert_non_null(strstr(late.sent.data, "{\"id\":2,"));
	join(stream, &back, "", true, 4);
	assert_int_equal(back.frames, 1);
	assert_int_equal(stream_reader_new(stream, "", true, 0, &none), -ESTALE);
	assert_int_equal(stream_reader_new(stream, "", true, 6, &none), -ESTALE);
	end(&late);
	end(&back);
	/* A view that nobody saw before is made from what is kept. */
	back = (struct client){ .capacity = 1 << 20 };
	join(stream, &back, "/a", true, 3);
	assert_string_equal(back.sent.data,
			    "{\"id\":4,\"patch\":[{\"op\":\"add\",\"path\":\"\",\"value\":4}]}\n"
			    "{\"id\":5,\"patch\":[{\"op\":\"add\",\"path\":\"\",\"value\":5}]}\n");
	end(&back);
}

static void slow_readers_catch_up_or_are_dropped(void **state)
{
	CLEANUP(stream_free) struct stream *stream = NULL;
	struct client fast = { .capacity = 1 << 20 }, slow = { 0 };
	unsigned revision = 1;
	size_t frames;

	(void)state;
	assert_int_equal(stream_new(&sinks, revision, &stream), 0);
	join(stream, &slow, "", true, 1);
	join(stream, &fast, "", true, 1);
	while (revision < 1000)
		publish(stream, ++revision, "/a", text_of(100));
	assert_int_equal(fast.frames, 999);
	assert_true(slow.waiting < STREAM_READER_QUEUE_MAX + 1000 && slow.frames < 999);
	while (slow.frames < 999) {
		frames = slow.frames;
		drain(&slow);
		assert_true(slow.frames > frames);
	}
	assert_string_equal(slow.sent.data, fast.sent.data);
	drain(&slow);
	while (!slow.dropped && revision < 10000)
		publish(stream, ++revision, "/a", text_of(100));
	assert_true(slow.dropped);
	assert_in_range(revision, 1000 + STREAM_REVISIONS_MAX, 1200 + STREAM_REVISIONS_MAX);
	assert_int_equal(fast.frames, revision - 1);
	assert_int_equal(stream_open_readers(stream), 1);
	end(&slow);
	end(&fast);
}

static void large_frames_are_lent(void **state)
{
	CLEANUP(stream_free) struct stream *stream = NULL;
	struct client clients[40] = { 0 };

	(void)state;
	assert_int_equal(stream_new(&sinks, 1, &stream), 0);
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		join(stream, &clients[i], "", true, 1);
	publish(stream, 2, "/a", text_of(1 << 20));
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
		assert_int_equal(clients[i].frames, 1); /* nobody waits for another */
		assert_ptr_equal(clients[i].last, clients[0].last); /* one text for all */
	}
	/* It lives as long as somebody has it: longer than it is kept, and than the stream. */
	for (unsigned revision = 3; revision < 10; revision++)
		publish(stream, revision, "/a", text_of(1 << 20));
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
		clients[i].reader = stream_reader_free(clients[i].reader);
		if (i % 2)
			give_back(&clients[i]);
	}
	stream = stream_free(stream);
	for (size_t i = 0; i < ARRAY_SIZE(clients); i += 2) {
		assert_memory_equal(clients[i].last, "{\"id\":2,", 8);
		end(&clients[i]);
	}
	for (size_t i = 1; i < ARRAY_SIZE(clients); i += 2)
		end(&clients[i]);
}

static char *large_status(void *context)
{
	json_t *status = text_of(1 << 20);
	char *text = json_dumps(status, JSON_ENCODE_ANY);

	(void)context;
	json_decref(status);
	return text;
}

static void large_frames_take_turns(void **state)
{
	CLEANUP(stream_free) struct stream *stream = NULL;
	struct client clients[40] = { 0 };
	size_t waiting = 0, rounds = 0, done = 0;

	(void)state;
	assert_int_equal(stream_new(&sinks, 1, &stream), 0);
	stream_set_status(stream, large_status, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
		join(stream, &clients[i], "", true, 1);
		stream_tell_status(stream, "{}"); /* the next one gets another text */
		waiting += clients[i].waiting;
	}
	assert_in_range(waiting, STREAM_LENT_MAX / 2, STREAM_LENT_MAX);
	while (done < ARRAY_SIZE(clients)) {
		assert_true(rounds++ < 1000);
		done = 0;
		for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
			if (clients[i].waiting > 0)
				drain(&clients[i]);
			done += clients[i].frames > 0;
		}
	}
	/* A revision that is too long to be kept is for nobody. */
	publish(stream, 2, "/a", text_of(STREAM_BYTES_MAX));
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
		assert_true(clients[i].dropped);
		end(&clients[i]);
	}
}

static void unknown_revisions_lose_everybody(void **state)
{
	CLEANUP(stream_free) struct stream *stream = NULL;
	struct client client = { .capacity = 1 << 20 }, waiting = client;

	(void)state;
	assert_int_equal(stream_new(&sinks, 1, &stream), 0);
	join(stream, &client, "", true, 1);
	assert_int_equal(stream_reader_new(stream, "", true, 1, &waiting.reader), 0);
	stream_publish(stream, 2, NULL);
	assert_true(client.dropped);
	stream_reader_open(waiting.reader, &waiting);
	assert_true(waiting.dropped);
	end(&client);
	end(&waiting);
	client = (struct client){ .capacity = 1 << 20 };
	join(stream, &client, "", true, 2);
	publish(stream, 3, "/a", json_true());
	assert_int_equal(client.frames, 1);
	end(&client);
}

static char *whole(void *context)
{
	return *(bool *)context ? strdup("{\"whole\":1}") : NULL;
}

static void status_is_whole_at_first(void **state)
{
	CLEANUP(stream_free) struct stream *stream = NULL;
	struct client early = { .capacity = 1 << 20 }, late = early, slow = { 0 };
	bool known = false;

	(void)state;
	assert_int_equal(stream_new(&sinks, 1, &stream), 0);
	stream_set_status(stream, whole, &known);
	join(stream, &early, "", true, 1);
	assert_int_equal(early.frames, 0);
	known = true;
	stream_tell_status(stream, "{\"changed\":1}");
	assert_string_equal(early.sent.data, "{\"id\":1,\"patch\":[],\"status\":{\"whole\":1}}\n");
	join(stream, &late, "", true, 1);
	join(stream, &slow, "", true, 1);
	assert_string_equal(late.sent.data, early.sent.data);
	publish(stream, 2, "/a", text_of(STREAM_READER_QUEUE_MAX));
	stream_tell_status(stream, "{\"changed\":2}");
	text_clear(&early.sent);
	text_clear(&slow.sent);
	stream_tell_status(stream, "{\"changed\":3}");
	assert_string_equal(early.sent.data,
			    "{\"id\":2,\"patch\":[],\"status\":{\"changed\":3}}\n");
	assert_int_equal(slow.sent.size, 0);
	drain(&slow); /* it missed something */
	assert_string_equal(slow.sent.data, "{\"id\":2,\"patch\":[],\"status\":{\"whole\":1}}\n");
	end(&early);
	end(&late);
	end(&slow);

	/* What was known when the last one left is old. */
	known = false;
	early = (struct client){ .capacity = 1 << 20 };
	join(stream, &early, "", true, 2);
	assert_int_equal(early.frames, 0);
	known = true;
	stream_tell_status(stream, NULL); /* nothing changed, but it knows nothing yet */
	stream_tell_status(stream, NULL);
	assert_string_equal(early.sent.data, "{\"id\":2,\"patch\":[],\"status\":{\"whole\":1}}\n");
	end(&early);
}

static char *count_whole(void *context)
{
	++*(unsigned *)context;
	return strdup("{}");
}

static void whole_status_is_of_the_readers_revision(void **state)
{
	CLEANUP(stream_free) struct stream *stream = NULL;
	struct client first = { .capacity = 1 << 20 }, second = first, blocked = { 0 };
	unsigned made = 0;

	(void)state;
	assert_int_equal(stream_new(&sinks, 1, &stream), 0);
	stream_set_status(stream, count_whole, &made);
	join(stream, &first, "", true, 1);
	assert_string_equal(first.sent.data, "{\"id\":1,\"patch\":[],\"status\":{}}\n");
	publish(stream, 2, "/a", json_true());
	join(stream, &second, "", true, 2);
	assert_string_equal(second.sent.data, "{\"id\":2,\"patch\":[],\"status\":{}}\n");

	/* It is not made for one that cannot be told. */
	assert_int_equal(stream_reader_new(stream, "", true, 2, &blocked.reader), 0);
	blocked.waiting = STREAM_READER_QUEUE_MAX + 1;
	made = 0;
	stream_reader_open(blocked.reader, &blocked);
	publish(stream, 3, "/a", json_false());
	assert_int_equal(made, 0);
	drain(&blocked);
	assert_int_equal(made, 1);
	assert_non_null(strstr(blocked.sent.data, "{\"id\":3,\"patch\":[],\"status\":{}}\n"));
	end(&first);
	end(&second);
	end(&blocked);
}

static void stalled_readers_are_dropped(void **state)
{
	CLEANUP(stream_free) struct stream *stream = NULL;
	struct client idle = { 0 }, stalled = { 0 }, slow = { 0 };
	uint64_t now = NS_PER_S;

	(void)state;
	assert_int_equal(stream_new(&sinks, 1, &stream), 0);
	join(stream, &idle, "/b", true, 1);
	join(stream, &stalled, "", true, 1);
	join(stream, &slow, "", true, 1);
	publish(stream, 2, "/a", json_true());
	for (unsigned i = 0; i <= STREAM_STALL_S + 1; i++) {
		assert_false(stalled.dropped);
		stream_check(stream, now += NS_PER_S);
		if (i == STREAM_STALL_S / 2)
			drain(&slow);
	}
	assert_true(stalled.dropped);
	assert_false(slow.dropped || idle.dropped);
	end(&idle);
	end(&stalled);
	end(&slow);
}

static void readers_may_end_while_they_are_given_something(void **state)
{
	CLEANUP(stream_free) struct stream *stream = NULL;
	struct client clients[5] = { 0 };

	(void)state;
	assert_int_equal(stream_new(&sinks, 1, &stream), 0);
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
		clients[i].capacity = 1 << 20;
		join(stream, &clients[i], "", true, 1);
	}
	clients[1].free_on_send = clients[4].free_on_send = true;
	clients[2].fails = true;
	publish(stream, 2, "/a", json_true());
	publish(stream, 3, "/a", json_true());
	assert_int_equal(clients[0].frames + clients[3].frames, 4);
	assert_null(clients[1].reader);
	assert_int_equal(stream_open_readers(stream), 2);
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		end(&clients[i]);
}

/* Many clients with sockets of all kinds: what each makes of its frames is what it would be told. */

static uint64_t random_state;

static unsigned random_below(unsigned below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)(random_state >> 33) % below;
}

struct copy {
	struct client client;
	const char *pointer;
	bool redacted;
	json_t *value;
	uint64_t revision;
	size_t read;
};

static json_t *told(const json_t *document, const char *pointer, bool redacted)
{
	const json_t *value = pointer_get(document, pointer);
	json_t *seen = NULL, *own;

	if (redacted)
		assert_int_equal(redact_value(pointer, value, &seen), 0);
	else
		seen = value ? json_incref((json_t *)value) : json_null();
	own = json_deep_copy(seen);
	json_decref(seen);
	return own;
}

static void read_frames(struct copy *copy)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	struct text *sent = &copy->client.sent;

	while (copy->read < sent->size) {
		CLEANUP(edit_log_done) struct edit_log log = { 0 };
		size_t size = strcspn(sent->data + copy->read, "\n");
		json_t *frame = json_loadb(sent->data + copy->read, size, 0, NULL);
		uint64_t id = (uint64_t)json_integer_value(json_object_get(frame, "id"));

		assert_true(id > copy->revision);
		copy->revision = id;
		if (patch_apply(&copy->value, json_object_get(frame, "patch"), &log, &fault) < 0)
			fail_msg("%s", fault.details);
		json_decref(frame);
		copy->read += size + 1;
	}
}

static void begin_copy(struct copy *copy, struct stream *stream, const json_t *document,
		       uint64_t revision)
{
	static const char *const pointers[] = { "", "", "", "/wg", "/sessions/name3", "/name1" };

	*copy = (struct copy){ .pointer = pointers[random_below(ARRAY_SIZE(pointers))],
			       .redacted = random_below(2),
			       .revision = revision,
			       .client.capacity = random_below(2) ? 1 << 20 : random_below(9000) };
	copy->value = told(document, copy->pointer, copy->redacted);
	join(stream, &copy->client, copy->pointer, copy->redacted, revision);
}

static void end_copy(struct copy *copy)
{
	end(&copy->client);
	json_decref(copy->value);
}

static void change_something(json_t *document)
{
	static const char *const names[] = { "wg", "sessions", "password", "key", "name1", "name2" };
	char name[16];
	json_t *wg = json_object_get(document, "wg");

	(void)snprintf(name, sizeof(name), "name%u", random_below(5));
	switch (random_below(6)) {
	case 0:
		(void)json_object_set_new(document, names[2 + random_below(4)],
					  json_integer(random_below(100)));
		break;
	case 1:
		(void)json_object_del(document, names[random_below(6)]);
		break;
	case 2:
		(void)json_object_set_new(document, names[random_below(2)], json_object());
		break;
	case 3:
		(void)json_object_set_new(json_object_get(document, "sessions"), name,
					  json_integer(random_below(100)));
		break;
	default:
		if (json_is_object(wg))
			(void)json_object_set_new(wg, names[random_below(6)],
						  text_of(random_below(3000)));
		break;
	}
}

static void copies_follow_the_document(void **state)
{
	CLEANUP(stream_free) struct stream *stream = NULL;
	json_t *document = json_object();
	struct copy copies[20];
	uint64_t revision = 1;

	(void)state;
	random_bytes(&random_state, sizeof(random_state));
	print_message("seed %llx\n", (unsigned long long)random_state);
	random_state |= 1;
	assert_int_equal(stream_new(&sinks, revision, &stream), 0);
	for (size_t i = 0; i < ARRAY_SIZE(copies); i++)
		begin_copy(&copies[i], stream, document, revision);
	for (unsigned round = 0; round < 3000; round++) {
		json_t *before = json_deep_copy(document), *patch;
		struct copy *copy = &copies[random_below(ARRAY_SIZE(copies))];

		change_something(document);
		assert_int_equal(json_diff(before, document, &patch), 0);
		if (json_array_size(patch) > 0)
			stream_publish(stream, ++revision, patch);
		json_decref(patch);
		json_decref(before);
		if (random_below(3) == 0 && copy->client.waiting > 0)
			drain(&copy->client);
		if (copy->client.dropped || random_below(50) == 0) {
			end_copy(copy);
			begin_copy(copy, stream, document, revision);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(copies); i++) {
		struct copy *copy = &copies[i];
		json_t *wanted = told(document, copy->pointer, copy->redacted);

		while (copy->client.waiting > 0)
			drain(&copy->client);
		read_frames(copy);
		if (!copy->client.dropped)
			assert_true(json_equal(copy->value, wanted));
		json_decref(wanted);
		end_copy(copy);
	}
	json_decref(document);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_view_gets_its_frames),
		cmocka_unit_test(what_was_missed_comes_first),
		cmocka_unit_test(slow_readers_catch_up_or_are_dropped),
		cmocka_unit_test(large_frames_are_lent),
		cmocka_unit_test(large_frames_take_turns),
		cmocka_unit_test(unknown_revisions_lose_everybody),
		cmocka_unit_test(status_is_whole_at_first),
		cmocka_unit_test(whole_status_is_of_the_readers_revision),
		cmocka_unit_test(stalled_readers_are_dropped),
		cmocka_unit_test(readers_may_end_while_they_are_given_something),
		cmocka_unit_test(copies_follow_the_document),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
