#include "base/rfc3339.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#define END UINT64_C(253402300799) /* 9999-12-31T23:59:59Z */

char *rfc3339_format(uint64_t unix_s, char to[RFC3339_SIZE])
{
	time_t when = (time_t)(unix_s < END ? unix_s : END);
	struct tm utc;

	(void)gmtime_r(&when, &utc);
	(void)strftime(to, RFC3339_SIZE, "%Y-%m-%dT%H:%M:%SZ", &utc);
	return to;
}

/* Whether the text has digits where @form has '0', and @form's character elsewhere. */
static bool has_form(const char *text, const char *form)
{
	for (; *form; form++, text++) {
		bool is_digit = *text >= '0' && *text <= '9';

		if (*form == '0' ? !is_digit : *text != *form)
			return false;
	}
	return true;
}

static int number(const char *digits, int count)
{
	int value = 0;

	while (count-- > 0)
		value = value * 10 + (*digits++ - '0');
	return value;
}

int rfc3339_parse(const char *text, uint64_t *ret_unix_s)
{
	struct tm utc = { 0 }, check;
	time_t when;

	if (!has_form(text, "0000-00-00T00:00:00"))
		return -EINVAL;
	utc.tm_year = number(text, 4) - 1900;
	utc.tm_mon = number(text + 5, 2) - 1;
	utc.tm_mday = number(text + 8, 2);
	utc.tm_hour = number(text + 11, 2);
	utc.tm_min = number(text + 14, 2);
	utc.tm_sec = number(text + 17, 2);
	check = utc;
	when = timegm(&check);
	/* What timegm() had to set right was no date. */
	if (when < 0 || check.tm_mon != utc.tm_mon || check.tm_mday != utc.tm_mday ||
	    check.tm_hour != utc.tm_hour || check.tm_min != utc.tm_min ||
	    check.tm_sec != utc.tm_sec)
		return -EINVAL;
	text += 19;
	if (*text == '.') {
		size_t digits = strspn(++text, "0123456789");

		if (digits == 0)
			return -EINVAL;
		text += digits;
	}
	if (strcmp(text, "Z") != 0 && strcmp(text, "+00:00") != 0)
		return -EINVAL;
	*ret_unix_s = (uint64_t)when;
	return 0;
}
