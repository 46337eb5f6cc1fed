/*
 * An interface of WireGuard as one of Ethernet, for programs that this is loaded into
 *
 * GSSDP, on which GUPnP stands, leaves out interfaces that lead to one other end only. So that it can be tried as
 * a stranger on a device's tunnel, getifaddrs() says of none that it is one.
 */
#include <dlfcn.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stddef.h>

int getifaddrs(struct ifaddrs **ret)
{
	int (*real)(struct ifaddrs **) = dlsym(RTLD_NEXT, "getifaddrs");
	int r = real ? real(ret) : -1;

	for (struct ifaddrs *at = r == 0 ? *ret : NULL; at; at = at->ifa_next)
		at->ifa_flags &= ~(unsigned)IFF_POINTOPOINT;
	return r;
}
