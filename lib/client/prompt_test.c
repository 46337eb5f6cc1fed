/*
 * Signals of a terminal that come between two looks at it
 *
 * The program that asks is a child with a terminal of its own. What the person types besides comes in the
 * moment in which something can be read and nothing was: from within the program's own ppoll().
 */
#include "client/prompt.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/test.h"

#define CTRL_C '\x03'
#define CTRL_Z '\x1a'

enum { STATUS_ANSWERED = 10, STATUS_CANCELLED, STATUS_OTHER };

static struct {
	int master, slave;
	int number; /* the signal that comes between, once; 0: none any more */
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

/* In place of the C library's. */
int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
	long r = syscall(SYS_ppoll, fds, count, timeout, mask, _NSIG / 8);

	if (r > 0 && terminal.number != 0)
		strike();
	return (int)r;
}

static const char *nothing_wrong(const struct text *answer, void *context)
{
	(void)answer;
	(void)context;
	return NULL;
}

/* The child. */
static void ask(void)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	CLEANUP(text_done) struct text answer = { 0 };
	int r;

	if (setsid() < 0 || ioctl(terminal.slave, TIOCSCTTY, 0) < 0)
		_exit(STATUS_OTHER);
	(void)dup2(terminal.slave, STDIN_FILENO);
	(void)dup2(terminal.slave, STDERR_FILENO);
	r = prompt_secret_block("Paste:", "END", 1000, nothing_wrong, NULL, &answer, &fault);
	if (r == 0 && strcmp(text_string(&answer), "all\nEND\n") == 0)
		_exit(STATUS_ANSWERED);
	_exit(r < 0 && fault.kind == FAULT_CANCELLED ? STATUS_CANCELLED : STATUS_OTHER);
}

static pid_t start(int number)
{
	pid_t pid;

	terminal.master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(terminal.master >= 0);
	assert_int_equal(grantpt(terminal.master), 0);
	assert_int_equal(unlockpt(terminal.master), 0);
	terminal.slave = open(ptsname(terminal.master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(terminal.slave >= 0);
	terminal.number = number;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		ask();
	return pid;
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

/* Returns the child's status; nothing is left for whoever reads the terminal next. */
static int end(pid_t pid)
{
	int status, left;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(ioctl(terminal.slave, FIONREAD, &left), 0);
	assert_int_equal(left, 0);
	(void)close(terminal.master);
	(void)close(terminal.slave);
	return status;
}

static void a_stop_asks_again(void **state)
{
	pid_t pid = start(SIGTSTP);
	int status;

	(void)state;
	await_question();
	type("half\n");
	await_question();
	type("all\nEND\n");
	status = end(pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), STATUS_ANSWERED);
}

static void ctrl_c_cancels(void **state)
{
	pid_t pid = start(SIGINT);
	int status;

	(void)state;
	await_question();
	type("half\n");
	status = end(pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), STATUS_CANCELLED);
}

static void other_signals_end_it(void **state)
{
	pid_t pid = start(SIGTERM);
	int status;

	(void)state;
	await_question();
	type("half\n");
	status = end(pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGTERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stop_asks_again),
		cmocka_unit_test(ctrl_c_cancels),
		cmocka_unit_test(other_signals_end_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
