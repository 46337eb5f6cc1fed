/* The small tools that everything else stands on. */
#include <inttypes.h>

#include "base/bytes.h"
#include "base/fault.h"
#include "base/host.h"
#include "base/ip.h"
#include "base/map.h"
#include "base/secret.h"
#include "base/text.h"

#include "base/test.h"

static void reader_does_not_pass_the_end(void **state)
{
	static const uint8_t message[] = { 1, 2, 3, 4, 5 };
	struct reader r;

	(void)state;
	reader_init(&r, message, sizeof(message));
	assert_int_equal(reader_u16(&r), 0x0102);
	assert_int_equal(reader_u16le(&r), 0x0403);
	assert_int_equal(reader_left(&r), 1);
	assert_int_equal(reader_u32(&r), 0);
	assert_int_equal(reader_u8(&r), 0); /* a failure lasts, even where a byte is left */
	assert_false(reader_done(&r));
}

static void writer_keeps_a_failure(void **state)
{
	uint8_t buffer[6];
	struct writer w;

	(void)state;
	writer_init(&w, buffer, sizeof(buffer));
	writer_u32le(&w, 0x04030201);
	writer_u16(&w, 0x0506);
	assert_int_equal(writer_size(&w), 6);
	assert_memory_equal(buffer, "\1\2\3\4\5\6", 6);
	writer_u8(&w, 7);
	assert_int_equal(writer_size(&w), -ENOBUFS);
}

static void text_stops_at_its_bound(void **state)
{
	CLEANUP(text_done) struct text t = { .max = 5 };

	(void)state;
	text_printf(&t, "%s", "12345");
	assert_int_equal(text_error(&t), 0);
	text_append_char(&t, '6');
	assert_int_equal(text_error(&t), -E2BIG);
	assert_string_equal(text_string(&t), "12345");
}

static void text_that_is_formatted_stops_at_its_bound_too(void **state)
{
	CLEANUP(text_done) struct text t = { .max = 5 };

	(void)state;
	text_printf(&t, "%s", "123");
	text_printf(&t, "%s", "456"); /* the memory would have room */
	assert_int_equal(text_error(&t), -E2BIG);
	assert_string_equal(text_string(&t), "123");
}

static void numbers_are_appended(void **state)
{
	static const uint64_t numbers[] = { 0, 9, 10, 1234567890, UINT64_MAX };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		CLEANUP(text_done) struct text t = { 0 };
		CLEANUP(text_done) struct text expected = { 0 };

		text_append_number(&t, numbers[i]);
		text_printf(&expected, "%" PRIu64, numbers[i]);
		assert_string_equal(text_string(&t), text_string(&expected));
	}
}

/* Against an array of flags, the obvious map for small numbers. */
static void map_agrees_with_an_array(void **state)
{
	static void *expected[512];
	CLEANUP(map_done) struct map m = { 0 };
	unsigned seed = 1;
	size_t count = 0;

	(void)state;
	for (int i = 0; i < 200000; i++) {
		uint16_t key = (uint16_t)(rand_r(&seed) % 512);
		void *value = &expected[rand_r(&seed) % 512];
		void *old;

		assert_ptr_equal(map_get(&m, &key, sizeof(key)), expected[key]);
		if (rand_r(&seed) % 2) {
			assert_int_equal(map_set(&m, &key, sizeof(key), value, &old), 0);
			assert_ptr_equal(old, expected[key]);
			count += expected[key] == NULL;
			expected[key] = value;
		} else {
			assert_ptr_equal(map_remove(&m, &key, sizeof(key)), expected[key]);
			count -= expected[key] != NULL;
			expected[key] = NULL;
		}
		assert_int_equal(m.count, count);
	}
}

static void addresses_parse_strictly(void **state)
{
	static const char *const good[] = { "1.2.3.4:5", "[::1]:65535", "[fe80::1%3]:1" };
	static const char *const bad[] = {
		"1.2.3.4",    "1.2.3.4:65536", "01.2.3.4:5", "::1:5",	"[1.2.3.4]:5",
		"1.2.3.4:05", "1.2.3.4: 5",    "[::1]5",     "1.2.3:4", "",
		":",	      "[]:1",	       "1.2.3.4:-1"
	};
	static const char *const bad_prefixes[] = { "10.0.0.1",	   "10.0.0.1/33", "10.0.0.1/",
						    "10.0.0.1/08", "::/129",	  "/8" };
	struct ip_prefix prefix, network;
	struct endpoint endpoint;
	char text[IP_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(endpoint_parse(good[i], &endpoint), 0);
		assert_string_equal(endpoint_format(&endpoint, text), good[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(endpoint_parse(bad[i], &endpoint), -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(bad_prefixes); i++)
		assert_int_equal(ip_prefix_parse(bad_prefixes[i], &prefix), -EINVAL);
	assert_int_equal(ip_prefix_parse("10.59.37.129/25", &prefix), 0);
	network = ip_prefix_network(&prefix);
	assert_string_equal(ip_prefix_format(&network, text), "10.59.37.128/25");
	endpoint.address = ip_from_v4(0x0a3b257f);
	assert_false(ip_prefix_contains(&prefix, &endpoint.address));
	endpoint.address = ip_from_v4(0x0a3b25ff);
	assert_true(ip_prefix_contains(&prefix, &endpoint.address));
}

static void the_first_fault_stays(void **state)
{
	CLEANUP(fault_done) struct fault fault = { 0 };

	(void)state;
	assert_int_equal(fault_set(&fault, FAULT_NOT_FOUND, "no %s", "a"), -EPROTO);
	assert_int_equal(fault_set(&fault, FAULT_NETWORK, "no b"), -EPROTO);
	fault_prefix(&fault, "device.add");
	assert_int_equal(fault.kind, FAULT_NOT_FOUND);
	assert_string_equal(fault.details, "device.add: no a");
}

static void secrets_compare(void **state)
{
	(void)state;
	assert_true(secret_equal("abc", "abc", 3));
	assert_false(secret_equal("abc", "abd", 3));
}

static void stars_stand_for_one_label(void **state)
{
	assert_true(host_is_for("vpn.example", "vpn.example"));
	assert_true(host_is_for("*.vpn.example", "a.vpn.example"));
	assert_false(host_is_for("vpn.example", "a.vpn.example"));
	assert_false(host_is_for("*.vpn.example", "vpn.example"));
	assert_false(host_is_for("*.vpn.example", ".vpn.example"));
	assert_false(host_is_for("*.vpn.example", "b.a.vpn.example"));
	assert_false(host_is_for("*.vpn.example", "avpn.example"));
	assert_false(host_is_for("a*.vpn.example", "ab.vpn.example"));
}

static void host_names_are_strict(void **state)
{
	static const char *const names[] = { "a",	   "localhost", "a.example",
					     "1a.example", "A-b.C9",	"xn--caf-dma.example",
					     "1.example" };
	static const char *const others[] = {
		"",	   "-a", "a-",	"a..b",	 ".a",	"a.",  "a_b",	      "a b",	   "*.a.b",
		"1.2.3.4", "12", "a.1", "[::1]", "a:1", "a/b", "caf\xc3\xa9", "a-.example"
	};
	char label[65], name[256];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_true(host_is_name(names[i]));
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_false(host_is_name(others[i]));
	memset(label, 'a', sizeof(label));
	label[64] = '\0';
	assert_false(host_is_name(label));
	label[63] = '\0';
	assert_true(host_is_name(label));
	for (size_t i = 0; i < 254; i++)
		name[i] = i % 2 ? '.' : 'a';
	name[253] = '\0';
	assert_true(host_is_name(name));
	name[252] = 'a';
	name[253] = 'a';
	name[254] = '\0';
	assert_false(host_is_name(name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reader_does_not_pass_the_end),
		cmocka_unit_test(writer_keeps_a_failure),
		cmocka_unit_test(text_stops_at_its_bound),
		cmocka_unit_test(text_that_is_formatted_stops_at_its_bound_too),
		cmocka_unit_test(numbers_are_appended),
		cmocka_unit_test(map_agrees_with_an_array),
		cmocka_unit_test(addresses_parse_strictly),
		cmocka_unit_test(the_first_fault_stays),
		cmocka_unit_test(secrets_compare),
		cmocka_unit_test(host_names_are_strict),
		cmocka_unit_test(stars_stand_for_one_label),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
