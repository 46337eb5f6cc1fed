#include "tunnel/gateways.h"

#include <ifaddrs.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include "base/ip.h"
#include "base/text.h"
#include "netstate/net_item.h"

/* Devices that come and go in a burst (containers) are read once: after this much quiet. */
#define GATEWAY_SETTLE_MS 200

static json_t *device_type(const char *name, bool loopback)
{
	cleanup_free char *path = NULL;
	char line[128];
	FILE *file;
	json_t *type = NULL;

	if (loopback)
		return json_string("loopback");
	if (asprintf(&path, "/sys/class/net/%s/uevent", name) < 0)
		return NULL;
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "DEVTYPE=", 8) == 0)
			type = json_string(strcmp(line + 8, "wlan") == 0 ? "wireless" : line + 8);
	}
	if (file)
		(void)fclose(file);
	if (type) {
		const char *text = json_string_value(type);

		if (strcmp(text, "wireless") == 0 || strcmp(text, "bridge") == 0 ||
		    strcmp(text, "wireguard") == 0)
			return type;
		json_decref(type);
		return json_null();
	}
	(void)snprintf(line, sizeof(line), "/sys/class/net/%.64s/device", name);
	return access(line, F_OK) == 0 ? json_string("ethernet") : json_null();
}

static bool is_set(const json_t *entry, const char *member)
{
	const json_t *value = json_object_get(entry, member);

	return value && !json_is_null(value);
}

/* Leaves of each entry what the owner set. */
static int forget_addresses(json_t *all)
{
	const char *name;
	json_t *entry;
	void *next;

	json_object_foreach_safe(all, next, name, entry) {
		if (!is_set(entry, "name") && !is_set(entry, "secure") && !is_set(entry, "type"))
			(void)json_object_del(all, name);
		else if (json_object_set_new(entry, "ipInfo", json_null()) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* The entry of an interface, made at the first of its addresses. */
static json_t *gateway_entry(json_t *all, const char *name, const struct ifaddrs *address)
{
	json_t *entry = json_object_get(all, name);
	json_t *info;

	if (!entry) {
		entry = json_pack("{s:n, s:n, s:n, s:n}", "name", "secure", "ipInfo", "type");
		if (!entry || json_object_set_new(all, name, entry) < 0)
			return NULL;
	}
	if (!json_is_null(json_object_get(entry, "ipInfo")))
		return entry;
	info = json_pack("{s:s, s:i, s:o, s:[], s:[], s:n, s:[], s:[]}", "name", name, "scopeId",
			 (int)if_nametoindex(name), "deviceType",
			 device_type(name, (address->ifa_flags & IFF_LOOPBACK) != 0), "subnets",
			 "lanIp", "wanIp", "ntpServers", "dnsServers");
	if (!info || json_object_set_new(entry, "ipInfo", info) < 0)
		return NULL;
	return entry;
}

static int add_address(json_t *entry, const struct ifaddrs *address)
{
	json_t *subnets = json_object_get(json_object_get(entry, "ipInfo"), "subnets");
	struct endpoint endpoint, mask;
	struct ip_prefix prefix;
	char text[IP_TEXT_MAX];

	if (!address->ifa_addr || !address->ifa_netmask ||
	    endpoint_from_sockaddr(address->ifa_addr, &endpoint) < 0)
		return 0; /* of another family */
	if (endpoint_from_sockaddr(address->ifa_netmask, &mask) < 0)
		return 0;
	prefix = (struct ip_prefix){ .address = endpoint.address };
	for (size_t i = 0; i < sizeof(mask.address.bytes); i++)
		prefix.length += (uint8_t)__builtin_popcount(mask.address.bytes[i]);
	return json_array_append_new(subnets, json_string(ip_prefix_format(&prefix, text))) < 0
		       ? -ENOMEM
		       : 0;
}

int gateways_read(const json_t *present, json_t **ret)
{
	json_t *all = present ? json_deep_copy(present) : json_object();
	struct ifaddrs *addresses = NULL;
	json_t *entry;
	int r = all ? forget_addresses(all) : -ENOMEM;

	if (r == 0 && getifaddrs(&addresses) < 0)
		r = -errno;
	for (const struct ifaddrs *a = addresses; a && r == 0; a = a->ifa_next) {
		char name[IF_NAMESIZE];

		/* A labelled address comes with its label: "eth0:1" is eth0. */
		(void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(a->ifa_name, ":"),
			       a->ifa_name);
		if (strcmp(name, NET_LINK_NAME) == 0)
			continue;
		entry = gateway_entry(all, name, a);
		r = entry ? add_address(entry, a) : -ENOMEM;
	}
	freeifaddrs(addresses);
	if (r < 0) {
		json_decref(all);
		return r;
	}
	*ret = all;
	return 0;
}

struct gateway_watch {
	uv_poll_t socket;
	uv_timer_t settle;
	int fd;
	int open_handles;
	void (*changed)(void *context);
	void *context;
};

static void on_settled(uv_timer_t *timer)
{
	struct gateway_watch *watch = container_of(timer, struct gateway_watch, settle);

	watch->changed(watch->context);
}

/* What changed is not looked at: everything is read again. */
static void on_notification(uv_poll_t *poll, int status, int events)
{
	struct gateway_watch *watch = container_of(poll, struct gateway_watch, socket);
	char buffer[8192];

	ssize_t size;

	do
		size = recv(watch->fd, buffer, sizeof(buffer), MSG_DONTWAIT);
	while (size > 0 || (size < 0 && errno == ENOBUFS));
	if (!uv_is_active((uv_handle_t *)&watch->settle))
		(void)uv_timer_start(&watch->settle, on_settled, GATEWAY_SETTLE_MS, 0);
}

static int open_socket(int *ret)
{
	struct sockaddr_nl local = { .nl_family = AF_NETLINK,
				     .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR |
						  RTMGRP_IPV6_IFADDR };
	cleanup_close int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0 || bind(fd, (struct sockaddr *)&local, sizeof(local)) < 0)
		return -errno;
	*ret = TAKE_FD(fd);
	return 0;
}

int gateway_watch_new(uv_loop_t *loop, void (*changed)(void *context), void *context,
		      struct gateway_watch **ret)
{
	struct gateway_watch *watch = calloc(1, sizeof(*watch));
	int r;

	if (!watch)
		return -ENOMEM;
	r = open_socket(&watch->fd);
	if (r == 0) {
		r = uv_poll_init(loop, &watch->socket, watch->fd);
		if (r < 0)
			(void)close(watch->fd);
	}
	if (r < 0) {
		free(watch);
		return r;
	}
	watch->changed = changed;
	watch->context = context;
	watch->open_handles = 2;
	(void)uv_timer_init(loop, &watch->settle);
	(void)uv_poll_start(&watch->socket, UV_READABLE, on_notification);
	*ret = watch;
	return 0;
}

static void on_socket_closed(uv_handle_t *handle)
{
	struct gateway_watch *watch = container_of(handle, struct gateway_watch, socket);

	(void)close(watch->fd);
	if (--watch->open_handles == 0)
		free(watch);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct gateway_watch *watch = container_of(handle, struct gateway_watch, settle);

	if (--watch->open_handles == 0)
		free(watch);
}

struct gateway_watch *gateway_watch_free(struct gateway_watch *watch)
{
	if (!watch)
		return NULL;
	uv_close((uv_handle_t *)&watch->socket, on_socket_closed);
	uv_close((uv_handle_t *)&watch->settle, on_timer_closed);
	return NULL;
}
