"""Two hosts with a cable and a WireGuard tunnel between them: start-wg on one, another one's on the other."""

import contextlib
import hashlib
import json
import os
import signal
import socket
import struct
import threading

from lab import PATIENCE, Host, link, wait_until
from product import BUILD_DIR, program

PORT = 5000
INTERFACE = "wg0"


class End:
    """One end of a tunnel. `number` is the last part of all its addresses."""

    def __init__(self, number):
        self.number = number
        self.host = Host(f"end{number}")
        self.host.set_sysctl("net.ipv4.conf.all.promote_secondaries", "1")
        self.private_key = self.host.run("wg", "genkey").strip()
        self.public_key = self.host.run("wg", "pubkey", input=self.private_key).strip()
        self.inner = f"10.9.0.{number}"
        self.inner6 = f"fd09::{number}"
        self.outer = f"192.0.2.{number}"
        self.outer6 = f"2001:db8::{number}"
        self.process = None

    def start(self, argv0, env=None):
        """A program that makes the interface, or "kernel", which is none."""
        if argv0 == "kernel":
            self.host.ip("link", "add", INTERFACE, "type", "wireguard")
            return
        # boringtun would become the user who called sudo, and has no other way to be told not to.
        self.host.run(argv0, INTERFACE, env={"LOG_LEVEL": "error", "WG_SUDO": "true"} | (env or {}))
        self.process = os.path.basename(argv0)

    def start_wg(self, env=None):
        self.start(program("start-wg"), env)

    def start_wg_clock(self, rate=1):
        """start-wg with a clock that set_clock() moves and that runs `rate` times as fast."""
        self.set_clock(rate)
        self.start(os.path.join(BUILD_DIR, "tests/net/start-wg-clock"),
                   {"START_WG_CLOCK": "/run/clock"})

    def set_clock(self, rate=1, monotonic_s=0, realtime_s=0):
        fd = os.open(self.host.path("/run/clock"), os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        os.write(fd, struct.pack("=qqq", rate, int(monotonic_s * 10**9), int(realtime_s * 10**9)))
        os.close(fd)

    def address(self):
        """Inner addresses and the link up."""
        self.host.ip("address", "add", f"{self.inner}/24", "dev", INTERFACE)
        self.host.ip("-6", "address", "add", f"{self.inner6}/64", "dev", INTERFACE, "nodad")
        self.host.ip("link", "set", INTERFACE, "up")

    def wg(self, *arguments, **options):
        return self.host.run("wg", *arguments, **options)

    def set(self, *arguments):
        return self.wg("set", INTERFACE, *arguments)

    def set_key(self):
        self.host.write_file("/run/key", self.private_key)
        self.set("private-key", "/run/key", "listen-port", PORT)

    def add_peer(self, peer, endpoint=None, psk=None, keepalive=None):
        words = ["peer", peer.public_key, "allowed-ips", f"{peer.inner}/32,{peer.inner6}/128"]
        if endpoint:
            words += ["endpoint", endpoint]
        if psk:
            self.host.write_file("/run/psk", psk)
            words += ["preshared-key", "/run/psk"]
        if keepalive:
            words += ["persistent-keepalive", keepalive]
        self.set(*words)

    def peer(self, other):
        """What `wg show dump` says of a peer."""
        names = ("public_key", "preshared_key", "endpoint", "allowed_ips", "handshake", "rx", "tx",
                 "keepalive")
        for line in self.wg("show", INTERFACE, "dump").splitlines()[1:]:
            found = dict(zip(names, line.split("\t")))
            if found["public_key"] == other.public_key:
                return found
        return None

    def mtu(self, mtu):
        self.host.ip("link", "set", INTERFACE, "mtu", mtu)

    def pid(self):
        """Of the data plane: the process of start-wg that is not the opener."""
        processes = self.host.processes(self.process)
        assert len(processes) == 1, processes
        return processes[0]

    def threads(self):
        return os.listdir(f"/proc/{self.pid()}/task")

    def status(self, thread=None):
        """Of one thread, or the first."""
        with open(f"/proc/{self.pid()}/task/{thread or self.pid()}/status", encoding="ascii") as file:
            return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


class Pair:
    """`a` runs start-wg, `b` wireguard-go, or what is named. With `a_clock`, time passes as much faster
    for `a`."""

    def __init__(self, b_program="wireguard-go", outer=4, psk=None, env=None, keepalive=None,
                 a_program="start-wg", a_clock=None):
        self.a, self.b = End(1), End(2)
        self.outer = outer
        self.psk = psk
        link(self.a.host, "e0", "192.0.2.1/24", self.b.host, "e0", "192.0.2.2/24")
        for end in (self.a, self.b):
            end.host.ip("-6", "address", "add", f"{end.outer6}/64", "dev", "e0", "nodad")
        for end, name in ((self.a, a_program), (self.b, b_program)):
            if end is self.a and a_clock:
                end.start_wg_clock(a_clock)
            elif name == "start-wg":
                end.start_wg(env)
            else:
                end.start(name, env)
        for end, other in ((self.a, self.b), (self.b, self.a)):
            end.set_key()
            end.add_peer(other, self.endpoint(other), psk, keepalive)
            end.address()

    def endpoint(self, end):
        return f"{end.outer}:{PORT}" if self.outer == 4 else f"[{end.outer6}]:{PORT}"

    def close(self):
        self.a.host.close()
        self.b.host.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@contextlib.contextmanager
def connection(client, server, port=7000, family=socket.AF_INET):
    """A TCP connection through the tunnel: both sockets."""
    address = server.inner if family == socket.AF_INET else server.inner6
    with server.host.socket(family) as listener, client.host.socket(family) as one:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(1)
        listener.settimeout(10)
        one.settimeout(10)
        one.connect((address, port))
        other, _ = listener.accept()
        with other:
            other.settimeout(10)
            yield one, other


def transfer(sender, receiver, size):
    """Sends random bytes and checks that they arrive as they are."""
    data = os.urandom(size)
    digest = hashlib.sha256()

    def receive():
        left = size
        while left > 0:
            part = receiver.recv(1 << 20)
            if not part:
                return
            digest.update(part)
            left -= len(part)

    thread = threading.Thread(target=receive)
    thread.start()
    sender.sendall(data)
    thread.join()
    assert digest.digest() == hashlib.sha256(data).digest()


class Datagrams:
    """Datagrams through the tunnel, in bursts that no queue is too short for."""

    def __init__(self, pair, port=7002):
        self.ends = {}
        self.number = 0
        for end in (pair.a, pair.b):
            self.ends[end] = end.host.socket(kind=socket.SOCK_DGRAM)
            self.ends[end].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            self.ends[end].bind((end.inner, port))
        self.ends[pair.a].connect((pair.b.inner, port))
        self.ends[pair.b].connect((pair.a.inner, port))

    def burst(self, sender, receiver, sizes=(0, 1, 100, 1300) * 6, timeout_s=5.0):
        """Returns (what was sent, what came), each in its order. Ends when as much came, or nothing for
        a while."""
        sent = []
        for size in sizes:
            self.number += 1
            sent.append(struct.pack("!I", self.number) + os.urandom(size))
            self.ends[sender].send(sent[-1])
        came = []
        self.ends[receiver].settimeout(timeout_s * PATIENCE)
        with contextlib.suppress(TimeoutError):
            while len(came) < len(sent):
                came.append(self.ends[receiver].recv(65536))
        return sent, came

    def check(self, sender, receiver, in_order=True):
        """All of them arrive, each once. Each thread of boringtun reads a queue of its own from the TUN, and
        Linux moves flows between them: what it sends is not always in order."""
        sent, came = self.burst(sender, receiver)
        if not in_order or sender.process == "boringtun-cli":
            sent, came = sorted(sent), sorted(came)
        assert sent == came, [len(sent), len(came)]

    def nothing_waits(self):
        for end in self.ends.values():
            end.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                assert end.recv(65536) is None, "one came more than once"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for end in self.ends.values():
            end.close()


class Relay:
    """relay.c on the host of `b`, between the two ends of a pair. Rates are out of a thousand."""

    PORT = 6000

    def __init__(self, pair, seed, loss=0, duplicate=0, reorder=0, spoil=0):
        self.pair = pair
        outer, local = (pair.b.outer, "127.0.0.1") if pair.outer == 4 else (pair.b.outer6, "::1")
        self.process = pair.b.host.start(os.path.join(BUILD_DIR, "tests/net/relay"), outer, self.PORT,
                                         local, PORT, seed, loss, duplicate, reorder, spoil)
        wait_until(lambda: pair.b.host.run("ss", "-Hlun", f"sport = {self.PORT}"), "the relay is there")
        for end, other, address in ((pair.a, pair.b, outer), (pair.b, pair.a, None)):
            end.set("peer", other.public_key, "remove")
            endpoint = address and (f"{address}:{self.PORT}" if pair.outer == 4 else
                                    f"[{address}]:{self.PORT}")
            end.add_peer(other, endpoint, pair.psk)

    def move_a(self):
        """The other end sees `a` at another port from now on."""
        self.process.send_signal(signal.SIGUSR1)

    def move_b(self):
        self.process.send_signal(signal.SIGUSR2)

    def stop(self):
        """Returns what was done, by name."""
        assert self.process.stop() == 0
        return json.loads(self.process.output())


def check_both_ways(pair, size=4 << 20, families=(socket.AF_INET, socket.AF_INET6)):
    for family in families:
        for client, server in ((pair.a, pair.b), (pair.b, pair.a)):
            with connection(client, server, family=family) as (one, other):
                transfer(one, other, size)


def ping(end, other, family=4, size=56, count=1):
    address = other.inner if family == 4 else other.inner6
    end.host.run("ping", f"-{family}", "-c", count, "-i", "0.05", "-W", "5", "-s", size, address)


def wait_for_ping(end, other, timeout_s=10.0):
    wait_until(lambda: end.host.ping(other.inner, 0.3), f"{other.host} answers", timeout_s)
