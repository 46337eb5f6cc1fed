/*
 * Options of start-netd
 */
#pragma once

#include "system/wg_link.h"

struct options {
	enum wg_backend_choice backend;
	char *start_wg; /* path of the userspace WireGuard device */
	char *reboot_command;
};

enum options_result {
	OPTIONS_RUN,
	OPTIONS_SHOWN, /* help or version was printed: end with success */
};

/* Returns an enum options_result, or -EINVAL (said on stderr), -ENOMEM. */
int options_parse(int argc, char **argv, struct options *ret);

void options_done(struct options *options);
DEFINE_CLEANUP_DONE(struct options, options_done);
