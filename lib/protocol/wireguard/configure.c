/*
 * Changes from outside
 *
 * Everything that can fail is done first: peers are made (but not `present` yet), memory for
 * networks and timers is reserved, the new key is computed. Then the change is applied line by line,
 * which cannot fail, and peers that are not present at its end are released.
 */
#include "base/secret.h"
#include "wireguard/device_internal.h"

struct plan {
	struct wg_device *device;
	const struct wg_config *change;
	struct list absent; /* peers that are not, or no longer, there */
	struct dh_key *identity; /* the new one, if `rekey`; NULL: forget it */
	uint8_t private_key[WG_KEY_SIZE];
	uint8_t public_key[WG_KEY_SIZE]; /* as it will be */
	bool rekey;
};

static struct wg_peer *find_peer(const struct wg_device *device, const uint8_t *public_key)
{
	return map_get(&device->peers_by_key, public_key, WG_KEY_SIZE);
}

static void drop_absent(struct plan *plan)
{
	list_foreach(link, &plan->absent) {
		struct wg_peer *peer = container_of(link, struct wg_peer, link);

		(void)map_remove(&plan->device->peers_by_key, peer->public_key, WG_KEY_SIZE);
		list_remove(&peer->link);
		peer_free(peer);
	}
}

static void plan_done(struct plan *plan)
{
	drop_absent(plan);
	allowed_ips_trim(&plan->device->allowed_ips);
	dh_key_free(plan->identity);
	secret_wipe(plan, sizeof(*plan));
}
DEFINE_CLEANUP_DONE(struct plan, plan_done);

static int plan_identity(struct plan *plan)
{
	static const uint8_t none[WG_KEY_SIZE];
	const struct wg_device *device = plan->device;
	int r;

	memcpy(plan->public_key, device->public_key, WG_KEY_SIZE);
	if (!(plan->change->has & WG_HAS_PRIVATE_KEY))
		return 0;
	memcpy(plan->private_key, plan->change->private_key, WG_KEY_SIZE);
	if (secret_equal(plan->private_key, none, WG_KEY_SIZE)) {
		plan->rekey = device->identity != NULL;
		memset(plan->public_key, 0, WG_KEY_SIZE);
		return 0;
	}
	dh_clamp(plan->private_key);
	if (device->identity && secret_equal(plan->private_key, device->private_key, WG_KEY_SIZE))
		return 0; /* the same as before: sessions go on */
	r = dh_key_new(plan->private_key, &plan->identity);
	if (r < 0)
		return r;
	dh_key_public(plan->identity, plan->public_key);
	plan->rekey = true;
	return 0;
}

static int plan_peer(struct plan *plan, const struct wg_config_peer *change)
{
	CLEANUP(peer_free) struct wg_peer *peer = NULL;
	struct wg_device *device = plan->device;
	int r;

	if ((change->has & (WG_PEER_REMOVE | WG_PEER_UPDATE_ONLY)) ||
	    find_peer(device, change->public_key))
		return 0;
	r = peer_new(device, change->public_key, &peer);
	if (r < 0)
		return r;
	r = map_set(&device->peers_by_key, change->public_key, WG_KEY_SIZE, peer, NULL);
	if (r < 0)
		return r;
	list_append(&plan->absent, &TAKE_PTR(peer)->link);
	return 0;
}

static bool exceeds_bounds(const struct plan *plan)
{
	const struct wg_device *device = plan->device;
	bool replace = plan->change->has & WG_REPLACE_PEERS;
	size_t networks = replace ? 0 : device->allowed_ips.count;

	return (!replace && device->peers_by_key.count > WG_CONFIG_PEERS_MAX) ||
	       networks + plan->change->allowed_ip_count > WG_CONFIG_ALLOWED_IPS_MAX;
}

static int plan_change(struct plan *plan)
{
	struct wg_device *device = plan->device;
	int r = plan_identity(plan);

	for (size_t i = 0; r == 0 && i < plan->change->peer_count; i++)
		r = plan_peer(plan, &plan->change->peers[i]);
	if (r == 0 && exceeds_bounds(plan))
		r = -E2BIG;
	if (r == 0)
		r = allowed_ips_reserve(&device->allowed_ips, plan->change->allowed_ip_count);
	return r;
}

static void remove_peer(struct plan *plan, struct wg_peer *peer)
{
	peer_reset(peer);
	list_append(&plan->absent, &peer->link);
}

static void apply_identity(struct plan *plan)
{
	struct wg_device *device = plan->device;
	struct wg_peer *ourselves;

	if (!plan->rekey)
		return;
	dh_key_free(device->identity);
	device->identity = TAKE_PTR(plan->identity);
	memcpy(device->private_key, plan->private_key, WG_KEY_SIZE);
	memcpy(device->public_key, plan->public_key, WG_KEY_SIZE);
	if (device->identity)
		cookie_checker_init(&device->checker, device->public_key);
	list_foreach(link, &device->peers) {
		struct wg_peer *peer = container_of(link, struct wg_peer, link);

		peer_forget_sessions(peer); /* they are of who we were */
		peer_forget_handshake(peer);
		secret_wipe(peer->shared, sizeof(peer->shared));
		peer->shared_state = SHARED_UNKNOWN;
		peer->next_initiation_ns = 0;
	}
	ourselves = find_peer(device, device->public_key);
	if (ourselves && ourselves->present && device->identity)
		remove_peer(plan, ourselves);
}

/* Replacing peers: the change tells everything about those that it names, and removes the others.
 * Sessions of those that stay go on. */
static void replace_peers(struct plan *plan)
{
	for (size_t i = 0; i < plan->change->peer_count; i++) {
		struct wg_peer *peer = find_peer(plan->device, plan->change->peers[i].public_key);

		if (peer && peer->present)
			peer->named = true;
	}
	list_foreach(link, &plan->device->peers) {
		struct wg_peer *peer = container_of(link, struct wg_peer, link);

		if (!peer->named) {
			remove_peer(plan, peer);
			continue;
		}
		peer->named = false;
		secret_wipe(peer->preshared_key, sizeof(peer->preshared_key));
		peer->keepalive_s = 0;
		allowed_ips_remove_owner(&plan->device->allowed_ips, &peer->allowed_ips);
	}
}

static void apply_allowed_ips(struct wg_peer *peer, const struct wg_config_peer *change)
{
	struct allowed_ips *table = &peer->device->allowed_ips;

	if (change->has & WG_PEER_REPLACE_ALLOWED_IPS)
		allowed_ips_remove_owner(table, &peer->allowed_ips);
	for (size_t i = 0; i < change->allowed_ip_count; i++) {
		const struct wg_config_allowed_ip *ip = &change->allowed_ips[i];

		if (ip->remove)
			allowed_ips_remove(table, &ip->prefix, &peer->allowed_ips);
		else
			allowed_ips_insert(table, &ip->prefix, &peer->allowed_ips);
	}
}

static void apply_settings(struct wg_peer *peer, const struct wg_config_peer *change,
			   struct wg_time now)
{
	if (change->has & WG_PEER_HAS_PRESHARED_KEY)
		memcpy(peer->preshared_key, change->preshared_key, WG_KEY_SIZE);
	if (change->has & WG_PEER_HAS_ENDPOINT)
		peer_set_endpoint(peer, &change->endpoint);
	if (change->has & WG_PEER_HAS_KEEPALIVE)
		peer->keepalive_s = change->keepalive_s;
	/* Begins with one, unless the next is due within the interval anyway. */
	if (peer->keepalive_s &&
	    peer->timers[TIMER_PERSISTENT] > now.monotonic_ns + peer->keepalive_s * NS_PER_S)
		peer_timer_set(peer, TIMER_PERSISTENT, now.monotonic_ns);
	apply_allowed_ips(peer, change);
}

static void apply_peer(struct plan *plan, const struct wg_config_peer *change, struct wg_time now)
{
	struct wg_device *device = plan->device;
	struct wg_peer *peer = find_peer(device, change->public_key);

	if (!peer ||
	    (device->identity && memcmp(change->public_key, device->public_key, WG_KEY_SIZE) == 0))
		return;
	if (change->has & WG_PEER_REMOVE) {
		if (peer->present)
			remove_peer(plan, peer);
		return;
	}
	if (!peer->present) {
		if (change->has & WG_PEER_UPDATE_ONLY)
			return;
		list_remove(&peer->link);
		list_append(&device->peers, &peer->link);
		peer->present = true;
	}
	apply_settings(peer, change, now);
}

int wg_device_configure(struct wg_device *device, const struct wg_config *change,
			struct wg_time now)
{
	CLEANUP(plan_done) struct plan plan = { .device = device, .change = change };
	int r;

	list_init(&plan.absent);
	r = plan_change(&plan);
	if (r < 0)
		return r;
	apply_identity(&plan);
	if (change->has & WG_HAS_LISTEN_PORT)
		device->listen_port = change->listen_port;
	if (change->has & WG_HAS_FWMARK)
		device->fwmark = change->fwmark;
	if (change->has & WG_REPLACE_PEERS)
		replace_peers(&plan);
	for (size_t i = 0; i < change->peer_count; i++)
		apply_peer(&plan, &change->peers[i], now);
	return 0;
}
