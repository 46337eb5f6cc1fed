#include "portcontrol/igd_service.h"

#include "base/clock.h"
#include "codec/base64.h"
#include "crypto/x25519.h"
#include "document/document.h"
#include "document/forward_index.h"
#include "document/wan.h"
#include "igd/description.h"
#include "igd/soap.h"
#include "igd/ssdp.h"
#include "portcontrol/rate_limiter.h"
#include "tunnel/port_mapper.h"

#define RESULTS_MAX 8
#define ANSWER_MAX 32768

struct igd_service {
	struct tunnel *tunnel;
	struct rate_limiter *limiter;
};

/* A call of an action while it is served. */
struct igd_call {
	struct igd_service *service;
	struct http_request *request; /* NULL: the client is gone */
	const struct action_row *row;
	uint32_t device;
	struct soap_call soap;
	struct soap_argument results[RESULTS_MAX];
	size_t result_count;
};

static const json_t *document_of(const struct igd_service *service)
{
	return tunnel_document(service->tunnel);
}

/* Answers. */

static void answer_text(struct http_request *request, unsigned status, struct text *body)
{
	static const struct http_field xml[] = {
		{ "content-type", "text/xml; charset=\"utf-8\"" },
		{ "ext", "" },
		{ "server", "StartOS UPnP/1.1" },
	};
	struct http_answer answer = { .status = text_error(body) < 0 ? 500 : status,
				      .fields = xml,
				      .field_count = ARRAY_SIZE(xml),
				      .body = text_string(body),
				      .body_size = body->size };

	http_request_answer(request, &answer);
}

static void answer_status(struct http_request *request, unsigned status)
{
	const struct http_answer answer = { .status = status };

	http_request_answer(request, &answer);
}

static void answer_fault(struct http_request *request, enum soap_error error)
{
	CLEANUP(text_done) struct text body = { .max = ANSWER_MAX };

	soap_write_fault(&body, error);
	answer_text(request, 500, &body);
}

/* Appends a result of the call. */
__attribute__((format(printf, 3, 4))) static void
add_result(struct igd_call *call, const char *name, const char *format, ...)
{
	struct soap_argument *result = &call->results[call->result_count++];
	va_list args;

	va_start(args, format);
	(void)snprintf(result->name, sizeof(result->name), "%s", name);
	(void)vsnprintf(result->value, sizeof(result->value), format, args);
	va_end(args);
}

/* Actions. Each returns 0 where the call has its results, an enum soap_error, or ACTION_WAITS where it
 * goes on once a change is durable. */

#define ACTION_WAITS (-1)

struct action_row {
	const char *path;
	const char *service;
	const char *name;
	int (*run)(struct igd_call *call);
};

static int run_connection_type(struct igd_call *call)
{
	add_result(call, "NewConnectionType", "IP_Routed");
	add_result(call, "NewPossibleConnectionTypes", "IP_Routed");
	return 0;
}

static int run_status(struct igd_call *call)
{
	uint32_t wan;
	bool connected = wan_of(document_of(call->service), call->device, &wan);

	add_result(call, "NewConnectionStatus", "%s", connected ? "Connected" : "Disconnected");
	add_result(call, "NewLastConnectionError", "ERROR_NONE");
	add_result(call, "NewUptime", "%u",
		   port_mapper_epoch(tunnel_port_mapper(call->service->tunnel)));
	return 0;
}

static int run_nat_status(struct igd_call *call)
{
	add_result(call, "NewRSIPAvailable", "0");
	add_result(call, "NewNATEnabled", "1");
	return 0;
}

static int run_address(struct igd_call *call)
{
	char text[IP_TEXT_MAX];
	uint32_t wan;

	if (!wan_of(document_of(call->service), call->device, &wan))
		return SOAP_ACTION_FAILED;
	add_result(call, "NewExternalIPAddress", "%s", ip_v4_format(wan, text));
	return 0;
}

/* What the tunnel's line can do is not known; a gigabit says that it is no bottleneck. */
static int run_link(struct igd_call *call)
{
	add_result(call, "NewWANAccessType", "Ethernet");
	add_result(call, "NewLayer1UpstreamMaxBitRate", "1000000000");
	add_result(call, "NewLayer1DownstreamMaxBitRate", "1000000000");
	add_result(call, "NewPhysicalLinkStatus", "Up");
	return 0;
}

/* Looking at forwards. */

/* One line of the table that a gateway shows: a port of a forward, for one protocol. */
struct mapping_line {
	const json_t *entry;
	uint16_t external_port;
	uint16_t internal_port;
	uint8_t protocol;
};

static const json_t *entry_of(const struct igd_call *call,
			      const struct forward_reference *reference)
{
	struct endpoint endpoint = { .address = ip_from_v4(reference->external),
				     .port = reference->external_port };
	char key[IP_TEXT_MAX];

	return json_object_get(json_object_get(document_of(call->service), "portForwards"),
			       endpoint_format(&endpoint, key));
}

/* A forward carries both protocols; an automatic one is listed for those that were asked for. */
static bool is_listed(const json_t *entry, uint8_t protocol)
{
	const json_t *lease = json_object_get(entry, "lease");
	struct lease_clock now;

	if (!json_is_object(lease))
		return true;
	lease_clock_read(&now);
	return lease_holds(lease, protocol, &now);
}

static void add_line(struct igd_call *call, const struct mapping_line *line)
{
	const char *label = json_string_value(json_object_get(line->entry, "label"));
	const json_t *lease = json_object_get(line->entry, "lease");
	bool enabled = json_is_true(json_object_get(line->entry, "enabled"));
	char address[IP_TEXT_MAX];
	struct lease_clock now;
	uint64_t left = 0;

	lease_clock_read(&now);
	if (json_is_object(lease))
		left = lease_protocol_left(lease, line->protocol, &now);
	add_result(call, "NewInternalPort", "%u", line->internal_port);
	add_result(call, "NewInternalClient", "%s", ip_v4_format(call->device, address));
	add_result(call, "NewEnabled", "%d", enabled);
	add_result(call, "NewPortMappingDescription", "%.200s", label ? label : "");
	add_result(call, "NewLeaseDuration", "%u", left == LEASE_ENDLESS ? 0 : (unsigned)left);
}

static const char *protocol_name(uint8_t protocol)
{
	return protocol == IPPROTO_UDP ? "UDP" : "TCP";
}

/* Goes through the lines of the device; the one with the number @index. */
static bool find_line(const struct igd_call *call, unsigned long index, struct mapping_line *ret)
{
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP };
	size_t count;
	const struct forward_reference *all =
		forward_index_of(tunnel_forward_index(call->service->tunnel), call->device, &count);

	for (size_t i = 0; i < count; i++) {
		const json_t *entry = entry_of(call, &all[i]);

		for (size_t p = 0; entry && p < ARRAY_SIZE(protocols); p++) {
			if (!is_listed(entry, protocols[p]))
				continue;
			if (index < all[i].count) {
				*ret = (struct mapping_line){
					.entry = entry,
					.external_port = (uint16_t)(all[i].external_port + index),
					.internal_port = (uint16_t)(all[i].target_port + index),
					.protocol = protocols[p],
				};
				return true;
			}
			index -= all[i].count;
		}
	}
	return false;
}

static int run_get_generic(struct igd_call *call)
{
	struct mapping_line line;
	unsigned long index;

	if (!soap_number(&call->soap, "NewPortMappingIndex", UINT32_MAX, &index))
		return SOAP_INVALID_ARGS;
	if (!find_line(call, index, &line))
		return SOAP_INDEX_INVALID;
	add_result(call, "NewRemoteHost", "%s", "");
	add_result(call, "NewExternalPort", "%u", line.external_port);
	add_result(call, "NewProtocol", "%s", protocol_name(line.protocol));
	add_line(call, &line);
	return 0;
}

/* Reads NewProtocol. Returns 0 for neither. */
static uint8_t protocol_of(const struct igd_call *call)
{
	const char *name = soap_argument(&call->soap, "NewProtocol");

	if (name && strcasecmp(name, "TCP") == 0)
		return IPPROTO_TCP;
	return name && strcasecmp(name, "UDP") == 0 ? IPPROTO_UDP : 0;
}

static int run_get_specific(struct igd_call *call)
{
	uint8_t protocol = protocol_of(call);
	unsigned long port;
	size_t count;
	const struct forward_reference *all =
		forward_index_of(tunnel_forward_index(call->service->tunnel), call->device, &count);

	if (!soap_number(&call->soap, "NewExternalPort", UINT16_MAX, &port) || protocol == 0)
		return SOAP_INVALID_ARGS;
	for (size_t i = 0; i < count; i++) {
		struct mapping_line line = { .entry = entry_of(call, &all[i]),
					     .external_port = (uint16_t)port,
					     .protocol = protocol };

		if (port < all[i].external_port ||
		    port >= (unsigned long)all[i].external_port + all[i].count || !line.entry ||
		    !is_listed(line.entry, protocol))
			continue;
		line.internal_port = (uint16_t)(all[i].target_port + port - all[i].external_port);
		add_line(call, &line);
		return 0;
	}
	return SOAP_NO_SUCH_ENTRY;
}

/* Changing forwards. */

static const int errors[] = {
	[MAPPING_DONE] = 0,
	[MAPPING_NOT_AUTHORIZED] = SOAP_NOT_AUTHORIZED,
	[MAPPING_NO_ADDRESS] = SOAP_ACTION_FAILED,
	[MAPPING_TAKEN] = SOAP_CONFLICT,
	[MAPPING_QUOTA] = SOAP_NO_PORT_MAPS,
	[MAPPING_NOT_FOUND] = SOAP_NO_SUCH_ENTRY,
	[MAPPING_UNBOUND] = SOAP_CONFLICT,
	[MAPPING_FAILED] = SOAP_ACTION_FAILED,
};

static void finish(struct igd_call *call, int error)
{
	CLEANUP(text_done) struct text body = { .max = ANSWER_MAX };
	struct http_request *request = call->request;

	if (request)
		http_request_set_data(request, NULL);
	if (request && error == 0) {
		soap_write_response(&body, call->row->service, call->row->name, call->results,
				    call->result_count);
		answer_text(request, 200, &body);
	} else if (request) {
		answer_fault(request, (enum soap_error)error);
	}
	free(call);
}

static void on_mapped(void *context, const struct mapping_request *mapping,
		      const struct mapping_outcome *outcome)
{
	struct igd_call *call = context;

	if (outcome->result == MAPPING_DONE && mapping->any_port)
		add_result(call, "NewReservedPort", "%u", outcome->external_port);
	finish(call, errors[outcome->result]);
}

static int submit(struct igd_call *call, const struct mapping_request *mapping)
{
	int r = port_mapper_submit(tunnel_port_mapper(call->service->tunnel), mapping, on_mapped,
				   call);

	return r == 0 ? ACTION_WAITS : SOAP_ACTION_FAILED;
}

/* A port that some may reach and others not is more than a forward can say; and one that is to be closed
 * from the start need not be opened. */
static int check_add(const struct igd_call *call)
{
	const char *host = soap_argument(&call->soap, "NewRemoteHost");
	const char *enabled = soap_argument(&call->soap, "NewEnabled");

	if (host && host[0] != '\0' && strcmp(host, "*") != 0 && strcmp(host, "0.0.0.0") != 0)
		return SOAP_ONLY_WILDCARD_HOST;
	return enabled && (strcmp(enabled, "0") == 0 || strcasecmp(enabled, "false") == 0)
		       ? SOAP_ACTION_FAILED
		       : 0;
}

static int add_mapping(struct igd_call *call, bool any_port)
{
	unsigned long external, internal, lease = 0;
	uint8_t protocol = protocol_of(call);
	int r = check_add(call);

	if (r != 0)
		return r;
	if (!soap_number(&call->soap, "NewExternalPort", UINT16_MAX, &external) ||
	    !soap_number(&call->soap, "NewInternalPort", UINT16_MAX, &internal) || protocol == 0 ||
	    internal == 0 || (external == 0 && !any_port))
		return SOAP_INVALID_ARGS;
	if (soap_argument(&call->soap, "NewLeaseDuration") &&
	    !soap_number(&call->soap, "NewLeaseDuration", UINT32_MAX, &lease))
		return SOAP_INVALID_ARGS;
	return submit(call,
		      &(struct mapping_request){
			      .action = MAPPING_ADD,
			      .via = LEASE_UPNP,
			      .device = call->device,
			      .protocol = protocol,
			      .internal_port = (uint16_t)internal,
			      .external_port = (uint16_t)external,
			      .count = 1,
			      .any_port = any_port,
			      .lifetime_s =
				      (uint32_t)(lease < IGD_LEASE_MAX_S ? lease : IGD_LEASE_MAX_S),
		      });
}

static int run_add(struct igd_call *call)
{
	return add_mapping(call, false);
}

static int run_add_any(struct igd_call *call)
{
	return add_mapping(call, true);
}

static int run_delete(struct igd_call *call)
{
	uint8_t protocol = protocol_of(call);
	unsigned long external;

	if (!soap_number(&call->soap, "NewExternalPort", UINT16_MAX, &external) || protocol == 0)
		return SOAP_INVALID_ARGS;
	return submit(call, &(struct mapping_request){
				    .action = MAPPING_REMOVE_EXTERNAL,
				    .via = LEASE_UPNP,
				    .device = call->device,
				    .protocol = protocol,
				    .external_port = (uint16_t)external,
				    .count = 1,
			    });
}

static const struct action_row rows[] = {
	{ IGD_CONNECTION_CONTROL, IGD_CONNECTION_TYPE, "AddPortMapping", run_add },
	{ IGD_CONNECTION_CONTROL, IGD_CONNECTION_TYPE, "AddAnyPortMapping", run_add_any },
	{ IGD_CONNECTION_CONTROL, IGD_CONNECTION_TYPE, "DeletePortMapping", run_delete },
	{ IGD_CONNECTION_CONTROL, IGD_CONNECTION_TYPE, "GetConnectionTypeInfo",
	  run_connection_type },
	{ IGD_CONNECTION_CONTROL, IGD_CONNECTION_TYPE, "GetExternalIPAddress", run_address },
	{ IGD_CONNECTION_CONTROL, IGD_CONNECTION_TYPE, "GetGenericPortMappingEntry",
	  run_get_generic },
	{ IGD_CONNECTION_CONTROL, IGD_CONNECTION_TYPE, "GetNATRSIPStatus", run_nat_status },
	{ IGD_CONNECTION_CONTROL, IGD_CONNECTION_TYPE, "GetSpecificPortMappingEntry",
	  run_get_specific },
	{ IGD_CONNECTION_CONTROL, IGD_CONNECTION_TYPE, "GetStatusInfo", run_status },
	{ IGD_INTERFACE_CONTROL, IGD_INTERFACE_TYPE, "GetCommonLinkProperties", run_link },
};

static const struct action_row *find_row(const char *path, const char *action)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (strcmp(rows[i].path, path) == 0 && strcmp(rows[i].name, action) == 0)
			return &rows[i];
	return NULL;
}

/* HTTP. */

/* The device that asks, where it is one. */
static bool find_device(const struct igd_service *service, const struct http_request *request,
			uint32_t *ret)
{
	const struct endpoint *peer = http_request_peer(request);

	if (peer->address.family != AF_INET)
		return false;
	*ret = ip_to_v4(&peer->address);
	return document_is_device(document_of(service), *ret);
}

/* A page of elsewhere that a browser of the device shows could otherwise be made to reach us by a name of
 * its own. */
static bool host_is_literal(const char *host)
{
	struct endpoint endpoint;
	struct ip_address address;

	return endpoint_parse(host, &endpoint) == 0 || ip_parse(host, &address) == 0;
}

void igd_service_uuid(const struct tunnel *tunnel, char to[IGD_UUID_SIZE])
{
	const json_t *wg = json_object_get(tunnel_document(tunnel), "wg");
	const char *text = json_string_value(json_object_get(wg, "key"));
	uint8_t private_key[X25519_KEY_SIZE] = { 0 }, public_key[X25519_KEY_SIZE] = { 0 };

	if (text && base64_decode(text, private_key, sizeof(private_key)) == sizeof(private_key))
		(void)x25519_public(private_key, public_key);
	explicit_bzero(private_key, sizeof(private_key));
	(void)igd_uuid_format(public_key, to);
}

static void answer_description(const struct igd_service *service, struct http_request *request)
{
	const char *path = http_request_path(request);
	CLEANUP(text_done) struct text body = { .max = ANSWER_MAX };
	char uuid[IGD_UUID_SIZE];

	igd_service_uuid(service->tunnel, uuid);
	if (strcmp(path, IGD_ROOT_PATH) == 0)
		igd_write_root(&body, uuid);
	else if (strcmp(path, IGD_CONNECTION_PATH) == 0)
		igd_write_connection(&body);
	else if (strcmp(path, IGD_INTERFACE_PATH) == 0)
		igd_write_interface(&body);
	else
		answer_status(request, 404);
	if (body.size > 0)
		answer_text(request, 200, &body);
}

static size_t on_head(void *context, struct http_request *request)
{
	struct igd_service *service = context;
	const char *method = http_request_method(request);
	uint32_t device;

	if (!find_device(service, request, &device) || !host_is_literal(http_request_host(request)))
		answer_status(request, 403);
	else if (!rate_limiter_allows(service->limiter, device, clock_monotonic_ns()))
		answer_status(request, 503);
	else if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)
		answer_description(service, request);
	else if (strcmp(method, "POST") != 0)
		answer_status(request, 405);
	else
		return SOAP_MESSAGE_MAX;
	return 0;
}

/* Where it has to wait, the request finds its call by its data. */
static void run_call(struct igd_call *call)
{
	struct http_request *request = call->request;
	int r = port_mapper_permits(document_of(call->service), call->device) ? 0
									      : SOAP_NOT_AUTHORIZED;

	http_request_set_data(request, call);
	if (r == 0)
		r = call->row->run(call);
	if (r != ACTION_WAITS)
		finish(call, r);
}

static void on_complete(void *context, struct http_request *request)
{
	struct igd_service *service = context;
	struct igd_call *call = calloc(1, sizeof(*call));
	const void *body;
	size_t size;
	int r;

	if (!call || !find_device(service, request, &call->device)) {
		free(call);
		answer_status(request, 503);
		return;
	}
	call->service = service;
	call->request = request;
	body = http_request_body(request, &size);
	r = soap_call_parse(http_request_field(request, "soapaction"), body, size, &call->soap);
	if (r < 0) {
		free(call);
		answer_status(request, r == -ENOMEM ? 503 : 400);
		return;
	}
	call->row = find_row(http_request_path(request), call->soap.action);
	if (!call->row) {
		free(call);
		answer_fault(request, SOAP_INVALID_ACTION);
		return;
	}
	run_call(call);
}

/* What was asked for happens still. */
static void on_gone(void *context, struct http_request *request)
{
	struct igd_call *call = http_request_data(request);

	if (call)
		call->request = NULL;
}

const struct http_handlers igd_service_handlers = {
	.head = on_head,
	.complete = on_complete,
	.gone = on_gone,
};

/* Searches. */

size_t igd_service_search(struct igd_service *service, uint32_t device, const uint8_t *data,
			  size_t size, char *to, size_t capacity)
{
	const json_t *document = document_of(service);
	struct document_subnet subnet;
	enum ssdp_target target;
	char uuid[IGD_UUID_SIZE];

	if (capacity < SSDP_RESPONSE_MAX || !port_mapper_permits(document, device) ||
	    !document_subnet_of(document, device, &subnet) ||
	    !rate_limiter_allows(service->limiter, device, clock_monotonic_ns()) ||
	    ssdp_search_parse(data, size, &target) < 0)
		return 0;
	igd_service_uuid(service->tunnel, uuid);
	return ssdp_response_write(target, subnet.server, uuid, to);
}

int igd_service_new(struct tunnel *tunnel, struct igd_service **ret)
{
	struct igd_service *service = calloc(1, sizeof(*service));

	if (!service)
		return -ENOMEM;
	service->tunnel = tunnel;
	if (rate_limiter_new(IGD_SERVICE_PER_S, IGD_SERVICE_BURST, &service->limiter) < 0) {
		free(service);
		return -ENOMEM;
	}
	*ret = service;
	return 0;
}

struct igd_service *igd_service_free(struct igd_service *service)
{
	if (!service)
		return NULL;
	(void)rate_limiter_free(service->limiter);
	free(service);
	return NULL;
}
