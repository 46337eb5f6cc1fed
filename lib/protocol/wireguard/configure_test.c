/* Changes to a device: what they do, what they leave alone, and that they happen whole or not. */
#include "base/text.h"
#include "wireguard/device_test.h"
#include "wireguard/uapi.h"

#include "base/test.h"

#define KEY_A "0f00000000000000000000000000000000000000000000000000000000000001"
#define KEY_B "0f00000000000000000000000000000000000000000000000000000000000002"
#define KEY_C "0f00000000000000000000000000000000000000000000000000000000000003"
#define PSK "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define PRIVATE "0800000000000000000000000000000000000000000000000000000000000040"
/* The public key of PRIVATE. */
#define PUBLIC "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"

static int try_change(struct world *w, const char *text)
{
	CLEANUP(wg_config_done) struct wg_config config = { 0 };

	assert_int_equal(uapi_parse(text, strlen(text), NULL, &config), 0);
	return wg_device_configure(w->sides[0].device, &config, w->now);
}

static void change(struct world *w, const char *text)
{
	assert_int_equal(try_change(w, text), 0);
}

/* What the device tells about itself; each key only with its last digit. */
static const char *tell(struct world *w)
{
	static char told[4096];
	CLEANUP(wg_config_done) struct wg_config config = { 0 };
	size_t size = 0;

	assert_int_equal(wg_device_read(w->sides[0].device, &config), 0);
	told[0] = '\0';
	for (size_t i = 0; i < config.peer_count; i++) {
		const struct wg_config_peer *peer = &config.peers[i];
		char text[IP_TEXT_MAX];

		size += (size_t)snprintf(told + size, sizeof(told) - size, "%s%x", i ? " | " : "",
					 peer->public_key[31]);
		if (peer->preshared_key[31])
			size += (size_t)snprintf(told + size, sizeof(told) - size, " psk");
		if (peer->endpoint.address.family)
			size += (size_t)snprintf(told + size, sizeof(told) - size, " @%s",
						 endpoint_format(&peer->endpoint, text));
		if (peer->keepalive_s)
			size += (size_t)snprintf(told + size, sizeof(told) - size, " k%u",
						 peer->keepalive_s);
		for (size_t j = 0; j < peer->allowed_ip_count; j++)
			size += (size_t)snprintf(told + size, sizeof(told) - size, " %s",
						 ip_prefix_format(&peer->allowed_ips[j].prefix,
								  text));
	}
	return told;
}

static void changes_are_applied(void **state)
{
	static const struct {
		const char *name;
		const char *text;
		const char *told;
	} steps[] = {
		{ "a peer with everything",
		  "public_key=" KEY_A "\npreshared_key=" PSK "\nendpoint=1.2.3.4:5\n"
		  "persistent_keepalive_interval=25\nallowed_ip=10.1.2.3/8\nallowed_ip=fd00::/8\n",
		  "1 psk @1.2.3.4:5 k25 10.0.0.0/8 fd00::/8" },
		{ "another takes a network of the first",
		  "public_key=" KEY_B "\nallowed_ip=10.0.0.0/8\nallowed_ip=11.0.0.0/8\n",
		  "1 psk @1.2.3.4:5 k25 fd00::/8 | 2 10.0.0.0/8 11.0.0.0/8" },
		{ "only one setting changes", "public_key=" KEY_A "\nendpoint=[::1]:6\n",
		  "1 psk @[::1]:6 k25 fd00::/8 | 2 10.0.0.0/8 11.0.0.0/8" },
		{ "networks are taken away one by one",
		  "public_key=" KEY_B "\nallowed_ip=-10.0.0.0/8\nallowed_ip=-fd00::/8\n",
		  "1 psk @[::1]:6 k25 fd00::/8 | 2 11.0.0.0/8" },
		{ "networks are replaced",
		  "public_key=" KEY_B "\nreplace_allowed_ips=true\nallowed_ip=12.0.0.0/8\n",
		  "1 psk @[::1]:6 k25 fd00::/8 | 2 12.0.0.0/8" },
		{ "an update makes no peer", "public_key=" KEY_C "\nupdate_only=true\n",
		  "1 psk @[::1]:6 k25 fd00::/8 | 2 12.0.0.0/8" },
		{ "an update changes one that is there",
		  "public_key=" KEY_A "\nupdate_only=true\npreshared_key="
		  "0000000000000000000000000000000000000000000000000000000000000000\n",
		  "1 @[::1]:6 k25 fd00::/8 | 2 12.0.0.0/8" },
		{ "one that is not there is not removed", "public_key=" KEY_C "\nremove=true\n",
		  "1 @[::1]:6 k25 fd00::/8 | 2 12.0.0.0/8" },
		{ "removed and made again in one change, a peer is new",
		  "public_key=" KEY_A "\nremove=true\npublic_key=" KEY_A
		  "\nallowed_ip=13.0.0.0/8\n",
		  "2 12.0.0.0/8 | 1 13.0.0.0/8" },
		{ "made, removed, and not made again by an update",
		  "public_key=" KEY_C "\npublic_key=" KEY_C "\nremove=true\npublic_key=" KEY_C
		  "\nupdate_only=true\n",
		  "2 12.0.0.0/8 | 1 13.0.0.0/8" },
		{ "a preshared key", "public_key=" KEY_A "\npreshared_key=" PSK "\n",
		  "2 12.0.0.0/8 | 1 psk 13.0.0.0/8" },
		{ "replaced: who is not named goes, who is named tells all",
		  "replace_peers=true\npublic_key=" KEY_C
		  "\nallowed_ip=12.0.0.0/8\npublic_key=" KEY_A
		  "\npersistent_keepalive_interval=9\n",
		  "1 k9 | 3 12.0.0.0/8" },
		{ "our own key is no peer", "private_key=" PRIVATE "\npublic_key=" PUBLIC "\n",
		  "1 k9 | 3 12.0.0.0/8" },
		{ "all go", "replace_peers=true\n", "" },
	};
	CLEANUP(world_done) struct world w;

	(void)state;
	world_init_empty(&w, 1);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		change(&w, steps[i].text);
		if (strcmp(tell(&w), steps[i].told) != 0)
			fail_msg("%s: %s", steps[i].name, tell(&w));
	}
	assert_int_equal(w.sides[0].device->peers_by_key.count, 0);
	assert_int_equal(w.sides[0].device->allowed_ips.reserved, 0);
}

static void the_devices_own_settings(void **state)
{
	CLEANUP(world_done) struct world w;
	CLEANUP(wg_config_done) struct wg_config config = { 0 };
	CLEANUP(text_done) struct text text = { 0 };

	(void)state;
	world_init_empty(&w, 2);
	change(&w, "private_key=" PRIVATE "\nlisten_port=51820\nfwmark=7\n");
	change(&w, "public_key=" KEY_A "\n");
	assert_int_equal(wg_device_read(w.sides[0].device, &config), 0);
	uapi_write_get(&text, &config);
	assert_non_null(strstr(text_string(&text),
			       "private_key=" PRIVATE "\nlisten_port=51820\nfwmark=7\n"
			       "public_key=" KEY_A "\n"));
}

static void becoming_a_peer_of_ours_removes_it(void **state)
{
	CLEANUP(world_done) struct world w;

	(void)state;
	world_init_empty(&w, 3);
	change(&w, "public_key=" PUBLIC "\npublic_key=" KEY_A "\n");
	change(&w, "private_key=" PRIVATE "\n");
	assert_string_equal(tell(&w), "1");
}

/* A change of side 0's that names the other side and what @format says. */
static void change_other(struct world *w, const char *head, const char *tail)
{
	CLEANUP(wg_config_done) struct wg_config parsed = { 0 };
	char text[512];
	size_t size =
		(size_t)snprintf(text, sizeof(text), "%spublic_key=%s\n%s", head, KEY_A, tail);

	assert_int_equal(uapi_parse(text, size, NULL, &parsed), 0);
	memcpy(parsed.peers[0].public_key, w->sides[1].public_key, WG_KEY_SIZE);
	if (parsed.has & WG_HAS_PRIVATE_KEY)
		memcpy(parsed.private_key, w->sides[0].private_key, WG_KEY_SIZE);
	assert_int_equal(wg_device_configure(w->sides[0].device, &parsed, w->now), 0);
}

static void a_session_outlives_changes(void **state)
{
	CLEANUP(world_done) struct world w;

	(void)state;
	world_init(&w, 4);
	assert_true(packet_passes(&w, 0, 100));
	change(&w, "listen_port=9\npublic_key=" KEY_B "\nallowed_ip=99.0.0.0/8\n");
	change(&w, "public_key=" KEY_B "\nremove=true\n");
	change_other(&w, "", "preshared_key=" PSK "\n");
	change_other(&w, "private_key=" PSK "\nreplace_peers=true\n",
		     "allowed_ip=10.0.1.0/24\nendpoint=192.0.2.2:1001\n"); /* all as before */
	assert_true(packet_passes(&w, 0, 100));
	assert_true(packet_passes(&w, 1, 100));
	assert_int_equal(w.sides[0].sent[MESSAGE_INITIATION], 1);
}

static void a_new_key_ends_all_sessions(void **state)
{
	CLEANUP(world_done) struct world w;

	(void)state;
	world_init(&w, 5);
	assert_true(packet_passes(&w, 0, 100));
	change(&w, "private_key=" PRIVATE "\n");
	assert_null(side_peer(&w.sides[0])->current);
	w.now.monotonic_ns += BEGUN_INTERVAL;
	assert_int_equal(side_send_packet(&w.sides[0], 100), WG_STAGED);
	world_deliver(&w);
	assert_int_equal(w.sides[1].received, 1); /* the other side does not know it */
	change(&w,
	       "private_key=0000000000000000000000000000000000000000000000000000000000000000\n");
	world_pass(&w, 20 * NS_PER_S);
	assert_int_equal(w.sides[0].sent[MESSAGE_INITIATION], 2);
	w.now.monotonic_ns += 1;
	change_other(&w, "private_key=" PSK "\n", "");
	world_pass(&w, 6 * NS_PER_S); /* what is staged still leaves */
	assert_int_equal(w.sides[1].received, 2);
}

static void bounds_hold(void **state)
{
	CLEANUP(world_done) struct world w;
	CLEANUP(wg_config_done) struct wg_config config = { 0 };
	struct wg_config_peer *peer;
	uint8_t key[WG_KEY_SIZE] = { 0 };

	(void)state;
	world_init_empty(&w, 6);
	for (uint32_t i = 0; i < WG_CONFIG_PEERS_MAX; i++) {
		memcpy(key, &i, sizeof(i));
		assert_int_equal(wg_config_add_peer(&config, key, &peer), 0);
	}
	assert_int_equal(wg_device_configure(w.sides[0].device, &config, w.now), 0);
	assert_int_equal(try_change(&w, "public_key=" KEY_A "\n"), -E2BIG);
	assert_int_equal(w.sides[0].device->peers_by_key.count, WG_CONFIG_PEERS_MAX);
	change(&w, "replace_peers=true\npublic_key=" KEY_A "\n");
	assert_string_equal(tell(&w), "1");
}

/* Random changes: the device agrees with itself, and can be emptied. Sanitizers watch the rest. */
static void random_changes_keep_it_whole(void **state)
{
	CLEANUP(world_done) struct world w;

	(void)state;
	world_init(&w, 7);
	for (int i = 0; i < 3000; i++) {
		CLEANUP(wg_config_done) struct wg_config config = { 0 };
		size_t peers = world_random(&w) % 5;

		config.has = world_random(&w) % 50 ? 0 : WG_REPLACE_PEERS;
		for (size_t j = 0; j < peers; j++) {
			uint8_t key[WG_KEY_SIZE] = { (uint8_t)(world_random(&w) % 20) };
			size_t networks = world_random(&w) % 4;
			struct wg_config_peer *peer;

			assert_int_equal(wg_config_add_peer(&config, key, &peer), 0);
			peer->has = (unsigned)world_random(&w) & 0x3f;
			peer->endpoint = w.sides[1].address;
			peer->keepalive_s = (uint16_t)(world_random(&w) % 3);
			for (size_t k = 0; k < networks; k++) {
				struct ip_prefix prefix = { ip_from_v4((uint32_t)world_random(&w) &
								       0xe0c00000),
							    (uint8_t)(world_random(&w) % 12) };

				assert_int_equal(wg_config_add_allowed_ip(&config, peer, &prefix,
									  world_random(&w) % 4 ==
										  0),
						 0);
			}
		}
		assert_int_equal(wg_device_configure(w.sides[0].device, &config, w.now), 0);
		world_pass(&w, NS_PER_S);
	}
	change(&w, "replace_peers=true\n");
	assert_int_equal(w.sides[0].device->allowed_ips.count, 0);
	assert_int_equal(w.sides[0].device->indices.count, 0);
	assert_int_equal(wg_device_deadline(w.sides[0].device), TIMER_NEVER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes_are_applied),
		cmocka_unit_test(the_devices_own_settings),
		cmocka_unit_test(becoming_a_peer_of_ours_removes_it),
		cmocka_unit_test(a_session_outlives_changes),
		cmocka_unit_test(a_new_key_ends_all_sessions),
		cmocka_unit_test(bounds_hold),
		cmocka_unit_test(random_changes_keep_it_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
