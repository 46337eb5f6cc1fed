#include "network/ruleset.h"

#include "base/test.h"

#define HOST 0xC6120002 /* 198.18.0.2 */
#define DEVICE 0x0A3B0002 /* 10.59.0.2 */

static struct fact with_address(struct fact fact, const char value[4])
{
	memcpy(fact.value, value, 4);
	return fact;
}

static void facts_become_text(void **state)
{
	struct fact facts[] = {
		{ .kind = FACT_LINK },
		fact_of_forward(HOST, 80, DEVICE, 8080),
		fact_of_forward(HOST, 81, DEVICE, 8081),
		fact_of_published(HOST, 80),
		fact_of_published(HOST, 81),
		fact_of_answered(HOST, 80),
		fact_of_answered(HOST, 81),
		fact_of_network(FACT_SUBNET, 0x0A3B0000, 24),
		fact_of_network(FACT_SAME_SUBNET, 0x0A3B0000, 24),
		fact_of_network(FACT_HAIRPIN, DEVICE, 0),
		with_address(fact_of_network(FACT_EGRESS_DEVICE, DEVICE, 0), "\xC6\x12\0\3"),
		with_address(fact_of_network(FACT_EGRESS_SUBNET, 0x0A3B0000, 24), "\xC6\x12\0\4"),
		fact_of_address(0x0A3B0001, 24),
	};
	struct fact_set set = { .facts = facts, .count = ARRAY_SIZE(facts) };
	struct traffic_port counted = {
		.key = { 198, 18, 0, 2, 0, 80 },
		.packets = { 3, 5 },
		.bytes = { 400, UINT64_C(6000000000) },
	};
	const struct traffic traffic = { .ports = &counted, .count = 1 };
	CLEANUP(text_done) struct text text = { 0 };
	static const char elements[] =
		"add element inet start_tunnel forwards { 198.18.0.2 . 80 : 10.59.0.2 . 8080, "
		"198.18.0.2 . 81 : 10.59.0.2 . 8081 }\n"
		"add element inet start_tunnel published { 198.18.0.2 . 80 counter packets 3 bytes 400, "
		"198.18.0.2 . 81 }\n"
		"add element inet start_tunnel answered { 198.18.0.2 . 80 counter packets 5 bytes "
		"6000000000, 198.18.0.2 . 81 }\n"
		"add element inet start_tunnel subnets { 10.59.0.0/24 }\n"
		"add element inet start_tunnel same_subnet { 10.59.0.0/24 . 10.59.0.0/24 }\n"
		"add element inet start_tunnel hairpin { 10.59.0.2 . 10.59.0.2 }\n"
		"add element inet start_tunnel egress_device { 10.59.0.2 : 198.18.0.3 }\n"
		"add element inet start_tunnel egress_subnet { 10.59.0.0/24 : 198.18.0.4 }\n";

	(void)state;
	ruleset_write(&text, &set, &traffic);
	assert_int_equal(text_error(&text), 0);
	assert_true(text.size > sizeof(elements));
	assert_string_equal(text.data + text.size - (sizeof(elements) - 1), elements);
}

static void facts_of_ipv6_become_text(void **state)
{
	static const uint8_t device[] = { 0xfd, 0x12, [15] = 2 }, network[16] = { 0xfd, 0x12 };
	static const uint8_t host[] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 7 };
	struct fact facts[] = {
		{ .kind = FACT_RULESET, .value = { FACT_RULESET_V6 } },
		fact_of_ports6(FACT_FORWARD6, host, 80),
		fact_of_ports6(FACT_PUBLISHED6, host, 80),
		fact_of_network6(FACT_SUBNET6, network, 64),
		fact_of_network6(FACT_SAME_SUBNET6, network, 64),
		fact_of_network6(FACT_HAIRPIN6, device, 0),
		fact_of_network6(FACT_MASQUERADE6, network, 64),
	};
	struct fact_set set = { .facts = facts, .count = ARRAY_SIZE(facts) };
	CLEANUP(text_done) struct text text = { 0 };
	static const char elements[] =
		"add element inet start_tunnel forwards6 { 2001:db8::7 . 80 : fd12::2 . 8080 }\n"
		"add element inet start_tunnel published6 { 2001:db8::7 . 80 }\n"
		"add element inet start_tunnel subnets6 { fd12::/64 }\n"
		"add element inet start_tunnel same_subnet6 { fd12::/64 . fd12::/64 }\n"
		"add element inet start_tunnel hairpin6 { fd12::2 . fd12::2 }\n"
		"add element inet start_tunnel masquerade6 { fd12::/64 }\n";

	(void)state;
	memcpy(facts[1].value, device, sizeof(device));
	facts[1].value[16] = 8080 >> 8;
	facts[1].value[17] = 8080 & 0xff;
	ruleset_write(&text, &set, NULL);
	assert_int_equal(text_error(&text), 0);
	assert_non_null(strstr(text.data, "set published6 {"));
	assert_string_equal(text.data + text.size - (sizeof(elements) - 1), elements);
}

static void nothing_is_the_rules_alone(void **state)
{
	const struct fact_set none = { 0 };
	CLEANUP(text_done) struct text text = { 0 };

	(void)state;
	ruleset_write(&text, &none, NULL);
	assert_null(strstr(text.data, "add element"));
	assert_non_null(strstr(text.data, "policy drop;"));
	assert_null(strstr(text.data, "ip6")); /* IPv6 is closed by the policy alone */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(facts_become_text),
		cmocka_unit_test(facts_of_ipv6_become_text),
		cmocka_unit_test(nothing_is_the_rules_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
