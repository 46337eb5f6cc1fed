/* Forwards of IPv6: how entries come and go, what they must not share, and what becomes of them with a network. */
#include "tunnel/forwards6.h"

#include "tunnel/device_test.h"

#define NETWORK "2001:db8:d:1::"
#define DEVICE6 "[" NETWORK "2]"
#define MANY 10000

/* An edit of the test's own. */
struct change {
	struct fixture *f;
	const char *from;
	const char *to;
	int result;
	char details[256];
	bool ended;
};

static void on_ended(struct job *job, bool done)
{
	struct change *change = job->data;

	change->ended = true;
	uv_stop(&change->f->loop);
}

static void carry_out(struct change *change,
		      int (*run)(struct job *job, const json_t *params, struct fault *fault))
{
	assert_int_equal(tunnel_own_edit_with(change->f->tunnel, run, change, on_ended), 0);
	while (!change->ended)
		uv_run(&change->f->loop, UV_RUN_DEFAULT);
}

/* As subnet.set-ipv6 does it, on whatever kernel the test runs. */
static int change_network(struct job *job, const json_t *params, struct fault *fault)
{
	struct change *change = job->data;
	struct ip_prefix from, to;
	int r;

	assert_true(document_ipv6_parse(change->to, &to));
	r = job_put(job, "/wg/subnets/172.29.5.1~124/ipv6", json_string(change->to), fault);
	if (r == 0 && change->from && document_ipv6_parse(change->from, &from))
		r = forwards6_follow(job, &from, &to, fault);
	change->result = r;
	if (r < 0)
		(void)snprintf(change->details, sizeof(change->details), "%s", fault->details);
	return r;
}

static struct change set_network(struct fixture *f, const char *from, const char *to)
{
	struct change change = { .f = f, .from = from, .to = to };

	carry_out(&change, change_network);
	return change;
}

static int forget(struct job *job, const json_t *params, struct fault *fault)
{
	int r = job_remove(job, "/wg/subnets/172.29.5.1~124/ipv6");

	return r < 0 ? r : forwards6_prune(job);
}

static int set_up(void **state)
{
	(void)setup(state);
	return set_network(*state, NULL, NETWORK "/64").result;
}

/* Calls a method that has to fail with these words. */
static void refused(struct fixture *f, const char *params, const char *words)
{
	ask(f, "port-forward.add", params);
	if (!strstr(f->answer, words))
		fail_msg("%s: not %s", f->answer, words);
}

static const json_t *all_of(const struct fixture *f)
{
	return store_get(f->tunnel->store, "/" DOCUMENT_FORWARDS6);
}

static const char *target_of(const struct fixture *f, const char *key)
{
	const json_t *entry = json_object_get(all_of(f), key);

	return json_string_value(json_object_get(entry, "target"));
}

static void the_member_is_there_with_its_first_entry(void **state)
{
	struct fixture *f = *state;

	assert_null(all_of(f));
	call(f, "port-forward.add", "'externalPort':7000,'target':'" DEVICE6 ":7000','count':10");
	call(f, "port-forward.add", "'externalPort':8000,'target':'" DEVICE6 ":80'");
	assert_int_equal(json_object_size(all_of(f)), 2);
	assert_string_equal(target_of(f, DEVICE6 ":8000"), DEVICE6 ":80");
	call(f, "port-forward.remove", "'source':'" DEVICE6 ":7000'");
	call(f, "port-forward.remove", "'source':'" DEVICE6 ":8000'");
	assert_null(all_of(f));
	/* Their ports are free again, of the last one too, which went with the member. */
	call(f, "port-forward.add", "'externalPort':8000,'target':'" DEVICE6 ":8000'");
	call(f, "port-forward.add", "'externalPort':7009,'target':'" DEVICE6 ":7009'");
}

static void ports_are_not_shared(void **state)
{
	struct fixture *f = *state;

	call(f, "port-forward.add", "'externalPort':7000,'target':'" DEVICE6 ":7000','count':10");
	refused(f, "'externalPort':7009,'target':'" DEVICE6 ":9'",
		"overlaps the port forward " DEVICE6 ":7000");
	refused(f, "'externalPort':6990,'target':'" DEVICE6 ":6990','count':11",
		"overlaps the port forward " DEVICE6 ":7000");
	refused(f, "'externalPort':7000,'target':'" DEVICE6 ":7000'", "is forwarded already");
	refused(f, "'externalPort':65535,'target':'" DEVICE6 ":1','count':2", "pass 65535");
	refused(f, "'externalPort':1,'target':'" DEVICE6 ":65535','count':2", "pass 65535");
	refused(f, "'externalPort':1,'target':'[" NETWORK "9]:1'",
		"is not the IPv6 address of a device");
	/* Another device's are its own; disabled ones hold theirs. */
	call(f, "port-forward.add", "'externalPort':7000,'target':'[" NETWORK "3]:7000'");
	call(f, "port-forward.set-enabled", "'source':'" DEVICE6 ":7000','enabled':false");
	refused(f, "'externalPort':7001,'target':'" DEVICE6 ":7001'", "overlaps");
}

/* What start-netd refuses is as if it had never been, its ports too. */
static void a_refusal_of_the_network_takes_no_ports(void **state)
{
	struct fixture *f = *state;

	f->fail_next = 1;
	refused(f, "'externalPort':7000,'target':'" DEVICE6 ":7000'", "no buffer space");
	assert_null(all_of(f));
	call(f, "port-forward.add", "'externalPort':7000,'target':'" DEVICE6 ":7000'");
	f->fail_next = 1;
	refused(f, "'externalPort':7001,'target':'" DEVICE6 ":7001'", "no buffer space");
	call(f, "port-forward.add", "'externalPort':7001,'target':'" DEVICE6 ":7001'");
	assert_int_equal(json_object_size(all_of(f)), 2);
}

static void they_follow_their_network(void **state)
{
	struct fixture *f = *state;

	call(f, "port-forward.add", "'externalPort':7000,'target':'" DEVICE6 ":7000'");
	assert_int_equal(set_network(f, NETWORK "/64", "2001:db8:d:2::/64").result, 0);
	assert_string_equal(target_of(f, "[2001:db8:d:2::2]:7000"), "[2001:db8:d:2::2]:7000");
	assert_int_equal(json_object_size(all_of(f)), 1);
	/* The ports of the old address are nobody's, those of the new one are taken. */
	refused(f, "'externalPort':7000,'target':'[2001:db8:d:2::2]:7000'", "forwarded already");
	assert_int_equal(set_network(f, "2001:db8:d:2::/64", NETWORK "/64").result, 0);
	assert_string_equal(target_of(f, DEVICE6 ":7000"), DEVICE6 ":7000");
}

/* Pinholes of single ports, from 1000 on, to a device: enabled ones and others by turns. */
static json_t *many_pinholes(void)
{
	json_t *all = json_object(), *entry;

	for (size_t i = 0; i < MANY; i++) {
		char key[64];

		(void)snprintf(key, sizeof(key), DEVICE6 ":%zu", 1000 + i);
		entry = json_pack("{s:s, s:s, s:n, s:b, s:i, s:b}", "kind", "dnat", "target", key,
				  "label", "enabled", i % 2 == 0, "count", 1, "auto", 0);
		assert_int_equal(json_object_set_new(all, key, entry), 0);
	}
	return all;
}

/* To a network whose devices are reached by this machine's address, of which it has one. */
static int change_to_local(struct job *job, const json_t *params, struct fault *fault)
{
	json_t *gateways =
		json_pack("{s:{s:{s:[s]}}}", "eth0", "ipInfo", "subnets", "2001:db8:e::7/64");
	int r = job_put(job, "/gateways", gateways, fault);

	return r < 0 ? r : change_network(job, params, fault);
}

static struct change set_local_network(struct fixture *f)
{
	struct change change = { .f = f, .from = NETWORK "/64", .to = "fd00:d:1:2::/64" };

	carry_out(&change, change_to_local);
	return change;
}

static void two_pinholes_do_not_become_one_forward(void **state)
{
	struct fixture *f = *state;

	call(f, "port-forward.add", "'externalPort':7000,'target':'" DEVICE6 ":7000','count':10");
	call(f, "port-forward.add", "'externalPort':7009,'target':'[" NETWORK "3]:7009'");
	assert_non_null(
		strstr(set_local_network(f).details, "would both become [2001:db8:e::7]:7009"));
	assert_string_equal(target_of(f, DEVICE6 ":7000"), DEVICE6 ":7000");
	call(f, "port-forward.remove", "'source':'[" NETWORK "3]:7009'");
	assert_int_equal(set_local_network(f).result, 0);
	assert_string_equal(target_of(f, "[2001:db8:e::7]:7000"), "[fd00:d:1:2::2]:7000");
	assert_int_equal(json_object_size(all_of(f)), 1);
}

static int put_many(struct job *job, const json_t *params, struct fault *fault)
{
	return job_put(job, "/" DOCUMENT_FORWARDS6, many_pinholes(), fault);
}

/* Whether all are at an address, their targets and their ports too. */
static void assert_many_at(struct fixture *f, const char *address)
{
	char key[64], params[128];

	assert_int_equal(json_object_size(all_of(f)), MANY);
	for (size_t i = 0; i < MANY; i++) {
		(void)snprintf(key, sizeof(key), "[%s]:%zu", address, 1000 + i);
		assert_string_equal(target_of(f, key), key);
	}
	(void)snprintf(params, sizeof(params), "'externalPort':999,'target':'[%s]:999','count':2",
		       address);
	refused(f, params, "overlaps the port forward");
}

static void ten_thousand_follow_their_network(void **state)
{
	struct fixture *f = *state;
	struct change change = { .f = f };

	carry_out(&change, put_many);
	assert_many_at(f, NETWORK "2");
	assert_int_equal(set_network(f, NETWORK "/64", "2001:db8:d:2::/64").result, 0);
	assert_many_at(f, "2001:db8:d:2::2");
	/* One that the network refuses leaves all of them where they were. */
	f->fail_next = 1;
	assert_int_equal(set_network(f, "2001:db8:d:2::/64", NETWORK "/64").result, 0);
	assert_many_at(f, "2001:db8:d:2::2");
	call(f, "port-forward.add", "'externalPort':7000,'target':'[2001:db8:d:2::3]:7000'");
	call(f, "device.remove", "'subnet':'172.29.5.1/24','ip':'" SERVER "'");
	assert_int_equal(json_object_size(all_of(f)), 1);
	change = (struct change){ .f = f };
	carry_out(&change, forget);
	assert_null(all_of(f));
}

static void without_a_network_they_go(void **state)
{
	struct fixture *f = *state;
	struct change change = { .f = f };

	call(f, "port-forward.add", "'externalPort':7000,'target':'" DEVICE6 ":7000'");
	call(f, "port-forward.add", "'externalPort':7000,'target':'[" NETWORK "3]:7000'");
	call(f, "device.remove", "'subnet':'172.29.5.1/24','ip':'" OTHER "'");
	assert_int_equal(json_object_size(all_of(f)), 1);
	carry_out(&change, forget);
	assert_null(all_of(f));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_member_is_there_with_its_first_entry),
		TEST(ports_are_not_shared),
		TEST(a_refusal_of_the_network_takes_no_ports),
		TEST(they_follow_their_network),
		TEST(two_pinholes_do_not_become_one_forward),
		TEST(ten_thousand_follow_their_network),
		TEST(without_a_network_they_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
