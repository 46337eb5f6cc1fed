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

/* --- pages that are kept: reading certificates costs a hundred times what an answer does, and anybody may
 * ask as often as he likes --- */

#define DISPOSITION_MAX 320

struct web_page {
	bool made; /* for the texts below */
	int result;
	char *body;
	size_t size;
	char disposition[DISPOSITION_MAX];
};

struct web_pages {
	char *root, *chain; /* what the pages are made of, NULL where there is none */
	struct web_page pages[WEB_ROOT_FORMS];
};

static void forget_pages(struct web_pages *pages)
{
	free(pages->root);
	free(pages->chain);
	for (size_t i = 0; i < ARRAY_SIZE(pages->pages); i++)
		free(pages->pages[i].body);
	*pages = (struct web_pages){ 0 };
}

struct web_pages *web_pages_free(struct web_pages *pages)
{
	if (pages)
		forget_pages(pages);
	free(pages);
	return NULL;
}

static const char *text_of(const json_t *document, const char *object, const char *member)
{
	const json_t *settings = json_object_get(document, "webserver");

	return json_string_value(json_object_get(json_object_get(settings, object), member));
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Sees to it that what is kept is of this document. */
static int renew_pages(struct tunnel *tunnel, const json_t *document)
{
	const char *root = text_of(document, "authority", "rootCert");
	const char *chain = text_of(document, "certificate", "cert");
	struct web_pages *pages = tunnel->web_pages;

	if (!pages)
		pages = tunnel->web_pages = calloc(1, sizeof(*pages));
	if (!pages)
		return -ENOMEM;
	if (same_text(pages->root, root) && same_text(pages->chain, chain))
		return 0;
	forget_pages(pages);
	pages->root = root ? strdup(root) : NULL;
	pages->chain = chain ? strdup(chain) : NULL;
	if ((root && !pages->root) || (chain && !pages->chain)) {
		forget_pages(pages);
		return -ENOMEM;
	}
	return 0;
}

/* @ending: of the file that it is to be saved as; NULL: it is not. */
static int keep_page(const json_t *document, enum web_root_form form, const char *ending,
		     struct web_page *page)
{
	CLEANUP(text_done) struct text body = { 0 };
	CLEANUP(text_done) struct text name = { 0 };
	int r = web_certificate_root(document, form, &body);

	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0) {
		if (ending)
			append_file_name(document, &name);
		(void)snprintf(page->disposition, sizeof(page->disposition),
			       "attachment; filename=\"%.256s.%s\"", text_string(&name),
			       ending ? ending : "");
		page->size = body.size;
		page->body = text_take(&body);
		if (!page->body)
			return -ENOMEM;
	}
	page->result = r;
	page->made = true;
	return 0;
}

static int make_page(struct tunnel *tunnel, enum web_root_form form, const char *type,
		     const char *ending, struct rpc_page *ret)
{
	const json_t *document = store_document(tunnel->store);
	struct web_page *page;
	char *body;
	int r = renew_pages(tunnel, document);

	if (r < 0)
		return r;
	page = &tunnel->web_pages->pages[form];
	if (!page->made)
		r = keep_page(document, form, ending, page);
	if (r < 0 || page->result < 0)
		return r < 0 ? r : page->result;
	body = malloc(page->size + 1);
	if (!body)
		return -ENOMEM;
	memcpy(body, page->body, page->size + 1);
	*ret = (struct rpc_page){ .type = type,
				  .disposition = ending ? page->disposition : NULL,
				  .body = body,
				  .size = page->size };
	return 0;
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
