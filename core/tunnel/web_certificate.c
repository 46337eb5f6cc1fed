#include "tunnel/web_certificate.h"

#include <sys/stat.h>
#include <sys/timex.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "codec/base64.h"
#include "crypto/certificate_authority.h"
#include "tunnel/job.h"

#define DAY_S INT64_C(86400)
#define BUILD_AGE_MAX_S (366 * DAY_S)

int64_t web_certificate_now(void)
{
	return (int64_t)(clock_realtime_ns() / NS_PER_S);
}

/*
 * The time that a root begins with. A clock that nobody sets may be ahead, and a root that begins in the
 * future is no good to devices whose clocks are right: then it is the age of this program, if that is
 * believable.
 */
static int64_t root_start(void)
{
	struct timex state = { 0 };
	int64_t now_s = web_certificate_now();
	struct stat self;

	if (adjtimex(&state) != TIME_ERROR || stat("/proc/self/exe", &self) < 0)
		return now_s;
	return self.st_mtime <= now_s && self.st_mtime > now_s - BUILD_AGE_MAX_S ? self.st_mtime
										 : now_s;
}

/* --- what the document holds --- */

static const json_t *webserver(const json_t *document)
{
	return json_object_get(document, "webserver");
}

static const char *chain_text(const json_t *document)
{
	return json_string_value(
		json_object_get(json_object_get(webserver(document), "certificate"), "cert"));
}

static int copy_member(const json_t *object, const char *name, char **ret)
{
	const char *text = json_string_value(json_object_get(object, name));

	*ret = strdup(text ? text : "");
	return *ret ? 0 : -ENOMEM;
}

/* Returns 0, -ENOENT (none is kept), or -ENOMEM. */
static int kept_authority(const json_t *document, struct certificate_authority *ret)
{
	CLEANUP(certificate_authority_done) struct certificate_authority kept = { 0 };
	const json_t *value = json_object_get(webserver(document), "authority");

	if (!json_is_object(value))
		return -ENOENT;
	if (copy_member(value, "rootCert", &kept.root_cert) < 0 ||
	    copy_member(value, "rootKey", &kept.root_key) < 0 ||
	    copy_member(value, "intermediateCert", &kept.intermediate_cert) < 0 ||
	    copy_member(value, "intermediateKey", &kept.intermediate_key) < 0)
		return -ENOMEM;
	*ret = kept;
	kept = (struct certificate_authority){ 0 };
	return 0;
}

/* The kept root as a chain of one, if the interface's certificate, where it has one, ends in it. */
static int own_root(const json_t *document, struct certificate_chain **ret)
{
	CLEANUP(certificate_chain_free) struct certificate_chain *root = NULL;
	CLEANUP(certificate_chain_free) struct certificate_chain *chain = NULL;
	const json_t *authority = json_object_get(webserver(document), "authority");
	const char *text = json_string_value(json_object_get(authority, "rootCert"));
	uint8_t digest[CERTIFICATE_DIGEST_SIZE], last[CERTIFICATE_DIGEST_SIZE];
	int r = text ? certificate_chain_read(text, &root, NULL) : -ENOENT;

	if (r == 0 && chain_text(document)) {
		r = certificate_chain_read(chain_text(document), &chain, NULL);
		if (r < 0)
			return r == -ENOMEM ? r : -ENOENT;
		certificate_digest(root, 0, digest);
		certificate_digest(chain, certificate_chain_count(chain) - 1, last);
		if (memcmp(digest, last, sizeof(digest)) != 0)
			r = -ENOENT;
	}
	if (r < 0)
		return r == -ENOMEM ? r : -ENOENT;
	*ret = TAKE_PTR(root);
	return 0;
}

/* --- issuing --- */

static int put_authority(struct job *job, const struct certificate_authority *authority,
			 struct fault *fault)
{
	return job_put(job, "/webserver/authority",
		       json_pack("{s:s, s:s, s:s, s:s}", "rootCert", authority->root_cert,
				 "rootKey", authority->root_key, "intermediateCert",
				 authority->intermediate_cert, "intermediateKey",
				 authority->intermediate_key),
		       fault);
}

/* Makes the intermediate anew where it would shorten the leaf's life, and the root would not. */
static int lengthen(struct job *job, struct certificate_authority *authority, int64_t now_s,
		    struct fault *fault)
{
	int64_t root_end, end;
	int r = certificate_authority_ends(authority, &root_end, &end, fault);

	if (r == 0 && root_end <= now_s)
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "the kept root certificate has expired; ask for a new root");
	if (r < 0 || end >= root_end || end > now_s + CERTIFICATE_LEAF_DAYS * DAY_S)
		return r;
	r = certificate_authority_renew(authority, now_s, fault);
	return r < 0 ? r : put_authority(job, authority, fault);
}

/* The authority that is kept, or a new one that is kept from now on. */
static int ready_authority(struct job *job, bool new_root, int64_t now_s,
			   struct certificate_authority *ret, struct fault *fault)
{
	int r = new_root ? -ENOENT : kept_authority(job_document(job), ret);

	if (r == 0)
		return lengthen(job, ret, now_s, fault);
	if (r != -ENOENT)
		return r;
	r = certificate_authority_make(root_start(), ret);
	return r < 0 ? r : put_authority(job, ret, fault);
}

int web_certificate_issue(struct job *job, const char *const *names, size_t count, bool new_root,
			  char **ret_chain, struct fault *fault)
{
	CLEANUP(certificate_authority_done) struct certificate_authority authority = { 0 };
	CLEANUP(certificate_leaf_done) struct certificate_leaf leaf = { 0 };
	int64_t now_s = web_certificate_now();
	int r = ready_authority(job, new_root, now_s, &authority, fault);

	if (r == 0)
		r = certificate_authority_issue(&authority, names, count, now_s, &leaf, fault);
	if (r == 0)
		r = job_put(job, "/webserver/certificate",
			    json_pack("{s:s, s:s}", "key", leaf.key, "cert", leaf.chain), fault);
	if (r == 0)
		*ret_chain = TAKE_PTR(leaf.chain);
	return r;
}

/* --- renewing --- */

bool web_certificate_is_due(int64_t from_s, int64_t to_s, int64_t issuers_end_s, int64_t now_s)
{
	int64_t limit_s = (to_s - from_s) / 3, new_s = now_s + (CERTIFICATE_LEAF_DAYS - 1) * DAY_S;

	if (limit_s > WEB_CERTIFICATE_LEFT_S)
		limit_s = WEB_CERTIFICATE_LEFT_S;
	if (new_s > issuers_end_s)
		new_s = issuers_end_s;
	return to_s - now_s < limit_s && new_s > to_s + DAY_S;
}

bool web_certificate_wants_renewal(const json_t *document, int64_t now_s)
{
	CLEANUP(certificate_chain_free) struct certificate_chain *chain = NULL;
	CLEANUP(certificate_chain_free) struct certificate_chain *root = NULL;

	if (!chain_text(document) || own_root(document, &root) < 0 ||
	    certificate_chain_read(chain_text(document), &chain, NULL) < 0)
		return false;
	return web_certificate_is_due(certificate_not_before(chain, 0),
				      certificate_not_after(chain, 0),
				      certificate_not_after(root, 0), now_s);
}

static void append_date(struct text *to, int64_t seconds)
{
	time_t when = (time_t)seconds;
	char date[32] = "";
	struct tm utc;

	if (gmtime_r(&when, &utc))
		(void)strftime(date, sizeof(date), "%Y-%m-%d", &utc);
	text_append(to, date);
}

void web_certificate_warning(const json_t *document, int64_t now_s, struct text *to)
{
	CLEANUP(certificate_chain_free) struct certificate_chain *chain = NULL;
	CLEANUP(certificate_chain_free) struct certificate_chain *root = NULL;

	if (!chain_text(document) || certificate_chain_read(chain_text(document), &chain, NULL) < 0)
		return;
	if (own_root(document, &root) < 0) {
		if (certificate_not_after(chain, 0) - now_s > WEB_CERTIFICATE_LEFT_S)
			return;
		text_append(to, "the imported certificate ends on ");
		append_date(to, certificate_not_after(chain, 0));
		text_append(to, "; import its successor");
	} else if (certificate_not_after(root, 0) - now_s <= WEB_ROOT_LEFT_S) {
		text_append(to, "the root certificate ends on ");
		append_date(to, certificate_not_after(root, 0));
		text_append(to, "; make a new one (start-tunnel web generate-certificate "
				"--new-root) and have devices trust it");
	}
}

int web_certificate_renew(struct job *job, const json_t *params, struct fault *fault)
{
	CLEANUP(certificate_chain_free) struct certificate_chain *chain = NULL;
	CLEANUP(certificate_names_done) struct certificate_names names = { 0 };
	cleanup_free char *renewed = NULL;
	int r;

	if (!web_certificate_wants_renewal(job_document(job), web_certificate_now()))
		return 0; /* somebody was faster */
	r = certificate_chain_read(chain_text(job_document(job)), &chain, fault);
	if (r == 0)
		r = certificate_names(chain, &names);
	if (r == 0)
		r = web_certificate_issue(job, (const char *const *)names.names, names.count, false,
					  &renewed, fault);
	if (r == 0)
		log_notice("the web interface's certificate is renewed, under the same root");
	else
		fault_prefix(fault, "renewing the web interface's certificate");
	return r;
}

/* --- the root, for those who are to trust it --- */

/* The digest's first or second half in the form of a UUID. */
static void append_uuid(struct text *to, const uint8_t *half)
{
	for (size_t i = 0; i < 16; i++)
		text_printf(to, "%s%02X", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
			    half[i]);
}

static int write_profile(const struct certificate_chain *root, struct text *to)
{
	CLEANUP(text_done) struct text der = { 0 };
	CLEANUP(text_done) struct text first = { 0 };
	CLEANUP(text_done) struct text second = { 0 };
	uint8_t digest[CERTIFICATE_DIGEST_SIZE];
	cleanup_free char *encoded = NULL;
	int r = certificate_write_der(root, 0, &der);

	if (r < 0)
		return r;
	encoded = malloc(BASE64_SIZE(der.size));
	if (!encoded)
		return -ENOMEM;
	base64_encode((const uint8_t *)der.data, der.size, true, encoded);
	certificate_digest(root, 0, digest);
	append_uuid(&first, digest);
	append_uuid(&second, digest + 16);
	text_printf(to,
		    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		    "<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" "
		    "\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n"
		    "<plist version=\"1.0\">\n<dict>\n"
		    "\t<key>PayloadContent</key>\n\t<array>\n\t\t<dict>\n"
		    "\t\t\t<key>PayloadCertificateFileName</key>\n"
		    "\t\t\t<string>start-tunnel.crt</string>\n"
		    "\t\t\t<key>PayloadContent</key>\n\t\t\t<data>%s</data>\n"
		    "\t\t\t<key>PayloadDescription</key>\n"
		    "\t\t\t<string>Adds the root certificate of this StartTunnel</string>\n"
		    "\t\t\t<key>PayloadDisplayName</key>\n"
		    "\t\t\t<string>StartTunnel Local Root CA</string>\n"
		    "\t\t\t<key>PayloadIdentifier</key>\n"
		    "\t\t\t<string>com.start9.ca.cert.%s</string>\n"
		    "\t\t\t<key>PayloadType</key>\n\t\t\t<string>com.apple.security.root</string>\n"
		    "\t\t\t<key>PayloadUUID</key>\n\t\t\t<string>%s</string>\n"
		    "\t\t\t<key>PayloadVersion</key>\n\t\t\t<integer>1</integer>\n"
		    "\t\t</dict>\n\t</array>\n",
		    encoded, text_string(&first), text_string(&first));
	text_printf(to,
		    "\t<key>PayloadDisplayName</key>\n"
		    "\t<string>StartTunnel Local Root CA</string>\n"
		    "\t<key>PayloadIdentifier</key>\n"
		    "\t<string>com.start9.ca.profile.%s</string>\n"
		    "\t<key>PayloadRemovalDisallowed</key>\n\t<false/>\n"
		    "\t<key>PayloadType</key>\n\t<string>Configuration</string>\n"
		    "\t<key>PayloadUUID</key>\n\t<string>%s</string>\n"
		    "\t<key>PayloadVersion</key>\n\t<integer>1</integer>\n"
		    "</dict>\n</plist>\n",
		    text_string(&second), text_string(&second));
	return text_error(&first) < 0 || text_error(&second) < 0 ? -ENOMEM : text_error(to);
}

static int write_facts(const struct certificate_chain *root, struct text *to)
{
	CLEANUP(text_done) struct text subject = { 0 };
	char fingerprint[CERTIFICATE_FINGERPRINT_MAX], until[32] = "";
	time_t end = (time_t)certificate_not_after(root, 0);
	cleanup_free char *text = NULL;
	struct tm utc;
	json_t *facts;

	if (certificate_subject(root, 0, &subject) < 0)
		return -ENOMEM;
	if (gmtime_r(&end, &utc))
		(void)strftime(until, sizeof(until), "%Y-%m-%dT%H:%M:%SZ", &utc);
	facts = json_pack("{s:s, s:s, s:s}", "fingerprint",
			  certificate_fingerprint(root, 0, fingerprint), "subject",
			  text_string(&subject), "notAfter", until);
	text = facts ? json_dumps(facts, JSON_COMPACT) : NULL;
	json_decref(facts);
	if (!text)
		return -ENOMEM;
	text_append(to, text);
	return text_error(to);
}

int web_certificate_root(const json_t *document, enum web_root_form form, struct text *to)
{
	CLEANUP(certificate_chain_free) struct certificate_chain *root = NULL;
	char fingerprint[CERTIFICATE_FINGERPRINT_MAX];
	int r = own_root(document, &root);

	if (r < 0)
		return r;
	switch (form) {
	case WEB_ROOT_PEM:
		return certificate_write(root, 0, to);
	case WEB_ROOT_PROFILE:
		return write_profile(root, to);
	case WEB_ROOT_FACTS:
		return write_facts(root, to);
	case WEB_ROOT_FINGERPRINT:
		text_append(to, certificate_fingerprint(root, 0, fingerprint));
		return text_error(to);
	case WEB_ROOT_FORMS:
		break;
	}
	return -EINVAL;
}
