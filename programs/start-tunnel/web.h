/*
 * The commands of the web interface that are more than one call; inside programs/start-tunnel
 */
#pragma once

#include "commands.h"

/* Sends the key and the certificates of two files. Returns 0, or a negative errno with a fault. */
int web_import_files(struct rpc_client *client, const char *key_path, const char *cert_path,
		     struct fault *fault);

/* Asks for a key and its certificates, to be pasted, checks that they belong together, and sends them. */
int web_import_paste(struct rpc_client *client, struct fault *fault);

/* The `local` of web.init. */
int web_init(struct rpc_client *client, const json_t *params, json_t **ret_result,
	     struct fault *fault);
