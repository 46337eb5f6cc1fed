#include "wireguard/device_internal.h"

#include "base/secret.h"

/* Has libcrypto load all that it will need: the caller may give up access to files afterwards. */
static int warm_up(void)
{
	CLEANUP(dh_key_free) struct dh_key *key = NULL;
	const uint8_t private_key[DH_SIZE] = { 8, [31] = 64 };
	uint8_t bytes[DH_SIZE];
	int r = aead_prepare();

	dh_prepare();
	if (r == 0)
		r = dh_key_new(private_key, &key);
	if (r < 0)
		return r;
	dh_key_public(key, bytes);
	return dh_shared(key, bytes, bytes);
}

int wg_device_new(const struct wg_device_ops *ops, void *context, struct wg_time now,
		  struct wg_device **ret)
{
	CLEANUP(wg_device_free) struct wg_device *device = calloc(1, sizeof(*device));
	uint64_t seed[2];
	int r;

	(void)now;
	if (!device)
		return -ENOMEM;
	device->ops = *ops;
	device->context = context;
	list_init(&device->peers);
	timer_wheel_init(&device->timers);
	list_init(&device->waiting);
	list_init(&device->staged);
	device_random(device, seed, sizeof(seed));
	r = limiter_init(&device->limiter, seed);
	if (r == 0)
		r = limiter_init(&device->cookie_limiter, seed);
	if (r == 0)
		r = jobs_init(device);
	if (r == 0)
		r = warm_up();
	if (r < 0)
		return r;
	*ret = TAKE_PTR(device);
	return 0;
}

struct wg_device *wg_device_free(struct wg_device *device)
{
	if (!device)
		return NULL;
	list_foreach(link, &device->peers)
		peer_free(container_of(link, struct wg_peer, link));
	map_done(&device->peers_by_key);
	index_table_done(&device->indices);
	allowed_ips_done(&device->allowed_ips);
	limiter_done(&device->limiter);
	limiter_done(&device->cookie_limiter);
	jobs_done(device);
	dh_key_free(device->identity);
	secret_wipe(device, sizeof(*device));
	free(device);
	return NULL;
}

void peer_send(struct wg_peer *peer, uint8_t ds, const void *message, size_t size)
{
	peer_check_route(peer);
	peer->tx_bytes += size;
	peer->device->ops.send(peer->device->context, &peer->route, ds, message, size);
}

void wg_device_drops(const struct wg_device *device, struct wg_device_drops *ret)
{
	*ret = device->drops;
}

void wg_device_set_up(struct wg_device *device, bool up, struct wg_time now)
{
	if (device->up == up)
		return;
	device->up = up;
	list_foreach(link, &device->peers) {
		struct wg_peer *peer = container_of(link, struct wg_peer, link);

		if (!up)
			peer_stop(peer);
		else if (peer->keepalive_s)
			peer_timer_set(peer, TIMER_PERSISTENT, now.monotonic_ns);
	}
}

/* Where wg_device_read() is. */
struct reading {
	struct wg_config *config;
	struct wg_config_peer *peer;
};

static int read_allowed_ip(const struct ip_prefix *prefix, void *context)
{
	struct reading *reading = context;

	return wg_config_add_allowed_ip(reading->config, reading->peer, prefix, false);
}

static int read_peer(const struct wg_peer *peer, struct wg_config *config)
{
	struct reading reading = { .config = config };
	int r = wg_config_add_peer(config, peer->public_key, &reading.peer);

	if (r < 0)
		return r;
	memcpy(reading.peer->preshared_key, peer->preshared_key, WG_KEY_SIZE);
	reading.peer->has = WG_PEER_HAS_PRESHARED_KEY | WG_PEER_HAS_KEEPALIVE;
	if (peer->route.remote.address.family)
		reading.peer->has |= WG_PEER_HAS_ENDPOINT;
	reading.peer->endpoint = peer->route.remote;
	reading.peer->keepalive_s = peer->keepalive_s;
	reading.peer->last_handshake_s = peer->last_handshake_ns / NS_PER_S;
	reading.peer->last_handshake_ns = (uint32_t)(peer->last_handshake_ns % NS_PER_S);
	reading.peer->rx_bytes = peer->rx_bytes;
	reading.peer->tx_bytes = peer->tx_bytes;
	return allowed_ips_each(&peer->allowed_ips, read_allowed_ip, &reading);
}

int wg_device_read(const struct wg_device *device, struct wg_config *ret)
{
	CLEANUP(wg_config_done)
	struct wg_config config = {
		.has = WG_HAS_LISTEN_PORT | WG_HAS_FWMARK,
		.listen_port = device->listen_port,
		.fwmark = device->fwmark,
	};

	int r = wg_config_reserve(&config, device->peers_by_key.count);

	if (r < 0)
		return r;
	if (device->identity) {
		config.has |= WG_HAS_PRIVATE_KEY;
		memcpy(config.private_key, device->private_key, WG_KEY_SIZE);
	}
	list_foreach(link, (struct list *)(uintptr_t)&device->peers) {
		r = read_peer(container_of(link, struct wg_peer, link), &config);

		if (r < 0)
			return r;
	}
	*ret = config;
	config = (struct wg_config){ 0 };
	return 0;
}
