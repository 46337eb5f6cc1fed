#include "client/cookie_jar.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

/* What became of a cookie since the file was read; an entry without `raw` was taken out. */
struct change {
	char *host;
	char *name;
	json_t *entry; /* NULL: gone */
};

struct cookie_jar {
	const char *path;
	json_t *entries; /* an array; NULL until it was needed */
	struct change changes[COOKIE_JAR_MAX];
	size_t change_count;
};

int cookie_jar_new(const char *path, struct cookie_jar **ret)
{
	struct cookie_jar *jar = calloc(1, sizeof(*jar));

	if (!jar)
		return -ENOMEM;
	jar->path = path;
	*ret = jar;
	return 0;
}

static void change_done(struct change *change)
{
	free(change->host);
	free(change->name);
	json_decref(change->entry);
	*change = (struct change){ 0 };
}

struct cookie_jar *cookie_jar_free(struct cookie_jar *jar)
{
	if (!jar)
		return NULL;
	for (size_t i = 0; i < jar->change_count; i++)
		change_done(&jar->changes[i]);
	json_decref(jar->entries);
	free(jar);
	return NULL;
}

/* --- one cookie --- */

struct span {
	const char *at;
	size_t size;
};

static struct span trimmed(const char *at, size_t size)
{
	while (size > 0 && (*at == ' ' || *at == '\t')) {
		at++;
		size--;
	}
	while (size > 0 && (at[size - 1] == ' ' || at[size - 1] == '\t'))
		size--;
	return (struct span){ at, size };
}

static bool span_is(const struct span *span, const char *text)
{
	return span->size == strlen(text) && strncasecmp(span->at, text, span->size) == 0;
}

/* A Set-Cookie as RFC 6265 section 5.2 reads it; the spans are parts of the text. */
struct cookie {
	struct span name;
	struct span value;
	struct span domain; /* empty: the host that sent it, alone */
	struct span path; /* empty: "/" */
	bool secure;
	bool lasting; /* outlives the program */
	int64_t expires_s;
};

static int64_t seconds_of(const struct span *value)
{
	bool negative = value->size > 0 && value->at[0] == '-';
	int64_t seconds = 0;

	for (size_t i = negative; i < value->size; i++) {
		if (value->at[i] < '0' || value->at[i] > '9')
			return 0;
		if (seconds < INT32_MAX)
			seconds = seconds * 10 + (value->at[i] - '0');
	}
	return negative ? 0 : seconds;
}

static int64_t time_of(const struct span *value)
{
	char text[64];
	time_t time;

	if (value->size >= sizeof(text))
		return 0;
	memcpy(text, value->at, value->size);
	text[value->size] = '\0';
	time = curl_getdate(text, NULL);
	return time < 0 ? 0 : (int64_t)time;
}

static void set_attribute(struct cookie *cookie, const struct span *name, const struct span *value,
			  int64_t now_s, bool *max_age)
{
	if (span_is(name, "secure")) {
		cookie->secure = true;
	} else if (span_is(name, "path")) {
		cookie->path = *value;
	} else if (span_is(name, "domain")) {
		cookie->domain = *value;
	} else if (span_is(name, "max-age")) {
		cookie->lasting = *max_age = true;
		cookie->expires_s = now_s + seconds_of(value);
	} else if (span_is(name, "expires") && !*max_age) { /* Max-Age counts more */
		cookie->lasting = true;
		cookie->expires_s = time_of(value);
	}
}

/* Parses "name=value; Attribute=value; ...". Returns whether there is a cookie in it. */
static bool parse(const char *text, int64_t now_s, struct cookie *ret)
{
	bool max_age = false;

	*ret = (struct cookie){ 0 };
	for (const char *at = text; at;) {
		const char *end = strchrnul(at, ';');
		const char *equals = memchr(at, '=', (size_t)(end - at));
		struct span name = trimmed(at, (size_t)((equals ? equals : end) - at));
		struct span value = { end, 0 };

		if (equals)
			value = trimmed(equals + 1, (size_t)(end - equals - 1));
		if (at != text) {
			set_attribute(ret, &name, &value, now_s, &max_age);
		} else if (!equals || name.size == 0) {
			return false;
		} else {
			ret->name = name;
			ret->value = value;
		}
		at = *end ? end + 1 : NULL;
	}
	for (size_t i = 0; i < ret->value.size; i++) /* what could change the request's head */
		if ((unsigned char)ret->value.at[i] < ' ' || ret->value.at[i] == 127)
			return false;
	return true;
}

/* --- the entries of a file --- */

static const char *raw_of(const json_t *entry)
{
	return json_string_value(json_object_get(entry, "raw_cookie"));
}

static bool is_suffix(const char *host, const char *suffix)
{
	size_t size = strlen(suffix), host_size = strlen(host);

	return host_size >= size && strcasecmp(host + host_size - size, suffix) == 0 &&
	       (host_size == size || host[host_size - size - 1] == '.');
}

static bool is_for_host(const json_t *entry, const char *host)
{
	const json_t *domain = json_object_get(entry, "domain");
	const char *only = json_string_value(json_object_get(domain, "HostOnly"));
	const char *suffix = json_string_value(json_object_get(domain, "Suffix"));

	return only ? strcasecmp(only, host) == 0 : suffix && is_suffix(host, suffix);
}

static bool is_for_path(const json_t *entry, const char *path)
{
	const char *of = json_string_value(json_array_get(json_object_get(entry, "path"), 0));
	size_t size = of ? strlen(of) : 0;

	return size > 0 && strncmp(path, of, size) == 0 &&
	       (of[size - 1] == '/' || path[size] == '/' || path[size] == '\0');
}

static bool has_name(const json_t *entry, const char *name)
{
	const char *raw = raw_of(entry);
	size_t size = strlen(name);

	return raw && strncmp(raw, name, size) == 0 && raw[size] == '=';
}

/* "9999-12-31T23:59:59Z". One that is written otherwise counts as expired. */
static int64_t expiry_of(const json_t *entry)
{
	const char *text =
		json_string_value(json_object_get(json_object_get(entry, "expires"), "AtUtc"));
	struct tm tm = { 0 };
	const char *end = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;

	if (end && *end == '.')
		end += 1 + strspn(end + 1, "0123456789");
	return end && strcmp(end, "Z") == 0 ? (int64_t)timegm(&tm) : 0;
}

static void drop_expired(json_t *entries, int64_t now_s)
{
	for (size_t i = json_array_size(entries); i-- > 0;)
		if (expiry_of(json_array_get(entries, i)) <= now_s)
			(void)json_array_remove(entries, i);
}

static json_t *read_entries(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
	struct stat status;
	json_t *entries = NULL;

	if (file && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
	    status.st_size <= COOKIE_JAR_FILE_MAX)
		entries = json_loadf(file, 0, NULL);
	if (file)
		(void)fclose(file);
	else if (fd >= 0)
		(void)close(fd);
	if (!json_is_array(entries) || json_array_size(entries) > COOKIE_JAR_MAX) {
		json_decref(entries);
		return json_array();
	}
	return entries;
}

static int load(struct cookie_jar *jar)
{
	if (!jar->entries)
		jar->entries = read_entries(jar->path);
	return jar->entries ? 0 : -ENOMEM;
}

static void take_out(json_t *entries, const char *host, const char *name)
{
	for (size_t i = json_array_size(entries); i-- > 0;) {
		const json_t *entry = json_array_get(entries, i);

		if (is_for_host(entry, host) && has_name(entry, name))
			(void)json_array_remove(entries, i);
	}
}

/* Puts a changed cookie in the place of those that it replaces. @entry: NULL takes them out. */
static int put(json_t *entries, const char *host, const char *name, json_t *entry)
{
	take_out(entries, host, name);
	if (entry && json_array_size(entries) >= COOKIE_JAR_MAX)
		(void)json_array_remove(entries, 0);
	return entry && json_array_append(entries, entry) < 0 ? -ENOMEM : 0;
}

/* Keeps a change for cookie_jar_save(). Takes @name and @entry. */
static int record(struct cookie_jar *jar, const char *host, char *name, json_t *entry)
{
	struct change change = { strdup(host), name, entry };

	if (!change.host || jar->change_count == ARRAY_SIZE(jar->changes) ||
	    put(jar->entries, host, name, entry) < 0) {
		change_done(&change);
		return -ENOMEM;
	}
	jar->changes[jar->change_count++] = change;
	return 0;
}

/* --- use --- */

void cookie_jar_write(struct cookie_jar *jar, const char *host, const char *path, bool secure,
		      int64_t now_s, struct text *to)
{
	const json_t *entry;
	size_t i;

	if (load(jar) < 0)
		return;
	json_array_foreach(jar->entries, i, entry) {
		struct cookie cookie;

		if (!is_for_host(entry, host) || !is_for_path(entry, path) ||
		    expiry_of(entry) <= now_s || !raw_of(entry) ||
		    !parse(raw_of(entry), now_s, &cookie) || (cookie.secure && !secure))
			continue;
		text_printf(to, "%s%.*s=%.*s", to->size > 0 ? "; " : "", (int)cookie.name.size,
			    cookie.name.at, (int)cookie.value.size, cookie.value.at);
	}
}

static json_t *entry_of(const struct cookie *cookie, const char *host, const char *set_cookie)
{
	struct span path = cookie->path;
	bool has_path = path.size > 0 && path.at[0] == '/';
	time_t at = (time_t)cookie->expires_s;
	char time[64] = "";
	struct tm tm;

	if (!gmtime_r(&at, &tm) || strftime(time, sizeof(time), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		return NULL;
	if (!has_path)
		path = (struct span){ "/", 1 };
	return json_pack("{s:s, s:[s%, b], s:{s:s}, s:{s:s}}", "raw_cookie", set_cookie, "path",
			 path.at, path.size, has_path, "domain", "HostOnly", host, "expires",
			 "AtUtc", time);
}

int cookie_jar_take(struct cookie_jar *jar, const char *host, const char *set_cookie, int64_t now_s)
{
	struct cookie cookie;
	json_t *entry = NULL;
	char *name;

	if (load(jar) < 0)
		return -ENOMEM;
	if (!parse(set_cookie, now_s, &cookie))
		return 0;
	/* A cookie for a whole domain is kept for the host alone: nothing here needs more. */
	if (cookie.domain.size > 0) {
		CLEANUP(text_done) struct text domain = { 0 };

		text_append_bytes(&domain, cookie.domain.at, cookie.domain.size);
		if (!is_suffix(host, text_string(&domain) + (*cookie.domain.at == '.')))
			return 0;
	}
	name = strndup(cookie.name.at, cookie.name.size);
	if (name && cookie.lasting && cookie.expires_s > now_s)
		entry = entry_of(&cookie, host, set_cookie);
	if (!name || (cookie.lasting && cookie.expires_s > now_s && !entry)) {
		free(name);
		return -ENOMEM;
	}
	return record(jar, host, name, entry);
}

void cookie_jar_forget(struct cookie_jar *jar, const char *host, const char *name)
{
	char *copy = strdup(name);

	if (copy && load(jar) == 0)
		(void)record(jar, host, copy, NULL);
	else
		free(copy);
}

/* --- the file --- */

/* Makes the directory of the file, for its owner alone, where only that is missing. */
static void make_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *directory = slash ? strndup(path, (size_t)(slash - path)) : NULL;

	if (directory && *directory)
		(void)mkdir(directory, 0700);
}

static int write_file(const char *path, const json_t *entries)
{
	cleanup_free char *temporary = NULL;
	cleanup_free char *bytes = json_dumps(entries, JSON_INDENT(2));
	cleanup_close int fd = -EBADF;
	size_t size = bytes ? strlen(bytes) : 0, done = 0;
	int r = 0;

	if (!bytes || asprintf(&temporary, "%s.tmp", path) < 0)
		return -ENOMEM;
	(void)unlink(temporary); /* of a run that was cut off; we hold the lock */
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	while (r == 0 && done < size) {
		ssize_t written = write(fd, bytes + done, size - done);

		if (written < 0 && errno != EINTR)
			r = -errno;
		else if (written > 0)
			done += (size_t)written;
	}
	if (r == 0 && (fsync(fd) < 0 || rename(temporary, path) < 0))
		r = -errno;
	if (r < 0)
		(void)unlink(temporary);
	return r;
}

static int merge_and_write(struct cookie_jar *jar, int64_t now_s)
{
	json_t *entries = read_entries(jar->path);
	int r = entries ? 0 : -ENOMEM;

	if (entries)
		drop_expired(entries, now_s);
	for (size_t i = 0; i < jar->change_count && r == 0; i++)
		r = put(entries, jar->changes[i].host, jar->changes[i].name, jar->changes[i].entry);
	if (r == 0)
		r = write_file(jar->path, entries);
	json_decref(entries);
	return r;
}

int cookie_jar_save(struct cookie_jar *jar, int64_t now_s, struct fault *fault)
{
	cleanup_free char *lock_path = NULL;
	cleanup_close int lock = -EBADF;
	int r;

	if (jar->change_count == 0)
		return 0;
	make_directory(jar->path);
	if (asprintf(&lock_path, "%s.lock", jar->path) < 0)
		return -ENOMEM;
	lock = open(lock_path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	r = lock < 0 || flock(lock, LOCK_EX) < 0 ? -errno : merge_and_write(jar, now_s);
	if (r < 0)
		return fault_set_errno(fault, r, FAULT_FILESYSTEM, "writing the cookies to %s",
				       jar->path);
	return 0;
}
