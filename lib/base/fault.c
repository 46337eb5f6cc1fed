#include "base/fault.h"

#include "base/text.h"

static const struct {
	enum fault_kind kind;
	const char *text;
} kind_texts[] = {
	{ FAULT_UNKNOWN, "Unknown Error" },
	{ FAULT_FILESYSTEM, "Filesystem I/O Error" },
	{ FAULT_NOT_FOUND, "Not Found" },
	{ FAULT_INCORRECT_PASSWORD, "Incorrect Password" },
	{ FAULT_NETWORK, "Network Error" },
	{ FAULT_SERIALIZATION, "Serialization Error" },
	{ FAULT_DESERIALIZATION, "Deserialization Error" },
	{ FAULT_PARSE_URL, "URL Parsing Error" },
	{ FAULT_PARSE_NUMBER, "Number Parsing Error" },
	{ FAULT_DATABASE, "Database Error" },
	{ FAULT_INVALID_SIGNATURE, "Invalid Signature" },
	{ FAULT_AUTHORIZATION, "Unauthorized" },
	{ FAULT_RATE_LIMITED, "Rate Limited" },
	{ FAULT_INVALID_REQUEST, "Invalid Request" },
	{ FAULT_PARSE_NET_ADDRESS, "Net Address Parsing Error" },
	{ FAULT_PARSE_SYS_INFO, "System Info Parsing Error" },
	{ FAULT_OPENSSL, "OpenSSL Internal Error" },
	{ FAULT_PASSWORD_HASH, "Password Hash Generation Error" },
	{ FAULT_TIMEOUT, "Timeout Error" },
	{ FAULT_CANCELLED, "Cancelled" },
	{ FAULT_UPDATE_FAILED, "Update Failed" },
	{ FAULT_RPC_PARSE, "Parse error" },
	{ FAULT_RPC_INVALID_REQUEST, "Invalid Request" },
	{ FAULT_RPC_METHOD_NOT_FOUND, "Method not found" },
	{ FAULT_RPC_INVALID_PARAMS, "Invalid params" },
	{ FAULT_RPC_INTERNAL, "Internal error" },
};

void fault_done(struct fault *fault)
{
	free(fault->details);
	*fault = (struct fault){ 0 };
}

__attribute__((format(printf, 4, 0))) static void
fault_vset(struct fault *fault, int error, enum fault_kind kind, const char *format, va_list args)
{
	CLEANUP(text_done) struct text details = { 0 };

	if (!fault || fault_is_set(fault))
		return;
	text_vprintf(&details, format, args);
	if (error < 0)
		text_printf(&details, ": %s", strerror(-error));
	fault->kind = kind;
	fault->details = text_take(&details);
}

int fault_set(struct fault *fault, enum fault_kind kind, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fault_vset(fault, 0, kind, format, args);
	va_end(args);
	return -EPROTO;
}

int fault_set_errno(struct fault *fault, int error, enum fault_kind kind, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fault_vset(fault, error, kind, format, args);
	va_end(args);
	return error;
}

void fault_prefix(struct fault *fault, const char *format, ...)
{
	CLEANUP(text_done) struct text details = { 0 };
	char *longer;
	va_list args;

	if (!fault || !fault_is_set(fault))
		return;
	va_start(args, format);
	text_vprintf(&details, format, args);
	va_end(args);
	text_printf(&details, ": %s",
		    fault->details ? fault->details : fault_kind_text(fault->kind));
	longer = text_take(&details);
	if (!longer)
		return; /* the shorter text still tells the cause */
	free(fault->details);
	fault->details = longer;
}

const char *fault_kind_text(enum fault_kind kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(kind_texts); i++)
		if (kind_texts[i].kind == kind)
			return kind_texts[i].text;
	return "Unknown Error";
}
