#include "client/key_ring.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "base/secret.h"
#include "client/ssh_agent.h"
#include "crypto/signature_header.h"
#include "crypto/signing_key.h"

#define KEYS_MAX (3 + KEY_RING_AGENT_MAX)

struct key {
	bool agent; /* the agent has the private half */
	uint8_t seed[ED25519_SEED_SIZE];
	uint8_t public_key[ED25519_PUBLIC_SIZE];
};

struct key_ring {
	const struct key_ring_options *options;
	bool loaded;
	struct key keys[KEYS_MAX];
	size_t count;
	struct text names;
	struct text note;
};

int key_ring_new(const struct key_ring_options *options, struct key_ring **ret)
{
	struct key_ring *ring = calloc(1, sizeof(*ring));

	if (!ring)
		return -ENOMEM;
	ring->options = options;
	*ret = ring;
	return 0;
}

struct key_ring *key_ring_free(struct key_ring *ring)
{
	if (!ring)
		return NULL;
	text_done(&ring->names);
	text_done(&ring->note);
	secret_wipe(ring, sizeof(*ring));
	free(ring);
	return NULL;
}

/* --- reading --- */

static void add(struct key_ring *ring, const struct key *key, const char *name)
{
	for (size_t i = 0; i < ring->count; i++)
		if (memcmp(ring->keys[i].public_key, key->public_key, ED25519_PUBLIC_SIZE) == 0)
			return;
	if (ring->count == KEYS_MAX)
		return;
	ring->keys[ring->count++] = *key;
	text_printf(&ring->names, "%s%s", ring->names.size > 0 ? ", " : "", name);
}

static int read_file(const char *path, struct text *to)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	char buffer[4096];
	ssize_t size;

	if (fd < 0)
		return -errno;
	to->max = KEY_RING_FILE_MAX;
	while ((size = read(fd, buffer, sizeof(buffer))) > 0 && text_error(to) == 0)
		text_append_bytes(to, buffer, (size_t)size);
	secret_wipe(buffer, sizeof(buffer));
	if (size < 0)
		return -errno;
	return text_error(to);
}

/* Returns 0 also where there is no such file; a negative errno with a fault that names it. */
static int add_file(struct key_ring *ring, const char *path, struct fault *fault)
{
	CLEANUP(text_done_secret) struct text text = { 0 };
	struct key key = { 0 };
	int r = read_file(path, &text);

	if (r == -ENOENT)
		return r;
	if (r < 0)
		return fault_set_errno(fault, r, FAULT_FILESYSTEM, "reading the key %s", path);
	r = signing_key_parse_private(text_string(&text), key.seed, fault);
	if (r < 0) {
		fault_prefix(fault, "%s", path);
		return r;
	}
	ed25519_public(key.seed, key.public_key);
	add(ring, &key, path);
	secret_wipe(&key, sizeof(key));
	return 0;
}

static void add_note(struct key_ring *ring, const char *text)
{
	text_printf(&ring->note, "%s%s", ring->note.size > 0 ? "; " : "", text);
}

/* Adds a key that nobody named: one that cannot be used is passed over, with a note. */
static void add_optional(struct key_ring *ring, const char *path)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	int r = path ? add_file(ring, path, &fault) : -ENOENT;

	/* A StartOS machine keeps its own key from users. */
	if (r < 0 && r != -ENOENT && r != -EACCES && fault.details)
		add_note(ring, fault.details);
}

static void add_home(struct key_ring *ring, const char *name)
{
	CLEANUP(text_done) struct text path = { 0 };

	if (!ring->options->home)
		return;
	text_printf(&path, "%s/%s", ring->options->home, name);
	if (text_error(&path) == 0)
		add_optional(ring, path.data);
}

static void add_agent(struct key_ring *ring)
{
	uint8_t keys[KEY_RING_AGENT_MAX][ED25519_PUBLIC_SIZE];
	const char *path = ring->options->agent;
	ssize_t count = path ? ssh_agent_list(path, keys, KEY_RING_AGENT_MAX) : 0;

	if (count < 0)
		add_note(ring, "the SSH agent of SSH_AUTH_SOCK does not answer");
	for (ssize_t i = 0; i < count; i++) {
		struct key key = { .agent = true };

		memcpy(key.public_key, keys[i], ED25519_PUBLIC_SIZE);
		add(ring, &key, "SSH agent");
	}
}

int key_ring_load(struct key_ring *ring, struct fault *fault)
{
	const struct key_ring_options *options = ring->options;
	int r = 0;

	if (ring->loaded)
		return 0;
	add_optional(ring, options->machine);
	if (options->developer)
		r = add_file(ring, options->developer, fault);
	else
		add_home(ring, KEY_RING_HOME);
	if (r < 0)
		return fault_is_set(fault) ? r
					   : fault_set_errno(fault, r, FAULT_FILESYSTEM,
							     "--developer-key-path: reading %s",
							     options->developer);
	add_home(ring, KEY_RING_SSH);
	add_agent(ring);
	ring->loaded = true;
	return 0;
}

/* --- use --- */

size_t key_ring_count(const struct key_ring *ring)
{
	return ring->count;
}

const char *key_ring_names(const struct key_ring *ring)
{
	return text_string(&ring->names);
}

const char *key_ring_note(const struct key_ring *ring)
{
	return text_string(&ring->note);
}

static int sign_by_agent(struct key_ring *ring, const struct key *key, const char *context,
			 struct signature_header *header)
{
	uint8_t blob[SSH_SIGNATURE_BLOB_MAX], signature[ED25519_SIGNATURE_SIZE];
	ssize_t size = signature_header_ssh_blob(header, context, blob);
	int r = size < 0 ? (int)size
			 : ssh_agent_sign(ring->options->agent, key->public_key, blob, (size_t)size,
					  signature);

	if (r == 0)
		signature_header_set_ssh(header, signature);
	return r;
}

int key_ring_sign(struct key_ring *ring, size_t index, const char *context, const char *body,
		  size_t size, struct text *to, struct fault *fault)
{
	const struct key *key = &ring->keys[index];
	struct signature_header header;
	int r;

	signature_header_prepare((int64_t)time(NULL), body, size, key->public_key, &header);
	r = key->agent ? sign_by_agent(ring, key, context, &header)
		       : signature_header_sign(&header, key->seed, context);
	if (r < 0)
		return fault_set_errno(fault, r, FAULT_INVALID_SIGNATURE, "signing the request%s",
				       key->agent ? " by the SSH agent" : "");
	signature_header_write(&header, to);
	return text_error(to) < 0 ? fault_set_errno(fault, text_error(to), FAULT_INVALID_SIGNATURE,
						    "signing the request")
				  : 0;
}
