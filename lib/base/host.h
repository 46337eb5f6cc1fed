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
