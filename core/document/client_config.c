#include "document/client_config.h"

#include "base/secret.h"
#include "codec/base64.h"
#include "crypto/x25519.h"
#include "document/wan.h"

/* Whether a device on the internet could reach the address; unlike a WAN candidate it may be IPv6 and
 * may be one for documentation, as the owner stated it. */
static bool reachable(const struct ip_address *ip)
{
	static const char *const excluded[] = { "0.0.0.0/8",	  "10.0.0.0/8",	   "127.0.0.0/8",
						"169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16",
						"::/127",	  "fc00::/7",	   "fe80::/10" };

	for (size_t i = 0; i < ARRAY_SIZE(excluded); i++) {
		struct ip_prefix prefix;

		if (ip_prefix_parse(excluded[i], &prefix) == 0 && ip_prefix_contains(&prefix, ip))
			return false;
	}
	return true;
}

static int find_endpoint(const json_t *document, const struct document_subnet *subnet,
			 const json_t *device, const char *wan_addr, struct ip_address *ret,
			 struct fault *fault)
{
	const json_t *webserver = json_object_get(document, "webserver");
	const char *listen = json_string_value(json_object_get(webserver, "listen"));
	struct endpoint endpoint;
	struct ip_address ip;
	uint32_t wan;

	if (wan_addr && ip_parse(wan_addr, &ip) == 0 && reachable(&ip)) {
		*ret = ip;
	} else if (wan_pinned(subnet, device, &wan)) {
		*ret = ip_from_v4(wan);
	} else if (listen && endpoint_parse(listen, &endpoint) == 0 &&
		   reachable(&endpoint.address)) {
		*ret = endpoint.address;
	} else if (wan_default(document, &wan)) {
		*ret = ip_from_v4(wan);
	} else {
		return wan_fault(document, FAULT_NOT_FOUND, fault);
	}
	return 0;
}

/* Keys are padded in these files, whatever they are in the document. */
static int append_key(struct text *to, const char *name, const uint8_t key[X25519_KEY_SIZE])
{
	char padded[BASE64_SIZE(X25519_KEY_SIZE)];

	text_printf(to, "%s = %s\n", name, base64_encode(key, X25519_KEY_SIZE, true, padded));
	secret_wipe(padded, sizeof(padded));
	return 0;
}

static int append_stored_key(struct text *to, const char *name, const json_t *object,
			     const char *member)
{
	const char *text = json_string_value(json_object_get(object, member));
	uint8_t key[X25519_KEY_SIZE];
	int r = -EINVAL;

	if (text && base64_decode(text, key, sizeof(key)) == sizeof(key))
		r = append_key(to, name, key);
	secret_wipe(key, sizeof(key));
	return r;
}

static int append_server_key(struct text *to, const json_t *wg)
{
	const char *text = json_string_value(json_object_get(wg, "key"));
	uint8_t key[X25519_KEY_SIZE];
	int r = -EINVAL;

	if (text && base64_decode(text, key, sizeof(key)) == sizeof(key))
		r = x25519_public(key, key);
	if (r == 0)
		r = append_key(to, "PublicKey", key);
	secret_wipe(key, sizeof(key));
	return r;
}

/* A name goes into a comment: a line break in one that came past the API's checks must not end it. */
static void append_name(struct text *to, const char *name)
{
	for (; *name; name++)
		text_append_char(to, (unsigned char)*name < ' ' ? ' ' : *name);
}

static void append_ipv6_address(struct text *to, const struct document_subnet *subnet,
				uint32_t address)
{
	struct ip_prefix ipv6;
	char text[IP_TEXT_MAX];

	if (!document_ipv6(subnet, &ipv6))
		return;
	ipv6.address = document_ipv6_of(subnet, &ipv6, address);
	text_printf(to, ", %s", ip_prefix_format(&ipv6, text));
}

/* With a global address anybody may write to the device, and it to anybody; one that is unique to us is
 * of use within the subnet, as those of IPv4 are. */
static void append_ipv6_allowed(struct text *to, const struct document_subnet *subnet)
{
	struct ip_prefix ipv6;
	char text[IP_TEXT_MAX];

	if (!document_ipv6(subnet, &ipv6))
		return;
	text_printf(to, ", %s",
		    document_ipv6_is_local(&ipv6.address) ? ip_prefix_format(&ipv6, text) : "::/0");
}

int client_config_write(struct text *to, const json_t *document,
			const struct document_subnet *subnet, uint32_t address,
			const char *wan_addr, struct fault *fault)
{
	const json_t *device = document_device(subnet, address);
	const json_t *wg = json_object_get(document, "wg");
	struct endpoint endpoint = { 0 };
	struct ip_prefix network = { ip_from_v4(subnet->server), subnet->prefix };
	char text[IP_TEXT_MAX];
	int r = find_endpoint(document, subnet, device, wan_addr, &endpoint.address, fault);

	if (r < 0)
		return r;
	endpoint.port = (uint16_t)json_integer_value(json_object_get(wg, "port"));
	network = ip_prefix_network(&network);
	text_append(to, "# StartTunnel config for ");
	append_name(to, json_string_value(json_object_get(device, "name")));
	text_printf(to, "\n\n[Interface]\nAddress = %s/%u", ip_v4_format(address, text),
		    subnet->prefix);
	append_ipv6_address(to, subnet, address);
	text_append(to, "\n");
	r = append_stored_key(to, "PrivateKey", device, "key");
	text_printf(to, "DNS = %s\n\n[Peer]\n", ip_v4_format(subnet->server, text));
	if (r == 0)
		r = append_server_key(to, wg);
	if (r == 0)
		r = append_stored_key(to, "PresharedKey", device, "psk");
	text_printf(to, "AllowedIPs = %s", ip_prefix_format(&network, text));
	append_ipv6_allowed(to, subnet);
	text_append(to, "\n");
	text_printf(to, "Endpoint = %s\nPersistentKeepalive = 25\n",
		    endpoint_format(&endpoint, text));
	return r < 0 ? r : text_error(to);
}
