#include "igd/description.h"

#include <stdio.h>

#define ARGUMENTS_MAX 8
#define XML "<?xml version=\"1.0\"?>\n"

/* A row for each action; "in" and "out" are lists of variables, whose arguments are called after them. */
struct action {
	const char *name;
	const char *in[ARGUMENTS_MAX + 1];
	const char *out[ARGUMENTS_MAX + 1];
};

struct variable {
	const char *name;
	const char *argument; /* without its "New" */
	const char *type;
	const char *values[4];
};

static const struct action connection_actions[] = {
	{ "GetConnectionTypeInfo", { 0 }, { "ConnectionType", "PossibleConnectionTypes" } },
	{ "GetStatusInfo", { 0 }, { "ConnectionStatus", "LastConnectionError", "Uptime" } },
	{ "GetNATRSIPStatus", { 0 }, { "RSIPAvailable", "NATEnabled" } },
	{ "GetExternalIPAddress", { 0 }, { "ExternalIPAddress" } },
	{ "AddPortMapping",
	  { "RemoteHost", "ExternalPort", "PortMappingProtocol", "InternalPort", "InternalClient",
	    "PortMappingEnabled", "PortMappingDescription", "PortMappingLeaseDuration" },
	  { 0 } },
	{ "DeletePortMapping", { "RemoteHost", "ExternalPort", "PortMappingProtocol" }, { 0 } },
	{ "GetSpecificPortMappingEntry",
	  { "RemoteHost", "ExternalPort", "PortMappingProtocol" },
	  { "InternalPort", "InternalClient", "PortMappingEnabled", "PortMappingDescription",
	    "PortMappingLeaseDuration" } },
	{ "GetGenericPortMappingEntry",
	  { "PortMappingNumberOfEntries" },
	  { "RemoteHost", "ExternalPort", "PortMappingProtocol", "InternalPort", "InternalClient",
	    "PortMappingEnabled", "PortMappingDescription", "PortMappingLeaseDuration" } },
	{ 0 },
};

static const struct variable connection_variables[] = {
	{ "ConnectionType", "ConnectionType", "string", { 0 } },
	{ "PossibleConnectionTypes", "PossibleConnectionTypes", "string", { "IP_Routed" } },
	{ "ConnectionStatus", "ConnectionStatus", "string", { "Connected", "Disconnected" } },
	{ "LastConnectionError", "LastConnectionError", "string", { "ERROR_NONE" } },
	{ "Uptime", "Uptime", "ui4", { 0 } },
	{ "RSIPAvailable", "RSIPAvailable", "boolean", { 0 } },
	{ "NATEnabled", "NATEnabled", "boolean", { 0 } },
	{ "ExternalIPAddress", "ExternalIPAddress", "string", { 0 } },
	{ "PortMappingNumberOfEntries", "PortMappingIndex", "ui2", { 0 } },
	{ "RemoteHost", "RemoteHost", "string", { 0 } },
	{ "ExternalPort", "ExternalPort", "ui2", { 0 } },
	{ "PortMappingProtocol", "Protocol", "string", { "TCP", "UDP" } },
	{ "InternalPort", "InternalPort", "ui2", { 0 } },
	{ "InternalClient", "InternalClient", "string", { 0 } },
	{ "PortMappingEnabled", "Enabled", "boolean", { 0 } },
	{ "PortMappingDescription", "PortMappingDescription", "string", { 0 } },
	{ "PortMappingLeaseDuration", "LeaseDuration", "ui4", { 0 } },
	{ 0 },
};

static const struct action interface_actions[] = {
	{ "GetCommonLinkProperties",
	  { 0 },
	  { "WANAccessType", "Layer1UpstreamMaxBitRate", "Layer1DownstreamMaxBitRate",
	    "PhysicalLinkStatus" } },
	{ 0 },
};

static const struct variable interface_variables[] = {
	{ "WANAccessType", "WANAccessType", "string", { "Ethernet" } },
	{ "Layer1UpstreamMaxBitRate", "Layer1UpstreamMaxBitRate", "ui4", { 0 } },
	{ "Layer1DownstreamMaxBitRate", "Layer1DownstreamMaxBitRate", "ui4", { 0 } },
	{ "PhysicalLinkStatus", "PhysicalLinkStatus", "string", { "Up", "Down" } },
	{ 0 },
};

static const char *argument_of(const struct variable *variables, const char *name)
{
	for (; variables->name; variables++)
		if (strcmp(variables->name, name) == 0)
			return variables->argument;
	return name;
}

static void write_arguments(struct text *to, const char *const *names, const char *direction,
			    const struct variable *variables)
{
	for (; *names; names++)
		text_printf(to,
			    "<argument><name>New%s</name><direction>%s</direction>"
			    "<relatedStateVariable>%s</relatedStateVariable></argument>\n",
			    argument_of(variables, *names), direction, *names);
}

static void write_variable(struct text *to, const struct variable *variable)
{
	text_printf(to, "<stateVariable sendEvents=\"no\"><name>%s</name><dataType>%s</dataType>",
		    variable->name, variable->type);
	if (variable->values[0])
		text_append(to, "<allowedValueList>");
	for (const char *const *value = variable->values; *value; value++)
		text_printf(to, "<allowedValue>%s</allowedValue>", *value);
	text_printf(to, "%s</stateVariable>\n", variable->values[0] ? "</allowedValueList>" : "");
}

static void write_service(struct text *to, const struct action *actions,
			  const struct variable *variables)
{
	text_append(to, XML "<scpd xmlns=\"urn:schemas-upnp-org:service-1-0\">\n"
			    "<specVersion><major>1</major><minor>0</minor></specVersion>\n"
			    "<actionList>\n");
	for (const struct action *action = actions; action->name; action++) {
		text_printf(to, "<action><name>%s</name><argumentList>\n", action->name);
		write_arguments(to, action->in, "in", variables);
		write_arguments(to, action->out, "out", variables);
		text_append(to, "</argumentList></action>\n");
	}
	text_append(to, "</actionList>\n<serviceStateTable>\n");
	for (const struct variable *v = variables; v->name; v++)
		write_variable(to, v);
	text_append(to, "</serviceStateTable>\n</scpd>\n");
}

void igd_write_connection(struct text *to)
{
	write_service(to, connection_actions, connection_variables);
}

void igd_write_interface(struct text *to)
{
	write_service(to, interface_actions, interface_variables);
}

char *igd_uuid_format(const uint8_t bytes[16], char to[IGD_UUID_SIZE])
{
	char *at = to;

	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*at++ = '-';
		at += snprintf(at, 3, "%02x", bytes[i]);
	}
	return to;
}

/* What every device says of itself. */
static void begin_device(struct text *to, const char *type, const char *uuid, const char *suffix)
{
	text_printf(to,
		    "<device>\n<deviceType>%s</deviceType>\n"
		    "<friendlyName>StartTunnel</friendlyName>\n"
		    "<manufacturer>Start9</manufacturer>\n"
		    "<manufacturerURL>https://start9.com</manufacturerURL>\n"
		    "<modelDescription>StartTunnel Internet Gateway Device</modelDescription>\n"
		    "<modelName>StartTunnel</modelName>\n<modelNumber>1</modelNumber>\n"
		    "<serialNumber>00000000</serialNumber>\n<UDN>uuid:%.36s%s</UDN>\n",
		    type, uuid, suffix);
}

static void write_reference(struct text *to, const char *type, const char *id, const char *control,
			    const char *path)
{
	text_printf(
		to,
		"<serviceList><service>\n<serviceType>%s</serviceType>\n"
		"<serviceId>%s</serviceId>\n<controlURL>%s</controlURL>\n"
		"<eventSubURL></eventSubURL>\n<SCPDURL>%s</SCPDURL>\n</service></serviceList>\n",
		type, id, control, path);
}

void igd_write_root(struct text *to, const char uuid[IGD_UUID_SIZE])
{
	text_append(to, XML "<root xmlns=\"urn:schemas-upnp-org:device-1-0\">\n"
			    "<specVersion><major>1</major><minor>0</minor></specVersion>\n");
	begin_device(to, IGD_DEVICE_TYPE, uuid, "");
	text_append(to, "<deviceList>\n");
	begin_device(to, IGD_WAN_DEVICE_TYPE, uuid, "-wan");
	write_reference(to, IGD_INTERFACE_TYPE, "urn:upnp-org:serviceId:WANCommonIFC1",
			IGD_INTERFACE_CONTROL, IGD_INTERFACE_PATH);
	text_append(to, "<deviceList>\n");
	begin_device(to, IGD_CONNECTION_DEVICE_TYPE, uuid, "-wanconn");
	write_reference(to, IGD_CONNECTION_TYPE, "urn:upnp-org:serviceId:WANIPConn1",
			IGD_CONNECTION_CONTROL, IGD_CONNECTION_PATH);
	text_append(to, "</device>\n</deviceList>\n</device>\n</deviceList>\n</device>\n</root>\n");
}
