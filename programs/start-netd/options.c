#include "options.h"

#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <string.h>

#define START_WG "start-wg"
#define REBOOT_COMMAND "/sbin/reboot"

static const char help[] =
	"Usage: start-netd [OPTION]...\n"
	"Applies the network state that start-tunneld wants, with the privilege that it takes.\n"
	"\n"
	"Started by start-tunneld, which speaks to it over descriptor 3. It ends when that closes, and\n"
	"leaves the network as it is.\n"
	"\n"
	"      --start-wg FILE        the WireGuard device for kernels that have none\n"
	"      --backend KIND         auto, kernel or start-wg (auto)\n"
	"      --reboot-command FILE  what reboots the machine (" REBOOT_COMMAND ")\n"
	"  -h, --help                 show this\n"
	"  -V, --version              show the version\n";

enum long_option {
	OPTION_START_WG = 256,
	OPTION_BACKEND,
	OPTION_REBOOT,
};

static const struct option long_options[] = {
	{ "start-wg", required_argument, NULL, OPTION_START_WG },
	{ "backend", required_argument, NULL, OPTION_BACKEND },
	{ "reboot-command", required_argument, NULL, OPTION_REBOOT },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ 0 },
};

void options_done(struct options *options)
{
	free(options->start_wg);
	free(options->reboot_command);
	*options = (struct options){ 0 };
}

static int parse_backend(const char *text, enum wg_backend_choice *ret)
{
	static const char *const names[] = {
		[WG_BACKEND_AUTO] = "auto",
		[WG_BACKEND_KERNEL] = "kernel",
		[WG_BACKEND_USERSPACE] = START_WG,
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(text, names[i]) == 0) {
			*ret = (enum wg_backend_choice)i;
			return 0;
		}
	}
	(void)fprintf(stderr, "start-netd: --backend must be auto, kernel or start-wg, not %s\n",
		      text);
	return -EINVAL;
}

static int replace(char **option, const char *value)
{
	free(*option);
	*option = strdup(value);
	return *option ? 0 : -ENOMEM;
}

static int take(struct options *options, int option)
{
	switch (option) {
	case OPTION_START_WG:
		return replace(&options->start_wg, optarg);
	case OPTION_BACKEND:
		return parse_backend(optarg, &options->backend);
	case OPTION_REBOOT:
		return replace(&options->reboot_command, optarg);
	case 'h':
		(void)fputs(help, stdout);
		return OPTIONS_SHOWN;
	case 'V':
		(void)puts("start-netd " PROJECT_VERSION);
		return OPTIONS_SHOWN;
	default:
		return -EINVAL;
	}
}

/* Keeps the path if a program is there. */
static bool found(char **option, const char *directory, const char *relative)
{
	char *path;

	if (asprintf(&path, "%s/%s", directory, relative) < 0)
		return false;
	if (access(path, X_OK) < 0) {
		free(path);
		return false;
	}
	*option = path;
	return true;
}

static bool find_in_path(char **option)
{
	const char *path = getenv("PATH");
	cleanup_free char *copy = strdup(path ? path : "/usr/sbin:/usr/bin:/sbin:/bin");
	char *rest = copy, *directory;

	while (rest && (directory = strsep(&rest, ":")))
		if (*directory && found(option, directory, START_WG))
			return true;
	return false;
}

/* Beside this program, as installed or as built; else along PATH. */
static int find_start_wg(char **option)
{
	char self[PATH_MAX];
	ssize_t size = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *directory;

	if (*option)
		return 0;
	self[size > 0 ? size : 0] = '\0';
	directory = dirname(self);
	if (found(option, directory, START_WG) || found(option, directory, "../sbin/" START_WG) ||
	    found(option, directory, "../start-wg/" START_WG) || find_in_path(option))
		return 0;
	return replace(option, "/usr/sbin/" START_WG); /* the error names it when it is needed */
}

int options_parse(int argc, char **argv, struct options *ret)
{
	CLEANUP(options_done) struct options options = { 0 };
	int option, r = 0;

	while (r == 0 && (option = getopt_long(argc, argv, "hV", long_options, NULL)) >= 0)
		r = take(&options, option);
	if (r == 0 && optind < argc) {
		(void)fprintf(stderr, "start-netd: takes no argument %s\n", argv[optind]);
		r = -EINVAL;
	}
	if (r == 0)
		r = find_start_wg(&options.start_wg);
	if (r == 0 && !options.reboot_command)
		r = replace(&options.reboot_command, REBOOT_COMMAND);
	if (r != 0)
		return r;
	*ret = options;
	options = (struct options){ 0 };
	return OPTIONS_RUN;
}
