/*
 * An authenticator of the tests and fuzz targets of this folder
 *
 * The cookie `local` is SECRET; a cookie `session` is its session's id itself where that begins with
 * "s-"; a signature "body:<size>:<hash, hex>" is a key's, of a body like that.
 */
#pragma once

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "rpc/authenticator.h"

#define SECRET "c2VjcmV0"

static bool test_read_signature(const char *text, struct rpc_body_proof *ret)
{
	int at = 0;
	unsigned long size = 0;

	if (sscanf(text, "body:%lu:%n", &size, &at) != 1 || strlen(text + at) != 64)
		return false;
	ret->size = size;
	for (int i = 0; i < 32; i++) {
		unsigned byte = 0;

		if (sscanf(text + at + 2 * i, "%2x", &byte) != 1)
			return false;
		ret->blake3[i] = (uint8_t)byte;
	}
	ret->wanted = true;
	return true;
}

static int test_authenticate(void *context, const struct rpc_credentials *credentials,
			     struct rpc_caller *ret, struct rpc_body_proof *ret_body)
{
	static char session[64];

	if (credentials->local && strcmp(credentials->local, SECRET) == 0) {
		ret->kind = RPC_CALLER_LOCAL;
	} else if (credentials->signature &&
		   test_read_signature(credentials->signature, ret_body)) {
		ret->kind = RPC_CALLER_KEY;
		ret->key = "key";
	} else if (credentials->session && strncmp(credentials->session, "s-", 2) == 0) {
		(void)snprintf(session, sizeof(session), "%s", credentials->session);
		ret->kind = RPC_CALLER_SESSION;
		ret->session = session;
	}
	return 0;
}

static const struct rpc_authenticator test_authenticator = { .head = test_authenticate };
