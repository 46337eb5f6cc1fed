/*
 * Which daemon a command asks (tunnel.md 2.6)
 */
#include <ctype.h>
#include <fcntl.h>
#include <string.h>

#include "base/host.h"
#include "base/secret.h"
#include "client/client.h"

#define DEFAULT_TARGET "127.0.59.60:5960"

static bool is_loopback(const struct ip_address *address)
{
	static const struct ip_prefix loopback = { { AF_INET, { 127 } }, 8 };
	static const struct ip_address loopback6 = { AF_INET6, { [15] = 1 } };

	return ip_prefix_contains(&loopback, address) || ip_equal(address, &loopback6);
}

static bool is_port(const char *text)
{
	size_t size = strspn(text, "0123456789");

	return size > 0 && size <= 5 && text[size] == '\0' && *text != '0' &&
	       strtoul(text, NULL, 10) <= UINT16_MAX;
}

/* "name:port". Returns 0 or -EINVAL. */
static int parse_name(const char *text, struct rpc_target *ret)
{
	const char *colon = strrchr(text, ':');

	if (!colon || (size_t)(colon - text) > HOST_NAME_MAX_SIZE || !is_port(colon + 1))
		return -EINVAL;
	(void)snprintf(ret->host, sizeof(ret->host), "%.*s", (int)(colon - text), text);
	if (!host_is_name(ret->host))
		return -EINVAL;
	for (char *at = ret->host; *at; at++)
		*at = (char)tolower((unsigned char)*at);
	(void)snprintf(ret->peer, sizeof(ret->peer), "%s%s", ret->host, colon);
	return 0;
}

int rpc_client_target(const struct rpc_client_options *options, struct rpc_target *ret,
		      struct fault *fault)
{
	const char *configured = options->tunnel ? options->tunnel : options->tunnel_listen;
	const char *text = configured ? configured : DEFAULT_TARGET;
	struct rpc_target target = { 0 };
	struct endpoint endpoint;
	char formatted[IP_TEXT_MAX];

	if (endpoint_parse(text, &endpoint) == 0) {
		(void)snprintf(target.host, sizeof(target.host), "%s",
			       ip_format(&endpoint.address, formatted));
		(void)snprintf(target.peer, sizeof(target.peer), "%s",
			       endpoint_format(&endpoint, formatted));
		target.local = options->cookie && is_loopback(&endpoint.address);
	} else if (parse_name(text, &target) < 0) {
		return fault_set(fault, FAULT_PARSE_NET_ADDRESS,
				 "\"%s\" is not an address or name with a port, which looks like "
				 "198.51.100.7:8443 or tunnel.example.com:8443",
				 text);
	}
	if (!target.local && !configured)
		return fault_set(
			fault, FAULT_INVALID_REQUEST,
			"the daemon's cookie cannot be read: run the command as root on the machine "
			"where start-tunneld runs, or name another one by --tunnel HOST:PORT");
	*ret = target;
	return 0;
}

int rpc_client_cookie(const char *path, char **ret)
{
	char buffer[RPC_COOKIE_MAX + 1];
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t size;
	char *cookie;

	if (fd < 0)
		return -errno;
	size = read(fd, buffer, sizeof(buffer));
	if (size < 0)
		return -errno;
	while (size > 0 && (buffer[size - 1] == '\n' || buffer[size - 1] == '\r'))
		size--;
	if (size == 0 || size > RPC_COOKIE_MAX)
		return -EBADMSG;
	for (ssize_t i = 0; i < size; i++)
		if (buffer[i] <= ' ' || buffer[i] > '~' || buffer[i] == ';' || buffer[i] == '"')
			return -EBADMSG;
	cookie = strndup(buffer, (size_t)size);
	secret_wipe(buffer, sizeof(buffer));
	if (!cookie)
		return -ENOMEM;
	*ret = cookie;
	return 0;
}
