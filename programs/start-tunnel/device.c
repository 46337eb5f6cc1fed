/*
 * The configuration of a device as a QR code
 */
#include <stdio.h>
#include <sys/ioctl.h>

#include "client/qr_text.h"
#include "commands.h"

/* The size of the terminal that the result goes to; zeros where there is none. */
static void terminal_size(size_t *ret_columns, size_t *ret_lines)
{
	struct winsize size = { 0 };

	*ret_columns = *ret_lines = 0;
	if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
		return;
	*ret_columns = size.ws_col;
	*ret_lines = size.ws_row;
}

static int show_config(struct rpc_client *client, const json_t *params, json_t **ret_result,
		       struct fault *fault)
{
	CLEANUP(text_done_secret) struct text code = { 0 };
	json_t *to_send, *config = NULL;
	size_t columns, lines;
	int r;

	if (!json_is_true(json_object_get(params, "qr")))
		return 0;
	to_send = json_copy((json_t *)params);
	(void)json_object_del(to_send, "qr");
	r = command_call(client, "device.show-config", to_send, &config, fault);
	if (r < 0)
		return r;
	terminal_size(&columns, &lines);
	if (!json_is_string(config))
		r = fault_set(fault, FAULT_DESERIALIZATION, "the daemon's answer is no text");
	else
		r = qr_text_write(json_string_value(config), columns, lines, &code, fault);
	json_decref(config);
	if (r == 0)
		*ret_result = json_string(text_string(&code));
	return r < 0 ? r : *ret_result ? 1 : -ENOMEM;
}

static const struct rpc_param show_config_params[] = {
	{ .name = "subnet",
	  .type = RPC_SUBNET,
	  .flags = RPC_REQUIRED | RPC_POSITIONAL,
	  .help = "the subnet, as this server's address in it: 10.59.37.1/24" },
	{ .name = "ip",
	  .type = RPC_IPV4,
	  .flags = RPC_REQUIRED | RPC_POSITIONAL,
	  .help = "the device's address in the subnet" },
	{ .name = "wanAddr",
	  .type = RPC_IP,
	  .flags = RPC_POSITIONAL,
	  .help = "the public address under which the device finds this server" },
	{ .name = "qr",
	  .type = RPC_BOOL,
	  .flags = RPC_CLI_ONLY,
	  .initial = "false",
	  .help = "draw it as a QR code for the camera of a phone" },
	{ 0 },
};

const struct rpc_method device_commands[] = {
	{ .name = "device.show-config",
	  .summary = "Show the WireGuard configuration for a device",
	  .description =
		  "The file holds the device's private key. The address under which the device "
		  "finds this server is WAN-ADDR where it is a public one, else the one pinned by "
		  "set-wan, else that of the web interface, else this machine's own. With --qr it "
		  "is drawn as a QR code, which the WireGuard apps of phones read.",
	  .params = show_config_params,
	  .output = RPC_PLAIN,
	  .local = show_config },
	{ 0 },
};
