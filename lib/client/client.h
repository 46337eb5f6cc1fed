/*
 * Calls of a command to its daemon
 *
 * To the daemon of this machine over plain HTTP, with its local cookie; to any other over HTTPS, signed
 * with a key (key_ring.h) and with the session that `auth login` kept (tunnel.md 2.6). One blocking
 * call at a time. For programs that do nothing else meanwhile.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/fault.h"
#include "base/host.h"
#include "base/ip.h"
#include "client/key_ring.h"

#define RPC_COOKIE_MAX 256 /* bytes of a local cookie */
#define RPC_CLIENT_KEYS_MAX 6 /* keys that one call tries */
#define RPC_CLOCK_TOLERANCE_S 30 /* how far the clocks may differ for a signature */

/* What a command knows for reaching its daemon. Borrowed as long as the client lives. */
struct rpc_client_options {
	const char *tunnel; /* `--tunnel`, or `tunnel` of a config file; NULL: none */
	const char *tunnel_listen; /* of a config file; NULL: none */
	const char *cookie; /* the daemon's local cookie; NULL: it cannot be read */
	const char *cookie_jar; /* file of the session cookies; NULL: none are kept */
	const char *const *roots; /* files of `--root-ca`; ends with NULL, or NULL */
	bool insecure;
	const char *proxy; /* URL; NULL: what the environment says */
	struct key_ring_options keys;
};

/* Where to connect, and how. */
struct rpc_target {
	char host[HOST_NAME_MAX_SIZE +
		  1]; /* a name in lower case, or an address; IPv6 without brackets */
	char peer[HOST_NAME_MAX_SIZE + 9]; /* with the port, for URLs and people */
	bool local; /* plain HTTP with the local cookie */
};

/* How a call shows who calls. */
enum rpc_proof {
	RPC_PROOF_ALL, /* by everything there is */
	RPC_PROOF_NONE,
	RPC_PROOF_SESSION, /* by the session cookie alone */
};

struct rpc_client;

/* Creates a client that has not connected yet. Returns 0 or -ENOMEM. */
int rpc_client_new(const struct rpc_client_options *options, struct rpc_client **ret);

/* NULL is fine. Returns NULL. */
struct rpc_client *rpc_client_free(struct rpc_client *client);
DEFINE_CLEANUP(struct rpc_client *, rpc_client_free);

/*
 * Chooses where to connect: --tunnel, else tunnel-listen, else the default of this machine. A loopback
 * address is asked with the local cookie where that can be read.
 * Returns 0, or a negative errno with a fault that says what to do.
 */
int rpc_client_target(const struct rpc_client_options *options, struct rpc_target *ret,
		      struct fault *fault);

/* Reads a local cookie. Returns 0, or a negative errno: -EACCES, -ENOENT, -EBADMSG. */
int rpc_client_cookie(const char *path, char **ret);

/*
 * Calls a method. @params is an object, or NULL for an empty one. A call that is refused as
 * unauthorized is made again with the next key, at most RPC_CLIENT_KEYS_MAX times.
 * Returns 0 with the result, or a negative errno with the fault that the daemon told, or one that
 * says why it could not be asked.
 */
int rpc_client_call(struct rpc_client *client, const char *method, const json_t *params,
		    json_t **ret_result, struct fault *fault);

/* The same with less proof. @session: a token for RPC_PROOF_SESSION; NULL: the kept one. */
int rpc_client_call_as(struct rpc_client *client, enum rpc_proof proof, const char *session,
		       const char *method, const json_t *params, json_t **ret_result,
		       struct fault *fault);

/* What the client was made with. */
const struct rpc_client_options *rpc_client_options(const struct rpc_client *client);

/* Whether this session is kept already, as the daemon's own cookie. */
bool rpc_client_has_session(struct rpc_client *client, const char *token);

/* Keeps a session for later calls of this and other commands, or forgets it where @token is NULL. */
int rpc_client_keep_session(struct rpc_client *client, const char *token, struct fault *fault);

/* Whether the last call failed since the daemon did not accept who calls. */
bool rpc_client_is_refused(const struct rpc_client *client);

/*
 * Takes the result or the fault out of an answer: its status is 200, its content type is exactly
 * application/json. Returns 0, or a negative errno with a fault.
 */
int rpc_response_parse(unsigned status, const char *content_type, const char *body, size_t size,
		       json_t **ret_result, struct fault *fault);
