#include "network/traffic.h"

#include <errno.h>
#include <string.h>

#include "network/ruleset.h"

#define READ_TRIES 4

struct reading {
	struct traffic *traffic;
	unsigned direction;
};

void traffic_done(struct traffic *traffic)
{
	free(traffic->ports);
	*traffic = (struct traffic){ 0 };
}

static int compare_ports(const void *a, const void *b)
{
	return memcmp(((const struct traffic_port *)a)->key, ((const struct traffic_port *)b)->key,
		      TRAFFIC_KEY_SIZE);
}

static int append(struct traffic *traffic, const struct traffic_port *port)
{
	size_t capacity = traffic->capacity ? traffic->capacity * 2 : 64;
	struct traffic_port *ports;

	if (traffic->count == traffic->capacity) {
		ports = reallocarray(traffic->ports, capacity, sizeof(*ports));
		if (!ports)
			return -ENOMEM;
		traffic->ports = ports;
		traffic->capacity = capacity;
	}
	traffic->ports[traffic->count++] = *port;
	return 0;
}

static int visit_element(const struct nft_element *element, void *context)
{
	struct reading *reading = context;
	struct traffic_port port = { 0 };

	/* The port is padded to 4 bytes. */
	if (element->packets == 0 ||
	    (element->key_size != 4 + 4 && element->key_size != NET_ADDRESS6_SIZE + 4))
		return 0;
	memcpy(port.key, element->key, element->key_size - 2);
	port.packets[reading->direction] = element->packets;
	port.bytes[reading->direction] = element->bytes;
	return append(reading->traffic, &port);
}

static int read_direction(struct netlink *nl, const char *set, unsigned direction,
			  struct traffic *traffic)
{
	struct reading reading = { .traffic = traffic, .direction = direction };
	size_t count = traffic->count;
	int r = -EINTR;

	for (int i = 0; i < READ_TRIES && r == -EINTR; i++) {
		traffic->count = count;
		r = nft_elements_each(nl, RULESET_TABLE, set, visit_element, &reading);
	}
	return r;
}

/* Sorts, and makes one of the two directions of a port. */
static void join_directions(struct traffic *traffic)
{
	size_t kept = 0;

	if (traffic->count > 0)
		qsort(traffic->ports, traffic->count, sizeof(*traffic->ports), compare_ports);
	for (size_t i = 0; i < traffic->count; i++) {
		struct traffic_port *last = kept ? &traffic->ports[kept - 1] : NULL;

		if (!last || compare_ports(last, &traffic->ports[i]) != 0) {
			traffic->ports[kept++] = traffic->ports[i];
			continue;
		}
		for (unsigned d = TRAFFIC_ENTERED; d <= TRAFFIC_RETURNED; d++) {
			last->packets[d] += traffic->ports[i].packets[d];
			last->bytes[d] += traffic->ports[i].bytes[d];
		}
	}
	traffic->count = kept;
}

/* Without the rules for IPv6 there are no sets of it. */
static int read_ipv6(struct netlink *nl, struct traffic *traffic)
{
	int r = read_direction(nl, RULESET_ENTERED6, TRAFFIC_ENTERED, traffic);

	if (r == 0)
		r = read_direction(nl, RULESET_RETURNED6, TRAFFIC_RETURNED, traffic);
	return r == -ENOENT ? 0 : r;
}

int traffic_read(struct netlink *nl, struct traffic *ret)
{
	CLEANUP(traffic_done) struct traffic traffic = { 0 };
	int r = read_direction(nl, RULESET_ENTERED, TRAFFIC_ENTERED, &traffic);

	if (r == 0)
		r = read_direction(nl, RULESET_RETURNED, TRAFFIC_RETURNED, &traffic);
	if (r == 0)
		r = read_ipv6(nl, &traffic);
	if (r < 0)
		return r;
	join_directions(&traffic);
	traffic_done(ret);
	*ret = traffic;
	traffic = (struct traffic){ 0 };
	return 0;
}

const struct traffic_port *traffic_find(const struct traffic *traffic,
					const uint8_t key[TRAFFIC_KEY_SIZE])
{
	struct traffic_port like;

	if (!traffic || traffic->count == 0)
		return NULL;
	memcpy(like.key, key, TRAFFIC_KEY_SIZE);
	return bsearch(&like, traffic->ports, traffic->count, sizeof(like), compare_ports);
}

/* The first port that is not before @key. */
static size_t lower_bound(const struct traffic *traffic, const uint8_t key[TRAFFIC_KEY_SIZE])
{
	size_t low = 0, high = traffic->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (memcmp(traffic->ports[middle].key, key, TRAFFIC_KEY_SIZE) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* A forward's ports follow each other. Those without traffic are not there. */
static struct netd_forward_status sum(const struct traffic *traffic, const struct net_item *item)
{
	bool v4 = item->kind == NET_FORWARD;
	size_t size = v4 ? 4 : NET_ADDRESS6_SIZE;
	struct netd_forward_status status = {
		.external.family = v4 ? AF_INET : AF_INET6,
		.external_port = v4 ? item->forward.external_port : item->forward6.external_port,
	};
	struct fact first =
		v4 ? fact_of_published(item->forward.external, status.external_port)
		   : fact_of_ports6(FACT_PUBLISHED6, item->forward6.external, status.external_port);
	uint32_t end =
		(uint32_t)status.external_port + (v4 ? item->forward.count : item->forward6.count);

	memcpy(status.external.bytes, first.key, size);
	for (size_t i = lower_bound(traffic, first.key); i < traffic->count; i++) {
		const struct traffic_port *port = &traffic->ports[i];

		if (memcmp(port->key, first.key, size) != 0 || fact_port(port->key + size) >= end)
			break;
		status.rx_bytes += port->bytes[TRAFFIC_RETURNED];
		status.tx_bytes += port->bytes[TRAFFIC_ENTERED];
	}
	return status;
}

int traffic_of_forwards(const struct traffic *traffic, const struct net_set *items,
			struct netd_forward_status **ret, size_t *ret_count)
{
	struct netd_forward_status *rows;
	size_t count = 0;

	/* No more forwards than ports have any. */
	rows = calloc(traffic->count + 1, sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	for (size_t i = 0; i < items->count && traffic->count > 0; i++) {
		struct netd_forward_status row;

		if (items->items[i].kind != NET_FORWARD && items->items[i].kind != NET_FORWARD6)
			continue;
		row = sum(traffic, &items->items[i]);
		if (row.rx_bytes + row.tx_bytes > 0 && count < traffic->count)
			rows[count++] = row;
	}
	*ret = rows;
	*ret_count = count;
	return 0;
}
