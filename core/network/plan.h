/*
 * The plan: which changes make what is present what is wanted
 *
 * Pure. A plan is in the order of its facts. Applied backwards it undoes itself: plan_reverse().
 */
#pragma once

#include "network/fact.h"

enum change_kind {
	CHANGE_ADD = 1,
	CHANGE_REMOVE,
	CHANGE_UPDATE, /* the key stays, the value is another one */
};

struct change {
	uint8_t kind; /* enum change_kind */
	struct fact before; /* of CHANGE_REMOVE and CHANGE_UPDATE */
	struct fact after; /* of CHANGE_ADD and CHANGE_UPDATE */
};

/* Embedded in its owner; zeroed is empty. */
struct plan {
	struct change *changes;
	size_t count;
	size_t capacity;
};

void plan_done(struct plan *plan);
DEFINE_CLEANUP_DONE(struct plan, plan_done);

/* Compares two finished sets. 0 or -ENOMEM. */
int plan_make(const struct fact_set *present, const struct fact_set *wanted, struct plan *ret);

/* The plan that undoes @plan. 0 or -ENOMEM. */
int plan_reverse(const struct plan *plan, struct plan *ret);

/* The fact that a change is about. */
const struct fact *change_fact(const struct change *change);

/* The change that concerns a fact of this kind which exists once, or NULL. */
const struct change *plan_find(const struct plan *plan, enum fact_kind kind);

/* For a person: "2 differences; first: address on wg-start-tunnel: 10.59.0.1/24 was missing". */
#define PLAN_TEXT_MAX 256
char *plan_format(const struct plan *plan, char to[PLAN_TEXT_MAX]);
