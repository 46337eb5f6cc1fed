/* The servers of this machine, as resolv.conf names them. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "resolver/resolver_internal.h"

#define FILE_SIZE_MAX 65536
#define WATCHES_MAX 12
#define SETTLE_MS 100 /* a file is written in several steps */

/*
 * Files are replaced, written in place, linked to others, mounted over, and not there yet. So the file, what it
 * links to, and the directories of both are watched; or, where a directory is missing, the one above.
 * After each event everything is read and watched anew.
 */
struct conf_watch {
	struct resolver *resolver;
	uv_timer_t settle;
	struct watched *watched[WATCHES_MAX];
	size_t count;
};

struct watched {
	uv_fs_event_t event;
	struct conf_watch *watch;
	char *path;
	bool directory;
};

static bool is_loopback(const struct ip_address *address)
{
	static const struct ip_address six = { .family = AF_INET6, .bytes = { [15] = 1 } };

	if (address->family == AF_INET)
		return address->bytes[0] == 127 || ip_to_v4(address) == 0;
	return ip_equal(address, &six);
}

static void add_server(struct resolver_servers *servers, const char *text)
{
	char copy[IP_TEXT_MAX], *scope;
	struct endpoint server = { .port = 53 };

	(void)snprintf(copy, sizeof(copy), "%s", text);
	scope = strchr(copy, '%');
	if (scope) {
		*scope++ = '\0';
		server.scope_id = if_nametoindex(scope);
	}
	if (ip_parse(copy, &server.address) < 0 || is_loopback(&server.address) ||
	    servers->count == RESOLVER_SERVERS_MAX)
		return;
	for (size_t i = 0; i < servers->count; i++)
		if (ip_equal(&servers->list[i].address, &server.address))
			return;
	servers->list[servers->count++] = server;
}

void resolver_parse_conf(const char *text, struct resolver_servers *ret)
{
	char word[16], value[IP_TEXT_MAX];

	ret->count = 0;
	while (*text) {
		/* Comments begin a line with "#" or ";" and do not match. */
		if (sscanf(text, "%15[^ \t\n] %71[^ \t\r\n#;]", word, value) == 2 &&
		    strcmp(word, "nameserver") == 0)
			add_server(ret, value);
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
}

static int read_file(const char *path, struct text *to)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char chunk[4096];
	ssize_t size;

	if (fd < 0)
		return -errno;
	while ((size = read(fd, chunk, sizeof(chunk))) > 0)
		text_append_bytes(to, chunk, (size_t)size);
	return size < 0 ? -errno : text_error(to);
}

static bool same(const struct resolver_servers *a, const struct resolver_servers *b)
{
	bool equal = a->count == b->count;

	for (size_t i = 0; i < a->count && equal; i++)
		equal = ip_equal(&a->list[i].address, &b->list[i].address) &&
			a->list[i].scope_id == b->list[i].scope_id;
	return equal;
}

/* What others said before is not true any more, perhaps: the cache is forgotten. */
static void read_servers(struct resolver *resolver)
{
	struct resolver_servers servers = { .count = 0 };

	for (const char *const *path = resolver->options.resolv_conf; *path && servers.count == 0;
	     path++) {
		CLEANUP(text_done) struct text text = { .max = FILE_SIZE_MAX };

		if (read_file(*path, &text) == 0)
			resolver_parse_conf(text_string(&text), &servers);
	}
	if (same(&servers, &resolver->machine))
		return;
	resolver->machine = servers;
	dns_cache_clear(resolver->cache);
}

static void on_event_closed(uv_handle_t *handle)
{
	struct watched *watched = container_of(handle, struct watched, event);

	free(watched->path);
	free(watched);
}

static void watch_all(struct conf_watch *watch);

static void on_settled(uv_timer_t *timer)
{
	struct conf_watch *watch = container_of(timer, struct conf_watch, settle);

	watch_all(watch);
	read_servers(watch->resolver);
}

/* Of a directory, only what concerns the watched names. */
static bool concerns(const struct conf_watch *watch, const struct watched *watched,
		     const char *name)
{
	size_t size = strlen(watched->path);

	if (!watched->directory || !name)
		return true;
	for (const char *const *path = watch->resolver->options.resolv_conf; *path; path++)
		if (strncmp(*path, watched->path, size) == 0 &&
		    strncmp(*path + size + (size > 1), name, strlen(name)) == 0)
			return true;
	return strncmp(name, "resolv", 6) == 0;
}

static void on_event(uv_fs_event_t *event, const char *name, int events, int status)
{
	struct watched *watched = container_of(event, struct watched, event);
	struct conf_watch *watch = watched->watch;

	(void)events;
	if (status == 0 && !concerns(watch, watched, name))
		return;
	if (!uv_is_active((uv_handle_t *)&watch->settle))
		(void)uv_timer_start(&watch->settle, on_settled, SETTLE_MS, 0);
}

/* Returns 0 where it is watched now, or was before. */
static int add(struct conf_watch *watch, const char *path, bool directory)
{
	struct watched *watched;
	int r;

	for (size_t i = 0; i < watch->count; i++)
		if (strcmp(watch->watched[i]->path, path) == 0)
			return 0;
	if (watch->count == WATCHES_MAX)
		return -ENOSPC;
	watched = calloc(1, sizeof(*watched));
	if (!watched)
		return -ENOMEM;
	watched->path = strdup(path);
	watched->watch = watch;
	watched->directory = directory;
	(void)uv_fs_event_init(watch->resolver->options.loop, &watched->event);
	r = watched->path ? uv_fs_event_start(&watched->event, on_event, path, 0) : -ENOMEM;
	if (r < 0)
		uv_close((uv_handle_t *)&watched->event, on_event_closed);
	else
		watch->watched[watch->count++] = watched;
	return r;
}

static void watch_file(struct conf_watch *watch, const char *path)
{
	cleanup_free char *above = strdup(path);

	(void)add(watch, path, false);
	while (above && strcmp(above, "/") != 0 && strcmp(above, ".") != 0) {
		char *up = dirname(above);

		memmove(above, up, strlen(up) + 1);
		if (add(watch, above, true) == 0)
			return;
	}
}

static void unwatch_all(struct conf_watch *watch)
{
	while (watch->count > 0)
		uv_close((uv_handle_t *)&watch->watched[--watch->count]->event, on_event_closed);
}

static void watch_all(struct conf_watch *watch)
{
	unwatch_all(watch);
	for (const char *const *path = watch->resolver->options.resolv_conf; *path; path++) {
		cleanup_free char *target = realpath(*path, NULL);

		watch_file(watch, *path);
		if (target && strcmp(target, *path) != 0)
			watch_file(watch, target);
	}
}

/* Watched before it is read, so that no change goes unnoticed in between. */
int conf_watch_new(struct resolver *resolver)
{
	struct conf_watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return -ENOMEM;
	watch->resolver = resolver;
	(void)uv_timer_init(resolver->options.loop, &watch->settle);
	resolver->watch = watch;
	on_settled(&watch->settle);
	return 0;
}

static void on_settle_closed(uv_handle_t *handle)
{
	free(container_of(handle, struct conf_watch, settle));
}

void conf_watch_free(struct conf_watch *watch)
{
	unwatch_all(watch);
	uv_close((uv_handle_t *)&watch->settle, on_settle_closed);
}
