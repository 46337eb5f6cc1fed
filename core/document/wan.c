#include "document/wan.h"

#include "netstate/net_item.h"

bool wan_is_candidate(uint32_t address)
{
	static const struct {
		uint32_t network;
		uint8_t length;
	} excluded[] = {
		{ 0x00000000, 8 },  { 0x0a000000, 8 },	{ 0x7f000000, 8 },  { 0xa9fe0000, 16 },
		{ 0xac100000, 12 }, { 0xc0000200, 24 }, { 0xc0a80000, 16 }, { 0xc6336400, 24 },
		{ 0xcb007100, 24 }, { 0xffffffff, 32 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(excluded); i++)
		if (((address ^ excluded[i].network) & ip_v4_mask(excluded[i].length)) == 0)
			return false;
	return true;
}

bool wan_is_host(uint32_t address)
{
	uint32_t first = address >> 24;

	return first != 0 && first != 127 && first < 224; /* not multicast or above */
}

int wan_check_pinned(const json_t *params, struct fault *fault)
{
	const char *text = json_string_value(json_object_get(params, "wanIp"));
	uint32_t address;

	if (!text || (ip_v4_parse(text, &address) == 0 && wan_is_host(address)))
		return 0;
	return fault_set(fault, FAULT_INVALID_REQUEST,
			 "wanIp: %s is not an address that this server can be reached at", text);
}

/* Names in the order in which upstream's ordered map holds them. */
static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Calls @visit for each address of a family of each gateway that may lead to the internet, in key order. */
static void each_of_family(const json_t *document, uint8_t family,
			   bool (*visit)(const json_t *ip_info, const struct ip_address *address,
					 void *context),
			   void *context)
{
	json_t *gateways = json_object_get(document, "gateways");
	cleanup_free const char **names = calloc(json_object_size(gateways) + 1, sizeof(*names));
	const json_t *gateway;
	const char *name;
	size_t count = 0;

	json_object_foreach(gateways, name, gateway)
		if (names)
			names[count++] = name;
	if (count > 0)
		qsort(names, count, sizeof(*names), compare_names);
	for (size_t i = 0; i < count; i++) {
		const json_t *info = json_object_get(json_object_get(gateways, names[i]), "ipInfo");
		const char *type = json_string_value(json_object_get(info, "deviceType"));
		const json_t *subnet;
		size_t j;

		if (strcmp(names[i], NET_LINK_NAME) == 0 || (type && strcmp(type, "loopback") == 0))
			continue;
		json_array_foreach(json_object_get(info, "subnets"), j, subnet) {
			struct ip_prefix prefix;

			if (ip_prefix_parse(json_string_value(subnet), &prefix) == 0 &&
			    prefix.address.family == family &&
			    visit(info, &prefix.address, context))
				return;
		}
	}
}

struct v4_visit {
	bool (*visit)(const json_t *ip_info, uint32_t address, void *context);
	void *context;
};

static bool visit_v4(const json_t *ip_info, const struct ip_address *address, void *context)
{
	const struct v4_visit *v4 = context;

	return v4->visit(ip_info, ip_to_v4(address), v4->context);
}

static void each_address(const json_t *document,
			 bool (*visit)(const json_t *ip_info, uint32_t address, void *context),
			 void *context)
{
	struct v4_visit v4 = { visit, context };

	each_of_family(document, AF_INET, visit_v4, &v4);
}

static bool visit_default(const json_t *ip_info, uint32_t address, void *context)
{
	const char *wan = json_string_value(json_object_get(ip_info, "wanIp"));
	uint32_t *ret = context;
	uint32_t stated;

	if (wan && ip_v4_parse(wan, &stated) == 0 && wan_is_candidate(stated))
		*ret = stated;
	else if (wan_is_candidate(address))
		*ret = address;
	return *ret != 0;
}

bool wan_default(const json_t *document, uint32_t *ret)
{
	uint32_t address = 0;

	each_address(document, visit_default, &address);
	if (address)
		*ret = address;
	return address != 0;
}

static bool read_wan(const json_t *value, uint32_t *ret)
{
	const char *text = json_string_value(json_object_get(value, "wanIp"));

	return text && ip_v4_parse(text, ret) == 0;
}

bool wan_pinned(const struct document_subnet *subnet, const json_t *device, uint32_t *ret)
{
	return read_wan(device, ret) || read_wan(subnet->value, ret);
}

bool wan_of(const json_t *document, uint32_t address, uint32_t *ret)
{
	struct document_subnet subnet;

	if (document_subnet_of(document, address, &subnet) &&
	    wan_pinned(&subnet, document_device(&subnet, address), ret))
		return true;
	return wan_default(document, ret);
}

/* Bridges lead to containers, not to the provider: another address is taken before theirs. */
static bool visit_own(const json_t *ip_info, uint32_t address, void *context)
{
	const char *type = json_string_value(json_object_get(ip_info, "deviceType"));
	struct wan_addresses *ret = context;

	if (ret->count < WAN_ADDRESSES_MAX)
		ret->own[ret->count++] = address;
	if (ret->behind_nat == 0 && !(type && strcmp(type, "bridge") == 0))
		ret->behind_nat = address;
	return false;
}

void wan_addresses(const json_t *document, struct wan_addresses *ret)
{
	*ret = (struct wan_addresses){ 0 };
	each_address(document, visit_own, ret);
}

bool wan_is_own(const struct wan_addresses *addresses, uint32_t address)
{
	for (size_t i = 0; i < addresses->count; i++)
		if (addresses->own[i] == address)
			return true;
	return false;
}

uint32_t wan_local(const struct wan_addresses *addresses, uint32_t wan)
{
	if (wan_is_own(addresses, wan) || addresses->behind_nat == 0 ||
	    wan_is_candidate(addresses->behind_nat))
		return wan;
	return addresses->behind_nat;
}

int wan_fault(const json_t *document, enum fault_kind kind, struct fault *fault)
{
	const json_t *subnets = json_object_get(json_object_get(document, "wg"), "subnets");
	const char *subnet = json_object_iter_key(json_object_iter((json_t *)subnets));
	struct wan_addresses addresses;
	char own[IP_TEXT_MAX];

	wan_addresses(document, &addresses);
	if (addresses.count == 0)
		return fault_set(
			fault, kind,
			"a public IP address: this machine has no IPv4 address at all; give "
			"it one");
	return fault_set(
		fault, kind,
		"a public IP address: this machine has private addresses only (%s). If your "
		"provider maps a public address to it, state that one: start-tunnel subnet %s "
		"set-wan --wan-ip PUBLIC-ADDRESS",
		ip_v4_format(addresses.behind_nat ? addresses.behind_nat : addresses.own[0], own),
		subnet ? subnet : "SUBNET");
}

static bool is_global(const struct ip_address *address)
{
	return address->family == AF_INET6 && (address->bytes[0] & 0xe0) == 0x20;
}

bool wan6_is_host(const struct ip_address *address)
{
	return is_global(address) || document_ipv6_is_local(address);
}

static bool visit_default6(const json_t *ip_info, const struct ip_address *address, void *context)
{
	struct ip_address *ret = context;

	if (is_global(address))
		*ret = *address;
	return ret->family != 0;
}

bool wan6_default(const json_t *document, struct ip_address *ret)
{
	struct ip_address address = { 0 };

	each_of_family(document, AF_INET6, visit_default6, &address);
	if (address.family != 0)
		*ret = address;
	return address.family != 0;
}

struct own6 {
	struct ip_address address;
	bool found;
};

static bool visit_own6(const json_t *ip_info, const struct ip_address *address, void *context)
{
	struct own6 *own = context;

	own->found |= ip_equal(&own->address, address);
	return own->found;
}

bool wan6_is_own(const json_t *document, const struct ip_address *address)
{
	struct own6 own = { *address, false };

	each_of_family(document, AF_INET6, visit_own6, &own);
	return own.found;
}

struct listing {
	json_t *to;
	int r;
};

static bool visit_listed(const json_t *ip_info, const struct ip_address *address, void *context)
{
	struct listing *listing = context;
	char text[IP_TEXT_MAX];

	if (address->family == AF_INET6 && !wan6_is_host(address))
		return false;
	if (json_array_append_new(listing->to, json_string(ip_format(address, text))) < 0)
		listing->r = -ENOMEM;
	return listing->r < 0;
}

int wan_list(const json_t *document, json_t *to)
{
	struct listing listing = { .to = to };

	each_of_family(document, AF_INET, visit_listed, &listing);
	if (listing.r == 0)
		each_of_family(document, AF_INET6, visit_listed, &listing);
	return listing.r;
}
