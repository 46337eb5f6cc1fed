/*
 * The command line as its user meets it: this program is also the command, which it starts with the
 * table of test_table.h, and the daemon that the command asks.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "rpc/cli_internal.h"
#include "rpc/test_server.h"

#define AS_COMMAND "START_SAMPLE_IS_THE_COMMAND" /* in the environment: be the command */

struct world {
	struct fixture *fixture;
	char directory[32]; /* home, and the command as start-sample */
	char tunnel[IP_TEXT_MAX];
	char cookie[64]; /* a file */
};

struct outcome {
	int status;
	struct text out;
	struct text error;
};

static void outcome_done(struct outcome *outcome)
{
	text_done(&outcome->out);
	text_done(&outcome->error);
}
DEFINE_CLEANUP_DONE(struct outcome, outcome_done);

static void write_file(const struct world *w, const char *name, const char *bytes)
{
	CLEANUP(text_done) struct text path = { 0 };
	cleanup_close int fd = -EBADF;

	text_printf(&path, "%s/%s", w->directory, name);
	fd = open(path.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, strlen(bytes)), strlen(bytes));
}

static int world_setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	CLEANUP(text_done) struct text path = { 0 };
	char self[4096] = "";

	assert_non_null(w);
	assert_int_equal(setup_with((void **)&w->fixture, 0), 0);
	(void)endpoint_format(&w->fixture->address, w->tunnel);
	(void)snprintf(w->directory, sizeof(w->directory), "/tmp/cli_test.XXXXXX");
	assert_non_null(mkdtemp(w->directory));
	(void)snprintf(w->cookie, sizeof(w->cookie), "%s/cookie", w->directory);
	write_file(w, "cookie", SECRET);
	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	text_printf(&path, "%s/start-sample", w->directory);
	assert_int_equal(symlink(self, path.data), 0);
	*state = w;
	return 0;
}

static void shell(const char *command)
{
	int status = system(command);

	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static int world_teardown(void **state)
{
	struct world *w = *state;
	void *fixture = w->fixture;
	cleanup_free char *command = NULL;

	assert_true(asprintf(&command, "rm -r %s", w->directory) > 0);
	shell(command);
	free(w);
	return teardown(&fixture);
}

static void read_all(int fd, struct text *to)
{
	char buffer[4096];
	ssize_t size;

	while ((size = read(fd, buffer, sizeof(buffer))) > 0)
		text_append_bytes(to, buffer, (size_t)size);
	(void)close(fd);
}

static void be_child(const struct world *w, char *const *argv, const int *out, const int *error)
{
	CLEANUP(text_done) struct text path = { 0 };

	text_printf(&path, "%s:%s", w->directory, getenv("PATH"));
	(void)setenv("PATH", path.data, 1);
	(void)setenv("HOME", w->directory, 1);
	(void)setenv(AS_COMMAND, "1", 1);
	(void)dup2(out[1], STDOUT_FILENO);
	(void)dup2(error[1], STDERR_FILENO);
	(void)execvp(argv[0], argv);
	_exit(127);
}

/* Runs a program with the command on its path. What it says on stderr is short. */
static void run_program(const struct world *w, char *const *argv, struct outcome *ret)
{
	int out[2], error[2], status;
	pid_t pid;

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(error, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		be_child(w, argv, out, error);
	(void)close(out[1]);
	(void)close(error[1]);
	read_all(out[0], &ret->out);
	read_all(error[0], &ret->error);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	ret->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Runs the command with words that are separated by spaces. */
static void run_command(const struct world *w, const char *line, struct outcome *ret)
{
	cleanup_free char *words = strdup(line);
	char *argv[32] = { (char *)"start-sample" };
	size_t count = 1;
	char *rest = words, *word;

	while ((word = strsep(&rest, " ")) && count < ARRAY_SIZE(argv) - 1)
		argv[count++] = word;
	run_program(w, argv, ret);
}

/* The same with the options that lead to the test's daemon. */
static void run_connected(const struct world *w, const char *line, struct outcome *ret)
{
	cleanup_free char *whole = NULL;

	assert_true(asprintf(&whole, "--tunnel %s --auth-cookie=%s %s", w->tunnel, w->cookie,
			     line) > 0);
	run_command(w, whole, ret);
}

static void assert_has(const struct text *text, const char *part)
{
	if (!strstr(text_string(text), part))
		fail_msg("\"%s\" has no \"%s\"", text_string(text), part);
}

static void results(void **state)
{
	static const struct {
		const char *line, *out;
	} cases[] = {
		{ "echo hi", "hi\n" },
		{ "echo -----BEGIN", "-----BEGIN\n" },
		{ "nothing", "" },
		{ "device add --format json 10.1.2.1/24 phone",
		  "{\"subnet\":\"10.1.2.1/24\",\"name\":\"phone\",\"ip\":null,\"kind\":\"client\"}" },
		{ "device add 10.1.2.1/24 phone 10.1.2.3 --kind server --format=json",
		  "{\"subnet\":\"10.1.2.1/24\",\"name\":\"phone\",\"ip\":\"10.1.2.3\",\"kind\":"
		  "\"server\"}" },
		{ "device add --format json -kserver 10.1.2.1/24 -- --phone",
		  "{\"subnet\":\"10.1.2.1/24\",\"name\":\"--phone\",\"ip\":null,\"kind\":\"server\"}" },
		{ "device add 10.1.2.1/24 phone --format toml",
		  "subnet = \"10.1.2.1/24\"\nname = \"phone\"\nkind = \"client\"\n" },
		{ "device add 10.1.2.1/24 phone",
		  "{\n  \"subnet\": \"10.1.2.1/24\",\n  \"name\": \"phone\",\n  \"ip\": null,\n"
		  "  \"kind\": \"client\"\n}\n" },
		{ "port-forward add 80 10.1.2.3:80 --sni a --sni=b --enabled", "6 members\n" },
		{ "port-forward add 80 10.1.2.3:80 --sni a --sni=b --enabled --format json",
		  "{\"externalPort\":80,\"target\":\"10.1.2.3:80\",\"label\":null,\"sni\":[\"a\","
		  "\"b\"],\"count\":1,\"enabled\":true}" },
		{ "subnet 10.1.2.1/24 add home --format json",
		  "{\"subnet\":\"10.1.2.1/24\",\"name\":\"home\"}" },
		{ "subnet add 10.1.2.1/24 home --format json",
		  "{\"subnet\":\"10.1.2.1/24\",\"name\":\"home\"}" },
		{ "subnet 10.1.2.1/24 set-wan --wan-ip 1.2.3.4 --format json",
		  "{\"subnet\":\"10.1.2.1/24\",\"wanIp\":\"1.2.3.4\"}" },
		{ "subnet 10.1.2.1/24 set-wan 10.1.2.1/24 --format json",
		  "{\"subnet\":\"10.1.2.1/24\",\"wanIp\":null}" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(outcome_done) struct outcome outcome = { 0 };

		print_message("%s\n", cases[i].line);
		run_connected(*state, cases[i].line, &outcome);
		assert_string_equal(text_string(&outcome.error), "");
		assert_int_equal(outcome.status, 0);
		assert_string_equal(text_string(&outcome.out), cases[i].out);
	}
}

static void faults(void **state)
{
	struct world *w = *state;
	CLEANUP(outcome_done) struct outcome missing = { 0 };
	CLEANUP(outcome_done) struct outcome stranger = { 0 };
	CLEANUP(outcome_done) struct outcome nobody = { 0 };
	CLEANUP(outcome_done) struct outcome no_cookie = { 0 };
	cleanup_free char *line = NULL;

	run_connected(w, "subnet 10.1.2.1/24 remove", &missing);
	assert_int_equal(missing.status, 6);
	assert_string_equal(text_string(&missing.error),
			    "Not Found: 10.1.2.1/24: there is none here; SUBNET is Subnet\n");

	write_file(w, "cookie", "bm90LXRoZS1zZWNyZXQ");
	run_connected(w, "nothing", &stranger);
	assert_int_equal(stranger.status, 34);
	assert_has(&stranger.error, "Unauthorized: 127.0.0.1:");
	assert_has(&stranger.error, " does not accept the local cookie: ");
	write_file(w, "cookie", SECRET);

	assert_true(asprintf(&line, "-t 127.0.0.1:1 --auth-cookie %s nothing", w->cookie) > 0);
	run_command(w, line, &nobody);
	assert_int_equal(nobody.status, 9);
	assert_has(&nobody.error,
		   "Network Error: nothing listens on 127.0.0.1:1: is start-tunneld");

	run_command(w, "--auth-cookie /nowhere nothing", &no_cookie);
	assert_int_equal(no_cookie.status, 38);
	assert_has(&no_cookie.error, "Invalid Request: ");
	assert_has(&no_cookie.error, "--tunnel HOST:PORT");
}

/* Details that are no sentence become one; nothing is said twice. */
static void reports(void **state)
{
	static const struct {
		const char *name, *params; /* of subnet.set-wan */
		enum fault_kind kind;
		const char *details, *line;
	} cases[] = {
		{ "a sentence", "{}", FAULT_INVALID_REQUEST, "count: must be at least 1",
		  "Invalid Request: count: must be at least 1\n" },
		{ "the message again", "{}", FAULT_AUTHORIZATION, "UNAUTHORIZED",
		  "Unauthorized: the daemon does not accept who calls\n" },
		{ "the message again, of an unknown kind", "{}", FAULT_UNKNOWN, "Unknown Error",
		  "Unknown Error: the daemon does not say why; its log may\n" },
		{ "nothing", "{}", FAULT_NETWORK, NULL,
		  "Network Error: the daemon does not say why; its log may\n" },
		{ "the key of an argument", "{\"subnet\":\"10.1.2.1/24\"}", FAULT_NOT_FOUND,
		  "10.1.2.1/24", "Not Found: 10.1.2.1/24: there is none here; SUBNET is Subnet\n" },
		{ "the value of an option", "{\"wanIp\":\"1.2.3.4\"}", FAULT_NOT_FOUND, "1.2.3.4",
		  "Not Found: 1.2.3.4: there is none here; --wan-ip is Public address for egress\n" },
		{ "something else that is missing", "{\"wanIp\":null}", FAULT_NOT_FOUND, "a root",
		  "Not Found: a root\n" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(text_done) struct text shown = { 0 };
		struct fault fault = { .kind = cases[i].kind, .details = (char *)cases[i].details };
		struct cli_command command = {
			.method = cli_method(&test_table, "subnet.set-wan"),
			.params = json_loads(cases[i].params, 0, NULL),
		};

		print_message("%s\n", cases[i].name);
		assert_non_null(command.method);
		cli_report(&command, &fault, &shown);
		assert_string_equal(text_string(&shown), cases[i].line);
		json_decref(command.params);
	}
}

static void usage_errors(void **state)
{
	static const struct {
		const char *line, *error;
	} cases[] = {
		{ "", "Usage: start-sample [OPTIONS] <COMMAND>" },
		{ "devise", "tip: a similar one exists: 'device'" },
		{ "device", "'start-sample device' requires a subcommand" },
		{ "device ad", "tip: a similar one exists: 'add'" },
		{ "device list 10.1.2.1/24", "unrecognized subcommand 'list'" },
		{ "subnet 10.1.2.1/24", "'start-sample subnet' requires a subcommand" },
		{ "subnet 10.1.2.1/24 ad x", "unrecognized subcommand 'ad'" },
		{ "subnet x add y", "invalid value 'x' for <SUBNET>: \"x\" is not a subnet" },
		{ "subnet 10.1.2.1/24 set-wan 10.1.2.2/24", "unexpected argument '10.1.2.2/24'" },
		{ "device add", "  <SUBNET>\n  <NAME>\n\nUsage: start-sample device add [OPTIONS] "
				"<SUBNET> <NAME> [IP]" },
		{ "device add 10.1.2.1/24 a 10.1.2.2 b", "unexpected argument 'b'" },
		{ "device add 10.1.2.1/24 a --kin server", "tip: a similar one exists: '--kind'" },
		{ "device add 10.1.2.1/24 a --kind", "a value is required for '--kind'" },
		{ "device add 10.1.2.1/24 a --kind=router",
		  "invalid value 'router' for --kind: \"router\" is not one of client, server" },
		{ "device add 10.1.2.1/24 a -kclient -k server",
		  "'-k' cannot be used more than once" },
		{ "device add 10.1.2.1/24 a --format xml", "invalid value 'xml' for --format" },
		{ "device add 10.1.2.1/24 a --tunnel 1.1.1.1:1",
		  "'--tunnel' goes before the command" },
		{ "port-forward add 70000 10.1.2.3:80",
		  "invalid value '70000' for <EXTERNAL_PORT>: 70000 is out of range, 0 to 65535" },
		{ "port-forward add 080 10.1.2.3:80", "is not a number" },
		{ "port-forward add 80 10.1.2.3", "is not an IPv4 address with a port" },
		{ "--tunel 1.1.1.1:1 nothing", "tip: a similar one exists: '--tunnel'" },
		{ "--insecure=1 nothing", "'--insecure' takes no value" },
		{ "completion", "needs one argument: bash, zsh or fish" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(outcome_done) struct outcome outcome = { 0 };

		print_message("%s\n", cases[i].line);
		run_command(*state, cases[i].line, &outcome);
		assert_has(&outcome.error, cases[i].error);
		assert_int_equal(outcome.status, 2);
		assert_int_equal(outcome.out.size, 0);
	}
}

static void help(void **state)
{
	static const struct {
		const char *line, *out;
	} cases[] = {
		{ "--help", "  device        Devices\n" },
		{ "-h", "-t, --tunnel <HOST:PORT> " },
		{ "device -h", "  add  Adds a device\n" },
		{ "device add --help",
		  "Usage: start-sample device add [OPTIONS] <SUBNET> <NAME> [IP]\n" },
		{ "device add x --help",
		  "-k, --kind <KIND>      What the device is [possible values: client, server] "
		  "[default: client]\n" },
		{ "subnet --help", "Usage: start-sample subnet <SUBNET> <COMMAND>\n" },
		{ "subnet 10.1.2.1/24 set-wan --help",
		  "Usage: start-sample subnet <SUBNET> set-wan [OPTIONS]\n" },
		{ "completion --help", "Usage: start-sample completion <bash|zsh|fish>\n" },
		{ "man -h", "Usage: start-sample man <DIRECTORY>\n" },
		{ "--version", "start-sample 1.2.3\n" },
		{ "-V", "start-sample 1.2.3\n" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(outcome_done) struct outcome outcome = { 0 };

		print_message("%s\n", cases[i].line);
		run_command(*state, cases[i].line, &outcome);
		assert_int_equal(outcome.status, 0);
		assert_has(&outcome.out, cases[i].out);
	}
}

/* Each says something that the one before it does not; the last one would be wrong. */
static void settings(void **state)
{
	struct world *w = *state;
	CLEANUP(text_done) struct text path = { 0 };
	CLEANUP(text_done) struct text bytes = { 0 };
	CLEANUP(outcome_done) struct outcome good = { 0 };
	CLEANUP(outcome_done) struct outcome missing = { 0 };
	CLEANUP(outcome_done) struct outcome broken = { 0 };
	cleanup_free char *line = NULL;

	text_printf(&path, "%s/.startos", w->directory);
	assert_int_equal(mkdir(path.data, 0700), 0);
	text_printf(&bytes, "tunnel = \"%s\"\nconfig = '%s/second.json'\n", w->tunnel,
		    w->directory);
	write_file(w, "first.toml", text_string(&bytes));
	text_clear(&bytes);
	text_printf(&bytes, "{\"tunnel\":\"127.0.0.1:1\",\"unknown\":{\"a\":[1]}}");
	write_file(w, "second.json", text_string(&bytes));
	text_clear(&bytes);
	text_printf(&bytes, "# mine\ntunnel: 127.0.0.1:2\nauth-cookie: %s\n", w->cookie);
	write_file(w, ".startos/config.yaml", text_string(&bytes));

	assert_true(asprintf(&line, "-c %s/first.toml echo hi", w->directory) > 0);
	run_command(w, line, &good);
	assert_string_equal(text_string(&good.error), "");
	assert_string_equal(text_string(&good.out), "hi\n");

	run_command(w, "-c /nowhere/config.yaml echo hi", &missing);
	assert_int_equal(missing.status, 2);
	assert_has(&missing.error, "Filesystem I/O Error: reading /nowhere/config.yaml");

	write_file(w, ".startos/config.yaml", "tunnel: [1, 2");
	run_command(w, "echo hi", &broken);
	assert_int_equal(broken.status, 12);
	assert_has(&broken.error, ".startos/config.yaml: ");
	assert_has(&broken.error, " at line 2");
}

static bool has_program(const char *name)
{
	cleanup_free char *command = NULL;

	assert_true(asprintf(&command, "command -v %s >/dev/null", name) > 0);
	return system(command) == 0;
}

/* Types a line into bash and asks for what may follow. */
static void completes_in_bash(void **state)
{
	static const char script[] = "source <(start-sample completion bash)\n"
				     "COMP_LINE=$1 COMP_POINT=${#1}\n"
				     "_start_sample start-sample\n"
				     "echo \"${COMPREPLY[*]}\"\n";
	static const struct {
		const char *line, *words;
	} cases[] = {
		{ "start-sample s", "subnet\n" },
		{ "start-sample device ", "add\n" },
		{ "start-sample -t 1.1.1.1:1 subnet 10.1.2.1/24 s", "set-wan\n" },
		{ "start-sample device add --k", "--kind\n" },
		{ "start-sample device add 10.1.2.1/24 x --kind ", "client server\n" },
		{ "start-sample device add --kind=s", "server\n" },
		{ "start-sample device add --format t", "toml toml-pretty\n" },
		{ "start-sample --tun", "--tunnel\n" },
		{ "start-sample completion z", "zsh\n" },
		{ "start-sample nothing ", "\n" },
	};

	if (!has_program("bash"))
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(outcome_done) struct outcome outcome = { 0 };
		char *argv[] = {
			(char *)"bash", (char *)"--norc",      (char *)"-c", (char *)script,
			(char *)"bash", (char *)cases[i].line, NULL
		};

		print_message("%s\n", cases[i].line);
		run_program(*state, argv, &outcome);
		assert_string_equal(text_string(&outcome.out), cases[i].words);
	}
}

static void completes_in_fish(void **state)
{
	CLEANUP(outcome_done) struct outcome outcome = { 0 };
	char *argv[] = { (char *)"fish", (char *)"-c",
			 (char *)"start-sample completion fish | source; "
				 "complete -C 'start-sample device add --kind s'",
			 NULL };

	if (!has_program("fish"))
		skip();
	run_program(*state, argv, &outcome);
	assert_string_equal(text_string(&outcome.out), "server\n");
}

/* The script is one that zsh understands; its words are those of the other shells. */
static void completes_in_zsh(void **state)
{
	CLEANUP(outcome_done) struct outcome outcome = { 0 };
	char *argv[] = { (char *)"zsh", (char *)"-f", (char *)"-c",
			 (char *)"compdef() { echo $1 $2 }\n"
				 "_describe() { print -rl -- ${(P)2} }\n"
				 "source <(start-sample completion zsh)\n"
				 "words=(start-sample device ad) CURRENT=3\n"
				 "_start_sample",
			 NULL };

	if (!has_program("zsh"))
		skip();
	run_program(*state, argv, &outcome);
	assert_string_equal(text_string(&outcome.out),
			    "_start_sample start-sample\nadd:Adds a device\n");
}

static void manual_pages(void **state)
{
	struct world *w = *state;
	CLEANUP(outcome_done) struct outcome written = { 0 };
	CLEANUP(outcome_done) struct outcome linted = { 0 };
	char *argv[] = { (char *)"sh", (char *)"-c",
			 (char *)"cd $HOME && ls *.1 && mandoc -W warning -T lint *.1", NULL };
	cleanup_free char *line = NULL;

	assert_true(asprintf(&line, "man %s", w->directory) > 0);
	run_command(w, line, &written);
	assert_int_equal(written.status, 0);
	if (!has_program("mandoc"))
		skip();
	run_program(w, argv, &linted);
	assert_string_equal(text_string(&linted.out),
			    "start-sample-device-add.1\nstart-sample-echo.1\nstart-sample-later.1\n"
			    "start-sample-nothing.1\nstart-sample-port-forward-add.1\n"
			    "start-sample-subnet-add.1\nstart-sample-subnet-remove.1\n"
			    "start-sample-subnet-set-wan.1\nstart-sample.1\n");
	assert_int_equal(linted.status, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(results, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(faults, world_setup, world_teardown),
		cmocka_unit_test(reports),
		cmocka_unit_test_setup_teardown(usage_errors, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(help, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(settings, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(completes_in_bash, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(completes_in_fish, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(completes_in_zsh, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(manual_pages, world_setup, world_teardown),
	};

	if (getenv(AS_COMMAND))
		return cli_main(&test_table, argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
