/* This machine gets another address: what goes there, what stays, and what must not be lost on the way. */
#include "tunnel/forwards_follow.h"

#include "tunnel/device_test.h"

#define FIRST "198.18.0.7"
#define SECOND "198.18.0.8"

/* An edit of the test's own, which puts the values of an object at its pointers and then goes on. */
struct change {
	struct fixture *f;
	json_t *values;
	bool follows;
	bool moved;
	bool done;
	bool ended;
};

static int run_change(struct job *job, const json_t *params, struct fault *fault)
{
	struct change *change = job->data;
	const char *pointer;
	json_t *value;
	int r = 0;

	json_object_foreach(change->values, pointer, value)
		if (r == 0)
			r = job_put(job, pointer, json_incref(value), fault);
	if (r == 0 && change->follows)
		r = forwards_follow(job, params, fault);
	change->moved = job->moves_ports;
	return r;
}

static void on_changed(struct job *job, bool done)
{
	struct change *change = job->data;

	change->done = done;
	change->ended = true;
	uv_stop(&change->f->loop);
}

/* Takes @values. Returns whether anything followed. */
static bool put(struct fixture *f, json_t *values, bool follows)
{
	struct change change = { .f = f, .values = values, .follows = follows };

	assert_non_null(values);
	assert_int_equal(tunnel_own_edit_with(f->tunnel, run_change, &change, on_changed), 0);
	while (!change.ended)
		uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_true(change.done);
	json_decref(values);
	return change.moved;
}

/* The machine has these addresses. Returns whether anything followed. */
static bool readdress(struct fixture *f, const char *v4, const char *v6)
{
	return put(f,
		   json_pack("{s:{s:{s:{s:[s, s]}}}}", "/gateways", "eth0", "ipInfo", "subnets", v4,
			     v6),
		   true);
}

static void add(struct fixture *f, const char *all, const char *key, const char *target, int count,
		bool automatic)
{
	char pointer[128];
	json_t *entry = json_pack("{s:s, s:s, s:s, s:b, s:i, s:b, s:n}", "kind", "dnat", "target",
				  target, "label", "PCP", "enabled", 1, "count", count, "auto",
				  (int)automatic, "lease");
	int length = snprintf(pointer, sizeof(pointer), "/%s", all);
	bool first = !store_get(f->tunnel->store, pointer); /* that of IPv6 comes with its first */

	if (!first)
		(void)snprintf(pointer + length, sizeof(pointer) - (size_t)length, "/%s", key);
	(void)put(f,
		  first ? json_pack("{s:{s:o}}", pointer, key, entry)
			: json_pack("{s:o}", pointer, entry),
		  false);
}

static void add_name(struct fixture *f, const char *key, const char *name, const char *target,
		     bool automatic)
{
	char pointer[160];
	json_t *route = json_pack("{s:s, s:s, s:b, s:b, s:n}", "target", target, "label", "PCP",
				  "enabled", 1, "auto", (int)automatic, "lease");

	(void)snprintf(pointer, sizeof(pointer), "/portForwards/%s/routes", key);
	if (store_get(f->tunnel->store, pointer)) {
		(void)snprintf(pointer, sizeof(pointer), "/portForwards/%s/routes/%s", key, name);
		(void)put(f, json_pack("{s:o}", pointer, route), false);
		return;
	}
	(void)snprintf(pointer, sizeof(pointer), "/portForwards/%s", key);
	(void)put(f, json_pack("{s:{s:s, s:{s:o}}}", pointer, "kind", "sni", "routes", name, route),
		  false);
}

static const json_t *at(struct fixture *f, const char *pointer)
{
	return store_get(f->tunnel->store, pointer);
}

static int setup_default(void **state)
{
	int r = setup(state);
	struct fixture *f = *state;

	call(f, "subnet.set-wan", "'subnet':'172.29.5.1/24','wanIp':null");
	(void)readdress(f, FIRST "/24", "2001:db8::7/64");
	return r;
}

static void automatic_ones_follow(void **state)
{
	struct fixture *f = *state;

	add(f, "portForwards", FIRST ":443", SERVER ":443", 1, true);
	add(f, "portForwards", FIRST ":5000", SERVER ":5000", 10, true);
	add(f, "portForwards", FIRST ":80", SERVER ":80", 1, false);
	add_name(f, FIRST ":8443", "a.example.com", SERVER ":443", true);
	add_name(f, FIRST ":8443", "b.example.com", SERVER ":443", false);
	assert_false(readdress(f, FIRST "/25", "2001:db8::7/64"));
	assert_true(readdress(f, SECOND "/24", "2001:db8::7/64"));

	assert_null(at(f, "/portForwards/" FIRST ":443"));
	assert_non_null(at(f, "/portForwards/" SECOND ":443"));
	assert_int_equal(json_integer_value(at(f, "/portForwards/" SECOND ":5000/count")), 10);
	/* The owner's stay. */
	assert_non_null(at(f, "/portForwards/" FIRST ":80"));
	assert_null(at(f, "/portForwards/" SECOND ":80"));
	assert_null(at(f, "/portForwards/" FIRST ":8443/routes/a.example.com"));
	assert_non_null(at(f, "/portForwards/" SECOND ":8443/routes/a.example.com"));
	assert_non_null(at(f, "/portForwards/" FIRST ":8443/routes/b.example.com"));

	/* The record of taken ports is in step: another device cannot have them. */
	ask(f, "port-forward.add", "'target':'" OTHER ":1','externalPort':5009");
	assert_non_null(strstr(f->answer, "overlaps"));
	/* And back, as if nothing had been. */
	assert_true(readdress(f, FIRST "/24", "2001:db8::7/64"));
	assert_non_null(at(f, "/portForwards/" FIRST ":443"));
	assert_int_equal(json_object_size(at(f, "/portForwards/" FIRST ":8443/routes")), 2);
	assert_int_equal(json_object_size(at(f, "/portForwards")), 4);
}

static void a_stated_address_stays(void **state)
{
	struct fixture *f = *state;

	call(f, "device.set-wan", "'subnet':'172.29.5.1/24','ip':'" SERVER "','wanIp':'" FIRST "'");
	add(f, "portForwards", FIRST ":443", SERVER ":443", 1, true);
	assert_false(readdress(f, SECOND "/24", "2001:db8::7/64"));
	assert_non_null(at(f, "/portForwards/" FIRST ":443"));
}

/* Where no other is known, the old one is kept. */
static void no_address_moves_nothing(void **state)
{
	struct fixture *f = *state;

	add(f, "portForwards", FIRST ":443", SERVER ":443", 1, true);
	assert_false(readdress(f, "10.1.1.1/24", "fe80::1/64"));
	assert_non_null(at(f, "/portForwards/" FIRST ":443"));
}

static void what_is_taken_there_stays_taken(void **state)
{
	struct fixture *f = *state;

	add(f, "portForwards", FIRST ":443", SERVER ":443", 1, true);
	add(f, "portForwards", FIRST ":5000", SERVER ":5000", 10, true);
	add(f, "portForwards", FIRST ":600", SERVER ":600", 1, true);
	add_name(f, FIRST ":8443", "a.example.com", SERVER ":443", true);
	add_name(f, FIRST ":9443", "a.example.com", SERVER ":443", true);
	add_name(f, FIRST ":7443", "a.example.com", SERVER ":443", true);
	add(f, "portForwards", SECOND ":443", OTHER ":443", 1, false);
	add(f, "portForwards", SECOND ":5009", OTHER ":443", 1, false); /* within the range */
	add(f, "portForwards", SECOND ":600", SERVER ":600", 1, true); /* it was quicker */
	add_name(f, SECOND ":8443", "a.example.com", OTHER ":443", true);
	add_name(f, SECOND ":7443", "a.example.com", SERVER ":443", true); /* it was quicker */
	add(f, "portForwards", SECOND ":9440", OTHER ":443", 5, true);
	assert_true(readdress(f, SECOND "/24", "2001:db8::7/64"));

	assert_string_equal(json_string_value(at(f, "/portForwards/" SECOND ":443/target")),
			    OTHER ":443");
	assert_non_null(at(f, "/portForwards/" FIRST ":443"));
	assert_non_null(at(f, "/portForwards/" FIRST ":5000"));
	assert_null(at(f, "/portForwards/" SECOND ":5000"));
	assert_null(at(f, "/portForwards/" FIRST ":600"));
	assert_non_null(at(f, "/portForwards/" SECOND ":600"));
	assert_string_equal(json_string_value(at(f, "/portForwards/" SECOND
						    ":8443/routes/a.example.com/target")),
			    OTHER ":443");
	assert_non_null(at(f, "/portForwards/" FIRST ":8443/routes/a.example.com"));
	assert_non_null(at(f, "/portForwards/" FIRST ":9443/routes/a.example.com"));
	assert_null(at(f, "/portForwards/" SECOND ":9443"));
	assert_null(at(f, "/portForwards/" FIRST ":7443"));
	assert_non_null(at(f, "/portForwards/" SECOND ":7443/routes/a.example.com"));
}

/* The machine has it still, beside another one that comes first. */
static void an_address_that_is_here_keeps_its_own(void **state)
{
	struct fixture *f = *state;

	set_ipv6(f, "fd00:1:2:3::/64");
	add(f, "portForwards", FIRST ":443", SERVER ":443", 1, true);
	add(f, DOCUMENT_FORWARDS6, "[2001:db8::7]:443", "[fd00:1:2:3::2]:443", 1, true);
	assert_false(put(f,
			 json_pack("{s:{s:{s:{s:[s, s, s, s]}}}}", "/gateways", "eth0", "ipInfo",
				   "subnets", SECOND "/24", FIRST "/24", "2001:db8::8/64",
				   "2001:db8::7/64"),
			 true));
	assert_non_null(at(f, "/portForwards/" FIRST ":443"));
	assert_non_null(forward6(f, "[2001:db8::7]:443"));
}

static void forwards_of_ipv6_follow(void **state)
{
	struct fixture *f = *state;

	set_ipv6(f, "fd00:1:2:3::/64");
	add(f, DOCUMENT_FORWARDS6, "[2001:db8::7]:443", "[fd00:1:2:3::2]:443", 1, true);
	add(f, DOCUMENT_FORWARDS6, "[2001:db8::7]:80", "[fd00:1:2:3::2]:80", 1, false);
	add(f, DOCUMENT_FORWARDS6, "[2001:db8:1::2]:443", "[2001:db8:1::2]:443", 1, true);
	assert_true(readdress(f, FIRST "/24", "2001:db8::8/64"));
	assert_null(forward6(f, "[2001:db8::7]:443"));
	assert_non_null(forward6(f, "[2001:db8::8]:443"));
	assert_non_null(forward6(f, "[2001:db8::7]:80"));
	assert_non_null(forward6(f, "[2001:db8:1::2]:443")); /* a pinhole */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(automatic_ones_follow, setup_default, teardown),
		cmocka_unit_test_setup_teardown(a_stated_address_stays, setup_default, teardown),
		cmocka_unit_test_setup_teardown(no_address_moves_nothing, setup_default, teardown),
		cmocka_unit_test_setup_teardown(what_is_taken_there_stays_taken, setup_default,
						teardown),
		cmocka_unit_test_setup_teardown(an_address_that_is_here_keeps_its_own,
						setup_default, teardown),
		cmocka_unit_test_setup_teardown(forwards_of_ipv6_follow, setup_default, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
