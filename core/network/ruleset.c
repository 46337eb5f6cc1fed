#include "network/ruleset.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <string.h>
#include <sys/wait.h>

#include "base/ip.h"

#define READ_TRIES 8

#define TEXT_OF(number) #number
#define TEXT_OF_VALUE(macro) TEXT_OF(macro)
#define TRANSPARENT_MARK TEXT_OF_VALUE(NET_TRANSPARENT_MARK)

/*
 * forwards        where packets for an external address and port go (DNAT)
 * published       the same keys: what may be entered from outside, as conntrack remembers it;
 *                 counts what enters
 * answered        the same keys: counts what comes back
 * subnets         the networks behind the interface
 * same_subnet     pairs of addresses that may talk to each other: each subnet with itself
 * hairpin         each device with itself: it reached its own public port
 * egress_device,  what a source address becomes on its way out; a device outranks its subnet
 * egress_subnet
 *
 * Connections that this machine makes to devices from the addresses of others (transparent sockets) are
 * marked, and what comes back on them too: a routing rule leads that to the sockets.
 *
 * What came in through a forward is looked up in "published" packet by packet, established or not:
 * a forward that is removed ends at once, and its connections are only tidied up later (sweep.c).
 *
 * A service that is reached through "forwards" sees the client's own address, except in two cases
 * whose replies would not come back to us: this machine's own connections, and those of a device to
 * itself.
 */
static const char rules[] =
	"table inet " RULESET_TABLE " {\n"
	"	map forwards {\n"
	"		type ipv4_addr . inet_service : ipv4_addr . inet_service\n"
	"	}\n"
	"	set published {\n"
	"		type ipv4_addr . inet_service\n"
	"		counter\n"
	"	}\n"
	"	set answered {\n"
	"		type ipv4_addr . inet_service\n"
	"		counter\n"
	"	}\n"
	"	set subnets {\n"
	"		type ipv4_addr\n"
	"		flags interval\n"
	"	}\n"
	"	set same_subnet {\n"
	"		type ipv4_addr . ipv4_addr\n"
	"		flags interval\n"
	"	}\n"
	"	set hairpin {\n"
	"		type ipv4_addr . ipv4_addr\n"
	"	}\n"
	"	map egress_device {\n"
	"		type ipv4_addr : ipv4_addr\n"
	"	}\n"
	"	map egress_subnet {\n"
	"		type ipv4_addr : ipv4_addr\n"
	"		flags interval\n"
	"	}\n"
	"	chain note_source {\n"
	"		type filter hook output priority -150; policy accept;\n"
	"		oifname \"" NET_LINK_NAME "\" meta mark " TRANSPARENT_MARK
	" ct mark set meta mark\n"
	"	}\n"
	"	chain recall_source {\n"
	"		type filter hook prerouting priority -150; policy accept;\n"
	"		iifname \"" NET_LINK_NAME "\" ct direction reply ct mark " TRANSPARENT_MARK
	" meta mark set ct mark\n"
	"	}\n"
	"	chain prerouting {\n"
	"		type nat hook prerouting priority -100; policy accept;\n"
	"		meta l4proto { tcp, udp } dnat ip to ip daddr . th dport map @forwards\n"
	"	}\n"
	"	chain output {\n"
	"		type nat hook output priority -100; policy accept;\n"
	"		meta l4proto { tcp, udp } dnat ip to ip daddr . th dport map @forwards\n"
	"	}\n"
	"	chain clamp {\n"
	"		type filter hook forward priority -150; policy accept;\n"
	"		tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu\n"
	"	}\n"
	"	chain forward {\n"
	"		type filter hook forward priority 0; policy drop;\n"
	"		oifname \"" NET_LINK_NAME
	"\" ct status dnat ct direction original jump entered\n"
	"		iifname \"" NET_LINK_NAME
	"\" ct status dnat ct direction reply jump returned\n"
	"		ct state established,related accept\n"
	"		iifname \"" NET_LINK_NAME "\" oifname \"" NET_LINK_NAME "\""
	" ct state new ip saddr . ip daddr @same_subnet accept\n"
	"		iifname \"" NET_LINK_NAME "\" oifname != \"" NET_LINK_NAME "\""
	" ct state new ip saddr @subnets accept\n"
	"	}\n"
	"	chain entered {\n"
	"		meta l4proto tcp ct original ip daddr . ct original proto-dst @published accept\n"
	"		meta l4proto udp ct original ip daddr . ct original proto-dst @published accept\n"
	"		meta l4proto { tcp, udp } drop\n"
	"	}\n"
	"	chain returned {\n"
	"		meta l4proto tcp ct original ip daddr . ct original proto-dst @answered accept\n"
	"		meta l4proto udp ct original ip daddr . ct original proto-dst @answered accept\n"
	"	}\n"
	"	chain postrouting {\n"
	"		type nat hook postrouting priority 100; policy accept;\n"
	"		oifname \"" NET_LINK_NAME
	"\" ct status dnat fib saddr type local masquerade\n"
	"		oifname \"" NET_LINK_NAME "\" ct status dnat ip saddr . ip daddr @hairpin"
	" masquerade\n"
	"		oifname { \"lo\", \"" NET_LINK_NAME "\" } accept\n"
	"		snat ip to ip saddr map @egress_device\n"
	"		snat ip to ip saddr map @egress_subnet\n"
	"		ip saddr @subnets masquerade\n"
	"	}\n"
	"}\n";

/*
 * What is added where some subnet has IPv6. Sets are as those of IPv4, and
 *
 * forwards6       only those that lead elsewhere; a pinhole needs no translation
 * published6      those, and pinholes: addresses of devices with the ports that may be entered
 * masquerade6     the networks whose addresses are of no use outside (ULA)
 *
 * Devices with global addresses are routed to. So whatever enters one from elsewhere than its own subnet
 * is looked up, packet by packet; the answers it gets are of its own connections, which it began: what
 * goes on after its pinhole was closed does not count as begun.
 */
static const char rules6[] =
	"table inet " RULESET_TABLE " {\n"
	"	map forwards6 {\n"
	"		type ipv6_addr . inet_service : ipv6_addr . inet_service\n"
	"	}\n"
	"	set " RULESET_ENTERED6 " {\n"
	"		type ipv6_addr . inet_service\n"
	"		counter\n"
	"	}\n"
	"	set " RULESET_RETURNED6 " {\n"
	"		type ipv6_addr . inet_service\n"
	"		counter\n"
	"	}\n"
	"	set subnets6 {\n"
	"		type ipv6_addr\n"
	"		flags interval\n"
	"	}\n"
	"	set same_subnet6 {\n"
	"		type ipv6_addr . ipv6_addr\n"
	"		flags interval\n"
	"	}\n"
	"	set hairpin6 {\n"
	"		type ipv6_addr . ipv6_addr\n"
	"	}\n"
	"	set masquerade6 {\n"
	"		type ipv6_addr\n"
	"		flags interval\n"
	"	}\n"
	"	chain prerouting {\n"
	"		meta l4proto { tcp, udp } dnat ip6 to ip6 daddr . th dport map @forwards6\n"
	"	}\n"
	"	chain output {\n"
	"		meta l4proto { tcp, udp } dnat ip6 to ip6 daddr . th dport map @forwards6\n"
	"	}\n"
	"	chain forward {\n"
	"		iifname \"" NET_LINK_NAME "\" oifname \"" NET_LINK_NAME "\""
	" ct state new ip6 saddr . ip6 daddr @same_subnet6 accept\n"
	"		iifname \"" NET_LINK_NAME "\" oifname != \"" NET_LINK_NAME "\""
	" ct state new ip6 saddr @subnets6 tcp flags & (fin | syn | rst | ack) != syn"
	" reject with tcp reset\n"
	"		iifname \"" NET_LINK_NAME "\" oifname != \"" NET_LINK_NAME "\""
	" ct state new ip6 saddr @subnets6 accept\n"
	"	}\n"
	"}\n"
	"insert rule inet " RULESET_TABLE " forward iifname \"" NET_LINK_NAME
	"\" ct status and dnat == 0 ct direction reply meta nfproto ipv6 jump returned\n"
	"insert rule inet " RULESET_TABLE " forward oifname \"" NET_LINK_NAME
	"\" ct status and dnat == 0 ct direction original ip6 saddr . ip6 daddr != @same_subnet6"
	" jump entered\n"
	"insert rule inet " RULESET_TABLE " entered meta l4proto udp"
	" ct original ip6 daddr . ct original proto-dst @" RULESET_ENTERED6 " accept\n"
	"insert rule inet " RULESET_TABLE " entered meta l4proto tcp"
	" ct original ip6 daddr . ct original proto-dst @" RULESET_ENTERED6 " accept\n"
	"insert rule inet " RULESET_TABLE " returned meta l4proto udp"
	" ct original ip6 daddr . ct original proto-dst @" RULESET_RETURNED6 " accept\n"
	"insert rule inet " RULESET_TABLE " returned meta l4proto tcp"
	" ct original ip6 daddr . ct original proto-dst @" RULESET_RETURNED6 " accept\n"
	"insert rule inet " RULESET_TABLE " postrouting oifname \"" NET_LINK_NAME
	"\" ct status dnat ip6 saddr . ip6 daddr @hairpin6 masquerade\n"
	"add rule inet " RULESET_TABLE " postrouting ip6 saddr @masquerade6 masquerade\n";

/* How a fact and an element correspond. */
enum element_form {
	FORM_PORT, /* address . port */
	FORM_PORT_MAP, /* address . port : address . port */
	FORM_INTERVAL, /* network */
	FORM_INTERVAL_MAP, /* network : address */
	FORM_PAIR, /* network . the same network */
	FORM_TWICE, /* address . the same address */
	FORM_ADDRESS_MAP, /* address : address */
};

static const struct set_row {
	enum fact_kind kind;
	enum element_form form;
	const char *name;
	uint8_t size; /* of an address */
} sets[] = {
	{ FACT_FORWARD, FORM_PORT_MAP, "forwards", 4 },
	{ FACT_PUBLISHED, FORM_PORT, RULESET_ENTERED, 4 },
	{ FACT_ANSWERED, FORM_PORT, RULESET_RETURNED, 4 },
	{ FACT_SUBNET, FORM_INTERVAL, "subnets", 4 },
	{ FACT_SAME_SUBNET, FORM_PAIR, "same_subnet", 4 },
	{ FACT_HAIRPIN, FORM_TWICE, "hairpin", 4 },
	{ FACT_EGRESS_DEVICE, FORM_ADDRESS_MAP, "egress_device", 4 },
	{ FACT_EGRESS_SUBNET, FORM_INTERVAL_MAP, "egress_subnet", 4 },
	{ FACT_FORWARD6, FORM_PORT_MAP, "forwards6", 16 },
	{ FACT_PUBLISHED6, FORM_PORT, RULESET_ENTERED6, 16 },
	{ FACT_ANSWERED6, FORM_PORT, RULESET_RETURNED6, 16 },
	{ FACT_SUBNET6, FORM_INTERVAL, "subnets6", 16 },
	{ FACT_SAME_SUBNET6, FORM_PAIR, "same_subnet6", 16 },
	{ FACT_HAIRPIN6, FORM_TWICE, "hairpin6", 16 },
	{ FACT_MASQUERADE6, FORM_INTERVAL, "masquerade6", 16 },
};

static const struct set_row *row_of(const struct fact *fact)
{
	return &sets[fact->kind - FACT_FORWARD];
}

static void format_address(const uint8_t *bytes, uint8_t size, char to[IP_TEXT_MAX])
{
	struct ip_address address = { .family = size == 4 ? AF_INET : AF_INET6 };

	memcpy(address.bytes, bytes, size);
	(void)ip_format(&address, to);
}

static void write_element(struct text *to, const struct set_row *row, const struct fact *fact)
{
	char address[IP_TEXT_MAX], value[IP_TEXT_MAX];
	uint8_t size = row->size, length = fact->key[size];
	uint16_t port = fact_port(fact->key + size);

	format_address(fact->key, size, address);
	format_address(fact->value, size, value);
	switch (row->form) {
	case FORM_PORT:
		text_printf(to, "%s . %u", address, port);
		break;
	case FORM_PORT_MAP:
		text_printf(to, "%s . %u : %s . %u", address, port, value,
			    fact_port(fact->value + size));
		break;
	case FORM_INTERVAL:
		text_printf(to, "%s/%u", address, length);
		break;
	case FORM_INTERVAL_MAP:
		text_printf(to, "%s/%u : %s", address, length, value);
		break;
	case FORM_PAIR:
		text_printf(to, "%s/%u . %s/%u", address, length, address, length);
		break;
	case FORM_TWICE:
		text_printf(to, "%s . %s", address, address);
		break;
	case FORM_ADDRESS_MAP:
		text_printf(to, "%s : %s", address, value);
		break;
	}
}

static bool has_counter(const struct fact *fact)
{
	return fact->kind == FACT_PUBLISHED || fact->kind == FACT_PUBLISHED6 ||
	       fact->kind == FACT_ANSWERED || fact->kind == FACT_ANSWERED6;
}

static bool counts_what_enters(const struct fact *fact)
{
	return fact->kind == FACT_PUBLISHED || fact->kind == FACT_PUBLISHED6;
}

/* What the table that is replaced has counted goes on. */
static void write_counter(struct text *to, const struct fact *fact, const struct traffic *traffic)
{
	const struct traffic_port *port = traffic_find(traffic, fact->key);
	unsigned direction = counts_what_enters(fact) ? TRAFFIC_ENTERED : TRAFFIC_RETURNED;

	if (port && port->packets[direction] > 0)
		text_printf(to, " counter packets %" PRIu64 " bytes %" PRIu64,
			    port->packets[direction], port->bytes[direction]);
}

/* The facts are sorted: those of one set follow each other. */
static void write_elements(struct text *to, const struct fact_set *facts,
			   const struct traffic *traffic)
{
	const struct set_row *row = NULL;

	for (size_t i = 0; i < facts->count; i++) {
		const struct fact *fact = &facts->facts[i];

		if (!fact_is_element(fact))
			continue;
		if (row != row_of(fact)) {
			text_append(to, row ? " }\n" : "");
			row = row_of(fact);
			text_printf(to, "add element inet " RULESET_TABLE " %s { ", row->name);
		} else {
			text_append(to, ", ");
		}
		write_element(to, row, fact);
		if (traffic && has_counter(fact))
			write_counter(to, fact, traffic);
	}
	text_append(to, row ? " }\n" : "");
}

/* "add" before "delete", because deleting what is not there is an error. */
void ruleset_write_delete(struct text *to)
{
	text_append(to, "add table inet " RULESET_TABLE "\n"
			"delete table inet " RULESET_TABLE "\n");
}

void ruleset_write(struct text *to, const struct fact_set *facts, const struct traffic *traffic)
{
	const struct fact like = { .kind = FACT_RULESET };
	const struct fact *which = fact_set_find(facts, &like);

	ruleset_write_delete(to);
	text_append(to, rules);
	if (which && which->value[0] == FACT_RULESET_V6)
		text_append(to, rules6);
	write_elements(to, facts, traffic);
}

/* A network of one's own: by CAP_SYS_ADMIN, or as the root of a user namespace, where users may make some. */
static int enter_own_network(void)
{
	if (unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0)
		return 0;
	return -errno;
}

/* In the child. Returns its exit status. */
static int draw_reference(enum fact_ruleset which, int to)
{
	CLEANUP(text_done) struct text text = { 0 };
	CLEANUP(netlink_free) struct netlink *nl = NULL;
	CLEANUP(text_done) struct text error = { 0 };
	CLEANUP(text_done) struct text picture = { 0 };
	int r = enter_own_network();

	text_append(&text, rules);
	if (which == FACT_RULESET_V6)
		text_append(&text, rules6);
	if (r == 0)
		r = text_error(&text);
	if (r == 0)
		r = nft_load(text.data, &error);
	if (r == 0)
		r = netlink_new(NETLINK_NETFILTER, &nl);
	if (r == 0)
		r = nft_table_picture(nl, RULESET_TABLE, &picture);
	for (size_t sent = 0; r == 0 && sent < picture.size;) {
		ssize_t n = write(to, picture.data + sent, picture.size - sent);

		if (n < 0)
			r = -errno;
		else
			sent += (size_t)n;
	}
	return -r;
}

static int read_reference(int from, struct text *to)
{
	char chunk[4096];
	ssize_t n;

	while ((n = read(from, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			text_append_bytes(to, chunk, (size_t)n);
	}
	return text_error(to);
}

int ruleset_reference(enum fact_ruleset which, struct text *ret)
{
	CLEANUP(text_done) struct text picture = { .max = 1 << 20 };
	int ends[2], status, r;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		_exit(draw_reference(which, ends[1]));
	(void)close(ends[1]);
	r = pid < 0 ? -errno : read_reference(ends[0], &picture);
	(void)close(ends[0]);
	if (pid > 0 && waitpid(pid, &status, 0) < 0)
		r = -errno;
	if (r == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
		r = WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
	if (r < 0)
		return r;
	*ret = picture;
	picture = (struct text){ 0 };
	return 0;
}

/* The last address of a network. */
static void put_last(uint8_t *to, const uint8_t *network, uint8_t size, uint8_t length)
{
	for (uint8_t i = 0; i < size; i++) {
		uint8_t bits = length >= 8 * (i + 1) ? 8 : length <= 8 * i ? 0 : length % 8;

		to[i] = (uint8_t)(network[i] | 0xff >> bits);
	}
}

static void increment(uint8_t *address, uint8_t size)
{
	while (size > 0 && ++address[size - 1] == 0)
		size--;
}

static void decrement(uint8_t *address, uint8_t size)
{
	while (size > 0 && address[size - 1]-- == 0)
		size--;
}

/* One element, or two: an interval is its start and the key after its end. Returns how many. */
static size_t make_elements(const struct fact *fact, struct nft_element ret[2])
{
	const struct set_row *row = row_of(fact);
	uint8_t size = row->size, length = fact->key[size];

	ret[0] = ret[1] = (struct nft_element){ .key_size = size };
	memcpy(ret[0].key, fact->key, size);
	switch (row->form) {
	case FORM_PORT_MAP:
		ret[0].value_size = size + 4;
		memcpy(ret[0].value, fact->value, size + 2);
		__attribute__((fallthrough));
	case FORM_PORT:
		ret[0].key_size = size + 4;
		memcpy(ret[0].key + size, fact->key + size, 2);
		return 1;
	case FORM_TWICE:
		ret[0].key_size = 2 * size;
		memcpy(ret[0].key + size, fact->key, size);
		return 1;
	case FORM_ADDRESS_MAP:
		ret[0].value_size = size;
		memcpy(ret[0].value, fact->value, size);
		return 1;
	case FORM_PAIR:
		ret[0].key_size = ret[0].key_end_size = 2 * size;
		memcpy(ret[0].key + size, fact->key, size);
		put_last(ret[0].key_end, fact->key, size, length);
		put_last(ret[0].key_end + size, fact->key, size, length);
		return 1;
	case FORM_INTERVAL_MAP:
		ret[0].value_size = size;
		memcpy(ret[0].value, fact->value, size);
		__attribute__((fallthrough));
	case FORM_INTERVAL:
		put_last(ret[1].key, fact->key, size, length);
		increment(ret[1].key, size);
		ret[1].interval_end = true;
		return 2;
	}
	return 0;
}

static void batch_remove(struct nft_batch *batch, struct netlink *nl, const struct fact *fact)
{
	struct nft_element elements[2];
	size_t count = make_elements(fact, elements);

	for (size_t i = 0; i < count; i++)
		nft_batch_remove(batch, nl, RULESET_TABLE, row_of(fact)->name, &elements[i]);
}

/* Exclusive: that an element is there although we do not know of it is to be noticed. */
static void batch_add(struct nft_batch *batch, struct netlink *nl, const struct fact *fact)
{
	struct nft_element elements[2];
	size_t count = make_elements(fact, elements);

	for (size_t i = 0; i < count; i++)
		nft_batch_add(batch, nl, RULESET_TABLE, row_of(fact)->name, &elements[i], true);
}

void ruleset_batch(struct nft_batch *batch, struct netlink *nl, const struct plan *plan)
{
	for (size_t i = 0; i < plan->count; i++) {
		const struct change *change = &plan->changes[i];

		if (change->kind != CHANGE_ADD && fact_is_element(&change->before))
			batch_remove(batch, nl, &change->before);
	}
	for (size_t i = 0; i < plan->count; i++) {
		const struct change *change = &plan->changes[i];

		if (change->kind != CHANGE_REMOVE && fact_is_element(&change->after))
			batch_add(batch, nl, &change->after);
	}
}

/* A reading of one set. Bounds of intervals come in any order and are joined at the end. */
struct element_reading {
	const struct set_row *row;
	struct fact_set *facts;
	struct nft_element *bounds;
	size_t bound_count;
	size_t bound_capacity;
	bool foreign;
};

static int keep_bound(struct element_reading *reading, const struct nft_element *element)
{
	size_t capacity = reading->bound_capacity ? reading->bound_capacity * 2 : 16;
	struct nft_element *bounds;

	if (reading->bound_count == reading->bound_capacity) {
		bounds = reallocarray(reading->bounds, capacity, sizeof(*bounds));
		if (!bounds)
			return -ENOMEM;
		reading->bounds = bounds;
		reading->bound_capacity = capacity;
	}
	reading->bounds[reading->bound_count++] = *element;
	return 0;
}

/* The length of the prefix that spans exactly @first to @last, or 0: none does. */
static uint8_t prefix_of(const uint8_t *first, const uint8_t *last, uint8_t size)
{
	uint8_t length = 0, same[NFT_ELEMENT_MAX], end[NFT_ELEMENT_MAX];

	while (length < 8 * size &&
	       ((first[length / 8] ^ last[length / 8]) & 0x80 >> length % 8) == 0)
		length++;
	put_last(end, first, size, length);
	put_last(same, last, size, length);
	if (memcmp(end, last, size) != 0 || memcmp(same, last, size) != 0)
		return 0;
	for (uint8_t bit = length; bit < 8 * size; bit++)
		if (first[bit / 8] & 0x80 >> bit % 8)
			return 0;
	return length;
}

static bool has_sizes(const struct nft_element *element, uint8_t key, uint8_t end, uint8_t value)
{
	return element->key_size == key && element->key_end_size == end &&
	       element->value_size == value && !element->interval_end;
}

/* The fact that an element means. Whether it means one. */
static bool read_element(const struct nft_element *element, const struct set_row *row,
			 struct fact *fact)
{
	uint8_t size = row->size;

	memcpy(fact->key, element->key, size);
	switch (row->form) {
	case FORM_PORT:
	case FORM_PORT_MAP:
		memcpy(fact->key, element->key, size + 2);
		memcpy(fact->value, element->value, size + 2);
		return has_sizes(element, size + 4, 0, row->form == FORM_PORT ? 0 : size + 4);
	case FORM_TWICE:
		return has_sizes(element, 2 * size, 0, 0) &&
		       memcmp(element->key, element->key + size, size) == 0;
	case FORM_ADDRESS_MAP:
		memcpy(fact->value, element->value, size);
		return has_sizes(element, size, 0, size);
	case FORM_PAIR:
		fact->key[size] = prefix_of(element->key, element->key_end, size);
		return has_sizes(element, 2 * size, 2 * size, 0) && fact->key[size] != 0 &&
		       memcmp(element->key, element->key + size, size) == 0 &&
		       memcmp(element->key_end, element->key_end + size, size) == 0;
	default:
		return false;
	}
}

static int visit_element(const struct nft_element *element, void *context)
{
	struct element_reading *reading = context;
	enum element_form form = reading->row->form;
	struct fact fact = { .kind = (uint8_t)reading->row->kind };

	if (form == FORM_INTERVAL || form == FORM_INTERVAL_MAP)
		return keep_bound(reading, element);
	if (read_element(element, reading->row, &fact))
		fact_set_append(reading->facts, &fact);
	else
		reading->foreign = true;
	return 0;
}

/* By address; where one interval ends and the next begins, the end comes first. */
static int compare_bounds(const void *a, const void *b)
{
	const struct nft_element *one = a, *other = b;
	int order = memcmp(one->key, other->key, sizeof(one->key));

	return order != 0 ? order : (int)other->interval_end - (int)one->interval_end;
}

/* nft puts an end without a start before the first interval: it means nothing. */
static void join_bounds(struct element_reading *reading)
{
	uint8_t size = reading->row->size;
	uint8_t value_size = reading->row->form == FORM_INTERVAL_MAP ? size : 0;

	if (reading->bound_count > 0)
		qsort(reading->bounds, reading->bound_count, sizeof(*reading->bounds),
		      compare_bounds);
	for (size_t i = 0; i < reading->bound_count; i++) {
		const struct nft_element *start = &reading->bounds[i], *end = start + 1;
		struct fact fact = { .kind = (uint8_t)reading->row->kind };
		uint8_t last[NFT_ELEMENT_MAX];

		if (start->interval_end)
			continue;
		if (i + 1 == reading->bound_count || !end->interval_end ||
		    !has_sizes(start, size, 0, value_size)) {
			reading->foreign = true;
			continue;
		}
		memcpy(last, end->key, size);
		decrement(last, size);
		memcpy(fact.key, start->key, size);
		memcpy(fact.value, start->value, value_size);
		fact.key[size] = prefix_of(start->key, last, size);
		if (fact.key[size] == 0)
			reading->foreign = true;
		else
			fact_set_append(reading->facts, &fact);
	}
}

static int read_set(struct netlink *nl, const struct set_row *row, struct fact_set *facts,
		    bool *foreign)
{
	size_t count = facts->count;
	int r = -EINTR;

	for (int i = 0; i < READ_TRIES && r == -EINTR; i++) {
		struct element_reading reading = { .row = row, .facts = facts };

		facts->count = count;
		r = nft_elements_each(nl, RULESET_TABLE, row->name, visit_element, &reading);
		if (r == 0) {
			join_bounds(&reading);
			*foreign |= reading.foreign;
		}
		free(reading.bounds);
	}
	if (r == -ENOENT && row->size == NET_ADDRESS6_SIZE)
		r = 0; /* the picture tells whether it has to be there */
	return r == 0 ? facts->error : r;
}

int ruleset_read(struct netlink *nl, struct fact_set *facts, bool *ret_foreign)
{
	bool foreign = false;
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(sets) && r == 0; i++)
		r = read_set(nl, &sets[i], facts, &foreign);
	if (r == 0)
		*ret_foreign = foreign;
	return r;
}
