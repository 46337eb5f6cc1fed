/* The registry with sockets that are only counted. */
#include "rpc/continuation.h"

#include <string.h>

#include "base/clock.h"
#include "base/test.h"
#include "http/server.h"

#define SECOND NS_PER_S

/* What stands for a socket of lib/http here. */
struct http_socket {
	const struct http_socket_handlers *handlers;
	void *context;
	bool dropped;
};

static struct http_socket sockets[4];
static unsigned socket_count;
static int accept_error;

int http_request_accept_socket(struct http_request *request,
			       const struct http_socket_handlers *handlers, void *context,
			       struct http_socket **ret)
{
	struct http_socket *socket = &sockets[socket_count];

	if (accept_error)
		return accept_error;
	socket_count++;
	*socket = (struct http_socket){ handlers, context, false };
	*ret = socket;
	return 0;
}

void http_socket_drop(struct http_socket *socket)
{
	socket->dropped = true;
}

struct user {
	struct http_socket *socket;
	unsigned opened;
	unsigned drained;
	unsigned closed;
};

static void on_opened(void *context, struct http_socket *socket)
{
	struct user *user = context;

	user->opened++;
	user->socket = socket;
}

static void on_drained(void *context)
{
	((struct user *)context)->drained++;
}

static void on_closed(void *context)
{
	((struct user *)context)->closed++;
}

static const struct rpc_socket_handlers handlers = { on_opened, on_drained, on_closed };

struct fixture {
	struct rpc_continuations *continuations;
	struct user alice;
	struct user bob;
	char guid[RPC_GUID_SIZE + 1];
	char other[RPC_GUID_SIZE + 1];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_int_equal(rpc_continuations_new(&f->continuations), 0);
	socket_count = 0;
	accept_error = 0;
	*state = f;
	return 0;
}

/* The sockets say that they are gone after the registry is, as they do in a program that ends. */
static int teardown(void **state)
{
	struct fixture *f = *state;

	f->continuations = rpc_continuations_free(f->continuations);
	for (unsigned i = 0; i < socket_count; i++)
		if (sockets[i].handlers)
			sockets[i].handlers->closed(sockets[i].context);
	free(f);
	return 0;
}

static void gone(struct http_socket *socket)
{
	const struct http_socket_handlers *socket_handlers = TAKE_PTR(socket->handlers);

	socket_handlers->closed(socket->context);
}

static void add(struct fixture *f, const char *session, struct user *user, uint64_t now_ns,
		char *guid)
{
	assert_int_equal(
		rpc_continuations_add(f->continuations, session, &handlers, user, now_ns, guid), 0);
}

static int open_guid(struct fixture *f, const char *guid, const char *session, uint64_t now_ns)
{
	return rpc_continuations_open(f->continuations, guid, session, NULL, now_ns);
}

static void a_guid_is_32_characters_of_base32(void **state)
{
	struct fixture *f = *state;

	add(f, "alice", &f->alice, 0, f->guid);
	add(f, "alice", &f->alice, 0, f->other);
	assert_int_equal(strlen(f->guid), 32);
	assert_int_equal(strspn(f->guid, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"), 32);
	assert_string_not_equal(f->guid, f->other);
}

static void a_guid_is_used_once(void **state)
{
	struct fixture *f = *state;

	add(f, "alice", &f->alice, 0, f->guid);
	assert_int_equal(open_guid(f, f->guid, "alice", SECOND), 0);
	assert_int_equal(f->alice.opened, 1);
	assert_int_equal(open_guid(f, f->guid, "alice", SECOND), -ENOENT);
	f->alice.socket->handlers->drained(f->alice.socket->context);
	assert_int_equal(f->alice.drained, 1);
	gone(f->alice.socket);
	assert_int_equal(f->alice.closed, 1);
	assert_int_equal(rpc_continuations_count(f->continuations), 0);
	assert_int_equal(open_guid(f, f->guid, "alice", SECOND), -ENOENT);
}

static void a_stolen_guid_opens_nothing_and_stays_its_owners(void **state)
{
	struct fixture *f = *state;

	add(f, "alice", &f->alice, 0, f->guid);
	assert_int_equal(open_guid(f, f->guid, "bob", SECOND), -ENOENT);
	assert_int_equal(open_guid(f, f->guid, NULL, SECOND), -ENOENT);
	assert_int_equal(socket_count, 0);
	assert_true(rpc_continuations_find(f->continuations, f->guid, "alice", SECOND));
	assert_int_equal(open_guid(f, f->guid, "alice", SECOND), 0);
}

static void a_guid_without_a_session_is_its_bearers(void **state)
{
	struct fixture *f = *state;

	add(f, NULL, &f->alice, 0, f->guid);
	assert_int_equal(open_guid(f, f->guid, "bob", SECOND), 0);
}

static void unknown_guids_are_none(void **state)
{
	struct fixture *f = *state;

	add(f, "alice", &f->alice, 0, f->guid);
	assert_int_equal(open_guid(f, "", "alice", 0), -ENOENT);
	assert_int_equal(open_guid(f, "AAAABBBBCCCCDDDDEEEEFFFFGGGG2345", "alice", 0), -ENOENT);
	f->guid[31] = '\0';
	assert_int_equal(open_guid(f, f->guid, "alice", 0), -ENOENT);
}

static void a_guid_that_waits_too_long_is_forgotten(void **state)
{
	struct fixture *f = *state;

	add(f, "alice", &f->alice, 0, f->guid);
	add(f, "bob", &f->bob, 20 * SECOND, f->other);
	assert_true(rpc_continuations_find(f->continuations, f->guid, "alice", 30 * SECOND - 1));
	assert_int_equal(open_guid(f, f->guid, "alice", 30 * SECOND), -ENOENT);
	assert_int_equal(f->alice.closed, 0); /* nobody looked */
	rpc_continuations_purge(f->continuations, 30 * SECOND);
	assert_int_equal(f->alice.closed, 1);
	assert_int_equal(f->bob.closed, 0);
	assert_int_equal(rpc_continuations_count(f->continuations), 1);
}

static void a_session_that_ends_takes_guids_and_sockets_with_it(void **state)
{
	struct fixture *f = *state;
	struct user waiting = { 0 };

	add(f, "alice", &f->alice, 0, f->guid);
	add(f, "alice", &waiting, 0, f->other);
	add(f, "bob", &f->bob, 0, f->other);
	assert_int_equal(open_guid(f, f->guid, "alice", 0), 0);
	rpc_continuations_kill_session(f->continuations, "alice");
	assert_true(f->alice.socket->dropped);
	assert_int_equal(f->alice.closed, 1);
	assert_int_equal(waiting.closed, 1);
	assert_int_equal(f->bob.closed, 0);
	gone(f->alice.socket); /* is not told twice */
	assert_int_equal(f->alice.closed, 1);
	assert_int_equal(open_guid(f, f->other, "bob", 0), 0);
}

static void a_session_has_a_bounded_number(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < RPC_CONTINUATIONS_OF_SESSION_MAX; i++)
		add(f, "alice", &f->alice, 0, f->guid);
	assert_int_equal(rpc_continuations_add(f->continuations, "alice", &handlers, &f->alice, 0,
					       f->guid),
			 -EBUSY);
	add(f, "bob", &f->bob, 0, f->guid);
	/* Those that nobody used make room. */
	add(f, "alice", &f->alice, 30 * SECOND, f->guid);
	assert_int_equal(f->alice.closed, RPC_CONTINUATIONS_OF_SESSION_MAX);
}

static void all_together_are_bounded(void **state)
{
	struct fixture *f = *state;
	char session[16];
	unsigned added = 0;
	int r = 0;

	for (unsigned i = 0; r == 0; i++) {
		(void)snprintf(session, sizeof(session), "%u",
			       i / RPC_CONTINUATIONS_OF_SESSION_MAX);
		r = rpc_continuations_add(f->continuations, session, &handlers, &f->alice, 0,
					  f->guid);
		added += r == 0;
	}
	assert_int_equal(r, -EBUSY);
	assert_int_equal(added, RPC_CONTINUATIONS_MAX);
}

static void a_failed_upgrade_ends_it(void **state)
{
	struct fixture *f = *state;

	add(f, "alice", &f->alice, 0, f->guid);
	accept_error = -ENOMEM;
	assert_int_equal(open_guid(f, f->guid, "alice", 0), -ENOMEM);
	assert_int_equal(f->alice.closed, 1);
	assert_int_equal(f->alice.opened, 0);
}

static void the_end_of_the_registry_is_told(void **state)
{
	struct fixture *f = *state;

	add(f, "alice", &f->alice, 0, f->guid);
	add(f, "bob", &f->bob, 0, f->other);
	assert_int_equal(open_guid(f, f->guid, "alice", 0), 0);
	f->continuations = rpc_continuations_free(f->continuations);
	assert_int_equal(f->alice.closed, 1);
	assert_int_equal(f->bob.closed, 1);
	assert_true(f->alice.socket->dropped);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_guid_is_32_characters_of_base32),
		TEST(a_guid_is_used_once),
		TEST(a_stolen_guid_opens_nothing_and_stays_its_owners),
		TEST(a_guid_without_a_session_is_its_bearers),
		TEST(unknown_guids_are_none),
		TEST(a_guid_that_waits_too_long_is_forgotten),
		TEST(a_session_that_ends_takes_guids_and_sockets_with_it),
		TEST(a_session_has_a_bounded_number),
		TEST(all_together_are_bounded),
		TEST(a_failed_upgrade_ends_it),
		TEST(the_end_of_the_registry_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
