#include "codec/json_memory.h"

#include <jansson.h>
#include <malloc.h>
#include <stdlib.h>

#include "base/secret.h"

static void wipe_and_free(void *memory)
{
	if (memory)
		secret_wipe(memory, malloc_usable_size(memory));
	free(memory);
}

void json_memory_wipe_freed(void)
{
	json_set_alloc_funcs(malloc, wipe_and_free);
}
