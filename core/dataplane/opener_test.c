/* The opener as the data plane meets it: a process behind a socket pair. Without privilege here it
 * could not be confined, so these tests need root like the program. */
#include "dataplane/opener.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/test.h"

struct fixture {
	char directory[32];
	int directory_fd;
	struct opener opener;
};

static int set_up(void **state)
{
	static struct fixture f;

	memcpy(f.directory, "/tmp/opener-test-XXXXXX", sizeof("/tmp/opener-test-XXXXXX"));
	assert_non_null(mkdtemp(f.directory));
	f.directory_fd = open(f.directory, O_DIRECTORY | O_CLOEXEC);
	assert_true(f.directory_fd >= 0);
	assert_int_equal(opener_start(f.directory_fd, "x.sock", 0, &f.opener), 0);
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	opener_done(&f->opener);
	(void)unlinkat(f->directory_fd, "x.sock", 0);
	(void)close(f->directory_fd);
	(void)rmdir(f->directory);
	return 0;
}

static ino_t make_file(const struct fixture *f)
{
	int fd = openat(f->directory_fd, "x.sock", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	struct stat made;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &made), 0);
	(void)close(fd);
	return made.st_ino;
}

static bool file_exists(const struct fixture *f)
{
	return faccessat(f->directory_fd, "x.sock", F_OK, 0) == 0;
}

static void sockets_are_bound_to_one_port(void **state)
{
	const struct fixture *f = *state;
	struct udp_pair pair, again;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	socklen_t v4_size = sizeof(v4), v6_size = sizeof(v6);

	assert_int_equal(opener_open(&f->opener, 0, 0, &pair), 0);
	assert_int_equal(getsockname(pair.v4, (struct sockaddr *)&v4, &v4_size), 0);
	assert_int_equal(getsockname(pair.v6, (struct sockaddr *)&v6, &v6_size), 0);
	assert_int_equal(ntohs(v4.sin_port), pair.port);
	assert_int_equal(ntohs(v6.sin6_port), pair.port);
	assert_true(fcntl(pair.v4, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(opener_keep(&f->opener), 0);
	/* Taken, also once we let go of it: the opener holds the current ones. */
	udp_close_pair(&pair);
	assert_int_equal(opener_open(&f->opener, ntohs(v4.sin_port), 0, &again), -EADDRINUSE);
	/* Given free when others become current. */
	assert_int_equal(opener_open(&f->opener, 0, 0, &again), 0);
	assert_int_equal(opener_keep(&f->opener), 0);
	udp_close_pair(&again);
	assert_int_equal(opener_open(&f->opener, ntohs(v4.sin_port), 0, &pair), 0);
	assert_int_equal(opener_drop(&f->opener), 0);
	udp_close_pair(&pair);
}

static void the_current_sockets_are_marked(void **state)
{
	const struct fixture *f = *state;
	struct udp_pair pair;
	int mark = 0;
	socklen_t size = sizeof(mark);

	assert_int_equal(opener_open(&f->opener, 0, 5, &pair), 0);
	assert_int_equal(getsockopt(pair.v4, SOL_SOCKET, SO_MARK, &mark, &size), 0);
	assert_int_equal(mark, 5);
	assert_int_equal(opener_keep(&f->opener), 0);
	assert_int_equal(opener_mark(&f->opener, 77), 0);
	assert_int_equal(getsockopt(pair.v6, SOL_SOCKET, SO_MARK, &mark, &size), 0);
	assert_int_equal(mark, 77);
	udp_close_pair(&pair);
}

static void our_socket_is_unlinked(void **state)
{
	const struct fixture *f = *state;

	assert_int_equal(opener_own_socket(&f->opener, make_file(f)), 0);
	assert_int_equal(opener_unlink_socket(&f->opener), 0);
	assert_false(file_exists(f));
	/* And none that comes later. */
	(void)make_file(f);
	assert_int_equal(opener_unlink_socket(&f->opener), 0);
	assert_true(file_exists(f));
}

static void the_socket_of_another_is_left(void **state)
{
	const struct fixture *f = *state;

	assert_int_equal(opener_own_socket(&f->opener, make_file(f) + 1), 0);
	assert_int_equal(opener_unlink_socket(&f->opener), 0);
	assert_true(file_exists(f));
}

/* Answers come in order, so this one tells that the strange request before it was survived or not. */
static void a_strange_request_ends_it(void **state)
{
	const struct fixture *f = *state;
	struct udp_pair pair;

	assert_int_equal(send(f->opener.fd, "hello", 5, MSG_NOSIGNAL), 5);
	assert_int_equal(opener_open(&f->opener, 0, 0, &pair), -EPIPE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sockets_are_bound_to_one_port, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_current_sockets_are_marked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(our_socket_is_unlinked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_socket_of_another_is_left, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_strange_request_ends_it, set_up, tear_down),
	};

	if (geteuid() != 0)
		return 77; /* skipped */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
