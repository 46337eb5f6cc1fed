#include "document/redact.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "codec/diff.h"
#include "codec/patch.h"
#include "codec/pointer.h"

#include "base/test.h"

#define ROUNDS 3000

/* The places of secrets once more, in the words of somebody else. */
static const char *const patterns[] = {
	"/password",
	"/sessions/*",
	"/webserver/certificate/key",
	"/webserver/authority/rootKey",
	"/webserver/authority/intermediateKey",
	"/wg/key",
	"/wg/subnets/*/clients/*/key",
	"/wg/subnets/*/clients/*/psk",
};

static uint64_t random_state;
static unsigned last_string;

static unsigned random_below(unsigned below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)(random_state >> 33) % below;
}

static const char *random_name(char to[32])
{
	static const char *const names[] = { "password", "sessions", "webserver", "certificate",
					     "key",	 "psk",	     "authority", "rootKey",
					     "cert",	 "wg",	     "subnets",	  "clients",
					     "key",	 "10.0/24",  "~a" };
	unsigned pick = random_below(ARRAY_SIZE(names) + 2);

	(void)snprintf(to, 32, "name%u.", ++last_string);
	if (pick < ARRAY_SIZE(names))
		(void)snprintf(to, 32, "%s", names[pick]);
	return to;
}

/* Every string is another one, so that it can be looked for. */
static json_t *random_value(unsigned depth)
{
	unsigned kind = random_below(depth > 0 ? 10 : 4), count = random_below(7);
	json_t *value;
	char name[32];

	if (kind == 0)
		return random_below(2) ? json_null() : json_integer(random_below(100));
	if (kind < 4)
		return json_sprintf("text%u.", ++last_string);
	value = kind == 4 ? json_array() : json_object();
	for (unsigned i = 0; i < count; i++) {
		if (kind == 4)
			(void)json_array_append_new(value, random_value(depth - 1));
		else
			(void)json_object_set_new(value, random_name(name),
						  random_value(depth - 1));
	}
	return value;
}

/* A document that has the places of secrets, filled with something. */
static json_t *random_document(void)
{
	json_t *document = json_pack(
		"{s:o, s:o, s:{s:o, s:{s:o, s:o}, s:o}, s:{s:o, s:{s:{s:{s:{s:o, s:o}, s:o}}}}, s:o}",
		"password", random_value(1), "sessions", random_value(2), "webserver",
		"certificate", random_value(1), "authority", "rootKey", random_value(0),
		"intermediateKey", random_value(1), "enabled", random_value(1), "wg", "key",
		random_value(0), "subnets", "10.0/24", "clients", "10.0.0.2", "key",
		random_value(0), "psk", random_value(0), "10.0.0.3", random_value(2),
		"portForwards", random_value(3));

	assert_non_null(document);
	return document;
}

/* Changes something at a random depth. */
static void mutate(json_t *value, unsigned depth)
{
	unsigned skip = random_below((unsigned)json_object_size(value) + 1);
	json_t *member, *target = NULL;
	const char *name;
	char fresh[32];

	json_object_foreach(value, name, member)
		if (skip-- == 0)
			target = member;
	if (json_is_object(target) && random_below(4) > 0) {
		mutate(target, depth + 1);
		return;
	}
	skip = random_below((unsigned)json_object_size(value) + 1);
	json_object_foreach(value, name, member) {
		if (skip-- != 0)
			continue;
		if (random_below(3) == 0)
			(void)json_object_del(value, name);
		else
			(void)json_object_set_new(value, name, random_value(4 - (depth % 4)));
		return;
	}
	(void)json_object_set_new(value, random_name(fresh), random_value(3));
}

static bool is_secret_path(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
		char below[80];

		(void)snprintf(below, sizeof(below), "%s/*", patterns[i]);
		if (fnmatch(patterns[i], path, FNM_PATHNAME) == 0 ||
		    fnmatch(below, path, FNM_PATHNAME) == 0)
			return true;
	}
	return false;
}

/* Asserts that no secret string of @value is in @text, nor a name below a secret that is nowhere
 * else. */
static void look_for_secrets(const json_t *value, const char *path, bool secret, const char *text)
{
	const json_t *member;
	const char *name;
	size_t i;

	secret |= is_secret_path(path);
	if (secret && json_is_string(value))
		assert_null(strstr(text, json_string_value(value)));
	json_object_foreach((json_t *)value, name, member) {
		CLEANUP(text_done) struct text below = { 0 };

		text_append(&below, path);
		pointer_append(&below, name);
		if (secret && strncmp(name, "name", 4) == 0)
			assert_null(strstr(text, name));
		look_for_secrets(member, text_string(&below), secret, text);
	}
	json_array_foreach(value, i, member) {
		CLEANUP(text_done) struct text below = { 0 };

		text_printf(&below, "%s/%zu", path, i);
		look_for_secrets(member, text_string(&below), secret, text);
	}
}

static json_t *redacted(const json_t *document)
{
	json_t *seen = NULL;

	assert_int_equal(redact_value("", document, &seen), 0);
	return seen;
}

static void assert_tells_nothing(const json_t *said, const json_t *document)
{
	char *text = json_dumps(said, JSON_COMPACT | JSON_ENCODE_ANY);

	look_for_secrets(document, "", false, text);
	free(text);
}

static void apply(json_t **document, const json_t *patch)
{
	CLEANUP(edit_log_done) struct edit_log log = { 0 };
	CLEANUP(fault_done) struct fault fault = { 0 };

	if (patch_apply(document, patch, &log, &fault) < 0)
		fail_msg("%s", fault.details);
}

static void edits_and_redaction_commute(void **state)
{
	(void)state;
	if (getenv("SEED"))
		random_state = strtoull(getenv("SEED"), NULL, 16);
	else
		random_bytes(&random_state, sizeof(random_state));
	random_state |= 1;
	print_message("SEED=%llx to repeat\n", (unsigned long long)random_state);
	for (int round = 0; round < ROUNDS; round++) {
		json_t *before = random_document(), *after = json_deep_copy(before), *seen_after;
		json_t *seen = json_deep_copy(before), *patch = NULL, *seen_patch = NULL, *copy;

		for (unsigned i = 0; i <= random_below(6); i++)
			mutate(after, 0);
		json_decref(seen);
		seen = redacted(before);
		copy = json_deep_copy(seen); /* what a client keeps */
		seen_after = redacted(after);
		assert_int_equal(json_diff(before, after, &patch), 0);
		assert_int_equal(redact_patch(patch, &seen_patch), 0);
		assert_tells_nothing(seen, before);
		assert_tells_nothing(seen_after, after);
		assert_tells_nothing(seen_patch, before);
		assert_tells_nothing(seen_patch, after);
		apply(&copy, seen_patch);
		assert_true(json_equal(copy, seen_after));
		json_decref(copy);
		json_decref(seen_patch);
		json_decref(patch);
		json_decref(seen_after);
		json_decref(seen);
		json_decref(after);
		json_decref(before);
	}
}

static void secrets_become_placeholders_of_their_type(void **state)
{
	json_t *document = json_pack(
		"{s:s, s:{s:{s:s}}, s:{s:{s:s, s:s}, s:n}, s:{s:s, s:{s:{s:s, s:{s:{s:s, s:s, s:s}}}}}}",
		"password", "$argon2id$", "sessions", "abc", "loggedIn", "2026", "webserver",
		"certificate", "key", "KEY", "cert", "CERT", "authority", "wg", "key", "WG",
		"subnets", "10.0.0.1/24", "name", "Home", "clients", "10.0.0.2", "name", "Phone",
		"key", "CLIENT", "psk", "PSK");
	json_t *wanted = json_pack(
		"{s:s, s:{}, s:{s:{s:s, s:s}, s:n}, s:{s:s, s:{s:{s:s, s:{s:{s:s, s:s, s:s}}}}}}",
		"password", "", "sessions", "webserver", "certificate", "key", "", "cert", "CERT",
		"authority", "wg", "key", "", "subnets", "10.0.0.1/24", "name", "Home", "clients",
		"10.0.0.2", "name", "Phone", "key", "", "psk", "");
	json_t *seen = redacted(document);

	(void)state;
	assert_non_null(document);
	assert_non_null(wanted);
	assert_true(json_equal(seen, wanted));
	json_decref(seen);
	json_decref(wanted);
	json_decref(document);
}

/* The document as tunnel.md 1.1 has it, and our authority. */
static const char whole_document[] =
	"{'migrations':['PortForwardAuto','WgClientKind'],"
	" 'webserver':{'enabled':true,'listen':'203.0.113.7:8443',"
	"  'certificate':{'key':'SECRET','cert':'PEM'},"
	"  'authority':{'rootKey':'SECRET','rootCert':'PEM','intermediateKey':'SECRET',"
	"   'intermediateCert':'PEM'}},"
	" 'sessions':{'SECRET':{'loggedIn':'2026','lastActive':'2026','userAgent':'x'}},"
	" 'password':'SECRET',"
	" 'authPubkeys':{'-----BEGIN PUBLIC KEY-----\\nx\\n':{'name':'laptop'}},"
	" 'gateways':{'eth0':{'name':null,'secure':null,'type':null,'ipInfo':{'name':'eth0',"
	"   'scopeId':2,'deviceType':'ethernet','subnets':['203.0.113.7/24'],'lanIp':[],"
	"   'wanIp':null,'ntpServers':[],'dnsServers':[]}}},"
	" 'wg':{'port':51820,'key':'SECRET','subnets':{'10.59.37.1/24':{'name':'Home',"
	"  'clients':{'10.59.37.2':{'name':'Server','key':'SECRET','psk':'SECRET',"
	"   'kind':'server','allowDnsInjection':true,'allowAutoPortForward':true,'wanIp':null}},"
	"  'dns':{'type':'custom','servers':['1.1.1.1:53']},'wanIp':null}}},"
	" 'portForwards':{'203.0.113.7:8000':{'kind':'dnat','target':'10.59.37.2:8000',"
	"   'label':'x','enabled':true,'count':1,'auto':false},"
	"  '203.0.113.7:443':{'kind':'sni','routes':{'git.example.com':{"
	"   'target':'10.59.37.2:443','label':'PCP','enabled':true,'auto':true}}}},"
	" 'dnsRecords':[{'name':'home.example.com','type':'A','value':'10.59.37.2','ttl':300,"
	"  'source':'10.59.37.2'}]}";

/* Asserts that @seen is @value, but for secrets, of which the members are there and empty. */
static void assert_all_there(const json_t *seen, json_t *value, const char *name)
{
	json_t *member;
	const char *below;

	if (strcmp(name, "sessions") == 0) {
		assert_int_equal(json_object_size(seen), 0);
		assert_true(json_is_object(seen));
	} else if (json_is_string(value) && strcmp(json_string_value(value), "SECRET") == 0) {
		assert_string_equal(json_string_value(seen), "");
	} else if (json_is_object(value)) {
		assert_int_equal(json_object_size(seen), json_object_size(value));
		json_object_foreach(value, below, member)
			assert_all_there(json_object_get(seen, below), member, below);
	} else {
		assert_true(json_equal(seen, value));
	}
}

static void every_field_of_the_document_is_there(void **state)
{
	char *text = strdup(whole_document);
	json_t *document, *seen;

	(void)state;
	for (char *c = text; *c; c++)
		if (*c == '\'')
			*c = '"';
	document = json_loads(text, 0, NULL);
	assert_non_null(document);
	free(text);
	seen = redacted(document);
	assert_all_there(seen, document, "");
	text = json_dumps(seen, JSON_COMPACT);
	assert_null(strstr(text, "SECRET"));
	free(text);
	json_decref(seen);
	json_decref(document);
}

static void parts_are_redacted_by_their_place(void **state)
{
	static const struct {
		const char *pointer;
		const char *value;
		const char *seen;
	} cases[] = {
		{ "/wg/key", "\"K\"", "\"\"" },
		{ "/password", "null", "null" },
		{ "/sessions", "{\"a\":{}}", "{}" },
		{ "/sessions/a", "{\"userAgent\":\"x\"}", "null" },
		{ "/sessions/a/userAgent", "\"x\"", "null" },
		{ "/wg/subnets/10.0.0.1~124",
		  "{\"clients\":{\"b\":{\"psk\":\"P\",\"name\":\"n\"}}}",
		  "{\"clients\":{\"b\":{\"psk\":\"\",\"name\":\"n\"}}}" },
		{ "/wg/subnets/10.0.0.1~124/clients/b/psk", "\"P\"", "\"\"" },
		{ "/webserver", "{\"certificate\":null}", "{\"certificate\":null}" },
		{ "/authPubkeys", "{\"PEM\":{\"name\":\"n\"}}", "{\"PEM\":{\"name\":\"n\"}}" },
		{ "/passwords", "\"P\"", "\"P\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		json_t *value = json_loads(cases[i].value, JSON_DECODE_ANY, NULL), *seen;
		json_t *wanted = json_loads(cases[i].seen, JSON_DECODE_ANY, NULL);

		assert_int_equal(redact_value(cases[i].pointer, value, &seen), 0);
		assert_true(json_equal(seen, wanted));
		json_decref(seen);
		json_decref(wanted);
		json_decref(value);
	}
}

static void what_has_no_secret_is_not_copied(void **state)
{
	json_t *document = json_pack("{s:s, s:{s:s}}", "password", "P", "gateways", "a", "b");
	json_t *seen = redacted(document);

	(void)state;
	assert_ptr_equal(json_object_get(seen, "gateways"), json_object_get(document, "gateways"));
	json_decref(seen);
	json_decref(document);
}

static void unknown_operations_are_refused(void **state)
{
	static const char *const patches[] = {
		"[{\"op\":\"test\",\"path\":\"/a\",\"value\":1}]",
		"[{\"op\":\"copy\",\"from\":\"/wg/key\",\"path\":\"/a\"}]",
		"[{\"op\":\"add\",\"path\":\"/a\"}]",
		"[{\"path\":\"/a\",\"value\":1}]",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(patches); i++) {
		json_t *patch = json_loads(patches[i], 0, NULL), *seen = NULL;

		assert_int_equal(redact_patch(patch, &seen), -EINVAL);
		assert_null(seen);
		json_decref(patch);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(secrets_become_placeholders_of_their_type),
		cmocka_unit_test(every_field_of_the_document_is_there),
		cmocka_unit_test(parts_are_redacted_by_their_place),
		cmocka_unit_test(what_has_no_secret_is_not_copied),
		cmocka_unit_test(unknown_operations_are_refused),
		cmocka_unit_test(edits_and_redaction_commute),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
