/* Which forwards lead to whom, as they come and go. */
#include "document/forward_index.h"

#include "base/ip.h"
#include "base/test.h"

#define DEVICE 0x0a3b0002 /* 10.59.0.2 */

static json_t *entry(const char *target, int count, bool automatic)
{
	json_t *value = json_pack("{s:s, s:s, s:i, s:b}", "kind", "dnat", "target", target, "count",
				  count, "auto", automatic);

	assert_non_null(value);
	return value;
}

static void they_come_and_go(void **state)
{
	CLEANUP(forward_index_free) struct forward_index *index = NULL;
	json_t *plain = entry("10.59.0.2:443", 1, false);
	json_t *range = entry("10.59.0.2:7000", 10, true);
	json_t *other = entry("10.59.0.3:443", 1, true);
	const struct forward_reference *all;
	unsigned forwards, ports;
	size_t count;

	assert_int_equal(forward_index_new(&index), 0);
	assert_int_equal(forward_index_add(index, "198.51.100.7:443", plain), 0);
	assert_int_equal(forward_index_add(index, "198.51.100.7:7000", range), 0);
	assert_int_equal(forward_index_add(index, "198.51.100.8:443", other), 0);
	all = forward_index_of(index, DEVICE, &count);
	assert_int_equal(count, 2);
	assert_int_equal(all[0].external_port, 443);
	assert_int_equal(all[1].target_port, 7000);
	assert_int_equal(all[1].count, 10);
	forward_index_usage(index, DEVICE, &forwards, &ports);
	assert_int_equal(forwards, 1);
	assert_int_equal(ports, 10);

	forward_index_remove(index, "198.51.100.7:443", plain);
	all = forward_index_of(index, DEVICE, &count);
	assert_int_equal(count, 1);
	assert_true(all[0].automatic);
	forward_index_remove(index, "198.51.100.7:7000", range);
	forward_index_remove(index, "198.51.100.7:7000", range); /* it is gone */
	assert_null(forward_index_of(index, DEVICE, &count));
	forward_index_usage(index, DEVICE, &forwards, &ports);
	assert_int_equal(forwards + ports, 0);
	json_decref(plain);
	json_decref(range);
	json_decref(other);
}

static void on_shared(const char *key, void *context)
{
	*(const char **)context = key;
}

static void a_whole_document(void **state)
{
	CLEANUP(forward_index_free) struct forward_index *index = NULL;
	json_t *document = json_pack("{s:{s:o, s:{s:s, s:{}}}}", "portForwards", "198.51.100.7:80",
				     entry("10.59.0.2:80", 1, true), "198.51.100.7:443", "kind",
				     "sni", "routes");
	const char *shared;
	size_t count;

	assert_int_equal(forward_index_new(&index), 0);
	assert_int_equal(forward_index_add_all(index, document), 0);
	(void)forward_index_of(index, DEVICE, &count);
	assert_int_equal(count, 1);
	shared = NULL;
	forward_index_each_shared(index, on_shared, &shared);
	assert_string_equal(shared, "198.51.100.7:443");
	forward_index_remove(index, "198.51.100.7:443",
			     json_object_get(json_object_get(document, "portForwards"),
					     "198.51.100.7:443"));
	shared = NULL;
	forward_index_each_shared(index, on_shared, &shared);
	assert_null(shared);
	forward_index_clear(index);
	(void)forward_index_of(index, DEVICE, &count);
	assert_int_equal(count, 0);
	json_decref(document);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(they_come_and_go),
		cmocka_unit_test(a_whole_document),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
