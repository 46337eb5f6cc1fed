#include "system/wg_link.h"

#include <errno.h>
#include <string.h>

#include "system/wg_link_internal.h"

struct backend {
	const char *kind; /* of the interface */
	int (*set)(const char *name, const struct wg_config *change);
	int (*get)(const char *name, struct wg_config *ret);
};

static const struct backend kernel = { "wireguard", wg_kernel_set, wg_kernel_get };
static const struct backend userspace = { "tun", wg_userspace_set, wg_userspace_get };

struct wg_link {
	struct netlink *rtnl;
	const char *name;
	enum wg_backend_choice choice;
	const char *program;
	const struct backend *backend; /* NULL: not known yet */
};

int wg_link_new(struct netlink *rtnl, const char *name, enum wg_backend_choice choice,
		const char *program, struct wg_link **ret)
{
	struct wg_link *link = calloc(1, sizeof(*link));

	if (!link)
		return -ENOMEM;
	*link = (struct wg_link){ .rtnl = rtnl, .name = name, .choice = choice, .program = program };
	*ret = link;
	return 0;
}

struct wg_link *wg_link_free(struct wg_link *link)
{
	free(link);
	return NULL;
}

const char *wg_link_backend(const struct wg_link *link)
{
	const char *slash;

	if (!link->backend)
		return "";
	if (link->backend == &kernel)
		return "kernel";
	slash = strrchr(link->program, '/');
	return slash ? slash + 1 : link->program;
}

int wg_link_find(struct wg_link *link, struct rtnl_link *ret)
{
	struct rtnl_link found;
	int r = rtnl_link_get(link->rtnl, link->name, &found);

	if (r < 0)
		return r;
	if (strcmp(found.kind, kernel.kind) == 0)
		link->backend = &kernel;
	else if (strcmp(found.kind, userspace.kind) != 0)
		return -EEXIST;
	else if (wg_userspace_alive(link->name))
		link->backend = &userspace;
	else
		return -ENODEV;
	*ret = found;
	return 0;
}

/* -ENODEV where there is none; an interface without its program carries nothing. */
static int remove_dead(struct wg_link *link)
{
	struct rtnl_link found;
	int r = rtnl_link_get(link->rtnl, link->name, &found);

	if (r == -ENODEV)
		return 0;
	return r < 0 ? r : rtnl_link_delete(link->rtnl, found.index);
}

int wg_link_create(struct wg_link *link)
{
	int r = remove_dead(link);

	if (r < 0)
		return r;
	r = -EOPNOTSUPP;
	if (link->choice != WG_BACKEND_USERSPACE) {
		r = rtnl_link_create(link->rtnl, link->name, kernel.kind);
		if (r == 0)
			link->backend = &kernel;
	}
	if (r == -EOPNOTSUPP && link->choice != WG_BACKEND_KERNEL) {
		r = wg_userspace_create(link->name, link->program);
		if (r == 0)
			link->backend = &userspace;
	}
	return r;
}

int wg_link_destroy(struct wg_link *link)
{
	return remove_dead(link);
}

int wg_link_set(struct wg_link *link, const struct wg_config *change)
{
	return link->backend ? link->backend->set(link->name, change) : -ENODEV;
}

int wg_link_get(struct wg_link *link, struct wg_config *ret)
{
	return link->backend ? link->backend->get(link->name, ret) : -ENODEV;
}
