/*
 * Runs in a forked process, between fork() and _exit(). The parent may have had other threads: of
 * its state only memory is used, and of its locks only those of the C library's allocator, which
 * fork() keeps sane.
 */
#include "jq_child.h"

#include <fcntl.h>
#include <jq.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/sanitized.h"

#define OUTPUT_FD 3
#define MESSAGE_MAX 1000 /* bytes of a fault's text */

struct filter_run {
	jq_state *jq;
	char message[MESSAGE_MAX + 1]; /* the first that libjq told of */
};

static _Noreturn void deliver(uint8_t kind, const char *text, size_t size)
{
	ssize_t n = write(OUTPUT_FD, &kind, 1);

	while (n > 0 && size > 0) {
		n = write(OUTPUT_FD, text, size);
		if (n > 0) {
			text += n;
			size -= (size_t)n;
		}
	}
	_exit(0);
}

static _Noreturn void send_fault(enum fault_kind kind, const char *text)
{
	deliver((uint8_t)kind, text, strnlen(text, MESSAGE_MAX));
}

/* Leaves the pipe and nothing else; what is written to stderr by libraries goes nowhere. */
static int keep_only(int fd)
{
	int moved = fcntl(fd, F_DUPFD_CLOEXEC, OUTPUT_FD + 1);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (moved < 0)
		return -errno;
	for (int standard = 0; standard < OUTPUT_FD; standard++) {
		if (null >= 0)
			(void)dup2(null, standard);
		else
			(void)close(standard);
	}
	if (dup2(moved, OUTPUT_FD) < 0 || close_range(OUTPUT_FD + 1, ~0U, 0) < 0)
		return -errno;
	return 0;
}

static int limit_resources(const struct jq_limits *limits)
{
	const struct {
		int resource;
		rlim_t value;
	} rows[] = {
		{ RLIMIT_CPU, limits->cpu_s },
		{ RLIMIT_DATA, SANITIZED ? RLIM_INFINITY : limits->memory },
		{ RLIMIT_CORE, 0 },
		{ RLIMIT_FSIZE, 0 },
		{ RLIMIT_NPROC, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rlimit limit;

		if (rows[i].value == RLIM_INFINITY)
			continue;
		if (getrlimit(rows[i].resource, &limit) < 0)
			return -errno;
		/* Beyond the soft limit of time comes SIGXCPU, beyond the hard one SIGKILL. What is
		 * lower already stays so: sudo forbids core files, and only privilege undoes that. */
		if (limit.rlim_max > rows[i].value)
			limit.rlim_max = rows[i].value + 1;
		limit.rlim_cur = rows[i].value < limit.rlim_max ? rows[i].value : limit.rlim_max;
		if (setrlimit(rows[i].resource, &limit) < 0)
			return -errno;
	}
	return 0;
}

/* From here on only computing, memory and the pipe are left: files look as if they were forbidden. */
static int allow_only_computing(void)
{
	static const int calls[] = {
		SCMP_SYS(read),		 SCMP_SYS(write),
		SCMP_SYS(mmap),		 SCMP_SYS(munmap),
		SCMP_SYS(mremap),	 SCMP_SYS(mprotect),
		SCMP_SYS(madvise),	 SCMP_SYS(brk),
		SCMP_SYS(futex),	 SCMP_SYS(getrandom),
		SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday),
		SCMP_SYS(sched_yield),	 SCMP_SYS(rt_sigprocmask),
		SCMP_SYS(rt_sigreturn),	 SCMP_SYS(exit),
		SCMP_SYS(exit_group),	 SCMP_SYS(sigaltstack), /* the address sanitizer */
	};
	scmp_filter_ctx context = seccomp_init(SCMP_ACT_ERRNO(EACCES));
	int r = context ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(calls); i++)
		r = seccomp_rule_add(context, SCMP_ACT_ALLOW, calls[i], 0);
	if (r == 0)
		r = seccomp_load(context); /* sets no_new_privs */
	seccomp_release(context);
	return r;
}

/* A signal for the whole group, or one that the parent handles, ends this process like any other. */
static void reset_signals(void)
{
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		(void)signal(number, SIG_DFL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* libjq's callback; takes @message. */
static void note_message(void *context, jv message)
{
	static const char prefix[] = "jq: error: ";
	struct filter_run *run = context;
	const char *text = jv_get_kind(message) == JV_KIND_STRING ? jv_string_value(message) : "";

	if (strncmp(text, prefix, strlen(prefix)) == 0)
		text += strlen(prefix);
	if (!run->message[0])
		(void)snprintf(run->message, sizeof(run->message), "%s", text);
	jv_free(message);
}

/* libjq's callback; it would abort next. */
static void on_no_memory(void *context)
{
	(void)context;
	send_fault(FAULT_DESERIALIZATION, "the filter needs more memory than it may have");
}

static void compile(struct filter_run *run, const char *filter)
{
	run->jq = jq_init();
	if (!run->jq)
		on_no_memory(NULL);
	jq_set_nomem_handler(run->jq, on_no_memory, NULL);
	jq_set_error_cb(run->jq, note_message, run);
	/* Modules are looked for nowhere, but libjq wants to be told so. */
	jq_set_attr(run->jq, jv_string("JQ_LIBRARY_PATH"), jv_array());
	jq_set_attr(run->jq, jv_string("JQ_ORIGIN"), jv_string("/"));
	jq_set_attr(run->jq, jv_string("PROGRAM_ORIGIN"), jv_string("/"));
	if (!jq_compile(run->jq, filter))
		send_fault(FAULT_INVALID_REQUEST,
			   run->message[0] ? run->message : "the filter does not compile");
}

/* Ends where libjq has no further result: with its fault, if that is why. */
static void check_end(const struct filter_run *run, jv end)
{
	char message[MESSAGE_MAX + 1];
	jv text;

	if (jq_halted(run->jq))
		send_fault(FAULT_DESERIALIZATION, "the filter halted");
	if (!jv_invalid_has_msg(jv_copy(end)))
		return;
	text = jv_invalid_get_msg(end);
	if (jv_get_kind(text) != JV_KIND_STRING)
		text = jv_dump_string(text, 0);
	(void)snprintf(message, sizeof(message), "%s", jv_string_value(text));
	send_fault(FAULT_DESERIALIZATION, message);
}

static jv only_result(const struct filter_run *run)
{
	jv result = jq_next(run->jq);
	jv more;

	if (!jv_is_valid(result)) {
		check_end(run, result);
		send_fault(FAULT_INVALID_REQUEST, "the filter gives no result; it must give one");
	}
	more = jq_next(run->jq);
	if (jv_is_valid(more))
		send_fault(FAULT_INVALID_REQUEST,
			   "the filter gives more than one result; it must give one");
	check_end(run, more);
	return result;
}

static void start(const struct filter_run *run, const json_t *document)
{
	char *text = json_dumps(document, JSON_COMPACT | JSON_ENCODE_ANY);

	if (!text)
		on_no_memory(NULL);
	jq_start(run->jq, jv_parse(text), 0);
}

_Noreturn void jq_child_run(int fd, const char *filter, const json_t *document,
			    const struct jq_limits *limits)
{
	static char *no_environment[] = { NULL };
	struct filter_run run = { 0 };
	jv result;

	reset_signals();
	environ = no_environment; /* the language has a name for it */
	if (keep_only(fd) < 0 || limit_resources(limits) < 0 || allow_only_computing() < 0)
		_exit(1);
	compile(&run, filter);
	start(&run, document);
	result = jv_dump_string(only_result(&run), 0);
	deliver(JQ_RESULT, jv_string_value(result),
		(size_t)jv_string_length_bytes(jv_copy(result)));
}
