/* Which form and part of a file a request gets. */
#include "http/content.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/test.h"

#define BLOB(text)                                                                                 \
	{                                                                                          \
		(const unsigned char *)(text), sizeof(text) - 1                                    \
	}

static const struct http_file page = {
	.path = "/index.html",
	.etag = "\"abc\"",
	.plain = BLOB("0123456789"),
	.gzip = BLOB("gz"),
	.brotli = BLOB("b"),
};

static const struct http_file icon = {
	.path = "/icon.png",
	.etag = "\"def\"",
	.plain = BLOB("0123456789"),
};

static const struct http_file packed = {
	.path = "/packed.js",
	.etag = "\"ghi\"",
	.gzip = BLOB("gz"),
};

static void encodings(void **state)
{
	static const struct {
		const struct http_file *file;
		const char *accept, *encoding;
		unsigned status;
	} cases[] = {
		{ &page, NULL, NULL, 200 },
		{ &page, "", NULL, 200 },
		{ &page, "gzip, deflate, br, zstd", "br", 200 },
		{ &page, "gzip, deflate", "gzip", 200 },
		{ &page, "GZIP", "gzip", 200 },
		{ &page, "br;q=0.1, gzip;q=1", "br", 200 },
		{ &page, "br;q=0, gzip", "gzip", 200 },
		{ &page, "br; q=0.000 ,gzip;q=0.0", NULL, 200 },
		{ &page, "br;level=3;q=0,gzip", "gzip", 200 },
		{ &page, "*", "br", 200 },
		{ &page, "*;q=0", NULL, 200 },
		{ &page, "br;q=0, *", "gzip", 200 },
		{ &page, "brotli, xgzip", NULL, 200 },
		{ &page, ",,br", "br", 200 },
		{ &page, "identity", NULL, 200 },
		{ &icon, "br, gzip", NULL, 200 },
		{ &packed, "br, gzip", "gzip", 200 },
		{ &packed, "br", NULL, 406 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct http_wish wish = { .accept_encoding = cases[i].accept };
		struct http_content content;

		http_content_choose(cases[i].file, &wish, &content);
		if (content.status != cases[i].status ||
		    (content.encoding == NULL) != (cases[i].encoding == NULL) ||
		    (content.encoding && strcmp(content.encoding, cases[i].encoding) != 0))
			fail_msg("\"%s\" gave %u %s", cases[i].accept, content.status,
				 content.encoding);
	}
}

static void conditions(void **state)
{
	static const struct {
		const char *tags;
		unsigned status;
	} cases[] = {
		{ NULL, 200 },
		{ "", 200 },
		{ "\"abc\"", 304 },
		{ "W/\"abc\"", 304 },
		{ "\"x\", W/\"abc\"", 304 },
		{ "\"x\" ,\"abc\" ,\"y\"", 304 },
		{ "*", 304 },
		{ "\"x\"", 200 },
		{ "\"abcd\"", 200 },
		{ "\"ab\"", 200 },
		{ "abc", 200 },
		{ "\"abc\"x", 200 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct http_wish wish = { .if_none_match = cases[i].tags };
		struct http_content content;

		http_content_choose(&page, &wish, &content);
		if (content.status != cases[i].status)
			fail_msg("\"%s\" gave %u", cases[i].tags, content.status);
	}
}

static void ranges(void **state)
{
	static const struct {
		const char *range;
		unsigned status;
		size_t first, size;
	} cases[] = {
		{ "bytes=0-3", 206, 0, 4 },
		{ "bytes=3-", 206, 3, 7 },
		{ "bytes=9-9", 206, 9, 1 },
		{ "bytes=-4", 206, 6, 4 },
		{ "bytes=-40", 206, 0, 10 },
		{ "bytes=8-99", 206, 8, 2 },
		{ "Bytes=0-0", 206, 0, 1 },
		{ "bytes=10-", 416, 0, 0 },
		{ "bytes=-0", 416, 0, 0 },
		{ "bytes=10-12", 416, 0, 0 },
		{ "bytes=5-3", 200, 0, 1 },
		{ "bytes=0-1,3-4", 200, 0, 1 },
		{ "lines=0-1", 200, 0, 1 },
		{ "bytes=", 200, 0, 1 },
		{ "bytes=-", 200, 0, 1 },
		{ "bytes=a-b", 200, 0, 1 },
		{ "bytes=0-1x", 200, 0, 1 },
		{ "bytes=99999999999999999999-", 200, 0, 1 },
		{ "bytes=0-99999999999999999999", 200, 0, 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct http_wish wish = { .accept_encoding = "br", .range = cases[i].range };
		struct http_content content;

		http_content_choose(&page, &wish, &content);
		if (content.status != cases[i].status || content.first != cases[i].first ||
		    content.size != cases[i].size)
			fail_msg("\"%s\" gave %u, %zu bytes from %zu", cases[i].range,
				 content.status, content.size, content.first);
		if (content.status == 206) {
			assert_null(content.encoding);
			assert_int_equal(content.whole, 10);
			assert_int_equal(content.bytes[0], '0' + content.first);
		}
	}
}

static void a_part_of_what_has_changed_is_the_whole(void **state)
{
	struct http_wish wish = { .range = "bytes=0-1", .if_range = "\"old\"" };
	struct http_content content;

	http_content_choose(&page, &wish, &content);
	assert_int_equal(content.status, 200);
	wish.if_range = "W/\"abc\""; /* a weak tag says nothing about bytes */
	http_content_choose(&page, &wish, &content);
	assert_int_equal(content.status, 200);
	wish.if_range = "\"abc\"";
	http_content_choose(&page, &wish, &content);
	assert_int_equal(content.status, 206);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encodings),
		cmocka_unit_test(conditions),
		cmocka_unit_test(ranges),
		cmocka_unit_test(a_part_of_what_has_changed_is_the_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
