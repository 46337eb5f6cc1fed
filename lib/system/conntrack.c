#include "system/conntrack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>

/* Bits of CTA_FILTER_ORIG_FLAGS, by the order of the kernel's enum (nf_internals.h). */
#define FILTER_IP_DST (1U << 1)
#define FILTER_PROTO_NUM (1U << 3)
#define FILTER_PROTO_DST_PORT (1U << 5)
#define WALK_TRIES 8 /* the table may get another size meanwhile: then it begins anew */

/* The entries of one step that are to be deleted. */
struct victims {
	struct nf_conntrack **entries;
	size_t count;
	size_t capacity;
	const struct conntrack_filter *filter;
	conntrack_match match;
	void *context;
};

struct conntrack_walk {
	struct netlink *nl;
	struct netlink *dump;
	struct conntrack_filter filter;
	int tries;
};

static void victims_done(struct victims *victims)
{
	for (size_t i = 0; i < victims->count; i++)
		nfct_destroy(victims->entries[i]);
	free(victims->entries);
}
DEFINE_CLEANUP_DONE(struct victims, victims_done);

/* Takes @entry. */
static int victims_add(struct victims *victims, struct nf_conntrack *entry)
{
	size_t capacity = victims->capacity ? victims->capacity * 2 : 16;
	struct nf_conntrack **entries;

	if (victims->count == victims->capacity) {
		entries = reallocarray(victims->entries, capacity, sizeof(struct nf_conntrack *));
		if (!entries)
			return -ENOMEM;
		victims->entries = entries;
		victims->capacity = capacity;
	}
	victims->entries[victims->count++] = entry;
	return 0;
}

static struct ip_address read_address(const struct nf_conntrack *entry, enum nf_conntrack_attr v4,
				      enum nf_conntrack_attr v6)
{
	struct ip_address address = { .family = nfct_get_attr_u8(entry, ATTR_ORIG_L3PROTO) };
	const void *bytes = nfct_get_attr(entry, address.family == AF_INET6 ? v6 : v4);

	if (bytes)
		memcpy(address.bytes, bytes, address.family == AF_INET6 ? 16 : 4);
	return address;
}

static struct conntrack_flow read_flow(const struct nf_conntrack *entry)
{
	return (struct conntrack_flow){
		.protocol = nfct_get_attr_u8(entry, ATTR_ORIG_L4PROTO),
		.destination_translated = nfct_get_attr_u32(entry, ATTR_STATUS) & IPS_DST_NAT,
		.source = read_address(entry, ATTR_ORIG_IPV4_SRC, ATTR_ORIG_IPV6_SRC),
		.destination = read_address(entry, ATTR_ORIG_IPV4_DST, ATTR_ORIG_IPV6_DST),
		.destination_port = ntohs(nfct_get_attr_u16(entry, ATTR_ORIG_PORT_DST)),
		.target = read_address(entry, ATTR_REPL_IPV4_SRC, ATTR_REPL_IPV6_SRC),
		.target_port = ntohs(nfct_get_attr_u16(entry, ATTR_REPL_PORT_SRC)),
	};
}

static bool is_filtered(const struct conntrack_flow *flow, const struct conntrack_filter *filter)
{
	return filter->destination.family == 0 ||
	       ip_equal(&filter->destination, &flow->destination);
}

static int visit_entry(const struct nlmsghdr *message, void *context)
{
	struct victims *victims = context;
	struct nf_conntrack *entry = nfct_new();
	struct conntrack_flow flow;
	int r;

	if (!entry)
		return -ENOMEM;
	if (nfct_nlmsg_parse(message, entry) < 0) {
		nfct_destroy(entry);
		return 0;
	}
	flow = read_flow(entry);
	if ((flow.protocol != IPPROTO_TCP && flow.protocol != IPPROTO_UDP) ||
	    !is_filtered(&flow, victims->filter) || !victims->match(&flow, victims->context)) {
		nfct_destroy(entry);
		return 0;
	}
	r = victims_add(victims, entry);
	if (r < 0)
		nfct_destroy(entry);
	return r;
}

static struct nlmsghdr *begin(void *buffer, unsigned type, uint16_t flags, uint8_t family)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *general;

	message->nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type);
	message->nlmsg_flags = flags;
	general = mnl_nlmsg_put_extra_header(message, sizeof(*general));
	general->nfgen_family = family;
	general->version = NFNETLINK_V0;
	return message;
}

static void put_filter(struct nlmsghdr *message, const struct conntrack_filter *filter)
{
	struct nlattr *tuple = mnl_attr_nest_start(message, CTA_TUPLE_ORIG);
	struct nlattr *nested = mnl_attr_nest_start(message, CTA_TUPLE_IP);
	uint32_t flags = 0;

	/* Kernels give out all IPv6 entries but those of the address: we choose these ourselves. */
	if (filter->destination.family == AF_INET) {
		flags |= FILTER_IP_DST;
		mnl_attr_put(message, CTA_IP_V4_DST, 4, filter->destination.bytes);
	}
	mnl_attr_nest_end(message, nested);
	nested = mnl_attr_nest_start(message, CTA_TUPLE_PROTO);
	if (filter->protocol) {
		flags |= FILTER_PROTO_NUM;
		mnl_attr_put_u8(message, CTA_PROTO_NUM, filter->protocol);
	}
	if (filter->protocol && filter->destination_port) {
		flags |= FILTER_PROTO_DST_PORT;
		mnl_attr_put_u16(message, CTA_PROTO_DST_PORT, htons(filter->destination_port));
	}
	mnl_attr_nest_end(message, nested);
	mnl_attr_nest_end(message, tuple);
	nested = mnl_attr_nest_start(message, CTA_FILTER);
	mnl_attr_put_u32(message, CTA_FILTER_ORIG_FLAGS, flags);
	mnl_attr_put_u32(message, CTA_FILTER_REPLY_FLAGS, 0);
	mnl_attr_nest_end(message, nested);
}

static int ask(struct conntrack_walk *walk)
{
	_Alignas(struct nlmsghdr) char buffer[512] = { 0 };
	struct nlmsghdr *message = begin(buffer, IPCTNL_MSG_CT_GET, 0, walk->filter.family);

	if (walk->filter.destination.family != 0 || walk->filter.protocol)
		put_filter(message, &walk->filter);
	walk->tries++;
	return netlink_dump_begin(walk->dump, message);
}

int conntrack_walk_new(struct netlink *nl, const struct conntrack_filter *filter,
		       struct conntrack_walk **ret)
{
	CLEANUP(conntrack_walk_free) struct conntrack_walk *walk = calloc(1, sizeof(*walk));
	int r;

	if (!walk)
		return -ENOMEM;
	walk->nl = nl;
	walk->filter = *filter;
	r = netlink_new(NETLINK_NETFILTER, &walk->dump);
	if (r == 0)
		r = ask(walk);
	if (r == 0)
		*ret = TAKE_PTR(walk);
	return r;
}

struct conntrack_walk *conntrack_walk_free(struct conntrack_walk *walk)
{
	if (walk) {
		(void)netlink_free(walk->dump);
		free(walk);
	}
	return NULL;
}

/* By tuple and id: an entry that ended and came again in between is another one. */
static int delete_entry(struct netlink *nl, const struct nf_conntrack *entry)
{
	_Alignas(struct nlmsghdr) char buffer[4096] = { 0 };
	struct nlmsghdr *message =
		begin(buffer, IPCTNL_MSG_CT_DELETE, 0, nfct_get_attr_u8(entry, ATTR_ORIG_L3PROTO));
	struct nf_conntrack *key = nfct_new();
	int r;

	if (!key)
		return -ENOMEM;
	nfct_copy(key, entry, NFCT_CP_ORIG);
	r = nfct_nlmsg_build(message, key) < 0 ? -errno : 0;
	nfct_destroy(key);
	if (r < 0)
		return r;
	mnl_attr_put_u32(message, CTA_ID, htonl(nfct_get_attr_u32(entry, ATTR_ID)));
	r = netlink_request(nl, message, NULL, NULL);
	return r == -ENOENT ? 0 : r;
}

int conntrack_walk_step(struct conntrack_walk *walk, conntrack_match match, void *context)
{
	CLEANUP(victims_done)
	struct victims victims = { .filter = &walk->filter, .match = match, .context = context };
	int more = netlink_dump_next(walk->dump, visit_entry, &victims);
	int r = 0;

	if (more == -EINTR && walk->tries < WALK_TRIES) {
		r = ask(walk);
		more = 1;
	}
	for (size_t i = 0; i < victims.count && r == 0; i++)
		r = delete_entry(walk->nl, victims.entries[i]);
	return r < 0 ? r : more;
}
