/*
 * Cookies that a command keeps between two runs
 *
 * A file of JSON in the form that start-cli uses too (rpc-and-patchdb.md 2.6), so one login serves both.
 * Only cookies that outlive the program are written. A file that cannot be read, or holds something
 * else, counts as empty. A jar has at most COOKIE_JAR_MAX cookies; those of other servers stay as
 * they are. Secret: the file is for its owner alone.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/text.h"

#define COOKIE_JAR_MAX 256
#define COOKIE_JAR_FILE_MAX (1U << 20) /* bytes */

struct cookie_jar;

/*
 * Opens the jar in a file; nothing is read before it is needed.
 * @path: kept until the jar is released. Returns 0 or -ENOMEM.
 */
int cookie_jar_new(const char *path, struct cookie_jar **ret);

/* NULL is fine. Returns NULL. */
struct cookie_jar *cookie_jar_free(struct cookie_jar *jar);
DEFINE_CLEANUP(struct cookie_jar *, cookie_jar_free);

/*
 * Appends "name=value; name=value" of the cookies that a request to this host carries.
 * @host: in lower case, without a port. @secure: by https.
 */
void cookie_jar_write(struct cookie_jar *jar, const char *host, const char *path, bool secure,
		      int64_t now_s, struct text *to);

/*
 * Takes the value of a Set-Cookie field of an answer from the host; a cookie that has expired is
 * taken out. What is not a cookie, or is for another host, is ignored. Returns 0 or -ENOMEM.
 */
int cookie_jar_take(struct cookie_jar *jar, const char *host, const char *set_cookie,
		    int64_t now_s);

/* Forgets the host's cookies of this name. */
void cookie_jar_forget(struct cookie_jar *jar, const char *host, const char *name);

/*
 * Writes the file where anything changed: under a lock, what this jar changed over what the file holds
 * by then, as a new file in place of the old one. Returns 0, or a negative errno with a fault.
 */
int cookie_jar_save(struct cookie_jar *jar, int64_t now_s, struct fault *fault);
