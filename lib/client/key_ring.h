/*
 * The keys that a command signs its requests with
 *
 * In this order: the key of this machine, /run/startos/developer.key.pem; --developer-key-path, else
 * ~/.startos/developer.key.pem; ~/.ssh/id_ed25519; the Ed25519 keys of the SSH agent, at most
 * KEY_RING_AGENT_MAX. A key that is there twice counts once.
 * Private keys are wiped with the ring.
 */
#pragma once

#include <stddef.h>

#include "base/fault.h"
#include "base/text.h"

#define KEY_RING_AGENT_MAX 4
#define KEY_RING_FILE_MAX 65536 /* bytes of a key's file */
#define KEY_RING_MACHINE "/run/startos/developer.key.pem"
#define KEY_RING_HOME ".startos/developer.key.pem" /* below the home directory */
#define KEY_RING_SSH ".ssh/id_ed25519"

struct key_ring_options {
	const char *machine; /* file; NULL: none */
	const char *developer; /* file that was named; NULL: the one below `home` */
	const char *home; /* NULL: none */
	const char *agent; /* socket of the SSH agent; NULL: none */
};

struct key_ring;

/* @options: borrowed as long as the ring lives. Returns 0 or -ENOMEM. */
int key_ring_new(const struct key_ring_options *options, struct key_ring **ret);

/* NULL is fine. Returns NULL. */
struct key_ring *key_ring_free(struct key_ring *ring);
DEFINE_CLEANUP(struct key_ring *, key_ring_free);

/*
 * Reads the keys, at the first call. Those that nobody named and that cannot be used are passed over
 * with a note. Returns 0, or a negative errno with a fault: the key of `developer`.
 */
int key_ring_load(struct key_ring *ring, struct fault *fault);

/* How many keys there are. */
size_t key_ring_count(const struct key_ring *ring);

/*
 * Appends the value of an X-StartOS-Auth-Sig field for a body. @context: the host that is asked.
 * Returns 0, or a negative errno with a fault.
 */
int key_ring_sign(struct key_ring *ring, size_t index, const char *context, const char *body,
		  size_t size, struct text *to, struct fault *fault);

/* Where the keys are from, for people: "~/.ssh/id_ed25519, SSH agent". Borrowed. */
const char *key_ring_names(const struct key_ring *ring);

/* Why a key that is there cannot be used, and what to do; "" where all can. Borrowed. */
const char *key_ring_note(const struct key_ring *ring);
