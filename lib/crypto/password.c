#include "crypto/password.h"

#include <argon2.h>
#include <string.h>

#include "base/secret.h"
#include "codec/base32.h"

#define MEMORY_KIB 65536
#define PASSES 3
#define LANES 1
#define HASH_SIZE 32
#define SALT_SIZE 16

/* What a guesser tries first, as far as the other rules let it through. Matched without regard to case,
 * with digits and signs behind it ignored: "Password2024!" is "password". */
static const char *const guessed_first[] = {
	"password",  "passwort",   "passw0rd",	"p@ssw0rd",	 "p@ssword",	"changeme",
	"letmein",   "welcome",	   "iloveyou",	"sunshine",	 "princess",	"football",
	"baseball",  "superman",   "qwerty",	"qwertyuiop",	 "qwertzuiop",	"azertyuiop",
	"asdfghjkl", "1q2w3e4r5t", "1qaz2wsx",	"zxcvbnm",	 "starttunnel", "start-tunnel",
	"startos",   "start9",	   "wireguard", "administrator", "admin",	"trustno1",
	"computer",  "internet",   "whatever",	"michelle",	 "bitcoin",
};

static bool is_control(unsigned char c)
{
	return c < ' ' || c == 0x7f;
}

static size_t count_different(const char *password)
{
	bool seen[256] = { false };
	size_t count = 0;

	for (; *password; password++) {
		bool *mark = &seen[(unsigned char)*password];

		count += *mark ? 0 : 1;
		*mark = true;
	}
	return count;
}

/* Each character is the one before plus @step. */
static bool is_run(const char *password, int step)
{
	for (size_t i = 1; password[i]; i++)
		if (password[i] - password[i - 1] != step)
			return false;
	return true;
}

static bool is_guessed_first(const char *password)
{
	static const char tail[] = "0123456789!?.,-_#$*+ ";
	size_t size = strlen(password);
	size_t stem = size;

	while (stem > 0 && strchr(tail, password[stem - 1]))
		stem--;
	for (size_t i = 0; i < ARRAY_SIZE(guessed_first); i++) {
		size_t word = strlen(guessed_first[i]);

		if ((stem == word || size == word) &&
		    strncasecmp(password, guessed_first[i], word) == 0)
			return true;
	}
	return false;
}

int password_check(const char *password, struct fault *fault)
{
	size_t size = strlen(password);

	for (size_t i = 0; i < size; i++)
		if (is_control((unsigned char)password[i]))
			return fault_set(fault, FAULT_INVALID_REQUEST,
					 "password: it must not hold control characters");
	if (size < PASSWORD_MIN || size > PASSWORD_MAX)
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "password: it has to be %d to %d bytes long, and has %zu",
				 PASSWORD_MIN, PASSWORD_MAX, size);
	if (count_different(password) < PASSWORD_DIFFERENT_MIN)
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "password: it needs at least %d different characters",
				 PASSWORD_DIFFERENT_MIN);
	if (is_run(password, 1) || is_run(password, -1))
		return fault_set(
			fault, FAULT_INVALID_REQUEST,
			"password: neighbours in a row, like \"abcdefgh\", are guessed first");
	if (is_guessed_first(password))
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "password: it is one of those that are guessed first");
	return 0;
}

int password_hash(const char *password, char ret[PASSWORD_HASH_MAX])
{
	uint8_t salt[SALT_SIZE];
	int r;

	random_bytes(salt, sizeof(salt));
	r = argon2id_hash_encoded(PASSES, MEMORY_KIB, LANES, password, strlen(password), salt,
				  sizeof(salt), HASH_SIZE, ret, PASSWORD_HASH_MAX);
	if (r == ARGON2_MEMORY_ALLOCATION_ERROR)
		return -ENOMEM;
	return r == ARGON2_OK ? 0 : -EIO;
}

/* Reads "<name>=<number>" and what has to follow; moves on. */
static bool take_number(const char **at, const char *name, char behind, uint32_t max)
{
	size_t size = strlen(name);
	uint32_t value = 0;
	const char *digit;

	if (strncmp(*at, name, size) != 0)
		return false;
	digit = *at + size;
	if (*digit < '1' || *digit > '9')
		return false;
	for (; *digit >= '0' && *digit <= '9'; digit++) {
		value = value * 10 + (uint32_t)(*digit - '0');
		if (value > max)
			return false;
	}
	*at = digit + 1;
	return *digit == behind;
}

/* The kind of a hash whose cost is within the bounds, or -EBADMSG. */
static int find_kind(const char *encoded)
{
	static const struct {
		const char *prefix;
		argon2_type kind;
	} kinds[] = {
		{ "$argon2id$", Argon2_id },
		{ "$argon2i$", Argon2_i },
		{ "$argon2d$", Argon2_d },
	};

	if (strlen(encoded) >= PASSWORD_HASH_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		size_t size = strlen(kinds[i].prefix);
		const char *at = encoded + size;

		if (strncmp(encoded, kinds[i].prefix, size) != 0)
			continue;
		if (strncmp(at, "v=", 2) == 0 && !take_number(&at, "v=", '$', 19))
			return -EBADMSG;
		return take_number(&at, "m=", ',', PASSWORD_MEMORY_MAX_KIB) &&
				       take_number(&at, "t=", ',', PASSWORD_PASSES_MAX) &&
				       take_number(&at, "p=", '$', PASSWORD_LANES_MAX)
			       ? (int)kinds[i].kind
			       : -EBADMSG;
	}
	return -EBADMSG;
}

int password_verify(const char *encoded, const char *password)
{
	int kind = find_kind(encoded);

	if (kind < 0)
		return kind;
	switch (argon2_verify(encoded, password, strlen(password), (argon2_type)kind)) {
	case ARGON2_OK:
		return 0;
	case ARGON2_VERIFY_MISMATCH:
		return -EACCES;
	case ARGON2_MEMORY_ALLOCATION_ERROR:
	case ARGON2_THREAD_FAIL:
		return -ENOMEM;
	default:
		return -EBADMSG;
	}
}

void password_random(char ret[PASSWORD_RANDOM_SIZE])
{
	uint8_t bytes[16];

	random_bytes(bytes, sizeof(bytes));
	(void)base32_encode(bytes, sizeof(bytes), BASE32_LOWER, ret);
	secret_wipe(bytes, sizeof(bytes));
}
