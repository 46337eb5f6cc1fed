/* Which keys a command finds, in which order, and that what they sign verifies. */
#include "base/test.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "client/key_ring.h"
#include "client/ssh_agent.h"
#include "crypto/signature_header.h"
#include "crypto/signing_key.h"

#define CONTEXT "203.0.113.7"
#define BODY "{\"id\":0,\"method\":\"status\",\"params\":{}}"

struct place {
	char home[32];
	char agent[64];
	pid_t agent_pid; /* 0: there is none */
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	(void)snprintf(p->home, sizeof(p->home), "/tmp/keys_test.XXXXXX");
	assert_non_null(mkdtemp(p->home));
	(void)snprintf(p->agent, sizeof(p->agent), "%s/agent", p->home);
	*state = p;
	return 0;
}

static void run(const char *format, const char *a, const char *b)
{
	CLEANUP(text_done) struct text command = { 0 };

	text_printf(&command, "HOME=%s && %s %s", a, format, b);
	assert_int_equal(system(text_string(&command)), 0);
}

static int teardown(void **state)
{
	struct place *p = *state;

	if (p->agent_pid > 0) {
		(void)kill(p->agent_pid, SIGTERM);
		(void)waitpid(p->agent_pid, NULL, 0);
	}
	run("rm -r", "/", p->home);
	free(p);
	return 0;
}

static void write_key(const struct place *p, const char *name, uint8_t first)
{
	uint8_t seed[ED25519_SEED_SIZE] = { first };
	char pem[SIGNING_KEY_PRIVATE_PEM_SIZE];
	CLEANUP(text_done) struct text path = { 0 };
	FILE *file;

	text_printf(&path, "%s/%s", p->home, name);
	*strrchr(path.data, '/') = '\0';
	(void)mkdir(path.data, 0700);
	path.data[strlen(path.data)] = '/';
	file = fopen(path.data, "we");
	assert_non_null(file);
	assert_true(fputs(signing_key_format_private(seed, pem), file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void load(struct key_ring_options *options, struct key_ring **ret)
{
	CLEANUP(fault_done) struct fault fault = { 0 };

	assert_int_equal(key_ring_new(options, ret), 0);
	if (key_ring_load(*ret, &fault) < 0)
		fail_msg("%s", fault.details);
}

/* Signs with a key of the ring. Returns whether the header holds for the context, and for no other. */
static bool signs(struct key_ring *ring, size_t index, enum signature_header_kind kind,
		  uint8_t ret_public[ED25519_PUBLIC_SIZE])
{
	CLEANUP(text_done) struct text value = { 0 };
	CLEANUP(fault_done) struct fault fault = { 0 };
	struct signature_header header;

	if (key_ring_sign(ring, index, CONTEXT, BODY, strlen(BODY), &value, &fault) < 0 ||
	    signature_header_parse(text_string(&value), &header, &fault) < 0)
		fail_msg("%s", fault.details);
	memcpy(ret_public, header.signer, ED25519_PUBLIC_SIZE);
	return header.kind == kind && header.size == strlen(BODY) &&
	       signature_header_verify(&header, CONTEXT) &&
	       !signature_header_verify(&header, "203.0.113.8");
}

static void assert_key(struct key_ring *ring, size_t index, uint8_t first)
{
	uint8_t seed[ED25519_SEED_SIZE] = { first };
	uint8_t wanted[ED25519_PUBLIC_SIZE], found[ED25519_PUBLIC_SIZE];

	ed25519_public(seed, wanted);
	assert_true(signs(ring, index, SIGNATURE_ED25519PH, found));
	assert_memory_equal(found, wanted, sizeof(wanted));
}

static void order(void **state)
{
	struct place *p = *state;
	CLEANUP(text_done) struct text machine = { 0 };
	CLEANUP(text_done) struct text named = { 0 };
	struct key_ring_options options = { .home = p->home };
	CLEANUP(key_ring_free) struct key_ring *nothing = NULL;
	CLEANUP(key_ring_free) struct key_ring *all = NULL;
	CLEANUP(key_ring_free) struct key_ring *other = NULL;

	load(&options, &nothing);
	assert_int_equal(key_ring_count(nothing), 0);
	assert_string_equal(key_ring_note(nothing), "");

	write_key(p, "machine.pem", 1);
	write_key(p, ".startos/developer.key.pem", 2);
	write_key(p, ".ssh/id_ed25519", 3);
	write_key(p, "named.pem", 1);
	text_printf(&machine, "%s/machine.pem", p->home);
	options.machine = machine.data;
	load(&options, &all);
	assert_int_equal(key_ring_count(all), 3);
	assert_key(all, 0, 1);
	assert_key(all, 1, 2);
	assert_key(all, 2, 3);

	/* A named key takes the place of the one below home; the same key twice counts once. */
	text_printf(&named, "%s/named.pem", p->home);
	options.developer = named.data;
	load(&options, &other);
	assert_int_equal(key_ring_count(other), 2);
	assert_key(other, 1, 3);
}

static void named_key_has_to_work(void **state)
{
	struct place *p = *state;
	struct key_ring_options options = { .home = p->home, .developer = "/nowhere/key.pem" };
	CLEANUP(key_ring_free) struct key_ring *ring = NULL;
	CLEANUP(fault_done) struct fault fault = { 0 };

	assert_int_equal(key_ring_new(&options, &ring), 0);
	assert_true(key_ring_load(ring, &fault) < 0);
	assert_non_null(strstr(fault.details, "--developer-key-path: reading /nowhere/key.pem"));
}

static bool has_program(const char *name)
{
	cleanup_free char *command = NULL;

	assert_true(asprintf(&command, "command -v %s >/dev/null", name) > 0);
	return system(command) == 0;
}

/* Starts an agent and waits for its socket. */
static void start_agent(struct place *p)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	p->agent_pid = fork();
	assert_true(p->agent_pid >= 0);
	if (p->agent_pid == 0) {
		(void)dup2(STDERR_FILENO, STDOUT_FILENO);
		(void)execlp("ssh-agent", "ssh-agent", "-D", "-a", p->agent, (char *)NULL);
		_exit(127);
	}
	memcpy(address.sun_path, p->agent, strlen(p->agent));
	while (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		assert_int_equal(waitpid(p->agent_pid, NULL, WNOHANG), 0);
		(void)usleep(1000);
	}
	(void)close(fd);
}

/* Against OpenSSH itself: a file without a passphrase, one with, and the agent that has its key. */
static void openssh(void **state)
{
	struct place *p = *state;
	struct key_ring_options options = { .home = p->home };
	CLEANUP(key_ring_free) struct key_ring *open = NULL;
	CLEANUP(key_ring_free) struct key_ring *locked = NULL;
	CLEANUP(key_ring_free) struct key_ring *by_agent = NULL;
	uint8_t file_key[ED25519_PUBLIC_SIZE], agent_key[ED25519_PUBLIC_SIZE];

	if (!has_program("ssh-agent"))
		skip();
	start_agent(p);
	run("mkdir -m 700 $HOME/.ssh && ssh-keygen -q -t ed25519 -C test -N '' -f", p->home,
	    "$HOME/.ssh/id_ed25519");
	load(&options, &open);
	assert_int_equal(key_ring_count(open), 1);
	assert_true(signs(open, 0, SIGNATURE_ED25519PH, file_key));

	run("SSH_AUTH_SOCK=$HOME/agent ssh-add -q", p->home, "$HOME/.ssh/id_ed25519");
	run("ssh-keygen -q -p -P '' -N secret -f", p->home, "$HOME/.ssh/id_ed25519 >/dev/null");
	load(&options, &locked);
	assert_int_equal(key_ring_count(locked), 0);
	assert_non_null(strstr(key_ring_note(locked), "ssh-add"));

	options.agent = p->agent;
	load(&options, &by_agent);
	assert_int_equal(key_ring_count(by_agent), 1);
	assert_true(signs(by_agent, 0, SIGNATURE_SSH, agent_key));
	assert_memory_equal(agent_key, file_key, sizeof(file_key));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(order, setup, teardown),
		cmocka_unit_test_setup_teardown(named_key_has_to_work, setup, teardown),
		cmocka_unit_test_setup_teardown(openssh, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
