/* Questions about ways that every host has. That changes are told is seen in tests/net. */
#include "packetio/route_watch.h"

#include <net/if.h>

#include "base/test.h"

static struct udp_path path_of(const char *remote, const char *local)
{
	struct udp_path path = { .remote.port = 5000 };

	assert_int_equal(ip_parse(remote, &path.remote.address), 0);
	if (local)
		assert_int_equal(ip_parse(local, &path.local), 0);
	return path;
}

static void the_interface_of_a_way_is_told(void **state)
{
	CLEANUP(route_watch_close) struct route_watch watch = { -EBADF, -EBADF, 0 };
	const uint32_t lo = if_nametoindex("lo");
	const struct {
		struct udp_path path;
		uint32_t mark;
		uint32_t output;
	} cases[] = {
		{ path_of("127.0.0.1", NULL), 0, lo },
		{ path_of("127.0.0.1", "127.0.0.2"), 0, lo },
		{ path_of("127.0.0.1", "127.0.0.2"), 77, lo },
		{ path_of("127.0.0.1", "192.0.2.200"), 0, 0 }, /* not ours */
		{ path_of("::1", "::1"), 0, lo },
		{ path_of("::1", NULL), 77, lo },
	};

	(void)state;
	assert_int_equal(route_watch_open(&watch), 0);
	for (unsigned round = 0; round < 3; round++)
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
			assert_int_equal(route_watch_lookup(&watch, &cases[i].path, 5000,
							    cases[i].mark),
					 cases[i].output);
	route_watch_clear(&watch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_interface_of_a_way_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
