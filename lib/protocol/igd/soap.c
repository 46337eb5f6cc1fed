#include "igd/soap.h"

#include <errno.h>
#include <expat.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define DEPTH_MAX 16
#define ELEMENTS_MAX 128
#define ACTION_DEPTH 3 /* Envelope, Body, the action */
#define ENVELOPE "http://schemas.xmlsoap.org/soap/envelope/"

struct reading {
	XML_Parser parser;
	struct soap_call *call;
	bool header_named_it;
	bool in_body;
	bool in_action; /* the first one; others are passed over */
	bool action_seen;
	struct soap_argument *argument; /* that is open, or NULL */
	size_t value_size;
	int depth;
	int elements;
	int error;
};

static void stop(struct reading *reading, int error)
{
	if (reading->error == 0)
		reading->error = error;
	(void)XML_StopParser(reading->parser, XML_FALSE);
}

static const char *local_name(const char *name)
{
	const char *colon = strrchr(name, ':');

	return colon ? colon + 1 : name;
}

/* Returns whether it fits. */
static bool copy_name(char to[SOAP_NAME_MAX], const char *name, size_t size)
{
	if (size == 0 || size >= SOAP_NAME_MAX)
		return false;
	memcpy(to, name, size);
	to[size] = '\0';
	return true;
}

static void begin_action(struct reading *reading, const char *name)
{
	reading->in_action = !reading->action_seen;
	if (!reading->action_seen && !reading->header_named_it &&
	    !copy_name(reading->call->action, name, strlen(name)))
		stop(reading, -E2BIG);
	reading->action_seen = true;
}

static void begin_argument(struct reading *reading, const char *name)
{
	struct soap_call *call = reading->call;

	if (call->argument_count == SOAP_ARGUMENTS_MAX) {
		stop(reading, -E2BIG);
		return;
	}
	reading->argument = &call->arguments[call->argument_count];
	reading->value_size = 0;
	if (!copy_name(reading->argument->name, name, strlen(name)))
		stop(reading, -E2BIG);
	else
		call->argument_count++;
}

static void XMLCALL on_start(void *context, const XML_Char *name, const XML_Char **attributes)
{
	struct reading *reading = context;

	name = local_name(name);
	if (++reading->depth > DEPTH_MAX || ++reading->elements > ELEMENTS_MAX)
		stop(reading, -E2BIG);
	else if (reading->depth == ACTION_DEPTH - 1)
		reading->in_body = strcmp(name, "Body") == 0;
	else if (reading->depth == ACTION_DEPTH && reading->in_body)
		begin_action(reading, name);
	else if (reading->depth == ACTION_DEPTH + 1 && reading->in_action)
		begin_argument(reading, name);
}

static void XMLCALL on_end(void *context, const XML_Char *name)
{
	struct reading *reading = context;

	if (reading->depth == ACTION_DEPTH)
		reading->in_action = false;
	if (reading->depth == ACTION_DEPTH + 1)
		reading->argument = NULL;
	reading->depth--;
}

/* A value that is too long ends between two characters. */
static void cut_off(struct soap_argument *argument, size_t size)
{
	while (size > 0 && ((unsigned char)argument->value[size] & 0xc0) == 0x80)
		size--;
	argument->value[size] = '\0';
}

static void XMLCALL on_text(void *context, const XML_Char *text, int size)
{
	struct reading *reading = context;
	struct soap_argument *argument = reading->argument;
	size_t room, taken = (size_t)size;

	if (!argument || reading->depth != ACTION_DEPTH + 1)
		return;
	room = SOAP_VALUE_MAX - reading->value_size;
	taken = taken < room ? taken : room;
	memcpy(argument->value + reading->value_size, text, taken);
	reading->value_size += taken;
	if (reading->value_size == SOAP_VALUE_MAX)
		cut_off(argument, --reading->value_size);
	else
		argument->value[reading->value_size] = '\0';
}

/* Entities are a way to say much in few bytes; no client needs them. */
static void XMLCALL on_doctype(void *context, const XML_Char *name, const XML_Char *system_id,
			       const XML_Char *public_id, int has_internal_subset)
{
	stop(context, -EBADMSG);
}

/* "urn:schemas-upnp-org:service:WANIPConnection:1#AddPortMapping", mostly in quotes. */
static bool read_header(const char *header, struct soap_call *call)
{
	const char *action = header ? strrchr(header, '#') : NULL;

	return action && copy_name(call->action, action + 1, strcspn(action + 1, "\"' \t"));
}

int soap_call_parse(const char *header, const void *body, size_t size, struct soap_call *ret)
{
	struct reading reading = { .call = ret };
	enum XML_Status status;

	*ret = (struct soap_call){ 0 };
	if (size > SOAP_MESSAGE_MAX)
		return -E2BIG;
	reading.header_named_it = read_header(header, ret);
	reading.parser = XML_ParserCreate(NULL);
	if (!reading.parser)
		return -ENOMEM;
	XML_SetUserData(reading.parser, &reading);
	XML_SetElementHandler(reading.parser, on_start, on_end);
	XML_SetCharacterDataHandler(reading.parser, on_text);
	XML_SetStartDoctypeDeclHandler(reading.parser, on_doctype);
	status = XML_Parse(reading.parser, body, (int)size, XML_TRUE);
	if (reading.error == 0 && status != XML_STATUS_OK)
		reading.error = XML_GetErrorCode(reading.parser) == XML_ERROR_NO_MEMORY ? -ENOMEM
											: -EBADMSG;
	XML_ParserFree(reading.parser);
	if (reading.error < 0)
		return reading.error;
	return reading.action_seen ? 0 : -EBADMSG;
}

const char *soap_argument(const struct soap_call *call, const char *name)
{
	for (size_t i = 0; i < call->argument_count; i++)
		if (strcmp(call->arguments[i].name, name) == 0)
			return call->arguments[i].value;
	return NULL;
}

bool soap_number(const struct soap_call *call, const char *name, unsigned long max,
		 unsigned long *ret)
{
	const char *text = soap_argument(call, name);
	unsigned long value = 0;

	if (!text || *text == '\0' || strlen(text) > 10)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		value = value * 10 + (unsigned long)(*text - '0');
	}
	if (value > max)
		return false;
	*ret = value;
	return true;
}

/* What XML has no way to write becomes a question mark. */
static void append_escaped(struct text *to, const char *value)
{
	for (; *value; value++) {
		switch (*value) {
		case '<':
			text_append(to, "&lt;");
			break;
		case '>':
			text_append(to, "&gt;");
			break;
		case '&':
			text_append(to, "&amp;");
			break;
		case '\r':
			text_append(to, "&#13;");
			break;
		default:
			text_append_char(to, (unsigned char)*value < ' ' && *value != '\t' &&
							     *value != '\n'
						     ? '?'
						     : *value);
		}
	}
}

static void begin_envelope(struct text *to)
{
	text_append(to,
		    "<?xml version=\"1.0\"?>\n<s:Envelope xmlns:s=\"" ENVELOPE
		    "\" s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body>");
}

static void end_envelope(struct text *to)
{
	text_append(to, "</s:Body></s:Envelope>\n");
}

void soap_write_response(struct text *to, const char *service, const char *action,
			 const struct soap_argument *results, size_t count)
{
	begin_envelope(to);
	text_printf(to, "<u:%sResponse xmlns:u=\"%s\">", action, service);
	for (size_t i = 0; i < count; i++) {
		text_printf(to, "<%s>", results[i].name);
		append_escaped(to, results[i].value);
		text_printf(to, "</%s>", results[i].name);
	}
	text_printf(to, "</u:%sResponse>", action);
	end_envelope(to);
}

static const struct {
	enum soap_error error;
	const char *text;
} errors[] = {
	{ SOAP_INVALID_ACTION, "Invalid Action" },
	{ SOAP_INVALID_ARGS, "Invalid Args" },
	{ SOAP_ACTION_FAILED, "Action Failed" },
	{ SOAP_NOT_AUTHORIZED, "Action not authorized" },
	{ SOAP_INDEX_INVALID, "SpecifiedArrayIndexInvalid" },
	{ SOAP_NO_SUCH_ENTRY, "NoSuchEntryInArray" },
	{ SOAP_CONFLICT, "ConflictInMappingEntry" },
	{ SOAP_ONLY_WILDCARD_HOST, "RemoteHostOnlySupportsWildcard" },
	{ SOAP_NO_PORT_MAPS, "NoPortMapsAvailable" },
};

void soap_write_fault(struct text *to, enum soap_error error)
{
	const char *text = "Action Failed";

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
		if (errors[i].error == error)
			text = errors[i].text;
	begin_envelope(to);
	text_printf(to,
		    "<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring>"
		    "<detail><UPnPError xmlns=\"urn:schemas-upnp-org:control-1-0\">"
		    "<errorCode>%d</errorCode><errorDescription>%s</errorDescription>"
		    "</UPnPError></detail></s:Fault>",
		    (int)error, text);
	end_envelope(to);
}
