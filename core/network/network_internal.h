/* What network.c, present.c, apply.c and watch.c share. */
#pragma once

#include "network/network.h"
#include "network/plan.h"
#include "network/traffic.h"
#include "system/conntrack.h"

struct watch;

/* How what comes back to transparent sockets finds them: the firewall marks it (ruleset.c). */
#define RETURN_TABLE 1344
extern const struct rtnl_rule return_rule;

#define SWEEP_SUBNETS_MAX 4096

/* Which connections are to be looked for, see sweep.c. */
struct sweep {
	struct net_item *subnets; /* all that were wanted since we run, none in another */
	size_t subnet_count;
	bool pending;
	bool everything; /* or only those of one external port */
	struct ip_address external;
	uint16_t external_port;
	uint64_t since_ns; /* the oldest note */
	uint64_t last_ns; /* the newest note */
	/* While it runs: the walks that are left, the last one under way. */
	struct conntrack_filter filters[2];
	size_t filter_count;
	struct conntrack_walk *walk;
	uint8_t (*wanted6)[NET_ADDRESS6_SIZE]; /* IPv6 addresses that are wanted; NULL: to be listed */
	size_t wanted6_count;
	uint64_t spent_ns; /* on the steps of this one, or of the last one */
	uint64_t not_before_ns; /* the next one, where edits do not pause */
};

struct network {
	struct netlink *rtnl;
	struct netlink *netfilter;
	struct wg_link *link;
	struct watch *watch;
	struct net_set wanted;
	uint32_t index; /* of the interface, 0: not known */
	uint32_t mtu; /* of an interface whose item says 0 */
	bool synced; /* there was a sync: from then on a difference is drift */
	/* Of our table as it has to be, by enum fact_ruleset; empty: not known before it is loaded. */
	struct text pictures[FACT_RULESET_V6 + 1];
	bool ipv6; /* the interface speaks it, because we had it so */
	struct wg_config last; /* the device as it was when its peers were last as wanted */
	struct sweep sweep;
	struct traffic traffic; /* as it was read last */
	uint64_t traffic_due_ns; /* when it may be read again */
	uint64_t drift_found;
	uint64_t drift_repaired;
	uint64_t drift_last_s;
	char drift_last[PLAN_TEXT_MAX];
};

/* Reads what is present, so far as it is ours or would be in the way of @wanted. @ret_device: as it
 * was read; empty where there is none. */
int present_read(struct network *network, const struct fact_set *wanted, struct fact_set *ret,
		 struct wg_config *ret_device, struct fault *fault);

/* The interface's key, port and peers as facts. 0 or -ENOMEM. */
int present_wg_facts(const struct wg_config *config, struct fact_set *ret);

/*
 * Applies a plan, or nothing of it: a step that fails has the ones before it undone.
 * @before, @after: all facts before and after; needed where the plan has a FACT_RULESET, else NULL.
 */
int apply_plan(struct network *network, const struct plan *plan, const struct fact_set *before,
	       const struct fact_set *after, struct fault *fault);

/* Whether the wanted set makes sense as a whole, so far as @added and @removed touch it. 0, or
 * -EPROTO with a fault. */
int wanted_check(const struct net_set *wanted, const struct net_set *removed,
		 const struct net_set *added, struct fault *fault);

/* Everything: reads, plans and applies for the wanted set. @drift: a difference is counted. */
int network_converge(struct network *network, bool drift, bool *ret_different, struct fault *fault);

void sweep_done(struct sweep *sweep);

/* Subnets that are wanted from now on. 0 or -ENOMEM. */
int sweep_know(struct network *network, const struct net_set *wanted);

/* A plan was applied. Whether connections have to be ended before anything else happens. */
bool sweep_note(struct network *network, const struct plan *plan);

/* Connections of everything that is not wanted are to be looked for. */
void sweep_note_everything(struct network *network);

/* Goes on with ending what was noted, for well below a millisecond. Returns 1: there is more to do, 0, or a
 * negative errno: it begins anew in some seconds. */
int sweep_step(struct network *network);

/* Ends all that was noted. 0 or a negative errno. */
int sweep_run(struct network *network);

/* When the next step is due: monotonic time, or UINT64_MAX. */
uint64_t sweep_due_ns(const struct network *network);

int watch_new(struct watch **ret);
struct watch *watch_free(struct watch *watch);

/* Something happened that was not our own doing, or may have. */
bool watch_is_dirty(const struct watch *watch);
void watch_set_dirty(struct watch *watch);
