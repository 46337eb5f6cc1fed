/* What parses as a change or a reading says the same after it was written and parsed again. */
#include <assert.h>

#include "wireguard/uapi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The same for all runs: no interface of this host has a part in it. */
static int find_link(void *context, const char *name, uint32_t *ret)
{
	(void)context;
	*ret = 7;
	return strcmp(name, "e0") == 0 ? 0 : -ENODEV;
}

static const struct uapi_links links = { find_link, NULL };

static bool same_allowed_ips(const struct wg_config_peer *a, const struct wg_config_peer *b)
{
	if (a->allowed_ip_count != b->allowed_ip_count)
		return false;
	for (size_t i = 0; i < a->allowed_ip_count; i++) {
		const struct wg_config_allowed_ip *x = &a->allowed_ips[i];
		const struct wg_config_allowed_ip *y = &b->allowed_ips[i];

		if (x->remove != y->remove || x->prefix.length != y->prefix.length ||
		    !ip_equal(&x->prefix.address, &y->prefix.address))
			return false;
	}
	return true;
}

static bool same_endpoint(const struct endpoint *a, const struct endpoint *b)
{
	return a->address.family == b->address.family && a->port == b->port &&
	       a->scope_id == b->scope_id &&
	       memcmp(a->address.bytes, b->address.bytes, sizeof(a->address.bytes)) == 0;
}

static bool same_settings(const struct wg_config_peer *a, const struct wg_config_peer *b)
{
	return memcmp(a->public_key, b->public_key, WG_KEY_SIZE) == 0 &&
	       memcmp(a->preshared_key, b->preshared_key, WG_KEY_SIZE) == 0 &&
	       same_endpoint(&a->endpoint, &b->endpoint) && a->keepalive_s == b->keepalive_s &&
	       same_allowed_ips(a, b);
}

static bool same_device(const struct wg_config *a, const struct wg_config *b)
{
	return memcmp(a->private_key, b->private_key, WG_KEY_SIZE) == 0 &&
	       a->listen_port == b->listen_port && a->fwmark == b->fwmark &&
	       a->peer_count == b->peer_count && a->allowed_ip_count == b->allowed_ip_count;
}

static void parse_written(const struct text *written, const char *head, const char *tail,
			  struct wg_config *ret)
{
	size_t start = strlen(head);
	size_t end = written->size - strlen(tail);

	assert(text_error(written) == 0);
	assert(memcmp(written->data, head, start) == 0);
	assert(strcmp(written->data + end, tail) == 0);
	assert(uapi_parse(written->data + start, end - start, &links, ret) == 0);
}

static void check_change(const struct wg_config *config)
{
	CLEANUP(wg_config_done) struct wg_config again = { 0 };
	CLEANUP(text_done) struct text written = { 0 };

	uapi_write_set(&written, config);
	parse_written(&written, "set=1\n", "\n", &again);
	assert(same_device(config, &again) && config->has == again.has);
	for (size_t i = 0; i < config->peer_count; i++)
		assert(same_settings(&config->peers[i], &again.peers[i]) &&
		       config->peers[i].has == again.peers[i].has);
}

static void check_reading(const struct wg_config *config)
{
	CLEANUP(wg_config_done) struct wg_config again = { 0 };
	CLEANUP(text_done) struct text written = { 0 };

	uapi_write_get(&written, config);
	parse_written(&written, "", "errno=0\n\n", &again);
	assert(same_device(config, &again));
	for (size_t i = 0; i < config->peer_count; i++) {
		const struct wg_config_peer *a = &config->peers[i];
		const struct wg_config_peer *b = &again.peers[i];

		assert(same_settings(a, b) && a->last_handshake_s == b->last_handshake_s &&
		       a->last_handshake_ns == b->last_handshake_ns && a->rx_bytes == b->rx_bytes &&
		       a->tx_bytes == b->tx_bytes);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(wg_config_done) struct wg_config config = { 0 };

	if (uapi_parse((const char *)data, size, &links, &config) < 0) {
		assert(!config.peers); /* nothing is returned by halves */
		return 0;
	}
	check_change(&config);
	check_reading(&config);
	return 0;
}
