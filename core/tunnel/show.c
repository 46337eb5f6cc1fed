#include "tunnel/show.h"

#include "base/ip.h"
#include "codec/base64.h"
#include "crypto/signing_key.h"
#include "crypto/x25519.h"
#include "document/document.h"
#include "rpc/grid.h"

static const char *member(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "-";
}

/* Addresses in numeric order, whatever order the document has them in. */
static int compare_addresses(const void *a, const void *b)
{
	struct ip_address x = { 0 }, y = { 0 };

	(void)ip_parse(*(const char *const *)a, &x);
	(void)ip_parse(*(const char *const *)b, &y);
	return ip_compare(&x, &y);
}

static void show_public_key(const json_t *client, char to[BASE64_SIZE(X25519_KEY_SIZE)])
{
	const char *text = json_string_value(json_object_get(client, "key"));
	uint8_t key[X25519_KEY_SIZE];

	to[0] = '\0';
	if (text && base64_decode(text, key, sizeof(key)) == sizeof(key) &&
	    x25519_public(key, key) == 0)
		base64_encode(key, sizeof(key), false, to);
}

void show_devices(const json_t *result, const json_t *params, struct text *to)
{
	static const char *const columns[] = { "NAME", "IP", "PUBLIC KEY", "IPV6" };
	json_t *clients = json_object_get(result, "clients");
	size_t count = 0, size = json_object_size(clients);
	cleanup_free const char **ips = calloc(size + 1, sizeof(*ips));
	CLEANUP(grid_done) struct grid grid = { 0 };
	const json_t *client;
	const char *ip;

	if (!ips)
		return;
	json_object_foreach(clients, ip, client)
		ips[count++] = ip;
	if (count > 0)
		qsort(ips, count, sizeof(*ips), compare_addresses);
	grid_header(&grid, columns,
		    ARRAY_SIZE(columns) - (json_object_get(result, "ipv6") ? 0 : 1));
	for (size_t i = 0; i < count; i++) {
		char key[BASE64_SIZE(X25519_KEY_SIZE)];

		client = json_object_get(clients, ips[i]);
		show_public_key(client, key);
		grid_row(&grid, (const char *const[]){ member(client, "name"), ips[i], key,
						       member(client, "ipv6") });
	}
	grid_write(&grid, to);
}

/* The line of OpenSSH, which fits a table and is what people have; another text as it is. */
void show_keys(const json_t *result, const json_t *params, struct text *to)
{
	static const char *const columns[] = { "NAME", "KEY" };
	CLEANUP(grid_done) struct grid grid = { 0 };
	const json_t *value;
	const char *pem;

	grid_header(&grid, columns, ARRAY_SIZE(columns));
	json_object_foreach((json_t *)result, pem, value) {
		char line[SIGNING_KEY_SSH_SIZE];
		uint8_t key[ED25519_PUBLIC_SIZE];
		bool is_key = signing_key_parse_public(pem, key, NULL) == 0;

		grid_row(&grid,
			 (const char *const[]){ member(value, "name"),
						is_key ? signing_key_format_ssh(key, line) : pem });
	}
	grid_write(&grid, to);
}

void show_sessions(const json_t *result, const json_t *params, struct text *to)
{
	static const char *const columns[] = { "ID", "LOGGED IN", "LAST ACTIVE", "USER AGENT" };
	const char *current = json_string_value(json_object_get(result, "current"));
	CLEANUP(grid_done) struct grid grid = { 0 };
	const json_t *session;
	const char *id;

	grid_header(&grid, columns, ARRAY_SIZE(columns));
	json_object_foreach(json_object_get(result, "sessions"), id, session) {
		CLEANUP(text_done) struct text agent = { 0 };
		const char *name = json_string_value(json_object_get(session, "userAgent"));

		text_printf(&agent, "%s%s", name ? name : "N/A",
			    current && strcmp(current, id) == 0 ? " (this session)" : "");
		grid_row(&grid, (const char *const[]){ id, member(session, "loggedIn"),
						       member(session, "lastActive"),
						       text_string(&agent) });
	}
	grid_write(&grid, to);
}

/* "1.5 GiB": three digits say enough. */
static void show_bytes(json_int_t bytes, char to[32])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1024 && unit + 1 < ARRAY_SIZE(units)) {
		value /= 1024;
		unit++;
	}
	(void)snprintf(to, 32, "%.*f %s", unit == 0 || value >= 100 ? 0 : 1, value, units[unit]);
}

static void show_web(const json_t *web, struct text *to)
{
	const char *url = json_string_value(json_object_get(web, "url"));
	const char *problem = json_string_value(json_object_get(web, "problem"));
	const char *warning = json_string_value(json_object_get(web, "warning"));

	text_printf(to, "Web         %s%s%s%s\n",
		    url	      ? url
		    : problem ? "enabled"
			      : "disabled",
		    url && !json_is_true(json_object_get(web, "listening")) ? ", NOT served" : "",
		    problem ? ": " : "", problem ? problem : "");
	if (warning)
		text_printf(to, "Warning     %s\n", warning);
}

static void show_addresses(const json_t *addresses, struct text *to)
{
	const json_t *address;
	size_t i;

	text_append(to, "Addresses   ");
	json_array_foreach(addresses, i, address)
		text_printf(to, "%s%s", i > 0 ? ", " : "", json_string_value(address));
	text_append(to, json_array_size(addresses) > 0 ? "\n" : "none\n");
}

static void show_interface(const json_t *result, struct text *to)
{
	const json_t *link = json_object_get(result, "interface");
	const json_t *network = json_object_get(result, "network");
	const json_t *drift = json_object_get(result, "drift");
	json_int_t found = json_integer_value(json_object_get(drift, "found"));
	const char *problem =
		json_string_value(json_object_get(json_object_get(result, "dns"), "problem"));
	const char *unserved =
		json_string_value(json_object_get(json_object_get(result, "sni"), "problem"));

	text_printf(to, "Version     %s, revision %lld of the document\n",
		    member(result, "version"),
		    (long long)json_integer_value(json_object_get(result, "revision")));
	text_printf(to, "Interface   %s (%s), %s, port %lld, MTU %lld\n", member(link, "name"),
		    member(link, "backend"),
		    json_is_true(json_object_get(link, "up")) ? "up" : "down",
		    (long long)json_integer_value(json_object_get(link, "listenPort")),
		    (long long)json_integer_value(json_object_get(link, "mtu")));
	text_printf(to, "Public key  %s\n", member(link, "publicKey"));
	show_addresses(json_object_get(result, "addresses"), to);
	text_printf(
		to, "Network     %s%s\n",
		json_is_true(json_object_get(network, "inSync")) ? "as wanted" : "NOT as wanted: ",
		json_is_true(json_object_get(network, "inSync")) ? "" : member(network, "problem"));
	show_web(json_object_get(result, "web"), to);
	if (problem)
		text_printf(to, "DNS         NOT served everywhere: %s\n", problem);
	if (unserved)
		text_printf(to, "Relays      NOT served everywhere: %s\n", unserved);
	text_printf(to, "Drift       %lld found, %lld repaired", (long long)found,
		    (long long)json_integer_value(json_object_get(drift, "repaired")));
	if (found > 0)
		text_printf(to, "; last at %s: %s", member(drift, "lastAt"), member(drift, "last"));
	text_append(to, "\n\n");
}

/* The last column of a table, which is left out where it would say nothing. */
static bool any_has_ipv6(const json_t *rows)
{
	const json_t *row;
	size_t i;

	json_array_foreach(rows, i, row)
		if (json_is_string(json_object_get(row, "ipv6")))
			return true;
	return false;
}

static void show_subnet_states(const json_t *result, struct text *to)
{
	static const char *const columns[] = { "SUBNET", "NAME", "DEVICES", "WAN IP", "IPV6" };
	const json_t *subnets = json_object_get(result, "subnets"), *subnet;
	CLEANUP(grid_done) struct grid grid = { 0 };
	size_t i;

	grid_header(&grid, columns, ARRAY_SIZE(columns) - (any_has_ipv6(subnets) ? 0 : 1));
	json_array_foreach(subnets, i, subnet) {
		char count[24];

		(void)snprintf(count, sizeof(count), "%lld",
			       (long long)json_integer_value(json_object_get(subnet, "devices")));
		grid_row(&grid, (const char *const[]){
					member(subnet, "subnet"), member(subnet, "name"), count,
					member(subnet, "wanIp"), member(subnet, "ipv6") });
	}
	grid_write(&grid, to);
}

static void show_device_states(const json_t *result, struct text *to)
{
	static const char *const columns[] = { "DEVICE",   "IP",       "STATE", "LAST HANDSHAKE",
					       "ENDPOINT", "RECEIVED", "SENT",	"IPV6" };
	const json_t *devices = json_object_get(result, "devices"), *device;
	CLEANUP(grid_done) struct grid grid = { 0 };
	size_t i;

	grid_header(&grid, columns, ARRAY_SIZE(columns) - (any_has_ipv6(devices) ? 0 : 1));
	json_array_foreach(devices, i, device) {
		bool online = json_is_true(json_object_get(device, "online"));
		char rx[32], tx[32];

		show_bytes(json_integer_value(json_object_get(device, "rxBytes")), rx);
		show_bytes(json_integer_value(json_object_get(device, "txBytes")), tx);
		grid_row(&grid, (const char *const[]){ member(device, "name"), member(device, "ip"),
						       online ? "online" : "offline",
						       member(device, "lastHandshake"),
						       member(device, "endpoint"), rx, tx,
						       member(device, "ipv6") });
	}
	grid_write(&grid, to);
}

static void show_forward_states(const json_t *result, struct text *to)
{
	static const char *const columns[] = { "FORWARD", "PORTS", "HOST NAME", "TARGET", "PROXY",
					       "LABEL",	  "STATE", "RECEIVED",	"SENT" };
	CLEANUP(grid_done) struct grid grid = { 0 };
	const json_t *forward;
	size_t i;

	grid_header(&grid, columns, ARRAY_SIZE(columns));
	json_array_foreach(json_object_get(result, "forwards"), i, forward) {
		char count[24], rx[32], tx[32];

		(void)snprintf(count, sizeof(count), "%lld",
			       (long long)json_integer_value(json_object_get(forward, "count")));
		show_bytes(json_integer_value(json_object_get(forward, "rxBytes")), rx);
		show_bytes(json_integer_value(json_object_get(forward, "txBytes")), tx);
		grid_row(&grid,
			 (const char *const[]){
				 member(forward, "source"), count, member(forward, "hostname"),
				 member(forward, "target"),
				 json_is_true(json_object_get(forward, DOCUMENT_PROXY)) ? "v2"
											: "-",
				 member(forward, "label"), member(forward, "state"), rx, tx });
	}
	grid_write(&grid, to);
}

void show_status(const json_t *result, const json_t *params, struct text *to)
{
	show_interface(result, to);
	show_subnet_states(result, to);
	text_append_char(to, '\n');
	show_device_states(result, to);
	text_append_char(to, '\n');
	show_forward_states(result, to);
}
