/* One message from a device, and what becomes of it. */
#include <string.h>

#include "dns/update.h"
#include "resolver/resolver_internal.h"

struct resolver_request {
	struct client client;
};

uint64_t now_ms(const struct resolver *resolver)
{
	return uv_now(resolver->options.loop);
}

struct client client_ref(const struct client *client)
{
	(void)proxy_ref(client->proxy);
	if (client->tcp)
		(void)tcp_connection_ref(client->tcp);
	return *client;
}

/* The connection may read on now, which may serve more: it goes last. */
void client_unref(struct client *client)
{
	struct tcp_connection *tcp = client->tcp;

	proxy_unref(client->proxy);
	if (tcp)
		tcp_connection_unref(tcp);
}

void client_send(const struct client *client, const uint8_t *message, size_t size)
{
	if (client->tcp)
		tcp_connection_send(client->tcp, message, size);
	else if (client->proxy->udp[client->from.address.family == AF_INET6])
		udp_server_send(client->proxy->udp[client->from.address.family == AF_INET6],
				&client->from, message, size);
}

const struct resolver_servers *servers_for(const struct client *client, uint32_t *ret_view)
{
	const struct resolver_subnet *subnet = &client->proxy->subnet;
	bool own = subnet->own && client->address != subnet->device;

	*ret_view = own ? subnet->address : 0;
	return own ? &subnet->servers : &client->proxy->resolver->machine;
}

/* An answer of what is held here, or one that says that it does not fit. */
static size_t write_held(const struct dns_chain *chain, const struct client *client,
			 const struct dns_query *query, const uint8_t *query_bytes, uint8_t *to,
			 size_t capacity)
{
	size_t max = client_max(client, query);
	int size = dns_chain_write(chain, query, query_bytes, to, capacity < max ? capacity : max);

	if (size < 0)
		return dns_write_empty(query, query_bytes, DNS_NOERROR, true, to);
	return (size_t)size;
}

size_t complete_answer(const struct client *client, const struct dns_query *query,
		       const uint8_t *query_bytes, const uint8_t *response, size_t size,
		       uint8_t *to, size_t capacity)
{
	struct resolver *resolver = client->proxy->resolver;
	size_t max = client_max(client, query);
	struct dns_chain chain;
	int written;

	if (!dns_records_look_up(resolver->records, query, &chain)) {
		if (size > capacity)
			return dns_write_empty(query, query_bytes, DNS_NOERROR, true, to);
		memmove(to, response, size);
		return dns_fit(to, size, query, query_bytes, max);
	}
	if (chain.end) /* it came meanwhile */
		return write_held(&chain, client, query, query_bytes, to, capacity);
	written = dns_chain_complete(&chain, query, query_bytes, response, size, to,
				     capacity < max ? capacity : max);
	if (written == -ENOBUFS)
		return dns_write_empty(query, query_bytes, DNS_NOERROR, true, to);
	if (written < 0)
		return dns_write_empty(query, query_bytes, DNS_SERVFAIL, false, to);
	return (size_t)written;
}

static size_t capacity_of(const struct client *client)
{
	return client->tcp ? DNS_MESSAGE_MAX : SERVE_ANSWER_MAX;
}

/* Of a name elsewhere that a CNAME here leads to. */
static size_t serve_target(const struct client *client, const struct dns_query *query,
			   const uint8_t *message, const struct dns_name *target, uint32_t view,
			   uint8_t *to)
{
	static const uint8_t no_random[DNS_ASK_RANDOM];
	struct resolver *resolver = client->proxy->resolver;
	uint8_t response[DNS_CACHE_ANSWER_MAX];
	struct dns_exchange exchange;
	size_t size;

	dns_exchange_init(&exchange, query, target);
	dns_exchange_ask(&exchange, no_random);
	size = dns_cache_get(resolver->cache, view, &exchange.query, exchange.asked,
			     now_ms(resolver) / 1000, response);
	return size > 0 ? complete_answer(client, query, message, response, size, to,
					  capacity_of(client))
			: 0;
}

/* Discovery of resolvers that are reached in another way (RFC 9462 section 6.4): what an upstream server says
 * of itself would lead devices past the names that are held here. */
static bool is_discovery(const struct dns_name *name)
{
	static const struct dns_name zone = { .bytes = "\x08resolver\x04"
						       "arpa",
					      .size = 15 };
	struct dns_name end = { .size = zone.size };

	if (name->size < zone.size)
		return false;
	memcpy(end.bytes, name->bytes + name->size - zone.size, zone.size);
	return dns_name_equal(&end, &zone);
}

static size_t serve_query(const struct client *client, const struct dns_query *query,
			  const uint8_t *message, uint8_t *to)
{
	struct resolver *resolver = client->proxy->resolver;
	const struct dns_name *target = &query->name;
	struct dns_chain chain;
	uint32_t view;
	size_t size;

	(void)servers_for(client, &view);
	if (dns_records_look_up(resolver->records, query, &chain)) {
		if (chain.end)
			return write_held(&chain, client, query, message, to, capacity_of(client));
		target = &chain.elsewhere;
		size = serve_target(client, query, message, target, view, to);
	} else {
		size = dns_cache_get(resolver->cache, view, query, message, now_ms(resolver) / 1000,
				     to);
		if (size > 0)
			size = dns_fit(to, size, query, message, client_max(client, query));
	}
	if (size > 0)
		return size;
	if (is_discovery(target))
		return dns_write_empty(query, message, DNS_NOERROR, false, to);
	if (!device_limits_take(resolver->limits, client->address, LIMITED_QUESTION, 1,
				now_ms(resolver)))
		return dns_write_empty(query, message, DNS_REFUSED, false, to);
	if (upstream_ask(resolver->upstream, client, query, message, target) < 0)
		return dns_write_empty(query, message, DNS_SERVFAIL, false, to);
	return 0;
}

/* The answer to what is no query: an error, with the header alone. */
static size_t refuse(const struct dns_query *query, const uint8_t *message, enum dns_code code,
		     uint8_t *to)
{
	struct dns_query bare = *query;

	bare.name.size = 0;
	bare.question_end = DNS_HEADER_SIZE;
	bare.edns = false;
	return dns_write_empty(&bare, message, code, false, to);
}

/* What an update counts as: one, and one more for each UPDATE_STEPS records that it has beyond the first few, since
 * each may be looked for among all records. */
#define UPDATE_STEPS 4
static uint32_t weight_of(const uint8_t *message)
{
	uint32_t steps =
		((uint32_t)message[6] << 8 | message[7]) + ((uint32_t)message[8] << 8 | message[9]);

	return 1 + (steps < DNS_UPDATE_STEPS_MAX ? steps : DNS_UPDATE_STEPS_MAX) / UPDATE_STEPS;
}

static size_t serve_update(const struct client *client, const struct dns_query *query,
			   const uint8_t *message, size_t size, uint8_t *to)
{
	struct resolver *resolver = client->proxy->resolver;
	struct resolver_request *request;

	if (resolver->update_count == RESOLVER_UPDATES_MAX ||
	    !device_limits_take(resolver->limits, client->address, LIMITED_UPDATE,
				weight_of(message), now_ms(resolver)))
		return refuse(query, message, DNS_REFUSED, to);
	request = malloc(sizeof(*request));
	if (!request)
		return refuse(query, message, DNS_SERVFAIL, to);
	request->client = client_ref(client);
	resolver->update_count++;
	resolver->options.update(resolver->options.context, request, client->address, message,
				 size);
	return 0;
}

void resolver_answer(struct resolver_request *request, const uint8_t *message, size_t size)
{
	request->client.proxy->resolver->update_count--;
	if (size > 0 && !request->client.proxy->closed)
		client_send(&request->client, message, size);
	client_unref(&request->client);
	free(request);
}

static bool is_in_subnet(const struct client *client)
{
	const struct resolver_subnet *subnet = &client->proxy->subnet;

	return ((client->address ^ subnet->address) & ip_v4_mask(subnet->prefix)) == 0;
}

size_t serve(const struct client *client, const uint8_t *message, size_t size, uint8_t *to)
{
	struct dns_query query;

	if (dns_query_parse(message, size, &query) < 0)
		return 0;
	if (!is_in_subnet(client))
		return refuse(&query, message, DNS_REFUSED, to);
	if (query.opcode == DNS_UPDATE)
		return serve_update(client, &query, message, size, to);
	if (query.refusal != DNS_NOERROR)
		return dns_write_empty(&query, message, query.refusal, false, to);
	return serve_query(client, &query, message, to);
}
