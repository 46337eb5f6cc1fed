#include "rpc/local_authenticator.h"

#include <string.h>

#include "base/secret.h"

static int on_head(void *context, const struct rpc_credentials *credentials, struct rpc_caller *ret,
		   struct rpc_body_proof *ret_body)
{
	const struct rpc_local_authenticator *local = context;
	size_t size = strlen(local->secret);

	if (size > 0 && credentials->local && strlen(credentials->local) == size &&
	    secret_equal(credentials->local, local->secret, size))
		ret->kind = RPC_CALLER_LOCAL;
	return 0;
}

int rpc_local_authenticator_init(struct rpc_local_authenticator *local, const char *secret)
{
	local->secret = strdup(secret ? secret : "");
	if (!local->secret)
		return -ENOMEM;
	local->authenticator = (struct rpc_authenticator){ .context = local, .head = on_head };
	return 0;
}

void rpc_local_authenticator_done(struct rpc_local_authenticator *local)
{
	if (local->secret)
		secret_wipe(local->secret, strlen(local->secret));
	free(local->secret);
	local->secret = NULL;
}
