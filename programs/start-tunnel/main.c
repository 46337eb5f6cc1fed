/*
 * start-tunnel: the command that manages StartTunnel
 *
 * Everything it knows comes from the table of methods, and from the commands that are its own.
 */
#include <stdio.h>

#include "codec/json_memory.h"
#include "commands.h"
#include "rpc/cli.h"
#include "tunnel/tunnel.h"

int main(int argc, char **argv)
{
	CLEANUP(commands_done) struct rpc_table table = { 0 };

	json_memory_wipe_freed();
	if (commands_join(&tunnel_api, &table) < 0) {
		(void)fprintf(stderr, "start-tunnel: out of memory\n");
		return 1;
	}
	return cli_main(&table, argc, argv);
}
