"""A unit of systemd on a host, without systemd: its own lines are what is run, in the sandbox that they
ask for as far as namespaces make it.

Of the sandbox there are the bounding set, ProtectSystem=strict with the runtime directory, PrivateTmp and
ProtectHome. Filters of system calls and the device policy are systemd's alone.
"""

import contextlib
import os
import shlex
import socket

from lab import wait_until

UNITS = os.path.join(os.path.dirname(__file__), "../../packaging/systemd")
PROGRAMS = "/run/programs"

# Arguments: the bounding set, the runtime directory, then the command.
SANDBOX = r"""
set -eu
bounding_set=$1 runtime=$2
shift 2
mkdir -p -m 700 "$runtime"
mount --bind "$runtime" "$runtime"
while read -r _ _ _ _ point _; do
    case $point in
    /dev | /dev/* | /proc | /proc/* | /sys | /sys/* | "$runtime") ;;
    *) mount -o remount,bind,ro "$point" ;;
    esac
done </proc/self/mountinfo
for place in /tmp /var/tmp /home; do
    mount -t tmpfs tmpfs $place
done
for place in / /etc /run /var/lib; do
    ! mkdir $place/writable 2>/dev/null
done
exec setpriv --bounding-set="$bounding_set" "$@"
"""


class Service:
    """An instance of a template unit. `programs`: which of ours stand for the installed ones; they are
    copied to where the unit sees them, wherever they were built."""

    def __init__(self, host, unit, instance, programs):
        self.host = host
        self.instance = instance
        host.run("mkdir", "-p", PROGRAMS)
        host.run("cp", *programs.values(), PROGRAMS)
        self.programs = {installed: os.path.join(PROGRAMS, os.path.basename(path))
                         for installed, path in programs.items()}
        self.process = None
        with open(os.path.join(UNITS, unit), encoding="ascii") as file:
            self._lines = dict(line.rstrip("\n").split("=", 1) for line in file
                               if "=" in line and line[0] not in "#;")
        assert self["ProtectSystem"] == "strict"
        assert self["PrivateTmp"] == self["ProtectHome"] == "yes"

    def __getitem__(self, name):
        return self._lines[name]

    def command(self, name):
        """The words of an Exec line, as systemd understands them."""
        text = self[name].replace("%%", "\0").replace("%i", self.instance)
        assert "%" not in text and "\\" not in text, "more than this understands"
        words = [word.replace("\0", "%") for word in shlex.split(text)]
        assert all("$" not in word.replace("$$", "") for word in words), "a variable of systemd's"
        words = [word.replace("$$", "$") for word in words]
        return [self.programs.get(words[0], words[0]), *words[1:]]

    def _sandboxed(self, name):
        bounds = "-all," + ",".join("+" + name.removeprefix("CAP_").lower()
                                    for name in self["CapabilityBoundingSet"].split())
        return ["unshare", "--mount", "sh", "-c", SANDBOX, "sh", bounds,
                f"/run/{self['RuntimeDirectory']}", *self.command(name)]

    def run(self, name):
        """Runs a line to its end. Returns (status, output, error)."""
        return self.host.try_run(*self._sandboxed(name))

    def start(self):
        """Starts the main process and waits for its word. Returns the status of what comes after it."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(self.host.path("/run/notify"))
            manager.setblocking(False)
            self.process = self.host.start(*self._sandboxed("ExecStart"),
                                           env={"NOTIFY_SOCKET": "/run/notify"})

            def told():
                assert self.process.running(), self.process.output()
                with contextlib.suppress(BlockingIOError):
                    return manager.recv(100)

            assert wait_until(told, "the service is ready", 30) == b"READY=1"
        return self.run("ExecStartPost")
