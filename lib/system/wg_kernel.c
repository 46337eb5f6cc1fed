/*
 * A change is sent in as many messages as it needs: WGDEVICE_A_PEERS is a nested attribute and
 * holds less than 64 KiB. A peer whose allowed IPs do not fit goes on in the next message under the
 * same key, without the flag that would replace them (linux/wireguard.h). A reading comes the same
 * way.
 */
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/wireguard.h>
#include <net/if.h>
#include <string.h>

#include "base/secret.h"
#include "system/wg_link_internal.h"

#define MESSAGE_ROOM 32768
#define PEER_ROOM 256 /* a peer without its allowed IPs */
#define ALLOWED_IP_ROOM 64
#define READ_TRIES 8 /* of a device that changes while it is read */

static int read_family_attribute(const struct nlattr *attribute, void *context)
{
	uint16_t *family = context;

	if (mnl_attr_get_type(attribute) == CTRL_ATTR_FAMILY_ID)
		*family = mnl_attr_get_u16(attribute);
	return MNL_CB_OK;
}

static int read_family(const struct nlmsghdr *message, void *context)
{
	(void)mnl_attr_parse(message, sizeof(struct genlmsghdr), read_family_attribute, context);
	return 0;
}

static struct nlmsghdr *begin(void *buffer, uint16_t family, uint16_t flags, uint8_t command,
			      uint8_t version)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct genlmsghdr *general;

	message->nlmsg_type = family;
	message->nlmsg_flags = flags;
	general = mnl_nlmsg_put_extra_header(message, sizeof(*general));
	general->cmd = command;
	general->version = version;
	return message;
}

static int find_family(struct netlink *nl, uint16_t *ret)
{
	_Alignas(struct nlmsghdr) char buffer[256] = { 0 };
	struct nlmsghdr *message = begin(buffer, GENL_ID_CTRL, 0, CTRL_CMD_GETFAMILY, 1);
	uint16_t family = 0;
	int r;

	mnl_attr_put_strz(message, CTRL_ATTR_FAMILY_NAME, WG_GENL_NAME);
	r = netlink_request(nl, message, read_family, &family);
	if (r < 0)
		return r;
	if (family == 0)
		return -ENOENT;
	*ret = family;
	return 0;
}

/* How far a change was written: the next peer, and its next allowed IP. */
struct position {
	size_t peer;
	size_t allowed_ip;
};

static bool put_allowed_ips(struct nlmsghdr *message, const struct wg_config_peer *peer,
			    struct position *at)
{
	struct nlattr *list = mnl_attr_nest_start(message, WGPEER_A_ALLOWEDIPS);

	for (; at->allowed_ip < peer->allowed_ip_count; at->allowed_ip++) {
		const struct ip_prefix *prefix = &peer->allowed_ips[at->allowed_ip].prefix;
		bool v4 = prefix->address.family == AF_INET;
		struct nlattr *one;

		if (message->nlmsg_len + ALLOWED_IP_ROOM > MESSAGE_ROOM)
			break;
		one = mnl_attr_nest_start(message, (uint16_t)0);
		mnl_attr_put_u16(message, WGALLOWEDIP_A_FAMILY, prefix->address.family);
		mnl_attr_put(message, WGALLOWEDIP_A_IPADDR, v4 ? 4 : 16, prefix->address.bytes);
		mnl_attr_put_u8(message, WGALLOWEDIP_A_CIDR_MASK, prefix->length);
		mnl_attr_nest_end(message, one);
	}
	mnl_attr_nest_end(message, list);
	return at->allowed_ip == peer->allowed_ip_count;
}

static uint32_t peer_flags(const struct wg_config_peer *peer, bool again)
{
	uint32_t flags = 0;

	if (peer->has & WG_PEER_REMOVE)
		flags |= WGPEER_F_REMOVE_ME;
	if (peer->has & WG_PEER_UPDATE_ONLY)
		flags |= WGPEER_F_UPDATE_ONLY;
	if (peer->has & WG_PEER_REPLACE_ALLOWED_IPS && !again)
		flags |= WGPEER_F_REPLACE_ALLOWEDIPS;
	return flags;
}

/* Whether all of the peer found room. */
static bool put_peer(struct nlmsghdr *message, const struct wg_config_peer *peer,
		     struct position *at)
{
	bool again = at->allowed_ip > 0, complete = true;
	struct nlattr *nested = mnl_attr_nest_start(message, (uint16_t)0);

	mnl_attr_put(message, WGPEER_A_PUBLIC_KEY, WG_KEY_SIZE, peer->public_key);
	mnl_attr_put_u32(message, WGPEER_A_FLAGS, peer_flags(peer, again));
	if (!again && peer->has & WG_PEER_HAS_PRESHARED_KEY)
		mnl_attr_put(message, WGPEER_A_PRESHARED_KEY, WG_KEY_SIZE, peer->preshared_key);
	if (!again && peer->has & WG_PEER_HAS_ENDPOINT) {
		struct sockaddr_storage address;
		socklen_t size = endpoint_to_sockaddr(&peer->endpoint, &address);

		mnl_attr_put(message, WGPEER_A_ENDPOINT, size, &address);
	}
	if (!again && peer->has & WG_PEER_HAS_KEEPALIVE)
		mnl_attr_put_u16(message, WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL,
				 peer->keepalive_s);
	if (peer->allowed_ip_count > 0)
		complete = put_allowed_ips(message, peer, at);
	mnl_attr_nest_end(message, nested);
	return complete;
}

static void put_peers(struct nlmsghdr *message, const struct wg_config *change, struct position *at)
{
	struct nlattr *list = mnl_attr_nest_start(message, WGDEVICE_A_PEERS);

	while (at->peer < change->peer_count && message->nlmsg_len + PEER_ROOM <= MESSAGE_ROOM) {
		if (!put_peer(message, &change->peers[at->peer], at))
			break;
		at->peer++;
		at->allowed_ip = 0;
	}
	mnl_attr_nest_end(message, list);
}

static void put_device(struct nlmsghdr *message, const struct wg_config *change)
{
	if (change->has & WG_HAS_PRIVATE_KEY)
		mnl_attr_put(message, WGDEVICE_A_PRIVATE_KEY, WG_KEY_SIZE, change->private_key);
	if (change->has & WG_HAS_LISTEN_PORT)
		mnl_attr_put_u16(message, WGDEVICE_A_LISTEN_PORT, change->listen_port);
	if (change->has & WG_HAS_FWMARK)
		mnl_attr_put_u32(message, WGDEVICE_A_FWMARK, change->fwmark);
	if (change->has & WG_REPLACE_PEERS)
		mnl_attr_put_u32(message, WGDEVICE_A_FLAGS, WGDEVICE_F_REPLACE_PEERS);
}

int wg_kernel_set(const char *name, const struct wg_config *change)
{
	CLEANUP(netlink_free) struct netlink *nl = NULL;
	_Alignas(struct nlmsghdr) char buffer[MESSAGE_ROOM + 1024];
	struct position at = { 0 };
	uint16_t family;
	int r = netlink_new(NETLINK_GENERIC, &nl);

	if (r == 0)
		r = find_family(nl, &family);
	if (r < 0)
		return r;
	do {
		struct position before = at;
		struct nlmsghdr *message;

		memset(buffer, 0, sizeof(buffer));
		message = begin(buffer, family, 0, WG_CMD_SET_DEVICE, WG_GENL_VERSION);
		mnl_attr_put_strz(message, WGDEVICE_A_IFNAME, name);
		if (before.peer == 0 && before.allowed_ip == 0)
			put_device(message, change);
		if (change->peer_count > 0)
			put_peers(message, change, &at);
		r = netlink_request(nl, message, NULL, NULL);
	} while (r == 0 && at.peer < change->peer_count);
	secret_wipe(buffer, sizeof(buffer));
	return r;
}

/* A reading that is being put together. */
struct reading {
	struct wg_config *config;
	struct wg_config_peer *peer;
	struct ip_prefix prefix;
	int error;
};

static int read_allowed_ip_attribute(const struct nlattr *attribute, void *context)
{
	struct reading *reading = context;
	size_t size = mnl_attr_get_payload_len(attribute);

	switch (mnl_attr_get_type(attribute)) {
	case WGALLOWEDIP_A_FAMILY:
		reading->prefix.address.family = (uint8_t)mnl_attr_get_u16(attribute);
		break;
	case WGALLOWEDIP_A_IPADDR:
		if (size <= sizeof(reading->prefix.address.bytes))
			memcpy(reading->prefix.address.bytes, mnl_attr_get_payload(attribute),
			       size);
		break;
	case WGALLOWEDIP_A_CIDR_MASK:
		reading->prefix.length = mnl_attr_get_u8(attribute);
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

static int read_allowed_ip(const struct nlattr *attribute, void *context)
{
	struct reading *reading = context;
	int r;

	reading->prefix = (struct ip_prefix){ 0 };
	(void)mnl_attr_parse_nested(attribute, read_allowed_ip_attribute, reading);
	r = wg_config_add_allowed_ip(reading->config, reading->peer, &reading->prefix, false);
	if (r < 0)
		reading->error = r;
	return MNL_CB_OK;
}

static int find_public_key(const struct nlattr *attribute, void *context)
{
	const uint8_t **key = context;

	if (mnl_attr_get_type(attribute) == WGPEER_A_PUBLIC_KEY &&
	    mnl_attr_get_payload_len(attribute) == WG_KEY_SIZE)
		*key = mnl_attr_get_payload(attribute);
	return MNL_CB_OK;
}

static void read_handshake(const struct nlattr *attribute, struct wg_config_peer *peer)
{
	int64_t time[2] = { 0 }; /* struct __kernel_timespec */

	if (mnl_attr_get_payload_len(attribute) != sizeof(time))
		return;
	memcpy(time, mnl_attr_get_payload(attribute), sizeof(time));
	peer->last_handshake_s = (uint64_t)time[0];
	peer->last_handshake_ns = (uint32_t)time[1];
}

static int read_peer_attribute(const struct nlattr *attribute, void *context)
{
	struct reading *reading = context;
	struct wg_config_peer *peer = reading->peer;

	switch (mnl_attr_get_type(attribute)) {
	case WGPEER_A_PRESHARED_KEY:
		if (mnl_attr_get_payload_len(attribute) == WG_KEY_SIZE)
			memcpy(peer->preshared_key, mnl_attr_get_payload(attribute), WG_KEY_SIZE);
		break;
	case WGPEER_A_ENDPOINT:
		(void)endpoint_from_sockaddr(mnl_attr_get_payload(attribute), &peer->endpoint);
		break;
	case WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL:
		peer->keepalive_s = mnl_attr_get_u16(attribute);
		break;
	case WGPEER_A_LAST_HANDSHAKE_TIME:
		read_handshake(attribute, peer);
		break;
	case WGPEER_A_RX_BYTES:
		peer->rx_bytes = mnl_attr_get_u64(attribute);
		break;
	case WGPEER_A_TX_BYTES:
		peer->tx_bytes = mnl_attr_get_u64(attribute);
		break;
	case WGPEER_A_ALLOWEDIPS:
		(void)mnl_attr_parse_nested(attribute, read_allowed_ip, reading);
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

static int read_peer(const struct nlattr *attribute, void *context)
{
	struct reading *reading = context;
	struct wg_config *config = reading->config;
	const uint8_t *key = NULL;

	(void)mnl_attr_parse_nested(attribute, find_public_key, &key);
	if (!key || reading->error < 0)
		return MNL_CB_OK;
	reading->peer = config->peer_count ? &config->peers[config->peer_count - 1] : NULL;
	if (!reading->peer || memcmp(reading->peer->public_key, key, WG_KEY_SIZE) != 0)
		reading->error = wg_config_add_peer(config, key, &reading->peer);
	if (reading->error == 0)
		(void)mnl_attr_parse_nested(attribute, read_peer_attribute, reading);
	return MNL_CB_OK;
}

static int read_device_attribute(const struct nlattr *attribute, void *context)
{
	struct reading *reading = context;
	struct wg_config *config = reading->config;

	switch (mnl_attr_get_type(attribute)) {
	case WGDEVICE_A_PRIVATE_KEY:
		if (mnl_attr_get_payload_len(attribute) == WG_KEY_SIZE)
			memcpy(config->private_key, mnl_attr_get_payload(attribute), WG_KEY_SIZE);
		break;
	case WGDEVICE_A_LISTEN_PORT:
		config->listen_port = mnl_attr_get_u16(attribute);
		break;
	case WGDEVICE_A_FWMARK:
		config->fwmark = mnl_attr_get_u32(attribute);
		break;
	case WGDEVICE_A_PEERS:
		(void)mnl_attr_parse_nested(attribute, read_peer, reading);
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

static int read_device(const struct nlmsghdr *message, void *context)
{
	struct reading *reading = context;

	(void)mnl_attr_parse(message, sizeof(struct genlmsghdr), read_device_attribute, reading);
	return reading->error;
}

static int read_once(struct netlink *nl, uint16_t family, const char *name,
		     struct wg_config *config)
{
	struct reading reading = { .config = config };
	_Alignas(struct nlmsghdr) char buffer[256] = { 0 };
	struct nlmsghdr *message =
		begin(buffer, family, NLM_F_DUMP, WG_CMD_GET_DEVICE, WG_GENL_VERSION);

	mnl_attr_put_strz(message, WGDEVICE_A_IFNAME, name);
	return netlink_request(nl, message, read_device, &reading);
}

int wg_kernel_get(const char *name, struct wg_config *ret)
{
	CLEANUP(netlink_free) struct netlink *nl = NULL;
	CLEANUP(wg_config_done) struct wg_config config = { 0 };
	uint16_t family;
	int r = netlink_new(NETLINK_GENERIC, &nl);

	if (r == 0)
		r = find_family(nl, &family);
	if (r < 0)
		return r;
	r = -EINTR;
	for (int i = 0; i < READ_TRIES && r == -EINTR; i++) {
		wg_config_done(&config);
		r = read_once(nl, family, name, &config);
	}
	if (r < 0)
		return r;
	*ret = config;
	config = (struct wg_config){ 0 };
	return 0;
}
