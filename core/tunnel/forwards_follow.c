#include "tunnel/forwards_follow.h"

#include "base/log.h"
#include "document/wan.h"
#include "tunnel/forwards6.h"
#include "tunnel/port_mapper_internal.h"

/* One that has to move: a forward, or a name of a shared port. */
struct follower {
	const char *key; /* where it is */
	const char *name; /* NULL: all of the port */
	const char *moved; /* where it is to be */
};

static const json_t *find(const struct job *job, const char *key, const char *name)
{
	const json_t *entry = mapping_entry(job_document(job), key);

	return name ? json_object_get(json_object_get(entry, "routes"), name) : entry;
}

static int take_out(struct job *job, const char *key, const char *name)
{
	CLEANUP(text_done) struct text pointer = { 0 };

	if (name)
		return forwards_remove_route(job, key, name);
	if (document_is_forward6(key))
		return forwards6_remove(job, key);
	document_pointer(&pointer, "portForwards", key, NULL);
	return job_remove(job, text_string(&pointer));
}

/* Takes @value. Returns 1 where somebody else has the port. */
static int put(struct job *job, const char *key, const char *name, json_t *value,
	       struct fault *fault)
{
	CLEANUP(text_done) struct text pointer = { 0 };

	if (name)
		return forwards_put_route(job, key, name, value, fault);
	if (document_is_forward6(key))
		return forwards6_put(job, key, value, fault);
	document_pointer(&pointer, "portForwards", key, NULL);
	return job_put(job, text_string(&pointer), value, fault);
}

/* Whether something is where it would come to: put() would replace it. */
static bool is_occupied(const struct job *job, const struct follower *follower)
{
	const json_t *entry = mapping_entry(job_document(job), follower->moved);
	const json_t *routes = json_object_get(entry, "routes");

	if (!follower->name)
		return entry != NULL;
	return entry && (!routes || json_object_get(routes, follower->name));
}

/* The device was quicker: it has asked for the same at the new address. What it left behind is nothing. */
static bool has_followed(const struct job *job, const struct follower *follower,
			 const json_t *value)
{
	const json_t *there = find(job, follower->moved, follower->name);

	return there &&
	       json_equal(json_object_get(there, "target"), json_object_get(value, "target")) &&
	       json_integer_value(json_object_get(there, "count")) ==
		       json_integer_value(json_object_get(value, "count")); /* a name has none */
}

static int move(struct job *job, const struct follower *follower, struct fault *fault)
{
	json_t *value = json_incref((json_t *)find(job, follower->key, follower->name));
	bool followed = has_followed(job, follower, value);
	bool occupied = is_occupied(job, follower);
	int r = 0;

	if (followed || !occupied)
		r = take_out(job, follower->key, follower->name);
	if (r == 0 && !occupied)
		r = put(job, follower->moved, follower->name, json_incref(value), fault);
	if (r == 0 && (followed || !occupied))
		job->moves_ports = true;
	if (r == 1) {
		occupied = true;
		r = put(job, follower->key, follower->name, json_incref(value), fault);
	}
	if (r == 0 && occupied && !followed)
		log_warning("the port forward %s%s%s cannot follow to %s, where the port is taken",
			    follower->key, follower->name ? " of " : "",
			    follower->name ? follower->name : "", follower->moved);
	json_decref(value);
	return r == 1 ? -EEXIST : r; /* what was there has been there before */
}

/* Where an entry or a route should be. Returns false where it is there, or where no address is known. */
static bool moved_key(const json_t *document, const char *key, const json_t *entry,
		      char ret[IP_TEXT_MAX])
{
	struct document_forward forward;
	struct wan_addresses addresses;
	struct endpoint external;
	uint32_t wan;

	if (!mapping_is_automatic(entry) || !document_route(key, entry, &forward) ||
	    !wan_of(document, forward.target, &wan) || forward.external == wan)
		return false;
	wan_addresses(document, &addresses);
	if (wan_is_own(&addresses, forward.external)) /* who uses it still can */
		return false;
	external = (struct endpoint){ .address = ip_from_v4(wan), .port = forward.external_port };
	endpoint_format(&external, ret);
	return true;
}

static bool moved_key6(const json_t *document, const char *key, const json_t *entry,
		       char ret[IP_TEXT_MAX])
{
	struct document_forward6 forward;
	struct endpoint external = { 0 };

	if (!mapping_is_automatic(entry) || !document_forward6(key, entry, &forward) ||
	    ip_equal(&forward.external, &forward.target) ||
	    !wan6_default(document, &external.address) ||
	    ip_equal(&forward.external, &external.address) ||
	    wan6_is_own(document, &forward.external)) /* who uses it still can */
		return false;
	external.port = forward.external_port;
	endpoint_format(&external, ret);
	return true;
}

/* Adds [key, name or null, new key]. 0 or -ENOMEM. */
static int note(json_t *moves, const char *key, const char *name, const char *moved)
{
	return json_array_append_new(moves, json_pack("[s, s?, s]", key, name, moved)) < 0 ? -ENOMEM
											   : 0;
}

static int find_moves(const json_t *document, json_t *moves)
{
	const json_t *entry, *route;
	const char *key, *name;
	char moved[IP_TEXT_MAX];
	int r = 0;

	json_object_foreach(json_object_get(document, "portForwards"), key, entry) {
		json_t *routes = json_object_get(entry, "routes");

		json_object_foreach(routes, name, route)
			if (r == 0 && moved_key(document, key, route, moved))
				r = note(moves, key, name, moved);
		if (r == 0 && !routes && moved_key(document, key, entry, moved))
			r = note(moves, key, NULL, moved);
	}
	json_object_foreach(json_object_get(document, DOCUMENT_FORWARDS6), key, entry)
		if (r == 0 && moved_key6(document, key, entry, moved))
			r = note(moves, key, NULL, moved);
	return r;
}

bool forwards_are_behind(const json_t *document)
{
	json_t *moves = json_array();
	bool any = moves && find_moves(document, moves) == 0 && json_array_size(moves) > 0;

	json_decref(moves);
	return any;
}

int forwards_follow(struct job *job, const json_t *params, struct fault *fault)
{
	json_t *moves = json_array();
	int r = moves ? find_moves(job_document(job), moves) : -ENOMEM;
	const json_t *one;
	size_t i;

	json_array_foreach(moves, i, one) {
		const struct follower follower = {
			.key = json_string_value(json_array_get(one, 0)),
			.name = json_string_value(json_array_get(one, 1)),
			.moved = json_string_value(json_array_get(one, 2)),
		};

		if (r == 0)
			r = move(job, &follower, fault);
	}
	json_decref(moves);
	return r;
}
