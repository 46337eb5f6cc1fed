#include "client/transfer.h"

#include <curl/curl.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <string.h>
#include <strings.h>

struct transfer {
	CURL *curl;
	STACK_OF(X509) * roots;
	char error[CURL_ERROR_SIZE];
};

void transfer_response_done(struct transfer_response *response)
{
	free(response->content_type);
	text_done_secret(&response->cookies);
	text_done_secret(&response->body);
	*response = (struct transfer_response){ 0 };
}

/* --- whom to trust --- */

static int read_roots(BIO *file, STACK_OF(X509) * to, size_t *ret_count)
{
	X509 *certificate;

	for (*ret_count = 0; (certificate = PEM_read_bio_X509(file, NULL, NULL, NULL));
	     ++*ret_count)
		if (sk_X509_num(to) >= TRANSFER_ROOTS_MAX || sk_X509_push(to, certificate) <= 0) {
			X509_free(certificate);
			return -E2BIG;
		}
	return 0;
}

/* Opens through the size limit: a named device or a huge file is no list of certificates. */
static int load_roots(const char *path, STACK_OF(X509) * to, struct fault *fault)
{
	cleanup_free char *bytes = malloc(TRANSFER_ROOT_FILE_MAX + 1);
	FILE *stream = fopen(path, "rbe");
	size_t size, count = 0;
	BIO *file;
	int r;

	if (!stream) {
		r = -errno;
		return fault_set_errno(fault, r, FAULT_FILESYSTEM, "--root-ca: reading %s", path);
	}
	size = bytes ? fread(bytes, 1, TRANSFER_ROOT_FILE_MAX + 1, stream) : 0;
	r = !bytes ? -ENOMEM : ferror(stream) ? -EIO : size > TRANSFER_ROOT_FILE_MAX ? -EFBIG : 0;
	(void)fclose(stream);
	if (r < 0)
		return fault_set_errno(fault, r, FAULT_FILESYSTEM, "--root-ca: reading %s", path);
	file = BIO_new_mem_buf(bytes, (int)size);
	r = file ? read_roots(file, to, &count) : -ENOMEM;
	BIO_free(file);
	if (r < 0)
		return fault_set_errno(fault, r, FAULT_OPENSSL, "--root-ca: %s", path);
	if (count == 0)
		return fault_set(fault, FAULT_OPENSSL,
				 "--root-ca: %s holds no certificate in PEM form", path);
	return 0;
}

/* libcurl callback: adds the roots to those of the system. */
static CURLcode on_tls_context(CURL *curl, void *context, void *user)
{
	X509_STORE *store = SSL_CTX_get_cert_store(context);
	const struct transfer *transfer = user;

	for (int i = 0; i < sk_X509_num(transfer->roots); i++)
		if (X509_STORE_add_cert(store, sk_X509_value(transfer->roots, i)) <= 0)
			return CURLE_ABORTED_BY_CALLBACK;
	return CURLE_OK;
}

static void trust_system_roots(CURL *curl)
{
	const curl_version_info_data *version = curl_version_info(CURLVERSION_NOW);

	/* A machine without the package ca-certificates has no such file, and libcurl would refuse to
	 * connect although --root-ca names all that is needed. */
	if (version->cainfo && access(version->cainfo, R_OK) < 0)
		(void)curl_easy_setopt(curl, CURLOPT_CAINFO, NULL);
}

/* --- the handle --- */

static void set_options(struct transfer *transfer, const struct transfer_options *options)
{
	CURL *curl = transfer->curl;

	(void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, transfer->error);
	(void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	(void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)TRANSFER_CONNECT_TIMEOUT_S);
	(void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)TRANSFER_ANSWER_TIMEOUT_S);
	(void)curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	(void)curl_easy_setopt(curl, CURLOPT_SSL_CTX_FUNCTION, on_tls_context);
	(void)curl_easy_setopt(curl, CURLOPT_SSL_CTX_DATA, transfer);
	trust_system_roots(curl);
	if (options->insecure) {
		(void)curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
		(void)curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	if (options->direct)
		(void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
	else if (options->proxy)
		(void)curl_easy_setopt(curl, CURLOPT_PROXY, options->proxy);
}

int transfer_new(const struct transfer_options *options, struct transfer **ret, struct fault *fault)
{
	CLEANUP(transfer_free) struct transfer *transfer = calloc(1, sizeof(*transfer));

	if (transfer) {
		transfer->roots = sk_X509_new_null();
		transfer->curl = curl_easy_init();
	}
	if (!transfer || !transfer->roots || !transfer->curl)
		return fault_set_errno(fault, -ENOMEM, FAULT_NETWORK, "preparing the request");
	for (const char *const *path = options->roots; path && *path; path++) {
		int r = load_roots(*path, transfer->roots, fault);

		if (r < 0)
			return r;
	}
	set_options(transfer, options);
	*ret = TAKE_PTR(transfer);
	return 0;
}

struct transfer *transfer_free(struct transfer *transfer)
{
	if (!transfer)
		return NULL;
	curl_easy_cleanup(transfer->curl);
	sk_X509_pop_free(transfer->roots, X509_free);
	free(transfer);
	return NULL;
}

/* --- what went wrong --- */

static int refused(const struct transfer_request *request, struct fault *fault)
{
	if (strncmp(request->url, "https:", 6) != 0)
		return fault_set(fault, FAULT_NETWORK,
				 "nothing listens on %s: is start-tunneld running? See `systemctl "
				 "status start-tunneld`",
				 request->peer);
	return fault_set(fault, FAULT_NETWORK,
			 "nothing listens on %s: is the web interface on? Run `start-tunnel web "
			 "init` on the server, and see its `start-tunnel web get-listen`",
			 request->peer);
}

static int not_connected(struct transfer *transfer, const struct transfer_request *request,
			 struct fault *fault)
{
	long error = 0;

	(void)curl_easy_getinfo(transfer->curl, CURLINFO_OS_ERRNO, &error);
	switch (error) {
	case ECONNREFUSED:
		return refused(request, fault);
	case ENETUNREACH:
	case EHOSTUNREACH:
		return fault_set(fault, FAULT_NETWORK,
				 "there is no route to %s: check the address, and whether this "
				 "machine is online",
				 request->peer);
	default:
		return fault_set(fault, FAULT_NETWORK, "connecting to %s: %s", request->peer,
				 transfer->error);
	}
}

static int timed_out(struct transfer *transfer, const struct transfer_request *request,
		     struct fault *fault)
{
	double connected = 0;

	(void)curl_easy_getinfo(transfer->curl, CURLINFO_PRETRANSFER_TIME, &connected);
	if (connected > 0)
		return fault_set(fault, FAULT_TIMEOUT, "the daemon did not answer within %d s",
				 TRANSFER_ANSWER_TIMEOUT_S);
	return fault_set(fault, FAULT_NETWORK,
			 "%s does not answer: check address and port, and the firewalls between",
			 request->peer);
}

static int untrusted(struct transfer *transfer, const struct transfer_request *request,
		     struct fault *fault)
{
	long verified = X509_V_OK;

	(void)curl_easy_getinfo(transfer->curl, CURLINFO_SSL_VERIFYRESULT, &verified);
	switch (verified) {
	case X509_V_OK: /* the handshake went well: it is the name, then */
	case X509_V_ERR_UNSPECIFIED: /* where libcurl looks at the name first */
		return fault_set(
			fault, FAULT_NETWORK,
			"the certificate of %s is not for \"%s\": use --tunnel with a name "
			"or address that it holds, or run `start-tunnel web "
			"generate-certificate %s` on the server",
			request->peer, request->host, request->host);
	case X509_V_ERR_CERT_NOT_YET_VALID:
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return fault_set(fault, FAULT_NETWORK,
				 "the certificate of %s %s: check the clocks of both machines",
				 request->peer,
				 verified == X509_V_ERR_CERT_HAS_EXPIRED ? "has expired"
									 : "is not valid yet");
	default:
		return fault_set(
			fault, FAULT_NETWORK,
			"the certificate of %s is not trusted (%s): name its root by --root-ca "
			"FILE. The server gives it by `start-tunnel web get-root`, or download "
			"https://%s/static/local-root-ca.crt and compare its fingerprint",
			request->peer, X509_verify_cert_error_string(verified), request->peer);
	}
}

static int bad_answer(struct fault *fault, const char *why)
{
	return fault_set(fault, FAULT_NETWORK, "the daemon's answer %s", why);
}

static int explain(struct transfer *transfer, const struct transfer_request *request, CURLcode code,
		   struct fault *fault)
{
	const char *why = *transfer->error ? transfer->error : curl_easy_strerror(code);

	switch (code) {
	case CURLE_COULDNT_CONNECT:
		return not_connected(transfer, request, fault);
	case CURLE_OPERATION_TIMEDOUT:
		return timed_out(transfer, request, fault);
	case CURLE_PEER_FAILED_VERIFICATION:
		return untrusted(transfer, request, fault);
	case CURLE_COULDNT_RESOLVE_HOST:
		return fault_set(fault, FAULT_NETWORK,
				 "the name \"%s\" has no address: check it, or use the IP address",
				 request->host);
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_PROXY:
		return fault_set(fault, FAULT_NETWORK, "the proxy does not work: %s", why);
	case CURLE_SSL_CONNECT_ERROR:
		return fault_set(fault, FAULT_NETWORK, "%s does not speak TLS as it should: %s",
				 request->peer, why);
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL:
		return bad_answer(fault, "is not HTTP: does another program listen there?");
	case CURLE_PARTIAL_FILE:
		return bad_answer(fault, "was cut off");
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
		return fault_set(fault, FAULT_NETWORK,
				 "the daemon closed the connection without an answer");
	case CURLE_WRITE_ERROR:
		return bad_answer(fault, "is too long");
	default:
		return fault_set(fault, FAULT_NETWORK, "asking %s: %s", request->peer, why);
	}
}

/* --- the request --- */

/* libcurl callback: a part of the body. */
static size_t on_body(char *bytes, size_t unit, size_t count, void *user)
{
	struct transfer_response *response = user;

	text_append_bytes(&response->body, bytes, unit * count);
	return text_error(&response->body) == 0 ? unit * count : 0;
}

static bool is_field(const char *line, size_t size, const char *name)
{
	return size > strlen(name) && strncasecmp(line, name, strlen(name)) == 0;
}

/* The value of a field, without the blanks and the line break around it. */
static size_t trim(const char **value, size_t size)
{
	while (size > 0 && (**value == ' ' || **value == '\t')) {
		++*value;
		size--;
	}
	while (size > 0 && memchr(" \t\r\n", (*value)[size - 1], 4))
		size--;
	return size;
}

/* libcurl callback: a line of a head. A new status line begins a new head. */
static size_t on_head(char *line, size_t unit, size_t count, void *user)
{
	struct transfer_response *response = user;
	size_t size = unit * count;
	const char *value = NULL;
	bool cookie = is_field(line, size, "set-cookie:");

	if (cookie)
		value = line + strlen("set-cookie:");
	else if (is_field(line, size, "content-type:"))
		value = line + strlen("content-type:");
	if (is_field(line, size, "HTTP/")) {
		free(TAKE_PTR(response->content_type));
		text_clear(&response->cookies);
	} else if (value) {
		size_t length = trim(&value, size - (size_t)(value - line));

		if (memchr(value, '\0', length))
			return 0;
		if (cookie && length <= TRANSFER_FIELD_MAX) {
			text_append_bytes(&response->cookies, value, length);
			text_append_char(&response->cookies, '\0');
		} else if (!cookie) {
			free(response->content_type);
			response->content_type = strndup(value, length);
		}
	}
	return size;
}

static int append_field(struct curl_slist **to, const char *name, const char *value)
{
	CLEANUP(text_done_secret) struct text field = { 0 };
	struct curl_slist *longer;

	if (!value)
		return 0;
	text_printf(&field, "%s: %s", name, value);
	longer = text_error(&field) == 0 ? curl_slist_append(*to, field.data) : NULL;
	if (!longer)
		return -ENOMEM;
	*to = longer;
	return 0;
}

static int write_fields(const struct transfer_request *request, struct curl_slist **ret)
{
	int r = append_field(ret, "Content-Type", "application/json");

	if (r == 0)
		r = append_field(ret, "Accept", "application/json");
	if (r == 0)
		r = append_field(ret, "User-Agent", "start-tunnel/" PROJECT_VERSION);
	if (r == 0)
		r = append_field(ret, "Cookie", request->cookie);
	if (r == 0)
		r = append_field(ret, "X-StartOS-Auth-Sig", request->signature);
	if (r == 0 && !curl_slist_append(*ret, "Expect:")) /* the body is small: no asking first */
		r = -ENOMEM;
	return r;
}

static void read_info(CURL *curl, struct transfer_response *response)
{
	long status = 0;

	(void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	response->status = status > 0 ? (unsigned)status : 0;
}

/* The date of a head is not among what libcurl tells; it keeps the fields, though. */
static void read_date(CURL *curl, struct transfer_response *response)
{
	struct curl_header *field;

	response->date_s = -1;
	if (curl_easy_header(curl, "date", 0, CURLH_HEADER, -1, &field) == CURLHE_OK)
		response->date_s = (int64_t)curl_getdate(field->value, NULL);
}

int transfer_post(struct transfer *transfer, const struct transfer_request *request,
		  struct transfer_response *ret, struct fault *fault)
{
	CLEANUP(transfer_response_done) struct transfer_response response = { 0 };
	struct curl_slist *fields = NULL;
	CURL *curl = transfer->curl;
	CURLcode code;
	int r = write_fields(request, &fields);

	if (r < 0) {
		curl_slist_free_all(fields);
		return fault_set_errno(fault, r, FAULT_NETWORK, "preparing the request");
	}
	response.body.max = TRANSFER_BODY_MAX;
	*transfer->error = '\0';
	(void)curl_easy_setopt(curl, CURLOPT_URL, request->url);
	(void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, fields);
	(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_size);
	(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, &response);
	(void)curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_head);
	(void)curl_easy_setopt(curl, CURLOPT_HEADERDATA, &response);
	code = curl_easy_perform(curl);
	read_info(curl, &response);
	read_date(curl, &response);
	(void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, NULL);
	(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, NULL);
	curl_slist_free_all(fields);
	if (code != CURLE_OK)
		return explain(transfer, request, code, fault);
	*ret = response;
	response = (struct transfer_response){ 0 };
	return 0;
}
