/*
 * Jobs on the document
 *
 * Inside core/tunnel. Handlers turn a call into a job by one of the tunnel_* functions; tunnel.c runs
 * them one after another.
 */
#pragma once

#include "base/list.h"
#include "document/document.h"
#include "tunnel/tunnel.h"

struct access;
struct forward_index;
struct forward_ports;
struct gateway_watch;
struct names;
struct port_mapper;
struct routes;
struct subscriptions;
struct web_listener;

struct job {
	struct list node;
	struct tunnel *tunnel;
	struct rpc_call *call; /* NULL: the daemon's own */
	void (*run)(struct job *job);

	/* Of edits. */
	int (*change)(struct job *job, const json_t *params, struct fault *fault);
	struct store_txn *txn;
	struct net_set
		remove; /* items of the parts that were touched, before and after; then their difference */
	struct net_set add;
	bool whole; /* all parts are compared, not those that were touched */
	bool refusable; /* of the daemon's own: that the network refuses it undoes it */
	bool ports_touched;
	bool moves_ports; /* to other public addresses: once it is durable, devices have to ask again */
	json_t *document; /* a new whole one, for `change` to take */
	json_t *result; /* that `change` leaves for the answer; NULL: null */
	void *data; /* of tunnel_edit_with() */
	void (*ended)(struct job *job, bool done);
	struct fault fault; /* of the commit, while start-netd is told to go back */

	/* Of reads. */
	int (*read)(struct tunnel *tunnel, const json_t *params, json_t **ret, struct fault *fault);
};

struct tunnel {
	uv_loop_t *loop;
	struct store *store;
	struct netd_client *netd;
	struct forward_ports *ports;
	struct forward_index *index;
	struct port_mapper *mapper;
	struct gateway_watch *gateways;
	struct subscriptions *subscriptions; /* NULL: none are served */
	struct web_listener *web; /* NULL: none is served */
	struct web_pages *web_pages; /* NULL: nobody has asked yet */
	struct names *names; /* NULL: DNS is not served */
	struct routes *routes; /* NULL: no port is shared by host name */
	struct access *access;
	void (*session_ended)(void *context, const char *id); /* NULL: nobody asked to be told */
	void *session_ended_context;
	struct list jobs; /* waiting */
	size_t job_count;
	struct job *running;
	bool dispatching;
	uv_timer_t retry;
	uint32_t wan; /* the last public address that this machine had, of both families; 0: none yet */
	struct ip_address wan6;
	bool in_sync;
	char *sync_problem; /* why start-netd could not do it, or NULL */
	void (*ready)(void *context);
	void *ready_context;
	bool stopping;
	void (*idle)(void *context);
	void *idle_context;
};

/* Answers with what @read makes of the document. */
void tunnel_read(struct rpc_call *call, int (*read)(struct tunnel *tunnel, const json_t *params,
						    json_t **ret, struct fault *fault));

/* Runs @change in a transaction; what it did is carried out, made durable and answered with null.
 * @change returns 0, or a negative errno (with a fault, if there is more to say), and then nothing
 * happened. */
void tunnel_edit(struct rpc_call *call,
		 int (*change)(struct job *job, const json_t *params, struct fault *fault));

/*
 * The same with @data for `change` as job->data. @ended is called once, before the answer; @done tells whether
 * the change is durable. It owns @data. Where there are too many jobs, job->call is NULL in it.
 */
void tunnel_edit_with(struct rpc_call *call,
		      int (*change)(struct job *job, const json_t *params, struct fault *fault),
		      void *data, void (*ended)(struct job *job, bool done));

/* An edit of the daemon's own, that nobody waits for. @change gets no parameters. */
void tunnel_own_edit(struct tunnel *tunnel,
		     int (*change)(struct job *job, const json_t *params, struct fault *fault));

/* The same for one that may fail: @ended is called once, as in tunnel_edit_with(), unless this returns
 * -EBUSY: too many jobs wait, or the daemon ends. */
int tunnel_own_edit_with(struct tunnel *tunnel,
			 int (*change)(struct job *job, const json_t *params, struct fault *fault),
			 void *data, void (*ended)(struct job *job, bool done));

/* Runs @run when its turn comes; it ends with job_edit() or job_done(). */
void tunnel_job(struct tunnel *tunnel, struct rpc_call *call, void (*run)(struct job *job));

/* Goes on as an edit. */
void job_edit(struct job *job,
	      int (*change)(struct job *job, const json_t *params, struct fault *fault));

/* Goes on as an edit whose change may touch any part of the document. */
void job_edit_whole(struct job *job,
		    int (*change)(struct job *job, const json_t *params, struct fault *fault));

/* Ends a job: answers its call with the fault where one is set, else with @result (taken). */
void job_done(struct job *job, json_t *result, struct fault *fault);

/* Whether the caller of a job may see secrets: a browser may not (redact.h). */
static inline bool job_sees_secrets(const struct job *job)
{
	return job->call && rpc_caller(job->call)->kind != RPC_CALLER_SESSION;
}

/* For `change`: the document, and operations on it. @value is taken. job_put() of an entry of
 * /portForwards returns 1 where a port is taken by another entry (nothing changed). */
const json_t *job_document(const struct job *job);
int job_put(struct job *job, const char *pointer, json_t *value, struct fault *fault);
int job_remove(struct job *job, const char *pointer);

/* Defines the handler that the table names for an edit or a read. */
#define TUNNEL_EDIT(handler, change)                                                               \
	void handler(struct rpc_call *call)                                                        \
	{                                                                                          \
		tunnel_edit(call, change);                                                         \
	}                                                                                          \
	struct handler##_defined
#define TUNNEL_READ(handler, read)                                                                 \
	void handler(struct rpc_call *call)                                                        \
	{                                                                                          \
		tunnel_read(call, read);                                                           \
	}                                                                                          \
	struct handler##_defined

/* Checked parameters. */
static inline const char *param_string(const json_t *params, const char *name)
{
	return json_string_value(json_object_get(params, name));
}

static inline uint16_t param_u16(const json_t *params, const char *name)
{
	return (uint16_t)json_integer_value(json_object_get(params, name));
}

static inline bool param_bool(const json_t *params, const char *name)
{
	return json_is_true(json_object_get(params, name));
}

/* The handlers, by the file that defines them. */
void subnet_add(struct rpc_call *call); /* subnets.c */
void subnet_remove(struct rpc_call *call);
void subnet_set_wan(struct rpc_call *call);
void subnet_set_dns(struct rpc_call *call);
void subnet_set_ipv6(struct rpc_call *call);
void device_add(struct rpc_call *call); /* devices.c */
void device_remove(struct rpc_call *call);
void device_list(struct rpc_call *call);
void device_show_config(struct rpc_call *call);
void device_set_wan(struct rpc_call *call);
void device_set_kind(struct rpc_call *call);
void device_set_auto_port_forward(struct rpc_call *call);
void device_set_dns_injection(struct rpc_call *call);
void forward_add(struct rpc_call *call); /* forwards.c */
void forward_remove(struct rpc_call *call);
void forward_update_label(struct rpc_call *call);
void forward_set_enabled(struct rpc_call *call);
void forward_set_proxy(struct rpc_call *call);
void forward_pin(struct rpc_call *call);
void record_add(struct rpc_call *call); /* records.c */
void record_remove(struct rpc_call *call);
void record_list(struct rpc_call *call);
void database_dump(struct rpc_call *call); /* database.c */
void database_apply(struct rpc_call *call);
void database_subscribe(struct rpc_call *call); /* subscribe.c */
int database_part(const struct store *store, const char *pointer, bool secrets, json_t **ret);
int database_dump_local(struct rpc_client *client, const json_t *params, json_t **ret_result,
			struct fault *fault);
int database_apply_local(struct rpc_client *client, const json_t *params, json_t **ret_result,
			 struct fault *fault);
void auth_login(struct rpc_call *call); /* access_sessions.c */
void auth_logout(struct rpc_call *call);
void auth_session_list(struct rpc_call *call);
void auth_session_kill(struct rpc_call *call);
void auth_set_password(struct rpc_call *call); /* access_password.c */
void auth_reset_password(struct rpc_call *call);
void auth_key_add(struct rpc_call *call); /* access_keys.c */
void auth_key_remove(struct rpc_call *call);
void auth_key_list(struct rpc_call *call);
void web_set_listen(struct rpc_call *call); /* web.c */
void web_get_listen(struct rpc_call *call);
void web_get_available_ips(struct rpc_call *call);
void web_generate_certificate(struct rpc_call *call);
void web_import_certificate(struct rpc_call *call);
void web_get_certificate(struct rpc_call *call);
void web_get_root(struct rpc_call *call);
void web_enable(struct rpc_call *call);
void web_disable(struct rpc_call *call);
void web_uninit(struct rpc_call *call);
void status_get(struct rpc_call *call); /* status.c */
void machine_restart(struct rpc_call *call);

/* What edits of subnets and devices have to do to the forwards; forwards.c. */
/* One name of a port; @route is taken. Returns 1 where another forward has the port, like job_put(). */
int forwards_put_route(struct job *job, const char *key, const char *name, json_t *route,
		       struct fault *fault);
int forwards_remove_route(struct job *job, const char *key,
			  const char *name); /* and the port with the last */
int forwards_prune(struct job *job); /* drops those whose target is no device any more */
int forwards_rekey(struct job *job, struct fault *fault); /* follows changed WAN addresses */

/* Closes what a device opened by itself; what the owner disabled stays as it is. */
int forwards_close_automatic(struct job *job, uint32_t device);

/* Finds a subnet by the parameter `subnet`, or sets FAULT_NOT_FOUND with the key. */
int find_subnet(const json_t *document, const json_t *params, struct document_subnet *ret,
		struct fault *fault);
