/*
 * Who sends a request
 *
 * What the HTTP front (front.h) asks of the part that knows secrets, keys and sessions. The front cuts
 * the credentials out of a request's head and leaves away those that must not count, such as cookies of
 * a request that another site's page has made; the authenticator says whom the others speak for.
 */
#pragma once

#include "rpc/method.h"

/* What a head holds. Texts are borrowed for the time of the call; any of them may be NULL. */
struct rpc_credentials {
	const char *local; /* the cookie `local` */
	const char *session; /* the cookie `session` */
	const char *signature; /* X-StartOS-Auth-Sig, undecoded */
	const char *user_agent;
	const char
		*host; /* whom the request is for: the Host field without its port, in lower case */
	struct ip_address source;
	bool secure; /* the request came over TLS */
};

/* What has to hold of the body before a signature counts. */
struct rpc_body_proof {
	bool wanted;
	uint64_t size; /* bytes, exactly */
	uint8_t blake3[32];
};

struct rpc_authenticator {
	void *context;

	/*
	 * Says who the caller is: the first of local, signature, session that fits; NOBODY where none
	 * does, which is no error. Of @ret, `user_agent`, `source` and `secure` are set by the front.
	 * The texts in @ret are borrowed; the front copies them before it calls anything else. A
	 * signature is checked in full, time and nonce included, but for the body, which it leaves in
	 * @ret_body; a nonce is spent whatever body follows. The kind is trusted only once that fits.
	 * Does not block. Returns 0 or a negative errno: the request is answered with status 500 then.
	 */
	int (*head)(void *context, const struct rpc_credentials *credentials,
		    struct rpc_caller *ret, struct rpc_body_proof *ret_body);
};
