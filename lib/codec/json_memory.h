/*
 * Memory of JSON values
 *
 * Passwords, tokens and private keys come and go as JSON. A program that handles them calls this once,
 * before it makes the first value: from then on the memory of every value is wiped when it is freed, and
 * so are the buffers of the writer in jansson. Text that json_dumps() gave is the caller's to wipe; free()
 * is right for it as before.
 */
#pragma once

void json_memory_wipe_freed(void);
