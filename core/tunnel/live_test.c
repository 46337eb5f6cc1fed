/*
 * What live status makes of a document and of a start-netd's answers that the test writes
 */
#include "tunnel/live.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/test.h"
#include "codec/base64.h"
#include "codec/pointer.h"

/* RFC 7748 section 6.1: Alice's and Bob's keys. */
#define ALICE_PRIVATE "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo"
#define ALICE_PUBLIC "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo"
#define BOB_PRIVATE "XasIfmJKikt54X+Lg4AO5m87sSkmGLb9HC+LJ/+I4Os"
#define BOB_PUBLIC "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08"

static const char text[] =
	"{'gateways':{'eth0':{'ipInfo':{'deviceType':'ethernet','subnets':['198.18.0.2/24']}}},"
	" 'wg':{'port':51820,'key':'" ALICE_PRIVATE "','subnets':{'10.59.0.1/24':{'name':'Home',"
	"  'clients':{'10.59.0.2':{'name':'Server','key':'" BOB_PRIVATE "','psk':'x',"
	"   'kind':'server','wanIp':null}}}}},"
	" 'portForwards':{"
	"  '198.18.0.2:80':{'kind':'dnat','target':'10.59.0.2:80','label':null,'enabled':true,"
	"   'count':1,'auto':false},"
	"  '198.18.0.2:81':{'kind':'dnat','target':'10.59.0.2:80','label':null,'enabled':false,"
	"   'count':1,'auto':false},"
	"  '198.18.0.2:82':{'kind':'dnat','target':'10.59.0.9:80','label':null,'enabled':true,"
	"   'count':1,'auto':false},"
	"  '198.18.0.9:83':{'kind':'dnat','target':'10.59.0.2:80','label':null,'enabled':true,"
	"   'count':1,'auto':false}}}";

struct fixture {
	char directory[64];
	struct tunnel tunnel;
	struct live *live;
	struct netd_peer_status peer;
	struct netd_forward_status forward;
	struct netd_status status;
};

static json_t *parse(const char *quoted)
{
	char *json = strdup(quoted);
	json_t *value;

	for (char *c = json; *c; c++)
		if (*c == '\'')
			*c = '"';
	value = json_loads(json, JSON_DECODE_ANY, NULL);
	free(json);
	assert_non_null(value);
	return value;
}

static void put(struct fixture *f, const char *pointer, json_t *value)
{
	struct store_txn *txn;

	assert_int_equal(store_begin(f->tunnel.store, &txn), 0);
	if (value)
		assert_int_equal(store_put(txn, pointer, value), 0);
	else
		assert_int_equal(store_remove(txn, pointer), 0);
	assert_int_equal(store_commit_now(txn), 0);
}

static int setup(void **state)
{
	CLEANUP(text_done) struct text path = { 0 };
	struct fixture *f = calloc(1, sizeof(*f));

	(void)snprintf(f->directory, sizeof(f->directory), "/tmp/live-test-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	text_printf(&path, "%s/store", f->directory);
	assert_int_equal(store_open(text_string(&path), &f->tunnel.store, NULL), 0);
	put(f, "", parse(text));
	f->tunnel.in_sync = true;
	assert_int_equal(live_new(&f->live), 0);
	assert_int_equal(base64_decode(BOB_PUBLIC, f->peer.public_key, NET_KEY_SIZE), NET_KEY_SIZE);
	f->status = (struct netd_status){ .backend = "start-wg", .link_up = true, .mtu = 1420 };
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	static const char *const files[] = { "store", "store-wal", "store-shm", "store.lock" };
	struct fixture *f = *state;

	(void)live_free(f->live);
	(void)store_close(f->tunnel.store);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		CLEANUP(text_done) struct text path = { 0 };

		text_printf(&path, "%s/%s", f->directory, files[i]);
		(void)unlink(text_string(&path));
	}
	assert_int_equal(rmdir(f->directory), 0);
	free(f);
	return 0;
}

static json_t *update(struct fixture *f)
{
	json_t *changes = NULL;

	assert_int_equal(live_update(f->live, &f->tunnel, &f->status, &changes), 0);
	return changes;
}

/* The member of a value at a pointer is as the JSON text says. */
static void assert_is(const json_t *value, const char *pointer, const char *wanted)
{
	json_t *expected = parse(wanted);
	char *is;

	if (!json_equal(pointer_get(value, pointer), expected)) {
		is = json_dumps(pointer_get(value, pointer), JSON_ENCODE_ANY);
		fail_msg("%s is %s, not %s", pointer, is ? is : "missing", wanted);
	}
	json_decref(expected);
}

static void come_online(struct fixture *f)
{
	f->peer.last_handshake_s = clock_realtime_ns() / NS_PER_S;
	f->peer.endpoint = (struct endpoint){ .address = ip_from_v4(0xC6120007), .port = 4000 };
	f->peer.rx_bytes = 1000;
	f->peer.tx_bytes = 2000;
	f->status.peers = &f->peer;
	f->status.peer_count = 1;
}

static void everything_is_told_at_first(void **state)
{
	struct fixture *f = *state;
	json_t *changes, *whole;
	char *told;

	assert_null(live_whole(f->live));
	changes = update(f);
	told = live_whole(f->live);
	whole = json_loads(told, JSON_REJECT_DUPLICATES, NULL);
	free(told);
	assert_int_equal(json_object_size(whole), 9);
	assert_is(whole, "/interface/publicKey", "'" ALICE_PUBLIC "'");
	assert_is(whole, "/interface/mtu", "1420");
	assert_is(whole, "/network", "{'inSync':true,'problem':null}");
	assert_is(whole, "/dns", "{'problem':null}");
	assert_is(
		whole, "/sni",
		"{'connections':0,'accepted':0,'unknown':0,'refused':0,'failed':0,'problem':null}");
	assert_is(whole, "/devices",
		  "{'10.59.0.2':{'publicKey':'" BOB_PUBLIC "','online':false,'endpoint':null,"
		  "'lastHandshake':null,'rxBytes':0,'txBytes':0}}");
	assert_is(whole, "/forwards",
		  "{'198.18.0.2:80':{'state':'device is offline','rxBytes':0,'txBytes':0},"
		  "'198.18.0.2:81':{'state':'disabled','rxBytes':0,'txBytes':0},"
		  "'198.18.0.2:82':{'state':'target is not a device','rxBytes':0,'txBytes':0},"
		  "'198.18.0.9:83':{'state':'external address is not on this machine',"
		  "'rxBytes':0,'txBytes':0}}");
	assert_true(
		json_equal(json_object_get(changes, "devices"), json_object_get(whole, "devices")));
	json_decref(whole);
	json_decref(changes);
	assert_null(update(f));
}

static void later_only_what_changed(void **state)
{
	struct fixture *f = *state;
	json_t *changes;

	json_decref(update(f));
	come_online(f);
	changes = update(f);
	assert_int_equal(json_object_size(changes), 3);
	assert_is(changes, "/devices/10.59.0.2/online", "true");
	assert_is(changes, "/devices/10.59.0.2/endpoint", "'198.18.0.7:4000'");
	assert_is(changes, "/devices/10.59.0.2/rxBytes", "1000");
	assert_is(changes, "/forwards",
		  "{'198.18.0.2:80':{'state':'active','rxBytes':0,'txBytes':0}}");
	json_decref(changes);
	assert_null(update(f));

	f->forward = (struct netd_forward_status){ ip_from_v4(0xC6120002), 80, 300, 400 };
	f->status.forwards = &f->forward;
	f->status.forward_count = 1;
	changes = update(f);
	assert_int_equal(json_object_size(changes), 2);
	assert_is(changes, "/forwards",
		  "{'198.18.0.2:80':{'state':'active','rxBytes':300,'txBytes':400}}");
	json_decref(changes);

	f->status.drift_found = 1;
	f->tunnel.in_sync = false;
	changes = update(f);
	assert_int_equal(json_object_size(changes), 3);
	assert_is(changes, "/network/inSync", "false");
	assert_is(changes, "/drift/found", "1");
	json_decref(changes);

	f->peer.last_handshake_s -= 1000;
	changes = update(f);
	assert_is(changes, "/devices/10.59.0.2/online", "false");
	assert_is(changes, "/forwards/198.18.0.2:80/state", "'device is offline'");
	json_decref(changes);
}

static void rows_follow_the_document(void **state)
{
	struct fixture *f = *state;
	json_t *changes;

	come_online(f);
	json_decref(update(f));
	put(f, "/wg/subnets/10.59.0.1~124/clients/10.59.0.3",
	    parse("{'name':'Phone','key':'" ALICE_PRIVATE "','psk':'x','kind':'client'}"));
	put(f, "/portForwards/198.18.0.2:81/enabled", json_true());
	put(f, "/portForwards/198.18.0.2:80", NULL);
	changes = update(f);
	assert_is(changes, "/devices/10.59.0.3/publicKey", "'" ALICE_PUBLIC "'");
	assert_is(changes, "/forwards",
		  "{'198.18.0.2:80':null,"
		  "'198.18.0.2:81':{'state':'active','rxBytes':0,'txBytes':0}}");
	json_decref(changes);

	/* Another key: another peer, which has not been seen yet. */
	put(f, "/wg/subnets/10.59.0.1~124/clients/10.59.0.2/key", json_string(ALICE_PRIVATE));
	put(f, "/wg/subnets/10.59.0.1~124/clients/10.59.0.3", NULL);
	changes = update(f);
	assert_is(changes, "/devices/10.59.0.2/online", "false");
	assert_is(changes, "/devices/10.59.0.2/publicKey", "'" ALICE_PUBLIC "'");
	assert_is(changes, "/devices/10.59.0.3", "null");
	assert_is(changes, "/forwards/198.18.0.2:81/state", "'device is offline'");
	json_decref(changes);
	assert_null(update(f));

	/* The device goes, what leads to it stays. */
	put(f, "/wg/subnets/10.59.0.1~124/clients/10.59.0.2", NULL);
	changes = update(f);
	assert_is(changes, "/devices/10.59.0.2", "null");
	assert_is(changes, "/forwards/198.18.0.2:81/state", "'target is not a device'");
	json_decref(changes);
	assert_null(update(f));
}

static void both_addresses_of_a_forward_count(void **state)
{
	struct fixture *f = *state;
	struct netd_forward_status rows[] = { { ip_from_v4(0xC0A80002), 80, 1, 2 },
					      { ip_from_v4(0xC6120002), 80, 30, 40 } };
	json_t *changes;

	/* Behind 1:1 NAT: the machine has a private address alone. */
	put(f, "/gateways/eth0/ipInfo/subnets", parse("['192.168.0.2/24']"));
	f->status.forwards = rows;
	f->status.forward_count = ARRAY_SIZE(rows);
	changes = update(f);
	assert_is(changes, "/forwards/198.18.0.2:80/rxBytes", "31");
	assert_is(changes, "/forwards/198.18.0.2:80/txBytes", "42");
	json_decref(changes);
}

static void a_report_names_everything(void **state)
{
	struct fixture *f = *state;
	json_t *report;

	come_online(f);
	json_decref(update(f));
	report = live_report(f->live, &f->tunnel);
	assert_is(report, "/devices/0/name", "'Server'");
	assert_is(report, "/devices/0/publicKey", "'" BOB_PUBLIC "'");
	assert_is(report, "/devices/0/online", "true");
	assert_is(report, "/forwards/0/source", "'198.18.0.2:80'");
	assert_is(report, "/forwards/0/state", "'active'");
	assert_is(report, "/forwards/0/rxBytes", "0");
	assert_int_equal(json_array_size(json_object_get(report, "forwards")), 4);
	json_decref(report);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(everything_is_told_at_first, setup, teardown),
		cmocka_unit_test_setup_teardown(later_only_what_changed, setup, teardown),
		cmocka_unit_test_setup_teardown(rows_follow_the_document, setup, teardown),
		cmocka_unit_test_setup_teardown(both_addresses_of_a_forward_count, setup, teardown),
		cmocka_unit_test_setup_teardown(a_report_names_everything, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
