/*
 * Forwards that follow this machine's own address
 *
 * An automatic forward is at the public address of its device. Where nobody stated that, it is the machine's own,
 * which can change while the daemon runs. What the owner made stays where the owner put it.
 */
#pragma once

#include "tunnel/job.h"

/*
 * Moves automatic forwards, and automatic names of shared ports, to the addresses that their devices have now.
 * A pinhole needs no move. What cannot move because somebody has the port there stays, with a
 * warning. Sets job->moves_ports where anything moved. 0 or a negative errno. For tunnel_own_edit(), without
 * parameters; not for an edit of the whole document, which does not keep the record of taken ports.
 */
int forwards_follow(struct job *job, const json_t *params, struct fault *fault);

/* Whether there is anything to move. False without memory, too. */
bool forwards_are_behind(const json_t *document);
