/*
 * The difference of two JSON values as a patch
 */
#pragma once

#include <jansson.h>

/*
 * Makes the patch of add, remove and replace that turns @from into @to when its operations are
 * applied in order (rpc-and-patchdb.md 4.3); an empty one where they are equal. An insertion into
 * or a removal from an array is found as such. The values in it are those of @to, by reference.
 * Returns 0 or -ENOMEM; -E2BIG where a pointer would be longer than POINTER_MAX.
 */
int json_diff(const json_t *from, const json_t *to, json_t **ret);
