#include "options.h"

#include <getopt.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "dataplane/dataplane.h"

static const char help[] =
	"Usage: start-wg [-f] [--user NAME] [--without FEATURE,...] INTERFACE\n"
	"       start-wg --status INTERFACE\n"
	"Makes a WireGuard interface that this program runs. Configure it with wg(8).\n"
	"\n"
	"  -f, --foreground  stay attached to the terminal and log to it\n"
	"      --user NAME   run as this user once all is open (default: start-wg, or nobody)\n"
	"      --without FEATURE,...\n"
	"                    leave out vnet-hdr, tso, uso, coalesce, gso or gro\n"
	"      --status      print what the interface uses, counts and drops, and why\n"
	"      --help        show this\n"
	"      --version     show the version\n"
	"\n"
	"LOG_LEVEL in the environment: silent, error, info (default) or verbose.\n";

/* What can be left out, to find a fault in a driver or to measure what a feature is worth. */
static const struct feature {
	const char *name;
	unsigned tun_features;
	unsigned udp_flags;
	unsigned dataplane_flags;
} features[] = {
	{ .name = "vnet-hdr", .tun_features = TUN_HAS_ALL },
	{ .name = "tso", .tun_features = TUN_HAS_TSO4 | TUN_HAS_TSO6 },
	{ .name = "uso", .tun_features = TUN_HAS_USO },
	{ .name = "coalesce", .dataplane_flags = DATAPLANE_WITHOUT_COALESCE },
	{ .name = "gso", .dataplane_flags = DATAPLANE_WITHOUT_SEGMENT },
	{ .name = "gro", .udp_flags = UDP_WITHOUT_GRO },
};

static const struct feature *find_feature(const char *name, size_t size)
{
	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		if (strlen(features[i].name) == size && memcmp(features[i].name, name, size) == 0)
			return &features[i];
	}
	return NULL;
}

static int leave_out(struct options *options, const char *names)
{
	while (*names) {
		size_t size = strcspn(names, ",");
		const struct feature *feature = find_feature(names, size);

		if (!feature) {
			log_error(
				"cannot leave out \"%.*s\": there is vnet-hdr, tso, uso, coalesce, "
				"gso and gro",
				(int)size, names);
			return OPTIONS_WRONG;
		}
		options->tun_features &= ~feature->tun_features;
		options->udp_flags |= feature->udp_flags;
		options->dataplane_flags |= feature->dataplane_flags;
		names += size;
		names += *names == ',';
	}
	return OPTIONS_RUN;
}

/* What the kernel takes, less what would be something else in a path or a template of a name. */
static bool is_interface_name(const char *name)
{
	size_t size = strlen(name);

	if (size == 0 || size >= IFNAMSIZ || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	return strpbrk(name, "/:% \t\n\v\f\r") == NULL;
}

static int take_interface(int argc, char **argv, struct options *options)
{
	if (optind + 1 != argc) {
		log_error("cannot start: name one interface (see start-wg --help)");
		return OPTIONS_WRONG;
	}
	options->interface = argv[optind];
	if (!is_interface_name(options->interface)) {
		log_error("cannot make interface \"%s\": a name has 1 to %d characters, none of "
			  "them a space, '/', ':' or '%%'",
			  options->interface, IFNAMSIZ - 1);
		return OPTIONS_WRONG;
	}
	return OPTIONS_RUN;
}

int options_parse(int argc, char **argv, struct options *ret)
{
	enum { OPTION_USER = 256, OPTION_WITHOUT, OPTION_STATUS, OPTION_HELP, OPTION_VERSION };
	static const struct option known[] = {
		{ "foreground", no_argument, NULL, 'f' },
		{ "user", required_argument, NULL, OPTION_USER },
		{ "without", required_argument, NULL, OPTION_WITHOUT },
		{ "status", no_argument, NULL, OPTION_STATUS },
		{ "help", no_argument, NULL, OPTION_HELP },
		{ "version", no_argument, NULL, OPTION_VERSION },
		{ 0 },
	};
	const char *without = getenv("START_WG_WITHOUT");
	struct options options = { .tun_features = TUN_HAS_ALL };
	int option;
	int r;

	while ((option = getopt_long(argc, argv, "f", known, NULL)) != -1) {
		switch (option) {
		case 'f':
			options.foreground = true;
			break;
		case OPTION_USER:
			options.user = optarg;
			break;
		case OPTION_WITHOUT:
			without = optarg;
			break;
		case OPTION_STATUS:
			options.status = true;
			break;
		case OPTION_HELP:
			(void)fputs(help, stdout);
			return OPTIONS_DONE;
		case OPTION_VERSION:
			(void)printf("start-wg %s\n", PROJECT_VERSION);
			return OPTIONS_DONE;
		default:
			return OPTIONS_WRONG; /* getopt has said what */
		}
	}
	r = leave_out(&options, without ? without : "");
	if (r == OPTIONS_RUN)
		r = take_interface(argc, argv, &options);
	if (r == OPTIONS_RUN)
		*ret = options;
	return r;
}
