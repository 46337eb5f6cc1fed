"""Hosts and networks out of Linux namespaces.

A Host is a machine of its own for everything that the product touches: network, processes, mounts
(/run, /var/lib, /sys, /etc/passwd are private). Several labs run side by side on one machine, for
nothing has a name outside its namespaces.

Nothing is left behind, whatever happens: the first process of a host reads from a pipe whose other end
only this process holds. When this process ends, in any way, the pipe closes, the first process
ends, and the kernel ends every process of that host and removes its namespaces and links.
"""

import ctypes
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import chroot

REQUIRED_PROGRAMS = ("unshare", "nsenter", "ip", "nft", "wg", "wg-quick", "wireguard-go")

# How many times longer than on a common machine to wait for what has to happen (emulated ones are slow).
PATIENCE = float(os.environ.get("LAB_PATIENCE", "1"))

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)

# A host's first process. SIGCHLD is ignored so that orphans leave no zombies behind.
HOLDER = r"""
set -e
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=755 tmpfs /var/lib
mount -t sysfs sysfs /sys
mkdir -p /run/etc /run/home /run/wireguard /run/bin
for name in passwd group hosts resolv.conf; do
    cat /etc/$name >/run/etc/$name 2>/dev/null || :
done
add_user() {
    grep -q "^$1:" /run/etc/passwd ||
        echo "$1:x:$2:$2::/nonexistent:/usr/sbin/nologin" >>/run/etc/passwd
    grep -q "^$1:" /run/etc/group || echo "$1:x:$2:" >>/run/etc/group
}
add_user start-tunnel 64959
add_user start-wg 64960
for name in passwd group hosts resolv.conf; do
    if [ -e "$(readlink -f /etc/$name)" ]; then
        mount --bind /run/etc/$name "$(readlink -f /etc/$name)"
    fi
done
ip link set lo up
trap '' CHLD
echo ready
exec cat >/dev/null
"""


class LabError(Exception):
    """The lab itself does not work; no verdict about the product."""


class CommandFailed(Exception):
    """A command on a host ended with another status than 0."""

    def __init__(self, host, argv, status, output, error):
        super().__init__(
            f"{host}: {' '.join(map(str, argv))}: status {status}\n{output}{error}".rstrip()
        )
        self.status = status
        self.output = output
        self.error = error


def wait_until(condition, what, timeout_s=10.0):
    """Returns the first true result of `condition()`, or raises TimeoutError that says `what`."""
    deadline = time.monotonic() + timeout_s * PATIENCE
    pause_s = 0.002
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout_s:g} s: {what}")
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, 0.05)


def children_of(pid):
    """Process ids of the children of a process, as this process sees them."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError):
            with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as stat:
                if int(stat.read().rpartition(")")[2].split()[1]) == pid:
                    found.append(int(entry))
    return found


def missing_programs(names=REQUIRED_PROGRAMS):
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return [name for name in names if shutil.which(name, path=path) is None]


def family_of(address):
    """AF_INET or AF_INET6, of an address in text."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class Process:
    """A program that runs on a host. Its output goes to a file without a name."""

    def __init__(self, host, argv, env=None):
        self.host = host
        self.argv = argv
        self._output = tempfile.TemporaryFile()
        self._popen = subprocess.Popen(
            host.command(argv),
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env=host.environment(env),
            start_new_session=True,
        )
        self._pid = None

    @property
    def pid(self):
        """Of the program itself, which is the child of the one that entered the namespaces."""
        if self._pid is None:
            self._pid = wait_until(
                lambda: children_of(self._popen.pid) or self._popen.poll() is not None,
                f"{self.argv[0]} starts",
            )
            if self._pid is True:
                raise LabError(f"{self.argv[0]} ended at once: {self.output()}")
            self._pid = self._pid[0]
        return self._pid

    def output(self):
        size = os.fstat(self._output.fileno()).st_size
        return os.pread(self._output.fileno(), size, 0).decode(errors="replace")

    def running(self):
        return self._popen.poll() is None

    def send_signal(self, number):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self, timeout_s=10.0):
        """Waits for the end and returns the exit status; negative: the signal that ended it."""
        return self._popen.wait(timeout_s * PATIENCE)

    def stop(self, number=signal.SIGTERM, timeout_s=10.0):
        if self.running():
            self.send_signal(number)
        return self.wait(timeout_s)


class Host:
    """A machine made of namespaces. `pid` is its first process as the outside sees it."""

    _chroot_left = False

    def __init__(self, name, forwards=False):
        if not Host._chroot_left:
            chroot.leave()
            Host._chroot_left = True
        self.name = name
        self._holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "--pid", "--uts", "--fork", "--kill-child",
             "--mount-proc", "--propagation", "private", "sh", "-c", HOLDER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        if self._holder.stdout.readline() != b"ready\n":
            raise LabError(f"host {name}: {self._holder.stderr.read().decode(errors='replace')}")
        self.pid = children_of(self._holder.pid)[0]
        self._net = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.set_sysctl("net.ipv4.ping_group_range", "0 2147483647")
        self.set_sysctl("net.ipv6.conf.default.accept_dad", "0")
        if forwards:
            self.set_sysctl("net.ipv4.ip_forward", "1")
            self.set_sysctl("net.ipv6.conf.all.forwarding", "1")

    def __str__(self):
        return self.name

    def close(self):
        """Ends every process of the host, by ending its first one, and with them the namespaces."""
        if self._holder.stdin.closed:
            return
        self._holder.stdin.close()
        try:
            self._holder.wait(5)
        except subprocess.TimeoutExpired:
            self._holder.kill()
            self._holder.wait()
        self._holder.stdout.close()
        self._holder.stderr.close()
        os.close(self._net)

    # Programs

    def command(self, argv):
        return ["nsenter", f"--target={self.pid}", "--net", "--mount", "--pid", "--uts", "--",
                *map(str, argv)]

    def environment(self, extra=None):
        env = {
            "PATH": "/run/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/run/home",
            "LANG": "C.UTF-8",
        }
        for name in ("ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS", "TERM"):
            if name in os.environ:
                env[name] = os.environ[name]
        env.update(extra or {})
        return env

    def start(self, *argv, env=None):
        """Starts a program and returns at once."""
        return Process(self, argv, env)

    def try_run(self, *argv, input=None, env=None, timeout_s=30.0):
        """
        Runs a program to its end. Returns (status, output, error). Output goes through files: a daemon
        that the program leaves behind may hold a pipe open for good.
        """
        with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stdout, \
                tempfile.TemporaryFile() as stderr:
            stdin.write(input.encode() if isinstance(input, str) else input or b"")
            stdin.seek(0)
            done = subprocess.run(
                self.command(argv), stdin=stdin, stdout=stdout, stderr=stderr,
                env=self.environment(env), timeout=timeout_s * PATIENCE, check=False)
            texts = []
            for file in (stdout, stderr):
                file.seek(0)
                texts.append(file.read().decode(errors="surrogateescape"))
        return done.returncode, *texts

    def run(self, *argv, **options):
        """Runs a program to its end and returns its output; raises CommandFailed."""
        status, output, error = self.try_run(*argv, **options)
        if status != 0:
            raise CommandFailed(self, argv, status, output, error)
        return output

    def json(self, *argv):
        return json.loads(self.run(*argv) or "null")

    def processes(self, name):
        """Ids, as seen from outside, of the host's processes of that name."""
        own = os.stat(f"/proc/{self.pid}/ns/pid").st_ino
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            with contextlib.suppress(OSError):
                if os.stat(f"/proc/{entry}/ns/pid").st_ino != own:
                    continue
                with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as stat:
                    before, _, after = stat.read().rpartition(")")
                if before.partition("(")[2] == name[:15] and after.split()[0] not in "ZX":
                    found.append(int(entry))
        return found

    # Files

    def path(self, path):
        """Where a file of the host is found from outside."""
        return f"/proc/{self.pid}/root{path}"

    def write_file(self, path, text, mode=0o600):
        with open(self.path(path), "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)

    def read_file(self, path):
        with open(self.path(path), encoding="utf-8") as file:
            return file.read()

    # /proc/sys shows the network of the process that opens the file.

    def sysctl(self, name):
        with self.network(), open("/proc/sys/" + name.replace(".", "/"), encoding="ascii") as file:
            return file.read().strip()

    def set_sysctl(self, name, value):
        with self.network(), open("/proc/sys/" + name.replace(".", "/"), "w",
                                  encoding="ascii") as file:
            file.write(value)

    # Sockets of this process that live in the host's network

    @contextlib.contextmanager
    def network(self):
        """The calling thread is in the host's network namespace; sockets made there stay there."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if libc.setns(self._net, CLONE_NEWNET) != 0:
                raise LabError(f"{self}: setns: {os.strerror(ctypes.get_errno())}")
            try:
                yield
            finally:
                if libc.setns(before, CLONE_NEWNET) != 0:
                    os.abort()  # a thread in the wrong network would lie about everything
        finally:
            os.close(before)

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_STREAM, protocol=0):
        with self.network():
            return socket.socket(family, kind, protocol)

    def connect(self, address, port, timeout_s=3.0, source=None):
        """A TCP connection from this host. Raises OSError (TimeoutError) as connect(2) does."""
        connection = self.socket(family_of(address))
        try:
            connection.settimeout(timeout_s)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if source:
                connection.bind(source)
            connection.connect((address, port))
            return connection
        except BaseException:
            connection.close()
            raise

    def ping(self, address, timeout_s=5.0 * PATIENCE):
        """Whether an echo request is answered; sent from this process, so nothing is started."""
        with self.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as ping:
            deadline = time.monotonic() + timeout_s
            ping.settimeout(min(0.3, timeout_s))
            while time.monotonic() < deadline:
                try:
                    ping.sendto(b"\x08\0\0\0\0\0\0\1" + b"lab", (address, 0))
                    ping.recv(256)
                    return True
                except OSError:
                    continue
            return False

    # Network configuration

    def ip(self, *arguments):
        return self.run("ip", *arguments)

    def nft(self, text):
        return self.run("nft", "-f", "-", input=text)

    def masquerade(self, interface):
        """What leaves by the interface gets its address; nothing from outside is let in."""
        self.nft(f"""
            table inet nat {{
                chain postrouting {{
                    type nat hook postrouting priority srcnat;
                    oifname "{interface}" masquerade
                }}
                chain forward {{
                    type filter hook forward priority filter;
                    iifname "{interface}" ct state new drop
                }}
            }}""")


def link(a, a_name, a_address, b, b_name, b_address):
    """A cable between two hosts; addresses with prefix, or None."""
    subprocess.run(
        ["ip", "link", "add", a_name, "netns", str(a.pid), "type", "veth",
         "peer", "name", b_name, "netns", str(b.pid)],
        check=True, capture_output=True,
        env={"PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"},
    )
    for host, name, address in ((a, a_name, a_address), (b, b_name, b_address)):
        if address:
            host.ip("address", "add", address, "dev", name)
        host.ip("link", "set", name, "up")


class Lab:
    """The internet, a VPS on it, a home and a phone behind carriers, and a stranger (PICTURE)."""

    PICTURE = """\
stranger 198.18.3.2 ----+
                        |
vps 198.18.0.2, .3 -- internet ------ carrier 198.18.1.2 | 100.64.0.1     (carrier-grade NAT)
                        |                |
                      mobile           home 100.64.0.2 | 192.168.1.1      (home router, NAT)
    198.18.2.2 | 10.200.0.1              |
        (NAT)           |              server 192.168.1.2
                        |
                      phone 10.200.0.2
"""

    VPS = "198.18.0.2"
    VPS6 = "2001:db8::2"  # once IPv6 is there
    STRANGER6 = "2001:db8:3::2"
    VPS_SECOND = "198.18.0.3"
    STRANGER = "198.18.3.2"
    CARRIER = "198.18.1.2"
    MOBILE = "198.18.2.2"

    def __init__(self):
        self.hosts = []
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def add_host(self, name, forwards=False):
        host = Host(name, forwards)
        self.hosts.append(host)
        return host

    def close(self):
        while self.hosts:
            self.hosts.pop().close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def attach(self, host, number, interface="eth0"):
        """Puts the host on the internet as 198.18.<number>.2/24."""
        link(self.internet, f"net{number}", f"198.18.{number}.1/24",
             host, interface, f"198.18.{number}.2/24")
        host.ip("route", "add", "default", "via", f"198.18.{number}.1")

    def attach_ipv6(self, host, number, interface="eth0"):
        """Gives a host on the internet 2001:db8:<number>::2/64 as well."""
        self.internet.ip("address", "add", f"2001:db8:{number}::1/64", "dev", f"net{number}")
        host.ip("address", "add", f"2001:db8:{number}::2/64", "dev", interface)
        host.ip("-6", "route", "add", "default", "via", f"2001:db8:{number}::1")

    def delegate(self, network, host="2001:db8::2"):
        """The provider routes an IPv6 network to a host."""
        self.internet.ip("-6", "route", "replace", network, "via", host)

    def _build(self):
        self.internet = self.add_host("internet", forwards=True)
        self.vps = self.add_host("vps")
        self.carrier = self.add_host("carrier", forwards=True)
        self.home = self.add_host("home", forwards=True)
        self.server = self.add_host("server")
        self.mobile = self.add_host("mobile", forwards=True)
        self.phone = self.add_host("phone")
        self.stranger = self.add_host("stranger")

        self.attach(self.vps, 0)
        self.vps.ip("address", "add", f"{self.VPS_SECOND}/24", "dev", "eth0")
        self.attach(self.carrier, 1)
        self.attach(self.mobile, 2)
        self.attach(self.stranger, 3)

        self.carrier.masquerade("eth0")
        link(self.carrier, "cgnat", "100.64.0.1/24", self.home, "eth0", "100.64.0.2/24")
        self.home.ip("route", "add", "default", "via", "100.64.0.1")
        self.home.masquerade("eth0")
        link(self.home, "lan", "192.168.1.1/24", self.server, "eth0", "192.168.1.2/24")
        self.server.ip("route", "add", "default", "via", "192.168.1.1")

        self.mobile.masquerade("eth0")
        link(self.mobile, "radio", "10.200.0.1/24", self.phone, "eth0", "10.200.0.2/24")
        self.phone.ip("route", "add", "default", "via", "10.200.0.1")
