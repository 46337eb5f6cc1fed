#!/usr/bin/python3
"""Throughput and latency of a tunnel: start-wg on both ends against Debian's wireguard-go on both ends.

Each pair is two namespaces and a veth cable; clients, servers and both ends share the machine's cores.
Rounds are interleaved, each figure is the median of them, TCP is cubic (a machine's own default may
be bbr, which paces). The cable hands over segmented sends whole, unlike most network cards. Takes about
a minute. Prints a table, or with --json the rows for bench/results.json.
"""

import argparse
import json
import os
import statistics
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "tests", "net"))

import product
from lab import wait_until
from wg_pair import Pair, wait_for_ping

OURS, PEER = "start-wg", "wireguard-go"
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def cpu_s(pair, name):
    """CPU time of both ends so far."""
    total = 0
    for end in (pair.a, pair.b):
        for pid in end.host.processes(name):
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                fields = file.read().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) * TICK_S
    return total


def iperf(pair, seconds, *arguments):
    result = pair.a.host.json("iperf3", "-J", "-c", pair.b.inner, "-t", str(seconds), *arguments)
    if "error" in result:
        raise RuntimeError(result["error"])
    return result["end"]["sum_received"]


def tcp(pair, name, seconds, streams):
    """(Gbit/s, CPU seconds of both ends for each GiB)"""
    before = cpu_s(pair, name)
    received = iperf(pair, seconds, "-C", "cubic", "-P", str(streams))
    return (received["bits_per_second"] / 1e9,
            (cpu_s(pair, name) - before) / (received["bytes"] / 2**30))


def round_trip_us(pair):
    """Average of many small requests, each sent when the one before was answered."""
    output = pair.a.host.run("ping", "-q", "-f", "-c", "1000", pair.b.inner)
    return float(output.rpartition("= ")[2].split("/")[1]) * 1000


def measure(pairs, rounds, seconds):
    """{figure: {program: median}}"""
    found = {}

    def note(figure, name, value):
        found.setdefault(figure, {}).setdefault(name, []).append(value)

    for number in range(rounds):
        for name in (OURS, PEER)[::1 if number % 2 else -1]:
            speed, cost = tcp(pairs[name], name, seconds, 1)
            note("tcp1", name, speed)
            note("cpu", name, cost)
            note("tcp4", name, tcp(pairs[name], name, seconds, 4)[0])
            note("rtt", name, round_trip_us(pairs[name]))
    return {figure: {name: statistics.median(values) for name, values in by_name.items()}
            for figure, by_name in found.items()}


# figure, name, unit, bound of the ratio, whether it is a lower one
ROWS = (
    ("tcp1", "tunnel, TCP, 1 stream", "Gbit/s", 2.0, True),
    ("tcp4", "tunnel, TCP, 4 streams", "Gbit/s", 2.0, True),
    ("cpu", "tunnel, CPU of both ends, TCP, 1 stream", "s/GiB", 0.5, False),
    ("rtt", "tunnel, round trip", "us", 1.0, False),
)


def rows(medians):
    for figure, name, unit, bound, lower in ROWS:
        value, peer_value = medians[figure][OURS], medians[figure][PEER]
        ratio = value / peer_value
        yield {"name": name, "value": value, "unit": unit, "peer": PEER, "peer_value": peer_value,
               "ratio": ratio, "bound": f"ratio {'>' if lower else '<'} {bound:g}",
               "holds": ratio > bound if lower else ratio < bound}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build-dir", help="where start-wg is (default: $BUILD_DIR or build)")
    parser.add_argument("--json", action="store_true", help="rows as JSON")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="of each transfer")
    options = parser.parse_args()
    if options.build_dir:
        product.BUILD_DIR = os.path.abspath(options.build_dir)

    with Pair(OURS) as ours, Pair(PEER, a_program=PEER) as theirs:
        pairs = {OURS: ours, PEER: theirs}
        for pair in pairs.values():
            pair.b.host.start("iperf3", "-s", "-B", pair.b.inner)
            wait_until(lambda: pair.b.host.run("ss", "-Hltn", "sport = 5201"), "iperf3 listens")
            wait_for_ping(pair.a, pair.b)
        found = list(rows(measure(pairs, options.rounds, options.seconds)))
    if options.json:
        print(json.dumps(found))
        return 0
    for row in found:
        print(f"{'ok' if row['holds'] else 'FAILS':6}{row['name']:<44}{row['value']:>9.2f} "
              f"{row['unit']:<8}{row['peer']:>14}{row['peer_value']:>9.2f}{row['ratio']:>8.2f}x  "
              f"{row['bound']}")
    return 0 if all(row["holds"] for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
