/*
 * stderr of a program in the background
 */
#pragma once

/*
 * Connects to the journal as systemd does for the output of a service: lines, each with its level in
 * front. Returns a descriptor to write them to, or a negative errno where no journal runs.
 */
int journal_open(const char *identifier);
