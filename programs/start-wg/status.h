/*
 * start-wg --status: what a running start-wg tells of itself
 */
#pragma once

/* Asks the one that runs @interface and prints its answer. Returns an exit status; a fault is logged. */
int status_print(const char *interface);
