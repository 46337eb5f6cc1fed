"""Makes a lab possible in a chroot, where a new Debian is often looked at.

Entering a mount namespace (nsenter) leads to that namespace's own root, which in a chroot is another
directory than the one that this process sees as /. And a directory that is no mount has no
propagation that could be made private. So this process first gets a mount namespace whose root is
its own /.
"""

import ctypes
import os

CLONE_NEWNS = 0x00020000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
MNT_DETACH = 2

libc = ctypes.CDLL(None, use_errno=True)


def _call(name, *arguments):
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _enter_own_mount_namespace():
    """The namespace stays; / is from now on the root that it has."""
    with open("/proc/self/ns/mnt", "rb") as namespace:
        _call("setns", namespace.fileno(), CLONE_NEWNS)


def _is_chroot():
    root = os.stat("/")
    child = os.fork()
    if child == 0:
        status = 2
        try:
            _enter_own_mount_namespace()
            status = 0 if os.path.samestat(root, os.stat("/")) else 1
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1


def leave():
    """To be called while the process has one thread. Does nothing outside a chroot."""
    if not _is_chroot():
        return
    directory = os.getcwd()
    _call("unshare", CLONE_NEWNS)
    root = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    _enter_own_mount_namespace()
    os.fchdir(root)
    os.close(root)
    path = os.getcwd().encode()
    _call("mount", None, b"/", None, MS_REC | MS_PRIVATE, None)
    _call("mount", path, path, None, MS_BIND | MS_REC, None)
    os.chdir(path)
    _call("pivot_root", b".", b".")
    _call("umount2", b".", MNT_DETACH)
    os.chdir("/")
    os.chdir(directory)
