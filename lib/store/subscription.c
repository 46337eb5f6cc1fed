#include "codec/pointer.h"
#include "store/scope.h"
#include "store_internal.h"

struct store_subscription {
	struct list node; /* in the store's list */
	struct store *store;
	char *pointer;
	uint64_t since; /* the revision it began at: earlier ones are not told */
	void (*changed)(void *context, uint64_t revision, const json_t *patch); /* NULL: ended */
	void *context;
};

static void subscription_free(struct store_subscription *subscription)
{
	list_remove(&subscription->node);
	free(subscription->pointer);
	free(subscription);
}

int store_subscribe(struct store *store, const char *pointer,
		    void (*changed)(void *context, uint64_t revision, const json_t *patch),
		    void *context, struct store_subscription **ret)
{
	struct store_subscription *subscription;

	if (!pointer_valid(pointer))
		return -EINVAL;
	subscription = calloc(1, sizeof(*subscription));
	if (!subscription)
		return -ENOMEM;
	subscription->pointer = strdup(pointer);
	if (!subscription->pointer) {
		free(subscription);
		return -ENOMEM;
	}
	subscription->store = store;
	subscription->since = store->revision;
	subscription->changed = changed;
	subscription->context = context;
	list_append(&store->subscriptions, &subscription->node);
	*ret = subscription;
	return 0;
}

struct store_subscription *store_unsubscribe(struct store_subscription *subscription)
{
	if (!subscription)
		return NULL;
	subscription->changed = NULL;
	if (!subscription->store->telling)
		subscription_free(subscription);
	return NULL;
}

static void tell(struct store_subscription *subscription, const json_t *patch)
{
	uint64_t revision = subscription->store->revision;
	json_t *scoped = NULL;

	if (!subscription->changed || subscription->since >= revision)
		return;
	if (scope_patch(patch, subscription->pointer, &scoped) < 0) {
		subscription->changed(subscription->context, revision, NULL);
		return;
	}
	if (json_array_size(scoped) > 0)
		subscription->changed(subscription->context, revision, scoped);
	json_decref(scoped);
}

void store_tell(struct store *store, const json_t *patch)
{
	store->telling = true;
	list_foreach(node, &store->subscriptions)
		tell(container_of(node, struct store_subscription, node), patch);
	store->telling = false;
	list_foreach(node, &store->subscriptions) {
		struct store_subscription *subscription =
			container_of(node, struct store_subscription, node);

		if (!subscription->changed)
			subscription_free(subscription);
	}
}
