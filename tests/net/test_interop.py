"""start-wg and other implementations, over a good network and a bad one.

The other end is Debian's wireguard-go. INTEROP_ENDS names others, separated by spaces: programs,
"start-wg", "kernel"; `make interop` and the virtual machine of tests/kernel set it. INTEROP_SEED repeats
what the relay did.
"""

import contextlib
import hashlib
import os
import random
import socket
import threading
import time

import pytest

from lab import PATIENCE, Host, link, wait_until
from wg_pair import (PORT, Datagrams, Pair, Relay, check_both_ways, connection, ping,
                     transfer, wait_for_ping)

ENDS = os.environ.get("INTEROP_ENDS", "wireguard-go").split()
SEED = int(os.environ.get("INTEROP_SEED", random.randrange(1 << 32)))

# So many seconds pass for start-wg in one: it renews a session every four, and has two more for it.
CLOCK_RATE = max(int(30 / max(PATIENCE / 4, 1)), 1)

PSK = "FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE="

INITIATION, RESPONSE, COOKIE = 1, 2, 3

every_end = pytest.mark.parametrize("other", ENDS, ids=os.path.basename)


@every_end
@pytest.mark.parametrize("outer", [4, 6])
def test_sizes_and_families(other, outer):
    """IPv4 in IPv4, which the two families of the outer side make four; with a preshared key in one."""
    with Pair(other, outer=outer, psk=PSK if outer == 6 else None) as pair, \
            Datagrams(pair) as datagrams:
        for mtu in (1280, 1420, 9000):
            for end in (pair.a, pair.b):
                end.mtu(mtu)
            # boringtun looks at its MTU now and then.
            wait_until(lambda: all(end.host.try_run("ping", "-c1", "-W1", "-s", str(mtu - 28),
                                                    other.inner)[0] == 0
                                   for end, other in ((pair.a, pair.b), (pair.b, pair.a))),
                       f"packets of {mtu} bytes pass")
            for family, headers in ((4, 28), (6, 48)):
                ping(pair.a, pair.b, family, mtu - headers, 2)
                ping(pair.b, pair.a, family, mtu - headers, 2)
            check_both_ways(pair, 1 << 18)
            datagrams.check(pair.a, pair.b)
            datagrams.check(pair.b, pair.a)


@every_end
def test_a_wrong_preshared_key_lets_nothing_through(other):
    with Pair(other, psk=PSK) as pair:
        ping(pair.a, pair.b)
        for key in ("AAAAws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVEA=", None):
            pair.b.set("peer", pair.a.public_key, "remove")
            pair.b.add_peer(pair.a, pair.endpoint(pair.a), key)
            assert not pair.b.host.ping(pair.a.inner, 0.5)
        pair.b.set("peer", pair.a.public_key, "remove")
        pair.b.add_peer(pair.a, pair.endpoint(pair.a), PSK)
        wait_for_ping(pair.b, pair.a)


class Stream:
    """A TCP connection that random bytes pass through, one way, until it is told to stop. What is on
    its way at a time fills no queue, so that datagrams beside it are not lost for want of room."""

    BLOCK = random.Random(1).randbytes(1 << 20)

    def __init__(self, sender, receiver):
        self.sender, self.receiver = sender, receiver
        self.size = 0
        self._stop = False
        self._hashes = [hashlib.sha256(), hashlib.sha256()]
        self._threads = [threading.Thread(target=self._send), threading.Thread(target=self._receive)]
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 14)
        for end in (sender, receiver):
            end.settimeout(30 * PATIENCE)
        for thread in self._threads:
            thread.start()

    def _send(self):
        with contextlib.suppress(OSError):
            while not self._stop:
                self.sender.sendall(self.BLOCK[:1 << 16])
                self._hashes[0].update(self.BLOCK[:1 << 16])
            self.sender.shutdown(socket.SHUT_WR)

    def _receive(self):
        with contextlib.suppress(OSError):
            while data := self.receiver.recv(1 << 18):
                self._hashes[1].update(data)
                self.size += len(data)

    def wait_for(self, size):
        """Until as many more bytes came."""
        wanted = self.size + size
        wait_until(lambda: self.size >= wanted, "the stream goes on", 30)

    def finish(self):
        """All that was sent came, as it was."""
        self._stop = True
        for thread in self._threads:
            thread.join()
        assert self._hashes[0].digest() == self._hashes[1].digest()


@every_end
def test_sessions_are_renewed_under_load(other):
    """By start-wg, whose time passes faster. Not one datagram is lost meanwhile, nor a byte of TCP."""
    with Pair(other, a_clock=CLOCK_RATE) as pair, connection(pair.a, pair.b) as (one, two), \
            Datagrams(pair) as datagrams:
        stream = Stream(one, two)
        handshakes = set()

        def renewed():
            datagrams.check(pair.a, pair.b)
            datagrams.check(pair.b, pair.a)
            handshakes.add(pair.b.peer(pair.a)["handshake"])
            return len(handshakes) > 2

        wait_until(renewed, "sessions are renewed", 40)
        stream.finish()


@every_end
def test_repeated_and_reordered_messages_lose_nothing(other):
    with Pair(other, outer=6) as pair:
        relay = Relay(pair, SEED, duplicate=100, reorder=150)
        print("seed", SEED)
        wait_for_ping(pair.a, pair.b)
        with Datagrams(pair) as datagrams:
            for _ in range(40):
                datagrams.check(pair.a, pair.b, in_order=False)
                datagrams.check(pair.b, pair.a, in_order=False)
            datagrams.nothing_waits()
        done = relay.stop()
        assert min(done["duplicated"], done["reordered"]) > 50, done


@every_end
def test_a_network_that_does_everything_wrong(other):
    """Handshakes, too, get lost, spoiled, repeated and reordered."""
    with Pair(other, psk=PSK, a_clock=CLOCK_RATE) as pair:
        relay = Relay(pair, SEED, loss=20, duplicate=50, reorder=50, spoil=20)
        print("seed", SEED)
        wait_for_ping(pair.a, pair.b, 30)
        with connection(pair.a, pair.b) as (one, two):
            for end in (one, two):
                end.settimeout(60 * PATIENCE)
            for _ in range(3):
                transfer(one, two, 1 << 18)
                transfer(two, one, 1 << 18)
        done = relay.stop()
        assert min(done["lost"], done["spoiled"], done["duplicated"]) > 5, done


@every_end
def test_both_ends_move_and_nothing_is_lost(other):
    """As behind a router that gives them other ports; what is on its way to the old ones arrives."""
    with Pair(other) as pair:
        relay = Relay(pair, SEED)
        wait_for_ping(pair.a, pair.b)
        with connection(pair.a, pair.b) as (one, two), Datagrams(pair) as datagrams:
            stream = Stream(one, two)
            seen = {pair.a: set(), pair.b: set()}
            for number in range(6):
                (relay.move_a if number % 2 else relay.move_b)()
                for _ in range(5):
                    datagrams.check(pair.a, pair.b, in_order=False)
                    datagrams.check(pair.b, pair.a, in_order=False)
                stream.wait_for(1 << 16)
                for end, peer in ((pair.a, pair.b), (pair.b, pair.a)):
                    seen[end].add(end.peer(peer)["endpoint"])
            stream.finish()
            assert len(seen[pair.a]) > 2 and len(seen[pair.b]) > 2, seen
        assert relay.stop()["lost"] == 0


@every_end
def test_the_way_changes_while_a_connection_lives(other):
    """Another cable, another address, another route: start-wg lets go of the source that it had."""
    with Pair(other) as pair, connection(pair.a, pair.b) as (one, two):
        link(pair.a.host, "e1", "198.51.100.1/24", pair.b.host, "e1", "198.51.100.2/24")
        for end in (pair.a, pair.b):
            for name in ("all", "e0", "e1"):
                end.host.set_sysctl(f"net.ipv4.conf.{name}.rp_filter", "0")
        transfer(one, two, 1 << 16)
        stream = Stream(one, two)
        pair.a.host.ip("address", "delete", "192.0.2.1/24", "dev", "e0")
        pair.a.host.ip("route", "add", "192.0.2.2/32", "via", "198.51.100.2")
        stream.wait_for(1 << 20)
        assert pair.b.peer(pair.a)["endpoint"] == f"198.51.100.1:{PORT}"
        stream.finish()


@every_end
def test_a_source_that_is_not_let_through_any_more_is_let_go(other):
    """The address stays, but the way that packets take now refuses it; nobody says so."""
    with Pair(other, a_clock=CLOCK_RATE) as pair, connection(pair.a, pair.b) as (one, two):
        transfer(one, two, 1 << 16)
        transfer(two, one, 1 << 16)
        pair.a.host.ip("address", "add", "192.0.2.66/24", "dev", "e0")
        pair.a.host.ip("route", "replace", "192.0.2.0/24", "dev", "e0", "src", "192.0.2.66")
        pair.b.host.nft(f"""
            table ip t {{
                chain c {{
                    type filter hook input priority filter;
                    ip saddr 192.0.2.1 udp dport {PORT} drop
                }}
            }}""")
        for end in (one, two):
            end.settimeout(60 * PATIENCE)
        transfer(one, two, 1 << 16)
        assert pair.b.peer(pair.a)["endpoint"] == f"192.0.2.66:{PORT}"


@every_end
def test_clocks_jump(other):
    """A machine that slept, one whose date was wrong, and one whose date goes back."""
    with Pair(other, a_clock=1) as pair, connection(pair.a, pair.b) as (one, two), \
            Sniffer(pair.b) as sniffer:

        def handshakes():
            return sum(len(sniffer.messages(end.outer, RESPONSE)) for end in (pair.a, pair.b))

        for end in (one, two):
            end.settimeout(60 * PATIENCE)
        transfer(one, two, 1 << 16)
        monotonic_s = 0
        for slept_s, realtime_s in ((170, 0), (181, 0), (86400, 0), (600, 10 * 365 * 86400),
                                    (600, 86400), (600, -20 * 365 * 86400), (3000, 0)):
            before = handshakes()
            monotonic_s += slept_s
            time.sleep(0.05)  # others answer a peer's handshakes every 20 ms at most
            pair.a.set_clock(1, monotonic_s, realtime_s)
            transfer(one, two, 1 << 16)
            transfer(two, one, 1 << 16)
            wait_until(lambda: handshakes() > before, f"a new session after {slept_s} s")


# Floods


class Flood:
    """Initiations to one end whose first MAC is right, from nobody it knows: each costs it a curve
    operation, until it asks for cookies."""

    def __init__(self, source, address, end):
        key = bytes.fromhex(end.host.run(
            "sh", "-c", f"echo {end.public_key} | base64 -d | od -An -v -tx1 | tr -d ' \\n'"))
        mac_key = hashlib.blake2s(b"mac1----" + key).digest()
        self.messages = []
        for _ in range(200):
            head = b"\1\0\0\0" + os.urandom(112)
            mac = hashlib.blake2s(head, key=mac_key, digest_size=16).digest()
            self.messages.append(head + mac + bytes(16))
        self.socket = source.socket(kind=socket.SOCK_DGRAM)
        self.socket.connect((address, PORT))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        while not self._stop.wait(0.02):
            for message in self.messages:
                with contextlib.suppress(OSError):
                    self.socket.send(message)
                    self.socket.send(os.urandom(100))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self.socket.close()


class Sniffer:
    """Handshake messages on the cable of `end`, from one address to another."""

    def __init__(self, end, interface="e0"):
        with end.host.network():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.socket.bind((interface, 3))
        self.socket.setblocking(False)
        self.seen = []

    def messages(self, source, kind):
        """Those that passed so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                packet = self.socket.recv(65536)
                if len(packet) > 60 and packet[9] == 17 and packet[28] in (INITIATION, RESPONSE, COOKIE):
                    self.seen.append((socket.inet_ntoa(packet[12:16]), packet[28], packet[28:]))
        return [message for address, of, message in self.seen if (address, of) == (source, kind)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


@contextlib.contextmanager
def flood(pair, end):
    """Of an end, by a stranger with a cable of his own to it."""
    stranger = Host("stranger")
    try:
        link(end.host, "e9", "203.0.113.1/24", stranger, "e0", "203.0.113.2/24")
        with Flood(stranger, "203.0.113.1", end):
            with Sniffer(end, "e9") as sniffer:
                wait_until(lambda: sniffer.messages("203.0.113.1", COOKIE), "it is under load", 20)
            yield
    finally:
        stranger.close()


def handshake_with_cookie(flooded, asking, ask):
    """`ask` is ended by an answer. The one that asks is told a cookie, and uses it. Some answer the
    first few of a second without."""
    with Sniffer(asking) as sniffer:
        wait_until(lambda: (ask(), sniffer.messages(flooded.outer, COOKIE))[1], "a cookie is asked for",
                   30)
        assert any(message[-16:] != bytes(16)
                   for message in sniffer.messages(asking.outer, INITIATION))


def begin_anew(end, other, pair):
    """The end forgets its sessions with the other, which has to ask for a new one."""
    end.set("peer", other.public_key, "remove")
    end.add_peer(other, pair.endpoint(other))


@every_end
def test_a_flood_of_handshakes_costs_a_session_nothing_and_a_new_one_a_cookie(other):
    with Pair(other) as pair, Datagrams(pair) as datagrams:
        wait_for_ping(pair.b, pair.a)
        before = pair.a.peer(pair.b)["handshake"]
        with flood(pair, pair.a):
            for _ in range(25):
                datagrams.check(pair.a, pair.b)
                datagrams.check(pair.b, pair.a)
            assert pair.a.peer(pair.b)["handshake"] == before
            handshake_with_cookie(pair.a, pair.b, lambda: (begin_anew(pair.b, pair.a, pair),
                                                           wait_for_ping(pair.b, pair.a, 30)))
            datagrams.check(pair.b, pair.a)
            datagrams.check(pair.a, pair.b)


# boringtun counts the handshakes of each peer that it knows by themselves, and asks none for a cookie. The
# kernel asks once 512 wait, which is more than a flood of this file brings about in a virtual machine.
ASKING = [end for end in ENDS if end != "kernel" and "boringtun" not in end] or ["wireguard-go"]


@pytest.mark.parametrize("other", ASKING, ids=os.path.basename)
def test_start_wg_uses_the_cookies_of_others(other):
    with Pair(other, a_clock=CLOCK_RATE) as pair:
        wait_for_ping(pair.a, pair.b)
        with flood(pair, pair.b):
            handshake_with_cookie(pair.b, pair.a, lambda: (begin_anew(pair.a, pair.b, pair),
                                                           wait_for_ping(pair.a, pair.b, 30)))
