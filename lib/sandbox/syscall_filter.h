/*
 * Filters of system calls
 *
 * For the calling process, its threads and its children; they stay across execve(2) and are never taken
 * back. What they allow does not depend on the versions of libraries: docs/decisions/0011. A build with
 * sanitizers leaves them out, since the sanitizers' runtime makes calls of its own (base/sanitized.h).
 */
#pragma once

/*
 * For a process without privilege that parses what strangers send. Lists what such a process may do:
 * memory that is never executable, threads, files, pipes, sockets of UNIX and IP but no raw ones, and
 * NETLINK_ROUTE to read addresses. What nobody but an intruder would ask for (programs, other processes,
 * mounts, namespaces, modules, keys, ids, the kernel's tracing) kills the process, which the kernel logs
 * as "type=1326". Any other call fails with ENOSYS, at which libraries do without.
 * The process must have set no_new_privs. Returns 0 or a negative errno.
 */
int syscall_filter_serve(void);

/*
 * For a process with privilege and the programs that it starts. Refuses by EPERM, and has the kernel log,
 * whole classes that none of them needs: other processes' memory, mounts, namespaces but those of users
 * and networks, modules, kexec, bpf, tracing, keys, swap, clocks, ports of the machine, sockets that are
 * raw or of any family but UNIX, IP and netlink.
 * Takes CAP_SYS_ADMIN, for it leaves children the right to gain privilege. Returns 0, or a negative
 * errno: -EACCES without that capability.
 */
int syscall_filter_guard(void);
