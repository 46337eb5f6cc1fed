/*
 * Changes of the document's form between releases (tunnel.md 1.8)
 */
#pragma once

#include "store/store.h"

/* In the order in which they run; ends with a NULL name. */
extern const struct store_migration document_migrations[];

/* The names of all of them as an array: a fresh document has them behind it. NULL: out of memory. */
json_t *migration_names(void);
