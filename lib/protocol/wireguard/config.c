#include "wireguard/config.h"

#include "base/secret.h"

void wg_config_done(struct wg_config *config)
{
	for (size_t i = 0; i < config->peer_count; i++)
		free(config->peers[i].allowed_ips);
	if (config->peers)
		secret_wipe(config->peers, config->peer_capacity * sizeof(*config->peers));
	free(config->peers);
	secret_wipe(config, sizeof(*config));
}

/* The old memory held preshared keys and is wiped. */
int wg_config_reserve(struct wg_config *config, size_t count)
{
	struct wg_config_peer *peers;

	if (count <= config->peer_capacity)
		return 0;
	peers = calloc(count, sizeof(*peers));
	if (!peers)
		return -ENOMEM;
	if (config->peers) {
		memcpy(peers, config->peers, config->peer_count * sizeof(*peers));
		secret_wipe(config->peers, config->peer_count * sizeof(*peers));
		free(config->peers);
	}
	config->peers = peers;
	config->peer_capacity = count;
	return 0;
}

int wg_config_add_peer(struct wg_config *config, const uint8_t public_key[WG_KEY_SIZE],
		       struct wg_config_peer **ret)
{
	struct wg_config_peer *peer;
	int r;

	if (config->peer_count >= WG_CONFIG_PEERS_MAX)
		return -E2BIG;
	if (config->peer_count == config->peer_capacity) {
		r = wg_config_reserve(config, config->peer_count ? config->peer_count * 2 : 4);
		if (r < 0)
			return r;
	}
	peer = &config->peers[config->peer_count++];
	*peer = (struct wg_config_peer){ 0 };
	memcpy(peer->public_key, public_key, WG_KEY_SIZE);
	*ret = peer;
	return 0;
}

int wg_config_add_allowed_ip(struct wg_config *config, struct wg_config_peer *peer,
			     const struct ip_prefix *prefix, bool remove)
{
	size_t count = peer->allowed_ip_count;
	struct wg_config_allowed_ip *grown;

	if (config->allowed_ip_count >= WG_CONFIG_ALLOWED_IPS_MAX)
		return -E2BIG;
	if ((count & (count - 1)) == 0) { /* the room is always the next power of two */
		grown = realloc(peer->allowed_ips, (count ? count * 2 : 1) * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		peer->allowed_ips = grown;
	}
	peer->allowed_ips[count] = (struct wg_config_allowed_ip){ *prefix, remove };
	peer->allowed_ip_count++;
	config->allowed_ip_count++;
	return 0;
}
