#include "wireguard/allowed_ips.h"

#include <assert.h>
#include <endian.h>

/* An address as the bits from the highest on; IPv4 has the first 32. */
struct bits {
	uint64_t high;
	uint64_t low;
};

struct allowed_ips_node {
	struct bits bits;
	struct allowed_ips_node *child[2];
	struct allowed_ips_node *parent;
	struct allowed_ips_owner *owner; /* NULL: only a fork */
	struct list link; /* of the owner's networks */
	uint8_t length;
	bool v6;
};

static struct bits bits_load(bool v6, const uint8_t *address)
{
	struct bits bits = { 0 };

	if (v6) {
		memcpy(&bits.high, address, 8);
		memcpy(&bits.low, address + 8, 8);
		return (struct bits){ be64toh(bits.high), be64toh(bits.low) };
	}
	memcpy(&bits.high, address, 4);
	return (struct bits){ be64toh(bits.high), 0 };
}

static void bits_store(struct bits bits, uint8_t to[16])
{
	uint64_t parts[2] = { htobe64(bits.high), htobe64(bits.low) };

	memcpy(to, parts, sizeof(parts));
}

static unsigned bit_at(struct bits bits, unsigned i)
{
	return (unsigned)(i < 64 ? bits.high >> (63 - i) : bits.low >> (127 - i)) & 1;
}

/* How many leading bits are the same. */
static unsigned common_length(struct bits a, struct bits b)
{
	if (a.high != b.high)
		return (unsigned)__builtin_clzll(a.high ^ b.high);
	if (a.low != b.low)
		return 64 + (unsigned)__builtin_clzll(a.low ^ b.low);
	return 128;
}

static struct bits bits_mask(struct bits bits, unsigned length)
{
	if (length < 64)
		return (struct bits){ length ? bits.high & UINT64_MAX << (64 - length) : 0, 0 };
	if (length < 128)
		bits.low &= length > 64 ? UINT64_MAX << (128 - length) : 0;
	return bits;
}

static bool node_contains(const struct allowed_ips_node *node, struct bits bits)
{
	return common_length(node->bits, bits) >= node->length;
}

void allowed_ips_trim(struct allowed_ips *table)
{
	while (table->reserve) {
		struct allowed_ips_node *node = table->reserve;

		table->reserve = node->parent;
		free(node);
	}
	table->reserved = 0;
}

void allowed_ips_done(struct allowed_ips *table)
{
	assert(!table->roots[0] && !table->roots[1]);
	allowed_ips_trim(table);
}

void allowed_ips_owner_init(struct allowed_ips_owner *owner)
{
	list_init(&owner->nodes);
	owner->count = 0;
}

int allowed_ips_reserve(struct allowed_ips *table, size_t count)
{
	while (table->reserved < 2 * count) { /* the network, and a fork */
		struct allowed_ips_node *node = malloc(sizeof(*node));

		if (!node)
			return -ENOMEM;
		node->parent = table->reserve;
		table->reserve = node;
		table->reserved++;
	}
	return 0;
}

static struct allowed_ips_node *node_take(struct allowed_ips *table, bool v6, struct bits bits,
					  unsigned length)
{
	struct allowed_ips_node *node = table->reserve;

	assert(node);
	table->reserve = node->parent;
	table->reserved--;
	*node = (struct allowed_ips_node){
		.bits = bits_mask(bits, length),
		.length = (uint8_t)length,
		.v6 = v6,
	};
	list_init(&node->link);
	return node;
}

/* Puts @node where @slot is, below @parent. */
static void node_place(struct allowed_ips_node **slot, struct allowed_ips_node *parent,
		       struct allowed_ips_node *node)
{
	*slot = node;
	if (node)
		node->parent = parent;
}

static void node_set_owner(struct allowed_ips *table, struct allowed_ips_node *node,
			   struct allowed_ips_owner *owner)
{
	if (node->owner) {
		node->owner->count--;
		table->count--;
		list_remove(&node->link);
	}
	node->owner = owner;
	if (owner) {
		owner->count++;
		table->count++;
		list_append(&owner->nodes, &node->link);
	}
}

/*
 * Goes down as far as nodes contain the network. Returns the slot that holds the network itself, or
 * where it belongs: NULL, or a node that it is above or beside of. *ret_parent is the node above.
 */
static struct allowed_ips_node **find_slot(struct allowed_ips *table, bool v6, struct bits bits,
					   unsigned length, struct allowed_ips_node **ret_parent)
{
	struct allowed_ips_node **slot = &table->roots[v6];

	*ret_parent = NULL;
	while (*slot && (*slot)->length < length && node_contains(*slot, bits)) {
		*ret_parent = *slot;
		slot = &(*slot)->child[bit_at(bits, (*slot)->length)];
	}
	return slot;
}

void allowed_ips_insert(struct allowed_ips *table, const struct ip_prefix *prefix,
			struct allowed_ips_owner *owner)
{
	bool v6 = prefix->address.family == AF_INET6;
	struct bits bits = bits_mask(bits_load(v6, prefix->address.bytes), prefix->length);
	struct allowed_ips_node *parent;
	struct allowed_ips_node **slot = find_slot(table, v6, bits, prefix->length, &parent);
	struct allowed_ips_node *there = *slot;
	struct allowed_ips_node *node;
	struct allowed_ips_node *fork;
	unsigned common;

	if (there && there->length == prefix->length && node_contains(there, bits)) {
		node_set_owner(table, there, owner);
		return;
	}
	node = node_take(table, v6, bits, prefix->length);
	node_set_owner(table, node, owner);
	common = there ? common_length(there->bits, bits) : prefix->length;
	if (common >= prefix->length) { /* above what is there, or alone */
		node_place(slot, parent, node);
		if (there)
			node_place(&node->child[bit_at(there->bits, node->length)], node, there);
		return;
	}
	fork = node_take(table, v6, bits, common);
	node_place(slot, parent, fork);
	node_place(&fork->child[bit_at(bits, common)], fork, node);
	node_place(&fork->child[bit_at(there->bits, common)], fork, there);
}

/* Removes a node without owner that does not fork, and what is then superfluous above it. */
static void node_prune(struct allowed_ips *table, struct allowed_ips_node *node)
{
	while (node && !node->owner && !(node->child[0] && node->child[1])) {
		struct allowed_ips_node *parent = node->parent;
		struct allowed_ips_node **slot = parent ? &parent->child[parent->child[1] == node]
							: &table->roots[node->v6];

		node_place(slot, parent, node->child[node->child[0] ? 0 : 1]);
		free(node);
		node = parent;
	}
}

void allowed_ips_remove(struct allowed_ips *table, const struct ip_prefix *prefix,
			const struct allowed_ips_owner *owner)
{
	bool v6 = prefix->address.family == AF_INET6;
	struct bits bits = bits_mask(bits_load(v6, prefix->address.bytes), prefix->length);
	struct allowed_ips_node *parent;
	struct allowed_ips_node *node = *find_slot(table, v6, bits, prefix->length, &parent);

	if (!node || node->length != prefix->length || !node_contains(node, bits) ||
	    node->owner != owner)
		return;
	node_set_owner(table, node, NULL);
	node_prune(table, node);
}

void allowed_ips_remove_owner(struct allowed_ips *table, struct allowed_ips_owner *owner)
{
	while (!list_empty(&owner->nodes)) {
		struct allowed_ips_node *node =
			container_of(owner->nodes.next, struct allowed_ips_node, link);

		node_set_owner(table, node, NULL);
		node_prune(table, node);
	}
}

struct allowed_ips_owner *allowed_ips_find(const struct allowed_ips *table, bool v6,
					   const uint8_t *address)
{
	const struct allowed_ips_node *node = table->roots[v6];
	struct bits bits = bits_load(v6, address);
	unsigned max = v6 ? 128 : 32;
	struct allowed_ips_owner *best = NULL;

	while (node && node_contains(node, bits)) {
		if (node->owner)
			best = node->owner;
		if (node->length == max)
			break;
		node = node->child[bit_at(bits, node->length)];
	}
	return best;
}

int allowed_ips_each(const struct allowed_ips_owner *owner,
		     int (*visit)(const struct ip_prefix *prefix, void *context), void *context)
{
	list_foreach(link, (struct list *)(uintptr_t)&owner->nodes) {
		const struct allowed_ips_node *node =
			container_of(link, struct allowed_ips_node, link);
		struct ip_prefix prefix = {
			.address.family = node->v6 ? AF_INET6 : AF_INET,
			.length = node->length,
		};
		int r;

		bits_store(node->bits, prefix.address.bytes);
		r = visit(&prefix, context);
		if (r != 0)
			return r;
	}
	return 0;
}
