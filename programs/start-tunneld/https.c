#include "https.h"

#include "account/account.h"
#include "base/log.h"
#include "http/tls.h"
#include "tunnel/web_listener.h"

struct https {
	struct tunnel *tunnel;
	struct http_server *server;
	struct http_tls *tls;
};

static int on_listen(void *context, int fd, void **ret_listener)
{
	const struct https *https = context;
	struct http_listener *listener;
	int r = http_server_listen_fd(https->server, fd, https->tls, &listener);

	if (r == 0)
		*ret_listener = listener;
	return r;
}

static void on_close(void *context, void *listener)
{
	(void)http_listener_close(listener);
}

static int on_certificate(void *context, const char *key, const char *chain, struct fault *fault)
{
	const struct https *https = context;

	return http_tls_set_certificate(https->tls, key, chain, fault);
}

/* A signature counts under the address, and under each name of the certificate (tunnel.md 2.5). */
static void on_names(void *context, const struct web_names *names)
{
	const struct https *https = context;
	const char *contexts[ACCOUNT_CONTEXTS_MAX];
	size_t count = 0;
	int r;

	if (names->listen)
		contexts[count++] = names->listen;
	for (size_t i = 0; i < names->host_count && count < ARRAY_SIZE(contexts); i++)
		contexts[count++] = names->hosts[i];
	r = account_set_contexts(tunnel_account(https->tunnel), contexts, count);
	if (r < 0)
		log_error_errno(r, "cannot note the names that signatures may be for");
}

int https_start(struct tunnel *tunnel, struct http_server *server, struct https **ret)
{
	struct https *https = calloc(1, sizeof(*https));
	const struct web_server served = { .context = https,
					   .listen = on_listen,
					   .close = on_close,
					   .set_certificate = on_certificate,
					   .set_names = on_names };
	int r;

	if (!https)
		return -ENOMEM;
	*https = (struct https){ .tunnel = tunnel, .server = server };
	r = http_tls_new(&https->tls);
	if (r < 0) {
		free(https);
		return r;
	}
	*ret = https; /* the tunnel may hold on to it, whatever comes of the start */
	return web_listener_start(tunnel, &served);
}

void https_stop(struct https *https)
{
	if (https)
		web_listener_stop(https->tunnel);
}

struct https *https_free(struct https *https)
{
	if (!https)
		return NULL;
	(void)http_tls_free(https->tls);
	free(https);
	return NULL;
}
