/* Ports that devices open by themselves: who gets what, and what ends it. */
#include "tunnel/device_test.h"

static void on_mapped(void *context, const struct mapping_request *request,
		      const struct mapping_outcome *outcome)
{
	struct fixture *f = context;

	f->outcomes[f->answered++] = *outcome;
	uv_stop(&f->loop);
}

static struct mapping_request request_of(const char *device, uint16_t internal, uint16_t external)
{
	struct mapping_request request = { .protocol = IPPROTO_TCP,
					   .internal_port = internal,
					   .external_port = external,
					   .count = 1,
					   .lifetime_s = 600 };

	assert_int_equal(ip_v4_parse(device, &request.device), 0);
	return request;
}

static struct mapping_outcome outcome_of(struct fixture *f, const struct mapping_request *request)
{
	f->answered = 0;
	assert_int_equal(port_mapper_submit(f->tunnel->mapper, request, on_mapped, f), 0);
	while (f->answered == 0)
		uv_run(&f->loop, UV_RUN_DEFAULT);
	return f->outcomes[0];
}

static enum mapping_result map(struct fixture *f, const char *device, uint16_t internal,
			       uint16_t external)
{
	struct mapping_request request = request_of(device, internal, external);

	return outcome_of(f, &request).result;
}

static void assert_forward(struct fixture *f, const char *port, const char *target, bool enabled)
{
	const json_t *entry = forward(f, port);

	assert_non_null(entry);
	assert_string_equal(json_string_value(json_object_get(entry, "target")), target);
	assert_int_equal(json_is_true(json_object_get(entry, "enabled")), enabled);
}

static void a_device_opens_a_port(void **state)
{
	struct fixture *f = *state;
	struct mapping_request request = request_of(SERVER, 443, 443);
	struct mapping_outcome outcome = outcome_of(f, &request);
	const json_t *entry = forward(f, "443");

	assert_int_equal(outcome.result, MAPPING_DONE);
	assert_int_equal(outcome.external_port, 443);
	assert_int_equal(outcome.external, 0xc6120007);
	assert_forward(f, "443", SERVER ":443", true);
	assert_true(json_is_true(json_object_get(entry, "auto")));
	assert_string_equal(json_string_value(json_object_get(entry, "label")), "PCP");
	assert_int_equal(
		json_integer_value(pointer_get(json_object_get(entry, "lease"), "/tcp/seconds")),
		600);
	assert_true(json_is_null(pointer_get(json_object_get(entry, "lease"), "/udp")));
	/* It survives a restart, with its lease. */
	finish(f);
	begin(f);
	assert_forward(f, "443", SERVER ":443", true);
	/* Two ports to one of its own. */
	assert_int_equal(map(f, SERVER, 443, 80), MAPPING_DONE);
	assert_forward(f, "80", SERVER ":443", true);
}

static void nobody_gets_what_another_has(void **state)
{
	struct fixture *f = *state;
	struct mapping_request any = request_of(OTHER, 443, 443),
			       range = request_of(OTHER, 440, 440);
	struct mapping_outcome outcome;

	assert_int_equal(map(f, SERVER, 443, 443), MAPPING_DONE);
	assert_int_equal(map(f, OTHER, 443, 443), MAPPING_TAKEN);
	range.count = 10;
	assert_int_equal(outcome_of(f, &range).result, MAPPING_TAKEN);
	any.any_port = true;
	outcome = outcome_of(f, &any);
	assert_int_equal(outcome.result, MAPPING_DONE);
	assert_int_not_equal(outcome.external_port, 443);
	/* Nor what this machine has: the tunnel's own port, and the way in for its owner. */
	assert_int_equal(map(f, SERVER, 51820, 51820), MAPPING_TAKEN);
	assert_int_equal(map(f, SERVER, 22, 22), MAPPING_TAKEN);
	call(f, "db.apply", "'expr':'.webserver.listen = \\'127.0.0.1:8443\\''");
	assert_int_equal(map(f, SERVER, 8443, 8443), MAPPING_TAKEN);
	/* Nor beyond the last port. */
	range.internal_port = 65530;
	range.external_port = 1000;
	assert_int_equal(outcome_of(f, &range).result, MAPPING_TAKEN);
}

/* Each port that is shared is a listener; more names on one of them cost nothing. */
static void a_device_shares_so_many_ports(void **state)
{
	struct fixture *f = *state;
	struct mapping_request named = request_of(SERVER, 443, 0);

	named.name_count = 1;
	(void)snprintf(named.names[0].text, sizeof(named.names[0].text), "git.example.com");
	for (int i = 0; i < PORT_MAPPER_DEVICE_SHARED_PORTS_MAX; i++) {
		named.external_port = (uint16_t)(1000 + i);
		assert_int_equal(outcome_of(f, &named).result, MAPPING_DONE);
	}
	named.external_port = 2000;
	assert_int_equal(outcome_of(f, &named).result, MAPPING_QUOTA);
	assert_null(forward(f, "2000"));
	named.external_port = 1000; /* renewed */
	assert_int_equal(outcome_of(f, &named).result, MAPPING_DONE);
	(void)snprintf(named.names[0].text, sizeof(named.names[0].text), "shop.example.com");
	assert_int_equal(outcome_of(f, &named).result, MAPPING_DONE);
	assert_int_equal(ip_v4_parse(OTHER, &named.device), 0);
	named.external_port = 2000;
	assert_int_equal(outcome_of(f, &named).result, MAPPING_DONE);
}

static void only_while_it_may(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(map(f, "172.29.5.77", 443, 443), MAPPING_NOT_AUTHORIZED);
	assert_int_equal(map(f, "203.0.113.9", 443, 443), MAPPING_NOT_AUTHORIZED);
	assert_int_equal(map(f, SERVER, 443, 443), MAPPING_DONE);
	assert_int_equal(map(f, SERVER, 444, 444), MAPPING_DONE);
	assert_int_equal(map(f, OTHER, 445, 445), MAPPING_DONE);
	call(f, "port-forward.pin", "'source':'" WAN ":444'");
	assert_null(json_object_get(forward(f, "444"), "lease"));
	assert_true(json_is_false(json_object_get(forward(f, "444"), "auto")));
	call(f, "device.set-auto-port-forward",
	     "'subnet':'172.29.5.1/24','ip':'" SERVER "','enabled':false");
	assert_null(forward(f, "443"));
	assert_forward(f, "444", SERVER ":444", true); /* the owner's now */
	assert_forward(f, "445", OTHER ":445", true); /* another's */
	assert_int_equal(map(f, SERVER, 443, 443), MAPPING_NOT_AUTHORIZED);
	call(f, "device.set-auto-port-forward",
	     "'subnet':'172.29.5.1/24','ip':'" SERVER "','enabled':true");
	assert_int_equal(map(f, SERVER, 443, 443), MAPPING_DONE);
	call(f, "device.set-kind", "'subnet':'172.29.5.1/24','ip':'" SERVER "','kind':'client'");
	assert_null(forward(f, "443"));
	assert_forward(f, "445", OTHER ":445", true);
	call(f, "db.apply", "'expr':'.wg.subnets[].clients[].allowAutoPortForward = false'");
	assert_null(forward(f, "445"));
	assert_forward(f, "444", SERVER ":444", true);
}

static void what_the_owner_disabled_stays_so(void **state)
{
	struct fixture *f = *state;
	struct mapping_request request = request_of(SERVER, 443, 443);

	assert_int_equal(outcome_of(f, &request).result, MAPPING_DONE);
	call(f, "port-forward.set-enabled", "'source':'" WAN ":443','enabled':false");
	assert_int_equal(outcome_of(f, &request).result, MAPPING_DONE);
	assert_forward(f, "443", SERVER ":443", false);
	request.action = MAPPING_REMOVE_INTERNAL;
	assert_int_equal(outcome_of(f, &request).result, MAPPING_DONE);
	assert_forward(f, "443", SERVER ":443", false);
	request.action = MAPPING_ADD;
	request.internal_port = 8443; /* elsewhere on the same device */
	assert_int_equal(outcome_of(f, &request).result, MAPPING_DONE);
	assert_forward(f, "443", SERVER ":8443", false);
}

static void a_manual_forward_is_the_owners(void **state)
{
	struct fixture *f = *state;
	struct mapping_request request = request_of(SERVER, 8000, 8000);

	call(f, "port-forward.add", "'externalPort':8000,'target':'" SERVER ":8000'");
	assert_int_equal(outcome_of(f, &request).result, MAPPING_DONE); /* it is open */
	assert_null(json_object_get(forward(f, "8000"), "lease"));
	request.action = MAPPING_REMOVE_INTERNAL;
	assert_int_equal(outcome_of(f, &request).result, MAPPING_DONE);
	assert_forward(f, "8000", SERVER ":8000", true);
	request.action = MAPPING_REMOVE_EXTERNAL;
	assert_int_equal(outcome_of(f, &request).result, MAPPING_NOT_AUTHORIZED);
	assert_forward(f, "8000", SERVER ":8000", true);
	assert_int_equal(map(f, SERVER, 8001, 8000), MAPPING_TAKEN);
}

static void each_removes_its_own(void **state)
{
	struct fixture *f = *state;
	struct mapping_request tcp = request_of(SERVER, 443, 443), udp = tcp, web = tcp;

	tcp.has_nonce = web.has_nonce = true;
	tcp.nonce[0] = 1;
	web.nonce[0] = 2;
	web.external_port = 80;
	udp.protocol = IPPROTO_UDP;
	assert_int_equal(outcome_of(f, &tcp).result, MAPPING_DONE);
	assert_int_equal(outcome_of(f, &udp).result, MAPPING_DONE);
	assert_int_equal(outcome_of(f, &web).result, MAPPING_DONE);
	/* By the nonce: the other port to 443 stays. */
	web.action = MAPPING_REMOVE_INTERNAL;
	web.external_port = 0;
	assert_int_equal(outcome_of(f, &web).result, MAPPING_DONE);
	assert_null(forward(f, "80"));
	assert_forward(f, "443", SERVER ":443", true);
	/* The last protocol closes it. */
	tcp.action = MAPPING_REMOVE_INTERNAL;
	assert_int_equal(outcome_of(f, &tcp).result, MAPPING_DONE);
	assert_forward(f, "443", SERVER ":443", true);
	udp.action = MAPPING_REMOVE_EXTERNAL;
	udp.device++; /* not the other's */
	assert_int_equal(outcome_of(f, &udp).result, MAPPING_NOT_FOUND);
	udp.device--;
	assert_int_equal(outcome_of(f, &udp).result, MAPPING_DONE);
	assert_null(forward(f, "443"));
	assert_int_equal(outcome_of(f, &udp).result, MAPPING_NOT_FOUND);
	/* Everything at once. */
	assert_int_equal(map(f, SERVER, 1001, 1001), MAPPING_DONE);
	assert_int_equal(map(f, SERVER, 1002, 1002), MAPPING_DONE);
	tcp.internal_port = 0;
	tcp.protocol = 0;
	assert_int_equal(outcome_of(f, &tcp).result, MAPPING_DONE);
	assert_null(forward(f, "1001"));
	assert_null(forward(f, "1002"));
}

static void a_lease_ends(void **state)
{
	struct fixture *f = *state;
	struct mapping_request request = request_of(SERVER, 443, 443);

	request.lifetime_s = 1;
	assert_int_equal(outcome_of(f, &request).result, MAPPING_DONE);
	assert_int_equal(map(f, SERVER, 444, 444), MAPPING_DONE);
	while (forward(f, "443") || store_busy(f->tunnel->store))
		uv_run(&f->loop, UV_RUN_ONCE);
	assert_forward(f, "444", SERVER ":444", true);
	/* One that ends while nobody watches is not there at the next start. */
	assert_int_equal(outcome_of(f, &request).result, MAPPING_DONE);
	finish(f);
	(void)sleep(2);
	begin(f);
	assert_null(forward(f, "443"));
	assert_forward(f, "444", SERVER ":444", true);
}

static void many_become_one_transaction(void **state)
{
	struct fixture *f = *state;
	struct mapping_request request = request_of(SERVER, 1000, 1000);
	uint64_t revision = store_revision(f->tunnel->store);

	f->answered = 0;
	for (uint16_t i = 0; i < 50; i++) {
		request.internal_port = request.external_port = (uint16_t)(1000 + i);
		assert_int_equal(port_mapper_submit(f->tunnel->mapper, &request, on_mapped, f), 0);
		assert_int_equal(port_mapper_submit(f->tunnel->mapper, &request, on_mapped, f),
				 -EALREADY);
	}
	while (f->answered < 50)
		uv_run(&f->loop, UV_RUN_DEFAULT);
	for (int i = 0; i < 50; i++)
		assert_int_equal(f->outcomes[i].result, MAPPING_DONE);
	assert_int_equal(store_revision(f->tunnel->store), revision + 2);
}

static void submit(struct fixture *f, const struct mapping_request *request, int result)
{
	assert_int_equal(port_mapper_submit(f->tunnel->mapper, request, on_mapped, f), result);
}

static void await(struct fixture *f, int count)
{
	while (f->answered < count)
		uv_run(&f->loop, UV_RUN_DEFAULT);
	for (int i = 0; i < count; i++)
		assert_int_equal(f->outcomes[i].result, MAPPING_DONE);
}

/* What is sent again is one request; what has become another one since is not. */
static void the_last_request_counts(void **state)
{
	struct fixture *f = *state;
	struct mapping_request add = request_of(SERVER, 443, 443), remove = add, other;

	remove.action = MAPPING_REMOVE_INTERNAL;
	f->answered = 0;
	submit(f, &add, 0);
	submit(f, &remove, 0);
	submit(f, &remove, -EALREADY);
	submit(f, &add, 0);
	submit(f, &add, -EALREADY);
	other = request_of(SERVER, 444, 444);
	submit(f, &other, 0);
	submit(f, &add, -EALREADY); /* that was about another port */
	await(f, 4);
	assert_forward(f, "443", SERVER ":443", true);

	/* Any port outside is not the same port. */
	f->answered = 0;
	add = request_of(SERVER, 445, 0);
	other = request_of(SERVER, 446, 0);
	submit(f, &add, 0);
	submit(f, &other, 0);
	submit(f, &add, -EALREADY);
	await(f, 2);
	add = request_of(SERVER, 443, 443);

	/* One member makes another request. */
	f->answered = 0;
	submit(f, &add, 0);
	other = add;
	other.lifetime_s = 1200;
	submit(f, &other, 0);
	submit(f, &other, -EALREADY);
	other.any_port = true;
	submit(f, &other, 0);
	other.exact = true;
	submit(f, &other, 0);
	other.has_nonce = true;
	submit(f, &other, 0);
	await(f, 5);
	assert_int_equal(json_integer_value(pointer_get(json_object_get(forward(f, "443"), "lease"),
							"/tcp/seconds")),
			 1200);
}

/* Each caller has its own connection, and is answered on it. */
static void all_are_answered_over_upnp(void **state)
{
	struct fixture *f = *state;
	struct mapping_request request = request_of(SERVER, 443, 443);

	request.via = LEASE_UPNP;
	f->answered = 0;
	for (int i = 0; i < 3; i++)
		submit(f, &request, 0);
	await(f, 3);
	assert_forward(f, "443", SERVER ":443", true);
}

/* Where the network refuses what some of them want, the others get theirs. */
static void a_refusal_is_not_for_all(void **state)
{
	struct fixture *f = *state;
	struct mapping_request request = request_of(SERVER, 1000, 1000);

	f->answered = 0;
	f->fail_next = 3; /* the first alone, all others together, the second alone */
	for (uint16_t i = 0; i < 5; i++) {
		request.internal_port = request.external_port = (uint16_t)(1000 + i);
		assert_int_equal(port_mapper_submit(f->tunnel->mapper, &request, on_mapped, f), 0);
	}
	while (f->answered < 5)
		uv_run(&f->loop, UV_RUN_DEFAULT);
	for (int i = 0; i < 5; i++)
		assert_int_equal(f->outcomes[i].result, i < 2 ? MAPPING_FAILED : MAPPING_DONE);
	assert_null(forward(f, "1000"));
	assert_null(forward(f, "1001"));
	assert_forward(f, "1004", SERVER ":1004", true);
	assert_int_equal(map(f, SERVER, 1000, 1000), MAPPING_DONE);
}

static void ports_are_counted(void **state)
{
	struct fixture *f = *state;
	struct mapping_request range = request_of(SERVER, 30000, 0);

	range.count = 1024;
	for (int i = 0; i < PORT_MAPPER_DEVICE_PORTS_MAX / 1024; i++) {
		range.internal_port = range.external_port = (uint16_t)(30000 + 1024 * i);
		assert_int_equal(outcome_of(f, &range).result, MAPPING_DONE);
	}
	assert_int_equal(map(f, SERVER, 80, 80), MAPPING_QUOTA);
	assert_int_equal(map(f, OTHER, 80, 80), MAPPING_DONE);
}

#define NETWORK6 "2001:db8:d:1::"

static struct mapping_request request6_of(const char *device, uint16_t internal, uint16_t external)
{
	struct mapping_request request = request_of(device, internal, external);

	request.ipv6 = true;
	return request;
}

/* At its own address and port, while it may; the same port of another address is another. */
static void a_device_opens_a_pinhole(void **state)
{
	struct fixture *f = *state;
	struct mapping_request request = request6_of(SERVER, 443, 80);
	struct mapping_outcome outcome;
	const json_t *entry;

	assert_int_equal(outcome_of(f, &request).result, MAPPING_NO_ADDRESS);
	set_ipv6(f, NETWORK6 "/64");
	request.exact = true;
	assert_int_equal(outcome_of(f, &request).result, MAPPING_TAKEN);
	request.exact = false;
	outcome = outcome_of(f, &request);
	assert_int_equal(outcome.result, MAPPING_DONE);
	assert_int_equal(outcome.external_port, 443);
	entry = forward6(f, "[" NETWORK6 "2]:443");
	assert_string_equal(json_string_value(json_object_get(entry, "target")),
			    "[" NETWORK6 "2]:443");
	assert_int_equal(outcome_of(f, &request).result, MAPPING_DONE); /* renewed */
	request = request6_of(OTHER, 443, 443);
	assert_int_equal(outcome_of(f, &request).result, MAPPING_DONE);
	assert_null(forward(f, "443"));
	call(f, "device.set-auto-port-forward",
	     "'subnet':'172.29.5.1/24','ip':'" SERVER "','enabled':false");
	assert_null(forward6(f, "[" NETWORK6 "2]:443"));
	assert_non_null(forward6(f, "[" NETWORK6 "3]:443"));
	request = request6_of(SERVER, 443, 443);
	assert_int_equal(outcome_of(f, &request).result, MAPPING_NOT_AUTHORIZED);
}

/* A manual pinhole is the owner's, and a range of his is in the way of what it holds. */
static void a_manual_pinhole_is_the_owners(void **state)
{
	struct fixture *f = *state;
	struct mapping_request request;

	set_ipv6(f, NETWORK6 "/64");
	call(f, "port-forward.add",
	     "'externalPort':7000,'target':'[" NETWORK6 "2]:7000','count':10");
	request = request6_of(SERVER, 7005, 7005);
	assert_int_equal(outcome_of(f, &request).result, MAPPING_TAKEN);
	request.count = 10;
	request.internal_port = request.external_port = 6995;
	assert_int_equal(outcome_of(f, &request).result, MAPPING_TAKEN);
	request.internal_port = request.external_port = 6990;
	assert_int_equal(outcome_of(f, &request).result, MAPPING_DONE);
	assert_true(json_is_false(json_object_get(forward6(f, "[" NETWORK6 "2]:7000"), "auto")));
}

/* Those of IPv6 for themselves. */
static void pinholes_are_counted(void **state)
{
	struct fixture *f = *state;
	struct mapping_request range;

	set_ipv6(f, NETWORK6 "/64");
	range = request6_of(SERVER, 30000, 0);
	range.count = 1024;
	for (int i = 0; i < PORT_MAPPER_DEVICE_PORTS_MAX / 1024; i++) {
		range.internal_port = range.external_port = (uint16_t)(30000 + 1024 * i);
		assert_int_equal(outcome_of(f, &range).result, MAPPING_DONE);
	}
	range = request6_of(SERVER, 80, 80);
	assert_int_equal(outcome_of(f, &range).result, MAPPING_QUOTA);
	range = request6_of(OTHER, 80, 80);
	assert_int_equal(outcome_of(f, &range).result, MAPPING_DONE);
	assert_int_equal(map(f, SERVER, 80, 80), MAPPING_DONE);
}

/* What a forward may not begin with it may not grow to. */
static void a_forward_does_not_grow_over_others(void **state)
{
	struct fixture *f = *state;
	struct mapping_request range = request_of(SERVER, 5000, 21);
	unsigned done = 0;

	assert_int_equal(map(f, SERVER, 5000, 21), MAPPING_DONE);
	range.count = 2; /* 22 is this machine's */
	assert_int_equal(outcome_of(f, &range).result, MAPPING_TAKEN);
	assert_int_equal(json_integer_value(json_object_get(forward(f, "21"), "count")), 1);
	/* Nor beyond what a device may have. */
	range.count = 1024;
	for (uint16_t i = 0; i < 12; i++) {
		range.external_port = (uint16_t)(10000 + 1024 * i);
		assert_int_equal(map(f, SERVER, 5000, range.external_port), MAPPING_DONE);
		done += outcome_of(f, &range).result == MAPPING_DONE;
	}
	assert_int_equal(done, PORT_MAPPER_DEVICE_PORTS_MAX / 1024 - 1);
	range.external_port = 10000; /* less is no more */
	range.count = 512;
	assert_int_equal(outcome_of(f, &range).result, MAPPING_DONE);
}

/* The answer to one is given while the other one waits: each gets its own. */
static void a_name_is_renewed_beside_others(void **state)
{
	struct fixture *f = *state;
	struct mapping_request named = request_of(SERVER, 443, 443),
			       other = request_of(SERVER, 7000, 7000);

	named.name_count = 1;
	(void)snprintf(named.names[0].text, sizeof(named.names[0].text), "git.example.com");
	assert_int_equal(outcome_of(f, &named).result, MAPPING_DONE);
	f->answered = 0;
	assert_int_equal(port_mapper_submit(f->tunnel->mapper, &named, on_mapped, f), 0);
	assert_int_equal(port_mapper_submit(f->tunnel->mapper, &other, on_mapped, f), 0);
	while (f->answered < 2)
		uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(f->outcomes[1].result, MAPPING_DONE);
	assert_int_equal(f->outcomes[1].external_port, 7000);
	assert_forward(f, "7000", SERVER ":7000", true);
}

/* TCP alone is relayed. */
static void a_relayed_forward_is_none_for_udp(void **state)
{
	struct fixture *f = *state;
	struct mapping_request udp = request_of(SERVER, 9000, 9000);
	struct mapping_outcome outcome;

	call(f, "port-forward.add",
	     "'externalPort':9000,'target':'" SERVER ":9000','proxyProtocol':true");
	assert_int_equal(map(f, SERVER, 9000, 9000), MAPPING_DONE);
	udp.protocol = IPPROTO_UDP;
	assert_int_equal(outcome_of(f, &udp).result, MAPPING_TAKEN);
	udp.external_port = 0;
	outcome = outcome_of(f, &udp);
	assert_int_equal(outcome.result, MAPPING_DONE);
	assert_int_not_equal(outcome.external_port, 9000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_device_opens_a_port, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_gets_what_another_has, setup, teardown),
		cmocka_unit_test_setup_teardown(a_device_shares_so_many_ports, setup, teardown),
		cmocka_unit_test_setup_teardown(only_while_it_may, setup, teardown),
		cmocka_unit_test_setup_teardown(what_the_owner_disabled_stays_so, setup, teardown),
		cmocka_unit_test_setup_teardown(a_manual_forward_is_the_owners, setup, teardown),
		cmocka_unit_test_setup_teardown(each_removes_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(a_lease_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(many_become_one_transaction, setup, teardown),
		cmocka_unit_test_setup_teardown(the_last_request_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(all_are_answered_over_upnp, setup, teardown),
		cmocka_unit_test_setup_teardown(a_refusal_is_not_for_all, setup, teardown),
		cmocka_unit_test_setup_teardown(ports_are_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(a_forward_does_not_grow_over_others, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_name_is_renewed_beside_others, setup, teardown),
		cmocka_unit_test_setup_teardown(a_relayed_forward_is_none_for_udp, setup, teardown),
		cmocka_unit_test_setup_teardown(a_device_opens_a_pinhole, setup, teardown),
		cmocka_unit_test_setup_teardown(a_manual_pinhole_is_the_owners, setup, teardown),
		cmocka_unit_test_setup_teardown(pinholes_are_counted, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
