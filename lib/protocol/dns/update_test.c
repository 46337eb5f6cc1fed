/* Updates, their prerequisites and their signatures; vectors of tunnel.md 7.4 and A.2. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dns/data.h"
#include "dns/tsig.h"
#include "dns/update.h"

#include "base/test.h"

#define SIGNED_S 1700000000

static const char signed_update[] =
	"123428000001000000010001076578616d706c6503636f6d000006000104686f7374076578616d706c6503636f"
	"6d00000100010000012c00040a3b00021273746172746f732d646e732d7570646174650000fa00ff0000000000"
	"3d0b686d61632d7368613235360000006553f100012c002026ba1b7ecab40b268e90220a5d5e9fdfc174375338"
	"07910593400dc6d2119477123400000000";

static size_t from_hex(const char *hex, uint8_t *to)
{
	size_t size = strlen(hex) / 2;

	for (size_t i = 0; i < size; i++) {
		const char digits[3] = { hex[2 * i], hex[2 * i + 1], '\0' };

		to[i] = (uint8_t)strtoul(digits, NULL, 16);
	}
	return size;
}

static void keys_come_from_preshared_keys(void **state)
{
	static const struct {
		uint8_t byte;
		const char *key;
	} cases[] = {
		{ 0, "5dedee984b62ebaf2c6ef9d6c62d0b4a475b2e666807014cacb035cbdafeac32" },
		{ 1, "885aa38527fce9f3cd47731b15d00ca84b0b871e8fa1bbbae7980953b78076f1" },
		{ 7, "db9da3b47634d51a26e716826bb4f3109c97ab4b46a2e1e24b3ded9775ddbee0" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint8_t psk[DNS_TSIG_KEY_SIZE], key[DNS_TSIG_KEY_SIZE], wanted[DNS_TSIG_KEY_SIZE];

		memset(psk, cases[i].byte, sizeof(psk));
		dns_tsig_key(psk, key);
		(void)from_hex(cases[i].key, wanted);
		assert_memory_equal(key, wanted, sizeof(key));
	}
}

static void a_signature_is_verified(void **state)
{
	uint8_t message[256], psk[DNS_TSIG_KEY_SIZE], key[DNS_TSIG_KEY_SIZE];
	size_t size = from_hex(signed_update, message);
	struct dns_tsig tsig;

	(void)state;
	memset(psk, 7, sizeof(psk));
	dns_tsig_key(psk, key);
	assert_int_equal(size, 152);
	assert_int_equal(dns_tsig_find(message, size, &tsig), 0);
	assert_true(tsig.known);
	assert_int_equal(tsig.signed_s, SIGNED_S);
	assert_true(dns_tsig_verify(&tsig, message, key, NULL));
	assert_true(dns_tsig_in_time(&tsig, SIGNED_S));
	assert_true(dns_tsig_in_time(&tsig, SIGNED_S + 299));
	assert_true(dns_tsig_in_time(&tsig, SIGNED_S - 300));
	assert_false(dns_tsig_in_time(&tsig, SIGNED_S + 300));
	assert_false(dns_tsig_in_time(&tsig, SIGNED_S - 301));
	message[0] ^= 1; /* the id, which a forwarder may change */
	assert_true(dns_tsig_verify(&tsig, message, key, NULL));
	message[0] ^= 1;
	for (size_t i = 2; i < size; i++) {
		struct dns_tsig other;

		message[i] ^= 2;
		if (dns_tsig_find(message, size, &other) == 0 &&
		    dns_tsig_verify(&other, message, key, NULL))
			fail_msg("byte %zu may be changed", i);
		message[i] ^= 2;
	}
	key[0] ^= 1;
	assert_false(dns_tsig_verify(&tsig, message, key, NULL));
}

static void answers_are_signed(void **state)
{
	uint8_t message[512], key[DNS_TSIG_KEY_SIZE] = { 3 }, request[DNS_TSIG_MAC_SIZE] = { 4 };
	struct dns_tsig tsig;
	size_t size;

	(void)state;
	(void)from_hex(signed_update, message);
	message[9] = message[11] = 0;
	size = dns_tsig_sign(message, 29, key, request, SIGNED_S);
	assert_true(size - 29 <= DNS_TSIG_RECORD_MAX);
	assert_int_equal(dns_tsig_find(message, size, &tsig), 0);
	assert_true(dns_tsig_verify(&tsig, message, key, request));
	assert_false(dns_tsig_verify(&tsig, message, key, NULL));
}

static void only_the_last_record_signs(void **state)
{
	uint8_t message[512];
	struct dns_tsig tsig;
	size_t size = from_hex(signed_update, message);

	(void)state;
	assert_int_equal(dns_tsig_find(message, size - 1, &tsig), -EBADMSG);
	message[11] = 2;
	memcpy(message + size, message + 66 - 7, 7); /* not a record */
	assert_int_equal(dns_tsig_find(message, size + 7, &tsig), -EBADMSG);
	message[11] = 1;
	message[9] = 2;
	assert_int_equal(dns_tsig_find(message, size, &tsig), -EBADMSG);
	message[9] = message[11] = 0;
	assert_int_equal(dns_tsig_find(message, 29, &tsig), -ENOENT);
}

/* An update written by hand: a zone, then steps. */
struct draft {
	uint8_t bytes[2048];
	size_t size;
};

static void put(struct draft *d, const void *bytes, size_t size)
{
	memcpy(d->bytes + d->size, bytes, size);
	d->size += size;
}

static void put_name(struct draft *d, const char *text)
{
	struct dns_name name;

	assert_int_equal(dns_name_parse(text, &name), 0);
	put(d, name.bytes, name.size);
}

static void begin(struct draft *d, const char *zone)
{
	*d = (struct draft){ 0 };
	put(d, (const uint8_t[]){ 0, 9, 0x28, 0, 0, 1, 0, 0, 0, 0, 0, 0 }, DNS_HEADER_SIZE);
	put_name(d, zone);
	put(d, (const uint8_t[]){ 0, DNS_SOA, 0, DNS_CLASS_IN }, 4);
}

/* @section: 1 prerequisites, 2 changes. */
static void step(struct draft *d, int section, const char *name, uint16_t type, uint8_t class,
		 uint8_t ttl, const char *value)
{
	uint8_t data[DNS_DATA_MAX];
	int size = value ? dns_data_parse(type, value, data) : 0;

	assert_true(size >= 0);
	d->bytes[5 + 2 * section]++;
	put_name(d, name);
	put(d,
	    (const uint8_t[]){ (uint8_t)(type >> 8), (uint8_t)type, 0, class, 0, 0, 0, ttl,
			       (uint8_t)(size >> 8), (uint8_t)size },
	    10);
	put(d, data, (size_t)size);
}

static int parse(const struct draft *d, struct dns_update *ret)
{
	return dns_update_parse(d->bytes, d->size, ret);
}

static void steps_are_read(void **state)
{
	CLEANUP(dns_update_done) struct dns_update update = { 0 };
	struct draft d;

	(void)state;
	begin(&d, "example.com");
	step(&d, 1, "a.example.com", DNS_ANY, DNS_CLASS_NONE, 0, NULL);
	step(&d, 2, "a.Example.com", DNS_A, DNS_CLASS_ANY, 0, NULL);
	step(&d, 2, "a.example.com", DNS_A, DNS_CLASS_IN, 60, "10.59.0.2");
	step(&d, 2, "b.example.com", DNS_ANY, DNS_CLASS_ANY, 0, NULL);
	step(&d, 2, "example.com", DNS_TXT, DNS_CLASS_NONE, 0, "x");
	assert_int_equal(parse(&d, &update), 0);
	assert_int_equal(update.prerequisites, 1);
	assert_int_equal(update.count, 5);
	assert_int_equal(update.steps[0].kind, DNS_NAME_FREE);
	assert_int_equal(update.steps[1].kind, DNS_DELETE_SET);
	assert_int_equal(update.steps[2].kind, DNS_ADD);
	assert_int_equal(update.steps[2].ttl_s, 60);
	assert_memory_equal(update.steps[2].data, "\x0a\x3b\0\2", 4);
	assert_int_equal(update.steps[3].kind, DNS_DELETE_NAME);
	assert_int_equal(update.steps[4].kind, DNS_DELETE_RECORD);
}

static void what_is_wrong_is_said(void **state)
{
	static const struct {
		int section;
		const char *name;
		uint16_t type;
		uint8_t class, ttl;
		const char *value;
		int code;
	} cases[] = {
		{ 2, "other.net", DNS_A, DNS_CLASS_IN, 1, "10.0.0.1", DNS_NOTZONE },
		{ 2, "notexample.com", DNS_A, DNS_CLASS_IN, 1, "10.0.0.1", DNS_NOTZONE },
		{ 2, "com", DNS_A, DNS_CLASS_IN, 1, "10.0.0.1", DNS_NOTZONE },
		{ 1, "other.net", DNS_ANY, DNS_CLASS_ANY, 0, NULL, DNS_NOTZONE },
		{ 1, "a.example.com", DNS_A, DNS_CLASS_ANY, 1, NULL, DNS_FORMERR },
		{ 1, "a.example.com", DNS_A, DNS_CLASS_ANY, 0, "10.0.0.1", DNS_FORMERR },
		{ 1, "a.example.com", DNS_ANY, DNS_CLASS_IN, 0, NULL, DNS_FORMERR },
		{ 1, "a.example.com", DNS_A, 3, 0, NULL, DNS_FORMERR },
		{ 2, "a.example.com", DNS_A, DNS_CLASS_ANY, 9, NULL, DNS_FORMERR },
		{ 2, "a.example.com", DNS_A, DNS_CLASS_NONE, 9, "10.0.0.1", DNS_FORMERR },
		{ 2, "a.example.com", DNS_ANY, DNS_CLASS_IN, 9, NULL, DNS_FORMERR },
		{ 2, "a.example.com", DNS_OPT, DNS_CLASS_ANY, 0, NULL, DNS_FORMERR },
		{ 2, "a.example.com", DNS_A, 3, 0, NULL, DNS_FORMERR },
	};
	struct dns_update update;
	struct draft d;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		begin(&d, "example.com");
		step(&d, cases[i].section, cases[i].name, cases[i].type, cases[i].class,
		     cases[i].ttl, cases[i].value);
		assert_int_equal(parse(&d, &update), cases[i].code);
	}
	begin(&d, "example.com");
	d.bytes[d.size - 3] = DNS_A; /* no SOA */
	assert_int_equal(parse(&d, &update), DNS_FORMERR);
	begin(&d, "example.com");
	d.bytes[5] = 0;
	assert_int_equal(parse(&d, &update), DNS_FORMERR);
	begin(&d, "example.com");
	d.bytes[8] = 2;
	assert_int_equal(parse(&d, &update), DNS_REFUSED);
	begin(&d, "example.com");
	step(&d, 2, "a.example.com", DNS_A, DNS_CLASS_IN, 60, "10.59.0.2");
	for (; d.size > 0; d.size--)
		if (d.size < 58)
			assert_int_equal(parse(&d, &update), DNS_FORMERR);
}

static void hold(struct dns_records *records, const char *text, uint16_t type, const char *value)
{
	uint8_t data[DNS_DATA_MAX];
	struct dns_local local = { .type = type,
				   .data_size = (uint16_t)dns_data_parse(type, value, data) };
	struct dns_name name;

	assert_int_equal(dns_name_parse(text, &name), 0);
	assert_int_equal(dns_records_add(records, &name, &local, data), 0);
}

static void prerequisites_are_checked(void **state)
{
	static const struct {
		const char *name;
		uint16_t type;
		uint8_t class;
		const char *values[3];
		enum dns_code code;
	} cases[] = {
		{ "a.example", DNS_ANY, DNS_CLASS_ANY, { NULL }, DNS_NOERROR },
		{ "b.example", DNS_ANY, DNS_CLASS_ANY, { NULL }, DNS_NXDOMAIN },
		{ "A.example", DNS_ANY, DNS_CLASS_NONE, { NULL }, DNS_YXDOMAIN },
		{ "b.example", DNS_ANY, DNS_CLASS_NONE, { NULL }, DNS_NOERROR },
		{ "a.example", DNS_A, DNS_CLASS_ANY, { NULL }, DNS_NOERROR },
		{ "a.example", DNS_AAAA, DNS_CLASS_ANY, { NULL }, DNS_NXRRSET },
		{ "a.example", DNS_A, DNS_CLASS_NONE, { NULL }, DNS_YXRRSET },
		{ "a.example", DNS_AAAA, DNS_CLASS_NONE, { NULL }, DNS_NOERROR },
		{ "a.example", DNS_A, DNS_CLASS_IN, { "10.0.0.1", "10.0.0.2" }, DNS_NOERROR },
		{ "a.example", DNS_A, DNS_CLASS_IN, { "10.0.0.1" }, DNS_NXRRSET },
		{ "a.example", DNS_A, DNS_CLASS_IN, { "10.0.0.1", "10.0.0.3" }, DNS_NXRRSET },
		{ "b.example", DNS_A, DNS_CLASS_IN, { "10.0.0.1" }, DNS_NXRRSET },
		{ "a.example",
		  DNS_A,
		  DNS_CLASS_IN,
		  { "10.0.0.1", "10.0.0.2", "10.0.0.3" },
		  DNS_NXRRSET },
	};
	CLEANUP(dns_records_free) struct dns_records *records = NULL;

	(void)state;
	assert_int_equal(dns_records_new(&records), 0);
	hold(records, "a.example", DNS_A, "10.0.0.1");
	hold(records, "a.example", DNS_A, "10.0.0.2");
	hold(records, "a.example", DNS_TXT, "x");
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		CLEANUP(dns_update_done) struct dns_update update = { 0 };
		struct draft d;

		begin(&d, "example");
		if (!cases[i].values[0])
			step(&d, 1, cases[i].name, cases[i].type, cases[i].class, 0, NULL);
		for (size_t j = 0; j < 3 && cases[i].values[j]; j++)
			step(&d, 1, cases[i].name, cases[i].type, cases[i].class, 0,
			     cases[i].values[j]);
		assert_int_equal(parse(&d, &update), 0);
		assert_int_equal(dns_update_check(&update, records), cases[i].code);
	}
}

/* The longest one that is compressed takes a byte more than the longest that is not. */
static void a_zone_is_not_compressed(void **state)
{
	static const uint8_t labels[] = { 63, 63, 63, 61 };
	static const uint8_t rest[] = { 0xc0, 6, 0, DNS_SOA, 0, 1 }; /* to a zero of the header */
	uint8_t message[512] = { 0, 1, DNS_UPDATE << 3, 0, 0, 1 };
	struct dns_update update;
	size_t size = DNS_HEADER_SIZE;

	(void)state;
	for (size_t i = 0; i < sizeof(labels); i++) {
		message[size++] = labels[i];
		memset(message + size, 'a', labels[i]);
		size += labels[i];
	}
	memcpy(message + size, rest, sizeof(rest));
	assert_int_equal(dns_update_parse(message, size + sizeof(rest), &update), DNS_FORMERR);
	assert_int_equal(update.query.question_end, DNS_HEADER_SIZE);
	message[size] = 0; /* not compressed, and as long as can be */
	memcpy(message + size + 1, rest + 2, sizeof(rest) - 2);
	assert_int_equal(dns_update_parse(message, size + sizeof(rest) - 1, &update), 0);
	assert_int_equal(update.query.question_end, DNS_HEADER_SIZE + DNS_NAME_MAX + 4);
	dns_update_done(&update);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_come_from_preshared_keys),
		cmocka_unit_test(a_signature_is_verified),
		cmocka_unit_test(answers_are_signed),
		cmocka_unit_test(only_the_last_record_signs),
		cmocka_unit_test(steps_are_read),
		cmocka_unit_test(what_is_wrong_is_said),
		cmocka_unit_test(prerequisites_are_checked),
		cmocka_unit_test(a_zone_is_not_compressed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
