#include "requests.h"

#include <signal.h>
#include <sys/wait.h>

#include "base/log.h"
#include "bind.h"
#include "transparent.h"

static int check_items(const struct net_set *set, struct fault *fault)
{
	char text[NET_ITEM_TEXT_MAX];
	int r = 0;

	for (size_t i = 0; i < set->count && r == 0; i++) {
		r = net_item_check(&set->items[i], fault);
		if (r < 0)
			fault_prefix(fault, "refused %s", net_item_format(&set->items[i], text));
	}
	return r;
}

static int on_sync(struct requests *requests, const struct netd_frame *frame, struct fault *fault)
{
	CLEANUP(net_set_done) struct net_set wanted = { 0 };
	int r = netd_parse_sync(frame, &wanted);

	if (r < 0)
		return r;
	if (check_items(&wanted, fault) == 0)
		(void)network_sync(requests->network, &wanted, fault);
	return 0;
}

/* What is removed need not be sound: it is only looked for. */
static int on_change(struct requests *requests, const struct netd_frame *frame, struct fault *fault)
{
	CLEANUP(net_set_done) struct net_set remove = { 0 };
	CLEANUP(net_set_done) struct net_set add = { 0 };
	int r = netd_parse_change(frame, &remove, &add);

	if (r < 0)
		return r;
	if (check_items(&add, fault) == 0)
		(void)network_change(requests->network, &remove, &add, fault);
	return 0;
}

static int run_reboot(const char *command)
{
	sigset_t none;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		(void)sigemptyset(&none);
		(void)sigprocmask(SIG_SETMASK, &none, NULL);
		(void)execl(command, command, NULL);
		_exit(127);
	}
	return 0;
}

static int on_reboot(struct requests *requests, const struct netd_frame *frame, struct fault *fault)
{
	int r;

	if (frame->body_size > 0)
		return -EBADMSG;
	log_notice("rebooting the machine: %s", requests->reboot_command);
	if (access(requests->reboot_command, X_OK) < 0)
		r = -errno;
	else
		r = run_reboot(requests->reboot_command);
	if (r < 0)
		(void)fault_set_errno(fault, r, FAULT_UNKNOWN, "running %s",
				      requests->reboot_command);
	return 0;
}

static int answer_bind(const struct netd_frame *frame, struct text *answer, int *ret_fd)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	char text[IP_TEXT_MAX];
	struct netd_bind wanted;
	int r = netd_parse_bind(frame, &wanted);

	if (r < 0)
		return r;
	r = bind_socket(&wanted, ret_fd);
	if (r == 0) {
		netd_write_plain(answer, NETD_BOUND, frame->number);
		return text_error(answer);
	}
	(void)fault_set_errno(&fault, r, FAULT_NETWORK, "%s is not available to bind to",
			      endpoint_format(&wanted.endpoint, text));
	netd_write_failed(answer, frame->number, &fault);
	return text_error(answer);
}

static int answer_transparent(struct requests *requests, const struct netd_frame *frame,
			      struct text *answer, int *ret_fd)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	int ours, r;

	if (frame->body_size > 0)
		return -EBADMSG;
	r = transparent_channel(&ours, ret_fd);
	if (r == 0) {
		if (requests->transparent >= 0)
			(void)close(requests->transparent);
		requests->transparent = ours;
		netd_write_plain(answer, NETD_BOUND, frame->number);
		return text_error(answer);
	}
	(void)fault_set_errno(&fault, r, FAULT_NETWORK, "making a channel for sockets");
	netd_write_failed(answer, frame->number, &fault);
	return text_error(answer);
}

static int answer_status(struct requests *requests, const struct netd_frame *frame,
			 struct text *answer)
{
	CLEANUP(netd_status_done) struct netd_status status = { 0 };
	uint8_t flags;
	int r = netd_parse_status_request(frame, &flags);

	if (r < 0)
		return r;
	r = network_status(requests->network, flags & NETD_STATUS_TRAFFIC, &status);
	if (r < 0)
		return r;
	netd_write_status(answer, frame->number, &status);
	return text_error(answer);
}

static const struct request_row {
	uint8_t type;
	const char *text;
	int (*handle)(struct requests *requests, const struct netd_frame *frame,
		      struct fault *fault);
} rows[] = {
	{ NETD_SYNC, "applying the whole state", on_sync },
	{ NETD_CHANGE, "applying a change", on_change },
	{ NETD_REBOOT, "rebooting", on_reboot },
};

int requests_handle(struct requests *requests, const struct netd_frame *frame, struct text *answer,
		    int *ret_fd)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	const struct request_row *row = NULL;
	int r;

	if (frame->type == NETD_STATUS)
		return answer_status(requests, frame, answer);
	if (frame->type == NETD_BIND)
		return answer_bind(frame, answer, ret_fd);
	if (frame->type == NETD_TRANSPARENT)
		return answer_transparent(requests, frame, answer, ret_fd);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].type == frame->type)
			row = &rows[i];
	r = row ? row->handle(requests, frame, &fault) : -EBADMSG;
	if (r < 0)
		return r;
	if (fault_is_set(&fault)) {
		log_warning("%s failed, and was undone: %s", row->text,
			    fault.details ? fault.details : "?");
		netd_write_failed(answer, frame->number, &fault);
	} else {
		netd_write_plain(answer, NETD_DONE, frame->number);
	}
	return text_error(answer);
}
