#include "tunnel/web_routes.h"

#include "crypto/certificate.h"
#include "tunnel/job.h"
#include "tunnel/web_certificate.h"

/* The host that the interface is known by, as the name of a file. */
static void append_file_name(const json_t *document, struct text *to)
{
	CLEANUP(certificate_chain_free) struct certificate_chain *chain = NULL;
	CLEANUP(certificate_names_done) struct certificate_names names = { 0 };
	const json_t *certificate =
		json_object_get(json_object_get(document, "webserver"), "certificate");
	const char *text = json_string_value(json_object_get(certificate, "cert"));

	if (text && certificate_chain_read(text, &chain, NULL) == 0)
		(void)certificate_names(chain, &names);
	for (const char *c = names.count > 0 ? names.names[0] : "start-tunnel"; *c; c++) {
		bool plain = (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '.';

		text_append_char(to, plain ? *c : '-');
	}
}

/* @ending: of the file that it is to be saved as; NULL: it is not. */
static int make_page(const struct tunnel *tunnel, enum web_root_form form, const char *type,
		     const char *ending, struct rpc_page *ret)
{
	static char disposition[384]; /* the front copies it before it asks for another page */
	const json_t *document = store_document(tunnel->store);
	CLEANUP(text_done) struct text body = { 0 };
	CLEANUP(text_done) struct text name = { 0 };
	int r = web_certificate_root(document, form, &body);

	if (r < 0)
		return r;
	if (ending)
		append_file_name(document, &name);
	(void)snprintf(disposition, sizeof(disposition), "attachment; filename=\"%.256s.%s\"",
		       text_string(&name), ending ? ending : "");
	*ret = (struct rpc_page){ .type = type,
				  .disposition = ending ? disposition : NULL,
				  .size = body.size };
	ret->body = text_take(&body);
	return ret->body ? 0 : -ENOMEM;
}

static int make_pem(void *context, struct rpc_page *ret)
{
	return make_page(context, WEB_ROOT_PEM, "application/x-x509-ca-cert", "crt", ret);
}

static int make_profile(void *context, struct rpc_page *ret)
{
	return make_page(context, WEB_ROOT_PROFILE, "application/x-apple-aspen-config",
			 "mobileconfig", ret);
}

static int make_facts(void *context, struct rpc_page *ret)
{
	return make_page(context, WEB_ROOT_FACTS, "application/json", NULL, ret);
}

void web_routes(struct tunnel *tunnel, struct rpc_route ret[WEB_ROUTES])
{
	const struct rpc_route routes[WEB_ROUTES] = {
		{ "/static/local-root-ca.crt", tunnel, make_pem },
		{ "/static/local-root-ca.mobileconfig", tunnel, make_profile },
		{ "/static/local-root-ca.json", tunnel, make_facts },
		{ NULL, NULL, NULL },
	};

	memcpy(ret, routes, sizeof(routes));
}
