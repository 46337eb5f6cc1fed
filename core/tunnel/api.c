/*
 * The methods of StartTunnel, one row each (tunnel.md 2.7 and 2.8)
 */
#include "tunnel/job.h"
#include "tunnel/show.h"

static const char *const device_kinds[] = { "client", "server", NULL };
static const char *const dns_modes[] = { "default", "device", "custom", NULL };

/* One parameter is one row. */
/* clang-format off */
#define SUBNET_GROUP                                                                               \
	{ "subnet", RPC_SUBNET, RPC_REQUIRED | RPC_POSITIONAL | RPC_GROUP,                         \
	  "the subnet, as this server's address in it: 10.59.37.1/24", NULL, NULL, 0, 0 }
#define SUBNET                                                                                     \
	{ "subnet", RPC_SUBNET, RPC_REQUIRED | RPC_POSITIONAL,                                     \
	  "the subnet, as this server's address in it: 10.59.37.1/24", NULL, NULL, 0, 0 }
#define DEVICE                                                                                     \
	{ "ip", RPC_IPV4, RPC_REQUIRED | RPC_POSITIONAL, "the device's address in the subnet", NULL, \
	  NULL, 0, 0 }
#define WAN_IP                                                                                     \
	{ "wanIp", RPC_IPV4, 0, "the public address to use; without it, back to the default", NULL, \
	  NULL, 0, 0 }
#define SOURCE                                                                                     \
	{ "source", RPC_ENDPOINT, RPC_REQUIRED | RPC_POSITIONAL,                                   \
	  "the forward, as its public address and port: 198.51.100.7:8080", NULL, NULL, 0, 0 }
#define HOSTNAME                                                                                   \
	{ "hostname", RPC_STRING, 0, "one host name of a port that several share", NULL, NULL, 253, 0 }
#define END                                                                                        \
	{ 0 }

static const struct rpc_param login_params[] = {
	{ "password", RPC_STRING, RPC_REQUIRED, "the password", NULL, NULL, 1024, 0 },
	{ "ephemeral", RPC_BOOL, 0, "keep the session in memory only", NULL, "false", 0, 0 },
	END
};
static const struct rpc_param logout_params[] = {
	{ "__Auth_session", RPC_STRING, 0,
	  "token of the session to end, from callers who have none", NULL, NULL, 0, 0 },
	END
};
static const struct rpc_param kill_params[] = {
	{ "ids", RPC_STRINGS, RPC_POSITIONAL, "a session, as list shows it", NULL, "[]", 64, 0 },
	END
};
static const struct rpc_param password_params[] = {
	{ "password", RPC_STRING, RPC_REQUIRED, "the new password", NULL, NULL, 1024, 0 },
	END
};
#define KEY                                                                                        \
	{ "key", RPC_TEXT, RPC_REQUIRED | RPC_POSITIONAL,                                          \
	  "the public key: a line \"ssh-ed25519 AAAA...\", or PEM", NULL, NULL, 4096, 0 }
static const struct rpc_param key_add_params[] = {
	{ "name", RPC_STRING, RPC_REQUIRED | RPC_POSITIONAL, "a name for people", NULL, NULL, 0, 0 },
	KEY, END
};
static const struct rpc_param key_params[] = { KEY, END };

static const struct rpc_param subnet_add_params[] = {
	SUBNET_GROUP,
	{ "name", RPC_STRING, RPC_REQUIRED | RPC_POSITIONAL, "a name for people", NULL, NULL, 0, 0 },
	END
};
static const struct rpc_param subnet_params[] = { SUBNET_GROUP, END };
static const struct rpc_param subnet_wan_params[] = { SUBNET_GROUP, WAN_IP, END };

static const struct rpc_param subnet_ipv6_params[] = {
	SUBNET_GROUP,
	{ "ipv6", RPC_STRING, RPC_REQUIRED | RPC_POSITIONAL,
	  "off; on, a random network of one's own; or a network that is routed to this server: "
	  "2001:db8:1:2::/64", NULL, NULL, 64, 0 },
	END
};

static const struct rpc_param subnet_dns_params[] = {
	SUBNET_GROUP,
	{ "mode", RPC_ENUM, RPC_REQUIRED,
	  "who answers: default, the servers of this machine; a device; or custom servers", dns_modes,
	  NULL, 0, 0 },
	{ "deviceIp", RPC_IPV4, 0, "the device, for device", NULL, NULL, 0, 0 },
	{ "servers", RPC_STRINGS, 0, "a server for custom, up to three: 1.1.1.1 or 1.1.1.1:53", NULL,
	  "[]", 3, 0 },
	END
};

static const struct rpc_param device_add_params[] = {
	SUBNET,
	{ "name", RPC_STRING, RPC_REQUIRED | RPC_POSITIONAL, "a name for people", NULL, NULL,
	  DOCUMENT_DEVICE_NAME_MAX, 0 },
	{ "ip", RPC_IPV4, RPC_POSITIONAL,
	  "its address; the first free one by default. One that is taken renames its device", NULL,
	  NULL, 0, 0 },
	{ "kind", RPC_ENUM, 0, "what the device is; a server may open ports and names by itself",
	  device_kinds, "\"client\"", 0, 0 },
	END
};
static const struct rpc_param device_params[] = { SUBNET, DEVICE, END };
static const struct rpc_param device_list_params[] = { SUBNET, END };
static const struct rpc_param show_config_params[] = {
	SUBNET, DEVICE,
	{ "wanAddr", RPC_IP, RPC_POSITIONAL,
	  "the public address under which the device finds this server", NULL, NULL, 0, 0 },
	END
};
static const struct rpc_param device_wan_params[] = { SUBNET, DEVICE, WAN_IP, END };
static const struct rpc_param device_kind_params[] = {
	SUBNET, DEVICE,
	{ "kind", RPC_ENUM, RPC_REQUIRED, "what the device is from now on", device_kinds, NULL, 0, 0 },
	END
};

static const struct rpc_param device_permission_params[] = {
	SUBNET, DEVICE,
	{ "enabled", RPC_BOOL, 0, "allow it; without it, do not", NULL, "false", 0, 0 },
	END
};

static const struct rpc_param record_add_params[] = {
	{ "name", RPC_STRING, RPC_REQUIRED | RPC_POSITIONAL, "the host name: git.example.com", NULL,
	  NULL, 1024, 0 },
	{ "value", RPC_STRING, RPC_REQUIRED | RPC_POSITIONAL,
	  "an address, for CNAME a host name, for TXT a text", NULL, NULL, 1024, 0 },
	{ "type", RPC_STRING, RPC_REQUIRED, "A, AAAA, CNAME or TXT", NULL, NULL, 16, 0 },
	{ "ttl", RPC_U32, 0, "seconds that others may keep it", NULL, "300", 0, 0 },
	END
};
static const struct rpc_param record_remove_params[] = {
	{ "name", RPC_STRING, RPC_REQUIRED | RPC_POSITIONAL, "the host name", NULL, NULL, 1024, 0 },
	{ "type", RPC_STRING, 0, "only the records of this type", NULL, NULL, 16, 0 },
	END
};

static const struct rpc_param forward_add_params[] = {
	{ "externalPort", RPC_PORT, RPC_REQUIRED | RPC_POSITIONAL, "the public port, or the first of "
	  "a range; of IPv6 also with its address: [2001:db8::1]:443", NULL, NULL, 0, 0 },
	{ "target", RPC_ENDPOINT, RPC_REQUIRED | RPC_POSITIONAL,
	  "the device's address and port: 10.59.37.2:80, [fd12::2]:80", NULL, NULL, 0, 0 },
	{ "label", RPC_STRING, 0, "a name for people", NULL, NULL, 0, 0 },
	{ "sni", RPC_STRINGS, 0, "a host name that leads to the target, so that many share "
	  "the port; * stands for one label, or for all other names", NULL, "[]", 64, 0 },
	{ "count", RPC_U16, 0, "how many ports, counting up on both sides", NULL, "1", 0, 0 },
	{ "proxyProtocol", RPC_BOOL, 0, "tell the device who its clients are by a header of the PROXY "
	  "protocol, version 2, which it has to expect", NULL, "false", 0, 0 },
	END
};
static const struct rpc_param forward_params[] = { SOURCE, HOSTNAME, END };
static const struct rpc_param forward_label_params[] = {
	SOURCE,
	{ "label", RPC_STRING, RPC_POSITIONAL, "the new label; without it, none", NULL, NULL, 0, 0 },
	HOSTNAME, END
};
static const struct rpc_param forward_enabled_params[] = {
	SOURCE,
	{ "enabled", RPC_BOOL, 0, "let it through; without it, do not", NULL, "false", 0, 0 },
	HOSTNAME, END
};

static const struct rpc_param forward_proxy_params[] = {
	SOURCE,
	{ "enabled", RPC_BOOL, 0, "send the header; without it, do not", NULL, "false", 0, 0 },
	HOSTNAME, END
};

static const struct rpc_param dump_params[] = {
	{ "pointer", RPC_POINTER, 0, "JSON pointer to the part to show", NULL, "\"\"", 0, 'p' },
	{ "path", RPC_STRING, RPC_POSITIONAL | RPC_CLI_ONLY,
	  "read this database of a stopped daemon instead", NULL, NULL, 4096, 0 },
	END
};
static const struct rpc_param subscribe_params[] = {
	{ "pointer", RPC_POINTER, 0, "JSON pointer to the part to follow", NULL, "\"\"", 0, 0 },
	{ "since", RPC_U32, 0, "the revision that is known already", NULL, NULL, 0, 0 },
	END
};
static const struct rpc_param apply_params[] = {
	{ "expr", RPC_TEXT, RPC_REQUIRED | RPC_POSITIONAL,
	  "jq filter that turns the document into the new one", NULL, NULL, 65536, 0 },
	{ "path", RPC_STRING, RPC_POSITIONAL | RPC_CLI_ONLY,
	  "change this database of a stopped daemon instead", NULL, NULL, 4096, 0 },
	END
};
static const struct rpc_param web_listen_params[] = {
	{ "listen", RPC_ENDPOINT, RPC_REQUIRED | RPC_POSITIONAL,
	  "the address of this machine and the port: 198.51.100.7:8443", NULL, NULL, 0, 0 },
	END
};
static const struct rpc_param web_generate_params[] = {
	{ "subject", RPC_STRINGS, RPC_REQUIRED | RPC_POSITIONAL,
	  "a host name or IP address that browsers will know the interface by", NULL, NULL, 64, 0 },
	{ "newRoot", RPC_BOOL, 0,
	  "make a new root too, which devices have to be told to trust", NULL, "false", 0, 0 },
	END
};
static const struct rpc_param web_import_params[] = {
	{ "key", RPC_TEXT, RPC_REQUIRED, "the private key in PEM", NULL, NULL, 65536, 0 },
	{ "cert", RPC_TEXT, RPC_REQUIRED, "the certificates in PEM, the server's own first", NULL,
	  NULL, 65536, 0 },
	END
};
static const struct rpc_param web_root_params[] = {
	{ "fingerprint", RPC_BOOL, 0, "show its SHA-256 fingerprint instead", NULL, "false", 0, 0 },
	END
};
/* clang-format on */

static const struct rpc_method methods[] = {
	{ .name = "auth.key.add",
	  .summary = "Let a key sign requests from other machines",
	  .description =
		  "Ed25519 keys only, such as those that ssh-keygen -t ed25519 makes. A key that is "
		  "there already gets the new name.",
	  .params = key_add_params,
	  .handle = auth_key_add },
	{ .name = "auth.key.list",
	  .summary = "List the keys that may sign requests",
	  .output = RPC_TABLE,
	  .handle = auth_key_list,
	  .show = show_keys },
	{ .name = "auth.key.remove",
	  .summary = "Let a key sign no more requests",
	  .params = key_params,
	  .handle = auth_key_remove },
	{ .name = "auth.login",
	  .summary = "Begin a session with the password",
	  .description =
		  "The answer has the session's token, and sets it as a cookie where the caller "
		  "has no other proof. A session ends once it was idle for 7 days, or after 30. A "
		  "source may try five passwords at once, then one each 6 seconds.",
	  .params = login_params,
	  .output = RPC_JSON,
	  .flags = RPC_PUBLIC | RPC_CLI_HIDDEN,
	  .handle = auth_login },
	{ .name = "auth.logout",
	  .summary = "End the session",
	  .params = logout_params,
	  .flags = RPC_CLI_HIDDEN,
	  .handle = auth_logout },
	{ .name = "auth.reset-password",
	  .summary = "Set a random password, which is the result, and end all sessions",
	  .description = "For callers on the server itself.",
	  .output = RPC_PLAIN,
	  .flags = RPC_CLI_HIDDEN,
	  .handle = auth_reset_password },
	{ .name = "auth.session.kill",
	  .summary = "End sessions and their connections",
	  .params = kill_params,
	  .handle = auth_session_kill },
	{ .name = "auth.session.list",
	  .summary = "List the sessions of the web interface",
	  .output = RPC_TABLE,
	  .handle = auth_session_list,
	  .show = show_sessions },
	{ .name = "auth.set-password",
	  .summary = "Set the password, and end all other sessions",
	  .description =
		  "It has 8 to 64 bytes and at least five different characters, is no row of "
		  "neighbours such as abcdefgh, and none of those that are guessed first. The "
		  "session that sets it goes on; all others end.",
	  .params = password_params,
	  .flags = RPC_CLI_HIDDEN,
	  .handle = auth_set_password },
	{ .name = "db.apply",
	  .summary = "Change the whole document with a jq filter",
	  .description =
		  "The filter gets the document and has to give exactly one result, which "
		  "becomes the document. A result that is not a valid document is refused with "
		  "the path of the first fault, and nothing changes. The network follows as after "
		  "any other edit. The filter sees secrets, so a login with the password does not "
		  "do: this is for root on the server and for keys (auth key add).",
	  .params = apply_params,
	  .flags = RPC_NO_SESSION,
	  .handle = database_apply,
	  .local = database_apply_local },
	{ .name = "db.dump",
	  .summary = "Show the document, secrets included",
	  .description =
		  "The result is the document's revision in id, and in value the part at the "
		  "pointer, or null. A session, such as a browser's, gets every member too, but "
		  "secrets are empty.",
	  .params = dump_params,
	  .output = RPC_JSON,
	  .handle = database_dump,
	  .local = database_dump_local },
	{ .name = "db.subscribe",
	  .summary = "Follow the document over a WebSocket",
	  .description =
		  "Gives the document, or the part at a pointer, and a guid. A WebSocket that is "
		  "opened at /ws/rpc/GUID within 30 seconds tells each later revision, and the live "
		  "status. A list is followed as a whole, not by element. With `since`, and where "
		  "what came after it is still known, the document is left away and the socket "
		  "begins with the next revision.",
	  .params = subscribe_params,
	  .output = RPC_JSON,
	  .flags = RPC_CLI_HIDDEN,
	  .handle = database_subscribe },
	{ .name = "device.add",
	  .summary = "Add a device to a subnet, or rename one",
	  .params = device_add_params,
	  .handle = device_add },
	{ .name = "device.list",
	  .summary = "List the devices of a subnet",
	  .params = device_list_params,
	  .output = RPC_TABLE,
	  .handle = device_list,
	  .show = show_devices },
	{ .name = "device.remove",
	  .summary = "Remove a device and the port forwards to it",
	  .params = device_params,
	  .handle = device_remove },
	{ .name = "device.set-auto-port-forward",
	  .summary = "Allow a device to open public ports by itself",
	  .description =
		  "By PCP, NAT-PMP or UPnP, and to itself alone. Without --enabled it may not, and "
		  "the ports that it has opened close at once; those that you made your own with "
		  "`port-forward pin` stay.",
	  .params = device_permission_params,
	  .handle = device_set_auto_port_forward },
	{ .name = "device.set-dns-injection",
	  .summary = "Let a device publish names by itself, or not",
	  .description =
		  "The device may then change DNS records by signed updates (RFC 2136). A name that "
		  "somebody else holds is not its own to change. Without the permission its records "
		  "are removed.",
	  .params = device_permission_params,
	  .handle = device_set_dns_injection },
	{ .name = "device.set-kind",
	  .summary = "Make a device a client or a server",
	  .params = device_kind_params,
	  .handle = device_set_kind },
	{ .name = "device.set-wan",
	  .summary = "Choose the public address of a device",
	  .params = device_wan_params,
	  .handle = device_set_wan },
	{ .name = "device.show-config",
	  .summary = "Show the WireGuard configuration for a device",
	  .description =
		  "The file holds the device's private key. The address under which the device "
		  "finds this server is WAN-ADDR where it is a public one, else the one pinned by "
		  "set-wan, else that of the web interface, else this machine's own.",
	  .params = show_config_params,
	  .output = RPC_PLAIN,
	  .handle = device_show_config },
	{ .name = "dns.add",
	  .summary = "Add a DNS record, which devices of every subnet see",
	  .description =
		  "A name that has a record is answered from the records alone, whatever is asked "
		  "about it. A record of the same type and value gets the new time to live.",
	  .params = record_add_params,
	  .handle = record_add },
	{ .name = "dns.list",
	  .summary = "List the DNS records",
	  .output = RPC_JSON,
	  .handle = record_list },
	{ .name = "dns.remove",
	  .summary = "Remove the DNS records of a name, or those of one type",
	  .params = record_remove_params,
	  .handle = record_remove },
	{ .name = "port-forward.add",
	  .summary = "Forward a public port, TCP and UDP, to a device",
	  .description =
		  "With an IPv6 target, the public address is this server's where the device has a "
		  "unique local one, or the one that is stated; where the device has an address of "
		  "the internet, it is that one: what comes for the port is let in.",
	  .params = forward_add_params,
	  .handle = forward_add },
	{ .name = "port-forward.pin",
	  .summary = "Make an automatic port forward your own",
	  .description =
		  "It stays as it is, and neither its device nor the end of its lease removes it.",
	  .params = forward_params,
	  .handle = forward_pin },
	{ .name = "port-forward.remove",
	  .summary = "Remove a port forward",
	  .params = forward_params,
	  .handle = forward_remove },
	{ .name = "port-forward.set-enabled",
	  .summary = "Enable or disable a port forward",
	  .params = forward_enabled_params,
	  .handle = forward_set_enabled },
	{ .name = "port-forward.set-proxy-protocol",
	  .summary = "Tell a device its clients by the PROXY protocol, or not",
	  .description =
		  "Each TCP connection begins with a header of the PROXY protocol, version 2, "
		  "which the service has to be set up for, and comes from this server's address in "
		  "the subnet. So does each datagram of UDP, unless the port is shared by host name. "
		  "Open connections through the port end. For one port at a time; not for "
		  "pinholes.",
	  .params = forward_proxy_params,
	  .handle = forward_set_proxy },
	{ .name = "port-forward.update-label",
	  .summary = "Change the label of a port forward",
	  .params = forward_label_params,
	  .handle = forward_update_label },
	{ .name = "restart", .summary = "Reboot this server", .handle = machine_restart },
	{ .name = "status",
	  .summary = "Show the interface, the devices, the forwards and what was repaired",
	  .description =
		  "The result has the members version; revision, of the document; interface (name, "
		  "backend, up, mtu, listenPort, publicKey); addresses, of this server; network (inSync, and "
		  "in problem why not); "
		  "drift (found, repaired, last, lastAt: what others changed); web (listening, problem, "
		  "url); subnets (subnet, name, wanIp, ipv6, devices: how many); devices (subnet, ip, ipv6, name, kind, publicKey, online, endpoint, lastHandshake, "
		  "rxBytes, txBytes); and forwards (source, hostname, target, count, proxyProtocol, "
		  "label, state, rxBytes, txBytes). Received is what came from the device, sent what went to it.",
	  .output = RPC_TABLE,
	  .handle = status_get,
	  .show = show_status },
	{ .name = "subnet.add",
	  .summary = "Add a subnet, or rename one",
	  .params = subnet_add_params,
	  .handle = subnet_add },
	{ .name = "subnet.remove",
	  .summary = "Remove a subnet with its devices and their port forwards",
	  .params = subnet_params,
	  .handle = subnet_remove },
	{ .name = "subnet.set-dns",
	  .summary = "Choose who answers the DNS questions of a subnet",
	  .description =
		  "Devices always ask this server, which asks further: the servers of this machine, "
		  "a device of the subnet such as a filter, or up to three others, in turn where "
		  "one does not answer. Names that have a record are answered here.",
	  .params = subnet_dns_params,
	  .handle = subnet_set_dns },
	{ .name = "subnet.set-ipv6",
	  .summary = "Give the devices of a subnet IPv6 addresses, or none",
	  .description =
		  "Each device gets the address that ends in the host part of its IPv4 address, in "
		  "its configuration: those that have joined need theirs anew (device show-config). "
		  "With on, the network is a random one of unique local addresses (RFC 4193), and "
		  "what leaves for the internet gets this server's own IPv6 address. A network "
		  "that is stated has to be routed to this server by the provider; its devices "
		  "have addresses of the internet then, which nothing enters but by port "
		  "forwards.",
	  .params = subnet_ipv6_params,
	  .handle = subnet_set_ipv6 },
	{ .name = "subnet.set-wan",
	  .summary = "Choose the public address of a subnet",
	  .description =
		  "Also the way to state the public address of a server that has only a private "
		  "one behind its provider's 1:1 NAT.",
	  .params = subnet_wan_params,
	  .handle = subnet_set_wan },
	{ .name = "web.disable",
	  .summary = "Stop serving the web interface",
	  .handle = web_disable },
	{ .name = "web.enable",
	  .summary = "Serve the web interface over HTTPS",
	  .description =
		  "An address, a certificate and a password have to be set. The interface follows "
		  "changes of the address and the certificate while it is served.",
	  .handle = web_enable },
	{ .name = "web.generate-certificate",
	  .summary = "Make a certificate for the web interface under our own root",
	  .description =
		  "Shows the certificate, the intermediate one and the root. The root is made at "
		  "the first time and kept: a device that trusts it trusts every certificate "
		  "that comes after. Certificates last 397 days and are renewed in time.",
	  .params = web_generate_params,
	  .output = RPC_PLAIN,
	  .handle = web_generate_certificate },
	{ .name = "web.get-available-ips",
	  .summary = "List the addresses of this machine",
	  .description = "The result is a list of IPv4 and IPv6 addresses, each once.",
	  .output = RPC_JSON,
	  .handle = web_get_available_ips },
	{ .name = "web.get-certificate",
	  .summary = "Show the certificates of the web interface",
	  .description = "The result is a PEM stack, the interface's own first, or null for none.",
	  .output = RPC_PLAIN,
	  .handle = web_get_certificate },
	{ .name = "web.get-listen",
	  .summary = "Show the address of the web interface",
	  .description = "The result is an address with its port, or null where none is set.",
	  .output = RPC_JSON,
	  .handle = web_get_listen },
	{ .name = "web.get-root",
	  .summary = "Show the root certificate that devices have to trust",
	  .params = web_root_params,
	  .output = RPC_PLAIN,
	  .handle = web_get_root },
	{ .name = "web.import-certificate",
	  .summary = "Use a certificate of one's own for the web interface",
	  .description =
		  "The certificates are checked: the first belongs to the key and names a host, "
		  "each was issued by the next, the last is a root or was issued by one that this "
		  "system trusts, and none has expired.",
	  .params = web_import_params,
	  .flags = RPC_CLI_HIDDEN,
	  .handle = web_import_certificate },
	{ .name = "web.set-listen",
	  .summary = "Choose the address of the web interface",
	  .params = web_listen_params,
	  .handle = web_set_listen },
	{ .name = "web.uninit",
	  .summary = "Disable the web interface, and forget its address, certificate and password",
	  .description = "Everybody is logged out. The root is kept for the next certificate.",
	  .handle = web_uninit },
	{ 0 },
};

static const struct rpc_group groups[] = {
	{ "auth", "Who may manage this tunnel: password, sessions, keys" },
	{ "auth.key", "Keys that sign requests from other machines" },
	{ "auth.session", "Sessions of the web interface" },
	{ "db", "The document that holds everything" },
	{ "device", "Devices: servers, phones, laptops" },
	{ "dns", "Names for devices and by devices" },
	{ "port-forward", "Public ports that lead to devices" },
	{ "subnet", "Private networks of devices" },
	{ "web", "The web interface: address, certificate, on and off" },
	{ 0 },
};

const struct rpc_table tunnel_api = {
	.program = "start-tunnel",
	.version = PROJECT_VERSION,
	.methods = methods,
	.groups = groups,
};
