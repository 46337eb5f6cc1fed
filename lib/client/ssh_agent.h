/*
 * Client of an SSH agent (draft-miller-ssh-agent)
 *
 * Asks the agent behind a Unix socket for its Ed25519 keys, and for signatures. Each call makes a
 * connection of its own. The agent is the user's, but its messages are read like any from outside:
 * bounded, and refused as a whole where they are malformed.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "crypto/ed25519.h"

#define SSH_AGENT_MESSAGE_MAX (256U << 10) /* bytes */
#define SSH_AGENT_KEYS_MAX 256 /* of any kind, in one list */
#define SSH_AGENT_TIMEOUT_S 60 /* an agent may ask its user first */

/*
 * Lists the Ed25519 keys in the agent's order; those above @max are left out.
 * Returns their number, or a negative errno: -EBADMSG for an answer that is none, -EACCES for a refusal.
 */
ssize_t ssh_agent_list(const char *socket_path, uint8_t (*ret)[ED25519_PUBLIC_SIZE], size_t max);

/* Has a message signed, by plain Ed25519. Returns 0 or a negative errno as above. */
int ssh_agent_sign(const char *socket_path, const uint8_t public_key[ED25519_PUBLIC_SIZE],
		   const void *message, size_t size, uint8_t ret[ED25519_SIGNATURE_SIZE]);

/* The messages of the agent, their length taken off; for the calls above and their tests. */
ssize_t ssh_agent_read_list(const uint8_t *bytes, size_t size, uint8_t (*ret)[ED25519_PUBLIC_SIZE],
			    size_t max);
int ssh_agent_read_signature(const uint8_t *bytes, size_t size,
			     uint8_t ret[ED25519_SIGNATURE_SIZE]);
