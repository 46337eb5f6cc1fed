/*
 * Methods as table rows
 *
 * One row defines a method once: name, permission, parameters, result, help and handler. Dispatch
 * with validation (dispatch.h), the command line with its options and tables (cli.h), shell
 * completion and manual pages are made from it (DESIGN.md, rule 4). Tables are constant data.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/ip.h"
#include "base/text.h"

struct rpc_call;
struct rpc_client;

/* What a parameter may be. The text forms are those of base/ip.h. */
enum rpc_type {
	RPC_STRING, /* UTF-8 without control characters, at most `max` bytes */
	RPC_TEXT, /* the same, with line breaks and tabs */
	RPC_BOOL,
	RPC_U16,
	RPC_U32,
	RPC_IP, /* "198.51.100.7" or "2001:db8::1" */
	RPC_IPV4,
	RPC_SUBNET, /* "10.59.37.1/24" */
	RPC_ENDPOINT, /* "198.51.100.7:8080", "[2001:db8::1]:8080" */
	RPC_ENDPOINT_V4,
	RPC_PORT, /* a number as of RPC_U16, or RPC_ENDPOINT */
	RPC_ENUM, /* one of `values` */
	RPC_STRINGS, /* an array of RPC_STRING; on the command line a repeated option */
	RPC_POINTER, /* a JSON pointer, RFC 6901 */
};

enum rpc_param_flag {
	RPC_REQUIRED = 1 << 0, /* otherwise absent and null mean `initial` */
	RPC_POSITIONAL = 1 << 1, /* on the command line an argument, not an option */
	RPC_GROUP =
		1 << 2, /* an argument that stands before the method's last word: `subnet S add` */
	RPC_CLI_ONLY = 1 << 3, /* for the command's own use; never sent */
};

struct rpc_param {
	const char *name; /* as on the wire, camelCase; the option is its kebab-case */
	enum rpc_type type;
	unsigned flags; /* enum rpc_param_flag */
	const char *help;
	const char *const *values; /* RPC_ENUM: ends with NULL */
	const char *initial; /* JSON text of the value where none is given; NULL: null */
	size_t max; /* bytes of a string, 0: 256; items of RPC_STRINGS are 256 bytes, `max` of them */
	char letter; /* short option, or 0 */
};

/* What a method gives, and how the command shows it. */
enum rpc_output {
	RPC_NOTHING, /* null; the command prints nothing */
	RPC_PLAIN, /* a string, printed as it is */
	RPC_JSON, /* any value; --format chooses the form, json-pretty by default */
	RPC_TABLE, /* as RPC_JSON, but without --format `show` prints it */
};

enum rpc_method_flag {
	RPC_PUBLIC = 1 << 0, /* needs no authentication */
	RPC_CLI_HIDDEN = 1 << 1, /* no command */
	RPC_NO_SESSION =
		1 << 2, /* not for who logged in with a password: it could give secrets away */
};

struct rpc_method {
	const char *name; /* "device.show-config" */
	const char *summary; /* one line for --help, no full stop */
	const char *description; /* for the manual page; NULL: the summary says it all */
	const struct rpc_param *params; /* ends with a NULL name; NULL: none */
	enum rpc_output output;
	unsigned flags; /* enum rpc_method_flag */

	/*
	 * Daemon: does the work and answers with rpc_reply() or rpc_fail(), at once or later. Called
	 * with parameters that fit the schema, unknown ones dropped and `initial` filled in.
	 */
	void (*handle)(struct rpc_call *call);

	/* Command: prints the result of an RPC_TABLE for a person. */
	void (*show)(const json_t *result, const json_t *params, struct text *to);

	/* Command: does the work in this process instead, where the parameters ask for that. @client asks
	 * the daemon (client/client.h); nothing is connected before its first call. Returns 1 with
	 * *ret_result set, 0 where the daemon is to be asked, or a negative errno with a fault. */
	int (*local)(struct rpc_client *client, const json_t *params, json_t **ret_result,
		     struct fault *fault);
};

struct rpc_group {
	const char *name; /* "device" */
	const char *summary;
};

struct rpc_table {
	const char *program; /* of the command: "start-tunnel" */
	const char *version;
	const struct rpc_method *methods; /* ends with a NULL name */
	const struct rpc_group *groups; /* ends with a NULL name */
};

enum rpc_caller_kind {
	RPC_CALLER_NOBODY, /* not authenticated: may call RPC_PUBLIC methods */
	RPC_CALLER_LOCAL, /* has the secret of this machine */
	RPC_CALLER_KEY, /* signed the request with a key that is let in */
	RPC_CALLER_SESSION, /* has logged in; a browser, as a rule: no secret goes there */
};

/* Who calls, as authentication found (authenticator.h). */
struct rpc_caller {
	enum rpc_caller_kind kind;
	const char *session; /* its id, of RPC_CALLER_SESSION; else NULL */
	const char *key; /* the signer's, PEM, of RPC_CALLER_KEY; else NULL */
	const char *user_agent; /* or NULL */
	struct ip_address source;
	bool secure; /* the call came over TLS */
};

/* Who makes the call; borrowed until the answer. */
const struct rpc_caller *rpc_caller(const struct rpc_call *call);

/*
 * Gives the HTTP answer a Set-Cookie field of this value, which is copied. Of several in one batch the
 * last one counts. Returns 0, -EINVAL where the value has control characters, or -ENOMEM.
 */
int rpc_set_cookie(struct rpc_call *call, const char *set_cookie);

/* The call's checked parameters; borrowed until the answer. */
const json_t *rpc_params(const struct rpc_call *call);

/* The pointer that was given to the dispatcher for the handlers. */
void *rpc_context(const struct rpc_call *call);

/* Convenience for checked parameters: NULL or the given value for null. */
const char *rpc_string(const struct rpc_call *call, const char *name);
bool rpc_bool(const struct rpc_call *call, const char *name);

/* Each call is answered exactly once, by one of these, which also release it. */
void rpc_reply(struct rpc_call *call, json_t *result); /* takes @result; NULL: null */
void rpc_fail(struct rpc_call *call, struct fault *fault); /* empties @fault */
