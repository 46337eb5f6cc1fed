"""A program on a real terminal, driven like by a person: what it shows is waited for, keys are typed."""

import errno
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

from lab import PATIENCE

UP = "\033[A"
DOWN = "\033[B"
ENTER = "\r"
CTRL_C = "\x03"
CTRL_D = "\x04"


class Terminal:
    """
    A program of a host on a pseudo terminal of its own, in a session of its own, so that Ctrl-C reaches it
    and nothing else, whatever signals this process was told to ignore. Text that was waited for is not found
    again.
    """

    def __init__(self, host, *argv, env=None, columns=100, lines=50):
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._before = termios.tcgetattr(slave)
        self._slave = slave
        self._popen = subprocess.Popen(
            host.command(["env", "--default-signal", "setsid", "--ctty", "--wait", *argv]),
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            env=host.environment({"TERM": "xterm"} | (env or {})))
        self.shown = ""
        self._seen = 0

    def _read(self, timeout_s):
        """Takes what the program shows within the time. Returns False at the end of the output."""
        ready, _, _ = select.select([self._master], [], [], timeout_s)
        if not ready:
            return True
        try:
            text = os.read(self._master, 65536)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            text = b""
        self.shown += text.decode(errors="replace").replace("\r\n", "\n")
        return bool(text)

    def expect(self, pattern, timeout_s=30.0):
        """Waits until the program shows text that the expression matches, and returns the match."""
        deadline = time.monotonic() + timeout_s * PATIENCE
        while True:
            match = re.compile(pattern).search(self.shown, self._seen)
            if match:
                self._seen = match.end()
                return match
            if time.monotonic() > deadline or self._popen.poll() is not None:
                while select.select([self._master], [], [], 0)[0] and self._read(0):
                    pass
                match = re.compile(pattern).search(self.shown, self._seen)
                if match:
                    self._seen = match.end()
                    return match
                raise AssertionError(f"no {pattern!r} after {self.shown[self._seen:]!r}, "
                                     f"status {self._popen.poll()}")
            self._read(0.1)

    def type(self, text):
        """May wait for the program to read, where it is much."""
        left = text.encode()
        while left:
            left = left[os.write(self._master, left):]

    def echoes(self):
        """Whether the terminal shows what is typed."""
        return bool(termios.tcgetattr(self._slave)[3] & termios.ECHO)

    def end(self, timeout_s=30.0):
        """Waits for the program's end; returns its exit status. The terminal is as it was before."""
        deadline = time.monotonic() + timeout_s * PATIENCE
        while self._popen.poll() is None:
            assert time.monotonic() < deadline, f"does not end: {self.shown[self._seen:]!r}"
            self._read(0.1)
        while select.select([self._master], [], [], 0)[0] and self._read(0):
            pass
        assert termios.tcgetattr(self._slave) == self._before, "the terminal is left changed"
        return self._popen.returncode

    def close(self):
        if self._popen.poll() is None:
            self._popen.kill()
            self._popen.wait()
        os.close(self._slave)
        os.close(self._master)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
