/* Hosts, origins and cookies. */
#include "rpc/site.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/test.h"

static void hosts(void **state)
{
	static const struct {
		const char *field, *host;
		unsigned port; /* 0: is refused */
		bool literal;
	} cases[] = {
		{ "127.0.59.60:5960", "127.0.59.60", 5960, true },
		{ "198.51.100.7", "198.51.100.7", 80, true },
		{ "[::1]", "::1", 80, true },
		{ "[2001:DB8:0::7]:8443", "2001:db8::7", 8443, true },
		{ "LocalHost:1", "localhost", 1, true },
		{ "Tunnel.Example:443", "tunnel.example", 443, false },
		{ "localhost.example", "localhost.example", 80, false },
		{ "127.0.0.1.example", "127.0.0.1.example", 80, false },
		{ "0x7f.1", "0x7f.1", 80, false },
		{ "2130706433", "2130706433", 80, false },
		{ "127.1", "127.1", 80, false },
		{ "127.0.0.1:80:80", "", 0, false },
		{ "127.0.0.1:0", "", 0, false },
		{ "127.0.0.1:65536", "", 0, false },
		{ "127.0.0.1:", "", 0, false },
		{ "127.0.0.1:+1", "", 0, false },
		{ "[127.0.0.1]", "", 0, false },
		{ "[::1", "", 0, false },
		{ "[::1]x", "", 0, false },
		{ "user@127.0.0.1", "", 0, false },
		{ "a b", "", 0, false },
		{ "", "", 0, false },
		{ ":80", "", 0, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rpc_site site;
		int r = rpc_site_parse_host(cases[i].field, false, &site);

		if ((r == 0) != (cases[i].port != 0) ||
		    (r == 0 && (strcmp(site.host, cases[i].host) != 0 ||
				site.port != cases[i].port || site.literal != cases[i].literal)))
			fail_msg("\"%s\"", cases[i].field);
	}
}

static void names_have_an_end(void **state)
{
	char name[400];
	struct rpc_site site;

	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(rpc_site_parse_host(name, false, &site), -EINVAL);
	name[253] = '\0';
	assert_int_equal(rpc_site_parse_host(name, false, &site), 0);
}

static void senders(void **state)
{
	static const struct {
		const char *host;
		bool secure;
		const char *origin, *fetch_site;
		bool own;
	} cases[] = {
		{ "a.example", true, NULL, NULL, true },
		{ "a.example", true, "https://a.example", NULL, true },
		{ "a.example:443", true, "https://A.example", NULL, true },
		{ "a.example", true, "https://a.example:443", "same-origin", true },
		{ "[::1]:8443", true, "https://[0:0::1]:8443", NULL, true },
		{ "a.example", true, NULL, "none", true },
		{ "a.example", true, "http://a.example", NULL, false },
		{ "a.example", false, "https://a.example", NULL, false },
		{ "a.example", true, "https://a.example:8443", NULL, false },
		{ "a.example", true, "https://b.a.example", NULL, false },
		{ "a.example", true, "https://a.example.b", NULL, false },
		{ "a.example", true, "https://a.example/", NULL, false },
		{ "a.example", true, "null", NULL, false },
		{ "a.example", true, "", NULL, false },
		{ "a.example", true, "https://a.example, https://a.example", NULL, false },
		{ "a.example", true, "https://a.example", "cross-site", false },
		{ "a.example", true, NULL, "same-site", false },
		{ "a.example", true, NULL, "", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rpc_site site;

		assert_int_equal(rpc_site_parse_host(cases[i].host, cases[i].secure, &site), 0);
		if (rpc_site_is_senders(&site, cases[i].origin, cases[i].fetch_site) !=
		    cases[i].own)
			fail_msg("%s %s %s", cases[i].host, cases[i].origin, cases[i].fetch_site);
	}
}

static void cookies(void **state)
{
	size_t size;
	const char *value = rpc_cookie_find("a=1; local=\"xy\" ;local=z", "local", &size);

	assert_non_null(value);
	assert_int_equal(size, 2);
	assert_memory_equal(value, "xy", 2);
	assert_null(rpc_cookie_find("xlocal=1; local ; ;=;", "local", &size));
	assert_non_null(rpc_cookie_find("local=", "local", &size));
	assert_int_equal(size, 0);
}

static void lists(void **state)
{
	assert_true(rpc_list_has("content-type,X-StartOS-Auth-Sig", "x-startos-auth-sig"));
	assert_true(rpc_list_has(" , x-startos-auth-sig ,", "x-startos-auth-sig"));
	assert_false(
		rpc_list_has("x-startos-auth-sig2, -x-startos-auth-sig", "x-startos-auth-sig"));
	assert_false(rpc_list_has("", "x-startos-auth-sig"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts),   cmocka_unit_test(names_have_an_end),
		cmocka_unit_test(senders), cmocka_unit_test(cookies),
		cmocka_unit_test(lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
