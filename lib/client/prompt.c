#include "client/prompt.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>

#include "base/secret.h"

/* Signals that end or stop a program while it asks. They are blocked but while it waits, so that none
 * gets lost between two looks at `caught`. */
static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP };

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
	caught = number;
}

/* A terminal that a question is being asked on. */
struct session {
	struct termios before;
	bool terminal;
	sigset_t mask; /* as it was */
	struct sigaction actions[ARRAY_SIZE(signals)];
};

/* @clear: flags of the terminal to switch off, such as ECHO. */
static void session_begin(struct session *s, tcflag_t clear)
{
	struct sigaction action = { .sa_handler = on_signal };
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		(void)sigaddset(&set, signals[i]);
	(void)sigprocmask(SIG_BLOCK, &set, &s->mask);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		(void)sigaction(signals[i], &action, &s->actions[i]);
		if (s->actions[i].sa_handler == SIG_IGN) /* as with nohup: so it stays */
			(void)sigaction(signals[i], &s->actions[i], NULL);
	}
	caught = 0;
	s->terminal = tcgetattr(STDIN_FILENO, &s->before) == 0;
	if (s->terminal) {
		struct termios now = s->before;

		now.c_lflag &= ~clear;
		now.c_lflag |= NOFLSH; /* what there is to read stays until it is read */
		now.c_cc[VMIN] = 1; /* counts where there are no lines */
		now.c_cc[VTIME] = 0;
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &now);
	}
}

/* Whether a signal of ours came that nobody looked at. */
static bool session_has_pending(const struct session *s)
{
	sigset_t pending;

	(void)sigpending(&pending);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		if (sigismember(&pending, signals[i]) && !sigismember(&s->mask, signals[i]))
			return true;
	return false;
}

/* Puts everything back; a signal other than Ctrl-C then does what it would have done. */
static void session_end(struct session *s)
{
	int number = caught;

	if (s->terminal) {
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &s->before);
		/* As the terminal does from here on: what was typed before a signal is for nobody. */
		if (number != 0 || session_has_pending(s))
			(void)tcflush(STDIN_FILENO, TCIFLUSH);
	}
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		(void)sigaction(signals[i], &s->actions[i], NULL);
	if (number != 0 && number != SIGINT)
		(void)raise(number);
	(void)sigprocmask(SIG_SETMASK, &s->mask, NULL);
}

/* Reads when there is something. Returns the size, 0 at the end, -EINTR for a signal. */
static ssize_t session_read(const struct session *s, char *to, size_t size)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	sigset_t blocked;
	ssize_t got;

	do {
		if (ppoll(&input, 1, NULL, &s->mask) < 0 && errno != EINTR)
			return -errno;
		/* Where there is something to read, ppoll() lets signals wait. */
		(void)sigprocmask(SIG_SETMASK, &s->mask, &blocked);
		(void)sigprocmask(SIG_SETMASK, &blocked, NULL);
		if (caught)
			return -EINTR;
	} while (input.revents == 0);
	got = read(STDIN_FILENO, to, size);
	return got < 0 ? -errno : got;
}

static int cancelled(struct fault *fault)
{
	return fault_set(fault, FAULT_CANCELLED, "nothing more was done");
}

/* The line ends where its reader stops: a terminal gives one line at a time, a pipe one byte. */
static int read_line(const struct session *s, struct text *to)
{
	char buffer[PROMPT_LINE_MAX];
	ssize_t size;

	to->max = PROMPT_LINE_MAX;
	do {
		size = session_read(s, buffer, s->terminal ? sizeof(buffer) : 1);
		if (size > 0)
			text_append_bytes(to, buffer, (size_t)size);
	} while (size > 0 && buffer[size - 1] != '\n');
	secret_wipe(buffer, sizeof(buffer));
	if (size < 0 || text_error(to) < 0)
		return size < 0 ? (int)size : text_error(to);
	if (to->size == 0)
		return -ENODATA;
	while (to->size > 0 && (to->data[to->size - 1] == '\n' || to->data[to->size - 1] == '\r'))
		to->data[--to->size] = '\0';
	return 0;
}

bool prompt_is_possible(void)
{
	return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

static int need_terminal(const char *label, struct fault *fault)
{
	size_t size = strcspn(label, ":[");

	if (prompt_is_possible())
		return 0;
	while (size > 0 && label[size - 1] == ' ')
		size--;
	return fault_set(fault, FAULT_FILESYSTEM,
			 "\"%.*s\" can be asked on a terminal only; `--help` tells which options "
			 "answer it",
			 (int)size, label);
}

static int ask(const char *label, tcflag_t clear, struct text *ret, struct fault *fault)
{
	struct session session;
	int r = need_terminal(label, fault);

	if (r < 0)
		return r;
	do { /* again after the program was stopped and continued */
		/* Signals and echo first: who sees the question may answer it at once. */
		session_begin(&session, clear);
		(void)fprintf(stderr, "%s", label);
		text_clear(ret);
		r = read_line(&session, ret);
		session_end(&session);
		if (r < 0 || clear)
			(void)fprintf(stderr, "\n");
	} while (r == -EINTR && caught != SIGINT);
	if (r == -EINTR || r == -ENODATA || r == -EIO)
		return cancelled(fault);
	return r < 0 ? fault_set_errno(fault, r, FAULT_FILESYSTEM, "reading the answer") : 0;
}

int prompt_line(const char *label, const char *initial, struct text *ret, struct fault *fault)
{
	int r = ask(label, 0, ret, fault);

	if (r == 0 && ret->size == 0 && initial)
		text_append(ret, initial);
	return r == 0 ? text_error(ret) : r;
}

int prompt_secret(const char *label, struct text *ret, struct fault *fault)
{
	return ask(label, ECHO, ret, fault);
}

/* One answer. Returns 0, or a negative errno: as of read_line(). */
static int read_block(const struct session *session, const char *end, size_t max, struct text *ret)
{
	CLEANUP(text_done_secret) struct text line = { 0 };
	int r;

	ret->max = max;
	do {
		text_clear(&line);
		r = read_line(session, &line);
		if (r < 0)
			return r;
		text_printf(ret, "%s\n", text_string(&line));
		if (text_error(ret) < 0)
			return text_error(ret);
	} while (strncmp(text_string(&line), end, strlen(end)) != 0);
	return 0;
}

int prompt_secret_block(const char *label, const char *end, size_t max,
			const char *(*check)(const struct text *answer, void *context),
			void *context, struct text *ret, struct fault *fault)
{
	struct session session;
	const char *wrong;
	int r = need_terminal(label, fault);

	if (r < 0)
		return r;
	do { /* again after the program was stopped and continued */
		session_begin(&session, ECHO);
		(void)fprintf(stderr, "%s\n", label);
		do { /* in one session: what is pasted may go on behind an answer that is wrong */
			text_done_secret(ret);
			wrong = NULL;
			r = read_block(&session, end, max, ret);
			if (r == 0)
				wrong = check(ret, context);
			if (wrong)
				(void)fprintf(stderr, "%s\n", wrong);
		} while (wrong);
		if (r < 0 && session.terminal) /* the rest is not for the shell to show */
			(void)tcflush(STDIN_FILENO, TCIFLUSH);
		session_end(&session);
	} while (r == -EINTR && caught != SIGINT);
	if (r == -EINTR || r == -ENODATA || r == -EIO)
		return cancelled(fault);
	if (r == -E2BIG)
		(void)fault_set(fault, FAULT_DESERIALIZATION,
				"what was pasted is longer than %zu bytes, or has a line longer "
				"than %d",
				max, PROMPT_LINE_MAX);
	return r < 0 ? fault_set_errno(fault, r, FAULT_FILESYSTEM, "reading what was pasted") : 0;
}

/* --- menus --- */

static int choose_by_number(const char *label, const char *const *items, size_t count, size_t *ret,
			    struct fault *fault)
{
	CLEANUP(text_done) struct text line = { 0 };
	CLEANUP(text_done) struct text choices = { 0 };
	struct session session;
	const char *number;
	size_t value = 0;
	int r;

	do { /* again after the program was stopped and continued */
		session_begin(&session, 0);
		(void)fprintf(stderr, "%s\n", label);
		for (size_t i = 0; i < count; i++)
			(void)fprintf(stderr, "%3zu) %s\n", i + 1, items[i]);
		(void)fprintf(stderr, "Number, 1 to %zu: ", count);
		text_clear(&line);
		r = read_line(&session, &line);
		session_end(&session);
	} while (r == -EINTR && caught != SIGINT);
	if (r == -EINTR)
		return cancelled(fault);
	if (r < 0 && r != -ENODATA)
		return fault_set_errno(fault, r, FAULT_FILESYSTEM, "reading the answer");
	number = text_string(&line) + strspn(text_string(&line), " \t");
	for (; *number >= '0' && *number <= '9' && value <= count; number++)
		value = value * 10 + (size_t)(*number - '0');
	if (number[strspn(number, " \t")] == '\0' && value >= 1 && value <= count) {
		*ret = value - 1;
		return 0;
	}
	for (size_t i = 0; i < count; i++)
		text_printf(&choices, "%s%zu) %s", i > 0 ? ", " : "", i + 1, items[i]);
	return fault_set(fault, FAULT_INVALID_REQUEST, "%s \"%s\" is not the number of one of %s",
			 label, text_string(&line), text_string(&choices));
}

enum menu_key { MENU_NONE, MENU_UP, MENU_DOWN, MENU_ENTER, MENU_END };

/* Takes a byte of what a key sends; @state is how far a sequence has come. */
static enum menu_key menu_key(char byte, unsigned *state)
{
	unsigned before = *state;

	*state = 0;
	if (before == 2)
		return byte == 'A' ? MENU_UP : byte == 'B' ? MENU_DOWN : MENU_NONE;
	if (before == 1 && (byte == '[' || byte == 'O')) {
		*state = 2;
		return MENU_NONE;
	}
	switch (byte) {
	case '\033':
		*state = 1;
		return MENU_NONE;
	case 'k':
		return MENU_UP;
	case 'j':
		return MENU_DOWN;
	case '\r':
	case '\n':
		return MENU_ENTER;
	case 4: /* Ctrl-D */
		return MENU_END;
	default:
		return MENU_NONE;
	}
}

static void draw(const char *const *items, size_t count, size_t chosen)
{
	for (size_t i = 0; i < count; i++)
		(void)fprintf(stderr, "\r\033[K%s %s%s\n", i == chosen ? "\033[1m>" : " ", items[i],
			      i == chosen ? "\033[0m" : "");
}

static int run_menu(const struct session *session, const char *const *items, size_t count,
		    size_t *chosen)
{
	unsigned state = 0;

	draw(items, count, *chosen);
	for (;;) {
		char byte = 0;
		ssize_t size = session_read(session, &byte, 1);

		if (size <= 0)
			return size == 0 ? -ENODATA : (int)size;
		switch (menu_key(byte, &state)) {
		case MENU_UP:
			*chosen = (*chosen + count - 1) % count;
			break;
		case MENU_DOWN:
			*chosen = (*chosen + 1) % count;
			break;
		case MENU_ENTER:
			return 0;
		case MENU_END:
			return -ENODATA;
		case MENU_NONE:
			continue;
		}
		(void)fprintf(stderr, "\033[%zuA", count);
		draw(items, count, *chosen);
	}
}

int prompt_menu(const char *label, const char *const *items, size_t count, size_t *ret,
		struct fault *fault)
{
	const char *kind = getenv("TERM");
	struct session session;
	size_t chosen = 0;
	int r;

	if (!prompt_is_possible() || !kind || strcmp(kind, "dumb") == 0)
		return choose_by_number(label, items, count, ret, fault);
	do {
		session_begin(&session, ICANON | ECHO);
		(void)fprintf(stderr, "%s\n", label);
		r = run_menu(&session, items, count, &chosen);
		session_end(&session);
	} while (r == -EINTR && caught != SIGINT);
	if (r == -EINTR || r == -ENODATA || r == -EIO)
		return cancelled(fault);
	if (r < 0)
		return fault_set_errno(fault, r, FAULT_FILESYSTEM, "reading the answer");
	*ret = chosen;
	return 0;
}
