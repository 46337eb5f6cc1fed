#include "privilege.h"

#include <stdbool.h>
#include <sys/capability.h>

#include "base/cleanup.h"

static const cap_value_t own[] = { CAP_NET_ADMIN, CAP_NET_BIND_SERVICE };

/* The device binds any port and leaves root; a reboot is a reboot. */
static const cap_value_t of_children[] = {
	CAP_NET_ADMIN, CAP_NET_BIND_SERVICE, CAP_SETUID, CAP_SETGID,
	CAP_SETPCAP,   CAP_SYS_CHROOT,	     CAP_CHOWN,	 CAP_SYS_BOOT,
};

static bool is_of_children(cap_value_t capability)
{
	for (size_t i = 0; i < ARRAY_SIZE(of_children); i++)
		if (of_children[i] == capability)
			return true;
	return false;
}

static int set_own(void)
{
	cap_t caps = cap_init();
	cap_t present = cap_get_proc();
	int r = caps && present ? 0 : -ENOMEM;

	/* A container may withhold the second; it is missed where a low port is to be bound. */
	for (size_t i = 0; i < ARRAY_SIZE(own) && r == 0; i++) {
		cap_flag_value_t is_there = CAP_CLEAR;

		if (cap_get_flag(present, own[i], CAP_PERMITTED, &is_there) < 0 ||
		    cap_set_flag(caps, CAP_PERMITTED, 1, &own[i], is_there) < 0 ||
		    cap_set_flag(caps, CAP_EFFECTIVE, 1, &own[i], is_there) < 0)
			r = -errno;
		else if (own[i] == CAP_NET_ADMIN && is_there == CAP_CLEAR)
			r = -EPERM;
	}
	if (r == 0 && cap_set_proc(caps) < 0)
		r = -errno;
	(void)cap_free(caps);
	(void)cap_free(present);
	return r;
}

int privilege_narrow(void)
{
	/* A container may lack CAP_SETPCAP; its own bounds then have to do for the children. */
	for (cap_value_t capability = 0; cap_get_bound(capability) >= 0; capability++)
		if (!is_of_children(capability) && cap_get_bound(capability) == 1 &&
		    cap_drop_bound(capability) < 0 && errno != EPERM)
			return -errno;
	return set_own();
}
