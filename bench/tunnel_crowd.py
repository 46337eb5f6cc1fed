"""One WireGuard device with very many peers, which one process plays (bench/crowd.c).

Each peer sends from an address of its own. That, and no more than a few handshakes of each in a second,
keeps every implementation's limits for an address or a peer out of the measurement; cookies are
taken and used as they are asked for.
"""

import base64
import os
import socket
import statistics
import time

from lab import link, wait_until
from tunnel_pairs import COUNT_PORT, UDP_MS, bench_program, cpu_s, resident_mib
from wg_pair import INTERFACE, PORT, End

FEW, MANY = 1000, 10000
FIRST, NETWORK = "10.77.0.1", "10.77.0.0/16"
ROUNDS = 6  # of handshakes of all; the first one only warms up


def peer_address(number):
    number += 1
    return f"10.77.{number >> 8}.{number & 255}"


class Crowd:
    """A device with `count` peers."""

    def __init__(self, program, count, env=None):
        self.process = os.path.basename(program)
        self.crowd, self.device = End(1), End(2)
        link(self.crowd.host, "e0", "192.0.2.1/24", self.device.host, "e0", "192.0.2.2/24")
        self.crowd.host.ip("route", "add", "local", NETWORK, "dev", "lo")
        self.device.host.ip("route", "add", NETWORK, "via", "192.0.2.1")
        if program == "start-wg":
            self.device.start_wg(env)
        else:
            self.device.start(program, env)
        self.device.set_key()
        self.configured_ms = self.configure(count)
        self.device.host.ip("address", "add", f"{self.device.inner}/24", "dev", INTERFACE)
        self.device.host.ip("link", "set", INTERFACE, "up")

    def configure(self, count):
        """All peers in one write; how long that took."""
        keys = self.crowd.host.run(bench_program("crowd"), "keys", count, timeout_s=60).split()
        lines = [f"public_key={key}\nreplace_allowed_ips=true\nallowed_ip={peer_address(number)}/32\n"
                 for number, key in enumerate(keys)]
        request = "".join(["set=1\n", *lines, "\n"]).encode()
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(60)
            client.connect(f"/proc/{self.device.host.pid}/root/run/wireguard/{INTERFACE}.sock")
            begin = time.monotonic()
            client.sendall(request)
            answer = b""
            while not answer.endswith(b"\n\n"):
                part = client.recv(4096)
                if not part:
                    break
                answer += part
            took_s = time.monotonic() - begin
        if answer != b"errno=0\n\n":
            raise RuntimeError(f"{self.process}: {answer!r}")
        return took_s * 1000

    def show_ms(self):
        """How long `wg show` of everything takes."""
        took = []
        for _ in range(5):
            begin = time.monotonic()
            self.device.wg("show", INTERFACE)
            took.append((time.monotonic() - begin) * 1000)
        return statistics.median(took)

    def resident_mib(self):
        return resident_mib(self.device, self.process)

    def arguments(self):
        key = base64.b64decode(self.device.public_key).hex()
        return self.device.outer, PORT, key, FIRST

    def handshakes(self, count=FEW, rounds=ROUNDS):
        """(answered in a second, microseconds of the device's CPU time for each)"""
        before = cpu_s(self.device, self.process)
        output = self.crowd.host.run(bench_program("crowd"), "handshakes", *self.arguments(), count,
                                     rounds, timeout_s=120)
        answered, rate = output.split()
        spent = cpu_s(self.device, self.process) - before
        # The warm-up is in the CPU time, too.
        return float(rate), spent * 1e6 / (int(answered) * rounds / max(rounds - 1, 1))

    def received_per_s(self, count):
        """(thousands of datagrams in a second from `count` peers in turn, microseconds of the device's
        CPU time for each)"""
        source = self.crowd.host.start(bench_program("crowd"), "traffic", *self.arguments(), count,
                                       self.device.inner, UDP_MS + 1000)
        wait_until(lambda: "begins" in source.output() or not source.running(), "all have sessions", 60)
        if not source.running():
            raise RuntimeError(f"{self.process}: {source.output()}")
        counter = self.device.host.start(bench_program("datagrams"), "count", self.device.inner,
                                         COUNT_PORT, UDP_MS)
        before = cpu_s(self.device, self.process)
        counter.wait()
        spent = cpu_s(self.device, self.process) - before
        source.wait()
        received = int(counter.output())
        return received / UDP_MS, spent * 1e6 / max(received, 1)

    def close(self):
        self.crowd.host.close()
        self.device.host.close()


def measure(programs, note):
    """`programs`: (name, program, environment, whether it gets MANY peers). Calls note(figure, name,
    value)."""
    for name, program, env, many in programs:
        crowd = Crowd(program, MANY if many else FEW, env)
        try:
            if many:
                note("configure", name, crowd.configured_ms)
                note("show", name, crowd.show_ms())
                note("memory many", name, crowd.resident_mib())
            for _ in range(3):
                rate, cost = crowd.handshakes()
                note("handshakes", name, rate)
                note("handshake cost", name, cost)
            if many:
                for _ in range(3):
                    for count in (1, FEW):
                        speed, cost = crowd.received_per_s(count)
                        note(f"from {count}", name, speed)
                        note(f"from {count} cost", name, cost)
                crowd.handshakes(MANY, 2)
                note("memory sessions", name, crowd.resident_mib())
        finally:
            crowd.close()
