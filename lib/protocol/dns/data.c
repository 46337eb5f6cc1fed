#include "dns/data.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"

#define STRING_MAX 255

static const struct {
	const char *text;
	uint16_t type;
} types[] = {
	{ "A", DNS_A },	    { "AAAA", DNS_AAAA }, { "CNAME", DNS_CNAME }, { "TXT", DNS_TXT },
	{ "NS", DNS_NS },   { "SOA", DNS_SOA },	  { "PTR", DNS_PTR },	  { "MX", DNS_MX },
	{ "SRV", DNS_SRV }, { "NAPTR", 35 },	  { "DNAME", DNS_DNAME }, { "DS", 43 },
	{ "SSHFP", 44 },    { "RRSIG", 46 },	  { "NSEC", 47 },	  { "DNSKEY", 48 },
	{ "NSEC3", 50 },    { "TLSA", 52 },	  { "OPENPGPKEY", 61 },	  { "SVCB", 64 },
	{ "HTTPS", 65 },    { "ANY", DNS_ANY },	  { "CAA", 257 },
};

uint16_t dns_type_parse(const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (strcasecmp(types[i].text, text) == 0)
			return types[i].type;
	return 0;
}

const char *dns_type_local(uint16_t type)
{
	for (size_t i = 0; i < 4; i++)
		if (types[i].type == type)
			return types[i].text;
	return NULL;
}

static int parse_text(const char *text, uint8_t to[DNS_DATA_MAX])
{
	size_t left = strnlen(text, DNS_TEXT_MAX + 1);
	struct writer w;

	if (left > DNS_TEXT_MAX)
		return -EINVAL;
	writer_init(&w, to, DNS_DATA_MAX);
	do {
		size_t size = left < STRING_MAX ? left : STRING_MAX;

		writer_u8(&w, (uint8_t)size);
		writer_copy(&w, text, size);
		text += size;
		left -= size;
	} while (left > 0);
	return (int)writer_size(&w);
}

int dns_data_parse(uint16_t type, const char *text, uint8_t to[DNS_DATA_MAX])
{
	struct dns_name name;

	switch (type) {
	case DNS_A:
		return inet_pton(AF_INET, text, to) == 1 ? 4 : -EINVAL;
	case DNS_AAAA:
		return inet_pton(AF_INET6, text, to) == 1 ? 16 : -EINVAL;
	case DNS_CNAME:
		if (dns_name_parse(text, &name) < 0)
			return -EINVAL;
		memcpy(to, name.bytes, name.size);
		return name.size;
	case DNS_TXT:
		return parse_text(text, to);
	default:
		return -EINVAL;
	}
}

/* The length of the character at @at in UTF-8, of @left bytes; 0 where there is none that may be shown. */
static size_t character(const uint8_t *at, size_t left)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t size = at[0] < 0x80 ? 1 : at[0] >> 5 == 6 ? 2 : at[0] >> 4 == 14 ? 3 : 4;
	uint32_t value = size == 1 ? at[0] : at[0] & (0x7f >> size);

	if (size > left || (size == 4 && at[0] >> 3 != 30))
		return 0;
	for (size_t i = 1; i < size; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (at[i] & 0x3f);
	}
	if (value < 0x20 || (value >= 0x7f && value < 0xa0) || value > 0x10ffff ||
	    (value >= 0xd800 && value < 0xe000) || (size > 1 && value < least[size]))
		return 0;
	return size;
}

static int format_text(const uint8_t *data, size_t size, char to[DNS_DATA_TEXT_MAX])
{
	size_t written = 0;
	struct reader r;

	reader_init(&r, data, size);
	if (size == 0)
		return -EINVAL;
	while (reader_left(&r) > 0) {
		uint8_t part = reader_u8(&r);
		const uint8_t *bytes = reader_take(&r, part);

		if (!bytes || written + part > DNS_TEXT_MAX)
			return -EINVAL;
		memcpy(to + written, bytes, part);
		written += part;
	}
	to[written] = '\0';
	for (size_t at = 0; at < written;) {
		size_t step = character((const uint8_t *)to + at, written - at);

		if (step == 0)
			return -EINVAL;
		at += step;
	}
	return 0;
}

static int format_name(const uint8_t *data, size_t size, char to[DNS_DATA_TEXT_MAX])
{
	struct dns_name name = { .size = (uint8_t)size };
	struct dns_name again;

	if (size == 0 || size > DNS_NAME_MAX)
		return -EINVAL;
	memcpy(name.bytes, data, size);
	(void)dns_name_format(&name, to);
	return dns_name_parse(to, &again) == 0 && dns_name_equal(&name, &again) ? 0 : -EINVAL;
}

int dns_data_format(uint16_t type, const uint8_t *data, size_t size, char to[DNS_DATA_TEXT_MAX])
{
	_Static_assert(DNS_NAME_TEXT_MAX <= DNS_DATA_TEXT_MAX, "a name fits");

	switch (type) {
	case DNS_A:
		return size == 4 && inet_ntop(AF_INET, data, to, DNS_DATA_TEXT_MAX) ? 0 : -EINVAL;
	case DNS_AAAA:
		return size == 16 && inet_ntop(AF_INET6, data, to, DNS_DATA_TEXT_MAX) ? 0 : -EINVAL;
	case DNS_CNAME:
		return format_name(data, size, to);
	case DNS_TXT:
		return format_text(data, size, to);
	default:
		return -EINVAL;
	}
}
