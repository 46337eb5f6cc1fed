/*
 * Functions that our code does not call
 *
 * Each of them writes without a bound or hides an error. Included by base/cleanup.h, and thereby by
 * nearly everything; a use is a compile error that names the function.
 */
#pragma once

/* Their declarations must come before the poison. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Under _FORTIFY_SOURCE these are macros for clang. */
#undef sprintf
#undef vsprintf

#pragma GCC poison strcpy strcat sprintf vsprintf gets atoi atol atoll atof strtok
