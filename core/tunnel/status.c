/* status and restart */
#include "tunnel/job.h"

#include "tunnel/live.h"

static int report(struct tunnel *tunnel, const struct netd_status *status, json_t **ret)
{
	CLEANUP(live_free) struct live *live = NULL;
	int r = live_new(&live);

	if (r == 0)
		r = live_update(live, tunnel, status, NULL);
	if (r < 0)
		return r;
	*ret = live_report(live, tunnel);
	return *ret ? 0 : -ENOMEM;
}

static void on_status(void *context, const struct fault *fault, const struct netd_status *status)
{
	struct job *job = context;
	CLEANUP(fault_done) struct fault copy = { 0 };
	json_t *result = NULL;

	if (fault) {
		(void)fault_set(&copy, fault->kind, "asking start-netd: %s", fault->details);
	} else {
		if (report(job->tunnel, status, &result) < 0)
			(void)fault_set(&copy, FAULT_UNKNOWN, "out of memory");
	}
	job_done(job, result, &copy);
}

static void run_status(struct job *job)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	int r = netd_client_status(job->tunnel->netd, NETD_STATUS_TRAFFIC, on_status, job);

	if (r == 0)
		return;
	(void)fault_set_errno(&fault, r, FAULT_NETWORK, "asking start-netd");
	job_done(job, NULL, &fault);
}

void status_get(struct rpc_call *call)
{
	tunnel_job(rpc_context(call), call, run_status);
}

static void on_reboot(void *context, const struct fault *fault, const struct netd_status *status)
{
	CLEANUP(fault_done) struct fault copy = { 0 };

	if (fault)
		(void)fault_set(&copy, fault->kind, "rebooting this machine: %s", fault->details);
	job_done(context, NULL, &copy);
}

static void run_restart(struct job *job)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	int r = netd_client_reboot(job->tunnel->netd, on_reboot, job);

	if (r == 0)
		return;
	(void)fault_set_errno(&fault, r, FAULT_NETWORK, "asking start-netd");
	job_done(job, NULL, &fault);
}

void machine_restart(struct rpc_call *call)
{
	tunnel_job(rpc_context(call), call, run_restart);
}
