/*
 * Lines are read one after the other, as the protocol means them: what belongs to a peer follows its
 * public_key, and a replace_allowed_ips takes away the networks named before it as well.
 */
#include "wireguard/uapi.h"

#include <inttypes.h>
#include <net/if.h>

#include "base/secret.h"

#define VALUE_MAX 128 /* the longest is an IPv6 endpoint with scope */

enum uapi_place {
	OF_DEVICE, /* before the first public_key */
	OF_PEER,
	ANYWHERE,
};

struct uapi_parser {
	struct wg_config *config;
	struct wg_config_peer *peer; /* NULL before the first public_key */
	const struct uapi_links *links;
};

struct uapi_key {
	const char *name;
	enum uapi_place place;
	int (*set)(struct uapi_parser *parser, const char *value);
};

/* 0 to 15, or 255; without a table or a branch, because keys are secret. */
static uint8_t hex_digit(char c)
{
	uint32_t digit = (uint32_t)(uint8_t)c - '0';
	uint32_t letter = ((uint32_t)(uint8_t)c | 0x20) - 'a';
	uint32_t is_digit = 0 - (uint32_t)(digit < 10);
	uint32_t is_letter = 0 - (uint32_t)(letter < 6);

	return (uint8_t)((digit & is_digit) | ((letter + 10) & is_letter) |
			 (0xff & ~(is_digit | is_letter)));
}

static int parse_key(const char *value, uint8_t ret[WG_KEY_SIZE])
{
	uint8_t bad = 0;

	if (strlen(value) != 2 * WG_KEY_SIZE)
		return -EINVAL;
	for (size_t i = 0; i < WG_KEY_SIZE; i++) {
		uint8_t high = hex_digit(value[2 * i]);
		uint8_t low = hex_digit(value[2 * i + 1]);

		bad |= (high | low) & 0xf0;
		ret[i] = (uint8_t)(high << 4 | (low & 0x0f));
	}
	return bad ? -EINVAL : 0;
}

static int parse_number(const char *value, uint64_t max, uint64_t *ret)
{
	uint64_t number = 0;

	if (*value == '\0')
		return -EINVAL;
	for (; *value; value++) {
		uint64_t digit = (uint64_t)(uint8_t)*value - '0';

		if (digit > 9 || number > (max - digit) / 10)
			return -EINVAL;
		number = number * 10 + digit;
	}
	*ret = number;
	return 0;
}

static int parse_true(const char *value)
{
	return strcmp(value, "true") == 0 ? 0 : -EINVAL;
}

static int set_flag(unsigned *has, unsigned flag, const char *value)
{
	int r = parse_true(value);

	if (r == 0)
		*has |= flag;
	return r;
}

static int set_private_key(struct uapi_parser *p, const char *value)
{
	p->config->has |= WG_HAS_PRIVATE_KEY;
	return parse_key(value, p->config->private_key);
}

static int set_listen_port(struct uapi_parser *p, const char *value)
{
	uint64_t port;
	int r = parse_number(value, UINT16_MAX, &port);

	if (r < 0)
		return r;
	p->config->has |= WG_HAS_LISTEN_PORT;
	p->config->listen_port = (uint16_t)port;
	return 0;
}

static int set_fwmark(struct uapi_parser *p, const char *value)
{
	uint64_t mark = 0;
	int r = *value ? parse_number(value, UINT32_MAX, &mark) : 0;

	if (r < 0)
		return r;
	p->config->has |= WG_HAS_FWMARK;
	p->config->fwmark = (uint32_t)mark;
	return 0;
}

static int set_replace_peers(struct uapi_parser *p, const char *value)
{
	return set_flag(&p->config->has, WG_REPLACE_PEERS, value);
}

static int set_public_key(struct uapi_parser *p, const char *value)
{
	uint8_t key[WG_KEY_SIZE];
	int r = parse_key(value, key);

	return r < 0 ? r : wg_config_add_peer(p->config, key, &p->peer);
}

static int set_remove(struct uapi_parser *p, const char *value)
{
	return set_flag(&p->peer->has, WG_PEER_REMOVE, value);
}

static int set_update_only(struct uapi_parser *p, const char *value)
{
	return set_flag(&p->peer->has, WG_PEER_UPDATE_ONLY, value);
}

static int set_preshared_key(struct uapi_parser *p, const char *value)
{
	p->peer->has |= WG_PEER_HAS_PRESHARED_KEY;
	return parse_key(value, p->peer->preshared_key);
}

/* "[ADDRESS%NAME]:PORT". A name may hold anything but a slash, a colon or a space. */
static int parse_named_scope(const struct uapi_links *links, const char *value, const char *percent,
			     struct endpoint *ret)
{
	const char *bracket = strrchr(percent, ']');
	size_t size = bracket ? (size_t)(bracket - percent - 1) : 0;
	char name[IFNAMSIZ], rest[VALUE_MAX];
	struct endpoint endpoint;
	uint32_t scope;
	int r;

	if (size == 0 || size >= sizeof(name))
		return -EINVAL;
	memcpy(name, percent + 1, size);
	name[size] = '\0';
	(void)snprintf(rest, sizeof(rest), "%.*s%s", (int)(percent - value), value, bracket);
	r = endpoint_parse(rest, &endpoint);
	if (r == 0)
		r = links->find(links->context, name, &scope);
	if (r < 0)
		return r;
	endpoint.scope_id = scope;
	*ret = endpoint;
	return 0;
}

static int set_endpoint(struct uapi_parser *p, const char *value)
{
	const char *percent = strchr(value, '%');
	int r = -EINVAL;

	p->peer->has |= WG_PEER_HAS_ENDPOINT;
	if (percent && p->links)
		r = parse_named_scope(p->links, value, percent, &p->peer->endpoint);
	return r == 0 || endpoint_parse(value, &p->peer->endpoint) == 0 ? 0 : r;
}

static int set_keepalive(struct uapi_parser *p, const char *value)
{
	uint64_t interval;
	int r = parse_number(value, UINT16_MAX, &interval);

	if (r < 0)
		return r;
	p->peer->has |= WG_PEER_HAS_KEEPALIVE;
	p->peer->keepalive_s = (uint16_t)interval;
	return 0;
}

static int set_replace_allowed_ips(struct uapi_parser *p, const char *value)
{
	int r = set_flag(&p->peer->has, WG_PEER_REPLACE_ALLOWED_IPS, value);

	if (r < 0)
		return r;
	p->config->allowed_ip_count -= p->peer->allowed_ip_count;
	p->peer->allowed_ip_count = 0;
	free(TAKE_PTR(p->peer->allowed_ips));
	return 0;
}

static int set_allowed_ip(struct uapi_parser *p, const char *value)
{
	bool remove = *value == '-';
	struct ip_prefix prefix;
	int r = ip_prefix_parse(value + (remove ? 1 : 0), &prefix);

	return r < 0 ? r : wg_config_add_allowed_ip(p->config, p->peer, &prefix, remove);
}

static int set_protocol_version(struct uapi_parser *p, const char *value)
{
	(void)p;
	return strcmp(value, "1") == 0 ? 0 : -EINVAL;
}

static int set_last_handshake_s(struct uapi_parser *p, const char *value)
{
	return parse_number(value, INT64_MAX, &p->peer->last_handshake_s);
}

static int set_last_handshake_ns(struct uapi_parser *p, const char *value)
{
	uint64_t ns;
	int r = parse_number(value, 999999999, &ns);

	if (r == 0)
		p->peer->last_handshake_ns = (uint32_t)ns;
	return r;
}

static int set_rx_bytes(struct uapi_parser *p, const char *value)
{
	return parse_number(value, UINT64_MAX, &p->peer->rx_bytes);
}

static int set_tx_bytes(struct uapi_parser *p, const char *value)
{
	return parse_number(value, UINT64_MAX, &p->peer->tx_bytes);
}

static const struct uapi_key uapi_keys[] = {
	{ "allowed_ip", OF_PEER, set_allowed_ip },
	{ "public_key", ANYWHERE, set_public_key },
	{ "preshared_key", OF_PEER, set_preshared_key },
	{ "endpoint", OF_PEER, set_endpoint },
	{ "persistent_keepalive_interval", OF_PEER, set_keepalive },
	{ "replace_allowed_ips", OF_PEER, set_replace_allowed_ips },
	{ "remove", OF_PEER, set_remove },
	{ "update_only", OF_PEER, set_update_only },
	{ "protocol_version", OF_PEER, set_protocol_version },
	{ "last_handshake_time_sec", OF_PEER, set_last_handshake_s },
	{ "last_handshake_time_nsec", OF_PEER, set_last_handshake_ns },
	{ "rx_bytes", OF_PEER, set_rx_bytes },
	{ "tx_bytes", OF_PEER, set_tx_bytes },
	{ "private_key", OF_DEVICE, set_private_key },
	{ "listen_port", OF_DEVICE, set_listen_port },
	{ "fwmark", OF_DEVICE, set_fwmark },
	{ "replace_peers", OF_DEVICE, set_replace_peers },
};

static int uapi_set(struct uapi_parser *p, const char *name, const char *value)
{
	for (size_t i = 0; i < ARRAY_SIZE(uapi_keys); i++) {
		const struct uapi_key *key = &uapi_keys[i];

		if (strcmp(key->name, name) != 0)
			continue;
		if ((key->place == OF_DEVICE && p->peer) || (key->place == OF_PEER && !p->peer))
			return -EPROTO;
		return key->set(p, value);
	}
	return -EINVAL;
}

static int uapi_parse_line(struct uapi_parser *p, const char *line, size_t size)
{
	char copy[VALUE_MAX];
	char *equals;
	int r;

	if (size >= sizeof(copy) || memchr(line, '\0', size))
		return -EINVAL;
	memcpy(copy, line, size);
	copy[size] = '\0';
	equals = strchr(copy, '=');
	if (!equals)
		return -EINVAL;
	*equals = '\0';
	r = uapi_set(p, copy, equals + 1);
	secret_wipe(copy, sizeof(copy));
	return r;
}

int uapi_parse(const char *text, size_t size, const struct uapi_links *links, struct wg_config *ret)
{
	CLEANUP(wg_config_done) struct wg_config config = { 0 };
	struct uapi_parser parser = { .config = &config, .links = links };
	const char *end = text + size;

	if (size > UAPI_MESSAGE_MAX)
		return -E2BIG;
	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		int r = newline ? uapi_parse_line(&parser, text, (size_t)(newline - text))
				: -EINVAL;

		if (r < 0)
			return r;
		text = newline + 1;
	}
	*ret = config;
	config = (struct wg_config){ 0 };
	return 0;
}

/* The hexadecimal digits of four bytes, without a branch or an address that depends on them. */
static uint64_t hex_digits(const uint8_t bytes[4])
{
	uint64_t x = 0, letters;

	for (int i = 3; i >= 0; i--) /* a byte for each digit, the upper one first */
		x = x << 16 | (uint64_t)(bytes[i] & 0x0f) << 8 | bytes[i] >> 4;
	/* Ten and above go on at 'a'. */
	letters = (x + UINT64_C(0x0606060606060606)) >> 4 & UINT64_C(0x0101010101010101);
	return htole64(x + UINT64_C(0x3030303030303030) + letters * ('a' - '0' - 10));
}

static void write_key(struct text *to, const char *name, const uint8_t key[WG_KEY_SIZE])
{
	char hex[2 * WG_KEY_SIZE];

	for (size_t i = 0; i < WG_KEY_SIZE; i += 4) {
		uint64_t digits = hex_digits(key + i);

		memcpy(hex + 2 * i, &digits, sizeof(digits));
	}
	text_append(to, name);
	text_append_char(to, '=');
	text_append_bytes(to, hex, sizeof(hex));
	text_append_char(to, '\n');
	secret_wipe(hex, sizeof(hex));
}

static void write_number(struct text *to, const char *name, uint64_t number)
{
	text_append(to, name);
	text_append_char(to, '=');
	text_append_number(to, number);
	text_append_char(to, '\n');
}

static void write_endpoint(struct text *to, const struct endpoint *endpoint)
{
	char buffer[IP_TEXT_MAX];

	text_printf(to, "endpoint=%s\n", endpoint_format(endpoint, buffer));
}

static void write_allowed_ips(struct text *to, const struct wg_config_peer *peer)
{
	char buffer[IP_TEXT_MAX];

	for (size_t i = 0; i < peer->allowed_ip_count; i++) {
		const struct wg_config_allowed_ip *ip = &peer->allowed_ips[i];

		text_append(to, ip->remove ? "allowed_ip=-" : "allowed_ip=");
		text_append(to, ip_prefix_format(&ip->prefix, buffer));
		text_append_char(to, '\n');
	}
}

static void write_set_peer(struct text *to, const struct wg_config_peer *peer)
{
	write_key(to, "public_key", peer->public_key);
	if (peer->has & WG_PEER_REMOVE)
		text_append(to, "remove=true\n");
	if (peer->has & WG_PEER_UPDATE_ONLY)
		text_append(to, "update_only=true\n");
	if (peer->has & WG_PEER_HAS_PRESHARED_KEY)
		write_key(to, "preshared_key", peer->preshared_key);
	if (peer->has & WG_PEER_HAS_ENDPOINT)
		write_endpoint(to, &peer->endpoint);
	if (peer->has & WG_PEER_HAS_KEEPALIVE)
		text_printf(to, "persistent_keepalive_interval=%u\n", peer->keepalive_s);
	if (peer->has & WG_PEER_REPLACE_ALLOWED_IPS)
		text_append(to, "replace_allowed_ips=true\n");
	write_allowed_ips(to, peer);
}

void uapi_write_set(struct text *to, const struct wg_config *change)
{
	text_append(to, "set=1\n");
	if (change->has & WG_HAS_PRIVATE_KEY)
		write_key(to, "private_key", change->private_key);
	if (change->has & WG_HAS_LISTEN_PORT)
		text_printf(to, "listen_port=%u\n", change->listen_port);
	if (change->has & WG_HAS_FWMARK)
		text_printf(to, "fwmark=%" PRIu32 "\n", change->fwmark);
	if (change->has & WG_REPLACE_PEERS)
		text_append(to, "replace_peers=true\n");
	for (size_t i = 0; i < change->peer_count; i++)
		write_set_peer(to, &change->peers[i]);
	text_append_char(to, '\n');
}

static void write_get_peer(struct text *to, const struct wg_config_peer *peer)
{
	write_key(to, "public_key", peer->public_key);
	write_key(to, "preshared_key", peer->preshared_key);
	text_append(to, "protocol_version=1\n");
	if (peer->endpoint.address.family)
		write_endpoint(to, &peer->endpoint);
	write_number(to, "last_handshake_time_sec", peer->last_handshake_s);
	write_number(to, "last_handshake_time_nsec", peer->last_handshake_ns);
	write_number(to, "tx_bytes", peer->tx_bytes);
	write_number(to, "rx_bytes", peer->rx_bytes);
	write_number(to, "persistent_keepalive_interval", peer->keepalive_s);
	write_allowed_ips(to, peer);
}

static void write_get_interface(struct text *to, const struct wg_config *reading)
{
	static const uint8_t none[WG_KEY_SIZE];

	if (!secret_equal(reading->private_key, none, WG_KEY_SIZE))
		write_key(to, "private_key", reading->private_key);
	write_number(to, "listen_port", reading->listen_port);
	if (reading->fwmark)
		write_number(to, "fwmark", reading->fwmark);
}

bool uapi_write_get_part(struct text *to, const struct wg_config *reading, size_t *next,
			 size_t enough)
{
	if (*next == 0)
		write_get_interface(to, reading);
	while (*next < reading->peer_count) {
		write_get_peer(to, &reading->peers[(*next)++]);
		if (to->size >= enough || text_error(to) < 0)
			return false;
	}
	text_append(to, "errno=0\n\n");
	return true;
}

void uapi_write_get(struct text *to, const struct wg_config *reading)
{
	size_t next = 0;

	(void)uapi_write_get_part(to, reading, &next, SIZE_MAX);
}
