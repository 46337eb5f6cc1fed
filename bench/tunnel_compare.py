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
import random
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "tests", "net")]

import product
import tunnel_crowd
from tunnel_pairs import Variant, bench_program

OURS, PEER = "start-wg", "wireguard-go"
NULL, NO_GRO, NO_VNET = "null cipher", "no GRO", "no virtio headers"
OPENSSL, SIX = "OpenSSL's cipher", "IPv6 outside"
BINARY_KIB_MAX = 400

# Bytes of a datagram that is an IPv4 packet of 1,400 bytes, and of one that does not fit the MTU of
# 1,420 and goes as two fragments.
UDP_WHOLE, UDP_FRAGMENTED, UDP_SMALL = 1372, 1400, 64
ROUND_TRIP_TURNS = 40  # in a round: single ones differ by a third from each other
SHORT_TURNS = 5  # of what is compared with IPv4, or with no flood
CAPACITY_TRIES = 6


# figure, name, unit, variant of ours, must, goal, whether more is better
ROWS = (
    ("tcp1", "TCP, 1 stream", "Gbit/s", OURS, 5.3, 6.5, True),
    ("tcp4", "TCP, 4 streams", "Gbit/s", OURS, 6.2, 7.8, True),
    ("udp whole", "UDP, packets of 1,400 bytes", "k/s", OURS, 5.3, 6.0, True),
    ("udp small", "UDP of 64 bytes", "k/s", OURS, 4.2, 6.5, True),
    ("udp fragmented", "UDP of 1,400 bytes, in two fragments", "k/s", OURS, None, None, True),
    ("rtt", "round trip, median", "us", OURS, 0.57, 0.5, False),
    ("tcp1", "TCP, 1 stream, without receive GRO", "Gbit/s", NO_GRO, 4.1, 4.7, True),
    ("tcp1", "TCP, 1 stream, without virtio headers", "Gbit/s", NO_VNET, None, None, True),
    ("tcp1", "TCP, 1 stream, without a cipher", "Gbit/s", NULL, 14, 15, True),
    ("tcp1", "TCP, 1 stream, OpenSSL's cipher", "Gbit/s", OPENSSL, None, None, True),
    ("cost", "CPU of both ends, TCP, 1 stream", "s/GiB", OURS, None, None, False),
    ("capacity", "one sending end with a processor of its own", "Gbit/s", OURS, None, None, True),
    ("capacity alone", "the same while nobody else had the core", "Gbit/s", OURS, None, None, True),
    ("capacity", "with OpenSSL's cipher", "Gbit/s", OPENSSL, None, None, True),
    ("handshakes", "handshakes answered", "/s", OURS, 4, None, True),
    ("handshake cost", "CPU of a handshake", "us", OURS, None, None, False),
    ("memory", "resident, one peer", "MiB", OURS, 1 / 3, 1 / 5, False),
    ("memory many", "resident, 10,000 peers", "MiB", OURS, 1 / 3, 1 / 5, False),
    ("memory sessions", "resident, 10,000 peers, each with a session", "MiB", OURS, 1 / 3, 1 / 5,
     False),
    ("configure", "10,000 peers configured", "ms", OURS, None, None, False),
    ("show", "wg show of 10,000 peers", "ms", OURS, None, None, False),
)
# What every other one has as well.
COMMON = ("tcp1", "tcp4", "udp whole", "udp small", "rtt", "handshakes")

# figure, name, unit, variant of ours, limit, whether it is the least
LIMITS = (
    ("capacity alone", "one sending end alone on a core", "Gbit/s", OURS, 6, True),
    ("capacity alone", "the same with OpenSSL's cipher", "Gbit/s", OPENSSL, 4.5, True),
    ("configure", "10,000 peers configured in one write", "ms", OURS, 500, False),
    ("show", "wg show of 10,000 peers", "ms", OURS, 100, False),
    ("retransmits", "TCP, 1 stream, retransmits", "", OURS, 0, False),
    ("binary", "the program, stripped", "KiB", OURS, BINARY_KIB_MAX, False),
)
# figure, name, unit, variant, compared with which figure and variant, by what name, bound, more is better
WITHIN = (
    ("tcp1 six", "TCP, 1 stream, IPv6 inside", "Gbit/s", OURS, "tcp1 calm", OURS, "IPv4", 0.9, True),
    ("rtt six", "round trip, IPv6 inside", "us", OURS, "rtt", OURS, "IPv4", 1.1, False),
    ("tcp1 calm", "TCP, 1 stream, IPv6 outside", "Gbit/s", SIX, "tcp1 calm", OURS, "IPv4", 0.9, True),
    ("rtt", "round trip, IPv6 outside", "us", SIX, "rtt", OURS, "IPv4", 1.1, False),
    ("tcp1 flood", "TCP, 1 stream, in a flood of 10,000 handshakes a second", "Gbit/s", OURS,
     "tcp1 calm", OURS, "no flood", 0.9, True),
    ("from 1000", "UDP from 1,000 peers in turn", "k/s", OURS, "from 1", OURS, "one peer", 0.9, True),
    ("from 1000 cost", "CPU of a packet from them", "us", OURS, "from 1 cost", OURS, "one peer", 1.1,
     False),
)
SHORT = {"tcp1": ("tunnel, TCP, 1 stream", 2), "tcp4": ("tunnel, TCP, 4 streams", 2),
         "cost": ("tunnel, CPU of both ends, TCP, 1 stream", 0.5),
         "rtt": ("tunnel, round trip", 1)}


def round_trips(variants, note, short):
    """Many short turns, in another order each time: where a scheduler puts the four processes of a pair
    changes the figure of a turn by half, and whatever else the machine does falls into one or two of
    them."""
    turns = [("rtt", variant, False) for variant in variants
             if variant.name not in (NULL, NO_GRO, NO_VNET, OPENSSL)]
    if not short:
        turns += [("rtt six", variant, True) for variant in variants if variant.name == OURS]
    for _ in range(ROUND_TRIP_TURNS):
        random.shuffle(turns)
        for figure, variant, six in turns:
            note(figure, variant.name, variant.round_trip_us(six=six))


def measure(variants, crowds, rounds, seconds, short):
    """{figure: {variant: median}}"""
    found = {}

    def note(figure, name, value):
        found.setdefault(figure, {}).setdefault(name, []).append(value)

    for number in range(rounds):
        for variant in variants[::1 if number % 2 else -1]:
            one = variant.tcp(seconds)
            note("tcp1", variant.name, one.pop("speed"))
            for figure, value in one.items():
                note(figure, variant.name, value)
            if not short and variant.name not in (NO_GRO, NO_VNET, SIX):
                tries = CAPACITY_TRIES if variant.name in (OURS, OPENSSL) else 1
                for figure, value in variant.capacity(seconds, tries).items():
                    note(figure, variant.name, value)
            if variant.name in (NULL, NO_GRO, NO_VNET, OPENSSL, SIX):
                continue
            note("tcp4", variant.name, variant.tcp(seconds, 4)["speed"])
            if short:
                continue
            note("udp whole", variant.name, variant.datagrams_per_s(UDP_WHOLE))
            note("udp small", variant.name, variant.datagrams_per_s(UDP_SMALL))
            note("memory", variant.name, variant.resident_mib())
            if variant.name in (OURS, PEER):
                note("udp fragmented", variant.name, variant.datagrams_per_s(UDP_FRAGMENTED))
            if variant.name == OURS:
                outside = next(other for other in variants if other.name == SIX)
                for _ in range(SHORT_TURNS):
                    for tunnel in (variant, outside):
                        note("tcp1 calm", tunnel.name, tunnel.tcp(seconds / 2)["speed"])
                    note("tcp1 six", variant.name, variant.tcp(seconds / 2, six=True)["speed"])
                    note("tcp1 flood", variant.name, variant.tcp_in_flood(seconds / 2))
        round_trips(variants, note, short)
    tunnel_crowd.measure(crowds, note)
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


def limit_row(name, value, unit, limit, least):
    return {"name": name, "value": value, "unit": unit, "peer": None, "peer_value": None,
            "ratio": None, "bound": f"at {'least' if least else 'most'} {limit:g}", "goal": None,
            "holds": value >= limit if least else value <= limit}


def rows(medians, others):
    for figure, name, unit, variant, must, goal, more in ROWS:
        yield row(name, medians[figure][variant], unit, PEER, medians[figure][PEER], must, more, goal)
    for other in others:
        for figure, name, unit, variant, _, _, more in ROWS:
            if variant == OURS and figure in COMMON:
                yield row(name, medians[figure][OURS], unit, other, medians[figure][other],
                          1.5 if more else 1 / 1.5, more)
    for figure, name, unit, variant, peer_figure, peer_variant, peer, bound, more in WITHIN:
        yield row(name, medians[figure][variant], unit, peer, medians[peer_figure][peer_variant],
                  bound, more)
    medians["binary"] = {OURS: binary_kib()}
    for figure, name, unit, variant, limit, least in LIMITS:
        yield limit_row(name, medians[figure][variant], unit, limit, least)


def binary_kib():
    """Of the program as it is installed, without symbols."""
    with tempfile.NamedTemporaryFile() as stripped:
        subprocess.run(["strip", "-o", stripped.name, product.program("start-wg")], check=True)
        return os.path.getsize(stripped.name) / 1024


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
        print(f"{state:8}{entry['name']:<54}{entry['value']:>9.2f} {entry['unit']:<7}{peer:>28}"
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

    variants, others, crowds = [], [], []
    try:
        variants += [Variant(OURS, OURS), Variant(PEER, PEER)]
        if not options.short:
            variants += [Variant(NULL, bench_program("start-wg-null")),
                         Variant(OPENSSL, bench_program("start-wg-openssl")),
                         Variant(NO_GRO, OURS, env={"START_WG_WITHOUT": "gro"}),
                         Variant(NO_VNET, OURS, env={"START_WG_WITHOUT": "vnet-hdr"}),
                         Variant(SIX, OURS, outer=6)]
            crowds += [(OURS, OURS, None, True), (PEER, PEER, None, True)]
            for name, file in (("newest wireguard-go", "wireguard"), ("boringtun", "boringtun-cli")):
                path = os.path.join(os.path.abspath(options.peers), file)
                env = {"WG_SUDO": "true"}
                if os.access(path, os.X_OK):
                    variants.append(Variant(name, path, env=env))
                    crowds.append((name, path, env, False))
                    others.append(name)
        medians = measure(variants, crowds, options.rounds, options.seconds, options.short)
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
