#include "options.h"

#include <getopt.h>
#include <jansson.h>
#include <sys/stat.h>

#define CONFIG_MAX 65536
#define CONFIG_FILES_MAX 8 /* each may name another */

static const char help[] =
	"Usage: start-tunneld [OPTION]...\n"
	"The daemon of StartTunnel: a private router for your devices on a public server.\n"
	"\n"
	"Started as root; it starts start-netd, which keeps the privilege, and goes on without.\n"
	"\n"
	"  -c, --config FILE          read options from FILE (JSON) before " OPTIONS_CONFIG "\n"
	"  -l, --listen IP:PORT       answer commands here (127.0.59.60:5960)\n"
	"  -d, --datadir DIRECTORY    keep the document here (/var/lib/start-tunnel)\n"
	"      --user NAME            run as this user (start-tunnel)\n"
	"      --start-netd FILE      the program that changes the network\n"
	"      --start-wg FILE        the WireGuard device for kernels that have none\n"
	"      --backend KIND         auto, kernel or start-wg (auto)\n"
	"      --reboot-command FILE  what `start-tunnel restart` runs (/sbin/reboot)\n"
	"  -h, --help                 show this\n"
	"  -V, --version              show the version\n";

enum long_option {
	OPTION_USER = 256,
	OPTION_NETD,
	OPTION_START_WG,
	OPTION_BACKEND,
	OPTION_REBOOT,
};

static const struct option long_options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "listen", required_argument, NULL, 'l' },
	{ "datadir", required_argument, NULL, 'd' },
	{ "user", required_argument, NULL, OPTION_USER },
	{ "start-netd", required_argument, NULL, OPTION_NETD },
	{ "start-wg", required_argument, NULL, OPTION_START_WG },
	{ "backend", required_argument, NULL, OPTION_BACKEND },
	{ "reboot-command", required_argument, NULL, OPTION_REBOOT },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ 0 },
};

void options_done(struct options *options)
{
	free(options->listen);
	free(options->datadir);
	free(options->user);
	free(options->netd);
	free(options->start_wg);
	free(options->backend);
	free(options->reboot_command);
	*options = (struct options){ 0 };
}

/* The first one to set an option wins: the command line, then each file in turn. */
static int set_once(char **option, const char *value)
{
	if (!*option && value)
		*option = strdup(value);
	return value && !*option ? -ENOMEM : 0;
}

static int read_member(const json_t *config, const char *path, const char *name, char **option,
		       struct fault *fault)
{
	const json_t *value = json_object_get(config, name);

	if (value && !json_is_string(value) && !json_is_null(value))
		return fault_set(fault, FAULT_DESERIALIZATION, "%s: %s must be a string", path,
				 name);
	return set_once(option, json_string_value(value));
}

static json_t *load_config(const char *path, struct fault *fault)
{
	char text[CONFIG_MAX];
	json_error_t error;
	struct stat st;
	size_t size;
	FILE *file = fopen(path, "re");
	json_t *config;

	if (!file || fstat(fileno(file), &st) < 0 || !S_ISREG(st.st_mode)) {
		(void)fault_set_errno(fault, file ? -EINVAL : -errno, FAULT_FILESYSTEM,
				      "reading the configuration file %s", path);
		if (file)
			(void)fclose(file);
		return NULL;
	}
	size = fread(text, 1, sizeof(text), file);
	(void)fclose(file);
	config = size < sizeof(text) ? json_loadb(text, size, 0, &error) : NULL;
	if (!config)
		(void)fault_set(fault, FAULT_DESERIALIZATION,
				"the configuration file %s is not JSON of less than %d bytes: %s",
				path, CONFIG_MAX, size < sizeof(text) ? error.text : "too long");
	return config;
}

/* Reads a file, and the ones that it names in turn. */
static int read_config(struct options *options, const char *path, struct fault *fault)
{
	json_t *config = load_config(path, fault);
	int r = config ? 0 : -EPROTO;

	for (int files = 1; config && r == 0; files++) {
		const char *next = json_string_value(json_object_get(config, "config"));
		json_t *following = NULL;

		r = read_member(config, path, "tunnel-listen", &options->listen, fault);
		if (r == 0)
			r = read_member(config, path, "datadir", &options->datadir, fault);
		if (r == 0 && next && files == CONFIG_FILES_MAX)
			r = fault_set(fault, FAULT_INVALID_REQUEST,
				      "%s: too many configuration files name one another", path);
		if (r == 0 && next) {
			following = load_config(next, fault);
			r = following ? 0 : -EPROTO;
		}
		json_decref(config);
		config = following;
	}
	json_decref(config);
	return r;
}

static int read_argument(struct options *options, int option, const char **config)
{
	switch (option) {
	case 'c':
		*config = optarg;
		return 0;
	case 'l':
		return set_once(&options->listen, optarg);
	case 'd':
		return set_once(&options->datadir, optarg);
	case OPTION_USER:
		return set_once(&options->user, optarg);
	case OPTION_NETD:
		return set_once(&options->netd, optarg);
	case OPTION_START_WG:
		return set_once(&options->start_wg, optarg);
	case OPTION_BACKEND:
		return set_once(&options->backend, optarg);
	case OPTION_REBOOT:
		return set_once(&options->reboot_command, optarg);
	case 'h':
		(void)fputs(help, stdout);
		return OPTIONS_SHOWN;
	case 'V':
		(void)puts("start-tunneld " PROJECT_VERSION);
		return OPTIONS_SHOWN;
	default:
		return -EINVAL; /* getopt_long() said what is wrong */
	}
}

int options_read(int argc, char **argv, struct options *ret, struct fault *fault)
{
	CLEANUP(options_done) struct options options = { 0 };
	const char *config = NULL;
	int option, r = 0;

	while ((option = getopt_long(argc, argv, "c:l:d:hV", long_options, NULL)) != -1) {
		r = read_argument(&options, option, &config);
		if (r == OPTIONS_SHOWN)
			return r;
		if (r < 0)
			return fault_set(fault, FAULT_INVALID_REQUEST,
					 "the options are wrong; start-tunneld --help shows them");
	}
	if (optind < argc)
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "\"%s\" is not an option; start-tunneld --help shows them",
				 argv[optind]);
	if (config)
		r = read_config(&options, config, fault);
	if (r == 0 && access(OPTIONS_CONFIG, F_OK) == 0)
		r = read_config(&options, OPTIONS_CONFIG, fault);
	if (r == 0)
		r = set_once(&options.listen, "127.0.59.60:5960");
	if (r == 0)
		r = set_once(&options.datadir, "/var/lib/start-tunnel");
	if (r == 0)
		r = set_once(&options.user, "start-tunnel");
	if (r < 0)
		return fault_set_errno(fault, r, FAULT_UNKNOWN, "reading the options");
	*ret = options;
	options = (struct options){ 0 };
	return OPTIONS_RUN;
}
