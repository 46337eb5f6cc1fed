/*
 * Commands of the web interface
 */
#include "web.h"

static int import_certificate(struct rpc_client *client, const json_t *params, json_t **ret_result,
			      struct fault *fault)
{
	const char *key = json_string_value(json_object_get(params, "key"));
	const char *cert = json_string_value(json_object_get(params, "cert"));
	int r;

	if (!key != !cert)
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "--key and --cert belong together: both, or neither to be asked");
	r = key ? web_import_files(client, key, cert, fault) : web_import_paste(client, fault);
	if (r == 0)
		*ret_result = json_null();
	return r < 0 ? r : 1;
}

#define KEY_AND_CERT                                                                               \
	{ .name = "key",                                                                           \
	  .type = RPC_STRING,                                                                      \
	  .flags = RPC_CLI_ONLY,                                                                   \
	  .max = 4096,                                                                             \
	  .help = "file with the private key in PEM" },                                            \
	{                                                                                          \
		.name = "cert", .type = RPC_STRING, .flags = RPC_CLI_ONLY, .max = 4096,            \
		.help = "file with the certificates in PEM, the server's own first"                \
	}

static const struct rpc_param import_params[] = { KEY_AND_CERT, { 0 } };

static const struct rpc_param init_params[] = {
	{ .name = "listen",
	  .type = RPC_ENDPOINT,
	  .flags = RPC_CLI_ONLY,
	  .help = "the address and port to serve on: 198.51.100.7:8443" },
	{ .name = "generate",
	  .type = RPC_BOOL,
	  .flags = RPC_CLI_ONLY,
	  .initial = "false",
	  .help = "make a certificate under our own root" },
	{ .name = "san",
	  .type = RPC_STRINGS,
	  .flags = RPC_CLI_ONLY,
	  .initial = "[]",
	  .max = 64,
	  .help = "a name or address for that certificate, besides the one of --listen" },
	KEY_AND_CERT,
	{ 0 },
};

const struct rpc_method web_commands[] = {
	{ .name = "web.import-certificate",
	  .summary = "Use a certificate of one's own for the web interface",
	  .description =
		  "Asks for the private key and for the certificates, the server's own first and the "
		  "root last; or reads them from files. What does not belong together is refused, "
		  "and nothing changes.",
	  .params = import_params,
	  .local = import_certificate },
	{ .name = "web.init",
	  .summary = "Set up the web interface: address, certificate, password",
	  .description =
		  "Asks for what is missing, makes a password where there is none, turns the "
		  "interface on and shows its URL. With the options nothing is asked: --listen "
		  "with --generate, or with --key and --cert.",
	  .params = init_params,
	  .local = web_init },
	{ 0 },
};
