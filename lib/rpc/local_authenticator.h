/*
 * The authenticator of a daemon without accounts
 *
 * Lets in who has the secret of this machine, as the cookie `local`, and nobody else.
 */
#pragma once

#include "rpc/authenticator.h"

struct rpc_local_authenticator {
	struct rpc_authenticator authenticator; /* for the front */
	char *secret;
};

/* Copies the secret; NULL or "": nobody is let in. Returns 0 or -ENOMEM. */
int rpc_local_authenticator_init(struct rpc_local_authenticator *local, const char *secret);

/* Wipes the secret. What is zeroed is fine. */
void rpc_local_authenticator_done(struct rpc_local_authenticator *local);
