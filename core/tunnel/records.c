/* dns.*, tunnel.md 2.7 and 7 */
#include "tunnel/records.h"

#include <strings.h>

#include "base/secret.h"
#include "codec/base64.h"
#include "dns/data.h"
#include "tunnel/names.h"

#define TTL_MAX INT32_MAX /* RFC 2181 section 8 */

/* A record in the spelling that the document keeps. */
struct spelled {
	char name[DNS_NAME_TEXT_MAX];
	const char *type;
	char value[DNS_DATA_TEXT_MAX];
	uint32_t ttl;
	uint32_t source; /* 0: the owner */
	bool exact; /* as a condition: of this value only */
};

static const json_t *all_records(const json_t *document)
{
	return json_object_get(document, "dnsRecords");
}

static const char *member(const json_t *record, const char *name)
{
	const char *text = json_string_value(json_object_get(record, name));

	return text ? text : "";
}

static uint32_t source_of(const json_t *record)
{
	const char *text = json_string_value(json_object_get(record, "source"));
	uint32_t source = 0;

	return text && ip_v4_parse(text, &source) == 0 ? source : 0;
}

/* A document may have been written by others: a dot at the end is no part of the name. */
static bool is_name(const json_t *record, const char *name)
{
	const char *text = member(record, "name");
	size_t size = strlen(text);

	if (size > 1 && text[size - 1] == '.')
		size--;
	return strlen(name) == size && strncasecmp(text, name, size) == 0;
}

static bool is_type(const json_t *record, const char *type)
{
	return strcasecmp(member(record, "type"), type) == 0;
}

/* The one spelling of a value. Returns 0 or -EINVAL. */
static int spell_value(uint16_t type, const char *text, char to[DNS_DATA_TEXT_MAX])
{
	uint8_t data[DNS_DATA_MAX];
	int size = dns_data_parse(type, text, data);

	return size < 0 ? size : dns_data_format(type, data, (size_t)size, to);
}

static bool is_value(const json_t *record, const struct spelled *spelled)
{
	char value[DNS_DATA_TEXT_MAX];

	return is_type(record, spelled->type) &&
	       spell_value(dns_type_parse(spelled->type), member(record, "value"), value) == 0 &&
	       strcmp(value, spelled->value) == 0;
}

int records_load(const json_t *document, struct dns_records *to)
{
	const json_t *record;
	int passed_over = 0;
	size_t i;

	dns_records_clear(to);
	json_array_foreach(all_records(document), i, record) {
		struct dns_local local = {
			.ttl_s = (uint32_t)json_integer_value(json_object_get(record, "ttl")),
			.source = source_of(record),
			.type = dns_type_parse(member(record, "type")),
		};
		uint8_t data[DNS_DATA_MAX];
		struct dns_name name;
		int size = dns_data_parse(local.type, member(record, "value"), data);
		int r = size < 0 ? size : dns_name_parse(member(record, "name"), &name);

		if (r == 0) {
			local.data_size = (uint16_t)size;
			r = dns_records_add(to, &name, &local, data);
		}
		if (r == -ENOMEM)
			return r;
		passed_over += r < 0;
	}
	return passed_over;
}

/* --- edits --- */

static void record_pointer(struct text *to, size_t index)
{
	char number[24];

	(void)snprintf(number, sizeof(number), "%zu", index);
	document_pointer(to, "dnsRecords", number, NULL);
}

static json_t *pack(const struct spelled *spelled)
{
	char source[IP_TEXT_MAX];

	return json_pack("{s:s, s:s, s:s, s:I, s:s?}", "name", spelled->name, "type", spelled->type,
			 "value", spelled->value, "ttl", (json_int_t)spelled->ttl, "source",
			 spelled->source ? ip_v4_format(spelled->source, source) : NULL);
}

/* The record of this name, type and value, or NULL. */
static const json_t *find_record(const json_t *document, const struct spelled *spelled,
				 size_t *ret_index)
{
	const json_t *all = all_records(document);

	for (size_t i = 0; i < json_array_size(all); i++) {
		const json_t *record = json_array_get(all, i);

		if (!is_name(record, spelled->name) || !is_value(record, spelled))
			continue;
		*ret_index = i;
		return record;
	}
	return NULL;
}

/* Adds a record, or gives the one of this value the new time to live and source. */
static int put_record(struct job *job, const struct spelled *spelled, struct fault *fault)
{
	CLEANUP(text_done) struct text pointer = { 0 };
	size_t index = 0;
	const json_t *present = find_record(job_document(job), spelled, &index);
	json_t *wanted = pack(spelled);

	if (wanted && present && json_equal((json_t *)present, wanted)) {
		json_decref(wanted);
		return 0;
	}
	if (present)
		record_pointer(&pointer, index);
	else
		document_pointer(&pointer, "dnsRecords", "-", NULL);
	return job_put(job, text_string(&pointer), wanted, fault);
}

/* From the last to the first, so that indices stay right. */
static int remove_records(struct job *job,
			  bool (*is_meant)(const json_t *record, const void *context),
			  const void *context)
{
	int r = 0;

	for (size_t i = json_array_size(all_records(job_document(job))); i > 0 && r == 0; i--) {
		CLEANUP(text_done) struct text pointer = { 0 };

		if (!is_meant(json_array_get(all_records(job_document(job)), i - 1), context))
			continue;
		record_pointer(&pointer, i - 1);
		r = job_remove(job, text_string(&pointer));
	}
	return r;
}

/* Of a name; with a type only those of it. */
static bool is_spelled(const json_t *record, const void *context)
{
	const struct spelled *spelled = context;

	return is_name(record, spelled->name) &&
	       (!spelled->type || is_type(record, spelled->type)) &&
	       (!spelled->exact || is_value(record, spelled));
}

bool records_permitted(const json_t *document, uint32_t address, uint8_t ret_psk[32])
{
	struct document_subnet subnet;
	const json_t *device = document_subnet_of(document, address, &subnet)
				       ? document_device(&subnet, address)
				       : NULL;

	return json_is_true(json_object_get(device, "allowDnsInjection")) &&
	       base64_decode(member(device, "psk"), ret_psk, 32) == 32;
}

static bool is_forbidden(const json_t *record, const void *context)
{
	uint32_t source = source_of(record);
	uint8_t psk[32];
	bool permitted;

	if (!json_is_string(json_object_get(record, "source")))
		return false;
	permitted = records_permitted(context, source, psk);
	secret_wipe(psk, sizeof(psk));
	return !permitted;
}

int records_prune(struct job *job)
{
	return remove_records(job, is_forbidden, job_document(job));
}

void records_close_unpermitted(const json_t *before, json_t *after)
{
	json_t *all = json_object_get(after, "dnsRecords");

	for (size_t i = json_array_size(all); i > 0; i--) {
		const json_t *record = json_array_get(all, i - 1);

		if (is_forbidden(record, after) && !is_forbidden(record, before))
			(void)json_array_remove(all, i - 1);
	}
}

/* --- rules --- */

/* What is at a name, as far as it matters to a record that is to be added. */
struct neighbours {
	size_t count;
	size_t all;
	bool cname; /* of another value */
	bool others; /* than CNAME */
	bool present; /* the very record */
};

static void look_around(const json_t *document, const struct spelled *spelled,
			struct neighbours *ret)
{
	const json_t *record;
	size_t i;

	*ret = (struct neighbours){ .all = json_array_size(all_records(document)) };
	json_array_foreach(all_records(document), i, record) {
		if (!is_name(record, spelled->name))
			continue;
		ret->count++;
		if (is_value(record, spelled))
			ret->present = true;
		else if (is_type(record, "CNAME"))
			ret->cname = true;
		if (!is_type(record, "CNAME"))
			ret->others = true;
	}
}

/* --- methods --- */

static int read_name(const json_t *params, char to[DNS_NAME_TEXT_MAX], struct fault *fault)
{
	const char *text = param_string(params, "name");
	struct dns_name name;

	if (dns_name_parse(text, &name) < 0)
		return fault_set(fault, FAULT_PARSE_URL,
				 "name: %s is not a host name: labels of 1 to 63 letters, digits, "
				 "\"-\" and \"_\" with dots between them",
				 text);
	dns_name_lower(&name);
	(void)dns_name_format(&name, to);
	if (*to == '*')
		return fault_set(fault, FAULT_PARSE_URL,
				 "name: %s: a record is of one name; there are no wildcards", text);
	return 0;
}

static int read_spelled(const json_t *params, struct spelled *ret, struct fault *fault)
{
	const char *type_text = param_string(params, "type");
	uint16_t type = dns_type_parse(type_text);
	json_int_t ttl = json_integer_value(json_object_get(params, "ttl"));
	int r = read_name(params, ret->name, fault);

	if (r < 0)
		return r;
	ret->type = dns_type_local(type);
	if (!ret->type)
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "type: %s is not supported; it must be A, AAAA, CNAME or TXT",
				 type_text);
	if (spell_value(type, param_string(params, "value"), ret->value) < 0)
		return fault_set(fault, FAULT_INVALID_REQUEST, "value: must be %s",
				 type == DNS_A	     ? "an IPv4 address"
				 : type == DNS_AAAA  ? "an IPv6 address"
				 : type == DNS_CNAME ? "a host name"
						     : "a text of at most 1024 bytes");
	if (ttl > TTL_MAX)
		return fault_set(fault, FAULT_INVALID_REQUEST, "ttl: must be at most %d seconds",
				 TTL_MAX);
	ret->ttl = (uint32_t)ttl;
	ret->source = 0;
	return 0;
}

static int change_add(struct job *job, const json_t *params, struct fault *fault)
{
	struct neighbours at;
	struct spelled spelled;
	int r = read_spelled(params, &spelled, fault);

	if (r < 0)
		return r;
	look_around(job_document(job), &spelled, &at);
	if (strcmp(spelled.type, "CNAME") == 0 ? at.others || at.cname : at.cname)
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "name: %s: a CNAME is the only record of its name", spelled.name);
	if (!at.present && (at.all >= DNS_RECORDS_MAX || at.count >= DNS_RECORDS_PER_NAME_MAX))
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "at most %d records, %d of one name, can be kept", DNS_RECORDS_MAX,
				 DNS_RECORDS_PER_NAME_MAX);
	return put_record(job, &spelled, fault);
}

static int change_remove(struct job *job, const json_t *params, struct fault *fault)
{
	struct spelled spelled = { .type = param_string(params, "type") };
	int r;

	if (spelled.type && dns_type_parse(spelled.type) == 0)
		return fault_set(fault, FAULT_INVALID_REQUEST, "type: %s is no type of records",
				 spelled.type);
	r = read_name(params, spelled.name, fault);
	return r < 0 ? r : remove_records(job, is_spelled, &spelled);
}

static int compare_names(const void *a, const void *b)
{
	const json_t *const *one = a, *const *other = b;

	return strcasecmp(member(*one, "name"), member(*other, "name"));
}

static int read_list(struct tunnel *tunnel, const json_t *params, json_t **ret, struct fault *fault)
{
	const json_t *all = all_records(store_document(tunnel->store));
	size_t count = json_array_size(all);
	cleanup_free const json_t **sorted = calloc(count + 1, sizeof(*sorted));
	json_t *list = json_array();

	for (size_t i = 0; sorted && i < count; i++)
		sorted[i] = json_array_get(all, i);
	if (sorted)
		qsort(sorted, count, sizeof(*sorted), compare_names);
	for (size_t i = 0; sorted && list && i < count; i++) {
		if (json_array_append(list, (json_t *)sorted[i]) == 0)
			continue;
		json_decref(list);
		list = NULL;
	}
	if (!sorted || !list) {
		json_decref(list);
		return -ENOMEM;
	}
	*ret = list;
	return 0;
}

TUNNEL_EDIT(record_add, change_add);
TUNNEL_EDIT(record_remove, change_remove);
TUNNEL_READ(record_list, read_list);

/* --- updates --- */

/* A step's record in our spelling. Returns -EINVAL for what cannot be kept. */
static int spell_step(const struct dns_step *step, uint32_t source, struct spelled *ret)
{
	struct dns_name lower = step->name;
	struct dns_name again;
	int r;

	*ret = (struct spelled){ .source = source,
				 .ttl = step->ttl_s,
				 .exact = step->kind == DNS_DELETE_RECORD };
	if (ret->ttl > TTL_MAX)
		ret->ttl = 0;
	dns_name_lower(&lower);
	(void)dns_name_format(&lower, ret->name);
	r = dns_name_parse(ret->name, &again);
	if (r < 0 || *ret->name == '*' || step->kind == DNS_DELETE_NAME)
		return *ret->name == '*' ? -EINVAL : r;
	ret->type = dns_type_local(step->type);
	if (!ret->type)
		return -EINVAL;
	return step->data ? dns_data_format(step->type, step->data, step->data_size, ret->value)
			  : 0;
}

/* Whether somebody else holds a record of the name: then it is theirs (DNS names are first come, first
 * served, and the owner's always win). */
static bool is_taken(const struct dns_records *records, const struct dns_step *step,
		     uint32_t source)
{
	const struct dns_owner *owner = dns_records_find(records, &step->name);

	for (const struct dns_local *local = owner ? dns_owner_first(owner) : NULL; local;
	     local = local->next)
		if (local->source != source)
			return true;
	return false;
}

static size_t count_of_source(const json_t *document, uint32_t source)
{
	const json_t *record;
	size_t i, count = 0;

	json_array_foreach(all_records(document), i, record)
		count += source_of(record) == source;
	return count;
}

/* Refuses what may not be, and what would be too much even if nothing that is added were there. */
static enum dns_code check_steps(const json_t *document, const struct dns_update *update,
				 uint32_t source, const struct dns_records *records)
{
	size_t added = 0;

	for (size_t i = update->prerequisites; i < update->count; i++) {
		const struct dns_step *step = &update->steps[i];
		struct spelled spelled;

		if (is_taken(records, step, source))
			return DNS_REFUSED;
		if (step->kind != DNS_ADD)
			continue;
		added++;
		if (spell_step(step, source, &spelled) < 0)
			return DNS_REFUSED;
	}
	if (added > 0 && (json_array_size(all_records(document)) + added > DNS_RECORDS_MAX ||
			  count_of_source(document, source) + added > NAMES_DEVICE_RECORDS_MAX))
		return DNS_REFUSED;
	return DNS_NOERROR;
}

/* A CNAME beside other records is passed over, and so are those beside a CNAME; a second CNAME takes the
 * place of the first (RFC 2136 section 3.4.2.2). */
static int add_step(struct job *job, const struct spelled *spelled)
{
	struct neighbours at;
	bool cname = strcmp(spelled->type, "CNAME") == 0;
	int r = 0;

	look_around(job_document(job), spelled, &at);
	if (cname ? at.others : at.cname)
		return 0;
	if (!at.present && at.count >= DNS_RECORDS_PER_NAME_MAX)
		return 0;
	if (cname && at.cname) {
		struct spelled other = { .type = "CNAME" };

		memcpy(other.name, spelled->name, sizeof(other.name));
		r = remove_records(job, is_spelled, &other);
	}
	return r < 0 ? r : put_record(job, spelled, NULL);
}

/* What cannot be held need not be deleted. What @records does not have need not be searched for, unless it
 * may have come since. */
static int do_step(struct job *job, const struct dns_step *step, uint32_t source,
		   const struct dns_records *records, bool search)
{
	struct spelled spelled;

	if (step->kind != DNS_ADD && !search && !dns_records_find(records, &step->name))
		return 0;
	if (spell_step(step, source, &spelled) < 0)
		return 0;
	if (step->kind == DNS_ADD)
		return add_step(job, &spelled);
	return remove_records(job, is_spelled, &spelled);
}

int records_update(struct job *job, const struct dns_update *update, uint32_t source,
		   const struct dns_records *records, enum dns_code *ret_code)
{
	enum dns_code code = dns_update_check(update, records);
	/* From the start, where not all of them could be loaded. */
	bool search = dns_records_count(records) != json_array_size(all_records(job_document(job)));
	int r = 0;

	if (code == DNS_NOERROR)
		code = check_steps(job_document(job), update, source, records);
	for (size_t i = update->prerequisites; i < update->count && r == 0 && code == DNS_NOERROR;
	     i++) {
		r = do_step(job, &update->steps[i], source, records, search);
		search |= update->steps[i].kind == DNS_ADD;
	}
	if (r == 0)
		*ret_code = code;
	return r;
}
