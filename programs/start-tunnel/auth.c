/*
 * Passwords, sessions and keys from the command line (tunnel.md 2.8)
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/secret.h"
#include "client/prompt.h"
#include "commands.h"
#include "crypto/password.h"
#include "crypto/signing_key.h"

/* Ends a `local` that has printed what there is to say, or has nothing. */
static int nothing_more(int r, json_t **ret_result)
{
	if (r == 0)
		*ret_result = json_null();
	return r < 0 ? r : 1;
}

/* --- sessions --- */

static int read_password(struct text *to, struct fault *fault)
{
	const char *given = getenv("PASSWORD");

	if (!given && !prompt_is_possible())
		return fault_set(
			fault, FAULT_FILESYSTEM,
			"the password can be asked on a terminal only; elsewhere give it in "
			"the environment variable PASSWORD");
	if (!given)
		return prompt_secret("Password: ", to, fault);
	text_append(to, given);
	return text_error(to);
}

static int login(struct rpc_client *client, const json_t *params, json_t **ret_result,
		 struct fault *fault)
{
	CLEANUP(text_done_secret) struct text password = { 0 };
	json_t *to_send, *result = NULL;
	const char *session;
	int r = read_password(&password, fault);

	if (r < 0)
		return r;
	to_send = json_pack("{s:s}", "password", text_string(&password));
	if (!to_send)
		return fault_set(fault, FAULT_INVALID_REQUEST, "the password is not UTF-8 text");
	/* Without any other proof: who has one of those would get no session. */
	r = rpc_client_call_as(client, RPC_PROOF_NONE, NULL, "auth.login", to_send, &result, fault);
	json_decref(to_send);
	if (r < 0 && fault->kind == FAULT_INCORRECT_PASSWORD) {
		fault_done(fault);
		return fault_set(
			fault, FAULT_INCORRECT_PASSWORD,
			"the daemon does not accept it. `start-tunnel auth reset-password`, "
			"as root on the server, sets another one");
	}
	if (r < 0)
		return r;
	session = json_string_value(json_object_get(result, "session"));
	if (session && !rpc_client_has_session(client, session))
		r = rpc_client_keep_session(client, session, fault);
	json_decref(result);
	return nothing_more(r, ret_result);
}

static int logout(struct rpc_client *client, const json_t *params, json_t **ret_result,
		  struct fault *fault)
{
	const char *session = json_string_value(json_object_get(params, "session"));
	json_t *result = NULL;
	int r = rpc_client_call_as(client, RPC_PROOF_SESSION, session, "auth.logout", NULL, &result,
				   fault);

	json_decref(result);
	if (r < 0 && (session || !rpc_client_is_refused(client)))
		return r;
	fault_done(fault); /* a session that the daemon does not know is no session any more */
	if (!session)
		r = rpc_client_keep_session(client, NULL, fault);
	return nothing_more(r, ret_result);
}

/* --- the password --- */

static int set_password(struct rpc_client *client, const json_t *params, json_t **ret_result,
			struct fault *fault)
{
	CLEANUP(text_done_secret) struct text password = { 0 };
	CLEANUP(text_done_secret) struct text again = { 0 };
	int r;

	if (!prompt_is_possible())
		return fault_set(fault, FAULT_FILESYSTEM,
				 "a password can be asked on a terminal only; `start-tunnel auth "
				 "reset-password` sets a random one without asking");
	r = prompt_secret("New Password: ", &password, fault);
	if (r == 0)
		r = prompt_secret("Confirm Password: ", &again, fault);
	if (r == 0 && strcmp(text_string(&password), text_string(&again)) != 0)
		r = fault_set(fault, FAULT_INVALID_REQUEST, "the two passwords differ");
	if (r == 0)
		r = command_call(client, "auth.set-password",
				 json_pack("{s:s}", "password", text_string(&password)), NULL,
				 fault);
	if (r == 0)
		(void)printf("The password is set.\n");
	return nothing_more(r, ret_result);
}

static int reset_password(struct rpc_client *client, const json_t *params, json_t **ret_result,
			  struct fault *fault)
{
	char password[PASSWORD_RANDOM_SIZE];
	int r;

	(void)printf("Generating a random password...\n");
	(void)fflush(stdout);
	password_random(password);
	r = command_call(client, "auth.set-password", json_pack("{s:s}", "password", password),
			 NULL, fault);
	if (r == 0)
		(void)printf("The new password is:\n%s\n", password);
	secret_wipe(password, sizeof(password));
	return nothing_more(r, ret_result);
}

/* --- the key of this user --- */

static int write_new_key(const char *path, const uint8_t seed[ED25519_SEED_SIZE])
{
	char pem[SIGNING_KEY_PRIVATE_PEM_SIZE];
	cleanup_close int fd =
		open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	size_t size;
	int r = fd < 0 ? -errno : 0;

	if (r < 0)
		return r;
	(void)signing_key_format_private(seed, pem);
	size = strlen(pem);
	if (write(fd, pem, size) != (ssize_t)size || fsync(fd) < 0)
		r = errno ? -errno : -EIO;
	secret_wipe(pem, sizeof(pem));
	if (r < 0)
		(void)unlink(path);
	return r;
}

static int key_path(const struct rpc_client_options *options, struct text *to, struct fault *fault)
{
	const char *home = options->keys.home;

	if (options->keys.developer) {
		text_append(to, options->keys.developer);
	} else if (home) {
		CLEANUP(text_done) struct text directory = { 0 };

		text_printf(to, "%s/%s", home, KEY_RING_HOME);
		text_printf(&directory, "%.*s",
			    (int)(strrchr(text_string(to), '/') - text_string(to)),
			    text_string(to));
		(void)mkdir(text_string(&directory), 0700); /* what fails shows below */
	} else {
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "there is no home directory: name a file by --developer-key-path");
	}
	return text_error(to);
}

static int key_init(struct rpc_client *client, const json_t *params, json_t **ret_result,
		    struct fault *fault)
{
	CLEANUP(text_done) struct text path = { 0 };
	CLEANUP(text_done_secret) struct text text = { 0 };
	uint8_t seed[ED25519_SEED_SIZE], public_key[ED25519_PUBLIC_SIZE];
	char pem[SIGNING_KEY_PEM_SIZE], line[SIGNING_KEY_SSH_SIZE];
	int r = key_path(rpc_client_options(client), &path, fault);

	if (r < 0)
		return r;
	random_bytes(seed, sizeof(seed));
	r = write_new_key(text_string(&path), seed);
	if (r == -EEXIST) {
		r = command_read_file("the key", text_string(&path), &text, fault);
		if (r == 0)
			r = signing_key_parse_private(text_string(&text), seed, fault);
	} else if (r < 0) {
		r = fault_set_errno(fault, r, FAULT_FILESYSTEM, "writing the key %s",
				    text_string(&path));
	}
	if (r == 0) {
		ed25519_public(seed, public_key);
		(void)printf("%s%s start-tunnel\n", signing_key_format_public(public_key, pem),
			     signing_key_format_ssh(public_key, line));
	}
	secret_wipe(seed, sizeof(seed));
	return nothing_more(r, ret_result);
}

/* --- the rows --- */

static const struct rpc_param logout_params[] = {
	{ .name = "session",
	  .type = RPC_STRING,
	  .flags = RPC_POSITIONAL | RPC_CLI_ONLY,
	  .help = "the token of another session; by default the one that login kept" },
	{ 0 },
};

const struct rpc_method auth_commands[] = {
	{ .name = "auth.key.init",
	  .summary = "Make a key that signs requests, where there is none yet",
	  .description =
		  "Writes ~/.startos/developer.key.pem, or the file of --developer-key-path, and "
		  "shows the public key in PEM and as a line of OpenSSH. An existing key is shown "
		  "and not changed. Who has an SSH key of the kind ed25519 needs no other.",
	  .local = key_init },
	{ .name = "auth.login",
	  .summary = "Log in by password and keep the session for later commands",
	  .description =
		  "The password is asked for, or taken from the environment variable "
		  "PASSWORD. The session is kept in ~/.startos/.cookies.json, or in the file of "
		  "--cookie-path. It ends once it was idle for 7 days, or after 30.",
	  .local = login },
	{ .name = "auth.logout",
	  .summary = "End the session",
	  .params = logout_params,
	  .local = logout },
	{ .name = "auth.reset-password",
	  .summary = "Set a random password and show it",
	  .description = "For who cannot log in any more. All sessions end.",
	  .local = reset_password },
	{ .name = "auth.set-password",
	  .summary = "Set the password of the web interface, which is asked for",
	  .description = "A password has 8 to 64 bytes and is not among those that are guessed "
			 "first. All other sessions end.",
	  .local = set_password },
	{ 0 },
};
