#include "base/ip.h"
#include "netstate/net_item.h"

#include "base/test.h"

static struct net_item forward(uint32_t external, unsigned port, unsigned count, uint32_t target,
			       unsigned target_port)
{
	return (struct net_item){ .kind = NET_FORWARD,
				  .forward = { .external = external,
					       .external_port = (uint16_t)port,
					       .count = (uint16_t)count,
					       .target = target,
					       .target_port = (uint16_t)target_port } };
}

#define HOST 0xCB007107 /* 203.0.113.7 */
#define DEVICE 0x0A3B2502 /* 10.59.37.2 */

static void checks_name_the_member(void **state)
{
	static const struct {
		const char *name;
		struct net_item item;
		const char *expected; /* NULL: sound */
	} cases[] = {
		{ "no kind", { .kind = 0 }, "kind is unknown" },
		{ "kind above", { .kind = 8 }, "kind is unknown" },
		{ "link",
		  { .kind = NET_LINK, .link = { .private_key = { 1 }, .listen_port = 51820 } },
		  NULL },
		{ "link without key",
		  { .kind = NET_LINK, .link = { .listen_port = 1 } },
		  "link: private key is empty" },
		{ "link without port",
		  { .kind = NET_LINK, .link = { .private_key = { 1 } } },
		  "link: listen port is 0" },
		{ "link with a tiny MTU",
		  { .kind = NET_LINK,
		    .link = { .private_key = { 1 }, .listen_port = 1, .mtu = 575 } },
		  "link: MTU is below 576" },
		{ "link with an MTU that IPv6 does not do with",
		  { .kind = NET_LINK,
		    .link = { .private_key = { 1 }, .listen_port = 1, .mtu = 1279, .ipv6 = 1 } },
		  "link: MTU is below 1280, which IPv6 needs" },
		{ "link with the smallest MTU of IPv6",
		  { .kind = NET_LINK,
		    .link = { .private_key = { 1 }, .listen_port = 1, .mtu = 1280, .ipv6 = 1 } },
		  NULL },
		{ "subnet", { .kind = NET_SUBNET, .subnet = { 0x0A3B2501, 24 } }, NULL },
		{ "subnet of everything",
		  { .kind = NET_SUBNET, .subnet = { 0x0A3B2501, 0 } },
		  "subnet: prefix length is not 1 to 30" },
		{ "subnet of one",
		  { .kind = NET_SUBNET, .subnet = { 0x0A3B2501, 31 } },
		  "subnet: prefix length is not 1 to 30" },
		{ "subnet's network address",
		  { .kind = NET_SUBNET, .subnet = { 0x0A3B2500, 24 } },
		  "subnet: address is the network's own or its broadcast" },
		{ "subnet's broadcast",
		  { .kind = NET_SUBNET, .subnet = { 0x0A3B25FF, 24 } },
		  "subnet: address is the network's own or its broadcast" },
		{ "subnet of multicast",
		  { .kind = NET_SUBNET, .subnet = { 0xE0000001, 24 } },
		  "subnet: address is not one of a host" },
		{ "device",
		  { .kind = NET_DEVICE, .device = { { 1 }, { 0 }, DEVICE, { 0 } } },
		  NULL },
		{ "device without key",
		  { .kind = NET_DEVICE, .device = { { 0 }, { 0 }, DEVICE, { 0 } } },
		  "device: public key is empty" },
		{ "device on loopback",
		  { .kind = NET_DEVICE, .device = { { 1 }, { 0 }, 0x7F000001, { 0 } } },
		  "device: address is not one of a host" },
		{ "egress", { .kind = NET_EGRESS, .egress = { DEVICE, 32, HOST } }, NULL },
		{ "egress with host bits",
		  { .kind = NET_EGRESS, .egress = { DEVICE, 24, HOST } },
		  "egress: source has host bits" },
		{ "egress of everyone",
		  { .kind = NET_EGRESS, .egress = { 0, 0, HOST } },
		  "egress: prefix length is not 1 to 32" },
		{ "forward",
		  { .kind = NET_FORWARD, .forward = { HOST, 443, 1, DEVICE, 443 } },
		  NULL },
		{ "all ports",
		  { .kind = NET_FORWARD, .forward = { HOST, 1, 65535, DEVICE, 1 } },
		  NULL },
		{ "forward of nothing",
		  { .kind = NET_FORWARD, .forward = { HOST, 443, 0, DEVICE, 443 } },
		  "forward: count is 0" },
		{ "external range past the end",
		  { .kind = NET_FORWARD, .forward = { HOST, 65530, 7, DEVICE, 443 } },
		  "forward: external ports are not within 1 to 65535" },
		{ "target range past the end",
		  { .kind = NET_FORWARD, .forward = { HOST, 443, 7, DEVICE, 65530 } },
		  "forward: target ports are not within 1 to 65535" },
		{ "external port 0",
		  { .kind = NET_FORWARD, .forward = { HOST, 0, 1, DEVICE, 443 } },
		  "forward: external ports are not within 1 to 65535" },
		{ "subnet of IPv6",
		  { .kind = NET_SUBNET6, .subnet6 = { { 0xfd, [15] = 1 }, 1 } },
		  NULL },
		{ "subnet of IPv6 without an address",
		  { .kind = NET_SUBNET6, .subnet6 = { { 0xfd }, 1 } },
		  "subnet: IPv6 address is the network's own" },
		{ "subnet of IPv6 multicast",
		  { .kind = NET_SUBNET6, .subnet6 = { { 0xff, [15] = 1 }, 1 } },
		  "subnet: IPv6 address is not one of a host" },
		{ "device of the link alone",
		  { .kind = NET_DEVICE,
		    .device = { { 1 }, { 0 }, DEVICE, { 0xfe, 0x80, [15] = 1 } } },
		  "device: IPv6 address is not one of a host" },
		{ "pinhole",
		  { .kind = NET_FORWARD6,
		    .forward6 = { { 0x20, [15] = 2 }, 443, 1, { 0x20, [15] = 2 }, 443 } },
		  NULL },
		{ "forward of IPv6 from nowhere",
		  { .kind = NET_FORWARD6, .forward6 = { { 0 }, 443, 1, { 0x20, [15] = 2 }, 443 } },
		  "forward: external address is not one of a host" },
		{ "range of IPv6 past the end",
		  { .kind = NET_FORWARD6,
		    .forward6 = { { 0x20, [15] = 2 }, 65530, 7, { 0x20, [15] = 2 }, 1 } },
		  "forward: external ports are not within 1 to 65535" },
		{ "target nowhere",
		  { .kind = NET_FORWARD, .forward = { HOST, 443, 1, 0, 443 } },
		  "forward: target address is not one of a host" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(fault_done) struct fault fault = { 0 };
		int r = net_item_check(&cases[i].item, &fault);

		assert_int_equal(r, cases[i].expected ? -EPROTO : 0);
		if (cases[i].expected)
			assert_string_equal(fault.details, cases[i].expected);
	}
}

static void texts_tell_no_secret(void **state)
{
	struct net_item one = forward(HOST, 80, 1, DEVICE, 8080);
	struct net_item range = forward(HOST, 5000, 10, DEVICE, 6000);
	struct net_item link = { .kind = NET_LINK,
				 .link = { .private_key = "secret", .listen_port = 51820 } };
	char text[NET_ITEM_TEXT_MAX];

	(void)state;
	assert_string_equal(net_item_format(&one, text),
			    "forward 203.0.113.7:80 to 10.59.37.2:8080");
	assert_string_equal(net_item_format(&range, text),
			    "forward 203.0.113.7:5000-5009 to 10.59.37.2:6000-6009");
	assert_string_equal(net_item_format(&link, text),
			    "interface wg-start-tunnel on port 51820");
}

static void padding_does_not_count(void **state)
{
	struct net_item a, b;

	(void)state;
	memset(&a, 0xFF, sizeof(a));
	memset(&b, 0x00, sizeof(b));
	a.kind = b.kind = NET_SUBNET;
	a.subnet.address = b.subnet.address = 0x0A000001;
	a.subnet.prefix = b.subnet.prefix = 24;
	assert_int_equal(net_item_compare(&a, &b), 0);
}

/* Against flags for a small universe of items. */
#define UNIVERSE 64
#define ROUNDS 2000

static struct net_item nth(unsigned n)
{
	if (n % 3 == 0)
		return (struct net_item){ .kind = NET_SUBNET,
					  .subnet = { 0x0A000001 + n * 256, 24 } };
	return forward(HOST, 1 + n, 1 + n % 2, DEVICE, 100);
}

static void fill(struct net_set *set, const bool flags[UNIVERSE])
{
	for (unsigned i = 0; i < UNIVERSE; i++) {
		struct net_item item = nth(UNIVERSE - 1 - i);

		if (!flags[UNIVERSE - 1 - i])
			continue;
		assert_int_equal(net_set_append(set, &item), 0);
		assert_int_equal(net_set_append(set, &item), 0); /* twice: once is kept */
	}
	net_set_sort(set);
}

static void assert_is(const struct net_set *set, const bool flags[UNIVERSE])
{
	size_t count = 0;

	for (unsigned i = 0; i < UNIVERSE; i++) {
		struct net_item item = nth(i);

		assert_int_equal(net_set_contains(set, &item), flags[i]);
		count += flags[i];
	}
	assert_int_equal(set->count, count);
	for (size_t i = 1; i < set->count; i++)
		assert_true(net_item_compare(&set->items[i - 1], &set->items[i]) < 0);
}

static void sets_agree_with_flags(void **state)
{
	unsigned seed = 20261121;

	(void)state;
	print_message("seed %u\n", seed);
	for (unsigned round = 0; round < ROUNDS; round++) {
		CLEANUP(net_set_done) struct net_set a = { 0 };
		CLEANUP(net_set_done) struct net_set b = { 0 };
		CLEANUP(net_set_done) struct net_set remove = { 0 };
		CLEANUP(net_set_done) struct net_set add = { 0 };
		bool in_a[UNIVERSE], in_b[UNIVERSE], gone[UNIVERSE], come[UNIVERSE], sum[UNIVERSE];
		int density = 1 + rand_r(&seed) % 8;

		for (unsigned i = 0; i < UNIVERSE; i++) {
			in_a[i] = rand_r(&seed) % density == 0;
			in_b[i] = rand_r(&seed) % 4 == 0;
			gone[i] = in_a[i] && !in_b[i];
			come[i] = !in_a[i] && in_b[i];
			sum[i] = in_a[i] || in_b[i];
		}
		fill(&a, in_a);
		fill(&b, in_b);
		assert_int_equal(net_set_difference(&a, &b, &remove, &add), 0);
		assert_is(&remove, gone);
		assert_is(&add, come);
		assert_int_equal(net_set_change(&a, &remove, &add), 0);
		assert_is(&a, in_b);
		assert_int_equal(net_set_change(&a, &add, &remove), 0);
		assert_is(&a, in_a);
		/* What is there already is not added again, what is not there is not taken out. */
		assert_int_equal(net_set_change(&a, &add, &b), 0);
		assert_is(&a, sum);
	}
}

/* Against counts. */
static void what_both_have_cancels(void **state)
{
	unsigned seed = 20261122;

	(void)state;
	print_message("seed %u\n", seed);
	for (unsigned round = 0; round < ROUNDS; round++) {
		CLEANUP(net_set_done) struct net_set a = { 0 };
		CLEANUP(net_set_done) struct net_set b = { 0 };
		int left[UNIVERSE] = { 0 };

		for (unsigned n = rand_r(&seed) % 256; n > 0; n--) {
			unsigned which = (unsigned)rand_r(&seed) % UNIVERSE;
			struct net_item item = nth(which);
			bool to_a = rand_r(&seed) % 2;

			assert_int_equal(net_set_append(to_a ? &a : &b, &item), 0);
			left[which] += to_a ? 1 : -1;
		}
		net_set_cancel(&a, &b);
		for (unsigned i = 0; i < UNIVERSE; i++) {
			struct net_item item = nth(i);
			int count = 0;

			for (size_t j = 0; j < a.count; j++)
				count += net_item_compare(&a.items[j], &item) == 0;
			assert_int_equal(count, left[i] > 0 ? left[i] : 0);
			assert_int_equal(net_set_contains(&b, &item), left[i] < 0);
		}
	}
}

static void a_set_is_bounded(void **state)
{
	CLEANUP(net_set_done) struct net_set set = { 0 };
	struct net_item item = { .kind = NET_SUBNET };

	(void)state;
	for (size_t i = 0; i < NET_ITEMS_MAX; i++)
		assert_int_equal(net_set_append(&set, &item), 0);
	assert_int_equal(net_set_append(&set, &item), -E2BIG);
	net_set_sort(&set);
	assert_int_equal(set.count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checks_name_the_member), cmocka_unit_test(texts_tell_no_secret),
		cmocka_unit_test(padding_does_not_count), cmocka_unit_test(sets_agree_with_flags),
		cmocka_unit_test(what_both_have_cancels), cmocka_unit_test(a_set_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
