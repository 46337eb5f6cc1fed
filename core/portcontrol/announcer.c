#include "portcontrol/announcer.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "document/document.h"
#include "document/wan.h"
#include "igd/ssdp.h"
#include "pcp/nat_pmp.h"
#include "pcp/pcp.h"
#include "portcontrol/igd_service.h"
#include "tunnel/port_mapper.h"

#define MS_PER_S 1000
#define IPV6_BIT (1U << LEASE_VIAS) /* PCP over IPv6 */

/* A device that has ports open. */
struct target {
	uint32_t device;
	unsigned vias; /* bit N: by enum lease_via N; IPV6_BIT */
};

struct targets {
	struct target *items;
	size_t count, capacity;
};

struct announcer {
	struct tunnel *tunnel;
	announcer_send send;
	void *context;
	uv_timer_t timer;
	unsigned round; /* how many of the series have begun */
	uint64_t began_ms; /* the last one; 0: none yet */
	struct targets targets; /* of this round */
	size_t at; /* the next of them */
	bool stopped;
};

static uint64_t now_ms(void)
{
	return clock_monotonic_ns() / NS_PER_MS;
}

static const json_t *document_of(const struct announcer *announcer)
{
	return tunnel_document(announcer->tunnel);
}

/* Who is told. */

static int append(struct targets *targets, uint32_t device, unsigned vias)
{
	if (targets->count == targets->capacity) {
		size_t capacity = targets->capacity ? 2 * targets->capacity : 64;
		struct target *items =
			reallocarray(targets->items, capacity, sizeof(*targets->items));

		if (!items)
			return -ENOMEM;
		targets->items = items;
		targets->capacity = capacity;
	}
	targets->items[targets->count++] = (struct target){ device, vias };
	return 0;
}

static unsigned via_of(const json_t *lease)
{
	const char *name = json_string_value(json_object_get(lease, "via"));

	for (unsigned i = 0; name && i < LEASE_VIAS; i++)
		if (strcmp(name, lease_via_names[i]) == 0)
			return 1U << i;
	return 0;
}

/* @now: of the round. An entry that nobody asked for, or whose time is over, is nobody's. */
static int note_entry(const json_t *document, const char *key, const json_t *entry,
		      const struct lease_clock *now, struct targets *to)
{
	const json_t *lease = json_object_get(entry, "lease");
	struct document_forward forward;
	struct document_forward6 forward6;
	struct document_subnet subnet;
	uint32_t device;

	if (!json_is_true(json_object_get(entry, "auto")) || !json_is_object(lease) ||
	    lease_left(lease, now) == 0)
		return 0;
	if (!document_is_forward6(key))
		return document_route(key, entry, &forward)
			       ? append(to, forward.target, via_of(lease))
			       : 0;
	return document_forward6(key, entry, &forward6) &&
			       document_device6(document, &forward6.target, &subnet, &device)
		       ? append(to, device, IPV6_BIT)
		       : 0;
}

static int compare(const void *a, const void *b)
{
	const struct target *x = a, *y = b;

	return x->device < y->device ? -1 : x->device > y->device;
}

/* Each device once, and only those that may open ports. */
static void merge(const json_t *document, struct targets *targets)
{
	size_t kept = 0;

	if (targets->count > 0)
		qsort(targets->items, targets->count, sizeof(*targets->items), compare);
	for (size_t i = 0; i < targets->count; i++) {
		struct target *last = kept > 0 ? &targets->items[kept - 1] : NULL;

		if (last && last->device == targets->items[i].device)
			last->vias |= targets->items[i].vias;
		else
			targets->items[kept++] = targets->items[i];
	}
	targets->count = kept;
	kept = 0;
	for (size_t i = 0; i < targets->count; i++)
		if (port_mapper_permits(document, targets->items[i].device))
			targets->items[kept++] = targets->items[i];
	targets->count = kept;
}

static int collect(const json_t *document, struct targets *to)
{
	static const char *const members[] = { "portForwards", DOCUMENT_FORWARDS6 };
	const json_t *entry, *route;
	const char *key, *name;
	struct lease_clock now;
	int r = 0;

	lease_clock_read(&now);
	to->count = 0;
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		json_object_foreach(json_object_get(document, members[i]), key, entry) {
			json_t *routes = json_object_get(entry, "routes");

			if (r == 0 && !routes)
				r = note_entry(document, key, entry, &now, to);
			json_object_foreach(routes, name, route)
				if (r == 0)
					r = note_entry(document, key, route, &now, to);
		}
	}
	if (r == 0)
		merge(document, to);
	return r;
}

/* What they are told. */

static void tell_pcp(const struct announcer *announcer, const struct pcp_peer *to)
{
	const struct pcp_request request = { .opcode = PCP_ANNOUNCE };
	const struct pcp_response response = { .epoch_s = port_mapper_epoch(
						       tunnel_port_mapper(announcer->tunnel)) };
	uint8_t message[PCP_MESSAGE_MAX];
	ssize_t size = pcp_response_write(&request, &response, message);

	if (size > 0)
		announcer->send(announcer->context, ANNOUNCER_PCP, to, message, (size_t)size);
}

/* Without a public address there is nothing to say. */
static void tell_nat_pmp(const struct announcer *announcer, const struct pcp_peer *to)
{
	const struct nat_pmp_request request = { .opcode = NAT_PMP_ADDRESS };
	struct nat_pmp_response response = { .epoch_s = port_mapper_epoch(
						     tunnel_port_mapper(announcer->tunnel)) };
	uint8_t message[NAT_PMP_RESPONSE_MAX];
	size_t size;

	if (!wan_of(document_of(announcer), ip_to_v4(&to->client.address), &response.address))
		return;
	size = nat_pmp_response_write(&request, &response, message);
	announcer->send(announcer->context, ANNOUNCER_PCP, to, message, size);
}

static void tell_upnp(const struct announcer *announcer, const struct pcp_peer *peer,
		      enum ssdp_event event)
{
	struct pcp_peer to = *peer;
	char message[SSDP_RESPONSE_MAX], uuid[IGD_UUID_SIZE];

	to.client.port = SSDP_PORT;
	igd_service_uuid(announcer->tunnel, uuid);
	for (unsigned part = 0; part < SSDP_PARTS; part++) {
		size_t size = ssdp_notify_write(event, part, to.server, uuid, message);

		announcer->send(announcer->context, ANNOUNCER_SSDP, &to, message, size);
	}
}

static void tell_pcp6(const struct announcer *announcer, const struct document_subnet *subnet,
		      uint32_t device)
{
	struct pcp_peer to = { .client.port = PCP_CLIENT_PORT };
	struct ip_prefix network;

	if (!document_ipv6(subnet, &network))
		return;
	to.client.address = document_ipv6_of(subnet, &network, device);
	to.server6 = document_ipv6_of(subnet, &network, subnet->server);
	tell_pcp(announcer, &to);
}

/* @vias: of those that the target has, these. */
static void tell(const struct announcer *announcer, const struct target *target, unsigned vias)
{
	struct pcp_peer to = { .client = { .address = ip_from_v4(target->device),
					   .port = PCP_CLIENT_PORT } };
	struct document_subnet subnet;

	/* It may be gone since the round began. */
	if (!document_subnet_of(document_of(announcer), target->device, &subnet) ||
	    !document_device(&subnet, target->device))
		return;
	to.server = subnet.server;
	vias &= target->vias;
	if (vias & 1U << LEASE_PCP)
		tell_pcp(announcer, &to);
	if (vias & 1U << LEASE_NAT_PMP)
		tell_nat_pmp(announcer, &to);
	if (vias & 1U << LEASE_UPNP)
		tell_upnp(announcer, &to, SSDP_ALIVE);
	if (vias & IPV6_BIT)
		tell_pcp6(announcer, &subnet, target->device);
}

/* When. */

static unsigned vias_of_round(unsigned round)
{
	const unsigned all = IPV6_BIT | (IPV6_BIT - 1), upnp = 1U << LEASE_UPNP;

	if (round > ANNOUNCER_ROUNDS)
		return upnp;
	return round > ANNOUNCER_UPNP_ROUNDS ? all & ~upnp : all;
}

/* How long after the beginning of a round the next one is. */
static uint64_t pause_after(unsigned round)
{
	if (round >= ANNOUNCER_ROUNDS)
		return SSDP_MAX_AGE_S * MS_PER_S / 2;
	return (uint64_t)ANNOUNCER_FIRST_MS << (round - 1);
}

static void begin_round(struct announcer *announcer)
{
	announcer->began_ms = now_ms();
	announcer->at = 0;
	if (announcer->round <= ANNOUNCER_ROUNDS)
		announcer->round++;
	if (collect(document_of(announcer), &announcer->targets) == 0)
		return;
	log_warning("devices are not told that they have to ask again: out of memory");
	announcer->targets.count = 0;
}

static void on_timer(uv_timer_t *timer)
{
	struct announcer *announcer = container_of(timer, struct announcer, timer);
	const struct targets *targets = &announcer->targets;
	uint64_t next_ms, spent_ms;

	if (announcer->at == targets->count)
		begin_round(announcer);
	for (size_t i = 0; i < ANNOUNCER_BURST && announcer->at < targets->count; i++)
		tell(announcer, &targets->items[announcer->at++], vias_of_round(announcer->round));
	if (announcer->at < targets->count) {
		(void)uv_timer_start(timer, on_timer, ANNOUNCER_BURST_MS, 0);
		return;
	}
	if (targets->count == 0 && announcer->round < ANNOUNCER_ROUNDS)
		announcer->round = ANNOUNCER_ROUNDS; /* nobody has anything to lose */
	next_ms = pause_after(announcer->round);
	spent_ms = now_ms() - announcer->began_ms;
	(void)uv_timer_start(timer, on_timer, next_ms > spent_ms ? next_ms - spent_ms : 1, 0);
}

void announcer_begin(struct announcer *announcer)
{
	uint64_t earliest_ms = announcer->began_ms + ANNOUNCER_FIRST_MS, now = now_ms();

	if (announcer->stopped)
		return;
	announcer->round = 0;
	announcer->at = announcer->targets.count;
	(void)uv_timer_start(&announcer->timer, on_timer,
			     announcer->began_ms > 0 && earliest_ms > now ? earliest_ms - now : 0,
			     0);
}

/* Life. */

static void on_epoch(void *context)
{
	announcer_begin(context);
}

int announcer_new(struct tunnel *tunnel, announcer_send send, void *context, struct announcer **ret)
{
	struct announcer *announcer = calloc(1, sizeof(*announcer));

	if (!announcer)
		return -ENOMEM;
	*announcer = (struct announcer){ .tunnel = tunnel, .send = send, .context = context };
	(void)uv_timer_init(tunnel_loop(tunnel), &announcer->timer);
	uv_unref((uv_handle_t *)&announcer->timer);
	port_mapper_on_epoch(tunnel_port_mapper(tunnel), on_epoch, announcer);
	*ret = announcer;
	return 0;
}

void announcer_stop(struct announcer *announcer)
{
	struct targets *targets = &announcer->targets;

	announcer->stopped = true;
	(void)uv_timer_stop(&announcer->timer);
	if (collect(document_of(announcer), targets) < 0)
		return;
	for (size_t i = 0; i < targets->count && i < ANNOUNCER_BYE_MAX; i++) {
		struct pcp_peer to = { .client.address = ip_from_v4(targets->items[i].device) };
		struct document_subnet subnet;

		if (!(targets->items[i].vias & 1U << LEASE_UPNP) ||
		    !document_subnet_of(document_of(announcer), targets->items[i].device, &subnet))
			continue;
		to.server = subnet.server;
		tell_upnp(announcer, &to, SSDP_BYEBYE);
	}
}

static void on_closed(uv_handle_t *handle)
{
	free(container_of(handle, struct announcer, timer));
}

struct announcer *announcer_free(struct announcer *announcer)
{
	if (!announcer)
		return NULL;
	port_mapper_on_epoch(tunnel_port_mapper(announcer->tunnel), NULL, NULL);
	free(announcer->targets.items);
	uv_close((uv_handle_t *)&announcer->timer, on_closed);
	return NULL;
}
