/*
 * HTTP requests of a command, by libcurl
 *
 * One blocking POST at a time; the connection is kept for the next one. For programs that do nothing
 * else meanwhile. Redirects are not followed, an answer has at most TRANSFER_BODY_MAX bytes, and what
 * goes wrong is told so that a person knows what to do.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/text.h"

#define TRANSFER_CONNECT_TIMEOUT_S 10
#define TRANSFER_ANSWER_TIMEOUT_S 300
#define TRANSFER_BODY_MAX (128U << 20) /* bytes */
#define TRANSFER_ROOT_FILE_MAX (1U << 20) /* bytes of a file with certificates */
#define TRANSFER_ROOTS_MAX 1024 /* certificates in all such files */
#define TRANSFER_FIELD_MAX 4096 /* bytes of a Set-Cookie; longer ones are ignored */

struct transfer;

struct transfer_options {
	const char *proxy; /* URL; NULL: what the environment says. Ignored where `direct` */
	const char *const
		*roots; /* files with certificates to trust as well; ends with NULL, or NULL */
	bool direct; /* never by a proxy */
	bool insecure; /* trust any certificate */
};

/* Returns 0, or a negative errno with a fault, such as for a file without a certificate. */
int transfer_new(const struct transfer_options *options, struct transfer **ret,
		 struct fault *fault);

/* NULL is fine. Returns NULL. */
struct transfer *transfer_free(struct transfer *transfer);
DEFINE_CLEANUP(struct transfer *, transfer_free);

struct transfer_request {
	const char *url;
	const char *peer; /* whom to speak of in messages: "198.51.100.7:8443" */
	const char *host; /* the name that the certificate has to hold */
	const char *cookie; /* value of the field, or NULL */
	const char *signature; /* of X-StartOS-Auth-Sig, or NULL */
	const char *body;
	size_t body_size;
};

struct transfer_response {
	unsigned status;
	char *content_type; /* as it stands in the answer; NULL where it is missing */
	int64_t date_s; /* the server's clock; -1 where the answer has no date */
	struct text cookies; /* the values of its Set-Cookie fields, each ended by a NUL */
	struct text body;
};

void transfer_response_done(struct transfer_response *response);
DEFINE_CLEANUP_DONE(struct transfer_response, transfer_response_done);

/* Posts JSON and gives the answer, whatever its status. Returns 0, or a negative errno with a fault. */
int transfer_post(struct transfer *transfer, const struct transfer_request *request,
		  struct transfer_response *ret, struct fault *fault);
