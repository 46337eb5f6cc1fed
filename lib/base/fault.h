/*
 * An error for a person
 *
 * Made once, at the API boundary, where it is known what the person was doing. The kinds and their
 * numbers are those of the RPC error codes (rpc-and-patchdb.md 1.4); they are also the exit status
 * of the programs. A fault is embedded in its owner and starts out zeroed: no fault.
 */
#pragma once

#include <stdbool.h>

#include "base/cleanup.h"

enum fault_kind {
	FAULT_NONE = 0,
	FAULT_UNKNOWN = 1,
	FAULT_FILESYSTEM = 2,
	FAULT_NOT_FOUND = 6,
	FAULT_INCORRECT_PASSWORD = 7,
	FAULT_NETWORK = 9,
	FAULT_SERIALIZATION = 11,
	FAULT_DESERIALIZATION = 12,
	FAULT_PARSE_URL = 19,
	FAULT_PARSE_NUMBER = 28,
	FAULT_DATABASE = 29,
	FAULT_INVALID_SIGNATURE = 31,
	FAULT_AUTHORIZATION = 34,
	FAULT_RATE_LIMITED = 37,
	FAULT_INVALID_REQUEST = 38,
	FAULT_PARSE_NET_ADDRESS = 41,
	FAULT_PARSE_SYS_INFO = 45,
	FAULT_OPENSSL = 49,
	FAULT_PASSWORD_HASH = 50,
	FAULT_TIMEOUT = 71,
	FAULT_CANCELLED = 73,
	FAULT_UPDATE_FAILED = 77,

	/* Of the JSON-RPC layer itself. */
	FAULT_RPC_PARSE = -32700,
	FAULT_RPC_INVALID_REQUEST = -32600,
	FAULT_RPC_METHOD_NOT_FOUND = -32601,
	FAULT_RPC_INVALID_PARAMS = -32602,
	FAULT_RPC_INTERNAL = -32603,
};

struct fault {
	enum fault_kind kind;
	char *details; /* what was attempted, on what, why it failed, what to do; may be NULL */
};

void fault_done(struct fault *fault);
DEFINE_CLEANUP_DONE(struct fault, fault_done);

/*
 * Sets a fault, unless one is set already: the first cause is the one worth telling.
 * @fault: NULL is fine. Returns -EPROTO, so that a caller can `return fault_set(…);`.
 */
int fault_set(struct fault *fault, enum fault_kind kind, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same with ": " and the text of a negative errno appended. Returns @error. */
int fault_set_errno(struct fault *fault, int error, enum fault_kind kind, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Puts "<prefix>: " before the details of a fault that is set. */
void fault_prefix(struct fault *fault, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static inline bool fault_is_set(const struct fault *fault)
{
	return fault->kind != FAULT_NONE;
}

/* The fixed English text of a kind, as on the wire: "Not Found". */
const char *fault_kind_text(enum fault_kind kind);
