#include "portcontrol/pcp_service.h"

#include "base/clock.h"
#include "base/list.h"
#include "document/document.h"
#include "document/wan.h"
#include "pcp/nat_pmp.h"
#include "pcp/pcp.h"
#include "portcontrol/rate_limiter.h"
#include "tunnel/port_mapper.h"

struct pcp_service {
	struct tunnel *tunnel;
	pcp_service_send send;
	void *context;
	struct rate_limiter *limiter;
	struct list pending;
};

/* A mapping that was asked for and is not durable yet. */
struct pending {
	struct list node;
	struct pcp_service *service;
	struct pcp_peer peer;
	union {
		struct pcp_request pcp;
		struct nat_pmp_request elder;
	} request;
};

static const enum pcp_result pcp_results[] = {
	[MAPPING_DONE] = PCP_SUCCESS,
	[MAPPING_NOT_AUTHORIZED] = PCP_NOT_AUTHORIZED,
	[MAPPING_NO_ADDRESS] = PCP_CANNOT_PROVIDE_EXTERNAL,
	[MAPPING_TAKEN] = PCP_NO_RESOURCES,
	[MAPPING_QUOTA] = PCP_USER_EX_QUOTA,
	[MAPPING_NOT_FOUND] = PCP_SUCCESS, /* it was to be removed */
	[MAPPING_UNBOUND] = PCP_NO_RESOURCES,
	[MAPPING_FAILED] = PCP_NO_RESOURCES,
};

static const enum nat_pmp_result nat_pmp_results[] = {
	[MAPPING_DONE] = NAT_PMP_SUCCESS,
	[MAPPING_NOT_AUTHORIZED] = NAT_PMP_NOT_AUTHORIZED,
	[MAPPING_NO_ADDRESS] = NAT_PMP_NETWORK_FAILURE,
	[MAPPING_TAKEN] = NAT_PMP_NO_RESOURCES,
	[MAPPING_QUOTA] = NAT_PMP_NO_RESOURCES,
	[MAPPING_NOT_FOUND] = NAT_PMP_SUCCESS,
	[MAPPING_UNBOUND] = NAT_PMP_NO_RESOURCES,
	[MAPPING_FAILED] = NAT_PMP_NO_RESOURCES,
};

static const json_t *document_of(const struct pcp_service *service)
{
	return tunnel_document(service->tunnel);
}

static uint32_t epoch_of(const struct pcp_service *service)
{
	return port_mapper_epoch(tunnel_port_mapper(service->tunnel));
}

static bool is_ipv6(const struct pcp_peer *peer)
{
	return peer->client.address.family == AF_INET6;
}

/* By its IPv4 address, whichever it speaks from; 0: it is none. */
static uint32_t device_of(const struct pcp_service *service, const struct pcp_peer *peer)
{
	struct document_subnet subnet;
	uint32_t device;

	if (!is_ipv6(peer))
		return ip_to_v4(&peer->client.address);
	return document_device6(document_of(service), &peer->client.address, &subnet, &device)
		       ? device
		       : 0;
}

static void done_with(struct pending *pending)
{
	list_remove(&pending->node);
	free(pending);
}

/* Hands a mapping over. What cannot wait is not answered: the device asks again. */
static void submit(struct pcp_service *service, const struct mapping_request *mapping,
		   mapping_done done, const struct pending *as)
{
	struct pending *pending = malloc(sizeof(*pending));

	if (!pending)
		return;
	*pending = *as;
	list_append(&service->pending, &pending->node);
	if (port_mapper_submit(tunnel_port_mapper(service->tunnel), mapping, done, pending) < 0)
		done_with(pending);
}

/* PCP. */

static void answer_pcp(struct pcp_service *service, const struct pcp_peer *peer,
		       const struct pcp_request *request, struct pcp_response *response)
{
	uint8_t message[PCP_MESSAGE_MAX];
	ssize_t size;

	response->epoch_s = epoch_of(service);
	size = pcp_response_write(request, response, message);
	if (size > 0)
		service->send(service->context, peer, message, (size_t)size);
}

static void refuse_pcp(struct pcp_service *service, const struct pcp_peer *peer,
		       const struct pcp_request *request, enum pcp_result result)
{
	struct pcp_response response = { .result = result };

	answer_pcp(service, peer, request, &response);
}

static uint16_t ports_granted(const struct pcp_request *request)
{
	if (!request->has_port_set)
		return 1;
	return request->port_set_size < PCP_PORT_SET_MAX ? request->port_set_size
							 : PCP_PORT_SET_MAX;
}

static void on_pcp_mapped(void *context, const struct mapping_request *mapping,
			  const struct mapping_outcome *outcome)
{
	struct pending *pending = context;
	const struct pcp_request *request = &pending->request.pcp;
	struct pcp_response response = { .result = pcp_results[outcome->result] };

	if (outcome->result == MAPPING_TAKEN && request->hostname_count > 0)
		response.result = PCP_HOSTNAME_TAKEN;
	else if (outcome->result == MAPPING_TAKEN && request->prefer_failure)
		response.result = PCP_CANNOT_PROVIDE_EXTERNAL;
	if (outcome->result == MAPPING_UNBOUND)
		response.lifetime_s = PCP_SHORT_REFUSAL_S;
	if (mapping->action == MAPPING_ADD && outcome->result == MAPPING_DONE) {
		response.lifetime_s = mapping->lifetime_s;
		response.external = mapping->ipv6 ? outcome->external6
						  : ip_from_v4(outcome->external);
		response.external_port = outcome->external_port;
	}
	if (request->has_port_set && request->hostname_count == 0)
		response.port_set_size = mapping->count;
	answer_pcp(pending->service, &pending->peer, request, &response);
	done_with(pending);
}

static void map_pcp(struct pcp_service *service, const struct pcp_peer *peer,
		    const struct pcp_request *request)
{
	const struct pending pending = { .service = service,
					 .peer = *peer,
					 .request.pcp = *request };
	struct mapping_request mapping = {
		.action = request->lifetime_s == 0 ? MAPPING_REMOVE_INTERNAL : MAPPING_ADD,
		.via = LEASE_PCP,
		.device = device_of(service, peer),
		.ipv6 = is_ipv6(peer),
		.protocol = request->protocol,
		.internal_port = request->internal_port,
		.external_port = request->external_port,
		.exact = request->prefer_failure,
		.count = ports_granted(request),
		.lifetime_s = pcp_lifetime(request->lifetime_s),
		.has_nonce = true,
	};

	memcpy(mapping.nonce, request->nonce, sizeof(mapping.nonce));
	mapping.name_count = request->hostname_count;
	memcpy(mapping.names, request->hostnames, sizeof(mapping.names));
	submit(service, &mapping, on_pcp_mapped, &pending);
}

static void on_pcp(struct pcp_service *service, const struct pcp_peer *peer, const uint8_t *data,
		   size_t size)
{
	struct pcp_request request;
	struct pcp_response announced = { .capability = true };

	if (pcp_request_parse(data, size, &request) < 0)
		return;
	if (request.refusal == PCP_SUCCESS && !pcp_client_matches(&request, &peer->client.address))
		request.refusal = PCP_ADDRESS_MISMATCH;
	/* To whom it is forbidden everything is, whatever else is wrong with it. */
	if (request.whole_map &&
	    !port_mapper_permits(document_of(service), device_of(service, peer)))
		request.refusal = PCP_NOT_AUTHORIZED;
	if (request.refusal != PCP_SUCCESS)
		refuse_pcp(service, peer, &request, request.refusal);
	else if (request.opcode == PCP_ANNOUNCE)
		answer_pcp(service, peer, &request, &announced);
	else
		map_pcp(service, peer, &request);
}

/* NAT-PMP. */

static void answer_elder(struct pcp_service *service, const struct pcp_peer *peer,
			 const struct nat_pmp_request *request, struct nat_pmp_response *response)
{
	uint8_t message[NAT_PMP_RESPONSE_MAX];
	size_t size;

	response->epoch_s = epoch_of(service);
	size = nat_pmp_response_write(request, response, message);
	service->send(service->context, peer, message, size);
}

static void on_elder_mapped(void *context, const struct mapping_request *mapping,
			    const struct mapping_outcome *outcome)
{
	struct pending *pending = context;
	struct nat_pmp_response response = { .result = nat_pmp_results[outcome->result] };

	if (mapping->action == MAPPING_ADD) {
		response.external_port = outcome->external_port;
		response.lifetime_s = mapping->lifetime_s;
	}
	answer_elder(pending->service, &pending->peer, &pending->request.elder, &response);
	done_with(pending);
}

static void map_elder(struct pcp_service *service, const struct pcp_peer *peer,
		      const struct nat_pmp_request *request)
{
	const struct pending pending = { .service = service,
					 .peer = *peer,
					 .request.elder = *request };
	const struct mapping_request mapping = {
		.action = request->lifetime_s == 0 ? MAPPING_REMOVE_INTERNAL : MAPPING_ADD,
		.via = LEASE_NAT_PMP,
		.device = device_of(service, peer),
		.protocol = request->protocol,
		.internal_port = request->internal_port,
		.external_port = request->external_port,
		.count = 1,
		.any_port = true, /* RFC 6886 section 3.3: the wanted port is a suggestion */
		.lifetime_s = pcp_lifetime(request->lifetime_s),
	};

	submit(service, &mapping, on_elder_mapped, &pending);
}

static void on_elder(struct pcp_service *service, const struct pcp_peer *peer, const uint8_t *data,
		     size_t size)
{
	const json_t *document = document_of(service);
	struct nat_pmp_response response = { 0 };
	struct nat_pmp_request request;

	if (nat_pmp_request_parse(data, size, &request) < 0)
		return;
	if (request.refusal != NAT_PMP_SUCCESS) {
		response.result = request.refusal;
	} else if (!port_mapper_permits(document, device_of(service, peer))) {
		response.result = NAT_PMP_NOT_AUTHORIZED;
	} else if (request.opcode != NAT_PMP_ADDRESS) {
		map_elder(service, peer, &request);
		return;
	} else if (!wan_of(document, device_of(service, peer), &response.address)) {
		response.result = NAT_PMP_NETWORK_FAILURE;
	}
	answer_elder(service, peer, &request, &response);
}

/* Both. */

/* Whether it comes from a device to the server's address in the device's subnet. */
static bool is_device(const struct pcp_service *service, const struct pcp_peer *peer)
{
	struct document_subnet subnet;
	struct ip_prefix network;
	struct ip_address server;
	uint32_t device;

	if (!is_ipv6(peer))
		return peer->client.address.family == AF_INET &&
		       document_subnet_of(document_of(service), device_of(service, peer),
					  &subnet) &&
		       subnet.server == peer->server &&
		       document_device(&subnet, device_of(service, peer));
	if (!document_device6(document_of(service), &peer->client.address, &subnet, &device) ||
	    !document_ipv6(&subnet, &network))
		return false;
	server = document_ipv6_of(&subnet, &network, subnet.server);
	return ip_equal(&server, &peer->server6);
}

void pcp_service_datagram(struct pcp_service *service, const struct pcp_peer *peer,
			  const uint8_t *data, size_t size)
{
	if (!is_device(service, peer) ||
	    !rate_limiter_allows(service->limiter, device_of(service, peer), clock_monotonic_ns()))
		return;
	if (nat_pmp_is(data, size) && !is_ipv6(peer)) /* which knows nothing of IPv6 */
		on_elder(service, peer, data, size);
	else
		on_pcp(service, peer, data, size);
}

int pcp_service_new(struct tunnel *tunnel, pcp_service_send send, void *context,
		    struct pcp_service **ret)
{
	struct pcp_service *service = calloc(1, sizeof(*service));

	if (!service)
		return -ENOMEM;
	*service = (struct pcp_service){ .tunnel = tunnel, .send = send, .context = context };
	list_init(&service->pending);
	if (rate_limiter_new(PCP_SERVICE_PER_S, PCP_SERVICE_BURST, &service->limiter) < 0) {
		free(service);
		return -ENOMEM;
	}
	*ret = service;
	return 0;
}

struct pcp_service *pcp_service_free(struct pcp_service *service)
{
	if (!service)
		return NULL;
	list_foreach(node, &service->pending) {
		struct pending *pending = container_of(node, struct pending, node);

		port_mapper_forget(tunnel_port_mapper(service->tunnel), pending);
		done_with(pending);
	}
	(void)rate_limiter_free(service->limiter);
	free(service);
	return NULL;
}
