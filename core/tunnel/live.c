#include "tunnel/live.h"

#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/text.h"
#include "codec/base64.h"
#include "crypto/x25519.h"
#include "document/wan.h"
#include "tunnel/names.h"
#include "tunnel/routes.h"
#include "tunnel/web_listener.h"

/* A device that kept its session alive spoke within this time (REJECT_AFTER_TIME of WireGuard). */
#define ONLINE_S 180

struct device {
	struct list node; /* in order of the document */
	char ip[IP_TEXT_MAX];
	json_t *key; /* the document's own: as long as it is there, the key is the same */
	uint8_t public_key[NET_KEY_SIZE];
	uint64_t generation;
	bool changed;

	bool online;
	struct endpoint endpoint;
	uint64_t last_handshake_s;
	uint64_t rx_bytes;
	uint64_t tx_bytes;
};

struct forward {
	struct list node;
	char *id; /* its source, and "#" and the name where it is a route */
	const char *name; /* of a route, in `id`; or NULL */
	bool relayed; /* the demultiplexer counts, not the kernel */
	const char *fixed; /* its state, unless that is its device's matter */
	const struct device *device;
	uint64_t generation;
	bool changed;

	const char *state;
	uint64_t rx_bytes;
	uint64_t tx_bytes;
	uint64_t rx_now; /* being added up: a forward may have two external addresses */
	uint64_t tx_now;
};

/* Where the bytes of an external address and port count. Sorted. */
struct port {
	struct ip_address external;
	uint16_t external_port;
	struct forward *forward;
};

struct live {
	struct map devices; /* by address */
	struct map forwards; /* by source */
	struct list device_list;
	struct list forward_list;
	struct port *ports;
	size_t port_count;
	const json_t *document; /* of the rows, together with its revision */
	uint64_t revision;
	uint64_t generation;
	json_t *parts; /* members that are told whole: interface, network, ... */
	bool known; /* there was an update */
	bool unsettled; /* the rows are of what an open edit may yet undo */
};

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

/* Rows. */

static void device_release(struct live *live, struct device *device)
{
	(void)map_remove(&live->devices, device->ip, strlen(device->ip));
	list_remove(&device->node);
	json_decref(device->key);
	free(device);
}

static void forward_release(struct live *live, struct forward *forward)
{
	(void)map_remove(&live->forwards, forward->id, strlen(forward->id));
	list_remove(&forward->node);
	free(forward->id);
	free(forward);
}

int live_new(struct live **ret)
{
	struct live *live = calloc(1, sizeof(*live));

	if (!live)
		return -ENOMEM;
	list_init(&live->device_list);
	list_init(&live->forward_list);
	*ret = live;
	return 0;
}

static void forget(struct live *live)
{
	list_foreach(node, &live->forward_list)
		forward_release(live, container_of(node, struct forward, node));
	list_foreach(node, &live->device_list)
		device_release(live, container_of(node, struct device, node));
	free(live->ports);
	live->ports = NULL;
	live->port_count = 0;
	live->document = NULL;
	json_decref(live->parts);
	live->parts = NULL;
	live->known = false;
}

struct live *live_free(struct live *live)
{
	if (live) {
		forget(live);
		map_done(&live->devices);
		map_done(&live->forwards);
		free(live);
	}
	return NULL;
}

static int read_public_key(const json_t *key, uint8_t ret[NET_KEY_SIZE])
{
	const char *text = json_string_value(key);
	uint8_t private_key[X25519_KEY_SIZE];
	int r = -EINVAL;

	if (text && base64_decode(text, private_key, sizeof(private_key)) == X25519_KEY_SIZE)
		r = x25519_public(private_key, ret);
	explicit_bzero(private_key, sizeof(private_key));
	return r;
}

static int note_device(struct live *live, const char *ip, const json_t *client)
{
	struct device *device = map_get(&live->devices, ip, strlen(ip));
	json_t *key = json_object_get(client, "key");
	int r;

	if (!device) {
		device = calloc(1, sizeof(*device));
		if (!device)
			return -ENOMEM;
		list_init(&device->node);
		(void)snprintf(device->ip, sizeof(device->ip), "%s", ip);
		r = map_set(&live->devices, device->ip, strlen(device->ip), device, NULL);
		if (r < 0) {
			free(device);
			return r;
		}
		device->changed = true;
	}
	/* To the end: so the rows are in the document's order again. */
	list_remove(&device->node);
	list_append(&live->device_list, &device->node);
	device->generation = live->generation;
	if (device->key == key)
		return 0;
	json_decref(device->key);
	device->key = json_incref(key);
	device->changed = true;
	return read_public_key(key, device->public_key);
}

static int note_devices(struct live *live, const json_t *document)
{
	json_t *subnets = json_object_get(json_object_get(document, "wg"), "subnets");
	const json_t *subnet, *client;
	const char *key, *ip;
	int r = 0;

	json_object_foreach(subnets, key, subnet)
		json_object_foreach(json_object_get(subnet, "clients"), ip, client)
			if (r == 0)
				r = note_device(live, ip, client);
	return r;
}

/* In words for the owner: what is in the way of packets, but for the device. */
static const char *fixed_state(const struct wan_addresses *addresses,
			       const struct document_forward *plain, const struct device *device)
{
	if (!plain->enabled)
		return "disabled";
	if (!wan_is_own(addresses, wan_local(addresses, plain->external)))
		return "external address is not on this machine";
	return device ? NULL : "target is not a device";
}

static void note_port(struct live *live, struct ip_address external, uint16_t port,
		      struct forward *forward)
{
	live->ports[live->port_count++] = (struct port){ external, port, forward };
}

/* The row of a forward, made where there is none. Takes @id. @device: that it leads to, by its address. */
static int touch_forward(struct live *live, char *id, const char *device, struct forward **ret)
{
	struct forward *forward = id ? map_get(&live->forwards, id, strlen(id)) : NULL;

	if (forward) {
		free(id);
	} else {
		forward = id ? calloc(1, sizeof(*forward)) : NULL;
		if (!forward || map_set(&live->forwards, id, strlen(id), forward, NULL) < 0) {
			free(forward);
			free(id);
			return -ENOMEM;
		}
		list_init(&forward->node);
		forward->id = id;
		forward->name = strchr(id, '#') ? strchr(id, '#') + 1 : NULL;
		forward->changed = true;
	}
	list_remove(&forward->node);
	list_append(&live->forward_list, &forward->node);
	forward->generation = live->generation;
	forward->device = map_get(&live->devices, device, strlen(device));
	if (forward->device && forward->device->generation != live->generation)
		forward->device = NULL; /* the document has it no more: its row is about to go */
	*ret = forward;
	return 0;
}

static int note_forward(struct live *live, const struct wan_addresses *addresses,
			const char *source, const struct document_forward *plain, bool relayed)
{
	uint32_t local = wan_local(addresses, plain->external);
	struct forward *forward;
	char target[IP_TEXT_MAX];
	int r = touch_forward(live, strdup(source), ip_v4_format(plain->target, target), &forward);

	if (r < 0)
		return r;
	forward->fixed = fixed_state(addresses, plain, forward->device);
	forward->relayed = relayed;
	if (plain->enabled && !relayed)
		note_port(live, ip_from_v4(local), plain->external_port, forward);
	if (plain->enabled && !relayed && local != plain->external)
		note_port(live, ip_from_v4(plain->external), plain->external_port, forward);
	return 0;
}

static int note_forward6(struct live *live, const json_t *document, const char *source,
			 const struct document_forward6 *of, bool relayed)
{
	struct document_subnet subnet;
	struct forward *forward;
	char device[IP_TEXT_MAX] = "";
	uint32_t address;
	int r;

	if (document_device6(document, &of->target, &subnet, &address))
		(void)ip_v4_format(address, device);
	r = touch_forward(live, strdup(source), device, &forward);
	if (r < 0)
		return r;
	forward->fixed = !of->enabled	    ? "disabled"
			 : !forward->device ? "target is not a device"
					    : NULL;
	if (!forward->fixed && !ip_equal(&of->external, &of->target) &&
	    !wan6_is_own(document, &of->external))
		forward->fixed = "external address is not on this machine";
	forward->relayed = relayed;
	if (of->enabled && !relayed)
		note_port(live, of->external, of->external_port, forward);
	return 0;
}

static char *route_id(const char *source, const char *name)
{
	char *id;

	return asprintf(&id, "%s#%s", source, name) < 0 ? NULL : id;
}

static int note_routes(struct live *live, const struct wan_addresses *addresses, const char *source,
		       const json_t *entry)
{
	json_t *routes = json_object_get(entry, "routes");
	const char *name;
	const json_t *route;
	int r = 0;

	json_object_foreach(routes, name, route) {
		struct document_forward plain;
		struct forward *forward;
		char target[IP_TEXT_MAX];

		if (r < 0 || !document_route(source, route, &plain))
			continue;
		r = touch_forward(live, route_id(source, name), ip_v4_format(plain.target, target),
				  &forward);
		if (r < 0)
			continue;
		forward->fixed = fixed_state(addresses, &plain, forward->device);
		forward->relayed = true;
	}
	return r;
}

static int compare_ports(const void *a, const void *b)
{
	const struct port *one = a, *other = b;

	int order = ip_compare(&one->external, &other->external);

	return order != 0 ? order : (int)one->external_port - (int)other->external_port;
}

static int note_forwards(struct live *live, const json_t *document)
{
	json_t *forwards = json_object_get(document, "portForwards");
	json_t *forwards6 = json_object_get(document, DOCUMENT_FORWARDS6);
	struct document_forward6 forward6;
	struct wan_addresses addresses;
	struct document_forward plain;
	const json_t *entry;
	const char *source;
	int r = 0;

	wan_addresses(document, &addresses);
	free(live->ports);
	live->port_count = 0;
	live->ports = calloc(2 * json_object_size(forwards) + json_object_size(forwards6) + 1,
			     sizeof(*live->ports));
	if (!live->ports)
		return -ENOMEM;
	json_object_foreach(forwards, source, entry) {
		if (r == 0 && document_forward(source, entry, &plain))
			r = note_forward(live, &addresses, source, &plain,
					 document_is_relayed(entry));
		else if (r == 0)
			r = note_routes(live, &addresses, source, entry);
	}
	json_object_foreach(forwards6, source, entry)
		if (r == 0 && document_forward6(source, entry, &forward6))
			r = note_forward6(live, document, source, &forward6,
					  document_is_relayed(entry));
	qsort(live->ports, live->port_count, sizeof(*live->ports), compare_ports);
	return r;
}

/* Rows that the document has no more. @changes: NULL, or where they become null. */
static int drop_old(struct live *live, json_t *devices, json_t *forwards)
{
	int r = 0;

	list_foreach(node, &live->forward_list) {
		struct forward *forward = container_of(node, struct forward, node);

		if (forward->generation == live->generation)
			continue;
		if (json_object_set_new(forwards, forward->id, json_null()) < 0)
			r = -ENOMEM;
		forward_release(live, forward);
	}
	list_foreach(node, &live->device_list) {
		struct device *device = container_of(node, struct device, node);

		if (device->generation == live->generation)
			continue;
		if (json_object_set_new(devices, device->ip, json_null()) < 0)
			r = -ENOMEM;
		device_release(live, device);
	}
	return r;
}

/* Makes the rows those of the document, where that is another than last time. */
static int follow_document(struct live *live, const struct tunnel *tunnel, json_t *devices,
			   json_t *forwards)
{
	const json_t *document = store_document(tunnel->store);
	int r;

	if (live->document == document && live->revision == store_revision(tunnel->store) &&
	    !live->unsettled)
		return 0;
	live->generation++;
	r = note_devices(live, document);
	if (r == 0)
		r = note_forwards(live, document);
	if (r == 0)
		r = drop_old(live, devices, forwards);
	live->document = document;
	live->revision = store_revision(tunnel->store);
	live->unsettled = store_busy(tunnel->store); /* what is there may yet be undone */
	return r;
}

/* What start-netd says. */

static int compare_peers(const void *a, const void *b)
{
	const struct netd_peer_status *one = *(const struct netd_peer_status *const *)a;
	const struct netd_peer_status *other = *(const struct netd_peer_status *const *)b;

	return memcmp(one->public_key, other->public_key, NET_KEY_SIZE);
}

static void note_peer(struct device *device, const struct netd_peer_status *peer, uint64_t now_s)
{
	static const struct netd_peer_status nothing;
	const struct netd_peer_status *is = peer ? peer : &nothing;
	bool online = is->last_handshake_s > 0 && is->last_handshake_s + ONLINE_S > now_s;

	device->changed |= device->online != online || device->rx_bytes != is->rx_bytes ||
			   device->tx_bytes != is->tx_bytes ||
			   device->last_handshake_s != is->last_handshake_s ||
			   memcmp(&device->endpoint, &is->endpoint, sizeof(is->endpoint)) != 0;
	device->online = online;
	device->rx_bytes = is->rx_bytes;
	device->tx_bytes = is->tx_bytes;
	device->last_handshake_s = is->last_handshake_s;
	device->endpoint = is->endpoint;
}

static int note_peers(struct live *live, const struct netd_status *status, uint64_t now_s)
{
	cleanup_free const struct netd_peer_status **sorted =
		calloc(status->peer_count + 1, sizeof(*sorted));

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < status->peer_count; i++)
		sorted[i] = &status->peers[i];
	qsort(sorted, status->peer_count, sizeof(*sorted), compare_peers);
	list_foreach(node, &live->device_list) {
		struct device *device = container_of(node, struct device, node);
		struct netd_peer_status like;
		const struct netd_peer_status *key = &like, **found;

		memcpy(like.public_key, device->public_key, NET_KEY_SIZE);
		found = bsearch(&key, sorted, status->peer_count, sizeof(*sorted), compare_peers);
		note_peer(device, found ? *found : NULL, now_s);
	}
	return 0;
}

/* What the demultiplexer counts. Returns what is in the way of connections, or NULL. */
static const char *note_relayed_traffic(struct forward *forward, const struct tunnel *tunnel)
{
	size_t size = forward->name ? (size_t)(forward->name - forward->id - 1)
				    : strlen(forward->id);
	struct demux_traffic traffic;
	char source[IP_TEXT_MAX];
	enum routes_state state;

	(void)snprintf(source, sizeof(source), "%.*s", (int)size, forward->id);
	state = routes_traffic(tunnel->routes, source, forward->name ? forward->name : DEMUX_ANY,
			       &traffic);
	forward->rx_now = traffic.rx_bytes;
	forward->tx_now = traffic.tx_bytes;
	return state == ROUTES_SERVED ? NULL : "port is not available";
}

static void note_traffic(struct live *live, const struct tunnel *tunnel,
			 const struct netd_status *status)
{
	for (size_t i = 0; i < status->forward_count; i++) {
		const struct netd_forward_status *is = &status->forwards[i];
		struct port like = { is->external, is->external_port, NULL };
		struct port *port = bsearch(&like, live->ports, live->port_count,
					    sizeof(*live->ports), compare_ports);

		if (!port)
			continue;
		port->forward->rx_now += is->rx_bytes;
		port->forward->tx_now += is->tx_bytes;
	}
	list_foreach(node, &live->forward_list) {
		struct forward *forward = container_of(node, struct forward, node);
		const char *unserved = forward->relayed ? note_relayed_traffic(forward, tunnel)
							: NULL;
		const char *state = forward->fixed ? forward->fixed : unserved;

		if (!state)
			state = forward->device->online ? "active" : "device is offline";
		forward->changed |= forward->state != state ||
				    forward->rx_bytes != forward->rx_now ||
				    forward->tx_bytes != forward->tx_now;
		forward->state = state;
		forward->rx_bytes = forward->rx_now;
		forward->tx_bytes = forward->tx_now;
		forward->rx_now = forward->tx_now = 0;
	}
}

static json_t *interface_part(const struct tunnel *tunnel, const struct netd_status *status)
{
	const json_t *wg = json_object_get(store_document(tunnel->store), "wg");
	char key_text[BASE64_SIZE(NET_KEY_SIZE)] = "";
	uint8_t key[NET_KEY_SIZE];

	if (read_public_key(json_object_get(wg, "key"), key) == 0)
		base64_encode(key, sizeof(key), false, key_text);
	return json_pack("{s:s, s:s, s:b, s:i, s:i, s:s}", "name", NET_LINK_NAME, "backend",
			 status->backend, "up", status->link_up ? 1 : 0, "mtu", (int)status->mtu,
			 "listenPort", (int)status->listen_port, "publicKey", key_text);
}

static json_t *network_part(const struct tunnel *tunnel, const struct netd_status *status)
{
	return json_pack("{s:b, s:s?}", "inSync", tunnel->in_sync ? 1 : 0, "problem",
			 tunnel->sync_problem);
}

static json_t *drift_part(const struct tunnel *tunnel, const struct netd_status *status)
{
	return json_pack("{s:I, s:I, s:s?, s:o}", "found", (json_int_t)status->drift_found,
			 "repaired", (json_int_t)status->drift_repaired, "last",
			 status->drift_last[0] ? status->drift_last : NULL, "lastAt",
			 timestamp(status->drift_last_s));
}

static json_t *web_part(const struct tunnel *tunnel, const struct netd_status *status)
{
	return web_listener_status(tunnel);
}

static json_t *dns_part(const struct tunnel *tunnel, const struct netd_status *status)
{
	return json_pack("{s:s?}", "problem", names_problem(tunnel->names));
}

static json_t *routes_part(const struct tunnel *tunnel, const struct netd_status *status)
{
	return routes_status(tunnel->routes);
}

static const struct {
	const char *name;
	json_t *(*make)(const struct tunnel *tunnel, const struct netd_status *status);
} parts[] = {
	{ "interface", interface_part },
	{ "network", network_part },
	{ "drift", drift_part },
	{ "web", web_part },
	{ "dns", dns_part },
	{ "sni", routes_part },
};

static int note_parts(struct live *live, const struct tunnel *tunnel,
		      const struct netd_status *status, json_t *changes)
{
	if (!live->parts)
		live->parts = json_object();
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		json_t *is = parts[i].make(tunnel, status);
		int r = is ? 0 : -ENOMEM;

		if (is && !json_equal(json_object_get(live->parts, parts[i].name), is) &&
		    (json_object_set(changes, parts[i].name, is) < 0 ||
		     json_object_set(live->parts, parts[i].name, is) < 0))
			r = -ENOMEM;
		json_decref(is);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What is told. */

static json_t *device_members(const struct device *device)
{
	char text[IP_TEXT_MAX], key_text[BASE64_SIZE(NET_KEY_SIZE)];

	return json_pack("{s:s, s:b, s:s?, s:o, s:I, s:I}", "publicKey",
			 base64_encode(device->public_key, NET_KEY_SIZE, false, key_text), "online",
			 device->online ? 1 : 0, "endpoint",
			 device->endpoint.address.family ? endpoint_format(&device->endpoint, text)
							 : NULL,
			 "lastHandshake", timestamp(device->last_handshake_s), "rxBytes",
			 (json_int_t)device->rx_bytes, "txBytes", (json_int_t)device->tx_bytes);
}

static json_t *forward_members(const struct forward *forward)
{
	return json_pack("{s:s, s:I, s:I}", "state", forward->state, "rxBytes",
			 (json_int_t)forward->rx_bytes, "txBytes", (json_int_t)forward->tx_bytes);
}

static int tell_devices(const struct live *live, json_t *to)
{
	list_foreach(node, &live->device_list) {
		struct device *device = container_of(node, struct device, node);

		if (device->changed &&
		    json_object_set_new(to, device->ip, device_members(device)) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int tell_forwards(const struct live *live, json_t *to)
{
	list_foreach(node, &live->forward_list) {
		struct forward *forward = container_of(node, struct forward, node);

		if (forward->changed &&
		    json_object_set_new(to, forward->id, forward_members(forward)) < 0)
			return -ENOMEM;
	}
	return 0;
}

static void settle(struct live *live)
{
	list_foreach(node, &live->device_list)
		container_of(node, struct device, node)->changed = false;
	list_foreach(node, &live->forward_list)
		container_of(node, struct forward, node)->changed = false;
}

static json_t *now(void)
{
	return json_integer((json_int_t)(clock_realtime_ns() / NS_PER_S));
}

/* Puts a member in where it has something. Takes @value. */
static int put_unless_empty(json_t *changes, const char *name, json_t *value)
{
	if (json_object_size(value) > 0)
		return json_object_set_new(changes, name, value) < 0 ? -ENOMEM : 0;
	json_decref(value);
	return 0;
}

int live_update(struct live *live, const struct tunnel *tunnel, const struct netd_status *status,
		json_t **ret_changes)
{
	json_t *changes = json_object(), *devices = json_object(), *forwards = json_object();
	int r = changes && devices && forwards ? 0 : -ENOMEM;

	if (r == 0)
		r = follow_document(live, tunnel, devices, forwards);
	if (r == 0)
		r = note_peers(live, status, clock_realtime_ns() / NS_PER_S);
	if (r == 0) {
		note_traffic(live, tunnel, status);
		r = note_parts(live, tunnel, status, changes);
	}
	if (r == 0 && ret_changes) {
		r = tell_devices(live, devices);
		if (r == 0)
			r = tell_forwards(live, forwards);
	}
	if (r == 0)
		r = put_unless_empty(changes, "devices", TAKE_PTR(devices));
	if (r == 0)
		r = put_unless_empty(changes, "forwards", TAKE_PTR(forwards));
	if (r == 0 && json_object_size(changes) > 0 &&
	    json_object_set_new(changes, "now", now()) < 0)
		r = -ENOMEM;
	settle(live);
	live->known = r == 0;
	if (r < 0)
		forget(live);
	if (r == 0 && ret_changes)
		*ret_changes = json_object_size(changes) > 0 ? json_incref(changes) : NULL;
	json_decref(devices);
	json_decref(forwards);
	json_decref(changes);
	return r;
}

bool live_is_current(const struct live *live, const struct tunnel *tunnel)
{
	return live->known && live->document == store_document(tunnel->store) &&
	       live->revision == store_revision(tunnel->store);
}

/* Row by row: as one tree it would take many times the text's size. */

/* Appends a member. Takes @value; NULL, for want of memory, becomes the text's error. */
static void put_member(struct text *to, const char *name, json_t *value)
{
	cleanup_free char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

	json_decref(value);
	if (!text)
		to->error = -ENOMEM;
	else
		text_printf(to, "\"%s\":%s,", name, text);
}

/* The last member has a comma. */
static void end_object(struct text *to)
{
	if (to->size > 0 && to->data[to->size - 1] == ',')
		to->data[--to->size] = '\0';
	text_append_char(to, '}');
}

char *live_whole(const struct live *live)
{
	CLEANUP(text_done) struct text whole = { 0 };
	const char *name;
	json_t *part;

	if (!live->known)
		return NULL;
	text_append_char(&whole, '{');
	json_object_foreach(live->parts, name, part)
		put_member(&whole, name, json_incref(part));
	put_member(&whole, "now", now());
	text_append(&whole, "\"devices\":{");
	list_foreach(node, &live->device_list) {
		const struct device *device = container_of(node, struct device, node);

		put_member(&whole, device->ip, device_members(device));
	}
	end_object(&whole);
	text_append(&whole, ",\"forwards\":{");
	list_foreach(node, &live->forward_list) {
		const struct forward *forward = container_of(node, struct forward, node);

		put_member(&whole, forward->id, forward_members(forward));
	}
	end_object(&whole);
	text_append_char(&whole, '}');
	return text_take(&whole);
}

/* A text, or null where it is empty. */
static json_t *text_or_null(const char *text)
{
	return *text ? json_string(text) : json_null();
}

static json_t *report_addresses(const json_t *document)
{
	json_t *list = json_array();

	if (list && wan_list(document, list) < 0) {
		json_decref(list);
		return NULL;
	}
	return list;
}

static json_t *report_subnets(const json_t *document)
{
	json_t *subnets = json_object_get(json_object_get(document, "wg"), "subnets");
	json_t *list = json_array();
	struct document_subnet subnet;
	const char *key;
	json_t *value;

	json_object_foreach(subnets, key, value) {
		char ipv6[IP_TEXT_MAX] = "";
		struct ip_prefix network;
		json_t *row;

		if (document_subnet(document, key, &subnet) && document_ipv6(&subnet, &network))
			(void)ip_prefix_format(&network, ipv6);
		row = json_pack("{s:s, s:O, s:O?, s:o, s:I}", "subnet", key, "name",
				json_object_get(value, "name"), "wanIp",
				json_object_get(value, "wanIp"), "ipv6", text_or_null(ipv6),
				"devices",
				(json_int_t)json_object_size(json_object_get(value, "clients")));
		if (json_array_append_new(list, row) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

/* The IPv6 address of a device, or "". */
static const char *device_ipv6(const struct document_subnet *subnet, const char *ip,
			       char to[IP_TEXT_MAX])
{
	struct ip_prefix network;
	struct ip_address address;
	uint32_t value;

	to[0] = '\0';
	if (ip_v4_parse(ip, &value) == 0 && document_ipv6(subnet, &network)) {
		address = document_ipv6_of(subnet, &network, value);
		(void)ip_format(&address, to);
	}
	return to;
}

static json_t *report_devices(const struct live *live, const json_t *document)
{
	json_t *subnets = json_object_get(json_object_get(document, "wg"), "subnets");
	json_t *list = json_array();
	const json_t *value, *client;
	struct document_subnet subnet;
	char ipv6[IP_TEXT_MAX];
	const char *key, *ip;

	json_object_foreach(subnets, key, value) {
		if (!document_subnet(document, key, &subnet))
			continue;
		json_object_foreach(json_object_get(value, "clients"), ip, client) {
			const struct device *device = map_get(&live->devices, ip, strlen(ip));
			json_t *row = json_pack("{s:s, s:s, s:o, s:O, s:O}", "subnet", key, "ip",
						ip, "ipv6",
						text_or_null(device_ipv6(&subnet, ip, ipv6)),
						"name", json_object_get(client, "name"), "kind",
						json_object_get(client, "kind"));
			json_t *members = device ? device_members(device) : NULL;

			if (!members || json_object_update(row, members) < 0) {
				json_decref(row);
				row = NULL;
			}
			json_decref(members);
			if (json_array_append_new(list, row) < 0) {
				json_decref(list);
				return NULL;
			}
		}
	}
	return list;
}

/* A forward, or one name of a port that is shared: that has a host name. */
static json_t *report_forward(const struct forward *forward, const char *source,
			      const json_t *entry)
{
	const json_t *count = json_object_get(entry, "count");

	return json_pack("{s:s, s:s?, s:O, s:o, s:b, s:O, s:s, s:I, s:I}", "source", source,
			 "hostname", forward->name, "target", json_object_get(entry, "target"),
			 "count", count ? json_incref((json_t *)count) : json_integer(1),
			 DOCUMENT_PROXY, json_is_true(json_object_get(entry, DOCUMENT_PROXY)),
			 "label", json_object_get(entry, "label"), "state", forward->state,
			 "rxBytes", (json_int_t)forward->rx_bytes, "txBytes",
			 (json_int_t)forward->tx_bytes);
}

static int report_routes(const struct live *live, const char *source, const json_t *entry,
			 json_t *list)
{
	json_t *routes = json_object_get(entry, "routes");
	const json_t *route;
	const char *name;

	json_object_foreach(routes, name, route) {
		cleanup_free char *id = route_id(source, name);
		const struct forward *forward = id ? map_get(&live->forwards, id, strlen(id))
						   : NULL;

		if (forward &&
		    json_array_append_new(list, report_forward(forward, source, route)) < 0)
			return -ENOMEM;
	}
	return 0;
}

static json_t *report_forwards(const struct live *live, const json_t *document)
{
	static const char *const members[] = { "portForwards", DOCUMENT_FORWARDS6 };
	json_t *list = json_array();
	const json_t *entry;
	const char *source;
	int r = list ? 0 : -ENOMEM;

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		json_object_foreach(json_object_get(document, members[i]), source, entry) {
			const struct forward *forward =
				map_get(&live->forwards, source, strlen(source));

			if (r == 0 && forward)
				r = json_array_append_new(list,
							  report_forward(forward, source, entry));
			else if (r == 0)
				r = report_routes(live, source, entry, list);
		}
	}
	if (r == 0)
		return list;
	json_decref(list);
	return NULL;
}

json_t *live_report(const struct live *live, const struct tunnel *tunnel)
{
	const json_t *document = store_document(tunnel->store);
	json_t *report = json_pack("{s:s, s:I}", "version", PROJECT_VERSION, "revision",
				   (json_int_t)store_revision(tunnel->store));

	if (json_object_update(report, live->parts) == 0 &&
	    json_object_set_new(report, "addresses", report_addresses(document)) == 0 &&
	    json_object_set_new(report, "subnets", report_subnets(document)) == 0 &&
	    json_object_set_new(report, "devices", report_devices(live, document)) == 0 &&
	    json_object_set_new(report, "forwards", report_forwards(live, document)) == 0)
		return report;
	json_decref(report);
	return NULL;
}
