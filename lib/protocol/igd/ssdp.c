#include "igd/ssdp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/ip.h"

#define VALUE_MAX 256

/* What may be searched for contains one of these; the first that fits. */
static const struct {
	const char *text;
	enum ssdp_target target;
} targets[] = {
	{ "InternetGatewayDevice", SSDP_GATEWAY },
	{ "WANIPConnection", SSDP_CONNECTION },
	{ "WANConnectionDevice", SSDP_CONNECTION_DEVICE },
};

static const char *const types[] = {
	[SSDP_GATEWAY] = IGD_DEVICE_TYPE,
	[SSDP_ROOT] = "upnp:rootdevice",
	[SSDP_CONNECTION_DEVICE] = IGD_CONNECTION_DEVICE_TYPE,
	[SSDP_CONNECTION] = IGD_CONNECTION_TYPE,
};

/* Which of our parts has which name behind the root's. */
static const char *const suffixes[] = {
	[SSDP_GATEWAY] = "",
	[SSDP_ROOT] = "",
	[SSDP_CONNECTION_DEVICE] = "-wanconn",
	[SSDP_CONNECTION] = "-wanconn",
};

/* The end of the line that begins at @at, without its CR, and the start of the next. */
static const char *line_end(const char *at, const char *end, const char **ret_next)
{
	const char *newline = memchr(at, '\n', (size_t)(end - at));
	const char *last = newline ? newline : end;

	*ret_next = newline ? newline + 1 : end;
	return last > at && last[-1] == '\r' ? last - 1 : last;
}

/* Copies the value of "ST" where a line is that. */
static bool read_st(const char *at, const char *end, char to[VALUE_MAX])
{
	size_t size;

	if (end - at < 3 || strncasecmp(at, "ST", 2) != 0)
		return false;
	at += 2;
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	if (at == end || *at++ != ':')
		return false;
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	size = (size_t)(end - at);
	if (size >= VALUE_MAX)
		return false;
	memcpy(to, at, size);
	to[size] = '\0';
	return true;
}

static int find_target(const char *value, enum ssdp_target *ret)
{
	if (strcmp(value, "upnp:rootdevice") == 0) {
		*ret = SSDP_ROOT;
		return 0;
	}
	if (strcmp(value, "ssdp:all") == 0) {
		*ret = SSDP_GATEWAY;
		return 0;
	}
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		if (strstr(value, targets[i].text)) {
			*ret = targets[i].target;
			return 0;
		}
	}
	return -ENOENT;
}

int ssdp_search_parse(const uint8_t *data, size_t size, enum ssdp_target *ret)
{
	static const char method[] = "M-SEARCH ";
	const char *at = (const char *)data, *end = at + size, *next;
	char value[VALUE_MAX];

	if (size < sizeof(method) - 1 || size > SSDP_MESSAGE_MAX ||
	    memcmp(at, method, sizeof(method) - 1) != 0)
		return -EBADMSG;
	(void)line_end(at, end, &next);
	for (at = next; at < end; at = next) {
		const char *last = line_end(at, end, &next);

		if (last == at)
			break;
		if (read_st(at, last, value))
			return find_target(value, ret);
	}
	return -ENOENT;
}

size_t ssdp_response_write(enum ssdp_target target, uint32_t server, const char uuid[IGD_UUID_SIZE],
			   char to[SSDP_RESPONSE_MAX])
{
	char address[IP_TEXT_MAX];
	int size = snprintf(to, SSDP_RESPONSE_MAX,
			    "HTTP/1.1 200 OK\r\n"
			    "CACHE-CONTROL: max-age=%d\r\n"
			    "EXT:\r\n"
			    "LOCATION: http://%s:%d" IGD_ROOT_PATH "\r\n"
			    "SERVER: StartOS UPnP/1.1\r\n"
			    "ST: %s\r\n"
			    "USN: uuid:%.36s%s::%s\r\n"
			    "\r\n",
			    SSDP_MAX_AGE_S, ip_v4_format(server, address), IGD_HTTP_PORT,
			    types[target], uuid, suffixes[target], types[target]);

	return size < 0 ? 0 : (size_t)size;
}

/* A device is told of by its own name and by its type, the root by that it is one as well. */
static const struct {
	const char *suffix;
	const char *type; /* NULL: its own name */
} parts[SSDP_PARTS] = {
	{ "", "upnp:rootdevice" },
	{ "", NULL },
	{ "", IGD_DEVICE_TYPE },
	{ "-wan", NULL },
	{ "-wan", IGD_WAN_DEVICE_TYPE },
	{ "-wan", IGD_INTERFACE_TYPE },
	{ "-wanconn", NULL },
	{ "-wanconn", IGD_CONNECTION_DEVICE_TYPE },
	{ "-wanconn", IGD_CONNECTION_TYPE },
};

size_t ssdp_notify_write(enum ssdp_event event, unsigned part, uint32_t server,
			 const char uuid[IGD_UUID_SIZE], char to[SSDP_RESPONSE_MAX])
{
	const char *type = parts[part].type;
	char address[IP_TEXT_MAX], name[IGD_UUID_SIZE + 16], where[128] = "";
	int size;

	(void)snprintf(name, sizeof(name), "uuid:%.36s%s", uuid, parts[part].suffix);
	if (event == SSDP_ALIVE)
		(void)snprintf(where, sizeof(where),
			       "CACHE-CONTROL: max-age=%d\r\n"
			       "LOCATION: http://%s:%d" IGD_ROOT_PATH "\r\n"
			       "SERVER: StartOS UPnP/1.1\r\n",
			       SSDP_MAX_AGE_S, ip_v4_format(server, address), IGD_HTTP_PORT);
	size = snprintf(to, SSDP_RESPONSE_MAX,
			"NOTIFY * HTTP/1.1\r\n"
			"HOST: 239.255.255.250:%d\r\n"
			"%s"
			"NT: %s\r\n"
			"NTS: ssdp:%s\r\n"
			"USN: %s%s%s\r\n"
			"\r\n",
			SSDP_PORT, where, type ? type : name,
			event == SSDP_ALIVE ? "alive" : "byebye", name, type ? "::" : "",
			type ? type : "");
	return size < 0 ? 0 : (size_t)size;
}
