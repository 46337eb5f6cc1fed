/*
 * What the options before a command and the configuration files say
 */
#include <string.h>
#include <unistd.h>

#include "base/secret.h"
#include "rpc/cli_internal.h"
#include "rpc/config.h"

#define JAR_NAME ".cookies.json"

static const char *home(void)
{
	const char *directory = getenv("HOME");

	return directory && *directory == '/' ? directory : NULL;
}

/* Adds the files to what the command line says. Only one that was named has to be there. */
static int load(json_t *settings, struct fault *fault)
{
	const char *named = json_string_value(json_object_get(settings, "config"));
	CLEANUP(text_done) struct text path = { 0 };
	int r = named ? config_merge_file(named, settings, fault) : 0;

	if (r == -ENOENT)
		return fault_set_errno(fault, r, FAULT_FILESYSTEM, "reading %s", named);
	if (r == 0 && home()) {
		text_printf(&path, "%s/%s", home(), CLI_CONFIG_HOME);
		r = config_merge_file(text_string(&path), settings, fault);
	}
	if (r == 0 || r == -ENOENT)
		r = config_merge_file(CLI_CONFIG_SYSTEM, settings, fault);
	return r == -ENOENT ? 0 : r;
}

/* A setting that has to be a string; NULL where there is none. */
static int setting(const json_t *settings, const char *name, const char **ret, struct fault *fault)
{
	const json_t *value = json_object_get(settings, name);

	*ret = json_string_value(value);
	if (value && !*ret)
		return fault_set(fault, FAULT_DESERIALIZATION,
				 "%s: has to be a string in the configuration", name);
	return 0;
}

/* Files of certificates: a string or a list of them. */
static int roots(const json_t *settings, struct cli_settings *to, struct fault *fault)
{
	const json_t *value = json_object_get(settings, "root-ca");
	size_t count = json_is_array(value) ? json_array_size(value) : value ? 1 : 0;

	if (count == 0)
		return 0;
	to->roots = calloc(count + 1, sizeof(*to->roots));
	if (!to->roots)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		to->roots[i] =
			json_string_value(json_is_array(value) ? json_array_get(value, i) : value);
		if (!to->roots[i])
			return fault_set(fault, FAULT_DESERIALIZATION,
					 "root-ca: has to be a path or a list of paths in the "
					 "configuration");
	}
	to->client.roots = to->roots;
	return 0;
}

/* `socks-listen` of a StartOS machine is a proxy where no other is set. */
static int proxy(const json_t *settings, struct cli_settings *to, struct fault *fault)
{
	const char *socks = NULL;
	int r = setting(settings, "proxy", &to->client.proxy, fault);

	if (r == 0)
		r = setting(settings, "socks-listen", &socks, fault);
	if (r < 0 || to->client.proxy || !socks)
		return r;
	if (asprintf(&to->socks_proxy, "socks5h://%s", socks) < 0)
		return -ENOMEM;
	to->client.proxy = to->socks_proxy;
	return 0;
}

/* The cookies are beside the configuration, unless --cookie-path says otherwise. */
static int jar(const json_t *settings, struct cli_settings *to, struct fault *fault)
{
	CLEANUP(text_done) struct text path = { 0 };
	int r = setting(settings, "cookie-path", &to->client.cookie_jar, fault);

	if (r < 0 || to->client.cookie_jar)
		return r;
	if (home())
		text_printf(&path, "%s/%s", home(), CLI_CONFIG_HOME);
	else
		text_append(&path, CLI_CONFIG_SYSTEM);
	if (text_error(&path) < 0)
		return text_error(&path);
	if (asprintf(&to->jar, "%.*s/%s", (int)(strrchr(path.data, '/') - path.data), path.data,
		     JAR_NAME) < 0)
		return -ENOMEM;
	to->client.cookie_jar = to->jar;
	return 0;
}

static int local_cookie(const json_t *settings, struct cli_settings *to, struct fault *fault)
{
	const char *path = NULL;
	int r = setting(settings, "auth-cookie", &path, fault);

	if (r < 0)
		return r;
	/* One that cannot be read is no error yet: what the client is asked for decides. */
	(void)rpc_client_cookie(path ? path : CLI_COOKIE_PATH, &to->cookie);
	to->client.cookie = to->cookie;
	return 0;
}

int cli_settings_load(json_t *settings, struct cli_settings *ret, struct fault *fault)
{
	CLEANUP(cli_settings_done) struct cli_settings to = { 0 };
	const char *agent = getenv("SSH_AUTH_SOCK");
	int r = load(settings, fault);

	if (r == 0)
		r = setting(settings, "tunnel", &to.client.tunnel, fault);
	if (r == 0)
		r = setting(settings, "tunnel-listen", &to.client.tunnel_listen, fault);
	if (r == 0)
		r = setting(settings, "developer-key-path", &to.client.keys.developer, fault);
	if (r == 0)
		r = local_cookie(settings, &to, fault);
	if (r == 0)
		r = roots(settings, &to, fault);
	if (r == 0)
		r = proxy(settings, &to, fault);
	if (r == 0)
		r = jar(settings, &to, fault);
	if (r < 0)
		return fault_is_set(fault) ? r
					   : fault_set_errno(fault, r, FAULT_UNKNOWN,
							     "reading the configuration");
	to.client.insecure = json_is_true(json_object_get(settings, "insecure"));
	to.client.keys.machine = KEY_RING_MACHINE;
	to.client.keys.home = home();
	to.client.keys.agent = agent && *agent ? agent : NULL;
	*ret = to;
	to = (struct cli_settings){ 0 };
	return 0;
}

void cli_settings_done(struct cli_settings *settings)
{
	if (settings->cookie)
		secret_wipe(settings->cookie, strlen(settings->cookie));
	free(settings->cookie);
	free(settings->roots);
	free(settings->socks_proxy);
	free(settings->jar);
	*settings = (struct cli_settings){ 0 };
}
