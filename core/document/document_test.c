/* The document's form and invariants, and what is derived from it. */
#include <jansson.h>

#include "document/client_config.h"
#include "document/desired.h"
#include "document/document.h"
#include "document/forward_ports.h"
#include "document/wan.h"

#include "base/test.h"

#define KEY_A "GEnhAHU3OSwEUF7zQlPWvYuwj21N7xw9Ydlx4UpvKUk"
#define KEY_B "4DxPzQ5wsD3XuALJjLt2Z1wWxJm6rfvQJ6gj0v0eEFk"
#define DEVICE6 "[2001:db8:d:1::2]"
#define MANY 10000
#define PSK "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"

static const char example[] =
	"{'gateways': {'eth0': {'ipInfo': {'name': 'eth0', 'scopeId': 2, 'deviceType': 'ethernet',"
	"  'subnets': ['198.18.0.7/24', '198.18.0.8/24']}},"
	" 'docker0': {'ipInfo': {'name': 'docker0', 'scopeId': 3, 'deviceType': 'bridge',"
	"  'subnets': ['172.17.0.1/16']}}},"
	" 'wg': {'key': '" KEY_A "', 'subnets': {'10.59.37.1/24': {'name': 'Home', 'clients': {"
	"  '10.59.37.2': {'name': 'Server', 'key': '" KEY_B "', 'psk': '" PSK "'}}}}},"
	" 'portForwards': {'198.18.0.7:80': {'kind': 'dnat', 'target': '10.59.37.2:8080'},"
	"  '198.18.0.7:1000': {'kind': 'dnat', 'target': '10.59.37.2:1000', 'count': 10}}}";

/* Parses JSON that is written with ' for ". */
static json_t *parse(const char *text)
{
	char *json = strdup(text);
	json_t *value;

	for (char *c = json; *c; c++)
		if (*c == '\'')
			*c = '"';
	value = json_loads(json, 0, NULL);
	free(json);
	assert_non_null(value);
	return value;
}

static json_t *checked_example(void)
{
	json_t *document = parse(example);

	assert_int_equal(document_check(document, NULL), 0);
	return document;
}

static void missing_members_are_filled_in(void **state)
{
	json_t *document = checked_example();
	json_t *subnets = json_object_get(json_object_get(document, "wg"), "subnets");
	json_t *client = json_object_get(json_object_get(json_object_get(subnets, "10.59.37.1/24"),
							 "clients"),
					 "10.59.37.2");
	json_t *forward =
		json_object_get(json_object_get(document, "portForwards"), "198.18.0.7:80");

	(void)state;
	assert_string_equal(json_string_value(json_object_get(client, "kind")), "client");
	assert_true(json_is_null(json_object_get(client, "wanIp")));
	assert_int_equal(json_integer_value(json_object_get(forward, "count")), 1);
	assert_true(json_is_true(json_object_get(forward, "enabled")));
	assert_true(json_is_array(json_object_get(document, "dnsRecords")));
	json_decref(document);
}

static void a_fresh_document_is_valid(void **state)
{
	json_t *document = document_fresh();

	(void)state;
	assert_non_null(document);
	assert_int_equal(document_check(document, NULL), 0);
	assert_int_equal(json_array_size(json_object_get(document, "migrations")), 4);
	json_decref(document);
}

static void the_first_fault_is_named_by_path(void **state)
{
	static const struct {
		const char *replace;
		const char *by;
		const char *message;
	} cases[] = {
		{ "'10.59.37.2:8080'", "'10.59.37.2'",
		  "/portForwards/198.18.0.7:80/target: must be "
		  "an IPv4 address that a host may have, with a port of 1 to 65535" },
		{ "'10.59.37.2:8080'", "'127.0.0.1:8080'",
		  "/portForwards/198.18.0.7:80/target: must "
		  "be an IPv4 address that a host may have, with a port of 1 to 65535" },
		{ "198.18.0.7:80'", "255.255.255.255:80'",
		  "/portForwards/255.255.255.255:80: the "
		  "name must be an IPv4 address that a host may have, with a port of 1 to 65535" },
		{ "'name': 'Home',", "'name': 'Home', 'wanIp': '0.0.0.0',",
		  "/wg/subnets/10.59.37.1~124/wanIp: must be an IPv4 address that a host may have" },
		{ "'wg': {", "'wg': {'port': 0, ", "/wg/port: must be a number of 1 to 65535" },
		{ "10.59.37.1/24", "127.0.0.1/24",
		  "/wg/subnets/127.0.0.1~124: not a network that devices may be in" },
		{ "10.59.37.1/24", "8.0.0.1/7",
		  "/wg/subnets/8.0.0.1~17: not a network that devices may be in" },
		{ KEY_B "'", KEY_A "='",
		  "/wg/subnets/10.59.37.1~124/clients/10.59.37.2/key: another "
		  "device, or the server, has the same key" },
		{ "'count': 10", "'count': '10'",
		  "/portForwards/198.18.0.7:1000/count: must be a number of 0 to 65535" },
		{ "'count': 10", "'count': 65000",
		  "/portForwards/198.18.0.7:1000/count: 65000 ports from external port 1000 on pass "
		  "65535" },
		{ "'count': 10", "'count': 10, 'proxyProtocol': true",
		  "/portForwards/198.18.0.7:1000/proxyProtocol: is for one port at a time, not for "
		  "a range of 10" },
		{ "'count': 10", "'count': 1, 'proxyProtocol': 1",
		  "/portForwards/198.18.0.7:1000/proxyProtocol: must be true or false" },
		{ "198.18.0.7:80'", "198.18.0.7:1005'",
		  "/portForwards/198.18.0.7:1000: shares a port with 198.18.0.7:1005" },
		{ "'kind': 'dnat', 'target': '10.59.37.2:8080'", "'kind': 'x'",
		  "/portForwards/198.18.0.7:80/kind: must be the name of a known kind" },
		{ "10.59.37.1/24", "10.59.37.2/24",
		  "/wg/subnets/10.59.37.2~124: must be the first "
		  "address of a network of at most /24" },
		{ "'10.59.37.2'", "'10.59.38.2'",
		  "/wg/subnets/10.59.37.1~124/clients/10.59.38.2: "
		  "the address is not in the subnet" },
		{ "'10.59.37.2'", "'10.59.37.255'",
		  "/wg/subnets/10.59.37.1~124/clients/10.59.37.255: "
		  "the address is reserved" },
		{ "'name': 'Server', ", "",
		  "/wg/subnets/10.59.37.1~124/clients/10.59.37.2/name: is missing" },
		{ PSK, "c2hvcnQ",
		  "/wg/subnets/10.59.37.1~124/clients/10.59.37.2/psk: must be a key "
		  "of 32 bytes in base64" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(fault_done) struct fault fault = { 0 };
		CLEANUP(text_done) struct text text = { 0 };
		const char *at = strstr(example, cases[i].replace);
		json_t *document;

		assert_non_null(at);
		text_append_bytes(&text, example, (size_t)(at - example));
		text_append(&text, cases[i].by);
		text_append(&text, at + strlen(cases[i].replace));
		document = parse(text_string(&text));
		assert_int_equal(document_check(document, &fault), -EPROTO);
		assert_int_equal(fault.kind, FAULT_DESERIALIZATION);
		assert_string_equal(fault.details, cases[i].message);
		json_decref(document);
	}
}

/* tunnel.md 3.3, line by line. */
static void a_config_is_byte_for_byte_as_specified(void **state)
{
	static const char expected[] = "# StartTunnel config for Server\n"
				       "\n"
				       "[Interface]\n"
				       "Address = 10.59.37.2/24\n"
				       "PrivateKey = " KEY_B "=\n"
				       "DNS = 10.59.37.1\n"
				       "\n"
				       "[Peer]\n"
				       "PublicKey = %s=\n"
				       "PresharedKey = " PSK "=\n"
				       "AllowedIPs = 10.59.37.0/24\n"
				       "Endpoint = %s:51820\n"
				       "PersistentKeepalive = 25\n";
	static const struct {
		const char *wan_addr;
		const char *endpoint;
	} cases[] = {
		{ NULL, "198.18.0.7" },		 { "198.51.100.9", "198.51.100.9" },
		{ "192.168.1.1", "198.18.0.7" }, { "2001:db8::7", "[2001:db8::7]" },
		{ "fe80::1", "198.18.0.7" },	 { "127.0.0.1", "198.18.0.7" },
	};
	json_t *document = checked_example();
	struct document_subnet subnet;

	(void)state;
	assert_true(document_subnet(document, "10.59.37.1/24", &subnet));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(text_done) struct text config = { 0 };
		CLEANUP(text_done) struct text wanted = { 0 };

		assert_int_equal(client_config_write(&config, document, &subnet, 0x0a3b2502,
						     cases[i].wan_addr, NULL),
				 0);
		text_printf(&wanted, expected, "9q0tXyGDbvIr9nSPvtD5lfIP5R3TSlJ+VwDyTbpT2RM",
			    cases[i].endpoint);
		assert_string_equal(text_string(&config), text_string(&wanted));
	}
	json_decref(document);
}

/* The private address of a machine behind 1:1 NAT is no endpoint; the owner's word is. */
static void a_private_address_asks_for_the_public_one(void **state)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	CLEANUP(text_done) struct text config = { 0 };
	struct wan_addresses addresses;
	struct document_subnet subnet;
	json_t *document = checked_example();
	json_t *info = json_object_get(
		json_object_get(json_object_get(document, "gateways"), "eth0"), "ipInfo");

	(void)state;
	json_object_set_new(info, "subnets", json_pack("[s]", "10.0.0.5/24"));
	assert_true(document_subnet(document, "10.59.37.1/24", &subnet));
	assert_int_equal(client_config_write(&config, document, &subnet, 0x0a3b2502, NULL, &fault),
			 -EPROTO);
	assert_int_equal(fault.kind, FAULT_NOT_FOUND);
	assert_non_null(strstr(fault.details, "private addresses only (10.0.0.5)"));
	assert_non_null(strstr(fault.details, "subnet 10.59.37.1/24 set-wan --wan-ip"));

	json_object_set_new((json_t *)subnet.value, "wanIp", json_string("198.18.5.5"));
	assert_int_equal(client_config_write(&config, document, &subnet, 0x0a3b2502, NULL, NULL),
			 0);
	assert_non_null(strstr(text_string(&config), "Endpoint = 198.18.5.5:51820\n"));
	wan_addresses(document, &addresses);
	assert_int_equal(wan_local(&addresses, 0xc6120505), 0x0a000005);
	json_decref(document);
}

static void wan_candidates(void **state)
{
	static const char *const good[] = { "8.8.8.8", "100.64.1.1", "198.18.0.1", "172.32.0.1" };
	static const char *const bad[] = { "0.1.2.3",	     "10.1.1.1",     "127.0.0.1",
					   "169.254.1.1",    "172.31.1.1",   "192.168.0.1",
					   "192.0.2.1",	     "198.51.100.1", "203.0.113.1",
					   "255.255.255.255" };
	uint32_t address;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(ip_v4_parse(good[i], &address), 0);
		assert_true(wan_is_candidate(address));
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(ip_v4_parse(bad[i], &address), 0);
		assert_false(wan_is_candidate(address));
	}
}

static void the_whole_document_becomes_items(void **state)
{
	CLEANUP(net_set_done) struct net_set set = { 0 };
	json_t *document = checked_example();

	(void)state;
	assert_int_equal(desired_at(document, "", &set), 0);
	net_set_sort(&set);
	assert_int_equal(set.count, 5); /* link, subnet, device, two forwards */
	assert_int_equal(set.items[0].kind, NET_LINK);
	assert_int_equal(set.items[0].link.listen_port, 51820);
	assert_int_equal(set.items[2].kind, NET_DEVICE);
	assert_int_equal(set.items[2].device.address, 0x0a3b2502);
	assert_int_equal(set.items[3].forward.external, 0xc6120007);
	for (size_t i = 0; i < set.count; i++)
		assert_int_equal(net_item_check(&set.items[i], NULL), 0);
	json_decref(document);
}

static json_t *at(json_t *document, const char *a, const char *b, const char *c)
{
	json_t *value = json_object_get(json_object_get(document, a), b);

	return c ? json_object_get(value, c) : value;
}

/* The items that a touched part yields before and after differ as those of the whole document do. */
static void parts_differ_as_wholes_do(void **state)
{
	static const struct {
		const char *pointer;
		const char *a, *b, *c; /* the object that is changed */
		const char *member;
		const char *value; /* NULL: removed */
	} cases[] = {
		{ "/portForwards/198.18.0.7:80/enabled", "portForwards", "198.18.0.7:80", NULL,
		  "enabled", "false" },
		{ "/portForwards/198.18.0.7:80/label", "portForwards", "198.18.0.7:80", NULL,
		  "label", "\"x\"" },
		{ "/portForwards/198.18.0.7:80/proxyProtocol", "portForwards", "198.18.0.7:80",
		  NULL, "proxyProtocol", "true" },
		{ "/wg/subnets/10.59.37.1~124/wanIp", "wg", "subnets", "10.59.37.1/24", "wanIp",
		  "\"198.18.0.8\"" },
		{ "/wg/subnets/10.59.37.1~124", "wg", "subnets", NULL, "10.59.37.1/24", NULL },
		{ "/wg/port", "wg", NULL, NULL, "port", "5000" },
		{ "/wg/key", "wg", NULL, NULL, "key", "\"" PSK "\"" },
		{ "/dnsRecords", NULL, NULL, NULL, "dnsRecords", "[]" },
		{ "/portForwards", NULL, NULL, NULL, "portForwards", "{}" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct net_set sets[4] = { 0 }, changes[4] = { 0 };
		json_t *document = checked_example();
		json_t *object = cases[i].b   ? at(document, cases[i].a, cases[i].b, cases[i].c)
				 : cases[i].a ? json_object_get(document, cases[i].a)
					      : document;

		assert_int_equal(desired_at(document, "", &sets[0]), 0);
		assert_int_equal(desired_at(document, cases[i].pointer, &sets[2]), 0);
		if (cases[i].value)
			json_object_set_new(object, cases[i].member,
					    json_loads(cases[i].value, JSON_DECODE_ANY, NULL));
		else
			json_object_del(object, cases[i].member);
		assert_int_equal(desired_at(document, "", &sets[1]), 0);
		assert_int_equal(desired_at(document, cases[i].pointer, &sets[3]), 0);
		for (size_t j = 0; j < 4; j++)
			net_set_sort(&sets[j]);
		assert_int_equal(net_set_difference(&sets[0], &sets[1], &changes[0], &changes[1]),
				 0);
		assert_int_equal(net_set_difference(&sets[2], &sets[3], &changes[2], &changes[3]),
				 0);
		for (size_t j = 0; j < 2; j++) {
			assert_int_equal(changes[j].count, changes[j + 2].count);
			for (size_t k = 0; k < changes[j].count; k++)
				assert_int_equal(net_item_compare(&changes[j].items[k],
								  &changes[j + 2].items[k]),
						 0);
		}
		for (size_t j = 0; j < 4; j++) {
			net_set_done(&sets[j]);
			net_set_done(&changes[j]);
		}
		json_decref(document);
	}
}

/* Against an array of 65,536 flags. */
static void taken_ports_agree_with_an_array(void **state)
{
	/* The last begins with the bytes of the first. */
	static const char *const addresses[] = { "198.18.0.7", "[2001:db8::7]", "[c612:7::]" };
	static bool all_taken[ARRAY_SIZE(addresses)][UINT16_MAX + 1];
	CLEANUP(forward_ports_free) struct forward_ports *ports = NULL;
	unsigned seed = 7;

	(void)state;
	assert_int_equal(forward_ports_new(&ports), 0);
	for (int i = 0; i < 15000; i++) {
		size_t which = (size_t)i % ARRAY_SIZE(addresses);
		bool *taken = all_taken[which];
		uint32_t first = 1 + (uint32_t)rand_r(&seed) % UINT16_MAX;
		uint32_t count = 1 + (uint32_t)rand_r(&seed) % 20;
		bool conflict = false, fits = first + count - 1 <= UINT16_MAX;
		char key[IP_TEXT_MAX];
		json_t *value;
		int r;

		(void)snprintf(key, sizeof(key), "%s:%u", addresses[which], first);
		value = json_pack("{s:s, s:s, s:i}", "kind", "dnat", "target",
				  which == 0 ? "10.59.37.2:1" : "[fd00::2]:1", "count", (int)count);
		for (uint32_t p = first; p < first + count && fits; p++)
			conflict |= taken[p];
		r = forward_ports_take(ports, key, value, NULL);
		assert_int_equal(r, !fits ? -EPROTO : conflict ? 1 : 0);
		if (r == 0 && rand_r(&seed) % 2)
			forward_ports_release(ports, key, value);
		else if (r == 0)
			memset(taken + first, true, count);
		json_decref(value);
	}
}

static json_t *document_with_forwards6(size_t count, const char *last_key, const char *last_target)
{
	json_t *all = json_object(), *entry;

	for (size_t i = 0; i < count; i++) {
		char key[64];

		(void)snprintf(key, sizeof(key), "[2001:db8::7]:%zu", 1000 + i);
		entry = json_pack("{s:s, s:s, s:n, s:b, s:i, s:b}", "kind", "dnat", "target",
				  DEVICE6 ":80", "label", "enabled", 1, "count", 1, "auto", 0);
		assert_int_equal(json_object_set_new(all, key, entry), 0);
	}
	entry = json_pack("{s:s, s:s, s:n, s:b, s:i, s:b}", "kind", "dnat", "target", last_target,
			  "label", "enabled", 1, "count", 5, "auto", 0);
	assert_int_equal(json_object_set_new(all, last_key, entry), 0);
	return json_pack("{s:o}", DOCUMENT_FORWARDS6, all);
}

/* Each for itself, and all against each other: without looking at every pair of ten thousand. */
static void forwards6_are_checked(void **state)
{
	static const struct {
		const char *key;
		const char *target;
		const char *fault; /* NULL: it is good */
	} cases[] = {
		{ "[2001:db8::8]:1000", DEVICE6 ":80", NULL },
		{ "[2001:db8::7]:996", DEVICE6 ":80", "shares a port with [2001:db8::7]:1000" },
		{ "[2001:db8::7]:995", DEVICE6 ":80", NULL },
		{ "[2001:DB8::8]:1", DEVICE6 ":80", "must be spelled [2001:db8::8]:1" },
		{ "[2001:db8::8]:1", "[2001:db8:d:1:0::2]:80",
		  "/target: must be spelled " DEVICE6 ":80" },
		{ "[2001:db8::8]:65535", DEVICE6 ":80", "pass 65535" },
		{ "[2001:db8::8]:1", "10.59.0.2:80", "is no port forward" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		json_t *document = document_with_forwards6(MANY, cases[i].key, cases[i].target);
		CLEANUP(forward_ports_free) struct forward_ports *ports = NULL;
		CLEANUP(fault_done) struct fault fault = { 0 };
		int r = document_check_forwards6(document, &fault);

		assert_int_equal(forward_ports_new(&ports), 0);
		if (r == 0)
			r = forward_ports_add_all(ports, document, &fault);
		if (r == 0 ? cases[i].fault != NULL
			   : !cases[i].fault || !strstr(fault.details, cases[i].fault))
			fail_msg("%s: %s", cases[i].key, r == 0 ? "good" : fault.details);
		json_decref(document);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(missing_members_are_filled_in),
		cmocka_unit_test(a_fresh_document_is_valid),
		cmocka_unit_test(the_first_fault_is_named_by_path),
		cmocka_unit_test(a_config_is_byte_for_byte_as_specified),
		cmocka_unit_test(a_private_address_asks_for_the_public_one),
		cmocka_unit_test(wan_candidates),
		cmocka_unit_test(the_whole_document_becomes_items),
		cmocka_unit_test(parts_differ_as_wholes_do),
		cmocka_unit_test(taken_ports_agree_with_an_array),
		cmocka_unit_test(forwards6_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
