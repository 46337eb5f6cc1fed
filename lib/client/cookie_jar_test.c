/* Cookies from answers to a file and back. */
#include "base/test.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "client/cookie_jar.h"

#define NOW 1700000000
#define TOKEN "session=abcdefghijklmnopqrstuvwxyz"
#define EVER "Expires=Fri, 31 Dec 9999 23:59:59 GMT;"

struct place {
	char directory[32];
	char path[64];
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	(void)snprintf(p->directory, sizeof(p->directory), "/tmp/jar_test.XXXXXX");
	assert_non_null(mkdtemp(p->directory));
	(void)snprintf(p->path, sizeof(p->path), "%s/new/jar.json", p->directory);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	cleanup_free char *command = NULL;

	assert_true(asprintf(&command, "rm -r %s", p->directory) > 0);
	assert_int_equal(system(command), 0);
	free(p);
	return 0;
}

/* What a request to the host carries, by what the file says. */
static void assert_sends(const char *path, const char *host, bool secure, int64_t now_s,
			 const char *cookies)
{
	CLEANUP(cookie_jar_free) struct cookie_jar *jar = NULL;
	CLEANUP(text_done) struct text text = { 0 };

	assert_int_equal(cookie_jar_new(path, &jar), 0);
	cookie_jar_write(jar, host, "/rpc/v0", secure, now_s, &text);
	assert_string_equal(text_string(&text), cookies);
}

static void take(const char *path, const char *host, const char *set_cookie)
{
	CLEANUP(cookie_jar_free) struct cookie_jar *jar = NULL;
	CLEANUP(fault_done) struct fault fault = { 0 };

	assert_int_equal(cookie_jar_new(path, &jar), 0);
	assert_int_equal(cookie_jar_take(jar, host, set_cookie, NOW), 0);
	assert_int_equal(cookie_jar_save(jar, NOW, &fault), 0);
}

static void keeps(void **state)
{
	struct place *p = *state;
	struct stat status;

	take(p->path, "198.51.100.7", TOKEN "; Path=/; SameSite=Strict; " EVER);
	assert_sends(p->path, "198.51.100.7", true, NOW, TOKEN);
	assert_sends(p->path, "198.51.100.8", true, NOW, "");
	assert_int_equal(stat(p->path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);

	take(p->path, "198.51.100.7", "session=new; Path=/; HttpOnly; Secure; Max-Age=60");
	assert_sends(p->path, "198.51.100.7", true, NOW, "session=new");
	assert_sends(p->path, "198.51.100.7", false, NOW, "");
	assert_sends(p->path, "198.51.100.7", true, NOW + 60, "");

	take(p->path, "vps.example", "other=1; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT");
	assert_sends(p->path, "vps.example", true, NOW, "other=1");
	assert_sends(p->path, "198.51.100.7", true, NOW, "session=new"); /* is still there */

	take(p->path, "198.51.100.7", "session=; Max-Age=0");
	assert_sends(p->path, "198.51.100.7", true, NOW, "");
}

static void ignores(void **state)
{
	static const char *const fields[] = {
		TOKEN, /* ends with the program */
		"session",
		"=x; " EVER,
		"",
		";",
		"session=a\tb\x01; " EVER,
		"session=x; Domain=example.com; " EVER,
		"session=x; Max-Age=-1",
		"session=x; Expires=never",
		"session=x; Path=/other; " EVER,
	};
	struct place *p = *state;

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		print_message("%s\n", fields[i]);
		take(p->path, "vps.test", fields[i]);
		assert_sends(p->path, "vps.test", true, NOW, "");
	}
}

static void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

/* What another program wrote counts, and stays. */
static void other_programs_cookies(void **state)
{
	struct place *p = *state;
	cleanup_free char *path = NULL;

	assert_true(asprintf(&path, "%s/jar.json", p->directory) > 0);
	write_text(path, "[{\"raw_cookie\":\"session=theirs; Path=/\",\"path\":[\"/\",true],"
			 "\"domain\":{\"HostOnly\":\"vps.test\"},"
			 "\"expires\":{\"AtUtc\":\"9999-12-31T23:59:59Z\"}},"
			 "{\"raw_cookie\":\"wide=1\",\"path\":[\"/rpc\",true],"
			 "\"domain\":{\"Suffix\":\"vps.test\"},"
			 "\"expires\":{\"AtUtc\":\"2100-01-01T00:00:00.5Z\"}},"
			 "{\"raw_cookie\":\"run=1\",\"path\":[\"/\",true],"
			 "\"domain\":{\"HostOnly\":\"vps.test\"},\"expires\":\"SessionEnd\"},"
			 "7, {\"raw_cookie\":8}]");
	assert_sends(path, "vps.test", true, NOW, "session=theirs; wide=1");
	assert_sends(path, "a.vps.test", true, NOW, "wide=1");
	assert_sends(path, "avps.test", true, NOW, "");
	take(path, "vps.test", "session=ours; " EVER);
	assert_sends(path, "vps.test", true, NOW, "wide=1; session=ours");

	write_text(path, "[{\"raw_cookie\":");
	assert_sends(path, "vps.test", true, NOW, "");
	take(path, "vps.test", "session=ours; " EVER);
	assert_sends(path, "vps.test", true, NOW, "session=ours");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(keeps, setup, teardown),
		cmocka_unit_test_setup_teardown(ignores, setup, teardown),
		cmocka_unit_test_setup_teardown(other_programs_cookies, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
