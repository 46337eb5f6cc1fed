/*
 * SOAP, as far as UPnP control has it (UPnP Device Architecture 1.1 section 3)
 *
 * Reads the call of an action with its arguments and writes responses and faults. XML is read by Expat,
 * without document types and within the bounds below.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"

#define SOAP_MESSAGE_MAX 16384 /* bytes of a call */
#define SOAP_ARGUMENTS_MAX 16
#define SOAP_NAME_MAX 64 /* bytes of a name, with its NUL */
#define SOAP_VALUE_MAX 256 /* of a value; a longer one is cut off */

struct soap_argument {
	char name[SOAP_NAME_MAX];
	char value[SOAP_VALUE_MAX];
};

struct soap_call {
	char action[SOAP_NAME_MAX];
	struct soap_argument arguments[SOAP_ARGUMENTS_MAX];
	size_t argument_count;
};

/*
 * Reads a call. @header: the value of SOAPAction, which names the action where it does; NULL: there is
 * none. Returns 0, -EBADMSG (no XML, no action, a document type), -E2BIG, -ENOMEM.
 */
int soap_call_parse(const char *header, const void *body, size_t size, struct soap_call *ret);

/* The value of an argument, or NULL. */
const char *soap_argument(const struct soap_call *call, const char *name);

/* A number of 0 to @max. Returns whether the argument is one. */
bool soap_number(const struct soap_call *call, const char *name, unsigned long max,
		 unsigned long *ret);

/* Writes the response to an action. Values are escaped. */
void soap_write_response(struct text *to, const char *service, const char *action,
			 const struct soap_argument *results, size_t count);

enum soap_error {
	SOAP_INVALID_ACTION = 401,
	SOAP_INVALID_ARGS = 402,
	SOAP_ACTION_FAILED = 501,
	SOAP_NOT_AUTHORIZED = 606,
	SOAP_INDEX_INVALID = 713,
	SOAP_NO_SUCH_ENTRY = 714,
	SOAP_CONFLICT = 718,
	SOAP_ONLY_WILDCARD_HOST = 726,
	SOAP_NO_PORT_MAPS = 728,
};

void soap_write_fault(struct text *to, enum soap_error error);
