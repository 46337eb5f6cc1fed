#include "network/traffic.h"

#include <stdlib.h>

#include "base/test.h"

#define HOST 0xC6120002 /* 198.18.0.2 */

static struct net_item forward(uint32_t external, uint16_t port, uint16_t count)
{
	return (struct net_item){ .kind = NET_FORWARD,
				  .forward = { .external = external,
					       .external_port = port,
					       .count = count,
					       .target = 0x0A3B0002,
					       .target_port = port } };
}

static void ports_of_a_forward_are_added_up(void **state)
{
	struct traffic_port ports[] = {
		{ { 198, 18, 0, 1, 0, 80 }, { 1, 1 }, { 1, 1 } },
		{ { 198, 18, 0, 2, 0, 79 }, { 1, 1 }, { 10, 20 } },
		{ { 198, 18, 0, 2, 0, 80 }, { 1, 0 }, { 100, 0 } },
		{ { 198, 18, 0, 2, 0, 82 }, { 1, 2 }, { 1000, 5000 } },
		{ { 198, 18, 0, 2, 0, 83 }, { 1, 1 }, { 7, 7 } },
		{ { 198, 18, 0, 2, 255, 255 }, { 1, 1 }, { 3, 4 } },
		{ { 198, 18, 0, 3, 0, 80 }, { 1, 1 }, { 9, 9 } },
	};
	const struct traffic traffic = { .ports = ports, .count = ARRAY_SIZE(ports) };
	struct net_item items[] = {
		{ .kind = NET_LINK },	  forward(HOST, 80, 3), /* 80 to 82 */
		forward(HOST, 100, 1000), /* nothing */
		forward(HOST, 65530, 6), /* to the last */
		forward(HOST + 2, 80, 1), /* another address */
	};
	const struct net_set set = { .items = items, .count = ARRAY_SIZE(items) };
	struct netd_forward_status *rows;
	size_t count;

	(void)state;
	assert_int_equal(traffic_of_forwards(&traffic, &set, &rows, &count), 0);
	assert_int_equal(count, 2);
	assert_int_equal(ip_to_v4(&rows[0].external), HOST);
	assert_int_equal(rows[0].external_port, 80);
	assert_int_equal(rows[0].tx_bytes, 1100);
	assert_int_equal(rows[0].rx_bytes, 5000);
	assert_int_equal(rows[1].external_port, 65530);
	assert_int_equal(rows[1].tx_bytes, 3);
	assert_int_equal(rows[1].rx_bytes, 4);
	free(rows);
}

static void a_port_is_found_by_its_key(void **state)
{
	struct traffic_port ports[] = {
		{ { 198, 18, 0, 2, 0, 79 }, { 1, 1 }, { 10, 20 } },
		{ { 198, 18, 0, 2, 0, 80 }, { 1, 0 }, { 100, 0 } },
	};
	const struct traffic traffic = { .ports = ports, .count = ARRAY_SIZE(ports) };
	static const uint8_t there[TRAFFIC_KEY_SIZE] = { 198, 18, 0, 2, 0, 80 },
			     not_there[TRAFFIC_KEY_SIZE] = { 198, 18, 0, 2, 0, 81 };

	(void)state;
	assert_ptr_equal(traffic_find(&traffic, there), &ports[1]);
	assert_null(traffic_find(&traffic, not_there));
	assert_null(traffic_find(NULL, there));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ports_of_a_forward_are_added_up),
		cmocka_unit_test(a_port_is_found_by_its_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
