/*
 * The command line of start-wg
 */
#pragma once

#include <stdbool.h>

struct options {
	const char *interface;
	const char *user; /* NULL: start-wg, or nobody where there is no such user */
	bool foreground;
	bool status; /* of one that runs, nothing else */
	unsigned tun_features; /* enum tun_features */
	unsigned udp_flags; /* enum udp_open_flags */
	unsigned dataplane_flags; /* enum dataplane_flags */
};

enum options_result {
	OPTIONS_RUN = 0,
	OPTIONS_DONE = 1, /* help or version was printed */
	OPTIONS_WRONG = 2, /* the fault was printed */
};

/* Reads the arguments, and START_WG_WITHOUT of the environment. Returns an enum options_result. */
int options_parse(int argc, char **argv, struct options *ret);
