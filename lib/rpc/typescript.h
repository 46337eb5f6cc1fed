/*
 * Types of a table's methods for pages in TypeScript (DESIGN.md, rule 4)
 *
 * One interface, Methods: for each row its wire name with `params` and `result`. A result that is any JSON
 * value is `Json`, which the file imports from where `json_module` says. Pure.
 */
#pragma once

#include "rpc/method.h"

/* Appends the file. @to keeps the failure where memory is short. */
void rpc_typescript(const struct rpc_table *table, const char *json_module, struct text *to);
