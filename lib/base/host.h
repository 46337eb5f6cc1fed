/*
 * Names of hosts, as people and requests write them
 */
#pragma once

#include <stdbool.h>

#define HOST_NAME_MAX_SIZE 253 /* bytes of a name */

/*
 * Whether a text is the name of a host: labels of 1 to 63 letters, digits and hyphens, none of which
 * begins or ends with a hyphen, at most HOST_NAME_MAX_SIZE bytes in all, no dot at the end. A text
 * that is an IPv4 address, or whose last label is a number, is none.
 */
bool host_is_name(const char *text);

/* Whether a name of a certificate, perhaps "*.example.com", is for a host; both in lower case (RFC 6125
 * section 6.4.3: the star stands for one label, the first). */
bool host_is_for(const char *pattern, const char *host);
