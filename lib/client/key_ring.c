#include "client/key_ring.h"

struct key_ring {
	const struct key_ring_options *options;
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
	free(ring);
	return NULL;
}

size_t key_ring_count(struct key_ring *ring)
{
	return 0;
}

int key_ring_sign(struct key_ring *ring, size_t index, const char *context, const char *body,
		  size_t size, struct text *to, struct fault *fault)
{
	return -ENOENT;
}

const char *key_ring_names(struct key_ring *ring)
{
	return "";
}

const char *key_ring_note(struct key_ring *ring)
{
	return "";
}
