/*
 * start-tunnel: the command that manages StartTunnel
 *
 * Everything it knows comes from the table of methods.
 */
#include "rpc/cli.h"
#include "tunnel/tunnel.h"

int main(int argc, char **argv)
{
	return cli_main(&tunnel_api, argc, argv);
}
