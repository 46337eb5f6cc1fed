/*
 * One start-netd at a time
 *
 * When start-tunneld is killed, its start-netd may still be in the middle of a change while the next one
 * is started already. Both would compare and repair the same state: what one adds the other finds to
 * be there, takes for a failure, and undoes. So each waits for the one before it.
 */
#pragma once

#define PREDECESSOR_WAIT_S 30 /* longer than any step of a change may take */

/*
 * Waits until no other start-netd runs on this machine, and keeps the next one waiting until this
 * process ends. Returns 0, or a negative errno, which was logged.
 */
int predecessor_await(void);
