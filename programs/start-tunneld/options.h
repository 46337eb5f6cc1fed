/*
 * Options and configuration file of start-tunneld (tunnel.md 10.2)
 */
#pragma once

#include <stdbool.h>

#include "base/fault.h"

#define OPTIONS_CONFIG "/etc/start-tunneld"

struct options {
	char *listen; /* "127.0.59.60:5960" */
	char *datadir;
	char *user;
	char *netd; /* path of start-netd; NULL: beside this program */
	char *start_wg; /* these three are passed on to it; NULL: its own choice */
	char *backend;
	char *reboot_command;
};

enum options_result {
	OPTIONS_RUN = 0,
	OPTIONS_SHOWN = 1, /* --help or --version: nothing more to do */
};

void options_done(struct options *options);
DEFINE_CLEANUP_DONE(struct options, options_done);

/* Reads the command line, then the configuration files for what it leaves open, then the defaults.
 * Returns an enum options_result, or -EPROTO with a fault. */
int options_read(int argc, char **argv, struct options *ret, struct fault *fault);
