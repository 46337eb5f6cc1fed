/*
 * Signals of a terminal that come between two looks at it
 *
 * The program that asks has a terminal of its own. What the person types besides comes in the
 * moment in which something can be read and nothing was: from within the program's own ppoll().
 */
#include "client/prompt.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/test.h"

#define CTRL_C '\x03'
#define CTRL_Z '\x1a'

struct outcome {
	int status; /* of the program */
	int left; /* bytes in the terminal when it was gone */
};

enum { STATUS_ANSWERED = 10, STATUS_CANCELLED, STATUS_OTHER };

#define PATIENCE_S 60

/* When a signal comes. */
enum moment { BEFORE_READ, AFTER_READ };

static struct {
	int master, slave;
	int results; /* from the shell */
	int number; /* the signal that comes between, once; 0: none any more */
	enum moment moment;
} terminal;

/* The child's person types, or somebody else sends the signal; it is pending then, and the terminal's input is
 * what it makes of it. */
static void strike(void)
{
	char key = terminal.number == SIGTSTP ? CTRL_Z : CTRL_C;
	struct termios settled;
	sigset_t pending;

	if (terminal.number == SIGTERM)
		(void)raise(SIGTERM);
	else if (write(terminal.master, &key, 1) != 1)
		_exit(STATUS_OTHER);
	do
		(void)sigpending(&pending);
	while (!sigismember(&pending, terminal.number));
	(void)tcgetattr(terminal.slave, &settled); /* after what the key does to the input */
	terminal.number = 0;
}

/* What ppoll() becomes where the compiler checks sizes. */
int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
		const sigset_t *mask, size_t size);

/* Both in place of the C library's. */
int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
	long r = syscall(SYS_ppoll, fds, count, timeout, mask, _NSIG / 8);

	if (r > 0 && terminal.number != 0 && terminal.moment == BEFORE_READ)
		strike();
	return (int)r;
}

int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
		const sigset_t *mask, size_t size)
{
	(void)size;
	return ppoll(fds, count, timeout, mask);
}

/* Says what is wrong with an answer, and so is where one was read and the next is not asked for. */
static const char *check(const struct text *answer, void *context)
{
	(void)answer;
	(void)context;
	if (terminal.number != 0 && terminal.moment == AFTER_READ)
		strike();
	return NULL;
}

/* However this program was begun: a terminal's program has the signals' usual effects. */
static void reset_signals(void)
{
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		(void)signal(number, SIG_DFL); /* fails for two */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The program. */
static void ask(void)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	CLEANUP(text_done) struct text answer = { 0 };
	int r;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)dup2(terminal.slave, STDIN_FILENO);
	(void)dup2(terminal.slave, STDERR_FILENO);
	r = prompt_secret_block("Paste:", "END", 1000, check, NULL, &answer, &fault);
	if (r == 0 && strcmp(text_string(&answer), "all\nEND\n") == 0)
		_exit(STATUS_ANSWERED);
	_exit(r < 0 && fault.kind == FAULT_CANCELLED ? STATUS_CANCELLED : STATUS_OTHER);
}

/* What a shell is to it: has the terminal, and still has it when the program is gone. Tells how that went. */
static void be_shell(int results)
{
	struct outcome outcome = { 0 };
	pid_t pid;

	reset_signals();
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (setsid() < 0 || ioctl(terminal.slave, TIOCSCTTY, 0) < 0)
		_exit(1);
	pid = fork();
	if (pid == 0)
		ask();
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGTSTP, SIG_IGN);
	if (pid < 0 || waitpid(pid, &outcome.status, 0) != pid ||
	    ioctl(terminal.slave, FIONREAD, &outcome.left) < 0)
		_exit(1);
	_exit(write(results, &outcome, sizeof(outcome)) == sizeof(outcome) ? 0 : 1);
}

static void start(int number, enum moment moment)
{
	int pipes[2];
	pid_t pid;

	(void)alarm(PATIENCE_S);
	terminal.master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(terminal.master >= 0);
	assert_int_equal(grantpt(terminal.master), 0);
	assert_int_equal(unlockpt(terminal.master), 0);
	terminal.slave = open(ptsname(terminal.master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(terminal.slave >= 0);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	terminal.results = pipes[0];
	terminal.number = number;
	terminal.moment = moment;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		be_shell(pipes[1]);
	(void)close(pipes[1]);
}

static void await_question(void)
{
	static const char question[] = "Paste:\r\n";
	size_t matched = 0;
	char c;

	while (matched < strlen(question)) {
		assert_int_equal(read(terminal.master, &c, 1), 1);
		matched = c == question[matched] ? matched + 1 : 0;
	}
}

static void type(const char *line)
{
	assert_int_equal(write(terminal.master, line, strlen(line)), strlen(line));
}

/* Returns the program's status; nothing is left for whoever reads the terminal next. */
static int end(void)
{
	struct outcome outcome;

	assert_int_equal(read(terminal.results, &outcome, sizeof(outcome)), sizeof(outcome));
	assert_int_equal(outcome.left, 0);
	(void)wait(NULL);
	(void)close(terminal.results);
	(void)close(terminal.master);
	(void)close(terminal.slave);
	(void)alarm(0);
	return outcome.status;
}

static void a_stop_asks_again(void **state)
{
	int status;

	(void)state;
	start(SIGTSTP, BEFORE_READ);
	await_question();
	type("half\n");
	await_question();
	type("all\nEND\n");
	status = end();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), STATUS_ANSWERED);
}

static void ctrl_c_cancels(void **state)
{
	int status;

	(void)state;
	start(SIGINT, BEFORE_READ);
	await_question();
	type("half\n");
	status = end();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), STATUS_CANCELLED);
}

static void other_signals_end_it(void **state)
{
	int status;

	(void)state;
	start(SIGTERM, BEFORE_READ);
	await_question();
	type("half\n");
	status = end();
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGTERM);
}

/* The answer is there, more was typed, and the program does with the signal what it does without us. */
static void what_follows_an_answer_is_not_left(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		int status;

		start(i == 0 ? SIGINT : SIGTERM, AFTER_READ);
		await_question();
		type("all\nEND\nmore of it\nand more\n");
		status = end();
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), i == 0 ? SIGINT : SIGTERM);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stop_asks_again),
		cmocka_unit_test(ctrl_c_cancels),
		cmocka_unit_test(other_signals_end_it),
		cmocka_unit_test(what_follows_an_answer_is_not_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
