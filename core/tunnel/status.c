/* status and restart */
#include "tunnel/job.h"

#include <time.h>

#include "base/clock.h"
#include "codec/base64.h"
#include "crypto/x25519.h"
#include "tunnel/wan.h"
#include "tunnel/web_listener.h"

/* A device that kept its session alive spoke within this time (REJECT_AFTER_TIME of WireGuard). */
#define ONLINE_S 180

static json_t *timestamp(uint64_t seconds)
{
	time_t when = (time_t)seconds;
	struct tm utc;
	char text[32];

	if (seconds == 0 || !gmtime_r(&when, &utc))
		return json_null();
	(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
	return json_string(text);
}

static const struct netd_peer_status *find_peer(const struct netd_status *status,
						const uint8_t key[NET_KEY_SIZE])
{
	for (size_t i = 0; i < status->peer_count; i++)
		if (memcmp(status->peers[i].public_key, key, NET_KEY_SIZE) == 0)
			return &status->peers[i];
	return NULL;
}

static bool is_online(const struct netd_peer_status *peer)
{
	return peer && peer->last_handshake_s > 0 &&
	       peer->last_handshake_s + ONLINE_S > clock_realtime_ns() / NS_PER_S;
}

static int public_key(const json_t *object, uint8_t ret[X25519_KEY_SIZE])
{
	const char *text = json_string_value(json_object_get(object, "key"));
	int r = text && base64_decode(text, ret, X25519_KEY_SIZE) == X25519_KEY_SIZE ? 0 : -EINVAL;

	return r < 0 ? r : x25519_public(ret, ret);
}

/* What a device's peer is known to do, as members of its object. Notes who is online by address. */
static json_t *device_status(const char *subnet, const char *ip, const json_t *client,
			     const struct netd_status *status, json_t *online)
{
	char text[IP_TEXT_MAX], key_text[BASE64_SIZE(X25519_KEY_SIZE)];
	const struct netd_peer_status *peer;
	uint8_t key[X25519_KEY_SIZE];

	if (public_key(client, key) < 0)
		return NULL;
	peer = find_peer(status, key);
	if (is_online(peer) && json_object_set_new(online, ip, json_true()) < 0)
		return NULL;
	return json_pack("{s:s, s:s, s:O, s:O, s:s, s:b, s:s?, s:o, s:I, s:I}", "subnet", subnet,
			 "ip", ip, "name", json_object_get(client, "name"), "kind",
			 json_object_get(client, "kind"), "publicKey",
			 base64_encode(key, sizeof(key), false, key_text), "online",
			 is_online(peer) ? 1 : 0, "endpoint",
			 peer && peer->endpoint.address.family
				 ? endpoint_format(&peer->endpoint, text)
				 : NULL,
			 "lastHandshake", timestamp(peer ? peer->last_handshake_s : 0), "rxBytes",
			 (json_int_t)(peer ? peer->rx_bytes : 0), "txBytes",
			 (json_int_t)(peer ? peer->tx_bytes : 0));
}

static json_t *all_devices(const json_t *document, const struct netd_status *status, json_t *online)
{
	json_t *subnets = json_object_get(json_object_get(document, "wg"), "subnets");
	json_t *devices = json_array();
	const json_t *subnet, *client;
	const char *key, *ip;

	json_object_foreach(subnets, key, subnet) {
		json_object_foreach(json_object_get(subnet, "clients"), ip, client) {
			if (json_array_append_new(devices, device_status(key, ip, client, status,
									 online)) < 0) {
				json_decref(devices);
				return NULL;
			}
		}
	}
	return devices;
}

/* In words for the owner: whether packets get through, and if not, what is in their way. */
static const char *forward_state(const json_t *document, const struct wan_addresses *addresses,
				 const struct document_forward *forward, const json_t *online)
{
	char target[IP_TEXT_MAX];

	if (!forward->enabled)
		return "disabled";
	if (!wan_is_own(addresses, wan_local(addresses, forward->external)))
		return "external address is not on this machine";
	if (!document_is_device(document, forward->target))
		return "target is not a device";
	if (!json_object_get(online, ip_v4_format(forward->target, target)))
		return "device is offline";
	return "active";
}

static json_t *all_forwards(const json_t *document, const json_t *online)
{
	json_t *forwards = json_array();
	struct wan_addresses addresses;
	const json_t *entry;
	const char *key;

	wan_addresses(document, &addresses);
	json_object_foreach(json_object_get(document, "portForwards"), key, entry) {
		struct document_forward forward;
		json_t *row;

		if (!document_forward(key, entry, &forward))
			continue;
		row = json_pack("{s:s, s:O, s:i, s:O, s:s}", "source", key, "target",
				json_object_get(entry, "target"), "count", (int)forward.count,
				"label", json_object_get(entry, "label"), "state",
				forward_state(document, &addresses, &forward, online));
		if (json_array_append_new(forwards, row) < 0) {
			json_decref(forwards);
			return NULL;
		}
	}
	return forwards;
}

static json_t *interface_status(const struct tunnel *tunnel, const struct netd_status *status)
{
	const json_t *wg = json_object_get(store_document(tunnel->store), "wg");
	char key_text[BASE64_SIZE(X25519_KEY_SIZE)] = "";
	uint8_t key[X25519_KEY_SIZE];

	if (public_key(wg, key) == 0)
		base64_encode(key, sizeof(key), false, key_text);
	return json_pack("{s:s, s:s, s:b, s:i, s:i, s:s}", "name", NET_LINK_NAME, "backend",
			 status->backend, "up", status->link_up ? 1 : 0, "mtu", (int)status->mtu,
			 "listenPort", (int)status->listen_port, "publicKey", key_text);
}

static json_t *compose(const struct tunnel *tunnel, const struct netd_status *status)
{
	const json_t *document = store_document(tunnel->store);
	json_t *online = json_object();
	json_t *devices = all_devices(document, status, online);
	json_t *result;

	result = json_pack("{s:s, s:I, s:o, s:{s:b, s:s?}, s:{s:I, s:I, s:s?, s:o}, s:o, s:o, "
			   "s:o}",
			   "version", PROJECT_VERSION, "revision",
			   (json_int_t)store_revision(tunnel->store), "interface",
			   interface_status(tunnel, status), "network", "inSync",
			   tunnel->in_sync ? 1 : 0, "problem", tunnel->sync_problem, "drift",
			   "found", (json_int_t)status->drift_found, "repaired",
			   (json_int_t)status->drift_repaired, "last",
			   status->drift_last[0] ? status->drift_last : NULL, "lastAt",
			   timestamp(status->drift_last_s), "web", web_listener_status(tunnel),
			   "devices", devices, "forwards", all_forwards(document, online));
	json_decref(online);
	return result;
}

static void on_status(void *context, const struct fault *fault, const struct netd_status *status)
{
	struct job *job = context;
	CLEANUP(fault_done) struct fault copy = { 0 };
	json_t *result = NULL;

	if (fault) {
		(void)fault_set(&copy, fault->kind, "asking start-netd: %s", fault->details);
	} else {
		result = compose(job->tunnel, status);
		if (!result)
			(void)fault_set(&copy, FAULT_UNKNOWN, "out of memory");
	}
	job_done(job, result, &copy);
}

static void run_status(struct job *job)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	int r = netd_client_status(job->tunnel->netd, on_status, job);

	if (r == 0)
		return;
	(void)fault_set_errno(&fault, r, FAULT_NETWORK, "asking start-netd");
	job_done(job, NULL, &fault);
}

void status_get(struct rpc_call *call)
{
	tunnel_job(rpc_context(call), call, run_status);
}

static void on_reboot(void *context, const struct fault *fault, const struct netd_status *status)
{
	CLEANUP(fault_done) struct fault copy = { 0 };

	if (fault)
		(void)fault_set(&copy, fault->kind, "rebooting this machine: %s", fault->details);
	job_done(context, NULL, &copy);
}

static void run_restart(struct job *job)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	int r = netd_client_reboot(job->tunnel->netd, on_reboot, job);

	if (r == 0)
		return;
	(void)fault_set_errno(&fault, r, FAULT_NETWORK, "asking start-netd");
	job_done(job, NULL, &fault);
}

void machine_restart(struct rpc_call *call)
{
	tunnel_job(rpc_context(call), call, run_restart);
}
