/* The configuration protocol as wg(8) and wireguard-go speak it. */
#include "wireguard/uapi.h"

#include "base/test.h"

#define KEY_A "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define KEY_B "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff0f"
#define KEY_0 "0000000000000000000000000000000000000000000000000000000000000000"

static int find_link(void *context, const char *name, uint32_t *ret)
{
	(void)context;
	if (strcmp(name, "eth0") == 0)
		*ret = 2;
	else if (strcmp(name, "%]5") == 0)
		*ret = 5;
	else if (strcmp(name, "77") == 0)
		*ret = 6;
	else
		return -ENODEV;
	return 0;
}

static const struct uapi_links links = { find_link, NULL };

static int parse(const char *text, struct wg_config *ret)
{
	return uapi_parse(text, strlen(text), &links, ret);
}

static void a_whole_change_is_understood(void **state)
{
	CLEANUP(wg_config_done) struct wg_config c = { 0 };
	char text[IP_TEXT_MAX];

	(void)state;
	assert_int_equal(
		parse("private_key=" KEY_A "\nlisten_port=51820\nfwmark=51820\n"
		      "replace_peers=true\npublic_key=" KEY_B "\npreshared_key=" KEY_A
		      "\nendpoint=[fe80::1%3]:65535\npersistent_keepalive_interval=25\n"
		      "replace_allowed_ips=true\nallowed_ip=10.0.0.1/24\nallowed_ip=-::/0\n"
		      "protocol_version=1\nupdate_only=true\npublic_key=" KEY_A "\nremove=true\n",
		      &c),
		0);
	assert_int_equal(c.has, WG_HAS_PRIVATE_KEY | WG_HAS_LISTEN_PORT | WG_HAS_FWMARK |
					WG_REPLACE_PEERS);
	assert_int_equal(c.private_key[1], 0x23);
	assert_int_equal(c.listen_port, 51820);
	assert_int_equal(c.fwmark, 51820);
	assert_int_equal(c.peer_count, 2);
	assert_int_equal(c.allowed_ip_count, 2);
	assert_int_equal(c.peers[0].has, WG_PEER_UPDATE_ONLY | WG_PEER_HAS_PRESHARED_KEY |
						 WG_PEER_HAS_ENDPOINT | WG_PEER_HAS_KEEPALIVE |
						 WG_PEER_REPLACE_ALLOWED_IPS);
	assert_int_equal(c.peers[0].public_key[31], 0x0f);
	assert_string_equal(endpoint_format(&c.peers[0].endpoint, text), "[fe80::1%3]:65535");
	assert_int_equal(c.peers[0].keepalive_s, 25);
	assert_string_equal(ip_prefix_format(&c.peers[0].allowed_ips[0].prefix, text),
			    "10.0.0.1/24");
	assert_false(c.peers[0].allowed_ips[0].remove);
	assert_true(c.peers[0].allowed_ips[1].remove);
	assert_int_equal(c.peers[1].has, WG_PEER_REMOVE);
}

static void scopes_are_numbers_or_names(void **state)
{
	static const struct {
		const char *value;
		const char *means; /* NULL: refused */
		int error;
	} cases[] = {
		{ "[fe80::1%eth0]:5", "[fe80::1%2]:5", 0 },
		{ "[fe80::1%3]:5", "[fe80::1%3]:5", 0 },
		{ "[fe80::1%77]:5", "[fe80::1%6]:5", 0 }, /* a name, as wg(8) takes it */
		{ "[fe80::1%%]5]:5", "[fe80::1%5]:5", 0 },
		{ "[fe80::1%eth1]:5", NULL, -ENODEV },
		{ "[fe80::1%]:5", NULL, -EINVAL },
		{ "[fe80::1%a-name-of-sixteen]:5", NULL, -EINVAL },
		{ "[fe80::1%eth0:5", NULL, -EINVAL },
		{ "[fe80::1%eth0]", NULL, -EINVAL },
		{ "[fe80::1%eth0]:x", NULL, -EINVAL },
		{ "[1.2.3.4%eth0]:5", NULL, -EINVAL },
		{ "fe80::1%eth0:5", NULL, -EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(wg_config_done) struct wg_config c = { 0 };
		char text[256];

		(void)snprintf(text, sizeof(text), "public_key=" KEY_A "\nendpoint=%s\n",
			       cases[i].value);
		assert_int_equal(parse(text, &c), cases[i].error);
		if (cases[i].means)
			assert_string_equal(endpoint_format(&c.peers[0].endpoint, text),
					    cases[i].means);
	}
}

static void wrong_text_changes_nothing(void **state)
{
	static const struct {
		const char *name;
		const char *text;
		int error;
	} cases[] = {
		{ "unknown key", "colour=red\n", -EINVAL },
		{ "no equals sign", "listen_port\n", -EINVAL },
		{ "empty line", "\n", -EINVAL },
		{ "no newline at the end", "listen_port=1", -EINVAL },
		{ "port too large", "listen_port=65536\n", -EINVAL },
		{ "port not a number", "listen_port=1x\n", -EINVAL },
		{ "port negative", "listen_port=-1\n", -EINVAL },
		{ "port empty", "listen_port=\n", -EINVAL },
		{ "fwmark too large", "fwmark=4294967296\n", -EINVAL },
		{ "key too short", "private_key=00\n", -EINVAL },
		{ "key not hexadecimal", "private_key=g" KEY_A "\n", -EINVAL },
		{ "key with a wrong digit",
		  "private_key="
		  "/123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n",
		  -EINVAL },
		{ "a flag that is not true", "replace_peers=false\n", -EINVAL },
		{ "peer key before a peer", "endpoint=1.2.3.4:5\n", -EPROTO },
		{ "device key after a peer", "public_key=" KEY_A "\nlisten_port=1\n", -EPROTO },
		{ "endpoint without port", "public_key=" KEY_A "\nendpoint=1.2.3.4\n", -EINVAL },
		{ "network without length", "public_key=" KEY_A "\nallowed_ip=1.2.3.4\n", -EINVAL },
		{ "IPv4 length 33", "public_key=" KEY_A "\nallowed_ip=1.2.3.4/33\n", -EINVAL },
		{ "other version", "public_key=" KEY_A "\nprotocol_version=2\n", -EINVAL },
		{ "bytes overflow", "public_key=" KEY_A "\nrx_bytes=18446744073709551616\n",
		  -EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct wg_config c = { .listen_port = 7 };

		if (parse(cases[i].text, &c) != cases[i].error)
			fail_msg("%s", cases[i].name);
		assert_int_equal(c.listen_port, 7);
		assert_null(c.peers);
	}
}

static void a_nul_is_no_end(void **state)
{
	struct wg_config c = { 0 };

	(void)state;
	assert_int_equal(uapi_parse("listen_port=1\0\n", 15, &links, &c), -EINVAL);
}

static void an_empty_fwmark_is_none(void **state)
{
	CLEANUP(wg_config_done) struct wg_config c = { 0 };

	(void)state;
	assert_int_equal(parse("fwmark=\n", &c), 0);
	assert_int_equal(c.has, WG_HAS_FWMARK);
	assert_int_equal(c.fwmark, 0);
}

static void replacing_takes_what_was_named_before(void **state)
{
	CLEANUP(wg_config_done) struct wg_config c = { 0 };

	(void)state;
	assert_int_equal(parse("public_key=" KEY_A "\nallowed_ip=10.0.0.0/8\n"
			       "allowed_ip=11.0.0.0/8\nallowed_ip=12.0.0.0/8\n"
			       "replace_allowed_ips=true\nallowed_ip=13.0.0.0/8\n",
			       &c),
			 0);
	assert_int_equal(c.allowed_ip_count, 1);
	assert_int_equal(c.peers[0].allowed_ip_count, 1);
	assert_int_equal(c.peers[0].allowed_ips[0].prefix.address.bytes[0], 13);
}

static void a_change_is_written(void **state)
{
	static const char text[] = "set=1\nprivate_key=" KEY_A "\nlisten_port=0\nfwmark=0\n"
				   "replace_peers=true\npublic_key=" KEY_B
				   "\nremove=true\nupdate_only=true\npreshared_key=" KEY_0
				   "\nendpoint=1.2.3.4:5\npersistent_keepalive_interval=0\n"
				   "replace_allowed_ips=true\nallowed_ip=fd00::/8\n"
				   "allowed_ip=-10.0.0.0/8\n\n";
	CLEANUP(wg_config_done) struct wg_config c = { 0 };
	CLEANUP(text_done) struct text written = { 0 };

	(void)state;
	assert_int_equal(uapi_parse(text + 6, strlen(text) - 7, &links, &c), 0);
	uapi_write_set(&written, &c);
	assert_string_equal(text_string(&written), text);
}

static void a_reading_is_written(void **state)
{
	static const char text[] =
		"private_key=" KEY_A "\nlisten_port=51820\nfwmark=9\npublic_key=" KEY_B
		"\npreshared_key=" KEY_0 "\nprotocol_version=1\nendpoint=1.2.3.4:5\n"
		"last_handshake_time_sec=1700000000\nlast_handshake_time_nsec=999999999\n"
		"tx_bytes=18446744073709551615\nrx_bytes=1\npersistent_keepalive_interval=25\n"
		"allowed_ip=10.0.0.0/8\nerrno=0\n\n";
	CLEANUP(wg_config_done) struct wg_config c = { 0 };
	CLEANUP(text_done) struct text written = { 0 };

	(void)state;
	assert_int_equal(uapi_parse(text, strlen(text) - strlen("errno=0\n\n"), &links, &c), 0);
	uapi_write_get(&written, &c);
	assert_string_equal(text_string(&written), text);
}

static void every_byte_of_a_key_is_written(void **state)
{
	(void)state;
	for (unsigned first = 0; first < 256; first += WG_KEY_SIZE) {
		struct wg_config c = { .has = WG_HAS_PRIVATE_KEY };
		CLEANUP(text_done) struct text written = { 0 };
		CLEANUP(text_done) struct text expected = { 0 };

		text_append(&expected, "set=1\nprivate_key=");
		for (unsigned i = 0; i < WG_KEY_SIZE; i++) {
			c.private_key[i] = (uint8_t)(first + i);
			text_printf(&expected, "%02x", first + i);
		}
		text_append(&expected, "\n\n");
		uapi_write_set(&written, &c);
		assert_string_equal(text_string(&written), text_string(&expected));
	}
}

static void what_is_not_known_is_not_written(void **state)
{
	CLEANUP(text_done) struct text written = { 0 };
	struct wg_config c = { 0 };

	(void)state;
	uapi_write_get(&written, &c);
	assert_string_equal(text_string(&written), "listen_port=0\nerrno=0\n\n");
}

static void bounds_hold(void **state)
{
	CLEANUP(wg_config_done) struct wg_config c = { 0 };
	const struct ip_prefix prefix = { { .family = 2 }, 8 };
	uint8_t key[WG_KEY_SIZE] = { 0 };
	struct wg_config_peer *peer;

	(void)state;
	for (size_t i = 0; i < WG_CONFIG_PEERS_MAX; i++)
		assert_int_equal(wg_config_add_peer(&c, key, &peer), 0);
	assert_int_equal(wg_config_add_peer(&c, key, &peer), -E2BIG);
	for (size_t i = 0; i < WG_CONFIG_ALLOWED_IPS_MAX; i++)
		assert_int_equal(wg_config_add_allowed_ip(&c, &c.peers[i % 7], &prefix, false), 0);
	assert_int_equal(wg_config_add_allowed_ip(&c, &c.peers[0], &prefix, false), -E2BIG);
	assert_int_equal(uapi_parse("", (size_t)UAPI_MESSAGE_MAX + 1, &links, &c), -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_change_is_understood),
		cmocka_unit_test(scopes_are_numbers_or_names),
		cmocka_unit_test(wrong_text_changes_nothing),
		cmocka_unit_test(a_nul_is_no_end),
		cmocka_unit_test(an_empty_fwmark_is_none),
		cmocka_unit_test(replacing_takes_what_was_named_before),
		cmocka_unit_test(a_change_is_written),
		cmocka_unit_test(a_reading_is_written),
		cmocka_unit_test(every_byte_of_a_key_is_written),
		cmocka_unit_test(what_is_not_known_is_not_written),
		cmocka_unit_test(bounds_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
