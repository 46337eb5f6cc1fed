"""A pair of the same WireGuard program on both ends of a cable, and what is measured through it."""

import base64
import contextlib
import os
import subprocess

import product
from lab import wait_until
from wg_pair import INTERFACE, PORT, Pair, wait_for_ping

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
COUNT_PORT, ECHO_PORT = 6001, 6002
UDP_MS = 2000
ROUND_TRIPS = 300
ALONE_MS = 100
FLOOD_RATE = 10000  # handshakes that are asked for in a second


def cpu_of(pid):
    """CPU time of a process so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def cpu_s(end, process):
    """CPU time of a program on one end so far."""
    return sum(cpu_of(pid) for pid in end.host.processes(process))


def resident_mib(end, process):
    """The larger process where there are two."""
    sizes = []
    for pid in end.host.processes(process):
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            sizes += [int(line.split()[1]) for line in file if line.startswith("VmRSS:")]
    return max(sizes) / 1024


@contextlib.contextmanager
def pinned(alone, others):
    """Processes `alone` have the first processor, which is yielded, and `others` and what this one starts
    the rest."""
    first, *rest = sorted(os.sched_getaffinity(0))
    before = {}

    def pin(pid, processors):
        for task in os.listdir(f"/proc/{pid}/task"):
            before[int(task)] = os.sched_getaffinity(int(task))
            os.sched_setaffinity(int(task), processors)

    try:
        if rest:
            for pid in (os.getpid(), *others):
                pin(pid, rest)
            for pid in alone:
                pin(pid, {first})
        yield first
    finally:
        for task, processors in before.items():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(task, processors)


class Variant:
    """A pair of the same program on both ends."""

    def __init__(self, name, program, process=None, env=None, outer=4):
        self.name = name
        self.process = process or os.path.basename(program)
        self.pair = Pair(program, a_program=program, env=env, outer=outer)
        self.server, self.client = self.pair.b, self.pair.a
        for address in (self.server.inner, self.server.inner6):
            self.server.host.start("iperf3", "-s", "-B", address)
            self.server.host.start(bench_program("datagrams"), "echo", address, ECHO_PORT)
            wait_until(lambda: self.server.host.run("ss", "-Hltn", "src", f"{address}:5201"),
                       "iperf3 listens")
        wait_for_ping(self.client, self.server)

    def address(self, six=False):
        return self.server.inner6 if six else self.server.inner

    def cpu_s(self):
        """CPU time so far: of the end that sends, of the other one."""
        return cpu_s(self.client, self.process), cpu_s(self.server, self.process)

    def resident_mib(self):
        return resident_mib(self.server, self.process)

    def tcp(self, seconds, streams=1, six=False):
        """{"speed": Gbit/s, "cost": CPU seconds of both ends for each GiB, "retransmits"}"""
        before = self.cpu_s()
        result = self.client.host.json("iperf3", "-J", "-c", self.address(six), "-t", str(seconds),
                                       "-C", "cubic", "-P", str(streams))
        if "error" in result:
            raise RuntimeError(result["error"])
        received, sent = result["end"]["sum_received"], result["end"]["sum_sent"]
        sender_s, receiver_s = (after - first for after, first in zip(self.cpu_s(), before))
        return {"speed": received["bits_per_second"] / 1e9,
                "cost": (sender_s + receiver_s) / (received["bytes"] / 2**30),
                "retransmits": sent["retransmits"]}

    def capacity(self, seconds, tries):
        """Gbit/s that the sending end would reach if it were never kept waiting, by the CPU time that it
        takes while it has a processor of its own and all the rest another one: {"capacity": as the
        processor is, "capacity alone": while nobody else, of this machine or another one, had the
        core}. Where that was for less than ALONE_MS in `tries` streams, the latter is as the former."""
        others = [pid for host in (self.server.host, self.client.host)
                  for name in (self.process, "iperf3", "datagrams") for pid in host.processes(name)]
        alone = self.client.host.processes(self.process)
        sums = {"all": [0, 0, 0], "alone": [0, 0, 0]}
        with pinned(alone, [pid for pid in others if pid not in alone]) as processor:
            for _ in range(tries):
                for line in self.windows(max(alone, key=cpu_of), processor, seconds):
                    name, *values = line.split()
                    sums[name] = [a + int(b) for a, b in zip(sums[name], values)]
                if sums["alone"][0] >= ALONE_MS:
                    break
        found = {name: sent * 8 / max(spent_ns, 1) for name, (_, spent_ns, sent) in sums.items()}
        enough = sums["alone"][0] >= ALONE_MS
        return {"capacity": found["all"], "capacity alone": found["alone" if enough else "all"]}

    def windows(self, pid, processor, seconds):
        """What bench/core_windows.c says of a process while one stream goes through the tunnel."""
        command = ["nsenter", f"--net=/proc/{self.client.host.pid}/ns/net", bench_program("core_windows"),
                   str(pid), str(processor), INTERFACE, str(int(seconds * 1000))]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watch:
            try:
                self.tcp(seconds)
                return watch.communicate()[0].splitlines()
            finally:
                watch.kill()

    def tcp_in_flood(self, seconds):
        """Gbit/s of one stream, while a stranger who knows the public key asks for handshakes."""
        key = base64.b64decode(self.server.public_key).hex()
        flood = self.client.host.start(bench_program("crowd"), "flood", self.server.outer, PORT, key,
                                       self.client.outer, 1, 1, FLOOD_RATE, int(seconds * 1000) + 500)
        speed = self.tcp(seconds)["speed"]
        if flood.wait() != 0:
            raise RuntimeError(flood.output())
        return speed

    def datagrams_per_s(self, size):
        """Thousands that arrive in a second, of as many as the sender can send."""
        counter = self.server.host.start(bench_program("datagrams"), "count", self.address(), COUNT_PORT, UDP_MS)
        wait_until(lambda: self.server.host.run("ss", "-Hlun", f"sport = {COUNT_PORT}"), "it counts")
        self.client.host.run(bench_program("datagrams"), "flood", self.address(), COUNT_PORT, size, UDP_MS + 500)
        counter.wait()
        return int(counter.output()) / UDP_MS

    def round_trip_us(self, six=False):
        """Median of small requests, each sent when the one before was answered."""
        return float(self.client.host.run(bench_program("datagrams"), "ask", self.address(six), ECHO_PORT,
                                          ROUND_TRIPS).split()[0])

    def close(self):
        self.pair.close()


def bench_program(name):
    return os.path.join(product.BUILD_DIR, "bench", name)
