/*
 * Passwords: Argon2id, what is good enough, and random ones
 *
 * New hashes have the parameters of tunnel.md 2.3 and take 64 MiB and some tenths of a second: callers
 * hash and verify on a worker thread. A stored hash may come from elsewhere; any encoded Argon2 string is
 * verified whose cost is within the bounds below. What held a password is wiped here; arguments are
 * the caller's to wipe.
 */
#pragma once

#include "base/fault.h"

#define PASSWORD_MIN 8 /* bytes */
#define PASSWORD_MAX 64
#define PASSWORD_DIFFERENT_MIN 5 /* characters */
#define PASSWORD_HASH_MAX 512 /* bytes of an encoded hash with its NUL */
#define PASSWORD_RANDOM_SIZE 27 /* of a random password with its NUL */

/* Of a stored hash. */
#define PASSWORD_MEMORY_MAX_KIB (256U << 10)
#define PASSWORD_PASSES_MAX 16U
#define PASSWORD_LANES_MAX 16U

/* Holds a new password against the rules: PASSWORD_MIN to PASSWORD_MAX bytes of UTF-8 without control
 * characters, PASSWORD_DIFFERENT_MIN different ones, no run like "abcdefgh" or "87654321", none of those that
 * are guessed first. Returns 0, or -EPROTO with a fault (FAULT_INVALID_REQUEST) that names the rule. */
int password_check(const char *password, struct fault *fault);

/* Makes an encoded hash. Returns 0, -ENOMEM, or -EIO. Slow. */
int password_hash(const char *password, char ret[PASSWORD_HASH_MAX]);

/*
 * Returns 0 where the password is the one of the hash, -EACCES where it is not, -EBADMSG where
 * @encoded is no hash or costs more than the bounds, -ENOMEM. Slow but for -EBADMSG.
 */
int password_verify(const char *encoded, const char *password);

/* Makes a random password of 128 bits: 26 lower-case letters and digits. */
void password_random(char ret[PASSWORD_RANDOM_SIZE]);
