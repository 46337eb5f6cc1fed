/*
 * The cross-platform configuration protocol of WireGuard devices
 *
 * Text of lines "key=value" ended by an empty line (wireguard.com/xplatform). One request is "set=1"
 * with a change or "get=1"; the answer ends in "errno=N". This module turns text into struct
 * wg_config and back, for the device's side and the client's. It does no I/O. A message is at most
 * UAPI_MESSAGE_MAX bytes.
 */
#pragma once

#include <stddef.h>

#include "base/text.h"
#include "wireguard/config.h"

#define UAPI_MESSAGE_MAX (64U << 20)

/* Who knows the interfaces of the host: others name the scope of a link-local endpoint by one. */
struct uapi_links {
	/* Returns 0 or a negative errno: -ENODEV where there is no such interface. */
	int (*find)(void *context, const char *name, uint32_t *ret_index);
	void *context;
};

/*
 * Parses the lines of a change (what follows "set=1\n", up to but without the empty line; or an
 * answer to "get=1" up to "errno=", in which also the keys of a reading may stand). Nothing is
 * returned unless all of it is right.
 * @links: for scopes that are names; a number is one where no interface has it as its name. NULL: all are.
 * Returns 0, -EINVAL (an unknown key, a value of the wrong form), -EPROTO (a key out of place),
 * -ENODEV (a scope that is no interface), -E2BIG or -ENOMEM.
 */
int uapi_parse(const char *text, size_t size, const struct uapi_links *links,
	       struct wg_config *ret);

/* Writes a change as the lines of a "set=1" message, "set=1" and the closing empty line included. */
void uapi_write_set(struct text *to, const struct wg_config *change);

/*
 * Writes the next part of a reading, as the answer to "get=1": whole peers until @to has @enough bytes.
 * @next is where to go on, 0 at first. Returns whether that was the end of it, "errno=0" and the
 * closing empty line included.
 */
bool uapi_write_get_part(struct text *to, const struct wg_config *reading, size_t *next,
			 size_t enough);

/* Writes a reading as the answer to "get=1", "errno=0" and the closing empty line included. */
void uapi_write_get(struct text *to, const struct wg_config *reading);
