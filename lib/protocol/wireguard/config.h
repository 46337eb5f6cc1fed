/*
 * Configuration and state of a WireGuard device, as a value
 *
 * One type for what every way of configuring a device says and asks: the text of the cross-platform
 * protocol (uapi.h), the kernel's generic netlink, and the engine of our own (device.h). As a change
 * ("set") only the members named in `has` count; as a reading ("get") all of them do.
 *
 * A zeroed struct is an empty change. The arrays belong to the struct; wg_config_done() wipes and
 * releases them. Bounds: WG_CONFIG_PEERS_MAX peers, WG_CONFIG_ALLOWED_IPS_MAX networks in all.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/ip.h"

#define WG_KEY_SIZE 32
#define WG_CONFIG_PEERS_MAX 65536
#define WG_CONFIG_ALLOWED_IPS_MAX 1048576

enum wg_config_has {
	WG_HAS_PRIVATE_KEY = 1 << 0, /* all zero: forget the key */
	WG_HAS_LISTEN_PORT = 1 << 1, /* 0: any */
	WG_HAS_FWMARK = 1 << 2, /* 0: none */
	WG_REPLACE_PEERS = 1 << 3, /* peers that the change does not name are removed */
};

enum wg_config_peer_has {
	WG_PEER_REMOVE = 1 << 0,
	WG_PEER_UPDATE_ONLY = 1 << 1, /* a peer that is not there is not made */
	WG_PEER_HAS_PRESHARED_KEY = 1 << 2, /* all zero: none */
	WG_PEER_HAS_ENDPOINT = 1 << 3,
	WG_PEER_HAS_KEEPALIVE = 1 << 4, /* 0: off */
	WG_PEER_REPLACE_ALLOWED_IPS = 1 << 5,
};

struct wg_config_allowed_ip {
	struct ip_prefix prefix;
	bool remove; /* "-" before the value: take it from this peer */
};

struct wg_config_peer {
	unsigned has; /* enum wg_config_peer_has */
	uint8_t public_key[WG_KEY_SIZE];
	uint8_t preshared_key[WG_KEY_SIZE];
	struct endpoint endpoint; /* family 0: not known */
	uint16_t keepalive_s;
	struct wg_config_allowed_ip *allowed_ips;
	size_t allowed_ip_count;

	/* Of a reading only. */
	uint64_t last_handshake_s; /* since 1970, 0: never */
	uint32_t last_handshake_ns;
	uint64_t rx_bytes;
	uint64_t tx_bytes;
};

struct wg_config {
	unsigned has; /* enum wg_config_has */
	uint8_t private_key[WG_KEY_SIZE];
	uint16_t listen_port;
	uint32_t fwmark;
	struct wg_config_peer *peers;
	size_t peer_count;
	size_t peer_capacity;
	size_t allowed_ip_count; /* of all peers together */
};

void wg_config_done(struct wg_config *config);
DEFINE_CLEANUP_DONE(struct wg_config, wg_config_done);

/* Makes room for @count peers in all, where there is less. Returns 0 or -ENOMEM. */
int wg_config_reserve(struct wg_config *config, size_t count);

/* Appends a peer that is zeroed but for its key; borrowed until the next peer is appended.
 * Returns 0, -ENOMEM, or -E2BIG for the bound. */
int wg_config_add_peer(struct wg_config *config, const uint8_t public_key[WG_KEY_SIZE],
		       struct wg_config_peer **ret);

/* Appends a network to a peer of @config. Returns 0, -ENOMEM, or -E2BIG for the bound. */
int wg_config_add_allowed_ip(struct wg_config *config, struct wg_config_peer *peer,
			     const struct ip_prefix *prefix, bool remove);
