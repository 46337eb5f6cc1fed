/*
 * Requests of start-tunneld, each checked again and carried out
 *
 * Owns the network and our end of the channel for transparent sockets; knows nothing of the socket that
 * requests come by.
 */
#pragma once

#include "netstate/netd_protocol.h"
#include "network/network.h"

struct requests {
	struct network *network;
	const char *reboot_command;
	int transparent; /* negative: nobody has asked for a channel */
};

/*
 * Carries out one request and appends the answer to @answer; a descriptor that goes with it is left in
 * *@ret_fd, which is -EBADF before, and the caller's then.
 * Returns 0, also where the answer is a failure; or -EBADMSG, -E2BIG, -ENOMEM: the other side does
 * not keep to the protocol, or the answer cannot be given.
 */
int requests_handle(struct requests *requests, const struct netd_frame *frame, struct text *answer,
		    int *ret_fd);
