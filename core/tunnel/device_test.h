/*
 * A tunnel for tests of what devices open by themselves
 *
 * With a start-netd of the test's own behind the socket, which agrees to everything or, when told to, to
 * nothing. One subnet with a public address, and two devices that may open ports.
 */
#pragma once

#include <ftw.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "codec/pointer.h"
#include "rpc/dispatch.h"
#include "tunnel/job.h"
#include "tunnel/port_mapper.h"

#include "base/test.h"
#include "tunnel/netd_test.h"

#define SERVER "172.29.5.2"
#define OTHER "172.29.5.3"
#define WAN "198.18.0.7"

struct fixture {
	uv_loop_t loop;
	char directory[64];
	struct netd_client *netd;
	struct tunnel *tunnel;
	struct rpc_dispatcher *dispatcher;
	int fd;
	uv_poll_t poll;
	struct text received;
	int changes; /* that start-netd was asked for */
	int fail_next;
	char *answer;
	struct mapping_outcome outcomes[64]; /* in the order of the answers */
	int answered;
};

static inline void reply(void *context, const struct netd_frame *frame)
{
	struct fixture *f = context;
	CLEANUP(text_done) struct text text = { 0 };
	CLEANUP(fault_done) struct fault fault = { 0 };

	f->changes += frame->type == NETD_CHANGE;
	if (frame->type == NETD_CHANGE && f->fail_next > 0) {
		f->fail_next--;
		(void)fault_set(&fault, FAULT_NETWORK, "no buffer space");
		netd_write_failed(&text, frame->number, &fault);
	} else {
		netd_write_plain(&text, NETD_DONE, frame->number);
	}
	assert_int_equal(write(f->fd, text.data, text.size), text.size);
}

static inline void on_readable(uv_poll_t *poll, int status, int events)
{
	struct fixture *f = container_of(poll, struct fixture, poll);

	netd_test_read(f->fd, &f->received, reply, f);
}

static inline void on_netd_closed(void *context, int error)
{
	fail_msg("the connection broke: %d", error);
}

static inline void on_ready(void *context)
{
	uv_stop(context);
}

static inline void begin(struct fixture *f)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	int fds[2];

	assert_int_equal(uv_loop_init(&f->loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
			 0);
	f->fd = fds[1];
	assert_int_equal(uv_poll_init(&f->loop, &f->poll, f->fd), 0);
	assert_int_equal(uv_poll_start(&f->poll, UV_READABLE, on_readable), 0);
	assert_int_equal(netd_client_new(&f->loop, fds[0], on_netd_closed, f, &f->netd), 0);
	assert_int_equal(tunnel_new(&f->loop, f->directory, f->netd, &f->tunnel, &fault), 0);
	assert_int_equal(rpc_dispatcher_new(&tunnel_api, f->tunnel, &f->dispatcher), 0);
	tunnel_start(f->tunnel, on_ready, &f->loop);
	uv_run(&f->loop, UV_RUN_DEFAULT);
}

static inline void on_idle(void *context)
{
	struct fixture *f = context;

	f->dispatcher = rpc_dispatcher_free(f->dispatcher);
	f->tunnel = tunnel_free(f->tunnel);
	f->netd = netd_client_free(f->netd);
	uv_close((uv_handle_t *)&f->poll, NULL);
}

static inline void finish(struct fixture *f)
{
	tunnel_stop(f->tunnel, on_idle, f);
	while (uv_run(&f->loop, UV_RUN_DEFAULT) != 0)
		;
	assert_int_equal(uv_loop_close(&f->loop), 0);
	(void)close(f->fd);
	text_done(&f->received);
	free(TAKE_PTR(f->answer));
}

static inline void on_answer(void *context, char *answer, size_t size, const char *set_cookie)
{
	struct fixture *f = context;

	free(f->answer);
	f->answer = answer;
	uv_stop(&f->loop);
}

/* Calls a method; f->answer is what came. Single quotes stand for double ones. */
static inline void ask(struct fixture *f, const char *method, const char *params)
{
	const struct rpc_caller caller = { .kind = RPC_CALLER_LOCAL };
	CLEANUP(text_done) struct text body = { 0 };

	text_printf(&body, "{'method':'%s','params':{%s}}", method, params);
	for (size_t i = 0; i < body.size; i++)
		if (body.data[i] == '\'')
			body.data[i] = '"';
	free(TAKE_PTR(f->answer));
	rpc_dispatch(f->dispatcher, body.data, body.size, &caller, on_answer, f);
	while (!f->answer)
		uv_run(&f->loop, UV_RUN_DEFAULT);
}

/* Calls a method, which succeeds. */
static inline void call(struct fixture *f, const char *method, const char *params)
{
	ask(f, method, params);
	if (!strstr(f->answer, "\"result\""))
		fail_msg("%s: %s", method, f->answer);
}

static inline int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	(void)snprintf(f->directory, sizeof(f->directory), "/tmp/mapper-test-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	begin(f);
	call(f, "subnet.add", "'subnet':'172.29.5.1/24','name':'Test'");
	call(f, "subnet.set-wan", "'subnet':'172.29.5.1/24','wanIp':'" WAN "'");
	for (int i = 0; i < 2; i++)
		call(f, "device.add", "'subnet':'172.29.5.1/24','name':'S','kind':'server'");
	*state = f;
	return 0;
}

static inline int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	finish(f);
	(void)nftw(f->directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

static inline int put_ipv6(struct job *job, const json_t *params, struct fault *fault)
{
	return job_put(job, "/wg/subnets/172.29.5.1~124/ipv6", json_string(job->data), fault);
}

static inline void on_put(struct job *job, bool done)
{
	assert_true(done);
	uv_stop(job->tunnel->loop);
}

/* Gives the subnet an IPv6 network, on whatever kernel the test runs. */
static inline void set_ipv6(struct fixture *f, const char *network)
{
	cleanup_free char *copy = strdup(network);

	assert_int_equal(tunnel_own_edit_with(f->tunnel, put_ipv6, copy, on_put), 0);
	uv_run(&f->loop, UV_RUN_DEFAULT);
}

static inline const json_t *forward6(struct fixture *f, const char *key)
{
	return json_object_get(store_get(f->tunnel->store, "/" DOCUMENT_FORWARDS6), key);
}

static inline const json_t *forward(struct fixture *f, const char *port)
{
	char pointer[64];

	(void)snprintf(pointer, sizeof(pointer), "/portForwards/" WAN ":%s", port);
	return store_get(f->tunnel->store, pointer);
}
