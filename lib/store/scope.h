/*
 * What a patch of the whole document means for one value in it
 */
#pragma once

#include <jansson.h>

/*
 * Makes the patch that those see who look at @pointer only (rpc-and-patchdb.md 4.3): operations at
 * or below it with paths relative to it, and one that replaces all where the place itself was put
 * or taken away from above. Others are dropped. @patch is one of add, remove and replace. Returns 0
 * or -ENOMEM.
 */
int scope_patch(const json_t *patch, const char *pointer, json_t **ret);
