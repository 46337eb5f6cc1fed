#include "base/ip.h"
#include "netstate/netd_protocol.h"

#include "base/test.h"

/* One item of every kind, each member with a value of its own. */
static const struct net_item items[] = {
	{ .kind = NET_LINK,
	  .link = { .private_key = { 1, 2, 3 }, .listen_port = 51820, .mtu = 1420, .ipv6 = 1 } },
	{ .kind = NET_SUBNET, .subnet = { .address = 0x0A3B2501, .prefix = 24 } },
	{ .kind = NET_DEVICE,
	  .device = { .public_key = { 4 },
		      .preshared_key = { 5, [31] = 6 },
		      .address = 0x0A3B2502,
		      .address6 = { 0xfd, 7, [15] = 8 } } },
	{ .kind = NET_EGRESS,
	  .egress = { .source = 0x0A3B2502, .prefix = 32, .address = 0xCB007108 } },
	{ .kind = NET_FORWARD, .forward = { 0xCB007107, 8000, 10, 0x0A3B2502, 9000 } },
	{ .kind = NET_SUBNET6, .subnet6 = { .address = { 0xfd, [15] = 1 }, .masquerade = 1 } },
	{ .kind = NET_FORWARD6,
	  .forward6 = { { 0x20, 1, [15] = 2 }, 8000, 10, { 0xfd, [15] = 3 }, 9000 } },
};

static void fill(struct net_set *set)
{
	for (size_t i = 0; i < ARRAY_SIZE(items); i++)
		assert_int_equal(net_set_append(set, &items[i]), 0);
	net_set_sort(set);
}

static struct netd_frame parse(const struct text *t)
{
	struct netd_frame frame;

	assert_int_equal(text_error(t), 0);
	assert_int_equal(netd_frame_parse((const uint8_t *)t->data, t->size, &frame), t->size);
	return frame;
}

static void assert_holds_all(const struct net_set *set)
{
	assert_int_equal(set->count, ARRAY_SIZE(items));
	for (size_t i = 0; i < set->count; i++)
		assert_int_equal(net_item_compare(&set->items[i], &items[i]), 0);
}

static void sync_and_change_come_back(void **state)
{
	CLEANUP(text_done_secret) struct text sync = { 0 };
	CLEANUP(text_done_secret) struct text change = { 0 };
	CLEANUP(net_set_done) struct net_set all = { 0 };
	CLEANUP(net_set_done) struct net_set none = { 0 };
	CLEANUP(net_set_done) struct net_set first = { 0 };
	CLEANUP(net_set_done) struct net_set second = { 0 };
	CLEANUP(net_set_done) struct net_set third = { 0 };
	struct netd_frame frame;

	(void)state;
	fill(&all);
	netd_write_sync(&sync, 7, &all);
	frame = parse(&sync);
	assert_int_equal(frame.type, NETD_SYNC);
	assert_int_equal(frame.number, 7);
	assert_int_equal(netd_parse_sync(&frame, &first), 0);
	assert_holds_all(&first);

	netd_write_change(&change, 8, &none, &all);
	frame = parse(&change);
	assert_int_equal(frame.type, NETD_CHANGE);
	assert_int_equal(netd_parse_change(&frame, &second, &third), 0);
	assert_int_equal(second.count, 0);
	assert_holds_all(&third);
}

static void every_missing_byte_is_noticed(void **state)
{
	CLEANUP(text_done_secret) struct text sync = { 0 };
	CLEANUP(net_set_done) struct net_set all = { 0 };
	struct netd_frame frame, shorter;

	(void)state;
	fill(&all);
	netd_write_sync(&sync, 7, &all);
	for (size_t size = 0; size < sync.size; size++)
		assert_int_equal(netd_frame_parse((uint8_t *)sync.data, size, &frame), 0);
	frame = parse(&sync);
	for (size_t size = 0; size < frame.body_size; size++) {
		CLEANUP(net_set_done) struct net_set set = { 0 };

		shorter = frame;
		shorter.body_size = size;
		assert_int_equal(netd_parse_sync(&shorter, &set), -EBADMSG);
		assert_null(set.items);
	}
}

static void frames_of_wrong_length_are_refused(void **state)
{
	static const uint8_t too_long[] = { 0x02, 0, 0, 1 };
	static const uint8_t too_short[] = { 0, 0, 0, 4, 1, 0, 0, 0 };
	static const uint8_t too_many[] = { 0, 4, 0, 1 };
	static const uint8_t unknown_kind[] = { 0, 0, 0, 1, 9 };
	struct netd_frame frame = { .type = NETD_SYNC };
	struct net_set set = { 0 };

	(void)state;
	assert_int_equal(netd_frame_parse(too_long, sizeof(too_long), &frame), -EMSGSIZE);
	assert_int_equal(netd_frame_parse(too_short, sizeof(too_short), &frame), -EBADMSG);
	frame.body = too_many;
	frame.body_size = sizeof(too_many);
	assert_int_equal(netd_parse_sync(&frame, &set), -E2BIG);
	frame.body = unknown_kind;
	frame.body_size = sizeof(unknown_kind);
	assert_int_equal(netd_parse_sync(&frame, &set), -EBADMSG);
}

static void faults_come_back(void **state)
{
	CLEANUP(text_done) struct text t = { 0 };
	CLEANUP(fault_done) struct fault fault = { 0 };
	CLEANUP(fault_done) struct fault back = { 0 };
	struct netd_frame frame;

	(void)state;
	(void)fault_set(&fault, FAULT_NETWORK, "adding the address 10.0.0.1/24: no such device");
	netd_write_failed(&t, 9, &fault);
	frame = parse(&t);
	assert_int_equal(frame.type, NETD_FAILED);
	assert_int_equal(netd_parse_failed(&frame, &back), 0);
	assert_int_equal(back.kind, FAULT_NETWORK);
	assert_string_equal(back.details, fault.details);
}

static void status_comes_back(void **state)
{
	struct netd_peer_status peer = { .public_key = { 1 },
					 .endpoint = { .port = 7,
						       .address = ip_from_v4(0xCB007109) },
					 .last_handshake_s = 1790000000,
					 .rx_bytes = UINT64_C(1) << 40,
					 .tx_bytes = 3 };
	struct netd_forward_status forward = { .external = ip_from_v4(0xC6120002),
					       .external_port = 443,
					       .rx_bytes = UINT64_C(5) << 40,
					       .tx_bytes = 9 };
	struct netd_status status = { .backend = "start-wg 0.1.0",
				      .link_up = true,
				      .mtu = 1420,
				      .listen_port = 51820,
				      .drift_found = 2,
				      .drift_repaired = 1,
				      .drift_last = "table inet start_tunnel was missing",
				      .drift_last_s = 1790000001,
				      .peers = &peer,
				      .peer_count = 1,
				      .forwards = &forward,
				      .forward_count = 1 };
	CLEANUP(netd_status_done) struct netd_status back = { 0 };
	CLEANUP(text_done) struct text t = { 0 };
	struct netd_frame frame;

	(void)state;
	netd_write_status(&t, 10, &status);
	frame = parse(&t);
	assert_int_equal(netd_parse_status(&frame, &back), 0);
	assert_string_equal(back.backend, status.backend);
	assert_true(back.link_up);
	assert_int_equal(back.mtu, 1420);
	assert_int_equal(back.listen_port, 51820);
	assert_int_equal(back.drift_found, 2);
	assert_int_equal(back.drift_repaired, 1);
	assert_string_equal(back.drift_last, status.drift_last);
	assert_int_equal(back.drift_last_s, status.drift_last_s);
	assert_int_equal(back.peer_count, 1);
	assert_memory_equal(back.peers[0].public_key, peer.public_key, NET_KEY_SIZE);
	assert_true(ip_equal(&back.peers[0].endpoint.address, &peer.endpoint.address));
	assert_int_equal(back.peers[0].endpoint.port, 7);
	assert_int_equal(back.peers[0].last_handshake_s, peer.last_handshake_s);
	assert_int_equal(back.peers[0].rx_bytes, peer.rx_bytes);
	assert_int_equal(back.peers[0].tx_bytes, peer.tx_bytes);
	assert_int_equal(back.forward_count, 1);
	assert_true(ip_equal(&back.forwards[0].external, &forward.external));
	assert_int_equal(back.forwards[0].external_port, 443);
	assert_int_equal(back.forwards[0].rx_bytes, forward.rx_bytes);
	assert_int_equal(back.forwards[0].tx_bytes, 9);
}

static void unknown_flags_of_a_status_are_refused(void **state)
{
	static const struct {
		uint8_t flags;
		int result;
	} cases[] = { { 0, 0 }, { NETD_STATUS_TRAFFIC, 0 }, { 2, -EBADMSG }, { 255, -EBADMSG } };
	CLEANUP(text_done) struct text plain = { 0 };
	struct netd_frame frame;
	uint8_t flags = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(text_done) struct text t = { 0 };

		netd_write_status_request(&t, 1, cases[i].flags);
		frame = parse(&t);
		assert_int_equal(netd_parse_status_request(&frame, &flags), cases[i].result);
		if (cases[i].result == 0)
			assert_int_equal(flags, cases[i].flags);
	}
	netd_write_plain(&plain, NETD_STATUS, 1);
	frame = parse(&plain);
	assert_int_equal(netd_parse_status_request(&frame, &flags), 0);
	assert_int_equal(flags, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sync_and_change_come_back),
		cmocka_unit_test(every_missing_byte_is_noticed),
		cmocka_unit_test(frames_of_wrong_length_are_refused),
		cmocka_unit_test(faults_come_back),
		cmocka_unit_test(status_comes_back),
		cmocka_unit_test(unknown_flags_of_a_status_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
