/*
 * How commands show results to a person
 */
#pragma once

#include <jansson.h>

#include "base/text.h"

/* For struct rpc_method.show. */
void show_keys(const json_t *result, const json_t *params, struct text *to);
void show_sessions(const json_t *result, const json_t *params, struct text *to);
void show_devices(const json_t *result, const json_t *params, struct text *to);
void show_status(const json_t *result, const json_t *params, struct text *to);
