#include "tunnel/names.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "dns/tsig.h"
#include "resolver/resolver.h"
#include "tunnel/job.h"
#include "tunnel/records.h"
#include "tunnel/replays.h"

#define SET_BACK_S 60 /* by which the clock may be set back without that a signature counts twice */
#define ANSWER_MAX (DNS_HEADER_SIZE + DNS_NAME_MAX + 4 + 11 + DNS_TSIG_RECORD_MAX)

struct names {
	struct tunnel *tunnel;
	struct resolver *resolver;
	struct store_subscription *subnets;
	struct store_subscription *records;
	struct replays *replays;
	uint64_t started_s; /* since 1970: what was signed before may have been done by the last run */
	uint64_t started_monotonic_s;
};

/* An update on its way through the queue of jobs. */
struct change {
	struct names *names;
	struct resolver_request *request;
	struct replay *replay;
	uint32_t source;
	uint8_t key[DNS_TSIG_KEY_SIZE];
	uint8_t mac[DNS_TSIG_MAC_SIZE]; /* of the request */
	struct dns_update update;
	uint8_t zone[DNS_HEADER_SIZE + DNS_NAME_MAX + 4];
	enum dns_code code;
};

static uint64_t monotonic_s(void)
{
	return clock_monotonic_ns() / NS_PER_S;
}

static uint64_t realtime_s(void)
{
	return clock_realtime_ns() / NS_PER_S;
}

/* --- replays --- */

/* The first minutes of a run: nothing is known of the run before, which may have done it. */
static bool may_be_older(const struct names *names, const struct dns_tsig *tsig)
{
	return monotonic_s() - names->started_monotonic_s <= DNS_TSIG_FUDGE_S &&
	       tsig->signed_s <= names->started_s;
}

/* A signature counts until its time and what the clocks may be apart have passed. It was found in time.
 * Returns as replays_add(). */
static int remember(struct names *names, const struct dns_tsig *tsig, uint32_t source,
		    struct replay **ret)
{
	uint64_t now_s = monotonic_s(), counts_s = tsig->signed_s + DNS_TSIG_FUDGE_S - realtime_s();

	if (counts_s > 2 * DNS_TSIG_FUDGE_S) /* the clock was set meanwhile */
		counts_s = 2 * DNS_TSIG_FUDGE_S;
	return replays_add(names->replays, source, tsig->mac, now_s, now_s + counts_s + SET_BACK_S,
			   ret);
}

/* --- updates --- */

static void free_change(struct change *change)
{
	dns_update_done(&change->update);
	secret_wipe(change->key, sizeof(change->key));
	free(change);
}

/* Answers, signed unless @key is NULL, and releases the request. */
static void answer(struct resolver_request *request, const struct dns_query *query,
		   const uint8_t *message, enum dns_code code, const uint8_t *key,
		   const uint8_t *mac)
{
	uint8_t to[ANSWER_MAX];
	size_t size = dns_write_empty(query, message, code, false, to);

	if (key)
		size = dns_tsig_sign(to, size, key, mac, realtime_s());
	resolver_answer(request, to, size);
}

static void on_ended(struct job *job, bool done)
{
	struct change *change = job->data;

	replay_answered(change->replay);
	answer(change->request, &change->update.query, change->zone,
	       done ? change->code : DNS_SERVFAIL, change->key, change->mac);
	free_change(change);
}

/* The permission may have gone while this waited for its turn. */
static int change_records(struct job *job, const json_t *params, struct fault *fault)
{
	struct change *change = job->data;
	uint8_t psk[DNS_TSIG_KEY_SIZE];
	bool permitted = records_permitted(job_document(job), change->source, psk);

	secret_wipe(psk, sizeof(psk));
	if (permitted)
		return records_update(job, &change->update, change->source,
				      resolver_records(change->names->resolver), &change->code);
	change->code = DNS_REFUSED;
	return 0;
}

/* Whether the message is signed by the device that it comes from. Gives the key then. */
static bool authenticate(const struct names *names, uint32_t source, const uint8_t *message,
			 size_t size, struct dns_tsig *tsig, uint8_t key[DNS_TSIG_KEY_SIZE])
{
	const json_t *document = store_document(names->tunnel->store);
	uint8_t psk[DNS_TSIG_KEY_SIZE];
	bool good = false;

	if (dns_tsig_find(message, size, tsig) == 0 && tsig->known &&
	    records_permitted(document, source, psk)) {
		dns_tsig_key(psk, key);
		good = dns_tsig_verify(tsig, message, key, NULL);
	}
	secret_wipe(psk, sizeof(psk));
	if (!good)
		secret_wipe(key, DNS_TSIG_KEY_SIZE);
	return good;
}

/* Queues the change. Returns a code where it is refused, which is to be answered signed. */
static int queue(struct names *names, struct change *change, const struct dns_tsig *tsig)
{
	int r;

	if (!dns_tsig_in_time(tsig, realtime_s()) || may_be_older(names, tsig))
		return DNS_REFUSED;
	r = remember(names, tsig, change->source, &change->replay);
	if (r < 0)
		return r == -EALREADY ? r : DNS_REFUSED;
	r = tunnel_own_edit_with(names->tunnel, change_records, change, on_ended);
	if (r == 0)
		return 0;
	replay_forget(change->replay); /* it was not done: it may come again */
	return DNS_SERVFAIL;
}

static void take_signed(struct names *names, struct change *change, const struct dns_tsig *tsig)
{
	int r = queue(names, change, tsig);

	if (r == 0)
		return;
	if (r < 0) /* sent once more: there will be one answer */
		resolver_answer(change->request, NULL, 0);
	else
		answer(change->request, &change->update.query, change->zone, (enum dns_code)r,
		       change->key, change->mac);
	free_change(change);
}

static void on_update(void *context, struct resolver_request *request, uint32_t source,
		      const uint8_t *message, size_t size)
{
	struct names *names = context;
	struct change *change = calloc(1, sizeof(*change));
	struct dns_tsig tsig;
	int r;

	if (!change) {
		resolver_answer(request, NULL, 0);
		return;
	}
	*change = (struct change){ .names = names, .request = request, .source = source };
	r = dns_update_parse(message, size, &change->update);
	memcpy(change->zone, message, change->update.query.question_end);
	if (r != DNS_FORMERR && !authenticate(names, source, message, size, &tsig, change->key)) {
		answer(request, &change->update.query, change->zone, DNS_REFUSED, NULL, NULL);
	} else if (r != 0) {
		answer(request, &change->update.query, change->zone,
		       r < 0 ? DNS_SERVFAIL : (enum dns_code)r,
		       r == DNS_FORMERR ? NULL : change->key, tsig.mac);
	} else {
		memcpy(change->mac, tsig.mac, sizeof(change->mac));
		take_signed(names, change, &tsig);
		return;
	}
	free_change(change);
}

/* --- following the document --- */

static void read_servers(const json_t *dns, struct resolver_subnet *subnet)
{
	const char *type = json_string_value(json_object_get(dns, "type"));
	struct resolver_servers *servers = &subnet->servers;
	const json_t *text;
	size_t i;

	subnet->own = strcmp(type, "default") != 0;
	if (strcmp(type, "device") == 0 &&
	    ip_v4_parse(json_string_value(json_object_get(dns, "ip")), &subnet->device) == 0)
		servers->list[servers->count++] =
			(struct endpoint){ .address = ip_from_v4(subnet->device), .port = 53 };
	json_array_foreach(json_object_get(dns, "servers"), i, text)
		if (servers->count < RESOLVER_SERVERS_MAX &&
		    endpoint_parse(json_string_value(text), &servers->list[servers->count]) == 0)
			servers->count++;
}

static void on_subnets(void *context, uint64_t revision, const json_t *patch)
{
	struct names *names = context;
	const json_t *document = store_document(names->tunnel->store);
	json_t *all = json_object_get(json_object_get(document, "wg"), "subnets");
	cleanup_free struct resolver_subnet *subnets =
		calloc(json_object_size(all) + 1, sizeof(*subnets));
	struct document_subnet subnet;
	struct ip_prefix network;
	size_t count = 0;
	const char *key;
	const json_t *value;

	json_object_foreach(all, key, value) {
		if (!subnets || !document_subnet(document, key, &subnet))
			continue;
		subnets[count] = (struct resolver_subnet){ .address = subnet.server,
							   .prefix = subnet.prefix };
		if (document_ipv6(&subnet, &network))
			subnets[count].address6 =
				document_ipv6_of(&subnet, &network, subnet.server);
		read_servers(json_object_get(value, "dns"), &subnets[count++]);
	}
	if (!subnets || resolver_set_subnets(names->resolver, subnets, count) < 0)
		log_error_errno(-ENOMEM, "cannot serve DNS for every subnet");
}

static void on_records(void *context, uint64_t revision, const json_t *patch)
{
	struct names *names = context;
	int r = records_load(store_document(names->tunnel->store),
			     resolver_records(names->resolver));

	if (r < 0)
		log_error_errno(r, "cannot serve all DNS records");
	else if (r > 0)
		log_warning("%d DNS records of the document cannot be served: nobody could ask "
			    "for such a name, or its value is none",
			    r);
}

void names_follow_link(struct names *names)
{
	if (names)
		resolver_follow_link(names->resolver);
}

const char *names_problem(const struct names *names)
{
	return names ? resolver_problem(names->resolver) : NULL;
}

int names_new(struct tunnel *tunnel, const char *const *resolv_conf, struct names **ret)
{
	struct names *names = calloc(1, sizeof(*names));
	const struct resolver_options options = { .loop = tunnel->loop,
						  .netd = tunnel->netd,
						  .link = NET_LINK_NAME,
						  .resolv_conf = resolv_conf,
						  .update = on_update,
						  .context = names };
	int r;

	if (!names)
		return -ENOMEM;
	names->tunnel = tunnel;
	names->started_s = realtime_s();
	names->started_monotonic_s = monotonic_s();
	r = replays_new(&names->replays);
	if (r == 0)
		r = resolver_new(&options, &names->resolver);
	if (r == 0)
		r = store_subscribe(tunnel->store, "/wg/subnets", on_subnets, names,
				    &names->subnets);
	if (r == 0)
		r = store_subscribe(tunnel->store, "/dnsRecords", on_records, names,
				    &names->records);
	if (r < 0) {
		(void)names_free(names);
		return r;
	}
	on_records(names, 0, NULL);
	on_subnets(names, 0, NULL);
	*ret = names;
	return 0;
}

struct names *names_free(struct names *names)
{
	if (!names)
		return NULL;
	if (names->subnets)
		(void)store_unsubscribe(names->subnets);
	if (names->records)
		(void)store_unsubscribe(names->records);
	names->resolver = resolver_free(names->resolver);
	names->replays = replays_free(names->replays);
	free(names);
	return NULL;
}
