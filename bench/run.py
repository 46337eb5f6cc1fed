#!/usr/bin/python3
"""What is measured, and against whom (`make bench`).

Prints a table and writes bench/results.json: the machine's facts, and rows of name, value, unit,
peer, peer_value, ratio, bound and whether the bound holds. Ratios are against a peer in the same run.
Everything happens in namespaces of its own. Ends with 0 only if every bound holds. With --only it
measures some parts, and writes no file.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "tests", "net")]

import hosts
import kernel
import lab as lab_module
import mappings
import names
import product
import web
from lab import Lab, wait_until
from product import DAEMONS, Tunnel
from upstream import Upstream
from wireguard_peer import join_as_startos

FORWARDS = 10000
FIRST_PORT = 10000
DEVICES = 1000
SUBNETS = [f"10.60.{number}.1/24" for number in range(4)]
TARGET = "10.60.0.2"


class Results:
    """The table. A row holds if its value is within the bound, or its ratio is."""

    def __init__(self):
        self.rows = []

    def add(self, name, value, unit, bound, holds, peer=None, peer_value=None, ratio=None):
        self.rows.append({
            "name": name, "value": round(value, 3), "unit": unit, "peer": peer,
            "peer_value": None if peer_value is None else round(peer_value, 3),
            "ratio": None if ratio is None else round(ratio, 3), "bound": bound,
            "holds": bool(holds)})
        self.print_row(self.rows[-1])

    @staticmethod
    def print_head():
        print(f"{'':6}{'what':<58}{'value':>12} {'unit':<12}{'peer':>12} {'ratio':>8}  bound")

    @staticmethod
    def print_row(row):
        peer = "" if row["peer_value"] is None else f"{row['peer_value']:g}"
        ratio = "" if row["ratio"] is None else f"{row['ratio']:g}"
        print(f"{'ok' if row['holds'] else 'FAILS':6}{row['name']:<58}{row['value']:>12g} "
              f"{row['unit']:<12}{peer:>12} {ratio:>8}  {row['bound']}", flush=True)


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    with open("/proc/meminfo", encoding="ascii") as file:
        memory_kib = int(file.readline().split()[1])
    return {"cpu": models[0] if models else platform.machine(), "cores": os.cpu_count(),
            "memory_mib": memory_kib // 1024, "kernel": platform.release(),
            "nft": subprocess.run(["nft", "--version"], capture_output=True, text=True,
                                  check=False).stdout.strip()}


def write_file(results):
    path = os.path.join(HERE, "results.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"machine": machine(), "results": results.rows}, file, indent=2)
        file.write("\n")
    print(path)


class Router:
    """A host with the daemon, whose document is on a real disk, so that its syncs count."""

    def __init__(self, host, directory):
        self.host = host
        self.tunnel = Tunnel(host)
        self.directory = directory
        os.makedirs(directory)
        host.run("mount", "--bind", directory, product.DATA_DIR)

    def empty(self):
        with self.tunnel.rpc() as rpc:
            rpc.call("db.apply", expr=".wg.subnets = {} | .portForwards = {}")

    def fill(self, devices, forwards):
        """Writes the large document by one jq expression."""
        subnets = json.dumps(SUBNETS)
        with self.tunnel.rpc() as rpc:
            rpc.call("db.apply", expr=f"""
                ({subnets} | length) as $n |
                .wg.subnets = ([{subnets}[] | . as $key | {{key: $key, value: {{
                    name: "Bench", dns: {{type: "default"}}, wanIp: null, clients: (
                        [range(2; {devices} / $n + 2) | {{
                            key: (($key | sub("1/24$"; "")) + tostring),
                            value: {{name: "device \\(.)", kind: "client", wanIp: null,
                                key: ("\\($key)                                "[0:26]
                                      + "\\(1000000 + .)"[1:7] | @base64),
                                psk: ("\\($key) preshared                      "[0:26]
                                      + "\\(1000000 + .)"[1:7] | @base64),
                                allowDnsInjection: false, allowAutoPortForward: false}}}}]
                        | from_entries)}}}}] | from_entries) |
                .portForwards = ([range({forwards}) | {{
                    key: "{Lab.VPS}:\\({FIRST_PORT} + .)",
                    value: {{kind: "dnat", target: "{TARGET}:\\({FIRST_PORT} + .)", label: null,
                        enabled: true, count: 1, auto: false}}}}] | from_entries)""")

    def resident_mib(self):
        with open(f"/proc/{self.tunnel.process.pid}/smaps_rollup", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("Rss:")) / 1024

    def context_switches(self):
        """Of every thread of the product's processes, so far."""
        total = 0
        for name in DAEMONS:
            for pid in self.host.processes(name):
                for thread in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{thread}/status", encoding="ascii") as file:
                        total += sum(int(line.split()[1]) for line in file
                                     if "ctxt_switches" in line)
        return total


def percentile_50_ms(calls):
    """The median duration of the calls."""
    durations = []
    for call in calls:
        begin = time.perf_counter()
        call()
        durations.append((time.perf_counter() - begin) * 1e3)
    return statistics.median(durations)


def measure_empty(results, router):
    router.tunnel.start()
    router.empty()
    web.serve(router)
    router.tunnel.stop()
    router.tunnel.start()
    web.wait_until_served(router)
    results.add("start-tunneld resident, empty document", router.resident_mib(), "MiB", "< 12",
                router.resident_mib() < 12)


def measure_idle(results, router):
    """Ten seconds in which nobody asks for anything: no process of ours may wake up, also not for the
    web interface, which is served."""
    time.sleep(1)  # the answer to the last call is over
    before = router.context_switches()
    time.sleep(10)
    woken = router.context_switches() - before
    results.add("wake-ups of all three daemons, idle, with the large document", woken, "in 10 s", "0",
                woken == 0)


def measure_edits(results, router, host):
    """Forwards added and removed beside 10,000, against one nft process for each step."""
    forwards = [(Lab.VPS, FIRST_PORT + number, TARGET, FIRST_PORT + number)
                for number in range(FORWARDS)]
    upstream = Upstream(host)
    upstream.fill(forwards)
    with router.tunnel.rpc() as rpc:
        rpc.call("port-forward.add", externalPort=1, target=f"{TARGET}:1")
        rpc.call("port-forward.remove", source=f"{Lab.VPS}:1")
        ours_add = percentile_50_ms([
            lambda port=port: rpc.call("port-forward.add", externalPort=port,
                                       target=f"{TARGET}:{port}") for port in range(1000, 1300)])
        ours_remove = percentile_50_ms([
            lambda port=port: rpc.call("port-forward.remove", source=f"{Lab.VPS}:{port}")
            for port in range(1000, 1300)])
    theirs_add = percentile_50_ms([
        lambda port=port: upstream.add(Lab.VPS, port, TARGET, port) for port in (2000, 2001, 2002)])
    theirs_remove = percentile_50_ms([
        lambda port=port: upstream.remove(Lab.VPS, port, TARGET, port) for port in (2000, 2001, 2002)])
    for name, ours, theirs in (("added to", ours_add, theirs_add),
                               ("removed from", ours_remove, theirs_remove)):
        results.add(f"forward {name} 10,000, RPC p50", ours, "ms", "< 5 ms and ratio > 10",
                    ours < 5 and theirs / ours > 10, "upstream's way with nft", theirs, theirs / ours)


def measure_start(results, router):
    """From nothing in the kernel to everything applied, and again beside what is there."""
    cold, warm, resident = [], [], []
    for _ in range(3):
        for durations, prepare in ((cold, router.tunnel.stop_everything),
                                   (warm, router.tunnel.stop)):
            prepare()
            begin = time.perf_counter()
            router.tunnel.start()  # it answers once everything is applied
            durations.append(time.perf_counter() - begin)
        with router.tunnel.rpc() as rpc:
            rpc.call("port-forward.add", externalPort=1, target=f"{TARGET}:1")
            rpc.call("port-forward.remove", source=f"{Lab.VPS}:1")
        resident.append(router.resident_mib())
    assert router.tunnel.call("status")["network"]["inSync"]
    differences = kernel.differences(router.tunnel)
    if differences:
        raise RuntimeError(f"not everything is applied: {differences}")
    what = "start with 1,000 devices and 10,000 forwards"
    results.add(what, statistics.median(cold), "s", "< 2", statistics.median(cold) < 2)
    results.add(f"{what}, all there already", statistics.median(warm), "s", "< 2",
                statistics.median(warm) < 2)
    results.add("start-tunneld resident, with that document", max(resident), "MiB", "< 24",
                max(resident) < 24)
    results.add("start-tunneld resident, after status and a whole dump", router.resident_mib(), "MiB",
                "< 24", router.resident_mib() < 24)


def measure_connections(results, lab, routers, program):
    """New connections through the 10,000th forward of one router and the only one of another."""
    last = FIRST_PORT + FORWARDS - 1
    lab.server.start(program, "serve", str(last))
    wait_until(lambda: lab.server.run("ss", "-Hltn", f"sport = :{last}"), "the server listens")
    rates = {name: [] for name in routers}

    def rate(address):
        output = lab.stranger.run(program, "connect", address, str(last), "500")
        connections, failed = output.split()
        if int(failed) > 0:
            raise RuntimeError(f"{failed} connections failed through {address}")
        return float(connections)

    for number in range(12):  # interleaved, each first every other time
        for name in list(routers)[::1 if number % 2 else -1]:
            rates[name].append(rate(routers[name]))
    many, one = (statistics.median(rates[name][2:]) for name in ("many", "one"))
    ratio = statistics.median(a / b for a, b in zip(rates["many"][2:], rates["one"][2:]))
    results.add("new TCP connections through the 10,000th forward", many, "per s", "ratio > 0.95",
                ratio > 0.95, "through the only forward", one, ratio)


def measure_tunnel(results):
    """start-wg against wireguard-go, by the program that measures tunnels."""
    program = os.path.join(HERE, "tunnel_compare.py")
    done = subprocess.run([sys.executable, program, "--short", "--json", "--build-dir",
                           product.BUILD_DIR],
                          capture_output=True, text=True, check=False, timeout=180)
    if done.returncode != 0:
        raise RuntimeError(f"tunnel_compare.py: {done.stderr[-500:]}")
    for row in json.loads(done.stdout):
        results.add(**row)


# What can be measured by itself, in this order. The first ones share one router.
ROUTER_PARTS = ("edits", "start", "idle", "sockets", "calls", "passwords", "connections", "mappings")
PARTS = (*ROUTER_PARTS, "tunnel", "pages", "names", "hosts")


def measure_router(results, directory, program, parts):
    with Lab() as lab:
        many = Router(lab.vps, os.path.join(directory, "many"))
        measure_empty(results, many)
        many.fill(DEVICES, FORWARDS)
        if "edits" in parts:
            measure_edits(results, many, lab.add_host("upstream"))
        if "start" in parts:
            measure_start(results, many)
        if "idle" in parts:
            measure_idle(results, many)
        if "sockets" in parts:
            web.measure_sockets(results, lab, many, f"{Lab.VPS}:{FIRST_PORT}")
        if "calls" in parts:
            web.measure_calls(results, many)
        if "passwords" in parts:
            web.measure_passwords(results, lab, many)

        second = lab.add_host("second")
        lab.attach(second, 6)
        one = Router(second, os.path.join(directory, "one"))
        one.tunnel.start()
        one.empty()
        with one.tunnel.rpc() as rpc:
            rpc.call("subnet.add", subnet="10.61.0.1/24", name="Bench")
            rpc.call("device.add", subnet="10.61.0.1/24", name="Server")
            rpc.call("port-forward.add", externalPort=FIRST_PORT + FORWARDS - 1,
                     target=f"10.61.0.2:{FIRST_PORT + FORWARDS - 1}")
        for router, subnet, interface in ((many, SUBNETS[0], "wg0"), (one, "10.61.0.1/24", "wg1")):
            address = subnet.replace(".1/24", ".2")
            config = router.tunnel.call("device.show-config", subnet=subnet, ip=address)
            join_as_startos(lab.server, config, interface).wait_for_handshake()
        if "connections" in parts:
            measure_connections(results, lab, {"many": Lab.VPS, "one": "198.18.6.2"}, program)
        if "mappings" in parts:
            mappings.measure(results, many, lab.server, TARGET, SUBNETS[0])
        for router in (many, one):
            router.tunnel.stop_everything()


def main():
    parser = argparse.ArgumentParser(description="Measures what the project promises.")
    parser.add_argument("--build-dir", help="where the programs are (default: $BUILD_DIR or build)")
    parser.add_argument("--only", metavar="PART", nargs="+", choices=PARTS, default=PARTS,
                        help=f"of {', '.join(PARTS)}")
    options = parser.parse_args()
    parts = set(options.only)
    if options.build_dir:
        product.BUILD_DIR = os.path.abspath(options.build_dir)
    program = os.path.join(product.BUILD_DIR, "bench", "connection_rate")
    missing = lab_module.missing_programs(
        (*lab_module.REQUIRED_PROGRAMS, "conntrack", "dig", "dnsmasq", "dnsperf", "haproxy", "iperf3",
         "taskset", "wrk"))
    missing += product.missing_programs()
    missing += [own for own in (program, web.subscribers_program()) if not os.access(own, os.X_OK)]
    if missing:
        sys.exit(f"bench: missing: {' '.join(missing)}")
    if os.geteuid() != 0:
        sys.exit("bench: namespaces need root")

    directory = os.path.join(product.BUILD_DIR, "bench-data")
    shutil.rmtree(directory, ignore_errors=True)
    results = Results()
    begin = time.monotonic()
    results.print_head()
    try:
        if parts.intersection(ROUTER_PARTS):
            measure_router(results, directory, program, parts)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if "tunnel" in parts:
        measure_tunnel(results)
    if "pages" in parts:
        web.measure_pages(results)
    if "names" in parts:
        names.measure(results)
    if "hosts" in parts:
        hosts.measure(results)
    failed = [row for row in results.rows if not row["holds"]]
    print(f"{len(results.rows) - len(failed)} of {len(results.rows)} bounds hold; "
          f"{time.monotonic() - begin:.0f} s")
    if parts == set(PARTS):
        write_file(results)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
