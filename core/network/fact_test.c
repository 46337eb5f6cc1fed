#include "network/fact.h"

#include "base/ip.h"

#include "base/test.h"

#define GATE 0x0A3B0001 /* 10.59.0.1 */
#define DEVICE 0x0A3B0002
#define HOST 0xC6120002 /* 198.18.0.2 */

static void expand(const struct net_item *items, size_t count, struct fact_set *ret)
{
	CLEANUP(net_set_done) struct net_set set = { 0 };

	for (size_t i = 0; i < count; i++)
		assert_int_equal(net_set_append(&set, &items[i]), 0);
	net_set_sort(&set);
	assert_int_equal(facts_expand(&set, 1420, ret, NULL), 0);
}

static void assert_has(const struct fact_set *set, struct fact expected)
{
	const struct fact *found = fact_set_find(set, &expected);

	assert_non_null(found);
	assert_memory_equal(found->value, expected.value, FACT_VALUE_SIZE);
}

static void a_link_has_the_default_mtu_unless_it_says_one(void **state)
{
	struct net_item item = { .kind = NET_LINK, .link = { { 0xFF }, 51820, 0, false } };
	struct fact device = { .kind = FACT_WG_DEVICE };
	CLEANUP(fact_set_done) struct fact_set first = { 0 };
	CLEANUP(fact_set_done) struct fact_set second = { 0 };

	(void)state;
	expand(&item, 1, &first);
	assert_has(&first, (struct fact){ .kind = FACT_LINK });
	assert_has(&first, (struct fact){ .kind = FACT_FORWARDING });
	assert_has(&first, (struct fact){ .kind = FACT_RULESET, .value = { 1 } });
	assert_has(&first, fact_of_link_state(true, 1420, false));
	assert_int_equal(fact_set_find(&first, &device)->value[0], 0xF8); /* clamped */
	item.link.mtu = 1280;
	expand(&item, 1, &second);
	assert_has(&second, fact_of_link_state(true, 1280, false));
}

static void a_link_has_enough_for_ipv6(void **state)
{
	static const struct {
		uint32_t mtu;
		bool ipv6;
		uint32_t wanted;
	} cases[] = { { 1420, true, 1420 },
		      { 1280, true, 1280 },
		      { 1220, true, 1280 },
		      { 1220, false, 1220 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct net_item item = { .kind = NET_LINK,
					 .link = { { 1 }, 51820, 0, cases[i].ipv6 } };
		const struct net_set items = { .items = &item, .count = 1 };
		CLEANUP(fault_done) struct fault fault = { 0 };
		CLEANUP(fact_set_done) struct fact_set set = { 0 };

		assert_int_equal(facts_expand(&items, cases[i].mtu, &set, &fault), 0);
		assert_has(&set, fact_of_link_state(true, cases[i].wanted, cases[i].ipv6));
	}
}

static void items_become_what_the_kernel_holds(void **state)
{
	static const struct net_item items[] = {
		{ .kind = NET_SUBNET, .subnet = { GATE, 24 } },
		{ .kind = NET_DEVICE, .device = { { 1 }, { 2 }, DEVICE, { 0 } } },
		{ .kind = NET_EGRESS, .egress = { 0x0A3B0000, 24, HOST } },
		{ .kind = NET_EGRESS, .egress = { DEVICE, 32, HOST } },
	};
	static const uint8_t key[NET_KEY_SIZE] = { 1 }, psk[NET_KEY_SIZE] = { 2 };
	static const uint8_t none[NET_ADDRESS6_SIZE];
	CLEANUP(fact_set_done) struct fact_set set = { 0 };
	struct fact egress = fact_of_network(FACT_EGRESS_SUBNET, 0x0A3B0000, 24);

	(void)state;
	expand(items, ARRAY_SIZE(items), &set);
	assert_int_equal(set.count, 8);
	assert_has(&set, fact_of_address(GATE, 24));
	assert_has(&set, fact_of_route(0x0A3B0000, 24, GATE));
	assert_has(&set, fact_of_network(FACT_SUBNET, 0x0A3B0000, 24));
	assert_has(&set, fact_of_network(FACT_SAME_SUBNET, 0x0A3B0000, 24));
	assert_has(&set, fact_of_peer(key, psk, DEVICE, none));
	assert_has(&set, fact_of_network(FACT_HAIRPIN, DEVICE, 0));
	memcpy(egress.value, "\xC6\x12\x00\x02", 4);
	assert_has(&set, egress);
	egress.kind = FACT_EGRESS_DEVICE;
	memcpy(egress.key, "\x0A\x3B\x00\x02\x00", 5);
	assert_has(&set, egress);
}

#define NETWORK6 0xfd, 0x12, 0, 0, 0, 0, 0, 1
#define GATE6                                                                                      \
	{                                                                                          \
		NETWORK6, 0, 0, 0, 0, 0, 0, 0, 1                                                   \
	}
#define DEVICE6                                                                                    \
	{                                                                                          \
		NETWORK6, 0, 0, 0, 0, 0, 0, 0, 2                                                   \
	}
#define HOST6                                                                                      \
	{                                                                                          \
		0x20, 0x01, 0x0d, 0xb8, [15] = 7                                                   \
	}

static void items_of_ipv6_become_facts_of_their_own(void **state)
{
	static const struct net_item items[] = {
		{ .kind = NET_LINK, .link = { { 0xFF }, 51820, 0, 1 } },
		{ .kind = NET_DEVICE, .device = { { 1 }, { 2 }, DEVICE, DEVICE6 } },
		{ .kind = NET_SUBNET6, .subnet6 = { GATE6, 1 } },
		{ .kind = NET_FORWARD6, .forward6 = { HOST6, 80, 1, DEVICE6, 80 } },
		{ .kind = NET_FORWARD6, .forward6 = { DEVICE6, 443, 1, DEVICE6, 443 } },
	};
	static const uint8_t key[NET_KEY_SIZE] = { 1 }, psk[NET_KEY_SIZE] = { 2 };
	static const uint8_t gate[] = GATE6, device[] = DEVICE6, host[] = HOST6;
	static const uint8_t network[NET_ADDRESS6_SIZE] = { NETWORK6 };
	struct fact forward = fact_of_ports6(FACT_FORWARD6, host, 80);
	struct fact pinhole = fact_of_ports6(FACT_FORWARD6, device, 443);
	CLEANUP(fact_set_done) struct fact_set set = { 0 };

	(void)state;
	expand(items, ARRAY_SIZE(items), &set);
	assert_has(&set, (struct fact){ .kind = FACT_RULESET, .value = { FACT_RULESET_V6 } });
	assert_has(&set, (struct fact){ .kind = FACT_FORWARDING6 });
	assert_has(&set, fact_of_link_state(true, 1420, true));
	assert_has(&set, fact_of_peer(key, psk, DEVICE, device));
	assert_has(&set, fact_of_network6(FACT_HAIRPIN6, device, 0));
	assert_has(&set, fact_of_network6(FACT_ADDRESS6, gate, 64));
	assert_has(&set, fact_of_network6(FACT_ROUTE6, network, 64));
	assert_has(&set, fact_of_network6(FACT_SUBNET6, network, 64));
	assert_has(&set, fact_of_network6(FACT_SAME_SUBNET6, network, 64));
	assert_has(&set, fact_of_network6(FACT_MASQUERADE6, network, 64));
	memcpy(forward.value, device, sizeof(device));
	forward.value[17] = 80;
	assert_has(&set, forward);
	assert_has(&set, fact_of_ports6(FACT_PUBLISHED6, host, 80));
	assert_null(fact_set_find(&set, &pinhole));
	assert_has(&set, fact_of_ports6(FACT_PUBLISHED6, device, 443));
	assert_has(&set, fact_of_ports6(FACT_ANSWERED6, device, 443));
}

static void a_range_becomes_its_ports(void **state)
{
	static const struct net_item item = { .kind = NET_FORWARD,
					      .forward = { HOST, 65000, 536, DEVICE, 1 } };
	CLEANUP(fact_set_done) struct fact_set set = { 0 };

	(void)state;
	expand(&item, 1, &set);
	assert_int_equal(set.count, 3 * 536);
	for (uint16_t i = 0; i < 536; i++) {
		assert_has(&set,
			   fact_of_forward(HOST, (uint16_t)(65000 + i), DEVICE, (uint16_t)(1 + i)));
		assert_has(&set, fact_of_published(HOST, (uint16_t)(65000 + i)));
		assert_has(&set, fact_of_answered(HOST, (uint16_t)(65000 + i)));
	}
}

static void what_two_items_claim_is_named(void **state)
{
	static const struct net_item items[] = {
		{ .kind = NET_FORWARD, .forward = { HOST, 80, 10, DEVICE, 80 } },
		{ .kind = NET_FORWARD, .forward = { HOST, 85, 1, DEVICE, 443 } },
	};
	CLEANUP(net_set_done) struct net_set set = { 0 };
	CLEANUP(fault_done) struct fault fault = { 0 };
	struct fact_set facts;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(items); i++)
		assert_int_equal(net_set_append(&set, &items[i]), 0);
	assert_int_equal(facts_expand(&set, 1420, &facts, &fault), -EEXIST);
	assert_string_equal(fault.details, "forward of 198.18.0.2:85 is wanted twice, differently");
}

static void ports_are_bounded(void **state)
{
	CLEANUP(net_set_done) struct net_set set = { 0 };
	CLEANUP(fault_done) struct fault fault = { 0 };
	struct fact_set facts;

	(void)state;
	for (uint32_t i = 0; i < 17; i++) {
		struct net_item item = { .kind = NET_FORWARD,
					 .forward = { HOST + i, 1, 65535, DEVICE, 1 } };

		assert_int_equal(net_set_append(&set, &item), 0);
	}
	assert_int_equal(facts_expand(&set, 1420, &facts, &fault), -E2BIG);
	assert_non_null(strstr(fault.details, "at most 1048576"));
}

static void texts_tell_no_key(void **state)
{
	static const uint8_t key[NET_KEY_SIZE] = "secret", no_address6[NET_ADDRESS6_SIZE];
	char text[FACT_TEXT_MAX];
	struct fact fact = fact_of_peer(key, key, DEVICE, no_address6);

	(void)state;
	assert_string_equal(fact_format(&fact, text), "WireGuard peer of device 10.59.0.2");
	fact = fact_of_wg_device(key, 1);
	assert_string_equal(fact_format(&fact, text), "key and listen port of wg-start-tunnel");
	fact = fact_of_address(GATE, 24);
	assert_string_equal(fact_format(&fact, text), "address on wg-start-tunnel: 10.59.0.1/24");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_link_has_the_default_mtu_unless_it_says_one),
		cmocka_unit_test(a_link_has_enough_for_ipv6),
		cmocka_unit_test(items_become_what_the_kernel_holds),
		cmocka_unit_test(items_of_ipv6_become_facts_of_their_own),
		cmocka_unit_test(a_range_becomes_its_ports),
		cmocka_unit_test(what_two_items_claim_is_named),
		cmocka_unit_test(ports_are_bounded),
		cmocka_unit_test(texts_tell_no_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
