/* auth.key.* */
#include "tunnel/access_internal.h"

#include "base/log.h"
#include "crypto/signing_key.h"

static int key_pointer(const char *pem, struct text *pointer)
{
	document_pointer(pointer, "authPubkeys", pem, NULL);
	return text_error(pointer);
}

static const json_t *stored_keys(const struct job *job)
{
	return json_object_get(job_document(job), "authPubkeys");
}

static int change_key_add(struct job *job, const json_t *params, struct fault *fault)
{
	CLEANUP(text_done) struct text pointer = { 0 };
	uint8_t key[ED25519_PUBLIC_SIZE];
	char pem[SIGNING_KEY_PEM_SIZE];
	int r = signing_key_parse_public(param_string(params, "key"), key, fault);

	if (r == 0)
		r = key_pointer(signing_key_format_public(key, pem), &pointer);
	if (r < 0)
		return r;
	if (json_object_size(stored_keys(job)) >= ACCOUNT_KEYS_MAX &&
	    !json_object_get(stored_keys(job), pem))
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "there are %d keys already; remove one first", ACCOUNT_KEYS_MAX);
	return job_put(job, text_string(&pointer),
		       json_pack("{s:s}", "name", param_string(params, "name")), fault);
}

/* A key that the document holds under another text than ours is removed by that text. */
static int change_key_remove(struct job *job, const json_t *params, struct fault *fault)
{
	CLEANUP(text_done) struct text pointer = { 0 };
	const char *text = param_string(params, "key");
	uint8_t key[ED25519_PUBLIC_SIZE];
	char pem[SIGNING_KEY_PEM_SIZE];
	int r;

	if (!json_object_get(stored_keys(job), text)) {
		r = signing_key_parse_public(text, key, fault);
		if (r < 0)
			return r;
		text = signing_key_format_public(key, pem);
		if (!json_object_get(stored_keys(job), text))
			return 0;
	}
	r = key_pointer(text, &pointer);
	return r < 0 ? r : job_remove(job, text_string(&pointer));
}

static int read_keys(struct tunnel *tunnel, const json_t *params, json_t **ret, struct fault *fault)
{
	*ret = json_deep_copy(store_get(tunnel->store, "/authPubkeys"));
	return *ret ? 0 : -ENOMEM;
}

/* Who may come in is worth a line in the log; the line of OpenSSH is what owners know a key by. */
static void log_change(const struct job *job, const char *what)
{
	char caller[ACCESS_CALLER_MAX], line[SIGNING_KEY_SSH_SIZE];
	uint8_t key[ED25519_PUBLIC_SIZE];

	if (signing_key_parse_public(rpc_string(job->call, "key"), key, NULL) == 0)
		log_notice("a key may %s, by %s: %s", what,
			   access_caller_text(rpc_caller(job->call), caller),
			   signing_key_format_ssh(key, line));
}

static void key_added(struct job *job, bool done)
{
	if (done)
		log_change(job, "sign requests from now on");
}

static void key_removed(struct job *job, bool done)
{
	if (done)
		log_change(job, "sign no more requests");
}

void auth_key_add(struct rpc_call *call)
{
	tunnel_edit_with(call, change_key_add, NULL, key_added);
}

void auth_key_remove(struct rpc_call *call)
{
	tunnel_edit_with(call, change_key_remove, NULL, key_removed);
}

TUNNEL_READ(auth_key_list, read_keys);
