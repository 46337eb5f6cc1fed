#include "account/password_worker.h"

#include "base/list.h"
#include "base/secret.h"
#include "crypto/password.h"

struct request {
	struct list node;
	uv_work_t work;
	struct password_worker *worker;
	char *encoded; /* NULL: to be made */
	char *password;
	char hash[PASSWORD_HASH_MAX];
	int result;
	password_done_fn done;
	void *context;
};

struct password_worker {
	uv_loop_t *loop;
	struct list waiting;
	size_t waiting_count;
	struct request *running;
	bool freed; /* waits for the thread */
};

int password_worker_new(uv_loop_t *loop, struct password_worker **ret)
{
	struct password_worker *worker = calloc(1, sizeof(*worker));

	if (!worker)
		return -ENOMEM;
	worker->loop = loop;
	list_init(&worker->waiting);
	*ret = worker;
	return 0;
}

static void wipe_text(char *text)
{
	if (text)
		secret_wipe(text, strlen(text));
	free(text);
}

static void request_free(struct request *request)
{
	wipe_text(request->encoded);
	wipe_text(request->password);
	secret_wipe(request->hash, sizeof(request->hash));
	free(request);
}

static void finish(struct request *request, int result)
{
	password_done_fn done = request->done;

	request->done = NULL;
	if (done)
		done(request->context, result,
		     result == 0 && !request->encoded ? request->hash : NULL);
}

static void run_next(struct password_worker *worker);

/* On the thread. */
static void on_work(uv_work_t *work)
{
	struct request *request = container_of(work, struct request, work);

	request->result = request->encoded ? password_verify(request->encoded, request->password)
					   : password_hash(request->password, request->hash);
}

static void on_worked(uv_work_t *work, int status)
{
	struct request *request = container_of(work, struct request, work);
	struct password_worker *worker = request->worker;

	worker->running = NULL;
	if (worker->freed) {
		request_free(request);
		free(worker);
		return;
	}
	/* First, for the callback may free the worker. */
	run_next(worker);
	finish(request, request->result);
	request_free(request);
}

static void run_next(struct password_worker *worker)
{
	struct request *request;

	if (worker->running || list_empty(&worker->waiting))
		return;
	request = container_of(worker->waiting.next, struct request, node);
	list_remove(&request->node);
	worker->waiting_count--;
	worker->running = request;
	(void)uv_queue_work(worker->loop, &request->work, on_work, on_worked);
}

struct password_worker *password_worker_free(struct password_worker *worker)
{
	if (!worker)
		return NULL;
	list_foreach(node, &worker->waiting) {
		struct request *request = container_of(node, struct request, node);

		list_remove(&request->node);
		finish(request, -ECANCELED);
		request_free(request);
	}
	if (worker->running) {
		worker->freed = true;
		finish(worker->running, -ECANCELED);
	} else {
		free(worker);
	}
	return NULL;
}

static int enqueue(struct password_worker *worker, const char *encoded, const char *password,
		   bool known, password_done_fn done, void *context)
{
	size_t places = PASSWORD_WAITING_MAX - (known ? 0 : PASSWORD_RESERVED);
	struct request *request;

	if (worker->waiting_count >= places)
		return -EBUSY;
	request = calloc(1, sizeof(*request));
	if (!request)
		return -ENOMEM;
	*request = (struct request){ .worker = worker, .done = done, .context = context };
	request->encoded = encoded ? strdup(encoded) : NULL;
	request->password = strdup(password);
	if ((encoded && !request->encoded) || !request->password) {
		request_free(request);
		return -ENOMEM;
	}
	list_append(&worker->waiting, &request->node);
	worker->waiting_count++;
	run_next(worker);
	return 0;
}

int password_worker_verify(struct password_worker *worker, const char *encoded,
			   const char *password, bool known, password_done_fn done, void *context)
{
	return enqueue(worker, encoded, password, known, done, context);
}

int password_worker_hash(struct password_worker *worker, const char *password,
			 password_done_fn done, void *context)
{
	return enqueue(worker, NULL, password, true, done, context);
}
