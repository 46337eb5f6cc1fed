#!/usr/bin/python3
"""start-wg on both ends of a tunnel against other userspace implementations on both ends.

Each pair is two namespaces and a veth cable; clients, servers and both ends share the machine's cores.
Rounds are interleaved, each figure is the median of them, TCP is cubic (a machine's own default may
be bbr, which paces). The cable hands over segmented sends whole, unlike most network cards; the row
"without receive GRO" is nearer to those. Prints a table; with --json the rows, of which --short are
those of bench/results.json. --write also keeps them in bench/tunnel.json.

Debian's wireguard-go is always the peer. The newest one and boringtun take part where `--peers
DIRECTORY` has them (tools/bench-peers).
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "tests", "net"))

import product
from lab import wait_until
from wg_pair import INTERFACE, Pair, wait_for_ping

OURS, PEER = "start-wg", "wireguard-go"
NULL, NO_GRO, NO_VNET = "null cipher", "no GRO", "no virtio headers"
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
COUNT_PORT, ECHO_PORT = 6001, 6002
UDP_MS = 2000


class Variant:
    """A pair of the same program on both ends."""

    def __init__(self, name, program, process=None, env=None, outer=4):
        self.name = name
        self.process = process or os.path.basename(program)
        self.pair = Pair(program, a_program=program, env=env, outer=outer)
        self.server, self.client = self.pair.b, self.pair.a
        for address in (self.server.inner, self.server.inner6):
            self.server.host.start("iperf3", "-s", "-B", address)
            self.server.host.start(datagrams(), "echo", address, ECHO_PORT)
            wait_until(lambda: self.server.host.run("ss", "-Hltn", "src", f"{address}:5201"),
                       "iperf3 listens")
        wait_for_ping(self.client, self.server)

    def address(self, six=False):
        return self.server.inner6 if six else self.server.inner

    def cpu_s(self):
        """CPU time of both ends so far."""
        total = 0
        for end in (self.client, self.server):
            for pid in end.host.processes(self.process):
                with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                    fields = file.read().rpartition(")")[2].split()
                total += (int(fields[11]) + int(fields[12])) * TICK_S
        return total

    def resident_mib(self):
        """Of one end, the larger process where there are two."""
        sizes = []
        for pid in self.server.host.processes(self.process):
            with open(f"/proc/{pid}/status", encoding="ascii") as file:
                sizes += [int(line.split()[1]) for line in file if line.startswith("VmRSS:")]
        return max(sizes) / 1024

    def tcp(self, seconds, streams=1, six=False):
        """{"speed": Gbit/s, "cost": CPU seconds of both ends for each GiB, "retransmits"}"""
        before = self.cpu_s()
        result = self.client.host.json("iperf3", "-J", "-c", self.address(six), "-t", str(seconds),
                                       "-C", "cubic", "-P", str(streams))
        if "error" in result:
            raise RuntimeError(result["error"])
        received, sent = result["end"]["sum_received"], result["end"]["sum_sent"]
        return {"speed": received["bits_per_second"] / 1e9,
                "cost": (self.cpu_s() - before) / (received["bytes"] / 2**30),
                "retransmits": sent["retransmits"]}

    def datagrams_per_s(self, size):
        """Thousands that arrive in a second, of as many as the sender can send."""
        counter = self.server.host.start(datagrams(), "count", self.address(), COUNT_PORT, UDP_MS)
        wait_until(lambda: self.server.host.run("ss", "-Hlun", f"sport = {COUNT_PORT}"), "it counts")
        self.client.host.run(datagrams(), "flood", self.address(), COUNT_PORT, size, UDP_MS + 500)
        counter.wait()
        return int(counter.output()) / UDP_MS

    def round_trip_us(self, six=False):
        """Median of small requests, each sent when the one before was answered."""
        return float(self.client.host.run(datagrams(), "ask", self.address(six), ECHO_PORT,
                                          3000).split()[0])

    def close(self):
        self.pair.close()


def datagrams():
    return os.path.join(product.BUILD_DIR, "bench", "datagrams")


def null_program():
    return os.path.join(product.BUILD_DIR, "bench", "start-wg-null")


# figure, name, unit, variant of ours, must, goal, whether more is better, who else is compared
ROWS = (
    ("tcp1", "TCP, 1 stream", "Gbit/s", OURS, 5.3, 6.5, True),
    ("tcp4", "TCP, 4 streams", "Gbit/s", OURS, 6.2, 7.8, True),
    ("udp1400", "UDP of 1,400 bytes", "k/s", OURS, 5.3, 6.0, True),
    ("udp64", "UDP of 64 bytes", "k/s", OURS, 4.2, 6.5, True),
    ("rtt", "round trip, median", "us", OURS, 0.57, 0.5, False),
    ("tcp1", "TCP, 1 stream, without receive GRO", "Gbit/s", NO_GRO, 4.1, 4.7, True),
    ("tcp1", "TCP, 1 stream, without virtio headers", "Gbit/s", NO_VNET, None, None, True),
    ("tcp1", "TCP, 1 stream, without a cipher", "Gbit/s", NULL, 14, 15, True),
    ("memory", "resident, one peer", "MiB", OURS, 1 / 3, 1 / 5, False),
    ("cost", "CPU of both ends, TCP, 1 stream", "s/GiB", OURS, None, None, False),
)
SHORT = {"tcp1": ("tunnel, TCP, 1 stream", 2), "tcp4": ("tunnel, TCP, 4 streams", 2),
         "cost": ("tunnel, CPU of both ends, TCP, 1 stream", 0.5),
         "rtt": ("tunnel, round trip", 1)}


def measure(variants, rounds, seconds, short):
    """{figure: {variant: median}}"""
    found = {}

    def note(figure, name, value):
        found.setdefault(figure, {}).setdefault(name, []).append(value)

    for number in range(rounds):
        for variant in variants[::1 if number % 2 else -1]:
            one = variant.tcp(seconds)
            note("tcp1", variant.name, one["speed"])
            note("cost", variant.name, one["cost"])
            note("retransmits", variant.name, one["retransmits"])
            if variant.name in (NULL, NO_GRO, NO_VNET):
                continue
            note("tcp4", variant.name, variant.tcp(seconds, 4)["speed"])
            note("rtt", variant.name, variant.round_trip_us())
            if short:
                continue
            note("udp1400", variant.name, variant.datagrams_per_s(1400))
            note("udp64", variant.name, variant.datagrams_per_s(64))
            note("memory", variant.name, variant.resident_mib())
            if variant.name == OURS:
                note("tcp1 six", variant.name, variant.tcp(seconds, six=True)["speed"])
                note("rtt six", variant.name, variant.round_trip_us(six=True))
    return {figure: {name: statistics.median(values) for name, values in by_name.items()}
            for figure, by_name in found.items()}


def row(name, value, unit, peer, peer_value, must, more, goal=None):
    ratio = value / peer_value if peer_value else None
    holds = None if must is None else ratio >= must if more else ratio <= must
    word = "at least" if more else "at most"
    return {"name": name, "value": value, "unit": unit, "peer": peer, "peer_value": peer_value,
            "ratio": ratio, "bound": f"ratio {word} {must:.3g}" if must else "", "goal": goal,
            "holds": holds}


def short_rows(medians):
    """The few that bench/results.json has."""
    for figure, (name, bound) in SHORT.items():
        unit = next(entry[2] for entry in ROWS if entry[0] == figure)
        more = next(entry[6] for entry in ROWS if entry[0] == figure)
        value, peer_value = medians[figure][OURS], medians[figure][PEER]
        ratio = value / peer_value
        yield {"name": name, "value": value, "unit": unit, "peer": PEER, "peer_value": peer_value,
               "ratio": ratio, "bound": f"ratio {'>' if more else '<'} {bound:g}",
               "holds": ratio > bound if more else ratio < bound}


def rows(medians, others):
    for figure, name, unit, variant, must, goal, more in ROWS:
        yield row(name, medians[figure][variant], unit, PEER, medians[figure][PEER], must, more, goal)
    for other in others:
        for figure, name, unit, variant, _, _, more in ROWS:
            if variant == OURS and figure not in ("memory", "cost"):
                yield row(name, medians[figure][OURS], unit, other, medians[figure][other],
                          1.5 if more else 1 / 1.5, more)
    yield row("TCP, 1 stream, IPv6 inside", medians["tcp1 six"][OURS], "Gbit/s", "IPv4 inside",
              medians["tcp1"][OURS], 0.9, True)
    yield row("round trip, median, IPv6 inside", medians["rtt six"][OURS], "us", "IPv4 inside",
              medians["rtt"][OURS], 1.1, False)
    retransmits = medians["retransmits"][OURS]
    yield {"name": "TCP, 1 stream, retransmits", "value": retransmits, "unit": "", "peer": None,
           "peer_value": None, "ratio": None, "bound": "0", "goal": None,
           "holds": retransmits == 0}


def machine():
    """What was measured on."""
    with open("/proc/cpuinfo", encoding="ascii") as file:
        lines = [line.partition(":") for line in file]
    facts = {name.strip(): value.strip() for name, _, value in lines}
    vectors = [flag for flag in ("avx512f", "avx512ifma", "avx2", "asimd")
               if flag in facts.get("flags", facts.get("Features", "")).split()]
    return {"date": datetime.date.today().isoformat(), "cpu": facts.get("model name", "unknown"),
            "cores": os.cpu_count(), "vectors": vectors, "kernel": platform.release()}


def print_table(found, facts):
    print(f"{facts['date']}: {facts['cores']} cores of {facts['cpu']} ({', '.join(facts['vectors'])}), "
          f"Linux {facts['kernel']}")
    for entry in found:
        state = {True: "ok", False: "MISSES", None: ""}[entry["holds"]]
        peer = f"{entry['peer']} {entry['peer_value']:.2f}" if entry["peer"] else ""
        ratio = f"{entry['ratio']:.2f}x" if entry["ratio"] is not None else ""
        print(f"{state:8}{entry['name']:<42}{entry['value']:>9.2f} {entry['unit']:<7}{peer:>28}"
              f"{ratio:>9}  {entry['bound']}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build-dir", help="where start-wg is (default: $BUILD_DIR or build)")
    parser.add_argument("--json", action="store_true", help="rows as JSON")
    parser.add_argument("--short", action="store_true", help="the rows of bench/results.json alone")
    parser.add_argument("--write", action="store_true", help="keep the rows in bench/tunnel.json")
    parser.add_argument("--peers", default="build/peers", help="where other implementations are")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="of each transfer")
    options = parser.parse_args()
    if options.build_dir:
        product.BUILD_DIR = os.path.abspath(options.build_dir)

    variants, others = [], []
    try:
        variants += [Variant(OURS, OURS), Variant(PEER, PEER)]
        if not options.short:
            variants += [Variant(NULL, null_program()),
                         Variant(NO_GRO, OURS, env={"START_WG_WITHOUT": "gro"}),
                         Variant(NO_VNET, OURS, env={"START_WG_WITHOUT": "vnet-hdr"})]
            for name, file in (("newest wireguard-go", "wireguard"), ("boringtun", "boringtun-cli")):
                path = os.path.join(os.path.abspath(options.peers), file)
                if os.access(path, os.X_OK):
                    variants.append(Variant(name, path, env={"WG_SUDO": "true"}))
                    others.append(name)
        medians = measure(variants, options.rounds, options.seconds, options.short)
    finally:
        for variant in variants:
            variant.close()
    found = list(short_rows(medians) if options.short else rows(medians, others))
    facts = machine()
    if not options.json:
        print_table(found, facts)
    if options.write:
        with open(os.path.join(HERE, "tunnel.json"), "w", encoding="utf-8") as file:
            json.dump({"machine": facts, "rows": found}, file, indent=2)
            file.write("\n")
    if options.json:
        print(json.dumps(found))
        return 0  # whoever asked looks at the rows
    return 1 if any(entry["holds"] is False for entry in found) else 0


if __name__ == "__main__":
    sys.exit(main())
