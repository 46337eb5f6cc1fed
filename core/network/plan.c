#include "network/plan.h"

#include <errno.h>
#include <string.h>

#include "base/secret.h"

void plan_done(struct plan *plan)
{
	if (plan->changes) {
		secret_wipe(plan->changes, plan->capacity * sizeof(*plan->changes));
		free(plan->changes);
	}
	*plan = (struct plan){ 0 };
}

static int append(struct plan *plan, enum change_kind kind, const struct fact *before,
		  const struct fact *after)
{
	size_t capacity = plan->capacity ? plan->capacity * 2 : 16;
	struct change *changes;

	if (plan->count == plan->capacity) {
		changes = calloc(capacity, sizeof(*changes));
		if (!changes)
			return -ENOMEM;
		if (plan->changes) {
			memcpy(changes, plan->changes, plan->count * sizeof(*changes));
			secret_wipe(plan->changes, plan->count * sizeof(*changes));
			free(plan->changes);
		}
		plan->changes = changes;
		plan->capacity = capacity;
	}
	plan->changes[plan->count] = (struct change){ .kind = (uint8_t)kind };
	if (before)
		plan->changes[plan->count].before = *before;
	if (after)
		plan->changes[plan->count].after = *after;
	plan->count++;
	return 0;
}

static int compare_heads(const struct fact_set *present, size_t i, const struct fact_set *wanted,
			 size_t j)
{
	if (i == present->count)
		return 1;
	if (j == wanted->count)
		return -1;
	return fact_compare(&present->facts[i], &wanted->facts[j]);
}

int plan_make(const struct fact_set *present, const struct fact_set *wanted, struct plan *ret)
{
	CLEANUP(plan_done) struct plan plan = { 0 };
	size_t i = 0, j = 0;
	int r = 0;

	while (r == 0 && (i < present->count || j < wanted->count)) {
		int order = compare_heads(present, i, wanted, j);
		const struct fact *before = order <= 0 ? &present->facts[i++] : NULL;
		const struct fact *after = order >= 0 ? &wanted->facts[j++] : NULL;

		if (!before)
			r = append(&plan, CHANGE_ADD, NULL, after);
		else if (!after)
			r = append(&plan, CHANGE_REMOVE, before, NULL);
		else if (memcmp(before->value, after->value, FACT_VALUE_SIZE) != 0)
			r = append(&plan, CHANGE_UPDATE, before, after);
	}
	if (r < 0)
		return r;
	*ret = plan;
	plan = (struct plan){ 0 };
	return 0;
}

int plan_reverse(const struct plan *plan, struct plan *ret)
{
	static const uint8_t opposite[] = {
		[CHANGE_ADD] = CHANGE_REMOVE,
		[CHANGE_REMOVE] = CHANGE_ADD,
		[CHANGE_UPDATE] = CHANGE_UPDATE,
	};
	CLEANUP(plan_done) struct plan reversed = { 0 };
	int r = 0;

	for (size_t i = 0; i < plan->count && r == 0; i++) {
		const struct change *change = &plan->changes[i];

		r = append(&reversed, opposite[change->kind], &change->after, &change->before);
	}
	if (r < 0)
		return r;
	*ret = reversed;
	reversed = (struct plan){ 0 };
	return 0;
}

const struct fact *change_fact(const struct change *change)
{
	return change->kind == CHANGE_REMOVE ? &change->before : &change->after;
}

const struct change *plan_find(const struct plan *plan, enum fact_kind kind)
{
	for (size_t i = 0; i < plan->count && change_fact(&plan->changes[i])->kind <= kind; i++)
		if (change_fact(&plan->changes[i])->kind == kind)
			return &plan->changes[i];
	return NULL;
}

char *plan_format(const struct plan *plan, char to[PLAN_TEXT_MAX])
{
	static const char *const words[] = {
		[CHANGE_ADD] = "was missing",
		[CHANGE_REMOVE] = "was not wanted",
		[CHANGE_UPDATE] = "was changed",
	};
	char text[FACT_TEXT_MAX];

	to[0] = '\0';
	if (plan->count == 0)
		return to;
	(void)fact_format(change_fact(&plan->changes[0]), text);
	if (plan->count == 1)
		(void)snprintf(to, PLAN_TEXT_MAX, "%s %s", text, words[plan->changes[0].kind]);
	else
		(void)snprintf(to, PLAN_TEXT_MAX, "%zu differences, first: %s %s", plan->count,
			       text, words[plan->changes[0].kind]);
	return to;
}
