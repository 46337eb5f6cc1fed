#include "document/migrations.h"

/* Calls @change for each plain forward and each SNI route of a document, whatever its age. */
static int each_target(json_t *document, int (*change)(json_t *entry))
{
	const char *key, *host;
	json_t *entry, *route;
	int r = 0;

	json_object_foreach(json_object_get(document, "portForwards"), key, entry) {
		json_t *routes = json_object_get(entry, "routes");

		if (r == 0 && json_is_object(entry) && !routes)
			r = change(entry);
		json_object_foreach(routes, host, route)
			if (r == 0)
				r = change(route);
	}
	return r;
}

static int forward_becomes_entry(json_t *document, struct fault *fault)
{
	json_t *forwards = json_object_get(document, "portForwards");
	const char *key;
	json_t *value;
	void *next;

	json_object_foreach_safe(forwards, next, key, value) {
		json_t *entry;

		if (!json_is_string(value))
			continue;
		entry = json_pack("{s:O, s:n, s:b}", "target", value, "label", "enabled", true);
		if (!entry || json_object_set_new(forwards, key, entry) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int set_kind(json_t *entry)
{
	if (json_object_get(entry, "kind"))
		return 0;
	return json_object_set_new(entry, "kind", json_string("dnat")) < 0 ? -ENOMEM : 0;
}

static int forward_gets_kind(json_t *document, struct fault *fault)
{
	const char *key;
	json_t *entry;

	json_object_foreach(json_object_get(document, "portForwards"), key, entry)
		if (json_is_object(entry) && set_kind(entry) < 0)
			return -ENOMEM;
	return 0;
}

static int client_gets_kind(json_t *document, struct fault *fault)
{
	json_t *subnets = json_object_get(json_object_get(document, "wg"), "subnets");
	const char *key, *address;
	json_t *subnet, *client;

	json_object_foreach(subnets, key, subnet) {
		json_object_foreach(json_object_get(subnet, "clients"), address, client) {
			bool server = json_is_true(json_object_get(client, "allowDnsInjection")) &&
				      json_is_true(json_object_get(client, "allowAutoPortForward"));

			if (json_object_get(client, "kind"))
				continue;
			if (json_object_set_new(client, "kind",
						json_string(server ? "server" : "client")) < 0)
				return -ENOMEM;
		}
	}
	return 0;
}

static int set_auto(json_t *entry)
{
	const char *label = json_string_value(json_object_get(entry, "label"));
	bool automatic = label && (strcmp(label, "PCP") == 0 || strcmp(label, "UPnP") == 0);

	if (json_object_get(entry, "auto"))
		return 0;
	return json_object_set_new(entry, "auto", json_boolean(automatic)) < 0 ? -ENOMEM : 0;
}

static int forward_gets_auto(json_t *document, struct fault *fault)
{
	return each_target(document, set_auto);
}

const struct store_migration document_migrations[] = {
	{ "PortForwardEntry", forward_becomes_entry },
	{ "PortForwardKind", forward_gets_kind },
	{ "WgClientKind", client_gets_kind },
	{ "PortForwardAuto", forward_gets_auto },
	{ 0 },
};

json_t *migration_names(void)
{
	json_t *names = json_array();

	for (const struct store_migration *m = document_migrations; names && m->name; m++) {
		if (json_array_append_new(names, json_string(m->name)) < 0) {
			json_decref(names);
			return NULL;
		}
	}
	return names;
}
