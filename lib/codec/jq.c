#include "codec/jq.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/text.h"
#include "codec/json_parse.h"
#include "codec/utf8.h"
#include "jq_child.h"

struct jq_job {
	uv_pipe_t pipe; /* what the child sends */
	uv_timer_t timer;
	pid_t pid; /* 0: is reaped */
	bool timed_out;
	unsigned handles; /* that are not closed yet */
	struct text received;
	char buffer[16384];
	void (*done)(void *context, json_t *result, struct fault *fault);
	void *context;
};

static void job_free(struct jq_job *job)
{
	text_done_secret(&job->received);
	explicit_bzero(job->buffer, sizeof(job->buffer));
	free(job);
}

/* Loop callback. */
static void on_closed(uv_handle_t *handle)
{
	struct jq_job *job = handle->data;

	if (--job->handles == 0)
		job_free(job);
}

/* The child has closed its end, so it is gone or about to be: this waits for microseconds. */
static int reap(struct jq_job *job)
{
	int status = 0;

	while (waitpid(job->pid, &status, 0) < 0)
		if (errno != EINTR)
			return 0;
	return status;
}

/* The longest beginning that is UTF-8: libjq cuts its messages by bytes. */
static int valid_size(const char *text, size_t size)
{
	while (size > 0 && !utf8_valid(text, size))
		size--;
	return (int)size;
}

static void signal_fault(const struct jq_job *job, int status, struct fault *fault)
{
	int number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

	if (job->timed_out || number == SIGXCPU)
		(void)fault_set(fault, FAULT_TIMEOUT, "the filter ran for too long");
	else if (number == SIGKILL)
		(void)fault_set(fault, FAULT_DESERIALIZATION, "the filter was killed");
	else if (number > 0)
		(void)fault_set(fault, FAULT_DESERIALIZATION,
				"the filter crashed (signal %d): its value nests too deep "
				"or is too large",
				number);
	else
		(void)fault_set(fault, FAULT_UNKNOWN, "the filter's process could not be set up");
}

/* What was received becomes the result, or a fault. */
static json_t *take_result(const struct jq_job *job, int status, struct fault *fault)
{
	const struct json_limits limits = { .size = JQ_RESULT_MAX, .depth = JQ_DEPTH_MAX };
	const char *text = text_string(&job->received);
	json_t *result = NULL;

	if (text_error(&job->received) == -E2BIG) {
		(void)fault_set(fault, FAULT_DESERIALIZATION, "the filter's result is too large");
		return NULL;
	}
	if (text_error(&job->received) < 0) {
		(void)fault_set_errno(fault, -ENOMEM, FAULT_UNKNOWN, "cannot run the filter");
		return NULL;
	}
	if (status != 0 || job->timed_out || job->received.size == 0) {
		signal_fault(job, status, fault);
		return NULL;
	}
	if (text[0] != JQ_RESULT) {
		(void)fault_set(fault, (enum fault_kind)text[0], "the filter failed: %.*s",
				valid_size(text + 1, job->received.size - 1), text + 1);
		return NULL;
	}
	if (json_parse(text + 1, job->received.size - 1, &limits, &result, fault) < 0)
		fault_prefix(fault, "the filter's result");
	return result;
}

static void finish(struct jq_job *job)
{
	struct fault fault = { 0 };
	int status = reap(job);
	json_t *result = NULL;

	job->pid = 0;
	uv_close((uv_handle_t *)&job->pipe, on_closed);
	uv_close((uv_handle_t *)&job->timer, on_closed);
	result = take_result(job, status, &fault);
	job->done(job->context, result, &fault);
	fault_done(&fault);
}

/* Loop callback: room for what the child sends. */
static void on_room(uv_handle_t *handle, size_t wanted, uv_buf_t *buffer)
{
	struct jq_job *job = handle->data;

	(void)wanted;
	*buffer = uv_buf_init(job->buffer, sizeof(job->buffer));
}

/* Loop callback. */
static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
	struct jq_job *job = stream->data;

	if (size < 0) {
		if (size != UV_EOF)
			(void)kill(job->pid, SIGKILL);
		finish(job);
		return;
	}
	text_append_bytes(&job->received, buffer->base, (size_t)size);
	if (text_error(&job->received) < 0)
		(void)kill(job->pid, SIGKILL); /* the end of its pipe follows */
}

/* Loop callback. */
static void on_timer(uv_timer_t *timer)
{
	struct jq_job *job = timer->data;

	job->timed_out = true;
	(void)kill(job->pid, SIGKILL);
}

/*
 * Signals wait until the child has put their handlers away: those of the loop would tell the parent
 * of what came to the child.
 */
static pid_t fork_child(int fd, const char *filter, const json_t *document,
			const struct jq_limits *limits)
{
	sigset_t all;
	sigset_t old;
	pid_t pid;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	pid = fork();
	if (pid == 0)
		jq_child_run(fd, filter, document, limits);
	if (pid < 0)
		pid = -errno;
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return pid;
}

/* Both handles are set up before the fork: after it nothing may fail. */
static struct jq_job *job_new(uv_loop_t *loop)
{
	struct jq_job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	(void)uv_timer_init(loop, &job->timer);
	(void)uv_pipe_init(loop, &job->pipe, 0);
	job->timer.data = job;
	job->pipe.data = job;
	job->handles = 2;
	job->received.max = JQ_RESULT_MAX + 1;
	return job;
}

static void job_abandon(struct jq_job *job)
{
	uv_close((uv_handle_t *)&job->pipe, on_closed);
	uv_close((uv_handle_t *)&job->timer, on_closed);
}

int jq_run(uv_loop_t *loop, const char *filter, const json_t *document,
	   const struct jq_limits *limits,
	   void (*done)(void *context, json_t *result, struct fault *fault), void *context)
{
	static const struct jq_limits usual = JQ_LIMITS_DEFAULT;
	cleanup_close int ours = -EBADF;
	cleanup_close int theirs = -EBADF;
	struct jq_job *job;
	int ends[2];
	int r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	ours = ends[0];
	theirs = ends[1];
	limits = limits ? limits : &usual;
	job = job_new(loop);
	if (!job)
		return -ENOMEM;
	r = uv_pipe_open(&job->pipe, ours);
	if (r == 0) {
		(void)TAKE_FD(ours);
		job->pid = fork_child(theirs, filter, document, limits);
		r = job->pid < 0 ? job->pid : 0;
	}
	if (r < 0) {
		job_abandon(job);
		return r;
	}
	job->done = done;
	job->context = context;
	(void)uv_read_start((uv_stream_t *)&job->pipe, on_room, on_read);
	(void)uv_timer_start(&job->timer, on_timer, UINT64_C(3000) * limits->cpu_s, 0);
	return 0;
}

struct outcome {
	json_t *result;
	struct fault *fault;
};

static void note_outcome(void *context, json_t *result, struct fault *fault)
{
	struct outcome *outcome = context;

	outcome->result = result;
	if (fault_is_set(fault) && outcome->fault) {
		*outcome->fault = *fault;
		*fault = (struct fault){ 0 };
	}
}

int jq_run_now(const char *filter, const json_t *document, const struct jq_limits *limits,
	       json_t **ret, struct fault *fault)
{
	struct outcome outcome = { .fault = fault };
	uv_loop_t loop;
	int r;

	r = uv_loop_init(&loop);
	if (r == 0) {
		r = jq_run(&loop, filter, document, limits, note_outcome, &outcome);
		(void)uv_run(&loop, UV_RUN_DEFAULT);
		(void)uv_loop_close(&loop);
	}
	if (r < 0)
		return fault_set_errno(fault, r, FAULT_UNKNOWN, "cannot run the filter");
	if (!outcome.result)
		return -EPROTO;
	*ret = outcome.result;
	return 0;
}
